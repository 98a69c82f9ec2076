package cpu

import (
	"fmt"
	"runtime"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Options says how to make a Backend.
type Options struct {
	// Threads is the number of workers; 0 means GOMAXPROCS. It moves no bit of
	// any result.
	Threads int
	// Activations is the type A of every kernel: F32, or F64 for proofs.
	Activations device.Type
	// Level is the instructions that kernels on F32 may use; nil is what
	// ALIGN_CPU asks for, or the machine's highest. F64 is portable Go always.
	Level *feature.Level
	// Precision is the type that both sides of a product of F32 are rounded
	// to: F32 (also if 0), or BF16, summed in float32. Frozen weights are then
	// kept as BF16. A level without such products rounds the weights only, and
	// portable Go nothing.
	Precision device.Type
}

// Backend runs the kernels on the host's processors.
type Backend struct {
	activations device.Type
	arena       *arena
	pool        *pool
	kernels     map[string]binder
	spaces      workspaces
	fast        *fast // nil where all kernels are portable
}

var _ device.Backend = (*Backend)(nil)

// binder makes a kernel for one step of a program.
type binder func(kernel string, attr any) (device.Kernel, error)

// New starts a backend; Close ends it.
func New(o Options) (*Backend, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu: threads must not be negative, got %d", o.Threads)
	}
	if o.Activations != device.F32 && o.Activations != device.F64 {
		return nil, fmt.Errorf("cpu: activations must be f32 or f64, got %s", o.Activations)
	}
	level, err := o.level()
	if err != nil {
		return nil, err
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	b := &Backend{activations: o.Activations, arena: newArena(), pool: newPool(o.Threads)}
	b.spaces = workspaces{arena: b.arena, of: make([]device.Memory, o.Threads)}
	if o.Activations == device.F64 {
		b.kernels = kernelTable(b, newPortable[float64](b))
	} else if b.fast, err = newFast(b, level, o.Precision); err != nil {
		b.Close()
		return nil, err
	} else if b.fast == nil {
		b.kernels = kernelTable(b, newPortable[float32](b))
	} else {
		b.kernels = kernelTable[float32](b, b.fast)
		b.fast.accelerate(b.kernels)
	}
	b.addBehind()
	return b, nil
}

// level checks what the options say about machine code.
func (o Options) level() (feature.Level, error) {
	switch {
	case o.Precision != 0 && o.Precision != device.F32 && o.Precision != device.BF16:
		return 0, fmt.Errorf("cpu: precision must be f32 or bf16, got %s", o.Precision)
	case o.Precision == device.BF16 && o.Activations != device.F32:
		return 0, fmt.Errorf("cpu: precision bf16 is for f32 activations, got %s", o.Activations)
	case o.Level == nil:
		return feature.Select()
	case !feature.Has(*o.Level):
		return 0, fmt.Errorf("cpu: level %s: this machine has %s at most", *o.Level, feature.Detect())
	}
	return *o.Level, nil
}

// Name is "cpu".
func (b *Backend) Name() string { return "cpu" }

// Threads is the number of workers.
func (b *Backend) Threads() int { return b.pool.threads }

// Alloc reserves zeroed memory outside the Go heap where the system allows it.
func (b *Backend) Alloc(bytes int64) (device.Memory, error) { return b.arena.alloc(bytes) }

// Free gives memory back.
func (b *Backend) Free(m device.Memory) {
	if b.fast != nil {
		b.fast.kept.forget()
	}
	b.arena.free(m.Addr)
}

// placeBytes is how much of a weight one Read fills, about.
const placeBytes = 8 << 20

// Place copies the weight, in the type it arrives in, straight into its place:
// into panels where the level has products that read them.
func (b *Backend) Place(w device.Weight) (device.View, error) {
	if !placeable(w.Type) {
		return device.View{}, fmt.Errorf("cpu: weight %q has type %s: want a float type or one of blocks", w.Name, w.Type)
	}
	if w.Rows < 0 || w.Cols < 0 || w.Cols%w.Type.BlockSize() != 0 {
		return device.View{}, fmt.Errorf("cpu: weight %q has shape %dx%d: want rows of a multiple of %d", w.Name, w.Rows, w.Cols, w.Type.BlockSize())
	}
	if b.fast != nil && b.fast.packs(w) {
		return b.fast.place(w)
	}
	v := device.View{Rows: w.Rows, Cols: w.Cols, Type: w.Type}
	m, err := b.arena.alloc(v.Bytes())
	if err != nil {
		return device.View{}, fmt.Errorf("cpu: place weight %q: %w", w.Name, err)
	}
	v.Addr = m.Addr
	step := max(1, placeBytes/max(1, int(w.Type.RowBytes(w.Cols))))
	for row := 0; row < w.Rows; row += step {
		n := min(step, w.Rows-row)
		if err := w.Read(rawBytes(v.Row(row, n)), row, n); err != nil {
			b.arena.free(m.Addr)
			return device.View{}, fmt.Errorf("cpu: place weight %q: %w", w.Name, err)
		}
	}
	return v, nil
}

// Bind returns the named kernel with working state of its own.
func (b *Backend) Bind(kernel string, attr any) (device.Kernel, error) {
	bind, ok := b.kernels[kernel]
	if !ok {
		return nil, fmt.Errorf("cpu: no kernel %q", kernel)
	}
	k, err := bind(kernel, attr)
	if err != nil || b.fast == nil {
		return k, err
	}
	return b.fast.watch(k), nil
}

// Upload copies host bytes into the view.
func (b *Backend) Upload(dst device.View, src []byte) error {
	if err := checkCopy("upload", dst, len(src)); err != nil {
		return err
	}
	copy(rawBytes(dst), src)
	if b.fast != nil {
		b.fast.kept.written(dst)
	}
	return nil
}

// Download copies the view's bytes to the host.
func (b *Backend) Download(dst []byte, src device.View) error {
	if err := checkCopy("download", src, len(dst)); err != nil {
		return err
	}
	copy(dst, rawBytes(src))
	return nil
}

// Sync has nothing to wait for: a kernel returns when it is done.
func (b *Backend) Sync() error { return nil }

// Close ends the workers and gives all memory back; every view is dead then.
func (b *Backend) Close() {
	b.pool.close()
	b.arena.close()
}

func checkCopy(what string, v device.View, n int) error {
	if v.Layout != device.Plain {
		return fmt.Errorf("cpu: %s of a packed view", what)
	}
	if int64(n) != v.Bytes() {
		return fmt.Errorf("cpu: %s of %d bytes: the view has %d", what, n, v.Bytes())
	}
	if v.Addr == 0 && n > 0 {
		return fmt.Errorf("cpu: %s of a view without an address", what)
	}
	return nil
}

func rawBytes(v device.View) []byte {
	return device.Slice[byte](device.View{Addr: v.Addr, Rows: int(v.Bytes()), Cols: 1})
}

// float is the element type of a program's activations.
type float interface{ float32 | float64 }

// typeOf is the device.Type of E.
func typeOf[E float]() device.Type {
	var e E
	if unsafe.Sizeof(e) == 8 {
		return device.F64
	}
	return device.F32
}
