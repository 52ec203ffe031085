/* test_exec.c: the executor: how work is dealt out to workers. An operation of the test's own writes down what it was given. */
#include "graph/internal.h"
#include "lab.h"

enum { MOST = 1000, STEPS = 50, WORKERS = 3 };

struct tally {
    int total[NODE_PARTS], chunk[NODE_PARTS];
    int seen[NODE_PARTS][MOST], pieces[WORKERS]; /* plain memory: two workers with the same thing would be a race as well as a wrong count */
    int bad;
};

static int three(const struct run *r, const struct node *n) {
    (void)r, (void)n;
    return 3;
}

/* Phase 0 and 1 have a division each; phase 2 goes through all the others. */
static void tally_run(const struct run *r, const struct node *n, int phase, int worker) {
    struct tally *t = *(struct tally **)n->args;
    for (int part = phase; part < (phase == 2 ? NODE_PARTS : phase + 1); part++)
        for (int from, to; take_part(r, n, part, t->total[part], t->chunk[part], &from, &to);) {
            t->pieces[worker]++;
            if (from % t->chunk[part] || to > t->total[part] || to - from > t->chunk[part] || from >= to) t->bad = 1;
            for (int i = from; i < to; i++) t->seen[part][i]++;
        }
}

static const struct op tally_op = {"tally", three, tally_run, NULL, NULL};

static val op_tally(struct graph *g, val x, struct tally *t) {
    struct node *n = node_new(g, &tally_op, sizeof t);
    assert_non_null(n);
    *(struct tally **)n->args = t;
    node_input(g, n, x);
    return node_output(g, n, ROWS_TOKENS, graph_width(g, x));
}

/* Everything is given out once a step, in pieces of the size asked for, to any number of workers and by several nodes. */
static void all_is_given_out_once(void **state) {
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers++) {
        struct lab l;
        struct err e = {0};
        struct pool *pool;
        const struct kernels *k;
        static struct tally tally[2];
        memset(tally, 0, sizeof tally);
        for (int i = 0; i < 2; i++)
            for (int part = 0; part < NODE_PARTS; part++) {
                tally[i].total[part] = (int[]){0, 1, 7, MOST, 64, 65, 999, 2}[(part + i) % 8];
                tally[i].chunk[part] = (int[]){1, 3, 8, 64, 5, 1, MOST + 7, 16}[(part * 3 + i) % 8];
            }
        lab_open(&l, 3);
        const float *x;
        graph_output(l.g, op_rows(l.g, op_tally(l.g, op_tally(l.g, lab_input(&l, 4, &x), &tally[0]), &tally[1])));
        assert_int_equal(pool_new(&pool, workers, &e), 0);
        assert_int_equal(kernels_get(&k, NULL, &e), 0);
        if (graph_plan(l.g, (struct plan_options){1, 1, workers, DT_F32, k}, &e)) fail_msg("%s", e.msg);
        int32_t zero = 0;
        struct seq_memory memory = {0};
        struct span span = {0, 1, 0, &memory};
        struct step step = {.n_rows = 1, .token = &zero, .pos = &zero, .n_logits = 1, .logit_row = &zero, .n_spans = 1, .spans = &span};
        for (int s = 1; s <= STEPS; s++) {
            (void)graph_run(l.g, pool, &step);
            for (int i = 0; i < 2; i++)
                for (int part = 0; part < NODE_PARTS; part++)
                    for (int thing = 0; thing < MOST; thing++) assert_int_equal(tally[i].seen[part][thing], thing < tally[i].total[part] ? s : 0);
        }
        for (int i = 0; i < 2; i++) {
            int want = 0, got = 0;
            for (int part = 0; part < NODE_PARTS; part++) want += STEPS * ((tally[i].total[part] + tally[i].chunk[part] - 1) / tally[i].chunk[part]);
            for (int w = 0; w < WORKERS; w++) got += tally[i].pieces[w];
            assert_int_equal(got, want);
            assert_int_equal(tally[i].bad, 0);
        }
        pool_free(pool);
        lab_close(&l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_is_given_out_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
