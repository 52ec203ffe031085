/* scheduler.h: many requests at once, on any number of models: continuous batching.
 *
 * A scheduler has one thread, which runs every engine's steps. Anybody may submit jobs to it and cancel them. A job waits until there is a place
 * for it, takes over what is known of its prompt (seq_reuse; what has to be read back for that is, while others go on), computes the rest in chunks, and then draws token after token; from its second step on
 * it shares every step with whoever else is there. What it draws does not depend on them.
 *
 * Who comes first: interactive jobs before background ones, then clients that have the fewest jobs under way, then whoever waited longest. Prompts are
 * cut so that a step takes about twice the time of one without them: those who are generating then wait for no more than one step's worth.
 *
 * Events of a job are handed to its own function on the scheduler's thread, in order, JOB_ENDED last; they must not block. After JOB_ENDED the
 * scheduler does not know the job any more, and it is the submitter's to free. Until then jobs may be cancelled from any thread.
 *
 * Engines belong to the scheduler's thread: whoever frees or touches one does so in a function that scheduler_call runs there. A new one that has had no job is its maker's still. An engine
 * must have no jobs when it is freed.
 */
#ifndef HEARTH_SCHEDULER_H
#define HEARTH_SCHEDULER_H

#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/guide.h"
#include "engine/sampler.h"
#include "engine/stop.h"
#include "text/tokenizer.h"

enum { JOB_LOGPROBS_MAX = 20 };

struct job;

enum job_end { JOB_EOG, JOB_STOP, JOB_LENGTH, JOB_CONTEXT, JOB_CANCELLED, JOB_FAILED };

enum job_event_kind {
    JOB_STARTED, /* it has a place: prompt_tokens, cached_tokens */
    JOB_PROMPT,  /* a token of the prompt, where prompt_logprobs were asked for: position, id, logprob, top; the first has none */
    JOB_TOKEN,   /* id, logprob, top, text */
    JOB_ENDED,   /* end, stop, error, text that was held back, times */
};

struct job_event {
    enum job_event_kind kind;
    int prompt_tokens, generated; /* so far */
    int cached_tokens;           /* of the prompt, that were not computed for this job; with JOB_TOKEN it is final */
    int position;
    int32_t id;
    float logprob;               /* of the model's own distribution; valid, as top is, when logprobs >= 0 */
    const struct logprob *top;   /* [n_top] best first; NULL with a prompt's first token */
    int n_top;
    struct slice text;           /* what can be shown now: whole characters; valid during the call */
    enum job_end end;
    int stop;                    /* JOB_STOP: which of the stop texts */
    const struct err *error;     /* JOB_FAILED: why */
    int storable_tokens;         /* JOB_STARTED: of the prompt, what a next one with the same beginning will find in the cache; those it took from there too */
    const struct seq_departure *departure; /* JOB_STARTED, where it was asked for: where the prompt departs from what is known; NULL: it does not */
    uint64_t energy_uj;          /* JOB_ENDED: the job's part of the energy, microjoules; 0: not known */
    bool energy_measured;        /* all of it; else it is estimated */
    double queued_s, prompt_s, generate_s; /* JOB_ENDED: waiting for a place, for the first token from then on, and from then to the end */
};

struct job_spec {
    struct engine *engine;
    const struct tokenizer *tokenizer;     /* of the engine's model; outlives the job */
    const int32_t *prompt;                 /* [n_prompt], copied; at least one */
    int n_prompt;
    const int *reusable;                   /* [n_reusable] positions up to which the prompt will be asked for again: ends of messages; copied */
    int n_reusable;
    int max_tokens;                        /* -1: until the context is full */
    struct sampler_options sampling;
    const struct slice *stop;              /* [n_stop], copied */
    int n_stop;
    int logprobs;                          /* alternatives wanted with each token, at most JOB_LOGPROBS_MAX; -1: no logprobs at all */
    bool prompt_logprobs;                  /* of the prompt's tokens too; nothing is then reused */
    bool ignore_eog;                       /* tokens that end a text are never drawn */
    bool control;                          /* control tokens' spellings are part of the text */
    struct guide_options guide;            /* what the text is held to; {.budget = -1}: nothing */
    int guess;                             /* most tokens guessed at once from the text itself (speculate.h); changes speed only */
    bool departure;                        /* JOB_STARTED tells where the prompt departs from what is known; it takes a look at all that is */
    bool background;
    bool adapted;                          /* the adapter of that number acts from position adapter_from on (seq_set_adapter), in front of which all is the model's own */
    int adapter, adapter_from;
    uint64_t client;                       /* for fairness between clients */
    void (*event)(void *ctx, const struct job_event *ev);
    void *ctx;
};

