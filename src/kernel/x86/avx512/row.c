/* row.c: the kernels on rows of activations in AVX-512. */
#include "kernel/x86/avx512/math.h"

#include "kernel/vector_rows.h"

void kernels_avx512_rows(struct kernels *k) { vector_rows(k); }
