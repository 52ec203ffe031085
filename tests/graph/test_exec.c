/* test_exec.c: the executor: how work is dealt out to workers, and that each part sees what came before it. Operations of the test's own write
 * down what they were given, in plain memory, so that a missing barrier is an error under the thread sanitizer. */
#include <sched.h>

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

static void much(const struct graph *g, const struct node *n, int rows, int depth, struct cost *c) {
    (void)g, (void)n, (void)rows, (void)depth;
    c->attention += 1e9;
}

static const struct op tally_op = {.name = "tally", .phases = three, .run = tally_run, .cost = much};

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
        if (graph_plan(l.g, (struct plan_options){1, 1, workers, DT_F32, k, false}, &e)) fail_msg("%s", e.msg);
        int32_t zero = 0;
        struct seq_memory memory = {0};
        struct span span = {0, 1, 0, &memory, false};
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

/* Plans it and runs so many steps of one token. */
static void steps_of(struct lab *l, int workers, int steps) {
    struct err e = {0};
    struct pool *pool;
    const struct kernels *k;
    assert_int_equal(pool_new(&pool, workers, &e), 0);
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    if (graph_plan(l->g, (struct plan_options){1, 1, workers, DT_F32, k, false}, &e)) fail_msg("%s", e.msg);
    int32_t zero = 0;
    struct seq_memory memory = {0};
    struct span span = {0, 1, 0, &memory, false};
    struct step step = {.n_rows = 1, .token = &zero, .pos = &zero, .n_logits = 1, .logit_row = &zero, .n_spans = 1, .spans = &span};
    for (int s = 0; s < steps; s++) (void)graph_run(l->g, pool, &step);
    pool_free(pool);
}

/* A node that is divided in stretches. idler: a worker that takes nothing, so that all of its stretch falls to others; -1: none. */
struct stretches {
    int total, least, most, idler;
    int seen[MOST], pieces[WORKERS]; /* plain memory, as above */
    int bad;
};

static int owner_of(const struct stretches *t, int workers, int thing) {
    for (int w = 0, begin, end;; w++) {
        share(t->total, 1, w, workers, &begin, &end);
        if (thing < end) return w;
    }
}

/* A worker goes through its own in order from the beginning, and then takes what others left. */
static void stretch_run(const struct run *r, const struct node *n, int phase, int worker) {
    struct stretches *t = *(struct stretches **)n->args;
    int from, to, begin, end, next, before = t->most;
    (void)phase;
    share(t->total, 1, worker, r->workers, &begin, &end);
    next = begin;
    if (worker == t->idler) return;
    while (take_stretch(r, n, worker, t->total, t->least, t->most, &from, &to)) {
        if (from < 0 || to <= from || to > t->total || to - from > t->most) {
            t->bad = 1;
            break;
        }
        const int owner = owner_of(t, r->workers, from);
        if (owner_of(t, r->workers, to - 1) != owner) t->bad = 1;
        if (owner == worker) {
            if (from != next || to - from > before) t->bad = 1; /* and pieces become shorter */
            before = to - from;
            next = to;
        } else {
            next = t->total; /* nothing of its own is left */
        }
        t->pieces[worker]++;
        for (int i = from; i < to; i++) t->seen[i]++;
    }
}

static const struct op stretch_op = {.name = "stretches", .run = stretch_run, .cost = much};

static void stretches_are_given_out_once(void **state) {
    (void)state;
    static const int cases[][3] = {{0, 1, 1}, {1, 1, 64}, {2, 8, 64}, {7, 1, 3}, {64, 1, 64}, {65, 8, 64}, {999, 1, 64}, {MOST, 8, 64}, {MOST, 1, MOST}, {MOST, 3, 3}};
    for (int workers = 1; workers <= WORKERS; workers++)
        for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
            struct lab l;
            static struct stretches t;
            const float *x;
            const int *c = cases[i / 2];
            t = (struct stretches){.total = c[0], .least = c[1], .most = c[2], .idler = i % 2 && workers > 1 ? (int)i / 2 % workers : -1};
            lab_open(&l, 3);
            val v = lab_input(&l, 4, &x);
            struct node *n = node_new(l.g, &stretch_op, sizeof(struct stretches *));
            assert_non_null(n);
            *(struct stretches **)n->args = &t;
            node_input(l.g, n, v);
            graph_output(l.g, op_rows(l.g, node_output(l.g, n, ROWS_TOKENS, 4)));
            steps_of(&l, workers, STEPS);
            assert_int_equal(t.bad, 0);
            for (int thing = 0; thing < MOST; thing++) assert_int_equal(t.seen[thing], thing < t.total ? STEPS : 0);
            int pieces = 0;
            for (int w = 0; w < WORKERS; w++) pieces += t.pieces[w];
            assert_in_range(pieces, STEPS * ((t.total + t.most - 1) / t.most), STEPS * ((t.total + t.least - 1) / t.least + workers));
            lab_close(&l);
        }
}

