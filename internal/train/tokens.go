package train

import "align/model"

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
	m.Add(prefix+"entropy", entropySum, n)
	m.Add(prefix+"mean_token_accuracy", hitSum, n)
	return nil
}
