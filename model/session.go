package model

import (
	"fmt"
	"unsafe"

	"align/datasets"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
)

// Session is a compiled decoder on a device, bound to a model's weights and an
// adapter's flat buffers. Runs allocate nothing.
type Session struct {
	decoder *Decoder
	program *exec.Program
	backend device.Backend
	memory  device.Memory
	inputs  map[*graph.Node]device.View
	seeds   device.View
	rowKeys []int32 // of a pack's rows
	noise   noise
	grads   graph.Nodes

	model  *Model
	plan   *exec.Plan
	arena  device.Memory // of the program
	shared *Shared       // whose memory the arena is; nil: the session's own
	extra  int64         // what the session needs of it behind the arena
	placed func()        // called after the program has been bound
}

// Compile turns the graph into a session. loss is a vector of one element to
// differentiate by the adapter, or nil; outputs are further nodes to read
// after a run. Gradients add to the adapter's Grad buffer.
func (d *Decoder) Compile(m *Model, loss *graph.Node, outputs ...*graph.Node) (*Session, error) {
	p, err := d.plan(loss, outputs)
	if err != nil {
		return nil, err
	}
	s := &Session{decoder: d, backend: m.backend, inputs: map[*graph.Node]device.View{}, grads: p.grads}
	return s, s.bind(m, p.exec, p.seeds)
}

// bind gives the session its memory: an arena for the program, of its own or
// shared with others, and the small input vectors.
func (s *Session) bind(m *Model, plan *exec.Plan, seeds graph.Nodes) (err error) {
	d := s.decoder
	s.model, s.plan, s.shared = m, plan, d.options.Shared
	inputs := d.inputNodes(seeds)
	offset := plan.ArenaBytes()
	if s.shared != nil {
		offset = 0
	}
	if s.memory, err = s.backend.Alloc(d.sessionBytes(plan, inputs) - plan.ArenaBytes() + offset); err != nil {
		return err
	}
	for _, n := range inputs {
		info := d.Info(n)
		s.inputs[n] = s.memory.At(offset, info.Type, info.Rows.Max, info.Width())
		offset += padded(info.Bytes())
	}
	s.seeds = s.memory.At(offset, device.I32, max(len(d.seeds), 1), 2)
	if s.shared == nil {
		err = s.place(s.memory)
	} else {
		err = s.settle()
	}
	if err != nil {
		return err
	}
	for _, n := range seeds {
		if err := s.SetFloat64s(n, []float64{1}); err != nil {
			return err
		}
	}
	return nil
}

// settle puts the program into the shared memory, where it has one: that moves
// as it grows.
func (s *Session) settle() error {
	if s.shared == nil {
		return nil
	}
	if err := s.shared.hold(s.plan.ArenaBytes() + s.extra); err != nil {
		return err
	}
	if s.arena.Addr == s.shared.memory.Addr {
		return nil
	}
	return s.place(s.shared.memory)
}

// place binds the program in an arena.
func (s *Session) place(arena device.Memory) (err error) {
	s.arena = device.Memory{Addr: arena.Addr, Bytes: s.plan.ArenaBytes()}
	if s.program, err = s.plan.Bind(s.backend, s.arena); err != nil {
		return err
	}
	for n, v := range s.inputs {
		s.program.SetNode(n, v)
	}
	s.bindWeights(s.model)
	s.bindAdapter(s.decoder.options.Adapter)
	s.bindFull(s.decoder.options.Full)
	if s.placed != nil {
		s.placed()
	}
	return nil
}

func (s *Session) bindWeights(m *Model) {
	for name, n := range s.decoder.weights {
		s.program.SetNode(n, m.weights[name])
	}
	for i, n := range s.decoder.seeds {
		v := s.seeds.Row(i, 1)
		v.Rows, v.Cols = 2, 1
		s.program.SetNode(n, v)
	}
}

// bindAdapter points the factors and their gradients into the flat buffers.
func (s *Session) bindAdapter(a *Adapter) {
	if a == nil {
		return
	}
	next := 0
	point := func(n *graph.Node, value, grad device.View) {
		s.program.SetNode(n, value)
		if s.grads != nil {
			s.program.SetNode(s.grads[next], grad)
		}
		next++
	}
	for _, f := range a.Factors {
		grads := f.views(a.Grad)
		for i, v := range f.views(a.Value) {
			point(s.decoder.factors[next], v, grads[i])
		}
	}
	for i, w := range a.Saved {
		point(s.decoder.saved[i], w.view(a.Value), w.view(a.Grad))
	}
	if s.decoder.scoreHead != nil {
		point(s.decoder.scoreHead, a.Head.view(a.Value), a.Head.view(a.Grad))
	}
	for i, n := range s.decoder.squares {
		s.program.SetNode(n, a.squares[i])
	}
}

// Capacity is the largest pack that Run takes.
func (s *Session) Capacity() Capacity { return s.decoder.options.Capacity }

