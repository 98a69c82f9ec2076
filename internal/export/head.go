package export

import (
	"errors"
	"fmt"
	"path/filepath"

	"align/datasets"
	"align/internal/basemodel"
	"align/model"
)

// carriesHead says whether the head of a reward model is written too, as Hugging
// Face's sequence classifiers have it.
func (x *export) carriesHead() bool { return x.scores && x.Format == FormatPEFT }

// openHead finds out whether the adapter is a reward model, and tells what of it the
// format cannot hold.
func (x *export) openHead() (err error) {
	if x.full {
		return nil
	}
	if x.scores, err = model.AdapterScores(x.folder); err != nil {
		return err
	}
	x.scores = x.scores || x.run.Method == "reward"
	switch {
	case !x.scores:
	case x.merges():
		return errors.New("a reward model gives scores, not text: it is merged into no language model")
	case x.carriesHead():
		x.tellTemplate()
	default:
		x.env.Tell(fmt.Sprintf("reward: the score head is not an adapter's and is left out: it is %s in %s; --format %s writes it", model.ScoreHead, filepath.Join(x.folder, model.HeadsFile), FormatPEFT))
	}
	return nil
}

// tellTemplate names the template that the run trained with where it is not the one
// that the base's tokenizer gives: no file of an adapter holds it, and scores of other
// texts are others.
func (x *export) tellTemplate() {
	tok, err := basemodel.OpenTokenizer(x.base)
	if err != nil || x.run.Method == "" {
		return
	}
	trained, _, err := datasets.ChooseTemplate(x.trainedTemplate(), tok)
	if err != nil {
		return
	}
	if own, _, err := datasets.ChooseTemplate("auto", tok); err != nil || own.Name() != trained.Name() {
		x.env.Tell(fmt.Sprintf("template: the run trained with %s, which the adapter's folder cannot say: score with that one (--template %s)", trained.Name(), trained.Name()))
	}
}

// readScorer is [model.ReadAdapter] with the score head.
func readScorer(dir string, base model.Config) (*model.Adapter, []float32, error) {
	return model.ReadScored(dir, model.ScoreHead, base)
}

// numbers names what Checked compares.
func (r Result) numbers() string {
	if r.Scores {
		return "scores"
	}
	return "logits"
}
