/* kernels.c: every kernel of every instruction set that this processor has, on one thread, beside what the machine can do.
 *
 *   kernels [WORD]      only those whose name ("avx512 decode Q4_K") has WORD in it
 *
 * A kernel is one function below, which runs it once and says how much it did, and one row of the table. A kernel that a set
 * inherits is shown once, where it comes from. Weights are streamed from memory, and compared with the bandwidth of reading; rows
 * of activations lie in the nearest cache, so those compared with it should go far beyond. Arithmetic is compared with the most that the
 * set itself gets out of the processor, and then with the most that any set does.
 */
#include <stdio.h>
#include <string.h>

#include "app/peak.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/rng.h"
#include "kernel/kernel.h"

enum { N = 2048 /* of a row */, SHORT = N / 2 /* of those of which five must fit the nearest cache */, HEAD = 128, GROUP = 2 /* queries of a KV head */, ROWS = 64 /* of a prompt */, STREAM_ROWS = 24, STREAM = 96 << 20 /* bytes: more than the caches hold */, PASSES = 5, MAX_SETS = 8 };
static const double PASS_S = 0.01;

struct lab {
    const struct kernels *k;
    float *x, *y, *w, *out; /* [N * KERNEL_LANES] */
    uint8_t *stream;        /* [STREAM] rows of the type under way, one after the other */
    size_t at, row_bytes;   /* the next row to be read, and what a row takes */
    void *tile;             /* of the type under way */
    char *laid_out;         /* rows of activations as stream_layout makes them, and for which type */
    int laid_out_type;
    int8_t *codes;          /* [ROWS][N] activations, and their scales; the same as bfloat16 */
    struct act_scale *scales;
    uint16_t *halves;
    struct act_row row[ROWS];
    const uint16_t *half_row[ROWS];
};

/* ---- the kernels: each returns the bytes it read or the operations it did ---- */

static double run_dot(struct lab *l, int v) {
    (void)v;
    l->out[0] = l->k->dot(l->x, l->y, SHORT);
    return 2.0 * SHORT;
}
static double run_dot_lanes(struct lab *l, int v) {
    (void)v;
    l->k->dot_lanes(l->x, l->y, SHORT, SHORT, l->out);
    return 2.0 * SHORT * KERNEL_LANES;
}
static double run_axpy(struct lab *l, int v) {
    (void)v;
    l->k->axpy(1e-6f, l->x, l->out, N);
    return 2.0 * N;
}

static double floats(int n) { return sizeof(float) * (double)N * n; }

/* The next row of the stream. */
static const uint8_t *next_row(struct lab *l) {
    if (l->at + l->row_bytes > STREAM) l->at = 0;
    l->at += l->row_bytes;
    return l->stream + l->at - l->row_bytes;
}
static double run_decode(struct lab *l, int type) {
    l->k->decode[type](next_row(l), l->out, N);
    return (double)l->row_bytes;
}

/* As many rows as a tile has. */
static const uint8_t *next_tile(struct lab *l) {
    if (l->at + TILE_OUTS * l->row_bytes > STREAM) l->at = 0;
    l->at += TILE_OUTS * l->row_bytes;
    return l->stream + l->at - TILE_OUTS * l->row_bytes;
}

/* Generation, of types that are read as they are: the same bytes as rows of N, or `longer` times as long. */
static double dot_rows(struct lab *l, int type, int longer) {
    l->k->dot_weights[type](next_tile(l), l->row_bytes * (size_t)longer, TILE_OUTS / longer, l->x, (size_t)(N * longer), l->out);
    return (double)(TILE_OUTS * l->row_bytes);
}
static double run_dot_weights(struct lab *l, int type) { return dot_rows(l, type, 1); }
static double run_dot_long_weights(struct lab *l, int type) { return dot_rows(l, type, KERNEL_LANES); }

/* ---- products: a tile is unpacked from the stream; it and the rows of activations then lie in cache ---- */

