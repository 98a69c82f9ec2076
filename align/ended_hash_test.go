package align_test

import (
	"path/filepath"
	"strings"
	"testing"

	"align/internal/train"
)

// The hash of the data ends with the first request too, which comes here once the last
// record is read: what follows the hash is not told any more.
func TestARunEndsWhileItsDataIsHashed(t *testing.T) {
	for method, run := range earlyRuns(t) {
		r := &recorder{}
		env := r.environment(t)
		env.Note = func(line string) {
			r.notes = append(r.notes, line)
			if strings.Contains(line, " records, ") {
				r.stop.Ask(train.Terminate)
			}
		}
		result, err := run(filepath.Join(t.TempDir(), "run"), env)
		if err != nil || result.Ended != train.Terminate || result.Run != "" {
			t.Errorf("%s: %+v, %v", method, result, err)
		}
		if last := r.notes[len(r.notes)-1]; method != "ppo" && !strings.Contains(last, " records, ") || strings.HasPrefix(last, "memory: ") {
			t.Errorf("%s: it went on as far as %q", method, last)
		}
	}
}
