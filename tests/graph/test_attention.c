/* test_attention.c: attention against softmax as it is written, over all that a row sees, in doubles. */
#include "graph/internal.h"
#include "kernel/kernel.h"
#include "lab.h"
#include "support/light.h"

struct case_ {
    const char *name;
    struct attention a;
    enum dtype kv;
    bool sinks;
    double error;
};

static double slope(int h, int n, double bias) { /* Press et al. 2022, for any number of heads */
    int p = 1;
    while (2 * p <= n) p *= 2;
    return h < p ? pow(2, -bias * (h + 1) / p) : pow(2, -bias * (2 * (h - p) + 1) / (2 * p));
}

/* One query head over the keys and values of rows [from, row]. */
static void head_oracle(const struct attention *a, const float *q, const float *k, const float *v, int k_stride, int v_stride, int from, int row, int head, const float *sinks, double *out) {
    double s[LAB_ROWS], max = sinks ? (double)sinks[head] : -INFINITY, sum = 0;
    for (int j = from; j <= row; j++) {
        s[j] = 0;
        for (int i = 0; i < a->head_k; i++) s[j] += (double)q[i] * (double)k[j * k_stride + i];
        s[j] *= (double)a->scale;
        if (a->softcap > 0) s[j] = (double)a->softcap * tanh(s[j] / (double)a->softcap);
        if (a->alibi > 0) s[j] -= slope(head, a->n_head, (double)a->alibi) * (row - j);
        max = fmax(max, s[j]);
    }
    for (int j = from; j <= row; j++) sum += exp(s[j] - max);
    if (sinks) sum += exp((double)sinks[head] - max);
    for (int i = 0; i < a->head_v; i++) {
        out[i] = 0;
        for (int j = from; j <= row; j++) out[i] += exp(s[j] - max) / sum * (double)v[j * v_stride + i];
    }
}

static val record(struct lab *l, const void *ctx, double *want) {
    const struct case_ *c = ctx;
    struct attention a = c->a;
    const float *q, *k, *v;
    l->kv_type = c->kv;
    l->large_error = c->kv == DT_F16 ? 8e-3 : c->error; /* of bfloat16 where the processor has it */
    val vq = lab_input(l, a.n_head * a.head_k, &q), vk = lab_input(l, a.n_head_kv * a.head_k, &k), vv = lab_input(l, a.n_head_kv * a.head_v, &v);
    a.sinks = c->sinks ? lab_tensor_of(l, DT_F32, a.n_head, 1, 1, 0, 3) : NULL;
    int wq = a.n_head * a.head_k, wk = a.n_head_kv * a.head_k, wv = a.v_in_k ? wk : a.n_head_kv * a.head_v, per = a.n_head / a.n_head_kv;
    if (a.v_in_k) v = k;
    for (int r = 0; r < LAB_ROWS; r++)
        for (int h = 0; h < a.n_head; h++) {
            int from = lab_first(r), kv = h / per;
            if (a.window && r - a.window + 1 > from) from = r - a.window + 1;
            head_oracle(&a, q + r * wq + h * a.head_k, k + kv * a.head_k, v + kv * (a.v_in_k ? a.head_k : a.head_v), wk, wv, from, r, h, a.sinks ? numbers(a.sinks) : NULL,
                        want + (r * a.n_head + h) * a.head_v);
        }
    return op_attention(l->g, vq, vk, a.v_in_k ? NO_VAL : vv, a);
}

#define SIZES(h, kv, k, v) .n_head = h, .n_head_kv = kv, .head_k = k, .head_v = v, .scale = 0.4f

