package atomicfile_test

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"align/internal/atomicfile"
	"align/internal/atomicfile/crashfs"
)

const root = "/disk"

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

var (
	oldText = strings.Repeat("old ", 5000)
	newText = strings.Repeat("new!", 6000)
)

// replace writes old, then new, and returns the operation at which old was safe.
func replace(t *testing.T, fsys *crashfs.FS) (safe int) {
	t.Helper()
	if err := atomicfile.WriteFileFS(fsys, root+"/a", text(oldText)); err != nil {
		t.Fatal(err)
	}
	safe = fsys.Ops()
	if err := atomicfile.WriteFileFS(fsys, root+"/a", text(newText)); err != nil {
		t.Fatal(err)
	}
	return safe
}

// After a crash at any operation the name holds nothing, old or new, whole;
// once the first call returned it never holds nothing.
func TestWriteFileSurvivesEveryCrash(t *testing.T) {
	fsys := crashfs.New(root)
	safe := replace(t, fsys)
	for n := range fsys.Ops() + 1 {
		for _, m := range crashfs.Modes(1) {
			got, there := fsys.Crash(n, m)["a"]
			switch {
			case !there && n < safe:
			case there && string(got) == oldText && n < fsys.Ops():
			case there && string(got) == newText && n > safe:
			default:
				t.Errorf("crash after %d operations (%s), %+v: there %v, %d bytes", n, fsys.Op(max(0, n-1)), m, there, len(got))
			}
		}
	}
}

// A plain write without the protocol is caught by the same enumeration.
func TestEnumerationFindsUnsafeWrite(t *testing.T) {
	fsys := crashfs.New(root)
	f, err := fsys.Create(root + "/a")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte(oldText))
	f.Close()
	fsys.SyncDir(root)
	broken := 0
	for _, m := range crashfs.Modes(1) {
		if string(fsys.Crash(fsys.Ops(), m)["a"]) != oldText {
			broken++
		}
	}
	if broken == 0 {
		t.Error("no crash broke a write without Sync")
	}
}

func TestDirSurvivesEveryCrash(t *testing.T) {
	fsys := crashfs.New(root)
	d, err := atomicfile.StageFS(fsys, root, "out")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := d.WriteFile(name, text(name+oldText)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	for n := range fsys.Ops() + 1 {
		for _, m := range crashfs.Modes(2) {
			image := fsys.Crash(n, m)
			if _, there := image["out/"]; !there {
				if n == fsys.Ops() {
					t.Errorf("%+v: the folder is gone after Commit", m)
				}
				continue
			}
			for _, name := range []string{"a", "b", "c"} {
				if string(image["out/"+name]) != name+oldText {
					t.Errorf("crash after %d operations, %+v: %s is not whole", n, m, name)
				}
			}
		}
	}
}

// Every operation that fails gives an error that names the path, leaves the
// old file and no temporary one.
func TestWriteFileFaults(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT} {
		probe := crashfs.New(root)
		safe := replace(t, probe)
		for n := safe; n < probe.Ops(); n++ {
			fsys := crashfs.New(root)
			if err := atomicfile.WriteFileFS(fsys, root+"/a", text(oldText)); err != nil {
				t.Fatal(err)
			}
			fsys.FailAt(n, fault)
			err := atomicfile.WriteFileFS(fsys, root+"/a", text(newText))
			if !errors.Is(err, fault) || !strings.Contains(err.Error(), root) {
				t.Errorf("%s: got %v, want %v with the path", probe.Op(n), err, fault)
			}
			checkAfterFault(t, fsys, probe.Op(n))
		}
	}
}

func checkAfterFault(t *testing.T, fsys *crashfs.FS, op string) {
	t.Helper()
	image := fsys.Crash(fsys.Ops(), crashfs.Mode{Names: 255})
	want := oldText
	if strings.HasPrefix(op, "syncdir") { // the rename was done; only its durability is in doubt
		want = newText
	}
	if string(image["a"]) != want || len(image) != 1 {
		t.Errorf("%s: %d names, a has %d bytes", op, len(image), len(image["a"]))
	}
}

func TestDirFaults(t *testing.T) {
	save := func(fsys *crashfs.FS) error {
		d, err := atomicfile.StageFS(fsys, root, "out")
		if err != nil {
			return err
		}
		defer d.Abort()
		if err := d.WriteFile("a", text(oldText)); err != nil {
			return err
		}
		return d.Commit()
	}
	probe := crashfs.New(root)
	if err := save(probe); err != nil {
		t.Fatal(err)
	}
	for n := range probe.Ops() {
		fsys := crashfs.New(root)
		fsys.FailAt(n, syscall.ENOSPC)
		if err := save(fsys); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: got %v", probe.Op(n), err)
		}
		last := n == probe.Ops()-1
		if fsys.Exists(root+"/out") != last {
			t.Errorf("%s: out exists is %v", probe.Op(n), !last)
		}
	}
}

// shortFS writes half of what it is given and reports no error.
type shortFS struct{ *crashfs.FS }

type shortFile struct{ atomicfile.File }

func (s shortFS) Create(path string) (atomicfile.File, error) {
	f, err := s.FS.Create(path)
	return shortFile{f}, err
}

func (s shortFile) Write(p []byte) (int, error) { return s.File.Write(p[:len(p)/2]) }

func TestShortWriteIsAnError(t *testing.T) {
	err := atomicfile.WriteFileFS(shortFS{crashfs.New(root)}, root+"/a", text(newText))
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v, want %v", err, io.ErrShortWrite)
	}
}
