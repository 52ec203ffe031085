/* common.h: what commands share: the flags of a model, opening one with everything around it, and progress on a terminal. */
#ifndef HEARTH_COMMON_H
#define HEARTH_COMMON_H

#include "app/args.h"
#include "engine/engine.h"

struct model_options {
    const char *model; /* -m; the first word of the command line counts too; NULL: the embedded default model */
    int n_ctx, threads, batch, ubatch;
    const char *kv_type;
    bool paged;
    uint64_t memory_limit;
};
extern const struct flag FLAGS_MODEL[]; /* for a struct that begins with a struct model_options */

/* A model with its pool and engine, ready for sequences. */
struct session {
    struct model *model;
    struct pool *pool;
    struct engine *engine;
};
/* o->kv_type NULL: default_kv. max_logits as in struct engine_options. */
int session_open(struct session *s, const struct model_options *o, const char *default_kv, int max_logits, struct err *e);
void session_close(struct session *s);

/* Opens the model that o names, or the embedded one. */
int open_model(struct model **m, const struct model_options *o, struct err *e);

#endif
