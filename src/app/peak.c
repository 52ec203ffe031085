/* peak.c: what this machine can do at most; see peak.h. */
#include "app/peak.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

enum { READS = 9, PASSES = 15 };
static const double PASS_S = 0.01; /* long enough to measure, short enough to find a pass that nobody disturbs */
static const size_t MOST = (size_t)1 << 30, LEAST = (size_t)1 << 26;

typedef uint64_t vec __attribute__((vector_size(64)));

struct work {
    vec *memory;
    size_t count; /* of memory */
    float (*loop)(long rounds, double *ops);
    long rounds;
    double *ops; /* [workers] */
    float *sink; /* [workers] so that nothing is left out */
};

static void fill(void *ctx, int worker, int workers) {
    struct work *w = ctx;
    size_t share = w->count / (size_t)workers;
    memset(w->memory + (size_t)worker * share, worker + 1, share * sizeof(vec));
}

static void read_all(void *ctx, int worker, int workers) {
    struct work *w = ctx;
    size_t share = w->count / (size_t)workers & ~(size_t)7;
    const vec *p = w->memory + (size_t)worker * (w->count / (size_t)workers);
    vec s[8] = {0};
    for (size_t i = 0; i < share; i += 8)
        for (size_t j = 0; j < 8; j++) s[j] ^= p[i + j];
    vec all = s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7];
    w->sink[worker] = (float)(all[0] ^ all[1] ^ all[2] ^ all[3] ^ all[4] ^ all[5] ^ all[6] ^ all[7]);
}

static void compute(void *ctx, int worker, int workers) {
    struct work *w = ctx;
    (void)workers;
    w->sink[worker] = w->loop(w->rounds, &w->ops[worker]);
}

/* Seconds of the fastest pass. */
static double best(struct pool *pool, void (*fn)(void *, int, int), struct work *w, int passes) {
    double least = 1e9;
    for (int i = 0; i < passes; i++) {
        double start = os_now();
        pool_run(pool, fn, w);
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

int peak_measure(struct peak *p, struct pool *pool, const struct kernels *k, struct err *e) {
    size_t n = (size_t)pool_threads(pool), bytes = MOST;
    uint64_t have = os_memory_available();
    while (have && bytes > LEAST && bytes > have / 4) bytes /= 2;
    struct work w = {0};
    int code = 0;
    *p = (struct peak){0};
    w.memory = mem_aligned(64, bytes);
    w.ops = mem_calloc(n, sizeof *w.ops);
    w.sink = mem_calloc(n, sizeof *w.sink);
    if (!w.memory || !w.ops || !w.sink) code = err_nomem(e, "measuring memory bandwidth", bytes);
    if (code == 0) {
        w.count = bytes / sizeof(vec);
        pool_run(pool, fill, &w);
        size_t read = (w.count / n & ~(size_t)7) * n * sizeof(vec);
        p->read_gbps = (double)read / best(pool, read_all, &w, READS) / 1e9;
        for (int a = 0; a < ARITHS; a++)
            if (k->peak[a]) p->gops[a] = compute_gops(pool, k->peak[a], &w);
    }
    mem_free(w.memory);
    mem_free(w.ops);
    mem_free(w.sink);
    return code;
}

double peak_seconds(const struct peak *p, const double ops[ARITHS]) {
    double seconds = 0;
    for (int a = 0; a < ARITHS; a++) seconds += ops[a] / 1e9 / (p->gops[a] > 0 ? p->gops[a] : p->gops[ARITH_FP32]);
    return seconds;
}
