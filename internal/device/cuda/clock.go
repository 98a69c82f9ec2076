package cuda

import (
	"errors"

	"align/internal/device/cuda/driver"
)

// Clock takes the card's own time of what is enqueued between marks.
type Clock struct {
	b     *Backend
	marks []*driver.Event
	used  int
}

// Clock returns a clock of the backend; Close gives its marks back.
func (b *Backend) Clock() *Clock { return &Clock{b: b} }

// Mark puts a mark behind what is enqueued.
func (c *Clock) Mark() error {
	return c.b.Within(func() error {
		if c.used == len(c.marks) {
			e, err := c.b.device.Event()
			if err != nil {
				return err
			}
			c.marks = append(c.marks, e)
		}
		c.used++
		return c.marks[c.used-1].Record(c.b.stream)
	})
}

// Seconds waits for all marks, forgets them and returns the time from each to the
// next one, in seconds.
func (c *Clock) Seconds() (times []float64, err error) {
	err = c.b.Within(func() error {
		if err := c.b.stream.Sync(); err != nil {
			return err
		}
		for i := 1; i < c.used; i++ {
			t, err := c.marks[i].Since(c.marks[i-1])
			if err != nil {
				return err
			}
			times = append(times, t.Seconds())
		}
		c.used = 0
		return nil
	})
	return times, err
}

// Close gives the marks back.
func (c *Clock) Close() error {
	return c.b.Within(func() error {
		var errs []error
		for _, e := range c.marks {
			errs = append(errs, e.Close())
		}
		c.marks, c.used = nil, 0
		return errors.Join(errs...)
	})
}
