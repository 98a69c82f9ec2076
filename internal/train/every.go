package train

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Every is how often something is done in a run: each so many steps, each so
// large a share of the run, or each so many passes over the data. The zero value
// is not at all between the ends.
type Every struct {
	Amount float64 // in steps, a share of the run, or epochs
	Unit   string  // "", share or epoch
}

// The units of an Every that are no steps. A share is written below 1, or in
// percent.
const (
	share   = "share"
	percent = "%"
	epoch   = "epoch"
)

// EverySteps is each n steps.
func EverySteps(n int) Every { return Every{Amount: float64(n)} }

// UnmarshalText reads "100" as steps, "0.1" and "10%" as a share of the run's
// steps, "1epoch" and "0.5epoch" as passes over the data.
func (e *Every) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	number, unit, scale := s, "", 1.0
	switch {
	case strings.HasSuffix(s, percent):
		number, unit, scale = strings.TrimSuffix(s, percent), share, 100
	case strings.HasSuffix(strings.TrimSuffix(s, "s"), epoch):
		number, unit = strings.TrimSuffix(strings.TrimSuffix(s, "s"), epoch), epoch
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if unit == "" && x > 0 && x < 1 {
		unit = share
	}
	got := Every{x / scale, unit}
	if err != nil || !got.holds() {
		return fmt.Errorf("want a whole number of steps, a share of the run as 0.1 or 10%%, or passes over the data as 1epoch or 0.5epoch, got %q", text)
	}
	*e = got
	return nil
}

// holds says whether the amount is one of its unit. A NaN is none.
func (e Every) holds() bool {
	switch e.Unit {
	case share:
		return e.Amount > 0 && e.Amount <= 1
	case epoch:
		return e.Amount > 0 && e.Amount <= maxSteps
	}
	return e.Amount >= 0 && e.Amount <= maxSteps && e.Amount == math.Trunc(e.Amount)
}

// maxSteps bounds what is counted in steps far above any run.
const maxSteps = 1e9

// MarshalText writes what UnmarshalText reads back to the same value.
func (e Every) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// String is the text of MarshalText.
func (e Every) String() string {
	text := strconv.FormatFloat(e.Amount, 'f', -1, 64)
	switch {
	case e.Unit == share && e.Amount == 1:
		return "100" + percent // 1 would be a step
	case e.Unit == epoch:
		return text + epoch
	}
	return text
}

// IsZero says that nothing is done between the ends.
func (e Every) IsZero() bool { return e.Amount == 0 }

// Steps is the number of steps between two times, of a run of that many steps
// with perEpoch of them to a pass over the data. What is no whole number of steps
// is rounded up, as Transformers does. reason says where the number comes from; ""
// where it is the setting itself.
func (e Every) Steps(steps, perEpoch int) (n int, reason string) {
	switch e.Unit {
	case share:
		return wholeSteps(e.Amount * float64(steps)), fmt.Sprintf("%v%% of %d steps", formatShare(e.Amount), steps)
	case epoch:
		return wholeSteps(e.Amount * float64(perEpoch)), fmt.Sprintf("%s of %d steps each", e, perEpoch)
	}
	return int(e.Amount), ""
}

// slack keeps 7% of 100 at 7: as float64 the product is a little above it.
const slack = 1e-9

func wholeSteps(x float64) int { return max(1, int(math.Ceil(x*(1-slack)))) }

// formatShare is a share in percent, without the last bits of the product.
func formatShare(x float64) string { return strconv.FormatFloat(100*x, 'g', 6, 64) }
