package export

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/compute"
	"align/model"
)

// The formats: an adapter alone, the base with the adapter merged into it, or
// a model of which all weights were trained.
const (
	FormatHF         = "hf"
	FormatGGUF       = "gguf"
	FormatPEFT       = "peft"
	FormatMergedHF   = "merged-hf"
	FormatMergedGGUF = "merged-gguf"
)

// Formats are what Options.Format may be.
var Formats = []string{FormatGGUF, FormatPEFT, FormatMergedHF, FormatMergedGGUF, FormatHF}

// Options say what to write of a run, checkpoint or adapter.
type Options struct {
	// Adapter is a run, a checkpoint or an adapter folder.
	Adapter string
	// Model names the base model; "" takes the one that the run names.
	Model  string
	Format string
	// Type is the number type of a merged GGUF, one of model.GGUFTypes; "" takes
	// the base's, or q8_0 where that is a type of blocks. Of the format hf it is
	// f32 or bf16, which "" takes.
	Type string
	// Out is the file (gguf, merged-gguf) or new folder (peft, merged-hf, hf) to
	// write.
	Out     string
	Compute compute.Settings
}

// Result says what was written and how it was checked.
type Result struct {
	Path       string
	Parameters int
	// Type is the number type of a merged GGUF or a folder of the format hf.
	Type string
	// Modelfile is what Ollama creates a model of a merged GGUF from.
	Modelfile string
	// Card is the model card beside a GGUF; a folder has its own.
	Card string
	// Scores: what was written is a reward model, whose only logit is its score.
	Scores bool
	// Checked compares what was written, read back, with the adapter on its base.
	Checked model.Verification
}

// Validate returns all faults of the options at once.
func (o Options) Validate() error {
	var errs []error
	if !slices.Contains(Formats, o.Format) {
		errs = append(errs, fmt.Errorf("format: want one of %s, got %q", strings.Join(Formats, ", "), o.Format))
	}
	switch _, folder := folderTypes[o.Type]; {
	case o.Type == "":
	case o.Format == FormatHF && !folder:
		errs = append(errs, fmt.Errorf("type: want f32 or bf16 for the format %s, got %q", FormatHF, o.Type))
	case o.Format == FormatHF:
	case !slices.Contains(model.GGUFTypes, o.Type):
		errs = append(errs, fmt.Errorf("type: want one of %s, got %q", strings.Join(model.GGUFTypes, ", "), o.Type))
	case o.Format != FormatMergedGGUF:
		errs = append(errs, fmt.Errorf("type: %s is for the format %s", o.Type, FormatMergedGGUF))
	}
	if o.Out == "" {
		errs = append(errs, errors.New("out is missing: the file or folder to write"))
	}
	return errors.Join(errs...)
}
