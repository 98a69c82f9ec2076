package host

import (
	"path/filepath"
	"testing"
)

func TestCheckDevice(t *testing.T) {
	for name, known := range map[string]bool{
		"": true, "auto": true, "cpu": true, "cuda": true, "cuda:0": true, "cuda:12": true,
		"gpu": false, "cuda:": false, "cuda:-1": false, "cuda:x": false, "CPU": false, "cpu ": false,
	} {
		if err := CheckDevice(name); (err == nil) != known {
			t.Errorf("CheckDevice(%q) = %v", name, err)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0.0 MiB", 3 << 19: "1.5 MiB", 1<<30 - 1<<20: "1023.0 MiB", 1 << 30: "1.00 GiB", 5 << 29: "2.50 GiB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "auto": 0, "24GiB": 24 << 30, "1.5 GiB": 3 << 29, "24GB": 24e9, "800MiB": 800 << 20, "800MB": 800e6} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"24", "x", "-1GiB", "0GiB", "NaNGiB", "1e300GiB", "24gib"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestUnderHome(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	inside := filepath.FromSlash("~/models")
	for path, want := range map[string]string{"~": home, inside: filepath.Join(home, "models"), "~other": "~other", "a~": "a~", "": ""} {
		if got := UnderHome(path); got != want {
			t.Errorf("UnderHome(%q) = %q, want %q", path, got, want)
		}
	}
}
