package host

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// deviceName is what a setting may call a device.
var deviceName = regexp.MustCompile(`^(|auto|cpu|cuda(:[0-9]{1,4})?)$`)

// MaxThreads is the most threads that a command may be asked to use.
const MaxThreads = 4096

// CheckDevice refuses a name that no device has on any machine. Whether this one
// has it shows when it is opened.
func CheckDevice(name string) error {
	if deviceName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("device %q: want auto, cpu, cuda or cuda:N", name)
}

// sizeUnits are those of a size, the longest names first.
var sizeUnits = []struct {
	name  string
	bytes float64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"GB", 1e9}, {"MB", 1e6}}

// ParseSize is the bytes of the setting memory, "24GiB"; "" and "auto" are 0, no
// limit.
func ParseSize(text string) (int64, error) {
	if text == "" || text == "auto" {
		return 0, nil
	}
	for _, u := range sizeUnits {
		number, is := strings.CutSuffix(text, u.name)
		if !is {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && n > 0 && n*u.bytes < math.MaxInt64/2 {
			return int64(n * u.bytes), nil
		}
	}
	return 0, fmt.Errorf("memory %q: want a size as 24GiB, 24GB, 800MiB or 800MB", text)
}

// FormatSize is a size in bytes for eyes.
func FormatSize(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}

// UnderHome is a path whose ~ a shell left as it is, as in a .env file.
func UnderHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	home, err := os.UserHomeDir()
	if !ok || err != nil || rest != "" && !os.IsPathSeparator(rest[0]) {
		return path
	}
	return home + rest
}
