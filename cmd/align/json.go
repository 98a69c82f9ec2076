package main

import (
	"io"

	"github.com/go-json-experiment/json"
)

// printJSON prints v as one line of JSON.
func printJSON(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
