package feature

import "golang.org/x/sys/cpu"

// detect relies on x/sys/cpu to check that the system saves the wide registers.
func detect() Level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return Generic
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL:
		return AVX2
	case !x.HasAVX512BF16:
		return AVX512
	case !hasTiles():
		return AVX512BF16
	}
	return AMX
}

// fastest differs from detect where VDPBF16PS is slower than widening the
// bfloat16 and multiplying float32: on Intel's processors, 89 against 231
// GFLOP/s of a Xeon's core. AMD's do it at twice the rate of float32.
func fastest() (Level, string) {
	if level := detect(); level == AVX512BF16 && intel() {
		return AVX512, "Intel's VDPBF16PS is slower than float32, to which bfloat16 is widened"
	} else {
		return level, ""
	}
}
