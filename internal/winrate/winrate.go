// Package winrate says how often one side's scored answers are better than another's:
// [Compare] gives the rate with its interval, and what it would be at equal lengths.
package winrate

import "math"

// Comparison says how often A's answers are better than B's.
type Comparison struct {
	Answers int `json:"answers"`
	Wins    int `json:"wins"`
	Ties    int `json:"ties"`
	Losses  int `json:"losses"`
	// WinRate counts a tie half; Low and High bound it with 95 per cent
	// confidence.
	WinRate float64 `json:"win_rate"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	// LengthControlled is what the rate would be of answers of equal length.
	LengthControlled float64 `json:"length_controlled"`
	// MeanScore and MeanLength, in tokens, are A's and B's.
	MeanScore  [2]float64 `json:"mean_score"`
	MeanLength [2]float64 `json:"mean_length"`
}

// Answer is what counts of one: its score, and its length in tokens.
type Answer struct{ Score, Length float64 }

// Compare compares answers to the same prompts, one by one.
func Compare(a, b []Answer) Comparison {
	c := Comparison{Answers: len(a)}
	outcome, longer := make([]float64, len(a)), make([]float64, len(a))
	n := float64(len(a))
	for i := range a {
		longer[i] = a[i].Length - b[i].Length
		switch {
		case a[i].Score > b[i].Score:
			c.Wins++
			outcome[i] = 1
		case a[i].Score == b[i].Score:
			c.Ties++
			outcome[i] = 0.5
		default:
			c.Losses++
		}
		c.WinRate += outcome[i] / n
		for side, x := range []Answer{a[i], b[i]} {
			c.MeanScore[side] += x.Score / n
			c.MeanLength[side] += x.Length / n
		}
	}
	c.Low, c.High = Wilson(c.WinRate, n)
	c.LengthControlled = lengthControlled(outcome, longer)
	return c
}

// z95 is the normal distribution's quantile of 97.5 per cent.
const z95 = 1.959963984540054

// Wilson is Wilson's score interval (https://doi.org/10.2307/2276774) of a rate
// p of n trials. A tie as half a win has less spread than a coin, so that the
// interval is on the wide side.
func Wilson(p, n float64) (low, high float64) {
	z2 := z95 * z95
	centre := (p + z2/(2*n)) / (1 + z2/n)
	half := z95 / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return max(0, centre-half), min(1, centre+half)
}

// lengthPull times half the squares of θ and φ is added to the loss, so that it
// has a minimum where one side always wins.
const lengthPull = 1e-2

// lengthControlled is the rate at equal lengths by logistic regression of the
// outcome on tanh of the difference in length over its size, the length
// term of https://arxiv.org/abs/2404.04475:
//
//	P(win) = σ(θ + φ·tanh(Δ/std(Δ))),  the rate is σ(θ)
//
// θ and φ are pulled to 0: see lengthPull.
func lengthControlled(outcome, longer []float64) float64 {
	x := lengthTerm(longer)
	theta, phi := 0.0, 0.0
	for range 50 { // Newton's method; the loss is strictly convex
		var g0, g1, h00, h01, h11 float64
		for i, y := range outcome {
			p := 1 / (1 + math.Exp(-theta-phi*x[i]))
			w := p * (1 - p)
			g0, g1 = g0+p-y, g1+(p-y)*x[i]
			h00, h01, h11 = h00+w, h01+w*x[i], h11+w*x[i]*x[i]
		}
		g0, g1 = g0+lengthPull*theta, g1+lengthPull*phi
		h00, h11 = h00+lengthPull, h11+lengthPull
		det := h00*h11 - h01*h01
		d0, d1 := (h11*g0-h01*g1)/det, (h00*g1-h01*g0)/det
		theta, phi = theta-d0, phi-d1
		if math.Abs(d0)+math.Abs(d1) < 1e-12 {
			break
		}
	}
	return 1 / (1 + math.Exp(-theta))
}

// lengthTerm is tanh of the differences over their root mean square, which like
// the difference itself is 0 where neither side is longer.
func lengthTerm(longer []float64) []float64 {
	square := 0.0
	for _, d := range longer {
		square += d * d
	}
	x := make([]float64, len(longer))
	if square == 0 {
		return x
	}
	deviation := math.Sqrt(square / float64(len(longer)))
	for i, d := range longer {
		x[i] = math.Tanh(d / deviation)
	}
	return x
}
