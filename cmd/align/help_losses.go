package main

import (
	"fmt"
	"strings"

	"align/dpo"
	"align/sft"

	"github.com/spf13/cobra"
)

// newLossesTopic is the help topic of `align help losses`.
func newLossesTopic() *cobra.Command {
	return &cobra.Command{Use: "losses", Short: "The losses of sft and dpo", Long: lossesText()}
}

// lossesText is a line on each loss, with its paper.
func lossesText() string {
	var b strings.Builder
	b.WriteString("The losses of align sft --loss NAME, under TRL's names:\n\n")
	for _, l := range sft.Losses() {
		fmt.Fprintf(&b, "  %-17s %s%s\n", l.Name, l.About, paper(l.Paper))
	}
	b.WriteString(`
p is the probability of a token and [p] the same without a gradient; what they
are a mean of is --loss-mean. Evaluations measure the likelihood under both.

The losses of align dpo --loss NAME, under TRL's names. A weighted sum of several
is --loss sigmoid:1,sft:0.2; those of single labelled answers stand alone.

`)
	for _, l := range dpo.Losses() {
		fmt.Fprintf(&b, "  %-17s %s%s\n", l.Name, l.About, paper(l.Paper))
	}
	b.WriteString(`
yw and yl are the chosen and the rejected answer, |y| their tokens, π the policy;
c, r and h are log π(y)/ref(y) of the chosen, the rejected and a single answer,
Δ = c - r, β is --beta, NLL the chosen answer's -log π(yw)/|yw|, λ the weight of a
single answer's kind and ± its label. simpo, cpo, orpo and sft have no reference.
Another --f-divergence-type puts f'(π/ref) in the place of c and r in sigmoid,
robust, hinge, the two ipo, sigmoid_norm, exo_pair and discopop (arXiv:2309.16240).
`)
	return b.String()
}

func paper(number string) string {
	if number == "" {
		return ""
	}
	return " (arXiv:" + number + ")"
}
