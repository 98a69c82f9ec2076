package cpu

import "align/internal/device"

// viewSource is a plain weight of a type that has no panels, binary16, float64
// and the types of blocks: a product reads it piece by piece.
type viewSource struct{ w device.View }

// Read writes elements [col, col+len(dst)) of a row to dst.
func (s *viewSource) Read(dst []float32, row, col int) { widen(dst, s.w, row*s.w.Cols+col) }
