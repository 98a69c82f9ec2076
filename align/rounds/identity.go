package rounds

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"

	"align/internal/config"
)

// identity is a hash of the settings that the stages depend on, of the job's own those
// that keep takes.
func (c *Config) identity(keep func(key string) bool) (string, error) {
	fixed := *c
	fixed.Out, fixed.Rounds, fixed.Threads, fixed.Device, fixed.Memory, fixed.Generator = "", 0, 0, "", "", ""
	var text bytes.Buffer
	err := fixed.writeOf(&text, keep)
	sum := sha256.Sum256(text.Bytes())
	return hex.EncodeToString(sum[:]), err
}

// same refuses a job whose settings are others than it began with. A setting that the
// version which began it did not have is none where it is at its default: such a job
// has the identity of this version from now on.
func (j *job) same(identity string) error {
	if j.before.Config == identity {
		return nil
	}
	earlier, err := j.config.earlierIdentity()
	if err != nil {
		return err
	}
	if j.before.Config != earlier {
		return j.config.changed()
	}
	// Before the file of settings, which names the new one as soon as it is written.
	j.before.Config = identity
	return j.save(j.before)
}

// earlierIdentity is the identity by the version that wrote the job's file of settings:
// without what stands at its default and is not in there.
func (c *Config) earlierIdentity() (string, error) {
	defaults := DefaultConfig()
	sections := defaults.Sections()
	usual := map[string]string{}
	for _, f := range sections[""] {
		usual[f.Key] = f.String()
	}
	named, err := config.ReadSections(filepath.Join(c.Out, SettingsFile), sections)
	if err != nil {
		return "", err
	}
	now := map[string]string{}
	for _, f := range config.Fields(c) {
		now[f.Key] = f.String()
	}
	return c.identity(func(key string) bool { return slices.Contains(named[""], key) || now[key] != usual[key] })
}
