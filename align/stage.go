package align

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"align/datasets"
	"align/internal/atomicfile"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/config"
	"align/internal/device"
	"align/internal/tokenizer"
	"align/internal/train"
	"align/model"
)

// stage is a training run on its way from a config to the loop: what sft and
// dpo share.
type stage struct {
	method   string
	settings *train.Settings
	env      Environment
	// explicit are the keys that the file or the command line named.
	explicit []string
	// head is the name of the head that is trained with the adapter, or "".
	head string

	backend compute.Backend
	act     device.Type
	// base is the path that settings.Model stands for.
	base      string
	config    model.Config
	tokenizer *tokenizer.Tokenizer
	template  *datasets.Template
	model     *model.Model
	adapter   *model.Adapter
	start     string // hash of the adapter that the run starts from; "" for none
	// startFactors are where its values stand and what they are scaled by.
	startFactors string
	// ref and refFactors are those of the adapter that --ref names; "" for none.
	ref, refFactors string
	full            *model.Full // in place of an adapter
	run             string
	made            atomicfile.Folders // for run
	release         func()             // of the claim on run; nil without one
	asked           []config.Field     // the method's config, as it was settled
	// shares are those of a mixture; none is one set of data.
	shares []datasets.Share
	// used are the tokens of the training data; special says which of them start
	// as a mean (init_special).
	used    map[int32]bool
	special string
	// records says of every file of data how many records of it are used.
	records []string
	// lossOn is which tokens of an example are trained on; "" is the default.
	lossOn string
	// noise is sft's neftune_noise_alpha.
	noise float64
	// evalEvery and saveEvery are those of the settings in steps.
	evalEvery, saveEvery int
}

// open picks the device and reads what is small: the model's config, its
// tokenizer and template. The weights come after the data has been looked at.
func (s *stage) open(ctx context.Context) (err error) {
	if s.head != "" {
		if err := s.checkHead(); err != nil {
			return err
		}
	}
	s.deriveModel(ctx)
	s.deriveSchedule()
	if s.base, err = basemodel.ResolveUntil(ctx, s.settings.Model); err != nil {
		return err
	}
	if s.config, err = model.ReadConfig(s.base); err != nil {
		return err
	}
	if _, err = s.settings.LoRA(s.config.NumLayers); err != nil && !s.settings.Full {
		return err
	}
	if s.tokenizer, err = basemodel.OpenTokenizer(s.base); err != nil {
		return err
	}
	if err := s.chooseTemplate(ctx); err != nil {
		return err
	}
	s.deriveLength()
	return s.openDevice()
}

// chooseTemplate reads the template, or finds the one that the tokenizer has.
func (s *stage) chooseTemplate(ctx context.Context) (err error) {
	var reason string
	if s.template, reason, err = chooseTemplate(ctx, s.settings.Template, s.base, s.settings.Adapter, s.tokenizer); err != nil {
		return err
	}
	s.env.note(fmt.Sprintf("template: %s (%s)", s.template.Name(), reason))
	s.settings.Template = s.template.Name()
	return nil
}

// checkHead refuses settings that a model with a head of its own has no use for.
func (s *stage) checkHead() error {
	switch {
	case s.settings.Full:
		return errors.New("full: a reward model is trained as an adapter with a head")
	case strings.Contains(s.settings.ModulesToSave, "lm_head"):
		return errors.New("modules_to_save: a reward model does not use lm_head: it has a head of its own")
	}
	return nil
}

// begin is open for a stage that will run: what can be wrong with its folder, with
// what it names and with what a resumed run is asked for shows before a model is
// read for it; looking for that ends with ctx. c is the method's config, ref the folder of a reference or "".
func (s *stage) begin(ctx context.Context, c any, ref string) error {
	if err := errors.Join(s.findRun(), checkNamed(ctx, s.settings.Adapter, ref, s.settings.Eval)); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.sameSoFar(c)
}

// close gives the device and the run's folder back.
func (s *stage) close() {
	if s.release != nil {
		s.release()
	}
	s.made.Remove()
	if s.backend != nil {
		s.backend.Close()
	}
}

