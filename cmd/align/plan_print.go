package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"align/align/rounds"
	"align/internal/plan"
)

// printRoundsPlan prints the plans of the stages, then what they come to.
func printRoundsPlan(w io.Writer, p *rounds.JobPlan) error {
	for _, stage := range p.Stages {
		if _, err := fmt.Fprintf(w, "round 1, %s\n", stage.Method); err != nil {
			return err
		}
		if err := printPlan(w, stage); err != nil {
			return err
		}
	}
	about := ""
	if p.Seconds > 0 {
		about = fmt.Sprintf("about %s for ", duration(p.Seconds))
	}
	_, err := fmt.Fprintf(w, "all          %s%d rounds, %s at most\n", about, p.Rounds, size(p.Total))
	for _, warning := range p.Warnings {
		if err == nil {
			_, err = fmt.Fprintf(w, "%-12s %s\n", "warning", warning)
		}
	}
	return err
}

// printPlan prints a plan for eyes.
func printPlan(w io.Writer, p *plan.Plan) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	for _, note := range p.Notes {
		fmt.Fprintln(&b, note)
	}
	line("model", "%d parameters, %d trained", p.Parameters, p.Trained)
	if p.Samples > 0 {
		line("data", "%d prompts, %d answers drawn", p.Examples, p.Samples)
	} else {
		line("data", "%d trained on, %d held out", p.Examples, p.Held)
	}
	if p.Steps > 0 {
		line("work", "%d steps, %d packs, %d tokens, %d of them predicted; the largest pack has %d", p.Steps, p.Packs, p.Tokens, p.TargetTokens, p.LargestPack)
	}
	line("memory", "%s for the weights, %s for what is trained and its gradient, %s for the optimizer", size(p.Weights), size(p.Adapter), size(p.Optimizer))
	line("", "%s for the kernels, %s for program and data; evaluation has its %s in the space of a step", size(p.Workspace), size(p.Process), size(p.Evaluation))
	if p.Rollout > 0 {
		line("", "%s to draw answers and %s for their keys and values, %s for reward model and reference, %s for passes without gradients", size(p.Rollout), size(p.Cache), size(p.Scorer), size(p.Passes))
	}
	if len(p.Policies) == 0 {
		line("", "%s in all", size(p.Total))
	}
	for _, x := range p.Policies {
		mark := ""
		if x.Policy == p.Policy {
			mark = ", the run's choice"
		} else if !x.Fits {
			mark = ", does not fit"
		}
		line("", "save_policy %-9s %s for activations, %s in all%s", x.Policy, size(x.Activations), size(x.Total), mark)
	}
	if p.Available > 0 {
		line("", "%s are available", size(p.Available))
	}
	if p.Rollout == 0 {
		line("cache", "%s of keys and values for one conversation of full length, to generate", size(p.Cache))
	}
	switch {
	case p.Seconds == 0:
		line("time", "unknown: nothing was measured")
	case p.Samples > 0:
		line("time", "about %s where all answers are as long as they may be; %s of it to draw and score them, %s for passes without gradients", duration(p.Seconds), duration(p.Sampling), duration(p.Reference))
	default:
		line("time", "about %s at %s tokens/s; %s of it for the reference, %s for evaluation", duration(p.Seconds), short(p.TokensPerSecond), duration(p.Reference), duration(p.Evaluating))
	}
	for _, warning := range p.Warnings {
		line("warning", "%s", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// size is bytes for eyes.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}

// duration is seconds for eyes, to a tenth below a minute.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
