// Package cost counts the floating point operations of a pass over a model, a
// multiplication and an addition each, by one rule for every program and machine:
// [Of] gives the [Model] of what a token costs, and [Work] is the size of a pass.
// It knows nothing of how fast a machine is.
package cost

import (
	"slices"

	"align/model"
)

// Model counts the floating point operations of a model: what the cheapest
// standard algorithm needs. Recompute is never counted; causal attention is, at
// the pairs of tokens that see each other.
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
type Model struct {
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

// Of is the cost of a model with an adapter; nil: of the model alone, which has a
// forward pass only.
func Of(c model.Config, a *model.Adapter) Model {
	layers := float64(c.NumLayers)
	heads, keys := float64(c.NumHeads*c.HeadDim), float64(c.NumKVHeads*c.HeadDim)
	hidden, middle := float64(c.HiddenSize), float64(c.IntermediateSize)
	layer := 2*hidden*heads + 2*hidden*keys + 3*hidden*middle
	x := Model{linear: layers * layer, head: float64(c.VocabSize) * hidden, attention: heads * layers, last: hidden*heads + 3*hidden*middle}
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

// Full is the cost of training all weights: their gradients are products as
// large as the forward pass, which is 3 times that in all.
func (x Model) Full() Model {
	x.adapter, x.lastAdapter, x.back, x.backwards, x.weights = 0, 0, x.linear, x.attention, x.linear
	return x
}

// Headless is the cost without the head: what the layers alone take.
func (x Model) Headless() Model {
	x.head = 0
	return x
}

// UpperHalf is the cost where only the upper half of the layers has an adapter,
// about: the adapter itself is counted as it is.
func (x Model) UpperHalf() Model {
	x.back, x.backwards = x.back-x.linear/2, x.backwards/2
	return x
}

// Forward is the operations of a forward pass.
func (x Model) Forward(w Work) float64 {
	spared := 2 * (w.Tokens - w.Targets) * (x.last + x.lastAdapter)
	attention, _ := x.Attention(w.Pairs)
	return 2*w.Tokens*(x.linear+x.adapter) + 2*w.Targets*x.head + attention - spared
}

// Backward is those of the backward pass behind it.
func (x Model) Backward(w Work) float64 {
	head, last := x.head, x.last
	if x.weights > 0 {
		head, last = 2*head, 2*last
	}
	if x.back <= 0 {
		last = 0
	}
	spared := 2 * (w.Tokens - w.Targets) * (last + 2*x.lastAdapter)
	_, attention := x.Attention(w.Pairs)
	return 2*w.Tokens*(x.back+x.weights+2*x.adapter) + 2*w.Targets*head + attention - spared
}

// Attention is the operations of attention alone, at so many pairs of a query and a
// key, which Forward and Backward hold.
func (x Model) Attention(pairs float64) (forward, backward float64) {
	return 4 * pairs * x.attention, 8 * pairs * x.backwards
}
