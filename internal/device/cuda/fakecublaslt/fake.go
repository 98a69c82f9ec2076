//go:build linux && (amd64 || arm64) && !nogpu

package fakecublaslt

import (
	"encoding/binary"
	"math"
	"unsafe"

	"align/internal/half"

	"github.com/ebitengine/purego"
)

// Library is a fake. Its functions are made once and never freed: a process
// makes one.
type Library struct {
	// Refuse leaves every shape without an algorithm.
	Refuse bool
	// Bytes is the memory from an address on; nil where addresses are the
	// host's.
	Bytes func(address uint64) []byte
	// Enqueue puts a product in a stream; nil runs it at once.
	Enqueue func(stream uintptr, work func() int) int

	functions map[string]uintptr
	things    map[uintptr]any
	last      uintptr
	products  int
}

// New makes the functions.
func New() *Library {
	f := &Library{functions: map[string]uintptr{}, things: map[uintptr]any{}, last: 1 << 20}
	f.addFunctions()
	return f
}

// Resolve returns the address of a function, 0 for one that is not there.
func (f *Library) Resolve(name string) (uintptr, error) { return f.functions[name], nil }

// Live returns the number of handles, descriptions and layouts that were made
// and not given back.
func (f *Library) Live() int { return len(f.things) }

// Products returns the number of products so far.
func (f *Library) Products() int { return f.products }

// algorithm and workspace are what the fake takes back and asks for.
const (
	algorithm = 0x1234
	workspace = 32 << 20
	alignment = 16
)

type fakeDesc struct{ attributes map[uintptr]uint64 }

type fakeLayout struct{ typ, rows, cols, ld uintptr }

type fakePreference struct{ attributes map[uintptr]uint64 }

// at reads the pointer that a caller passed as a number.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

const (
	ok           = 0
	invalidValue = 7
	refused      = 15
)

func (f *Library) addFunctions() {
	type word = uintptr
	add := func(name string, g func(a, b, c, d, e word) word) {
		f.functions[name] = purego.NewCallback(func(a, b, c, d, e word) word { return g(a, b, c, d, e) })
	}
	keep := func(to word, thing any) word {
		f.last += 16
		f.things[f.last] = thing
		*at[uintptr](to) = f.last
		return ok
	}
	drop := func(a, _, _, _, _ word) word {
		if f.things[a] == nil {
			return invalidValue
		}
		delete(f.things, a)
		return ok
	}
	set := func(attributes map[uintptr]uint64, which, from, size word) word {
		switch size {
		case 4:
			attributes[which] = uint64(*at[uint32](from))
		case 8:
			attributes[which] = *at[uint64](from)
		default:
			return invalidValue
		}
		return ok
	}
	add("cublasLtCreate", func(to, _, _, _, _ word) word { return keep(to, "handle") })
	add("cublasLtDestroy", drop)
	add("cublasLtGetVersion", func(_, _, _, _, _ word) word { return 120403 })
	add("cublasLtMatmulDescCreate", func(to, compute, scale, _, _ word) word {
		if compute != 68 || scale != 0 {
			return invalidValue
		}
		return keep(to, &fakeDesc{map[uintptr]uint64{}})
	})
	add("cublasLtMatmulDescSetAttribute", func(d, which, from, size, _ word) word {
		return set(f.things[d].(*fakeDesc).attributes, which, from, size)
	})
	add("cublasLtMatmulDescDestroy", drop)
	add("cublasLtMatrixLayoutCreate", func(to, typ, rows, cols, ld word) word { return keep(to, &fakeLayout{typ, rows, cols, ld}) })
	add("cublasLtMatrixLayoutDestroy", drop)
	add("cublasLtMatmulPreferenceCreate", func(to, _, _, _, _ word) word { return keep(to, &fakePreference{map[uintptr]uint64{}}) })
	add("cublasLtMatmulPreferenceSetAttribute", func(p, which, from, size, _ word) word {
		return set(f.things[p].(*fakePreference).attributes, which, from, size)
	})
	add("cublasLtMatmulPreferenceDestroy", drop)
	f.functions["cublasLtMatmulAlgoGetHeuristic"] = purego.NewCallback(f.heuristic)
	f.functions["cublasLtMatmul"] = purego.NewCallback(f.matmul)
}

