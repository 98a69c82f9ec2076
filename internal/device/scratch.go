package device

// Step is one use of a kernel in a program. The views of its call have the sizes
// of the largest run; their addresses are not those of memory.
type Step struct {
	Kernel string
	Attr   any
	Call   Call
}

// Sizer is a Backend that tells, without running them, what memory its kernels
// keep beside the values of their programs.
type Sizer interface {
	// ScratchBytes is that of programs of the steps, which use it by turns.
	ScratchBytes(steps []Step) int64
}
