package align

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"align/model"
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

// hashAdapter tells adapters apart that act differently: by their values, and by
// where these stand and what they are scaled by, which a changed lora_alpha moves
// alone.
func hashAdapter(a *model.Adapter, values []float32) string {
	return hashText(hashFloats(values) + fmt.Sprintf("%+v", a.Factors))
}

// hashFactors is the part of hashAdapter that its config says: where the values stand
// and what they are scaled by.
func hashFactors(a *model.Adapter) string {
	return hashText(fmt.Sprintf("%+v %v", a.Factors, a.Config.Save))
}

// hashShape tells bases apart whose weights are the same and which compute
// otherwise: by the heads that they are split into, their rotations and epsilon. It is
// in checkpoints: what is added to it ends the runs of earlier versions.
func hashShape(c model.Config) string {
	r := c.RopeScaling
	return hashText(fmt.Sprint(c.NumHeads, c.NumKVHeads, c.HeadDim, c.RMSNormEps, c.TieWordEmbeddings, c.QKNorm,
		c.RopeTheta, c.RopeFactors, r.Type, r.Factor, r.LowFreqFactor, r.HighFreqFactor, r.OriginalContextLength))
}
