//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/device/proof"
)

// What is no matter of numbers is told as it is: a lost card, a full one.
func TestProofsThatCannotBeMade(t *testing.T) {
	if !cudatest.Simulated() {
		t.Skip("a card of another generation has no wgmma")
	}
	for want, fault := range map[error]error{
		driver.ErrLost:        &driver.LostError{Cause: &driver.Error{Call: "cuStreamSynchronize", Code: 700}},
		driver.ErrOutOfMemory: &driver.MemoryError{Asked: 1, Cause: driver.ErrOutOfMemory},
	} {
		b := openAs(t, cudatest.LibraryTarget(t, cudatest.Hopper, false), cudatest.Hopper)
		instead, err := b.Prove(func(device.Backend, string) error { return fault })
		if !errors.Is(err, want) || instead != "" {
			t.Errorf("%q, %v: want %v", instead, err, want)
		}
		if lost := want == driver.ErrLost; lost != (err != nil && strings.HasSuffix(err.Error(), ", or with ALIGN_CUDA=mma")) || errors.Is(err, cuda.ErrWrong) != lost {
			t.Error(err)
		}
	}
}

// A module that is wanted in the midst of a kernel's launches proves itself beside
// what these have in working memory: the bits are those without a proof.
func TestProofsKeepOutOfTheWay(t *testing.T) {
	// Its own kernels for float32 stand for the CPU's.
	with := func(b device.Backend, file string) error { return proof.Run(b, b, file) }
	var bits [2][]byte
	for i := range bits {
		b := openAs(t, cudatest.Library(t, true), cudatest.Ampere)
		if i == 1 {
			if _, err := b.Prove(with); err != nil {
				t.Fatal(err)
			}
		}
		bits[i] = adapted(t, b)
	}
	if !bytes.Equal(bits[0], bits[1]) {
		t.Error("the bits of a layer hang on the proof")
	}
}

// adapted is a layer with an adapter on rows of float32, all of which are rounded in
// working memory.
func adapted(t *testing.T, b *cuda.Backend) []byte {
	t.Helper()
	const m, n, k, rank = 40, 33, 35, 3
	r := &trial{t, b, rand.New(rand.NewPCG(5, 0))}
	x, down, up, y := r.floats(m, k), r.floats(rank, k), r.floats(n, rank), r.room(device.F32, m, n)
	w, err := b.Place(device.Weight{Name: "w", Type: device.F32, Rows: n, Cols: k, Read: func(dst []byte, _, _ int) error {
		for i := range len(dst) / 4 {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(float32(i%13)-6))
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.run("lora_linear", device.LoRA{Scale: 0.5}, []device.View{y}, []device.View{x, x, w, down, up})
	raw := make([]byte, y.Bytes())
	if err := b.Download(raw, y); err != nil {
		t.Fatal(err)
	}
	return raw
}

func (t *trial) floats(rows, cols int) device.View {
	t.Helper()
	v, raw := t.room(device.F32, rows, cols), []byte{}
	for range rows * cols {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(t.r.NormFloat64())))
	}
	if err := t.b.Upload(v, raw); err != nil {
		t.Fatal(err)
	}
	return v
}
