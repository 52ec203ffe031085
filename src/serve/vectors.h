/* vectors.h: texts to vectors or scores, for the endpoints of any dialect that want them.
 *
 * Such an endpoint (answer.h) has vectors_start as its `instead`. Its `read` calls vectors_want, adds texts and sets what else it wants; its `whole` finds the vectors in
 * a->vectors. Texts are computed on the scheduler's thread, in pieces that those who generate hardly notice; a client that leaves ends the work. The vectors do not depend on what
 * else is computed. What is read stays as long as the answer. */
#ifndef HEARTH_VECTORS_H
#define HEARTH_VECTORS_H

#include "engine/embedder.h"
#include "serve/answer.h"

enum { VECTORS_MOST = 2048 /* texts of a request */ };

struct vectors_text {
    struct slice text;
    const int32_t *id;   /* tokens in place of a text, taken as they are; NULL: none */
    int n;               /* in the end, of the tokens that were read */
    const float *out;    /* [width] */
};

struct vectors {
    struct vectors_text *text; /* [n] */
    int n, room;
    const char *field;         /* of the texts in the request, for messages; "input[3]" when `listed`, else "input" */
    bool listed;
    /* what is wanted of them; each may be set before vectors_start */
    bool scores;               /* how well each answers `query` */
    struct slice query;
    int64_t dimensions;        /* 0: all. With fewer than the model has, vectors are cut and made as long as before */
    bool truncate;             /* texts that are too long lose their ends; not with scores */
    int normalize;             /* the norm by which vectors get length 1 (embedding_normalise); 2 at first */
    /* what came of it */
    int width;
    int64_t tokens;            /* of all texts */
};

/* For an answer's `read`: makes a->vectors, with room for `most` texts. ERR_FORMAT names the field: there are none, or more than VECTORS_MOST; ERR_MEMORY. */
int vectors_want(struct answer *a, size_t most, const char *field, bool listed, struct err *e);
void vectors_add(struct answer *a, struct slice text);                 /* borrowed */
void vectors_add_ids(struct answer *a, const int32_t *id, int n);      /* likewise */

/* An endpoint's `instead`. Errors name the field: ERR_FORMAT for dimensions that the model does not allow, ERR_CONTEXT for a text that is too long, ERR_TEXT for one that is empty or has
 * unknown tokens; those of models_embedder, tokenizer_encode and rerank_pair; ERR_BUSY; ERR_MEMORY. */
int vectors_start(struct answer *a, bool *later, struct err *e);

/* The answer's, when all is computed, before `whole`: cuts and norms. */
void vectors_shape(struct answer *a);

/* The answer's: ends the work soon; frees what vectors_want made. NULL is fine. */
void vectors_cancel(struct vectors *v, struct service *s); /* under the answer's lock */
void vectors_free(struct vectors *v);

/* A score as a probability: what a classifier with one output says, through the logistic function; those of decoders are probabilities already. */
double vectors_probability(const struct answer *a, float score);

#endif
