/* engine.h: sequences of tokens, many at once, on one model.
 *
 * Tokens are fed to sequences; each step packs what is pending, small pieces first, then chunks of prompts, runs the graph once and
 * hands out the logits that were asked for. A row's logits do not depend on what else was in its step.
 *
 * What a sequence remembers has three kinds (DESIGN.md): global KV pages, window pages, of which only those that the window still
 * reaches are kept, and recurrent state, of which snapshots are kept so that a sequence can go back. Pages are counted by
 * reference: a fork shares them and copies only what it writes, and whole pages stay in a tree of prefixes (prefix.h) for sequences that begin
 * alike.
 *
 * One thread drives an engine: all functions here are that thread's. The workers of the pool run inside engine_step only.
 * The model must outlive its engine, the engine its sequences.
 */
#ifndef HEARTH_ENGINE_H
#define HEARTH_ENGINE_H

#include "base/blocks.h"
#include "base/err.h"
#include "base/thread.h"
#include "engine/prefix.h"
#include "model/adapter.h"
#include "model/model.h"

/* What messages call the options that they advise to change. */
struct option_names {
    const char *context, *batch, *kv_type, *paged;
};

struct engine_options {
    int n_ctx;             /* positions a sequence may hold; 0: what the model was made for, or what fits memory (with fewer rows, if need be) */
    int max_rows;          /* rows of a step; 0: 512 */
    int max_logits;        /* rows of a step whose logits are wanted; 0: 16 */
    enum dtype kv_type;    /* F32, F16, BF16 or Q8_0 */
    const char *isa;       /* kernels; NULL: HEARTH_ISA or the best there are */
    uint64_t cache_bytes;  /* what computed prefixes may take that no sequence holds, for seq_reuse; 0: none are kept */
    struct block_store *store; /* where computed prefixes outlive memory and the engine; borrowed, may serve many engines; NULL: nowhere */
    uint64_t memory_limit; /* bytes the whole may take; 0: what the system has */
    bool paged;            /* run even when the weights do not fit memory: they are then read from disk as needed */
    const struct option_names *names; /* borrowed; NULL: the program's flags */
};

struct engine;
struct seq;

/* Errors: ERR_CONTEXT when n_ctx is more than the model was made for; ERR_MEMORY with what is needed beside what there is; those of
 * model_record. The pool is borrowed and may serve many engines. */
int engine_new(struct engine **en, const struct model *m, struct pool *pool, struct engine_options o, struct err *e);
void engine_free(struct engine *en); /* after its sequences; NULL is fine */
int engine_context(const struct engine *en);                 /* positions a sequence may hold */
int engine_rows(const struct engine *en);                    /* most rows of a step */
const struct model *engine_model(const struct engine *en);
const struct graph *engine_graph(const struct engine *en);
const char *engine_isa(const struct engine *en);
void engine_watch(struct engine *en, struct graph_watch *w); /* see graph_watch; NULL: no watch */

/* Bytes of a sequence's keys, values and state when it holds n tokens. */
uint64_t engine_sequence_bytes(const struct engine *en, int n);
struct memory_need {
    uint64_t weights, sequence, buffers; /* bytes: the file, one full sequence, a step's buffers */
};
struct memory_need engine_memory(const struct engine *en);

int seq_new(struct seq **s, struct engine *en, struct err *e);
void seq_free(struct seq *s);                                /* NULL is fine */
int seq_fork(struct seq **copy, struct seq *s, struct err *e); /* shares pages; nothing may be pending in s */

enum want { WANT_NONE, WANT_LAST, WANT_ALL };                /* whose logits */
/* Appends n tokens (copied) to what is pending. ERR_CONTEXT with both numbers when they do not fit, ERR_TEXT for an id outside the
 * vocabulary; nothing is appended then. */
int seq_feed(struct seq *s, const int32_t *ids, int n, enum want want, struct err *e);
/* Takes over what the engine still knows of the beginning of ids [n], for a sequence that holds nothing yet, and returns how many tokens that was: a
 * multiple of KV_PAGE, less than n, so that something is left to compute. The caller feeds the rest. Of a sequence with an adapter these are the tokens before
 * it acts, which are the same for all, or, where it acts from the first one on, those that it was computed with before; set it first. */
int seq_reuse(struct seq *s, const int32_t *ids, int n);
int seq_reused(const struct seq *s);                         /* tokens taken over, in all */

/* Of a prompt of n tokens, those that the engine will know once they are computed: what seq_reuse gives for the same prompt then, unless memory was short. */
int seq_storable(const struct seq *s, int n);

/* Where ids [n] departs from the text that the engine knows and that is nearest to it, for somebody who wonders why so little will be reused. For a sequence that holds
 * nothing yet and has its adapter. False: it does not; what is
 * known is a beginning of ids, or ids of it, in whole pages. Looks at everything that is known. */
struct seq_departure {
    int position;           /* of the first token that differs */
    int32_t expected, found; /* there: in what is known, in ids */
    const int32_t *before;  /* [n_before] the tokens of ids before it */
    int n_before;
};
bool seq_departs(const struct seq *s, const int32_t *ids, int n, struct seq_departure *d);

/* Begins to read back from the engine's store what seq_reuse could take over of ids [n] beyond what memory has, for a sequence that holds nothing yet and has its
 * adapter; ids are copied. NULL: there is nothing. Reading goes on by itself, and steps may run meanwhile. fetch_wait waits at most so many seconds
 * (0: not at all) and tells whether it is over. fetch_end calls off what is not, frees it, and gives what was read to the tree, for a seq_reuse that follows at once;
 * true: it only waited for another one that reads what both begin with, and seq_fetch should be asked again. What proves damaged or gone makes
 * it less, never wrong. */