static double run_act_quantize(struct lab *l, int v) {
    (void)v;
    l->k->act_quantize(l->x, N, l->codes, l->scales);
    return floats(1);
}
static double run_tile_unpack(struct lab *l, int type) {
    l->k->tile_unpack((enum dtype)type, next_tile(l), l->row_bytes, TILE_OUTS, N, l->tile);
    return (double)(TILE_OUTS * l->row_bytes);
}
static double run_tile_product(struct lab *l, int type) {
    l->k->tile_product((enum dtype)type, l->tile, N, l->row, ROWS, l->out, TILE_OUTS);
    return 2.0 * TILE_OUTS * ROWS * N;
}
static double run_wide_product(struct lab *l, int type) { /* the rows' scales are not shared, which takes no less time */
    l->k->wide_product((enum dtype)type, l->tile, N, l->row, ROWS, l->out, TILE_OUTS);
    return 2.0 * TILE_OUTS * ROWS * N;
}
static double run_act_quantize_wide(struct lab *l, int v) {
    (void)v;
    l->k->act_quantize_wide(l->x, N, l->codes, l->scales);
    return floats(1);
}
static double run_tile_one_row(struct lab *l, int type) { /* what generation does where nothing is multiplied straight from the weights */
    double bytes = run_tile_unpack(l, type);
    l->k->tile_product((enum dtype)type, l->tile, N, l->row, 1, l->out, TILE_OUTS);
    return bytes;
}

/* Small rows: one, which is generation, eight, and more than are multiplied in registers, straight from the weights or however the table does that. */
static double stream(struct lab *l, int type, int rows) {
    const size_t bytes = l->k->stream_bytes((enum dtype)type, N);
    const uint8_t *w = next_tile(l);
    if (l->laid_out_type != type * STREAM_ROWS + rows) /* once: a step does it once for a whole matrix */
        for (size_t r = 0; r < STREAM_ROWS; r++) l->k->stream_layout((enum dtype)type, &l->row[r], N, rows, l->laid_out + r * bytes);
    l->laid_out_type = type * STREAM_ROWS + rows;
    l->k->stream_product((enum dtype)type, w, l->row_bytes, TILE_OUTS, N, l->laid_out, rows, l->out, TILE_OUTS, l->tile);
    return rows == 1 ? (double)(TILE_OUTS * l->row_bytes) : 2.0 * TILE_OUTS * rows * N;
}
static double run_stream_one_row(struct lab *l, int type) { return stream(l, type, 1); }
static double run_stream_eight_rows(struct lab *l, int type) { return stream(l, type, 8); }
static double run_stream_more_rows(struct lab *l, int type) { return stream(l, type, STREAM_ROWS); }
static double run_stream_layout(struct lab *l, int type) {
    l->k->stream_layout((enum dtype)type, &l->row[0], N, 8, l->laid_out);
    return floats(1);
}
static double run_half_round(struct lab *l, int v) {
    (void)v;
    l->k->half_round(l->x, N, l->halves);
    return floats(1);
}
static double run_half_unpack(struct lab *l, int type) {
    l->k->half_unpack((enum dtype)type, next_tile(l), l->row_bytes, TILE_OUTS, N, N, l->tile);
    return (double)(TILE_OUTS * l->row_bytes);
}
static double run_half_product(struct lab *l, int v) {
    (void)v;
    l->k->half_product(l->tile, N, l->half_row, ROWS, l->out, TILE_OUTS);
    return 2.0 * TILE_OUTS * ROWS * N;
}
_Static_assert(TILE_OUTS * ROWS <= N * KERNEL_LANES, "a tile's results fit the lab's arrays");

/* The next page of keys or values, for which rows of the stream are taken together. */
static struct attn_page next_page(struct lab *l, int type) {
    size_t row = dtype_size((enum dtype)type, HEAD);
    if (l->at + ATTN_PAGE * row > STREAM) l->at = 0;
    const uint8_t *page = l->stream + l->at;
    l->at += ATTN_PAGE * row;
    return (struct attn_page){page, row, 0, ATTN_PAGE, page + ATTN_PAGE * row, l->at + ATTN_PAGE * row <= STREAM ? ATTN_PAGE * row : 0};
}
static double page_bytes(const struct attn_page *p) { return (double)(ATTN_PAGE * p->row); }

