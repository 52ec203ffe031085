/* test_linear.c: the matrix products, for every element type, against the decoded weights in doubles: alone, several at once behind a norm, with biases and
 * factors, as the way back into the residual stream, behind a gate, and one matrix per head. */
#include "lab.h"

#include "support/blocks.h"
#include "support/light.h"

enum { WIDTH = 512, OUT = 35 }; /* OUT: a tile and a part */

/* n1 rows of WIDTH elements of any type that can be decoded. */
static const struct tensor *matrix(struct lab *l, enum dtype type, int64_t n0, int64_t n1, int64_t n2) {
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t n = (size_t)(n0 * n1 * n2), size = dtype_size(type, n);
    assert_true(size > 0);
    if (info->encode) return lab_tensor_of(l, type, n0, n1, n2, 0, 1);
    assert_true(l->n_tensors < LAB_TENSORS);
    uint8_t *data = malloc(size);
    assert_non_null(data);
    for (size_t i = 0; i * info->block < n; i++) {
        double number = 2 * rng_unit(&l->rng) - 1;
        if (type == DT_F64) memcpy(data + i * sizeof number, &number, sizeof number);
        else random_super_block(type, &l->rng, 0.5, data + i * info->bytes);
    }
    struct tensor *t = &l->tensors[l->n_tensors++];
    *t = (struct tensor){"t", type, 3, {n0, n1, n2, 1}, data, size};
    return t;
}

/* Row `row` of w times x. */
static double product(const struct tensor *w, int64_t row, const double *x) {
    float decoded[WIDTH];
    double sum = 0;
    dtype_info((uint32_t)w->type)->decode((const char *)w->data + (size_t)row * tensor_row_bytes(w), decoded, (size_t)w->ne[0]);
    for (int64_t i = 0; i < w->ne[0]; i++) sum += (double)decoded[i] * x[i];
    return sum;
}

static void widen(const float *x, double *out, int n) {
    for (int i = 0; i < n; i++) out[i] = (double)x[i];
}

static val plain(struct lab *l, const void *ctx, double *want) {
    const float *x;
    val v = lab_input(l, WIDTH, &x);
    const struct tensor *w = matrix(l, *(const enum dtype *)ctx, WIDTH, OUT, 1);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[WIDTH];
        widen(x + (size_t)r * WIDTH, row, WIDTH);
        lab_round(l, w->type, row, WIDTH);
        for (int c = 0; c < OUT; c++) want[r * OUT + c] = product(w, c, row);
    }
    return op_linear(l->g, v, NULL, (struct linear){.w = w});
}

/* Four products of one norm, of types that want it in different forms, joined side by side by what comes after. */
static val behind_a_norm(struct lab *l, const void *ctx, double *want) {
    const float *x;
    val v = lab_input(l, WIDTH, &x), out[4];
    const enum dtype type = *(const enum dtype *)ctx;
    const struct tensor *w[4] = {matrix(l, type, WIDTH, OUT, 1), matrix(l, DT_F32, WIDTH, OUT, 1), matrix(l, type, WIDTH, OUT, 1), matrix(l, DT_Q8_0, WIDTH, OUT, 1)};
    const struct tensor *bias = lab_tensor(l, OUT, 1, 1), *factor = lab_tensor_of(l, DT_F32, 1, 1, 1, 2, 0.5f), *gain = lab_tensor_of(l, DT_F32, WIDTH, 1, 1, 1, 0.5f);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[WIDTH], exact[WIDTH], eight[WIDTH], sum = 0;
        widen(x + (size_t)r * WIDTH, row, WIDTH);
        for (int i = 0; i < WIDTH; i++) sum += row[i] * row[i];
        for (int i = 0; i < WIDTH; i++) row[i] *= (double)numbers(gain)[i] / sqrt(sum / WIDTH + 1e-6);
        memcpy(exact, row, sizeof exact);
        memcpy(eight, row, sizeof eight);
        lab_round(l, DT_Q8_0, eight, WIDTH);
        lab_round(l, type, row, WIDTH);
        for (int c = 0; c < OUT; c++)
            want[r * OUT + c] = (double)*numbers(factor) * product(w[0], c, row) + (double)numbers(bias)[c] + product(w[1], c, exact) + product(w[2], c, row) + product(w[3], c, eight);
    }
    op_linears(l->g, v, &(struct norm){.kind = NORM_RMS, .eps = 1e-6f, .weight = gain},
               (struct linear[]){{.w = w[0], .b = bias, .s = factor}, {.w = w[1]}, {.w = w[2]}, {.w = w[3]}}, 4, out);
    return op_add(l->g, op_add(l->g, op_add(l->g, out[0], out[1]), out[2]), out[3]);
}

