/* embedder.h: texts to vectors, many at once: embeddings, and the scores of rerankers.
 *
 * A text is whole in one step, so nothing of it is kept from one layer to the next but its rows, and many texts share a step, each a sequence of
 * its own. A text's vector has the same bits alone and among others. Encoders, which read a text both ways, and decoders both work.
 *
 * One thread drives an embedder; the workers of the pool run inside embedder_step only. The model must outlive it.
 */
#ifndef HEARTH_EMBEDDER_H
#define HEARTH_EMBEDDER_H

#include "base/err.h"
#include "base/thread.h"
#include "engine/engine.h"
#include "model/model.h"

struct embedder_options {
    enum pooling pooling;  /* POOL_UNSAID: as the file says */
    int n_ctx;             /* most tokens of a text; 0: what the model was made for, 8192 at the most, or what fits memory */
    int max_rows;          /* tokens of a step that several texts share; 0: 512. A longer text has a step of its own */
    enum dtype kv_type;    /* of keys and values while a layer runs: F32, F16, BF16 or Q8_0 */
    const char *isa;       /* kernels; NULL: HEARTH_ISA or the best there are */
    uint64_t memory_limit; /* bytes the whole may take; 0: what the system has */
    bool paged;            /* run even when the weights do not fit memory */
    const struct option_names *names; /* borrowed; NULL: the program's flags */
};

struct embedder;

/* Errors: ERR_CONTEXT when n_ctx is more than the model was made for; ERR_MEMORY with what is needed beside what there is; ERR_UNSUPPORTED for
 * POOL_RANK when the file has no classifier; those of model_record. The pool is borrowed. */
int embedder_new(struct embedder **em, const struct model *m, struct pool *pool, struct embedder_options o, struct err *e);
void embedder_free(struct embedder *em); /* NULL is fine */
int embedder_context(const struct embedder *em);          /* most tokens of a text */
int embedder_width(const struct embedder *em);            /* numbers of a vector: the model's width, or how many scores its classifier gives */
enum pooling embedder_pooling(const struct embedder *em); /* never POOL_UNSAID */
const struct graph *embedder_graph(const struct embedder *em);
const char *embedder_isa(const struct embedder *em);

struct embed_text {
    const int32_t *id;
    const int32_t *segment; /* [n] which text of a pair each token belongs to, 0 or 1; NULL: 0 */
    int n;                  /* at least one */
    float *out;             /* gets the vector, [width]; with POOL_NONE one for each token, [n][width] */
};

/* Whether a text can be computed: ERR_CONTEXT and ERR_TEXT as below. Any thread. */
int embedder_check(const struct embedder *em, const struct embed_text *text, struct err *e);

/* Computes the first of n texts, as many as share a step and at least one, and says in *done how many. Scores of a decoder's classifier with several
 * outputs ("yes" and "no") come as probabilities. Errors, with *done 0, are about the first text or the step: ERR_CONTEXT with both numbers when it is longer
 * than the context, ERR_TEXT when it is empty or an id is outside the vocabulary, ERR_FORMAT when what comes out are no numbers, ERR_MEMORY. */
int embedder_step(struct embedder *em, const struct embed_text *texts, int n, int *done, struct err *e);

/* The same in pieces of about `seconds` (0: all at once; an operation of the graph is never cut), between which the thread and the pool are free for other
 * work. The texts stay where they are until *over, which is also said with an error, or until the step is dropped. embedder_begin says in *count how many texts the step
 * takes; its errors, with *count 0, are embedder_step's but for ERR_FORMAT. Nothing else may be begun before. */
int embedder_begin(struct embedder *em, const struct embed_text *texts, int n, int *count, struct err *e);
int embedder_continue(struct embedder *em, double seconds, bool *over, struct err *e);
void embedder_drop(struct embedder *em);
bool embedder_busy(const struct embedder *em); /* a step was begun and is not over */

/* Scales a vector to length 1 by the p-norm: 2 is the usual length, 1 the sum of magnitudes; 0: the largest magnitude becomes 32760; -1: it stays as it
 * is. A vector of zeros stays so. */
void embedding_normalise(float *v, int n, int p);

#endif
