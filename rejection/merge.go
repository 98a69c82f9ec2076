package rejection

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"align/internal/jsonfile"
)

// Merge joins the parts of a sharded job into Config.Out: the files of one run
// over all prompts. Config says how pairs are made; the parts must be all n of
// one job.
func Merge(parts []string, c Config) (Summary, error) {
	if err := c.validateChoice(); err != nil {
		return Summary{}, err
	}
	whole := Summary{Shard: Shard{0, 1}.String()}
	var rows []Row
	var errs []error
	seen := map[string]string{}
	count, first := 0, map[string]string(nil)
	for i, dir := range parts {
		s, err := readSummary(dir)
		if err != nil {
			return Summary{}, err
		}
		shard, err := parseShard(s.Shard)
		if err != nil {
			return Summary{}, fmt.Errorf("rejection: %s: %w", dir, err)
		}
		if i == 0 {
			whole.Job, whole.Repeated, whole.Held, count = s.Job, s.Repeated, maps.Clone(s.Held), shard.Count
			first = s.Held
		}
		if err := sameHeld(first, s.Held); err != nil {
			errs = append(errs, fmt.Errorf("rejection: %s and %s do not make one job: %w", parts[0], dir, err))
		}
		maps.DeleteFunc(whole.Held, func(key, value string) bool { return s.Held[key] != value })
		if s.Job != whole.Job || shard.Count != count {
			errs = append(errs, fmt.Errorf("rejection: %s is part %s of another job than %s", dir, s.Shard, parts[0]))
		}
		if first, ok := seen[s.Shard]; ok {
			errs = append(errs, fmt.Errorf("rejection: %s and %s are both part %s", first, dir, s.Shard))
		}
		seen[s.Shard] = dir
		part, err := ReadRows(filepath.Join(dir, SamplesFile))
		if err != nil {
			return Summary{}, err
		}
		rows = append(rows, part...)
	}
	for i := range count {
		if s := (Shard{i, count}); seen[s.String()] == "" {
			errs = append(errs, fmt.Errorf("rejection: part %s is missing", s))
		}
	}
	if len(parts) == 0 {
		errs = append(errs, errors.New("rejection: there are no parts to merge"))
	}
	if err := errors.Join(errs...); err != nil {
		return Summary{}, err
	}
	if err := (&Job{Config: c}).open(); err != nil {
		return Summary{}, err
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Index, b.Index) })
	return whole, writeResult(c, rows, &whole)
}

func readSummary(dir string) (Summary, error) {
	data, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	if err != nil {
		return Summary{}, fmt.Errorf("rejection: %s holds no finished job: %w", dir, err)
	}
	var s Summary
	if err := jsonfile.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("rejection: %s: %w", filepath.Join(dir, SummaryFile), err)
	}
	return s, nil
}
