/* waiter.h: waiting for what a writer's thread tells through a callback. */
#ifndef HEARTH_WAITER_H
#define HEARTH_WAITER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    struct err e;
};
#define WAITER_INIT {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER}

/* The callback; ctx: the waiter. Once, from any thread. e NULL: all is well. */
void waiter_tell(void *ctx, const struct err *e);

/* Waits for it, gives back what the waiter holds, and returns what was told. */
int waiter_wait(struct waiter *w, struct err *e);

#endif
