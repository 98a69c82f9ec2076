package driver

import (
	"time"
	"unsafe"
)

// Stream is a queue of work on a card, run in order.
type Stream struct {
	handle uintptr
	device *Device
}

// Stream makes a stream that does not wait for the default one.
func (d *Device) Stream() (*Stream, error) {
	const nonBlocking = 1
	s := &Stream{device: d}
	err := d.call("cuStreamCreate", d.library.table.streamCreate, uintptr(unsafe.Pointer(&s.handle)), nonBlocking)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Handle is the stream as the driver's other libraries take it.
func (s *Stream) Handle() uintptr { return s.handle }

// Sync waits for all work of the stream. Faults of kernels come to light here.
func (s *Stream) Sync() error {
	return s.device.enqueue("cuStreamSynchronize", s.device.library.table.streamSync, s.handle, 0, 0, 0)
}

// Wait lets the stream's further work start after the event, recorded on any
// stream.
func (s *Stream) Wait(e *Event) error {
	return s.device.enqueue("cuStreamWaitEvent", s.device.library.table.streamWait, s.handle, e.handle, 0, 0)
}

// Close destroys the stream once its work is done; it does not wait.
func (s *Stream) Close() error {
	return s.device.call("cuStreamDestroy", s.device.library.table.streamDestroy, s.handle)
}

// Event is a mark in a stream.
type Event struct {
	handle uintptr
	device *Device
}

// Event makes an event that keeps the time.
func (d *Device) Event() (*Event, error) {
	e := &Event{device: d}
	err := d.call("cuEventCreate", d.library.table.eventCreate, uintptr(unsafe.Pointer(&e.handle)), 0)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Record puts the event behind the stream's work so far.
func (e *Event) Record(s *Stream) error {
	return e.device.enqueue("cuEventRecord", e.device.library.table.eventRecord, e.handle, s.handle, 0, 0)
}

// Sync waits until the recorded mark is reached.
func (e *Event) Sync() error {
	return e.device.enqueue("cuEventSynchronize", e.device.library.table.eventSync, e.handle, 0, 0, 0)
}

// Since returns the card's time from an earlier event; both must be reached. Its
// resolution is about half a microsecond.
func (e *Event) Since(earlier *Event) (time.Duration, error) {
	var milliseconds float32
	err := e.device.call("cuEventElapsedTime", e.device.library.table.eventElapsed,
		uintptr(unsafe.Pointer(&milliseconds)), earlier.handle, e.handle)
	return time.Duration(float64(milliseconds) * float64(time.Millisecond)), err
}

// Close destroys the event.
func (e *Event) Close() error {
	return e.device.call("cuEventDestroy", e.device.library.table.eventDestroy, e.handle)
}
