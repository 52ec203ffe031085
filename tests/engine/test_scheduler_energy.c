/* test_scheduler_energy.c: what the scheduler is told of energy is shared out among the jobs of a step by their rows: nothing is lost, nothing is invented, and what was spent
 * between two times of work is nobody's. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ember.h"
#include "engine/scheduler.h"

enum { JOBS = 6 };


/* A meter that is no meter: as it goes on the scheduler's thread, read when that is gone. */
struct meter {
    uint64_t steps, pauses, given; /* calls with time and without; what the former gave */
    double busy_s;
    uint64_t estimated_at;         /* this step is estimated; 0: none is */
    bool spent_apart;              /* a chore has had a turn since the last call */
    int mixed;                     /* steps that were told together with such a turn */
};

static uint64_t spent(void *ctx, double busy_s, bool *measured) {
    struct meter *m = ctx;
    const uint64_t uj = 1000003 + m->steps * 17; /* does not divide evenly */
    m->mixed += busy_s > 0 && m->spent_apart;
    m->spent_apart = false;
    if (!(busy_s > 0)) {
        m->pauses++;
        return 1u << 30; /* must not come back */
    }
    m->busy_s += busy_s;
    *measured = ++m->steps != m->estimated_at;
    m->given += uj;
    return uj;
}

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *job;
    bool ended, measured;
    uint64_t energy_uj;
};

static void hear(void *ctx, const struct job_event *ev) {
    struct heard *h = ctx;
    if (ev->kind != JOB_ENDED) {
        assert_int_equal(ev->energy_uj, 0);
        return;
    }
    (void)pthread_mutex_lock(&h->lock);
    h->energy_uj = ev->energy_uj;
    h->measured = ev->energy_measured;
    h->ended = true;
    (void)pthread_cond_signal(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

static void wait_for(struct heard *h) {
    (void)pthread_mutex_lock(&h->lock);
    while (!h->ended) (void)pthread_cond_wait(&h->changed, &h->lock);
    (void)pthread_mutex_unlock(&h->lock);
    job_free(h->job);
}

/* Jobs of n_jobs, the i-th with the prompt's first 1 + 20 * i tokens; the last is cancelled at once. Returns the sum of what they took. */
static uint64_t run(struct scheduler *sc, struct engine *en, const struct tokens *t, int n_jobs, struct heard *h) {
    struct err e = {0};
    uint64_t sum = 0;
    for (int i = 0; i < n_jobs; i++) {
        h[i] = (struct heard){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        const struct job_spec s = {.engine = en, .tokenizer = tok, .prompt = t->id, .n_prompt = 1 + 20 * i, .max_tokens = 30 + i, .sampling = sampler_defaults(), .logprobs = -1,
                                   .ignore_eog = true, .guess = i, .event = hear, .ctx = &h[i]};
        OK(job_submit(&h[i].job, sc, &s, &e));
    }
    if (n_jobs > 1) job_cancel(h[n_jobs - 1].job);
    for (int i = 0; i < n_jobs; i++) {
        wait_for(&h[i]);
        sum += h[i].energy_uj;
    }
    return sum;
}

static void shared_out(void **state) {
    struct err e = {0};
    struct tokens t = {0};
    struct meter m = {0};
    struct engine *en;
    struct scheduler *sc;
    struct heard h[JOBS];
    (void)state;
    OK(tokenizer_encode(tok, SLICE("Once upon a time there was a village by the sea, and in the village an old man who had only one well. Everybody who wanted water had to walk there "
                                   "before the sun rose, and everybody who walked there told him what was new. So he knew more than the king, and was never asked. One morning, as the fog "
                                   "lay upon the water, a ship came that nobody had seen before, and from the ship a girl came who asked him for the way."), NULL, &t, &e));
    assert_true(t.n > 1 + 20 * (JOBS - 1));
    OK(engine_new(&en, model, pool, (struct engine_options){.n_ctx = 512, .max_rows = 64, .cache_bytes = 16 << 20}, &e));
    OK(scheduler_new(&sc, (struct scheduler_options){.max_live = 4, .spent = spent, .ctx = &m}, &e));
    uint64_t sum = run(sc, en, &t, JOBS, h);
    for (int i = 0; i < JOBS - 1; i++) assert_true(h[i].energy_uj > 1000003 / 4 && h[i].measured);
    sum += run(sc, en, &t, 1, h); /* after a pause */
    const struct scheduler_counts counts = scheduler_counts(sc);
    scheduler_free(sc);
    assert_int_equal(sum, m.given);
    assert_int_equal(m.steps, counts.steps);
    assert_true(m.busy_s <= counts.busy_s + 1e-9 && m.busy_s >= counts.busy_s - 1e-9);
    assert_true(m.pauses >= 1);
    engine_free(en);
    tokens_free(&t);
}

/* One estimated step makes all of a job's energy an estimate. */
static void estimated(void **state) {
    struct err e = {0};
    struct tokens t = {0};
    struct meter m = {.estimated_at = 7};
    struct engine *en;
    struct scheduler *sc;
    struct heard h[1];
    (void)state;
    OK(tokenizer_encode(tok, SLICE("Once upon a time"), NULL, &t, &e));
    OK(engine_new(&en, model, pool, (struct engine_options){.n_ctx = 512}, &e));
    OK(scheduler_new(&sc, (struct scheduler_options){.spent = spent, .ctx = &m}, &e));
    (void)run(sc, en, &t, 1, h);
    assert_true(h[0].energy_uj > 0 && !h[0].measured);
    (void)run(sc, en, &t, 1, h);
    assert_true(h[0].energy_uj > 0 && h[0].measured);
    scheduler_free(sc);
    OK(scheduler_new(&sc, (struct scheduler_options){0}, &e));
    (void)run(sc, en, &t, 1, h);
    assert_true(h[0].energy_uj == 0 && !h[0].measured); /* nobody tells */
    scheduler_free(sc);
    engine_free(en);
    tokens_free(&t);
}

struct aside {
    struct chore chore;
    struct meter *meter;
};

static enum chore_turn turn(struct chore *c, double seconds, bool cancelled) {
    (void)seconds;
    ((struct aside *)c)->meter->spent_apart = true;
    return cancelled ? TURN_OVER : TURN_MORE;
}

/* What chores take between the steps of a job is not the job's. */
static void beside_a_chore(void **state) {
    struct err e = {0};
    struct tokens t = {0};
    struct meter m = {0};
    struct engine *en;
    struct scheduler *sc;
    struct heard h[1];
    struct aside c = {.chore = {.turn = turn}, .meter = &m};
    (void)state;
    OK(tokenizer_encode(tok, SLICE("Once upon a time"), NULL, &t, &e));
    OK(engine_new(&en, model, pool, (struct engine_options){.n_ctx = 512}, &e));
    OK(scheduler_new(&sc, (struct scheduler_options){.spent = spent, .ctx = &m}, &e));
    OK(chore_submit(sc, &c.chore, &e));
    const uint64_t sum = run(sc, en, &t, 1, h);
    scheduler_free(sc);
    assert_int_equal(sum, m.given);
    assert_int_equal(m.mixed, 0);
    engine_free(en);
    tokens_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shared_out), cmocka_unit_test(estimated), cmocka_unit_test(beside_a_chore)};
    return cmocka_run_group_tests(tests, ember_set_up, ember_tear_down);
}
