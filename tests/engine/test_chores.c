/* test_chores.c: work beside jobs, in turns with their steps: each gets its turns, in order, to its end; jobs wait for it no longer than a step takes; what is cancelled ends, as
 * does everything when the scheduler stops. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/scheduler.h"
#include "engine/vocab.h"
#include "model/embedded.h"

#define OK(call)                                           \
    do {                                                   \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

enum { CHORES = 5, TURNS = 6, KEPT = 1000 };

struct log { /* of the scheduler's thread; read after it has ended, or under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int turn[KEPT], n; /* whose turns the first were; all turns */
    int over;
    bool holding;
};

struct work {
    struct chore chore;
    struct log *log;
    int number, turns, left; /* left: -1: without end */
    bool cancelled, inside;
};

static enum chore_turn turn(struct chore *c, double seconds, bool cancelled) {
    struct work *w = (struct work *)(void *)c;
    struct log *l = w->log;
    enum chore_turn next = TURN_MORE;
    const double begin = os_now();
    (void)pthread_mutex_lock(&l->lock);
    assert_false(w->inside);
    w->inside = true;
    if (l->n < KEPT) l->turn[l->n] = w->number;
    l->n++;
    w->turns++;
    if (cancelled) w->cancelled = true;
    else assert_true(seconds > 0);
    if (cancelled || (w->left > 0 && --w->left == 0)) next = TURN_OVER, l->over++;
    w->inside = false;
    (void)pthread_cond_broadcast(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
    while (!cancelled && w->left < 0 && os_now() - begin < (seconds < 0.001 ? seconds : 0.001)) {}
    return next;
}

static struct work work_new(struct log *l, int number, int turns) { return (struct work){.chore = {.turn = turn}, .log = l, .number = number, .left = turns}; }

static void log_open(struct log *l) {
    memset(l, 0, sizeof *l);
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->changed, NULL);
}

static void log_close(struct log *l) {
    (void)pthread_cond_destroy(&l->changed);
    (void)pthread_mutex_destroy(&l->lock);
}

static void wait_over(struct log *l, int n) {
    (void)pthread_mutex_lock(&l->lock);
    while (l->over < n) (void)pthread_cond_wait(&l->changed, &l->lock);
    (void)pthread_mutex_unlock(&l->lock);
}

static void wait_more(struct log *l, int n) {
    (void)pthread_mutex_lock(&l->lock);
    n += l->n;
    while (l->n < n) (void)pthread_cond_wait(&l->changed, &l->lock);
    (void)pthread_mutex_unlock(&l->lock);
}

static int hold_up(void *ctx, struct err *e) { /* lets everybody come before the first turn */
    struct log *l = ctx;
    (void)e;
    (void)pthread_mutex_lock(&l->lock);
    l->holding = true;
    (void)pthread_cond_broadcast(&l->changed);
    while (l->over < 0) (void)pthread_cond_wait(&l->changed, &l->lock);
    (void)pthread_mutex_unlock(&l->lock);
    return 0;
}

struct held {
    struct scheduler *sc;
    struct log *log;
    pthread_t thread;
};

static void *hold(void *ctx) {
    struct held *h = ctx;
    struct err e;
    (void)scheduler_call(h->sc, hold_up, h->log, &e);
    return NULL;
}

static void by_turns(void **state) {
    (void)state;
    struct log l;
    struct err e = {0};
    struct scheduler *sc;
    struct work w[CHORES];
    log_open(&l);
    OK(scheduler_new(&sc, (struct scheduler_options){0}, &e));
    struct held h = {.sc = sc, .log = &l};
    l.over = -1;
    assert_int_equal(pthread_create(&h.thread, NULL, hold, &h), 0);
    (void)pthread_mutex_lock(&l.lock);
    while (!l.holding) (void)pthread_cond_wait(&l.changed, &l.lock);
    (void)pthread_mutex_unlock(&l.lock);
    for (int i = 0; i < CHORES; i++) {
        w[i] = work_new(&l, i, TURNS);
        OK(chore_submit(sc, &w[i].chore, &e));
    }
    (void)pthread_mutex_lock(&l.lock);
    l.over = 0;
    (void)pthread_cond_broadcast(&l.changed);
    (void)pthread_mutex_unlock(&l.lock);
    (void)pthread_join(h.thread, NULL);
    wait_over(&l, CHORES);
    scheduler_free(sc);
    assert_int_equal(l.n, CHORES * TURNS);
    for (int i = 0; i < l.n; i++) assert_int_equal(l.turn[i], i % CHORES); /* one after the other */
    log_close(&l);
}

