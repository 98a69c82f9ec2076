package driver

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// parameters reads the sizes in bytes of an entry's parameters from PTX text
// (PTX ISA, "Kernel Function Parameters"). Only scalars of up to 8 bytes are
// taken: our kernels have no others.
func parameters(ptx, name string) ([]int, error) {
	header, err := regexp.Compile(`\.entry\s+` + regexp.QuoteMeta(name) + `\b\s*(?:\(([^)]*)\))?`)
	if err != nil {
		return nil, fmt.Errorf("cuda: kernel %q: no name of a kernel: %w", name, err)
	}
	m := header.FindStringSubmatch(ptx)
	if m == nil {
		return nil, fmt.Errorf("cuda: kernel %q is not in the module", name)
	}
	if strings.TrimSpace(m[1]) == "" {
		return nil, nil
	}
	var sizes []int
	for i, p := range strings.Split(m[1], ",") {
		size, err := parameterSize(p)
		if err != nil {
			return nil, fmt.Errorf("cuda: kernel %s: parameter %d: %w", name, i, err)
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// parameterSize reads ".param .u64 .ptr .global .align 16 name".
func parameterSize(text string) (int, error) {
	fields := strings.Fields(text)
	if len(fields) < 3 || fields[0] != ".param" || strings.Contains(text, "[") {
		return 0, fmt.Errorf("%q: want a scalar", strings.TrimSpace(text))
	}
	for _, f := range fields[1:] {
		if len(f) < 3 || !strings.ContainsRune("busf", rune(f[1])) {
			continue
		}
		if bits, err := strconv.Atoi(f[2:]); err == nil && bits >= 8 && bits <= 64 {
			return bits / 8, nil
		}
	}
	return 0, fmt.Errorf("%q: want a type of 8 to 64 bits", strings.TrimSpace(text))
}