static double run_scores(struct lab *l, int type) {
    const struct attn_page p = next_page(l, type);
    l->k->attn.scores[type](&p, HEAD, l->x, GROUP, l->out);
    return page_bytes(&p);
}
static double run_values(struct lab *l, int type) {
    const struct attn_page p = next_page(l, type);
    l->k->attn.values[type](&p, HEAD, l->x, l->y, GROUP, l->out);
    return page_bytes(&p);
}
static double run_weigh(struct lab *l, int v) {
    enum { QUERIES = 16 };
    struct attn_rule rule[QUERIES];
    struct attn_softmax m[QUERIES];
    (void)v;
    for (int i = 0; i < QUERIES; i++) rule[i] = (struct attn_rule){.scale = 0.1f, .to = ATTN_PAGE}, m[i] = (struct attn_softmax){1, 0};
    memcpy(l->out, l->x, QUERIES * ATTN_PAGE * sizeof *l->x);
    l->k->attn.weigh(rule, QUERIES, l->out, m, l->y);
    return QUERIES * ATTN_PAGE * sizeof *l->x;
}
static double run_pack_keys(struct lab *l, int type) {
    const struct attn_page p = next_page(l, type);
    l->k->attn.pack_keys[type](&p, HEAD, l->out);
    return page_bytes(&p);
}
static double run_pack_values(struct lab *l, int type) {
    const struct attn_page p = next_page(l, type);
    l->k->attn.pack_values[type](&p, HEAD, l->out);
    return page_bytes(&p);
}
static double run_encode(struct lab *l, int type) {
    l->k->attn.encode[type](l->x, l->out, N);
    return floats(1);
}
static double run_narrow(struct lab *l, int v) {
    (void)v;
    l->k->attn.narrow(l->x, l->out, N);
    return floats(1);
}
static double run_product(struct lab *l, int pair) {
    l->k->attn.product[pair - 1](l->x, ATTN_PAGE, l->y, ATTN_PAGE, HEAD / pair, NULL, l->out);
    return 2.0 * ATTN_PAGE * ATTN_PAGE * HEAD;
}
static double run_product_floats(struct lab *l, int v) {
    (void)v;
    return run_product(l, 1);
}
static double run_product_pairs(struct lab *l, int v) {
    (void)v;
    return run_product(l, 2);
}

static double run_add(struct lab *l, int v) {
    (void)v;
    l->k->add(l->x, l->y, l->out, N);
    return floats(2);
}
static double run_mul(struct lab *l, int v) {
    (void)v;
    l->k->mul(l->x, l->y, l->out, N);
    return floats(2);
}
static double run_scale(struct lab *l, int v) {
    (void)v;
    l->k->scale(0.5f, l->x, l->out, N);
    return floats(1);
}
static double run_softcap(struct lab *l, int v) {
    (void)v;
    l->k->softcap(30, l->x, l->out, N);
    return floats(1);
}
static double run_act(struct lab *l, int act) {
    l->k->act[act](l->x, l->out, N);
    return floats(1);
}
static double run_glu(struct lab *l, int act) {
    l->k->glu[act](l->x, l->y, l->out, N);
    return floats(2);
}
static double run_sum(struct lab *l, int v) {
    (void)v;
    l->out[0] = l->k->sum(l->x, N);
    return floats(1);
}
static double run_sum_squares(struct lab *l, int v) {
    (void)v;
    l->out[0] = l->k->sum_squares(0, l->x, N);
    return floats(1);
}
static double run_normalise(struct lab *l, int v) {
    (void)v;
    l->k->normalise(0, 1.5f, l->x, l->w, NULL, l->out, N);
    return floats(2);
}
static double run_softmax(struct lab *l, int v) {
    (void)v;
    l->k->softmax(l->x, l->out, N);
    return floats(1);
}
static double run_rope_halves(struct lab *l, int v) {
    (void)v;
    l->k->rope_halves(l->x, l->y, l->w, l->out, N / 2);
    return floats(2);
}
static double run_rope_neighbours(struct lab *l, int v) {
    (void)v;
    l->k->rope_neighbours(l->x, l->y, l->w, l->out, N / 2);
    return floats(2);
}

enum unit { INT8 = ARITH_INT8, BF16 = ARITH_BF16, FP32 = ARITH_FP32, BYTES };
/* A single kernel; one for each element type, or each activation; a single one that is told the type: quantised, one that has a product straight from the weights, half. */
enum variants { ONE, TYPES, ACTS, QUANTISED, STREAMED, HALVES };

