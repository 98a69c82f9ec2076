package driver

import (
	"errors"
	"unsafe"
)

// Graph is captured work that one call launches.
type Graph struct {
	exec   uintptr
	device *Device
}

// Capture records what f enqueues on the stream, and on streams that wait for
// it, instead of running it. F must not allocate, wait or read results; the
// buffers that it uses stay as they are for the graph's life.
func (s *Stream) Capture(f func() error) (*Graph, error) {
	const threadLocal = 1
	d, t := s.device, &s.device.library.table
	if err := d.call("cuStreamBeginCapture", t.captureBegin, s.handle, threadLocal); err != nil {
		return nil, err
	}
	failed := f()
	// A capture is ended whatever happened, or the stream would stay in it.
	var graph uintptr
	ended := d.call("cuStreamEndCapture", t.captureEnd, s.handle, uintptr(unsafe.Pointer(&graph)))
	if graph != 0 {
		defer invoke(t.graphDestroy, graph)
	}
	if err := errors.Join(failed, ended); err != nil {
		return nil, err
	}
	g := &Graph{device: d}
	if err := d.call("cuGraphInstantiate", t.graphInstantiate, uintptr(unsafe.Pointer(&g.exec)), graph, 0); err != nil {
		return nil, err
	}
	return g, nil
}

// On enqueues the graph.
func (g *Graph) On(s *Stream) error {
	return g.device.enqueue("cuGraphLaunch", g.device.library.table.graphLaunch, g.exec, s.handle, 0, 0)
}

// Close destroys the graph; launches of it must be done.
func (g *Graph) Close() error {
	return g.device.call("cuGraphExecDestroy", g.device.library.table.graphExecDestroy, g.exec)
}
