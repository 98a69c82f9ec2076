package datasets

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"

	"align/internal/fixture"
)

func chatOptions(t testing.TB) Options {
	t.Helper()
	template, _, err := ChooseTemplate("auto", loadTokenizer(t, "data", "stories260K-chat"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Template: template}
}

// dropped are the line numbers of a reason.
func dropped(s Summary, reason Reason) []int {
	for _, d := range s.Dropped {
		if d.Reason == reason {
			return d.Numbers
		}
	}
	return nil
}

// What the real HH records hold is known: four empty answers, four prompts that
// differ, and seven chosen conversations out of turn, of which three are among
// those whose prompts differ.
func TestReadHH(t *testing.T) {
	path := fixture.Path(t, "data", "datasets", "hh-rlhf-harmless-2000.jsonl.gz")
	pairs, s, err := ReadPairs(context.Background(), path, chatOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	want := map[Reason][]int{
		EmptyAnswer:   {87, 517, 926, 1104},
		PromptsDiffer: {1255, 1689, 1951, 1953},
		BrokenRoles:   {668, 764, 1320, 1850},
	}
	for reason, lines := range want {
		if got := dropped(s, reason); !slices.Equal(got, lines) {
			t.Errorf("%s at %v, want %v", reason, got, lines)
		}
	}
	if len(s.Dropped) != len(want) || len(pairs) != 2000-12 || s.Kept != len(pairs) || s.Read != 2000 {
		t.Errorf("kept %d pairs: %v", len(pairs), s)
	}
	if s.Format != "preference, implicit prompt (chosen + rejected)" || s.Container != "JSON lines, gzip" {
		t.Errorf("recognised as %q, %q", s.Format, s.Container)
	}
}

// At 512 tokens of this small vocabulary about 1,400 pairs fit.
func TestReadHHOverlong(t *testing.T) {
	path := fixture.Path(t, "data", "datasets", "hh-rlhf-harmless-2000.jsonl.gz")
	o := chatOptions(t)
	o.MaxLength = 512
	for overlong, kept := range map[string][2]int{OverlongDrop: {1350, 1450}, OverlongTruncatePrompt: {1900, 1980}, OverlongTruncate: {1600, 1700}} {
		o.Overlong = overlong
		pairs, s, err := ReadPairs(context.Background(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pairs {
			if n := len(p.Prompt) + max(len(p.Chosen), len(p.Rejected)); n > o.MaxLength || len(p.Prompt) == 0 {
				t.Fatalf("%s: %s has %d tokens", overlong, p.Place, n)
			}
			if len(p.ChosenFormat) != len(p.Chosen) || len(p.RejectedFormat) != len(p.Rejected) {
				t.Fatalf("%s: %s: format marks of another length", overlong, p.Place)
			}
			if bos, _ := o.Template.tok.BOS(); p.Prompt[0] != bos {
				t.Fatalf("%s: %s lost its BOS", overlong, p.Place)
			}
		}
		if len(pairs) < kept[0] || len(pairs) > kept[1] {
			t.Errorf("%s: kept %d pairs, want %v", overlong, len(pairs), kept)
		}
		if cut := overlong != OverlongDrop; cut != (s.Truncated > 0) {
			t.Errorf("%s: %d were cut", overlong, s.Truncated)
		}
	}
	o.Overlong = OverlongError
	if _, _, err := ReadPairs(context.Background(), path, o); err == nil || !strings.Contains(err.Error(), ".gz:1: the record has") && !strings.Contains(err.Error(), "tokens: the limit is 512") {
		t.Errorf("error: got %v", err)
	}
}

func TestReadAlpaca(t *testing.T) {
	path := fixture.Path(t, "data", "datasets", "alpaca-1500.json")
	o := chatOptions(t)
	examples, s, err := ReadExamples(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Read != 1500 || s.Container != "JSON" || s.Format != "alpaca (instruction + output)" {
		t.Errorf("got %v", s)
	}
	if text := o.Template.tok.Decode(examples[0].IDs); !strings.Contains(text, "elements—a rural village") {
		t.Errorf("the first is %q", text)
	}
	if want := path + ": record 1"; examples[0].Place != want {
		t.Errorf("its place is %q, want %q", examples[0].Place, want)
	}
}

func TestReadGSM8K(t *testing.T) {
	path := fixture.Path(t, "data", "datasets", "gsm8k-train-2000.jsonl")
	o := chatOptions(t)
	_, _, err := ReadExamples(context.Background(), path, o)
	if err == nil || !strings.Contains(err.Error(), ":1: the columns question, answer are no fine-tuning format") {
		t.Errorf("without a map: got %v", err)
	}
	o.Map = Mapping{"prompt": "question", "completion": "answer"}
	examples, s, err := ReadExamples(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(examples) != 2000 || s.Format != "prompt-completion (prompt + completion)" {
		t.Errorf("got %v", s)
	}
}

// The real Llama 3 tokenizer on real records; kept-bytes is what the examples
// hold of memory.
func BenchmarkReadLlama3(b *testing.B) {
	template, err := NewTemplate("llama3", loadTokenizer(b, "data", "llama3-tokenizer", "hf-3.1-instruct"))
	if err != nil {
		b.Fatal(err)
	}
	o := Options{Template: template}
	b.Run("data=hh", func(b *testing.B) {
		benchmarkRead(b, fixture.Path(b, "data", "datasets", "hh-rlhf-harmless-2000.jsonl.gz"), o, ReadPairs)
	})
	b.Run("data=alpaca", func(b *testing.B) {
		benchmarkRead(b, fixture.Path(b, "data", "datasets", "alpaca-1500.json"), o, ReadExamples)
	})
}

func benchmarkRead[T any](b *testing.B, path string, o Options, reading func(context.Context, string, Options) ([]T, Summary, error)) {
	b.ReportAllocs()
	var kept []T
	var s Summary
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		kept = nil
		var err error
		if kept, s, err = reading(context.Background(), path, o); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(s.Tokens)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
	b.ReportMetric(float64(after.HeapAlloc)-float64(before.HeapAlloc), "kept-bytes")
	runtime.KeepAlive(kept)
}