static const struct case_ cases[] = {
    {"one head", {SIZES(1, 1, 16, 16)}, DT_F32, false, 2e-6},
    {"heads", {SIZES(4, 4, 16, 16)}, DT_F32, false, 2e-6},
    {"grouped queries", {SIZES(6, 2, 16, 16)}, DT_F32, false, 2e-6},
    {"one for all", {SIZES(5, 1, 16, 16)}, DT_F32, false, 2e-6},
    {"values of another size, odd sizes", {SIZES(6, 3, 19, 7)}, DT_F32, false, 2e-6},
    {"window", {SIZES(4, 2, 16, 16), .window = 10}, DT_F32, false, 2e-6},
    {"window of one", {SIZES(4, 2, 16, 16), .window = 1}, DT_F32, false, 2e-6},
    {"window over the page", {SIZES(4, 2, 16, 16), .window = 70}, DT_F32, false, 2e-6},
    {"softcap", {SIZES(4, 2, 16, 16), .softcap = 2}, DT_F32, false, 2e-6},
    {"ALiBi", {SIZES(8, 8, 16, 16), .alibi = 8}, DT_F32, false, 2e-6},
    {"ALiBi of twelve heads", {SIZES(12, 4, 16, 16), .alibi = 8}, DT_F32, false, 2e-6},
    {"sinks", {SIZES(4, 2, 16, 16)}, DT_F32, true, 2e-6},
    {"sinks and a window", {SIZES(4, 2, 16, 16), .window = 33}, DT_F32, true, 2e-6},
    {"values in keys", {SIZES(6, 1, 24, 16), .v_in_k = true}, DT_F32, false, 2e-6},
    {"values in keys, two heads", {SIZES(6, 2, 24, 16), .v_in_k = true}, DT_F32, false, 2e-6},
    {"eight queries a key", {SIZES(16, 2, 64, 64)}, DT_F32, false, 2e-6},
    {"more queries than a block takes", {SIZES(260, 1, 16, 8), .window = 40}, DT_F32, false, 2e-6},
    {"heads of 40 and 80", {SIZES(6, 2, 40, 80)}, DT_F32, false, 4e-6},
    {"heads of 96 and 128", {SIZES(3, 3, 96, 128)}, DT_F32, false, 4e-6},
    {"latent", {SIZES(8, 1, 576, 512), .v_in_k = true}, DT_F32, false, 1e-5},
    {"all at once", {SIZES(12, 4, 36, 20), .window = 68, .softcap = 3, .alibi = 8}, DT_F32, true, 2e-6},
    {"all at once, F16", {SIZES(12, 4, 36, 20), .window = 68, .softcap = 3, .alibi = 8}, DT_F16, true, 3e-3},
    {"F16, latent", {SIZES(8, 1, 144, 128), .v_in_k = true}, DT_F16, false, 5e-3},
    {"F16, heads of 128", {SIZES(6, 2, 128, 128), .window = 65}, DT_F16, false, 3e-3},
    {"Q8_0, heads of 96", {SIZES(6, 2, 96, 96), .window = 65}, DT_Q8_0, false, 3e-2},
    {"F16", {SIZES(4, 2, 32, 32)}, DT_F16, false, 3e-3},
    {"F16, odd sizes", {SIZES(4, 2, 19, 7)}, DT_F16, false, 3e-3},
    {"BF16", {SIZES(4, 2, 32, 32)}, DT_BF16, false, 3e-2},
    {"Q8_0", {SIZES(4, 2, 32, 64)}, DT_Q8_0, false, 3e-2},
    {"Q8_0, values in keys", {SIZES(4, 1, 64, 32), .v_in_k = true}, DT_Q8_0, false, 3e-2},
};

static void all(void **state) {
    (void)state;
    const bool less = light("heads that are more than a thousand numbers wide together");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!less || cases[i].a.n_head * (cases[i].a.head_k + cases[i].a.head_v) <= 1000) lab_check(cases[i].name, record, &cases[i], cases[i].error);
}

/* Scores far beyond what exp takes. */
static void great_scores(void **state) {
    (void)state;
    struct case_ c = {"great scores", {SIZES(4, 2, 16, 16)}, DT_F32, true, 1e-4};
    c.a.scale = 500;
    lab_check(c.name, record, &c, c.error);
    c.a.scale = -500;
    lab_check(c.name, record, &c, c.error);
}

