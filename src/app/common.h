/* common.h: what commands share: opening a model with everything around it, standard output, progress, interruption. */
#ifndef HEARTH_COMMON_H
#define HEARTH_COMMON_H

#include <signal.h>

#include "app/args.h"
#include "engine/engine.h"
#include "text/tokenizer.h"

struct model_options {
    const char *model; /* -m; the first word of the command line counts too; NULL: the embedded default model */
    int n_ctx; /* 0: the command's default; CONTEXT_OWN: what the model was made for, or what fits memory */
    int threads, batch, ubatch;
    const char *cpus; /* as open_pool takes them */
    const char *kv_type, *v_type; /* v_type: NULL, or the same again */
    bool paged;
    uint64_t memory_limit;
};
extern const struct flag FLAGS_MODEL[]; /* for a struct that begins with a struct model_options */

/* A model with its pool and engine, ready for sequences. */
struct session {
    struct model *model;
    struct pool *pool;
    struct engine *engine;
    struct tokenizer *tok; /* after session_tokenizer */
    struct model *draft_model; /* after session_draft */
    struct engine *draft;
    struct adapter *adapter;   /* after lora_open; NULL: none */
    int adapter_id;            /* its number in the engine */
    double load_s;         /* seconds that session_open took */
};
/* o->kv_type NULL: default_kv. max_logits as in struct engine_options. */
int session_open(struct session *s, const struct model_options *o, const char *default_kv, int max_logits, struct err *e);
int session_tokenizer(struct session *s, struct err *e); /* ERR_UNSUPPORTED when the model can only be run on ids */
/* Opens a draft model beside the session's, whose tokenizer is there, with its settings. ERR_UNSUPPORTED: another vocabulary. */
int session_draft(struct session *s, const struct model_options *o, const char *path, const char *default_kv, struct err *e);
void session_close(struct session *s);

/* Opens the model that o names, or the embedded one, saying so on standard error. The same for its file alone. */
int open_model(struct model **m, const struct model_options *o, struct err *e);
int open_file(struct gguf **g, const struct model_options *o, struct err *e);

/* How o wants keys and values; otherwise: without a wish. ERR_USAGE for what is no type, and for two. */
int kv_type_of(const struct model_options *o, const char *otherwise, enum dtype *type, struct err *e);

/* Sets o->n_ctx to n, or to what the model was made for where that is less. */
int default_context(struct model_options *o, int n, struct err *e);

/* Token ids in text (a NUL stands behind it), separated by white space or commas; *ids is the caller's to free, also after an error. name: for messages. */
int parse_ids(struct slice text, const char *name, struct tokens *ids, struct err *e);

/* os_read_file that Ctrl-C ends. */
int read_input(const char *path, size_t limit, struct buf *b, struct err *e);

/* Standard output. A reader that has gone (a closed pipe) is ERR_IO without a message: the program then ends quietly. */
int out_write(struct slice text, struct err *e);
int out_flush(struct err *e);

/* A line that is overwritten on standard error, when that is a terminal; At most a few are shown a second. */
void progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void progress_clear(void);

/* Set by main's handler: 0, or the signal that came: SIGINT (Ctrl-C), SIGTERM or SIGHUP. Long work looks at it and ends with
 * ERR_CANCELLED. A second signal ends the program at once, except for Ctrl-C in a conversation: there it stops the answer, and ends
 * the program only when that takes more than a second. These two are the mutable globals of the program: a signal handler can
 * reach nothing else. */
extern volatile sig_atomic_t interrupted, conversing;
int check_interrupt(struct err *e); /* ERR_CANCELLED or 0 */

#endif
