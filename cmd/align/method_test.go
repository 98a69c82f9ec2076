package main

import (
	"io"
	"path/filepath"
	"testing"

	"align/internal/atomicfile"
	"align/internal/config"
	"align/internal/runfolder"
)

// A run's file tells its method before the first checkpoint does.
func TestSettingsTellTheMethod(t *testing.T) {
	for _, method := range methods() {
		file := filepath.Join(t.TempDir(), runfolder.SettingsFile)
		err := atomicfile.WriteFile(file, func(w io.Writer) error {
			return config.Write(w, settingsOfMethod(method), func(string) string { return "" })
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := settingsMethod(file); got != method {
			t.Errorf("settings of %s are taken for those of %q", method, got)
		}
	}
}
