/* op_rope.c: rotary position embedding (Su et al. 2021) with all its scalings, in two operations: the table of cosines and
 * sines of a step's positions (a row: all cosines, then all sines), and the turning of heads by it.
 *
 * Linear scaling divides positions; YaRN (Peng et al. 2023) blends scaled and unscaled frequencies by wavelength;
 * Llama 3 and LongRoPE divide each frequency by a factor from the file. Multi-dimensional positions (Qwen2-VL) give each
 * range of pairs its own coordinate. */
#include <math.h>
#include <string.h>

#include "graph/internal.h"

struct table_args {
    int pairs;
    float *frequency;  /* [pairs] radians per position */
    float magnitude;   /* of cosines and sines */
    uint8_t *dimension; /* [pairs] which coordinate turns the pair */
};

/* The pair (a real number) whose wavelength makes `turns` turns over the original context. */
static double yarn_pair(const struct rope *r, double turns) {
    return r->n_rot * log(r->n_ctx_orig / (turns * 2 * 3.14159265358979323846)) / (2 * log((double)r->theta));
}

static void fill_frequencies(const struct rope *r, const float *factors, struct table_args *t) {
    double low = 0, high = 0;
    t->magnitude = r->attn_factor;
    if (r->ext_factor > 0 || r->ext_factor < 0) {
        low = yarn_pair(r, (double)r->beta_fast);
        high = yarn_pair(r, (double)r->beta_slow);
        low = fmax(0, r->ramp_exact ? low : floor(low));
        high = fmin(r->n_rot - 1, r->ramp_exact ? high : ceil(high));
        t->magnitude = (float)((double)r->attn_factor * (1 + 0.1 * log(1 / (double)r->freq_scale)));
    }
    for (int i = 0; i < t->pairs; i++) {
        double plain = pow((double)r->theta, -2.0 * i / r->n_rot) / (factors ? (double)factors[i] : 1), f = plain * (double)r->freq_scale;
        if (r->ext_factor > 0 || r->ext_factor < 0) {
            double ramp = 1 - fmin(1, fmax(0, (i - low) / fmax(0.001, high - low)));
            double mix = ramp * (double)r->ext_factor;
            f = f * (1 - mix) + plain * mix;
        }
        t->frequency[i] = (float)f;
    }
}

/* Sections in runs (temporal, height, width, extra), or taken in turn while their section lasts (Qwen3.5). */
static void fill_dimensions(const struct rope *r, struct table_args *t) {
    const int *s = r->sections;
    int total = s[0] + s[1] + s[2] + s[3];
    for (int i = 0; total && i < t->pairs; i++) {
        int k = i % total;
        if (r->interleaved) t->dimension[i] = (uint8_t)(k % 3 == 1 && k < 3 * s[1] ? 1 : k % 3 == 2 && k < 3 * s[2] ? 2 : k % 3 == 0 && k < 3 * s[0] ? 0 : 3);
        else t->dimension[i] = (uint8_t)(k < s[0] ? 0 : k < s[0] + s[1] ? 1 : k < s[0] + s[1] + s[2] ? 2 : 3);
    }
}

static void table_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct table_args *t = n->args;
    int from, to;
    (void)phase;
    share(r->step->n_rows, 1, worker, r->workers, &from, &to);
    for (int row = from; row < to; row++) {
        float *out = value_row(r, n->out[0], row);
        for (int i = 0; i < t->pairs; i++) {
            int32_t pos = r->step->pos_dims ? r->step->pos_dims[(size_t)row * 4 + t->dimension[i]] : r->step->pos[row];
            double angle = (double)pos * (double)t->frequency[i];
            out[i] = (float)cos(angle) * t->magnitude;
            out[t->pairs + i] = (float)sin(angle) * t->magnitude;
        }
    }
}

static const struct op table_op = {.name = "rope_table", .run = table_run};

val op_rope_table(struct graph *g, struct rope r) {
    if (r.n_rot < 2 || r.n_rot % 2 || !(r.theta > 0) || !(r.freq_scale > 0)) {
        graph_fail(g, ERR_FORMAT, "rotary embedding: %d columns, base %g, scale %g make no sense", r.n_rot, (double)r.theta, (double)r.freq_scale);
        return NO_VAL;
    }
    for (int i = 0; i < 4; i++)
        if (r.sections[i] < 0 || r.sections[i] > r.n_rot / 2) {
            graph_fail(g, ERR_FORMAT, "rotary embedding: a section of %d pairs among %d makes no sense", r.sections[i], r.n_rot / 2);
            return NO_VAL;
        }
    struct node *n = node_new(g, &table_op, sizeof(struct table_args));
    if (!n) return NO_VAL;
    struct table_args *t = n->args;
    t->pairs = r.n_rot / 2;
    t->frequency = arena_array(&g->arena, (size_t)t->pairs, sizeof(float));
    t->dimension = arena_alloc(&g->arena, (size_t)t->pairs);
    if (!t->frequency || !t->dimension) {
        graph_fail(g, ERR_MEMORY, "out of memory for a table of %d rotary frequencies", t->pairs);
        return NO_VAL;
    }
    const float *factors = node_floats(g, n, r.factors, t->pairs);
    if (graph_failed(g)) return NO_VAL;
    fill_frequencies(&r, factors, t);
    fill_dimensions(&r, t);
    return node_output(g, n, ROWS_TOKENS, r.n_rot);
}

struct rope_args {
    enum rope_kind kind;
    int head, first, n_rot;
};

static void rope_run(const struct run *r, const struct node *n, int phase, int worker) {
    const struct rope_args *a = n->args;
    int from, to, width = graph_width(r->g, n->in[0]), half = a->n_rot / 2;
    void (*turn)(const float *, const float *, const float *, float *, size_t) = a->kind == ROPE_NORM ? r->k->rope_neighbours : r->k->rope_halves;
    (void)phase;
    share(r->step->n_rows, 1, worker, r->workers, &from, &to);
    for (int row = from; row < to; row++) {
        const float *x = value_row(r, n->in[0], row), *t = value_row(r, n->in[1], row);
        float *out = value_row(r, n->out[0], row);
        if (a->n_rot < a->head) memcpy(out, x, sizeof(float) * (size_t)width);
        for (int h = a->first; h < width; h += a->head) turn(x + h, t, t + half, out + h, (size_t)half);
    }
}

static const struct op rope_op = {.name = "rope", .run = rope_run};

val op_rope(struct graph *g, val x, val table, enum rope_kind kind, int head_size, int first) {
    if (kind == ROPE_NONE) return x;
    int n_rot = graph_width(g, table);
    if (head_size < 1 || graph_width(g, x) % head_size || first < 0 || n_rot > head_size - first) {
        graph_fail(g, ERR_FORMAT, "rotary embedding: %d columns from %d on do not fit heads of %d", n_rot, first, head_size);
        return NO_VAL;
    }
    struct node *n = node_new(g, &rope_op, sizeof(struct rope_args));
    if (!n) return NO_VAL;
    *(struct rope_args *)n->args = (struct rope_args){kind, head_size, first, n_rot};
    node_input(g, n, x);
    node_input(g, n, table);
    return node_output(g, n, ROWS_TOKENS, graph_width(g, x));
}
