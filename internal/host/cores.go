package host

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Cores is how many of the processor's cores this process may run on: two hardware threads
// of one core count once. 0 is where the system does not tell.
func Cores() int { return cores(os.DirFS("/")) }

// cores reads Linux's files under root.
func cores(root fs.FS) int {
	status, err := fs.ReadFile(root, "proc/self/status")
	if err != nil {
		return 0
	}
	_, list, _ := strings.Cut(string(status), "\nCpus_allowed_list:")
	list, _, _ = strings.Cut(list, "\n")
	seen := map[string]bool{}
	for _, cpu := range cpuList(strings.TrimSpace(list)) {
		core, err := fs.ReadFile(root, "sys/devices/system/cpu/cpu"+strconv.Itoa(cpu)+"/topology/thread_siblings_list")
		if err != nil {
			return 0
		}
		seen[string(core)] = true
	}
	return len(seen)
}

// maxCPU is beyond the processors that Linux knows (CONFIG_NR_CPUS is at most 8192).
const maxCPU = 1 << 13

// cpuList is the numbers in a list such as 0-3,8; none where it is no list
// (https://docs.kernel.org/admin-guide/cputopology.html).
func cpuList(list string) (cpus []int) {
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(last)
		}
		if err != nil || from < 0 || to < from || to >= maxCPU {
			return nil
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}
