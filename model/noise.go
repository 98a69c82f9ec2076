package model

import (
	"math"

	"align/datasets"
	"align/internal/graph"
)

// NEFTune (https://arxiv.org/abs/2310.05914, algorithm 1) adds to the embeddings
// of an example in training
//
//	alpha/sqrt(L C) u,  u uniform in [-1, 1]
//
// where L is the tokens of the example's document. There it is of the padded
// batch's length; here of the example's own, so that its neighbours do not move
// it. The draws are made on the host: every device adds the same.

// noisy is x[T,C] with the noise, where there is any.
func (d *Decoder) noisy(x *graph.Node) *graph.Node {
	if !d.options.Train || d.options.Noise == 0 {
		return x
	}
	d.noise = d.Input("noise", graph.Matrix(d.act, d.dim(graph.Tokens), d.config.HiddenSize))
	return d.Residual(d.noise, x) // in x's place, which nothing else reads
}

// noise is what the draws of a pack hang on, and their buffer.
type noise struct {
	keys, lengths []int32 // [T]
	buffer        []float32
}

// load takes the tokens' keys and the lengths of their documents over.
func (n *noise) load(p *datasets.Pack) {
	n.keys, n.lengths = append(n.keys[:0], p.DropoutKey...), n.lengths[:0]
	for from := 0; from < len(p.IDs); {
		to := from
		for to < len(p.IDs) && p.SegmentStart[to] == p.SegmentStart[from] {
			to++
		}
		for range to - from {
			n.lengths = append(n.lengths, int32(to-from))
		}
		from = to
	}
}

// noiseRows are the tokens whose noise is on the host at a time.
const noiseRows = 64

// noiseStream keeps the seeds of the noise apart from those of the layers.
const noiseStream = 1<<20 - 1

// drawNoise uploads the noise of a step for the pack that is loaded.
func (s *Session) drawNoise(seed uint64, step int) error {
	if s.decoder.noise == nil {
		return nil
	}
	of := mix(seed ^ mix(uint64(step)<<20|noiseStream))
	n, view, width := &s.noise, s.inputs[s.decoder.noise], s.decoder.config.HiddenSize
	if n.buffer == nil {
		n.buffer = make([]float32, noiseRows*width)
	}
	for from := 0; from < len(n.keys); from += noiseRows {
		rows := min(noiseRows, len(n.keys)-from)
		for i := range rows {
			scale := s.decoder.options.Noise / math.Sqrt(float64(n.lengths[from+i])*float64(width))
			fillNoise(n.buffer[i*width:(i+1)*width], of, n.keys[from+i], float32(scale))
		}
		if err := WriteFloats(s.backend, view.Row(from, rows), n.buffer[:rows*width]); err != nil {
			return err
		}
	}
	return nil
}

// fillNoise draws a token's row, two elements from each 64 bits of a counter that
// begins at a place of the seed and the key.
func fillNoise(row []float32, seed uint64, key int32, scale float32) {
	start := mix(seed ^ uint64(uint32(key)))
	pairs := len(row) / 2
	for i := range pairs {
		bits := mix(start + uint64(i))
		row[2*i], row[2*i+1] = scale*unit(bits), scale*unit(bits>>32)
	}
	if len(row)%2 == 1 {
		row[2*pairs] = scale * unit(mix(start+uint64(pairs)))
	}
}

// unit is the lower 32 bits as a number of [-1, 1].
func unit(bits uint64) float32 { return float32(int32(uint32(bits))) * (1.0 / (1 << 31)) }
