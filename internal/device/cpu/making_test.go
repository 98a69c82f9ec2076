package cpu

import (
	"bytes"
	"fmt"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Ensure that a product that makes panels while it multiplies has the bits of one
// of a panel's rows, which decodes first: whole sums and such with a rest, beside an
// adapter's product, plain, under a mask and with a bias, to float32 and rounded.
func TestMakingPanels(t *testing.T) {
	level := feature.AMX
	if !feature.Has(level) {
		t.Skip("the machine has no tiles")
	}
	for _, typ := range quantised {
		for i, c := range []struct{ n, k, few, many int }{{2080, 2304, 110, 600}, {2304, 2304, 64, 280}} {
			b := start(t, Options{Threads: 1 + i, Activations: device.F32, Level: &level, Precision: device.BF16})
			m := makingCase{bench{backend: b}, t, fmt.Sprintf("%s, %d x %d, %d threads", typ, c.n, c.k, 1+i)}
			m.compare(placeRandom(t, b, typ, c.n, c.k), c.few, c.many)
		}
	}
}

type makingCase struct {
	bench
	t    *testing.T
	name string
}

// compare compares few rows and many with panels of them.
func (m *makingCase) compare(w device.View, few, most int) {
	const rank = 8
	out, k := w.Rows, w.Cols
	x, dy, du, bias := m.view(device.F32, most, k), m.view(device.F32, most, out), m.view(device.F32, most, rank), m.view(device.F32, out, 1)
	down, up := m.view(device.F32, rank, k), m.view(device.F32, out, rank)
	drops, mask := device.Dropout{P: 0.3, Stream: 5}, m.view(device.I32, most, k/32)
	m.run("dropout_mask", drops, mask, m.view(device.I32, most, 1), m.view(device.I32, 2, 1))
	for _, c := range []struct {
		kernel string
		attr   any
		cols   int
		in     func(i, n int) []device.View
	}{
		{"linear", nil, out, func(i, n int) []device.View { return []device.View{x.Row(i, n), w} }},
		{"lora_linear", device.LoRA{Scale: 2}, out, func(i, n int) []device.View { return []device.View{x.Row(i, n), x.Row(i, n), w, down, up, bias} }},
		{"lora_linear", device.LoRA{Scale: 2}, out, func(i, n int) []device.View { return []device.View{x.Row(i, n), mask.Row(i, n), w, down, up} }},
		{"linear_dx", nil, k, func(i, n int) []device.View { return []device.View{dy.Row(i, n), w} }},
		{"lora_dx", nil, k, func(i, n int) []device.View { return []device.View{dy.Row(i, n), w, du.Row(i, n), down} }},
		{"lora_dropped_dx", drops, k, func(i, n int) []device.View {
			return []device.View{dy.Row(i, n), w, du.Row(i, n), down, mask.Row(i, n)}
		}},
	} {
		for _, typ := range []device.Type{device.F32, device.BF16} {
			y := m.view(typ, most, c.cols)
			m.run(c.kernel, c.attr, y, c.in(0, most)...)
			m.same(y, c.kernel, c.attr, 0, c.in)
			m.same(y, c.kernel, c.attr, most-32, c.in)
			m.run(c.kernel, c.attr, y.Row(0, few), c.in(0, few)...)
			m.same(y, c.kernel, c.attr, few-32, c.in)
		}
	}
}

// same compares 32 rows of y with a panel.
func (m *makingCase) same(y device.View, kernel string, attr any, from int, in func(i, n int) []device.View) {
	m.t.Helper()
	panel := m.view(y.Type, 32, y.Cols)
	m.run(kernel, attr, panel, in(from, 32)...)
	if !bytes.Equal(rawBytes(y.Row(from, 32)), rawBytes(panel)) {
		m.t.Errorf("%s: %s to %s: rows from %d on have other bits than a panel of them", m.name, kernel, y.Type, from)
	}
}

func (m *makingCase) run(kernel string, attr any, y device.View, in ...device.View) {
	m.t.Helper()
	bound, err := m.backend.Bind(kernel, attr)
	if err == nil {
		err = bound(&device.Call{Out: []device.View{y}, In: in})
	}
	if err != nil {
		m.t.Fatalf("%s: %v", kernel, err)
	}
}