static val way_back(struct lab *l, const void *ctx, double *want) {
    const float *x, *stream;
    val v = lab_input(l, WIDTH, &x), s = lab_input(l, OUT, &stream);
    const struct tensor *w = matrix(l, *(const enum dtype *)ctx, WIDTH, OUT, 1), *bias = lab_tensor(l, OUT, 1, 1);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[WIDTH];
        widen(x + (size_t)r * WIDTH, row, WIDTH);
        lab_round(l, w->type, row, WIDTH);
        for (int c = 0; c < OUT; c++) want[r * OUT + c] = (double)stream[r * OUT + c] + product(w, c, row) + (double)numbers(bias)[c];
    }
    return op_add_last(l->g, s, op_linear(l->g, v, NULL, (struct linear){.w = w, .b = bias}));
}

/* Of a gate and what it gates; the product then adds one value on its way, and a second one is added to that. */
static val gated(struct lab *l, const void *ctx, double *want) {
    const float *gate, *up, *stream, *more;
    val g = lab_input(l, WIDTH, &gate), u = lab_input(l, WIDTH, &up), s = lab_input(l, OUT, &stream), m = lab_input(l, OUT, &more);
    const struct tensor *w = matrix(l, *(const enum dtype *)ctx, WIDTH, OUT, 1), *bias = lab_tensor(l, OUT, 1, 1);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            double x = (double)gate[r * WIDTH + i];
            row[i] = x / (1 + exp(-x)) * (double)up[r * WIDTH + i];
        }
        lab_round(l, w->type, row, WIDTH);
        for (int c = 0; c < OUT; c++) want[r * OUT + c] = 2 * (product(w, c, row) + (double)numbers(bias)[c] + (double)stream[r * OUT + c] + (double)more[r * OUT + c]);
    }
    const val last = op_linear_glu(l->g, g, u, ACT_SILU, (struct linear){.w = w, .b = bias}), sum = op_add_last(l->g, s, last);
    assert_int_equal(sum, last); /* no operation of its own */
    const val both = op_add_last(l->g, m, sum), scaled = op_scale(l->g, both, 2);
    assert_int_not_equal(both, sum);
    return scaled;
}

static val per_head(struct lab *l, const void *ctx, double *want) {
    enum { HEADS = 3, IN = 256 };
    const float *x;
    val v = lab_input(l, HEADS * IN, &x);
    const struct tensor *w = matrix(l, *(const enum dtype *)ctx, IN, OUT, HEADS);
    for (int r = 0; r < LAB_ROWS; r++)
        for (int h = 0; h < HEADS; h++) {
            double row[IN];
            widen(x + ((size_t)r * HEADS + (size_t)h) * IN, row, IN);
            lab_round(l, w->type, row, IN);
            for (int c = 0; c < OUT; c++) want[(r * HEADS + h) * OUT + c] = product(w, h * OUT + c, row);
        }
    return op_linear_heads(l->g, v, w);
}

static void every_type(void **state) {
    (void)state;
    /* Behind a norm the last bit of a float decides now and then to which side an activation is rounded. */
    static const struct { const char *name; lab_case record; double rounded; } cases[] = {
        {"alone", plain, 2e-6}, {"behind a norm", behind_a_norm, 1e-3}, {"way back", way_back, 2e-6}, {"gated", gated, 1e-3}, {"per head", per_head, 2e-6}};
    static const uint32_t few[] = {DT_F32, DT_F16, DT_Q8_0, DT_Q4_K, DT_Q6_K};
    const bool less = light("all types but F32, F16, Q8_0, Q4_K and Q6_K");
    int types = 0;
    for (uint32_t t = 0; t < DT_LIMIT; t++) {
        bool wanted = !less;
        for (size_t i = 0; i < sizeof few / sizeof *few; i++) wanted = wanted || few[i] == t;
        if (!wanted || !dtype_info(t) || !dtype_info(t)->decode) continue;
        enum dtype type = (enum dtype)t;
        types++;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s, %s", dtype_info(t)->name, cases[i].name);
            double error = dtype_info(t)->group || cases[i].record == behind_a_norm ? cases[i].rounded : 1e-6;
            lab_check(name, cases[i].record, &type, error);
        }
    }
    assert_true(types >= (less ? 5 : 31));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_type)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
