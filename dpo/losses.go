package dpo

import (
	"errors"
	"fmt"
	"strings"

	"align/internal/graph"
	"align/internal/nearest"
)

// Loss is one preference loss by name.
type Loss struct {
	Name string
	// ReferenceFree: the loss does not read the reference's log-probabilities.
	ReferenceFree bool
	// Baseline: the loss reads the baseline z, an estimate of the divergence.
	Baseline bool
	// One of the two is set.
	paired   lossFunc
	unpaired unpairedFunc
	check    func(Params) error
}

// losses are all preference losses under TRL's names, the usual one first. TRL's
// aot, aot_pair and aot_unpaired are not among them, see sorted.
var losses = [...]Loss{
	{Name: "sigmoid", paired: sigmoid, check: labelSmoothing},
	{Name: "robust", paired: robust, check: labelSmoothingBelowHalf},
	{Name: "hinge", paired: hinge},
	{Name: "ipo", paired: ipo},
	{Name: "ipo_sum", paired: ipoSum},
	{Name: "sigmoid_norm", paired: sigmoidNorm},
	{Name: "exo_pair", paired: exoPair, check: labelSmoothingAboveZero},
	{Name: "nca_pair", paired: ncaPair},
	{Name: "bco_pair", paired: bcoPair},
	{Name: "sppo_hard", paired: sppoHard},
	{Name: "apo_zero", paired: apoZero},
	{Name: "apo_down", paired: apoDown},
	{Name: "discopop", paired: discopop, check: discoPOPTau},
	{Name: "simpo", paired: simpo, ReferenceFree: true, check: simPOParams},
	{Name: "cpo", paired: cpo, ReferenceFree: true, check: cpoParams},
	{Name: "orpo", paired: orpo, ReferenceFree: true},
	{Name: "sft", paired: supervised, ReferenceFree: true},
	{Name: "kto", unpaired: kto, Baseline: true, check: ktoWeights},
	{Name: "apo_zero_unpaired", unpaired: apoZeroUnpaired, check: ktoWeights},
}

// Names lists the losses.
func Names() []string {
	names := make([]string, len(losses))
	for i, l := range losses {
		names[i] = l.Name
	}
	return names
}

// sorted is why there is no alignment by optimal transport
// (https://arxiv.org/abs/2406.05882): a loss here is a function of one pair, so
// that micro-batches of any size add up to the same step.
const sorted = "it sorts the rewards of a micro-batch, so that its value would change with how pairs are dealt"

// Lookup finds a loss by name.
func Lookup(name string) (Loss, error) {
	for _, l := range losses {
		if l.Name == name {
			return l, nil
		}
	}
	if strings.HasPrefix(name, "aot") {
		return Loss{}, fmt.Errorf("dpo: loss %q is not to be had: %s", name, sorted)
	}
	if near := nearest.Name(name, Names()); near != "" {
		return Loss{}, fmt.Errorf("dpo: loss %q is unknown: did you mean %s", name, near)
	}
	return Loss{}, fmt.Errorf("dpo: loss %q is unknown: want one of %s", name, strings.Join(Names(), ", "))
}

// Unpaired says whether the loss is of single labelled answers, not of pairs.
func (l Loss) Unpaired() bool { return l.unpaired != nil }

// PerPair is the loss of each pair, [P]; nil if the loss is unpaired.
func (l Loss) PerPair(b *graph.Builder, in Inputs, p Params) *graph.Node {
	if l.paired == nil {
		return nil
	}
	return l.paired(b, in, p)
}

// PerAnswer is the loss of each answer, [S]; nil unless the loss is unpaired.
func (l Loss) PerAnswer(b *graph.Builder, in UnpairedInputs, p Params) *graph.Node {
	if l.unpaired == nil {
		return nil
	}
	return l.unpaired(b, in, p)
}

// Validate returns all params that the loss cannot take. The comparisons are
// written so that a NaN fails them.
func (l Loss) Validate(p Params) error {
	var errs []error
	if !(p.Beta > 0) {
		errs = append(errs, fmt.Errorf("dpo: %s: beta must be positive, got %v", l.Name, p.Beta))
	}
	if l.check != nil {
		if err := l.check(p); err != nil {
			errs = append(errs, fmt.Errorf("dpo: %s: %w", l.Name, err))
		}
	}
	return errors.Join(errs...)
}
