// Package device says what a machine that runs kernels must offer, without
// saying how: the Backend interface, View (a typed region of its memory), Call
// (the arguments of one kernel) and the attributes of every kernel.
//
// The kernels themselves live in device/cpu and device/cuda. A kernel writes
// into given outputs and allocates nothing; on a GPU it only enqueues. Host
// code never reads through a View: it uses Upload and Download.
package device

// Backend is one device that holds memory and runs kernels.
// A Backend is used by one goroutine at a time.
type Backend interface {
	// Name is the backend's short name: "cpu", "cuda:0".
	Name() string
	// Alloc reserves zeroed memory of the given size in bytes, aligned to at
	// least 256 bytes. It stays until Free.
	Alloc(bytes int64) (Memory, error)
	// Free gives memory back; views into it are dead afterwards.
	Free(Memory)
	// Place takes a frozen weight into the layout that the matrix kernels
	// want and returns its view. It reads the weight row by row, so that no
	// second copy exists.
	Place(Weight) (View, error)
	// Bind returns the named kernel, prepared for the attributes. The kernel
	// keeps its own working state: bind one per step of a program.
	Bind(kernel string, attr any) (Kernel, error)
	// Upload copies host bytes to the device; len(src) is dst.Bytes().
	Upload(dst View, src []byte) error
	// Download copies device bytes to the host after all earlier kernels.
	Download(dst []byte, src View) error
	// Sync waits for all enqueued kernels and returns the first error.
	Sync() error
}

// Rounder is a Backend whose products round both sides to a type that may be
// narrower than the activations'. Then products of a layer (linear, linear_dx,
// lora_linear, lora_dx, lora_dropped_dx), rmsnorm, swiglu, swiglu_grad, dropout and rope
// write what they make in it too, rounded, and attention its o where heads are a multiple
// of 32 elements. Products of a layer and lora_du, matmul_nt (x) and matmul_tn read such
// sides, with the same bits, where rows are a multiple of RoundedCols elements, swiglu and its
// gradient read such numbers, and attention and attention_grad such q, k, v, o and do,
// each for itself, where heads are.
type Rounder interface {
	// Rounded is that type.
	Rounded() Type
	// RoundedCols is what the width of a value in that type is a multiple of.
	RoundedCols() int
}

// Sloper is a Backend whose logprob can also give the slope of each row, so that
// the head's gradient with respect to h is that times dlp (scale_rows) and takes
// no logits again.
type Sloper interface {
	// Slopes says whether it does.
	Slopes() bool
}

// Joiner is a Backend that does neighbouring steps of a program by one kernel, with
// their bits: a sum and the norm of it (add_rmsnorm), a layer and what its output is
// added to (linear_add, lora_linear_add), and of decoded rows the rotation of q and k and
// the writing of k and v (rope_cache).
type Joiner interface {
	// Joins says whether it has such a kernel.
	Joins(kernel string) bool
}

// Joins says whether a backend is a Joiner that has a kernel.
func Joins(b Backend, kernel string) bool {
	j, is := b.(Joiner)
	return is && j.Joins(kernel)
}

// Kernel runs one operation on the views of the call.
type Kernel func(*Call) error

// Call is one use of a kernel. Out and In are in the order that the kernel's
// contract states. An Out view with Addr 0 is not wanted: the kernel skips it.
type Call struct {
	Out, In []View
	// Accumulate asks the kernel to add to Out[0] instead of overwriting it.
	// Only kernels whose contract says so are asked.
	Accumulate bool
}

// Memory is one reservation of device memory.
type Memory struct {
	Addr  uintptr
	Bytes int64
}

// Weight is a frozen matrix on its way to the device: V x C for the embedding,
// out x in for a linear layer, as in the checkpoint.
type Weight struct {
	Name       string
	Type       Type
	Rows, Cols int
	// Read fills dst with the bytes of rows [row, row+n), row-major.
	Read func(dst []byte, row, n int) error
}
