package rollout

import (
	"time"

	"align/internal/device"
)

// startDrawing lets the device draw tokens where it can: the host then reads ids
// instead of logits. A repetition penalty needs the logits here.
func (e *Engine) startDrawing(s Sampling) (err error) {
	if s.RepetitionPenalty != 1 {
		return nil
	}
	e.drawing, err = e.decoding.Drawing(device.Sampling{Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP})
	return err
}

func (e *Engine) endDrawing() {
	e.drawing.Close()
	e.drawing = nil
}

// stepDrawn is the rest of a step where the device draws.
func (e *Engine) stepDrawn(running []*sequence, o Options, emit func(Sample) error) error {
	n := len(running)
	draws, ids, logProbs := make([]float64, n), make([]int32, n), make([]float64, n)
	for i, s := range running {
		draws[i] = uniform(s.key, len(s.sample.IDs))
	}
	start := time.Now()
	if err := e.drawing.Decode(&e.batch, draws, ids, logProbs); err != nil {
		return err
	}
	start = e.stats.step(n, start)
	defer e.stats.draw(start)
	for i, s := range running {
		if err := e.extend(s, drawn{ids[i], logProbs[i]}, o, emit); err != nil {
			return err
		}
	}
	return nil
}
