/* test_whole.c: sequences that are whole in one step: attention both ways, their means, their segments, and layers that share their place in the pages.
 * Each case is run with all texts in a step and with each alone, which must give the same bits, and compared with a few lines of doubles. */
#include "lab.h"

enum { TEXTS = 7, ROWS = 298, MOST_WIDTH = 256 };
static const int lengths[TEXTS] = {1, 5, 16, 17, 64, 65, 130}; /* short ones, then long ones; whole pages and one more */

/* Row i of text t has this row of every input. */
static int source(int t, int i) { return (31 * t + i) % LAB_ROWS; }
static int32_t segment(int t, int i) { return (t + i) % 3 == 0; }

struct case_ {
    const char *name;
    struct attention a, then; /* then.n_head 0: one layer only */
    enum dtype kv;
    bool means;               /* the output is a row for each text */
    double error;
};

/* Records on l->g; wants, when not NULL, gets what text t should give: rows of the returned value's width. */
typedef val (*whole_record)(struct lab *l, const struct case_ *c, int t, double *want);

/* One step of the texts [from, to). out: where text t's rows begin is its place among all rows. */
static void step_of(struct lab *l, struct pool *pool, int from, int to, bool means, int width, float *out) {
    int32_t token[ROWS], pos[ROWS], seg[ROWS], logit[ROWS];
    struct seq_memory memory[TEXTS] = {0};
    struct span spans[TEXTS];
    struct step step = {.token = token, .pos = pos, .segment = seg, .logit_row = logit, .spans = spans};
    int place = 0;
    for (int t = 0; t < from; t++) place += means ? 1 : lengths[t];
    for (int t = from; t < to; t++) {
        struct seq_memory *m = &memory[t - from];
        const int pages = (lengths[t] + KV_PAGE - 1) / KV_PAGE;
        spans[step.n_spans++] = (struct span){step.n_rows, lengths[t], 0, m, false};
        for (int g = 0; g < graph_kv_groups(l->g); g++) {
            m->pages[g] = malloc((size_t)pages * sizeof(uint8_t *));
            for (int p = 0; p < pages; p++) memset(m->pages[g][p] = malloc(graph_kv_page_bytes(l->g, g)), 0xff, graph_kv_page_bytes(l->g, g)); /* not numbers */
        }
        if (means) logit[step.n_logits++] = step.n_rows + lengths[t] / 2;
        for (int i = 0; i < lengths[t]; i++, step.n_rows++) {
            token[step.n_rows] = source(t, i);
            pos[step.n_rows] = i;
            seg[step.n_rows] = segment(t, i);
            if (!means) logit[step.n_logits++] = step.n_rows;
        }
    }
    const float *y = graph_run(l->g, pool, &step);
    memcpy(out + (size_t)place * (size_t)width, y, sizeof *out * (size_t)step.n_logits * (size_t)width);
    for (int t = from; t < to; t++)
        for (int g = 0; g < graph_kv_groups(l->g); g++) {
            for (int p = 0; p < (lengths[t] + KV_PAGE - 1) / KV_PAGE; p++) free(memory[t - from].pages[g][p]);
            free(memory[t - from].pages[g]);
        }
}

static void whole_check(const struct case_ *c, whole_record record) {
    static const struct {
        int at_once, threads;
        bool one_step;
    } ways[] = {{TEXTS, 1, true}, {1, 2, true}, {TEXTS, 3, true}, {3, 3, true}, {TEXTS, 2, false}};
    float *first = NULL;
    int64_t before = mem_live();
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct lab l;
        struct err e = {0};
        struct pool *pool;
        const struct kernels *k;
        lab_open(&l, 17);
        double *want = calloc(ROWS * MOST_WIDTH, sizeof *want);
        float *out = calloc(ROWS * MOST_WIDTH, sizeof *out);
        assert_true(want && out);
        val v = record(&l, c, -1, NULL);
        const int width = graph_width(l.g, v);
        assert_in_range(width, 1, MOST_WIDTH);
        graph_output(l.g, op_rows(l.g, v));
        assert_int_equal(kernels_get(&k, NULL, &e), 0);
        assert_int_equal(pool_new(&pool, ways[w].threads, &e), 0);
        if (graph_plan(l.g, (struct plan_options){ROWS, ROWS, ways[w].threads, c->kv, k, ways[w].one_step}, &e)) fail_msg("%s: %s", c->name, e.msg);
        for (int t = 0; t < TEXTS; t += ways[w].at_once) step_of(&l, pool, t, t + ways[w].at_once < TEXTS ? t + ways[w].at_once : TEXTS, c->means, width, out);
        pool_free(pool);
        for (int t = 0, place = 0; t < TEXTS && !first; place += c->means ? 1 : lengths[t], t++) {
            const int n = c->means ? 1 : lengths[t];
            double most = 1e-30;
            (void)record(&l, c, t, want);
            for (int i = 0; i < n * width; i++) most = fmax(most, fabs(want[i]));
            for (int i = 0; i < n * width; i++)
                if (!(fabs((double)out[place * width + i] - want[i]) <= c->error * most))
                    fail_msg("%s: text %d row %d column %d is %.9g, not %.9g", c->name, t, i / width, i % width, (double)out[place * width + i], want[i]);
        }
        const size_t bytes = sizeof *out * (size_t)width * (c->means ? TEXTS : ROWS);
        if (first && memcmp(first, out, bytes) != 0) fail_msg("%s: %d texts at once with %d workers give other bits", c->name, ways[w].at_once, ways[w].threads);
        if (first) free(out);
        else first = out;
        free(want);
        lab_close(&l);
    }
    free(first);
    assert_int_equal(mem_live(), before);
}

