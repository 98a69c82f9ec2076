package align

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"align/internal/atomicfile"
	"align/internal/basemodel"
	"align/internal/builtin"
	"align/internal/report"
	"align/internal/rollout"
	"align/internal/runfolder"
	"align/model"
)

// exportAdapter leaves the trained adapter in the run's folder as GGUF, where
// that can express it.
func (s *stage) exportAdapter() error {
	if s.full != nil || s.head != "" {
		return nil
	}
	values := model.OnDevice(s.backend, s.adapter.Value)
	path := filepath.Join(s.run, runfolder.AdapterFile)
	names := model.GGUFNames{
		Name: filepath.Base(s.run), License: basemodel.License(s.base),
		BaseModel: cmp.Or(basemodel.PublicName(s.settings.Model, s.base), filepath.Base(filepath.Clean(s.base))),
	}
	err := atomicfile.WriteFile(path, func(w io.Writer) error {
		return s.adapter.WriteAdapterGGUF(w, s.config, names, values)
	})
	if err != nil {
		s.env.note(fmt.Sprintf("no %s: %v", runfolder.AdapterFile, err))
		return nil
	}
	s.env.note("adapter as GGUF: " + path)
	return nil
}

// What is shown of the answers before and after training.
const (
	shownPrompts = 2
	shownTokens  = 48
)

// showAnswers answers held-out prompts by the policy as it was, and as it is.
// It does so for the model inside the program only: a large model's answers
// would take longer than a user expects at the end of a run.
func (s *stage) showAnswers(ctx context.Context, prompts [][]int32) error {
	if s.settings.Model != builtin.Name || s.full != nil {
		return nil
	}
	var before *model.Adapter
	if s.settings.Adapter != "" {
		var err error
		if before, _, err = s.reference("init"); err != nil {
			return err
		}
	}
	var samples []report.Sample
	for _, ids := range prompts {
		sample := report.Sample{Prompt: s.readable(ids)}
		s.env.note("prompt: " + sample.Prompt)
		for _, side := range []struct {
			name    string
			adapter *model.Adapter
			answer  *string
		}{{"before", before, &sample.Before}, {"after", s.adapter, &sample.After}} {
			text, err := s.greedy(ctx, ids, side.adapter)
			if err != nil {
				return err
			}
			*side.answer = text
			s.env.note(fmt.Sprintf("  %-6s %s", side.name, strings.ReplaceAll(text, "\n", " ")))
		}
		samples = append(samples, sample)
	}
	return s.keepSamples(samples)
}

// greedy is the likeliest answer.
func (s *stage) greedy(ctx context.Context, ids []int32, a *model.Adapter) (string, error) {
	answer := min(shownTokens, s.config.ContextLength-len(ids))
	if answer < 1 {
		return "", nil
	}
	e, err := rollout.New(s.model, a, rollout.Limits{Prompt: len(ids), Answer: answer, Sequences: 1})
	if err != nil {
		return "", err
	}
	defer e.Close()
	var text string
	o := rollout.Options{
		Sampling: rollout.Sampling{TopP: 1, RepetitionPenalty: 1}, MaxNew: answer, Samples: 1, Stop: stopIDs(s.config, s.template),
	}
	err = e.Generate(ctx, []rollout.Prompt{{IDs: ids}}, o, func(r rollout.Sample) error {
		text = s.readable(r.IDs)
		return nil
	})
	return text, err
}

// header is a role's header in Llama 3's templates, control any other control
// token.
var (
	header  = regexp.MustCompile(`<\|start_header_id\|>\w+<\|end_header_id\|>\s*`)
	control = regexp.MustCompile(`<\|[^|>]*\|>`)
)

// readable is the text of ids without headers and control tokens.
func (s *stage) readable(ids []int32) string {
	text := header.ReplaceAllString(s.tokenizer.Decode(ids), " ")
	return strings.TrimSpace(control.ReplaceAllString(text, ""))
}
