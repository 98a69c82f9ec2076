package dpo

import (
	"math"
	"slices"

	"align/internal/train"
)

// has says whether the sum has the loss of that name.
func (w Weighted) has(name string) bool {
	return slices.ContainsFunc(w, func(t Term) bool { return t.Loss.Name == name })
}

// likelihoodMetrics are what is measured beside the rewards where the loss has the
// likelihood of the chosen answers in it, under the names of TRL's CPOTrainer and
// ORPOTrainer.
func (c Config) likelihoodMetrics() (names []string) {
	w, err := ParseWeighted(c.Loss)
	if err != nil {
		return nil // Validate's to tell
	}
	if c.NLL > 0 || w.has("sft") || w.has("orpo") || w.has("cpo") && c.CPOAlpha > 0 {
		names = append(names, "nll_loss")
	}
	if w.has("orpo") {
		names = append(names, "log_odds_ratio", "log_odds_chosen")
	}
	return names
}

// measureLikelihood adds those metrics of the pairs just run, from their
// log-probabilities: the NLL per token of the chosen answer, and of the difference d
// of both answers' log odds log σ(d) and d itself.
func (t *Trainer) measureLikelihood(pairs int, m *train.Metrics, prefix string) {
	perPair := t.perPair()
	for _, name := range t.Config.likelihoodMetrics() {
		for k := range pairs {
			value := 0.0
			switch difference := t.logOdds(perPair*k) - t.logOdds(perPair*k+1); name {
			case "nll_loss":
				value = t.chosenNLL(perPair * k)
			case "log_odds_ratio":
				value = -math.Log1p(math.Exp(-difference))
			case "log_odds_chosen":
				value = difference
			}
			m.Add(prefix+name, value, 1)
		}
	}
}

// chosenNLL is that of the pair whose sequences begin at one, with its format tokens
// where they are a sequence of their own.
func (t *Trainer) chosenNLL(sequence int) float64 {
	sum, n := t.values[sequence], t.pack.Tokens[sequence]
	if t.Config.MaskFormat {
		sum, n = sum+t.values[sequence+2], n+t.pack.Tokens[sequence+2]
	}
	return -sum / float64(n)
}

// logOdds is log p/(1-p) of a sequence, p the geometric mean of its tokens'
// probabilities: what the graph's logOdds is.
func (t *Trainer) logOdds(sequence int) float64 {
	a := min(t.values[sequence]/float64(t.pack.Tokens[sequence]), maxAverageLogProb)
	return a - math.Log(-math.Expm1(a))
}
