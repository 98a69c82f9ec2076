package tensorfile_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/tensorfile"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, size, err := tensorfile.Open(file)
	if err != nil || size != 4 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	f.Close()
	if _, _, err := tensorfile.Open(dir); err == nil || err.Error() != dir+": not a regular file" {
		t.Errorf("a folder: %v", err)
	}
	if _, _, err := tensorfile.Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if link := filepath.Join(dir, "link"); os.Symlink("file", link) == nil {
		if f, size, err := tensorfile.Open(link); err != nil || size != 4 {
			t.Errorf("a link: %d bytes, %v", size, err)
		} else {
			f.Close()
		}
	}
}

func TestWriteExactly(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		data func(io.Writer) error
		want string
	}{
		"as many":  {writes("ab", "cd"), ""},
		"none":     {writes(), "F32 [1] needs 4 bytes, 0 were written"},
		"fewer":    {writes("abc"), "F32 [1] needs 4 bytes, 3 were written"},
		"more":     {writes("abc", "de"), "more bytes than its shape calls for: 1 left, 2 given"},
		"an error": {func(io.Writer) error { return failed }, "failed"},
	} {
		var b bytes.Buffer
		err := tensorfile.WriteExactly(&b, 4, "F32 [1]", c.data)
		if c.want == "" && (err != nil || b.String() != "abcd") || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s: wrote %q, error %v, want %q", name, b.String(), err, c.want)
		}
		if b.Len() > 4 {
			t.Errorf("%s: wrote %q beyond the size", name, b.String())
		}
	}
}

// writes are writes one after another, until one fails.
func writes(parts ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, p := range parts {
			if _, err := io.WriteString(w, p); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestQuote(t *testing.T) {
	long := strings.Repeat("x", 81)
	for name, want := range map[string]string{"a\nb": `"a\nb"`, long[:80]: `"` + long[:80] + `"`, long: `"` + long[:80] + `"...`} {
		if got := tensorfile.Quote(name); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