/* Layers with different windows keep their keys in groups of pages of their own; one window's layers share a group. */
static val layers_record(struct lab *l, const void *ctx, double *want) {
    const float *x;
    (void)ctx;
    static const int windows[] = {0, 5, 0, 9, 5};
    struct attention a = {SIZES(2, 2, 8, 8)};
    l->large_error = 2e-6;
    val in = lab_input(l, 16, &x), sum = NO_VAL;
    for (int i = 0; i < 5; i++) {
        a.window = windows[i];
        val y = op_attention(l->g, in, in, in, a);
        sum = i ? op_add(l->g, sum, y) : y;
        for (int r = 0; r < LAB_ROWS; r++)
            for (int h = 0; h < 2; h++) {
                double out[8];
                int from = a.window && r - a.window + 1 > lab_first(r) ? r - a.window + 1 : lab_first(r);
                head_oracle(&a, x + r * 16 + h * 8, x + h * 8, x + h * 8, 16, 16, from, r, h, NULL, out);
                for (int d = 0; d < 8; d++) want[(r * 2 + h) * 8 + d] += out[d];
            }
    }
    assert_int_equal(graph_kv_groups(l->g), 3);
    return sum;
}

static void groups_of_pages(void **state) {
    (void)state;
    lab_check("layers", layers_record, NULL, 2e-6);
}

/* Workers that wait ask for what a sequence alone sees of its first page, each for its heads: together for all of it, once. */
static void pages_are_asked_for(void **state) {
    (void)state;
    enum { HEAD = 32, PAGES = 3 };
    static const struct {
        int n_head, n_kv, window, pos, count;
        int32_t seen; /* of the first page */
        bool both_ways, v_in_k;
        int times; /* that each head is asked for: its queries are divided among workers where there are few heads */
    } c[] = {
        {4, 4, 0, 0, 1, 1, false, false, 1},   {4, 2, 0, 9, 1, 10, false, false, 1},  {4, 2, 0, 63, 1, 64, false, false, 1}, {8, 4, 0, 150, 1, 64, false, false, 1},
        {4, 4, 20, 70, 1, 13, false, false, 1}, {4, 4, 20, 70, 4, 13, false, false, 1}, {4, 4, 20, 180, 1, 20, false, false, 1}, {4, 4, 0, 0, 7, 7, true, false, 1},
        {4, 4, 0, 30, 5, 35, false, false, 1},  {4, 4, 0, 30, 1, 31, false, true, 1},  {32, 1, 0, 9, 1, 10, false, false, 2},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        for (int workers = 2; workers <= 3; workers++) {
            struct lab l;
            struct err e = {0};
            const struct kernels *k;
            const float *x;
            lab_open(&l, 7);
            assert_int_equal(kernels_get(&k, NULL, &e), 0);
            const struct attention a = {.n_head = c[i].n_head, .n_head_kv = c[i].n_kv, .head_k = HEAD, .head_v = HEAD, .scale = 1, .window = c[i].window, .both_ways = c[i].both_ways, .v_in_k = c[i].v_in_k};
            val q = lab_input(&l, HEAD * a.n_head, &x), kv = lab_input(&l, HEAD * a.n_head_kv, &x), y = op_attention(l.g, q, kv, kv, a);
            graph_output(l.g, op_rows(l.g, y));
            assert_int_equal(graph_plan(l.g, (struct plan_options){16, 16, workers, DT_F16, k, false}, &e), 0);
            const struct node *n = l.g->nodes[0];
            while (!n->op->ask) n = l.g->nodes[n->index + 1];
            uint8_t *page[PAGES];
            for (int p = 0; p < PAGES; p++) page[p] = malloc(graph_kv_page_bytes(l.g, 0));
            struct seq_memory memory = {.pages = {page}};
            struct span span = {.count = c[i].count, .pos = c[i].pos, .memory = &memory};
            struct step step = {.n_rows = span.count, .n_spans = 1, .spans = &span};
            const struct run r = {l.g, &step, k, workers};
            size_t all = 0;
            for (int w = 0; w < workers; w++) {
                size_t asked = 0;
                for (size_t some; (some = n->op->ask(&r, n, w, asked)) > 0; asked += some) assert_in_range(some, 1, 4096);
                all += asked;
            }
            if (workers == 2 || c[i].times == 1) assert_int_equal(all, (size_t)(c[i].times * c[i].n_kv * c[i].seen) * HEAD * 2 * (c[i].v_in_k ? 1 : 2));
            span.prompt = true;
            assert_int_equal(n->op->ask(&r, n, 0, 0), 0);
            for (int p = 0; p < PAGES; p++) free(page[p]);
            lab_close(&l);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all), cmocka_unit_test(great_scores), cmocka_unit_test(groups_of_pages), cmocka_unit_test(pages_are_asked_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
