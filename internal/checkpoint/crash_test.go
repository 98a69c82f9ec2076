package checkpoint

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"align/internal/atomicfile/crashfs"
)

const disk = "/disk"

// eachCrash calls check with the run's folder for every distinct disk that a
// crash after the first from operations, or later, can leave. It returns how
// many crashes and distinct disks there were.
func eachCrash(t *testing.T, fsys *crashfs.FS, from int, check func(after int, run string)) (crashes, disks int) {
	t.Helper()
	const folders = 6 // disk, run, checkpoints, two of steps, one of trash
	seen := map[[32]byte]bool{}
	for n := from; n <= fsys.Ops(); n++ {
		for _, mode := range crashfs.Modes(folders) {
			crashes++
			image := fsys.Crash(n, mode)
			if key := digest(n == fsys.Ops(), image); seen[key] {
				continue
			} else {
				seen[key] = true
			}
			dir := t.TempDir()
			if err := image.Write(dir); err != nil {
				t.Fatal(err)
			}
			check(n, filepath.Join(dir, "run"))
		}
	}
	return crashes, len(seen)
}

func digest(last bool, image crashfs.Image) [32]byte {
	h := sha256.New()
	fmt.Fprintln(h, last)
	for _, path := range slices.Sorted(maps.Keys(image)) {
		fmt.Fprintln(h, path, len(image[path]))
		h.Write(image[path])
	}
	return [32]byte(h.Sum(nil))
}

// After a crash at any operation of Save the run opens at the step before or
// at the new one, whole; once Save has returned, at the new one.
func TestSaveSurvivesEveryCrash(t *testing.T) {
	tests := []struct {
		name        string
		first, next int // equal: the step is replaced
	}{
		{"next step", 1, 2},
		{"same step", 4, 4},
	}
	for _, tt := range tests {
		fsys := crashfs.New(disk)
		saveIn(t, fsys, tt.first, tt.first)
		safe := fsys.Ops()
		saveIn(t, fsys, tt.next, 9) // its content tells 9, whatever its step
		crashes, disks := eachCrash(t, fsys, safe, func(after int, run string) {
			c, err := Open(run)
			if err != nil {
				t.Errorf("%s: crash after %q: %v", tt.name, fsys.Op(after-1), err)
				return
			}
			old := after < fsys.Ops() && c.Step == tt.first && holds(c, tt.first)
			if !old && !(c.Step == tt.next && holds(c, 9)) {
				t.Errorf("%s: crash after %q: step %d is not whole", tt.name, fsys.Op(after-1), c.Step)
			}
		})
		t.Logf("%s: %d crashes, %d distinct disks", tt.name, crashes, disks)
	}
}

func saveIn(t *testing.T, fsys *crashfs.FS, step, content int) {
	t.Helper()
	if _, err := SaveFS(fsys, disk+"/run", step, parts(content)); err != nil {
		t.Fatal(err)
	}
}

// holds reports whether c has exactly what parts(content) writes.
func holds(c *Checkpoint, content int) bool {
	for _, p := range parts(content) {
		var want strings.Builder
		p.Write(&want)
		if got, err := c.ReadFile(p.Name); err != nil || string(got) != want.String() {
			return false
		}
	}
	return len(c.Files()) == len(parts(content))
}

// The first save of a run leaves it without a checkpoint or with a whole one.
func TestFirstSaveSurvivesEveryCrash(t *testing.T) {
	fsys := crashfs.New(disk)
	saveIn(t, fsys, 1, 1)
	eachCrash(t, fsys, 0, func(after int, run string) {
		c, err := Open(run)
		if after == fsys.Ops() && err != nil {
			t.Errorf("after Save: %v", err)
		}
		if err == nil && !holds(c, 1) {
			t.Errorf("crash after %d operations: not whole", after)
		}
	})
}

// Every operation that fails gives an error with the path and leaves the older
// checkpoint; only the removal of a replaced one may fail in silence.
func TestSaveFaults(t *testing.T) {
	for _, step := range []int{2, 1} { // the next step, and the same one
		probe := crashfs.New(disk)
		saveIn(t, probe, 1, 1)
		safe := probe.Ops()
		saveIn(t, probe, step, 9)
		for n := safe; n < probe.Ops(); n++ {
			fsys := crashfs.New(disk)
			saveIn(t, fsys, 1, 1)
			fsys.FailAt(n, syscall.ENOSPC)
			_, err := SaveFS(fsys, disk+"/run", step, parts(9))
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: got %v", probe.Op(n), err)
			}
			dir := t.TempDir()
			if err := fsys.Crash(fsys.Ops(), crashfs.Mode{Names: 255}).Write(dir); err != nil {
				t.Fatal(err)
			}
			c, openErr := Open(filepath.Join(dir, "run"))
			if openErr != nil || !(holds(c, 9) || holds(c, 1) && err != nil) {
				t.Errorf("%s: Save %v, then Open %v", probe.Op(n), err, openErr)
			}
		}
	}
}

// After a crash at any operation of Retain the newest checkpoint opens and the
// next Retain finishes the work.
func TestRetainSurvivesEveryCrash(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "run"), 1, 2, 3)
	fsys, err := crashfs.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := RetainFS(fsys, filepath.Join(dir, "run"), 1); err != nil {
		t.Fatal(err)
	}
	eachCrash(t, fsys, 0, func(after int, run string) {
		c, err := Open(run)
		if err != nil || c.Step != 3 || len(c.Rejected) != 0 {
			t.Errorf("crash after %d operations: got %+v, %v", after, c, err)
		}
		if err := Retain(run, 1); err != nil {
			t.Error(err)
		}
		if left := list(t, run); !slices.Equal(left, []string{"step-000003"}) {
			t.Errorf("crash after %d operations, then Retain: got %q", after, left)
		}
	})
}
