/* test_rope.c: rotary embedding in all its forms, against the formulas as the papers state them, in complex numbers: pair i of a head at
 * position p is multiplied by m exp(p f(i) sqrt(-1)). */
#include <complex.h>

#include "lab.h"

struct turn_case {
    const char *name;
    struct rope r;
    enum rope_kind kind;
    int heads, head, first;
    bool factors, dims;
};

/* The number that pair i turns by per position. YaRN (Peng et al. 2023, 3.2): by how often the pair turns over the original context. */
static double frequency(const struct rope *r, const float *factors, int i) {
    double f = pow((double)r->theta, -2.0 * i / r->n_rot);
    if (factors) f /= (double)factors[i];
    if (!(r->ext_factor > 0)) return f * (double)r->freq_scale;
    /* the dimension at which n turns are made is linear in log n; the ramp runs between those of beta_fast and beta_slow */
    double at[2], turns[2] = {(double)r->beta_fast, (double)r->beta_slow};
    for (int k = 0; k < 2; k++) at[k] = r->n_rot * log(r->n_ctx_orig / (turns[k] * 2 * acos(-1))) / (2 * log((double)r->theta));
    if (!r->ramp_exact) at[0] = floor(at[0]), at[1] = ceil(at[1]);
    at[0] = fmax(at[0], 0), at[1] = fmin(at[1], r->n_rot - 1);
    double ramp = fmin(fmax((i - at[0]) / (at[1] - at[0]), 0), 1); /* 0: as trained, 1: interpolated */
    return f * (double)r->freq_scale * ramp + f * (1 - ramp);
}

/* Which coordinate turns pair i: sections in runs, over and over; or in turn t h w t h w while each section lasts, the rest being t's or, when
 * there is a fourth section, the fourth's. */
static int dimension(const struct rope *r, int i) {
    const int *s = r->sections;
    int total = s[0] + s[1] + s[2] + s[3], left[4] = {s[0], s[1], s[2], s[3]};
    if (!total) return 0;
    i %= total;
    if (!r->interleaved)
        for (int d = 0; d < 4; d++) {
            if (i < left[d]) return d;
            i -= left[d];
        }
    return i / 3 < s[i % 3] ? i % 3 : 3;
}

static val turn_record(struct lab *l, const void *ctx, double *want) {
    const struct turn_case *c = ctx;
    static int32_t dims[LAB_ROWS * 4];
    for (int i = 0; i < LAB_ROWS * 4; i++) dims[i] = (int32_t)rng_below(&l->rng, 500);
    if (c->dims) l->pos_dims = dims;
    const float *x;
    int width = c->heads * c->head, half = c->r.n_rot / 2;
    val in = lab_input(l, width, &x);
    struct rope r = c->r;
    if (c->factors) r.factors = lab_tensor_of(l, DT_F32, half, 1, 1, 4, 3);
    double magnitude = (double)r.attn_factor * (r.ext_factor > 0 ? 1 + 0.1 * log(1 / (double)r.freq_scale) : 1);
    for (int row = 0; row < LAB_ROWS; row++)
        for (int h = 0; h < c->heads; h++) {
            const float *in_head = x + row * width + h * c->head;
            double *out = want + row * width + h * c->head;
            for (int i = 0; i < c->head; i++) out[i] = (double)in_head[i];
            for (int i = 0; i < half; i++) {
                int a = c->first + (c->kind == ROPE_NORM ? 2 * i : i), b = c->first + (c->kind == ROPE_NORM ? 2 * i + 1 : i + half);
                int p = c->dims ? dims[row * 4 + dimension(&r, i)] : lab_position(row);
                double complex z = ((double)in_head[a] + (double)in_head[b] * I) * magnitude * cexp(I * (double)p * frequency(&r, r.factors ? numbers(r.factors) : NULL, i));
                out[a] = creal(z), out[b] = cimag(z);
            }
        }
    return op_rope(l->g, in, op_rope_table(l->g, r), c->kind, c->head, c->first);
}

#define PLAIN .theta = 10000, .freq_scale = 1, .attn_factor = 1
#define YARN .ext_factor = 1, .beta_fast = 32, .beta_slow = 1

