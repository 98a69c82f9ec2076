package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/jsonfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// manifestName is the file that makes a folder a checkpoint; it is written last.
const manifestName = "MANIFEST.json"

// formatVersion is the version of the folder's format.
const formatVersion = 1

// maxManifest bounds what is read before anything is known to be right.
const maxManifest = 4 << 20

// FileInfo describes one file of a checkpoint.
type FileInfo struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // lower-case hexadecimal
}

// manifest is the content of MANIFEST.json. Hash is the SHA-256 of the file as
// it is with Hash empty.
type manifest struct {
	Version int        `json:"version"`
	Step    int        `json:"step"`
	Files   []FileInfo `json:"files"`
	Hash    string     `json:"hash"`
}

// encode returns the one spelling of m, with its hash.
func (m manifest) encode() ([]byte, error) {
	m.Hash = ""
	raw, err := m.marshal()
	if err != nil {
		return nil, err
	}
	m.Hash = sum(raw)
	return m.marshal()
}

func (m manifest) marshal() ([]byte, error) {
	raw, err := json.Marshal(m, jsontext.WithIndent("  "))
	return append(raw, '\n'), err
}

// decodeManifest accepts exactly what encode writes, so that any changed byte
// shows.
func decodeManifest(raw []byte) (manifest, error) {
	var m manifest
	if err := jsonfile.Unmarshal(raw, &m, json.RejectUnknownMembers(true)); err != nil {
		return m, err
	}
	if m.Version != formatVersion {
		return m, fmt.Errorf("format version %d, this program reads version %d", m.Version, formatVersion)
	}
	again, err := m.encode()
	if err != nil {
		return m, err
	}
	if !bytes.Equal(again, raw) {
		return m, errors.New("its own hash does not match")
	}
	return m, m.check()
}

func (m manifest) check() error {
	if m.Step < 0 || m.Step > maxStep {
		return fmt.Errorf("step %d is outside 0 to %d", m.Step, maxStep)
	}
	for i, f := range m.Files {
		if err := checkName(f.Name); err != nil {
			return err
		}
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("file %q is listed out of order", f.Name)
		}
	}
	return nil
}

// checkName accepts the plain name of a file other than the manifest.
func checkName(name string) error {
	if !filepath.IsLocal(name) || filepath.Base(name) != name || name == "." || strings.ContainsAny(name, "/\\:\x00") {
		return fmt.Errorf("%q is not a plain file name", name)
	}
	if name == manifestName {
		return fmt.Errorf("%q is the manifest's own name", name)
	}
	return nil
}

// readManifest reads the manifest of the folder dir and compares it with the
// names and sizes found there. Contents are not read.
func readManifest(dir string) (manifest, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, fmt.Errorf("%s is missing", manifestName)
	}
	if err != nil {
		return manifest{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return manifest{}, err
	}
	m, err := decodeManifest(raw)
	if err != nil {
		return m, fmt.Errorf("%s: %w", manifestName, err)
	}
	if step, ok := parseCandidate(filepath.Base(dir)); ok && step.step != m.Step {
		return m, fmt.Errorf("%s is of step %d", manifestName, m.Step)
	}
	return m, m.compareNames(dir)
}

// compareNames gathers every file that is missing, extra or of another size.
func (m manifest) compareNames(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	present := map[string]fs.DirEntry{}
	for _, e := range entries {
		present[e.Name()] = e
		listed := slices.ContainsFunc(m.Files, func(f FileInfo) bool { return f.Name == e.Name() })
		if !listed && e.Name() != manifestName {
			errs = append(errs, fmt.Errorf("%q is not in %s", e.Name(), manifestName))
		}
	}
	for _, f := range m.Files {
		if err := f.compareEntry(present[f.Name]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f FileInfo) compareEntry(e fs.DirEntry) error {
	if e == nil {
		return fmt.Errorf("%q is missing", f.Name)
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is not a regular file", f.Name)
	}
	if info.Size() != f.Size {
		return fmt.Errorf("%q has %d bytes, want %d", f.Name, info.Size(), f.Size)
	}
	return nil
}

// verify is readManifest and the hash of every file.
func verify(ctx context.Context, dir string) (manifest, error) {
	m, err := readManifest(dir)
	if err != nil {
		return m, err
	}
	var errs []error
	for _, f := range m.Files {
		got, err := HashFile(ctx, filepath.Join(dir, f.Name))
		if err == nil && got != f.SHA256 {
			err = fmt.Errorf("%q has SHA-256 %s, want %s", f.Name, got, f.SHA256)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return m, errors.Join(errs...)
}

// CheckRegular refuses pipes and devices as a run's data: who reads one leaves nothing
// to hash, and a second look at it waits for ever. What is not there, and a folder, are
// left to who reads it.
func CheckRegular(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("checkpoint: %s is no regular file: a run holds to its data by their content, so that they must be there to read again: write them to a file", path)
}

// HashFile returns the SHA-256 of a file's content in lower-case hexadecimal. It ends
// with ctx, for a large file takes minutes.
func HashFile(ctx context.Context, path string) (string, error) {
	if err := CheckRegular(path); err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, ended{ctx, f}); err != nil {
		return "", fmt.Errorf("checkpoint: hash %s: %w", path, err)
	}
	return hexSum(h), nil
}

// ended is a reader that a context ends.
type ended struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (e ended) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.Reader.Read(p)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
