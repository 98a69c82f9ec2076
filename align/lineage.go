package align

import (
	"maps"
	"strings"

	"align/dpo"
	"align/internal/config"
	"align/internal/device"
	"align/internal/runfolder"
	"align/internal/train"
	"align/ppo"
	"align/reward"
	"align/sft"
)

// lineage is what a resumed run must find again: the hashes of what goes in,
// and every setting that moves a number.
func (s *stage) lineage(c any, data string) map[string]string {
	l := s.dataLineage(data)
	l["model"], l[train.Activations] = s.model.Hash, s.act.String()
	l[train.Kernels] = s.backend.Numerics()
	l["shape"] = hashShape(s.config)
	if s.special != "" {
		l["special"] = s.special
	}
	if s.start != "" {
		l["adapter"], l["adapter's scale and places"] = s.start, s.startFactors
	}
	maps.Copy(l, s.refLineage())
	if s.settings.Dropout > 0 {
		l[train.Draws] = device.Draws
	}
	for _, f := range settingsOf(c) {
		if runfolder.Fixed(f.Key) {
			l["setting "+f.Key] = f.String()
		}
	}
	s.keepRefName(l)
	return l
}

// keepRefName leaves the name of a reference's files as the run began with it: they may
// lie elsewhere by now, and their content is held to.
func (s *stage) keepRefName(l map[string]string) {
	const key = "setting ref"
	if s.ref == "" || !s.settings.Resume {
		return
	}
	if began, _ := s.began(); began.Lineage[key] != "" && runfolder.IsRefFolder(began.Lineage[key]) {
		l[key] = began.Lineage[key]
	}
}

// dataLineage is the part of lineage that is known before a model is read.
func (s *stage) dataLineage(data string) map[string]string {
	l := map[string]string{"tokenizer": s.tokenizer.Hash(), "data": data, "records": strings.Join(s.records, ", ")}
	if len(s.shares) > 0 {
		l["mixture"] = s.weights()
	}
	return l
}

// refLineage is the part of lineage that tells the adapter of --ref from others.
func (s *stage) refLineage() map[string]string {
	if s.ref == "" {
		return nil
	}
	return map[string]string{"reference": s.ref, "reference's scale and places": s.refFactors}
}

// goOn claims the run to go on with, and refuses settings that are not those it
// began with. c is the method's config.
func (s *stage) goOn(c any) (err error) {
	if s.release, err = runfolder.Claim(s.run, s.env.note); err != nil {
		return err
	}
	began, err := beganWith(s.run, c)
	if err != nil {
		return err
	}
	return runfolder.SameSettings(s.run, began, s.asked)
}

// beganWith are the settings that a run of c's method began with, by its file. What an
// earlier version did not write is at its default: a setting is added such that its
// default does what was done without it.
func beganWith(run string, c any) ([]config.Field, error) {
	fields := settingsOf(defaultsOf(c))
	return fields, runfolder.ReadSettings(run, fields)
}

// defaultsOf is a config of the type of c at its defaults.
func defaultsOf(c any) any {
	switch c.(type) {
	case *dpo.Config:
		d := dpo.DefaultConfig()
		return &d
	case *reward.Config:
		d := reward.DefaultConfig()
		return &d
	case *ppo.Config:
		d := ppo.DefaultConfig()
		return &d
	case *PretrainConfig:
		d := DefaultPretrainConfig()
		return &d
	}
	d := sft.DefaultConfig()
	return &d
}

// keepSettings writes the run's file anew where a run that goes on has other
// settings than it says, so that it tells what is run.
func (s *stage) keepSettings() error {
	if !s.settings.Resume {
		return nil
	}
	return runfolder.WriteSettings(s.run, s.asked)
}

// settingsOf are the settings of a method's config.
func settingsOf(c any) []config.Field {
	if p, ok := c.(*PretrainConfig); ok {
		return p.Fields()
	}
	return config.Fields(c)
}
