package rejection

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/config"
)

// CheckFolder refuses the folder of a job where it holds one that is done, one that
// is not and should not go on, or files of other work that the job would write over.
func CheckFolder(out string, resume bool) error {
	switch {
	case holds(out, SummaryFile):
		return fmt.Errorf("rejection: %s holds a finished job: take another folder", out)
	case begun(out) && resume:
		return nil
	case begun(out):
		return fmt.Errorf("rejection: %s holds an unfinished job: resume it or take another folder", out)
	}
	for _, name := range []string{SamplesFile, SFTFile, PairsFile} {
		if holds(out, name) {
			return fmt.Errorf("rejection: %s holds %s, which the job would write over: take another folder", out, name)
		}
	}
	return nil
}

// CheckJob refuses a folder that no job has begun in.
func CheckJob(out string) error {
	for _, name := range []string{journalFile, SummaryFile, "run.yaml"} {
		if holds(out, name) {
			return nil
		}
	}
	return fmt.Errorf("--resume: %s is no job of rejection", out)
}

// begun says whether a folder holds a journal with anything in it: an empty one is all
// that a full disk, or a kill, left of a job that came no further.
func begun(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, journalFile))
	return err == nil && info.Size() > 0
}

func holds(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// ofTheDraws are the settings that a job's samples and scores hang on, beside the
// prompts and the weights.
var ofTheDraws = []string{"scorer", "k", "max_new", "temperature", "top_p", "top_k", "min_p", "seed", "shard"}

// SameDraws names every setting of the draws that is another than the job began with.
func (c Config) SameDraws(began Config) error {
	var other []string
	now, then := config.Fields(&c), config.Fields(&began)
	for i, f := range now {
		if slices.Contains(ofTheDraws, f.Key) && f.String() != then[i].String() {
			other = append(other, fmt.Sprintf("%s is %q, the job began with %q", f.Key, f.String(), then[i].String()))
		}
	}
	if len(other) == 0 {
		return nil
	}
	return errors.New("resume: " + strings.Join(other, "; ") + ": leave that out to go on with " + c.Out + ", or take another folder")
}
