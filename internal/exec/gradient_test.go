package exec_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cpu/feature"
	"align/internal/exec"
	"align/internal/exec/exectest"
	"align/internal/graph"
)

// opCase is one op with inputs at which its gradient is checked.
type opCase struct {
	name  string
	build func(*source)
}

// source builds a case: named inputs with random values of a fixed seed.
type source struct {
	*exectest.Graph
	rng    *rand.Rand
	oracle device.Backend
}

func newSource(act device.Type, oracle device.Backend) *source {
	return &source{exectest.New(act, oracle), rand.New(rand.NewPCG(7, 11)), oracle}
}

// slopes begins anew with a graph that takes the slopes of log-probabilities.
func (s *source) slopes() {
	s.Graph = exectest.NewWith(graph.Options{Activations: s.Activations(), Slopes: true, Oracle: s.oracle})
}

func (s *source) normal(n int) exectest.Value {
	v := make(exectest.Value, n)
	for i := range v {
		v[i] = s.rng.NormFloat64()
	}
	return v
}

// matrix is a trained activation [rows, cols]; frozen one without a gradient.
func (s *source) matrix(name string, rows, cols int) *graph.Node {
	info := graph.Matrix(s.Activations(), graph.Dim{Max: rows, Symbol: graph.Tokens}, cols)
	info.Trained = true
	return s.In(name, info, s.normal(rows*cols))
}

func (s *source) weight(name string, rows, cols int, trained bool) *graph.Node {
	info := graph.Matrix(s.Activations(), graph.Size(rows), cols)
	info.Trained = trained
	return s.In(name, info, s.normal(rows*cols))
}

func (s *source) vector(name string, typ device.Type, trained bool, v ...float64) *graph.Node {
	info := graph.Vector(typ, graph.Size(len(v)))
	info.Trained = trained
	return s.In(name, info, v)
}

func (s *source) ints(name string, v ...float64) *graph.Node {
	return s.vector(name, device.I32, false, v...)
}

func (s *source) numbers(name string, v ...float64) *graph.Node {
	return s.vector(name, device.F64, true, v...)
}

func (s *source) lora(dropout float64) graph.LoRA {
	l := graph.LoRA{A: s.weight("A", 2, 6, true), B: s.weight("B", 5, 2, true), Scale: 1.5, DropoutP: dropout}
	if dropout > 0 {
		l.Key, l.Seed = s.ints("key", 11, 12, 13, 14), s.ints("seed", 3, 4)
	}
	return l
}

func (s *source) mask(prefixStart, prefixEnd, segmentStart []float64) graph.Mask {
	return graph.Mask{
		PrefixStart: s.ints("prefix start", prefixStart...), PrefixEnd: s.ints("prefix end", prefixEnd...),
		SegmentStart: s.ints("segment start", segmentStart...),
	}
}

