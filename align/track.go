package align

import (
	"path/filepath"
	"strings"

	"align/internal/mlflow"
	"align/internal/train"
)

// numbers are an event's names and values, as dashboards show them.
func numbers(e train.Event) (names []string, values []float64) {
	if !e.Evaluation {
		names = []string{"loss", "grad_norm", "learning_rate", "tokens_per_second"}
		values = []float64{e.Loss, e.GradNorm, e.LearningRate, e.TokensPerSecond}
	}
	for _, m := range e.Metrics {
		names, values = append(names, m.Name), append(values, m.Value())
	}
	return names, values
}

// tracked posts each event to an MLflow server.
type tracked struct {
	train.Reporter
	run *mlflow.Run
}

func (t *tracked) Stepped(e train.Event) {
	t.Reporter.Stepped(e)
	names, values := numbers(e)
	t.run.Add(e.Step, names, values)
}

// track is the reporter with the tracking server that the settings name, if
// they do; end tells the server how the run ended. A resumed run is a new one
// there.
func (s *stage) track(r train.Reporter) (_ train.Reporter, end func(train.Result, error)) {
	text, ok := strings.CutPrefix(s.settings.Track, train.TrackMLflow)
	target, err := mlflow.ParseTarget(text)
	if !ok || err != nil { // Validate has told it
		return r, func(train.Result, error) {}
	}
	params := []mlflow.Param{{Key: "method", Value: s.method}}
	for _, f := range s.asked {
		if value := f.String(); value != "" {
			params = append(params, mlflow.Param{Key: f.Key, Value: value})
		}
	}
	run := mlflow.Open(target, filepath.Base(s.run), params, mlflow.Options{}, s.env.note)
	return &tracked{r, run}, func(r train.Result, err error) { run.Close(ending(r, err)) }
}

func ending(r train.Result, err error) string {
	switch {
	case err != nil:
		return mlflow.Failed
	case r.Ended >= train.Interrupt:
		return mlflow.Killed
	}
	return mlflow.Finished
}
