package gguf

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"

	"align/internal/tensorfile"
)

// The keys of a split file (llama.cpp, src/llama.cpp, LLM_KV_SPLIT_*).
const (
	splitNoKey      = "split.no"
	splitCountKey   = "split.count"
	splitTensorsKey = "split.tensors.count"
)

// maxSplits is what five digits in a name can count to, cut to something that
// can be open at once.
const maxSplits = 4096

// OpenSplit opens path and, if it is the first of a split set, the others
// beside it: NAME-00001-of-00003.gguf and so on. The metadata is that of the
// first. A file that is not split opens as with Open.
func OpenSplit(path string) (*File, error) {
	first, err := Open(path)
	if err != nil {
		return nil, err
	}
	if err := first.addSplits(path); err != nil {
		first.Close()
		return nil, fmt.Errorf("gguf: %s: %w", path, err)
	}
	return first, nil
}

// addSplits opens the other files of the set that f, just opened, begins.
func (f *File) addSplits(path string) error {
	if _, ok := f.Metadata.Get(splitCountKey); !ok {
		return nil
	}
	count, err := f.checkSplit(0, 0)
	if err != nil || count <= 1 {
		return err
	}
	name, err := splitName(path, count)
	if err != nil {
		return err
	}
	for i := 1; i < count; i++ {
		if err := f.addSplit(name(i), i, count); err != nil {
			return err
		}
	}
	want, err := f.Metadata.Int(splitTensorsKey)
	if err != nil {
		return err
	}
	if want != len(f.tensors) {
		return fmt.Errorf("%s is %d, the files hold %d", splitTensorsKey, want, len(f.tensors))
	}
	return nil
}

// checkSplit compares the split keys with the number of the file, and with
// the count of the set unless that is 0. It returns the count.
func (f *File) checkSplit(no, count int) (int, error) {
	gotNo, err := f.Metadata.Int(splitNoKey)
	if err != nil {
		return 0, err
	}
	gotCount, err := f.Metadata.Int(splitCountKey)
	if err != nil {
		return 0, err
	}
	switch {
	case gotNo != no && no == 0:
		return 0, fmt.Errorf("this is file %d of a split set: open the first one", gotNo+1)
	case gotNo != no:
		return 0, fmt.Errorf("%s is %d, want %d", splitNoKey, gotNo, no)
	case count != 0 && gotCount != count:
		return 0, fmt.Errorf("%s is %d, want %d", splitCountKey, gotCount, count)
	case gotCount < 0 || gotCount > maxSplits:
		return 0, fmt.Errorf("%s is %d, the limit is %d", splitCountKey, gotCount, maxSplits)
	}
	return gotCount, nil
}

// splitPattern is the end of a split file's name.
const splitPattern = `^(.*)-00001-of-(\d{5})\.gguf$`

// splitName returns the path of file i of the set that path begins.
func splitName(path string, count int) (func(i int) string, error) {
	dir, base := filepath.Split(path)
	found := regexp.MustCompile(splitPattern).FindStringSubmatch(base)
	if found == nil || found[2] != fmt.Sprintf("%05d", count) {
		return nil, fmt.Errorf("the name must end in -00001-of-%05d.gguf for the others to be found", count)
	}
	return func(i int) string {
		return filepath.Join(dir, found[1]+"-"+fmt.Sprintf("%05d", i+1)+"-of-"+found[2]+".gguf")
	}, nil
}

func (f *File) addSplit(path string, no, count int) error {
	next, err := Open(path)
	if err != nil {
		return err
	}
	if err := f.takeSplit(next, no, count); err != nil {
		next.Close()
		return fmt.Errorf("%s: %w", strconv.Quote(filepath.Base(path)), err)
	}
	return nil
}

// takeSplit moves the tensors of next, file no of the set, into f.
func (f *File) takeSplit(next *File, no, count int) error {
	if _, err := next.checkSplit(no, count); err != nil {
		return err
	}
	for _, t := range next.tensors {
		if _, taken := f.index[t.Name]; taken {
			return fmt.Errorf("tensor %s is in an earlier file too", tensorfile.Quote(t.Name))
		}
	}
	p := next.parts[0]
	f.add(&header{tensors: next.tensors}, p)
	return nil
}
