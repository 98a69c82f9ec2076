package mlflow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Environment variables of MLflow's own clients that carry credentials.
const (
	EnvToken    = "MLFLOW_TRACKING_TOKEN"
	EnvUser     = "MLFLOW_TRACKING_USERNAME"
	EnvPassword = "MLFLOW_TRACKING_PASSWORD"
)

// Target is where runs are posted to.
type Target struct {
	URL        string // of the server, without a slash at the end
	Experiment string
}

// DefaultExperiment is the experiment of a target that names none.
const DefaultExperiment = "align"

// ParseTarget reads "http://host:5000" or "http://host:5000#experiment".
// Credentials have no place in it: it is stored with the run's settings.
func ParseTarget(text string) (Target, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Target{}, errors.New("mlflow: the URL cannot be read: want http://HOST:PORT")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return Target{}, fmt.Errorf("mlflow: %q is no URL of a server: want http://HOST:PORT", u.Redacted())
	case u.User != nil:
		return Target{}, fmt.Errorf("mlflow: the URL holds credentials: put them into %s, or %s and %s", EnvToken, EnvUser, EnvPassword)
	case u.RawQuery != "":
		return Target{}, errors.New("mlflow: the URL has a query: want http://HOST:PORT, then #EXPERIMENT if it is to be another than " + DefaultExperiment)
	}
	t := Target{URL: strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), Experiment: u.Fragment}
	if t.Experiment == "" {
		t.Experiment = DefaultExperiment
	}
	return t, nil
}

// refusal is an answer that another try would not change.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// client speaks MLflow's REST API.
type client struct {
	url  string
	http *http.Client
	wait time.Duration // before another try
}

// tries of one call before the run waits longer.
const tries = 3

// call posts in and reads the answer into out, which may be nil. Faults that
// may pass are no refusals and are tried again: those of the network, 429, 5xx.
func (c *client) call(ctx context.Context, method, path string, in, out any) (err error) {
	for range tries {
		var no *refusal
		if err = c.try(ctx, method, path, in, out); err == nil || errors.As(err, &no) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(c.wait):
		case <-ctx.Done():
		}
	}
	return err
}

func (c *client) try(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return &refusal{err.Error()}
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+"/api/2.0/mlflow/"+path, body)
	if err != nil {
		return &refusal{err.Error()}
	}
	r.Header.Set("Content-Type", "application/json")
	authorise(r)
	answer, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode == http.StatusOK {
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(data, out); err != nil {
			return &refusal{fmt.Sprintf("%s: the answer is not MLflow's: %v", path, err)}
		}
		return nil
	}
	return refused(answer.StatusCode, path, data)
}

// refused is the error of an answer that is not OK.
func refused(status int, path string, data []byte) error {
	var told struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	text := fmt.Sprintf("%s: %d %s", path, status, http.StatusText(status))
	if json.Unmarshal(data, &told) == nil && told.Code != "" {
		message, _, _ := strings.Cut(told.Message, "\n")
		text += fmt.Sprintf(" (%s: %.200s)", told.Code, message)
	}
	if status == http.StatusTooManyRequests || status >= 500 {
		return errors.New(text)
	}
	return &refusal{text}
}

// authorise adds the credentials of the environment.
func authorise(r *http.Request) {
	if token := os.Getenv(EnvToken); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
		return
	}
	if user := os.Getenv(EnvUser); user != "" {
		r.SetBasicAuth(user, os.Getenv(EnvPassword))
	}
}

// experiment finds or makes the experiment.
func (c *client) experiment(ctx context.Context, name string) (string, error) {
	var found struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	err := c.call(ctx, http.MethodGet, "experiments/get-by-name?experiment_name="+url.QueryEscape(name), nil, &found)
	if err == nil && found.Experiment.ID != "" {
		return found.Experiment.ID, nil
	}
	if r := (*refusal)(nil); err != nil && (!errors.As(err, &r) || !strings.Contains(r.text, "RESOURCE_DOES_NOT_EXIST")) {
		return "", err
	}
	var made struct {
		ID string `json:"experiment_id"`
	}
	err = c.call(ctx, http.MethodPost, "experiments/create", map[string]any{"name": name}, &made)
	return made.ID, err
}

// createRun makes a run and returns its id.
func (c *client) createRun(ctx context.Context, experiment, name string, started time.Time) (string, error) {
	var made struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	err := c.call(ctx, http.MethodPost, "runs/create", map[string]any{
		"experiment_id": experiment, "run_name": name, "start_time": started.UnixMilli(),
		"tags": []map[string]string{{"key": "mlflow.source.name", "value": "align"}},
	}, &made)
	if err == nil && made.Run.Info.ID == "" {
		err = &refusal{"runs/create: the answer names no run"}
	}
	return made.Run.Info.ID, err
}
