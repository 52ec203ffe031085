/* test_adapter.c: what adapters add to products, against doubles: alone, to several matrices behind a norm, on the way back into the residual stream, behind a
 * gate; with weights and adapters of several types, and ranks that divide nothing. Rows with different adapters and with none share every step; lab_check
 * holds all ways of cutting steps to the same bits. */
#include "lab.h"

enum { WIDTH = 96, OUT = 149 }; /* OUT: two blocks of columns and a part, and no whole vectors */

static int mixed(int row) { return row % 4 == 3 ? NO_ADAPTER : row % 4; }

/* Rows of which many have the same adapter one after the other, as in a prompt; an activated one begins in the middle. */
static int in_runs(int row) { return row < 40 ? NO_ADAPTER : row < LAB_A ? 0 : row < LAB_A + 20 ? 2 : 1; }

struct setting {
    enum dtype weights, a, b;
    int rank[LAB_ADAPTERS];
    int (*adapter_of)(int row);
};

static void widen(const float *x, double *out, int n) {
    for (int i = 0; i < n; i++) out[i] = (double)x[i];
}

static double product(const struct tensor *w, int64_t row, const double *x) {
    float decoded[WIDTH];
    double sum = 0;
    dtype_info((uint32_t)w->type)->decode((const char *)w->data + (size_t)row * tensor_row_bytes(w), decoded, (size_t)w->ne[0]);
    for (int64_t i = 0; i < w->ne[0]; i++) sum += (double)decoded[i] * x[i];
    return sum;
}

/* Random numbers as the graph wants them. */
static struct low_rank addition(struct lab *l, const struct tensor *w, int rank, enum dtype a, enum dtype b, float scale) {
    return (struct low_rank){.w = w, .rank = rank, .scale = scale, .a_type = a, .b_type = b,
                             .a = lab_tensor_of(l, a, w->ne[0], rank, 1, 0, 1)->data, .b = lab_tensor_of(l, b, w->ne[1] * rank, 1, 1, 0, 0.2f)->data};
}

static double stored(enum dtype type, const void *p, size_t i) {
    float out;
    dtype_info((uint32_t)type)->decode((const char *)p + i * dtype_size(type, 1), &out, 1);
    return (double)out;
}

/* out[c] += scale * (B A x)[c], with B's blocks of columns as graph.h says. */
static void add_low_rank(const struct low_rank *l, const double *x, double *out) {
    const int64_t n_in = l->w->ne[0], n_out = l->w->ne[1];
    for (int64_t k = 0; k < l->rank; k++) {
        double t = 0;
        for (int64_t i = 0; i < n_in; i++) t += stored(l->a_type, l->a, (size_t)(k * n_in + i)) * x[i];
        for (int64_t c = 0; c < n_out; c++) {
            const int64_t first = c / LOW_RANK_COLUMNS * LOW_RANK_COLUMNS, left = n_out - first, width = left < LOW_RANK_COLUMNS ? left : LOW_RANK_COLUMNS;
            out[c] += (double)l->scale * t * stored(l->b_type, l->b, (size_t)(l->rank * first + k * width + c - first));
        }
    }
}

static struct low_rank lists[LAB_ADAPTERS][3];

/* n additions for each adapter, to these matrices; the second adapter lacks the first of several. */
static void adapt(struct lab *l, const struct setting *s, const struct tensor *const *w, int n) {
    l->n_adapters = LAB_ADAPTERS;
    l->adapter_of = s->adapter_of;
    for (int i = 0; i < LAB_ADAPTERS; i++) {
        int first = i == 1 && n > 1;
        for (int k = first; k < n; k++) lists[i][k - first] = addition(l, w[k], s->rank[(i + k) % LAB_ADAPTERS], k % 2 ? s->b : s->a, s->b, 0.5f + (float)i);
        l->adapters[i].list = lists[i];
        l->adapters[i].n = n - first;
    }
}

/* Adds what the row's adapter does to w; x as it enters the product. */
static void adapted(const struct lab *l, int row, const struct tensor *w, const double *x, double *out) {
    int which = l->adapter_of(row);
    for (int k = 0; which != NO_ADAPTER && k < l->adapters[which].n; k++)
        if (l->adapters[which].list[k].w == w) add_low_rank(&l->adapters[which].list[k], x, out);
}

static val plain(struct lab *l, const void *ctx, double *want) {
    const struct setting *s = ctx;
    const float *x;
    val v = lab_input(l, WIDTH, &x);
    const struct tensor *w = lab_tensor_of(l, s->weights, WIDTH, OUT, 1, 0, 1), *bias = lab_tensor(l, OUT, 1, 1), *factor = lab_tensor_of(l, DT_F32, 1, 1, 1, 2, 0.5f);
    adapt(l, s, &w, 1);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[WIDTH], exact[WIDTH];
        widen(x + (size_t)r * WIDTH, row, WIDTH);
        memcpy(exact, row, sizeof exact);
        lab_round(l, w->type, row, WIDTH);
        for (int c = 0; c < OUT; c++) want[r * OUT + c] = (double)*numbers(factor) * product(w, c, row) + (double)numbers(bias)[c];
        adapted(l, r, w, exact, want + (size_t)r * OUT);
    }
    return op_linear(l->g, v, NULL, (struct linear){.w = w, .b = bias, .s = factor});
}

