package align

import "testing"

// Who runs a stage is told of the threads that were asked for, and of nothing where
// all are taken.
func TestThreadsAreTold(t *testing.T) {
	for _, asked := range []int{0, 1, 2} {
		told := 0
		b, _, err := Compute{Device: "cpu", Precision: "f32", Threads: asked}.open(Environment{Threads: func(n int) { told = n }})
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		if told != asked {
			t.Errorf("asked for %d threads, told %d", asked, told)
		}
	}
}