var opCases = []opCase{
	{"embed", func(s *source) { s.Out = s.Embed(s.weight("W", 5, 3, true), s.ints("ids", 4, 0, 4, 2)) }},
	{"rmsnorm", func(s *source) {
		w := graph.Vector(s.Activations(), graph.Size(6))
		w.Trained = true
		s.Out = s.RMSNorm(s.matrix("x", 3, 6), s.In("w", w, s.normal(6)), 1e-5)
	}},
	{"rmsnorm per head", func(s *source) {
		w := graph.Vector(s.Activations(), graph.Size(3))
		w.Trained = true
		s.Out = s.RMSNorm(s.matrix("x", 4, 6), s.In("w", w, s.normal(3)), 1e-5)
	}},
	{"linear", func(s *source) { s.Out = s.Linear(s.matrix("x", 4, 6), s.weight("W", 5, 6, false), nil) }},
	{"linear with trained weight and bias", func(s *source) {
		b := graph.Vector(s.Activations(), graph.Size(5))
		b.Trained = true
		s.Out = s.Linear(s.matrix("x", 4, 6), s.weight("W", 5, 6, true), s.In("b", b, s.normal(5)))
	}},
	{"lora", func(s *source) {
		s.Out = s.LoRALinear(s.matrix("x", 4, 6), s.weight("W", 5, 6, false), nil, s.lora(0))
	}},
	{"lora with dropout and bias", func(s *source) {
		b := s.In("b", graph.Vector(s.Activations(), graph.Size(5)), s.normal(5))
		s.Out = s.LoRALinear(s.matrix("x", 4, 6), s.weight("W", 5, 6, false), b, s.lora(0.4))
	}},
	{"dora scale with bias", func(s *source) {
		z := s.LoRALinear(s.matrix("x", 4, 6), s.weight("W", 5, 6, false), nil, s.lora(0))
		m := s.vector("m", s.Activations(), true, 1.5, 0.2, -0.7, 2, 0.9)
		n := s.vector("n", s.Activations(), false, 0.5, 1.1, 2, 0.8, 1)
		bias := s.vector("b", s.Activations(), false, 1, 2, 3, 4, 5)
		s.Out = s.DoRAScale(z, m, n, bias, 0)
	}},
	{"dora scale shifted", func(s *source) {
		m := s.vector("m", s.Activations(), true, 1.5, 0.2, -0.7)
		n := s.vector("n", s.Activations(), false, 0.5, 1.1, 2)
		s.Out = s.DoRAScale(s.matrix("z", 4, 3), m, n, nil, 1)
	}},
	{"rope", func(s *source) {
		table := s.RopeTable(s.ints("position", 0, 1, 7, 40), []float64{1, 0.3})
		s.Out = s.Rope(s.matrix("x", 4, 8), table)
	}},
	{"attention causal", func(s *source) {
		m := s.mask([]float64{0, 0, 0, 0}, []float64{0, 0, 0, 0}, []float64{0, 0, 0, 0})
		s.Out = s.Attention(s.matrix("q", 4, 8), s.matrix("k", 4, 4), s.matrix("v", 4, 4), m, device.Attention{Heads: 4, KVHeads: 2, HeadDim: 2, Scale: 0.7})
	}},
	{"attention with documents and a shared prefix", func(s *source) {
		m := s.mask([]float64{0, 0, 2, 2, 2, 2, 2}, []float64{0, 0, 2, 2, 2, 4, 4}, []float64{0, 0, 2, 2, 4, 5, 5})
		s.Out = s.Attention(s.matrix("q", 7, 4), s.matrix("k", 7, 4), s.matrix("v", 7, 4), m, device.Attention{Heads: 2, KVHeads: 2, HeadDim: 2, Scale: 0.7})
	}},
	{"swiglu", func(s *source) { s.Out = s.SwiGLU(s.matrix("g", 3, 5), s.matrix("u", 3, 5)) }},
	{"residual", func(s *source) {
		x := s.matrix("x", 3, 5)
		s.Out = s.Residual(x, s.SwiGLU(x, s.matrix("y", 3, 5)))
	}},
	{"gather", func(s *source) { s.Out = s.Gather(s.matrix("x", 4, 3), s.ints("rows", 2, 2, 0)) }},
	{"logprob", func(s *source) {
		s.Out = s.LogProb(s.matrix("h", 3, 4), s.weight("W", 7, 4, true), s.ints("targets", 6, 0, 3), 1.3).LogProb
	}},
	{"logprob with slopes", func(s *source) {
		s.slopes()
		s.Out = s.LogProb(s.matrix("h", 3, 4), s.weight("W", 7, 4, true), s.ints("targets", 6, 0, 3), 1.3).LogProb
	}},
	{"logprob with slopes alone", func(s *source) {
		s.slopes()
		s.Out = s.LogProb(s.matrix("h", 4, 4), s.weight("W", 7, 4, false), s.ints("targets", 6, -1, 0, 3), 0).LogProb
	}},
	{"segment sum", func(s *source) {
		x := graph.Vector(s.Activations(), graph.Size(5))
		x.Trained = true
		s.Out = s.SegmentSum(s.In("x", x, s.normal(5)), s.ints("sequence", 0, 0, 2, 2, 2), graph.Size(3))
	}},
	{"pick", func(s *source) { s.Out = s.Pick(s.numbers("x", 1, -2, 3), s.ints("index", 2, 2, 0, 1)) }},
	{"sum", func(s *source) { s.Out = s.Sum(s.numbers("x", 1, -2, 3)) }},
	{"dot", func(s *source) { s.Out = s.Dot(s.numbers("x", 1, -2, 3), s.numbers("y", 0.5, 0.2, -1)) }},
	{"convert", func(s *source) {
		x := graph.Vector(s.Activations(), graph.Size(3))
		x.Trained = true
		s.Out = s.Square(s.Convert(s.In("x", x, s.normal(3))))
	}},
	{"scale and shift", func(s *source) { s.Out = s.Square(s.Shift(s.Scale(s.numbers("x", 1, -2, 3), 1.7), 0.3)) }},
	{"exp", func(s *source) { s.Out = s.Exp(s.numbers("x", 1, -2, 0)) }},
	{"log", func(s *source) { s.Out = s.Log(s.numbers("x", 1, 0.2, 9)) }},
	{"softplus", func(s *source) { s.Out = s.Softplus(s.numbers("x", 1, -2, 30)) }},
	{"sigmoid", func(s *source) { s.Out = s.Sigmoid(s.numbers("x", 1, -2, 8)) }},
	{"tanh", func(s *source) { s.Out = s.Tanh(s.numbers("x", 1, -2, 0.001)) }},
	{"relu", func(s *source) { s.Out = s.Relu(s.numbers("x", 1, -2, 3)) }},
	{"clamp", func(s *source) { s.Out = s.Clamp(s.numbers("x", 1, -2, 3), -1, 2) }},
	{"add, sub", func(s *source) {
		x := s.numbers("x", 1, -2, 3)
		s.Out = s.Square(s.Sub(s.Add(x, s.numbers("y", 4, 1, 0.5)), s.numbers("one", 0.3)))
	}},
	{"mul, div", func(s *source) {
		s.Out = s.Div(s.Mul(s.numbers("x", 1, -2, 3), s.numbers("y", 4, 1, 0.5)), s.numbers("z", 3, 2, -1))
	}},
	{"mul, div by one element", func(s *source) {
		s.Out = s.Div(s.Mul(s.numbers("x", 1, -2, 3), s.numbers("y", 4)), s.numbers("z", 3))
	}},
	{"max", func(s *source) { s.Out = s.Max(s.numbers("x", 1, -2, 3), s.numbers("y", 0, 1, 2)) }},
	{"min", func(s *source) { s.Out = s.Min(s.numbers("x", 1, -2, 3), s.numbers("y", 0, 1, 2)) }},
}

