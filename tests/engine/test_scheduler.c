/* test_scheduler.c: many jobs at once on the embedded model. What a job says is what it says alone, to the bit, whatever shares its steps and whoever leaves;
 * jobs wait, are refused and get their places as the header says; the scheduler's thread and everybody else's meet in no race (the thread sanitizer's
 * build runs this too). */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "ember.h"
#include "engine/scheduler.h"

enum { N_CTX = 512, MAX_TOKENS = 200 };


struct stage {
    struct engine *engine;
    struct scheduler *sc;
};

/* What a job's events said. */
struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *job;
    int n, prompts, started, cached;
    int32_t id[MAX_TOKENS + 1];
    float logprob[N_CTX], prompt_logprob[N_CTX];
    struct buf text;
    bool ended, failed;
    enum job_end end;
    int stop, order, cancel_at; /* order: among all jobs' ends; cancel_at: after so many tokens, 0 never */
    long step_of_token[MAX_TOKENS + 1], step_of_start;
    struct scheduler *sc;
    char error[512];
};

static int ends; /* touched by the scheduler's thread alone while it runs */

static void hear(void *ctx, const struct job_event *ev) {
    struct heard *h = ctx;
    (void)pthread_mutex_lock(&h->lock);
    const long step = (long)scheduler_counts(h->sc).steps;
    if (ev->kind == JOB_STARTED) h->started++, h->cached = ev->cached_tokens, h->step_of_start = step;
    if (ev->kind == JOB_PROMPT) h->prompt_logprob[ev->position] = ev->top ? ev->logprob : 1, h->prompts++;
    if (ev->kind == JOB_TOKEN) {
        h->step_of_token[h->n] = step;
        h->logprob[h->n] = ev->logprob;
        h->id[h->n++] = ev->id;
    }
    if (ev->text.n) (void)buf_add(&h->text, ev->text.p, ev->text.n);
    if (ev->kind == JOB_ENDED) {
        h->ended = true;
        h->end = ev->end;
        h->stop = ev->stop;
        h->order = ends++;
        if (ev->error) (void)snprintf(h->error, sizeof h->error, "%s", ev->error->msg);
    } else if (h->cancel_at && h->n == h->cancel_at) {
        h->cancel_at = 0;
        if (h->job) job_cancel(h->job);
    }
    (void)pthread_cond_signal(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

static struct heard *heard_new(struct stage *st) {
    struct heard *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->sc = st->sc;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->changed, NULL);
    return h;
}

static void wait_for(struct heard *h) {
    (void)pthread_mutex_lock(&h->lock);
    while (!h->ended) (void)pthread_cond_wait(&h->changed, &h->lock);
    (void)pthread_mutex_unlock(&h->lock);
}

static void heard_free(struct heard *h) {
    job_free(h->job);
    buf_free(&h->text);
    free(h);
}

/* Small steps: their logits are the same bits however tokens are cut into them. */
static void open_stage(struct stage *st, int rows, struct scheduler_options so, uint64_t cache) {
    struct err e = {0};
    ends = 0;
    OK(engine_new(&st->engine, model, pool, (struct engine_options){.n_ctx = N_CTX, .max_rows = rows, .cache_bytes = cache}, &e));
    OK(scheduler_new(&st->sc, so, &e));
}

static void close_stage(struct stage *st) {
    scheduler_free(st->sc);
    engine_free(st->engine);
}

static struct job_spec spec_of(struct stage *st, const struct tokens *prompt, uint64_t seed, struct heard *h) {
    struct job_spec s = {.engine = st->engine, .tokenizer = tok, .prompt = prompt->id, .n_prompt = (int)prompt->n, .max_tokens = 40, .sampling = sampler_defaults(), .logprobs = 0,
                         .guess = (int)(seed % 3) * 7, .client = seed, .event = hear, .ctx = h};
    s.sampling.seed = seed;
    return s;
}

static void submit(struct stage *st, const struct job_spec *s) {
    struct err e = {0};
    struct heard *h = s->ctx;
    struct job *j;
    (void)pthread_mutex_lock(&h->lock); /* so that an event that comes at once finds the job */
    OK(job_submit(&j, st->sc, s, &e));
    h->job = j;
    (void)pthread_mutex_unlock(&h->lock);
}

static void encode(const char *text, struct tokens *t) {
    struct err e = {0};
    t->n = 0;
    OK(tokenizer_encode(tok, slice_of(text), NULL, t, &e));
    assert_true(t->n > 0);
}

static const char *const prompts[] = {
    "The sea was calm that morning, and the old man", "Once upon a time there was", "To boil an egg,", "A list of colours: red, green,", "She said: \"I have never seen",
    "In the beginning the village had only one well, and everybody who wanted water had to walk there before the sun rose, and", "x", "The capital of France is",
};
enum { PROMPTS = sizeof prompts / sizeof *prompts };

/* ---- */

static void together_as_alone(void **state) {
    (void)state;
    struct tokens t[PROMPTS] = {{0}};
    struct heard *alone[PROMPTS], *together[PROMPTS];
    struct stage st;
    for (int i = 0; i < PROMPTS; i++) encode(prompts[i], &t[i]);
    open_stage(&st, VERIFY_ROWS, (struct scheduler_options){.max_live = 1}, 0);
    for (int i = 0; i < PROMPTS; i++) {
        struct job_spec s = spec_of(&st, &t[i], (uint64_t)i, alone[i] = heard_new(&st));
        submit(&st, &s);
        wait_for(alone[i]);
        assert_int_equal(alone[i]->started, 1);
        assert_true(alone[i]->n > 0 && alone[i]->text.len > 0);
        assert_true(alone[i]->end == JOB_LENGTH || alone[i]->end == JOB_EOG);
    }
    close_stage(&st);
    for (int places = 2; places <= 16; places *= 2) {
        open_stage(&st, VERIFY_ROWS, (struct scheduler_options){.max_live = places}, 0);
        for (int i = 0; i < PROMPTS; i++) {
            struct job_spec s = spec_of(&st, &t[i], (uint64_t)i, together[i] = heard_new(&st));
            submit(&st, &s);
        }
        for (int i = 0; i < PROMPTS; i++) {
            wait_for(together[i]);
            assert_int_equal(together[i]->n, alone[i]->n);
            assert_memory_equal(together[i]->id, alone[i]->id, sizeof(int32_t) * (size_t)alone[i]->n);
            assert_memory_equal(together[i]->logprob, alone[i]->logprob, sizeof(float) * (size_t)alone[i]->n);
            assert_int_equal(together[i]->end, alone[i]->end);
            assert_int_equal(together[i]->text.len, alone[i]->text.len);
            assert_memory_equal(together[i]->text.data, alone[i]->text.data, alone[i]->text.len);
            heard_free(together[i]);
        }
        assert_int_equal(scheduler_counts(st.sc).ended, PROMPTS);
        close_stage(&st);
    }
    for (int i = 0; i < PROMPTS; i++) heard_free(alone[i]), tokens_free(&t[i]);
}

/* Jobs that are cancelled at all moments, from other threads and from their own events, do not disturb those that stay. */
static void who_leaves_disturbs_nobody(void **state) {
    (void)state;
    struct tokens t = {0};
    struct stage st;
    struct heard *want, *stays, *leaves[12];
    encode(prompts[5], &t);
    open_stage(&st, VERIFY_ROWS, (struct scheduler_options){.max_live = 4}, 0);
    struct job_spec s = spec_of(&st, &t, 5, want = heard_new(&st));
    s.max_tokens = MAX_TOKENS;
    submit(&st, &s);
    wait_for(want);
    s.ctx = stays = heard_new(&st);
    submit(&st, &s);
    for (int i = 0; i < 12; i++) {
        struct job_spec l = spec_of(&st, &t, (uint64_t)i, leaves[i] = heard_new(&st));
        l.max_tokens = -1;
        l.ignore_eog = true;
        leaves[i]->cancel_at = i % 3 == 0 ? 1 + i : 0;
        submit(&st, &l);
    }
    for (int i = 0; i < 12; i++) {
        if (i % 3) job_cancel(leaves[i]->job); /* some of them wait still */
        wait_for(leaves[i]);
        assert_int_equal(leaves[i]->end, JOB_CANCELLED);
        if (i % 3 == 0) assert_true(leaves[i]->n >= 1 + i);
        heard_free(leaves[i]);
    }
    wait_for(stays);
    assert_int_equal(stays->n, want->n);
    assert_memory_equal(stays->id, want->id, sizeof(int32_t) * (size_t)want->n);
    heard_free(stays), heard_free(want);
    close_stage(&st);
    tokens_free(&t);
}

/* ---- places ---- */

static void a_bounded_queue(void **state) {
    (void)state;
    struct tokens t = {0};
    struct stage st;
    struct heard *h[4];
    struct err e = {0};
    struct job *j;
    encode(prompts[0], &t);
    open_stage(&st, 64, (struct scheduler_options){.max_live = 1, .max_waiting = 2}, 0);
    struct job_spec s = spec_of(&st, &t, 1, h[0] = heard_new(&st));
    s.max_tokens = -1, s.ignore_eog = true;
    submit(&st, &s);
    (void)pthread_mutex_lock(&h[0]->lock);
    while (!h[0]->n) (void)pthread_cond_wait(&h[0]->changed, &h[0]->lock); /* it has its place */
    (void)pthread_mutex_unlock(&h[0]->lock);
    s.max_tokens = 2;
    for (int i = 1; i < 3; i++) s.ctx = h[i] = heard_new(&st), submit(&st, &s);
    assert_int_equal(scheduler_counts(st.sc).waiting, 2);
    s.ctx = h[3] = heard_new(&st);
    assert_int_equal(job_submit(&j, st.sc, &s, &e), ERR_BUSY);
    assert_null(j);
    job_cancel(h[0]->job);
    for (int i = 0; i < 3; i++) wait_for(h[i]), heard_free(h[i]);
    assert_false(h[3]->ended);
    heard_free(h[3]);
    close_stage(&st);
    tokens_free(&t);
}

/* All places are taken, as many as there can be: one that waits can be cancelled still. */
static void cancelled_behind_a_full_house(void **state) {
    enum { MOST = 256 };
    struct stage st;
    struct tokens p = {0};
    struct heard *h[MOST + 1];
    (void)state;
    open_stage(&st, MOST, (struct scheduler_options){.max_live = MOST}, 0);
    encode("Once", &p);
    for (int i = 0; i <= MOST; i++) {
        h[i] = heard_new(&st);
        struct job_spec s = spec_of(&st, &p, (uint64_t)i, h[i]);
        s.max_tokens = -1, s.ignore_eog = true, s.guess = 0, s.logprobs = -1;
        for (int k = 0; i == MOST && k < MOST; k++) {
            (void)pthread_mutex_lock(&h[k]->lock);
            while (!h[k]->started) (void)pthread_cond_wait(&h[k]->changed, &h[k]->lock);
            (void)pthread_mutex_unlock(&h[k]->lock);
        }
        submit(&st, &s);
    }
    job_cancel(h[MOST]->job);
    wait_for(h[MOST]);
    assert_true(h[MOST]->end == JOB_CANCELLED && !h[MOST]->started);
    for (int i = 0; i < MOST; i++) job_cancel(h[i]->job);
    for (int i = 0; i < MOST; i++) {
        wait_for(h[i]);
        assert_int_equal(h[i]->end, JOB_CANCELLED);
    }
    for (int i = 0; i <= MOST; i++) heard_free(h[i]);
    close_stage(&st);
    tokens_free(&p);
}

/* Interactive before background, then whose client has less under way, then who came first. */
static void who_comes_first(void **state) {
    (void)state;
    static const struct { uint64_t client; bool background; int place; } jobs[] = {{1, false, 1}, {1, false, 3}, {1, true, 4}, {2, false, 2}, {2, true, 5}};
    enum { JOBS = sizeof jobs / sizeof *jobs };
    struct tokens t = {0};
    struct stage st;
    struct heard *first, *h[JOBS];
    encode(prompts[0], &t);
    open_stage(&st, 64, (struct scheduler_options){.max_live = 2}, 0);
    /* One of client 1 has a place all the time; the other place goes round. */
    struct job_spec s = spec_of(&st, &t, 1, first = heard_new(&st));
    s.max_tokens = -1, s.ignore_eog = true, s.guess = 0;
    s.client = 1;
    submit(&st, &s);
    struct heard *blocker = heard_new(&st);
    s.ctx = blocker;
    s.client = 9;
    submit(&st, &s);
    (void)pthread_mutex_lock(&blocker->lock);
    while (!blocker->n) (void)pthread_cond_wait(&blocker->changed, &blocker->lock);
    (void)pthread_mutex_unlock(&blocker->lock);
    s.max_tokens = 2;
    for (int i = 0; i < JOBS; i++) {
        s.ctx = h[i] = heard_new(&st);
        s.client = jobs[i].client;
        s.background = jobs[i].background;
        submit(&st, &s);
    }
    job_cancel(blocker->job);
    for (int i = 0; i < JOBS; i++) wait_for(h[i]);
    /* client 2's first goes before client 1's, who has one under way; background last, by clients too */
    assert_true(h[3]->order < h[0]->order && h[0]->order < h[1]->order && h[1]->order < h[4]->order && h[4]->order < h[2]->order);
    job_cancel(first->job);
    wait_for(first), wait_for(blocker);
    for (int i = 0; i < JOBS; i++) heard_free(h[i]);
    heard_free(first), heard_free(blocker);
    close_stage(&st);
    tokens_free(&t);
}

/* While a long prompt is computed, who generates gets a token with every step. */
static void a_long_prompt_stops_nobody(void **state) {
    (void)state;
    struct tokens t = {0}, longer = {0};
    struct stage st;
    struct heard *talks, *reads;
    encode(prompts[0], &t);
    for (int i = 0; i < 400; i++) {
        struct err e = {0};
        OK(tokens_add(&longer, t.id[(size_t)i % t.n], &e));
    }
    open_stage(&st, 256, (struct scheduler_options){0}, 0);
    struct job_spec s = spec_of(&st, &t, 1, talks = heard_new(&st));
    s.max_tokens = MAX_TOKENS, s.ignore_eog = true, s.guess = 0;
    submit(&st, &s);
    (void)pthread_mutex_lock(&talks->lock);
    while (talks->n < 3) (void)pthread_cond_wait(&talks->changed, &talks->lock);
    (void)pthread_mutex_unlock(&talks->lock);
    struct job_spec l = spec_of(&st, &longer, 2, reads = heard_new(&st));
    l.max_tokens = 1;
    submit(&st, &l);
    wait_for(reads), wait_for(talks);
    int steps = 0;
    for (int i = 4; i < talks->n; i++) {
        assert_int_equal(talks->step_of_token[i], talks->step_of_token[i - 1] + 1);
        steps += talks->step_of_token[i] > reads->step_of_start && talks->step_of_token[i] <= reads->step_of_token[0];
    }
    assert_true(steps >= 2); /* the prompt was cut */
    heard_free(reads), heard_free(talks);
    close_stage(&st);
    tokens_free(&t), tokens_free(&longer);
}

/* ---- what is said ---- */

static void stop_texts(void **state) {
    (void)state;
    struct tokens t = {0};
    struct stage st;
    struct heard *h;
    encode(prompts[0], &t);
    open_stage(&st, VERIFY_ROWS, (struct scheduler_options){0}, 0);
    struct job_spec s = spec_of(&st, &t, 3, h = heard_new(&st));
    submit(&st, &s);
    wait_for(h);
    assert_true(h->text.len > 24);
    char whole[1024], cut[3][16];
    const size_t len = h->text.len < sizeof whole - 1 ? h->text.len : sizeof whole - 1;
    memcpy(whole, h->text.data, len);
    whole[len] = 0;
    heard_free(h);
    for (size_t at = 1; at + 7 < len && at < 40; at += 3) { /* stop texts that the text has, wherever tokens begin */
        memcpy(cut[0], whole + at, 6), cut[0][6] = 0;
        memcpy(cut[1], whole + at + 2, 5), cut[1][5] = 0;
        memcpy(cut[2], "\x01never", 7);
        const struct slice stops[] = {slice_of(cut[2]), slice_of(cut[1]), slice_of(cut[0])};
        s.ctx = h = heard_new(&st);
        s.stop = stops, s.n_stop = 3;
        submit(&st, &s);
        wait_for(h);
        const char *first = strstr(whole, cut[0]), *other = strstr(whole, cut[1]);
        const bool longer = first <= other;
        assert_int_equal(h->end, JOB_STOP);
        assert_int_equal(h->stop, longer ? 2 : 1);
        assert_int_equal(h->text.len, (longer ? first : other) - whole);
        assert_memory_equal(h->text.data, whole, h->text.len);
        heard_free(h);
    }
    close_stage(&st);
    tokens_free(&t);
}

/* The prompt's logprobs are those that a sequence gives; the first token has none. */
static void prompt_logprobs(void **state) {
    (void)state;
    struct err e = {0};
    struct tokens t = {0};
    struct stage st;
    struct heard *h;
    struct seq *q;
    float want[N_CTX] = {0};
    encode(prompts[5], &t);
    open_stage(&st, VERIFY_ROWS, (struct scheduler_options){0}, 1 << 20);
    OK(seq_new(&q, st.engine, &e)); /* no job yet: the scheduler's thread does not touch the engine */
    OK(seq_feed(q, t.id, (int)t.n, WANT_ALL, &e));
    seq_prompt(q);
    while (seq_pending(q)) {
        const struct result *r;
        OK(engine_step(st.engine, &e));
        for (int i = 0, n = engine_results(st.engine, &r); i < n; i++)
            if (r[i].position + 1 < (int)t.n) OK(logprobs_of(r[i].logits, (int)tokenizer_count(tok), t.id[r[i].position + 1], &want[r[i].position + 1], NULL, 0, &e));
    }
    seq_free(q);
    struct job_spec s = spec_of(&st, &t, 3, h = heard_new(&st));
    s.prompt_logprobs = true;
    s.max_tokens = 0;
    submit(&st, &s);
    wait_for(h);
    assert_int_equal(h->end, JOB_LENGTH);
    assert_int_equal(h->n, 0);
    assert_int_equal(h->prompts, t.n);
    assert_true(h->prompt_logprob[0] > 0); /* none */
    assert_memory_equal(h->prompt_logprob + 1, want + 1, sizeof *want * (t.n - 1));
    heard_free(h);
    close_stage(&st);
    tokens_free(&t);
}

/* The second request with the same beginning computes only what is new, and says the same. */
static void known_prompts(void **state) {
    (void)state;
    struct tokens t = {0};
    struct stage st;
    struct heard *first, *second;
    char text[2048];
    (void)snprintf(text, sizeof text, "%s %s %s %s %s %s %s", prompts[5], prompts[0], prompts[1], prompts[3], prompts[5], prompts[4], prompts[5]);
    encode(text, &t);
    assert_true(t.n > 2 * KV_PAGE);
    open_stage(&st, VERIFY_ROWS, (struct scheduler_options){0}, 64 << 20);
    struct job_spec s = spec_of(&st, &t, 3, first = heard_new(&st));
    submit(&st, &s);
    wait_for(first);
    s.ctx = second = heard_new(&st);
    submit(&st, &s);
    wait_for(second);
    assert_int_equal(first->cached, 0);
    assert_int_equal(second->cached, (t.n - 1) / KV_PAGE * KV_PAGE);
    assert_int_equal(second->n, first->n);
    assert_memory_equal(second->id, first->id, sizeof(int32_t) * (size_t)first->n);
    assert_int_equal(scheduler_counts(st.sc).cached_tokens, second->cached);
    heard_free(first), heard_free(second);
    close_stage(&st);
    tokens_free(&t);
}

/* ---- the ends ---- */

static void refusals(void **state) {
    (void)state;
    struct tokens t = {0}, empty = {0}, longer = {0};
    struct stage st;
    struct heard *h;
    struct err e = {0};
    struct job *j;
    encode(prompts[0], &t);
    for (int i = 0; i <= N_CTX; i++) OK(tokens_add(&longer, 5, &e));
    open_stage(&st, 64, (struct scheduler_options){.kv_bytes = 1 << 20}, 0);
    h = heard_new(&st);
    struct job_spec s = spec_of(&st, &empty, 1, h);
    assert_int_equal(job_submit(&j, st.sc, &s, &e), ERR_USAGE);
    s = spec_of(&st, &longer, 1, h);
    assert_int_equal(job_submit(&j, st.sc, &s, &e), ERR_CONTEXT);
    assert_non_null(strstr(e.msg, "513"));
    assert_non_null(strstr(e.msg, "512"));
    s = spec_of(&st, &t, 1, h);
    s.max_tokens = -1; /* may come to fill the context, which does not fit kv_bytes */
    assert_int_equal(job_submit(&j, st.sc, &s, &e), engine_sequence_bytes(st.engine, N_CTX) > 1 << 20 ? ERR_MEMORY : 0);
    assert_true(engine_sequence_bytes(st.engine, N_CTX) > 1 << 20);
    const struct slice none[] = {{"", 0}};
    s = spec_of(&st, &t, 1, h);
    s.stop = none, s.n_stop = 1;
    assert_int_equal(job_submit(&j, st.sc, &s, &e), ERR_USAGE);
    s = spec_of(&st, &t, 1, h);
    s.max_tokens = 1;
    s.sampling.top_p = -1; /* found when it starts */
    submit(&st, &s);
    wait_for(h);
    assert_int_equal(h->end, JOB_FAILED);
    assert_non_null(strstr(h->error, "top"));
    heard_free(h);
    close_stage(&st);
    tokens_free(&t), tokens_free(&longer);
}

static void the_context_is_full(void **state) {
    (void)state;
    struct tokens t = {0};
    struct stage st;
    struct heard *h;
    struct err e = {0};
    for (int i = 0; i < N_CTX - 10; i++) OK(tokens_add(&t, 5 + i % 7, &e));
    open_stage(&st, 256, (struct scheduler_options){0}, 0);
    struct job_spec s = spec_of(&st, &t, 1, h = heard_new(&st));
    s.max_tokens = -1, s.ignore_eog = true;
    submit(&st, &s);
    wait_for(h);
    assert_int_equal(h->end, JOB_CONTEXT);
    assert_int_equal(h->n, 11); /* the last needs no place */
    heard_free(h);
    close_stage(&st);
    tokens_free(&t);
}

static int count_calls(void *ctx, struct err *e) {
    ++*(int *)ctx;
    return *(int *)ctx == 3 ? err_set(e, ERR_IO, "the third") : 0;
}

struct caller {
    struct stage *st;
    int calls, failed;
};
static void *call_often(void *ctx) {
    struct caller *c = ctx;
    for (int i = 0; i < 50; i++) {
        struct err e = {0};
        c->failed += scheduler_call(c->st->sc, count_calls, &c->calls, &e) == ERR_IO && strcmp(e.msg, "the third") == 0;
    }
    return NULL;
}

/* Jobs that are under way and jobs that wait all get their last event when the scheduler goes; calls are answered meanwhile. */
static void going_with_jobs(void **state) {
    (void)state;
    struct tokens t = {0};
    struct stage st;
    struct heard *h[9];
    pthread_t thread;
    encode(prompts[0], &t);
    open_stage(&st, 64, (struct scheduler_options){.max_live = 3}, 0);
    for (int i = 0; i < 9; i++) {
        struct job_spec s = spec_of(&st, &t, (uint64_t)i, h[i] = heard_new(&st));
        s.max_tokens = -1, s.ignore_eog = true;
        submit(&st, &s);
    }
    struct caller c = {.st = &st};
    assert_int_equal(pthread_create(&thread, NULL, call_often, &c), 0);
    (void)pthread_join(thread, NULL);
    assert_int_equal(c.calls, 50);
    assert_int_equal(c.failed, 1);
    scheduler_free(st.sc);
    for (int i = 0; i < 9; i++) {
        assert_true(h[i]->ended);
        assert_true(h[i]->end == JOB_CANCELLED || h[i]->end == JOB_CONTEXT);
        heard_free(h[i]);
    }
    engine_free(st.engine);
    tokens_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(together_as_alone), cmocka_unit_test(who_leaves_disturbs_nobody), cmocka_unit_test(a_bounded_queue), cmocka_unit_test(cancelled_behind_a_full_house),
        cmocka_unit_test(who_comes_first), cmocka_unit_test(a_long_prompt_stops_nobody), cmocka_unit_test(stop_texts), cmocka_unit_test(prompt_logprobs), cmocka_unit_test(known_prompts),
        cmocka_unit_test(refusals), cmocka_unit_test(the_context_is_full), cmocka_unit_test(going_with_jobs),
    };
    return cmocka_run_group_tests(tests, ember_set_up, ember_tear_down);
}
