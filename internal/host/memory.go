package host

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// ErrUnknown is returned where the system does not tell how much memory it has.
var ErrUnknown = errors.New("host: this system does not tell its memory")

// Memory is bytes of main memory.
type Memory struct {
	// Total is what the machine has, Available what could be reserved without
	// swapping, the limits of the control group included.
	Total, Available int64
	// Limit is the control group's limit; 0 is none below Total.
	Limit int64
}

// ReadMemory asks the system. Available changes with every process that runs.
func ReadMemory() (Memory, error) { return readMemory(os.DirFS("/")) }

// readMemory reads Linux's files under root.
func readMemory(root fs.FS) (Memory, error) {
	f, err := root.Open("proc/meminfo")
	if errors.Is(err, fs.ErrNotExist) {
		return Memory{}, ErrUnknown
	}
	if err != nil {
		return Memory{}, fmt.Errorf("host: %w", err)
	}
	defer f.Close()
	info := map[string]int64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			info[name] = n << 10
		}
	}
	m := Memory{Total: info["MemTotal"], Available: info["MemAvailable"]}
	if m.Total == 0 {
		return Memory{}, ErrUnknown
	}
	m.limit(root)
	return m, nil
}

// limit lowers Available by what the control groups of this process, and those
// above them, leave. Version 2 has one hierarchy, version 1 one of its own for
// memory (https://docs.kernel.org/admin-guide/cgroup-v2.html).
func (m *Memory) limit(root fs.FS) {
	data, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		files := groupFiles{mount: "sys/fs/cgroup", max: "memory.max", used: "memory.current", stat: "inactive_file"}
		if fields[1] == "memory" {
			files = groupFiles{mount: "sys/fs/cgroup/memory", max: "memory.limit_in_bytes", used: "memory.usage_in_bytes", stat: "total_inactive_file"}
		} else if fields[1] != "" {
			continue
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			m.group(root, files, path.Join(files.mount, group))
			if group == "/" {
				break
			}
		}
	}
}

// groupFiles are the names of a control group's files in one version.
type groupFiles struct{ mount, max, used, stat string }

// group applies one group's limit. Inactive pages of files are given up
// before the limit is felt.
func (m *Memory) group(root fs.FS, files groupFiles, dir string) {
	limit, ok := readNumber(root, path.Join(dir, files.max))
	if !ok || limit >= m.Total {
		return
	}
	if m.Limit == 0 || limit < m.Limit {
		m.Limit = limit
	}
	used, _ := readNumber(root, path.Join(dir, files.used))
	used -= readStat(root, path.Join(dir, "memory.stat"), files.stat)
	m.Available = min(m.Available, max(limit-max(used, 0), 0))
}

func readNumber(root fs.FS, name string) (int64, bool) {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return int64(min(n, math.MaxInt64)), err == nil
}

func readStat(root fs.FS, name, key string) int64 {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}
