/* row.c: the kernels on rows of activations in SSE4.2. */
#include "kernel/x86/sse42/math.h"

#include "kernel/vector_rows.h"

void kernels_sse42_rows(struct kernels *k) { vector_rows(k); }
