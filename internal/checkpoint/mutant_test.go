package checkpoint

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mutate saves steps 1 and 2, damages step 2 and checks that Open sees it,
// names it and falls back to step 1; and that a damaged one is not opened when
// it is asked for by name.
func mutate(t *testing.T, name string, damage func(dir string) error) {
	t.Helper()
	run := t.TempDir()
	save(t, run, 1, 2)
	dir := filepath.Join(run, folder, stepName(2))
	if err := damage(dir); err != nil {
		t.Fatal(err)
	}
	c, err := Open(run)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	checkStep(t, c, 1)
	if len(c.Rejected) != 1 || c.Rejected[0].Path != dir || c.Rejected[0].Err == nil {
		t.Errorf("%s: rejected %+v, want %s", name, c.Rejected, dir)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("%s: opened by name, error %v", name, err)
	}
}

func TestMutants(t *testing.T) {
	in := func(dir, name string) string { return filepath.Join(dir, name) }
	tests := []struct {
		name   string
		damage func(dir string) error
	}{
		{"missing file", func(d string) error { return os.Remove(in(d, "state.json")) }},
		{"missing manifest", func(d string) error { return os.Remove(in(d, manifestName)) }},
		{"empty manifest", func(d string) error { return os.Truncate(in(d, manifestName), 0) }},
		{"extra file", func(d string) error { return os.WriteFile(in(d, "x"), nil, 0o666) }},
		{"extra folder", func(d string) error { return os.Mkdir(in(d, "x"), 0o777) }},
		{"longer file", func(d string) error { return appendByte(in(d, "state.json")) }},
		{"longer manifest", func(d string) error { return appendByte(in(d, manifestName)) }},
		{"swapped files", func(d string) error {
			return swap(in(d, "adapter_model.safetensors"), in(d, "optimizer.safetensors"))
		}},
		{"file of the other step", func(d string) error {
			return copyFile(filepath.Join(d, "..", stepName(1), "state.json"), in(d, "state.json"))
		}},
		{"manifest of the other step", func(d string) error {
			return copyFile(filepath.Join(d, "..", stepName(1), manifestName), in(d, manifestName))
		}},
		{"whole other step", func(d string) error {
			if err := os.RemoveAll(d); err != nil {
				return err
			}
			return os.CopyFS(d, os.DirFS(filepath.Join(d, "..", stepName(1))))
		}},
		{"link in place of a file", func(d string) error {
			if err := os.Rename(in(d, "state.json"), filepath.Join(d, "..", "state")); err != nil {
				return err
			}
			return os.Symlink(filepath.Join("..", "state"), in(d, "state.json"))
		}},
		{"folder in place of a file", func(d string) error {
			if err := os.Remove(in(d, "state.json")); err != nil {
				return err
			}
			return os.Mkdir(in(d, "state.json"), 0o777)
		}},
		{"newer format", func(d string) error { return edit(in(d, manifestName), `"version": 1`, `"version": 2`) }},
		{"path in manifest", func(d string) error { return edit(in(d, manifestName), `"state.json"`, `"../state.json"`) }},
		{"unknown key", func(d string) error { return edit(in(d, manifestName), `"step"`, `"x": 1, "step"`) }},
	}
	for _, tt := range tests {
		mutate(t, tt.name, tt.damage)
	}
}

func appendByte(path string) error { return edit(path, "", " ") }

// edit replaces the first old in a file by new; an empty old appends.
func edit(path, old, new string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(raw) + new
	if old != "" {
		text = strings.Replace(string(raw), old, new, 1)
	}
	return os.WriteFile(path, []byte(text), 0o666)
}

func copyFile(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, raw, 0o666)
}

func swap(a, b string) error {
	if err := os.Rename(a, a+".x"); err != nil {
		return err
	}
	if err := os.Rename(b, a); err != nil {
		return err
	}
	return os.Rename(a+".x", b)
}

// Any flipped bit and any cut, in any file, is found. The mutants are drawn
// from a fixed seed; each damages one checkpoint and is undone.
func TestBitFlipsAndCuts(t *testing.T) {
	const mutants = 3000
	run := t.TempDir()
	save(t, run, 1, 2)
	dir := filepath.Join(run, folder, stepName(2))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range mutants {
		path := filepath.Join(dir, entries[random.IntN(len(entries))].Name())
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), raw...)
		at := random.IntN(len(raw))
		if random.IntN(3) == 0 {
			bad = bad[:at]
		} else {
			bad[at] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(path, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		if c, err := Open(run); err != nil || c.Step != 1 {
			t.Fatalf("%s damaged at %d: got %+v, %v", path, at, c, err)
		}
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := Open(run); err != nil || c.Step != 2 {
		t.Errorf("after the last repair: got %+v, %v", c, err)
	}
}

// A change between Open and ReadFile is found as well.
func TestReadFileVerifies(t *testing.T) {
	run := t.TempDir()
	save(t, run, 1)
	c, err := Open(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := appendByte(filepath.Join(c.Path, "state.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadFile("state.json"); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("got %v", err)
	}
}

func FuzzManifest(f *testing.F) {
	raw, err := manifest{Version: formatVersion, Step: 3, Files: []FileInfo{{"a", 1, sum(nil)}}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"version":1,"step":1,"files":[],"hash":""}`))
	f.Add([]byte(`{"version":1,"step":-1,"files":[{"name":"../a"}],"hash":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeManifest(raw)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil || string(again) != string(raw) {
			t.Errorf("accepted %q, which is not what encode writes", raw)
		}
	})
}
