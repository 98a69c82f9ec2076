package export

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"align/datasets"
	"align/internal/atomicfile"
	"align/internal/basemodel"
	"align/internal/tokenizer"
	"align/model"
)

// quantisedType is what a quantised base merges to where nothing else is asked
// for: rounding back to four bits can erase an adapter.
const quantisedType = "q8_0"

// merge writes the base with the adapter merged into it, and compares what was
// written with the model as it was trained.
func (x *export) merge() (Result, error) {
	e := Result{Path: x.Out, Parameters: int(x.model.Config.Parameters())}
	stored, quantised, err := model.StoredType(x.base)
	if err != nil {
		return e, err
	}
	if !x.full {
		if err := x.model.AllocAdapter(x.adapter, x.values); err != nil {
			return e, err
		}
	}
	if x.held.Quantize != "" {
		x.env.Tell(fmt.Sprintf("the run held its base as %s: the merge takes the weights as they are stored", x.held.Form()))
	}
	if quantised && x.Model == "" {
		x.env.Tell(fmt.Sprintf("the base is %s: where its original is at hand, name it with --model to merge from it", stored))
	}
	report := x.env.Doing("merging")
	m := model.Merge{Base: x.base, Adapter: x.adapter, Values: x.values, Progress: func(done, total int) { report(int64(done), int64(total)) }}
	tok, err := basemodel.OpenTokenizer(x.base)
	if x.Format == FormatMergedHF {
		template := x.chatTemplate(tok)
		if x.scores && template == "" {
			x.tellTemplate()
		}
		if err := model.MergeFolder(x.Out, m, model.FolderOptions{ChatTemplate: template, Card: x.card(), Pad: x.pad(tok)}); err != nil {
			return e, err
		}
		if x.scores {
			return x.verifyScores(e, !quantised && stored == "f32")
		}
		return x.verifyMerged(e, tok, !quantised && stored == "f32")
	}
	if err != nil {
		return e, err // a GGUF holds the tokenizer
	}
	if e.Type = x.Type; e.Type == "" {
		e.Type = x.deriveType(stored, quantised)
	}
	if n := x.model.Config.OtherGGUFTypes(e.Type); n > 0 {
		x.env.Tell(fmt.Sprintf("type: the rows of %d weights are not whole blocks of %s: they become q8_0 or f16", n, e.Type))
	}
	if e.Modelfile, err = x.beside("Modelfile"); err != nil {
		return e, err
	}
	if e.Card, err = x.beside(basemodel.CardFile); err != nil {
		return e, err
	}
	err = model.MergeGGUF(x.Out, m, model.GGUFOptions{
		Type: e.Type, GGUFNames: x.names(), ChatTemplate: x.chatTemplate(tok),
	})
	if err != nil {
		return e, err
	}
	if err := errors.Join(x.writeModelfile(e.Modelfile, tok), x.writeCard()); err != nil {
		return e, err
	}
	return x.verifyMerged(e, tok, !quantised && e.Type == "f32")
}

// chatTemplate is the Jinja text of the template that the run trained with,
// where it is not the one that the base comes with: a program that renders
// another one gets nonsense.
func (x *export) chatTemplate(tok *tokenizer.Tokenizer) string {
	if x.run.Method == "" || tok == nil {
		return ""
	}
	trained, _, err := datasets.ChooseTemplate(x.trainedTemplate(), tok)
	if err != nil {
		return ""
	}
	if own, _, err := datasets.ChooseTemplate("auto", tok); tok.ChatTemplate() != "" && err == nil && own.Name() == trained.Name() {
		return ""
	}
	text := trained.Jinja()
	if text == "" && trained.Name() != "plain" && trained.Name() != "raw" {
		x.env.Tell(fmt.Sprintf("chat_template: there is no text of %s to write: others may render another template than the run trained with", trained.Name()))
	}
	return text
}

// deriveType is the number type where none is asked for.
func (x *export) deriveType(stored string, quantised bool) string {
	if quantised {
		x.env.Tell(fmt.Sprintf("type: %s (the base is %s: rounding back to it could erase the adapter)", quantisedType, stored))
		return quantisedType
	}
	x.env.Tell(fmt.Sprintf("type: %s (the base's)", stored))
	return stored
}

// sampleText is ordinary English to compare models on.
const sampleText = `Once upon a time, a girl found a small key in the garden. "What does it open?" she asked her brother. ` +
	`They looked at every door of the house, and at the old box under the stairs. The key fitted the box, and in it lay a letter: ` +
	`"Whoever reads this shall plant a tree." So they went out in the rain and did.`

// sampleTokens bounds the text's tokens.
const sampleTokens = 128

// verifyMerged reads the merged model back. exact: the sum is
// written in float32.
func (x *export) verifyMerged(e Result, tok *tokenizer.Tokenizer, exact bool) (Result, error) {
	var ids []int32
	if tok != nil {
		ids = tok.Encode(sampleText, true, false)
		ids = ids[:min(len(ids), sampleTokens, x.model.Config.ContextLength)]
	}
	v, err := model.Verify(e.Path, x.model, x.adapter, ids)
	if err != nil {
		return e, err
	}
	e.Checked = v
	return e, x.near(e, exact)
}

// near refuses an exact export that is not the model, and tells of one that rounding
// took far from it.
func (x *export) near(e Result, exact bool) error {
	v := e.Checked
	if exact && x.held.Quantize == "" && !(v.Difference <= exactTolerance*v.Scale) {
		return fmt.Errorf("the export does not give the model's %s: they differ by %v of %v", e.numbers(), v.Difference, v.Scale)
	}
	if !(v.Difference <= v.Scale) {
		x.env.Tell(fmt.Sprintf("the export is far from the model: of its %s one differs by %.3g of %.3g", e.numbers(), v.Difference, v.Scale))
	}
	return nil
}

// names are what a GGUF says of itself.
func (x *export) names() model.GGUFNames {
	return model.GGUFNames{Name: x.name(), BaseModel: x.baseName(), License: x.license()}
}

// beside is the name of a file that is written beside a GGUF.
func (x *export) beside(what string) (string, error) {
	path := x.besidePath(what)
	if isThere(path) {
		return "", fmt.Errorf("out: %s exists: want a new name", path)
	}
	return path, nil
}

// besidePath drops .gguf alone: of model-3.1 and model-3.2 each has its own.
func (x *export) besidePath(what string) string {
	return strings.TrimSuffix(x.Out, ".gguf") + "." + what
}

// writeCard writes the model card of a GGUF, which has no folder of its own.
func (x *export) writeCard() error {
	path, err := x.beside(basemodel.CardFile)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(path, atomicfile.Bytes(x.card()))
}

func (x *export) writeModelfile(path string, tok *tokenizer.Tokenizer) error {
	template, reason, err := datasets.ChooseTemplate(x.trainedTemplate(), tok)
	if err != nil {
		x.env.Tell(fmt.Sprintf("the Modelfile has no template: %v", err))
	} else {
		x.env.Tell(fmt.Sprintf("template: %s (%s)", template.Name(), reason))
	}
	text := modelfile(filepath.Base(x.Out), template, tok)
	return atomicfile.WriteFile(path, atomicfile.Bytes([]byte(text)))
}

// trainedTemplate is the template of the run, or auto.
func (x *export) trainedTemplate() string {
	if name := x.run.Lineage["setting template"]; name != "" {
		return name
	}
	return "auto"
}
