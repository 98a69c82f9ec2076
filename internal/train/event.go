package train

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is what is known after an optimizer step, or after an evaluation.
type Event struct {
	// Step counts from 1; an evaluation before the first step has 0.
	Step, Steps  int
	Epoch        float64
	Loss         float64 // before the update
	GradNorm     float64
	LearningRate float64
	NumTokens    int64 // cumulative
	// Metrics are the method's, under TRL's names.
	Metrics Metrics
	// Evaluation events carry Metrics under eval_ names and nothing of the
	// fields from Loss to LearningRate.
	Evaluation bool
	// Elapsed is the time of this step; TokensPerSecond its rate.
	Elapsed         time.Duration
	TokensPerSecond float64
	Remaining       time.Duration
}

// JSONVersion is the "v" of every JSON line; it changes when a field changes
// its meaning or goes.
const JSONVersion = 1

// AppendJSON appends the event as one JSON object. Numbers are in the shortest
// form that reads back to the same bits, null where they are NaN or infinite;
// times are left out, so that a run's lines are the same every time.
func (e Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, JSONVersion, 10)
	b = append(b, `,"step":`...)
	b = strconv.AppendInt(b, int64(e.Step), 10)
	if !e.Evaluation {
		b = appendNumber(b, "loss", e.Loss)
		b = appendNumber(b, "grad_norm", e.GradNorm)
		b = appendNumber(b, "learning_rate", e.LearningRate)
	}
	b = append(b, `,"num_tokens":`...)
	b = strconv.AppendInt(b, e.NumTokens, 10)
	b = appendNumber(b, "epoch", e.Epoch)
	for _, m := range e.Metrics {
		b = appendNumber(b, m.Name, m.Value())
	}
	return append(b, '}')
}

func appendNumber(b []byte, name string, v float64) []byte {
	b = append(b, ',')
	b, _ = jsontext.AppendQuote(b, name)
	b = append(b, ':')
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...) // JSON has no such numbers
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// Reporter is told what happens in a run. It is called from the loop's
// goroutine, in order.
type Reporter interface {
	// Stepped follows every optimizer step, and every evaluation.
	Stepped(Event)
	// Saved follows every checkpoint.
	Saved(path string, step int)
}
