//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cublaslt"
	"align/internal/half"
)

// layerShape are the sizes of a layer and of a pack.
type layerShape struct{ tokens, hidden, ffn, heads, kv, d int }

// Products, attention and its gradient of the sizes of Llama 3 8B, of which some
// elements are computed in float64. The simulator runs small ones: they try the test.
func TestShapesOf8B(t *testing.T) {
	s := layerShape{tokens: 2048, hidden: 4096, ffn: 14336, heads: 32, kv: 8, d: 128}
	var b *cuda.Backend
	if os.Getenv("ALIGN_TEST_GPU") == "1" {
		b = openAsked(t)
	} else {
		s = layerShape{tokens: 70, hidden: 128, ffn: 192, heads: 2, kv: 1, d: 64}
		b = openRacing(t, false)
	}
	t.Logf("products: %s", b.Products())
	r := &trial{t, b, rand.New(rand.NewPCG(8, 0))}
	for _, size := range [][2]int{{s.hidden, s.hidden}, {s.kv * s.d, s.hidden}, {s.ffn, s.hidden}, {s.hidden, s.ffn}} {
		r.products(s.tokens, size[0], size[1])
	}
	r.attention(s)
}

// openAsked opens a real card with the library for products that the environment asks
// for; without it, or on a card that it is not for, there is nothing to check.
func openAsked(t *testing.T) *cuda.Backend {
	t.Helper()
	b, err := cuda.Open(0, 0)
	if errors.Is(err, cublaslt.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if os.Getenv(cublaslt.Variable) != "" && b.Products() != "cublaslt" {
		t.Skip("cuBLASLt is for other cards")
	}
	return b
}

type trial struct {
	*testing.T
	b *cuda.Backend
	r *rand.Rand
}

// array is values in bf16 on the card and here.
type array struct {
	view   device.View
	values []float32
}

func (t *trial) array(rows, cols int, scale float64) array {
	t.Helper()
	a := array{values: make([]float32, rows*cols)}
	raw := make([]byte, 0, 2*rows*cols)
	for i := range a.values {
		bits := half.ToBF16(float32(t.r.NormFloat64() * scale))
		a.values[i] = half.FromBF16(bits)
		raw = binary.LittleEndian.AppendUint16(raw, bits)
	}
	a.view = t.room(device.BF16, rows, cols)
	if err := t.b.Upload(a.view, raw); err != nil {
		t.Fatal(err)
	}
	return a
}

func (t *trial) room(typ device.Type, rows, cols int) device.View {
	t.Helper()
	m, err := t.b.Alloc(int64(rows) * typ.RowBytes(cols))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { t.b.Free(m) })
	return m.At(0, typ, rows, cols)
}

