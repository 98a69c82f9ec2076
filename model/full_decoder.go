package model

import (
	"errors"

	"align/internal/graph"
)

// trainsWeights says whether the weights themselves get gradients.
func (d *Decoder) trainsWeights() bool { return d.options.Full != nil && d.options.Train }

// check refuses options that contradict each other.
func (o DecoderOptions) check() error {
	if o.Full != nil && o.Adapter != nil {
		return errors.New("model: a decoder trains an adapter or all weights, not both")
	}
	return nil
}

// weightNodes are the inputs of all weights in the order of the flat buffer.
func (d *Decoder) weightNodes() graph.Nodes {
	var nodes graph.Nodes
	for _, w := range d.options.Full.Weights {
		nodes = append(nodes, d.weights[w.Name])
	}
	return nodes
}

// bindFull points the weights' gradients into the flat buffer; their values are
// the model's weights.
func (s *Session) bindFull(f *Full) {
	if f == nil || s.grads == nil {
		return
	}
	for i, w := range f.Weights {
		s.program.SetNode(s.grads[i], w.view(f.Grad))
	}
}
