package rollout

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Sampling says how a token is drawn from the logits.
type Sampling struct {
	// Temperature divides the logits; 0 takes the largest (greedy).
	Temperature float64
	// TopK keeps the K largest, TopP the smallest set whose probability reaches
	// P, MinP those of at least MinP times the largest's. 0 (1 for TopP) is off.
	TopK       int
	TopP, MinP float64
	// RepetitionPenalty divides positive and multiplies negative logits of
	// tokens that have occurred (https://arxiv.org/abs/1909.05858); 1 is off.
	RepetitionPenalty float64
}

// Validate returns all faults at once.
func (s Sampling) Validate() error {
	var errs []error
	check := func(ok bool, format string, v any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, v))
		}
	}
	check(s.Temperature >= 0 && !math.IsInf(s.Temperature, 0), "temperature must be finite and not negative, got %v", s.Temperature)
	check(s.TopK >= 0, "top_k must not be negative, got %v", s.TopK)
	check(s.TopP > 0 && s.TopP <= 1, "top_p must lie in (0, 1], got %v", s.TopP)
	check(s.MinP >= 0 && s.MinP < 1, "min_p must lie in [0, 1), got %v", s.MinP)
	check(s.RepetitionPenalty > 0, "repetition_penalty must be positive, got %v", s.RepetitionPenalty)
	return errors.Join(errs...)
}

// sampler draws tokens; its buffers are reused.
type sampler struct {
	Sampling
	weights    []float64
	sums       []float64 // of block weights each
	candidates []candidate
}

// block is how many weights stand behind one of sums.
const block = 256

type candidate struct {
	id     int32
	weight float64
}

// draw picks a token. uniform lies in [0, 1). The log-probability is the
// token's under the softmax of logits/temperature, in nats, before anything was
// cut off; NaN where a logit is, or the largest is infinite: the token then means nothing.
func (s *sampler) draw(logits []float32, seen []int32, uniform float64) (id int32, logProb float64) {
	if s.RepetitionPenalty != 1 {
		penalise(logits, seen, s.RepetitionPenalty)
	}
	temperature := s.Temperature
	if temperature == 0 {
		temperature = 1
	}
	best, sum := s.soften(logits, temperature)
	if s.Temperature == 0 || math.IsNaN(sum) {
		id = best
	} else {
		id = s.pick(sum, uniform)
	}
	return id, (float64(logits[id])-float64(logits[best]))/temperature - math.Log(sum)
}

// penalise lowers the logits of tokens that have occurred, each once.
func penalise(logits []float32, seen []int32, penalty float64) {
	done := map[int32]bool{}
	for _, id := range seen {
		if done[id] {
			continue
		}
		done[id] = true
		if logits[id] > 0 {
			logits[id] = float32(float64(logits[id]) / penalty)
		} else {
			logits[id] = float32(float64(logits[id]) * penalty)
		}
	}
}

// soften fills weights with e^((z-max)/temperature) and returns the lowest id
// of the largest logit, and the weights' sum.
func (s *sampler) soften(logits []float32, temperature float64) (best int32, sum float64) {
	top := logits[0]
	for i, z := range logits {
		if z > top {
			best, top = int32(i), z
		}
	}
	s.weights = slices.Grow(s.weights[:0], len(logits))[:len(logits)]
	s.sums = s.sums[:0]
	for from := 0; from < len(logits); from += block {
		to := min(from+block, len(logits))
		s.sums = append(s.sums, expSum(s.weights[from:to], logits[from:to], float64(top), 1/temperature))
	}
	for _, x := range s.sums {
		sum += x
	}
	return best, sum
}

// pick draws by the inverse of the cumulative weights, over what is left after
// cutting off.
func (s *sampler) pick(sum, uniform float64) int32 {
	if s.TopK == 0 && s.TopP == 1 && s.MinP == 0 {
		return s.invert(uniform * sum)
	}
	list := s.cut(sum)
	left := 0.0
	for _, c := range list {
		left += c.weight
	}
	target := uniform * left
	for _, c := range list {
		if target < c.weight {
			return c.id
		}
		target -= c.weight
	}
	return list[len(list)-1].id
}

// invert is the first id whose cumulative weight exceeds the target: its block
// by sums, then itself. Rounding at the very end falls on the last id with any
// weight.
func (s *sampler) invert(target float64) int32 {
	at := 0
	for ; at+1 < len(s.sums) && target >= s.sums[at]; at++ {
		target -= s.sums[at]
	}
	for i, w := range s.weights[at*block:] {
		if target < w {
			return int32(at*block + i)
		}
		target -= w
	}
	last := len(s.weights) - 1
	for last > 0 && s.weights[last] == 0 {
		last--
	}
	return int32(last)
}

// cut are the candidates that TopK, TopP and MinP leave, largest first.
func (s *sampler) cut(sum float64) []candidate {
	s.candidates = s.candidates[:0]
	for i, w := range s.weights {
		if w > 0 && w >= s.MinP { // the largest weight is 1
			s.candidates = append(s.candidates, candidate{int32(i), w})
		}
	}
	slices.SortFunc(s.candidates, func(a, b candidate) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return int(a.id - b.id)
	})
	list := s.candidates
	if s.TopK > 0 && len(list) > s.TopK {
		list = list[:s.TopK]
	}
	reached := 0.0
	for i, c := range list {
		reached += c.weight
		if reached >= s.TopP*sum {
			return list[:i+1]
		}
	}
	return list
}

// uniform is the draw for one position of one sample: SplitMix64 over the key,
// 53 bits.
func uniform(key uint64, position int) float64 {
	return float64(mix(key^mix(uint64(position)))>>11) / (1 << 53)
}

// SampleKey is the seed of one sample: it tells the samples of all prompts apart.
func SampleKey(seed, prompt uint64, sample int) uint64 {
	return mix(mix(seed)^mix(prompt^0xa5a5a5a5a5a5a5a5)) ^ mix(uint64(sample)+1)
}

// mix is the finaliser of SplitMix64 (https://doi.org/10.1145/2714064.2660195).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
