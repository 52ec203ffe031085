/* product.c: a matrix by rows of activations, in one of three ways; see product.h and kernel/kernel.h.
 *
 * Quantised matrices: a tile of 32 outputs is unpacked and multiplied by all rows as integers, or small rows straight from the weights.
 * F16 and BF16 matrices: tiles in bfloat16 for the rows of prompts. All else, and the small rows of those: decoded and multiplied in fp32, one row straight from the weights. */
#include "graph/product.h"

#include <string.h>

enum {
    GROUP_BYTES = 384 * 1024, /* of tiles that a prompt's rows are taken through together: with some of the rows they fit a core's own cache */
    GROUP = 8,
    FLOAT_OUTS = 8, /* outputs decoded at a time, so that an activation is loaded once for all of them */
    STREAM_OUTS = 8192,      /* results of small rows at a time: they fit the nearest cache */
    STREAM_MOST = 64,        /* small rows multiplied straight from the weights at a time */
    STREAM_BYTES = 1 << 20,  /* that they should take as they are laid out */
    CHUNK = 60,     /* rows multiplied by a tile at a time: their results fit the nearest cache; a multiple of what products hold in registers (4, 6, 10) */
};

static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

unsigned product_form(const struct kernels *k, enum dtype type) {
    const struct dtype_info *info = dtype_info(type);
    if (info->group) return k->wide[type] ? FORM_WIDE : FORM_INT8;
    return k->half_product && (type == DT_F16 || type == DT_BF16) ? FORM_FLOAT | FORM_HALF : FORM_FLOAT;
}

/* A prepared row: codes and their scales, in each of the forms that have them; bfloats. */
static const unsigned FORM_CODES = FORM_INT8 | FORM_WIDE;
static size_t codes_floats(size_t width) { return up(width, 64) / sizeof(float); }
static size_t rounded_floats(size_t width) { return codes_floats(width) + up(width / ACT_BLOCK * sizeof(struct act_scale), 64) / sizeof(float); }
static size_t half_at(unsigned forms, size_t width) { return (size_t)(!!(forms & FORM_INT8) + !!(forms & FORM_WIDE)) * rounded_floats(width); }
size_t operand_floats(unsigned forms, size_t width) { return half_at(forms, width) + (forms & FORM_HALF ? up(width, HALF_BLOCK) / 2 : 0); }

/* form: FORM_INT8 or FORM_WIDE. */
static float *rounded_of(const struct operand *o, int r, unsigned form) {
    return o->prepared + (size_t)r * o->ldp + (form == FORM_WIDE && o->forms & FORM_INT8 ? rounded_floats(o->width) : 0);
}
static int8_t *codes_of(const struct operand *o, int r, unsigned form) { return (int8_t *)(void *)rounded_of(o, r, form); }
static struct act_scale *scales_of(const struct operand *o, int r, unsigned form) { return (struct act_scale *)(void *)(rounded_of(o, r, form) + codes_floats(o->width)); }
static uint16_t *halves_of(const struct operand *o, int r) { return (uint16_t *)(void *)(o->prepared + (size_t)r * o->ldp + half_at(o->forms, o->width)); }

void operand_prepare(const struct kernels *k, const struct operand *o, int r, const float *x, bool small) {
    if (o->forms & FORM_INT8) k->act_quantize(x, o->width, codes_of(o, r, FORM_INT8), scales_of(o, r, FORM_INT8));
    if (o->forms & FORM_WIDE) (small ? k->act_quantize : k->act_quantize_wide)(x, o->width, codes_of(o, r, FORM_WIDE), scales_of(o, r, FORM_WIDE));
    if (o->forms & FORM_HALF && !small) k->half_round(x, o->width, halves_of(o, r));
}

static int row_x(const struct product *p, int r) { return p->pick_x ? p->pick_x[r] : r; }
static int row_y(const struct product *p, int r) { return p->pick_y ? p->pick_y[r] : r; }

/* Whether results are wanted as they are. */
static bool plain(const struct product *p) { return !p->bias && !(p->scale < 1) && !(p->scale > 1); }