/* ---- attention ---- */

static double slope(int h, int n, double bias) { /* Press et al. 2022, for any number of heads */
    int p = 1;
    while (2 * p <= n) p *= 2;
    return h < p ? pow(2, -bias * (h + 1) / p) : pow(2, -bias * (2 * (h - p) + 1) / (2 * p));
}

/* All of a text, as it is written. q, k, v: [n][heads * size] */
static void attend(const struct attention *a, int n, const double *q, const double *k, const double *v, double *out) {
    const int per = a->n_head / a->n_head_kv, wq = a->n_head * a->head_k, wk = a->n_head_kv * a->head_k, wv = a->n_head_kv * a->head_v, wo = a->n_head * a->head_v;
    for (int i = 0; i < n; i++)
        for (int h = 0; h < a->n_head; h++) {
            double s[LAB_ROWS], max = -INFINITY, sum = 0;
            for (int j = 0; j < n; j++) {
                const bool seen = a->both_ways ? !a->window || abs(i - j) <= a->window / 2 : j <= i && (!a->window || i - j < a->window);
                s[j] = 0;
                for (int d = 0; d < a->head_k; d++) s[j] += q[i * wq + h * a->head_k + d] * k[j * wk + h / per * a->head_k + d];
                s[j] *= (double)a->scale;
                if (a->softcap > 0) s[j] = (double)a->softcap * tanh(s[j] / (double)a->softcap);
                if (a->alibi > 0) s[j] -= slope(h, a->n_head, (double)a->alibi) * abs(i - j);
                if (!seen) s[j] = -INFINITY;
                max = fmax(max, s[j]);
            }
            for (int j = 0; j < n; j++) sum += exp(s[j] - max);
            for (int d = 0; d < a->head_v; d++) {
                double x = 0;
                for (int j = 0; j < n; j++) x += exp(s[j] - max) / sum * v[j * wv + h / per * a->head_v + d];
                out[i * wo + h * a->head_v + d] = x;
            }
        }
}

static const struct tensor *inputs[3]; /* of the lab that is open */

static void rows_of_text(int t, const struct tensor *x, double *out) {
    const int width = (int)x->ne[0];
    for (int i = 0; i < lengths[t]; i++)
        for (int c = 0; c < width; c++) out[i * width + c] = (double)numbers(x)[source(t, i) * width + c];
}

static val attention_record(struct lab *l, const struct case_ *c, int t, double *want) {
    const int widths[3] = {c->a.n_head * c->a.head_k, c->a.n_head_kv * c->a.head_k, c->a.n_head_kv * c->a.head_v};
    if (!want) {
        val in[3];
        for (int i = 0; i < 3; i++) in[i] = op_embed(l->g, inputs[i] = lab_tensor(l, widths[i], LAB_ROWS, 1), 1);
        val y = op_attention(l->g, in[0], in[1], in[2], c->a);
        return c->then.n_head ? op_attention(l->g, y, y, y, c->then) : y;
    }
    static double x[3][LAB_ROWS * MOST_WIDTH], y[LAB_ROWS * MOST_WIDTH];
    for (int i = 0; i < 3; i++) rows_of_text(t, inputs[i], x[i]);
    attend(&c->a, lengths[t], x[0], x[1], x[2], c->then.n_head ? y : want);
    if (c->then.n_head) attend(&c->then, lengths[t], y, y, y, want);
    return NO_VAL;
}

#define SIZES(h, kv, k, v) .n_head = h, .n_head_kv = kv, .head_k = k, .head_v = v, .scale = 0.4f
#define BOTH(h, kv, k, v) SIZES(h, kv, k, v), .both_ways = true

