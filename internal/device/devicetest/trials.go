package devicetest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"align/internal/device"
)

// sizes are lengths around the borders of vector registers and tiles.
var sizes = [...]int{0, 1, 2, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 65}

// size is the i-th size, round and round.
func size(i int) int { return sizes[i%len(sizes)] }

// trialsOf lists the trials of every kernel for one activation type; the same
// list every time.
func trialsOf(act device.Type) []trial {
	g := newGen(act)
	var list []trial
	for _, part := range []func(*gen) []trial{
		tableTrials, normTrials, linearTrials, blockTrials, matmulTrials, ropeTrials, attentionTrials, cacheTrials, elementTrials,
		headTrials, segmentTrials, vecTrials, optimiserTrials, adapterTrials, droppedTrials,
	} {
		list = append(list, part(g)...)
	}
	return list
}

// trialsFor is trialsOf with what the backend offers beyond them.
func trialsFor(b device.Backend, act device.Type) []trial {
	of := drawn(act)
	list := slices.Clone(of.every)
	if s, is := b.(device.Sloper); is && s.Slopes() {
		list = append(list, of.slopes...)
	}
	return append(list, joinedTrials(b, act)...)
}

// lists are the trials of one activation type: of every backend, of a device.Sloper
// and of a device.Joiner with all kernels.
type lists struct{ every, slopes, joined []trial }

var (
	drawing sync.Mutex
	byType  = map[device.Type]*lists{}
)

// drawn are an activation type's trials, which backends share: they are drawn, and an
// oracle asked, once for all of them. What is drawn is not written to.
func drawn(act device.Type) *lists {
	drawing.Lock()
	defer drawing.Unlock()
	of := byType[act]
	if of == nil {
		of = &lists{trialsOf(act), slopeTrials(newGen(act)), allJoinedTrials(newGen(act))}
		for _, list := range [][]trial{of.every, of.slopes, of.joined} {
			for i := range list {
				list[i].want = sync.OnceValue(list[i].want)
			}
		}
		byType[act] = of
	}
	return of
}

// makeTrial fills in what most trials share.
func makeTrial(kernel, name string, attr any, in, out []tensor, want func() [][]float64) trial {
	return trial{name: kernel + "/" + name, kernel: kernel, attr: attr, in: in, out: out, placed: -1, want: want}
}

// tableTrials: embed, embed_dw, gather, scatter.
func tableTrials(g *gen) []trial {
	var list []trial
	types := []device.Type{device.F32, device.BF16, device.F16, device.F64}
	for i, n := range sizes {
		v, c := size(i+5)+1, size(i*3+1)+1
		w, ids := g.normal(types[i%4], v, c, 1), g.ints(n, 0, v)
		embed := embedTrial(g, w, ids)
		dy := g.a(n, c)
		dw := makeTrial("embed_dw", fmt.Sprintf("T%d,V%d,C%d", n, v, c), nil, []tensor{dy, ids}, []tensor{empty(g.wide(), v, c)},
			func() [][]float64 { return one(scatterOracle(dy, ids, v)) })
		dw.accumulate = true
		x := g.a(v, c)
		gather := makeTrial("gather", fmt.Sprintf("N%d,T%d,C%d", n, v, c), nil, []tensor{x, ids}, []tensor{empty(g.act, n, c)},
			func() [][]float64 { return one(fill(n, c, func(t, j int) float64 { return x.at(ids.id(t), j) })) })
		gather.byRows = []int{1}
		scatter := makeTrial("scatter", fmt.Sprintf("N%d,T%d,C%d", n, v, c), nil, []tensor{dy, ids, x}, []tensor{empty(g.act, v, c)},
			func() [][]float64 { return one(scatterOracle(dy, ids, v)) })
		list = append(list, embed, dw, gather, scatter)
	}
	return list
}

func embedTrial(g *gen, w, ids tensor) trial {
	r := makeTrial("embed", fmt.Sprintf("T%d,V%d,C%d,%s", ids.rows, w.rows, w.cols, w.typ), nil, []tensor{w, ids}, []tensor{empty(g.act, ids.rows, w.cols)},
		func() [][]float64 {
			return one(fill(ids.rows, w.cols, func(t, j int) float64 { return w.at(ids.id(t), j) }))
		})
	r.placed, r.byRows = 0, []int{1}
	return r
}

func one(values []float64) [][]float64 { return [][]float64{values} }

func scatterOracle(dy, ids tensor, rows int) []float64 {
	m := zeros(rows, dy.cols)
	for n := range dy.rows {
		for j := range dy.cols {
			m.add(ids.id(n), j, dy.at(n, j))
		}
	}
	return m.f
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
