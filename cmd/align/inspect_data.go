package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/records"
	"align/internal/tokenizer"
	"align/model"
)

// dataOptions say how a data file becomes tokens, as in training.
type dataOptions struct {
	model, template, mapping string
	overlong, badRecords     string
	preset, lossOn           string
	maxLength                int
	show                     int // records to draw
}

// dataset is what inspect finds in a data file.
type dataset struct {
	tokenizer *tokenizer.Tokenizer
	template  string // name, with the reason of the choice
	summary   datasets.Summary
	examples  []datasets.Example
	pairs     []datasets.Pair
	unpaired  []datasets.Unpaired
	prompts   []datasets.Prompt
	view      presetView
	mixture   []fact // what a mixture takes of the file
}

func (o *dataOptions) check() error {
	var errs []error
	if o.show < 0 || o.maxLength < 0 {
		errs = append(errs, fmt.Errorf("--show and --max-length must not be negative, got %d and %d", o.show, o.maxLength))
	}
	if _, err := o.look(); err != nil {
		errs = append(errs, fmt.Errorf("--preset: %w", err))
	}
	return errors.Join(errs...)
}

// inspectData reads the whole file as a training command would.
func inspectData(ctx context.Context, path string, o dataOptions) (*dataset, error) {
	view, err := o.look()
	if err != nil {
		return nil, err
	}
	t, err := basemodel.OpenTokenizer(o.model)
	if err != nil {
		return nil, err
	}
	template, reason, err := datasets.ChooseTemplate(o.template, t)
	if err != nil {
		return nil, err
	}
	mapping, err := datasets.ParseMapping(o.mapping)
	if err != nil {
		return nil, err
	}
	isPairs, err := holdsAll(path, mapping, datasets.PairFormats())
	if err != nil {
		return nil, err
	}
	isUnpaired, err := holdsAll(path, mapping, datasets.UnpairedFormats())
	if err != nil {
		return nil, err
	}
	isExamples, err := holdsAll(path, mapping, datasets.ExampleFormats())
	if err != nil {
		return nil, err
	}
	// An instruction alone is more likely an example whose answer has a foreign name.
	isPrompts, err := holdsAll(path, mapping, datasets.PromptFormats()[:1])
	if err != nil {
		return nil, err
	}
	if view.preset != nil && !isPairs {
		return nil, errNotPairs
	}
	if o.lossOn != datasets.LossOnAssistant && (isPairs || isUnpaired || isPrompts && !isExamples) {
		return nil, fmt.Errorf("--loss-on is of examples, %s holds none", path)
	}
	d := &dataset{view: view, tokenizer: t, template: fmt.Sprintf("%s (%s)", template.Name(), reason)}
	options := datasets.Options{Template: template, MaxLength: o.length(), Overlong: o.overlong, BadRecords: o.badRecords, LossOn: o.lossOn, Map: mapping}
	switch {
	case isPairs:
		d.pairs, d.summary, err = datasets.ReadPairs(ctx, path, options)
	case isUnpaired:
		d.unpaired, d.summary, err = datasets.ReadUnpaired(ctx, path, options)
	case isPrompts && !isExamples:
		d.prompts, d.summary, err = datasets.ReadPrompts(ctx, path, options)
	default:
		d.examples, d.summary, err = datasets.ReadExamples(ctx, path, options)
	}
	return d, err
}

// length is the limit that was asked for, or that of a training run.
func (o dataOptions) length() int {
	if o.maxLength > 0 {
		return o.maxLength
	}
	const usual = 2048 // as in training
	path, err := basemodel.Resolve(o.model)
	if err != nil {
		return usual // a tokenizer file
	}
	c, err := model.ReadConfig(path)
	if err != nil {
		return usual // a tokenizer alone has no context
	}
	return min(usual, c.ContextLength)
}

// holdsAll says whether the first record has the columns of one of the formats.
func holdsAll(path string, mapping datasets.Mapping, formats []datasets.Format) (bool, error) {
	file, err := records.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	first, err := file.Next()
	var bad *records.RecordError
	if errors.Is(err, io.EOF) || errors.As(err, &bad) {
		return false, nil // the reader of examples tells what is wrong
	}
	if err != nil {
		return false, err
	}
	has := func(column string) bool {
		if theirs, ok := mapping[column]; ok {
			column = theirs
		}
		_, ok := first.Get(column)
		return ok
	}
	return slices.ContainsFunc(formats, func(f datasets.Format) bool {
		return !slices.ContainsFunc(f.Columns, func(column string) bool { return !has(column) })
	}), nil
}

// facts are the counts, lengths and reasons.
func (d *dataset) facts() []fact {
	s := d.summary
	kind := "examples"
	switch {
	case d.pairs != nil:
		kind = "pairs"
	case d.unpaired != nil:
		kind = "labelled answers"
	case d.prompts != nil:
		kind = "prompts"
	}
	dropped := []string{}
	for _, drop := range s.Dropped {
		dropped = append(dropped, drop.String())
	}
	facts := append([]fact{
		{"kind", kind}, {"file", s.File}, {"container", s.Container}, {"format", s.Format}, {"template", d.template},
		{"records", s.Read}, {"kept", s.Kept}, {"dropped", dropped}, {"not_read", append([]string{}, s.Unread...)},
		{"truncated", s.Truncated}, {"truncated_tokens", s.TruncatedTokens},
		{"tokens", s.Tokens}, {"target_tokens", s.Targets},
		{"shortest", s.Lengths.Min}, {"mean_length", s.Lengths.Mean()}, {"longest", s.Lengths.Max},
		{"lengths", lengthRows(s.Lengths)},
	}, d.view.facts(d.pairs)...)
	if d.unpaired != nil {
		desirable := 0
		for _, u := range d.unpaired {
			if u.Desirable {
				desirable++
			}
		}
		facts = append(facts, fact{"desirable", desirable}, fact{"undesirable", len(d.unpaired) - desirable})
	}
	return append(facts, d.mixture...)
}

// histogramWidth is the longest bar, in cells.
const histogramWidth = 40

// lengthRows draws a histogram, one row for each power of two.
func lengthRows(h datasets.Histogram) []string {
	rows := []string{}
	most := slices.Max(append([]int{1}, h.Counts...))
	for i, n := range h.Counts {
		if n > 0 {
			rows = append(rows, fmt.Sprintf("up to %6d: %6d %s", 1<<i, n, bar((n*histogramWidth+most-1)/most)))
		}
	}
	return rows
}

func bar(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '#'
	}
	return string(b)
}
