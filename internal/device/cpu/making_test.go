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
		// Tasks of two groups of panels, the second made beside the first, and sums that end
		// with a part of their words, made or not, or with all.
		for _, c := range []struct {
			n, k, threads int
			dx            bool
		}{{768, 2304, 1, false}, {1152, 2560, 2, false}, {2080, 768, 1, true}, {2560, 1280, 2, true}} {
			b := start(t, Options{Threads: c.threads, Activations: device.F32, Level: &level, Precision: device.BF16})
			m := makingCase{bench{backend: b}, t, fmt.Sprintf("%s, %d x %d, %d threads", typ, c.n, c.k, c.threads)}
			m.compare(placeRandom(t, b, typ, c.n, c.k), c.dx)
		}
	}
}

type makingCase struct {
	bench
	t    *testing.T
	name string
}

// compare compares few rows and many with panels of them, in products or in their
// gradients.
func (m *makingCase) compare(w device.View, dx bool) {
	const few, most, rank = 110, 520, 8
	out, k := w.Rows, w.Cols
	x, dy, du, bias := m.view(device.F32, most, k), m.view(device.F32, most, out), m.view(device.F32, most, rank), m.view(device.F32, out, 1)
	down, up := m.view(device.F32, rank, k), m.view(device.F32, out, rank)
	drops, mask := device.Dropout{P: 0.3, Stream: 5}, m.view(device.I32, most, k/32)
	m.run("dropout_mask", drops, mask, m.view(device.I32, most, 1), m.view(device.I32, 2, 1))
	calls := []makingCall{
		{"linear", nil, out, func(i, n int) []device.View { return []device.View{x.Row(i, n), w} }},
		{"lora_linear", device.LoRA{Scale: 2}, out, func(i, n int) []device.View { return []device.View{x.Row(i, n), x.Row(i, n), w, down, up, bias} }},
		{"lora_linear", device.LoRA{Scale: 2}, out, func(i, n int) []device.View { return []device.View{x.Row(i, n), mask.Row(i, n), w, down, up} }},
	}
	if dx {
		calls = []makingCall{
			{"linear_dx", nil, k, func(i, n int) []device.View { return []device.View{dy.Row(i, n), w} }},
			{"lora_dx", nil, k, func(i, n int) []device.View { return []device.View{dy.Row(i, n), w, du.Row(i, n), down} }},
			{"lora_dropped_dx", drops, k, func(i, n int) []device.View {
				return []device.View{dy.Row(i, n), w, du.Row(i, n), down, mask.Row(i, n)}
			}},
		}
	}
	for _, c := range calls {
		for _, typ := range []device.Type{device.F32, device.BF16} {
			y := m.view(typ, most, c.cols)
			m.run(c.kernel, c.attr, y, c.in(0, most)...)
			m.same(y, &c, 0)
			m.same(y, &c, most-32)
			m.run(c.kernel, c.attr, y.Row(0, few), c.in(0, few)...)
			m.same(y, &c, few-32)
		}
	}
}

// makingCall is a kernel and its operands for n rows from i on.
type makingCall struct {
	kernel string
	attr   any
	cols   int
	in     func(i, n int) []device.View
}

// same compares 32 rows of y with a panel.
func (m *makingCase) same(y device.View, c *makingCall, from int) {
	m.t.Helper()
	panel := m.view(y.Type, 32, y.Cols)
	m.run(c.kernel, c.attr, panel, c.in(from, 32)...)
	if !bytes.Equal(rawBytes(y.Row(from, 32)), rawBytes(panel)) {
		m.t.Errorf("%s: %s to %s: rows from %d on have other bits than a panel of them", m.name, c.kernel, y.Type, from)
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
