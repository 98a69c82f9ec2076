package dpo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/graph"
	"align/internal/nearest"
)

// Loss is one preference loss by name.
type Loss struct {
	Name string
	// About is its formula or idea on one line, in the words of loss.go.
	About string
	// Paper is its number at arxiv.org; "" for plain likelihood.
	Paper string
	// ReferenceFree: the loss does not read the reference's log-probabilities.
	ReferenceFree bool
	// PerToken: what the loss compares is the mean log-probability of an answer's
	// tokens, so that rewards and log-probabilities are told as means, as in TRL.
	PerToken bool
	// Baseline: the loss reads the baseline z, an estimate of the divergence.
	Baseline bool
	// One of the two is set.
	paired   lossFunc
	unpaired unpairedFunc
	// reads are the keys of the settings that this loss reads beside beta, and
	// check looks at them.
	reads []string
	check func(Params) error
}

// losses are all preference losses under TRL's names, the usual one first. TRL's
// aot, aot_pair and aot_unpaired are not among them, see sorted.
var losses = [...]Loss{
	{Name: "sigmoid", About: "-log σ(βΔ), DPO; with label smoothing conservative DPO", Paper: "2305.18290", paired: sigmoid, reads: []string{divergenceKey, alphaKey, "label_smoothing"}, check: labelSmoothing},
	{Name: "robust", About: "DPO, unbiased where a share of the labels is wrong", Paper: "2403.00409", paired: robust, reads: []string{divergenceKey, alphaKey, "label_smoothing"}, check: labelSmoothingBelowHalf},
	{Name: "hinge", About: "max(0, 1 - βΔ), SLiC", Paper: "2305.10425", paired: hinge, reads: []string{divergenceKey, alphaKey}},
	{Name: "ipo", About: "(c/|yw| - r/|yl| - 1/(2β))², log-ratios per token", Paper: "2310.12036", paired: ipo, reads: []string{divergenceKey, alphaKey}},
	{Name: "ipo_sum", About: "(Δ - 1/(2β))², the paper's sums", Paper: "2310.12036", paired: ipoSum, reads: []string{divergenceKey, alphaKey}},
	{Name: "sigmoid_norm", About: "-log σ(β(c/|yw| - r/|yl|)), DPO per token; β about 5", Paper: "2411.15124", paired: sigmoidNorm, reads: []string{divergenceKey, alphaKey}},
	{Name: "exo_pair", About: "reverse KL of σ(±βΔ) to the smoothed labels", Paper: "2402.00856", paired: exoPair, reads: []string{divergenceKey, alphaKey, "label_smoothing"}, check: labelSmoothingAboveZero},
	{Name: "nca_pair", About: "-log σ(βc) - ½ log σ(-βc) - ½ log σ(-βr)", Paper: "2402.05369", paired: ncaPair},
	{Name: "bco_pair", About: "-log σ(βc) - log σ(-βr)", Paper: "2404.04656", paired: bcoPair},
	{Name: "sppo_hard", About: "(c - 1/(2β))² + (r + 1/(2β))²", Paper: "2405.00675", paired: sppoHard},
	{Name: "apo_zero", About: "1 - σ(βc) + σ(βr): chosen answers better than the model's own", Paper: "2408.06266", paired: apoZero},
	{Name: "apo_down", About: "σ(βc) + 1 - σ(βΔ): chosen answers worse than the model's own", Paper: "2408.06266", paired: apoDown},
	{Name: "discopop", About: "a mixture of DPO and exp(-βΔ), weighted by σ(βΔ/τ); at τ = 0.05 it leads from Δ = 0 downwards", Paper: "2406.08414", paired: discopop, reads: []string{divergenceKey, alphaKey, "discopop_tau"}, check: discoPOPTau},
	{Name: "simpo", About: "-log σ(β(log π(yw)/|yw| - log π(yl)/|yl|) - γ)", Paper: "2405.14734", paired: simpo, ReferenceFree: true, PerToken: true, reads: []string{"label_smoothing", "simpo_gamma"}, check: simPOParams},
	{Name: "cpo", About: "-log σ(β(log π(yw) - log π(yl))) + α NLL", Paper: "2401.08417", paired: cpo, ReferenceFree: true, reads: []string{"label_smoothing", "cpo_alpha"}, check: cpoParams},
	{Name: "orpo", About: "NLL - β log σ(log odds(yw) - log odds(yl))", Paper: "2403.07691", paired: orpo, ReferenceFree: true, PerToken: true},
	{Name: "sft", About: "NLL, for sums as sigmoid:1,sft:0.2", paired: supervised, ReferenceFree: true},
	{Name: "kto", About: "λ(1 - σ(±β(h - z))), z the mean of h over answers to other prompts", Paper: "2402.01306", unpaired: kto, Baseline: true, reads: []string{"desirable_weight", "undesirable_weight"}, check: ktoWeights},
	{Name: "apo_zero_unpaired", About: "λ(1 - σ(±βh))", Paper: "2408.06266", unpaired: apoZeroUnpaired, reads: []string{"desirable_weight", "undesirable_weight"}, check: ktoWeights},
}

// Losses are all of them, the usual one first.
func Losses() []Loss { return slices.Clone(losses[:]) }

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
