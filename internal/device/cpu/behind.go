package cpu

import (
	"strings"
	"unsafe"

	"align/internal/device"
	"align/internal/device/contract"
)

var _ device.Joiner = (*Backend)(nil)

// Joins says whether the kernel is a layer and what its output is added to: where products
// take that behind their sums, a pass over memory goes.
func (b *Backend) Joins(kernel string) bool {
	return kernel == "linear_add" || kernel == "lora_linear_add"
}

// behind is r in y = r + product, beside a product that makes the y.
type behind struct {
	y, r device.View
	done bool // the product has added it
}

// withBehind is the binder of a layer's kernel with a sum, from that of the layer.
func (b *Backend) withBehind(layer binder) binder {
	return func(kernel string, attr any) (device.Kernel, error) {
		product, err := layer(strings.TrimSuffix(kernel, "_add"), attr)
		if err != nil {
			return nil, err
		}
		add, err := b.Bind("add", nil)
		if err != nil {
			return nil, err
		}
		j := &productAdd{b: b, kernel: kernel, product: product, add: add}
		return j.run, nil
	}
}

// productAdd is a layer's kernel with a sum.
type productAdd struct {
	b            *Backend
	kernel       string
	product, add device.Kernel
	layer, sum   device.Call
	out          [1]device.View
	in           [2]device.View
}

func (j *productAdd) run(c *device.Call) error {
	if err := j.check(c); err != nil {
		return err
	}
	y, last := c.Out[0], len(c.In)-1
	r := c.In[last]
	j.layer = device.Call{Out: c.Out, In: c.In[:last]}
	if j.b.fast != nil {
		j.b.fast.behind = behind{y: y, r: r}
		defer func() { j.b.fast.behind = behind{} }()
	}
	if err := j.product(&j.layer); err != nil || y.Addr == 0 || j.b.fast != nil && j.b.fast.behind.done {
		return err
	}
	j.out[0], j.in = y, [2]device.View{r, y}
	j.sum = device.Call{Out: j.out[:], In: j.in[:]}
	return j.add(&j.sum)
}

// check finds what the layer's kernel does not.
func (j *productAdd) check(c *device.Call) error {
	k := contract.Of("cpu", j.kernel)
	if len(c.In) < 3 || len(c.Out) < 1 {
		k.Failf("%d inputs and %d outputs: want those of a layer, and what is added", len(c.In), len(c.Out))
		return k.Err
	}
	k.Overwrites(c)
	if y := c.Out[0]; y.Addr != 0 {
		k.Matrix("r", c.In[len(c.In)-1], j.b.activations, y.Rows, y.Cols)
		k.Matrix("y", y, j.b.activations, y.Rows, y.Cols)
	}
	return k.Err
}

// takeBehind gives the product that makes y what is added, where the engine takes that.
func (f *fast) takeBehind() {
	if b := &f.behind; b.y.Addr != 0 && f.makes(b.y) && f.engine.AddsBehind(&f.product) {
		f.product.Behind, b.done = matrixOf(b.r), true
	}
}

// makes says whether f.product makes all of a y of float32.
func (f *fast) makes(y device.View) bool {
	own := f.product.Y.Data
	return len(own) > 0 && len(own) == y.Len() && unsafe.Pointer(&own[0]) == pointer(y.Addr)
}
