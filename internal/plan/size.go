package plan

import (
	"align/datasets"
	"align/internal/bench"
	"align/internal/cost"
	"align/model"
	"align/reward"
)

// Extent is what one example or pair takes of a pack.
type Extent struct {
	model.Capacity
	// attended are the pairs of a query and a key in attention.
	attended float64
	// length is the tokens of its longest sequence.
	length int
}

// ExampleExtents are of examples, each a sequence of its own.
func ExampleExtents(list []datasets.Example) []Extent {
	all := make([]Extent, len(list))
	for i, e := range list {
		all[i] = Extent{
			Capacity: model.Capacity{Tokens: len(e.IDs), Targets: e.Targets(), Sequences: 1},
			attended: cost.Causal(len(e.IDs), 0), length: len(e.IDs),
		}
	}
	return all
}

// PairExtents has a third sequence, the format tokens, where they are masked.
func PairExtents(list []datasets.Pair, perPair int) []Extent {
	all := make([]Extent, len(list))
	for i, p := range list {
		all[i] = AnswersExtent(len(p.Prompt), len(p.Chosen), len(p.Rejected))
		all[i].Sequences, all[i].Pairs = perPair, 1
	}
	return all
}

// UnpairedExtents are of single answers with their prompts.
func UnpairedExtents(list []datasets.Unpaired) []Extent {
	all := make([]Extent, len(list))
	for i, u := range list {
		all[i] = AnswersExtent(len(u.Prompt), len(u.Response))
		all[i].Pairs = 1
	}
	return all
}

// GroupExtents are of prompts with ranked answers, scored at their ends.
func GroupExtents(list []reward.Group) []Extent {
	all := make([]Extent, len(list))
	for i, g := range list {
		lengths := make([]int, len(g.Answers))
		for k, a := range g.Answers {
			lengths[k] = len(a)
		}
		all[i] = AnswersExtent(len(g.Prompt), lengths...)
		all[i].Targets, all[i].Pairs = len(lengths), len(lengths)*(len(lengths)-1)/2
	}
	return all
}

// answerExtents are n answers of the greatest length, each with its prompt.
func answerExtents(n, prompt, answer int) []Extent {
	all := make([]Extent, n)
	for i := range all {
		all[i] = AnswersExtent(prompt, answer)
	}
	return all
}

// AnswersExtent is a prompt with answers that share it.
func AnswersExtent(prompt int, answers ...int) Extent {
	e := Extent{Capacity: model.Capacity{Tokens: prompt, Sequences: len(answers)}, attended: cost.Causal(prompt, 0), length: prompt}
	for _, n := range answers {
		e.Tokens, e.Targets = e.Tokens+n, e.Targets+n
		e.attended += cost.Causal(n, prompt)
		e.length = max(e.length, prompt+n)
	}
	return e
}

// join lays another example behind in the same pack.
func (e Extent) join(o Extent) Extent {
	e.Tokens, e.Targets, e.Sequences, e.Pairs = e.Tokens+o.Tokens, e.Targets+o.Targets, e.Sequences+o.Sequences, e.Pairs+o.Pairs
	e.attended += o.attended
	e.length = max(e.length, o.length)
	return e
}

func (e Extent) work() cost.Work {
	return cost.Work{Tokens: float64(e.Tokens), Targets: float64(e.Targets), Pairs: e.attended}
}

// cut is what an Extent becomes under a shorter maximal length, about: an
// example loses its end, a pair its prompt's start.
func (e Extent) cut(length int) Extent {
	lost := e.length - length
	if lost <= 0 {
		return e
	}
	e.length = length
	e.Tokens = max(e.Tokens-lost*max(e.Pairs, 1), 1)
	e.Targets = min(e.Targets, e.Tokens)
	return e
}

// workload is what a run's packs come to.
type workload struct {
	examples, held int
	steps, packs   int
	sequences      int // of all packs
	// largest and heldLargest hold every pack of the run.
	largest, heldLargest model.Capacity
	// train is the work of all steps, evaluation of one look at the held-out
	// data, all of one pass over every example, referenced of one over those that
	// the steps come to and over what is held out.
	train, evaluation, all, referenced cost.Work
	longest                            int
}

// meanPack is a pack on average.
func (w *workload) meanPack() bench.Pack {
	n := float64(max(w.packs, 1))
	return bench.Pack{
		Work:      cost.Work{Tokens: w.train.Tokens / n, Targets: w.train.Targets / n, Pairs: w.train.Pairs / n},
		Sequences: max((w.sequences+w.packs/2)/max(w.packs, 1), 1),
	}
}

// walk deals the examples to packs as the run will.
func (s *Stage) walk(train, held []Extent, steps int) (*workload, error) {
	w := &workload{examples: len(train), held: len(held), steps: steps}
	order, _, err := s.Settings.NewOrder(len(train), s.Shares)
	if err != nil {
		return nil, err
	}
	for range steps {
		w.deal(train, order.Next(), s.Settings.Batch, s.Settings.Packing)
	}
	packs := &workload{}
	packs.deal(held, upTo(len(held)), s.Settings.Batch, s.Settings.Packing)
	w.heldLargest, w.evaluation = packs.largest, packs.train
	for _, e := range train {
		w.all.Add(e.work())
		w.longest = max(w.longest, e.length)
	}
	visited, err := s.Settings.Visited(len(train), steps, s.Shares)
	if err != nil {
		return nil, err
	}
	for _, i := range visited {
		w.referenced.Add(train[i].work())
	}
	predicts := model.Capacity{Tokens: int(w.all.Tokens), Targets: int(w.all.Targets)}
	s.allRows = (s.Method == "sft" || s.Method == "pretrain") && predicts.AllRows()
	for _, e := range held {
		w.all.Add(e.work())
		w.referenced.Add(e.work())
	}
	return w, nil
}

// upTo are the indices of n examples in order.
func upTo(n int) []int {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	return indices
}

// deal adds the packs of a step.
func (w *workload) deal(list []Extent, indices []int, batch int, packing bool) {
	if !packing {
		batch = 1
	}
	for from := 0; from < len(indices); from += batch {
		var pack Extent
		for _, i := range indices[from:min(from+batch, len(indices))] {
			pack = pack.join(list[i])
		}
		w.packs++
		w.sequences += pack.Sequences
		w.largest = w.largest.Max(pack.Capacity)
		w.train.Add(pack.work())
	}
}
