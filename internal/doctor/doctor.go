// Package doctor looks at the machine for align doctor: [Examine] tests the kernels,
// opens the device as a run would, and finds memory, NVIDIA cards and disk.
package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"align/internal/compute"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
	"align/internal/device/cuda/driver"
	"align/internal/host"
)

// Findings is what Examine finds of the machine; sizes are bytes, 0 where the
// system does not tell.
type Findings struct {
	V         int    `json:"v"`
	Processor string `json:"processor"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	// Level is the instructions that kernels use, Highest what the processor
	// has, and Reason says why they differ.
	Level   string `json:"level"`
	Highest string `json:"highest_level"`
	Reason  string `json:"reason"`
	// Kernels are the sets of each level that the machine can run, tested.
	Kernels    []Kernel `json:"kernels"`
	Threads    int      `json:"threads"`
	Processors int      `json:"processors"`

	MemoryTotal     int64 `json:"memory_total"`
	MemoryAvailable int64 `json:"memory_available"`
	MemoryLimit     int64 `json:"memory_limit"`

	// GPU says what is there or why nothing is; Driver is the CUDA version that
	// the NVIDIA driver serves, "" without one.
	GPU    string `json:"gpu"`
	Driver string `json:"driver"`
	Cards  []Card `json:"cards"`

	DiskFree   int64  `json:"disk_free"`
	CacheDir   string `json:"cache_dir"`
	CacheState string `json:"cache_state"`
	CacheFree  int64  `json:"cache_free"`

	Problems []string `json:"problems"`
}

// Kernel is the result of a set's self-test; Fault is "" where all of its
// functions agree with their portable twins.
type Kernel struct {
	Name   string `json:"name"`
	Chosen bool   `json:"chosen"`
	Fault  string `json:"fault"`
}

// Examine looks at the machine and tests the kernels. The error joins all that
// would make a run fail; the findings are there nevertheless. cacheDir is the cache
// folder, "" where there is none.
func Examine(c compute.Settings, cacheDir string) (*Findings, error) {
	f := &Findings{
		V: 1, Processor: host.ProcessorName(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Processors: runtime.NumCPU(), Threads: c.NumThreads(), Highest: feature.Detect().String(),
		CacheDir: cacheDir, Problems: []string{},
	}
	var errs []error
	problem := func(err error) {
		if err != nil && !slices.Contains(f.Problems, err.Error()) { // a level that is none stops a run too
			f.Problems = append(f.Problems, err.Error())
			errs = append(errs, err)
		}
	}
	problem(f.testKernels())
	problem(f.tryDevice(c))
	problem(f.readMemory())
	f.readCards(driver.Open, compute.Prove)
	problem(f.readDisk())
	return f, errors.Join(errs...)
}

// testKernels runs the self-test of every level up to the machine's: only the
// chosen one's fault is a problem.
func (f *Findings) testKernels() error {
	chosen, err := feature.Select()
	if err != nil {
		f.Level = "none"
		return err
	}
	f.Level = chosen.String()
	fastest, reason := feature.Fastest()
	switch {
	case chosen != fastest:
		f.Reason = fmt.Sprintf(", by %s", feature.Variable)
	case reason != "":
		f.Reason = ", since " + reason
	}
	for level := feature.Generic; level <= feature.Detect(); level++ {
		if !feature.Has(level) {
			continue
		}
		k := Kernel{Name: level.String(), Chosen: level == chosen}
		fault := kern.New(level).SelfTest()
		if fault != nil {
			k.Fault = fault.Error()
		}
		if k.Chosen && fault != nil {
			err = fmt.Errorf("%w: set %s to a lower level", fault, feature.Variable)
		}
		f.Kernels = append(f.Kernels, k)
	}
	return err
}

// tryDevice opens the device as a run would.
func (f *Findings) tryDevice(c compute.Settings) error {
	b, _, err := c.Open(nil, nil)
	if err != nil {
		return err
	}
	b.Close()
	return nil
}

func (f *Findings) readMemory() error {
	m, err := host.ReadMemory()
	if errors.Is(err, host.ErrUnknown) {
		return nil
	}
	f.MemoryTotal, f.MemoryAvailable, f.MemoryLimit = m.Total, m.Available, m.Limit
	return err
}

// readDisk looks at the folder that runs are written below and at the cache. A
// file is made and removed there: permissions alone do not tell.
func (f *Findings) readDisk() error {
	if free, err := host.FreeDisk("."); err == nil {
		f.DiskFree = free
	}
	f.CacheState = "none"
	if f.CacheDir == "" {
		return errors.New("there is no cache folder: set ALIGN_CACHE to one")
	}
	existing := f.CacheDir
	for {
		_, err := os.Stat(existing)
		if !errors.Is(err, fs.ErrNotExist) || existing == filepath.Dir(existing) {
			break
		}
		existing = filepath.Dir(existing)
	}
	if free, err := host.FreeDisk(existing); err == nil {
		f.CacheFree = free
	}
	file, err := os.CreateTemp(existing, "align-doctor-*")
	if err != nil {
		f.CacheState = "cannot be written"
		return fmt.Errorf("the cache folder cannot be written: %w", err)
	}
	f.CacheState = "writable"
	if existing != f.CacheDir {
		f.CacheState = "made when it is needed"
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
