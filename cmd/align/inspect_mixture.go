package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"align/datasets"
	"align/internal/train"
)

// take is the path to look into, or the files of a mixture. A file that has a
// weight or stands beside others is one of a mixture.
func (o *inspectOptions) take(args []string) error {
	paths := append(args, o.named...)
	switch len(paths) {
	case 0:
		return errors.New("want one path to inspect, got 0")
	case 1:
		o.path = paths[0]
		if isData(o.path) || !strings.ContainsAny(o.path, ",") {
			return nil
		}
	}
	sources, err := datasets.ParseSources(strings.Join(paths, ","))
	if err != nil {
		return err
	}
	for _, s := range sources {
		if !isData(s.Path) {
			err = errors.Join(err, fmt.Errorf("several paths are the files of a mixture, and %s is no data file", s.Path))
		}
	}
	o.mixture = sources
	return err
}

// inspectMixture looks into every file, and tells what an epoch takes of it,
// before anything is held out.
func inspectMixture(ctx context.Context, o *inspectOptions) error {
	o.data.model = o.io.modelOr(o.data.model, o.quiet)
	var files []*dataset
	var shares []datasets.Share
	for _, s := range o.mixture {
		d, err := inspectData(ctx, s.Path, o.data)
		if err != nil {
			return err
		}
		files, shares = append(files, d), append(shares, datasets.Share{N: d.summary.Kept, Weight: s.Weight})
	}
	weigh(shares)
	epoch := datasets.MixedEpoch(shares, train.DefaultSettings().SourceEpochs)
	for i, d := range files {
		passes := shares[i].Weight * float64(epoch) / float64(max(1, shares[i].N))
		d.mixture = []fact{{"weight", shares[i].Weight}, {"passes", passes}, {"epoch", epoch}}
		if o.json {
			if err := printFactsJSON(o.io.out, d.facts()); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			if _, err := fmt.Fprintln(o.io.out); err != nil {
				return err
			}
		}
		if err := d.print(o); err != nil {
			return err
		}
	}
	return nil
}

// weigh gives files without weights those of their records: all count alike.
func weigh(shares []datasets.Share) {
	n := 0
	for _, s := range shares {
		n += s.N
	}
	for i := range shares {
		if shares[i].Weight == 0 {
			shares[i].Weight = float64(shares[i].N) / float64(max(1, n))
		}
	}
}
