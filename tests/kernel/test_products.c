/* test_products.c: the integer and the bfloat16 products of every table that this processor can run. Rounded activations are the
 * reference's to the bit; sums are exact integers under scales, computed here in double from dtype_info()->codes; and a row's bits
 * are the same whatever shares the call. Arrays end where their memory ends, so that a sanitizer sees what reads past them. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernel/kernel.h"
#include "support/light.h"

enum { ROWS = 20, MOST = 1088, LONG = 2304, HALF_ROWS = 25 }; /* LONG: rows of which the nearest cache keeps fewer than eight */

static const struct kernels *tables[8];
static int n_tables;

static const size_t block_counts[] = {1, 2, 3, 4, 5, 8, 9, 16, 17, 34};
static int counts = sizeof block_counts / sizeof *block_counts; /* those that are tried */

static int set_up(void **state) {
    (void)state;
    n_tables = kernels_all(tables, 8);
    if (light("rows of weights of more than five blocks")) counts = 5;
    return n_tables < 1;
}

static void *memory(size_t bytes) {
    void *p = malloc(bytes + !bytes);
    assert_non_null(p);
    return p;
}

static void *tile_memory(size_t bytes) {
    void *p = aligned_alloc(64, bytes);
    assert_non_null(p);
    memset(p, 0xa5, bytes);
    return p;
}

/* ---- activations ---- */

/* A row of one of several kinds: codes of 127 throughout, of -127, of both; none; huge; tiny; next to nothing; an outlier; ordinary. */
static void draw_row(struct rng *g, int kind, float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float u = (float)(4 * rng_unit(g) - 2);
        switch (kind) {
        case 0: x[i] = 1.5f; break;
        case 1: x[i] = -0.7f; break;
        case 2: x[i] = i & 1 ? 3.0f : -3.0f; break;
        case 3: x[i] = i & 1 ? 0.0f : -0.0f; break;
        case 4: x[i] = u * 1.7e38f; break;
        case 5: x[i] = u * 1e-34f; break;
        case 6: x[i] = u * 1e-39f; break;
        case 7: x[i] = i % 32 == 5 ? 400.0f : u; break;
        default: x[i] = u; break;
        }
    }
}
enum { KINDS = 9 };

/* Activations that share a scale: ACT_BLOCK or ACT_WIDE. */
static void quantize(const struct kernels *k, size_t shared, const float *x, size_t n, int8_t *q, struct act_scale *s) {
    (shared == ACT_WIDE ? k->act_quantize_wide : k->act_quantize)(x, n, q, s);
}

static void try_rounding(size_t shared) {
    struct rng g = rng_new(11, 1);
    for (int t = 0; t < n_tables; t++)
        for (int kind = 0; kind < KINDS; kind++)
            for (size_t n = 0; n <= 7 * shared; n += shared)
                for (size_t offset = 0; offset < 4; offset++) {
                    float *own = memory((n + offset) * sizeof *own), *x = own + offset;
                    int8_t *q = memory(n + offset), *want_q = memory(n);
                    struct act_scale *s = memory(n / ACT_BLOCK * sizeof *s), *want_s = memory(n / ACT_BLOCK * sizeof *s);
                    draw_row(&g, kind, x, n);
                    quantize(tables[0], shared, x, n, want_q, want_s);
                    quantize(tables[t], shared, x, n, q + offset, s);
                    if (n && (memcmp(q + offset, want_q, n) != 0 || memcmp(s, want_s, n / ACT_BLOCK * sizeof *s) != 0))
                        fail_msg("%s: %zu activations of kind %d are not rounded as the reference does", tables[t]->name, n, kind);
                    free(own), free(q), free(want_q), free(s), free(want_s);
                }
}

static void rounded_activations(void **state) {
    (void)state;
    try_rounding(ACT_BLOCK);
    try_rounding(ACT_WIDE);
}

