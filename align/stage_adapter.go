package align

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/plan"
	"align/internal/runfolder"
	"align/internal/safetensors"
	"align/model"
)

// describe is an adapter in words.
func describe(a *model.Adapter) string {
	kind := "rank"
	if a.Config.DoRA {
		kind = "DoRA of rank"
	}
	text := fmt.Sprintf("%s %d on %d linear layers, %d trained parameters", kind, a.Config.Rank, len(a.Factors), a.Parameters())
	if len(a.Saved) > 0 {
		text += ", with " + strings.Join(a.Config.Save, " and ") + " trained whole"
	}
	return text
}

// noteWide says so where a rank is more than a layer's own: it can learn no more then.
func (s *stage) noteWide() {
	wide, least := 0, math.MaxInt
	for _, f := range s.adapter.Factors {
		if full := min(f.In, f.Out); f.Rank > full {
			wide, least = wide+1, min(least, full)
		}
	}
	if wide > 0 {
		s.env.note(fmt.Sprintf("rank: %d is more than %d of the %d linear layers have themselves (%d at the least): a higher rank than a layer's own learns nothing more", s.adapter.Config.Rank, wide, len(s.adapter.Factors), least))
	}
}

// noteSaved says what training one of two tied modules means.
func (s *stage) noteSaved() {
	if len(s.adapter.Saved) > 0 && s.config.TieWordEmbeddings {
		s.env.note("modules_to_save: the base ties embedding and head; the copy that is trained stands alone, as in PEFT, and a merged model is no longer tied")
	}
}

// newAdapter has the shape that the settings ask for.
func (s *stage) newAdapter() (*model.Adapter, error) {
	c, err := s.settings.LoRA(s.config.NumLayers)
	if err != nil {
		return nil, err
	}
	return model.NewAdapter(s.config, c)
}

// trained reads or lays out what the settings ask for.
func (s *stage) trained() (t plan.Trained, err error) {
	if s.settings.Full {
		t.Full = model.NewFull(s.config)
		return t, nil
	}
	if s.settings.Adapter == "" {
		t.Adapter, err = s.newAdapter()
	} else {
		t.Adapter, err = s.startLayout()
	}
	if err == nil && s.head != "" && t.Adapter.Head.Len == 0 {
		t.Adapter.AddHead(s.config)
	}
	return t, err
}

// adapterFolder is the folder that an adapter's path stands for; hashing it ends where
// the run is asked to end.
func (s *stage) adapterFolder(path string) (string, error) {
	early, cancel := s.env.Stop.Until(context.Background())
	defer cancel()
	return runfolder.AdapterFolderUntil(early, path)
}

// startLayout is the adapter to start from, without buffers.
func (s *stage) startLayout() (a *model.Adapter, err error) {
	folder, err := s.adapterFolder(s.settings.Adapter)
	if err != nil {
		return nil, err
	}
	scored, err := s.scored(folder)
	if err != nil {
		return nil, err
	}
	if scored {
		a, _, err = model.ReadScored(folder, s.head, s.config)
	} else {
		a, _, err = model.ReadAdapter(folder, s.config)
	}
	return a, misfit(folder, err)
}

func (s *stage) loadAdapter() ([]float32, error) {
	folder, err := s.adapterFolder(s.settings.Adapter)
	if err != nil {
		return nil, err
	}
	a, values, err := s.readAdapter(folder)
	if err != nil {
		return nil, err
	}
	noteOtherBase(folder, s.base, s.env)
	noteOtherForm(s.settings.Adapter, s.settings.Quantize, s.env)
	if err := s.agrees(a.Config); err != nil {
		return nil, err
	}
	a.Config.Dropout = s.settings.Dropout
	s.adapter, s.start, s.startFactors = a, hashFloats(values), hashFactors(a)
	if err := s.sameStart(); err != nil {
		return nil, err
	}
	s.settings.Rank, s.settings.Alpha, s.settings.RSLoRA, s.settings.DoRA = a.Config.Rank, a.Config.Alpha, a.Config.RSLoRA, a.Config.DoRA
	s.settings.ModulesToSave = strings.Join(a.Config.Save, ",")
	s.env.note(fmt.Sprintf("adapter: %s, %s", folder, describe(a)))
	s.noteSaved()
	return values, nil
}

// readAdapter reads the adapter to start from. Where a head is trained with it
// and it has none, it gets a fresh one.
func (s *stage) readAdapter(folder string) (*model.Adapter, []float32, error) {
	scored, err := s.scored(folder)
	if err != nil {
		return nil, nil, err
	}
	if scored {
		return model.ReadScored(folder, s.head, s.config)
	}
	if scores, err := givesScores(folder); err == nil && scores {
		s.env.note(notAPolicy(folder))
	}
	a, values, err := model.ReadAdapter(folder, s.config)
	if err != nil || s.head == "" {
		return a, values, err
	}
	a.AddHead(s.config)
	fresh := a.InitialWithHead(s.settings.Seed)
	copy(fresh, values)
	if slices.Contains(a.Config.Save, "lm_head") {
		return nil, nil, fmt.Errorf("%s has lm_head trained whole, which a reward model does not use", folder)
	}
	s.env.note("head: new, the adapter has none")
	return a, fresh, nil
}

// scored says whether a head is trained and the adapter has it.
func (s *stage) scored(folder string) (bool, error) {
	if s.head == "" {
		return false, nil
	}
	if scores, err := givesScores(folder); err != nil || scores {
		return scores, err
	}
	return model.AdapterScores(folder)
}

// agrees refuses a setting that was asked for and is not the adapter's.
func (s *stage) agrees(c model.LoRAConfig) error {
	var errs []error
	check := func(key string, same bool, asked, has any) {
		if slices.Contains(s.explicit, key) && !same {
			errs = append(errs, fmt.Errorf("%s: the adapter has %v, not %v: leave the setting out", key, has, asked))
		}
	}
	check("rank", s.settings.Rank == c.Rank, s.settings.Rank, c.Rank)
	check("alpha", s.settings.Alpha == c.Alpha, s.settings.Alpha, c.Alpha)
	check("rslora", s.settings.RSLoRA == c.RSLoRA, s.settings.RSLoRA, c.RSLoRA)
	check("dora", s.settings.DoRA == c.DoRA, s.settings.DoRA, c.DoRA)
	save, err := model.ParseSaved(s.settings.ModulesToSave)
	check("modules_to_save", err == nil && slices.Equal(save, c.Save), s.settings.ModulesToSave, c.Save)
	targets, err := model.ParseTargets(s.settings.Targets)
	slices.SortFunc(targets, func(a, b string) int { return slices.Index(model.Modules, a) - slices.Index(model.Modules, b) })
	check("targets", err == nil && slices.Equal(targets, c.Targets), s.settings.Targets, c.Targets)
	layers, err := model.ParseLayers(s.settings.Layers, s.config.NumLayers)
	check("layers", err == nil && slices.Equal(layers, c.Layers), s.settings.Layers, c.Layers)
	return errors.Join(errs...)
}

// givesScores says whether the folder of an adapter is a reward model: it has a
// head of scores. A critic's head is another.
func givesScores(folder string) (bool, error) {
	if !has(folder, model.HeadsFile) {
		return false, nil
	}
	f, err := safetensors.Open(filepath.Join(folder, model.HeadsFile))
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, ok := f.Tensor(model.ScoreHead)
	return ok, nil
}

// notAPolicy is the note on a reward model in an adapter's place.
func notAPolicy(adapter string) string {
	return fmt.Sprintf("adapter: %s is a reward model: it was trained to score answers, not to give them, and its head is left out", adapter)
}
