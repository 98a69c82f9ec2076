package devicetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"align/internal/device"
)

// joinedTrials are of those kernels that the backend has as a device.Joiner.
func joinedTrials(b device.Backend, act device.Type) []trial {
	return slices.DeleteFunc(slices.Clone(drawn(act).joined), func(r trial) bool { return !device.Joins(b, r.kernel) })
}

// allJoinedTrials are of all kernels of a device.Joiner, whose values checkJoined holds to
// the bits of the kernels that they stand for.
func allJoinedTrials(g *gen) []trial {
	list := slices.Concat(addNormTrials(g), ropeCacheTrials(g), productAddTrials(g))
	for i := range list {
		list[i].unchecked, list[i].want = true, func() [][]float64 { return nil }
	}
	return list
}

func addNormTrials(g *gen) (list []trial) {
	for i, rows := range append(sizes[:], 3, 2) {
		width := size(i*5+2) + 1
		if i >= len(sizes) { // several turns of a block of threads
			width = 4104 + i%2
		}
		cols := width * (1 + i%3)
		norm := makeTrial("add_rmsnorm", fmt.Sprintf("T%d,C%d,width%d", rows, cols, width), device.Norm{Eps: 1e-5, Width: width},
			[]tensor{g.a(rows, cols), g.a(rows, cols), g.w(width, 1)}, []tensor{empty(g.act, rows, cols), empty(g.act, rows, cols)}, nil)
		norm.byRows, norm.aliases = []int{0, 1}, [][2]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}}
		list = append(list, norm)
	}
	return list
}

func ropeCacheTrials(g *gen) (list []trial) {
	for i, n := range sizes {
		d, heads, kv := 2*(1+i*3), 3*(1+i%2), 1+i%2
		cache := pagesFor(g, 0, []int{n + 1})
		before := newTensor(g.act, cache.rows, kv*d, make([]float64, cache.rows*kv*d))
		q, k, v := g.a(n+1, heads*d), g.a(n+1, kv*d), g.a(n+1, kv*d)
		rope := makeTrial("rope_cache", fmt.Sprintf("T%d,H%d,K%d,D%d", n+1, heads, kv, d), device.Rope{HeadDim: d},
			[]tensor{q, k, v, g.w(n+1, d), ints(cache.slots...)}, []tensor{empty(g.act, n+1, heads*d), empty(g.act, cache.rows, kv*d), empty(g.act, cache.rows, kv*d)}, nil)
		rope.aliases, rope.before = [][2]int{{0, 0}}, []tensor{q, before, before}
		list = append(list, rope)
	}
	return list
}

// productAddTrials have few rows and many, and columns that are whole panels and are not.
func productAddTrials(g *gen) (list []trial) {
	for i, s := range [][3]int{{1, 32, 40}, {3, 7, 5}, {15, 64, 96}, {170, 64, 33}} {
		m, n, k := s[0], s[1], s[2]
		rank := []int{16, 5}[i%2]
		name := fmt.Sprintf("T%d,N%d,C%d", m, n, k)
		x, w, r, bias := g.a(m, k), g.w(n, k), g.a(m, n), g.w(n, 1)
		a, b, y := g.w(rank, k), g.w(n, rank), empty(g.act, m, n)
		attr, both := device.LoRA{Scale: 0.75}, []tensor{y, empty(g.act, m, rank)}
		for _, t := range []trial{
			makeTrial("linear_add", name, nil, []tensor{x, w, r}, []tensor{y}, nil),
			makeTrial("linear_add", name+",bias", nil, []tensor{x, w, bias, r}, []tensor{y}, nil),
			makeTrial("lora_linear_add", name, attr, []tensor{x, x, w, a, b, r}, both, nil),
			makeTrial("lora_linear_add", name+",dropped", attr, []tensor{x, g.a(m, k), w, a, b, r}, both, nil),
			makeTrial("lora_linear_add", name+",bias", attr, []tensor{x, x, w, a, b, bias, r}, both, nil),
		} {
			t.placed, t.byRows = 1, []int{0, len(t.in) - 1}
			if t.kernel == "lora_linear_add" {
				t.placed, t.byRows = 2, []int{0, 1, len(t.in) - 1}
			}
			list = append(list, t)
		}
	}
	return list
}

// checkJoined: what is done by one kernel has the bits of several.
func checkJoined(t *testing.T, b device.Backend, act device.Type) {
	for _, r := range joinedTrials(b, act) {
		got, want := r.run(t, b, options{skip: -1}), r.apart(t, b)
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%s: output %d has other bits than by several kernels", r.name, i)
			}
		}
	}
}

// apart are the outputs of a trial of a joined kernel as several kernels make them.
func (r *trial) apart(t *testing.T, b device.Backend) [][]byte {
	in := r.in
	if of, is := strings.CutSuffix(r.kernel, "_add"); is {
		return r.productAndSum(t, b, of)
	}
	one := func(kernel string, attr any, like tensor, before []tensor, in ...tensor) tensor {
		s := makeTrial(kernel, "apart", attr, in, []tensor{empty(like.typ, like.rows, like.cols)}, nil)
		s.before = before
		like.raw = s.run(t, b, options{skip: -1})[0]
		return like
	}
	if r.kernel == "add_rmsnorm" {
		sum := one("add", nil, in[0], nil, in[0], in[1])
		return [][]byte{sum.raw, one("rmsnorm", r.attr, sum, nil, sum, in[2]).raw}
	}
	q, k := one("rope", r.attr, in[0], nil, in[0], in[3]), one("rope", r.attr, in[1], nil, in[1], in[3])
	attr := device.Cache{HeadDim: r.attr.(device.Rope).HeadDim}
	keys := one("cache_write", attr, r.out[1], r.before[1:2], k, in[4])
	attr.Values = true
	values := one("cache_write", attr, r.out[2], r.before[2:], in[2], in[4])
	return [][]byte{q.raw, keys.raw, values.raw}
}

// productAndSum are the outputs of a trial of a layer with a sum by the layer's kernel and
// add.
func (r *trial) productAndSum(t *testing.T, b device.Backend, kernel string) [][]byte {
	last := len(r.in) - 1
	product := makeTrial(kernel, "apart", r.attr, r.in[:last], r.out, nil)
	product.placed = r.placed
	out := product.run(t, b, options{skip: -1})
	y := r.out[0]
	y.raw = out[0]
	sum := makeTrial("add", "apart", nil, []tensor{r.in[last], y}, []tensor{empty(y.typ, y.rows, y.cols)}, nil)
	out[0] = sum.run(t, b, options{skip: -1})[0]
	return out
}
