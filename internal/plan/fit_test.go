package plan

import (
	"errors"
	"math"
	"strings"
	"testing"

	"align/datasets"
	"align/internal/cost"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/host"
	"align/internal/train"
	"align/model"

	"pgregory.net/rapid"
)

// What is counted of examples and pairs is what a pack of them has.
func TestExtentsAreThePacks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(1, 9)
		var pack datasets.Pack
		var sum Extent
		for range rapid.IntRange(1, 4).Draw(t, "pairs") {
			p := datasets.Pair{Prompt: make([]int32, length.Draw(t, "prompt")), Chosen: make([]int32, length.Draw(t, "chosen")), Rejected: make([]int32, length.Draw(t, "rejected"))}
			pack.AddPair(p, 0)
			sum = sum.join(PairExtents([]datasets.Pair{p}, 2)[0])
		}
		compareExtent(t, &pack, sum, sum.Pairs)
		pack.Reset()
		sum = Extent{}
		for range rapid.IntRange(1, 4).Draw(t, "examples") {
			n := length.Draw(t, "tokens")
			e := datasets.Example{IDs: make([]int32, n), LossMask: rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "mask")}
			pack.AddExample(e, 0)
			sum = sum.join(ExampleExtents([]datasets.Example{e})[0])
		}
		compareExtent(t, &pack, sum, 0)
	})
}

func compareExtent(t *rapid.T, pack *datasets.Pack, got Extent, pairs int) {
	if want := model.SizeOf(pack, pairs); got.Capacity != want {
		t.Errorf("counted %+v, the pack has %+v", got.Capacity, want)
	}
	if want := cost.WorkOf(pack); math.Abs(got.attended-want.Pairs) > 1e-9*want.Pairs {
		t.Errorf("counted %v attended pairs, the pack has %v", got.attended, want.Pairs)
	}
}

func TestChoosePolicy(t *testing.T) {
	bytes := map[exec.SavePolicy]int64{exec.SaveTiled: 5, exec.SaveNone: 10, exec.SaveAttention: 20, exec.SaveProducts: 50, exec.SaveAll: 100}
	asked := 0
	size := func(p exec.SavePolicy) (int64, error) { asked++; return bytes[p], nil }
	for _, tc := range []struct {
		left int64
		want exec.SavePolicy
	}{{1000, exec.SaveAll}, {100, exec.SaveAll}, {99, exec.SaveProducts}, {49, exec.SaveAttention}, {10, exec.SaveNone}, {9, exec.SaveTiled}} {
		if got, err := choosePolicy(tc.left, size); got != tc.want || err != nil {
			t.Errorf("%d bytes: %s, %v, want %s", tc.left, got, err, tc.want)
		}
	}
	if _, err := choosePolicy(4, size); !errors.Is(err, errNoRoom) {
		t.Errorf("too few bytes: %v", err)
	}
	asked = 0
	if _, err := choosePolicy(1000, size); err != nil || asked != 1 {
		t.Errorf("%d policies were sized where the first fits, %v", asked, err)
	}
}

// A run that cannot fit names what would, and each step towards it is smaller.
func TestTooLarge(t *testing.T) {
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	s := newTestStage(c)
	s.Settings.Batch, s.Settings.Accumulate = 8, 2
	list := answerExtents(8, 100, 100)
	need, err := s.sessionSize(Trained{Adapter: a}, answerExtents(1, 200, 200)[0].Capacity, exec.SaveTiled, true)
	if err != nil {
		t.Fatal(err)
	}
	f := &footprint{sessions: map[exec.SavePolicy]sessionBytes{exec.SaveTiled: {activations: 1 << 40}}}
	w := &workload{longest: 200}
	for _, tc := range []struct {
		available float64
		want      string
	}{
		{2 * float64(need.Bytes), "--batch 2 --accumulate 8 fits"}, {0.4 * float64(need.Bytes), "--max-length "}, {1, "use a smaller model"},
	} {
		err := s.tooLarge(Trained{Adapter: a}, f, w, list, int64(tc.available/headroom))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.0f bytes: %v lacks %q", tc.available, err, tc.want)
		}
	}
}

// A pack that no machine has memory for is refused before anything is loaded,
// and so is a policy that does not fit where another does.
func TestFitPolicy(t *testing.T) {
	memory, err := host.ReadMemory()
	if errors.Is(err, host.ErrUnknown) {
		t.Skip("this system does not tell its memory")
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	s := newTestStage(c)
	s.Settings.Batch = 2
	fit := func(tokens int) (exec.SavePolicy, error) {
		list := answerExtents(2, tokens/2, tokens/2)
		w, err := s.walk(list, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		return s.fitPolicy(Trained{Adapter: a}, &footprint{sessions: map[exec.SavePolicy]sessionBytes{}}, w, list)
	}
	if got, err := fit(100); got != exec.SaveAll || err != nil {
		t.Errorf("a small pack: %s, %v", got, err)
	}
	const huge = 500_000_000
	if _, err := fit(huge); err == nil || !strings.HasPrefix(err.Error(), "memory: ") || !strings.Contains(err.Error(), "--max-length ") {
		t.Errorf("a huge pack: %v", err)
	}
	// Of a size between what the first and the last policy take, the last fits.
	perToken, err := s.sessionSize(Trained{Adapter: a}, model.Capacity{Tokens: 1000, Targets: 1000, Sequences: 1}, exec.SaveAll, true)
	if err != nil {
		t.Fatal(err)
	}
	tokens := int(memory.Available / perToken.Bytes * 1000 * 6 / 10)
	if got, err := fit(tokens); err != nil || got == exec.SaveAll {
		t.Errorf("%d tokens: %s, %v, want a policy that keeps less", tokens, got, err)
	}
	s.Settings.SavePolicy = "all"
	if _, err := fit(tokens); err == nil || !strings.Contains(err.Error(), "save_policy all needs") {
		t.Errorf("an asked policy that does not fit: %v", err)
	}
}

// newTestStage is a stage with a model's config and default settings alone.
func newTestStage(c model.Config) *Stage {
	settings := train.DefaultSettings()
	return &Stage{Method: "sft", Settings: &settings, Config: c, Act: device.F32}
}
