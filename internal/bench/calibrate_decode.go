package bench

import (
	"context"

	"align/model"
)

// decodeTokens are drawn of every sequence at a time where decoding is measured.
const decodeTokens = 4

// decodeRuns is how often that is done; the first run is not counted.
const decodeRuns = 4

// maxCalibrationPrompt bounds the positions that a measured token looks back on.
const maxCalibrationPrompt = 64

// DecodeSeconds is the time of a step that draws a token of every sequence, behind
// so many positions: of models of one and two layers, from which the run's follows as
// training's does.
func (p Planned) DecodeSeconds(ctx context.Context, sequences, positions int) (seconds float64, err error) {
	var times [2]float64
	for i := range times {
		if times[i], err = p.decodeOf(ctx, i+1, sequences, positions); err != nil {
			return 0, err
		}
	}
	layer := max(times[1]-times[0], 0)
	rest := max(times[0]-layer, 0)
	rest *= float64(p.Config.VocabSize) / float64(min(p.Config.VocabSize, calibrationVocab))
	return float64(p.Config.NumLayers)*layer + rest, nil
}

// decodeOf is that time for a model of some layers.
func (p Planned) decodeOf(ctx context.Context, depth, sequences, positions int) (float64, error) {
	config := p.Config
	config.NumLayers, config.VocabSize = depth, min(config.VocabSize, calibrationVocab)
	m, err := model.Random(config, p.Backend, p.Act, p.Stored, seed)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	o := DefaultOptions()
	o.Batch, o.Prompt, o.Response = sequences, min(positions, maxCalibrationPrompt), decodeTokens
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
	return quietSeconds(t.wall[1:], t.core[1:], p.Compute.NumThreads()) / decodeTokens, nil
}
