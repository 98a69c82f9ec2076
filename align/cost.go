package align

import (
	"slices"

	"align/datasets"
	"align/model"
)

// cost counts the floating point operations of a model, a multiplication and
// an addition each, by one rule for every program and machine: what the
// cheapest standard algorithm needs. Recompute is never counted; causal
// attention is, at the pairs of tokens that see each other.
//
// With t tokens, of which h are predicted, N values in the layers' linear
// weights, P in the adapter, and a pairs of a query and a key in attention:
//
//	forward  = 2tN + 2hVC + 4aHDL + 2tP
//	backward = 2t(N - q, k and v of layer 0) + 2hVC + 8aHDL + 4tP
//
// where o_proj and the feed-forward part of the last layer, in N and in P, count h
// times and not t times: the other tokens' states there are read by nothing.
//
// Frozen weights need no gradient of their own, and nothing goes back into the
// embedding: about 4N for a token of a LoRA step, not 6N. Where only the last
// layers have an adapter, N and L of the backward pass are those from the first
// of them on.
type cost struct {
	linear    float64 // N
	back      float64 // of N, what the backward pass goes through
	head      float64 // V*C
	adapter   float64 // P
	attention float64 // H*D*L
	backwards float64 // of attention, what the backward pass goes through
	weights   float64 // of N, what gets a gradient of its own
	// last is what follows attention in the last layer, of N, lastAdapter of P.
	last, lastAdapter float64
}

func costOf(c model.Config, a *model.Adapter) cost {
	layers := float64(c.NumLayers)
	heads, keys := float64(c.NumHeads*c.HeadDim), float64(c.NumKVHeads*c.HeadDim)
	hidden, middle := float64(c.HiddenSize), float64(c.IntermediateSize)
	layer := 2*hidden*heads + 2*hidden*keys + 3*hidden*middle
	x := cost{linear: layers * layer, head: float64(c.VocabSize) * hidden, attention: heads * layers, last: hidden*heads + 3*hidden*middle}
	if a == nil {
		return x
	}
	first := layers
	for _, f := range a.Factors {
		first = min(first, float64(f.Layer))
		if f.Layer == c.NumLayers-1 && !slices.Contains([]string{"q_proj", "k_proj", "v_proj"}, f.Module) {
			x.lastAdapter += float64(f.Rank * (f.In + f.Out))
		}
	}
	x.adapter = float64(a.Parameters())
	x.back = layer*(layers-first) - hidden*(heads+2*keys)
	x.backwards = heads * (layers - first)
	return x
}

// full is the cost of training all weights: their gradients are products as
// large as the forward pass, which is 3 times that in all.
func (x cost) full() cost {
	x.adapter, x.lastAdapter, x.back, x.backwards, x.weights = 0, 0, x.linear, x.attention, x.linear
	return x
}

// work is the size of what a pass runs over.
type work struct{ tokens, targets, pairs float64 }

func (w *work) add(o work) {
	w.tokens, w.targets, w.pairs = w.tokens+o.tokens, w.targets+o.targets, w.pairs+o.pairs
}

// times is n such sizes.
func (w work) times(n float64) work { return work{n * w.tokens, n * w.targets, n * w.pairs} }

// workOf is the size of a pack.
func workOf(p *datasets.Pack) work {
	w := work{tokens: float64(len(p.IDs)), targets: float64(len(p.Rows))}
	for i := range p.IDs {
		w.pairs += float64(int(p.PrefixEnd[i]-p.PrefixStart[i]) + i - int(p.SegmentStart[i]) + 1)
	}
	return w
}

func (x cost) forward(w work) float64 {
	spared := 2 * (w.tokens - w.targets) * (x.last + x.lastAdapter)
	return 2*w.tokens*(x.linear+x.adapter) + 2*w.targets*x.head + 4*w.pairs*x.attention - spared
}

func (x cost) backward(w work) float64 {
	head, last := x.head, x.last
	if x.weights > 0 {
		head, last = 2*head, 2*last
	}
	if x.back <= 0 {
		last = 0
	}
	spared := 2 * (w.tokens - w.targets) * (last + 2*x.lastAdapter)
	return 2*w.tokens*(x.back+x.weights+2*x.adapter) + 2*w.targets*head + 8*w.pairs*x.backwards - spared
}
