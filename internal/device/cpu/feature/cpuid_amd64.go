package feature

// cpuid is the processor's answer about itself (Intel's manual, volume 2).
func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// xgetbv is the low half of XCR0: the registers that the system saves. It is an
// illegal instruction on a processor without AVX.
func xgetbv() uint32

// intel says whether Intel made the processor.
func intel() bool {
	_, b, c, d := cpuid(0, 0)
	return b == 0x756e6547 && d == 0x49656e69 && c == 0x6c65746e // "Genu" "ineI" "ntel"
}
