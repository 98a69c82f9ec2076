// Products of up to 8 rows.
#include "gemv.cuh"

FORMATS(FEW, gemv, 1)
