package devicetest

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"align/internal/device"
)

// scene is a pack and the rows of it that a place-invariance check compares.
type scene struct {
	name string
	pack pack
	from int // where the compared rows begin
}

// checkPacks is place-invariance: a document, and a prompt with two answers,
// have the same bits in o, lse, dq, dk and dv alone and anywhere in a pack,
// and whatever the other documents hold, NaN included. Places are the lengths of
// what stands before them.
func checkPacks(t *testing.T, b device.Backend, act device.Type, headDim int, places ...int) {
	subjects := map[string]func(p *pack){
		"document":       func(p *pack) { p.document(150) },
		"short document": func(p *pack) { p.document(7) },
		"shared prompt":  func(p *pack) { p.answers(70, 67, 9) },
		"short prompt":   func(p *pack) { p.answers(3, 2, 80) },
	}
	for name, subject := range subjects {
		var alone pack
		subject(&alone)
		scenes := []scene{{name: "alone", pack: alone}}
		for _, before := range places {
			var p pack
			p.document(before)
			p.answers(5, 4, 6)
			s := scene{name: fmt.Sprintf("after %d", p.len()), from: p.len()}
			subject(&p)
			p.document(21)
			s.pack = p
			scenes = append(scenes, s)
		}
		var want [][]byte
		for _, s := range scenes {
			for _, poison := range []bool{false, true} {
				got := s.run(t, b, act, headDim, alone.len(), poison)
				if want == nil {
					want = got
				}
				for i, part := range [...]string{"o", "lse", "dq", "dk", "dv"} {
					if !bytes.Equal(got[i], want[i]) {
						t.Errorf("%s %s (others NaN: %v): the bits of %s differ", name, s.name, poison, part)
					}
				}
			}
		}
	}
}

// run is o, lse, dq, dk and dv of the n rows from s.from.
func (s *scene) run(t *testing.T, b device.Backend, act device.Type, headDim, n int, poison bool) [][]byte {
	t.Helper()
	attr := device.Attention{Heads: 4, KVHeads: 2, HeadDim: headDim, Scale: 0.4}
	qCols, kvCols := attr.Heads*attr.HeadDim, attr.KVHeads*attr.HeadDim
	rows := s.pack.len()
	subject := newGen(act) // the same draws in every scene
	inside := func(cols int) tensor {
		own := subject.a(n, cols)
		other := math.Pi
		if poison {
			other = math.NaN()
		}
		return newTensor(act, rows, cols, fill(rows, cols, func(i, j int) float64 {
			if i >= s.from && i < s.from+n {
				return own.at(i-s.from, j)
			}
			return other
		}))
	}
	q, k, v, do := inside(qCols), inside(kvCols), inside(kvCols), inside(qCols)
	masks := s.pack.vectors()
	forward := makeTrial("attention", s.name, attr, append([]tensor{q, k, v}, masks...),
		[]tensor{empty(act, rows, qCols), empty(act.Wide(), rows, attr.Heads)}, nil)
	out := forward.run(t, b, options{skip: -1})
	o := tensor{typ: act, rows: rows, cols: qCols, raw: out[0]}
	lse := tensor{typ: act.Wide(), rows: rows, cols: attr.Heads, raw: out[1]}
	backward := makeTrial("attention_grad", s.name, attr, append([]tensor{q, k, v, o, lse, do}, masks...),
		[]tensor{empty(act, rows, qCols), empty(act, rows, kvCols), empty(act, rows, kvCols)}, nil)
	all := append(out, backward.run(t, b, options{skip: -1})...)
	for i, x := range append(forward.out, backward.out...) {
		width := x.cols * x.typ.Size()
		all[i] = all[i][s.from*width : (s.from+n)*width]
	}
	return all
}
