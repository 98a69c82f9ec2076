package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"align/datasets"
	"align/internal/exec"
	"align/internal/optim"
	"align/internal/train"
	"align/sft"
)

// perStep is the number of examples of an optimizer step.
const perStep = 16

// stage trains all weights on the examples in a run folder of its own.
func (b *builder) stage(ctx context.Context, name string, examples, held []datasets.Example, steps int, learningRate float64) error {
	run, err := os.MkdirTemp("", "builtin-"+name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(run)
	c := sft.DefaultConfig()
	c.Batch, c.Seed = perStep, seed
	t := &sft.Trainer{Config: c, Model: b.model, Full: b.full, Save: exec.SaveAll, Examples: examples, Held: held}
	order, err := datasets.NewOrder(len(examples), perStep, true, seed)
	if err != nil {
		return err
	}
	adam := optim.DefaultConfig()
	adam.Beta2, adam.Clip = 0.98, 1
	_, err = train.Run(ctx, train.Options{
		Method: name, Run: run, Steps: steps, Keep: 1, AdamW: adam,
		Schedule: optim.Schedule{Kind: "cosine", LearningRate: learningRate, Warmup: 100, Steps: steps},
	}, b.model.Backend(), &train.Full{Model: b.model, Full: b.full},
		&train.Batches{Order: order, PerMicro: perStep, Weigh: t.Weigh}, t, &report{name: name, start: time.Now()}, nil)
	return err
}

// reportEvery is in steps.
const reportEvery = 100

// report prints a line now and then.
type report struct {
	name  string
	start time.Time
}

// Stepped implements train.Reporter.
func (r *report) Stepped(e train.Event) {
	switch {
	case e.Evaluation:
		fmt.Printf("%s %5d:", r.name, e.Step)
		for _, m := range e.Metrics {
			fmt.Printf(" %s %.4f", m.Name, m.Value())
		}
		fmt.Println()
	case e.Step%reportEvery == 0 || e.Step == 1:
		fmt.Printf("%s %5d/%d: loss %.4f, %.0f tokens/s, %v gone, %v left\n", r.name, e.Step, e.Steps, e.Loss, e.TokensPerSecond,
			time.Since(r.start).Round(time.Second), e.Remaining.Round(time.Second))
	}
}

// Saved implements train.Reporter.
func (r *report) Saved(string, int) {}
