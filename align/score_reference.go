package align

import (
	"fmt"
	"path/filepath"

	"align/dpo"
	"align/internal/runfolder"
	"align/model"
)

// reference is the adapter of the reference, nil for the base, and whose it is.
func (o PairScoreOptions) reference(m *model.Model, policy *model.Adapter, by measure) (*model.Adapter, string, error) {
	switch {
	case o.Ref == "off" || o.Ref == "" && (policy == nil || by.loss.ReferenceFree()):
		return nil, by.noReference(), nil
	case o.Ref == "base":
		return nil, baseReference, nil
	case o.Ref == "":
		return o.ownReference(m)
	}
	a, folder, _, err := readReference(m, o.Ref)
	return a, folder, err
}

const baseReference = "base, the model without the adapter"

// ownReference is what the policy's run was trained against, and the base where it is
// of no run. The adapter that the run names may have learnt more since then, so its
// values are held to their hash.
func (o PairScoreOptions) ownReference(m *model.Model) (*model.Adapter, string, error) {
	own := o.trainedBy()
	path, hash := own["setting ref"], own["reference"]
	if path == "init" {
		path, hash = o.startOfRun(), own["adapter"]
	}
	switch {
	case hash == "" && own["special"] != "" && own["setting ref"] == "init":
		return nil, baseReference + "; the run's own had its special tokens at their mean", nil
	case hash == "":
		return nil, baseReference, nil
	case path == "":
		return nil, "", fmt.Errorf("ref: %s was trained from another adapter, which the run's folder would name: name that one, or base", o.Adapter)
	}
	a, folder, found, err := readReference(m, path)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("%w: %s was trained against it: name where it is now, or base", err, o.Adapter)
	case found != hash:
		return nil, "", fmt.Errorf("ref: %s is not what it was when %s was trained against it: name a checkpoint of it, or base", folder, o.Adapter)
	}
	return a, fmt.Sprintf("%s, as %s was trained", folder, o.Adapter), nil
}

// startOfRun is the adapter that the policy's run began with, as its settings name it.
func (o PairScoreOptions) startOfRun() string {
	folder, err := runfolder.AdapterFolder(o.Adapter)
	if err != nil {
		return ""
	}
	c := dpo.DefaultConfig()
	if runfolder.ReadSettings(filepath.Dir(filepath.Dir(folder)), settingsOf(&c)) != nil {
		return ""
	}
	return c.Adapter
}

// readReference is the adapter that a path stands for, its folder, and the hash of its
// values.
func readReference(m *model.Model, path string) (a *model.Adapter, folder, hash string, err error) {
	if folder, err = runfolder.AdapterFolder(path); err != nil {
		return nil, "", "", fmt.Errorf("ref: %w", err)
	}
	a, values, err := model.ReadAdapter(folder, m.Config)
	if err != nil {
		return nil, "", "", fmt.Errorf("ref: %w", err)
	}
	return a, folder, hashFloats(values), m.AllocAdapter(a, values)
}
