/* lora.c: adapters with random numbers; see lora.h. */
#include "support/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static void need(int code, const struct err *e) {
    if (code == 0) return;
    fprintf(stderr, "adapters for tests: %s\n", e->msg);
    exit(1);
}

bool lora_acts_on(const struct tensor *t) {
    const char *n = t->name, *dot = strrchr(n, '.');
    if (t->n_dims != 2 || !dot || strcmp(dot, ".weight") != 0) return false;
    return strcmp(n, "output.weight") == 0 || (strncmp(n, "blk.", 4) == 0 && !strstr(n, "norm") && !strstr(n, "conv1d") && !strstr(n, ".conv."));
}

enum { TENSORS = 128 };

struct made {
    struct tensor t[TENSORS];
    char name[TENSORS][80];
    int n;
};

/* A tensor of random numbers of up to `spread`. */
static const struct tensor *make(struct made *m, struct rng *rng, const char *matrix, const char *suffix, int64_t n0, int64_t n1, float spread, enum dtype type) {
    struct tensor *t = &m->t[m->n];
    const size_t n = (size_t)(n0 * n1), size = dtype_size(type, n);
    float *x = malloc(n * sizeof *x);
    void *data = malloc(size);
    if (m->n == TENSORS || !x || !data) exit(1);
    for (size_t i = 0; i < n; i++) x[i] = spread * (float)(2 * rng_unit(rng) - 1);
    dtype_info((uint32_t)type)->encode(x, data, n, NULL);
    free(x);
    (void)snprintf(m->name[m->n], sizeof m->name[0], "%s%s", matrix, suffix);
    *t = (struct tensor){m->name[m->n++], type, 2, {n0, n1, 1, 1}, data, size};
    return t;
}

void lora_write(const char *path, const struct gguf *model, uint64_t seed, int rank, float strength, enum dtype type, const int32_t *invocation, int n_invocation) {
    static struct made m;
    struct err e = {0};
    struct gguf_writer *w;
    struct slice arch = {0};
    struct rng rng = rng_new(seed, 9);
    m.n = 0;
    need(gguf_writer_new(&w, &e), &e);
    need(gguf_get_str(model, "general.architecture", &arch, &e), &e);
    need(gguf_put_str(w, "general.type", SLICE("adapter"), &e), &e);
    need(gguf_put_str(w, "general.architecture", arch, &e), &e);
    need(gguf_put_str(w, "adapter.type", SLICE("lora"), &e), &e);
    need(gguf_put_f32(w, "adapter.lora.alpha", (float)rank, &e), &e);
    if (invocation) need(gguf_put_array(w, "adapter.alora.invocation_tokens", GGUF_U32, invocation, (uint64_t)n_invocation, &e), &e);
    for (size_t i = 0; i < gguf_tensor_count(model); i++) {
        const struct tensor *t = gguf_tensor_at(model, i);
        if (!lora_acts_on(t)) continue;
        /* A's rows take numbers of about 1 to numbers of about 1, and B mixes `rank` of them */
        need(gguf_put_tensor(w, make(&m, &rng, t->name, ".lora_a", t->ne[0], rank, 1.7f / sqrtf((float)t->ne[0]), type), NULL, NULL, &e), &e);
        need(gguf_put_tensor(w, make(&m, &rng, t->name, ".lora_b", rank, t->ne[1], 1.7f * strength / sqrtf((float)rank), type), NULL, NULL, &e), &e);
    }
    need(gguf_write(w, path, &e), &e);
    gguf_writer_free(w);
    for (int i = 0; i < m.n; i++) free((void *)(uintptr_t)m.t[i].data);
}