// gradTolerance bounds the difference to central differences of step 1e-5 in
// float64: the truncation error is near 1e-10, rounding near 1e-11, both times
// the size of the third derivative.
const gradTolerance = 2e-8

func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	for _, c := range opCases {
		t.Run(c.name, func(t *testing.T) {
			b := backend(t, device.F64)
			if err := gradientError(t, b, c); err > gradTolerance {
				t.Errorf("gradient is off by %.3g, limit %.3g", err, gradTolerance)
			}
		})
	}
}

// Each pullback of each case, broken for one input at a time, must not pass the
// check above.
func TestABrokenPullbackIsFound(t *testing.T) {
	for _, c := range opCases {
		t.Run(c.name, func(t *testing.T) {
			b := backend(t, device.F64)
			broken := 0
			for op, input := 0, 0; ; {
				m := &mutant{op: op, input: input}
				err := gradientError(t, b, opCase{c.name, m.build(c.build)})
				if m.past {
					break
				}
				input++
				if m.pastInputs {
					op, input = op+1, 0
				}
				if !m.reached {
					continue
				}
				if broken++; err < 100*gradTolerance {
					t.Errorf("input %d of %s: a gradient twice too large shows an error of only %.3g", m.input, m.name, err)
				}
			}
			if broken == 0 {
				t.Error("no pullback was broken")
			}
		})
	}
}

// mutant doubles the gradient that the op-th pullback of a graph gives an input.
type mutant struct {
	op, input        int
	name             string
	past, pastInputs bool // there is no such op, or input
	reached          bool // the gradient was asked for
}

func (m *mutant) build(build func(*source)) func(*source) {
	return func(s *source) {
		build(s)
		ops := pullbacks(s)
		if m.past = m.op >= len(ops); m.past {
			return
		}
		op := ops[m.op]
		if m.pastInputs = m.input >= op.Arity(); m.pastInputs {
			return
		}
		pull := op.Pull
		m.name = op.Kernel
		op.Pull = func(in graph.Nodes, out, grad *graph.Node) graph.Nodes {
			grads := pull(in, out, grad)
			if op.Diff[m.input] {
				m.reached = true
				grads[m.input] = double(s, grads[m.input])
			}
			return grads
		}
	}
}

