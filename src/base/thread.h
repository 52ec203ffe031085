/* thread.h: the worker pool. One per process; the step loop's thread owns it and takes part as worker 0.
 *
 * pool_run calls fn(ctx, worker, n) once on each of n workers and returns when all have returned. Inside, workers meet
 * at pool_barrier. Both spin briefly, then offer their processor to others, then sleep, so that a waiting pool does not burn a core.
 */
#ifndef HEARTH_THREAD_H
#define HEARTH_THREAD_H

#include "base/err.h"
#include "base/os.h"

struct pool;

int pool_new(struct pool **p, int threads, struct err *e); /* threads >= 1, the caller counted in */
void pool_free(struct pool *p);                            /* NULL is fine */
int pool_threads(const struct pool *p);
void pool_run(struct pool *p, void (*fn)(void *ctx, int worker, int workers), void *ctx);

/* Only inside fn, by every worker. Whoever has to wait for others calls idle(ctx) until they have come or it returns false, and only then goes to sleep: something short that is of
 * use, tens of nanoseconds. NULL: nothing. */
void pool_barrier(struct pool *p, bool (*idle)(void *ctx), void *ctx);

/* Keeps the workers on the given processors: where there are as many as workers, each on its own, in order; otherwise all on all of
 * them. The calling thread, worker 0, is bound too, until pool_free. ERR_USAGE: this process may not use one of them. */
int pool_bind(struct pool *p, const struct cpus *cpus, struct err *e);

#endif