static const struct case_ attention_cases[] = {
    {"both ways", {BOTH(4, 4, 16, 16)}, {0}, DT_F32, false, 2e-6},
    {"grouped queries, odd sizes", {BOTH(6, 2, 19, 7)}, {0}, DT_F32, false, 2e-6},
    {"window", {BOTH(4, 2, 16, 16), .window = 10}, {0}, DT_F32, false, 2e-6},
    {"window of itself", {BOTH(4, 2, 16, 16), .window = 1}, {0}, DT_F32, false, 2e-6},
    {"odd window", {BOTH(4, 2, 16, 16), .window = 7}, {0}, DT_F32, false, 2e-6},
    {"window over the page", {BOTH(4, 2, 16, 16), .window = 140}, {0}, DT_F32, false, 2e-6},
    {"window beyond the text", {BOTH(4, 2, 16, 16), .window = 1 << 30}, {0}, DT_F32, false, 2e-6},
    {"ALiBi", {BOTH(12, 12, 16, 16), .alibi = 8}, {0}, DT_F32, false, 2e-6},
    {"softcap and ALiBi in a window", {BOTH(4, 2, 36, 20), .alibi = 4, .softcap = 3, .window = 68}, {0}, DT_F32, false, 2e-6},
    {"F16", {BOTH(4, 2, 32, 32)}, {0}, DT_F16, false, 1e-2},
    {"BF16 in a window", {BOTH(4, 2, 32, 32), .window = 33}, {0}, DT_BF16, false, 4e-2},
    {"two layers", {BOTH(4, 4, 16, 16)}, {BOTH(2, 2, 32, 32), .window = 20}, DT_F32, false, 1e-5},
    {"two layers of other sizes", {BOTH(6, 3, 20, 24)}, {BOTH(12, 12, 12, 12)}, DT_F32, false, 1e-5},
    {"two causal layers", {SIZES(4, 4, 16, 16)}, {SIZES(2, 2, 32, 32)}, DT_F32, false, 1e-5},
    {"a causal layer and a window", {SIZES(4, 4, 16, 16)}, {SIZES(2, 2, 32, 32), .window = 20}, DT_F32, false, 1e-5},
};

static void attention(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof attention_cases / sizeof *attention_cases; i++) whole_check(&attention_cases[i], attention_record);
}

/* Layers that share their place take the room of the largest, the others that of all. */
static void pages(void **state) {
    (void)state;
    size_t bytes[2];
    for (int one_step = 0; one_step < 2; one_step++) {
        struct lab l;
        struct err e = {0};
        const struct kernels *k;
        lab_open(&l, 17);
        val v = attention_record(&l, &attention_cases[12], -1, NULL);
        graph_output(l.g, op_rows(l.g, v));
        assert_int_equal(kernels_get(&k, NULL, &e), 0);
        assert_int_equal(graph_plan(l.g, (struct plan_options){4, 4, 1, DT_F32, k, one_step}, &e), 0);
        assert_int_equal(graph_kv_groups(l.g), 1);
        bytes[one_step] = graph_kv_page_bytes(l.g, 0);
        lab_close(&l);
    }
    assert_int_equal(bytes[0], (3 * (20 + 24) + 12 * (12 + 12)) * KV_PAGE * sizeof(float));
    assert_int_equal(bytes[1], 12 * (12 + 12) * KV_PAGE * sizeof(float));
}

/* ---- rows ---- */

enum { WIDTH = 130 }; /* more than twice what is summed together */

static val mean_record(struct lab *l, const struct case_ *c, int t, double *want) {
    (void)c;
    if (!want) return op_mean(l->g, op_embed(l->g, inputs[0] = lab_tensor(l, WIDTH, LAB_ROWS, 1), 1));
    static double x[LAB_ROWS * WIDTH];
    rows_of_text(t, inputs[0], x);
    for (int d = 0; d < WIDTH; d++) {
        want[d] = 0;
        for (int i = 0; i < lengths[t]; i++) want[d] += x[i * WIDTH + d] / lengths[t];
    }
    return NO_VAL;
}

static void means(void **state) {
    (void)state;
    whole_check(&(struct case_){.name = "mean", .means = true, .error = 1e-7}, mean_record);
}

static val segment_record(struct lab *l, const struct case_ *c, int t, double *want) {
    const int kinds = c->a.n_head; /* rows of the table */
    if (!want) {
        val x = op_embed(l->g, inputs[0] = lab_tensor(l, WIDTH, LAB_ROWS, 1), 1);
        return op_embed_segment(l->g, x, inputs[1] = lab_tensor(l, WIDTH, kinds, 1));
    }
    rows_of_text(t, inputs[0], want);
    for (int i = 0; i < lengths[t]; i++)
        for (int d = 0; d < WIDTH; d++) want[i * WIDTH + d] += (double)numbers(inputs[1])[(kinds > 1 ? segment(t, i) : 0) * WIDTH + d];
    return NO_VAL;
}

static void segments(void **state) {
    (void)state;
    for (int kinds = 1; kinds <= 3; kinds++) whole_check(&(struct case_){.name = "segments", .a = {.n_head = kinds}, .error = 1e-7}, segment_record);
}

static void mistakes(void **state) {
    (void)state;
    struct lab l;
    struct err e = {0};
    lab_open(&l, 1);
    val x = op_embed(l.g, lab_tensor(&l, 8, LAB_ROWS, 1), 1);
    assert_int_equal(op_mean(l.g, op_rows(l.g, x)), NO_VAL); /* of rows of which some were left out */
    assert_int_equal(graph_check(l.g, &e), ERR_INTERNAL);
    lab_close(&l);
    lab_open(&l, 1);
    x = op_embed(l.g, lab_tensor(&l, 8, LAB_ROWS, 1), 1);
    assert_int_equal(op_embed_segment(l.g, x, lab_tensor(&l, 9, 2, 1)), NO_VAL);
    assert_int_equal(graph_check(l.g, &e), ERR_FORMAT);
    lab_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention), cmocka_unit_test(pages), cmocka_unit_test(means), cmocka_unit_test(segments), cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
