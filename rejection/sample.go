package rejection

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/atomicfile"
	"align/internal/rollout"
	"align/internal/score"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Job is one rejection sampling job, or one shard of it.
type Job struct {
	Config    Config
	Prompts   []Prompt // of all shards
	Generator rollout.Generator
	Scorer    score.Scorer
	// Decode is the text of ids.
	Decode func([]int32) string
	// Stop ids end an answer and are no part of its text; Context is the policy's, in
	// which prompt and answer end.
	Stop    []int32
	Context int
	// Model and Reward are content hashes of what samples and what scores.
	Model, Reward string
	// Shape tells policies apart whose content is the same and which compute otherwise.
	Shape string
	// Held are further values that samples or scores hang on, by name: the journal keeps
	// them, and a job that goes on is held to them by [CheckHeld].
	Held map[string]string
	// Begun, if not nil, is called once the folder is known to hold this job or none.
	Begun func() error
	// Progress, if not nil, is called with the samples done and in all.
	Progress func(done, total int)
}

// Summary is summary.json: what was done, and which job the part is of.
type Summary struct {
	Job   string `json:"job"`
	Shard string `json:"shard"`
	// Repeated prompts of the file were left out.
	Repeated int `json:"repeated"`
	// Held is what the samples were drawn with, as far as the parts of a job had the
	// same; one of an earlier version tells nothing.
	Held map[string]string `json:"held,omitempty"`
	Counts
}

// Run samples, scores and writes the files to Config.Out. What was done before
// an interruption is not done again.
func (j *Job) Run(ctx context.Context) (Summary, error) {
	if err := j.Config.Validate(); err != nil {
		return Summary{}, err
	}
	shard, err := parseShard(j.Config.Shard)
	if err != nil {
		return Summary{}, err
	}
	list, repeated, err := deal(j.Prompts, shard)
	if err != nil {
		return Summary{}, err
	}
	if err := j.open(); err != nil {
		return Summary{}, err
	}
	job := j.identity()
	log, err := openJournal(j.Config.Out, entry{Job: job + " " + shard.String(), Held: j.Held}, j.Config.Resume)
	if err != nil {
		return Summary{}, err
	}
	if j.Begun != nil {
		err = j.Begun()
	}
	if err == nil {
		err = j.fill(ctx, log, list)
	}
	if err != nil {
		return Summary{}, errors.Join(err, log.file.Close())
	}
	s := Summary{Job: job, Shard: shard.String(), Repeated: repeated, Held: log.held}
	if err := writeResult(j.Config, j.rows(log, list), &s); err != nil {
		return Summary{}, errors.Join(err, log.file.Close())
	}
	return s, log.finish()
}

// open makes the folder.
func (j *Job) open() error {
	if j.Config.Out == "" {
		return errors.New("rejection: out is missing: the folder to write")
	}
	if err := CheckFolder(j.Config.Out, j.Config.Resume); err != nil {
		return err
	}
	if _, err := CheckHeld(j.Config.Out, j.Held); err != nil {
		return err
	}
	if err := os.MkdirAll(j.Config.Out, 0o755); err != nil {
		return fmt.Errorf("rejection: %w", err)
	}
	return nil
}

