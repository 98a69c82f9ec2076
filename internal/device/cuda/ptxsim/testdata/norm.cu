// RMSNorm of rows of float32 numbers, one block of 256 threads a row. A test
// of the simulator, not a kernel that ships.
#define KERNEL extern "C" __attribute__((global)) void
#define SHARED __attribute__((shared))
#define CONSTANT __attribute__((constant))
#define THREAD __nvvm_read_ptx_sreg_tid_x()
#define BLOCK __nvvm_read_ptx_sreg_ctaid_x()

CONSTANT float scale[4] = {1, 2, 3, 4};

static __attribute__((device)) float other(float x, int mask) {
  float r;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(r) : "f"(x), "r"(mask));
  return r;
}

KERNEL norm(float *y, const float *x, int n, float eps) {
  SHARED float parts[8];
  y += BLOCK * n;
  x += BLOCK * n;
  float sum = 0;
  for (int i = THREAD; i < n; i += 256) sum += x[i] * x[i];
  _Pragma("unroll") for (int m = 16; m; m >>= 1) sum += other(sum, m);
  if ((THREAD & 31) == 0) parts[THREAD >> 5] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < 8; i++) sum += parts[i];
  float r;
  asm("{ .reg .f32 t; rsqrt.approx.ftz.f32 t, %1; mov.f32 %0, t; }" : "=f"(r) : "f"(sum / n + eps));
  for (int i = THREAD; i < n; i += 256) y[i] = x[i] * r * scale[i & 3];
}
