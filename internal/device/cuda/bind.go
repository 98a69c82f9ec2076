package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/kernels"
)

// enqueue checks a call and enqueues its launches, inside Do. It allocates
// nothing where the call is right.
type enqueue func(c *device.Call) error

// binder makes a kernel for one step of a program.
type binder func(b *Backend, kernel string, attr any) (enqueue, error)

// Bind returns the named kernel with argument blocks of its own.
func (b *Backend) Bind(kernel string, attr any) (k device.Kernel, err error) {
	for _, table := range []map[string]binder{elementTable, rowTable, vectorTable, productTable, headTable, sampleTable, doraTable, joinedTable} {
		bind, found := table[kernel]
		if !found {
			continue
		}
		err := b.Within(func() error {
			run, err := bind(b, kernel, attr)
			if err == nil {
				k = b.kernel(b.watch(run))
			}
			return err
		})
		return k, err
	}
	return nil, fmt.Errorf("cuda: no kernel %q", kernel)
}

// kernel takes calls from any goroutine to the device's thread.
func (b *Backend) kernel(run enqueue) device.Kernel {
	var call *device.Call
	within := func() error { return run(call) }
	return func(c *device.Call) error {
		if b.inside {
			return run(c)
		}
		call = c
		return b.Within(within)
	}
}

// plain is the binder of a kernel that takes no attribute.
func plain(make func(b *Backend, kernel string) (enqueue, error)) binder {
	return func(b *Backend, kernel string, attr any) (enqueue, error) {
		if attr != nil {
			return nil, fmt.Errorf("cuda: %s: attribute is %T, want none", kernel, attr)
		}
		return make(b, kernel)
	}
}

// withAttribute is the binder of a kernel with an attribute of type T.
func withAttribute[T any](make func(b *Backend, kernel string, attr T) (enqueue, error)) binder {
	return func(b *Backend, kernel string, attr any) (enqueue, error) {
		a, ok := attr.(T)
		if !ok {
			return nil, fmt.Errorf("cuda: %s: attribute is %T, want %T", kernel, attr, a)
		}
		return make(b, kernel, a)
	}
}

// launch is an entry of a module with room for its arguments.
type launch struct {
	launch *driver.Launch // nil where nothing is launched
	stream *driver.Stream
}

// launch prepares an entry of kernels/FILE.cu with so much shared memory beside
// what it declares. Inside Do.
func (b *Backend) launch(file, entry string, sharedMemory int) (*launch, error) {
	if b.counts {
		return &launch{}, nil
	}
	k, err := b.entry(file, entry)
	if err != nil {
		return nil, err
	}
	one := driver.Dim{X: 1, Y: 1, Z: 1}
	l, err := k.Bind(one, one, sharedMemory)
	if err != nil {
		return nil, err
	}
	return &launch{l, b.stream}, nil
}

// typed is an entry for each type of activations.
type typed struct{ f32, bf16 *launch }

// typed prepares the entries NAME_f32 and NAME_bf16.
func (b *Backend) typed(file, name string) (t typed, err error) {
	if t.f32, err = b.launch(file, name+"_f32", 0); err != nil {
		return t, err
	}
	t.bf16, err = b.launch(file, name+"_bf16", 0)
	return t, err
}

// of is the entry for the view's type.
func (t typed) of(v device.View) *launch {
	if v.Type == device.BF16 {
		return t.bf16
	}
	return t.f32
}

// text is the PTX of a file.
var text = kernels.PTX

// Exchange puts another text in the place of a file's own until back is called. It is
// for tests of kernels that are wrong: no program calls it.
func Exchange(file, ptx string) (back func()) {
	own := text
	text = func(name string) (string, error) {
		if name == file {
			return ptx, nil
		}
		return own(name)
	}
	return func() { text = own }
}

// module is a file of kernels, translated when it is first asked for, and then
// proven.
func (b *Backend) module(file string) (*driver.Module, error) {
	m := b.modules[file]
	if m == nil {
		ptx, err := text(file)
		if err != nil {
			return nil, err
		}
		if m, err = b.device.Load(ptx); err != nil {
			return nil, fmt.Errorf("translate kernels %q: %w", file, err)
		}
		b.modules[file] = m
	}
	return m, b.prove(file)
}

// entry finds an entry.
func (b *Backend) entry(file, name string) (*driver.Kernel, error) {
	if k := b.entries[name]; k != nil {
		return k, nil
	}
	m, err := b.module(file)
	if err != nil {
		return nil, err
	}
	k, err := m.Kernel(name)
	if err == nil {
		b.entries[name] = k
	}
	return k, err
}

// on enqueues blocks of so many threads; none where blocks is 0.
func (l *launch) on(blocks, threads int, args ...driver.Arg) error {
	return l.over(driver.Dim{X: blocks, Y: 1, Z: 1}, driver.Dim{X: threads, Y: 1, Z: 1}, args...)
}

// over is on for a grid and blocks of more directions.
func (l *launch) over(grid, block driver.Dim, args ...driver.Arg) error {
	if grid.X == 0 || grid.Y == 0 || grid.Z == 0 || l.launch == nil {
		return nil
	}
	if err := l.launch.Shape(grid, block); err != nil {
		return err
	}
	if err := l.launch.Set(args...); err != nil {
		return err
	}
	return l.launch.On(l.stream)
}

// code is a type of elements as kernels take it.
func code(t device.Type) driver.Arg { return num(int(t)) }

// at is the address of a view as an argument, 0 for one that is not wanted.
func at(v device.View) driver.Arg { return driver.U64(uint64(v.Addr)) }

// over is n divided by size, rounded up.
func over(n, size int) int { return (n + size - 1) / size }

// count is 1 for yes.
func count(yes bool) int32 {
	if yes {
		return 1
	}
	return 0
}