/* Who waits asks for what comes, but not behind a node that reads something else: one that does nothing, such a node, a little one, one that is asked for, and another such, which has a second part. The last worker
 * lets the others wait until it has seen them ask for both. Alone, worker 0 never waits, and asks before it does the little one. */
struct asked {
    atomic_int bytes[4][WORKERS]; /* by node, and by worker: bytes asked for */
    atomic_int begun[4][WORKERS];
    atomic_int bad, late;
};
struct asked_node {
    struct asked *all;
    int place;
};

enum { ASKED_MOST = 40, ASKED_EACH = 8 };

static size_t asked_ask(const struct run *r, const struct node *n, int worker, size_t asked) {
    const struct asked_node *a = n->args;
    (void)r;
    if (atomic_load(&a->all->begun[a->place][worker])) atomic_store(&a->all->bad, 1);                       /* it has that already */
    if (atomic_load(&a->all->bytes[a->place][worker]) != (int)asked) atomic_store(&a->all->bad, 1); /* no gaps, nothing twice */
    if (asked >= ASKED_MOST) return 0;
    atomic_fetch_add(&a->all->bytes[a->place][worker], ASKED_EACH);
    return ASKED_EACH;
}

/* The last worker comes late, and not before the others have asked for all they may of the node at `next`; -1: it does not wait. */
static void see_them_ask(const struct asked_node *a, int next, int worker, int workers) {
    if (worker != workers - 1 || next < 0) return;
    for (int w = 0; w < workers - 1; w++) {
        int tries = 10 * 1000 * 1000;
        while ((!atomic_load(&a->all->begun[a->place][w]) || atomic_load(&a->all->bytes[next][w]) < ASKED_MOST) && --tries) (void)sched_yield();
        if (!tries) atomic_store(&a->all->late, 1);
    }
}

static void does_nothing(const struct run *r, const struct node *n, int phase, int worker) { (void)r, (void)n, (void)phase, (void)worker; }

static void reads_something_else(const struct run *r, const struct node *n, int phase, int worker) {
    const struct asked_node *a = n->args;
    (void)phase;
    for (int i = 2; i < 4; i++)
        if (atomic_load(&a->all->bytes[i][worker])) atomic_store(&a->all->bad, 1); /* what was asked for before may be gone afterwards */
    atomic_store(&a->all->begun[0][worker], 1);
    see_them_ask(a, 3, worker, r->workers);
}

static void is_little_work(const struct run *r, const struct node *n, int phase, int worker) {
    const struct asked_node *a = n->args;
    (void)r, (void)phase;
    for (int i = 2; i < 4; i++)
        if (atomic_load(&a->all->bytes[i][worker]) != ASKED_MOST) atomic_store(&a->all->late, 1);
}

static void reads_its_own(const struct run *r, const struct node *n, int phase, int worker) {
    const struct asked_node *a = n->args;
    int from, to;
    if (phase == 0) {
        while (take_stretch(r, n, worker, 100, 1, 8, &from, &to)) {}
        atomic_store(&a->all->begun[a->place][worker], 1);
        see_them_ask(a, a->place == 2 ? 3 : -1, worker, r->workers);
    }
}

static int two(const struct run *r, const struct node *n) {
    (void)r, (void)n;
    return 2;
}

static const struct op nothing_op = {.name = "nothing", .run = does_nothing, .cost = much};
static const struct op asked_ops[4] = {
    {.name = "else", .run = reads_something_else, .cost = much},
    {.name = "little", .run = is_little_work},
    {.name = "one", .run = reads_its_own, .ask = asked_ask, .cost = much},
    {.name = "two", .phases = two, .run = reads_its_own, .ask = asked_ask, .cost = much},
};

static void who_waits_asks(void **state) {
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers++)
        for (int s = 0; s < STEPS; s++) {
            struct lab l;
            static struct asked all;
            const float *x;
            memset(&all, 0, sizeof all);
            lab_open(&l, 3);
            val v = lab_input(&l, 4, &x);
            for (int i = -1; i < 4; i++) {
                struct node *n = node_new(l.g, i < 0 ? &nothing_op : &asked_ops[i], sizeof(struct asked_node));
                assert_non_null(n);
                *(struct asked_node *)n->args = (struct asked_node){&all, i};
                node_input(l.g, n, v);
                v = node_output(l.g, n, ROWS_TOKENS, 4);
            }
            graph_output(l.g, op_rows(l.g, v));
            steps_of(&l, workers, 1);
            assert_int_equal(atomic_load(&all.bad), 0);
            assert_int_equal(atomic_load(&all.late), 0);
            for (int w = 0; w < workers - 1; w++)
                for (int i = 2; i < 4; i++) assert_int_equal(atomic_load(&all.bytes[i][w]), ASKED_MOST);
            lab_close(&l);
        }
}

