package devicetest

import (
	"bytes"
	"errors"
	"testing"

	"align/internal/device"
)

// checkMemory covers what a backend does besides kernels.
func checkMemory(t *testing.T, b device.Backend) {
	for _, size := range []int64{0, 1, 255, 4096, 3 << 20} {
		mem, err := b.Alloc(size)
		if err != nil {
			t.Fatal(err)
		}
		if mem.Addr == 0 || mem.Addr%256 != 0 || mem.Bytes < size {
			t.Errorf("reservation of %d bytes: address %#x, %d bytes", size, mem.Addr, mem.Bytes)
		}
		n := int(size / 4)
		v, got := mem.At(0, device.I32, n, 1), make([]byte, 4*n)
		if err := b.Download(got, v); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, make([]byte, 4*n)) {
			t.Errorf("reservation of %d bytes is not zeroed", size)
		}
		for i := range got {
			got[i] = byte(i * 7)
		}
		back := make([]byte, 4*n)
		if err := errors.Join(b.Upload(v, got), b.Download(back, v)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, back) {
			t.Errorf("%d bytes come back changed", size)
		}
		b.Free(mem)
	}
	if _, err := b.Alloc(-1); err == nil {
		t.Error("a negative reservation succeeded")
	}
	if mem, err := b.Alloc(1 << 50); err == nil {
		b.Free(mem)
		t.Error("a reservation of a pebibyte succeeded")
	}
	v := upload(t, b, ints(1, 2, 3))
	if b.Upload(v, make([]byte, 11)) == nil || b.Download(make([]byte, 13), v) == nil {
		t.Error("a copy of the wrong length succeeded")
	}
	broken := errors.New("disk on fire")
	_, err := b.Place(device.Weight{Name: "w", Type: device.F32, Rows: 2, Cols: 2, Read: func([]byte, int, int) error { return broken }})
	if !errors.Is(err, broken) {
		t.Errorf("a weight whose reader fails: got %v, want its error", err)
	}
}

// checkRefusals holds the backend to errors where a call is wrong.
func checkRefusals(t *testing.T, b device.Backend) {
	if _, err := b.Bind("no such kernel", nil); err == nil {
		t.Error("an unknown kernel was bound")
	}
	for kernel, attr := range map[string]any{
		"rmsnorm": nil, "linear": device.LoRA{}, "attention": device.Attention{Heads: 3, KVHeads: 2, HeadDim: 8},
		"rope": device.Rope{HeadDim: 3}, "dropout": device.Dropout{P: 1}, "vec_unary": device.Vec{Op: "cube"},
		"logprob": device.LogProb{Temperature: -1}, "vec_binary": device.Vec{},
	} {
		if _, err := b.Bind(kernel, attr); err == nil {
			t.Errorf("%s: bound with attribute %+v", kernel, attr)
		}
	}
	x, w := upload(t, b, newTensor(device.F64, 2, 3, make([]float64, 6))), upload(t, b, ints(0, 1, 5))
	y := upload(t, b, newTensor(device.F64, 3, 1, make([]float64, 3)))
	for kernel, c := range map[string]device.Call{
		"vec_gather":  {Out: []device.View{y}, In: []device.View{x, w, w}},
		"vec_scatter": {Out: []device.View{y}, In: []device.View{x, w, y}}, // 6 values, 3 indices
		"vec_sum":     {Out: []device.View{y}, In: []device.View{x}},       // 3 results, not 1
		"vec_fill":    {Out: []device.View{y}, In: []device.View{x, y}},    // 6 values, not 1
		"add":         {Out: []device.View{y}, In: []device.View{x, y}},
		"linear":      {Out: []device.View{y}, In: []device.View{x, y}},
	} {
		k, err := b.Bind(kernel, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(k(&c), b.Sync()); err == nil {
			t.Errorf("%s: ran with views that do not fit", kernel)
		}
	}
}
