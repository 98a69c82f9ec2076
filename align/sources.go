package align

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"align/datasets"
)

// hashed is a record with a hash of what it holds.
type hashed interface{ Hash() [32]byte }

// readData reads the training files and the evaluation file, or holds out a
// fraction of the one for the other. path is a file, or several with their
// weights, as datasets.ParseSources reads them.
func readData[T hashed](ctx context.Context, s *stage, path string, f read[T]) (*data[T], error) {
	sources, err := datasets.ParseSources(path)
	if err != nil {
		return nil, err
	}
	d := &data[T]{}
	parts, err := readParts(ctx, s, sources, f, d)
	if err != nil {
		return nil, err
	}
	if s.settings.Eval != "" {
		if d.held, err = readFile(ctx, s, s.settings.Eval, f, d); err != nil {
			return nil, err
		}
	} else {
		d.held = holdOut(s, parts)
	}
	if parts, err = checkRepeats(s, parts, d.held); err != nil {
		return nil, err
	}
	if len(d.held) == 0 {
		s.noteUnevaluated()
	}
	d.train = join(parts)
	if err := fitsVocabulary(s.tokenizer, s.config.VocabSize, d.train, d.held); err != nil {
		return nil, err
	}
	s.use(d.train)
	mix(s, sources, parts)
	return d, nil
}

// readParts reads the sources. Without weights they are one part: every record
// of every file counts alike.
func readParts[T any](ctx context.Context, s *stage, sources []datasets.Source, f read[T], d *data[T]) ([][]T, error) {
	var parts [][]T
	for _, source := range sources {
		list, err := readFile(ctx, s, source.Path, f, d)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s: no record is left to train on", source.Path)
		}
		parts = append(parts, list)
	}
	if sources[0].Weight == 0 {
		return [][]T{join(parts)}, nil
	}
	return parts, nil
}

// holdOut takes the evaluation's fraction out of each part.
func holdOut[T any](s *stage, parts [][]T) (held []T) {
	all := 0
	for i, part := range parts {
		keep, out := datasets.Split(len(part), s.settings.EvalFraction, s.settings.Seed)
		all += len(part)
		parts[i] = choose(part, keep)
		held = append(held, choose(part, out)...)
	}
	switch {
	case len(held) == 0 && s.settings.EvalFraction > 0:
		s.env.note(fmt.Sprintf("evaluation: none, too few records to hold one out (%d, eval_fraction %v)", all, s.settings.EvalFraction))
	case len(held) > 0:
		s.env.note(fmt.Sprintf("evaluation: %d of %d records held out (eval_fraction %v)", len(held), all, s.settings.EvalFraction))
	}
	return held
}

// noteUnevaluated says that evaluations were asked for and there is nothing to
// evaluate.
func (s *stage) noteUnevaluated() {
	if every := s.settings.EvalEvery; !every.IsZero() && slices.Contains(s.explicit, "eval_every") {
		s.env.note(fmt.Sprintf("eval_every: %s has no effect, as nothing is held out: name eval, a file, or eval_fraction, a share of the data", every))
	}
}

func choose[T any](all []T, indices []int) []T {
	list := make([]T, len(indices))
	for i, k := range indices {
		list[i] = all[k]
	}
	return list
}

func join[T any](parts [][]T) []T {
	if len(parts) == 1 {
		return parts[0]
	}
	return slices.Concat(parts...)
}

// mix keeps the shares of a mixture for the order, and tells what an epoch has
// of each source.
func mix[T any](s *stage, sources []datasets.Source, parts [][]T) {
	if len(parts) == 1 {
		return
	}
	for i, source := range sources {
		s.shares = append(s.shares, datasets.Share{N: len(parts[i]), Weight: source.Weight})
	}
	n := datasets.MixedEpoch(s.shares, s.settings.SourceEpochs)
	for i, source := range sources {
		passes := source.Weight * float64(n) / float64(len(parts[i]))
		s.env.note(fmt.Sprintf("mixture: %s is %.4g of what is dealt: %.3g passes over its %d training records in an epoch of %d",
			source.Path, source.Weight, passes, len(parts[i]), n))
	}
}

// weights of the sources, that a resumed run must find again.
func (s *stage) weights() string {
	var list []string
	for _, share := range s.shares {
		list = append(list, strconv.FormatFloat(share.Weight, 'g', -1, 64))
	}
	return strings.Join(list, ",")
}
