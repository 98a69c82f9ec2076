package dpo

import (
	"errors"
	"fmt"
	"math"
)

// Params are the constants of the losses.
type Params struct {
	// Beta is β. TRL: 0.1; SimPO's paper: 2 to 2.5.
	Beta float64
	// LabelSmoothing is ε of sigmoid, robust, exo_pair, simpo and cpo. TRL: 0,
	// which exo_pair cannot take: its paper has 1e-3.
	LabelSmoothing float64
	// SimPOGamma is SimPO's target margin γ. TRL: 0.5.
	SimPOGamma float64
	// CPOAlpha weighs CPO's NLL. TRL: 1.
	CPOAlpha float64
	// DiscoPOPTau is DiscoPOP's temperature τ, in (0, 1]. TRL: 0.05.
	DiscoPOPTau float64
	// FDivergenceType is one of Divergences, FAlphaDivergenceCoef the α of
	// alpha_divergence. TRL: reverse_kl, 0.5.
	FDivergenceType      string
	FAlphaDivergenceCoef float64
	// DesirableWeight and UndesirableWeight are KTO's λ. TRL: 1 and 1.
	DesirableWeight, UndesirableWeight float64
}

// DefaultParams returns TRL's defaults.
func DefaultParams() Params {
	return Params{
		Beta: 0.1, SimPOGamma: 0.5, CPOAlpha: 1, DiscoPOPTau: 0.05, DesirableWeight: 1, UndesirableWeight: 1,
		FDivergenceType: ReverseKL, FAlphaDivergenceCoef: 0.5,
	}
}

// The checks are written so that a NaN fails them.

func labelSmoothing(p Params) error {
	if !(p.LabelSmoothing >= 0 && p.LabelSmoothing <= 0.5) {
		return fmt.Errorf("label_smoothing must lie in [0, 0.5], got %v", p.LabelSmoothing)
	}
	return nil
}

// labelSmoothingBelowHalf: with half of the labels wrong nothing can be learnt,
// and the robust loss divides by 1-2ε.
func labelSmoothingBelowHalf(p Params) error {
	if !(p.LabelSmoothing >= 0 && p.LabelSmoothing < 0.5) {
		return fmt.Errorf("label_smoothing must lie in [0, 0.5), got %v", p.LabelSmoothing)
	}
	return nil
}

// labelSmoothingAboveZero: the KL to a hard label is infinite.
func labelSmoothingAboveZero(p Params) error {
	if !(p.LabelSmoothing > 0 && p.LabelSmoothing <= 0.5) {
		return fmt.Errorf("label_smoothing must lie in (0, 0.5], got %v: 0.001 is usual", p.LabelSmoothing)
	}
	return nil
}

func discoPOPTau(p Params) error {
	if !(p.DiscoPOPTau > 0 && p.DiscoPOPTau <= 1) {
		return fmt.Errorf("discopop_tau must lie in (0, 1], got %v", p.DiscoPOPTau)
	}
	return nil
}

func simPOParams(p Params) error {
	err := labelSmoothing(p)
	if !(p.SimPOGamma >= 0 && p.SimPOGamma <= math.MaxFloat64) {
		err = errors.Join(err, fmt.Errorf("simpo_gamma must not be negative, got %v", p.SimPOGamma))
	}
	return err
}

func cpoParams(p Params) error {
	err := labelSmoothing(p)
	if !(p.CPOAlpha >= 0 && p.CPOAlpha <= math.MaxFloat64) {
		err = errors.Join(err, fmt.Errorf("cpo_alpha must not be negative, got %v", p.CPOAlpha))
	}
	return err
}

func ktoWeights(p Params) error {
	if d, u := p.DesirableWeight, p.UndesirableWeight; !(d >= 0 && u >= 0 && d+u > 0 && d+u <= math.MaxFloat64) {
		return fmt.Errorf("desirable_weight and undesirable_weight must not be negative nor both 0, got %v and %v", d, u)
	}
	return nil
}
