// Products of 9 to 16 rows, in a file of their own: a card translates them when they
// are first asked for.
#include "gemv.cuh"

FORMATS(FEW, gemv16, 2)
