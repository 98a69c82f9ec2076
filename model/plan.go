package model

import (
	"fmt"
	"slices"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
)

// plan is a compiled decoder without memory: the program, the gradients that it
// computes and the values that they start from.
type plan struct {
	exec  *exec.Plan
	grads graph.Nodes
	seeds graph.Nodes
}

func (d *Decoder) plan(loss *graph.Node, outputs graph.Nodes) (plan, error) {
	var p plan
	spec := exec.Spec{Builder: d.Builder, Outputs: outputs, External: map[*graph.Node]exec.Access{}}
	if loss != nil {
		spec.Outputs = append(spec.Outputs, loss)
		if wrt := d.trained(); len(wrt) > 0 && d.options.Train {
			p.grads, p.seeds = d.Gradients(graph.Nodes{loss}, wrt)
			for _, g := range p.grads {
				spec.External[g] = exec.Accumulate
			}
		}
	}
	var err error
	p.exec, err = exec.Compile(spec)
	return p, err
}

// SessionSize is what a session takes of its device.
type SessionSize struct {
	// Bytes is the memory that it holds, Own the part that it never shares.
	Bytes, Own int64
	// Kernels are those of its program, for a device.Sizer to say what they take
	// besides.
	Kernels []device.Step
}

// SessionSize is that of the session that Compile would make. It reserves
// nothing, and neither a device nor weights are needed; the graph cannot be
// compiled again afterwards.
func (d *Decoder) SessionSize(loss *graph.Node, outputs ...*graph.Node) (SessionSize, error) {
	p, err := d.plan(loss, outputs)
	if err != nil {
		return SessionSize{}, err
	}
	bytes := d.sessionBytes(p.exec, d.inputNodes(p.seeds))
	return SessionSize{bytes, bytes - p.exec.ArenaBytes(), p.exec.Kernels()}, nil
}

// sessionBytes is the arena, the inputs and the layers' seeds.
func (d *Decoder) sessionBytes(p *exec.Plan, inputs graph.Nodes) int64 {
	size := p.ArenaBytes()
	for _, n := range inputs {
		size += padded(d.Info(n).Bytes())
	}
	return size + padded(int64(8*max(len(d.seeds), 1)))
}

func padded(n int64) int64 { return (n + 255) / 256 * 256 }

// inputNodes are the inputs that a session owns: everything that is neither a
// weight nor a factor nor a layer's seed.
func (d *Decoder) inputNodes(seeds graph.Nodes) graph.Nodes {
	others := map[*graph.Node]bool{}
	for _, n := range d.weights {
		others[n] = true
	}
	for _, n := range slices.Concat(d.trained(), d.seeds, d.squares, d.saved) {
		others[n] = true
	}
	var nodes graph.Nodes
	for _, n := range d.Builder.Inputs() {
		if !others[n] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// WeightBytes is the memory that the weights of a model folder or GGUF file
// take, held in the types that they are stored in or, the linear ones, in
// quantize of Quantizations. matrix, if not nil, is the type that a device
// holds a matrix in which is stored in another; vectors are of the activation
// type. reserved, if not nil, is what a device takes for matrices and vectors of
// so many bytes each.
func WeightBytes(path, quantize string, act device.Type, matrix func(device.Type) device.Type, reserved func(matrices, vectors []int64) int64) (int64, error) {
	files, config, err := openSource(path)
	if err != nil {
		return 0, err
	}
	defer files.Close()
	var to device.Type
	if quantize != "" {
		if to, err = parseQuantize(quantize); err != nil {
			return 0, err
		}
	}
	var matrices, vectors []int64
	for _, w := range config.weights() {
		t, err := files.tensor(w)
		if err != nil {
			return 0, fmt.Errorf("model: %s: %q: %w", path, w.name, err)
		}
		if w.cols == 0 {
			t.typ = act.Wide()
			vectors = append(vectors, t.bytes())
			continue
		}
		if held := heldAs(w, t, to); held != t.typ {
			t.typ = held
		} else if matrix != nil {
			t.typ = matrix(t.typ)
		}
		matrices = append(matrices, t.bytes())
	}
	if reserved == nil {
		reserved = inAll
	}
	return reserved(matrices, vectors), nil
}

func inAll(matrices, vectors []int64) (bytes int64) {
	for _, n := range slices.Concat(matrices, vectors) {
		bytes += n
	}
	return bytes
}
