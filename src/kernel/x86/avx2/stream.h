/* stream.h: what int8.c takes from stream.c: products for few rows straight from the weights, and rows as they are laid out for them.
 * See stream_bytes and what follows it in kernel/kernel.h. */
#ifndef HEARTH_AVX2_STREAM_H
#define HEARTH_AVX2_STREAM_H

#include "kernel/kernel.h"
#include "kernel/x86/avx2/dot.h"

enum { STREAM_FEW = 8 }; /* more rows are faster through tiles */
size_t OF_SET(stream_bytes)(enum dtype type, size_t n);
void OF_SET(stream_layout)(enum dtype type, const struct act_row *x, size_t n, int rows, void *to);
void OF_SET(stream_few)(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, const void *x, int rows, float *out, size_t ld);
struct act_row OF_SET(stream_row)(const void *x, size_t n, int r); /* what row r was made from */

#endif