/* Where a product may write whole tiles itself. */
static bool in_place(const struct product *p) { return plain(p) && !p->add && !p->pick_y; }

/* n results of row r, from column c on, into place. */
static void put(const struct kernels *k, const struct product *p, int r, int c, const float *from, int n) {
    float *y = p->y + (size_t)row_y(p, r) * p->ldy + (size_t)c;
    const float *bias = p->bias ? p->bias + c : NULL, *add = p->add ? p->add + (size_t)row_y(p, r) * p->ldadd + (size_t)c : NULL;
    if (plain(p)) {
        if (add) k->add(add, from, y, (size_t)n);
        else memcpy(y, from, (size_t)n * sizeof *y);
        return;
    }
    for (int i = 0; i < n; i++) {
        float v = from[i] * p->scale;
        if (bias) v += bias[i];
        y[i] = add ? add[i] + v : v;
    }
}

/* ---- in fp32 ---- */

/* One row of W, decoded unless it already is what the kernels take. */
static const float *weight_row(const struct kernels *k, const struct product *p, int c, float *scratch) {
    const char *w = p->w + (size_t)c * p->row_bytes;
    if (p->type == DT_F32 && (uintptr_t)w % _Alignof(float) == 0) return (const float *)(const void *)w;
    k->decode[p->type](w, scratch, p->n_in);
    return scratch;
}

static const float *float_row(const struct product *p, int r) { return p->x->f + (size_t)row_x(p, r) * p->x->ldf + p->first; }

/* One row of activations, straight from the weights. */
static void float_row_product(const struct kernels *k, const struct product *p, int from, int to) {
    if (in_place(p)) {
        k->dot_weights[p->type](p->w + (size_t)from * p->row_bytes, p->row_bytes, to - from, float_row(p, 0), p->n_in, p->y + from);
        return;
    }
    for (int c = from; c < to; c += TILE_OUTS) {
        float out[TILE_OUTS];
        int n = to - c < TILE_OUTS ? to - c : TILE_OUTS;
        k->dot_weights[p->type](p->w + (size_t)c * p->row_bytes, p->row_bytes, n, float_row(p, 0), p->n_in, out);
        put(k, p, 0, c, out, n);
    }
}

static void float_product(const struct kernels *k, const struct product *p, int rows, int from, int to, float *scratch) {
    if (rows == 1 && k->dot_weights[p->type]) {
        float_row_product(k, p, from, to);
        return;
    }
    for (int c = from; c < to; c += FLOAT_OUTS) {
        const float *w[FLOAT_OUTS];
        int n = to - c < FLOAT_OUTS ? to - c : FLOAT_OUTS, r = 0;
        for (int i = 0; i < n; i++) w[i] = weight_row(k, p, c + i, scratch + (size_t)i * p->n_in);
        for (; !p->pick_x && r + KERNEL_LANES <= rows; r += KERNEL_LANES) {
            float out[FLOAT_OUTS][KERNEL_LANES], turned[FLOAT_OUTS];
            for (int i = 0; i < n; i++) k->dot_lanes(w[i], float_row(p, r), p->x->ldf, p->n_in, out[i]);
            for (int l = 0; l < KERNEL_LANES; l++) {
                for (int i = 0; i < n; i++) turned[i] = out[i][l];
                put(k, p, r + l, c, turned, n);
            }
        }
        for (; r < rows; r++) {
            float out[FLOAT_OUTS];
            for (int i = 0; i < n; i++) out[i] = k->dot(w[i], float_row(p, r), p->n_in);
            put(k, p, r, c, out, n);
        }
    }
}

/* ---- through tiles ---- */

/* Tiles of `bytes` that many rows are taken through together. */
static int group_of(size_t bytes) {
    size_t n = GROUP_BYTES / bytes;
    return n < 1 ? 1 : n > GROUP ? GROUP : (int)n;
}

