package model

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"align/internal/device"
	"align/internal/graph"
	"align/internal/safetensors"
)

// HeadsFile is the file of trained heads in a checkpoint.
const HeadsFile = "heads.safetensors"

// Names of the heads, [1,C] each: a reward model's as in Hugging Face's
// LlamaForSequenceClassification, and a critic's.
const (
	ScoreHead = "score.weight"
	ValueHead = "value.weight"
)

// Head is a linear layer without bias from the normalised hidden state to one
// number, w[1,C], at an offset, in elements, of an adapter's flat buffer. Len 0
// is no head.
type Head struct{ Offset, Len int }

// AddHead lays a head behind the factors. It comes before the buffers are
// allocated.
func (a *Adapter) AddHead(base Config) {
	a.Head = Head{Offset: a.Len, Len: base.HiddenSize}
	a.Len += (base.HiddenSize + gapElements - 1) / gapElements * gapElements
}

// view of the head in a flat buffer, [1,C].
func (h Head) view(flat device.View) device.View {
	addr := flat.Addr + uintptr(h.Offset*flat.Type.Size())
	return device.View{Addr: addr, Rows: 1, Cols: h.Len, Type: flat.Type}
}

// headStream keeps a head's random numbers apart from every factor's.
const headStream = 0x68656164

// InitialWithHead is Initial with the head drawn from N(0, 1/(C+1)), as in the
// code of https://arxiv.org/abs/2009.01325, appendix B.
func (a *Adapter) InitialWithHead(seed uint64) []float32 {
	return a.fillHead(a.Initial(seed), seed)
}

// fillHead is flat with the head drawn.
func (a *Adapter) fillHead(flat []float32, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, headStream))
	deviation := 1 / math.Sqrt(float64(a.Head.Len+1))
	for i := range a.Head.Len {
		flat[a.Head.Offset+i] = float32(r.NormFloat64() * deviation)
	}
	return flat
}

// NewScorer is [NewScorer] for the model, its activations and its device.
func (m *Model) NewScorer(o DecoderOptions) (*Decoder, error) {
	o.Device = m.backend
	return NewScorer(m.Config, m.act, o)
}

// NewScorer builds the graph from a pack's tokens to the adapter's head at the
// pack's rows: Scores[N], float64. It has no log-probabilities; the pack's
// targets are not read.
func NewScorer(c Config, act device.Type, o DecoderOptions) (*Decoder, error) {
	if o.Adapter == nil || o.Adapter.Head.Len != c.HiddenSize {
		return nil, errors.New("model: a scorer wants an adapter with a head of the model's width")
	}
	d := &Decoder{
		Builder: graph.New(graph.Options{Activations: act, Oracle: o.Oracle}),
		config:  c, options: o, act: act, weights: map[string]*graph.Node{},
	}
	d.inputs()
	x, err := d.layers()
	if err != nil {
		return nil, err
	}
	info := graph.Matrix(act.Wide(), graph.Size(1), c.HiddenSize)
	info.Trained = o.Train
	d.scoreHead = d.Input("score head", info)
	d.Hidden = d.RMSNorm(x, d.weights[normName], c.RMSNormEps)
	d.Scores = d.column(d.Wide(d.Hidden, d.scoreHead))
	return d, d.Err()
}

// column is x[N,1] as a float64 vector [N].
func (d *Decoder) column(x *graph.Node) *graph.Node {
	if x == nil {
		return nil
	}
	from := d.Info(x)
	op := &graph.Op{Kernel: "vec_convert", Outs: []graph.Info{graph.Vector(device.F64, from.Rows)}, Diff: []bool{true}}
	op.Pull = func(_ graph.Nodes, _, dy *graph.Node) graph.Nodes {
		return graph.Nodes{d.Apply(&graph.Op{Kernel: "vec_convert", Outs: []graph.Info{graph.Matrix(from.Type, from.Rows, 1)}}, dy)}
	}
	return d.Apply(op, x)
}

// trained are the nodes that get a gradient: all weights, or the tensors of each
// factor in order, then the weights that are trained whole, then the head.
func (d *Decoder) trained() graph.Nodes {
	if d.trainsWeights() {
		return d.weightNodes()
	}
	nodes := append(append(graph.Nodes{}, d.factors...), d.saved...)
	if d.scoreHead != nil {
		nodes = append(nodes, d.scoreHead)
	}
	return nodes
}

// WriteHead writes a head of the flat buffer's values as a heads.safetensors.
func (a *Adapter) WriteHead(w io.Writer, name string, values Values) error {
	return safetensors.Write(w, []safetensors.Tensor{
		values.tensor(name, safetensors.F32, []int{1, a.Head.Len}, a.Head.Offset, a.Head.Len),
	}, nil)
}

