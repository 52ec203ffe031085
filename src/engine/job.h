/* job.h: one request on its way; used by scheduler.c alone, on its thread unless it says otherwise. */
#ifndef HEARTH_JOB_H
#define HEARTH_JOB_H

#include <stdatomic.h>

#include "engine/scheduler.h"
#include "engine/speculate.h"

struct job {
    struct job *next;         /* in the scheduler's list */
    struct scheduler *scheduler;
    struct job_spec spec;     /* its pointers are the job's own copies */
    atomic_bool cancelled;
    uint64_t kv_bytes;        /* that it may come to hold */
    struct seq *seq;          /* NULL: it waits */
    struct fetch *fetch;      /* its prompt's beginning is being read back; NULL: it is not */
    struct speculate *guesses;
    struct sampler *sampler;
    struct guide *guide;      /* NULL: the text is free */
    struct decoder decoder;
    struct buf held;          /* text that may be the beginning of a stop text */
    int cached, generated;
    int stop;                 /* the stop text that came */
    int told;                 /* tokens of the prompt whose logprobs were handed out */
    uint64_t energy_uj;
    bool estimated;           /* a part of the energy is */
    double submitted, started, first; /* os_now; first: of the first token */
};

/* Any thread. A copy of the spec; errors as job_submit's. */
int job_new(struct job **job, const struct job_spec *spec, struct err *e);

/* Gives the job a sequence and feeds it the prompt, unless job_waits then: what is known of the prompt is being read back. job_resume waits for that, at most
 * most_s seconds, and feeds the prompt when it is over. On an error the caller ends it with that. */
int job_start(struct job *j, struct err *e);
bool job_waits(const struct job *j);
int job_resume(struct job *j, double most_s, struct err *e);

/* Draws as many tokens as the last step allows, with up to `most` guesses behind the last. *end: why it ended, or -1. */
int job_advance(struct job *j, int most, int *end, struct err *e);

/* Hands out the last event, and gives back all but what job_free frees. The job may be gone afterwards. */
void job_finish(struct job *j, int end, const struct err *error);

bool job_generates(const struct job *j); /* its prompt is computed */

#endif
