// Package cudatest opens a card for tests of kernels: by default the fake
// driver, which runs PTX in the simulator, and a real card where
// ALIGN_TEST_GPU is 1. The tests are the same. It runs on Linux.
//
//	c := cudatest.Open(t)
//	x := cudatest.Upload(t, c, values)
//	y := cudatest.Alloc[float32](t, c, len(values))
//	c.Run(t, ptx, "scale", driver.Dim{X: 4, Y: 1, Z: 1}, driver.Dim{X: 256, Y: 1, Z: 1}, 0, driver.Ptr(y), driver.Ptr(x))
//	got := cudatest.Download[float32](t, c, y, len(values))
//	if s, simulated := c.Stats("scale"); simulated && s.Conflicts() > 1 { ... }
package cudatest
