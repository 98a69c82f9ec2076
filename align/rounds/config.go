package rounds

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"align/dpo"
	"align/internal/compute"
	"align/internal/config"
	"align/internal/rollout"
	"align/internal/score"
	"align/ppo"
	"align/rejection"
	"align/reward"
	"align/sft"
)

// The stages of a round.
const (
	stageReward    = "reward"
	stageRejection = "rejection"
	stageSFT       = "sft"
	stageDPO       = "dpo"
	stagePPO       = "ppo"
)

var stageNames = []string{stageReward, stageRejection, stageSFT, stageDPO, stagePPO}

// Config is everything that a job of several rounds is asked to do, the
// recipe of https://arxiv.org/abs/2407.21783, section 4. Paths of data may hold
// "{round}", which stands for the round's number.
type Config struct {
	// Model names the base model, Quantize how its linear weights are held;
	// Adapter is the policy to begin with, "" for the model alone.
	Model    string `yaml:"model"`
	Quantize string `yaml:"quantize,omitempty"`
	Adapter  string `yaml:"adapter,omitempty"`
	// Out is the job's folder.
	Out string `yaml:"out,omitempty"`
	// Rounds is how often the stages are gone through; Stages are their names
	// in order, separated by commas; "" is reward,rejection,sft,dpo without the
	// first where Reward or Scorer is given.
	Rounds int    `yaml:"rounds"`
	Stages string `yaml:"stages,omitempty" config:"names"`
	// Prompts are answered by rejection and ppo. Pairs are what reward learns
	// from, and dpo where no rejection stands before it; Data likewise is sft's.
	Prompts string `yaml:"prompts,omitempty"`
	Pairs   string `yaml:"pairs,omitempty"`
	Data    string `yaml:"data,omitempty"`
	// Reward is a reward model that is there, Scorer a rule, in place of the
	// stage reward.
	Reward string `yaml:"reward,omitempty"`
	Scorer string `yaml:"scorer,omitempty"`
	// Generator is the address of a server that draws the answers of rejection
	// and ppo.
	Generator string `yaml:"generator,omitempty"`
	// Seed is the first round's; each later round has the next one.
	Seed      uint64 `yaml:"seed"`
	Template  string `yaml:"template"`
	Threads   int    `yaml:"threads,omitempty"`
	Device    string `yaml:"device"`
	Precision string `yaml:"precision"`
	Memory    string `yaml:"memory,omitempty"`
	Resume    bool   `yaml:"-"`

	// What the stages are asked to do beside that, and the keys that the file
	// names, by stage.
	RewardStage    reward.Config       `yaml:"-"`
	RejectionStage rejection.Config    `yaml:"-"`
	SFTStage       sft.Config          `yaml:"-"`
	DPOStage       dpo.Config          `yaml:"-"`
	PPOStage       ppo.Config          `yaml:"-"`
	Explicit       map[string][]string `yaml:"-"`
}

// DefaultConfig is two rounds of the stages at their own defaults.
func DefaultConfig() Config {
	return Config{
		Rounds: 2, Seed: 42, Template: "auto", Device: "auto", Precision: "auto",
		RewardStage: reward.DefaultConfig(), RejectionStage: rejection.DefaultConfig(), SFTStage: sft.DefaultConfig(),
		DPOStage: dpo.DefaultConfig(), PPOStage: ppo.DefaultConfig(), Explicit: map[string][]string{},
	}
}

// ofTheJob are the keys of the stages that the job sets.
var ofTheJob = []string{
	"model", "quantize", "adapter", "out", "prompts", "pairs", "data", "reward", "scorer", "seed", "template", "threads", "device", "memory", "precision",
	"shard", "full", "generator",
}

// Sections are the fields of a file of rounds: the job's own under "", and each
// stage's under its name, without those that the job sets.
func (c *Config) Sections() map[string][]config.Field {
	sections := map[string][]config.Field{"": config.Fields(c)}
	for name, stage := range map[string]any{
		stageReward: &c.RewardStage, stageRejection: &c.RejectionStage, stageSFT: &c.SFTStage, stageDPO: &c.DPOStage, stagePPO: &c.PPOStage,
	} {
		sections[name] = slices.DeleteFunc(config.Fields(stage), func(f config.Field) bool { return slices.Contains(ofTheJob, f.Key) })
	}
	return sections
}

