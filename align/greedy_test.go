package align_test

import (
	"slices"
	"testing"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/fixture"
	"align/internal/rollout"
	"align/internal/runfolder"
	"align/model"
)

// A greedy rollout, several samples to a prompt and few at once, is what align
// generate answers, token for token, with an adapter and without.
func TestAGreedyRolloutIsWhatGenerateAnswers(t *testing.T) {
	base := fixture.Path(t, "data", "stories260K-chat")
	run := trainOn(t, base, writeLines(t, "data.jsonl", chats("Tell me a story.", "Once upon a time there was a girl named Lily.", "Who is Tom?", "Tom is a boy."))).Out
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := model.Load(base, b, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rollout.New(m, nil, rollout.Limits{Prompt: 64, Answer: 64, Sequences: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	tok, err := basemodel.OpenTokenizer(base)
	if err != nil {
		t.Fatal(err)
	}
	template, _, err := datasets.ChooseTemplate("llama3", tok)
	if err != nil {
		t.Fatal(err)
	}
	var prompts []rollout.Prompt
	for i, text := range []string{"Tell me a story.", "Who is Tom?", "What did the dog do in the park?"} {
		ids, err := template.Prompt([]datasets.Message{{Role: "user", Content: text}})
		if err != nil {
			t.Fatal(err)
		}
		prompts = append(prompts, rollout.Prompt{IDs: ids, Key: uint64(i)})
	}
	o := rollout.Options{Sampling: rollout.Sampling{TopP: 1, RepetitionPenalty: 1}, MaxNew: 64, Samples: 2, Stop: slices.Concat(m.Config.EOS, template.StopIDs())}
	for _, name := range []string{run, ""} {
		if err := engine.Use(adapterOf(t, m, name)); err != nil {
			t.Fatal(err)
		}
		want := answers(t, base, name)
		err := engine.Generate(t.Context(), prompts, o, func(s rollout.Sample) error {
			if !slices.Equal(s.IDs, want[s.Prompt]) {
				t.Errorf("adapter %q, prompt %d, sample %d:\n%v, align generate answers\n%v", name, s.Prompt, s.Index, s.IDs, want[s.Prompt])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// adapterOf is a run's adapter on the model, nil for "".
func adapterOf(t *testing.T, m *model.Model, run string) *model.Adapter {
	t.Helper()
	if run == "" {
		return nil
	}
	folder, err := runfolder.AdapterFolder(run)
	if err != nil {
		t.Fatal(err)
	}
	a, values, err := model.ReadAdapter(folder, m.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AllocAdapter(a, values); err != nil {
		t.Fatal(err)
	}
	return a
}
