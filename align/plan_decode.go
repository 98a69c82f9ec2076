package align

import (
	"context"

	"align/internal/cost"
	"align/model"
)

// decodeTokens are drawn of every sequence at a time where decoding is measured.
const decodeTokens = 4

// decodeRuns is how often that is done; the first run is not counted.
const decodeRuns = 4

// maxCalibrationPrompt bounds the positions that a measured token looks back on.
const maxCalibrationPrompt = 64

// measureDecode is the time of a step that draws a token of every sequence: of
// models of one and two layers, from which the run's follows as training's does.
func (s *stage) measureDecode(ctx context.Context, d *draws) (seconds float64, err error) {
	if d.sequences == 0 { // a server draws
		return 0, nil
	}
	var times [2]float64
	for i := range times {
		if times[i], err = s.decodeOf(ctx, i+1, d); err != nil {
			return 0, err
		}
	}
	layer := max(times[1]-times[0], 0)
	rest := max(times[0]-layer, 0)
	rest *= float64(s.config.VocabSize) / float64(min(s.config.VocabSize, calibrationVocab))
	return float64(s.config.NumLayers)*layer + rest, nil
}

// decodeOf is that time for a model of some layers.
func (s *stage) decodeOf(ctx context.Context, depth int, d *draws) (float64, error) {
	config := s.config
	config.NumLayers, config.VocabSize = depth, min(config.VocabSize, calibrationVocab)
	stored, err := s.commonType()
	if err != nil {
		return 0, err
	}
	m, err := model.Random(config, s.backend, s.act, stored, benchSeed)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	o := DefaultBenchOptions()
	o.Batch, o.Prompt, o.Response = d.sequences, min(d.longest+d.maxNew/2, maxCalibrationPrompt), decodeTokens
	g, err := newGenerator(m, o)
	if err != nil {
		return 0, err
	}
	defer g.close()
	if err := g.prefill(); err != nil {
		return 0, err
	}
	var t timing
	for range decodeRuns {
		if err := t.add(func() error { return g.answers(ctx) }); err != nil {
			return 0, err
		}
	}
	return quietSeconds(t.wall[1:], t.core[1:], s.compute().NumThreads()) / decodeTokens, nil
}

// sampleSeconds is the time of drawing all answers once; 0 where a server does.
func (s *stage) sampleSeconds(v speed, d *draws, step float64) float64 {
	if d.sequences == 0 {
		return 0
	}
	var prompts cost.Work
	for _, n := range d.prompts {
		prompts.Add(cost.Work{Tokens: float64(n), Targets: 1, Pairs: cost.Causal(n, 0)})
	}
	return v.forwardSeconds(cost.Of(s.config, nil), prompts) + d.decodeSteps()*step
}
