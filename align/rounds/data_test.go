package rounds

import (
	"os"
	"path/filepath"
	"testing"

	"align/rejection"

	"github.com/google/go-cmp/cmp"
)

func TestTheBestAnswerOfAllRoundsIsKept(t *testing.T) {
	root := t.TempDir()
	round := func(name, lines string) string {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, rejection.SFTFile), []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	one := round("1", `{"prompt":"a","completion":"old a","score":2}
{"prompt":"b","completion":"old b","score":1}
{"prompt":"c","completion":"old c","score":1}
`)
	two := round("2", `{"prompt":"a","completion":"new a","score":1}
{"prompt":"b","completion":"new b","score":1}
{"prompt":"d","completion":"new d","score":-1}
`)
	for _, c := range []struct {
		judges  [2]string
		want    []string
		earlier int
	}{
		{[2]string{"j", "j"}, []string{`"old a"`, `"new b"`, `"old c"`, `"new d"`}, 2},
		{[2]string{"j", "k"}, []string{`"old a"`, `"old b"`, `"old c"`, `"new a"`, `"new b"`, `"new d"`}, 3},
	} {
		path := filepath.Join(root, "sft.jsonl")
		total, earlier, err := gather([]samples{{one, c.judges[0]}, {two, c.judges[1]}}, path)
		if err != nil || total != len(c.want) || earlier != c.earlier {
			t.Errorf("%d answers, %d of earlier rounds, %v: want %d and %d", total, earlier, err, len(c.want), c.earlier)
		}
		list, err := readExamples(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list {
			got = append(got, string(e.Completion))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, _, err := gather([]samples{{round("3", `{"prompt": 1,`), "j"}}, filepath.Join(root, "x")); err == nil {
		t.Error("a cut file: no error")
	}
}