// defaultLength is the longest prompt and answer where nothing else is said.
const defaultLength = 2048

// deriveSchedule calls a schedule by its one name here.
func (s *stage) deriveSchedule() {
	if s.settings.Schedule == train.WarmedConstant {
		s.settings.Schedule = "constant"
		s.env.note(fmt.Sprintf("schedule: constant (%s is the same: warmup is a setting of its own)", train.WarmedConstant))
	}
}

func (s *stage) deriveLength() {
	if s.settings.MaxLength == 0 {
		s.settings.MaxLength = min(defaultLength, s.config.ContextLength)
		s.env.note(fmt.Sprintf("max_length: %d (the smaller of %d and the model's context of %d)", s.settings.MaxLength, defaultLength, s.config.ContextLength))
	}
	if s.settings.MaxLength > s.config.ContextLength {
		s.env.note(fmt.Sprintf("max_length: %d is beyond the model's context of %d", s.settings.MaxLength, s.config.ContextLength))
	}
}

// load reads the weights and the adapter, or makes a fresh one.
func (s *stage) load() error {
	if s.settings.Full {
		return errors.Join(s.loadFull(), s.initSpecial(nil))
	}
	values, err := s.read()
	if err != nil {
		return err
	}
	return s.model.AllocAdapter(s.adapter, values)
}

// read is load that leaves the adapter without its buffers: it returns the
// values to fill them with.
func (s *stage) read() (values []float32, err error) {
	if s.model, err = loadHeld(s.base, model.LoadOptions{Quantize: s.settings.Quantize, DoubleQuant: s.settings.DoubleQuant}, s.backend, s.act, s.env); err != nil {
		return nil, err
	}
	if s.settings.Adapter != "" {
		return s.loadAdapter()
	}
	if s.adapter, err = s.newAdapter(); err != nil {
		return nil, err
	}
	s.env.note("adapter: new, " + describe(s.adapter))
	s.noteWide()
	s.noteSaved()
	if s.head != "" {
		s.adapter.AddHead(s.config)
	}
	values, err = s.model.InitialAdapter(s.adapter, s.settings.Seed)
	if err != nil {
		return nil, err
	}
	return values, s.initSpecial(values)
}

// order deals n examples and says how many steps there will be.
func (s *stage) order(n int, what string) (*datasets.Order, int, error) {
	order, n, err := s.settings.NewOrder(n, s.shares)
	if err != nil {
		return nil, 0, err
	}
	steps := s.settings.Steps
	if steps == 0 {
		steps = order.Steps(s.settings.Epochs)
		s.env.note(fmt.Sprintf("steps: %d (%v epochs of %d %s, %d to a step)", steps, s.settings.Epochs, n, what, s.settings.Batch*s.settings.Accumulate))
	}
	s.deriveEvery(steps, order.Steps(1))
	s.noteWarmup(steps)
	s.noteEarlyStop(steps)
	return order, steps, nil
}

// deriveEvery counts in steps what the settings give as shares of the run or as
// epochs. A run that is made longer has its shares counted anew: a tenth of the
// run is one of the run as it now is.
func (s *stage) deriveEvery(steps, perEpoch int) {
	derive := func(key string, every train.Every) int {
		n, reason := every.Steps(steps, perEpoch)
		if reason != "" {
			s.env.note(fmt.Sprintf("%s: %d (%s)", key, n, reason))
		}
		return n
	}
	s.evalEvery, s.saveEvery = derive("eval_every", s.settings.EvalEvery), derive("save_every", s.settings.SaveEvery)
}

// openDevice opens the device that the settings name for the model.
func (s *stage) openDevice() (err error) {
	open := s.compute().Open
	if s.env.planning {
		open = s.compute().OpenPlanned
	}
	s.backend, s.act, err = open(s.env.Note, s.env.Threads)
	return err
}

// compute is what the settings ask for, with the precision settled.
func (s *stage) compute() compute.Settings {
	return compute.Settings{Device: s.settings.Device, Precision: s.settings.Precision, Memory: s.settings.Memory, Threads: s.settings.Threads}.For(s.config)
}
