package export

import (
	"fmt"
	"path/filepath"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/tokenizer"
	"align/model"
)

// carriesHead says whether the head of a reward model is written too, as Hugging
// Face's sequence classifiers have it.
func (x *export) carriesHead() bool {
	return x.scores && (x.Format == FormatPEFT || x.Format == FormatMergedHF)
}

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
	case x.Format == FormatMergedGGUF:
		return fmt.Errorf("a reward model gives scores, not text: a merged GGUF cannot hold its head, want %s or %s", FormatPEFT, FormatMergedHF)
	case x.Format == FormatPEFT:
		x.tellTemplate()
	case x.Format == FormatMergedHF:
	default:
		x.env.Tell(fmt.Sprintf("reward: the score head is not an adapter's and is left out: it is %s in %s; --format %s writes it", model.ScoreHead, filepath.Join(x.folder, model.HeadsFile), FormatPEFT))
	}
	return nil
}

// tellTemplate names the template that the run trained with where it is not the one
// that the base's tokenizer gives: no file written holds it, and scores of other texts
// are others.
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
		x.env.Tell(fmt.Sprintf("template: the run trained with %s, which the folder cannot say: score with that one (--template %s)", trained.Name(), trained.Name()))
	}
}

// padTokens are tokens that end no conversation, as Llama's vocabularies name them:
// Llama 3.1's padding and others' own, then one that Llama 3 never used.
var padTokens = []string{"<|finetune_right_pad_id|>", "<pad>", "[PAD]", "<|reserved_special_token_0|>"}

// pad is the padding token of a merged reward model.
func (x *export) pad(tok *tokenizer.Tokenizer) model.PadToken {
	if !x.scores {
		return model.PadToken{}
	}
	for _, name := range padTokens {
		if tok == nil {
			break
		}
		if id, ok := tok.Special(name); ok {
			x.env.Tell(fmt.Sprintf("pad_token: %s", name))
			return model.PadToken{ID: id, Name: name}
		}
	}
	x.env.Tell("pad_token: none, the tokenizer has no token for it: Transformers takes batches of one")
	return model.PadToken{}
}

// verifyScores reads a merged reward model back. exact: the sum is written in
// float32.
func (x *export) verifyScores(e Result, exact bool) (v Result, err error) {
	e.Scores = true
	e.Parameters += x.adapter.Head.Len
	if e.Checked, err = model.VerifyScores(e.Path, x.model, x.adapter); err != nil {
		return e, err
	}
	return e, x.near(e, exact)
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
