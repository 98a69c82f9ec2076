package graph

import "align/internal/device"

// Pages says where the keys and values of decoded rows lie in a paged cache:
// which sequence each of the T rows belongs to, how many of its own positions
// it sees, and per sequence its page table [B,P] and the length of its prefix.
type Pages struct{ Sequence, Own, Table, Prefix *Node }

// CacheWrite is the cache[S,K*D] after rows x[T,K*D] of keys or values are written
// to its slots. The result must be bound to the cache itself, as an external output.
func (b *Builder) CacheWrite(x, slot *Node, rows int, attr device.Cache) *Node {
	if !b.require("cache_write", x, slot) {
		return nil
	}
	b.Points(slot, 0, Size(rows))
	out := Matrix(b.activations, Size(rows), b.Info(x).Cols)
	return b.Apply(&Op{Kernel: "cache_write", Attr: attr, Outs: []Info{out}}, x, slot)
}

// AttentionCached is Attention over the keys and values of a paged cache.
func (b *Builder) AttentionCached(q, keys, values *Node, p Pages, attr device.Attention) *Node {
	if !b.require("attention_cached", q, keys, values, p.Sequence, p.Own, p.Table, p.Prefix) {
		return nil
	}
	b.Points(p.Sequence, 0, b.Info(p.Table).Rows)
	out := Matrix(b.activations, b.Info(q).Rows, attr.Heads*attr.HeadDim)
	return b.Apply(&Op{Kernel: "attention_cached", Attr: attr, Outs: []Info{out}}, q, keys, values, p.Sequence, p.Own, p.Table, p.Prefix)
}