// pullbacks are the ops of the forward pass that have one, in their order.
func pullbacks(s *source) []*graph.Op {
	var ops []*graph.Op
	for _, n := range s.Graph.Graph().AllNodes() {
		if op, ok := n.Op().(*graph.Op); ok && op.Pull != nil {
			ops = append(ops, op)
		}
	}
	return ops
}

func double(s *source, n *graph.Node) *graph.Node {
	if s.Info(n).Cols > 0 {
		return s.Residual(n, n)
	}
	return s.Add(n, n)
}

func backend(t testing.TB, act device.Type) device.Backend {
	t.Helper()
	return open(t, cpu.Options{Threads: 1, Activations: act})
}

// portableBackend is a backend without machine code.
func portableBackend(t testing.TB, act device.Type) device.Backend {
	t.Helper()
	return open(t, cpu.Options{Threads: 1, Activations: act, Level: new(feature.Generic)})
}

func open(t testing.TB, o cpu.Options) device.Backend {
	t.Helper()
	b, err := cpu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// gradientError is the largest difference between the graph's gradient and
// central differences of <dy, y>, relative to the largest gradient of the input.
func gradientError(t *testing.T, b device.Backend, c opCase) float64 {
	s := newSource(device.F64, nil)
	c.build(s)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	info := s.Info(s.Out)
	dy := s.normal(info.Rows.Max * info.Width())
	trained := s.Trained()
	grads := exectest.Run(t, b, s.Graph, s.Graph.Gradients(t, dy)...)
	forward := program(t, b, s)
	worst := 0.0
	for i, n := range trained {
		numeric := differences(t, b, s, forward, n, dy)
		scale := 1e-3
		for _, d := range numeric {
			scale = max(scale, math.Abs(d))
		}
		for k, d := range numeric {
			worst = max(worst, math.Abs(grads[i][k]-d)/scale)
		}
	}
	return worst
}

// program is the forward pass alone, with the views of its inputs.
func program(t *testing.T, b device.Backend, s *source) *exec.Program {
	plan, err := exec.Compile(exec.Spec{Builder: s.Builder, Outputs: graph.Nodes{s.Out}})
	if err != nil {
		t.Fatal(err)
	}
	return exectest.Bind(t, b, s.Graph, plan)
}

func differences(t *testing.T, b device.Backend, s *source, p *exec.Program, n *graph.Node, dy exectest.Value) exectest.Value {
	const h = 1e-5
	value := s.Values[n]
	out := make(exectest.Value, len(value))
	at := func(i int, x float64) float64 {
		moved := append(exectest.Value{}, value...)
		moved[i] = x
		p.SetNode(n, exectest.Upload(t, b, s.Info(n), moved))
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		v, _ := p.Value(s.Out)
		sum := 0.0
		for k, y := range exectest.Read(t, b, v) {
			sum += y * dy[k]
		}
		return sum
	}
	for i := range value {
		out[i] = (at(i, value[i]+h) - at(i, value[i]-h)) / (2 * h)
	}
	p.SetNode(n, exectest.Upload(t, b, s.Info(n), value))
	return out
}

// Every op gives the same bits under Gorgonia's own machine.
func TestOpsEqualGorgoniasMachine(t *testing.T) {
	for _, c := range opCases {
		for _, act := range []device.Type{device.F32, device.F64} {
			t.Run(fmt.Sprintf("%s/%v", c.name, act), func(t *testing.T) {
				b := backend(t, act)
				s := newSource(act, b)
				c.build(s)
				info := s.Info(s.Out)
				nodes := append(s.Graph.Gradients(t, s.normal(info.Rows.Max*info.Width())), s.Out)
				got, want := exectest.Run(t, b, s.Graph, nodes...), exectest.Tape(t, s.Graph, nodes...)
				for i := range nodes {
					equalBits(t, s.Graph.Name(nodes[i]), got[i], want[i])
				}
			})
		}
	}
}

func equalBits(t *testing.T, name string, got, want exectest.Value) {
	t.Helper()
	for k := range want {
		if got[k] != want[k] {
			t.Errorf("%s: element %d is %v, want %v", name, k, got[k], want[k])
			return
		}
	}
}
