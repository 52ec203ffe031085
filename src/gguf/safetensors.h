/* safetensors.h: safetensors files, read and written (format: github.com/huggingface/safetensors, README).
 *
 * A file is mapped read-only; tensors point into the mapping. A model in several files is opened by its index
 * ("model.safetensors.index.json") and looks like one. After opening everything is validated, as the format's own
 * reader does: the header lies inside the file, every tensor's bytes are exactly what its shape and type need, they follow one
 * another without gaps or overlaps to the end of the file, and no name is there twice.
 *
 * Shapes are turned into our order: safetensors lists the outermost dimension first, ne[0] is the innermost. Of more
 * than four dimensions the outermost are multiplied into ne[3]. A dimension may be zero; a scalar has n_dims 0.
 * Data is aligned to its element only when the file's writer cared, so read it with memcpy or a dtype's decode.
 * One struct safetensors may be read from many threads.
 */
#ifndef HEARTH_SAFETENSORS_H
#define HEARTH_SAFETENSORS_H

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "tensor/tensor.h"

struct safetensor {
    struct tensor t;   /* unsigned integers and BOOL are given as the signed integer of their width */
    const char *dtype; /* as the file calls it: "BF16", "U8", "BOOL", ... */
};

struct safetensors_pair {
    const char *key, *value;
};

struct safetensors; /* owns the mappings, names and tables */

/* path: a .safetensors file, or the .json index of several. Errors: ERR_IO, ERR_FORMAT, ERR_UNSUPPORTED (a type that is
 * not read here, by its name: F8_E4M3, ...), ERR_MEMORY. */
int safetensors_open(struct safetensors **s, const char *path, struct err *e);
int safetensors_open_memory(struct safetensors **s, const void *data, size_t size, const char *name, struct err *e); /* data is borrowed */
void safetensors_close(struct safetensors *s); /* NULL is fine */

const char *safetensors_path(const struct safetensors *s); /* of the file or the index */
size_t safetensors_count(const struct safetensors *s);
const struct safetensor *safetensors_at(const struct safetensors *s, size_t i); /* in file order; NULL past the end */
const struct safetensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL: not there */

/* The header's __metadata__ (of several files: the first one's). Strings live as long as s. */
size_t safetensors_meta_count(const struct safetensors *s);
const struct safetensors_pair *safetensors_meta_at(const struct safetensors *s, size_t i);
const char *safetensors_meta(const struct safetensors *s, const char *key); /* NULL: not there */

/* Writes n tensors (F64 F32 F16 BF16 I8 I16 I32 I64) whose data is there, and metadata. Larger elements come first, then
 * by name, so that all are aligned. Atomic: temporary file, fsync, rename. ERR_USAGE: a type that the format has not, a
 * name twice or not UTF-8, a size that does not go with the shape. */
int safetensors_write(const char *path, const struct tensor *tensors, size_t n, const struct safetensors_pair *meta, size_t n_meta,
                      struct err *e);

#endif
