package align

import (
	"context"
	"fmt"
	"runtime"
	"strconv"

	"align/internal/atomicfile"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/plan"
	"align/internal/rollout"
	"align/internal/runfolder"
	"align/internal/tokenizer"
	"align/internal/train"
	"align/model"
	"align/rejection"
)

// EndedError is a job that was asked to end before it was done. Its journal keeps what
// it has drawn and scored.
type EndedError struct {
	By  train.Request
	Out string // the job's folder; "" where it had not begun
}

func (e *EndedError) Error() string { return "sampling ended before it was done" }

// Rejection samples K answers to every prompt, scores them and writes the best
// as data for fine-tuning. A request of env.Stop ends it with an EndedError.
func Rejection(ctx context.Context, c rejection.Config, env Environment) (rejection.Summary, error) {
	ctx, cancel := env.Stop.Until(ctx) // sampling has no steps to end after
	defer cancel()
	summary, err := reject(ctx, &c, env)
	by := env.Stop.Asked()
	if err == nil || by <= train.SaveNow {
		return summary, err
	}
	ended := &EndedError{By: by}
	if runfolder.Is(c.Out) {
		ended.Out = c.Out
	}
	return rejection.Summary{}, ended
}

// reject is Rejection, and settles the job's folder in c.Out.
func reject(ctx context.Context, c *rejection.Config, env Environment) (rejection.Summary, error) {
	if err := c.Validate(); err != nil {
		return rejection.Summary{}, err
	}
	if err := checkJob(ctx, *c); err != nil {
		return rejection.Summary{}, err
	}
	asked := *c
	base, err := basemodel.ResolveUntil(ctx, c.Model)
	if err != nil {
		return rejection.Summary{}, err
	}
	tok, err := basemodel.OpenTokenizer(base)
	if err != nil {
		return rejection.Summary{}, err
	}
	template, reason, err := chooseTemplate(ctx, c.Template, base, c.Adapter, tok)
	if err != nil {
		return rejection.Summary{}, err
	}
	env.note(fmt.Sprintf("template: %s (%s)", template.Name(), reason))
	config, err := model.ReadConfig(base)
	if err != nil {
		return rejection.Summary{}, err
	}
	prompts, longest, err := readPrompts(ctx, c.Prompts, c.Map, c.Scorer, answerable(template, config), env)
	if err != nil {
		return rejection.Summary{}, err
	}
	if err := fitsVocabulary(tok, config.VocabSize, prompts); err != nil {
		return rejection.Summary{}, err
	}
	if c.Out == "" {
		var made atomicfile.Folders
		if c.Out, made, err = runfolder.New("", "rejection"); err != nil {
			return rejection.Summary{}, err
		}
		defer made.Remove()
		asked.Out = c.Out
	}
	on := compute.Settings{Device: c.Device, Precision: c.Precision, Memory: c.Memory, Threads: c.Threads}.For(config)
	b, act, err := on.Open(env.Note, env.Threads)
	if err != nil {
		return rejection.Summary{}, err
	}
	defer b.Close()
	held := heldOf(on, b, config, tok)
	if c.Resume {
		moved, err := rejection.CheckHeld(c.Out, held)
		if err != nil {
			return rejection.Summary{}, err
		}
		if moved != "" {
			env.note(moved)
		}
	}
	most, err := roomFor(c.MaxNew, lengthsOf(prompts), config.ContextLength, env)
	if err != nil {
		return rejection.Summary{}, err
	}
	s := rejectionStage(*c, env)
	s.base, s.config, s.backend, s.act = base, config, b, act
	t, err := s.sampler()
	if err != nil {
		return rejection.Summary{}, err
	}
	if err := s.sized().CheckRejection(t, plan.RejectionDraws(*c, prompts, longest, most)); err != nil {
		return rejection.Summary{}, err
	}
	m, a, err := openModel(base, c.Quantize, c.Adapter, b, act, env)
	if err != nil {
		return rejection.Summary{}, err
	}
	scorer, judge, err := judge{c.Reward, c.Scorer}.open(opened{base, c.Quantize, m, b, act, tok, template, stopIDs(m.Config, template)}, env)
	if err != nil {
		return rejection.Summary{}, err
	}
	if err := fitsJudge(scorer, longest, most, config.ContextLength); err != nil {
		return rejection.Summary{}, err
	}
	if judge.encoding != "" {
		held["the reward model's encoding"] = judge.encoding
	}
	stop := stopIDs(m.Config, template)
	generator, err := drawer(ctx, *c, m, a, tok, rollout.Limits{Prompt: longest, Answer: most, Sequences: c.Sequences}, stop, env)
	if err != nil {
		return rejection.Summary{}, err
	}
	defer generator.Close()
	made, err := runfolder.Make(c.Out)
	if err != nil {
		return rejection.Summary{}, err
	}
	defer made.Remove()
	release, err := runfolder.Claim(c.Out, env.note)
	if err != nil {
		return rejection.Summary{}, err
	}
	defer release()
	policy, err := policyHash(m, a)
	if err != nil {
		return rejection.Summary{}, err
	}
	report := env.progress("sampling")
	job := &rejection.Job{
		Config: *c, Prompts: prompts, Generator: generator, Scorer: scorer, Decode: tok.Decode,
		Stop: stop, Context: config.ContextLength, Model: policy, Reward: judge.String(),
		Shape: hashShape(config), Held: held,
		// Beside what it draws, so that they need not be told again to go on.
		Begun:    func() error { return runfolder.WriteSettings(c.Out, settingsOf(&asked)) },
		Progress: func(done, total int) { report(int64(done), int64(total)) },
	}
	summary, err := job.Run(ctx)
	if r, ok := generator.(*rollout.Recomputed); ok && err == nil && c.Whole() {
		if err := r.Surprise.Check(); err != nil {
			env.note(fmt.Sprintf("generator: %v", err))
		}
	}
	return summary, err
}

