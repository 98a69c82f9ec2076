package rejection

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"align/internal/rollout"

	"github.com/go-json-experiment/json"
)

// journalFile keeps the samples of a job that is not done. It goes when the
// job's files are written.
const journalFile = "journal.jsonl"

// entry is one line of the journal: the job's identity and what it is held to (the
// first line), a sample, or the scores of a prompt's samples.
type entry struct {
	Job      string            `json:"job,omitzero"`
	Held     map[string]string `json:"held,omitempty"`
	Prompt   string            `json:"prompt,omitzero"`
	Sample   int               `json:"sample,omitzero"`
	IDs      []int32           `json:"ids,omitempty"`
	LogProbs []float64         `json:"logprobs,omitempty"`
	Finish   string            `json:"finish,omitzero"`
	Scores   []float64         `json:"scores,omitempty"`
}

// state is what the journal holds of one prompt.
type state struct {
	samples map[int]rollout.Sample
	scores  []float64
}

// journal is the file, open at its end.
type journal struct {
	file  *os.File
	held  map[string]string // what the first line tells
	known map[string]*state
}

// openJournal begins a job's journal by its first line, or goes on with it. It is an
// error where there is one and resume is false, or where it is another job's.
func openJournal(dir string, first entry, resume bool) (*journal, error) {
	path := filepath.Join(dir, journalFile)
	if !resume && begun(dir) {
		return nil, fmt.Errorf("rejection: %s holds an unfinished job: resume it or take another folder", dir)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) // the folder is this process's: Rejection claims it
	if err != nil {
		return nil, fmt.Errorf("rejection: %w", err)
	}
	j := &journal{file: f, known: map[string]*state{}}
	if err := j.read(first); err != nil {
		f.Close()
		return nil, fmt.Errorf("rejection: %s: %w", path, err)
	}
	return j, nil
}

// read takes in the whole lines and cuts off what a crash left of the last.
func (j *journal) read(first entry) error {
	keep := int64(0)
	lines := bufio.NewReader(j.file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		var e entry
		if err == io.EOF || json.Unmarshal(line, &e) != nil {
			break
		}
		if keep == 0 && e.Job != first.Job {
			return errors.New("it is of a job with other prompts, settings, model or scorer")
		}
		if keep == 0 {
			j.held = e.Held
		}
		j.take(e)
		keep += int64(len(line))
	}
	if err := j.file.Truncate(keep); err != nil {
		return err
	}
	if _, err := j.file.Seek(keep, io.SeekStart); err != nil {
		return err
	}
	if keep > 0 {
		return nil
	}
	j.held = first.Held
	return j.write(first)
}

func (j *journal) take(e entry) {
	if e.Prompt == "" {
		return
	}
	s := j.of(e.Prompt)
	if e.Scores != nil {
		s.scores = e.Scores
		return
	}
	s.samples[e.Sample] = rollout.Sample{Index: e.Sample, IDs: e.IDs, LogProbs: e.LogProbs, Finish: e.Finish}
}

// of is what is known of a prompt.
func (j *journal) of(prompt string) *state {
	s := j.known[prompt]
	if s == nil {
		s = &state{samples: map[int]rollout.Sample{}}
		j.known[prompt] = s
	}
	return s
}

func (j *journal) write(e entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("rejection: journal: %w", err)
	}
	if _, err := j.file.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("rejection: journal: %w", err)
	}
	j.take(e)
	return nil
}

// finish removes the journal of a job that is done.
func (j *journal) finish() error {
	return errors.Join(j.file.Close(), os.Remove(j.file.Name()))
}
