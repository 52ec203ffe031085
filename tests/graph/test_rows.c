/* test_rows.c: the operations that take each row by itself: norms, products, sums, activations, heads. */
#include "lab.h"

/* ---- norms ---- */

struct norm_case {
    enum norm_kind kind;
    int group, weight, bias; /* weight, bias: elements, 0: none */
};
enum { WIDTH = 48 };

static void norm_oracle(const struct norm_case *c, const float *x, const float *w, const float *b, double eps, double *out) {
    int group = c->group ? c->group : WIDTH;
    for (int at = 0; at < WIDTH; at += group) {
        double mean = 0, square = 0;
        for (int i = 0; i < group; i++) mean += (double)x[at + i] / group;
        if (c->kind != NORM_LAYER) mean = 0;
        for (int i = 0; i < group; i++) square += pow((double)x[at + i] - mean, 2);
        double scale = c->kind == NORM_L2 ? 1 / fmax(sqrt(square), eps) : 1 / sqrt(square / group + eps);
        for (int i = 0; i < group; i++) {
            double y = ((double)x[at + i] - mean) * scale;
            if (w) y *= (double)w[(at + i) % c->weight];
            if (b) y += (double)b[(at + i) % c->bias];
            out[at + i] = y;
        }
    }
}

static val norm_record(struct lab *l, const void *ctx, double *want) {
    const struct norm_case *c = ctx;
    const float *x;
    val in = lab_input(l, WIDTH, &x);
    const struct tensor *w = c->weight ? lab_tensor(l, c->weight, 1, 1) : NULL, *b = c->bias ? lab_tensor(l, c->bias, 1, 1) : NULL;
    for (int r = 0; r < LAB_ROWS; r++) norm_oracle(c, x + r * WIDTH, w ? numbers(w) : NULL, b ? numbers(b) : NULL, 1e-3f, want + r * WIDTH);
    return op_norm(l->g, in, (struct norm){.kind = c->kind, .eps = 1e-3f, .weight = w, .bias = b, .group = c->group});
}

static void norms(void **state) {
    (void)state;
    for (enum norm_kind kind = NORM_RMS; kind <= NORM_L2; kind++) {
        static const struct norm_case shapes[] = {{0, 0, 0, 0}, {0, 0, WIDTH, 0}, {0, 0, WIDTH, WIDTH}, {0, 16, 0, 0}, {0, 16, 16, 0}, {0, 16, 16, 16}, {0, 16, WIDTH, WIDTH}, {0, 1, 1, 0}};
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            struct norm_case c = shapes[i];
            c.kind = kind;
            lab_check("norm", norm_record, &c, 1e-6);
        }
    }
}

/* ---- products ---- */

struct linear_case {
    enum dtype type;
    bool norm, bias, scale;
    int which; /* of the three outputs */
};
enum { IN = 64 };
static const int outs[3] = {40, 1, 21};

static void decode(const struct tensor *t, float *x) { dtype_info(t->type)->decode(t->data, x, (size_t)tensor_elements(t)); }

static double product(const float *w, const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)w[i] * x[i];
    return sum;
}

static val linear_record(struct lab *l, const void *ctx, double *want) {
    const struct linear_case *c = ctx;
    const float *x;
    val in = lab_input(l, IN, &x), out[3];
    struct norm n = {.kind = NORM_RMS, .eps = 1e-5f, .weight = lab_tensor_of(l, DT_F16, IN, 1, 1, 1, 0.5f)};
    float weight[IN], *w = malloc(sizeof *w * IN * 64);
    struct linear lin[3];
    decode(n.weight, weight);
    for (int i = 0; i < 3; i++)
        lin[i] = (struct linear){lab_tensor_of(l, c->type, IN, outs[i], 1, 0, 1), c->bias ? lab_tensor(l, outs[i], 1, 1) : NULL, c->scale ? lab_tensor(l, 1, 1, 1) : NULL};
    decode(lin[c->which].w, w);
    for (int r = 0; r < LAB_ROWS; r++) {
        double row[IN], square = 0;
        for (int i = 0; i < IN; i++) square += pow((double)x[r * IN + i], 2);
        for (int i = 0; i < IN; i++) row[i] = (double)x[r * IN + i] * (c->norm ? (double)weight[i] / sqrt(square / IN + 1e-5) : 1);
        lab_round(l, c->type, row, IN);
        for (int o = 0; o < outs[c->which]; o++) {
            double y = product(w + (size_t)o * IN, row, IN);
            if (c->scale) y *= (double)numbers(lin[c->which].s)[0];
            if (c->bias) y += (double)numbers(lin[c->which].b)[o];
            want[r * outs[c->which] + o] = y;
        }
    }
    free(w);
    op_linears(l->g, in, c->norm ? &n : NULL, lin, 3, out);
    return out[c->which];
}

