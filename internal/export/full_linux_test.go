package export_test

import (
	"errors"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"align/internal/export"
	"align/internal/work"
)

// limitFiles lets no file grow beyond so many bytes until the test ends: to who writes
// it is a disk that fills up.
func limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // else the process ends where a file grows beyond
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
}

// Weights that are cut off leave nothing: neither half of them nor what was written
// before them, nor the folder that was made for it.
func TestNothingHalfWrittenIsLeft(t *testing.T) {
	base := baseFolder(t)
	a, values := trained(t, configOf(t, base), 32)
	adapter, whole := adapterFolder(t, a, values, base), fullRun(t, base)
	for _, o := range []export.Options{
		{Adapter: adapter, Format: export.FormatGGUF}, {Adapter: adapter, Format: export.FormatPEFT},
		{Adapter: adapter, Format: export.FormatMergedHF}, {Adapter: adapter, Format: export.FormatMergedGGUF},
		{Adapter: whole, Format: export.FormatHF},
	} {
		t.Run(o.Format, func(t *testing.T) {
			dir := t.TempDir()
			o.Out = outOf(filepath.Join(dir, "new"), o.Format)
			limitFiles(t, 256<<10) // the least of them are 576 KiB
			if _, err := export.Write(o, work.Environment{}); !errors.Is(err, syscall.EFBIG) {
				t.Errorf("error %v, want one of a file too large", err)
			}
			if left := names(t, dir); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}
