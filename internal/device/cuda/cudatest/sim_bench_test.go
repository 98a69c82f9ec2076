package cudatest_test

import (
	"testing"

	"align/internal/device/cuda/kernels"
	"align/internal/device/cuda/ptxsim"
)

// BenchmarkParse is the simulator reading one of the larger modules.
func BenchmarkParse(b *testing.B) {
	text, err := kernels.PTX("gemv")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ptxsim.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProduct is the simulator running gemm_nt_small over 128 x 128 x 256.
func BenchmarkProduct(b *testing.B) {
	text, err := kernels.PTX("gemm")
	if err != nil {
		b.Fatal(err)
	}
	m, err := ptxsim.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	k := m.Kernel("gemm_nt_small")
	for _, races := range []bool{false, true} {
		name := map[bool]string{false: "races=off", true: "races=on"}[races]
		b.Run(name, func(b *testing.B) {
			const rows, cols, depth = 128, 128, 256
			var memory ptxsim.Memory
			for i, n := range []int{2 * rows * depth, 2 * cols * depth, 16, 16, 4 * rows * cols, 4 * cols} {
				memory.Add(uint64(i+1)<<32, make([]byte, n))
			}
			at := func(i int) uint64 { return uint64(i) << 32 }
			args := []uint64{at(1), at(2), at(3), at(4), at(5), at(6), depth, depth, 8, 8, cols, rows, cols, depth, 0, 0x3f800000, 1, depth, 0}
			sim := &ptxsim.Sim{Races: races}
			for b.Loop() {
				if err := sim.Launch(k, [3]int{4, 1, 1}, [3]int{128, 1, 1}, 3*64*128, args, &memory); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(sim.Stats(k.Name).Instructions)/b.Elapsed().Seconds()/1e6, "Minstr/s")
		})
	}
}
