/* test_scan.c: operations with a state, against recurrences over a whole sequence in doubles. That cutting a sequence into steps changes nothing is
 * lab_check's part. */
#include "lab.h"

/* ---- convolution ---- */

struct conv_case {
    int kernel;
    bool bias, silu;
    enum dtype type;
};
enum { W = 37 };

static val conv_record(struct lab *l, const void *ctx, double *want) {
    const struct conv_case *c = ctx;
    const float *x;
    val in = lab_input(l, W, &x);
    const struct tensor *w = lab_tensor_of(l, c->type, c->kernel, W, 1, 0, 1), *b = c->bias ? lab_tensor(l, W, 1, 1) : NULL;
    float k[W * 8];
    dtype_info(w->type)->decode(w->data, k, (size_t)tensor_elements(w));
    for (int r = 0; r < LAB_ROWS; r++)
        for (int i = 0; i < W; i++) {
            double sum = b ? (double)numbers(b)[i] : 0;
            for (int j = 0; j < c->kernel; j++) {
                int from = r - c->kernel + 1 + j;
                if (from >= lab_first(r)) sum += (double)k[i * c->kernel + j] * (double)x[from * W + i];
            }
            want[r * W + i] = c->silu ? sum / (1 + exp(-sum)) : sum;
        }
    return op_conv(l->g, in, w, b, c->silu);
}

static void convolutions(void **state) {
    (void)state;
    for (int kernel = 1; kernel <= 5; kernel++)
        for (int bits = 0; bits < 4; bits++) lab_check("conv", conv_record, &(struct conv_case){kernel, bits & 1, bits & 2, DT_F32}, 1e-6);
    lab_check("conv", conv_record, &(struct conv_case){4, true, true, DT_F16}, 1e-6);
}

/* ---- Mamba 2 ---- */

static val ssd_record(struct lab *l, const void *ctx, double *want) {
    const struct ssd *given = ctx;
    struct ssd s = *given;
    const float *x, *dt, *b, *c;
    val vx = lab_input(l, s.n_head * s.head_size, &x), vdt = lab_input(l, s.n_head, &dt), vb = lab_input(l, s.n_group * s.n_state, &b), vc = lab_input(l, s.n_group * s.n_state, &c);
    s.a = lab_tensor_of(l, DT_F32, s.n_head, 1, 1, -1, 0.9f);
    s.d = lab_tensor(l, s.n_head, 1, 1);
    s.dt_bias = lab_tensor(l, s.n_head, 1, 1);
    for (int h = 0; h < s.n_head; h++)
        for (int i = 0; i < s.head_size; i++) {
            double state[64] = {0};
            int group = h / (s.n_head / s.n_group), column = h * s.head_size + i;
            for (int r = 0; r < LAB_ROWS; r++) {
                if (r == LAB_A) memset(state, 0, sizeof state); /* the other sequence */
                double delta = log(1 + exp((double)dt[r * s.n_head + h] + (double)numbers(s.dt_bias)[h])), in = (double)x[r * s.n_head * s.head_size + column];
                double *out = &want[r * s.n_head * s.head_size + column];
                *out = (double)numbers(s.d)[h] * in;
                for (int j = 0; j < s.n_state; j++) {
                    int at = (r * s.n_group + group) * s.n_state + j;
                    state[j] = exp(delta * (double)numbers(s.a)[h]) * state[j] + delta * (double)b[at] * in;
                    *out += (double)c[at] * state[j];
                }
            }
        }
    return op_ssd(l->g, vx, vdt, vb, vc, s);
}

