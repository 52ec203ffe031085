/* gguf.h: GGUF files, read and written (specification: ggml/docs/gguf.md; versions 2 and 3, little-endian).
 *
 * A file is mapped read-only; tensors point into the mapping, strings into it too (not NUL-terminated) unless said
 * otherwise. A split file ("name-00001-of-00003.gguf") is opened by its first part and looks like one. After opening,
 * everything is validated: every key and tensor lies inside the file, no name twice, no size overflows, no dimension is
 * zero, tensor data starts at multiples of general.alignment (at least 8); keys and tensor names are UTF-8, not empty and
 * without NUL (string values may hold any bytes). Readers below need no further checks. Tensors may overlap.
 * One struct gguf may be read from many threads.
 *
 * Of a split file all parts' tensors are there, and the keys of the first part; a later part may add keys, or repeat some
 * with the same value. split.* says how the file is stored, not what the model is: it is checked and not listed.
 */
#ifndef HEARTH_GGUF_H
#define HEARTH_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "tensor/tensor.h"

enum { GGUF_ALIGNMENT = 32 }; /* of tensor data, where general.alignment does not say otherwise */

enum gguf_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64
};

struct gguf_kv {
    struct slice key;
    enum gguf_type type;    /* of the value; GGUF_ARRAY for arrays */
    enum gguf_type element; /* of an array's elements; else the same as type */
    uint64_t count;         /* of an array's elements; else 1 */
    const uint8_t *data;    /* the value's bytes as in the file: little-endian, not aligned */
    const struct slice *strings; /* the elements of a string array, or the one string */
};

struct gguf; /* owns the mappings */

/* Errors: ERR_IO, ERR_FORMAT (with the offset and the name of the key or tensor), ERR_UNSUPPORTED, ERR_MEMORY. */
int gguf_open(struct gguf **g, const char *path, struct err *e);
int gguf_open_memory(struct gguf **g, const void *data, size_t size, const char *name, struct err *e); /* data is borrowed and lies at a multiple of 8 */
void gguf_close(struct gguf *g); /* NULL is fine */

const char *gguf_path(const struct gguf *g); /* or the name given to gguf_open_memory */
uint32_t gguf_version(const struct gguf *g);
uint64_t gguf_file_size(const struct gguf *g); /* bytes of all parts */
int gguf_part_count(const struct gguf *g);
size_t gguf_kv_count(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i); /* in file order; NULL past the end */
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key); /* NULL: not there */
size_t gguf_tensor_count(const struct gguf *g);
const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i); /* in file order; NULL past the end */
const char *gguf_tensor_where(const struct gguf *g, size_t i, uint64_t *offset); /* path of its part, and the byte its data starts at */
const struct tensor *gguf_tensor(const struct gguf *g, const char *name); /* NULL: not there */

/* Typed readers. *out keeps what it had when the key is absent (0 is returned: absence is the caller's to judge). A key that is there with another kind of value is ERR_FORMAT, and so are a number that does not fit, NaN and infinity.
 * Integers of every width are taken. */
int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *e);
int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e);
int gguf_get_i32(const struct gguf *g, const char *key, int32_t *out, struct err *e);
int gguf_get_f32(const struct gguf *g, const char *key, float *out, struct err *e); /* takes integers too */
int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *e);
int gguf_get_str(const struct gguf *g, const char *key, struct slice *out, struct err *e);

/* n values, one per layer say: from an array of at least n elements, or from a single value that stands for all of them.
 * A shorter array is ERR_FORMAT; else as above. */
int gguf_get_u32s(const struct gguf *g, const char *key, uint32_t *out, size_t n, struct err *e);
int gguf_get_f32s(const struct gguf *g, const char *key, float *out, size_t n, struct err *e);
int gguf_get_bools(const struct gguf *g, const char *key, bool *out, size_t n, struct err *e);

bool gguf_is_integer(enum gguf_type type); /* not GGUF_BOOL */
bool gguf_is_float(enum gguf_type type);
const char *gguf_type_name(enum gguf_type type); /* "u32", "string", ... */

/* Element i of an array (or, with i = 0, a single value) of numbers or truth values, as a double or an int64 (a u64 above
 * INT64_MAX wraps to negative, a float is cut). The caller has checked type and count. */
double gguf_array_f64(const struct gguf_kv *kv, uint64_t i);
int64_t gguf_array_i64(const struct gguf_kv *kv, uint64_t i);

/* Writer (version 3): keys and tensors are added, then written in one pass in the order of adding. Names, strings, arrays
 * and data are borrowed until gguf_write returns; single values are copied. A key that is there already is replaced in
 * its place; general.alignment is honoured. Memory is bounded by the largest tensor that has a fill function.
 * gguf_put_* return ERR_MEMORY or ERR_USAGE (a name that is empty, too long or not UTF-8, a tensor twice, a shape or size
 * that does not go with its type). One thread at a time. */
struct gguf_writer;
int gguf_writer_new(struct gguf_writer **w, struct err *e);
void gguf_writer_free(struct gguf_writer *w);
int gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv, struct err *e); /* a key as a reader gives it */
int gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v, struct err *e);
int gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v, struct err *e);
int gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v, struct err *e);
int gguf_put_f32(struct gguf_writer *w, const char *key, float v, struct err *e);
int gguf_put_bool(struct gguf_writer *w, const char *key, bool v, struct err *e);
int gguf_put_str(struct gguf_writer *w, const char *key, struct slice v, struct err *e);
int gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type element, const void *data, uint64_t count, struct err *e); /* of numbers or truth values */
int gguf_put_strings(struct gguf_writer *w, const char *key, const struct slice *v, uint64_t count, struct err *e);

/* Fills data (t->size bytes) for one tensor when its turn to be written comes; called in order of adding. t->data may be
 * NULL then. An error ends the writing. */
typedef int (*gguf_fill_fn)(void *ctx, const struct tensor *t, void *data, struct err *e);
int gguf_put_tensor(struct gguf_writer *w, const struct tensor *t, gguf_fill_fn fill, void *ctx, struct err *e); /* fill NULL: t->data is written */
/* Called by gguf_write before each piece of tensor data, a megabyte at most: so long writing can be stopped. An error ends the writing. */
typedef int (*gguf_watch_fn)(void *ctx, struct err *e);
void gguf_writer_watch(struct gguf_writer *w, gguf_watch_fn watch, void *ctx);
int gguf_write(struct gguf_writer *w, const char *path, struct err *e); /* atomic: temporary file, fsync, rename */

#endif
