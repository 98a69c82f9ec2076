package exec_test

import (
	"fmt"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/exec"

	"golang.org/x/sys/unix"
)

// sealed is a backend whose memory the host cannot touch outside a kernel or a
// transfer, as a GPU's: every page is PROT_NONE in between.
type sealed struct {
	device.Backend
	blocks map[uintptr][]byte
}

func (s *sealed) Alloc(bytes int64) (device.Memory, error) {
	block, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return device.Memory{}, err
	}
	addr := uintptr(unsafe.Pointer(&block[:1:1][0]))
	s.blocks[addr] = block
	return device.Memory{Addr: addr, Bytes: bytes}, nil
}

func (s *sealed) Free(m device.Memory) {
	if err := unix.Munmap(s.blocks[m.Addr]); err == nil {
		delete(s.blocks, m.Addr)
	}
}

// open runs f with the memory readable and writable.
func (s *sealed) open(f func() error) error {
	if err := s.protect(unix.PROT_READ | unix.PROT_WRITE); err != nil {
		return err
	}
	err := f()
	if e := s.protect(unix.PROT_NONE); err == nil {
		err = e
	}
	return err
}

func (s *sealed) protect(prot int) error {
	for _, block := range s.blocks {
		if err := unix.Mprotect(block, prot); err != nil {
			return fmt.Errorf("mprotect: %w", err)
		}
	}
	return nil
}

func (s *sealed) Bind(kernel string, attr any) (device.Kernel, error) {
	k, err := s.Backend.Bind(kernel, attr)
	if err != nil {
		return nil, err
	}
	return func(c *device.Call) error { return s.open(func() error { return k(c) }) }, nil
}

func (s *sealed) Upload(dst device.View, src []byte) error {
	return s.open(func() error { return s.Backend.Upload(dst, src) })
}

func (s *sealed) Download(dst []byte, src device.View) error {
	return s.open(func() error { return s.Backend.Download(dst, src) })
}

// A decoder runs forward and backward on memory that the host never reads.
func TestADecoderRunsOnSealedMemory(t *testing.T) {
	for _, policy := range []exec.SavePolicy{"", exec.SaveNone, exec.SaveAll} {
		host := backend(t, device.F32)
		want := results(t, host, stack(t, device.F32, nil, 2, policy))
		got := results(t, &sealed{host, map[uintptr][]byte{}}, stack(t, device.F32, nil, 2, policy))
		for i := range want {
			equalBits(t, fmt.Sprintf("policy %q: value %d", policy, i), got[i], want[i])
		}
	}
}