static void linears(void **state) {
    (void)state;
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16, DT_Q8_0, DT_Q4_1, DT_IQ4_NL};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int bits = 0; bits < 8; bits++) { /* behind a norm the last bit of a float decides now and then to which side an activation is rounded */
            struct linear_case c = {types[t], bits & 1, bits & 2, bits & 4, (bits + (int)t) % 3};
            double error = dtype_info((uint32_t)types[t])->group && c.norm ? 5e-3 : 2e-6;
            lab_check("linear", linear_record, &c, error);
        }
}

/* x comes as a slice of a wider value, and something is added to what comes out. */
static val linear_add_record(struct lab *l, const void *ctx, double *want) {
    const float *x, *a;
    (void)ctx;
    val wide = lab_input(l, IN + 10, &x), add = lab_input(l, 33, &a);
    struct linear lin = {lab_tensor(l, IN, 33, 1), lab_tensor(l, 33, 1, 1), NULL};
    for (int r = 0; r < LAB_ROWS; r++)
        for (int o = 0; o < 33; o++) {
            double sum = (double)numbers(lin.b)[o];
            for (int i = 0; i < IN; i++) sum += (double)numbers(lin.w)[o * IN + i] * (double)x[r * (IN + 10) + 7 + i];
            want[r * 33 + o] = (double)a[r * 33 + o] + sum;
        }
    return op_add_last(l->g, add, op_linear(l->g, op_slice(l->g, wide, 7, IN), NULL, lin));
}

static val linear_heads_record(struct lab *l, const void *ctx, double *want) {
    enum { HEADS = 5, I = 32, O = 11 };
    const float *x;
    (void)ctx;
    val in = lab_input(l, HEADS * I, &x);
    const struct tensor *w = lab_tensor(l, I, O, HEADS);
    for (int r = 0; r < LAB_ROWS; r++)
        for (int h = 0; h < HEADS; h++)
            for (int o = 0; o < O; o++)
                for (int i = 0; i < I; i++) want[(r * HEADS + h) * O + o] += (double)numbers(w)[(h * O + o) * I + i] * (double)x[r * HEADS * I + h * I + i];
    return op_linear_heads(l->g, in, w);
}

static void other_products(void **state) {
    (void)state;
    lab_check("linear_add", linear_add_record, NULL, 2e-6);
    lab_check("linear_heads", linear_heads_record, NULL, 2e-6);
}

/* ---- element by element ---- */

static double act_oracle(enum act act, double x) {
    switch (act) {
    case ACT_SILU: return x / (1 + exp(-x));
    case ACT_GELU: return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case ACT_GELU_ERF: return x / 2 * erfc(-x / sqrt(2));
    case ACT_RELU: return fmax(x, 0);
    case ACT_RELU2: return pow(fmax(x, 0), 2);
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_SOFTPLUS: return x > 30 ? x : log(1 + exp(x));
    case ACT_SWIGLU_OAI: return fmin(x, 7) / (1 + exp(-1.702 * fmin(x, 7)));
    }
    return NAN;
}

struct act_case {
    enum act act;
    int form; /* 0: alone, 1: gate and up, 2: a gate per head */
    float reach;
};

