package cuda

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// productTable are the products with frozen weights, adapters and each other.
var productTable = map[string]binder{
	"linear":          plain(newLinear),
	"linear_dx":       plain(newLinearDX),
	"lora_linear":     withAttribute(newLoRALinear),
	"lora_du":         withAttribute(newLoRADU),
	"lora_dx":         plain(newLoRADX),
	"lora_dropped_dx": withAttribute(newLoRADroppedDX),
	"matmul_nt":       withAttribute(newMatMul),
	"matmul_nn":       withAttribute(newMatMul),
	"matmul_tn":       withAttribute(newMatMul),
}

// newLinear is y[T,N] = x[T,C] W[N,C]' (+ bias[N]).
func newLinear(b *Backend, kernel string) (enqueue, error) {
	l := newLauncher(b)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		biased := len(c.In) == 3
		if k.Arity(c, 1, 2+int(count(biased))) {
			y, x, w := c.Out[0], c.In[0], c.In[1]
			k.Overwrites(c)
			activations(&k, "x", x, x.Rows, w.Cols)
			checkWeight(&k, "W", w, w.Rows, x.Cols)
			activationsOut(&k, "y", y, x.Rows, w.Rows)
			if biased {
				k.Vector("bias", c.In[2], device.F32, w.Rows)
			}
		}
		if k.Err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return k.Err
		}
		p := nt(c.Out[0], c.In[0], 1)
		if biased {
			p.bias = uint64(c.In[2].Addr)
		}
		var err error
		if p.x, err = l.left(c.In[0]); err != nil {
			return err
		}
		return l.times(c.In[1], &p)
	}, nil
}

// nt is an nt product into y of x's rows.
func nt(y, x device.View, alpha float32) product {
	return product{y: uint64(y.Addr), typ: y.Type, ldy: y.Cols, m: y.Rows, n: y.Cols, k: x.Cols, alpha: alpha}
}

// newLinearDX is dx[T,C] = dy[T,N] W[N,C].
func newLinearDX(b *Backend, kernel string) (enqueue, error) {
	l := newLauncher(b)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			dx, dy, w := c.Out[0], c.In[0], c.In[1]
			activations(&k, "dy", dy, dy.Rows, w.Rows)
			checkWeight(&k, "W", w, dy.Cols, w.Cols)
			activationsOut(&k, "dx", dx, dy.Rows, w.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return k.Err
		}
		p := nt(c.Out[0], c.In[0], 1)
		p.accumulate = c.Accumulate
		return l.backward(c, &p)
	}, nil
}

// backward is p as dy W, with dy and W the call's first inputs.
func (l *launcher) backward(c *device.Call, p *product) (err error) {
	if p.x, err = l.left(c.In[0]); err != nil {
		return err
	}
	if p.w, err = l.weightOf(c.In[1]); err != nil {
		return err
	}
	return l.gemm(kindNN, p)
}

// newLoRALinear is y[T,N] = x W' + scale (xd A') B' (+ bias), equation 3 of
// https://arxiv.org/abs/2106.09685. u = scale xd A' is rounded to bf16, and its
// product with B follows that of x and W in the same sums.
func newLoRALinear(b *Backend, kernel string, attr device.LoRA) (enqueue, error) {
	l := newLauncher(b)
	keep, failed := newKeeper(b)
	return func(c *device.Call) error {
		if err := checkLoRALinear(kernel, c); err != nil {
			return err
		}
		x, xd, a, up := c.In[0], c.In[1], c.In[3], c.In[4]
		if isMask(xd) {
			var err error
			if xd, err = keep.of(x, xd); err != nil {
				return err
			}
		}
		if err := l.lowOut(c, xd, a, float32(attr.Scale)); err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return err
		}
		p := nt(c.Out[0], x, 1)
		if len(c.In) == 6 {
			p.bias = uint64(c.In[5].Addr)
		}
		var err error
		if p.x, err = l.left(x); err != nil {
			return err
		}
		if err := l.adapter(&p, x, xd, a, up, float32(attr.Scale)); err != nil {
			return err
		}
		return l.times(c.In[2], &p)
	}, failed
}

// lowOut is the second output, u = scale xd A', where it is wanted.
func (l *launcher) lowOut(c *device.Call, xd, a device.View, scale float32) (err error) {
	if len(c.Out) == 1 || c.Out[1].Addr == 0 || c.Out[1].Len() == 0 {
		return nil
	}
	p := nt(c.Out[1], xd, scale)
	if p.x, err = l.left(xd); err != nil {
		return err
	}
	if p.w, err = l.sideOf(slotUp, a); err != nil {
		return err
	}
	return l.gemm(kindNT, &p)
}

// adapter fills in p.u and p.v.
func (l *launcher) adapter(p *product, x, xd, a, up device.View, scale float32) error {
	down, err := p.x, error(nil)
	if xd.Addr != x.Addr {
		if down, err = l.left(xd); err != nil {
			return err
		}
	}
	left, err := l.sideOf(slotUp, a)
	if err != nil {
		return err
	}
	p.r = a.Rows
	if p.u, err = l.low(down, left, x.Rows, a.Rows, x.Cols, scale); err != nil {
		return err
	}
	p.v, err = l.sideOf(slotUp, up)
	return err
}