/* What the reference's rounding is: the nearest codes, and sums of them. */
static void rounding_is_close(void **state) {
    (void)state;
    struct rng g = rng_new(12, 1);
    for (int kind = 0; kind < 2 * KINDS; kind++) {
        enum { N = 2 * ACT_WIDE };
        const size_t shared = kind < KINDS ? ACT_BLOCK : ACT_WIDE;
        float x[N];
        int8_t q[N];
        struct act_scale s[N / ACT_BLOCK];
        draw_row(&g, kind % KINDS, x, N);
        for (size_t i = N / 2; i < N; i++) x[i] /= 3; /* the second half has a scale of its own */
        quantize(tables[0], shared, x, N, q, s);
        for (size_t i = 0; i < N; i += shared) {
            int most = 0;
            for (size_t j = i; j < i + shared; j++) {
                most = abs(q[j]) > most ? abs(q[j]) : most;
                assert_memory_equal(&s[j / ACT_BLOCK].d, &s[i / ACT_BLOCK].d, sizeof(float));
            }
            assert_true(most == 127 || s[i / ACT_BLOCK].d < 1e-36f); /* no step is larger than it must be */
        }
        for (int b = 0; b < N / ACT_BLOCK; b++) {
            int half[2] = {0, 0};
            for (int i = 0; i < ACT_BLOCK; i++) {
                const int at = b * ACT_BLOCK + i;
                half[i / 16] += q[at];
                assert_in_range(q[at] + 127, 0, 254);
                /* within half a step, or nothing where the step would be too small to divide by */
                const double off = fabs((double)x[at] - (double)q[at] * (double)s[b].d);
                if (!(off <= (double)s[b].d * 0.5001 + 1e-36)) fail_msg("kind %d: %g became %d * %g", kind, (double)x[at], q[at], (double)s[b].d);
            }
            assert_int_equal(s[b].shift, -128 * (half[0] + half[1]));
            for (int h = 0; h < 2; h++) {
                assert_int_equal(s[b].half_shift[h], -128 * half[h]);
                assert_float_equal(s[b].half_sum[h], s[b].d * (float)half[h], 0);
            }
            assert_float_equal(s[b].sum, s[b].d * (float)(half[0] + half[1]), 0);
        }
    }
}

/* ---- integer products ---- */

/* n activations of each of ROWS rows, each in memory of its own that is as long as they are. */
struct activations {
    int8_t *q[ROWS];
    struct act_scale *s[ROWS];
    struct act_row rows[ROWS];
};

static bool wide; /* rows are rounded for wide_product, and take that way */

static void draw_activations(struct rng *g, struct activations *a, size_t n) {
    static const int kinds[] = {8, 0, 1, 2, 7, 3};
    for (int r = 0; r < ROWS; r++) {
        float x[LONG];
        draw_row(g, r < 6 ? kinds[r] : 8, x, n);
        a->q[r] = memory(n), a->s[r] = memory(n / ACT_BLOCK * sizeof(struct act_scale));
        quantize(tables[0], wide ? ACT_WIDE : ACT_BLOCK, x, n, a->q[r], a->s[r]);
        a->rows[r] = (struct act_row){a->q[r], a->s[r]};
    }
}

static void free_activations(struct activations *a) {
    for (int r = 0; r < ROWS; r++) free(a->q[r]), free(a->s[r]);
}

