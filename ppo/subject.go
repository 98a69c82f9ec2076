package ppo

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"align/internal/checkpoint"
	"align/internal/device"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
)

// CriticFile is the file of the critic's adapter in a checkpoint; its head is
// in model.HeadsFile.
const CriticFile = "critic.safetensors"

// Subject is what is trained: the policy's adapter and, where there is one, the
// critic's with its head, in one flat buffer. The policy's files are PEFT's.
type Subject struct {
	Model          *model.Model
	Policy, Critic *model.Adapter
	// Base is what adapter_config.json names as the base model.
	Base        string
	value, grad device.View
}

var _ train.Subject = (*Subject)(nil)

// NewSubject gives the adapters their buffers and fills them; critic is nil but
// for the algorithm ppo.
func NewSubject(m *model.Model, base string, policy *model.Adapter, policyValues []float32, critic *model.Adapter, criticValues []float32) (*Subject, error) {
	s := &Subject{Model: m, Policy: policy, Critic: critic, Base: base}
	adapters, values := []*model.Adapter{policy}, [][]float32{policyValues}
	if critic != nil {
		adapters, values = append(adapters, critic), append(values, criticValues)
	}
	var err error
	s.value, s.grad, err = m.AllocAdapters(adapters, values)
	return s, err
}

// Groups are the learning rates: the critic's is the policy's times scale, and
// of both that of B is the rest's times ratio (LoRA+).
func (s *Subject) Groups(scale, ratio float64) []optim.Group {
	groups := train.LoRAPlus(s.Policy, 0, 1, ratio)
	if s.Critic != nil {
		groups = append(groups, train.LoRAPlus(s.Critic, s.Policy.Len, scale, ratio)...)
	}
	return groups
}

// Buffers are the flat buffers of both.
func (s *Subject) Buffers() (value, grad device.View) { return s.value, s.grad }

// Parts are the policy's adapter files and the critic's.
func (s *Subject) Parts() ([]checkpoint.Part, error) {
	parts, err := (&train.LoRA{Model: s.Model, Adapter: s.Policy, Base: s.Base}).Parts()
	if err != nil || s.Critic == nil {
		return parts, err
	}
	values := model.OnDevice(s.Model.Backend(), s.Critic.Value)
	return append(parts,
		checkpoint.Part{Name: CriticFile, Write: func(w io.Writer) error { return s.Critic.WriteWeights(w, values) }},
		checkpoint.Part{Name: model.HeadsFile, Write: func(w io.Writer) error { return s.Critic.WriteHead(w, model.ValueHead, values) }}), nil
}

// Restore reads them back.
func (s *Subject) Restore(ctx context.Context, c *checkpoint.Checkpoint) error {
	if err := (&train.LoRA{Model: s.Model, Adapter: s.Policy}).Restore(ctx, c); err != nil || s.Critic == nil {
		return err
	}
	values := make([]float32, s.Critic.Len)
	err := errors.Join(
		s.Critic.ReadWeights(filepath.Join(c.Path, CriticFile), values),
		s.Critic.ReadHead(c.Path, model.ValueHead, values))
	if err != nil {
		return err
	}
	return model.WriteFloats(s.Model.Backend(), s.Critic.Value, values)
}

// NewCritic is an adapter of the policy's shape with a head; the policy alone
// trains modules whole.
func NewCritic(base model.Config, shape model.LoRAConfig) (*model.Adapter, error) {
	shape.Save = nil
	critic, err := model.NewAdapter(base, shape)
	if err != nil {
		return nil, err
	}
	critic.AddHead(base)
	return critic, nil
}
