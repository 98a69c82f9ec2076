package train

import (
	"align/internal/optim"
	"align/model"
)

// LoRAPlus are the learning rates of an adapter that lies at an offset of the
// trained buffer, as multiples of the schedule's: scale for A, for weights that
// are trained whole and for a head, and scale*ratio for B
// (https://arxiv.org/abs/2402.12354, section 4) and for DoRA's magnitudes, which
// PEFT counts with B (peft, optimizers/loraplus.py).
func LoRAPlus(a *model.Adapter, offset int, scale, ratio float64) []optim.Group {
	if ratio == 1 {
		return []optim.Group{{First: offset, Len: a.Len, LearningRateScale: scale}}
	}
	var groups []optim.Group
	at := 0
	upTo := func(end int, scale float64) {
		if end > at {
			groups = append(groups, optim.Group{First: offset + at, Len: end - at, LearningRateScale: scale})
		}
		at = end
	}
	for _, f := range a.Factors {
		upTo(f.OffsetB, scale)
		upTo(f.End(), scale*ratio)
	}
	upTo(a.Len, scale)
	return groups
}