func checkLoRALinear(kernel string, c *device.Call) error {
	k := contract.Of("cuda", kernel)
	biased := len(c.In) == 6
	if k.Arity(c, 1+int(count(len(c.Out) == 2)), 5+int(count(biased))) {
		y, x, xd, w, a, up := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3], c.In[4]
		k.Overwrites(c)
		activations(&k, "x", x, x.Rows, w.Cols)
		if isMask(xd) {
			checkMask(&k, xd, x.Rows, x.Cols)
		} else {
			activations(&k, "xd", xd, x.Rows, x.Cols)
		}
		checkWeight(&k, "W", w, w.Rows, x.Cols)
		k.Matrix("A", a, device.F32, a.Rows, x.Cols)
		k.Matrix("B", up, device.F32, w.Rows, a.Rows)
		activationsOut(&k, "y", y, x.Rows, w.Rows)
		if len(c.Out) == 2 {
			activationsOut(&k, "u", c.Out[1], x.Rows, a.Rows)
		}
		if biased {
			k.Vector("bias", c.In[5], device.F32, w.Rows)
		}
	}
	return k.Err
}

// newLoRADU is dB[N,R] = dy[T,N]' u[T,R] and du[T,R] = scale dy B[N,R], by one reading of
// dy or as two products of it, for which it is rounded once.
func newLoRADU(b *Backend, kernel string, attr device.LoRA) (enqueue, error) {
	once := newLauncher(b)
	up, err := newMatMul(b, "matmul_tn", device.MatMul{Alpha: 1})
	if err != nil {
		return nil, err
	}
	down, err := newMatMul(b, "matmul_nn", device.MatMul{Alpha: attr.Scale})
	var first, second device.Call
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 2, 3) {
			dy, b, u := c.In[0], c.In[1], c.In[2]
			activations(&k, "dy", dy, dy.Rows, b.Rows)
			k.Matrix("B", b, device.F32, dy.Cols, b.Cols)
			activations(&k, "u", u, dy.Rows, b.Cols)
			k.Output("dB", c.Out[0], device.F32, b.Rows, b.Cols)
			activationsOut(&k, "du", c.Out[1], dy.Rows, b.Cols)
		}
		if k.Err != nil {
			return k.Err
		}
		if dy := c.In[0]; c.Out[0].Addr != 0 && c.Out[1].Addr != 0 && once.readsOnce(dy.Rows, dy.Cols, c.In[1].Cols) {
			return once.loraGrad(c, float32(attr.Scale))
		}
		first.Out, first.In = c.Out[1:], c.In[:2]
		if err := down(&first); err != nil {
			return err
		}
		second.Out, second.In, second.Accumulate = c.Out[:1], append(second.In[:0], c.In[0], c.In[2]), c.Accumulate
		return up(&second)
	}, err
}

// newLoRADX is dx[T,C] = dy[T,N] W[N,C] + du[T,R] A[R,C].
func newLoRADX(b *Backend, kernel string) (enqueue, error) {
	l := newLauncher(b)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 4) {
			dx, dy, w, du, a := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3]
			activations(&k, "dy", dy, dy.Rows, w.Rows)
			checkWeight(&k, "W", w, dy.Cols, w.Cols)
			activations(&k, "du", du, dy.Rows, a.Rows)
			k.Matrix("A", a, device.F32, du.Cols, w.Cols)
			activationsOut(&k, "dx", dx, dy.Rows, w.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return k.Err
		}
		p := nt(c.Out[0], c.In[0], 1)
		p.accumulate, p.r = c.Accumulate, c.In[3].Rows
		var err error
		if p.u, err = l.sideOf(slotLow, c.In[2]); err != nil {
			return err
		}
		if p.v, err = l.sideOf(slotUp, c.In[3]); err != nil {
			return err
		}
		return l.backward(c, &p)
	}, nil
}

// newMatMul is the three plain products, y (+)= alpha x w.
func newMatMul(b *Backend, kernel string, attr device.MatMul) (enqueue, error) {
	keep, failed := newKeeper(b)
	l, of := newLauncher(b), map[string]kind{"matmul_nt": kindNT, "matmul_nn": kindNN, "matmul_tn": kindTN}[kernel]
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		p := product{alpha: float32(attr.Alpha), accumulate: c.Accumulate}
		masked := of == kindTN && len(c.In) == 3
		if k.Arity(c, 1, 2+int(count(masked))) {
			y, x, w := c.Out[0], c.In[0], c.In[1]
			var kw int
			p.m, p.k = dims(x, of == kindTN)
			p.n, kw = dims(w, of != kindNT)
			activations(&k, "x", x, x.Rows, x.Cols)
			activations(&k, "w", w, w.Rows, w.Cols)
			activationsOut(&k, "y", y, p.m, p.n)
			if masked {
				checkMask(&k, c.In[2], w.Rows, w.Cols)
			}
			if p.k != kw {
				k.Failf("x is %dx%d and w is %dx%d: the summed sides differ", x.Rows, x.Cols, w.Rows, w.Cols)
			}
		}
		if k.Err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return k.Err
		}
		p.y, p.typ, p.ldy = uint64(c.Out[0].Addr), c.Out[0].Type, p.n
		var err error
		if p.x, err = l.left(c.In[0]); err != nil {
			return err
		}
		w := c.In[1]
		if masked {
			if w, err = keep.of(w, c.In[2]); err != nil {
				return err
			}
		}
		if p.w, err = l.sideOf(slotWeight, w); err != nil {
			return err
		}
		return l.gemmSplit(of, &p)
	}, failed
}

// dims is the number of vectors of a side of a product, and their length.
func dims(v device.View, across bool) (vectors, length int) {
	if across {
		return v.Cols, v.Rows
	}
	return v.Rows, v.Cols
}
