package safetensors

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/jsonfile"
	"align/internal/tensorfile"
)

// The names Hugging Face gives to the weights of a model folder.
const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// maxIndex bounds an index file; the largest published ones are below 1 MiB.
const maxIndex = 64 << 20

// maxShards bounds the files open at once; Llama 3 405B has 191.
const maxShards = 4096

// Model is the weights of a folder, in one file or in shards. Its methods may
// be called from several goroutines.
type Model struct {
	files   []*File
	tensors []Info
	home    map[string]*File // the file of each tensor
}

// OpenModel opens dir/model.safetensors or, without it, the shards named in
// dir/model.safetensors.index.json. A shard's name must be a plain file name:
// an index cannot lead out of its folder.
func OpenModel(dir string) (*Model, error) {
	single, err := Open(filepath.Join(dir, singleName))
	if err == nil {
		return &Model{files: []*File{single}, tensors: single.tensors, home: homeOf(single)}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	weightMap, err := readIndex(filepath.Join(dir, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("safetensors: %s: %w", dir, noWeights(dir))
	}
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", filepath.Join(dir, indexName), err)
	}
	return openShards(dir, weightMap)
}

func homeOf(f *File) map[string]*File {
	home := map[string]*File{}
	for _, info := range f.tensors {
		home[info.Name] = f
	}
	return home
}

// noWeights says why dir is no model folder; pickled weights get a hint.
func noWeights(dir string) error {
	for _, pattern := range []string{"*.bin", "*.pth", "*.pt"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(found) > 0 {
			return fmt.Errorf("holds %s, a pickle that can run code and is not read: convert it to safetensors", filepath.Base(found[0]))
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*.safetensors")); len(found) > 0 {
		return fmt.Errorf("%s is there, and %s, which says what is in which file, is not: %w", filepath.Base(found[0]), indexName, fs.ErrNotExist)
	}
	return fmt.Errorf("neither %s nor %s is there: %w", singleName, indexName, fs.ErrNotExist)
}

// readIndex returns the weight_map: tensor name to shard name.
func readIndex(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxIndex {
		return nil, fmt.Errorf("more than %d bytes", maxIndex)
	}
	return parseIndex(data)
}

func parseIndex(data []byte) (map[string]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := jsonfile.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	if len(index.WeightMap) == 0 {
		return nil, errors.New("weight_map is missing or empty")
	}
	var errs []error
	for tensor, shard := range index.WeightMap {
		if err := checkShard(shard); err != nil {
			errs = append(errs, fmt.Errorf("tensor %s: %w", tensorfile.Quote(tensor), err))
		}
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(errs[:min(len(errs), 10)]...)
	}
	return index.WeightMap, nil
}

// checkShard accepts a plain name that ends in .safetensors. A backslash or a
// colon is a separator on some system, so it is refused on all.
func checkShard(name string) error {
	plain := filepath.IsLocal(name) && filepath.Base(name) == name && !strings.ContainsAny(name, "/\\:\x00")
	if !plain || !strings.HasSuffix(name, ".safetensors") {
		return fmt.Errorf("shard %s is not the name of a .safetensors file in this folder", tensorfile.Quote(name))
	}
	return nil
}

func openShards(dir string, weightMap map[string]string) (*Model, error) {
	shards := map[string]bool{}
	for _, shard := range weightMap {
		shards[shard] = true
	}
	if len(shards) > maxShards {
		return nil, fmt.Errorf("safetensors: %s: %d shards, the limit is %d", dir, len(shards), maxShards)
	}
	m := &Model{home: map[string]*File{}}
	for _, shard := range slices.Sorted(maps.Keys(shards)) {
		f, err := Open(filepath.Join(dir, shard))
		if err != nil {
			m.Close()
			return nil, err
		}
		m.add(f, shard, weightMap)
	}
	if err := m.checkComplete(dir, weightMap); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// add takes from f the tensors that the index places there; as in the
// reference loader, others are not part of the model.
func (m *Model) add(f *File, shard string, weightMap map[string]string) {
	m.files = append(m.files, f)
	for _, info := range f.tensors {
		if weightMap[info.Name] == shard {
			m.tensors = append(m.tensors, info)
			m.home[info.Name] = f
		}
	}
}

func (m *Model) checkComplete(dir string, weightMap map[string]string) error {
	var missing []string
	for tensor, shard := range weightMap {
		if m.home[tensor] == nil {
			missing = append(missing, fmt.Sprintf("safetensors: %s: shard %s lacks tensor %s", dir, shard, tensorfile.Quote(tensor)))
		}
	}
	slices.Sort(missing)
	var errs []error
	for _, text := range missing[:min(len(missing), 10)] {
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// Close closes all files.
func (m *Model) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Tensors lists the tensors shard by shard, in the order of their data. The
// caller must not change the list.
func (m *Model) Tensors() []Info { return m.tensors }

// Tensor describes the tensor called name.
func (m *Model) Tensor(name string) (Info, bool) {
	f, ok := m.home[name]
	if !ok {
		return Info{}, false
	}
	return f.Tensor(name)
}

// Files lists the paths of the model's files in order of name.
func (m *Model) Files() []string {
	var paths []string
	for _, f := range m.files {
		paths = append(paths, f.path)
	}
	return paths
}

// Reader reads the bytes of the tensor called name, little-endian.
func (m *Model) Reader(name string) (*io.SectionReader, error) {
	f, ok := m.home[name]
	if !ok {
		return nil, fmt.Errorf("safetensors: no tensor %s", tensorfile.Quote(name))
	}
	return f.Reader(name)
}

// ReadInto fills dst, which must have the tensor's size, with the bytes of the
// tensor called name.
func (m *Model) ReadInto(name string, dst []byte) error {
	f, ok := m.home[name]
	if !ok {
		return fmt.Errorf("safetensors: no tensor %s", tensorfile.Quote(name))
	}
	return f.ReadInto(name, dst)
}