static void state_spaces(void **state) {
    (void)state;
    static const struct ssd shapes[] = {
        {.n_head = 4, .head_size = 8, .n_state = 16, .n_group = 2}, {.n_head = 3, .head_size = 5, .n_state = 7, .n_group = 1},
        {.n_head = 4, .head_size = 1, .n_state = 1, .n_group = 4},  {.n_head = 1, .head_size = 16, .n_state = 64, .n_group = 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) lab_check("ssd", ssd_record, &shapes[i], 3e-6);
}

/* ---- gated delta rule: S = exp(decay) S (I - beta k k') + beta v k', the paper's form, with S [value][key] ---- */

static val delta_record(struct lab *l, const void *ctx, double *want) {
    const struct delta *d = ctx;
    int wk = d->n_k * d->key_size, wv = d->n_v * d->value_size;
    const float *q, *k, *v, *decay, *beta;
    val vq = lab_input(l, wk, &q), vk = lab_input(l, wk, &k), vv = lab_input(l, wv, &v), vd = lab_input(l, d->n_v, &decay), vb = lab_input(l, d->n_v, &beta);
    for (int r = 0; r < LAB_ROWS; r++) { /* unit keys, as models have them: else the state grows without bound; decays below zero */
        for (int h = 0; h < d->n_k; h++) {
            float *key = (float *)(uintptr_t)(k + r * wk + h * d->key_size), square = 0;
            for (int j = 0; j < d->key_size; j++) square += key[j] * key[j];
            for (int j = 0; j < d->key_size; j++) key[j] /= sqrtf(square);
        }
        for (int h = 0; h < d->n_v; h++) ((float *)(uintptr_t)decay)[r * d->n_v + h] = -fabsf(decay[r * d->n_v + h]) / 4, ((float *)(uintptr_t)beta)[r * d->n_v + h] = fabsf(beta[r * d->n_v + h]);
    }
    for (int h = 0; h < d->n_v; h++)
        for (int i = 0; i < d->value_size; i++) {
            double s[32] = {0};
            for (int r = 0; r < LAB_ROWS; r++) {
                if (r == LAB_A) memset(s, 0, sizeof s);
                const float *key = k + r * wk + h % d->n_k * d->key_size, *query = q + r * wk + h % d->n_k * d->key_size;
                double g = exp((double)decay[r * d->n_v + h]), b = (double)beta[r * d->n_v + h], along = 0, *out = &want[r * wv + h * d->value_size + i];
                for (int j = 0; j < d->key_size; j++) along += s[j] * (double)key[j];
                *out = 0;
                for (int j = 0; j < d->key_size; j++) {
                    s[j] = g * (s[j] - b * along * (double)key[j]) + b * (double)v[r * wv + h * d->value_size + i] * (double)key[j];
                    *out += (double)d->scale * s[j] * (double)query[j];
                }
            }
        }
    return op_delta(l->g, vq, vk, vv, vd, vb, *d);
}

static void delta_rules(void **state) {
    (void)state;
    static const struct delta shapes[] = {{2, 4, 16, 16, 0.25f}, {2, 2, 9, 5, 1}, {1, 3, 32, 4, 0.5f}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) lab_check("delta", delta_record, &shapes[i], 3e-6);
}

/* Several operations, each with its own part of the state. */
static val pile_record(struct lab *l, const void *ctx, double *want) {
    const float *x;
    (void)ctx;
    val v = lab_input(l, 8, &x);
    double *y = malloc(sizeof *y * LAB_ROWS * 8);
    for (int i = 0; i < LAB_ROWS * 8; i++) y[i] = (double)x[i];
    for (int n = 0; n < 4; n++) {
        int kernel = n + 2;
        const struct tensor *w = lab_tensor(l, kernel, 8, 1);
        for (int r = 0; r < LAB_ROWS; r++)
            for (int i = 0; i < 8; i++) {
                want[r * 8 + i] = 0;
                for (int j = 0; j < kernel; j++)
                    if (r - kernel + 1 + j >= lab_first(r)) want[r * 8 + i] += (double)numbers(w)[i * kernel + j] * y[(r - kernel + 1 + j) * 8 + i];
            }
        memcpy(y, want, sizeof *y * LAB_ROWS * 8);
        v = op_conv(l->g, v, w, NULL, false);
    }
    free(y);
    assert_int_equal(graph_state_floats(l->g), (1 + 2 + 3 + 4) * 8);
    return v;
}

static void piled_up(void **state) {
    (void)state;
    lab_check("pile", pile_record, NULL, 3e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions), cmocka_unit_test(state_spaces), cmocka_unit_test(delta_rules), cmocka_unit_test(piled_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
