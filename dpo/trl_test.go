package dpo_test

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/dpo"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/fixture"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
)

// trlLosses are the losses that DPOTrainer of TRL 1.16.0 (Transformers 5.24.0, PEFT
// 0.21.2) logged in six steps on trlPairs, two pairs a step in this order: the golden
// adapter of stories260K trained in float64, the base its reference, beta 0.5,
// learning rate 1e-4, cosine with one step of warm-up, weight decay 0.1,
// max_grad_norm 1.
var trlLosses = map[string][]float64{
	"sigmoid":      {0.5978736, 0.6455183, 0.3757763, 0.5781222, 0.695786, 0.2425274},
	"ipo":          {1.046634, 0.5899227, 0.691976, 1.020482, 0.5292262, 0.3637805},
	"sigmoid_norm": {0.6988805, 0.6363502, 0.652637, 0.6968006, 0.6234007, 0.5641847},
	"nca_pair":     {1.748981, 1.602339, 3.142342, 1.428745, 1.327049, 2.815209},
	"sppo_hard":    {16.5984, 9.994865, 92.50249, 3.372302, 1.970683, 69.45378},
	"apo_down":     {0.6670741, 0.7611983, 0.8271605, 0.3977183, 0.6981168, 0.6413292},
}

// trlDivergences are the losses of the same pairs, two at a time and none of them
// learnt, with f_divergence_type, f_alpha_divergence_coef 0.5, and label_smoothing 0.1
// with robust and exo_pair. TRL was made to compute in float64 throughout, but for
// alpha_divergence, whose exponentials it takes in float32.
var trlDivergences = map[string]map[string][]float64{
	dpo.ForwardKL: {
		"sigmoid": {0.3512703, 0.7968803, 0.5343483}, "ipo": {0.5991401, 0.1342661, 0.8171607}, "sigmoid_norm": {0.546373, 0.5209731, 0.6673794},
		"hinge": {0.5077369, 1.029598, 0.6072822}, "robust": {-0.04904496, 0.7806165, 0.4852585}, "exo_pair": {0.3081129, 0.6100581, 0.3412655},
		"discopop": {0.4178639, 0.812085, 0.651544},
	},
	dpo.JSDivergence: {
		"sigmoid": {0.6034561, 0.6562325, 0.6347465}, "ipo": {1.005544, 0.6853347, 0.9498428}, "sigmoid_norm": {0.6938389, 0.6507409, 0.6865805},
		"hinge": {0.8008293, 0.9178562, 0.8754978}, "robust": {0.5785597, 0.6459645, 0.6191837}, "exo_pair": {0.4126178, 0.4701651, 0.4466157},
		"discopop": {0.7583564, 0.7866755, 0.8127482},
	},
	dpo.AlphaDivergence: {
		"sigmoid": {0.4358341, 0.6419923, 0.5709902}, "ipo": {0.8209236, 0.3561118, 0.9065391}, "sigmoid_norm": {0.6688739, 0.5946341, 0.6800377},
		"hinge": {0.5018661, 0.8373645, 0.7202369}, "robust": {0.333321, 0.6216628, 0.5360198}, "exo_pair": {0.2655889, 0.4556884, 0.3778732},
		"discopop": {0.5184178, 0.6953921, 0.7246695},
	},
}

// trlLearnt are the losses of the six steps of sigmoid.
var trlLearnt = map[string][]float64{
	dpo.ForwardKL:    {0.3512703, 0.7968803, 0.5641499, 0.3549305, 1.642825, 0.4853632},
	dpo.JSDivergence: {0.6034561, 0.6562325, 0.6367809, 0.5663721, 0.7379141, 0.5623083},
}

// trlPairs are six pairs of made-up ids, given to TRL as prompt_ids, chosen_ids and
// rejected_ids.
func trlPairs() []datasets.Pair {
	ids := func(n, step, from int, close bool) (list []int32) {
		for j := range n {
			list = append(list, int32((from+step*j)%500+3))
		}
		if close {
			list = append(list, 2)
		}
		return list
	}
	pairs := make([]datasets.Pair, 6)
	for i := range pairs {
		pairs[i] = datasets.Pair{
			Prompt: append([]int32{1}, ids(4+i, 11, 37*i, false)...),
			Chosen: ids(3+i%3, 7, 53*i, true), Rejected: ids(5-i%4, 13, 29*i+5, true),
		}
	}
	return pairs
}

// trlTolerance is relative. Adapter and moments are float32 here and float64 there,
// which a steep loss makes up to 2.3e-5 of (ipo's third, at a gradient norm of 78).
const trlTolerance = 5e-5

// Each loss learns as TRL's of its name does.
func TestStepsAreTRLs(t *testing.T) {
	dir := fixture.Path(t)
	for name, want := range trlLosses {
		for i, got := range trlSteps(t, dir, name, nil) {
			if !(math.Abs(got-want[i]) <= trlTolerance*want[i]) {
				t.Errorf("%s: loss %d is %v, want %v", name, i+1, got, want[i])
			}
		}
	}
}

