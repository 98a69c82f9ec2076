// Products of up to 8 rows with weights of few columns.
#include "gemv.cuh"

FORMATS(NARROW, gemv_narrow)
