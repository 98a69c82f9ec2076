package main

import (
	"errors"
	"fmt"
	"strconv"

	"align/datasets"
)

// presetView is what a preset makes of a file of pairs. The zero value is of
// no preset: all tokens of both answers are in the preference loss.
type presetView struct {
	preset     *preset
	maskFormat bool
}

// look finds the preset for a data file, and takes the length that it sets
// where no other was asked for.
func (o *dataOptions) look() (presetView, error) {
	if o.preset == "" {
		return presetView{}, nil
	}
	f := presetFlag{method: "dpo"}
	if err := f.Set(o.preset); err != nil {
		return presetView{}, err
	}
	if text := f.chosen.value("max_length"); text != "" && o.maxLength == 0 {
		length, err := strconv.Atoi(text)
		if err != nil {
			return presetView{}, fmt.Errorf("preset %s: max_length: %w", o.preset, err)
		}
		o.maxLength = length
	}
	return presetView{preset: f.chosen, maskFormat: f.chosen.value("mask_format") == "on"}, nil
}

// errNotPairs is of a preset for a file of examples.
var errNotPairs = errors.New("--preset is of preference pairs, and the file has none: leave it out")

// lossMask says which tokens of an answer are in the preference loss; format
// marks header and termination tokens.
func (v presetView) lossMask(ids []int32, format []bool) []bool {
	mask := all(len(ids))
	if !v.maskFormat {
		return mask
	}
	for i, f := range format {
		mask[i] = !f
	}
	return mask
}

// facts are the preset's values and what it leaves out of the file's pairs.
func (v presetView) facts(pairs []datasets.Pair) []fact {
	if v.preset == nil {
		return nil
	}
	masked, tokens := 0, 0
	for _, p := range pairs {
		masked += v.masked(p.Chosen, p.ChosenFormat) + v.masked(p.Rejected, p.RejectedFormat)
		tokens += len(p.Chosen) + len(p.Rejected)
	}
	return []fact{{"preset", v.preset.String()}, {"answer_tokens", tokens}, {"masked_tokens", masked}}
}

func (v presetView) masked(ids []int32, format []bool) int {
	n := 0
	for _, in := range v.lossMask(ids, format) {
		if !in {
			n++
		}
	}
	return n
}

// note says over the drawn pairs what the preset leaves out; "" says nothing.
func (v presetView) note() string {
	switch {
	case v.preset == nil:
		return ""
	case !v.maskFormat:
		return "preset " + v.preset.name + " leaves no token of the answers out of the preference loss"
	}
	return "preset " + v.preset.name + " leaves header and end-of-turn tokens of both answers out of the preference loss;\nits NLL on the chosen answer keeps them"
}

// title is the line over an answer: its side and how much of it counts.
func (v presetView) title(side string, ids []int32, format []bool) string {
	if v.preset == nil {
		return side
	}
	return fmt.Sprintf("%s: %d of %d tokens in the preference loss", side, len(ids)-v.masked(ids, format), len(ids))
}
