package train

import "align/model"

// tokenMetrics are those of AddTokenMetrics.
var tokenMetrics = [...]string{"entropy", "mean_token_accuracy"}

// EvalMetrics are the names that an evaluation has its loss, AddTokenMetrics'
// metrics and a method's own under.
func EvalMetrics(own ...string) []string {
	names := []string{"eval_loss"}
	for _, name := range append(own, tokenMetrics[:]...) {
		names = append(names, "eval_"+name)
	}
	return names
}

// AddTokenMetrics adds the entropy of the predictions and the share of targets
// that are their mode, over the targets of the sequences that count.
func AddTokenMetrics(s *model.Session, d *model.Decoder, sequence []int32, counts func(int32) bool, m *Metrics, prefix string) error {
	entropy, err := s.Float64s(nil, d.Prediction.Entropy)
	if err != nil {
		return err
	}
	hit, err := s.Float64s(nil, d.Prediction.Hit)
	if err != nil {
		return err
	}
	var entropySum, hitSum, n float64
	for i, of := range sequence {
		if counts(of) {
			entropySum += entropy[i]
			hitSum += hit[i]
			n++
		}
	}
	m.Add(prefix+tokenMetrics[0], entropySum, n)
	m.Add(prefix+tokenMetrics[1], hitSum, n)
	return nil
}