/* The greatest magnitude of some scales or minimums; infinity where one is not finite. */
static float greatest(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = !isfinite(x[i]) ? INFINITY : fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

/* A block of random bytes, drawn until its scales are of ordinary size: so that each block counts in a sum. */
static void draw_block(struct rng *g, const struct dtype_info *info, uint8_t *to) {
    int8_t q[256];
    float scale[16], min[16];
    const size_t groups = info->block / info->group;
    for (;;) {
        for (uint32_t i = 0; i < info->bytes; i++) to[i] = (uint8_t)rng_u32(g);
        info->codes(to, info->block, q, scale, min);
        const float s = greatest(scale, groups), m = info->min ? greatest(min, groups) : 1;
        if (s > 0.25f && s < 64 && m > 0.25f && m < 64) return;
    }
}

/* TILE_OUTS rows. The first few are blocks of one byte again and again, which makes extreme codes, where that gives finite scales. */
static void draw_weights(struct rng *g, const struct dtype_info *info, uint8_t *w, size_t row_bytes, size_t n, bool raw) {
    static const uint8_t patterns[] = {0x80, 0x7b, 0x7a, 0x3c, 0xbb};
    const size_t blocks = n / info->block;
    int8_t q[256];
    float scale[16], min[16];
    for (size_t i = 0; raw && i < TILE_OUTS * row_bytes; i++) w[i] = (uint8_t)rng_u32(g);
    for (size_t o = 0; !raw && o < TILE_OUTS; o++)
        for (size_t b = 0; b < blocks; b++) {
            uint8_t *to = w + o * row_bytes + b * info->bytes;
            const bool pattern = o < sizeof patterns;
            if (pattern) memset(to, patterns[o], info->bytes), info->codes(to, info->block, q, scale, min);
            if (!pattern || greatest(scale, info->block / info->group) > 1e30f || (info->min && greatest(min, info->block / info->group) > 1e30f)) draw_block(g, info, to);
        }
}

/* What a tile by ROWS rows is, and how far a sum in float may be from it. Not a number: an intermediate may overflow. */
struct wanted {
    double y[ROWS][TILE_OUTS], slack[ROWS][TILE_OUTS];
};

/* Terms are products of a whole number, a scale and d, each rounded; then they are summed (Higham, Accuracy and Stability, 3.1). */
static void want_row(const struct dtype_info *info, size_t n, const int8_t *q, const float *scale, const float *min, const struct act_row *x, double *y, double *slack) {
    double sum = 0, magnitude = 0, most = 0;
    for (size_t i = 0; i < n / info->group; i++) {
        const double d = (double)x->s[i * info->group / ACT_BLOCK].d;
        int dot = 0, all = 0;
        for (size_t j = i * info->group; j < (i + 1) * info->group; j++) dot += q[j] * x->q[j], all += x->q[j];
        const double w = dot * (double)scale[i], term = w * d, less = info->min ? (double)min[i] * all * d : 0;
        sum += term - less;
        magnitude += fabs(term) + fabs(less);
        most = fabs(w) > most || isnan(w) ? fabs(w) : most;
    }
    *y = sum;
    *slack = ((double)(2 * n / info->group) + 8) * (FLT_EPSILON / 2) * 1.01 * magnitude + 1e-38;
    if (!(most < 1e38) || !(magnitude < 1e38)) *slack = NAN;
}

static void want_product(const struct dtype_info *info, const uint8_t *w, size_t row_bytes, size_t n, const struct activations *a, struct wanted *want) {
    int8_t q[MOST];
    float scale[MOST / 16], min[MOST / 16];
    memset(min, 0, sizeof min);
    for (size_t o = 0; o < TILE_OUTS; o++) {
        info->codes(w + o * row_bytes, n, q, scale, min);
        for (int r = 0; r < ROWS; r++) want_row(info, n, q, scale, min, &a->rows[r], &want->y[r][o], &want->slack[r][o]);
    }
}

/* The ways to a product: a tile, of rows rounded in one way or the other, and straight from the weights. All are held to the same. */
static bool streaming;

/* Type number v / 2, with rows for wide_product or without; NULL where there are no such products. */
static const struct dtype_info *take_type(uint32_t v) {
    const struct dtype_info *info = dtype_info(v / 2);
    bool some = v % 2 == 0;
    wide = v % 2;
    for (int t = 0; t < n_tables; t++) some |= tables[t]->wide[v / 2];
    return info && info->group && some ? info : NULL;
}

/* Way number t of 2 * n_tables; false where a table has no such way. */
static bool take_way(int t, enum dtype type, size_t n, const struct kernels **k) {
    *k = tables[t / 2];
    streaming = t % 2;
    if (wide) return !streaming && (t / 2 == 0 || (*k)->wide[type]);
    return !streaming || ((*k)->stream_bytes && (*k)->stream_bytes(type, n));
}

enum { LD = TILE_OUTS + 5 }; /* between rows of results: what lies there must stay as it is */

/* `rows` rows of activations by the weights: y[r * TILE_OUTS + o]. What is missing of TILE_OUTS is 0. */
static void multiply(const struct kernels *k, enum dtype type, const uint8_t *w, size_t row_bytes, int outs, size_t n, const struct act_row *x, int rows, float *y) {
    float *out = memory((size_t)rows * LD * sizeof *out);
    uint8_t *tile = tile_memory(tile_bytes(type, n));
    for (int i = 0; i < rows * LD; i++) out[i] = 7;
    if (streaming) {
        const size_t bytes = k->stream_bytes(type, n);
        uint8_t *laid_out = tile_memory(bytes * (size_t)rows);
        assert_int_equal(bytes % 64, 0);
        for (int r = 0; r < rows; r++) k->stream_layout(type, &x[r], n, rows, laid_out + (size_t)r * bytes);
        k->stream_product(type, w, row_bytes, outs, n, laid_out, rows, out, LD, tile);
        free(laid_out);
    } else {
        k->tile_unpack(type, w, row_bytes, outs, n, tile);
        (wide ? k->wide_product : k->tile_product)(type, tile, n, x, rows, out, LD);
    }
    for (int r = 0; r < rows; r++) {
        for (int o = streaming ? outs : TILE_OUTS; o < LD; o++)
            if (!(out[r * LD + o] >= 7 && out[r * LD + o] <= 7)) fail_msg("%s: what lies behind the results of a row was written to", k->name);
        memset(y + r * TILE_OUTS, 0, TILE_OUTS * sizeof *y);
        memcpy(y + r * TILE_OUTS, out + r * LD, (size_t)(streaming ? outs : TILE_OUTS) * sizeof *y);
    }
    free(tile), free(out);
}

/* The same of weights at an odd address in memory that ends with the last, and of `rows` rows from `first` on. */
static float *product(const struct kernels *k, enum dtype type, const uint8_t *w, size_t row_bytes, int outs, size_t n, const struct activations *a, int first, int rows) {
    const size_t last = dtype_size(type, n), bytes = (size_t)(outs - 1) * row_bytes + last;
    uint8_t *own = memory(bytes + 1);
    float *y = memory((size_t)rows * TILE_OUTS * sizeof *y);
    struct act_row *x = memory((size_t)rows * sizeof *x);
    memcpy(own + 1, w, bytes);
    memcpy(x, a->rows + first, (size_t)rows * sizeof *x);
    memset(y, 0x77, (size_t)rows * TILE_OUTS * sizeof *y);
    multiply(k, type, own + 1, row_bytes, outs, n, x, rows, y);
    free(own), free(x);
    return y;
}

static int compare(const struct kernels *k, const struct dtype_info *info, size_t n, int outs, int first, int rows, const float *y, const struct wanted *want) {
    int compared = 0;
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < TILE_OUTS; o++) {
            const float got = y[r * TILE_OUTS + o];
            const double exact = o < outs ? want->y[first + r][o] : 0, slack = o < outs ? want->slack[first + r][o] : 0;
            if (isnan(slack)) continue;
            if (!(fabs((double)got - exact) <= slack))
                fail_msg("%s: %s of %zu: output %d of %d, row %d of %d: %.9g, not %.9g (within %g)", k->name, info->name, n, o, outs, r, rows, (double)got, exact, slack);
            compared++;
        }
    return compared;
}

