package model

import (
	"fmt"
	"math"
)

// RopeScaling stretches the rotary frequencies. Type is "", "linear" or "llama3".
type RopeScaling struct {
	Type                          string
	Factor                        float64
	LowFreqFactor, HighFreqFactor float64
	OriginalContextLength         int
}

// ropeFile is rope_scaling, or rope_parameters of Transformers 5, which holds
// the base frequency too. Old files say "type" for "rope_type".
type ropeFile struct {
	RopeType       string   `json:"rope_type"`
	Type           string   `json:"type"`
	Theta          *float64 `json:"rope_theta"`
	Factor         float64  `json:"factor"`
	LowFreqFactor  float64  `json:"low_freq_factor"`
	HighFreqFactor float64  `json:"high_freq_factor"`
	Original       int      `json:"original_max_position_embeddings"`
}

func (c *Config) rope(f file) error {
	r := f.RopeScaling
	if r == nil {
		r = f.RopeParameters
	}
	if r == nil {
		return nil
	}
	set(&c.RopeTheta, r.Theta)
	kind := r.RopeType
	if kind == "" {
		kind = r.Type
	}
	if kind == "" || kind == "default" {
		return nil
	}
	c.RopeScaling = RopeScaling{
		Type: kind, Factor: r.Factor, LowFreqFactor: r.LowFreqFactor,
		HighFreqFactor: r.HighFreqFactor, OriginalContextLength: r.Original,
	}
	return c.RopeScaling.validate()
}

func (s RopeScaling) validate() error {
	switch s.Type {
	case "linear":
		if !(s.Factor > 0) {
			return fmt.Errorf("rope_scaling: factor must be positive, got %v", s.Factor)
		}
	case "llama3":
		if !(s.Factor > 0) || !(s.LowFreqFactor > 0) || !(s.HighFreqFactor > s.LowFreqFactor) || s.OriginalContextLength < 1 {
			return fmt.Errorf("rope_scaling: llama3 needs factor > 0, 0 < low_freq_factor < high_freq_factor and original_max_position_embeddings > 0, got %+v", s)
		}
	default:
		return fmt.Errorf("rope_scaling: rope_type %q: only llama3, linear and default are supported", s.Type)
	}
	return nil
}

// InvFreq are the rotary frequencies [D/2]: theta^(-2i/D), scaled.
func (c Config) InvFreq() []float64 {
	freqs := make([]float64, c.HeadDim/2)
	for i := range freqs {
		freqs[i] = c.RopeScaling.scale(c.freq(i))
		if c.RopeFactors != nil {
			freqs[i] /= c.RopeFactors[i]
		}
	}
	return freqs
}

// freq is the frequency of pair i before it is scaled.
func (c Config) freq(i int) float64 {
	return math.Pow(c.RopeTheta, -2*float64(i)/float64(c.HeadDim))
}

// RopeDivisors are the numbers [D/2] by which scaling divides the frequencies:
// GGUF's rope_freqs.
func (c Config) RopeDivisors() []float64 {
	divisors := c.InvFreq()
	for i, f := range divisors {
		divisors[i] = c.freq(i) / f
	}
	return divisors
}

// scale is Llama 3.1's rule: long waves are divided by the factor, short ones
// stay, those between are blended.
func (s RopeScaling) scale(f float64) float64 {
	switch s.Type {
	case "linear":
		return f / s.Factor
	case "llama3":
		wave, context := 2*math.Pi/f, float64(s.OriginalContextLength)
		if wave < context/s.HighFreqFactor {
			return f
		}
		if wave > context/s.LowFreqFactor {
			return f / s.Factor
		}
		blend := (context/wave - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
		return (1-blend)*f/s.Factor + blend*f
	}
	return f
}
