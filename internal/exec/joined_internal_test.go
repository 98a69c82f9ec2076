package exec

import (
	"slices"
	"testing"

	"align/internal/device"
)

// Neighbours that a device does by one kernel are one step where each of them reads what
// it does for the others alone.
func TestNeighboursAreJoined(t *testing.T) {
	const a, b, sum, w, y, q, k, v, table, slots, turnedQ, turnedK, keys, values = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
	attr, norm := device.Rope{HeadDim: 8}, device.Norm{Width: 8}
	one := func(kernel string, attr any, out int, in ...int) step {
		return step{kernel: kernel, attr: attr, in: in, out: []int{out}, base: -1}
	}
	add, rmsnorm := one("add", nil, sum, a, b), one("rmsnorm", norm, y, sum, w)
	ropeQ, ropeK := one("rope", attr, turnedQ, q, table), one("rope", attr, turnedK, k, table)
	writeK, writeV := one("cache_write", nil, keys, turnedK, slots), one("cache_write", nil, values, v, slots)
	linear, lora := one("linear", nil, b, y, w), one("lora_linear", nil, b, y, y, w, q, k)
	all := func(string) bool { return true }
	into := add
	into.base = b
	for name, c := range map[string]struct {
		steps []step
		keep  []int
		want  []string
	}{
		"a sum and its norm":         {[]step{add, rmsnorm, add, rmsnorm}, nil, []string{"add_rmsnorm", "add_rmsnorm"}},
		"the norm of another":        {[]step{add, one("rmsnorm", norm, y, a, w)}, nil, []string{"add", "rmsnorm"}},
		"something between":          {[]step{add, ropeQ, rmsnorm}, nil, []string{"add", "rope", "rmsnorm"}},
		"a sum into what is there":   {[]step{into, rmsnorm}, nil, []string{"add", "rmsnorm"}},
		"a sum at the end":           {[]step{rmsnorm, add}, nil, []string{"rmsnorm", "add"}},
		"q, k and v":                 {[]step{ropeQ, ropeK, writeK, writeV, add}, nil, []string{"rope_cache", "add"}},
		"the turned k is kept":       {[]step{ropeQ, ropeK, writeK, writeV}, []int{turnedK}, []string{"rope", "rope", "cache_write", "cache_write"}},
		"the turned k is read":       {[]step{ropeQ, ropeK, writeK, writeV, one("add", nil, y, turnedK, a)}, nil, []string{"rope", "rope", "cache_write", "cache_write", "add"}},
		"k as it was":                {[]step{ropeQ, ropeK, one("cache_write", nil, keys, k, slots), writeV}, nil, []string{"rope", "rope", "cache_write", "cache_write"}},
		"turned k in both":           {[]step{ropeQ, ropeK, writeK, one("cache_write", nil, values, turnedK, slots)}, nil, []string{"rope", "rope", "cache_write", "cache_write"}},
		"other angles":               {[]step{ropeQ, one("rope", attr, turnedK, k, a), writeK, writeV}, nil, []string{"rope", "rope", "cache_write", "cache_write"}},
		"other slots":                {[]step{ropeQ, ropeK, writeK, one("cache_write", nil, values, v, a)}, nil, []string{"rope", "rope", "cache_write", "cache_write"}},
		"heads of another size":      {[]step{ropeQ, one("rope", device.Rope{HeadDim: 4}, turnedK, k, table), writeK, writeV}, nil, []string{"rope", "rope", "cache_write", "cache_write"}},
		"no v":                       {[]step{ropeQ, ropeK, writeK}, nil, []string{"rope", "rope", "cache_write"}},
		"a layer and a sum":          {[]step{linear, add}, nil, []string{"linear_add"}},
		"an adapted layer and a sum": {[]step{lora, one("add", nil, sum, b, a)}, nil, []string{"lora_linear_add"}},
		"a layer that is kept":       {[]step{linear, add}, []int{b}, []string{"linear", "add"}},
		"a layer that is read":       {[]step{linear, add, one("rmsnorm", norm, v, b, w)}, nil, []string{"linear", "add", "rmsnorm"}},
		"a layer twice":              {[]step{linear, one("add", nil, sum, b, b)}, nil, []string{"linear", "add"}},
		"another sum":                {[]step{linear, one("add", nil, sum, a, w)}, nil, []string{"linear", "add"}},
		"a sum behind what is alike": {[]step{ropeQ, ropeQ, ropeK, writeK, writeV, add, rmsnorm}, nil, []string{"rope", "rope_cache", "add_rmsnorm"}},
	} {
		p := &Plan{slots: make([]slot, 14), steps: c.steps}
		var got []string
		for _, s := range p.joined(all, c.keep) {
			got = append(got, s.kernel)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	p := &Plan{slots: make([]slot, 14), steps: []step{add, rmsnorm, ropeQ, ropeK, writeK, writeV}}
	s := p.joined(all, nil)
	if !slices.Equal(s[0].in, []int{a, b, w}) || !slices.Equal(s[0].out, []int{sum, y}) || p.slots[y].root != a {
		t.Errorf("the sum and its norm are %+v, y over %d", s[0], p.slots[y].root)
	}
	if !slices.Equal(s[1].in, []int{q, k, v, table, slots}) || !slices.Equal(s[1].out, []int{turnedQ, keys, values}) {
		t.Errorf("q, k and v are %+v", s[1])
	}
	p = &Plan{slots: make([]slot, 14), steps: []step{lora, add}}
	p.slots[sum].root = b
	if s := p.joined(all, nil)[0]; !slices.Equal(s.in, []int{y, y, w, q, k, a}) || !slices.Equal(s.out, []int{sum}) || p.slots[sum].root != sum {
		t.Errorf("a layer and its sum are %+v, over %d", s, p.slots[sum].root)
	}
	none := func(string) bool { return false }
	p = &Plan{slots: make([]slot, 14), steps: []step{lora, add, rmsnorm, ropeQ, ropeK, writeK, writeV}}
	if n := len(p.joined(none, nil)); n != len(p.steps) {
		t.Errorf("a device that joins nothing has %d steps, want %d", n, len(p.steps))
	}
}