// divergenceTolerance is relative: seven digits are logged, of what was computed in
// float64, or with alpha_divergence in float32.
var divergenceTolerance = map[string]float64{dpo.ForwardKL: 1e-6, dpo.JSDivergence: 1e-6, dpo.AlphaDivergence: trlTolerance}

// Each loss by each divergence is TRL's.
func TestDivergencesAreTRLs(t *testing.T) {
	dir := fixture.Path(t)
	for divergence, losses := range trlDivergences {
		for name, want := range losses {
			trainer := trlTrainer(t, dir, name, func(c *dpo.Config) {
				c.FDivergenceType = divergence
				if name == "robust" || name == "exo_pair" {
					c.LabelSmoothing = 0.1
				}
			})
			for i := range want {
				got, _, err := trainer.Micro(1, []int{2 * i, 2*i + 1}, 2)
				if err != nil || !(math.Abs(got-want[i]) <= divergenceTolerance[divergence]*math.Abs(want[i])) {
					t.Errorf("%s, %s: loss %d is %v, want %v (%v)", divergence, name, i+1, got, want[i], err)
				}
			}
		}
	}
}

// They learn as TRL's do.
func TestDivergencesLearnAsTRLs(t *testing.T) {
	dir := fixture.Path(t)
	for divergence, want := range trlLearnt {
		for i, got := range trlSteps(t, dir, "sigmoid", func(c *dpo.Config) { c.FDivergenceType = divergence }) {
			if !(math.Abs(got-want[i]) <= trlTolerance*want[i]) {
				t.Errorf("%s: loss %d is %v, want %v", divergence, i+1, got, want[i])
			}
		}
	}
}

// trlMetrics are what CPOTrainer and ORPOTrainer of the same versions logged of the
// same pairs before any of them is learnt, one pair to a micro-batch and two to a step.
var trlMetrics = map[string]map[string][]float64{
	"cpo": {"nll_loss": {28.3126220703125, 27.619041442871094, 18.373409271240234}},
	"orpo": {
		"log_odds_ratio":  {-0.7054065465927124, -0.43689247965812683, -0.22840344905853271},
		"log_odds_chosen": {-0.02422332763671875, 0.6583051681518555, 8.772001266479492},
	},
}

// metricTolerance is absolute: TRL takes the difference of two log odds near -28 in
// float32.
const metricTolerance = 5e-6

// Of cpo and orpo is logged what TRL logs, under its names.
func TestLikelihoodMetricsAreTRLs(t *testing.T) {
	dir := fixture.Path(t)
	for name, metrics := range trlMetrics {
		trainer := trlTrainer(t, dir, name, nil)
		for step := range 3 {
			_, m, err := trainer.Micro(1, []int{2 * step, 2*step + 1}, 2)
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range metrics {
				if got, ok := m.Get(key); !ok || !(math.Abs(got-want[step]) <= metricTolerance) {
					t.Errorf("%s: %s of step %d is %v, want %v", name, key, step+1, got, want[step])
				}
			}
		}
	}
}

// trlTrainer is a trainer of trlPairs from the golden adapter.
func trlTrainer(t *testing.T, dir, name string, change func(*dpo.Config)) *dpo.Trainer {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	m, err := model.Load(filepath.Join(dir, "data", "stories260K"), b, device.F64, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, values, err := model.ReadAdapter(filepath.Join(dir, "golden", "models", "stories260K-lora"), m.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AllocAdapter(a, values); err != nil {
		t.Fatal(err)
	}
	c := dpo.DefaultConfig()
	c.Loss, c.Beta, c.Batch = name, 0.5, 2
	if change != nil {
		change(&c)
	}
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		t.Fatal(err)
	}
	trainer := &dpo.Trainer{Config: c, Loss: loss, Model: m, Adapter: a, Save: exec.SaveNone, Pairs: trlPairs()}
	referee := &dpo.Referee{Model: m, Batch: c.Batch}
	if trainer.References, err = referee.LogProbs(context.Background(), trainer.Pairs); err != nil {
		t.Fatal(err)
	}
	return trainer
}

func trlSteps(t *testing.T, dir, name string, change func(*dpo.Config)) []float64 {
	t.Helper()
	trainer := trlTrainer(t, dir, name, change)
	batch := trainer.Config.Batch
	order, err := datasets.NewOrder(len(trainer.Pairs), batch, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	report := &losses{}
	_, err = train.Run(context.Background(), train.Options{
		Method: "dpo", Run: t.TempDir(), Steps: 6, Keep: 1,
		Schedule: optim.Schedule{Kind: "cosine", LearningRate: 1e-4, Warmup: 1, Steps: 6},
		AdamW:    optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Clip: 1},
	}, trainer.Model.Backend(), &train.LoRA{Model: trainer.Model, Adapter: trainer.Adapter}, &train.Batches{Order: order, PerMicro: batch, Weigh: trainer.Weigh}, trainer, report, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report.all
}