/* Every number of outputs; then every number of rows, beginning anywhere: the bits of each are those it has alone. */
static void try_products(const struct kernels *k, enum dtype type, const uint8_t *w, size_t row_bytes, size_t n, const struct activations *a, const struct wanted *want) {
    const struct dtype_info *info = dtype_info(type);
    for (int outs = 1; outs <= TILE_OUTS; outs++) {
        const int rows = 1 + outs % 7, first = outs % (ROWS - rows);
        float *y = product(k, type, w, row_bytes, outs, n, a, first, rows);
        assert_true(compare(k, info, n, outs, first, rows, y, want) > 0);
        free(y);
    }
    float alone[ROWS][TILE_OUTS];
    for (int r = 0; r < ROWS; r++) multiply(k, type, w, row_bytes, TILE_OUTS, n, &a->rows[r], 1, alone[r]);
    assert_int_equal(compare(k, info, n, TILE_OUTS, 0, ROWS, alone[0], want), ROWS * TILE_OUTS);
    for (int rows = 2; rows <= ROWS; rows++) {
        const int first = rows * 7 % (ROWS - rows + 1);
        float y[ROWS * TILE_OUTS];
        multiply(k, type, w, row_bytes, TILE_OUTS, n, a->rows + first, rows, y);
        for (int r = 0; r < rows; r++)
            if (memcmp(y + r * TILE_OUTS, alone[first + r], sizeof alone[0]) != 0) fail_msg("%s: %s of %zu: row %d of %d differs from the row alone", k->name, info->name, n, r, rows);
    }
}