static val act_record(struct lab *l, const void *ctx, double *want) {
    enum { W = 36, HEADS = 9 };
    const struct act_case *c = ctx;
    const float *x, *y;
    val a = op_scale(l->g, lab_input(l, c->form == 2 ? HEADS : W, &x), c->reach), b = op_scale(l->g, lab_input(l, W, &y), c->reach);
    double k = (double)c->reach;
    for (int r = 0; r < LAB_ROWS; r++)
        for (int i = 0; i < W; i++) {
            double in = k * (double)(c->form == 2 ? x[r * HEADS + i / (W / HEADS)] : x[r * W + i]), up = k * (double)y[r * W + i], *out = &want[r * W + i];
            *out = act_oracle(c->act, in);
            if (c->form && c->act == ACT_SWIGLU_OAI && c->form == 1) up = fmax(-7, fmin(7, up)) + 1;
            if (c->form) *out *= up;
        }
    return c->form == 0 ? op_act(l->g, a, c->act) : c->form == 1 ? op_glu(l->g, a, b, c->act) : op_gate_heads(l->g, b, a, c->act);
}

static void activations(void **state) {
    (void)state;
    for (enum act act = ACT_SILU; act <= ACT_SWIGLU_OAI; act++)
        for (int form = 0; form < 3; form++) {
            if (form == 2 && act == ACT_SWIGLU_OAI) continue; /* no model gates heads so */
            lab_check("activation, small", act_record, &(struct act_case){act, form, 1}, 1e-6);
            lab_check("activation, large", act_record, &(struct act_case){act, form, 40}, 1e-6);
        }
}

enum { ADD, MUL, SCALE, ADD_T, MUL_T, DIV_T, SOFTCAP, CLAMP, TEMPERATURE, ELEMENTS };

static val element_record(struct lab *l, const void *ctx, double *want) {
    enum { W = 30, LENGTH = 10 };
    int what = *(const int *)ctx;
    const float *x, *y;
    val a = lab_input(l, W, &x), b = lab_input(l, W, &y);
    const struct tensor *t = lab_tensor_of(l, DT_F32, LENGTH, 1, 1, 2, 1);
    for (int r = 0; r < LAB_ROWS; r++)
        for (int i = 0; i < W; i++) {
            double u = (double)x[r * W + i], v = (double)y[r * W + i], w = (double)numbers(t)[i % LENGTH], *out = &want[r * W + i];
            switch (what) {
            case ADD: *out = u + v; break;
            case MUL: *out = u * v; break;
            case SCALE: *out = u * -1.5; break;
            case ADD_T: *out = u + w; break;
            case MUL_T: *out = u * w; break;
            case DIV_T: *out = u / w; break;
            case SOFTCAP: *out = 0.5 * tanh(u / 0.5); break;
            case CLAMP: *out = fmax(-0.3f, fmin(0.3f, u)); break;
            default: *out = u * (1 + 0.1 * log(1 + floor(lab_position(r) / 8.0))); break;
            }
        }
    switch (what) {
    case ADD: return op_add(l->g, a, b);
    case MUL: return op_mul(l->g, a, b);
    case SCALE: return op_scale(l->g, a, -1.5f);
    case ADD_T: return op_add_tensor(l->g, a, t);
    case MUL_T: return op_mul_tensor(l->g, a, t);
    case DIV_T: return op_div_tensor(l->g, a, t);
    case SOFTCAP: return op_softcap(l->g, a, 0.5f);
    case CLAMP: return op_clamp(l->g, a, 0.3f);
    default: return op_temperature(l->g, a, 0.1f, 8);
    }
}

static void elements(void **state) {
    (void)state;
    for (int what = 0; what < ELEMENTS; what++) lab_check("element", element_record, &what, 1e-6);
}

/* ---- heads, rows, tables ---- */

static val join_record(struct lab *l, const void *ctx, double *want) {
    enum { HEADS = 4, A = 6, B = 5 };
    bool shared = *(const bool *)ctx;
    const float *x, *y;
    int wb = shared ? B : HEADS * B;
    val a = lab_input(l, HEADS * A, &x), b = lab_input(l, wb, &y);
    for (int r = 0; r < LAB_ROWS; r++)
        for (int h = 0; h < HEADS; h++)
            for (int i = 0; i < A + B; i++)
                want[(r * HEADS + h) * (A + B) + i] = (double)(i < A ? x[r * HEADS * A + h * A + i] : y[r * wb + (shared ? 0 : h * B) + i - A]);
    return op_join_heads(l->g, a, b, HEADS, shared ? 1 : HEADS);
}

