package export

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/basemodel"
	"align/internal/safetensors"
	"align/internal/train"
	"align/model"
)

// folderTypes are the number types of a Hugging Face folder of all weights, with
// their names in a config.json.
var folderTypes = map[string]struct {
	dtype safetensors.DType
	name  string
}{
	"f32":  {safetensors.F32, "float32"},
	"bf16": {safetensors.BF16, "bfloat16"},
}

// defaultFolderType is what models are published in; the masters stay with the
// run.
const defaultFolderType = "bf16"

// writeFull writes a run that trained all weights as a Hugging Face folder, and
// compares what was written with the masters.
func (x *export) writeFull() (Result, error) {
	e := Result{Path: x.Out, Type: x.Type, Parameters: int(x.model.Config.Parameters())}
	if e.Type == "" {
		e.Type = defaultFolderType
		x.env.Tell(fmt.Sprintf("type: %s (--type f32 keeps every bit)", e.Type))
	}
	tok, err := basemodel.OpenTokenizer(x.folder)
	if err != nil {
		return e, err
	}
	tokens, side, err := model.TokenizerFiles(tok, x.model.Config)
	if err != nil {
		return e, err
	}
	t := folderTypes[e.Type]
	config, err := x.model.Config.JSON(t.name)
	if err != nil {
		return e, err
	}
	full := model.NewFull(x.model.Config)
	values, err := full.ReadWeights(context.Background(), x.folder)
	if err != nil {
		return e, err
	}
	d, err := atomicfile.Stage(filepath.Dir(x.Out), filepath.Base(x.Out))
	if err != nil {
		return e, err
	}
	defer d.Abort()
	err = d.WriteFiles(
		atomicfile.Part{Name: train.ModelConfigFile, Write: atomicfile.Bytes(config)},
		atomicfile.Part{Name: train.ModelWeightsFile, Write: func(w io.Writer) error { return full.WriteWeights(w, model.InMemory(values), t.dtype) }},
		atomicfile.Part{Name: "tokenizer.json", Write: atomicfile.Bytes(tokens)},
		atomicfile.Part{Name: "tokenizer_config.json", Write: atomicfile.Bytes(side)},
		atomicfile.Part{Name: basemodel.CardFile, Write: atomicfile.Bytes(x.card())})
	if err != nil {
		return e, err
	}
	if err := d.Commit(); err != nil {
		return e, err
	}
	return x.verifyMerged(e, tok, e.Type == "f32")
}
