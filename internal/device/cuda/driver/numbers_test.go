package driver

import "testing"

// The numbers that we take from cuda.h, by the names that it has for them; they are
// the same in the headers of CUDA 11.8, 12.9 and 13.5, but that tensor maps are not in the
// first.
func TestNumbersAreCUDAs(t *testing.T) {
	for name, n := range map[string][2]int{
		"CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT":              {attributeUnits, 16},
		"CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR":          {attributeMajor, 75},
		"CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR":          {attributeMinor, 76},
		"CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": {attributeSharedMemory, 97},
		"CU_JIT_ERROR_LOG_BUFFER":                               {jitErrorLog, 5},
		"CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES":                    {jitErrorLogSize, 6},
		"CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES":                    {functionLocalBytes, 3},
		"CU_FUNC_ATTRIBUTE_NUM_REGS":                            {functionRegisters, 4},
		"CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES":       {functionSharedMemory, 8},
		"CU_TENSOR_MAP_NUM_QWORDS":                              {TensorMapBytes / 8, 16},
		"CU_TENSOR_MAP_DATA_TYPE_BFLOAT16":                      {tensorBF16, 9},
		"CU_TENSOR_MAP_INTERLEAVE_NONE":                         {tensorPlain, 0},
		"CU_TENSOR_MAP_SWIZZLE_128B":                            {tensorSwizzle128, 3},
		"CU_TENSOR_MAP_L2_PROMOTION_L2_128B":                    {tensorPromote128, 2},
		"CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE":                     {tensorZeros, 0},
		"CUDA_ERROR_OUT_OF_MEMORY":                              {codeOutOfMemory, 2},
		"CUDA_ERROR_NO_DEVICE":                                  {codeNoDevice, 100},
		"CUDA_ERROR_INVALID_DEVICE":                             {codeBadDevice, 101},
	} {
		if n[0] != n[1] {
			t.Errorf("%s is %d: want %d", name, n[0], n[1])
		}
	}
}

// A device is lost after the codes of which cuda.h says that the process must be
// ended or the context destroyed, and after uncorrectable errors of memory and
// links; after no other.
func TestCodesThatBreakTheContext(t *testing.T) {
	lost := map[int]string{
		214: "ECC_UNCORRECTABLE", 220: "NVLINK_UNCORRECTABLE", 226: "CONTAINED", 700: "ILLEGAL_ADDRESS", 702: "LAUNCH_TIMEOUT",
		710: "ASSERT", 714: "HARDWARE_STACK_ERROR", 715: "ILLEGAL_INSTRUCTION", 716: "MISALIGNED_ADDRESS", 717: "INVALID_ADDRESS_SPACE",
		718: "INVALID_PC", 719: "LAUNCH_FAILED", 721: "TENSOR_MEMORY_LEAK", 810: "MPS_CLIENT_TERMINATED", 911: "EXTERNAL_DEVICE",
	}
	for code := range 1000 {
		if name, is := lost[code]; sticky(code) != is {
			t.Errorf("%s (%d) breaks the context: %v, want %v", name, code, !is, is)
		}
	}
}
