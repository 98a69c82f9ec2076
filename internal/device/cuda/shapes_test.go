//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/half"
)

// layerShape are the sizes of a layer and of a pack.
type layerShape struct{ tokens, hidden, ffn, heads, kv, d int }

// Products, attention and its gradient of the sizes of Llama 3 8B, of which some
// elements are computed in float64. The simulator runs small ones: they try the test.
func TestShapesOf8B(t *testing.T) {
	s := layerShape{tokens: 2048, hidden: 4096, ffn: 14336, heads: 32, kv: 8, d: 128}
	if os.Getenv("ALIGN_TEST_GPU") != "1" {
		s = layerShape{tokens: 70, hidden: 128, ffn: 192, heads: 2, kv: 1, d: 64}
	}
	r := &trial{t, openRacing(t, false), rand.New(rand.NewPCG(8, 0))}
	for _, size := range [][2]int{{s.hidden, s.hidden}, {s.kv * s.d, s.hidden}, {s.ffn, s.hidden}, {s.hidden, s.ffn}} {
		r.products(s.tokens, size[0], size[1])
	}
	r.attention(s)
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

// attention is o, lse and dq at some rows, causal over the whole pack.
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
	gotO, gotLSE, gotDQ := t.read(o), t.read(lse), t.read(dq)
	worst := map[string]float64{}
	note := func(name string, got float32, want, size float64) {
		worst[name] = max(worst[name], math.Abs(float64(got)-want)/size)
	}
	for range 8 {
		i, h := t.r.IntN(s.tokens), t.r.IntN(s.heads)
		wantO, wantLSE, wantDQ := attendRow(s, scale, i, h, q.values, k.values, v.values, do.values)
		note("lse", gotLSE[i*s.heads+h], wantLSE, 1)
		at := (i*s.heads + h) * s.d
		for c := range s.d {
			note("o", gotO[at+c], wantO[c], largest(wantO))
			note("dq", gotDQ[at+c], wantDQ[c], largest(wantDQ))
		}
	}
	t.Logf("attention of %d rows: off by %.4g, lse by %.2g, dq by %.4g", s.tokens, worst["o"], worst["lse"], worst["dq"])
	if worst["o"] > 4*roundedBF16 || worst["lse"] > 1e-4 || worst["dq"] > 4*roundedBF16 {
		t.Errorf("attention: off by %v", worst)
	}
	for _, grad := range []device.View{dk, dv} {
		if n := length(t.read(grad)); !(n > 0) || math.IsInf(n, 0) {
			t.Errorf("a gradient has the length %v", n)
		}
	}
}

// attendRow is row i of head h in float64: o, lse and dq.
func attendRow(s layerShape, scale float64, i, h int, q, k, v, do []float32) (o []float64, lse float64, dq []float64) {
	row := func(x []float32, heads, i, h int) []float32 { return x[(i*heads+h)*s.d : (i*heads+h+1)*s.d] }
	group := h / (s.heads / s.kv)
	scores, grads := make([]float64, i+1), make([]float64, i+1)
	top := math.Inf(-1)
	for j := range scores {
		scores[j] = scale * dot(row(q, s.heads, i, h), row(k, s.kv, j, group))
		grads[j] = dot(row(do, s.heads, i, h), row(v, s.kv, j, group))
		top = max(top, scores[j])
	}
	sum, delta := 0.0, 0.0
	for _, x := range scores {
		sum += math.Exp(x - top)
	}
	lse = top + math.Log(sum)
	o, dq = make([]float64, s.d), make([]float64, s.d)
	for j, x := range scores {
		p := math.Exp(x - lse)
		delta += p * grads[j]
		for c, y := range row(v, s.kv, j, group) {
			o[c] += p * float64(y)
		}
	}
	for j, x := range scores {
		ds := math.Exp(x-lse) * (grads[j] - delta) * scale
		for c, y := range row(k, s.kv, j, group) {
			dq[c] += ds * float64(y)
		}
	}
	return o, lse, dq
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func length(x []float32) float64 { return math.Sqrt(dot(x, x)) }
