package driver

import (
	"slices"
	"strings"
	"testing"
)

const headers = `
.visible .entry two(.param .u64 .ptr .global .align 16 a, .param .f32 b) { }
.entry none { }
.entry empty() { }
.entry small(
	.param .b8 a,
	.param .s16 b
)
.entry block(.param .align 8 .b8 a[16]) { }
`

func TestParametersOfEntries(t *testing.T) {
	for name, want := range map[string][]int{"two": {8, 4}, "none": nil, "empty": nil, "small": {1, 2}} {
		if got, err := parameters(headers, name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, error %v: want %v", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"block": "want a scalar", "missing": "is not in the module", "tw": "is not in the module"} {
		if _, err := parameters(headers, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v: want %q", name, err, want)
		}
	}
}

func FuzzParameters(f *testing.F) {
	f.Add(headers, "two")
	f.Add(".entry a(.param", "a")
	f.Add("0", "\xff") // no regular expression has it
	f.Fuzz(func(t *testing.T, ptx, name string) {
		sizes, err := parameters(ptx, name)
		for _, size := range sizes {
			if err == nil && (size < 1 || size > 8) {
				t.Errorf("size %d", size)
			}
		}
	})
}
