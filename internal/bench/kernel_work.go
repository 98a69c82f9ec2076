package bench

import (
	"fmt"

	"align/internal/device"
)

// kernelWork is what a call of a kernel must do at least: bytes that it reads or
// writes once, and operations on matrices. They are those of [Run]'s rule:
// what a kernel computes again is not counted.
type kernelWork struct{ bytes, flops float64 }

// seconds is the least time of the work at rates of a device.
func (w kernelWork) seconds(r *rates) float64 { return max(w.bytes/r.read, w.flops/r.flops) }

// kernelContext is what the views of a call do not tell.
type kernelContext struct {
	// pairs of positions are what attention has over a pack, or perRow over each
	// row of packs whose sequences are equally long.
	pairs, perRow float64
	// positions of a cache are what a row sees; prompt those that one of a prompt
	// does, in a call of more rows than there are sequences.
	positions, prompt float64
	sequences         int
}

// answering is the context of drawing answers, and of passes over them.
func (o *Options) answering() kernelContext {
	prompt, answer := float64(o.Prompt), float64(o.Response)
	return kernelContext{perRow: (prompt + answer + 1) / 2, positions: prompt + (answer+1)/2, prompt: (prompt + 1) / 2, sequences: o.Batch}
}

// attended is the pairs of a pack of so many rows.
func (x kernelContext) attended(rows int) float64 { return x.pairs + x.perRow*float64(rows) }

// seen is the positions of a cache that the rows of a call see together.
func (x kernelContext) seen(rows int) float64 {
	if x.prompt > 0 && rows > x.sequences {
		return float64(rows) * x.prompt
	}
	return float64(rows) * x.positions
}

// workOfCall is the work of a call.
func (x kernelContext) workOfCall(kernel string, attr any, c *device.Call) kernelWork {
	return kernelWork{x.bytes(kernel, c), x.flops(kernel, attr, c)}
}

// bytes are those of the views; where a kernel goes through some rows of one, of
// these rows.
func (x kernelContext) bytes(kernel string, c *device.Call) float64 {
	var sum float64
	switch kernel {
	case "embed", "gather":
		return float64(2*c.Out[0].Bytes() + c.In[1].Bytes())
	case "cache_write":
		return float64(2*c.In[0].Bytes() + c.In[1].Bytes())
	case "rope_cache":
		q, k, v, table, slot := c.In[0], c.In[1], c.In[2], c.In[3], c.In[4]
		return float64(2*(q.Bytes()+k.Bytes()+v.Bytes()) + table.Bytes() + slot.Bytes())
	case "attention_cached":
		q, keys := c.In[0], c.In[1]
		return float64(2*q.Bytes()) + 2*x.seen(q.Rows)*float64(keys.Type.RowBytes(keys.Cols))
	}
	for _, views := range [][]device.View{c.In, c.Out} {
		for i, v := range views {
			if v.Addr != 0 && !holds(views[:i], v) {
				sum += float64(v.Bytes())
			}
		}
	}
	if c.Accumulate {
		sum += float64(c.Out[0].Bytes())
	}
	return sum
}

// holds says whether a view is among others.
func holds(views []device.View, v device.View) bool {
	for _, other := range views {
		if other == v {
			return true
		}
	}
	return false
}

// product is the operations of y[rows,out] from sums of in terms.
func product(rows, out, in int) float64 { return 2 * float64(rows) * float64(out) * float64(in) }

// flops are 0 for kernels without matrices.
func (x kernelContext) flops(kernel string, attr any, c *device.Call) float64 {
	in := c.In
	switch kernel {
	case "linear":
		return product(in[0].Rows, in[1].Rows, in[1].Cols)
	case "linear_dx":
		return product(in[0].Rows, in[1].Rows, in[1].Cols)
	case "lora_linear":
		w, a := in[2], in[3]
		if c.Out[0].Addr == 0 { // u alone
			return product(in[0].Rows, a.Rows, a.Cols)
		}
		return product(in[0].Rows, w.Rows, w.Cols) + product(in[0].Rows, a.Rows, w.Rows+w.Cols)
	case "lora_du":
		return 2 * product(in[0].Rows, in[1].Rows, in[1].Cols)
	case "lora_dx":
		w, a := in[1], in[3]
		return product(in[0].Rows, w.Rows, w.Cols) + product(in[0].Rows, a.Rows, a.Cols)
	case "matmul_nt", "matmul_nn":
		return product(in[0].Rows, c.Out[0].Cols, in[0].Cols)
	case "matmul_tn":
		return product(in[0].Rows, c.Out[0].Rows, c.Out[0].Cols)
	case "logprob_dx", "logprob_dw":
		return product(in[0].Rows, in[1].Rows, in[1].Cols)
	case "logprob":
		one := product(in[0].Rows, in[1].Rows, in[1].Cols)
		if len(c.Out) == 5 && c.Out[4].Addr != 0 { // the gradient of h is in it
			return 2 * one
		}
		return one
	case "attention", "attention_grad":
		a, is := attr.(device.Attention)
		if !is {
			return 0
		}
		forward := 4 * x.attended(in[0].Rows) * float64(a.Heads*a.HeadDim)
		if kernel == "attention_grad" {
			return 2 * forward
		}
		return forward
	case "attention_cached":
		if a, is := attr.(device.Attention); is {
			return 4 * x.seen(in[0].Rows) * float64(a.Heads*a.HeadDim)
		}
	}
	return 0
}

// labelOf tells calls apart whose work differs: products by their sizes.
func labelOf(kernel string, c *device.Call) string {
	size := func(rows int, w device.View) string {
		return fmt.Sprintf("%s %dx%dx%d", kernel, rows, w.Rows, w.Cols)
	}
	switch kernel {
	case "linear", "linear_dx", "lora_dx", "lora_du":
		return size(c.In[0].Rows, c.In[1])
	case "lora_linear":
		return size(c.In[0].Rows, c.In[2])
	case "matmul_nt", "matmul_nn", "matmul_tn":
		return size(c.In[0].Rows, c.Out[0])
	}
	return kernel
}
