package host

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// files makes a file system of the paths and their texts.
func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const meminfo = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    900 kB\nHugePages_Total:   0\n"

func TestReadMemory(t *testing.T) {
	const kib = 1 << 10
	for name, tc := range map[string]struct {
		root fstest.MapFS
		want Memory
	}{
		"no group": {files("proc/meminfo", meminfo), Memory{1000 * kib, 900 * kib, 0}},
		"version 2": {files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max", "max\n",
			"sys/fs/cgroup/a/memory.max", "409600\n", "sys/fs/cgroup/a/memory.current", "204800\n",
			"sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 102400\n"),
			Memory{1000 * kib, 300 * kib, 400 * kib}},
		"version 1": {files("proc/meminfo", meminfo, "proc/self/cgroup", "4:memory:/x\n1:cpu:/y\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "204800\n", "sys/fs/cgroup/memory/x/memory.usage_in_bytes", "102400\n"),
			Memory{1000 * kib, 100 * kib, 200 * kib}},
		"version 1 without a limit": {files("proc/meminfo", meminfo, "proc/self/cgroup", "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), Memory{1000 * kib, 900 * kib, 0}},
		"used beyond the limit": {files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/\n",
			"sys/fs/cgroup/memory.max", "1024\n", "sys/fs/cgroup/memory.current", "4096\n"), Memory{1000 * kib, 0, kib}},
	} {
		got, err := readMemory(tc.root)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, tc.want)
		}
	}
	for _, root := range []fstest.MapFS{files(), files("proc/meminfo", "nothing\n")} {
		if _, err := readMemory(root); !errors.Is(err, ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
	}
}

// What is asked of the system itself is at least plausible.
func TestThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells all of it")
	}
	m, err := ReadMemory()
	if err != nil || m.Available <= 0 || m.Available > m.Total {
		t.Errorf("memory %+v, %v", m, err)
	}
	if now, peak := ResidentMemory(), PeakMemory(); now <= 0 || peak < now/2 {
		t.Errorf("resident %d, peak %d", now, peak)
	}
	before := ProcessorTime()
	for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
	}
	if used := ProcessorTime() - before; used <= 0 {
		t.Errorf("a busy loop used %v", used)
	}
	if free, err := FreeDisk(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("free disk %d, %v", free, err)
	}
	if _, err := FreeDisk("/none/at/all"); err == nil || !strings.Contains(err.Error(), "/none/at/all") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
