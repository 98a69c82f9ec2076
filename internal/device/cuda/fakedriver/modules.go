//go:build linux && (amd64 || arm64) && !nogpu

package fakedriver

import (
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

type module struct{ ptx string }

type function struct {
	name   string
	shared int
}

func (d *Driver) addModules() {
	d.addHere("cuModuleLoadDataEx", func(_ *state, to, image, n, options, values word) int {
		if d.script.BadPTX != "" {
			for i, option := range unsafe.Slice(at[int32](options), n) {
				if option == 5 {
					copy(unsafe.Slice(at[byte](unsafe.Slice(at[uintptr](values), n)[i]), 1<<10), d.script.BadPTX)
				}
			}
			return badImage
		}
		*at[uintptr](to) = d.keep(&module{ptx: text(image)})
		return success
	})
	d.addHere("cuModuleUnload", func(_ *state, handle, _, _, _, _ word) int { return d.drop(handle) })
	d.addHere("cuModuleGetFunction", func(_ *state, to, from, name, _, _ word) int {
		m, found := d.things[from].(*module)
		if !found {
			return invalidHandle
		}
		if d.script.Kernels[text(name)] == nil || !strings.Contains(m.ptx, text(name)) {
			return notFound
		}
		// A function lives as long as its module; the fake never frees it.
		f := &function{name: text(name)}
		handle := d.keep(f)
		*at[uintptr](to) = handle
		return success
	})
	d.addHere("cuFuncGetAttribute", func(_ *state, to, which, _, _, _ word) int {
		*at[int32](to) = map[word]int32{3: 0, 4: 32}[which]
		return success
	})
	d.addHere("cuFuncSetAttribute", func(_ *state, handle, which, value, _, _ word) int {
		f, found := d.things[handle].(*function)
		if !found || which != 8 {
			return InvalidValue
		}
		f.shared = int(value)
		return success
	})
	d.addresses["cuLaunchKernel"] = purego.NewCallback(d.launch)
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
	case extra != 0, bx*by*bz > 1024, shared > 48<<10 && int(shared) > k.shared:
		return InvalidValue
	}
	l := Launch{
		Grid:         [3]uint32{uint32(gx), uint32(gy), uint32(gz)},
		Block:        [3]uint32{uint32(bx), uint32(by), uint32(bz)},
		SharedMemory: uint32(shared),
	}
	for _, place := range unsafe.Slice(at[uintptr](args), d.script.Parameters[k.name]) {
		l.Args = append(l.Args, *at[uint64](place))
	}
	run := d.script.Kernels[k.name]
	return word(d.enqueue(c, on, func() int { return run(d, l) }))
}

// text copies a C string.
func text(address uintptr) string {
	var all []byte
	for p := unsafe.Pointer(at[byte](address)); *(*byte)(p) != 0; p = unsafe.Add(p, 1) {
		all = append(all, *(*byte)(p))
	}
	return string(all)
}
