//go:build linux && (amd64 || arm64) && !nogpu

package fakedriver

import (
	"errors"
	"strconv"
	"strings"
	"unsafe"

	"align/internal/device/cuda/ptxsim"

	"github.com/ebitengine/purego"
)

type module struct {
	ptx    string
	parsed *ptxsim.Module // nil without a simulator
}

type function struct {
	name   string
	shared int
	kernel *ptxsim.Kernel // nil for a Go function
}

func (d *Driver) addModules() {
	d.addHere("cuModuleLoadDataEx", func(s *state, to, image, n, options, values word) int {
		m := &module{ptx: text(image)}
		log := d.script.BadPTX
		if d.script.Sim != nil {
			parsed, err := d.parse(m.ptx)
			if err != nil {
				log = err.Error()
			}
			if err == nil && !d.cardOf(s).runs(parsed.Target) {
				return noBinary
			}
			m.parsed = parsed
		}
		if log != "" {
			tell(log, unsafe.Slice(at[int32](options), n), unsafe.Slice(at[uintptr](values), n))
			return badImage
		}
		*at[uintptr](to) = d.keep(m)
		return success
	})
	d.addHere("cuModuleUnload", func(_ *state, handle, _, _, _, _ word) int { return d.drop(handle) })
	d.addHere("cuModuleGetFunction", func(_ *state, to, from, name, _, _ word) int {
		m, found := d.things[from].(*module)
		if !found {
			return invalidHandle
		}
		// A function lives as long as its module; the fake never frees it.
		f := &function{name: text(name)}
		if d.script.Kernels[f.name] == nil && m.parsed != nil {
			f.kernel = m.parsed.Kernel(f.name)
		}
		if f.kernel == nil && (d.script.Kernels[f.name] == nil || !strings.Contains(m.ptx, f.name)) {
			return notFound
		}
		handle := d.keep(f)
		*at[uintptr](to) = handle
		return success
	})
	d.addHere("cuFuncGetAttribute", func(_ *state, to, which, handle, _, _ word) int {
		*at[int32](to) = map[word]int32{3: d.localBytes(handle), 4: 32}[which]
		return success
	})
	d.addHere("cuFuncSetAttribute", func(s *state, handle, which, value, _, _ word) int {
		f, found := d.things[handle].(*function)
		if !found || which != 8 || f.declared()+int(value) > int(d.cardOf(s).sharedMemory()) {
			return InvalidValue
		}
		f.shared = int(value)
		return success
	})
	d.addresses["cuLaunchKernel"] = purego.NewCallback(d.launch)
}

// mostParsed is more than the kernels have modules.
const mostParsed = 32

// parse reads a text once for all tests: most of them load the same ones.
func (d *Driver) parse(ptx string) (*ptxsim.Module, error) {
	m := d.parsed[ptx]
	if m == nil {
		var err error
		if m, err = ptxsim.Parse(ptx); err != nil {
			return nil, err
		}
		if len(d.parsed) == mostParsed { // the texts of mutants come once
			clear(d.parsed)
		}
		d.parsed[ptx] = m
	}
	return m.Fresh(), nil
}

// runs says whether a card takes PTX for a target: that of its own or an older
// capability, sm_90a on 9.0 alone.
func (c Card) runs(target string) bool {
	digits, exact := strings.CutSuffix(strings.TrimPrefix(target, "sm_"), "a")
	wanted, err := strconv.Atoi(digits)
	has := int(10*c.Major + c.Minor)
	return err == nil && (wanted == has || wanted < has && !exact)
}

// launch has cuLaunchKernel's arguments. They are copied before it returns, as
// the driver does.
func (d *Driver) launch(f, gx, gy, gz, bx, by, bz, shared, on, args, extra word) word {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls["cuLaunchKernel"]++
	c, code := d.here()
	if code != success {
		return word(code)
	}
	k, found := d.things[f].(*function)
	switch {
	case !found:
		return invalidHandle
	case extra != 0, !fits(gx, gy, gz, bx, by, bz), !d.cardOf(c).shares(k, int(shared)):
		return InvalidValue
	}
	l := Launch{
		Grid:         [3]uint32{uint32(gx), uint32(gy), uint32(gz)},
		Block:        [3]uint32{uint32(bx), uint32(by), uint32(bz)},
		SharedMemory: uint32(shared),
	}
	if k.kernel != nil {
		for i, place := range unsafe.Slice(at[uintptr](args), len(k.kernel.Params)) {
			l.Args = append(l.Args, argument(place, k.kernel.Params[i]))
		}
		return word(d.enqueue(c, on, func() int { return d.simulate(c, k.kernel, l) }))
	}
	for _, place := range unsafe.Slice(at[uintptr](args), d.script.Parameters[k.name]) {
		l.Args = append(l.Args, *at[uint64](place))
	}
	run := d.script.Kernels[k.name]
	return word(d.enqueue(c, on, func() int { return run(d, l) }))
}

// fits says whether a grid and a block are within the limits of every card.
func fits(gx, gy, gz, bx, by, bz word) bool {
	return gx < 1<<31 && gy < 1<<16 && gz < 1<<16 && bx <= 1024 && by <= 1024 && bz <= 64 && bx*by*bz <= 1024
}

// shares says whether a block may have so many bytes of shared memory beside those
// that the kernel declares: 48 KiB together, or what was opted in to and the card has.
func (c Card) shares(f *function, bytes int) bool {
	all := f.declared() + bytes
	return (all <= 48<<10 || bytes <= f.shared) && all <= int(c.sharedMemory())
}

// declared is the shared memory that a kernel has without asking, in bytes.
func (f *function) declared() int {
	if f.kernel == nil {
		return 0
	}
	return f.kernel.SharedBytes
}

// localBytes are what a simulated kernel's threads have beside registers.
func (d *Driver) localBytes(handle uintptr) int32 {
	if f, found := d.things[handle].(*function); found && f.kernel != nil {
		return int32(f.kernel.LocalBytes)
	}
	return 0
}

// argument reads as many bytes as a parameter has.
func argument(place uintptr, size int) uint64 {
	var v uint64
	for i, b := range unsafe.Slice(at[byte](place), min(size, 8)) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// simulate runs a kernel from its PTX and keeps the first fault.
func (d *Driver) simulate(c *state, k *ptxsim.Kernel, l Launch) int {
	size := func(v [3]uint32) [3]int { return [3]int{int(v[0]), int(v[1]), int(v[2])} }
	err := d.script.Sim.Launch(k, size(l.Grid), size(l.Block), int(l.SharedMemory), l.Args, &c.ranges)
	if err == nil {
		return success
	}
	if d.fault == nil {
		d.fault = err
	}
	var f *ptxsim.Fault
	if errors.As(err, &f) && f.Kind == ptxsim.OutOfBounds {
		return IllegalAddress
	}
	return launchFailed
}

// tell puts a log where the options of a translation ask for it.
func tell(log string, options []int32, values []uintptr) {
	const errorLog, roomForLog = 5, 1 << 10
	for i, option := range options {
		if option == errorLog {
			copy(unsafe.Slice(at[byte](values[i]), roomForLog), log)
		}
	}
}

// text copies a C string.
func text(address uintptr) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(at[byte](address)), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(at[byte](address), n))
}
