/* logprobs_file.h: what `hearth perplexity --save-logits` writes and --kl-divergence reads: a text in tokens, and the log-probabilities of the
 * whole vocabulary at every place that was scored.
 *
 * Little-endian, without padding:
 *   8 bytes   "HEARTHLP"
 *   uint32    version (1), element type (0 float32, 1 float16), n_vocab, n_ctx (tokens of a chunk), n_chunks, first (place in a chunk of the
 *             first row)
 *   int32     ids [n_chunks][n_ctx]
 *   elements  rows [n_chunks][n_ctx - 1 - first][n_vocab]: natural logs of probabilities; row p predicts the token at p + 1
 *
 * One thread writes; a file that is open may be read by many.
 */
#ifndef HEARTH_APP_LOGPROBS_FILE_H
#define HEARTH_APP_LOGPROBS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/os.h"

struct logprobs_file {
    uint32_t n_vocab, n_ctx, n_chunks, first;
    bool half;
    int32_t *ids;          /* [n_chunks * n_ctx], owned */
    const uint8_t *rows;   /* in map; NULL for a text alone */
    struct os_map map;
};

/* A text alone: n_chunks * n_ctx ids are copied. The second half of each chunk is scored. */
int logprobs_text(struct logprobs_file *f, uint32_t n_vocab, uint32_t n_ctx, uint32_t n_chunks, const int32_t *ids, struct err *e);

/* Opens a file and checks all of it but the rows' values. ERR_IO, ERR_FORMAT (with the offset), ERR_MEMORY; ERR_USAGE when it is from
 * another vocabulary than the n_vocab of the model. */
int logprobs_open(struct logprobs_file *f, const char *path, uint32_t n_vocab, struct err *e);
int logprobs_context(const char *path, int *n_ctx, struct err *e); /* only its n_ctx */
void logprobs_close(struct logprobs_file *f);                      /* fine on a zeroed one */

static inline const int32_t *logprobs_ids(const struct logprobs_file *f, int chunk) { return f->ids + (size_t)chunk * f->n_ctx; }
static inline int32_t logprobs_id(const struct logprobs_file *f, int chunk, int at) { return logprobs_ids(f, chunk)[at]; }
const void *logprobs_row(const struct logprobs_file *f, int chunk, int at);
float logprobs_at(const struct logprobs_file *f, const void *row, int id);

/* Writes the header and ids of f, then rows in order. */
struct logprobs_writer;
int logprobs_create(struct logprobs_writer **w, const struct logprobs_file *f, const char *path, bool half, struct err *e);
int logprobs_write(struct logprobs_writer *w, const float *row, struct err *e);
int logprobs_finish(struct logprobs_writer *w, struct err *e); /* puts the file in place and frees w, also on an error */
void logprobs_abort(struct logprobs_writer *w);                /* NULL is fine */

#endif
