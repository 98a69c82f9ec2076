package train

import "align/datasets"

// NewOrder deals n records by the settings, or those of a mixture, and returns how
// many make an epoch. Without shares there is no mixture.
func (s *Settings) NewOrder(n int, shares []datasets.Share) (*datasets.Order, int, error) {
	perStep, shuffle := s.Batch*s.Accumulate, s.Order == "shuffle"
	if len(shares) == 0 {
		order, err := datasets.NewOrder(n, perStep, shuffle, s.Seed)
		return order, n, err
	}
	order, err := datasets.NewMixedOrder(shares, s.SourceEpochs, perStep, shuffle, s.Seed)
	return order, datasets.MixedEpoch(shares, s.SourceEpochs), err
}

// Visited are the places of those of n records that the steps of a run come to,
// ascending.
func (s *Settings) Visited(n, steps int, shares []datasets.Share) ([]int, error) {
	order, _, err := s.NewOrder(n, shares)
	if err != nil {
		return nil, err
	}
	seen, left := make([]bool, n), n
	for step := 0; step < steps && left > 0; step++ {
		for _, i := range order.Next() {
			if !seen[i] {
				seen[i], left = true, left-1
			}
		}
	}
	places := make([]int, 0, n-left)
	for i, is := range seen {
		if is {
			places = append(places, i)
		}
	}
	return places, nil
}