static void products(void **state) {
    (void)state;
    static struct wanted want;
    struct rng g = rng_new(13, 1);
    int types = 0, streamed = 0;
    for (uint32_t v = 0; v < 2 * DT_LIMIT; v++) {
        const uint32_t type = v / 2;
        const struct dtype_info *info = take_type(v);
        if (!info) continue;
        types++;
        for (int c = 0; c < counts; c++) {
            const size_t n = block_counts[c] * info->block;
            if (n > MOST) break;
            const size_t row_bytes = dtype_size(type, n) + (c & 1 ? 3 : 0);
            struct activations a;
            uint8_t *w = memory(TILE_OUTS * row_bytes);
            memset(w, 0, TILE_OUTS * row_bytes);
            draw_activations(&g, &a, n);
            draw_weights(&g, info, w, row_bytes, n, false);
            want_product(info, w, row_bytes, n, &a, &want);
            for (int t = 0; t < 2 * n_tables; t++) {
                const struct kernels *k;
                if (!take_way(t, type, n, &k)) continue;
                streamed += streaming;
                try_products(k, type, w, row_bytes, n, &a, &want);
            }
            free_activations(&a);
            free(w);
        }
    }
    assert_true(types > 20);
    for (int t = 0; t < n_tables; t++)
        if (tables[t]->stream_bytes) assert_true(streamed > 3 * counts); /* six types or more; not all rows that are tried fit MOST */
}

/* Of long rows fewer are multiplied at a time: the bits of each are still those it has alone. */
static void long_rows(void **state) {
    (void)state;
    struct rng g = rng_new(18, 1);
    for (uint32_t v = 0; v < 2 * DT_LIMIT; v += 2) {
        const struct dtype_info *info = take_type(v);
        const size_t row_bytes = info ? dtype_size(v / 2, LONG) : 0;
        for (int t = 0; info && t < n_tables; t++) {
            const struct kernels *k;
            if (!take_way(2 * t + 1, v / 2, LONG, &k)) continue;
            struct activations a;
            uint8_t *w = memory(TILE_OUTS * row_bytes);
            draw_activations(&g, &a, LONG);
            draw_weights(&g, info, w, row_bytes, LONG, false);
            float *all = product(k, v / 2, w, row_bytes, TILE_OUTS, LONG, &a, 0, ROWS);
            for (int r = 0; r < ROWS; r++) {
                float *alone = product(k, v / 2, w, row_bytes, TILE_OUTS, LONG, &a, r, 1);
                if (memcmp(alone, all + r * TILE_OUTS, TILE_OUTS * sizeof *alone) != 0) fail_msg("%s: %s of %d: row %d differs from the row alone", k->name, info->name, LONG, r);
                free(alone);
            }
            free(all), free(w);
            free_activations(&a);
        }
    }
}

