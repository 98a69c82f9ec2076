package compute_test

import (
	"testing"

	"align/internal/compute"
)

// Who runs a stage is told of the threads that were asked for, and of nothing where
// all are taken.
func TestThreadsAreTold(t *testing.T) {
	for _, asked := range []int{0, 1, 2} {
		told := 0
		b, _, err := compute.Settings{Device: "cpu", Precision: "f32", Threads: asked}.Open(nil, func(n int) { told = n })
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		if told != asked {
			t.Errorf("asked for %d threads, told %d", asked, told)
		}
	}
}
