package model

import (
	"errors"
	"fmt"
	"strings"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
)

// Capacity is the largest size of a pack that a compiled decoder takes.
type Capacity struct{ Tokens, Targets, Sequences, Pairs int }

// Holds says whether a pack of the other size fits.
func (c Capacity) Holds(o Capacity) bool {
	return c.Tokens >= o.Tokens && c.Targets >= o.Targets && c.Sequences >= o.Sequences && c.Pairs >= o.Pairs
}

// Max is the smallest capacity that holds both.
func (c Capacity) Max(o Capacity) Capacity {
	return Capacity{max(c.Tokens, o.Tokens), max(c.Targets, o.Targets), max(c.Sequences, o.Sequences), max(c.Pairs, o.Pairs)}
}

// Rounded is the capacity with room to spare, so that packs whose sizes differ
// a little do not each compile a session of their own.
func (c Capacity) Rounded() Capacity {
	up := func(n, to int) int { return (n + to - 1) / to * to }
	return Capacity{up(c.Tokens, 256), up(c.Targets, 64), up(c.Sequences, 16), up(c.Pairs, 16)}
}

// AllRows says whether so many of the tokens predict something that it does not
// pay to compute the last layer at the others only for their keys and values:
// what that saves of a small model's step is then less than the copies take.
func (c Capacity) AllRows() bool { return 16*c.Targets >= 15*c.Tokens }

// DecoderOptions say which graph to build.
type DecoderOptions struct {
	Capacity Capacity
	// Adapter is the adapter to apply; nil is the base model alone.
	Adapter *Adapter
	// Full are the model's weights where they are trained themselves; it and
	// Adapter exclude each other.
	Full *Full
	// Train wants gradients of the adapter, and its dropout, or of all weights.
	Train bool
	Save  exec.SavePolicy
	// Device, if not nil, is where the graph will run, which may say that it rounds
	// the sides of products (device.Rounder: layers hold what products alone read in
	// that type, with the same results), that it gives slopes (device.Sloper: the
	// head's gradient takes no logits again) and that it joins steps (device.Joiner).
	// Model.NewDecoder sets it.
	Device device.Backend
	// AllRows computes the last layer at every row, where nearly all of them
	// predict something; else what follows its attention is computed at Rows alone.
	AllRows bool
	// Flat puts every layer's ops into the one graph, without recompute: the
	// form that Gorgonia's own machine can run.
	Flat bool
	// Noise is NEFTune's alpha: noise is added to the embeddings in training; 0 adds
	// none.
	Noise float64
	// Temperature divides the logits; 0 means 1.
	Temperature float64
	// Shared, if not nil, is the memory that the session uses in turns with others.
	Shared *Shared
	// Oracle is a host backend for runs under Gorgonia's own machine.
	Oracle device.Backend
}

// Decoder is the graph from a pack's tokens to the log-probabilities of its
// targets. A method adds its loss with the Builder and then calls Compile.
type Decoder struct {
	*graph.Builder
	// Inputs of the pack, int32: [T] for the first six, [N] for the rest.
	IDs, Position, PrefixStart, PrefixEnd, SegmentStart, DropoutKey *graph.Node
	Rows, Targets, Sequence                                         *graph.Node
	// Hidden[N,C] is the normalised state at the rows, Head[V,C] the weight that
	// turns it into logits.
	Hidden, Head *graph.Node
	// Prediction holds [N] vectors; SequenceLogProbs is log pi(y|x), float64 [S].
	Prediction       graph.Prediction
	SequenceLogProbs *graph.Node
	// Scores[N], float64, is the head at the rows: of NewScorer only, which has
	// no Prediction.
	Scores *graph.Node

	config  Config
	options DecoderOptions
	act     device.Type
	weights map[string]*graph.Node
	factors []*graph.Node // the tensors of each factor, in order
	squares []*graph.Node // of each factor of DoRA
	saved   []*graph.Node // of each of the adapter's Saved
	seeds   []*graph.Node // one per layer, where dropout acts
	// scoreHead[1,C] is the trained head of NewScorer.
	scoreHead *graph.Node
	// noise[T,C] is added to the embeddings; nil: none.
	noise *graph.Node
	// rowKey[N] is DropoutKey at the rows, where the last layer wants it.
	rowKey *graph.Node
}

// NewDecoder is [NewDecoder] for the model, its activations and its device.
func (m *Model) NewDecoder(o DecoderOptions) (*Decoder, error) {
	o.Device = m.backend
	return NewDecoder(m.Config, m.act, o)
}

// NewDecoder builds the graph for a model of the config; act is the activation
// type: F32, BF16 or F64.
func NewDecoder(c Config, act device.Type, o DecoderOptions) (*Decoder, error) {
	if err := errors.Join(c.predicts(), o.check()); err != nil {
		return nil, err
	}
	d := &Decoder{
		Builder: graph.New(graph.Options{Activations: act, Slopes: slopesOn(o.Device), Joins: joinsOn(o.Device), Oracle: o.Oracle}),
		config:  c, options: o, act: act, weights: map[string]*graph.Node{},
	}
	d.inputs()
	x, err := d.layers()
	if err != nil {
		return nil, err
	}
	d.Hidden = d.RMSNorm(x, d.weights[normName], c.RMSNormEps)
	d.Head = d.headNode()
	d.Prediction = d.LogProb(d.Hidden, d.Head, d.Targets, o.Temperature)
	d.SequenceLogProbs = d.SegmentSum(d.Prediction.LogProb, d.Sequence, d.dim(graph.Sequences))
	return d, d.Err()
}

