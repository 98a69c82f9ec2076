package rejection

import (
	"os"
	"path/filepath"
	"testing"
)

// What an interrupted job left is taken or refused, and what is taken is read again to
// the same.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("{\"job\":\"j 1/1\"}\n{\"prompt\":\"p\",\"ids\":[1,2],\"logprobs\":[-1,-2],\"finish\":\"stop\"}\n{\"prompt\":\"p\",\"scores\":[1]}\n"))
	f.Add([]byte("{\"job\":\"j 1/1\"}\n{\"prompt\":\"p\",\"sample\":-1}\n{\"prom"))
	f.Add([]byte("{\"job\":\"other\"}\n"))
	f.Add([]byte("\n\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, journalFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		read := func() (prompts, samples int, err error) {
			j, err := openJournal(dir, entry{Job: "j 1/1"}, true)
			if err != nil {
				return 0, 0, err
			}
			defer j.file.Close()
			for _, s := range j.known {
				samples += len(s.samples)
			}
			return len(j.known), samples, nil
		}
		prompts, samples, err := read()
		if err != nil {
			return
		}
		if p, s, err := read(); p != prompts || s != samples || err != nil {
			t.Errorf("%d prompts and %d samples, again %d and %d, %v", prompts, samples, p, s, err)
		}
	})
}
