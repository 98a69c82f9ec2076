package main

import (
	"fmt"
	"os"
	"path/filepath"

	"align/internal/checkpoint"
	"align/internal/config"
	"align/internal/runfolder"
	"align/internal/train"
	"align/ppo"

	"github.com/spf13/cobra"
)

// ofMethod refuses to go on with a run of another method than the command's.
func ofMethod(c *cobra.Command, run string) error {
	if method := methodOf(run); method != "" && method != c.Name() {
		return hint(fmt.Errorf("--resume: %s is a run of %s", run, method), "align %s --resume --out %s goes on with it", method, run)
	}
	return nil
}

// methodOf is the method of a run: what its newest checkpoint says or, before the
// first one, what its settings tell. "" cannot tell; the method itself says what is
// wrong then.
func methodOf(run string) string {
	if c, err := checkpoint.Open(run); err == nil {
		if s, err := train.ReadState(c); err == nil {
			return s.Method
		}
	}
	return settingsMethod(filepath.Join(run, runfolder.SettingsFile))
}

// settingsMethod is the one method that has all settings of a file; "" where none
// or several have.
func settingsMethod(file string) string {
	found := ""
	for _, method := range methods() {
		if _, err := config.Read(file, settingsOfMethod(method)); err != nil {
			continue
		}
		if found != "" {
			return ""
		}
		found = method
	}
	return found
}

// settingsOfMethod are the keys that a run's file of a method has.
func settingsOfMethod(method string) []config.Field {
	if method == "ppo" { // whose own list leaves a key out
		c := ppo.DefaultConfig()
		return config.Fields(&c)
	}
	return defaultFields(method)
}

// otherMethods is err, or where the file has the settings of another method that, or
// where it is a run's folder which file of it has its settings.
func otherMethods(c *cobra.Command, file string, err error) error {
	if info, wrong := os.Stat(file); wrong == nil && info.IsDir() && holds(file, runfolder.SettingsFile) {
		return hint(err, "the settings of a run are in %s", filepath.Join(file, runfolder.SettingsFile))
	}
	method := ""
	if file != "" {
		method = settingsMethod(file)
	}
	if method == "" || method == c.Name() {
		return err
	}
	return hint(fmt.Errorf("%s has the settings of %s, not of %s", file, method, c.Name()), "align %s --config %s takes them", method, file)
}
