package runfolder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"align/internal/checkpoint"
	"align/internal/train"
	"align/model"
)

// AdapterFolder is the folder of PEFT files that a path stands for: an adapter,
// a checkpoint, or a run, of which the newest valid checkpoint is taken. An
// adapter in a GGUF file stands for itself.
func AdapterFolder(path string) (string, error) {
	return AdapterFolderUntil(context.Background(), path)
}

// AdapterFolderUntil is AdapterFolder that ends with ctx, as TrainedUntil.
func AdapterFolderUntil(ctx context.Context, path string) (string, error) {
	folder, err := TrainedUntil(ctx, path)
	if err == nil && IsFull(folder) {
		return "", fmt.Errorf("adapter: %s is a run of all weights: name it as the model", path)
	}
	return folder, err
}

// Trained is AdapterFolder, or the checkpoint of a run of all weights.
func Trained(path string) (string, error) { return TrainedUntil(context.Background(), path) }

// TrainedUntil is Trained that ends with ctx: a checkpoint of all weights is hashed for
// minutes.
func TrainedUntil(ctx context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("adapter: %w", err)
	}
	if model.IsGGUF(path) {
		return path, nil
	}
	if !info.IsDir() {
		return "", fmt.Errorf("adapter: %s is a file: want an adapter's .gguf, or the folder of an adapter, a checkpoint or a run", path)
	}
	if has(path, "MANIFEST.json") || has(path, "checkpoints") {
		c, err := checkpoint.OpenUntil(ctx, path)
		if err != nil {
			return "", fmt.Errorf("adapter: %w", err)
		}
		return c.Path, nil
	}
	if run := filepath.Dir(filepath.Clean(path)); filepath.Base(filepath.Clean(path)) == "checkpoints" && has(run, SettingsFile) {
		return "", fmt.Errorf("adapter: %s are the checkpoints of %s: name that, or one of them", path, run)
	}
	if !has(path, model.AdapterConfigFile) {
		return "", fmt.Errorf("adapter: %s has neither %s nor checkpoints", path, model.AdapterConfigFile)
	}
	return path, nil
}

// IsFull says whether a folder holds all weights of a model.
func IsFull(folder string) bool {
	return has(folder, train.ModelConfigFile) && !has(folder, model.AdapterConfigFile)
}

// WholeModel is the newest checkpoint of a run that trained all weights; other
// folders and files are what they are.
func WholeModel(path string) (string, error) { return WholeModelUntil(context.Background(), path) }

// WholeModelUntil is WholeModel that ends with ctx, as TrainedUntil.
func WholeModelUntil(ctx context.Context, path string) (string, error) {
	if !has(path, "checkpoints") {
		return path, nil
	}
	c, err := checkpoint.OpenUntil(ctx, path)
	if err != nil {
		return "", fmt.Errorf("model: %w", err)
	}
	if !IsFull(c.Path) {
		return "", fmt.Errorf("model: %s is a run of an adapter: name its base as the model and the run as the adapter", path)
	}
	return c.Path, nil
}
