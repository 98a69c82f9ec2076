package align

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/checkpoint"
	"align/internal/config"
	"align/model"
)

// RunFile is the file of a run folder that holds all its settings; --config
// RunFile repeats the run.
const RunFile = "run.yaml"

// newRun makes the run's folder: the one that was asked for, which must not
// hold a run yet, or the next free runs/METHOD-NNN.
func newRun(out, method string) (dir string, made atomicfile.Folders, err error) {
	if err := checkFree(out); err != nil {
		return "", nil, err
	}
	if out != "" {
		made, err = atomicfile.MakeFolders(out)
		return out, made, folderError(err)
	}
	if made, err = atomicfile.MakeFolders("runs"); err != nil {
		return "", nil, folderError(err)
	}
	for n := 1; n < 1000; n++ {
		dir := filepath.Join("runs", fmt.Sprintf("%s-%03d", method, n))
		// Mkdir and no look before it: of two runs that begin at once each gets its own.
		if err := os.Mkdir(dir, 0o755); !errors.Is(err, fs.ErrExist) {
			return dir, append(atomicfile.Folders{dir}, made...), folderError(err)
		}
	}
	return "", nil, fmt.Errorf("runs holds 999 %s runs: name a folder with --out", method)
}

func folderError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("run folder: %w", err)
}

// writeSettings writes every setting of a run, as they are after defaults, file
// and flags.
func writeSettings(run string, fields []config.Field) error {
	return atomicfile.WriteFile(filepath.Join(run, RunFile), func(w io.Writer) error {
		return config.Write(w, fields, func(string) string { return "" })
	})
}

// settingsOf are the settings of a method's config.
func settingsOf(c any) []config.Field {
	if p, ok := c.(*PretrainConfig); ok {
		return p.Fields()
	}
	return config.Fields(c)
}

// AdapterFolder is the folder of PEFT files that a path stands for: an adapter,
// a checkpoint, or a run, of which the newest valid checkpoint is taken. An
// adapter in a GGUF file stands for itself.
func AdapterFolder(path string) (string, error) {
	folder, err := trainedFolder(path)
	if err == nil && isFull(folder) {
		return "", fmt.Errorf("adapter: %s is a run of all weights: name it as the model", path)
	}
	return folder, err
}

// trainedFolder is AdapterFolder, or the checkpoint of a run of all weights.
func trainedFolder(path string) (string, error) {
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
		c, err := checkpoint.Open(path)
		if err != nil {
			return "", fmt.Errorf("adapter: %w", err)
		}
		return c.Path, nil
	}
	if run := filepath.Dir(filepath.Clean(path)); filepath.Base(filepath.Clean(path)) == "checkpoints" && has(run, RunFile) {
		return "", fmt.Errorf("adapter: %s are the checkpoints of %s: name that, or one of them", path, run)
	}
	if !has(path, model.AdapterConfigFile) {
		return "", fmt.Errorf("adapter: %s has neither %s nor checkpoints", path, model.AdapterConfigFile)
	}
	return path, nil
}

func has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
