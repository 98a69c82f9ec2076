package dpo_test

import (
	"math"
	"slices"
	"testing"

	"align/datasets"
	"align/dpo"
)

// longRejected are pairs whose rejected answer is twice as long as the chosen one,
// so that sums and means of log-probabilities rank them differently.
func longRejected() []datasets.Pair {
	pairs := countingPairs(6)
	for i := range pairs {
		pairs[i].Rejected = slices.Concat(pairs[i].Rejected, pairs[i].Rejected)
	}
	return pairs
}

// The rewards of losses that compare means are beta times means over an answer's
// tokens, as in TRL's CPOTrainer and ORPOTrainer; those of others are of sums.
func TestRewardsAreWhatTheLossCompares(t *testing.T) {
	for loss, perToken := range map[string]bool{"simpo": true, "orpo": true, "simpo,sft:0.1": true, "cpo": false, "simpo,cpo": false, "sigmoid": false} {
		tr := formatTrainer(t, func(c *dpo.Config) { c.Loss, c.Beta = loss, 2 })
		tr.Pairs = longRejected()
		tr.References = make([]dpo.Reference, len(tr.Pairs))
		_, m, err := tr.Micro(1, []int{0, 1, 2, 3, 4, 5}, 6)
		if err != nil {
			t.Fatal(err)
		}
		both, err := (&dpo.Referee{Model: tr.Model, Adapter: tr.Adapter, Batch: 6}).LogProbs(t.Context(), tr.Pairs)
		if err != nil {
			t.Fatal(err)
		}
		var chosen, right float64
		for i, p := range tr.Pairs {
			w, l := both[i].Chosen, both[i].Rejected
			if perToken {
				w, l = w/float64(len(p.Chosen)), l/float64(len(p.Rejected))
			}
			chosen += w / float64(len(tr.Pairs))
			if w > l {
				right += 1 / float64(len(tr.Pairs))
			}
		}
		for name, want := range map[string]float64{"logps/chosen": chosen, "rewards/chosen": 2 * chosen, "rewards/accuracies": right} {
			if got, _ := m.Get(name); math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: %s is %v, want %v", loss, name, got, want)
			}
		}
	}
}

// The entropy is the mean over the tokens of both answers, as in TRL's DPOTrainer,
// so that it does not change where the two change places; the token accuracy is the
// chosen answer's.
func TestEntropyIsOfBothAnswers(t *testing.T) {
	of := func(pairs []datasets.Pair) (entropy, accuracy float64) {
		tr := formatTrainer(t, func(*dpo.Config) {})
		tr.Pairs, tr.References = pairs, make([]dpo.Reference, len(pairs))
		_, m, err := tr.Micro(1, []int{0, 1, 2, 3, 4, 5}, 6)
		if err != nil {
			t.Fatal(err)
		}
		entropy, _ = m.Get("entropy")
		accuracy, _ = m.Get("mean_token_accuracy")
		return entropy, accuracy
	}
	pairs, turned := longRejected(), longRejected()
	for i := range turned {
		turned[i].Chosen, turned[i].Rejected = turned[i].Rejected, turned[i].Chosen
	}
	entropy, accuracy := of(pairs)
	same, other := of(turned)
	if math.Abs(entropy-same) > 1e-12 {
		t.Errorf("entropy is %v, and %v with the answers turned round", entropy, same)
	}
	if accuracy == other {
		t.Errorf("mean_token_accuracy is %v of either answer", accuracy)
	}
}
