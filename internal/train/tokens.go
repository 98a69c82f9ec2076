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

// AddTokenMetrics adds the mean entropy of the predictions of all targets, and the
// share of the targets that are their prediction's mode among the sequences to
// imitate; as TRL has them, in DPO of both answers and of the chosen one.
func AddTokenMetrics(s *model.Session, d *model.Decoder, sequence []int32, imitated func(int32) bool, m *Metrics, prefix string) error {
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
		entropySum += entropy[i]
		if imitated(of) {
			hitSum += hit[i]
			n++
		}
	}
	m.Add(prefix+tokenMetrics[0], entropySum, float64(len(sequence)))
	if n > 0 {
		m.Add(prefix+tokenMetrics[1], hitSum, n)
	}
	return nil
}
