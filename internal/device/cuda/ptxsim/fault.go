package ptxsim

import (
	"fmt"
	"math/bits"
	"strings"
)

// What is wrong, of a Fault.
const (
	OutOfBounds  = "out of bounds"
	Misaligned   = "misaligned address"
	Unwritten    = "unwritten value"
	Race         = "data race"
	InFlight     = "not waited for"
	Unfenced     = "missing fence"
	BarrierFault = "divergent barrier"
	Transactions = "bytes of a barrier"
	Deadlock     = "deadlock"
	Trap         = "trap"
	Limit        = "too many instructions"
)

// Fault is why a launch stopped.
type Fault struct {
	Kind        string // one of the constants
	Kernel      string
	Instruction string
	Line        int // of the PTX
	Block       [3]int
	Warp, Lane  int // Lane is -1 where it is all of them
	Detail      string
}

// Error tells the fault with its place.
func (f *Fault) Error() string {
	lane := ""
	if f.Lane >= 0 {
		lane = fmt.Sprintf(", lane %d", f.Lane)
	}
	return fmt.Sprintf("ptxsim: kernel %s: %s: %s: line %d %q, block %v, warp %d%s",
		f.Kernel, f.Kind, f.Detail, f.Line, f.Instruction, f.Block, f.Warp, lane)
}

// fault stops the launch at the instruction under way.
func (w *warp) fault(kind string, lane int, format string, args ...any) {
	in := &w.block.kernel.code[w.pc]
	panic(&Fault{
		Kind: kind, Kernel: w.block.kernel.Name, Instruction: in.short(), Line: in.line,
		Block: w.block.at, Warp: w.id, Lane: lane, Detail: fmt.Sprintf(format, args...),
	})
}

func (in *instruction) where() string { return fmt.Sprintf("line %d %q", in.line, in.short()) }

// short is an instruction without the middle of a long list of registers.
func (in *instruction) short() string {
	open, end := strings.IndexByte(in.text, '{'), strings.LastIndexByte(in.text, '}')
	if open < 0 || end-open < 80 {
		return in.text
	}
	return in.text[:open+20] + "..." + in.text[end-10:]
}

func firstLane(lanes uint32) int { return bits.TrailingZeros32(lanes) & (width - 1) }

func lanesText(lanes uint32) string {
	var all []string
	for m := lanes; m != 0; {
		first := bits.TrailingZeros32(m)
		n := bits.TrailingZeros32(^(m >> first))
		if n > 1 {
			all = append(all, fmt.Sprintf("%d-%d", first, first+n-1))
		} else {
			all = append(all, fmt.Sprint(first))
		}
		m &^= uint32(1<<n-1) << first
	}
	return strings.Join(all, ",")
}
