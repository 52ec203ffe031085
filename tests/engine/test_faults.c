/* test_faults.c: every allocation of a model's and an engine's life fails once, and all after it: the error comes back as ERR_MEMORY with a line that says so,
 * and nothing leaks. */
#include "rig.h"

/* A short life: open, run, mark, fork, go back, run on. Notes in *lasting how far it came. */
static int live(const struct tiny *t, struct err *e, struct model **m, struct pool **pool, struct engine **en) {
    static const int32_t ids[] = {5, 6, 7, 8, 9, 10, 11, 12};
    struct gguf *file;
    struct seq *s, *f;
    int code = gguf_open_memory(&file, t->file.data, t->file.len, "faulty.gguf", e);
    if (code == 0) code = model_open_file(m, file, e);
    if (code == 0) code = pool_new(pool, 2, e);
    if (code == 0) code = engine_new(en, *m, *pool, (struct engine_options){.n_ctx = 200, .max_rows = 80}, e);
    if (code == 0) code = seq_new(&s, *en, e);
    if (code == 0) code = seq_feed(s, ids, 8, WANT_LAST, e);
    if (code == 0) code = engine_step(*en, e);
    if (code == 0) code = seq_mark(s, e);
    if (code == 0) code = seq_fork(&f, s, e);
    for (int i = 0; code == 0 && i < 12; i++) {
        code = seq_feed(s, ids, 8, WANT_LAST, e);
        if (code == 0) code = seq_feed(f, ids, 1, WANT_LAST, e);
        int before = seq_length(s), pending = seq_pending(s);
        if (code == 0 && (code = engine_step(*en, e))) {
            assert_int_equal(seq_length(s), before); /* nothing has changed */
            assert_int_equal(seq_pending(s), pending);
        }
    }
    if (code == 0) (void)seq_truncate(s, 8);
    if (code == 0) code = seq_feed(s, ids, 8, WANT_ALL, e);
    return code ? code : engine_step(*en, e);
}

static void every_allocation(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind++) {
        struct tiny t;
        tiny_make(&t, kind, NULL);
        int64_t before = mem_live(), n = 0;
        bool failed = true;
        while (failed) {
            struct err e = {0};
            struct model *m = NULL;
            struct pool *pool = NULL;
            struct engine *en = NULL;
            mem_fail_after(++n);
            int code = live(&t, &e, &m, &pool, &en);
            failed = mem_has_failed();
            mem_fail_after(0);
            engine_free(en);
            pool_free(pool);
            model_close(m);
            assert_int_equal(mem_live(), before);
            if (failed ? code != ERR_MEMORY || !strstr(e.msg, "memory") : code != 0) fail_msg("%s, allocation %d: %d \"%s\"", tiny_name(kind), (int)n, code, e.msg);
        }
        assert_true(n > 20); /* or nothing was tried */
        tiny_free(&t);
    }
}

/* After a step that failed for want of memory, the same step succeeds, with the same result. */
static void a_failed_step_can_be_repeated(void **state) {
    (void)state;
    int32_t ids[150];
    random_ids(ids, 150, 1);
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind++) {
        struct rig r;
        struct err e = {0};
        struct seq *s, *f;
        rig_open(&r, kind, 1, small_steps());
        OK(seq_new(&s, r.engine, &e));
        feed(s, ids, 30);
        drain(r.engine, s, NULL);
        OK(seq_fork(&f, s, &e));
        feed(s, ids + 30, 120);
        feed(f, ids + 30, 120);
        for (int64_t n = 1;; n++) {
            mem_fail_after(n);
            int code = engine_step(r.engine, &e);
            bool failed = mem_has_failed();
            mem_fail_after(0);
            if (!failed) {
                assert_int_equal(code, 0);
                break;
            }
            assert_int_equal(code, ERR_MEMORY);
            const struct result *res;
            assert_int_equal(engine_results(r.engine, &res), 0);
        }
        float *got = calloc(150 * TINY_VOCAB, sizeof *got);
        const struct result *res;
        for (;;) { /* what the last step gave, and what is left */
            int n = engine_results(r.engine, &res);
            for (int i = 0; i < n; i++)
                if (res[i].seq == s) memcpy(got + res[i].position * TINY_VOCAB, res[i].logits, sizeof *got * TINY_VOCAB);
            if (!seq_pending(s)) break;
            OK(engine_step(r.engine, &e));
        }
        float *want = logits_of(r.engine, ids, 150, 150);
        same_rows(want, got, 30, 150, tiny_name(kind));
        free(want);
        free(got);
        rig_close(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation), cmocka_unit_test(a_failed_step_can_be_repeated)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
