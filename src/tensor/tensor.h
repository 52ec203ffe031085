/* tensor.h: a named block of numbers, as a file holds it.
 *
 * ne[0] is the length of a row (contiguous), as in GGUF; a matrix that maps n_in inputs to n_out outputs has
 * ne = {n_in, n_out}. The data is borrowed (mapped read-only) and lives as long as the file that owns it.
 */
#ifndef HEARTH_TENSOR_H
#define HEARTH_TENSOR_H

#include "base/mem.h"
#include "tensor/dtype.h"

enum { TENSOR_DIMS = 4 };

struct tensor {
    const char *name;
    enum dtype type;
    int n_dims;
    int64_t ne[TENSOR_DIMS]; /* unused dimensions are 1 */
    const void *data;
    size_t size;             /* bytes */
};

static inline int64_t tensor_elements(const struct tensor *t) { return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; }
static inline int64_t tensor_rows(const struct tensor *t) { return t->ne[1] * t->ne[2] * t->ne[3]; }
static inline size_t tensor_row_bytes(const struct tensor *t) { return dtype_size(t->type, (uint64_t)t->ne[0]); }

#endif
