/* waiter.c: see waiter.h. */
#include "store/waiter.h"

void waiter_tell(void *ctx, const struct err *e) {
    struct waiter *w = ctx;
    (void)pthread_mutex_lock(&w->lock);
    if (e) w->e = *e;
    w->done = true;
    (void)pthread_cond_signal(&w->told);
    (void)pthread_mutex_unlock(&w->lock);
}

int waiter_wait(struct waiter *w, struct err *e) {
    (void)pthread_mutex_lock(&w->lock);
    while (!w->done) (void)pthread_cond_wait(&w->told, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->told);
    if (w->e.code && e) *e = w->e;
    return w->e.code;
}
