package winrate

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// rounding is what a sum of a hundred float64 may lose, and Newton's method.
const rounding = 1e-9

func TestWilsonsIntervalOfKnownRates(t *testing.T) {
	// Newcombe, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I.
	for _, c := range []struct{ wins, n, low, high float64 }{
		{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718},
	} {
		low, high := Wilson(c.wins/c.n, c.n)
		if math.Abs(low-c.low) > 5e-5 || math.Abs(high-c.high) > 5e-5 {
			t.Errorf("%v of %v: [%.4f, %.4f], want [%v, %v]", c.wins, c.n, low, high, c.low, c.high)
		}
	}
}

func TestEqualSidesWinHalf(t *testing.T) {
	a := []Answer{{1, 5}, {0, 9}, {-2, 1}}
	c := Compare(a, a)
	if c.WinRate != 0.5 || c.Ties != 3 || c.LengthControlled != 0.5 || !(c.Low < 0.5 && c.High > 0.5) {
		t.Errorf("A against A: %+v", c)
	}
}

// What one side gains the other loses.
func TestComparingIsSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "n")
		answer := rapid.Custom(func(t *rapid.T) Answer {
			return Answer{float64(rapid.IntRange(0, 3).Draw(t, "score")), float64(rapid.IntRange(1, 50).Draw(t, "length"))}
		})
		a, b := rapid.SliceOfN(answer, n, n).Draw(t, "a"), rapid.SliceOfN(answer, n, n).Draw(t, "b")
		x, y := Compare(a, b), Compare(b, a)
		if x.Wins != y.Losses || math.Abs(x.WinRate+y.WinRate-1) > rounding || math.Abs(x.Low+y.High-1) > rounding {
			t.Fatalf("%+v and %+v", x, y)
		}
		if math.Abs(x.LengthControlled+y.LengthControlled-1) > rounding {
			t.Fatalf("length-controlled %v and %v", x.LengthControlled, y.LengthControlled)
		}
	})
}

// Two sides of which the longer answer wins four times of five are alike,
// however often one of them is the longer.
func TestLengthIsControlledFor(t *testing.T) {
	var a, b []Answer
	for i := range 150 {
		long, short := Answer{1, 20}, Answer{0, 10}
		if i/3%5 == 0 {
			long.Score, short.Score = 0, 1
		}
		if i%3 == 0 {
			long, short = short, long
		}
		a, b = append(a, long), append(b, short)
	}
	c := Compare(a, b)
	// lengthPull moves the rate by less than this.
	if math.Abs(c.WinRate-0.6) > rounding || math.Abs(c.LengthControlled-0.5) > 1e-3 {
		t.Errorf("win rate %v, length-controlled %v", c.WinRate, c.LengthControlled)
	}
}
