package host

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"
)

func TestCores(t *testing.T) {
	// Four cores of two threads; Intel numbers the second threads behind all first ones.
	root := fstest.MapFS{}
	for cpu := range 8 {
		list := fmt.Sprintf("%d,%d\n", cpu%4, cpu%4+4)
		root[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)] = &fstest.MapFile{Data: []byte(list)}
	}
	for allowed, want := range map[string]int{"0-7": 4, "0-3": 4, "0,4": 1, "1,4-5": 2, "0-8": 0, "": 0, "x": 0, "7-0": 0, "0-99999999999": 0} {
		root["proc/self/status"] = &fstest.MapFile{Data: []byte("Name:\talign\nCpus_allowed_list:\t" + allowed + "\nMems_allowed:\t1\n")}
		if got := cores(root); got != want {
			t.Errorf("allowed %q: %d cores, want %d", allowed, got, want)
		}
	}
	if got := cores(fstest.MapFS{}); got != 0 {
		t.Errorf("%d cores of a system that does not tell", got)
	}
}

func TestCoresOfThisMachine(t *testing.T) {
	if n := Cores(); n < 0 || n > runtime.NumCPU() {
		t.Errorf("%d cores, and %d hardware threads", n, runtime.NumCPU())
	}
}

func FuzzCPUList(f *testing.F) {
	for _, list := range []string{"0", "0-3,8", "", "-1", "3-1", "0-8191", "0-8192", "1,,2"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		if slices.ContainsFunc(cpuList(list), func(cpu int) bool { return cpu < 0 || cpu >= maxCPU }) {
			t.Errorf("%q gives a processor that cannot be", list)
		}
	})
}