/* `rows` rounded rows from r0 on; at least one. */
static void rounded_rows(const struct kernels *k, const struct product *p, int r0, int rows, struct act_row *x) {
    const unsigned form = product_form(k, p->type);
    int r = 0;
    do x[r] = (struct act_row){codes_of(p->x, row_x(p, r0 + r), form) + p->first, scales_of(p->x, row_x(p, r0 + r), form) + p->first / ACT_BLOCK};
    while (++r < rows);
}

/* Bytes of a small row laid out for a product straight from the weights; 0: tiles are the way. */
static size_t stream_bytes(const struct kernels *k, enum dtype type, size_t n_in) { return k->stream_bytes ? k->stream_bytes(type, n_in) : 0; }

/* Small rows that are taken together, of `bytes` each. */
static int stream_rows(size_t bytes) {
    size_t n = STREAM_BYTES / bytes;
    return n < SMALL_SPAN ? SMALL_SPAN : n > STREAM_MOST ? STREAM_MOST : (int)n;
}

static void stream_product(const struct kernels *k, const struct product *p, size_t bytes, int from, int to, float *scratch) {
    const int most = stream_rows(bytes);
    const bool are_there = p->laid_out && *p->laid_out == (int)p->type;
    char *laid_out = (char *)(scratch + STREAM_OUTS), *tile = laid_out + (size_t)most * bytes;
    for (int r0 = 0, rows; r0 < p->small; r0 += rows) {
        rows = p->small - r0 < most ? p->small - r0 : most;
        for (int r = 0; r < rows && !are_there; r++) {
            struct act_row x;
            rounded_rows(k, p, r0 + r, 1, &x);
            k->stream_layout(p->type, &x, p->n_in, rows, laid_out + (size_t)r * bytes);
        }
        for (int c = from, n; c < to; c += n) {
            n = to - c < STREAM_OUTS / rows ? to - c : STREAM_OUTS / rows;
            if (in_place(p)) {
                k->stream_product(p->type, p->w + (size_t)c * p->row_bytes, p->row_bytes, n, p->n_in, laid_out, rows, p->y + (size_t)r0 * p->ldy + (size_t)c, p->ldy, tile);
                continue;
            }
            k->stream_product(p->type, p->w + (size_t)c * p->row_bytes, p->row_bytes, n, p->n_in, laid_out, rows, scratch, (size_t)n, tile);
            for (int r = 0; r < rows; r++) put(k, p, r0 + r, c, scratch + (size_t)r * (size_t)n, n);
        }
    }
    if (p->laid_out) *p->laid_out = p->small <= most && p->small == p->rows ? (int)p->type : -1; /* tiles overwrite them */
}

/* `rows` rows from r0 on, x as rounded, by the tile of the columns [c, c + n). */
static void int8_rows(const struct kernels *k, const struct product *p, const void *tile, const struct act_row *x, int r0, int rows, int c, int n, float *out) {
    const bool there = n == TILE_OUTS && in_place(p);
    (k->wide[p->type] ? k->wide_product : k->tile_product)(p->type, tile, p->n_in, x, rows, there ? p->y + (size_t)r0 * p->ldy + (size_t)c : out, there ? p->ldy : TILE_OUTS);
    if (there) return;
    for (int r = 0; r < rows; r++) put(k, p, r0 + r, c, out + (size_t)r * TILE_OUTS, n);
}

static void int8_product(const struct kernels *k, const struct product *p, int from, int to, float *scratch) {
    size_t bytes = up(tile_bytes(p->type, p->n_in), 64), streamed = stream_bytes(k, p->type, p->n_in);
    int first = streamed ? p->small : 0, group = p->rows - first > CHUNK ? group_of(bytes) : 1;
    float *out = scratch;
    char *tiles = (char *)(scratch + CHUNK * TILE_OUTS);
    if (first) stream_product(k, p, streamed, from, to, scratch);
    if (first == p->rows) return;
    for (int c0 = from; c0 < to; c0 += group * TILE_OUTS) {
        int end = to - c0 < group * TILE_OUTS ? to : c0 + group * TILE_OUTS;
        for (int c = c0; c < end; c += TILE_OUTS)
            k->tile_unpack(p->type, p->w + (size_t)c * p->row_bytes, p->row_bytes, end - c < TILE_OUTS ? end - c : TILE_OUTS, p->n_in, tiles + (size_t)(c - c0) / TILE_OUTS * bytes);
        for (int r = first; r < p->rows; r += CHUNK) {
            const int rows = p->rows - r < CHUNK ? p->rows - r : CHUNK;
            struct act_row x[CHUNK];
            rounded_rows(k, p, r, rows, x);
            for (int c = c0; c < end; c += TILE_OUTS)
                int8_rows(k, p, tiles + (size_t)(c - c0) / TILE_OUTS * bytes, x, r, rows, c, end - c < TILE_OUTS ? end - c : TILE_OUTS, out);
        }
    }
}

