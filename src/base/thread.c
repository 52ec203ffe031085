/* thread.c: the worker pool; see thread.h. */
#define _GNU_SOURCE
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

/* A wait goes through three stages, behind what its caller has to do meanwhile. Spinning for a few microseconds sees what comes at once. Then the processor is offered to
 * whoever else can run, which costs about a microsecond when nobody can, and lets through the very worker that is
 * waited for when there are more threads than processors. Sleeping comes last: waking up takes tens of microseconds. */
enum { SPINS = 200, OFFERS = 200 };

enum { LINE = 64 };

/* An event counter that can be waited on: waiters look at `now` until it differs from what they saw. It has a cache line to itself, apart
 * from what those write that have not arrived yet. */
struct signal {
    _Alignas(LINE) atomic_uint now;
    _Alignas(LINE) atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct worker {
    struct pool *pool;
    int index;
    pthread_t thread;
};

struct pool {
    int n, started;
    struct worker *workers;
    void (*fn)(void *, int, int);
    void *ctx;
    atomic_bool stop;
    struct cpus before; /* the caller's processors before pool_bind; n 0: not bound */
    _Alignas(LINE) atomic_int arrived; /* at the barrier */
    struct signal job, barrier;
};

static void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void signal_init(struct signal *s) {
    atomic_init(&s->now, 0);
    atomic_init(&s->sleepers, 0);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
}

static void signal_destroy(struct signal *s) {
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
}

static void signal_raise(struct signal *s) {
    atomic_fetch_add(&s->now, 1);
    if (atomic_load(&s->sleepers) == 0) return;
    (void)pthread_mutex_lock(&s->lock);
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

static void signal_wait(struct signal *s, unsigned seen, bool (*idle)(void *), void *ctx) {
    while (idle && idle(ctx))
        if (atomic_load_explicit(&s->now, memory_order_acquire) != seen) return;
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&s->now, memory_order_acquire) != seen) return;
        cpu_relax();
    }
    for (int i = 0; i < OFFERS; i++) {
        (void)sched_yield();
        if (atomic_load_explicit(&s->now, memory_order_acquire) != seen) return;
    }
    (void)pthread_mutex_lock(&s->lock);
    atomic_fetch_add(&s->sleepers, 1);
    while (atomic_load(&s->now) == seen) (void)pthread_cond_wait(&s->changed, &s->lock);
    atomic_fetch_sub(&s->sleepers, 1);
    (void)pthread_mutex_unlock(&s->lock);
}

void pool_barrier(struct pool *p, bool (*idle)(void *), void *ctx) {
    if (p->n == 1) return;
    unsigned seen = atomic_load(&p->barrier.now);
    if (atomic_fetch_add(&p->arrived, 1) + 1 == p->n) {
        atomic_store(&p->arrived, 0);
        signal_raise(&p->barrier);
    } else {
        signal_wait(&p->barrier, seen, idle, ctx);
    }
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct pool *p = w->pool;
    for (unsigned seen = 0;; seen++) {
        signal_wait(&p->job, seen, NULL, NULL);
        if (atomic_load(&p->stop)) return NULL;
        p->fn(p->ctx, w->index, p->n);
        pool_barrier(p, NULL, NULL); /* pool_run returns when all are here */
    }
}

void pool_run(struct pool *p, void (*fn)(void *, int, int), void *ctx) {
    p->fn = fn;
    p->ctx = ctx;
    if (p->n > 1) signal_raise(&p->job);
    fn(ctx, 0, p->n);
    pool_barrier(p, NULL, NULL);
}

int pool_new(struct pool **out, int threads, struct err *e) {
    *out = NULL;
    if (threads < 1) return err_set(e, ERR_USAGE, "threads must be at least 1, not %d", threads);
    struct pool *p = mem_aligned(LINE, sizeof *p);
    struct worker *w = p ? mem_calloc((size_t)threads, sizeof *w) : NULL;
    if (!w) {
        mem_free(p);
        return err_nomem(e, "the worker pool", sizeof *p + (size_t)threads * sizeof *w);
    }
    memset(p, 0, sizeof *p);
    p->n = threads;
    p->workers = w;
    signal_init(&p->job);
    signal_init(&p->barrier);
    p->started = 1;
    for (int i = 1; i < threads; i++, p->started++) {
        w[i] = (struct worker){.pool = p, .index = i};
        if (pthread_create(&w[i].thread, NULL, work, &w[i]) != 0) {
            pool_free(p);
            return err_set(e, ERR_MEMORY, "cannot start worker thread %d of %d; ask for fewer threads", i + 1, threads);
        }
    }
    *out = p;
    return 0;
}

void pool_free(struct pool *p) {
    if (!p) return;
    atomic_store(&p->stop, true);
    signal_raise(&p->job);
    for (int i = 1; i < p->started; i++) (void)pthread_join(p->workers[i].thread, NULL);
    if (p->before.n) (void)os_thread_bind(p->before.id, p->before.n);
    signal_destroy(&p->job);
    signal_destroy(&p->barrier);
    mem_free(p->workers);
    mem_free(p);
}

struct binding {
    const struct cpus *cpus;
    atomic_int failed;
};

static void bind_worker(void *ctx, int worker, int workers) {
    struct binding *b = ctx;
    bool one_each = b->cpus->n == workers;
    if (!os_thread_bind(one_each ? b->cpus->id + worker : b->cpus->id, one_each ? 1 : b->cpus->n)) atomic_store(&b->failed, 1);
}

int pool_bind(struct pool *p, const struct cpus *cpus, struct err *e) {
    struct binding b = {.cpus = cpus};
    if (cpus->n < 1) return err_set(e, ERR_USAGE, "threads cannot be bound to no processor");
    if (p->before.n == 0) os_thread_cpus(&p->before);
    pool_run(p, bind_worker, &b);
    return atomic_load(&b.failed) ? err_set(e, ERR_USAGE, "a processor that threads are to run on cannot be used by this process") : 0;
}

int pool_threads(const struct pool *p) { return p->n; }
