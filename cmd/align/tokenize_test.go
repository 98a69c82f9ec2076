package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"align/internal/fixture"
)

// goldenCases reads a list of ../shared/golden/tokenizer.json as lines of input
// and the ids that must come out.
func goldenCases(t *testing.T, list string) (model, input string, want [][]int32) {
	t.Helper()
	if testing.Short() {
		t.Skip("loads a tokenizer of 128,000 tokens")
	}
	shared := fixture.Find(t)
	if shared == "" {
		t.Skip("the reference ids are in the shared folder, which is not there")
	}
	data, err := os.ReadFile(filepath.Join(shared, "golden", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lists map[string][]map[string]jsontext.Value
	if err := json.Unmarshal(data, &lists); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, c := range lists[list] {
		var ids []int32
		if err := json.Unmarshal(c["ids"], &ids); err != nil {
			t.Fatal(err)
		}
		delete(c, "ids")
		line, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
		want = append(want, ids)
	}
	return filepath.Join(shared, "data", "llama3-tokenizer"), b.String(), want
}

func TestTokenizeGivesTheReferenceIDs(t *testing.T) {
	model, input, want := goldenCases(t, "tokenize")
	const cases = 280 // as the file is described
	if len(want) != cases {
		t.Fatalf("%d cases, want %d", len(want), cases)
	}
	compareIDs(t, want, input, "tokenize", "--model", model, "--jsonl")
}

func TestTokenizeRendersTheReferenceChats(t *testing.T) {
	model, input, want := goldenCases(t, "chat")
	const cases = 24 // as the file is described
	if len(want) != cases {
		t.Fatalf("%d cases, want %d", len(want), cases)
	}
	compareIDs(t, want, input, "tokenize", "--model", model, "--chat")
}

func compareIDs(t *testing.T, want [][]int32, input string, args ...string) {
	t.Helper()
	s, out, errs := testStreams(input)
	if code := run(args, s); code != exitDone {
		t.Fatalf("exit %d: %s", code, errs)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		if got := string(appendIDs(nil, want[i])); line != got {
			t.Errorf("case %d: got %s\nwant %s", i, line, got)
		}
	}
}

// A line longer than the reader's buffer, a last line without its end, and an
// answer to each as soon as no more input waits.
func TestFilterLines(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	var out bytes.Buffer
	err := filterLines(strings.NewReader("a\r\n\n"+long+"\nb"), &out, func(dst, line []byte) ([]byte, error) {
		return append(dst, line[:1]...), nil
	})
	if err != nil || out.String() != "a\nx\nb\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestFilterLinesAnswersLineByLine(t *testing.T) {
	questions, ask := pipe(t)
	answers, reply := pipe(t)
	done := make(chan error, 1)
	go func() {
		err := filterLines(questions, reply, func(dst, line []byte) ([]byte, error) { return append(dst, line...), nil })
		reply.Close()
		done <- err
	}()
	buffer := make([]byte, 16)
	for _, question := range []string{"one\n", "two\n"} {
		if _, err := ask.WriteString(question); err != nil {
			t.Fatal(err)
		}
		n, err := answers.Read(buffer)
		if err != nil || string(buffer[:n]) != question {
			t.Fatalf("answer %q, %v, want %q", buffer[:n], err, question)
		}
	}
	ask.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}
