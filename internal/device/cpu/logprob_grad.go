package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// headGrad turns a tile of logits z = h W'/temperature into the gradient with
// respect to h W': dlp * (1[v = target] - e^(z-lse)) / temperature, 0 where
// there is no target.
type headGrad[E float] struct {
	head[E]
	weigh    func(z []E, lse, scale E)
	lse, dlp []E
	backward product[E]
}

func (g *headGrad[E]) checkGrad(k *contract.Check, c *device.Call) {
	g.check(k, c)
	k.Vector("lse", c.In[3], typeOf[E](), c.In[0].Rows)
	k.Vector("dlp", c.In[4], typeOf[E](), c.In[0].Rows)
	g.lse, g.dlp = device.Slice[E](c.In[3]), device.Slice[E](c.In[4])
}

func (g *headGrad[E]) gradRows(lo, hi int) {
	for i := lo; i < hi; i++ {
		z, target := g.line(i), int(g.targets[g.row+i])
		if target < 0 {
			clear(z)
			continue
		}
		lse, scale := g.lse[g.row+i], g.dlp[g.row+i]*g.inverse
		g.weigh(z, lse, scale)
		if t := target - g.col; t >= 0 && t < len(z) {
			z[t] += scale
		}
	}
}

// weighLogits is z = -scale*e^(z-lse).
func weighLogits[E float](z []E, lse, scale E) {
	for j, x := range z {
		z[j] = -scale * exp(x-lse)
	}
}

// logProbDX is dh[N,C], the sum over the vocabulary, chunk by chunk.
type logProbDX[E float] struct{ headGrad[E] }

func bindLogProbDX[E float](b *Backend, p products[E], weigh func([]E, E, E)) func(string, device.LogProb) (device.Kernel, error) {
	return func(kernel string, attr device.LogProb) (device.Kernel, error) {
		l := &logProbDX[E]{headGrad[E]{weigh: weigh}}
		if err := l.init(b, p, kernel, attr, l.gradRows); err != nil {
			return nil, err
		}
		l.backward.alpha = 1
		return l.run, nil
	}
}

func (l *logProbDX[E]) run(c *device.Call) error {
	k := contract.Of("cpu", l.kernel)
	if k.Arity(c, 1, 5) {
		k.Overwrites(c)
		l.checkGrad(&k, c)
		k.Output("dh", c.Out[0], typeOf[E](), c.In[0].Rows, c.In[0].Cols)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return k.Err
	}
	if err := l.reserve(0); err != nil {
		return err
	}
	for row := 0; row < l.h.Rows; row += headRows {
		n := min(headRows, l.h.Rows-row)
		for col := 0; col < l.w.Rows; col += headCols {
			if err := l.tileAt(row, n, col); err != nil {
				return err
			}
			q := &l.backward
			q.y, q.x, q.w = c.Out[0].Row(row, n), l.view(n), l.w
			q.windowStart, q.windowRows, q.accumulate = col, l.width, col > 0
			if err := l.products.nn(q); err != nil {
				return err
			}
		}
	}
	return nil
}

// logProbDW is dW[V,C], the sum over blocks of rows, ascending.
type logProbDW[E float] struct {
	headGrad[E]
	zeroing device.Kernel
	zeroed  device.Call
}

func bindLogProbDW[E float](b *Backend, p products[E], weigh func([]E, E, E)) func(string, device.LogProb) (device.Kernel, error) {
	return func(kernel string, attr device.LogProb) (device.Kernel, error) {
		l := &logProbDW[E]{headGrad: headGrad[E]{weigh: weigh}, zeroing: b.overRows(&zero{kernel: kernel})}
		if err := l.init(b, p, kernel, attr, l.gradRows); err != nil {
			return nil, err
		}
		l.backward.alpha, l.backward.accumulate = 1, true
		l.zeroed.Out = make([]device.View, 1)
		return l.run, nil
	}
}

func (l *logProbDW[E]) run(c *device.Call) error {
	k := contract.Of("cpu", l.kernel)
	if k.Arity(c, 1, 5) {
		l.checkGrad(&k, c)
		k.Output("dW", c.Out[0], typeOf[E](), c.In[1].Rows, c.In[1].Cols)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return k.Err
	}
	if err := l.reserve(0); err != nil {
		return err
	}
	if !c.Accumulate {
		l.zeroed.Out[0] = c.Out[0]
		if err := l.zeroing(&l.zeroed); err != nil {
			return err
		}
	}
	for row := 0; row < l.h.Rows; row += headRows {
		n := min(headRows, l.h.Rows-row)
		for col := 0; col < l.w.Rows; col += headCols {
			if err := l.tileAt(row, n, col); err != nil {
				return err
			}
			q := &l.backward
			q.y, q.x, q.w = c.Out[0].Row(col, l.width), l.view(n), l.h.Row(row, n)
			if err := l.products.tn(q); err != nil {
				return err
			}
		}
	}
	return nil
}