static int find_table(const char *name) {
    for (int t = 0; t < n_tables; t++)
        if (strcmp(tables[t]->name, name) == 0) return t;
    return -1;
}

/* What differs between these two sets is exact. */
static void one_instruction_or_two(void **state) {
    (void)state;
    const int plain = find_table("avx2"), dot = find_table("avxvnni");
    struct rng g = rng_new(19, 1);
    for (uint32_t v = 0; plain >= 0 && dot >= 0 && v < 2 * DT_LIMIT; v += 2) {
        const struct dtype_info *info = take_type(v);
        if (!info) continue;
        const size_t n = info->block * (info->block < 256 ? 9 : 3), row_bytes = dtype_size(v / 2, n);
        struct activations a;
        uint8_t *w = memory(TILE_OUTS * row_bytes);
        draw_activations(&g, &a, n);
        draw_weights(&g, info, w, row_bytes, n, false);
        for (int way = 0; way < 2; way++)
            for (int rows = 1; rows <= ROWS; rows += 6) {
                const struct kernels *first, *second;
                if (!take_way(2 * plain + way, v / 2, n, &first) || !take_way(2 * dot + way, v / 2, n, &second)) continue;
                float *x = product(first, v / 2, w, row_bytes, TILE_OUTS, n, &a, 0, rows), *y = product(second, v / 2, w, row_bytes, TILE_OUTS, n, &a, 0, rows);
                if (memcmp(x, y, (size_t)rows * TILE_OUTS * sizeof *x) != 0) fail_msg("%s of %zu, %d rows: other bits with the dot product of VNNI", info->name, n, rows);
                free(x), free(y);
            }
        free(w);
        free_activations(&a);
    }
    if (dot < 0) print_message("SKIPPED: no AVX-VNNI here (check-full has its AVX-512 encoding)\n");
}

/* Tables may unpack whole groups of outputs in another way than the rest of a matrix: what comes out has the same bits, scales that are no
 * numbers aside. The weights are any bytes. */
static void incomplete_tiles(void **state) {
    (void)state;
    struct rng g = rng_new(17, 1);
    for (uint32_t v = 0; v < 2 * DT_LIMIT; v++) {
        const uint32_t type = v / 2;
        const struct dtype_info *info = take_type(v);
        if (!info) continue;
        for (int c = 0; c < counts && block_counts[c] * info->block <= MOST; c++) {
            const size_t n = block_counts[c] * info->block, row_bytes = dtype_size(type, n) + (size_t)c % 3;
            struct activations a;
            uint8_t *w = memory(TILE_OUTS * row_bytes);
            draw_activations(&g, &a, n);
            for (size_t i = 0; i < TILE_OUTS * row_bytes; i++) w[i] = (uint8_t)rng_u32(&g);
            for (int t = 0; t < 2 * n_tables; t++) {
                const struct kernels *k;
                if (!take_way(t, type, n, &k)) continue;
                float *whole = product(k, type, w, row_bytes, TILE_OUTS, n, &a, 0, ROWS);
                for (int o = 0; o < TILE_OUTS; o++) {
                    float *one = product(k, type, w + (size_t)o * row_bytes, row_bytes, 1, n, &a, 0, ROWS);
                    for (int r = 0; r < ROWS; r++) {
                        const float x = whole[r * TILE_OUTS + o], y = one[r * TILE_OUTS];
                        if (memcmp(&x, &y, sizeof x) != 0 && !(isnan(x) && isnan(y)))
                            fail_msg("%s: %s of %zu: output %d is %.9g among others, %.9g alone", k->name, info->name, n, o, (double)x, (double)y);
                    }
                    free(one);
                }
                free(whole);
            }
            free_activations(&a);
            free(w);
        }
    }
}