static const struct turn_case cases[] = {
    {"pairs", {.n_rot = 16, PLAIN}, ROPE_NORM, 3, 16, 0, false, false},
    {"halves", {.n_rot = 16, PLAIN}, ROPE_NEOX, 3, 16, 0, false, false},
    {"a part, pairs", {.n_rot = 8, PLAIN}, ROPE_NORM, 3, 20, 0, false, false},
    {"a part, halves", {.n_rot = 8, PLAIN}, ROPE_NEOX, 3, 20, 0, false, false},
    {"a part from column 12 on, pairs", {.n_rot = 8, PLAIN}, ROPE_NORM, 3, 20, 12, false, false},
    {"a part from column 5 on, halves", {.n_rot = 8, PLAIN}, ROPE_NEOX, 3, 20, 5, false, false},
    {"linear scaling", {.n_rot = 16, .theta = 500000, .freq_scale = 0.25f, .attn_factor = 1}, ROPE_NORM, 2, 16, 0, false, false},
    {"factors", {.n_rot = 16, PLAIN}, ROPE_NORM, 2, 16, 0, true, false},
    {"factors and a magnitude", {.n_rot = 16, .theta = 10000, .freq_scale = 1, .attn_factor = 1.19f}, ROPE_NEOX, 2, 16, 0, true, false},
    {"YaRN", {.n_rot = 64, .theta = 1e6f, .freq_scale = 0.25f, .attn_factor = 1, YARN, .n_ctx_orig = 4096}, ROPE_NEOX, 2, 64, 0, false, false},
    {"YaRN, exact ramp", {.n_rot = 64, .theta = 150000, .freq_scale = 1 / 32.0f, .attn_factor = 0.9f, YARN, .n_ctx_orig = 4096, .ramp_exact = true}, ROPE_NEOX, 2, 64, 0, false, false},
    {"YaRN, ramp from the first pair on", {.n_rot = 32, .theta = 10000, .freq_scale = 0.5f, .attn_factor = 1, YARN, .n_ctx_orig = 64}, ROPE_NORM, 2, 32, 0, false, false},
    {"sections without coordinates", {.n_rot = 32, PLAIN, .sections = {4, 6, 6, 0}}, ROPE_NEOX, 2, 32, 0, false, false},
    {"sections in runs", {.n_rot = 32, PLAIN, .sections = {4, 6, 6, 0}}, ROPE_NEOX, 2, 32, 0, false, true},
    {"four sections in runs", {.n_rot = 32, PLAIN, .sections = {5, 4, 4, 3}}, ROPE_NEOX, 2, 32, 0, false, true},
    {"sections shorter than the pairs", {.n_rot = 32, PLAIN, .sections = {2, 3, 3, 0}}, ROPE_NEOX, 2, 32, 0, false, true},
    {"sections in turn", {.n_rot = 32, PLAIN, .sections = {6, 5, 5, 0}, .interleaved = true}, ROPE_NEOX, 2, 32, 0, false, true},
    {"sections in turn, one long", {.n_rot = 48, PLAIN, .sections = {11, 11, 2, 0}, .interleaved = true}, ROPE_NEOX, 2, 48, 0, false, true},
    {"coordinates without sections", {.n_rot = 16, PLAIN}, ROPE_NORM, 2, 16, 0, false, true},
};

static void turns(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) lab_check(cases[i].name, turn_record, &cases[i], 6e-5); /* frequencies are floats: 500 positions times 2^-24 */
}

/* What rotation is for: the product of two turned heads depends on how far they are apart. */
static void products_depend_on_the_distance(void **state) {
    (void)state;
    struct lab l;
    const float *x;
    lab_open(&l, 5);
    val in = lab_input(&l, 32, &x);
    for (int r = 1; r < LAB_ROWS; r++) memcpy((float *)(uintptr_t)(x + r * 32), x, 32 * sizeof *x); /* the same row everywhere */
    val v = op_rope(l.g, in, op_rope_table(l.g, (struct rope){.n_rot = 32, PLAIN}), ROPE_NEOX, 32, 0);
    const float *y = lab_run(&l, v, LAB_A, 1);
    for (int apart = 1; apart < 20; apart++) {
        double first = 0, later = 0;
        for (int i = 0; i < 32; i++) first += (double)y[i] * (double)y[apart * 32 + i], later += (double)y[60 * 32 + i] * (double)y[(60 + apart) * 32 + i];
        assert_true(fabs(first - later) < 1e-4);
    }
    lab_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(turns), cmocka_unit_test(products_depend_on_the_distance)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