static void half_product(const struct kernels *k, const struct product *p, int first, int from, int to, float *scratch) {
    float *out = scratch, *tile = scratch + CHUNK * TILE_OUTS;
    size_t n_in = up(p->n_in, HALF_BLOCK);
    for (int c = from; c < to; c += TILE_OUTS) {
        int n = to - c < TILE_OUTS ? to - c : TILE_OUTS;
        k->half_unpack(p->type, p->w + (size_t)c * p->row_bytes, p->row_bytes, n, p->n_in, n_in, tile);
        for (int r0 = first; r0 < p->rows; r0 += CHUNK) {
            const uint16_t *x[CHUNK];
            int rows = p->rows - r0 < CHUNK ? p->rows - r0 : CHUNK;
            for (int r = 0; r < rows; r++) x[r] = halves_of(p->x, row_x(p, r0 + r)) + p->first;
            if (n == TILE_OUTS && in_place(p)) {
                k->half_product(tile, n_in, x, rows, p->y + (size_t)r0 * p->ldy + (size_t)c, p->ldy);
                continue;
            }
            k->half_product(tile, n_in, x, rows, out, TILE_OUTS);
            for (int r = 0; r < rows; r++) put(k, p, r0 + r, c, out + (size_t)r * TILE_OUTS, n);
        }
    }
}

size_t product_scratch(const struct kernels *k, enum dtype type, size_t n_in) {
    unsigned form = product_form(k, type);
    size_t most = form & FORM_FLOAT ? FLOAT_OUTS * n_in : 0, tile = form & FORM_CODES ? up(tile_bytes(type, n_in), 64) : form & FORM_HALF ? half_tile_bytes(n_in) : 0;
    if (form & FORM_CODES) tile *= (size_t)group_of(tile);
    tile = tile ? up(tile, 64) / sizeof(float) + CHUNK * TILE_OUTS : 0;
    if (tile > most) most = tile;
    size_t bytes = form & FORM_CODES ? stream_bytes(k, type, n_in) : 0;
    size_t streamed = bytes ? STREAM_OUTS + ((size_t)stream_rows(bytes) * bytes + up(tile_bytes(type, n_in), 64)) / sizeof(float) : 0;
    return up(most > streamed ? most : streamed, 16);
}

void product_run(const struct kernels *k, const struct product *p, int from, int to, float *scratch) {
    unsigned form = product_form(k, p->type);
    if (form & FORM_CODES) {
        int8_product(k, p, from, to, scratch);
        return;
    }
    if (p->laid_out) *p->laid_out = -1;
    /* Columns that begin within a block of 32, or rows that were not rounded, stay in fp32. */
    int floats = form & FORM_HALF && p->x->forms & FORM_HALF ? p->small : p->rows;
    if (floats) float_product(k, p, floats, from, to, scratch);
    if (floats < p->rows) half_product(k, p, floats, from, to, scratch);
}

int small_rows(const struct run *r, enum rows kind) {
    int tokens = 0, logits = 0;
    for (int s = 0; s < r->step->n_spans && !span_large(&r->step->spans[s]); s++) tokens = r->step->spans[s].row + r->step->spans[s].count;
    if (kind == ROWS_TOKENS) return tokens;
    while (logits < r->step->n_logits && r->step->logit_row[logits] < tokens) logits++;
    return logits;
}
