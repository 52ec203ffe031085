/* quantize.h: writing a model file anew with smaller (or larger) element types.
 *
 * A target is a name such as "Q4_K_M". It stands for one element type, or for a mix: a base type and a few tensors that get
 * more bits because the answers depend on them most. The mixes and their GGUF numbers are those that llama.cpp's users know,
 * so a file has the same types wherever it was made. Norms, biases, vectors and small matrices keep what they have.
 *
 * The input is only read. Memory: the largest tensor as converted, and one row per thread. One thread drives; the rows of a
 * tensor are shared out over the pool, and the result does not depend on how many threads there are.
 */
#ifndef HEARTH_QUANTIZE_H
#define HEARTH_QUANTIZE_H

#include "base/thread.h"
#include "gguf/gguf.h"

struct quant_target; /* constant, never freed */

/* The target of that name (case is ignored), or NULL. The i-th name for lists, or NULL past the end. */
const struct quant_target *quant_target_find(const char *name);
const char *quant_target_name(int i);

/* Tensors whose rows are not whole blocks of the type meant for them. */
struct quant_misfits {
    int n;
    const struct tensor *first;
    enum dtype given; /* what the first one gets */
};

/* The type that each tensor of g would get, in the order of the file, into types[gguf_tensor_count(g)]. pure: the target's base
 * type wherever the shape allows it, no mix. A misfit gets the nearest type that its rows can have, F16 at the last; they are
 * counted in *misfits, which may be NULL. ERR_FORMAT: keys that the rules read are of the wrong kind; ERR_MEMORY. */
int quantize_types(const struct gguf *g, const struct quant_target *target, bool pure, enum dtype *types, struct quant_misfits *misfits, struct err *e);

struct quantize_options {
    const struct quant_target *target;
    bool pure;
    bool allow_requantize; /* take a source that is quantised already, though errors add up */
    /* Called by the driving thread before each tensor that is converted, and every few milliseconds of converting and writing;
     * bytes are those of the input that are converted. Not 0: the writing ends soon, with that code. NULL: not called. */
    int (*progress)(void *ctx, const char *tensor, uint64_t done, uint64_t total, struct err *e);
    void *ctx;
};

struct quantize_report {
    uint64_t bytes_before, bytes_after, elements; /* of all tensors */
    int tensors, changed, misfits;                /* changed: of another type than before */
};

/* Writes g to path with the target's types, keeping all keys but general.file_type and general.quantization_version, which it
 * sets. A warning tells of
 * misfits. path is replaced when all is written.
 * Errors: ERR_USAGE for a quantised source without allow_requantize (decoding to F32 is always allowed); ERR_FORMAT,
 * ERR_IO, ERR_MEMORY. */
int quantize_write(const struct gguf *g, const char *path, const struct quantize_options *o, struct pool *pool, struct quantize_report *r, struct err *e);

/* The GGUF number (general.file_type) and base type of a target. */
uint32_t quant_target_file_type(const struct quant_target *t);
enum dtype quant_target_base(const struct quant_target *t);

#endif
