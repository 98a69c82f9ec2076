//go:build linux && (amd64 || arm64) && !nogpu

package fakedriver

// stream holds work until it is waited for, as a card would seem to.
type stream struct {
	queue     []func() int
	capturing bool
	broken    bool // the capture, by a call that it does not allow
}

// event holds the fake's time, in milliseconds: one more at each mark.
type event struct {
	time     float32
	recorded bool // ever
	waiting  int  // marks in streams that are not reached
}

type graph struct{ work []func() int }

// enqueue puts work in a stream.
func (d *Driver) enqueue(_ *state, handle word, work func() int) int {
	s, found := d.things[handle].(*stream)
	if !found {
		return invalidHandle
	}
	s.queue = append(s.queue, work)
	return success
}

// Enqueue puts the work of another fake library in a stream and returns a
// driver's code.
func (d *Driver) Enqueue(stream uintptr, work func() int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, code := d.here()
	if code != success {
		return code
	}
	return d.enqueue(c, stream, work)
}

// drain runs the work of a stream; a fault breaks the card.
func (s *stream) drain(c *state) int {
	work := s.queue
	s.queue = s.queue[:0]
	for _, w := range work {
		if code := w(); code != success {
			c.broken = code
			return code
		}
	}
	return success
}

func (d *Driver) addStreams() {
	destroy := func(_ *state, handle, _, _, _, _ word) int { return d.drop(handle) }
	d.addHere("cuStreamCreate", func(_ *state, to, _, _, _, _ word) int {
		*at[uintptr](to) = d.keep(&stream{})
		return success
	})
	d.addHere("cuStreamDestroy_v2", destroy)
	d.addHere("cuStreamSynchronize", func(c *state, handle, _, _, _, _ word) int {
		s, found := d.things[handle].(*stream)
		if !found {
			return invalidHandle
		}
		return s.drain(c)
	})
	d.addHere("cuStreamWaitEvent", func(_ *state, _, e, _, _, _ word) int {
		if _, found := d.things[e].(*event); !found {
			return invalidHandle
		}
		return success
	})
	d.addEvents(destroy)
	d.addGraphs(destroy)
}

func (d *Driver) addEvents(destroy func(s *state, a, b, c, e, g word) int) {
	d.addHere("cuEventCreate", func(_ *state, to, _, _, _, _ word) int {
		*at[uintptr](to) = d.keep(&event{})
		return success
	})
	d.addHere("cuEventDestroy_v2", destroy)
	d.addHere("cuEventRecord", func(c *state, handle, on, _, _, _ word) int {
		e, found := d.things[handle].(*event)
		if !found {
			return invalidHandle
		}
		e.recorded, e.waiting = true, e.waiting+1
		return d.enqueue(c, on, func() int {
			e.waiting = max(0, e.waiting-1) // a graph reaches its marks again and again
			e.time = float32(d.calls["cuEventRecord"])
			d.calls["cuEventRecord"]++
			return success
		})
	})
	d.addHere("cuEventSynchronize", func(c *state, handle, _, _, _, _ word) int {
		if _, found := d.things[handle].(*event); !found {
			return invalidHandle
		}
		// The event may be in any stream: all of them run.
		for _, thing := range d.things {
			if s, is := thing.(*stream); is && !s.capturing {
				if code := s.drain(c); code != success {
					return code
				}
			}
		}
		return success
	})
	d.addHere("cuEventElapsedTime", func(_ *state, to, from, until, _, _ word) int {
		start, ok := d.things[from].(*event)
		end, also := d.things[until].(*event)
		if !ok || !also || !start.recorded || !end.recorded {
			return invalidHandle
		}
		if start.waiting+end.waiting > 0 {
			return notReady
		}
		*at[float32](to) = end.time - start.time
		return success
	})
}

func (d *Driver) addGraphs(destroy func(s *state, a, b, c, e, g word) int) {
	d.addHere("cuStreamBeginCapture_v2", func(_ *state, handle, _, _, _, _ word) int {
		s, found := d.things[handle].(*stream)
		if !found || len(s.queue) > 0 {
			return invalidHandle
		}
		s.capturing, s.broken, d.capture = true, false, s
		return success
	})
	d.addHere("cuStreamEndCapture", func(_ *state, handle, to, _, _, _ word) int {
		s, found := d.things[handle].(*stream)
		if !found || !s.capturing {
			return invalidHandle
		}
		work := s.queue
		s.queue, s.capturing, d.capture = nil, false, nil
		if s.broken {
			*at[uintptr](to) = 0
			return captureBroken
		}
		*at[uintptr](to) = d.keep(&graph{work: work})
		return success
	})
	d.addHere("cuGraphInstantiateWithFlags", func(_ *state, to, from, _, _, _ word) int {
		g, found := d.things[from].(*graph)
		if !found {
			return invalidHandle
		}
		*at[uintptr](to) = d.keep(&graph{work: g.work})
		return success
	})
	d.addHere("cuGraphDestroy", destroy)
	d.addHere("cuGraphExecDestroy", destroy)
	d.addHere("cuGraphLaunch", func(c *state, handle, on, _, _, _ word) int {
		g, found := d.things[handle].(*graph)
		if !found {
			return invalidHandle
		}
		for _, w := range g.work {
			if code := d.enqueue(c, on, w); code != success {
				return code
			}
		}
		return success
	})
}
