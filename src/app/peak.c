/* peak.c: what this machine can do at most; see peak.h. */
#include "app/peak.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

enum { READS = 9, PASSES = 15, EACH = 8 };
static const double PASS_S = 0.01; /* long enough to measure, short enough to find a pass that nobody disturbs */
static const size_t MOST = (size_t)1 << 30, LEAST = (size_t)1 << 26;

typedef uint64_t vec __attribute__((vector_size(16))); /* a register of any processor: of wider vectors a compiler makes several, in memory */

struct reading {
    struct pool *pool;
    vec *memory;
    size_t share;   /* of each worker, vectors */
    uint64_t *sink; /* [workers] so that nothing is left out */
};

struct work {
    float (*loop)(long rounds, double *ops);
    long rounds;
    double *ops; /* [workers] */
    float *sink; /* [workers] so that nothing is left out */
};

static void fill(void *ctx, int worker, int workers) {
    struct reading *r = ctx;
    (void)workers;
    memset(r->memory + (size_t)worker * r->share, worker + 1, r->share * sizeof(vec));
}

/* Eight sums, each a register. */
static void read_all(void *ctx, int worker, int workers) {
    struct reading *r = ctx;
    const vec *p = r->memory + (size_t)worker * r->share, *end = p + r->share;
    (void)workers;
#define START(i) vec s##i = {0};
#define STEP(i) s##i ^= p[i];
    START(0) START(1) START(2) START(3) START(4) START(5) START(6) START(7)
    for (; p < end; p += EACH) { STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) }
    const vec all = s0 ^ s1 ^ s2 ^ s3 ^ s4 ^ s5 ^ s6 ^ s7;
    r->sink[worker] = all[0] ^ all[1];
}

static void compute(void *ctx, int worker, int workers) {
    struct work *w = ctx;
    (void)workers;
    w->sink[worker] = w->loop(w->rounds, &w->ops[worker]);
}

/* Seconds of the fastest pass. */
static double best(struct pool *pool, void (*fn)(void *, int, int), void *work, int passes) {
    double least = 1e9;
    for (int i = 0; i < passes; i++) {
        double start = os_now();
        pool_run(pool, fn, work);
        double took = os_now() - start;
        if (took < least) least = took;
    }
    return least;
}

static double compute_gops(struct pool *pool, float (*loop)(long, double *), struct work *w) {
    double ops = 0, seconds = 0;
    w->loop = loop;
    for (w->rounds = 100000; seconds < PASS_S && w->rounds < 1L << 40; w->rounds *= 2) seconds = best(pool, compute, w, 1);
    seconds = best(pool, compute, w, PASSES);
    for (int i = 0; i < pool_threads(pool); i++) ops += w->ops[i];
    return ops / seconds / 1e9;
}

int reading_new(struct reading **out, struct pool *pool, struct err *e) {
    const size_t n = (size_t)pool_threads(pool);
    size_t bytes = MOST;
    uint64_t have = os_memory_available();
    while (have && bytes > LEAST && bytes > have / 4) bytes /= 2;
    struct reading *r = mem_calloc(1, sizeof *r);
    *out = NULL;
    if (r) {
        r->pool = pool;
        r->share = bytes / sizeof(vec) / n / EACH * EACH;
        r->memory = mem_aligned(64, bytes);
        r->sink = mem_calloc(n, sizeof *r->sink);
    }
    if (!r || !r->memory || !r->sink) {
        reading_free(r);
        return err_nomem(e, "measuring memory bandwidth", bytes);
    }
    pool_run(pool, fill, r);
    *out = r;
    return 0;
}

void reading_free(struct reading *r) {
    if (!r) return;
    mem_free(r->memory);
    mem_free(r->sink);
    mem_free(r);
}

double reading_gbps(struct reading *r, int passes) {
    return (double)(r->share * sizeof(vec)) * pool_threads(r->pool) / best(r->pool, read_all, r, passes) / 1e9;
}

int peak_measure(struct peak *p, struct reading *r, struct pool *pool, const struct kernels *k, struct err *e) {
    size_t n = (size_t)pool_threads(pool);
    struct work w = {.ops = mem_calloc(n, sizeof *w.ops), .sink = mem_calloc(n, sizeof *w.sink)};
    int code = w.ops && w.sink ? 0 : err_nomem(e, "measuring arithmetic", n * sizeof *w.ops);
    *p = (struct peak){0};
    if (code == 0) {
        p->read_gbps = reading_gbps(r, READS);
        for (int a = 0; a < ARITHS; a++)
            if (k->peak[a]) p->gops[a] = compute_gops(pool, k->peak[a], &w);
    }
    mem_free(w.ops);
    mem_free(w.sink);
    return code;
}

double peak_seconds(const struct peak *p, const double ops[ARITHS]) {
    double seconds = 0;
    for (int a = 0; a < ARITHS; a++) seconds += ops[a] / 1e9 / (p->gops[a] > 0 ? p->gops[a] : p->gops[ARITH_FP32]);
    return seconds;
}
