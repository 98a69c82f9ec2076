package rounds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/checkpoint"
	"align/internal/runfolder"
	"align/internal/train"
	"align/model"
)

// held are hashes of what the job begins with beside its data: the adapter and the
// reward model, by the keys that name them. Later rounds read them again.
func (c *Config) held(ctx context.Context) (map[string]string, error) {
	held := map[string]string{}
	for key, path := range map[string]string{"adapter": c.Adapter, stageReward: c.Reward} {
		if path == "" {
			continue
		}
		hash, err := hashWeights(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		held[key] = hash
	}
	return held, nil
}

// hashWeights tells what a path stands for by its content: an adapter, the newest
// checkpoint of a run or a model. What a checkpoint holds for a run that goes on is no
// part of it.
func hashWeights(ctx context.Context, path string) (string, error) {
	if folder, err := runfolder.TrainedUntil(ctx, path); err == nil {
		path = folder
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return checkpoint.HashFile(ctx, path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", err
	}
	sums := sha256.New()
	for _, e := range entries {
		if !isOfWeights(e.Name()) {
			continue
		}
		hash, err := checkpoint.HashFile(ctx, filepath.Join(path, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sums, e.Name(), hash)
	}
	return hex.EncodeToString(sums.Sum(nil)), nil
}

func isOfWeights(name string) bool {
	return name == model.AdapterConfigFile || name == train.ModelConfigFile || strings.HasSuffix(name, ".safetensors") && name != train.OptimizerFile
}

// hold refuses a job whose adapter or reward model has another content than it began
// with. One of an earlier version, whose lineage tells nothing, is held from now on.
func (j *job) hold(held map[string]string) error {
	if j.before.Config == "" {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(held)) {
		then, known := j.before.Held[key]
		switch {
		case !known:
			j.note(fmt.Sprintf("%s: an earlier version began this job and kept no hash of it: it is held to its content from now on", key))
		case then != held[key]:
			return fmt.Errorf("rounds: resume: %s: %s has another content than the job began with", j.config.Out, key)
		}
	}
	if maps.Equal(j.before.Held, held) {
		return nil
	}
	j.before.Held = held
	return j.save(j.before)
}