// Bytes is the device memory that the session holds; what it shares is not
// counted.
func (s *Session) Bytes() int64 { return s.memory.Bytes }

// Close gives the session's memory back.
func (s *Session) Close() { s.backend.Free(s.memory) }

// SizeOf is the capacity that a pack needs; pairs is the caller's.
func SizeOf(p *datasets.Pack, pairs int) Capacity {
	return Capacity{Tokens: len(p.IDs), Targets: len(p.Rows), Sequences: p.Sequences, Pairs: pairs}
}

// Load uploads a pack and sets the sizes of the next run.
func (s *Session) Load(p *datasets.Pack, pairs int) error {
	size := SizeOf(p, pairs)
	if !s.Capacity().Holds(size) {
		return fmt.Errorf("model: pack of %+v exceeds the capacity %+v", size, s.Capacity())
	}
	if err := s.settle(); err != nil {
		return err
	}
	s.program.Resize(graph.Tokens, size.Tokens)
	s.program.Resize(graph.Targets, size.Targets)
	s.program.Resize(graph.Sequences, size.Sequences)
	s.program.Resize(graph.Pairs, pairs)
	if err := checkMask(p); err != nil {
		return err
	}
	d := s.decoder
	for _, in := range []struct {
		node   *graph.Node
		values []int32
	}{
		{d.IDs, p.IDs}, {d.Position, p.Position}, {d.PrefixStart, p.PrefixStart}, {d.PrefixEnd, p.PrefixEnd},
		{d.SegmentStart, p.SegmentStart}, {d.DropoutKey, p.DropoutKey},
		{d.Rows, p.Rows}, {d.Targets, p.Targets}, {d.Sequence, p.Sequence},
	} {
		if err := s.SetInt32s(in.node, in.values); err != nil {
			return err
		}
	}
	s.noise.load(p)
	return s.loadRowKeys(p)
}

// loadRowKeys uploads the dropout keys of the pack's rows.
func (s *Session) loadRowKeys(p *datasets.Pack) error {
	if s.decoder.rowKey == nil {
		return nil
	}
	s.rowKeys = s.rowKeys[:0]
	for _, row := range p.Rows {
		s.rowKeys = append(s.rowKeys, p.DropoutKey[row])
	}
	return s.SetInt32s(s.decoder.rowKey, s.rowKeys)
}

// SetInt32s uploads an int32 input. Where it points into a table, an index that
// lies outside is an error on every device. The sizes of the run are set before.
func (s *Session) SetInt32s(n *graph.Node, values []int32) error {
	if err := s.checkIndex(n, values); err != nil {
		return err
	}
	return s.upload(n, int32Bytes(values), len(values))
}

// SetFloat64s uploads a float64 input.
func (s *Session) SetFloat64s(n *graph.Node, values []float64) error {
	return s.upload(n, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 8*len(values)), len(values))
}

func (s *Session) upload(n *graph.Node, data []byte, rows int) error {
	v, ok := s.inputs[n]
	if !ok {
		return fmt.Errorf("model: %v is not an input of the session", n)
	}
	if rows > v.Rows {
		return fmt.Errorf("model: %d values for input %v of %d", rows, n, v.Rows)
	}
	v.Rows = rows
	return s.backend.Upload(v, data)
}

// SetDropoutSeed gives every layer its own seed for the next runs, drawn from
// the run's seed and the step.
func (s *Session) SetDropoutSeed(seed uint64, step int) error {
	if len(s.decoder.seeds) == 0 {
		return nil
	}
	pairs := make([]int32, 2*len(s.decoder.seeds))
	for i := range s.decoder.seeds {
		x := mix(seed ^ mix(uint64(step)<<20|uint64(i)))
		pairs[2*i], pairs[2*i+1] = int32(uint32(x)), int32(uint32(x>>32))
	}
	return s.backend.Upload(s.seeds, int32Bytes(pairs))
}

// Loss runs the program with the dropout of a step, as [Session.SetDropoutSeed]
// draws it, and its noise, and returns the scalar loss.
func (s *Session) Loss(loss *graph.Node, seed uint64, step int) (float64, error) {
	if err := s.SetDropoutSeed(seed, step); err != nil {
		return 0, err
	}
	if err := s.drawNoise(seed, step); err != nil {
		return 0, err
	}
	if err := s.Run(); err != nil {
		return 0, err
	}
	values, err := s.Float64s(nil, loss)
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// mix is the finaliser of SplitMix64 (https://doi.org/10.1145/2714064.2660195).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Run runs the program on what is loaded.
func (s *Session) Run() error { return s.program.Run() }

// Float64s reads an output into dst, which is grown as needed; values of the
// activation type are widened.
func (s *Session) Float64s(dst []float64, n *graph.Node) ([]float64, error) {
	v, ok := s.program.Value(n)
	if !ok {
		return nil, fmt.Errorf("model: %v is not an output of the session", n)
	}
	return ReadFloats(s.backend, dst, v)
}
