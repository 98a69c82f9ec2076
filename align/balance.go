package align

import "fmt"

// balanced is the largest imbalance that is left alone: TRL's KTOTrainer and the
// authors of KTO keep λ_D·n_D to λ_U·n_U within 1 to 4/3.
const balanced = 4.0 / 3

// balance counts the labels and, where all weigh the same, says what weight
// would even the two kinds out.
func balance(desirable, undesirable int, weighted bool) string {
	text := fmt.Sprintf("labels: %d desirable, %d undesirable answers", desirable, undesirable)
	more, fewer, key := desirable, undesirable, "undesirable_weight"
	if more < fewer {
		more, fewer, key = fewer, more, "desirable_weight"
	}
	switch {
	case fewer == 0:
		return text + ": with one kind alone there is nothing to tell apart"
	case !weighted && float64(more) > balanced*float64(fewer):
		return text + fmt.Sprintf("; %s: %.3g would make the two kinds weigh the same", key, float64(more)/float64(fewer))
	}
	return text
}
