package basemodel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"align/internal/builtin"
	"align/internal/device"
	"align/internal/gguf"
	"align/internal/host"
	"align/internal/hub"
	"align/internal/ollama"
	"align/internal/runfolder"
	"align/internal/tokenizer"
	"align/internal/train"
	"align/model"
)

// Resolve is the folder or file that the name of a base model stands for:
//
//	builtin:tiny   the model inside the program
//	a path         a Hugging Face folder, a GGUF file (the first, if split), or a
//	               run that trained all weights
//	ollama:NAME    the model NAME[:TAG] of the local Ollama store
//	OWNER/NAME     the model in the local Hugging Face cache
//
// A path that exists comes before a name of the cache. Nothing is fetched.
func Resolve(name string) (path string, err error) { return ResolveUntil(context.Background(), name) }

// ResolveUntil is Resolve that ends with ctx: a run of all weights is hashed for minutes.
func ResolveUntil(ctx context.Context, name string) (path string, err error) {
	if path, err = locate(ctx, name); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("model: %w", err)
	}
	if !info.IsDir() && !model.IsGGUF(path) {
		return "", fmt.Errorf("model: %s is a file and no GGUF: want a model folder or a .gguf file", path)
	}
	if info.IsDir() && !isThere(filepath.Join(path, "config.json")) {
		return "", fmt.Errorf("model: %s is no model folder: it has no config.json", path)
	}
	return path, nil
}

// locate is Resolve without a look at what the path is.
func locate(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", errors.New("model is missing: a folder, a .gguf file, ollama:NAME or OWNER/NAME")
	}
	if name == builtin.Name {
		dir, err := builtin.Dir(host.CacheDir())
		if err != nil {
			err = fmt.Errorf("%w: ALIGN_CACHE names another folder for it", err)
		}
		return dir, err
	}
	if rest, ok := strings.CutPrefix(name, ollama.Prefix); ok {
		return ollama.Model(rest)
	}
	_, err := os.Stat(name)
	switch {
	case err == nil:
		return runfolder.WholeModelUntil(ctx, name)
	case errors.Is(err, fs.ErrNotExist) && hub.IsName(name) && !strings.HasSuffix(name, ".gguf"):
		return hub.Cached(name)
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, `/\`):
		err = fmt.Errorf("%w (want a folder, a .gguf file, ollama:NAME, OWNER/NAME in the Hugging Face cache, or %s)", err, builtin.Name)
	}
	return "", fmt.Errorf("model: %w", err)
}

// Of is the path of the base model to use with an adapter: the given one,
// or the one that the adapter names.
func Of(folder, given string) (string, error) {
	if given != "" {
		return Resolve(given)
	}
	base, err := model.AdapterBase(folder)
	if err != nil {
		return "", err
	}
	if base == "" {
		return "", fmt.Errorf("%s does not name its base model: name it with --model", folder)
	}
	path, err := Resolve(base)
	if err != nil {
		return "", fmt.Errorf("%s names %q as its base model, which is not here: name it with --model (%w)", folder, base, err)
	}
	return path, nil
}

// OpenTokenizer reads the tokenizer of a base model by its name, or of a folder
// or file that holds a tokenizer alone.
func OpenTokenizer(name string) (*tokenizer.Tokenizer, error) {
	path, err := locate(context.Background(), name)
	if err != nil {
		return nil, err
	}
	if !model.IsGGUF(path) {
		return tokenizer.Load(path)
	}
	keys, err := model.GGUFTokenizer(path)
	if err != nil && isAdapterFile(path) {
		return nil, fmt.Errorf("model: %s is an adapter: name its base as the model and it as the adapter", path)
	}
	if err != nil {
		return nil, err
	}
	spec, err := keys.Spec()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tokenizer.New(spec)
}

// isAdapterFile says whether a GGUF file is an adapter rather than a model.
func isAdapterFile(path string) bool {
	f, err := gguf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	kind, err := f.Metadata.String("general.type")
	return err == nil && kind == "adapter"
}

// HeldBy is how the run of a checkpoint held its base.
func HeldBy(s train.State) model.LoadOptions {
	return model.LoadOptions{Quantize: s.Lineage["setting quantize"], DoubleQuant: s.Lineage["setting double_quant"] == "true"}
}

// Load reads the weights of a base as a run holds them, and notes what is held
// of them.
func Load(path string, held model.LoadOptions, b device.Backend, act device.Type, note func(string)) (*model.Model, error) {
	m, err := model.LoadWith(path, b, act, held)
	if err != nil {
		return nil, err
	}
	note(m.Summary(path, held))
	return m, nil
}

// Same says whether two paths lead to one folder.
func Same(a, b string) bool {
	x, err1 := filepath.Abs(a)
	y, err2 := filepath.Abs(b)
	return err1 == nil && err2 == nil && x == y
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
