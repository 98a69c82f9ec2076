package model

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
)

// layerKind is what makes the graphs of two layers differ; layers of one kind
// share one.
type layerKind struct {
	// fromBelow: something below the layer is trained, so that its input needs
	// a gradient.
	fromBelow bool
	// full: the weights themselves are trained.
	full bool
	// cached: attention reads a key/value cache, not the pack's masks.
	cached bool
	// up: the policy that keeps products keeps up's too, see Decoder.keepsUp.
	up bool
	// rows, if not zero, are those of the layer's output: the last layer's, of
	// which nothing reads the others. Of them only keys and values are needed.
	rows    graph.Dim
	dropout float64
	factors []kindFactor
}

type kindFactor struct {
	module string
	rank   int
	scale  float64
	dora   bool
}

func (k layerKind) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v %v %v %v %v", k.fromBelow, k.full, k.up, k.rows, k.dropout)
	for _, f := range k.factors {
		fmt.Fprintf(&s, " %s/%d/%v/%v", f.module, f.rank, f.scale, f.dora)
	}
	return s.String()
}

// rowsOf are the rows of the layer's output.
func (k layerKind) rowsOf(tokens graph.Dim) graph.Dim {
	if k.rows.Max > 0 {
		return k.rows
	}
	return tokens
}

// kindOf is the kind of a layer under an adapter (nil: none). Dropout acts in
// training only.
func kindOf(a *Adapter, layer int, train bool) layerKind {
	k := layerKind{}
	if a == nil {
		return k
	}
	if train {
		k.dropout = a.Config.Dropout
		k.fromBelow = a.saves(embedName) || slices.ContainsFunc(a.Factors, func(f Factor) bool { return f.Layer < layer })
	}
	for _, m := range Modules {
		if f, ok := a.At(layer, m); ok {
			k.factors = append(k.factors, kindFactor{m, f.Rank, f.Scale, f.DoRA})
		}
	}
	if len(k.factors) == 0 {
		k.dropout = 0
	}
	return k
}

// param is one input of a layer's graph besides x. The name is the tensor's
// inside the layer, "A q_proj", "B q_proj" and, of DoRA, "M q_proj" and "squares
// q_proj" for factors, or one of the shared inputs below.
type param struct {
	name string
	info graph.Info
}

// Inputs that all layers share (the seed is each layer's own).
const (
	inTable        = "rope table"
	inPrefixStart  = "prefix start"
	inPrefixEnd    = "prefix end"
	inSegmentStart = "segment start"
	inRows         = "rows"
	inRowKey       = "row dropout key"
	inDropoutKey   = "dropout key"
	inSeed         = "seed"
)

// squaresPrefix begins the name of the squared row lengths of a module's weight.
const squaresPrefix = "squares "

// layerParams lists the inputs of a layer of the kind, in the order in which
// the layer's op takes them.
func (c Config) layerParams(k layerKind, tokens graph.Dim, act device.Type, train bool) []param {
	wide := act.Wide()
	list := []param{{inTable, graph.Matrix(wide, tokens, c.HeadDim)}}
	if !k.cached {
		for _, name := range []string{inPrefixStart, inPrefixEnd, inSegmentStart} {
			list = append(list, param{name, graph.Vector(device.I32, tokens)})
		}
	}
	if k.rows.Max > 0 {
		list = append(list, param{inRows, graph.Vector(device.I32, k.rows)})
	}
	if k.rows.Max > 0 && k.dropout > 0 {
		list = append(list, param{inRowKey, graph.Vector(device.I32, k.rows)})
	}
	if k.dropout > 0 {
		list = append(list, param{inDropoutKey, graph.Vector(device.I32, tokens)}, param{inSeed, graph.Vector(device.I32, graph.Size(2))})
	}
	for _, w := range c.layerWeights(0) {
		info := w.info(wide)
		info.Trained = k.full && train
		list = append(list, param{strings.TrimPrefix(w.name, "model.layers.0."), info})
	}
	for _, f := range k.factors {
		out, in := c.moduleSize(f.module)
		a, b := graph.Matrix(wide, graph.Size(f.rank), in), graph.Matrix(wide, graph.Size(out), f.rank)
		a.Trained, b.Trained = train, train
		list = append(list, param{"A " + f.module, a}, param{"B " + f.module, b})
		if f.dora {
			m := graph.Vector(wide, graph.Size(out))
			m.Trained = train
			list = append(list, param{"M " + f.module, m}, param{squaresPrefix + f.module, graph.Vector(device.F64, graph.Size(out))})
		}
	}
	return list
}

func (w weightInfo) info(act device.Type) graph.Info {
	if w.cols == 0 {
		return graph.Vector(act, graph.Size(w.rows))
	}
	return graph.Matrix(act, graph.Size(w.rows), w.cols)
}

// layerNodes are a layer's inputs by name.
type layerNodes map[string]*graph.Node

// layer is one decoder layer, x[T,C] -> [T,C]:
//
//	x = x + o_proj(attention(rope(q_proj h), rope(k_proj h), v_proj h)),  h = norm(x)
//	x = x + down_proj(silu(gate_proj h) * up_proj h),                     h = norm(x)
func (c Config) layer(b *graph.Builder, k layerKind, x *graph.Node, in layerNodes) *graph.Node {
	return c.layerWith(b, k, x, in, c.overPack(b, in))
}

