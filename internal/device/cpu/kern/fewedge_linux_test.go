package kern

import (
	"syscall"
	"testing"
	"unsafe"
)

// beforeThePage is memory behind which a page must not be touched.
func beforeThePage(t *testing.T) []byte {
	t.Helper()
	const room, page = 1 << 20, 1 << 16
	mem, err := syscall.Mmap(-1, 0, room+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	if err := syscall.Mprotect(mem[room:], syscall.PROT_NONE); err != nil {
		t.Skip(err)
	}
	return mem[:room]
}

// Ensure that products of few rows with blocks read none behind the weight's last: it can
// be brought in ahead, which reads nothing.
func TestFewBlocksEndAtTheWeight(t *testing.T) {
	mem := beforeThePage(t)
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, d := range s.directTrials() {
			for _, n := range []int{1, 2, 5} {
				for first := 0; first < 2 && d.Few != nil; first++ {
					step := n * d.bytes
					src := mem[len(mem)-DirectRows*step:]
					copy(src, randomBlocks(len(src)))
					x := make([]uint32, n*d.elements/2)
					c, space := make([]float32, DirectRows*FewRows), make([]float32, FewSpace/4)
					var work DirectWork
					d.Few(pointer(c), pointer(x), unsafe.Pointer(&src[0]), n, step, FewGroup*step, 2, 1, first, &work, pointer(space))
				}
			}
		}
	})
}

// Ensure the same of direct products of one row of x and of several.
func TestDirectEndsAtTheWeight(t *testing.T) {
	mem := beforeThePage(t)
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, d := range s.directTrials() {
			for _, n := range []int{1, 2, 5} {
				for _, m := range []int{1, 3} {
					step := n * d.bytes
					src := mem[len(mem)-DirectRows*step:]
					copy(src, randomBlocks(len(src)))
					x, c := make([]float32, m*n*d.elements), make([]float32, m*Cols)
					work := DirectWork{Ahead: DirectRows * step}
					for _, direct := range []Direct{d.Direct, d.DirectFloat} {
						if direct != nil && (m == 1 || d.takes(m)) {
							direct(pointer(c), pointer(x), unsafe.Pointer(&src[0]), n, step, m, &work)
						}
					}
				}
			}
		}
	})
}