static void cancelled(void **state) {
    (void)state;
    struct log l;
    struct err e = {0};
    struct scheduler *sc;
    struct work w[3];
    log_open(&l);
    OK(scheduler_new(&sc, (struct scheduler_options){.max_waiting = 3}, &e));
    for (int i = 0; i < 3; i++) {
        w[i] = work_new(&l, i, -1);
        OK(chore_submit(sc, &w[i].chore, &e));
    }
    struct work more = work_new(&l, 9, 1);
    assert_int_equal(chore_submit(sc, &more.chore, &e), ERR_BUSY);
    wait_more(&l, 9);
    chore_cancel(sc, &w[1].chore);
    wait_over(&l, 1);
    assert_true(w[1].cancelled && !w[0].cancelled && !w[2].cancelled);
    const int before = w[1].turns; /* its last */
    wait_more(&l, 6);
    assert_int_equal(w[1].turns, before);
    OK(chore_submit(sc, &more.chore, &e)); /* its place is free again */
    wait_over(&l, 2);
    scheduler_free(sc); /* the others end with it */
    assert_int_equal(l.over, 4);
    assert_true(w[0].cancelled && w[2].cancelled && !more.cancelled);
    log_close(&l);
}

static void refused_at_the_end(void **state) {
    (void)state;
    struct log l;
    struct err e = {0};
    struct scheduler *sc;
    log_open(&l);
    struct work w = work_new(&l, 0, -1), late = work_new(&l, 1, 1);
    OK(scheduler_new(&sc, (struct scheduler_options){0}, &e));
    OK(chore_submit(sc, &w.chore, &e));
    scheduler_drain(sc);
    assert_true(w.cancelled);
    assert_int_equal(chore_submit(sc, &late.chore, &e), ERR_BUSY);
    scheduler_free(sc);
    assert_int_equal(late.turns, 0);
    log_close(&l);
}

/* ---- beside jobs ---- */

struct heard {
    struct log *log;
    int tokens;
    bool ended;
};

static void hear(void *ctx, const struct job_event *ev) {
    struct heard *h = ctx;
    (void)pthread_mutex_lock(&h->log->lock);
    if (ev->kind == JOB_TOKEN) h->tokens++;
    if (ev->kind == JOB_ENDED) h->ended = true;
    (void)pthread_cond_broadcast(&h->log->changed);
    (void)pthread_mutex_unlock(&h->log->lock);
}

struct made {
    struct engine *en;
    struct model *model;
    struct pool *pool;
};

static int make(void *ctx, struct err *e) {
    struct made *m = ctx;
    return engine_new(&m->en, m->model, m->pool, (struct engine_options){.n_ctx = 2048, .kv_type = DT_F16}, e);
}

static int unmake(void *ctx, struct err *e) {
    (void)e;
    engine_free(((struct made *)ctx)->en);
    return 0;
}

/* A chore without end and a job: both get on. */
static void beside_a_job(void **state) {
    (void)state;
    struct log l;
    struct err e = {0};
    struct scheduler *sc;
    struct made m = {0};
    struct gguf *file;
    struct tokenizer *tok;
    struct tokens ids = {0};
    log_open(&l);
    OK(pool_new(&m.pool, 2, &e));
    OK(gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), "ember", &e));
    OK(model_open_file(&m.model, file, &e));
    OK(vocab_of_model(&tok, m.model, &e));
    OK(scheduler_new(&sc, (struct scheduler_options){0}, &e));
    OK(scheduler_call(sc, make, &m, &e));
    OK(tokenizer_encode(tok, SLICE("Once upon a time"), NULL, &ids, &e));
    struct work w = work_new(&l, 0, -1);
    struct heard h = {.log = &l};
    struct job *job;
    OK(chore_submit(sc, &w.chore, &e));
    wait_more(&l, 3);
    const struct job_spec spec = {.engine = m.en, .tokenizer = tok, .prompt = ids.id, .n_prompt = (int)ids.n, .max_tokens = -1, .sampling = sampler_defaults(), .logprobs = -1, .ignore_eog = true, .event = hear, .ctx = &h};
    OK(job_submit(&job, sc, &spec, &e));
    (void)pthread_mutex_lock(&l.lock);
    while (!h.tokens) (void)pthread_cond_wait(&l.changed, &l.lock);
    const int turns = w.turns, tokens = h.tokens;
    while (!h.ended && !(w.turns > turns + 5 && h.tokens > tokens + 5)) (void)pthread_cond_wait(&l.changed, &l.lock);
    assert_false(h.ended);
    (void)pthread_mutex_unlock(&l.lock);
    job_cancel(job);
    (void)pthread_mutex_lock(&l.lock);
    while (!h.ended) (void)pthread_cond_wait(&l.changed, &l.lock);
    (void)pthread_mutex_unlock(&l.lock);
    job_free(job);
    wait_more(&l, 2);
    OK(scheduler_call(sc, unmake, &m, &e));
    scheduler_free(sc);
    tokens_free(&ids);
    tokenizer_free(tok);
    model_close(m.model);
    pool_free(m.pool);
    log_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_turns), cmocka_unit_test(cancelled), cmocka_unit_test(refused_at_the_end), cmocka_unit_test(beside_a_job)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
