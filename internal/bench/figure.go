package bench

// Figure is one measured number. Floor is the best that the machine allows in
// the same run, by arithmetic or by memory, in the same unit; Ratio is Value of
// it. Both are 0 where there is no such bound.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Floor float64 `json:"floor"`
	Ratio float64 `json:"ratio"`
	*Throughput
}

// Throughput is what the last figure of a workload holds besides.
type Throughput struct {
	// TokensPerCore is tokens per processor second of the best step,
	// TokensPerSecond per second of the best, MedianTokensPerSecond of the
	// median step.
	TokensPerCore         float64 `json:"tps_core"`
	TokensPerSecond       float64 `json:"tps_wall"`
	MedianTokensPerSecond float64 `json:"tps_wall_median"`
	// PeakMiB is the process's peak resident memory, or the most that was taken of
	// a card.
	PeakMiB int64   `json:"rss_mib"`
	Loss    float64 `json:"loss,omitzero"`
	// The rates of the prompts, of decode.
	PrefillPerCore   float64 `json:"prefill_tps_core,omitzero"`
	PrefillPerSecond float64 `json:"prefill_tps_wall,omitzero"`
}

// figure emits a number with its floor.
func (b *bench) figure(name, unit string, value, floor float64) error {
	return b.emit(b.figureOf(name, unit, value, floor))
}

func (b *bench) figureOf(name, unit string, value, floor float64) Figure {
	f := Figure{Name: b.workload + "/" + name, Value: value, Unit: unit, Floor: floor}
	if floor > 0 {
		f.Ratio = value / floor
	}
	return f
}

// last emits the workload's last figure with its throughput and peak, in bytes.
func (b *bench) last(f Figure, t Throughput, peak int64) error {
	t.PeakMiB = peak >> 20
	f.Throughput = &t
	return b.emit(f)
}
