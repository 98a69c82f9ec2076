package driver

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// Module is PTX that the driver has translated for the card.
type Module struct {
	handle uintptr
	ptx    string
	log    []byte // of the translation under way
	device *Device
}

// Options of a translation (cuda.h, enum CUjit_option).
const (
	jitErrorLog     = 5
	jitErrorLogSize = 6
)

// Load translates PTX for the card; the driver keeps the result in its own
// cache. The error holds the translator's log.
func (d *Device) Load(ptx string) (*Module, error) {
	// The log hangs on the module, which is on the heap: its address below is a
	// mere number to Go.
	m := &Module{ptx: ptx, device: d, log: make([]byte, 8<<10)}
	image := append([]byte(ptx), 0)
	options := []int32{jitErrorLog, jitErrorLogSize}
	values := []uintptr{uintptr(unsafe.Pointer(&m.log[0])), uintptr(len(m.log))}
	err := d.call("cuModuleLoadDataEx", d.library.table.moduleLoad, uintptr(unsafe.Pointer(&m.handle)),
		uintptr(unsafe.Pointer(&image[0])), uintptr(len(options)),
		uintptr(unsafe.Pointer(&options[0])), uintptr(unsafe.Pointer(&values[0])))
	runtime.KeepAlive(m)
	if err == nil {
		m.log = nil
		return m, nil
	}
	said, _, _ := bytes.Cut(m.log, []byte{0})
	if text := strings.TrimSpace(string(said)); text != "" {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return nil, err
}

// Close unloads the module; launches of its kernels must be done.
func (m *Module) Close() error {
	return m.device.call("cuModuleUnload", m.device.library.table.moduleUnload, m.handle)
}

// Kernel is an entry of a module.
type Kernel struct {
	Name string
	// Registers per thread, and bytes per thread that did not fit in them.
	Registers, LocalBytes int

	sizes  []int // of the parameters, in bytes
	handle uintptr
	device *Device
}

// Attributes of a function (cuda.h, enum CUfunction_attribute).
const (
	functionLocalBytes   = 3
	functionRegisters    = 4
	functionSharedMemory = 8
)

// Kernel finds an entry. Its parameters are read from the PTX text: the driver
// takes a wrong argument list without a word.
func (m *Module) Kernel(name string) (*Kernel, error) {
	sizes, err := parameters(m.ptx, name)
	if err != nil {
		return nil, err
	}
	d, t := m.device, &m.device.library.table
	k := &Kernel{Name: name, sizes: sizes, device: d}
	text := append([]byte(name), 0)
	if err := d.call("cuModuleGetFunction", t.moduleFunction,
		uintptr(unsafe.Pointer(&k.handle)), m.handle, uintptr(unsafe.Pointer(&text[0]))); err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, err)
	}
	if k.Registers, err = k.attribute(functionRegisters); err != nil {
		return nil, err
	}
	if k.LocalBytes, err = k.attribute(functionLocalBytes); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Kernel) attribute(which int) (int, error) {
	var value int32
	err := k.device.call("cuFuncGetAttribute", k.device.library.table.functionAttribute,
		uintptr(unsafe.Pointer(&value)), uintptr(which), k.handle)
	return int(value), err
}
