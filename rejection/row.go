package rejection

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"align/internal/atomicfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The files of a job's folder.
const (
	SamplesFile = "samples.jsonl"
	SFTFile     = "sft.jsonl"
	PairsFile   = "pairs.jsonl"
	SummaryFile = "summary.json"
)

// Row is one line of samples.jsonl: a prompt with all its answers. LogProbs are
// per token, in nats, under the sampling policy; Seeds are the answers' own, in
// hexadecimal.
type Row struct {
	// Index is the prompt's place in the file of prompts, from 0.
	Index         int              `json:"index"`
	Prompt        jsontext.Value   `json:"prompt"`
	Tools         []jsontext.Value `json:"tools,omitempty"`
	Reference     string           `json:"reference,omitzero"`
	Responses     []string         `json:"responses"`
	Scores        []float64        `json:"scores"`
	LogProbs      [][]float64      `json:"logprobs"`
	FinishReasons []string         `json:"finish_reasons"`
	Seeds         []string         `json:"seeds"`
	Model         string           `json:"model"`
	Reward        string           `json:"reward"`
}

// check holds a row that was read to K answers of everything.
func (r Row) check() error {
	k := len(r.Responses)
	if k == 0 || len(r.Scores) != k || len(r.LogProbs) != k || len(r.FinishReasons) != k || len(r.Seeds) != k || len(r.Prompt) == 0 {
		return fmt.Errorf("%d responses, %d scores, %d logprobs, %d finish_reasons, %d seeds: want as many of each, and a prompt",
			k, len(r.Scores), len(r.LogProbs), len(r.FinishReasons), len(r.Seeds))
	}
	return nil
}

// ReadRows reads a samples.jsonl.
func ReadRows(path string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("rejection: %w", err)
	}
	defer f.Close()
	var rows []Row
	for lines, n := bufio.NewReader(f), 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return rows, nil
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("rejection: %w", err)
		}
		var r Row
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("rejection: %s:%d: %w", path, n, err)
		}
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("rejection: %s:%d: %w", path, n, err)
		}
		rows = append(rows, r)
	}
}

// writeLines writes one JSON object per line, all or nothing.
func writeLines[T any](dir, name string, rows []T) error {
	return atomicfile.WriteFile(filepath.Join(dir, name), func(w io.Writer) error {
		for i := range rows {
			data, err := json.Marshal(rows[i])
			if err != nil {
				return fmt.Errorf("rejection: %s:%d: %w", name, i+1, err)
			}
			if _, err := w.Write(append(data, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}
