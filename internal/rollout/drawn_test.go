//go:build linux && (amd64 || arm64) && !nogpu

package rollout

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/model"
)

func openCard(t *testing.T, races bool) *cuda.Backend {
	t.Helper()
	if testing.Short() {
		t.Skip("the simulator is slow, above all with the race detector")
	}
	b, err := cuda.OpenOn(cudatest.Library(t, races), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// cardDraws are the card's draws from rows of logits.
func cardDraws(t *testing.T, b *cuda.Backend, s Sampling, logits []float32, uniforms []float64) (ids []float64, logProbs []float64) {
	t.Helper()
	rows := len(uniforms)
	k, err := b.Bind("sample", device.Sampling{Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP})
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Alloc(int64(20*rows + 4*len(logits)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free(m)
	u, lp := m.At(0, device.F64, rows, 1), m.At(int64(8*rows), device.F64, rows, 1)
	id, z := m.At(int64(16*rows), device.I32, rows, 1), m.At(int64(20*rows), device.F32, rows, len(logits)/rows)
	raw := make([]byte, 0, 8*rows)
	for _, x := range uniforms {
		bits := math.Float64bits(x)
		for i := range 8 {
			raw = append(raw, byte(bits>>(8*i)))
		}
	}
	if err := b.Upload(u, raw); err != nil {
		t.Fatal(err)
	}
	if err := model.WriteFloats(b, z, logits); err != nil {
		t.Fatal(err)
	}
	if err := k(&device.Call{Out: []device.View{id, lp}, In: []device.View{z, u}}); err != nil {
		t.Fatal(err)
	}
	if logProbs, err = model.ReadFloats(b, nil, lp); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4*rows)
	if err := b.Download(got, id); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		ids = append(ids, float64(int32(uint32(got[4*i])|uint32(got[4*i+1])<<8|uint32(got[4*i+2])<<16|uint32(got[4*i+3])<<24)))
	}
	return ids, logProbs
}

// The card draws what the host draws, ties and far tails included.
func TestCardDrawsTheHostsTokens(t *testing.T) {
	b := openCard(t, true)
	rng := rand.New(rand.NewPCG(3, 4))
	const rows = 8
	for _, vocab := range []int{1, 37, 200} {
		for _, s := range []Sampling{
			{Temperature: 0, TopP: 1}, {Temperature: 1, TopP: 1}, {Temperature: 0.6, TopP: 0.9}, {Temperature: 1, TopK: 5, TopP: 1},
			{Temperature: 1.5, TopK: 20, TopP: 0.7}, {Temperature: 1, TopP: 1, MinP: 0.05}, {Temperature: 2, TopK: 40, TopP: 0.95, MinP: 0.02},
			{Temperature: 0.01, TopP: 0.5}, {Temperature: 1, TopK: 1000, TopP: 0.3}, {Temperature: 1, TopK: 1, TopP: 1},
		} {
			s.RepetitionPenalty = 1
			logits, uniforms := make([]float32, rows*vocab), make([]float64, rows)
			for i := range logits {
				logits[i] = float32(3 * rng.NormFloat64())
				if i%vocab > 4 && rng.IntN(4) == 0 {
					logits[i] = logits[i-1-rng.IntN(4)] // equal ones
				}
				if i/vocab == 3 {
					logits[i] *= 20
				}
			}
			for i := range uniforms {
				uniforms[i] = rng.Float64()
			}
			uniforms[0], uniforms[1] = 0, math.Nextafter(1, 0)
			ids, logProbs := cardDraws(t, b, s, logits, uniforms)
			host := sampler{Sampling: s}
			for i := range rows {
				id, logProb := host.draw(slices.Clone(logits[i*vocab:(i+1)*vocab]), nil, uniforms[i])
				if float64(id) != ids[i] || math.Abs(logProb-logProbs[i]) > 1e-12*max(1, -logProb) {
					t.Errorf("%d tokens, %+v, row %d at %v: the card draws %v (%v), the host %d (%v)", vocab, s, i, uniforms[i], ids[i], logProbs[i], id, logProb)
				}
			}
		}
	}
}

// A row that holds NaN, or an infinite logit, has the log-probability NaN, and no
// other row does.
func TestCardTellsNaN(t *testing.T) {
	b := openCard(t, true)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	logits := make([]float32, 4*100)
	logits[30], logits[200], logits[200+99] = nan, inf, -1
	for i := 300; i < 400; i++ {
		logits[i] = nan
	}
	for _, s := range noneToDraw {
		ids, logProbs := cardDraws(t, b, s, logits, []float64{0.5, 0.5, 0.5, 0.5})
		for i, x := range logProbs {
			if math.IsNaN(x) == (i == 1) || ids[i] < 0 || ids[i] >= 100 {
				t.Errorf("%+v: row %d draws %v with %v", s, i, ids[i], x)
			}
		}
	}
}

// Answers are the same whether the card draws or the host from its logits.
func TestCardAnswersAreTheSame(t *testing.T) {
	c := model.Config{
		Architecture: "LlamaForCausalLM", HiddenSize: 32, IntermediateSize: 48, NumLayers: 1, NumHeads: 2, NumKVHeads: 1, HeadDim: 16,
		VocabSize: 40, ContextLength: 64, RMSNormEps: 1e-5, RopeTheta: 10000, BOS: -1, DType: "float32",
	}
	answers := func(penalty float64) (lines []string) {
		m, err := model.Random(c, openCard(t, false), device.BF16, device.BF16, 7)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e, err := New(m, nil, Limits{Prompt: 5, Answer: 6, Sequences: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		o := Options{Sampling: Sampling{Temperature: 0.8, TopK: 20, TopP: 0.95, RepetitionPenalty: penalty}, MaxNew: 6, Samples: 3, Seed: 9}
		err = e.Generate(context.Background(), []Prompt{{IDs: []int32{3, 1, 4}, Key: 1}, {IDs: []int32{1, 5}, Key: 2}}, o, func(s Sample) error {
			line := fmt.Sprint(s.Prompt, s.Index, s.IDs)
			for _, lp := range s.LogProbs {
				line += fmt.Sprintf(" %.9f", lp)
			}
			lines = append(lines, line)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	// A penalty sends the draws to the host; one this small changes no logit's bits.
	want, got := answers(1+1e-12), answers(1)
	if len(got) != 6 || !slices.Equal(got, want) {
		t.Errorf("the card draws\n%q, the host\n%q", got, want)
	}
}