// stages are the names in order.
func (c *Config) stages() []string {
	if c.Stages != "" {
		return strings.Split(strings.ReplaceAll(c.Stages, " ", ""), ",")
	}
	if c.Reward != "" || c.Scorer != "" {
		return []string{stageRejection, stageSFT, stageDPO}
	}
	return []string{stageReward, stageRejection, stageSFT, stageDPO}
}

// Validate returns all faults of the job and of the stages that it has.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	stages := c.stages()
	check(c.Rounds >= 1, "rounds must be at least 1, got %d", c.Rounds)
	for i, s := range stages {
		check(slices.Contains(stageNames, s), "stages: unknown stage %q, want some of %s", s, strings.Join(stageNames, ", "))
		check(!slices.Contains(stages[:i], s), "stages: %s occurs twice", s)
	}
	has := func(stage string) bool { return slices.Contains(stages, stage) }
	after := func(stage string) bool {
		return slices.Index(stages, stageRejection) >= 0 && slices.Index(stages, stageRejection) < slices.Index(stages, stage)
	}
	samples := has(stageRejection) || has(stagePPO)
	check(!samples || c.Prompts != "", "prompts is missing: the file of prompts")
	check(!has(stageReward) || c.Reward == "" && c.Scorer == "", "stages: reward makes a reward model, leave out reward (%q) and scorer (%q)", c.Reward, c.Scorer)
	check(!samples || has(stageReward) || (c.Reward == "") != (c.Scorer == ""), "want one of reward, scorer and the stage reward, got reward %q and scorer %q", c.Reward, c.Scorer)
	check(!has(stageReward) || c.Pairs != "", "pairs is missing: what the stage reward learns from")
	check(!has(stageSFT) || after(stageSFT) || c.Data != "", "data is missing: what the stage sft learns from, without rejection before it")
	check(!has(stageDPO) || after(stageDPO) || c.Pairs != "", "pairs is missing: what the stage dpo learns from, without rejection before it")
	for _, s := range stageNames {
		check(has(s) || len(c.Explicit[s]) == 0, "%s has settings and is no stage: stages are %s", s, strings.Join(stages, ", "))
	}
	errs = append(errs, score.Check(c.Scorer), rollout.CheckAddress(c.Generator), compute.Settings{Device: c.Device, Precision: c.Precision, Memory: c.Memory, Threads: c.Threads}.Validate())
	for _, s := range stages {
		if slices.Contains(stageNames, s) {
			errs = append(errs, inStage(s, c.validateStage(s)))
		}
	}
	return errors.Join(errs...)
}

// validateStage validates a stage's config as the first round will have it.
func (c *Config) validateStage(name string) error {
	place := placement{round: 1, folder: "run", data: "data", pairs: "pairs", judge: judge{Rule: "length"}}
	switch name {
	case stageReward:
		return c.rewardConfig(place).Validate()
	case stageRejection:
		return c.rejectionConfig(place).Validate()
	case stageSFT:
		return c.sftConfig(place).Validate()
	case stageDPO:
		return c.dpoConfig(place).Validate()
	}
	return c.ppoConfig(place).Validate()
}

func inStage(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// write writes the job as a file that --config takes: its own settings, and of
// the stages those that were named.
func (c *Config) write(w io.Writer) error { return c.writeOf(w, anyKey) }

// anyKey takes all settings of a job.
func anyKey(string) bool { return true }

// writeOf is write with those of the job's own settings alone that keep takes.
func (c *Config) writeOf(w io.Writer, keep func(key string) bool) error {
	sections := c.Sections()
	silent := func(string) string { return "" }
	// A section of the name takes the place of the empty path.
	own := slices.DeleteFunc(sections[""], func(f config.Field) bool {
		return f.Key == stageReward && len(c.Explicit[stageReward]) > 0 || !keep(f.Key)
	})
	if err := config.Write(w, own, silent); err != nil {
		return err
	}
	for _, name := range stageNames {
		named := slices.DeleteFunc(sections[name], func(f config.Field) bool { return !slices.Contains(c.Explicit[name], f.Key) })
		if len(named) == 0 {
			continue
		}
		var lines bytes.Buffer
		if err := config.Write(&lines, named, silent); err != nil {
			return err
		}
		text := strings.TrimSuffix(lines.String(), "\n")
		if _, err := fmt.Fprintf(w, "%s:\n  %s\n", name, strings.ReplaceAll(text, "\n", "\n  ")); err != nil {
			return err
		}
	}
	return nil
}

// inRound is a path with the round's number put in.
func inRound(path string, round int) string {
	return strings.ReplaceAll(path, "{round}", strconv.Itoa(round))
}
