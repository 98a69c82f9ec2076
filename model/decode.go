package model

import (
	"fmt"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
)

// CacheOptions size a decoding session: Rows tokens at most in one run,
// Sequences at once, PagesPerSequence in a sequence's table (prefix included)
// and Pages of device.PageRows positions in all.
type CacheOptions struct {
	Rows, Sequences, PagesPerSequence, Pages int
	Adapter                                  *Adapter
	// Device, if not nil, is where the session will run, which may join steps
	// (device.Joiner). NewDecoding sets it.
	Device device.Backend
	// Shared, if not nil, is memory that the session and its cache use in turns
	// with others: the cache is lost whenever another one runs.
	Shared *Shared
}

// Decoding is the decoder over a paged key/value cache: the layers of layer.go
// with attention over the cache instead of the pack. One run takes any mix of
// prompts and single tokens of several sequences. It knows pages, not
// sequences: who holds which page is the caller's business.
type Decoding struct {
	*Session
	options  CacheOptions
	logits   *graph.Node
	slot     *graph.Node
	pages    graph.Pages
	keys     graph.Nodes // the cache after this run's rows are written, per layer
	values   graph.Nodes
	cacheMem device.Memory
}

// CacheBytes is the size of the cache of one page over all layers.
func (c Config) CacheBytes(act device.Type) int64 {
	return int64(c.NumLayers) * 2 * device.PageRows * int64(c.NumKVHeads*c.HeadDim) * int64(act.Size())
}

// NewDecoding builds, compiles and binds a decoding session.
func NewDecoding(m *Model, o CacheOptions) (*Decoding, error) {
	o.Device = m.backend
	c := &Decoding{options: o}
	if o.Shared == nil {
		var err error
		if c.cacheMem, err = m.backend.Alloc(c.cacheBytes(m)); err != nil {
			return nil, err
		}
	}
	if err := c.build(m); err != nil {
		m.backend.Free(c.cacheMem)
		return nil, err
	}
	return c, nil
}

// Use gives the session another adapter, or none: the graph is compiled anew,
// while the model's weights and the cache stay where they are. What the cache
// holds was computed with the adapter before.
func (c *Decoding) Use(m *Model, adapter *Adapter) error {
	if adapter == c.options.Adapter {
		return nil
	}
	other := &Decoding{options: c.options, cacheMem: c.cacheMem}
	other.options.Adapter = adapter
	if err := other.build(m); err != nil {
		return err
	}
	c.Session.Close()
	*c = *other
	c.placed = c.bindCache
	return nil
}

func (c *Decoding) cacheBytes(m *Model) int64 {
	return int64(c.options.Pages) * m.Config.CacheBytes(m.act)
}

// DecodingSize is what the session of NewDecoding takes, its cache included. It
// reserves nothing, and the adapter needs no buffers.
func DecodingSize(config Config, act device.Type, o CacheOptions) (SessionSize, error) {
	c := &Decoding{options: o}
	d, err := c.graph(config, act)
	if err != nil {
		return SessionSize{}, err
	}
	plan, err := exec.Compile(c.spec(d))
	if err != nil {
		return SessionSize{}, err
	}
	cache := int64(o.Pages) * config.CacheBytes(act)
	return SessionSize{Bytes: d.sessionBytes(plan, d.inputNodes(nil)) + cache, Kernels: plan.Kernels()}, nil
}

// build compiles and binds the graph.
func (c *Decoding) build(m *Model) error {
	d, err := c.graph(m.Config, m.act)
	if err != nil {
		return err
	}
	return c.compile(m, d)
}

// graph is the session's graph.
func (c *Decoding) graph(config Config, act device.Type) (*Decoder, error) {
	o := c.options
	if err := config.predicts(); err != nil {
		return nil, err
	}
	if o.Rows < 1 || o.Sequences < 1 || o.PagesPerSequence < 1 || o.Pages < 1 {
		return nil, fmt.Errorf("model: decoding wants positive sizes, got %d rows, %d sequences, %d pages of %d", o.Rows, o.Sequences, o.PagesPerSequence, o.Pages)
	}
	d := &Decoder{
		Builder: graph.New(graph.Options{Activations: act, Joins: joinsOn(o.Device)}), config: config, act: act, weights: map[string]*graph.Node{},
		options: DecoderOptions{Capacity: Capacity{Tokens: o.Rows, Targets: o.Rows, Sequences: o.Sequences}, Adapter: o.Adapter, Shared: o.Shared},
	}
	c.inputs(d)
	x := d.Embed(d.embedNode(), d.IDs)
	table := d.RopeTable(d.Position, d.config.InvFreq())
	for layer := range d.config.NumLayers {
		x = c.layer(d, layer, x, table)
	}
	d.Hidden = d.RMSNorm(x, d.weights[normName], d.config.RMSNormEps)
	d.Head = d.headNode()
	c.logits = d.Wide(d.Hidden, d.Head)
	return d, d.Err()
}