func (f *Library) heuristic(handle, desc, a, b, c, d, preference, asked, results, count uintptr) uintptr {
	p := f.things[preference].(*fakePreference)
	if f.things[handle] != "handle" || asked != 1 || p.attributes[1] != workspace || p.attributes[3] != 0 || len(p.attributes) != 6 {
		return invalidValue
	}
	for matrix := uintptr(5); matrix < 9; matrix++ {
		if p.attributes[matrix] != alignment {
			return invalidValue
		}
	}
	if f.Refuse {
		return refused
	}
	r := at[[12]uint64](results) // cublasLtMatmulHeuristicResult_t: an algorithm of 64 bytes, its workspace, a state
	*r = [12]uint64{algorithm}
	*at[int32](count) = 1
	return ok
}

// sizes are those of elements in bytes, by type.
var sizes = map[uintptr]uintptr{0: 4, 14: 2}

// matrix is a layout and its memory.
type matrix struct {
	*fakeLayout
	bytes []byte
}

func (f *Library) matrix(address, layout uintptr) matrix {
	l := f.things[layout].(*fakeLayout)
	size := int((l.ld*(l.cols-1) + l.rows) * sizes[l.typ])
	if f.Bytes == nil {
		return matrix{l, unsafe.Slice(at[byte](address), size)}
	}
	return matrix{l, f.Bytes(uint64(address))[:size]}
}

// element is (row, column) of bf16, turned if so asked.
func (m matrix) element(row, col uintptr, turned bool) float64 {
	if turned {
		row, col = col, row
	}
	if row >= m.rows || col >= m.cols || m.typ != 14 {
		return math.NaN()
	}
	return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(m.bytes[2*(col*m.ld+row):])) << 16))
}

// result is (row, column) of float32 or bf16.
func (m matrix) result(row, col uintptr) float32 {
	if m.typ == 14 {
		return half.FromBF16(binary.LittleEndian.Uint16(m.bytes[2*(col*m.ld+row):]))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(m.bytes[4*(col*m.ld+row):]))
}

func (m matrix) setResult(row, col uintptr, v float32) {
	if m.typ == 14 {
		binary.LittleEndian.PutUint16(m.bytes[2*(col*m.ld+row):], half.ToBF16(v))
		return
	}
	binary.LittleEndian.PutUint32(m.bytes[4*(col*m.ld+row):], math.Float32bits(v))
}

// scaled is a product with all that its call said.
type scaled struct {
	a, b, d      matrix
	turnA, turnB bool
	alpha, beta  float32
}

func (p *scaled) run() int {
	depth := p.a.cols
	if p.turnA {
		depth = p.a.rows
	}
	for col := range p.d.cols {
		for row := range p.d.rows {
			sum := 0.0
			for k := range depth {
				sum += p.a.element(row, k, p.turnA) * p.b.element(k, col, p.turnB)
			}
			v := float32(sum) * p.alpha
			if p.beta != 0 {
				v += p.beta * p.d.result(row, col)
			}
			p.d.setResult(row, col, v)
		}
	}
	return ok
}

// matmul has cublasLtMatmul's arguments; what they point to is copied before it
// returns.
func (f *Library) matmul(handle, desc, alpha, a, aLayout, b, bLayout, beta, c, cLayout, d, dLayout, algo, room, size, stream uintptr) uintptr {
	if c != d || cLayout != dLayout || *at[uint64](algo) != algorithm ||
		room == 0 || size != workspace || stream == 0 || f.things[handle] != "handle" {
		return invalidValue
	}
	// What was said of alignment holds for addresses and for rows; those of the
	// library's own tests on the host hold it for neither.
	for i, l := range []uintptr{aLayout, bLayout, dLayout} {
		layout := f.things[l].(*fakeLayout)
		if row := layout.ld * sizes[layout.typ]; f.Bytes != nil && ([]uintptr{a, b, d}[i]%alignment != 0 || row%alignment != 0) {
			return invalidValue
		}
	}
	f.products++
	attributes := f.things[desc].(*fakeDesc).attributes
	p := &scaled{a: f.matrix(a, aLayout), b: f.matrix(b, bLayout), d: f.matrix(d, dLayout),
		turnA: attributes[3] == 1, turnB: attributes[4] == 1, alpha: *at[float32](alpha), beta: *at[float32](beta)}
	if f.Enqueue != nil {
		return uintptr(f.Enqueue(stream, p.run))
	}
	return uintptr(p.run())
}