struct fetch;
struct fetch *seq_fetch(const struct seq *s, const int32_t *ids, int n);
bool fetch_wait(struct fetch *f, double seconds);
bool fetch_end(struct fetch *f); /* before the engine is freed */

/* Before an engine with a store is freed: engine_keep gives the store all that memory has and the store may not, and engine_kept, which any thread may call,
 * waits at most so many seconds until it is written, and tells whether it is. What is not written when the engine is freed is lost. */
void engine_keep(struct engine *en);
bool engine_kept(struct engine *en, double seconds);

/* What is pending is a prompt: it is computed in the way of long spans however it comes to be cut into steps, so that its bits do not depend on that, nor on how
 * much of it was taken over, where that was a prompt too: pages that were generated have the bits of generation. What another sequence computes of it
 * meanwhile is taken over as well, so that of prompts that begin alike the beginning is computed once. Steps take short prompts before long ones, and now and then the oldest. Otherwise pieces of at most VERIFY_ROWS are computed in the way of generation. */
void seq_prompt(struct seq *s);

/* What is fed will be asked for again up to `position` or a little further (the end of a message). Of models with recurrent state, the state at the last page's
 * end before it is kept for seq_reuse, if it lies beyond seq_length. Pages up to there are written to the engine's store as they are computed. */
void seq_expect_reuse(struct seq *s, int position);

struct prefix_counts engine_cache(const struct engine *en);
void engine_limit_cache(struct engine *en, uint64_t bytes);  /* cache_bytes from now on, if it was not 0; more than 0. What is too much goes at once */

/* What the engine occupied after its last step, or the end of a sequence or another limit since; for any thread, while the engine is there. */
struct engine_use {
    uint64_t kv;                  /* bytes of all sequences' keys, values and states; what they share counts for each */
    uint64_t cache, cache_limit;  /* as of engine_cache */
};
struct engine_use engine_use(const struct engine *en);
int seq_pending(const struct seq *s);                        /* tokens fed and not computed yet */
int seq_length(const struct seq *s);                         /* tokens computed */
const int32_t *seq_tokens(const struct seq *s);              /* [seq_length + seq_pending] */

/* Goes back to at most n tokens, as far as what is remembered allows, drops what is pending, and returns the length it got to: n
 * itself unless a window has moved on or a recurrent state has no snapshot there. The caller feeds the rest again. */
int seq_truncate(struct seq *s, int n);

/* Keeps a snapshot of the recurrent state at the present length, for seq_truncate; at the boundaries of messages. Without recurrent
 * state it does nothing. ERR_MEMORY. */
int seq_mark(struct seq *s, struct err *e);

/* Keeps the recurrent state at the present length in a place of its own, reserved by the first call, so that seq_truncate can return there: a
 * cheap seq_mark for a guess that may prove wrong. Without recurrent state it does nothing. ERR_MEMORY. */
int seq_hold(struct seq *s, struct err *e);

/* Every sequence can go back so many tokens even where a window has just passed: a step of guesses. */
enum { VERIFY_ROWS = SMALL_SPAN };

/* ---- adapters (model/adapter.h): sequences with different ones, or none, share steps and the weights of the model ---- */

/* Makes an adapter of the engine's model known; *id is its number until it is removed. The adapter must outlive that. Not while a step runs. ERR_USAGE: it was
 * opened for another model; ERR_UNSUPPORTED: it acts on a tensor that adapters cannot act on; ERR_MEMORY. */
int engine_adapter_add(struct engine *en, const struct adapter *a, int *id, struct err *e);
int engine_adapter_remove(struct engine *en, int id, struct err *e); /* ERR_USAGE: a sequence still has it, or there is none of that number */

/* The sequence's tokens from position `from` on are computed with an adapter, those before it without: 0 for ordinary adapters, where their invocation
 * begins for activated ones, so that what stands before is what the model alone makes of it and can be shared. NO_ADAPTER: all without. A fork has the
 * adapter of the first. ERR_USAGE: there is no such adapter, or tokens are computed that it would change; go back before them. */
int seq_set_adapter(struct seq *s, int id, int from, struct err *e);
int seq_adapter(const struct seq *s, int *from);             /* its number, or NO_ADAPTER; from NULL is fine */

/* One step over all sequences with pending tokens; 0 rows is fine. On error nothing has changed. */
int engine_step(struct engine *en, struct err *e);

/* What the last step gave, in order of sequences and positions. logits: [n_vocab], valid until the next step. */
struct result {
    struct seq *seq;
    int position; /* of the token whose successor the logits predict */
    const float *logits;
};
int engine_results(const struct engine *en, const struct result **r);
int engine_step_rows(const struct engine *en); /* rows of the last step */
int seq_step_rows(const struct seq *s);        /* those of them that were this sequence's */
int engine_step_prompt_rows(const struct engine *en); /* those of them in spans of more than VERIFY_ROWS */

/* Most rows of longer spans in a step that has some of at most VERIFY_ROWS: who generates waits for no more. At first max_rows. */
void engine_limit_prompts(struct engine *en, int rows);

/* The logits after position of s as the last step gave them; NULL: it did not, or the sequence has gone back since. */
const float *engine_logits(const struct engine *en, const struct seq *s, int position);

/* What a step of `rows` rows of one sequence takes beside one of a single row, all logits wanted; from 1 to VERIFY_ROWS rows. Measured as steps
 * go by; until then a guess. engine_row_s: seconds of a step of a single row; 0: none was measured yet. */
double engine_rows_cost(const struct engine *en, int rows);
double engine_row_s(const struct engine *en);

#endif