/* Of experts for one row worker 0 does alone what goes over rows; all workers multiply. */
static void experts_are_multiplied_by_all(void **state) {
    (void)state;
    enum { WIDTH = 128, EXPERTS = 4, PHASES = 6 };
    static const bool product[PHASES] = {false, false, true, false, true, false}; /* choose, gather, up, activate, down, sum */
    struct lab l;
    const float *x, *y;
    lab_open(&l, 3);
    val v = lab_input(&l, WIDTH, &x), router = lab_input(&l, EXPERTS, &y);
    struct moe m = {.n_expert = EXPERTS, .n_used = 2, .gating = GATE_SOFTMAX, .scale = 1, .act = ACT_SILU};
    m.gate = lab_tensor(&l, WIDTH, WIDTH, EXPERTS), m.up = lab_tensor(&l, WIDTH, WIDTH, EXPERTS), m.down = lab_tensor(&l, WIDTH, WIDTH, EXPERTS);
    graph_output(l.g, op_rows(l.g, op_moe(l.g, v, router, m)));
    steps_of(&l, 2, 1);
    int i = 0;
    while (strcmp(l.g->nodes[i]->op->name, "moe") != 0) i++;
    assert_int_equal(l.g->nodes[i]->op->phases(NULL, l.g->nodes[i]), PHASES);
    for (int p = 0; p < PHASES; p++) assert_int_equal(l.g->nodes[i]->little >> p & 1, !product[p]);
    lab_close(&l);
}

/* A chain of parts, each of which checks all that the one before it wrote and writes its own number: small parts by worker 0, large ones by all. */
enum { CHAIN = 24, PARTS = 3, SLOTS = 64 };
struct relay {
    int slots[2][SLOTS], runs[CHAIN][PARTS][WORKERS];
    int bad;
};
struct link {
    struct relay *relay;
    int place; /* in the chain; three parts each */
};

static void link_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct link *l = n->args;
    int at = l->place * PARTS + phase, from, to;
    const int *before = l->relay->slots[(at + 1) % 2];
    l->relay->runs[l->place][phase][worker]++;
    for (int i = 0; i < SLOTS; i++)
        if (before[i] != at - 1) l->relay->bad = 1;
    share(SLOTS, 1, worker, r->workers, &from, &to);
    for (int i = from; i < to; i++) l->relay->slots[at % 2][i] = at;
}

/* Small in all parts; large in all; large but for the middle part. */
static const struct op links[3] = {
    {.name = "small", .phases = three, .run = link_run},
    {.name = "large", .phases = three, .run = link_run, .cost = much},
    {.name = "mixed", .phases = three, .run = link_run, .cost = much, .by_rows = 1 << 1},
};
static const int chain[CHAIN] = {0, 0, 1, 0, 0, 2, 2, 0, 1, 1, 2, 0, 0, 0, 2, 1, 0, 2, 0, 1, 1, 1, 0, 0};

static void parts_follow_each_other(void **state) {
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers++) {
        struct lab l;
        struct err e = {0};
        struct pool *pool;
        const struct kernels *k;
        static struct relay relay;
        const float *x;
        memset(&relay, 0, sizeof relay);
        lab_open(&l, 3);
        val v = lab_input(&l, 4, &x);
        for (int i = 0; i < CHAIN; i++) {
            struct node *n = node_new(l.g, &links[chain[i]], sizeof(struct link));
            assert_non_null(n);
            *(struct link *)n->args = (struct link){&relay, i};
            node_input(l.g, n, v);
            v = node_output(l.g, n, ROWS_TOKENS, 4);
        }
        graph_output(l.g, op_rows(l.g, v));
        assert_int_equal(pool_new(&pool, workers, &e), 0);
        assert_int_equal(kernels_get(&k, NULL, &e), 0);
        if (graph_plan(l.g, (struct plan_options){1, 1, workers, DT_F32, k, false}, &e)) fail_msg("%s", e.msg);
        int32_t zero = 0;
        struct seq_memory memory = {0};
        struct span span = {0, 1, 0, &memory, false};
        struct step step = {.n_rows = 1, .token = &zero, .pos = &zero, .n_logits = 1, .logit_row = &zero, .n_spans = 1, .spans = &span};
        for (int s = 1; s <= STEPS; s++) {
            for (int i = 0; i < SLOTS; i++) relay.slots[1][i] = -1;
            (void)graph_run(l.g, pool, &step);
            assert_int_equal(relay.bad, 0);
            for (int i = 0; i < CHAIN; i++)
                for (int p = 0; p < PARTS; p++)
                    for (int w = 0; w < workers; w++) {
                        bool shared = chain[i] == 1 || (chain[i] == 2 && p != 1);
                        assert_int_equal(relay.runs[i][p][w], shared || w == 0 ? s : 0);
                    }
        }
        pool_free(pool);
        lab_close(&l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_is_given_out_once), cmocka_unit_test(stretches_are_given_out_once), cmocka_unit_test(who_waits_asks), cmocka_unit_test(experts_are_multiplied_by_all), cmocka_unit_test(parts_follow_each_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
