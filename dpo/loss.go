package dpo

import "align/internal/graph"

// Inputs are the values that a preference loss is made of, each float64 [P].
type Inputs struct {
	// PolicyChosen and PolicyRejected are log pi(y|x), summed over the answer.
	PolicyChosen, PolicyRejected *graph.Node
	// ReferenceChosen and ReferenceRejected are the reference's, constants.
	ReferenceChosen, ReferenceRejected *graph.Node
	// ChosenLength and RejectedLength are the answers' numbers of tokens.
	ChosenLength, RejectedLength *graph.Node
}

// Params are the constants of the losses.
type Params struct{ Beta, LabelSmoothing float64 }

// margin is beta times the difference of the log-ratios: the difference of the
// implicit rewards of the chosen and the rejected answer.
func margin(b *graph.Builder, in Inputs, p Params) *graph.Node {
	policyLogRatio := b.Sub(in.PolicyChosen, in.PolicyRejected)
	referenceLogRatio := b.Sub(in.ReferenceChosen, in.ReferenceRejected)
	return b.Scale(b.Sub(policyLogRatio, referenceLogRatio), p.Beta)
}

// sigmoid is the DPO loss, equation 7 of https://arxiv.org/abs/2305.18290, with
// the label smoothing of its authors' cDPO (https://ericmitchell.ai/cdpo.pdf,
// equation 3), where e = 0 is the paper's:
//
//	L = -(1-e) log sigmoid(margin) - e log sigmoid(-margin)
//	margin = beta ( log pi(yw|x)/ref(yw|x) - log pi(yl|x)/ref(yl|x) )
//
// It uses -log sigmoid(x) = softplus(-x), which does not overflow.
func sigmoid(b *graph.Builder, in Inputs, p Params) *graph.Node {
	m := margin(b, in, p)
	loss := b.Softplus(b.Neg(m))
	if p.LabelSmoothing == 0 {
		return loss
	}
	return b.Add(b.Scale(loss, 1-p.LabelSmoothing), b.Scale(b.Softplus(m), p.LabelSmoothing))
}

// nll is the chosen answer's negative log-likelihood per token, the second term
// of section 4.1.4 of https://arxiv.org/abs/2407.21783:
//
//	NLL = -log pi(yw|x) / |yw|
func nll(b *graph.Builder, in Inputs) *graph.Node {
	return b.Neg(b.Div(in.PolicyChosen, in.ChosenLength))
}
