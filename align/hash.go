package align

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// hashFloats is a short content hash of an adapter's values.
func hashFloats(values []float32) string {
	h := sha256.New()
	buf := make([]byte, 0, 4096)
	for i, x := range values {
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
		if len(buf) == cap(buf) || i+1 == len(values) {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// hashText is a short content hash of a text.
func hashText(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:8])
}
