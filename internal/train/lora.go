package train

import (
	"context"
	"errors"
	"io"

	"align/internal/atomicfile"
	"align/internal/checkpoint"
	"align/internal/device"
	"align/model"
)

// LoRA is a Subject: the adapter of a model, saved as PEFT saves it.
type LoRA struct {
	Model   *model.Model
	Adapter *model.Adapter
	// Base is what adapter_config.json names as the base model.
	Base string
	// Head is the name of the adapter's trained head, where it has one.
	Head string
}

var _ Subject = (*LoRA)(nil)

// Buffers are the adapter's flat buffers.
func (l *LoRA) Buffers() (value, grad device.View) { return l.Adapter.Value, l.Adapter.Grad }

// Parts are adapter_config.json, adapter_model.safetensors and, with a head,
// heads.safetensors.
func (l *LoRA) Parts() ([]checkpoint.Part, error) {
	config, err := l.Adapter.PEFTConfig(l.Base)
	if err != nil {
		return nil, err
	}
	values := model.OnDevice(l.Model.Backend(), l.Adapter.Value)
	parts := []checkpoint.Part{
		{Name: model.AdapterConfigFile, Write: atomicfile.Bytes(config)},
		{Name: model.AdapterWeightsFile, Write: func(w io.Writer) error { return l.Adapter.WriteWeights(w, values) }},
	}
	if l.Adapter.Head.Len > 0 {
		parts = append(parts, checkpoint.Part{Name: model.HeadsFile, Write: func(w io.Writer) error { return l.Adapter.WriteHead(w, l.Head, values) }})
	}
	return parts, nil
}

// Restore reads the adapter's values back.
func (l *LoRA) Restore(_ context.Context, c *checkpoint.Checkpoint) error {
	read := model.ReadAdapter
	if l.Adapter.Head.Len > 0 {
		read = func(dir string, base model.Config) (*model.Adapter, []float32, error) {
			return model.ReadScored(dir, l.Head, base)
		}
	}
	_, values, err := read(c.Path, l.Model.Config)
	if err != nil {
		return err
	}
	return model.WriteFloats(l.Model.Backend(), l.Adapter.Value, values)
}

// LoRA reads what the settings say of an adapter of a base with so many layers.
func (s *Settings) LoRA(layers int) (model.LoRAConfig, error) {
	targets, wrongTargets := model.ParseTargets(s.Targets)
	among, wrongLayers := model.ParseLayers(s.Layers, layers)
	save, wrongSave := model.ParseSaved(s.ModulesToSave)
	return model.LoRAConfig{
		Rank: s.Rank, Alpha: s.Alpha, Dropout: s.Dropout,
		Targets: targets, Layers: among, RSLoRA: s.RSLoRA, DoRA: s.DoRA, Save: save,
	}, errors.Join(wrongTargets, wrongLayers, wrongSave)
}