struct scheduler_options {
    int max_live;    /* jobs that have a place, 1 to 256; 0: 16 */
    int max_waiting; /* jobs that wait for one; 0: 256 */
    uint64_t kv_bytes; /* of keys and values of all jobs that have a place, at their longest; 0: no limit */
    /* Tells the energy since its last call, in microjoules, of which busy_s seconds were a step: it is shared out among the step's jobs by their rows. Called after each
     * step, and with 0 before one behind a pause, behind calls or behind turns of chores, whose energy is no job's. The scheduler's thread. NULL: energy is not known. */
    uint64_t (*spent)(void *ctx, double busy_s, bool *measured);
    void *ctx;
};

struct scheduler;

/* Starts the thread. Errors: ERR_USAGE, ERR_MEMORY. */
int scheduler_new(struct scheduler **sc, struct scheduler_options o, struct err *e);

/* Refuses new jobs from now on, cancels all there are, and returns when their last events have been handed out. Calls are answered still. Any thread but the
 * scheduler's own. */
void scheduler_drain(struct scheduler *sc);

/* Drains, and ends the thread; nobody may call the scheduler meanwhile or afterwards. Engines that are still there
 * are then whoever's. NULL is fine. */
void scheduler_free(struct scheduler *sc);

/* Any thread. ERR_BUSY: as many jobs wait as may; ERR_CONTEXT with both numbers: the prompt does not fit; ERR_MEMORY: it would take more keys and values than all may;
 * ERR_USAGE; those of guide_new; those of sampler_new and seq_feed come as JOB_FAILED. On an error there is no job and no event. */
int job_submit(struct job **job, struct scheduler *sc, const struct job_spec *spec, struct err *e);
void job_cancel(struct job *job);  /* any thread, before it was freed; JOB_ENDED comes soon, if it has not come yet */
void job_free(struct job *job);    /* after JOB_ENDED; NULL is fine */

/* Runs fn on the scheduler's thread between two steps and returns what it does. Any thread but the scheduler's own. */
int scheduler_call(struct scheduler *sc, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e);

/* ---- work of other kinds, in turns with the steps: what would hold the thread for long is cut into pieces ---- */

enum chore_turn {
    TURN_OVER, /* the scheduler does not know the chore any more, which may be gone */
    TURN_MORE, /* there is more to do; other chores come first */
};

struct chore {
    /* On the scheduler's thread: does a piece of about `seconds`, which is what a step takes while there are jobs: so they wait for no more. cancelled: nothing more is to be done, and
     * TURN_OVER to be returned. No two turns of any chores at a time. A chore that waits for another does nothing in its turn. */
    enum chore_turn (*turn)(struct chore *c, double seconds, bool cancelled);
    /* the scheduler's */
    struct chore *next;
    atomic_bool cancelled;
};

/* Any thread. The chore, zeroed but for `turn`, stays where it is until its turn returns TURN_OVER. ERR_BUSY: as many wait as may, or the scheduler is stopping; then there is no turn. */
int chore_submit(struct scheduler *sc, struct chore *c, struct err *e);
void chore_cancel(struct scheduler *sc, struct chore *c); /* any thread, while it exists; its last turn comes soon, if it has not come yet */

struct scheduler_counts {
    int live, waiting;
    uint64_t steps, rows, prompt_tokens, cached_tokens, generated, ended;
    double busy_s; /* spent in steps */
};
struct scheduler_counts scheduler_counts(struct scheduler *sc); /* any thread */

#endif
