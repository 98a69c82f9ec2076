package model

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"align/internal/device"
	"align/internal/gguf"
	"align/internal/safetensors"
)

// Quantizations are what LoadOptions.Quantize may be.
var Quantizations = []string{"nf4", "int8", "q8_0", "q4_0"}

// CheckQuantize returns an error unless name is "" or one of Quantizations.
func CheckQuantize(name string) error {
	if name == "" || slices.Contains(Quantizations, name) {
		return nil
	}
	return fmt.Errorf("quantize must be one of %s, got %q", strings.Join(Quantizations, ", "), name)
}

func parseQuantize(name string) (device.Type, error) {
	switch name {
	case "nf4":
		return device.NF4, nil
	case "int8":
		return device.Int8, nil
	case "q8_0":
		return device.Q8_0, nil
	case "q4_0":
		return device.Q4_0, nil
	}
	return 0, fmt.Errorf("model: quantize %q: want one of %v", name, Quantizations)
}

// quantised is the tensor converted row by row as it is read. scales, if not
// nil, take the place of those of the blocks of NF4.
func quantised(s stored, to device.Type, scales []float32) stored {
	q := stored{typ: to, rows: s.rows, cols: s.cols}
	width := q.rowBytes()
	q.read = func(dst []byte, row, n int) error {
		return overRows(n, func(lo, hi int) error {
			values, raw := make([]float32, s.cols), make([]byte, s.rowBytes())
			for i := lo; i < hi; i++ {
				if err := s.floats(values, raw, row+i, 1); err != nil {
					return err
				}
				if err := putRow(dst[i*width:][:width], to, values); err != nil {
					return fmt.Errorf("row %d: %w", row+i, err)
				}
				if scales != nil {
					putScales(dst[i*width:][:width], scales[(row+i)*s.cols/nf4Block:])
				}
			}
			return nil
		})
	}
	return q
}

// putRow quantises one row.
func putRow(dst []byte, to device.Type, x []float32) error {
	switch to {
	case device.NF4, device.Int8:
		for i, v := range x {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return fmt.Errorf("element %d is %v: %s holds finite values", i, v, to)
			}
		}
	}
	switch to {
	case device.NF4:
		q := safetensors.QuantizeNF4(x, nil, safetensors.F32)
		for i, absMax := range q.AbsMax {
			putNF4(dst[i*nf4Bytes:], absMax, q.Packed[i*nf4Block/2:])
		}
		return nil
	case device.Int8:
		putInt8(dst, x)
		return nil
	}
	g, _ := keyOf(ggufTypes, to)
	return gguf.Quantize(g, dst, x)
}

// putScales overwrites the scales of a row of NF4.
func putScales(row []byte, scales []float32) {
	for i := range len(row) / nf4Bytes {
		putNF4(row[i*nf4Bytes:], scales[i], row[i*nf4Bytes+4:])
	}
}

// doubleScales reads the tensor once and gives the scales of its NF4 blocks as
// double quantisation leaves them: bits for bits those of a folder that
// bitsandbytes wrote, but for the last one of the offset (CompressScales).
func doubleScales(s stored) ([]float32, error) {
	absMax := make([]float32, s.rows*s.cols/nf4Block)
	err := overRows(s.rows, func(lo, hi int) error {
		values, raw := make([]float32, s.cols), make([]byte, s.rowBytes())
		for row := lo; row < hi; row++ {
			if err := s.floats(values, raw, row, 1); err != nil {
				return err
			}
			for i, v := range values {
				at := &absMax[(row*s.cols+i)/nf4Block]
				*at = max(*at, v, -v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	compressed := safetensors.CompressScales(absMax)
	return compressed.Expand(), nil
}

// overRows shares out n rows among the processors; the first error of the
// lowest rows is returned.
func overRows(n int, do func(lo, hi int) error) error {
	workers := min(n, runtime.GOMAXPROCS(0))
	errs := make([]error, workers)
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() { errs[i] = do(n*i/workers, n*(i+1)/workers) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
