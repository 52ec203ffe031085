/* row.c: the kernels on rows of activations in AVX2. */
#include "kernel/x86/avx2/math.h"

#include "kernel/vector_rows.h"

void kernels_avx2_rows(struct kernels *k) { vector_rows(k); }
