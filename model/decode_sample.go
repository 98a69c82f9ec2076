package model

import (
	"fmt"
	"math"
	"unsafe"

	"align/internal/device"
	"align/internal/graph"
)

// Drawing is tokens drawn on the device after a decoding run: the host reads ids
// and their log-probabilities, not logits.
type Drawing struct {
	decoding *Decoding
	sample   device.Kernel
	memory   device.Memory
	call     device.Call
}

// Drawing is the device's own draws, or nil where the device has none. Its
// memory is given back by Close.
func (c *Decoding) Drawing(attr device.Sampling) (*Drawing, error) {
	if b, is := c.backend.(interface{ Samples() bool }); !is || !b.Samples() {
		return nil, nil
	}
	sample, err := c.backend.Bind("sample", attr)
	if err != nil {
		return nil, err
	}
	memory, err := c.backend.Alloc(20 * int64(c.options.Rows))
	if err != nil {
		return nil, err
	}
	return &Drawing{decoding: c, sample: sample, memory: memory, call: device.Call{In: make([]device.View, 2), Out: make([]device.View, 2)}}, nil
}

// Close gives the memory back; no drawing needs none.
func (s *Drawing) Close() {
	if s != nil {
		s.decoding.backend.Free(s.memory)
	}
}

// Decode runs a batch and draws a token for each of its Rows by uniform, numbers
// in [0, 1). ids and logProbs are as long as Rows.
func (s *Drawing) Decode(b *DecodeBatch, uniform []float64, ids []int32, logProbs []float64) error {
	n := len(b.Rows)
	if len(uniform) != n || len(ids) != n || len(logProbs) != n {
		return fmt.Errorf("model: %d numbers, %d ids and %d log-probabilities for %d rows", len(uniform), len(ids), len(logProbs), n)
	}
	return s.decoding.together(func() error { return s.draw(b, uniform, ids, logProbs) })
}

func (s *Drawing) draw(b *DecodeBatch, uniform []float64, ids []int32, logProbs []float64) error {
	c, n := s.decoding, len(ids)
	if err := c.run(b); err != nil {
		return err
	}
	z, _ := c.program.Value(c.logits)
	// uniform, then the results, which are read at once.
	s.call.In[0], s.call.In[1] = z, s.memory.At(0, device.F64, n, 1)
	s.call.Out[1], s.call.Out[0] = s.memory.At(int64(8*n), device.F64, n, 1), s.memory.At(int64(16*n), device.I32, n, 1)
	if err := c.backend.Upload(s.call.In[1], unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(uniform))), 8*n)); err != nil {
		return err
	}
	if err := s.sample(&s.call); err != nil {
		return err
	}
	return s.read(ids, logProbs)
}

func (s *Drawing) read(ids []int32, logProbs []float64) error {
	n := len(ids)
	words := make([]uint32, 3*n)
	if err := s.decoding.backend.Download(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 12*n), s.memory.At(int64(8*n), device.I32, 3*n, 1)); err != nil {
		return err
	}
	for i := range ids {
		logProbs[i] = math.Float64frombits(uint64(words[2*i+1])<<32 | uint64(words[2*i]))
		ids[i] = int32(words[2*n+i])
	}
	return nil
}

// together runs f where every call of the backend is a plain one, where it has such a
// place: a decoded token takes a dozen, and a change of thread each would cost more
// than they do.
func (c *Decoding) together(f func() error) error {
	if b, is := c.backend.(interface{ Within(func() error) error }); is {
		return b.Within(f)
	}
	return f()
}

// run uploads a batch and runs the program.
func (c *Decoding) run(b *DecodeBatch) error {
	if len(b.IDs) > c.options.Rows || len(b.Rows) == 0 {
		return fmt.Errorf("model: decoding %d rows with %d outputs: want 1 to %d rows and an output", len(b.IDs), len(b.Rows), c.options.Rows)
	}
	if err := c.settle(); err != nil {
		return err
	}
	if err := c.checkPages(b); err != nil {
		return err
	}
	c.program.Resize(graph.Tokens, len(b.IDs))
	c.program.Resize(graph.Targets, len(b.Rows))
	d := c.decoder
	for _, in := range []struct {
		node   *graph.Node
		values []int32
	}{
		{d.IDs, b.IDs}, {d.Position, b.Position}, {c.slot, b.Slot}, {c.pages.Sequence, b.Sequence}, {c.pages.Own, b.Own},
		{c.pages.Prefix, b.Prefix}, {d.Rows, b.Rows},
	} {
		if err := c.SetInt32s(in.node, in.values); err != nil {
			return err
		}
	}
	if err := c.setTable(b.Pages); err != nil {
		return err
	}
	return c.Run()
}