/* Any bytes are a block. What is finite comes out as it should, and what is not does no harm to other outputs. */
static void any_bytes(void **state) {
    (void)state;
    static struct wanted want;
    struct rng g = rng_new(14, 1);
    for (uint32_t v = 0; v < 2 * DT_LIMIT; v++) {
        const uint32_t type = v / 2;
        const struct dtype_info *info = take_type(v);
        if (!info) continue;
        int compared[8] = {0};
        const struct kernels *k;
        for (int round = 0; round < 6; round++) {
            const size_t n = block_counts[round % 3] * info->block, row_bytes = dtype_size(type, n);
            struct activations a;
            uint8_t *w = memory(TILE_OUTS * row_bytes);
            draw_activations(&g, &a, n);
            draw_weights(&g, info, w, row_bytes, n, true);
            want_product(info, w, row_bytes, n, &a, &want);
            for (int t = 0; t < 2 * n_tables; t++) {
                if (!take_way(t, type, n, &k)) continue;
                float *y = product(k, type, w, row_bytes, TILE_OUTS, n, &a, round, 5);
                compared[t / 2] += compare(k, info, n, TILE_OUTS, round, 5, y, &want);
                free(y);
            }
            free_activations(&a);
            free(w);
        }
        for (int t = 0; t < n_tables; t++) assert_true(compared[t] > 300 || (wide && t && !tables[t]->wide[type]));
    }
}

/* ---- products in bfloat16 ---- */

static const size_t haves[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 128, 257, 300};
enum { HAVES = sizeof haves / sizeof *haves, HALF_MOST = 320 };

static void rounded_halves(void **state) {
    (void)state;
    struct rng g = rng_new(15, 1);
    for (int t = 0; t < n_tables; t++) {
        assert_int_equal(!tables[t]->half_round, !tables[t]->half_product);
        assert_int_equal(!tables[t]->half_unpack, !tables[t]->half_product);
        for (size_t c = 0; tables[t]->half_round && c < HAVES; c++) {
            const size_t n = haves[c], up = (n + HALF_BLOCK - 1) / HALF_BLOCK * HALF_BLOCK;
            float *x = memory(n * sizeof *x);
            uint16_t *h = memory(up * sizeof *h);
            draw_row(&g, c & 1 ? 7 : 8, x, n);
            memset(h, 0x55, up * sizeof *h);
            tables[t]->half_round(x, n, h);
            for (size_t i = 0; i < up; i++)
                if (h[i] != (i < n ? f32_to_bf16(x[i]) : 0)) fail_msg("%s: %zu floats: number %zu became %04x", tables[t]->name, n, i, h[i]);
            free(x), free(h);
        }
    }
}

struct half_case {
    enum dtype type;
    size_t have, n;
    uint16_t w[TILE_OUTS][HALF_MOST], x[HALF_ROWS][HALF_MOST];
    const uint16_t *rows[HALF_ROWS];
};

/* Activations go on to n: the weights that are not there must count as zeros. */
static void draw_half(struct rng *g, struct half_case *c, enum dtype type, size_t have) {
    c->type = type, c->have = have, c->n = (have + HALF_BLOCK - 1) / HALF_BLOCK * HALF_BLOCK;
    for (int o = 0; o < TILE_OUTS; o++)
        for (size_t i = 0; i < have; i++) {
            const float v = (float)(4 * rng_unit(g) - 2);
            c->w[o][i] = type == DT_F16 ? f32_to_f16(v) : f32_to_bf16(v);
        }
    for (int r = 0; r < HALF_ROWS; r++) {
        c->rows[r] = c->x[r];
        for (size_t i = 0; i < c->n; i++) c->x[r][i] = f32_to_bf16((float)(4 * rng_unit(g) - 2));
    }
}

