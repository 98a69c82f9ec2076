package gguf

import (
	"encoding/binary"

	"align/internal/half"
)

// loadF16 reads the binary16 at the start of b, as blocks hold their scales.
func loadF16(b []byte) float32 { return half.FromF16(binary.LittleEndian.Uint16(b)) }

// storeF16 writes x, rounded to binary16, at the start of b.
func storeF16(b []byte, x float32) { binary.LittleEndian.PutUint16(b, half.ToF16(x)) }
