package rounds

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/jsonfile"
	"align/rejection"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// samples is one round's rejection sampling.
type samples struct {
	folder string
	// judge tells whose the scores are: those of different ones do not compare.
	judge string
}

// gather writes the best answers of all rounds so far to a file and returns how
// many there are and how many are of earlier rounds. Of a prompt the answer with
// the highest score is kept, the newest of equals; answers that another judge
// scored stay beside it.
func gather(rounds []samples, path string) (total, earlier int, err error) {
	type place struct{ prompt, judge string }
	var kept []rejection.Example
	var of []int // the round of each
	at := map[place]int{}
	for r, s := range rounds {
		examples, err := readExamples(filepath.Join(s.folder, rejection.SFTFile))
		if err != nil {
			return 0, 0, err
		}
		for _, e := range examples {
			key := place{string(e.Prompt), s.judge}
			i, known := at[key]
			switch {
			case !known:
				at[key] = len(kept)
				kept, of = append(kept, e), append(of, r)
			case e.Score >= kept[i].Score:
				kept[i], of[i] = e, r
			}
		}
	}
	for _, r := range of {
		if r < len(rounds)-1 {
			earlier++
		}
	}
	return len(kept), earlier, writeExamples(path, kept)
}

func readExamples(path string) ([]rejection.Example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []rejection.Example
	d := jsontext.NewDecoder(bufio.NewReader(f))
	for {
		var e rejection.Example
		err := json.UnmarshalDecode(d, &e)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: example %d: %w", path, len(list)+1, err)
		}
		list = append(list, e)
	}
}

func writeExamples(path string, list []rejection.Example) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		for _, e := range list {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// readSummary reads what a rejection sampling job counted.
func readSummary(folder string) (rejection.Summary, error) {
	var s rejection.Summary
	data, err := os.ReadFile(filepath.Join(folder, rejection.SummaryFile))
	if err != nil {
		return s, err
	}
	if err := jsonfile.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(folder, rejection.SummaryFile), err)
	}
	return s, nil
}
