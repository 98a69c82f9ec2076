package driver

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

// Info describes a card.
type Info struct {
	Ordinal      int // its place in the driver's order, from 0
	Name         string
	Major, Minor int // compute capability
	Units        int // streaming multiprocessors
	SharedMemory int // bytes that one block may have after opting in
	Memory       uint64
}

// Attributes of a device (cuda.h, enum CUdevice_attribute).
const (
	attributeUnits        = 16
	attributeMajor        = 75
	attributeMinor        = 76
	attributeSharedMemory = 97
)

// Devices describes all cards that the driver shows; an empty list is
// [ErrNoDevice].
func (l *Library) Devices() ([]Info, error) {
	var count int32
	if err := l.check("cuDeviceGetCount", invoke(l.table.deviceCount, uintptr(unsafe.Pointer(&count)))); err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, l.explain(ErrNoDevice)
	}
	var all []Info
	for ordinal := range int(count) {
		_, info, err := l.describe(ordinal)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

func (l *Library) describe(ordinal int) (handle int32, info Info, err error) {
	if err := l.check("cuDeviceGet", invoke(l.table.deviceGet, uintptr(unsafe.Pointer(&handle)), uintptr(ordinal))); err != nil {
		return 0, Info{}, err
	}
	var errs []error
	name := make([]byte, 256)
	errs = append(errs, l.check("cuDeviceGetName",
		invoke(l.table.deviceName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), uintptr(handle))))
	var memory uint64
	errs = append(errs, l.check("cuDeviceTotalMem",
		invoke(l.table.deviceMemory, uintptr(unsafe.Pointer(&memory)), uintptr(handle))))
	attribute := func(which int) int {
		var value int32
		errs = append(errs, l.check("cuDeviceGetAttribute",
			invoke(l.table.deviceAttribute, uintptr(unsafe.Pointer(&value)), uintptr(which), uintptr(handle))))
		return int(value)
	}
	text, _, _ := bytes.Cut(name, []byte{0})
	info = Info{
		Ordinal: ordinal, Name: string(text), Memory: memory,
		Major: attribute(attributeMajor), Minor: attribute(attributeMinor),
		Units: attribute(attributeUnits), SharedMemory: attribute(attributeSharedMemory),
	}
	return handle, info, errors.Join(errs...)
}

// Device is a card with its primary context, current on a thread of its own.
type Device struct {
	Info
	library *Library
	handle  int32
	args    [maxArguments]uintptr // of the call under way, see enqueue
	lost    *LostError

	encoding encoding

	work  chan task
	quit  chan struct{}
	gone  chan struct{}
	close sync.Once
}

type task struct {
	run  func() error
	done chan error
}

// Device takes the context of a card. Close gives it back.
func (l *Library) Device(ordinal int) (*Device, error) {
	handle, info, err := l.describe(ordinal)
	if err != nil {
		return nil, fmt.Errorf("device %d: %w", ordinal, err)
	}
	d := &Device{
		Info: info, library: l, handle: handle,
		work: make(chan task), quit: make(chan struct{}), gone: make(chan struct{}),
	}
	ready := make(chan error)
	go d.own(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("device %d: %w", ordinal, err)
	}
	return d, nil
}

// own holds the thread. It is never unlocked, so that it ends with the
// goroutine: a context left on a reused thread would hide a missing Do.
func (d *Device) own(ready chan<- error) {
	defer close(d.gone)
	runtime.LockOSThread()
	var context uintptr
	t := &d.library.table
	err := d.call("cuDevicePrimaryCtxRetain", t.contextRetain, uintptr(unsafe.Pointer(&context)), uintptr(d.handle))
	if err == nil {
		defer func() { invoke(t.contextRelease, uintptr(d.handle)) }()
		err = d.call("cuCtxSetCurrent", t.contextSet, context)
	}
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case w := <-d.work:
			w.done <- w.run()
		case <-d.quit:
			return
		}
	}
}

// answers are kept, so that Do allocates nothing.
var answers = sync.Pool{New: func() any { return make(chan error, 1) }}

// Do runs f where the device's context is current and returns its error. Calls
// from several goroutines run one after the other. F must return, and must not
// call Do of the same device: it would wait for itself.
func (d *Device) Do(f func() error) error {
	done := answers.Get().(chan error)
	select {
	case d.work <- task{run: f, done: done}:
		err := <-done
		answers.Put(done)
		return err
	case <-d.gone:
		return ErrClosed
	}
}

// Close gives the context back after the work under way, and with it all that
// was made on the device. Not inside Do; a second call does nothing.
func (d *Device) Close() {
	d.close.Do(func() { close(d.quit) })
	<-d.gone
}

// Free returns the bytes that are free and all bytes of the card.
func (d *Device) Free() (free, total uint64, err error) {
	err = d.call("cuMemGetInfo", d.library.table.memoryInfo,
		uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))
	return free, total, err
}

// Version is the newest CUDA that the device's driver serves.
func (d *Device) Version() Version { return d.library.version }

// Sync waits for all work on the device.
func (d *Device) Sync() error { return d.call("cuCtxSynchronize", d.library.table.contextSync) }

// maxArguments is the most that a function takes whose arguments are kept:
// cuLaunchKernel.
const maxArguments = 11

// call is invoke with the device's errors: a fault that breaks the context is
// kept, and returned from then on instead of calling the driver.
//
//go:uintptrescapes
func (d *Device) call(name string, fn uintptr, args ...uintptr) error {
	if d.lost != nil {
		return d.lost
	}
	code := invoke(fn, args...)
	if code == 0 {
		return nil
	}
	return d.fault(name, code)
}

func (d *Device) fault(name string, code int) error {
	err := d.library.fault(name, code)
	if !sticky(code) {
		return err
	}
	d.lost = &LostError{Device: d.Ordinal, Cause: err}
	return d.lost
}

// enqueue is call for the hot path: the arguments are numbers and handles, no
// Go pointers, and lie in the device, so that nothing is allocated.
func (d *Device) enqueue(name string, fn uintptr, a, b, c, e uintptr) error {
	d.args[0], d.args[1], d.args[2], d.args[3] = a, b, c, e
	return d.call(name, fn, d.args[:4]...)
}
