package model

import (
	"math"
	"unsafe"

	"align/internal/device"
)

// rowSquares are the squared lengths of a module's rows, in float64.
func (m *Model) rowSquares(f Factor) ([]float64, error) {
	squares := make([]float64, f.Out)
	err := m.eachRow(m.weights[f.Name()+".weight"], func(row int, values []float64) {
		for _, v := range values {
			squares[row] += v * v
		}
	})
	return squares, err
}

// measureRows gives the adapter what DoRA needs of the base: the squared row
// lengths of the adapted weights, which live with the model.
func (m *Model) measureRows(a *Adapter) error {
	a.squares = nil
	for _, f := range a.Factors {
		if !f.DoRA {
			continue
		}
		squares, err := m.rowSquares(f)
		if err != nil {
			return err
		}
		memory, err := m.backend.Alloc(int64(8 * f.Out))
		if err != nil {
			return err
		}
		m.memory = append(m.memory, memory)
		view := memory.At(0, device.F64, f.Out, 1)
		raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(squares))), 8*len(squares))
		if err := m.backend.Upload(view, raw); err != nil {
			return err
		}
		a.squares = append(a.squares, view)
	}
	return nil
}

// fillMagnitudes sets the magnitudes of a fresh DoRA to the lengths of the
// base's rows, so that m/n is 1 to the bit while B is 0.
func (m *Model) fillMagnitudes(a *Adapter, flat []float32) error {
	for _, f := range a.Factors {
		if !f.DoRA {
			continue
		}
		squares, err := m.rowSquares(f)
		if err != nil {
			return err
		}
		for i, s := range squares {
			flat[f.OffsetM+i] = float32(math.Sqrt(s))
		}
	}
	return nil
}
