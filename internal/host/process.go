package host

import (
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most main memory that this process had resident at a time,
// in bytes (VmHWM); 0 where the system does not tell.
func PeakMemory() int64 { return processStatus("VmHWM") }

// ResidentMemory is what this process has resident now, in bytes (VmRSS); 0
// where the system does not tell.
func ResidentMemory() int64 { return processStatus("VmRSS") }

func processStatus(key string) int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// ProcessorName is the processor's name, or "".
func ProcessorName() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
