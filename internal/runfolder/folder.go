package runfolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/place"
	"align/internal/report"
	"align/internal/train"
)

// SettingsFile is the file of a run folder that holds all its settings; --config
// SettingsFile repeats the run.
const SettingsFile = "run.yaml"

// AdapterFile is the adapter of a finished run as llama.cpp loads it.
const AdapterFile = "adapter.gguf"

// QuarantineFile is the file of a run with the records that were left out, each
// with its place and the reason.
const QuarantineFile = "quarantine.jsonl"

// TensorBoardFolder is where a run's event files lie, if they are asked for.
const TensorBoardFolder = "tensorboard"

// written are the names that a run writes in its folder beside SettingsFile.
var written = []string{
	"checkpoints", train.MetricsFile, train.VerdictFile, report.File, report.SamplesFile, AdapterFile, QuarantineFile, TensorBoardFolder,
}

// CheckFree says where the folder of a new run holds one already, or files that it
// would write over.
func CheckFree(out string) error {
	if out == "" {
		return nil
	}
	if err := place.CheckName(out); err != nil {
		return err
	}
	if Is(out) {
		return fmt.Errorf("%s holds a run already: take another folder, or go on with it by --resume", out)
	}
	for _, name := range written {
		if has(out, name) {
			return fmt.Errorf("%s holds %s, which the run would write over: take another folder", out, name)
		}
	}
	return CheckWritable(out)
}

// New makes the run's folder: the one that was asked for, which must not
// hold a run yet, or the next free runs/METHOD-NNN.
func New(out, method string) (dir string, made atomicfile.Folders, err error) {
	if err := CheckFree(out); err != nil {
		return "", nil, err
	}
	if out != "" {
		made, err = Make(out)
		return out, made, err
	}
	if made, err = Make("runs"); err != nil {
		return "", nil, err
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

// Make makes a folder and those above it.
func Make(dir string) (atomicfile.Folders, error) {
	made, err := atomicfile.MakeFolders(dir)
	return made, folderError(err)
}

// CheckWritable says where a folder cannot be made or written in.
func CheckWritable(dir string) error { return folderError(place.CheckWritable(dir)) }

func folderError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("run folder: %w", err)
}

// Is says whether a folder holds a run.
func Is(dir string) bool { return has(dir, SettingsFile) }

func has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
