package model_test

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
	"align/model"
)

type goldenExample struct {
	IDs  []int32 `json:"ids"`
	Mask []int   `json:"mask"`
	Docs []int32 `json:"docs"`
}

// sftPack lays the batch end to end. A document's first token is no target even
// where the mask says so.
func sftPack(examples []goldenExample) *datasets.Pack {
	p := &datasets.Pack{}
	for _, e := range examples {
		sequence, from := p.Sequences, 0
		for i := range e.IDs {
			if i+1 == len(e.IDs) || e.Docs != nil && e.Docs[i+1] != e.Docs[i] {
				start := appendSegment(p, e.IDs[from:i+1], 0, len(p.IDs), len(p.IDs))
				for k := from + 1; k <= i; k++ {
					if e.Mask[k] == 1 {
						target(p, start+k-1-from, e.IDs[k], sequence)
					}
				}
				from = i + 1
			}
		}
	}
	return p
}

// train runs one micro-step of a loss built on the decoder and leaves the
// gradients in the adapter.
func (g *golden) train(t *testing.T, p *datasets.Pack, save exec.SavePolicy, pairs int, loss func(*model.Decoder) *graph.Node, inputs map[string][]float64) float64 {
	t.Helper()
	d, err := model.NewDecoder(g.model.Config, g.act, model.DecoderOptions{Capacity: model.SizeOf(p, pairs), Adapter: g.adapter, Train: true, Save: save, Device: g.backend})
	if err != nil {
		t.Fatal(err)
	}
	out := loss(d)
	s, err := d.Compile(g.model, out)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(p, pairs); err != nil {
		t.Fatal(err)
	}
	for _, n := range d.Inputs() {
		if v, ok := inputs[n.Name()]; ok {
			if err := s.SetFloat64s(n, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range d.Inputs() {
		for k, name := range []string{"chosen", "rejected"} {
			if n.Name() != name {
				continue
			}
			index := make([]int32, pairs)
			for i := range index {
				index[i] = int32(2*i + k)
			}
			if err := s.SetInt32s(n, index); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := model.WriteFloats(g.backend, g.adapter.Grad, make([]float32, g.adapter.Len)); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	v, err := s.Float64s(nil, out)
	if err != nil {
		t.Fatal(err)
	}
	return v[0]
}

func weighted(d *model.Decoder) *graph.Node {
	return d.Neg(d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences)))
}

func TestSFTLossesAndGradientsEqualTheReference(t *testing.T) {
	forEachGolden(t, func(t *testing.T, g *golden) {
		var batch struct {
			Examples []goldenExample `json:"examples"`
		}
		readJSON(t, filepath.Join(g.dir, "sft_batch.json"), &batch)
		p := sftPack(batch.Examples)
		counts := make([]float64, p.Sequences)
		for _, s := range p.Sequence {
			counts[s]++
		}
		token, sequence := make([]float64, p.Sequences), make([]float64, p.Sequences)
		for i, n := range counts {
			token[i], sequence[i] = 1/float64(len(p.Targets)), 1/n/float64(p.Sequences)
		}
		for _, c := range []struct {
			name    string
			weights []float64
			want    float64
		}{{"token", token, g.SFTToken}, {"sequence", sequence, g.SFTSequence}} {
			got := g.train(t, p, exec.SaveNone, 0, weighted, map[string][]float64{"weights": c.weights})
			within(t, "loss "+c.name, math.Abs(got/c.want-1), tolerances[g.act].sft)
			g.gradsEqual(t, fmt.Sprintf("sft_grads_%s.safetensors", c.name))
		}
	})
}

type goldenPair struct{ Chosen, Rejected goldenExample }

// pairPack lays each pair with its prompt once, or as two whole sequences.
func pairPack(pairs []goldenPair, sharedPrompt bool) *datasets.Pack {
	p := &datasets.Pack{}
	for _, pair := range pairs {
		n := 0
		for pair.Chosen.Mask[n] == 0 {
			n++
		}
		first := 2 * (p.Sequences / 2)
		var prompt int
		for side, e := range []goldenExample{pair.Chosen, pair.Rejected} {
			if side == 0 || !sharedPrompt {
				prompt = appendSegment(p, e.IDs[:n], 0, len(p.IDs), len(p.IDs))
			}
			answer := appendSegment(p, e.IDs[n:], n, prompt, prompt+n)
			target(p, prompt+n-1, e.IDs[n], first+side)
			for i := n + 1; i < len(e.IDs); i++ {
				target(p, answer+i-1-n, e.IDs[i], first+side)
			}
		}
	}
	return p
}

// dpoLoss is the loss of the main job, written out for this test.
func dpoLoss(beta, smoothing, nll float64) func(d *model.Decoder) *graph.Node {
	return func(d *model.Decoder) *graph.Node {
		chosen := d.Pick(d.SequenceLogProbs, d.Vector("chosen", device.I32, graph.Pairs))
		rejected := d.Pick(d.SequenceLogProbs, d.Vector("rejected", device.I32, graph.Pairs))
		reference := d.Vector("reference margin", device.F64, graph.Pairs)
		margin := d.Scale(d.Sub(d.Sub(chosen, rejected), reference), beta)
		perPair := d.Add(d.Scale(d.Softplus(d.Neg(margin)), 1-smoothing), d.Scale(d.Softplus(margin), smoothing))
		perPair = d.Sub(perPair, d.Scale(d.Mul(chosen, d.Vector("inverse length", device.F64, graph.Pairs)), nll))
		return d.Dot(perPair, d.Vector("weights", device.F64, graph.Pairs))
	}
}

func TestDPOLossesAndGradientsEqualTheReference(t *testing.T) {
	notUnderRaces(t)
	forEachGolden(t, func(t *testing.T, g *golden) {
		var batch struct{ Pairs []goldenPair }
		readJSON(t, filepath.Join(g.dir, "dpo_pairs.json"), &batch)
		for _, c := range []struct {
			file                 string
			beta, smoothing, nll float64
			want                 goldenDPO
		}{
			{"dpo_b0.1", 0.1, 0, 0, g.DPO}, {"dpo_b0.1_nll0.2", 0.1, 0, 0.2, g.DPONLL}, {"dpo_b0.5_ls0.1", 0.5, 0.1, 0, g.DPOSmooth},
		} {
			n := len(batch.Pairs)
			inputs := map[string][]float64{"reference margin": nil, "inverse length": nil, "weights": nil}
			for i, pair := range batch.Pairs {
				answer := 0
				for _, m := range pair.Chosen.Mask {
					answer += m
				}
				ref := c.want.Pairs[i]
				inputs["reference margin"] = append(inputs["reference margin"], ref.ReferenceChosen-ref.ReferenceRejected)
				inputs["inverse length"] = append(inputs["inverse length"], 1/float64(answer))
				inputs["weights"] = append(inputs["weights"], 1/float64(n))
			}
			for _, sharedPrompt := range []bool{true, false} {
				got := g.train(t, pairPack(batch.Pairs, sharedPrompt), exec.SaveAttention, n, dpoLoss(c.beta, c.smoothing, c.nll), inputs)
				within(t, fmt.Sprintf("%s, shared prompt %v: loss", c.file, sharedPrompt), math.Abs(got/c.want.Loss-1), tolerances[g.act].dpo)
				g.gradsEqual(t, c.file+"_grads.safetensors")
			}
		}
	})
}
