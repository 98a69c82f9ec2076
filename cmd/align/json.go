package main

import (
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Every object of --json begins with "v", the version of its members: it changes
// where one goes or means something else, not where one comes in. Errors are
// lines on stderr, with --json as without, and the exit code tells of them.

// printJSON prints v as one line of JSON.
func printJSON(w io.Writer, v any) error {
	line, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// printFactsJSON prints facts as one object, in their order.
func printFactsJSON(w io.Writer, facts []fact) error {
	line := []byte(`{"v":1`)
	for _, f := range facts {
		name, err := jsontext.AppendQuote(nil, f.name)
		if err != nil {
			return err
		}
		value, err := json.Marshal(f.value, json.Deterministic(true))
		if err != nil {
			return err
		}
		line = append(append(append(append(line, ','), name...), ':'), value...)
	}
	_, err := w.Write(append(line, '}', '\n'))
	return err
}