static val behind_a_norm(struct lab *l, const void *ctx, double *want) {
    const struct setting *s = ctx;
    const float *x;
    val v = lab_input(l, WIDTH, &x), out[3];
    const struct tensor *w[3] = {lab_tensor_of(l, s->weights, WIDTH, OUT, 1, 0, 1), lab_tensor(l, WIDTH, OUT, 1), lab_tensor_of(l, s->weights, WIDTH, OUT, 1, 0, 1)};
    const struct tensor *gain = lab_tensor_of(l, DT_F32, WIDTH, 1, 1, 1, 0.5f);
    adapt(l, s, w, 3);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[WIDTH], exact[WIDTH], sum = 0;
        widen(x + (size_t)r * WIDTH, row, WIDTH);
        for (int i = 0; i < WIDTH; i++) sum += row[i] * row[i];
        for (int i = 0; i < WIDTH; i++) row[i] *= (double)numbers(gain)[i] / sqrt(sum / WIDTH + 1e-6);
        memcpy(exact, row, sizeof exact);
        lab_round(l, s->weights, row, WIDTH);
        for (int c = 0; c < OUT; c++) want[r * OUT + c] = product(w[0], c, row) + product(w[1], c, exact) + product(w[2], c, row);
        for (int k = 0; k < 3; k++) adapted(l, r, w[k], exact, want + (size_t)r * OUT);
    }
    op_linears(l->g, v, &(struct norm){.kind = NORM_RMS, .eps = 1e-6f, .weight = gain}, (struct linear[]){{.w = w[0]}, {.w = w[1]}, {.w = w[2]}}, 3, out);
    return op_add(l->g, op_add(l->g, out[0], out[1]), out[2]);
}

/* Of a gate and what it gates, and added to a stream on its way; the rows whose logits are wanted. */
static val gated(struct lab *l, const void *ctx, double *want) {
    const struct setting *s = ctx;
    const float *gate, *up, *stream;
    val g = lab_input(l, WIDTH, &gate), u = lab_input(l, WIDTH, &up), to = lab_input(l, OUT, &stream);
    const struct tensor *w = lab_tensor_of(l, s->weights, WIDTH, OUT, 1, 0, 1);
    adapt(l, s, &w, 1);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[WIDTH], exact[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            double x = (double)gate[r * WIDTH + i];
            row[i] = x / (1 + exp(-x)) * (double)up[r * WIDTH + i];
        }
        memcpy(exact, row, sizeof exact);
        lab_round(l, w->type, row, WIDTH);
        for (int c = 0; c < OUT; c++) want[r * OUT + c] = (double)stream[r * OUT + c] + product(w, c, row);
        adapted(l, r, w, exact, want + (size_t)r * OUT);
    }
    g = op_rows(l->g, g), u = op_rows(l->g, u), to = op_rows(l->g, to);
    return op_add_last(l->g, to, op_linear_glu(l->g, g, u, ACT_SILU, (struct linear){.w = w}));
}

static const struct setting settings[] = {
    {DT_F32, DT_F32, DT_F32, {1, 8, 70}, mixed},   {DT_F32, DT_BF16, DT_F16, {16, 3, 130}, in_runs}, {DT_Q8_0, DT_F16, DT_BF16, {16, 16, 5}, mixed},
    {DT_Q4_0, DT_F32, DT_BF16, {33, 64, 7}, in_runs}, {DT_F16, DT_BF16, DT_F32, {64, 65, 2}, mixed},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static void against_doubles(void **state) {
    (void)state;
    static const struct {
        const char *name;
        lab_case record;
        bool rounds; /* behind a norm or a gate the last bit of a float decides now and then to which side an activation is rounded */
    } cases[] = {{"alone", plain, false}, {"behind a norm", behind_a_norm, true}, {"gated, on the way back", gated, true}};
    for (size_t i = 0; i < SETTINGS; i++)
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            char name[80];
            (void)snprintf(name, sizeof name, "%s, weights of %s, numbers of %s and %s", cases[c].name, dtype_info(settings[i].weights)->name, dtype_info(settings[i].a)->name,
                           dtype_info(settings[i].b)->name);
            lab_check(name, cases[c].record, &settings[i], dtype_info(settings[i].weights)->group && cases[c].rounds ? 1e-3 : 3e-6);
        }
}

static int none(int row) {
    (void)row;
    return NO_ADAPTER;
}
static int all_the_second(int row) {
    (void)row;
    return 1;
}