static void check_half(const struct kernels *k, const struct half_case *c, int outs, int first, int rows, const float *y) {
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < TILE_OUTS; o++) {
            double want = 0, magnitude = 0;
            for (size_t i = 0; o < outs && i < c->have; i++) {
                const uint16_t w = c->type == DT_F16 ? f32_to_bf16(f16_to_f32(c->w[o][i])) : c->w[o][i];
                const double term = (double)bf16_to_f32(w) * (double)bf16_to_f32(c->x[first + r][i]);
                want += term, magnitude += fabs(term);
            }
            if (!(fabs((double)y[r * TILE_OUTS + o] - want) <= ((double)c->n + 3) * (FLT_EPSILON / 2) * 1.01 * magnitude))
                fail_msg("%s: type %d, %zu of %zu: output %d of %d, row %d of %d: %.9g, not %.9g", k->name, (int)c->type, c->have, c->n, o, outs, r, rows, (double)y[r * TILE_OUTS + o], want);
        }
}

static void try_halves(const struct kernels *k, const struct half_case *c) {
    float alone[HALF_ROWS][TILE_OUTS];
    uint8_t *tile = tile_memory(half_tile_bytes(c->n));
    for (int outs = 1; outs <= TILE_OUTS; outs++) {
        const size_t row_bytes = 2 * c->have + (outs & 1 ? 6 : 0), bytes = (size_t)(outs - 1) * row_bytes + 2 * c->have;
        const int rows = 1 + outs % 5, first = outs % (HALF_ROWS - rows);
        uint8_t *own = memory(bytes + 1); /* at an odd address, and to the end of the memory */
        for (int o = 0; o < outs; o++) memcpy(own + 1 + (size_t)o * row_bytes, c->w[o], 2 * c->have);
        k->half_unpack(c->type, own + 1, row_bytes, outs, c->have, c->n, tile);
        k->half_product(tile, c->n, c->rows + first, rows, alone[0], TILE_OUTS);
        check_half(k, c, outs, first, rows, alone[0]);
        free(own);
    }
    for (int r = 0; r < HALF_ROWS; r++) k->half_product(tile, c->n, &c->rows[r], 1, alone[r], TILE_OUTS); /* the tile has all outputs by now */
    check_half(k, c, TILE_OUTS, 0, HALF_ROWS, alone[0]);
    for (int rows = 2; rows <= HALF_ROWS; rows++) {
        const int first = rows * 7 % (HALF_ROWS - rows + 1);
        float y[HALF_ROWS * TILE_OUTS];
        k->half_product(tile, c->n, c->rows + first, rows, y, TILE_OUTS);
        for (int r = 0; r < rows; r++)
            if (memcmp(y + r * TILE_OUTS, alone[first + r], sizeof alone[0]) != 0) fail_msg("%s: row %d of %d differs from the row alone", k->name, r, rows);
    }
    free(tile);
}

static void half_products(void **state) {
    (void)state;
    static struct half_case c;
    struct rng g = rng_new(16, 1);
    for (size_t i = 0; i < HAVES; i++)
        for (int type = 0; type < 2; type++) {
            draw_half(&g, &c, type ? DT_F16 : DT_BF16, haves[i]);
            for (int t = 0; t < n_tables; t++)
                if (tables[t]->half_product) try_halves(tables[t], &c);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounded_activations), cmocka_unit_test(rounding_is_close), cmocka_unit_test(products), cmocka_unit_test(long_rows), cmocka_unit_test(one_instruction_or_two),
        cmocka_unit_test(incomplete_tiles), cmocka_unit_test(any_bytes), cmocka_unit_test(rounded_halves), cmocka_unit_test(half_products),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