func (c *Decoding) inputs(d *Decoder) {
	d.IDs = d.Vector("ids", device.I32, graph.Tokens)
	d.Position = d.Vector("position", device.I32, graph.Tokens)
	d.Rows = d.Vector("rows", device.I32, graph.Targets)
	c.slot = d.Vector("slot", device.I32, graph.Tokens)
	c.pages = graph.Pages{
		Sequence: d.Vector("sequence", device.I32, graph.Tokens),
		Own:      d.Vector("own", device.I32, graph.Tokens),
		Table:    d.Input("pages", graph.Matrix(device.I32, graph.Size(c.options.Sequences), c.options.PagesPerSequence)),
		Prefix:   d.Input("prefix", graph.Vector(device.I32, graph.Size(c.options.Sequences))),
	}
	for _, w := range d.config.weights() {
		d.weights[w.name] = d.Input(w.name, w.info(d.act.Wide()))
	}
	d.savedInputs()
}

func (c *Decoding) layer(d *Decoder, layer int, x, table *graph.Node) *graph.Node {
	k := kindOf(c.options.Adapter, layer, false)
	k.cached = true
	d.trim(&k, layer)
	in := d.layerInputs(layer, d.config.layerParams(k, d.dim(graph.Tokens), d.act, false), table)
	return d.config.layerWith(d.Builder, k, x, in, func(q, k, v *graph.Node) *graph.Node {
		rows := c.options.Pages * device.PageRows
		keys := d.CacheWrite(k, c.slot, rows, device.Cache{HeadDim: d.config.HeadDim})
		values := d.CacheWrite(v, c.slot, rows, device.Cache{HeadDim: d.config.HeadDim, Values: true})
		c.keys, c.values = append(c.keys, keys), append(c.values, values)
		return d.AttentionCached(q, keys, values, c.pages, d.config.attentionAttr())
	})
}

func (c *Decoding) compile(m *Model, d *Decoder) error {
	plan, err := exec.Compile(c.spec(d))
	if err != nil {
		return err
	}
	c.Session = &Session{decoder: d, backend: m.backend, inputs: map[*graph.Node]device.View{}, placed: c.bindCache}
	if c.options.Shared != nil {
		c.extra = padded(plan.ArenaBytes()) - plan.ArenaBytes() + c.cacheBytes(m)
	}
	return c.Session.bind(m, plan, nil)
}

// spec says that the caches are external.
func (c *Decoding) spec(d *Decoder) exec.Spec {
	spec := exec.Spec{Builder: d.Builder, Outputs: graph.Nodes{c.logits}, External: map[*graph.Node]exec.Access{}}
	for i := range c.keys {
		spec.External[c.keys[i]], spec.External[c.values[i]] = exec.Overwrite, exec.Overwrite
	}
	return spec
}

// bindCache gives the program its cache: memory of its own, or what follows the
// arena in the shared one.
func (c *Decoding) bindCache() {
	memory := c.cacheMem
	if c.shared != nil {
		memory = device.Memory{Addr: c.arena.Addr + uintptr(padded(c.arena.Bytes)), Bytes: c.cacheBytes(c.model)}
	}
	rows, cols := c.options.Pages*device.PageRows, c.model.Config.NumKVHeads*c.model.Config.HeadDim
	offset := int64(0)
	for i := range c.keys {
		for _, n := range []*graph.Node{c.keys[i], c.values[i]} {
			v := memory.At(offset, c.model.act, rows, cols)
			c.program.SetNode(n, v)
			offset += v.Bytes()
		}
	}
	c.program.Capture()
}

// Close gives the session's memory and its cache back.
func (c *Decoding) Close() {
	c.Session.Close()
	c.backend.Free(c.cacheMem)
}

// DecodeBatch is what one run computes. Row t is token IDs[t] at Position[t] of
// sequence Sequence[t]; its key and value go to cache row Slot[t] and it sees
// Own[t] positions of its own, itself included. Pages [Sequences *
// PagesPerSequence] and Prefix [Sequences] are the page tables. Logits are
// computed at Rows.
type DecodeBatch struct {
	IDs, Position, Slot, Sequence, Own []int32
	Pages, Prefix                      []int32
	Rows                               []int32
}

// Decode runs a batch and returns the logits of its Rows, [len(Rows), V], in
// dst's memory where that is large enough.
func (c *Decoding) Decode(dst []float32, b *DecodeBatch) ([]float32, error) {
	err := c.together(func() error {
		if err := c.run(b); err != nil {
			return err
		}
		v, _ := c.program.Value(c.logits)
		var err error
		dst, err = readFloat32s(c.backend, dst, v)
		return err
	})
	return dst, err
}

func (c *Decoding) setTable(pages []int32) error {
	v := c.Session.inputs[c.pages.Table]
	if len(pages) != v.Len() {
		return fmt.Errorf("model: page table has %d entries, want %d", len(pages), v.Len())
	}
	return c.backend.Upload(v, int32Bytes(pages))
}

// Options are the sizes of the session.
func (c *Decoding) Options() CacheOptions { return c.options }