static const struct row {
    const char *name;
    size_t offset; /* of the pointer, or the first of them, in struct kernels */
    enum variants variants;
    enum unit unit;
    double (*run)(struct lab *l, int variant);
} rows[] = {
#define ROW(name, variants, unit) {#name, offsetof(struct kernels, name), variants, unit, run_##name}
    ROW(dot, ONE, FP32),
    ROW(dot_lanes, ONE, FP32),
    ROW(axpy, ONE, FP32),
    ROW(decode, TYPES, BYTES),
    ROW(dot_weights, TYPES, BYTES),
    {"dot_weights of long rows", offsetof(struct kernels, dot_weights), TYPES, BYTES, run_dot_long_weights},
    ROW(act_quantize, ONE, BYTES),
    ROW(act_quantize_wide, ONE, BYTES),
    ROW(tile_unpack, QUANTISED, BYTES),
    {"tile_unpack and one row", offsetof(struct kernels, tile_product), QUANTISED, BYTES, run_tile_one_row},
    ROW(tile_product, QUANTISED, INT8),
    ROW(wide_product, QUANTISED, INT8),
    {"stream_product of one row", offsetof(struct kernels, stream_product), STREAMED, BYTES, run_stream_one_row},
    {"stream_product of eight", offsetof(struct kernels, stream_product), STREAMED, INT8, run_stream_eight_rows},
    {"stream_product of 24", offsetof(struct kernels, stream_product), STREAMED, INT8, run_stream_more_rows},
    ROW(stream_layout, STREAMED, BYTES),
    ROW(half_round, ONE, BYTES),
    ROW(half_unpack, HALVES, BYTES),
    ROW(half_product, ONE, BF16),
#define ATTN(name, member, variants, unit) {"attention " #name, offsetof(struct kernels, attn.member), variants, unit, run_##name}
    ATTN(scores, scores, TYPES, BYTES),
    ATTN(weigh, weigh, ONE, BYTES),
    ATTN(values, values, TYPES, BYTES),
    ATTN(encode, encode, TYPES, BYTES),
    ATTN(pack_keys, pack_keys, TYPES, BYTES),
    ATTN(pack_values, pack_values, TYPES, BYTES),
    ATTN(narrow, narrow, ONE, BYTES),
    ATTN(product_floats, product[0], ONE, FP32),
    ATTN(product_pairs, product[1], ONE, BF16),
    ROW(add, ONE, BYTES),
    ROW(mul, ONE, BYTES),
    ROW(scale, ONE, BYTES),
    ROW(softcap, ONE, BYTES),
    ROW(act, ACTS, BYTES),
    ROW(glu, ACTS, BYTES),
    ROW(sum, ONE, BYTES),
    ROW(sum_squares, ONE, BYTES),
    ROW(normalise, ONE, BYTES),
    ROW(softmax, ONE, BYTES),
    ROW(rope_halves, ONE, BYTES),
    ROW(rope_neighbours, ONE, BYTES),
};

/* ---- measuring ---- */

/* Fills the stream with rows of a type: encoded where there is an encoder, else bytes that stay finite as halves. */
static void fill_stream(struct lab *l, int type) {
    const struct dtype_info *info = dtype_info((uint32_t)type);
    l->row_bytes = dtype_size((enum dtype)type, N);
    if (info->encode) info->encode(l->x, l->stream, N, NULL);
    else
        for (size_t i = 0; i < l->row_bytes; i++) l->stream[i] = (uint8_t)(i * 37 % 59 + 1);
    for (size_t at = l->row_bytes; at + l->row_bytes <= STREAM; at += l->row_bytes) memcpy(l->stream + at, l->stream, l->row_bytes);
    l->at = 0;
}

/* Work done in a second by the fastest pass. */
static double speed(const struct row *r, struct lab *l, int variant) {
    double best = 0;
    long times = 1;
    for (int pass = 0; pass < PASSES;) {
        double done = 0, start = os_now();
        for (long i = 0; i < times; i++) done += r->run(l, variant);
        double took = os_now() - start;
        if (took < PASS_S) {
            times *= 2;
            continue;
        }
        pass++;
        if (done / took > best) best = done / took;
    }
    return best;
}

static const char *variant_name(const struct row *r, int v) {
#define NAME(act) #act,
    static const char *const acts[] = {EACH_ACT(NAME)};
    if (r->variants == ONE) return "";
    return r->variants == ACTS ? acts[v] : dtype_info((uint32_t)v) ? dtype_info((uint32_t)v)->name : "?";
}

/* The pointer's bytes; NULL when there is none. */
static const char *pointer(const struct row *r, const struct kernels *k, int v) {
    static const char none[sizeof k->dot];
    const struct dtype_info *info = r->variants == ACTS ? NULL : dtype_info((uint32_t)v);
    if (r->variants == STREAMED && !(info && info->group && k->stream_bytes && k->stream_bytes((enum dtype)v, N))) return NULL;
    if ((r->variants == QUANTISED && !(info && info->group)) || (r->variants == HALVES && v != DT_F16 && v != DT_BF16)) return NULL;
    const char *p = (const char *)k + r->offset + (r->variants == TYPES || r->variants == ACTS ? (size_t)v * sizeof k->dot : 0);
    return memcmp(p, none, sizeof none) ? p : NULL;
}

