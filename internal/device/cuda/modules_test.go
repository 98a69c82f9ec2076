//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"regexp"
	"testing"
	"time"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/kernels"
)

// Every module is translated, and none of its kernels keeps what its threads
// compute in memory: registers that spill cost most of a kernel's speed.
func TestModulesTranslate(t *testing.T) {
	c := cudatest.Open(t)
	if c.Sim != nil {
		c = cudatest.OpenTarget(t, cudatest.Hopper) // takes all of them
	}
	entry := regexp.MustCompile(`\.entry\s+(\w+)`)
	all, most, spilled, began := 0, 0, 0, time.Now()
	c.Do(t, func() error {
		for _, name := range kernels.Names() {
			if kernels.Hopper(name) && c.Major != cudatest.Hopper.Major {
				t.Logf("%s: for compute capability 9.0 alone", name)
				continue
			}
			if kernels.Bulk(name) && c.Version() < 12030 {
				t.Logf("%s: for drivers of CUDA 12.3 and later", name)
				continue
			}
			text, err := kernels.PTX(name)
			if err != nil {
				return err
			}
			start := time.Now()
			m, err := c.Load(text)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			t.Logf("%s: translated in %v", name, time.Since(start).Round(time.Millisecond))
			for _, found := range entry.FindAllStringSubmatch(text, -1) {
				k, err := m.Kernel(found[1])
				if err != nil {
					return err
				}
				all, most, spilled = all+1, max(most, k.Registers), max(spilled, k.LocalBytes)
				if k.LocalBytes != 0 {
					t.Errorf("%s: %s spills %d bytes", name, k.Name, k.LocalBytes)
				}
				if c.Sim == nil {
					t.Logf("%s: %d registers", k.Name, k.Registers)
				}
			}
			if err := m.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("%d kernels in %v: at most %d registers in use and %d bytes spilled", all, time.Since(began).Round(time.Millisecond), most, spilled)
}