// heldOf is what a job is held to beside its identity and is known before a model is read.
func heldOf(on compute.Settings, b compute.Backend, config model.Config, tok *tokenizer.Tokenizer) map[string]string {
	return map[string]string{
		rejection.HeldDevice: b.Name() + "/" + runtime.GOARCH, rejection.HeldKernels: b.Numerics(), rejection.HeldPrecision: on.Precision,
		"tokenizer": tok.Hash()[:16], "the context": strconv.Itoa(config.ContextLength),
	}
}

// rejectionStage is a stage that opens what a job of rejection does.
func rejectionStage(c rejection.Config, env Environment) *stage {
	settings := train.DefaultSettings()
	settings.Model, settings.Quantize, settings.Adapter, settings.Template = c.Model, c.Quantize, c.Adapter, c.Template
	settings.Device, settings.Precision, settings.Memory, settings.Threads, settings.Seed = c.Device, c.Precision, c.Memory, c.Threads, c.Seed
	return &stage{method: "rejection", settings: &settings, env: env, explicit: []string{"learning_rate", "eval_every"}}
}

// sampler is the adapter that answers are drawn with, without buffers; none is the
// model alone.
func (s *stage) sampler() (plan.Trained, error) {
	if s.settings.Adapter == "" {
		return plan.Trained{}, nil
	}
	return s.trained()
}

// policyHash tells what samples from others: the base, and the adapter on it.
func policyHash(m *model.Model, a *model.Adapter) (string, error) {
	if a == nil {
		return m.Hash, nil
	}
	values, err := model.ReadFloat32s(m.Backend(), a.Value)
	return m.Hash + "-" + hashAdapter(a, values), err
}

// drawer draws a job's answers: the engine of this process, or a server.
func drawer(ctx context.Context, c rejection.Config, m *model.Model, a *model.Adapter, tok *tokenizer.Tokenizer, limits rollout.Limits, stop []int32, env Environment) (rollout.Generator, error) {
	if c.Generator == "" {
		return rollout.New(m, a, limits)
	}
	s, err := openServer(ctx, c.Generator, tok, m.Config.VocabSize, stop, c.Sequences, env)
	if err != nil {
		return nil, err
	}
	r := &rollout.Recomputed{Generator: s, Model: m, Adapter: a}
	if a == nil {
		return r, nil
	}
	folder, err := runfolder.AdapterFolder(c.Adapter)
	if err != nil {
		return nil, err
	}
	taken, err := adapterServer(ctx, s, m, a, folder, env)
	// What the server did not take it must serve by itself.
	r.Hold = !taken && c.Whole()
	return r, err
}