// ErrNoHead is returned when a folder has no trained head.
var ErrNoHead = errors.New("it has no trained head: it is no reward model")

// ReadHead reads a head's values into the flat buffer: from heads.safetensors,
// from PEFT's adapter_model.safetensors, or from the weights of a Hugging Face folder.
func (a *Adapter) ReadHead(dir, name string, flat []float32) error {
	into := flat[a.Head.Offset:][:a.Head.Len]
	for _, place := range []struct{ file, tensor string }{{HeadsFile, name}, {AdapterWeightsFile, peftPrefix + name}} {
		f, err := safetensors.Open(filepath.Join(dir, place.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return headOf(f, dir, place.tensor, into)
	}
	m, err := safetensors.OpenModel(dir)
	if err != nil {
		return fmt.Errorf("model: %s: %w", dir, ErrNoHead)
	}
	defer m.Close()
	return headOf(m, dir, name, into)
}

// tensors is a safetensors file or a folder of them.
type tensors interface {
	Tensor(name string) (safetensors.Info, bool)
	ReadInto(name string, dst []byte) error
}

func headOf(f tensors, dir, name string, into []float32) error {
	info, ok := f.Tensor(name)
	if !ok {
		return fmt.Errorf("model: %s: %w", dir, ErrNoHead)
	}
	if len(info.Shape) != 2 || info.Shape[0] != 1 || info.Shape[1] != len(into) {
		return fmt.Errorf("model: %s: tensor %q is %v, the base wants [1 %d]", dir, name, info.Shape, len(into))
	}
	data := make([]byte, info.Bytes)
	if err := f.ReadInto(name, data); err != nil {
		return err
	}
	return safetensors.ToFloat32(into, data, info.DType)
}

// ReadScored reads an adapter with its head, name: a checkpoint, or PEFT's folder of a
// sequence classifier. A folder without an adapter (a Hugging Face sequence
// classifier) gives the head alone: its other weights are the base's.
func ReadScored(dir, name string, base Config) (*Adapter, []float32, error) {
	a, values := &Adapter{}, []float32(nil)
	file := filepath.Join(dir, AdapterConfigFile)
	if _, err := os.Stat(file); err == nil {
		config, err := readPEFTConfig(file)
		if err != nil {
			return nil, nil, err
		}
		if a, values, err = config.read(dir, base); err != nil {
			return nil, nil, err
		}
	}
	a.AddHead(base)
	values = append(values, make([]float32, a.Len-len(values))...)
	return a, values, a.ReadHead(dir, name, values)
}

// AllocAdapters gives several adapters their buffers, one behind the other in
// one buffer of values and one of gradients, which are returned: one optimizer
// trains them all.
func (m *Model) AllocAdapters(adapters []*Adapter, values [][]float32) (value, grad device.View, err error) {
	total := 0
	for _, a := range adapters {
		total += a.Len
	}
	if value, err = m.alloc(total); err != nil {
		return value, grad, err
	}
	if grad, err = m.alloc(total); err != nil {
		return value, grad, err
	}
	at := 0
	for i, a := range adapters {
		a.Value, a.Grad = value.Row(at, a.Len), grad.Row(at, a.Len)
		at += a.Len
		if err := m.measureRows(a); err != nil {
			return value, grad, err
		}
		if err := WriteFloats(m.backend, a.Value, values[i]); err != nil {
			return value, grad, err
		}
	}
	return value, grad, nil
}

// classifier says whether the folder is a sequence classifier, which has a
// score head in place of the language model's.
func (c Config) classifier() bool { return c.Architecture == classifierArchitecture }

const classifierArchitecture = "LlamaForSequenceClassification"

// errClassifier is what a graph with a language model's head says of one.
var errClassifier = errors.New("model: a sequence classifier scores answers and predicts no tokens")

// predicts says whether the model has a language model's head.
func (c Config) predicts() error {
	if c.classifier() && !c.TieWordEmbeddings {
		return errClassifier
	}
	return nil
}

// ReadWeights reads the factors' values of a file that WriteWeights wrote for
// an adapter of this layout into the flat buffer.
func (a *Adapter) ReadWeights(path string, flat []float32) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, t := range a.Tensors() {
		into := flat[t.Offset:][:t.len()]
		if info, ok := f.Tensor(t.Name); ok && !slices.Equal(info.Shape, t.shape()) {
			return fmt.Errorf("model: %s: tensor %q is %v, the adapter wants %v", path, t.Name, info.Shape, t.shape())
		}
		if err := readFloats(f, t.Name, into); err != nil {
			return fmt.Errorf("model: %s: %w", path, err)
		}
	}
	return nil
}