static val pick_record(struct lab *l, const void *ctx, double *want) {
    enum { HEADS = 3, SIZE = 12, FIRST = 5, N = 4 };
    const float *x;
    (void)ctx;
    val in = lab_input(l, HEADS * SIZE, &x);
    for (int r = 0; r < LAB_ROWS; r++)
        for (int h = 0; h < HEADS; h++)
            for (int i = 0; i < N; i++) want[(r * HEADS + h) * N + i] = (double)x[r * HEADS * SIZE + h * SIZE + FIRST + i];
    return op_pick_heads(l->g, in, HEADS, FIRST, N);
}

/* A slice of a slice, and the output itself a slice. */
static val slice_record(struct lab *l, const void *ctx, double *want) {
    const float *x;
    (void)ctx;
    val in = lab_input(l, 50, &x), part = op_slice(l->g, op_slice(l->g, in, 10, 30), 4, 9);
    for (int r = 0; r < LAB_ROWS; r++)
        for (int i = 0; i < 9; i++) want[r * 9 + i] = (double)x[r * 50 + 14 + i];
    return part;
}

static val embed_record(struct lab *l, const void *ctx, double *want) {
    enum { W = 64 };
    const enum dtype *type = ctx;
    const struct tensor *table = lab_tensor_of(l, *type, W, LAB_ROWS, 1, 0, 1), *positions = lab_tensor_of(l, DT_F16, W, LAB_A, 1, 0, 1);
    float *x = malloc(sizeof *x * W * LAB_ROWS), *p = malloc(sizeof *p * W * LAB_A);
    decode(table, x);
    decode(positions, p);
    for (int r = 0; r < LAB_ROWS; r++)
        for (int i = 0; i < W; i++) want[r * W + i] = 3 * (double)x[r * W + i] + (double)p[lab_position(r) * W + i];
    free(x);
    free(p);
    return op_embed_position(l->g, op_embed(l->g, table, 3), positions);
}

static void heads_and_tables(void **state) {
    (void)state;
    lab_check("join, one for all", join_record, &(bool){true}, 0);
    lab_check("join", join_record, &(bool){false}, 0);
    lab_check("pick", pick_record, NULL, 0);
    lab_check("slice", slice_record, NULL, 0);
    lab_check("embed", embed_record, &(enum dtype){DT_F32}, 1e-6);
    lab_check("embed", embed_record, &(enum dtype){DT_Q8_0}, 1e-6);
}

/* Many values, some long-lived, some not: were two that live together to overlap, a sum would be wrong. Sums are exact: small whole numbers. */
static val tangle_record(struct lab *l, const void *ctx, double *want) {
    enum { N = 14, W = 24 };
    const float *x;
    val v[N];
    double *y = malloc(sizeof *y * N * W * LAB_ROWS);
    struct rng g = rng_new(*(const uint64_t *)ctx, 9);
    v[0] = lab_input(l, W, &x);
    for (int i = 0; i < W * LAB_ROWS; i++) y[i] = (double)x[i];
    for (int n = 1; n < N; n++) {
        int a = (int)rng_below(&g, (uint32_t)n), b = (int)rng_below(&g, (uint32_t)n), first = (int)rng_below(&g, W / 2);
        val half = op_slice(l->g, v[a], first, W / 2), part = op_join_heads(l->g, half, op_slice(l->g, v[b], W / 2, W / 2), 1, 1); /* of its own width on the way */
        v[n] = op_add(l->g, op_scale(l->g, part, 0.5f), v[b]);
        for (int r = 0; r < LAB_ROWS; r++)
            for (int i = 0; i < W; i++) {
                const double *ya = y + (size_t)(a * LAB_ROWS + r) * W, *yb = y + (size_t)(b * LAB_ROWS + r) * W;
                y[(size_t)(n * LAB_ROWS + r) * W + (size_t)i] = 0.5 * (i < W / 2 ? ya[first + i] : yb[i]) + yb[i];
            }
    }
    memcpy(want, y + (size_t)(N - 1) * W * LAB_ROWS, sizeof *y * W * LAB_ROWS);
    free(y);
    return v[N - 1];
}

static void values_do_not_overlap(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) lab_check("tangle", tangle_record, &seed, 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms), cmocka_unit_test(linears), cmocka_unit_test(other_products), cmocka_unit_test(activations),
        cmocka_unit_test(elements), cmocka_unit_test(heads_and_tables), cmocka_unit_test(values_do_not_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