// dim is the run-time size of a kind of rows.
func (d *Decoder) dim(s graph.Symbol) graph.Dim {
	c := d.options.Capacity
	return graph.Dim{Max: []int{0, c.Tokens, c.Targets, c.Sequences, max(c.Pairs, 1)}[s], Symbol: s}
}

// Vector adds an input vector that a method fills before each run: float64 for
// numbers, int32 for indices.
func (d *Decoder) Vector(name string, t device.Type, s graph.Symbol) *graph.Node {
	if s == graph.Fixed {
		return d.Input(name, graph.Vector(t, graph.Size(1)))
	}
	return d.Input(name, graph.Vector(t, d.dim(s)))
}

func (d *Decoder) inputs() {
	d.IDs = d.Vector("ids", device.I32, graph.Tokens)
	d.Position = d.Vector("position", device.I32, graph.Tokens)
	d.PrefixStart = d.Vector(inPrefixStart, device.I32, graph.Tokens)
	d.PrefixEnd = d.Vector(inPrefixEnd, device.I32, graph.Tokens)
	d.SegmentStart = d.Vector(inSegmentStart, device.I32, graph.Tokens)
	d.DropoutKey = d.Vector(inDropoutKey, device.I32, graph.Tokens)
	d.Rows = d.Vector("rows", device.I32, graph.Targets)
	d.Targets = d.Vector("targets", device.I32, graph.Targets)
	d.Sequence = d.Vector("sequence", device.I32, graph.Targets)
	for _, w := range d.config.weights() {
		info := w.info(d.act.Wide())
		info.Trained = d.trainsWeights()
		d.weights[w.name] = d.Input(w.name, info)
	}
	d.savedInputs()
}

// layers lays the decoder layers over the embedding: x[N,C] at the rows.
func (d *Decoder) layers() (*graph.Node, error) {
	x := d.noisy(d.Embed(d.embedNode(), d.IDs))
	table := d.RopeTable(d.Position, d.config.InvFreq())
	subs := map[string]*exec.Sub{}
	for layer := range d.config.NumLayers {
		k := kindOf(d.options.Adapter, layer, d.options.Train)
		if d.trainsWeights() {
			k.full, k.fromBelow = true, true
		}
		d.trim(&k, layer)
		k.up = d.keepsUp(layer)
		params := d.config.layerParams(k, d.dim(graph.Tokens), d.act, d.options.Train)
		in := d.layerInputs(layer, params, table)
		if d.options.Flat {
			x = d.config.layer(d.Builder, k, x, in)
			continue
		}
		sub := subs[k.String()]
		if sub == nil {
			var err error
			o := graph.Options{Activations: d.act, Rounded: roundedOn(d.options.Device), RoundedCols: roundedColsOn(d.options.Device), Joins: joinsOn(d.options.Device)}
			if sub, err = d.config.newSub(k, d.dim(graph.Tokens), o, d.options.Train, d.options.Save); err != nil {
				return nil, fmt.Errorf("model: layer %d: %w", layer, err)
			}
			subs[k.String()] = sub
		}
		args := make([]*graph.Node, len(params))
		for i, p := range params {
			args[i] = in[p.name]
		}
		var err error
		if x, err = sub.Apply(d.Builder, x, args...); err != nil {
			return nil, fmt.Errorf("model: layer %d: %w", layer, err)
		}
	}
	if d.options.AllRows {
		x = d.Gather(x, d.Rows)
	}
	return x, d.Err()
}

// keepsUp says whether the policy products keeps a layer's up, the dearest product that
// it would compute again: of one layer in four, which fills the half of the memory of all
// that the policy may take where values are held rounded.
func (d *Decoder) keepsUp(layer int) bool {
	return d.options.Save == exec.SaveProducts && roundedOn(d.options.Device) == device.BF16 && layer%4 == 3
}

// trim makes the last layer's output one of the target rows.
func (d *Decoder) trim(k *layerKind, layer int) {
	if layer < d.config.NumLayers-1 || d.options.AllRows {
		return
	}
	k.rows = d.dim(graph.Targets)
	d.Points(d.Rows, 0, d.dim(graph.Tokens))
	if k.dropout > 0 {
		d.rowKey = d.Vector(inRowKey, device.I32, graph.Targets)
	}
}

// layerInputs are the nodes of one layer's inputs: shared ones, the layer's
// weights, its factors and its seed.
func (d *Decoder) layerInputs(layer int, params []param, table *graph.Node) layerNodes {
	shared := layerNodes{
		inTable: table, inPrefixStart: d.PrefixStart, inPrefixEnd: d.PrefixEnd,
		inSegmentStart: d.SegmentStart, inDropoutKey: d.DropoutKey, inRows: d.Rows, inRowKey: d.rowKey,
	}
	in := layerNodes{}
	for _, p := range params {
		name := fmt.Sprintf("model.layers.%d.%s", layer, p.name)
		switch {
		case shared[p.name] != nil:
			in[p.name] = shared[p.name]
		case d.weights[name] != nil:
			in[p.name] = d.weights[name]
		default:
			in[p.name] = d.Input(name, p.info)
			d.own(p.name, in[p.name])
		}
	}
	return in
}

// own notes a layer's own input: its seed, or something of a factor.
func (d *Decoder) own(name string, n *graph.Node) {
	switch {
	case name == inSeed:
		d.seeds = append(d.seeds, n)
	case strings.HasPrefix(name, squaresPrefix):
		d.squares = append(d.squares, n)
	default:
		d.factors = append(d.factors, n)
	}
}
