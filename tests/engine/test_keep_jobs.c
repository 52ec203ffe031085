/* test_keep_jobs.c: jobs whose prompts are read back from a store: others go on meanwhile; they can be cancelled; what they say is what they would have said. The store
 * is one in memory that gives nothing back until it is told to. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ember.h"
#include "engine/scheduler.h"
#include "store/block_file.h"

enum { N_CTX = 1024, TOKENS = 20, PROMPT = 300 };

/* ---- a store in memory ---- */

struct kept {
    struct kept *next;
    struct block_address address;
    size_t size;
    uint8_t data[];
};

struct shelf {
    struct block_store calls; /* the first member */
    struct block_keys keys;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kept *kept;
    struct block_io *asked; /* for what is not given yet */
    bool holds;
};

static struct shelf *shelf_of(const struct block_store *s) { return (struct shelf *)(uintptr_t)s; }

static void shelf_address(const struct block_store *s, const struct block_address *before, const void *p, size_t n, struct block_address *out) {
    block_address(&shelf_of(s)->keys, before, p, n, out);
}

static const struct kept *find(const struct shelf *s, const struct block_address *a) {
    const struct kept *k = s->kept;
    while (k && memcmp(k->address.b, a->b, sizeof a->b) != 0) k = k->next;
    return k;
}

static bool shelf_has(const struct block_store *s, const struct block_address *a) {
    struct shelf *h = shelf_of(s);
    (void)pthread_mutex_lock(&h->lock);
    const bool there = find(h, a) != NULL;
    (void)pthread_mutex_unlock(&h->lock);
    return there;
}

static void give(const struct shelf *s, struct block_io *b) {
    const struct kept *k = find(s, &b->address);
    b->code = k && k->size == b->size ? 0 : ERR_NOT_FOUND;
    if (b->code == 0) memcpy(b->data, k->data, b->size);
    b->done(b);
}

