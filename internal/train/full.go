package train

import (
	"context"
	"io"

	"align/internal/atomicfile"
	"align/internal/checkpoint"
	"align/internal/device"
	"align/internal/optim"
	"align/internal/safetensors"
	"align/model"
)

// Files of a model in a checkpoint of full-parameter training.
const (
	ModelConfigFile  = "config.json"
	ModelWeightsFile = "model.safetensors"
)

// Full is a Subject: all weights of a model, saved as float32 masters under
// Hugging Face's names, with a config.json beside them: any command takes the
// checkpoint as a model folder.
type Full struct {
	Model *model.Model
	Full  *model.Full
	// Beside are files that make the checkpoint a whole model folder: the
	// tokenizer's.
	Beside []checkpoint.Part
}

var _ Subject = (*Full)(nil)

// Decayed are the groups of a model's weights by whether weight decay acts on
// them: on matrices it does, on the norms' scales it does not, as in
// Transformers' Trainer (get_decay_parameter_names).
func Decayed(f *model.Full) []optim.Group {
	var groups []optim.Group
	for i, w := range f.Weights {
		end := f.Len
		if i+1 < len(f.Weights) {
			end = f.Weights[i+1].Offset
		}
		g := optim.Group{First: w.Offset, Len: end - w.Offset, LearningRateScale: 1, NoDecay: w.Cols == 0}
		if n := len(groups); n > 0 && groups[n-1].NoDecay == g.NoDecay {
			groups[n-1].Len += g.Len
			continue
		}
		groups = append(groups, g)
	}
	return groups
}

// Buffers are the flat buffers of all weights.
func (f *Full) Buffers() (value, grad device.View) { return f.Full.Value, f.Full.Grad }

// Parts are config.json and model.safetensors.
func (f *Full) Parts() ([]checkpoint.Part, error) {
	config, err := f.Model.Config.JSON("float32")
	if err != nil {
		return nil, err
	}
	values := model.OnDevice(f.Model.Backend(), f.Full.Value)
	return append([]checkpoint.Part{
		{Name: ModelConfigFile, Write: atomicfile.Bytes(config)},
		{Name: ModelWeightsFile, Write: func(w io.Writer) error { return f.Full.WriteWeights(w, values, safetensors.F32) }},
	}, f.Beside...), nil
}

// Restore reads the weights back; it ends with ctx.
func (f *Full) Restore(ctx context.Context, c *checkpoint.Checkpoint) error {
	values, err := f.Full.ReadWeights(ctx, c.Path)
	if err != nil {
		return err
	}
	return model.WriteFloats(f.Model.Backend(), f.Full.Value, values)
}