static void measure(const struct row *r, struct lab *l, const struct kernels *before, const struct peak *own, const struct peak *peak, const char *word) {
    int count = r->variants == ONE ? 1 : r->variants == ACTS ? ACT_LIMIT : DT_LIMIT;
    for (int v = 0; v < count; v++) {
        const char *p = pointer(r, l->k, v), *inherited = before ? pointer(r, before, v) : NULL;
        char name[64];
        (void)snprintf(name, sizeof name, "%s %s %s", l->k->name, r->name, variant_name(r, v));
        if (!p || (inherited && memcmp(p, inherited, sizeof l->k->dot) == 0) || (word && !strstr(name, word))) continue;
        if (r->variants != ONE && r->variants != ACTS) fill_stream(l, v);
        if (r->variants == QUANTISED) (void)run_tile_unpack(l, v);
        l->laid_out_type = -1;
        double per_second = speed(r, l, v) / 1e9, most = r->unit == BYTES ? peak->read_gbps : peak->gops[r->unit];
        (void)printf("%-40s %9.2f %s", name, per_second, r->unit == BYTES ? "GB/s " : "GOP/s");
        if (r->unit != BYTES && own->gops[r->unit] > 0) (void)printf(" %6.1f %%", 100 * per_second / own->gops[r->unit]);
        if (most > 0) (void)printf(" %6.1f %%", 100 * per_second / most);
        (void)printf("\n");
        (void)fflush(stdout);
    }
}

static float *random_floats(struct rng *r, size_t n) {
    float *x = mem_aligned(64, n * sizeof *x);
    for (size_t i = 0; x && i < n; i++) x[i] = (float)rng_unit(r) * 2 - 1;
    return x;
}

/* Activations are the same in every table. */
static int lab_open(struct lab *l, const struct kernels *ref, struct err *e) {
    struct rng r = rng_new(1, 1);
    float **const arrays[] = {&l->x, &l->y, &l->w, &l->out};
    bool ok = true;
    for (size_t i = 0; i < 4; i++) ok = (*arrays[i] = random_floats(&r, N * KERNEL_LANES)) && ok;
    l->stream = mem_aligned(64, STREAM);
    l->tile = mem_aligned(64, half_tile_bytes(N));
    l->laid_out = mem_aligned(64, STREAM_ROWS * 4 * N);
    l->laid_out_type = -1;
    l->codes = mem_aligned(64, ROWS * N);
    l->scales = mem_aligned(64, ROWS * N / ACT_BLOCK * sizeof *l->scales);
    l->halves = mem_aligned(64, ROWS * N * sizeof *l->halves);
    if (!ok || !l->stream || !l->tile || !l->laid_out || !l->codes || !l->scales || !l->halves) return err_nomem(e, "rows of weights", STREAM);
    memset(l->tile, 0, half_tile_bytes(N));
    for (size_t i = 0; i < ROWS; i++) {
        l->row[i] = (struct act_row){l->codes + i * N, l->scales + i * N / ACT_BLOCK};
        l->half_row[i] = l->halves + i * N;
        ref->act_quantize(l->x, N, l->codes + i * N, l->scales + i * N / ACT_BLOCK);
        for (size_t j = 0; j < N; j++) l->halves[i * N + j] = f32_to_bf16(l->x[j]);
    }
    return 0;
}

static void lab_close(struct lab *l) {
    void *const all[] = {l->x, l->y, l->w, l->out, l->stream, l->tile, l->laid_out, l->codes, l->scales, l->halves};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
}

int main(int argc, char **argv) {
    const struct kernels *k[MAX_SETS];
    struct lab l = {0};
    struct pool *pool = NULL;
    struct reading *reading = NULL;
    struct peak peak = {0}, own = {0};
    struct err e = {0};
    int sets = kernels_all(k, MAX_SETS), code = lab_open(&l, k[0], &e);
    if (code == 0) code = pool_new(&pool, 1, &e);
    if (code == 0) code = reading_new(&reading, pool, &e);
    if (code == 0) code = peak_measure(&peak, reading, pool, k[sets - 1], &e);
    if (code) (void)fprintf(stderr, "kernels: %s\n", e.msg);
    else
        (void)printf("one thread: %.1f GB/s read; in GOP/s %.0f of int8, %.0f of bf16, %.0f of fp32\n\n", peak.read_gbps, peak.gops[ARITH_INT8],
                     peak.gops[ARITH_BF16], peak.gops[ARITH_FP32]);
    for (int s = 0; code == 0 && s < sets; s++) {
        l.k = k[s];
        code = peak_measure(&own, reading, pool, k[s], &e);
        for (size_t i = 0; code == 0 && i < sizeof rows / sizeof *rows; i++) measure(&rows[i], &l, s ? k[s - 1] : NULL, &own, &peak, argc > 1 ? argv[1] : NULL);
    }
    lab_close(&l);
    reading_free(reading);
    pool_free(pool);
    return code;
}