// identity is a hash of all that samples and scores hang on, the shard aside.
func (j *Job) identity() string {
	h := sha256.New()
	c := j.Config
	fmt.Fprintln(h, j.Model, j.Shape, j.Reward, c.Scorer, c.K, c.MaxNew, c.Temperature, c.TopP, c.TopK, c.MinP, c.Seed, j.Stop)
	if c.Generator != "" {
		fmt.Fprintln(h, "by a server") // wherever it is
	}
	for _, p := range j.Prompts {
		sum := p.hash()
		h.Write(sum[:])
		h.Write(p.Source)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// fill draws the missing samples of the prompts and scores each prompt's as
// soon as all are there.
func (j *Job) fill(ctx context.Context, log *journal, list []work) error {
	c := j.Config
	prompts := make([]rollout.Prompt, len(list))
	done, total := 0, len(list)*c.K
	for i, w := range list {
		known := log.of(w.name)
		prompts[i] = rollout.Prompt{IDs: w.IDs, Key: w.key}
		for at := range known.samples {
			prompts[i].Have = append(prompts[i].Have, at)
		}
		done += len(known.samples)
		if err := j.score(ctx, log, w); err != nil {
			return err
		}
	}
	o := rollout.Options{Sampling: c.sampling(), MaxNew: c.MaxNew, Context: j.Context, Samples: c.K, Seed: c.Seed, Stop: j.Stop}
	return j.Generator.Generate(ctx, prompts, o, func(s rollout.Sample) error {
		w := list[s.Prompt]
		if err := log.write(entry{Prompt: w.name, Sample: s.Index, IDs: s.IDs, LogProbs: s.LogProbs, Finish: s.Finish}); err != nil {
			return err
		}
		if done++; j.Progress != nil {
			j.Progress(done, total)
		}
		return j.score(ctx, log, w)
	})
}

// score scores a prompt's samples where all are there and none has a score.
func (j *Job) score(ctx context.Context, log *journal, w work) error {
	known := log.of(w.name)
	if len(known.samples) < j.Config.K || known.scores != nil {
		return nil
	}
	items := make([]score.Item, j.Config.K)
	for i := range items {
		ids := known.samples[i].IDs
		items[i] = score.Item{Prompt: w.Text, Messages: w.Messages, Response: j.text(ids), Reference: w.Reference, PromptIDs: w.IDs, ResponseIDs: ids}
	}
	scores, err := score.All(ctx, j.Scorer, items)
	if err != nil {
		return fmt.Errorf("rejection: %s: %w", w.Place, err)
	}
	return log.write(entry{Prompt: w.name, Scores: scores})
}

// text is an answer's text without the id that ended it; bytes that are no
// UTF-8 become U+FFFD, as JSON has it.
func (j *Job) text(ids []int32) string {
	if n := len(ids); n > 0 && slices.Contains(j.Stop, ids[n-1]) {
		ids = ids[:n-1]
	}
	return strings.ToValidUTF8(j.Decode(ids), "\uFFFD")
}

// rows are the lines of samples.jsonl.
func (j *Job) rows(log *journal, list []work) []Row {
	rows := make([]Row, len(list))
	for n, w := range list {
		known := log.of(w.name)
		r := Row{Index: w.index, Prompt: w.Source, Tools: w.Tools, Reference: w.Reference, Scores: known.scores, Model: j.Model, Reward: j.Reward}
		if r.Prompt == nil {
			r.Prompt, _ = json.Marshal(strings.ToValidUTF8(w.Text, "\uFFFD"))
		}
		for i := range j.Config.K {
			s := known.samples[i]
			r.Responses = append(r.Responses, j.text(s.IDs))
			r.LogProbs = append(r.LogProbs, s.LogProbs)
			r.FinishReasons = append(r.FinishReasons, s.Finish)
			r.Seeds = append(r.Seeds, fmt.Sprintf("%016x", rollout.SampleKey(j.Config.Seed, w.key, i)))
		}
		rows[n] = r
	}
	return rows
}

// writeResult writes the four files; the summary, which says that the job is
// done, last.
func writeResult(c Config, rows []Row, s *Summary) error {
	examples, pairs, counts := Choose(rows, c)
	s.Counts = counts
	if err := errors.Join(writeLines(c.Out, SamplesFile, rows), writeLines(c.Out, SFTFile, examples), writeLines(c.Out, PairsFile, pairs)); err != nil {
		return err
	}
	data, err := json.Marshal(s, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("rejection: %s: %w", SummaryFile, err)
	}
	return atomicfile.WriteFile(filepath.Join(c.Out, SummaryFile), atomicfile.Bytes(append(data, '\n')))
}