/* A row has the same bits whatever adapters its neighbours have, and one without an adapter those of a graph that knows of none. */
static void neighbours(void **state) {
    (void)state;
    for (size_t i = 0; i < SETTINGS; i++)
        for (int chunk = 1; chunk <= LAB_SMALL; chunk += 5) {
            struct setting s = settings[i];
            int (*const ways[])(int) = {s.adapter_of, none, all_the_second, NULL};
            float *out[4];
            double *ignored = calloc(LAB_ROWS * 4096, sizeof *ignored);
            assert_non_null(ignored);
            for (int w = 0; w < 4; w++) {
                struct lab l;
                lab_open(&l, 23);
                s.adapter_of = ways[w] ? ways[w] : none;
                val v = behind_a_norm(&l, &s, ignored);
                if (!ways[w]) l.n_adapters = 0, l.adapter_of = NULL;
                (void)lab_run(&l, v, chunk, 2);
                out[w] = l.out;
                l.out = NULL;
                lab_close(&l);
            }
            int differ = 0;
            for (int r = 0; r < LAB_ROWS; r++) {
                int which = ways[0](r);
                const float *row = out[0] + (size_t)r * OUT;
                if (which == NO_ADAPTER) assert_memory_equal(row, out[1] + (size_t)r * OUT, OUT * sizeof *row);
                if (which == 1) assert_memory_equal(row, out[2] + (size_t)r * OUT, OUT * sizeof *row);
                differ += memcmp(row, out[1] + (size_t)r * OUT, OUT * sizeof *row) != 0;
                assert_memory_equal(out[1] + (size_t)r * OUT, out[3] + (size_t)r * OUT, OUT * sizeof *row);
            }
            assert_true(differ > LAB_ROWS / 3);
            for (int w = 0; w < 4; w++) free(out[w]);
            free(ignored);
        }
}

static struct graph *planned(struct lab *l, const struct tensor **w, const struct tensor **table, const struct tensor **heads) {
    struct err e = {0};
    const struct kernels *k;
    lab_open(l, 5);
    *table = lab_tensor(l, 32, 9, 1);
    *w = lab_tensor(l, 32, 16, 1);
    *heads = lab_tensor(l, 8, 4, 2);
    val v = op_linear_heads(l->g, op_linear(l->g, op_embed(l->g, *table, 1), NULL, (struct linear){.w = *w}), *heads);
    graph_output(l->g, op_rows(l->g, v));
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    assert_int_equal(graph_plan(l->g, (struct plan_options){4, 4, 1, DT_F32, k, false}, &e), 0);
    return l->g;
}

static void what_cannot_be_added(void **state) {
    (void)state;
    struct lab l;
    struct err e = {0};
    const struct tensor *w, *table, *heads;
    int id;
    struct graph *g = planned(&l, &w, &table, &heads);
    struct tensor named[2] = {*table, *heads}; /* not the graph's own */
    named[0].name = "some.table", named[1].name = "some.heads";
    for (int i = 0; i < 2; i++) {
        struct low_rank a = addition(&l, &named[i], 2, DT_F32, DT_F32, 1);
        assert_int_equal(graph_adapter_add(g, &a, 1, &id, &e), ERR_UNSUPPORTED);
        assert_non_null(strstr(e.msg, named[i].name));
        a.w = i ? heads : table;
        assert_int_equal(graph_adapter_add(g, &a, 1, &id, &e), ERR_UNSUPPORTED);
    }
    struct low_rank good = addition(&l, w, 2, DT_F32, DT_F32, 1), bad = good;
    bad.rank = 0;
    assert_int_equal(graph_adapter_add(g, &bad, 1, &id, &e), ERR_INTERNAL);
    bad.rank = 2, bad.b_type = DT_Q8_0;
    assert_int_equal(graph_adapter_add(g, &bad, 1, &id, &e), ERR_INTERNAL);
    for (int i = 0; i < 3; i++) { /* numbers are given again */
        int other;
        assert_int_equal(graph_adapter_add(g, &good, 1, &id, &e), 0);
        assert_int_equal(id, 0);
        assert_int_equal(graph_adapter_add(g, &good, 1, &other, &e), 0);
        assert_int_equal(other, 1);
        graph_adapter_remove(g, other);
        graph_adapter_remove(g, id);
    }
    lab_close(&l);
}

static void out_of_memory(void **state) {
    (void)state;
    int64_t before = mem_live();
    for (int64_t fail = 1;; fail++) {
        struct lab l;
        struct err e = {0};
        const struct tensor *w, *table, *heads;
        int id;
        struct graph *g = planned(&l, &w, &table, &heads);
        const struct low_rank small = addition(&l, w, 2, DT_F32, DT_F32, 1), large = addition(&l, w, 100, DT_F32, DT_F32, 1);
        mem_fail_after(fail);
        int code = graph_adapter_add(g, &small, 1, &id, &e);
        if (code == 0) code = graph_adapter_add(g, &large, 1, &id, &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        lab_close(&l);
        assert_int_equal(mem_live(), before);
        if (!failed) {
            assert_true(fail > 5);
            break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_doubles), cmocka_unit_test(neighbours), cmocka_unit_test(what_cannot_be_added), cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
