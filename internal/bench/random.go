package bench

import (
	"math/rand/v2"

	"align/datasets"
	"align/internal/rollout"
)

func randomIDs(r *rand.Rand, vocab, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = r.Int32N(int32(vocab))
	}
	return ids
}

// randomExamples are n examples of length tokens whose last share carries loss.
func randomExamples(vocab, n, length int, share float64) []datasets.Example {
	r := rand.New(rand.NewPCG(seed, 0))
	list := make([]datasets.Example, n)
	for i := range list {
		mask := make([]bool, length)
		for k := range mask {
			mask[k] = float64(length-k) <= share*float64(length)
		}
		list[i] = datasets.Example{IDs: randomIDs(r, vocab, length), LossMask: mask}
	}
	return list
}

// randomPairs are the pairs of a step, and of further ones where the reference
// runs in every step.
func randomPairs(vocab int, o Options) []datasets.Pair {
	r := rand.New(rand.NewPCG(seed, 1))
	n := o.Batch
	if o.Reference == "every" {
		n *= o.Steps
	}
	list := make([]datasets.Pair, n)
	for i := range list {
		list[i] = datasets.Pair{
			Prompt: randomIDs(r, vocab, o.Prompt), Chosen: randomIDs(r, vocab, o.Response), Rejected: randomIDs(r, vocab, o.Response),
		}
	}
	return list
}

// randomPrompts are n prompts of a length.
func randomPrompts(vocab, n, length int) []rollout.Prompt {
	r := rand.New(rand.NewPCG(seed, 3))
	list := make([]rollout.Prompt, n)
	for i := range list {
		list[i] = rollout.Prompt{IDs: randomIDs(r, vocab, length), Key: uint64(i)}
	}
	return list
}

// uniform are n numbers between -1 and 1, others for another stream.
func uniform(n int, stream uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, stream))
	values := make([]float32, n)
	for i := range values {
		values[i] = 2*r.Float32() - 1
	}
	return values
}