// overPack is attention over the pack itself.
func (c Config) overPack(b *graph.Builder, in layerNodes) func(q, k, v *graph.Node) *graph.Node {
	return func(q, k, v *graph.Node) *graph.Node {
		mask := graph.Mask{PrefixStart: in[inPrefixStart], PrefixEnd: in[inPrefixEnd], SegmentStart: in[inSegmentStart]}
		return b.Attention(q, k, v, mask, c.attentionAttr())
	}
}

// layerWith is layer with attention over rotated q, k and v as given: over the
// pack itself, or over a cache.
func (c Config) layerWith(b *graph.Builder, k layerKind, x *graph.Node, in layerNodes, attend func(q, k, v *graph.Node) *graph.Node) *graph.Node {
	l := layerBuilder{Builder: b, config: c, kind: k, in: in, attend: attend}
	return l.build(x, layerBuilder.mlp)
}

// build lays the two halves over x. What follows attention is a matter of each
// row by itself, and is computed at the kind's rows alone where it has some.
func (l layerBuilder) build(x *graph.Node, mlp func(l layerBuilder, h *graph.Node) *graph.Node) *graph.Node {
	mixed := l.attention(l.RMSNorm(x, l.in["input_layernorm.weight"], l.config.RMSNormEps))
	if l.kind.rows.Max > 0 {
		x, mixed = l.Gather(x, l.in[inRows]), l.Gather(mixed, l.in[inRows])
		l = l.atRows()
	}
	x = l.Residual(x, l.linear(mixed, "o_proj"))
	return l.Residual(x, mlp(l, l.RMSNorm(x, l.in["post_attention_layernorm.weight"], l.config.RMSNormEps)))
}

// atRows is the builder for what is computed at the kind's rows: an element is
// dropped by its row's key, whatever its place.
func (l layerBuilder) atRows() layerBuilder {
	if l.kind.dropout > 0 {
		l.in = maps.Clone(l.in)
		l.in[inDropoutKey] = l.in[inRowKey]
	}
	return l
}

type layerBuilder struct {
	*graph.Builder
	config Config
	kind   layerKind
	in     layerNodes
	attend func(q, k, v *graph.Node) *graph.Node
}

// attention is what o_proj takes in.
func (l layerBuilder) attention(h *graph.Node) *graph.Node {
	c := l.config
	q, k, v := l.linear(h, "q_proj"), l.linear(h, "k_proj"), l.linear(h, "v_proj")
	if c.QKNorm {
		q = l.RMSNorm(q, l.in["self_attn.q_norm.weight"], c.RMSNormEps)
		k = l.RMSNorm(k, l.in["self_attn.k_norm.weight"], c.RMSNormEps)
	}
	return l.attend(l.Rope(q, l.in[inTable]), l.Rope(k, l.in[inTable]), v)
}

func (l layerBuilder) mlp(h *graph.Node) *graph.Node {
	return l.linear(l.SwiGLU(l.linear(h, "gate_proj"), l.linear(h, "up_proj")), "down_proj")
}

func (c Config) attentionAttr() device.Attention {
	return device.Attention{Heads: c.NumHeads, KVHeads: c.NumKVHeads, HeadDim: c.HeadDim, Scale: 1 / math.Sqrt(float64(c.HeadDim))}
}

// linear is the module's product, with its adapter where it has one.
func (l layerBuilder) linear(x *graph.Node, module string) *graph.Node {
	path := modulePath(module)
	w, bias := l.in[path+".weight"], l.in[path+".bias"]
	for i, f := range l.kind.factors {
		if f.module == module {
			lora := graph.LoRA{
				A: l.in["A "+module], B: l.in["B "+module], Scale: f.scale,
				DropoutP: l.kind.dropout, Key: l.in[inDropoutKey], Seed: l.in[inSeed], Stream: uint32(i),
			}
			if f.dora {
				return l.DoRALinear(x, w, bias, lora, graph.DoRA{M: l.in["M "+module], Squares: l.in[squaresPrefix+module]})
			}
			return l.LoRALinear(x, w, bias, lora)
		}
	}
	return l.Linear(x, w, bias)
}

// newSub compiles the shared graph of the layers of a kind.
func (c Config) newSub(k layerKind, tokens graph.Dim, o graph.Options, train bool, save exec.SavePolicy) (*exec.Sub, error) {
	act := o.Activations
	if k.up {
		save = exec.SaveUp
	}
	tiled := c.tilesMLP(k, k.rowsOf(tokens).Max, train, save)
	var nested error
	sub, err := exec.NewSub(o, save, func(b *graph.Builder) exec.Body {
		x := graph.Matrix(act, tokens, c.HiddenSize)
		x.Trained = k.fromBelow
		body := exec.Body{X: b.Input("x", x)}
		in := layerNodes{}
		for _, p := range c.layerParams(k, tokens, act, train) {
			in[p.name] = b.Input(p.name, p.info)
			body.Params = append(body.Params, in[p.name])
		}
		if tiled {
			body.Y, nested = c.tiledLayer(b, k, body.X, in)
		} else {
			body.Y = c.layer(b, k, body.X, in)
		}
		return body
	})
	return sub, errors.Join(nested, err)
}
