package runfolder

import (
	"os"
	"sync"
	"testing"
)

func TestRunsAtOnceGetTheirOwnFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, _, err := New("", "dpo"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made, err := os.ReadDir("runs"); err != nil || len(made) != 20 {
		t.Errorf("%d folders for 20 runs (%v)", len(made), err)
	}
}
