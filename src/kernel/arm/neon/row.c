/* row.c: the kernels on rows of activations in NEON. */
#include "kernel/arm/neon/math.h"

#include "kernel/vector_rows.h"

void kernels_neon_rows(struct kernels *k) { vector_rows(k); }