func (t *trial) read(v device.View) []float32 {
	t.Helper()
	raw, values := make([]byte, v.Bytes()), make([]float32, v.Len())
	if err := t.b.Download(raw, v); err != nil {
		t.Fatal(err)
	}
	for i := range values {
		if v.Type == device.BF16 {
			values[i] = half.FromBF16(binary.LittleEndian.Uint16(raw[2*i:]))
		} else {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	}
	return values
}

func (t *trial) run(kernel string, attr any, out, in []device.View) {
	t.Helper()
	k, err := t.b.Bind(kernel, attr)
	if err == nil {
		err = k(&device.Call{Out: out, In: in})
	}
	if err != nil {
		t.Fatal(err)
	}
}

const sampled = 64 // elements that are computed in float64

// products is y = x W' and dx = dy W of N(0, 1) elements.
func (t *trial) products(m, n, k int) {
	t.Helper()
	x, w, dy := t.array(m, k, 1), t.array(n, k, 1/math.Sqrt(float64(k))), t.array(m, n, 1)
	y, dx := t.room(device.BF16, m, n), t.room(device.BF16, m, k)
	t.run("linear", nil, []device.View{y}, []device.View{x.view, w.view})
	t.run("linear_dx", nil, []device.View{dx}, []device.View{dy.view, w.view})
	gotY, gotDX := t.read(y), t.read(dx)
	worst, worstDX := 0.0, 0.0
	for range sampled {
		i, j, c := t.r.IntN(m), t.r.IntN(n), t.r.IntN(k)
		var wantY, wantDX float64
		for l := range k {
			wantY += float64(x.values[i*k+l]) * float64(w.values[j*k+l])
		}
		for l := range n {
			wantDX += float64(dy.values[i*n+l]) * float64(w.values[l*k+c])
		}
		worst = max(worst, math.Abs(float64(gotY[i*n+j])-wantY)/(1+math.Abs(wantY)))
		worstDX = max(worstDX, math.Abs(float64(gotDX[i*k+c])-wantDX)/(1+math.Abs(wantDX)))
	}
	if t.Logf("%d x %d x %d: off by %.4f, dx by %.4f", m, n, k, worst, worstDX); worst > roundedBF16 || worstDX > roundedBF16 {
		t.Errorf("%d x %d x %d: off by %g and %g, want at most %g", m, n, k, worst, worstDX, roundedBF16)
	}
}

// attention is o, lse, dq, dk and dv at some rows, causal over the whole pack.
func (t *trial) attention(s layerShape) {
	t.Helper()
	scale := 1 / math.Sqrt(float64(s.d))
	attr := device.Attention{Heads: s.heads, KVHeads: s.kv, HeadDim: s.d, Scale: scale}
	q, k, v, do := t.array(s.tokens, s.heads*s.d, 1), t.array(s.tokens, s.kv*s.d, 1), t.array(s.tokens, s.kv*s.d, 1), t.array(s.tokens, s.heads*s.d, 1)
	var masks []device.View
	for range 3 { // no prefix, one segment from row 0
		masks = append(masks, t.room(device.I32, s.tokens, 1))
	}
	o, lse := t.room(device.BF16, s.tokens, s.heads*s.d), t.room(device.F32, s.tokens, s.heads)
	dq, dk, dv := t.room(device.BF16, s.tokens, s.heads*s.d), t.room(device.BF16, s.tokens, s.kv*s.d), t.room(device.BF16, s.tokens, s.kv*s.d)
	t.run("attention", attr, []device.View{o, lse}, append([]device.View{q.view, k.view, v.view}, masks...))
	t.run("attention_grad", attr, []device.View{dq, dk, dv}, append([]device.View{q.view, k.view, v.view, o, lse, do.view}, masks...))
	gotO, gotLSE, gotDQ, gotDK, gotDV := t.read(o), t.read(lse), t.read(dq), t.read(dk), t.read(dv)
	p := &packed{s, scale, q.values, k.values, v.values, do.values}
	worst := map[string]float64{}
	note := func(name string, got []float32, want []float64) {
		for c, x := range want {
			worst[name] = max(worst[name], math.Abs(float64(got[c])-x)/largest(want))
		}
	}
	for range 8 {
		i, h := 1+t.r.IntN(s.tokens-1), t.r.IntN(s.heads) // row 0 sees one key: its dq is 0
		wantO, wantLSE, wantDQ := p.query(i, h)
		worst["lse"] = max(worst["lse"], math.Abs(float64(gotLSE[i*s.heads+h])-wantLSE))
		note("o", p.head(gotO, s.heads, i, h), wantO)
		note("dq", p.head(gotDQ, s.heads, i, h), wantDQ)
	}
	group, rows := t.r.IntN(s.kv), []int{0, t.r.IntN(s.tokens), t.r.IntN(s.tokens), t.r.IntN(s.tokens), s.tokens - 1}
	wantDK, wantDV := p.keys(group, rows)
	for n, j := range rows {
		note("dk", p.head(gotDK, s.kv, j, group), wantDK[n])
		note("dv", p.head(gotDV, s.kv, j, group), wantDV[n])
	}
	t.Logf("attention of %d rows: off by %.4g, lse by %.2g, dq by %.4g, dk by %.4g, dv by %.4g", s.tokens, worst["o"], worst["lse"], worst["dq"], worst["dk"], worst["dv"])
	for name, off := range worst {
		limit := 4 * roundedBF16
		if name == "lse" {
			limit = 1e-4
		}
		if !(off <= limit) {
			t.Errorf("attention: %s is off by %g, want at most %g", name, off, limit)
		}
	}
}

// packed is what attention takes and the scale of its scores, a causal pack of one
// segment.
type packed struct {
	layerShape
	scale       float64
	q, k, v, do []float32
}

// head is row i of a head of x, which has so many.
func (p *packed) head(x []float32, heads, i, h int) []float32 {
	return x[(i*heads+h)*p.d : (i*heads+h+1)*p.d]
}

// row is of row i of head h: its weights of the keys up to itself, the gradients of
// those, lse, and the sum of both that every gradient of a score has taken off it.
func (p *packed) row(i, h int) (weights, grads []float64, lse, delta float64) {
	group := h / (p.heads / p.kv)
	weights, grads = make([]float64, i+1), make([]float64, i+1)
	top := math.Inf(-1)
	for j := range weights {
		weights[j] = p.scale * dot(p.head(p.q, p.heads, i, h), p.head(p.k, p.kv, j, group))
		grads[j] = dot(p.head(p.do, p.heads, i, h), p.head(p.v, p.kv, j, group))
		top = max(top, weights[j])
	}
	sum := 0.0
	for _, x := range weights {
		sum += math.Exp(x - top)
	}
	lse = top + math.Log(sum)
	for j, x := range weights {
		weights[j] = math.Exp(x - lse)
		delta += weights[j] * grads[j]
	}
	return weights, grads, lse, delta
}

// query is row i of head h in float64: o, lse and dq.
func (p *packed) query(i, h int) (o []float64, lse float64, dq []float64) {
	weights, grads, lse, delta := p.row(i, h)
	o, dq = make([]float64, p.d), make([]float64, p.d)
	for j, w := range weights {
		add(o, w, p.head(p.v, p.kv, j, h/(p.heads/p.kv)))
		add(dq, w*(grads[j]-delta)*p.scale, p.head(p.k, p.kv, j, h/(p.heads/p.kv)))
	}
	return o, lse, dq
}

// keys are rows dk and dv of a key/value head in float64, which all later queries of
// its heads add to.
func (p *packed) keys(group int, rows []int) (dk, dv [][]float64) {
	for range rows {
		dk, dv = append(dk, make([]float64, p.d)), append(dv, make([]float64, p.d))
	}
	for h := group * (p.heads / p.kv); h < (group+1)*(p.heads/p.kv); h++ {
		for i := slices.Min(rows); i < p.tokens; i++ {
			weights, grads, _, delta := p.row(i, h)
			for n, j := range rows {
				if j <= i {
					add(dv[n], weights[j], p.head(p.do, p.heads, i, h))
					add(dk[n], weights[j]*(grads[j]-delta)*p.scale, p.head(p.q, p.heads, i, h))
				}
			}
		}
	}
	return dk, dv
}

func add(to []float64, factor float64, x []float32) {
	for c, v := range x {
		to[c] += factor * float64(v)
	}
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