static void shelf_submit(struct block_store *s, struct block_io *b) {
    struct shelf *h = shelf_of(s);
    (void)pthread_mutex_lock(&h->lock);
    if (b->write && !find(h, &b->address)) {
        struct kept *k = mem_alloc(sizeof *k + b->size);
        assert_non_null(k);
        *k = (struct kept){.next = h->kept, .address = b->address, .size = b->size};
        memcpy(k->data, b->data, b->size);
        h->kept = k;
    }
    if (b->write) {
        b->code = 0;
        b->done(b);
    } else if (h->holds) {
        b->next = h->asked;
        h->asked = b;
        (void)pthread_cond_broadcast(&h->changed);
    } else {
        give(h, b);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

static void shelf_withdraw(struct block_store *s, const void *owner) {
    struct shelf *h = shelf_of(s);
    (void)pthread_mutex_lock(&h->lock);
    for (struct block_io **at = &h->asked, *b; (b = *at);) {
        if (b->owner != owner) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        b->code = ERR_CANCELLED;
        b->done(b);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

static void hold(struct shelf *h, bool on) {
    (void)pthread_mutex_lock(&h->lock);
    h->holds = on;
    for (struct block_io *b; !on && (b = h->asked);) {
        h->asked = b->next;
        give(h, b);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

static void wait_asked(struct shelf *h) {
    (void)pthread_mutex_lock(&h->lock);
    while (!h->asked) (void)pthread_cond_wait(&h->changed, &h->lock);
    (void)pthread_mutex_unlock(&h->lock);
}

static void shelf_open(struct shelf *h) {
    struct err e = {0};
    *h = (struct shelf){.calls = {.address = shelf_address, .has = shelf_has, .submit = shelf_submit, .withdraw = shelf_withdraw}};
    OK(block_keys_init(&h->keys, NULL, &e));
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->changed, NULL);
}

static void shelf_close(struct shelf *h) {
    assert_null(h->asked);
    for (struct kept *k = h->kept, *next; k; k = next) {
        next = k->next;
        mem_free(k);
    }
}

/* ---- jobs ---- */


struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *job;
    int32_t id[TOKENS];
    int n, cached;
    bool started, ended;
    enum job_end end;
};

static void hear(void *ctx, const struct job_event *ev) {
    struct heard *h = ctx;
    (void)pthread_mutex_lock(&h->lock);
    if (ev->kind == JOB_STARTED) h->started = true, h->cached = ev->cached_tokens;
    if (ev->kind == JOB_TOKEN) h->id[h->n++] = ev->id;
    if (ev->kind == JOB_ENDED) h->ended = true, h->end = ev->end;
    (void)pthread_cond_broadcast(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

static bool has_started(struct heard *h) {
    (void)pthread_mutex_lock(&h->lock);
    const bool yes = h->started;
    (void)pthread_mutex_unlock(&h->lock);
    return yes;
}

static void wait_end(struct heard *h) {
    (void)pthread_mutex_lock(&h->lock);
    while (!h->ended) (void)pthread_cond_wait(&h->changed, &h->lock);
    (void)pthread_mutex_unlock(&h->lock);
}

struct stage {
    struct engine *engine;
    struct scheduler *sc;
};

static void open_stage(struct stage *st, struct shelf *h) {
    struct err e = {0};
    OK(engine_new(&st->engine, model, pool, (struct engine_options){.n_ctx = N_CTX, .cache_bytes = 64 << 20, .store = h ? &h->calls : NULL}, &e));
    OK(scheduler_new(&st->sc, (struct scheduler_options){.max_live = 3}, &e));
}

static void close_stage(struct stage *st) {
    scheduler_free(st->sc);
    engine_keep(st->engine);
    assert_true(engine_kept(st->engine, 0));
    engine_free(st->engine);
}

/* The prompts differ by `which` from the first token on. */
static struct heard *submit(struct stage *st, int which) {
    struct err e = {0};
    struct heard *h = mem_calloc(1, sizeof *h);
    int32_t ids[PROMPT];
    const int mark = PROMPT;
    assert_non_null(h);
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->changed, NULL);
    for (int i = 0; i < PROMPT; i++) ids[i] = 300 + (i * 7 + which * 31) % 1000;
    struct job_spec s = {.engine = st->engine, .tokenizer = tok, .prompt = ids, .n_prompt = PROMPT, .reusable = &mark, .n_reusable = 1, .max_tokens = TOKENS,
                         .sampling = sampler_defaults(), .logprobs = -1, .ignore_eog = true, .event = hear, .ctx = h};
    s.sampling.seed = (uint64_t)which;
    OK(job_submit(&h->job, st->sc, &s, &e));
    return h;
}

static void done(struct heard *h) {
    wait_end(h);
    job_free(h->job);
    mem_free(h);
}

/* A prompt that is slow to come back: others, that are there and that come, are not held up; then it goes on where it would have been. */
static void others_go_on(void **state) {
    (void)state;
    struct shelf h;
    struct stage st;
    shelf_open(&h);
    open_stage(&st, &h);
    struct heard *first = submit(&st, 1);
    wait_end(first);
    assert_int_equal(first->cached, 0);
    close_stage(&st);
    open_stage(&st, &h);
    hold(&h, true);
    struct heard *again = submit(&st, 1), *twin = submit(&st, 1);
    wait_asked(&h);
    for (int i = 2; i < 6; i++) {
        struct heard *other = submit(&st, i);
        wait_end(other);
        assert_int_equal(other->end, JOB_LENGTH);
        done(other);
    }
    assert_false(has_started(again) || has_started(twin));
    hold(&h, false);
    wait_end(again);
    wait_end(twin);
    assert_int_equal(again->cached, (PROMPT - 1) / 64 * 64);
    assert_int_equal(twin->cached, again->cached);
    assert_int_equal(again->n, TOKENS);
    assert_memory_equal(again->id, first->id, sizeof first->id);
    assert_memory_equal(twin->id, first->id, sizeof first->id);
    done(first), done(again), done(twin);
    close_stage(&st);
    shelf_close(&h);
}

/* A job that waits for its prompt can be cancelled, and the scheduler ended. */
static void called_off(void **state) {
    (void)state;
    struct shelf h;
    struct stage st;
    shelf_open(&h);
    open_stage(&st, &h);
    done(submit(&st, 1));
    close_stage(&st);
    for (int how = 0; how < 2; how++) {
        open_stage(&st, &h);
        hold(&h, true);
        struct heard *again = submit(&st, 1);
        wait_asked(&h);
        if (how) scheduler_drain(st.sc);
        else job_cancel(again->job);
        wait_end(again);
        assert_int_equal(again->end, JOB_CANCELLED);
        assert_false(again->started);
        done(again);
        hold(&h, false);
        close_stage(&st);
    }
    shelf_close(&h);
}

/* ---- beside chores ---- */

struct short_work {
    struct chore chore;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int turns;
    double longest_s; /* turn that it was given */
    bool over;
};

static enum chore_turn short_turn(struct chore *c, double seconds, bool cancelled) {
    struct short_work *w = (struct short_work *)c;
    (void)pthread_mutex_lock(&w->lock);
    if (seconds > w->longest_s) w->longest_s = seconds;
    w->over = cancelled || ++w->turns == 2000 || w->longest_s >= 0.001;
    const bool over = w->over;
    if (over) (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    return over ? TURN_OVER : TURN_MORE;
}

/* While all jobs wait for their prompts nobody computes: a chore gets turns that are worth having. */
static void chores_go_on(void **state) {
    (void)state;
    struct err e = {0};
    struct shelf h;
    struct stage st;
    struct short_work w = {.chore = {.turn = short_turn}, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    shelf_open(&h);
    open_stage(&st, &h);
    done(submit(&st, 1));
    close_stage(&st);
    open_stage(&st, &h);
    hold(&h, true);
    struct heard *again = submit(&st, 1);
    wait_asked(&h);
    OK(chore_submit(st.sc, &w.chore, &e));
    (void)pthread_mutex_lock(&w.lock);
    while (!w.over) (void)pthread_cond_wait(&w.changed, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);
    assert_true(w.longest_s >= 0.001);
    assert_false(has_started(again));
    hold(&h, false);
    done(again);
    close_stage(&st);
    shelf_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(others_go_on), cmocka_unit_test(called_off), cmocka_unit_test(chores_go_on)};
    return cmocka_run_group_tests(tests, ember_set_up, ember_tear_down);
}
