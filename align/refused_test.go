package align

import (
	"path/filepath"
	"testing"

	"align/internal/runfolder"
	"align/internal/train"
)

// A run that is refused once its folder is made leaves nothing; one that began
// keeps its folder.
func TestARefusedRunLeavesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, out := range []string{"", "some/run"} {
		for _, began := range []bool{false, true} {
			settings := train.DefaultSettings()
			settings.Out = out
			s := &stage{method: "sft", settings: &settings, env: Environment{Note: func(string) {}}}
			if err := s.newRun(); err != nil {
				t.Fatal(err)
			}
			if began {
				if err := runfolder.WriteSettings(s.run, nil); err != nil {
					t.Fatal(err)
				}
			}
			s.close()
			if top := filepath.Dir(s.run); has(".", top) != began || runfolder.Is(s.run) != began {
				t.Errorf("%q, began %v: %s is there: %v", out, began, top, has(".", top))
			}
		}
	}
}
