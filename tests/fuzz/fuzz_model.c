/* fuzz_model.c: spoilt models, opened, recorded, planned and, when they are small, run for a step.
 *
 * An input is either a GGUF file as it is (when it begins with a G), or edits of a tiny model: the first byte chooses the kind, then
 * every four bytes are a place among the keys and shapes (two bytes) and what is done there (the third): set one byte to the fourth, add it, or put
 * four bytes of a list of awkward numbers (with its highest bit: anywhere in the file). So bytes are spent on what decides, not on weights.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/embedder.h"
#include "engine/engine.h"
#include "support/tiny.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void edit(char *file, size_t header, size_t size, const uint8_t *e) {
    static const uint32_t awkward[] = {0, 1, 2, 3, 31, 33, 255, 4096, 65535, 65536, 65537, 1u << 20, 1u << 24, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x7f800000, 0x00000080, 0xff7fffff, 0x7fc00000};
    size_t n = e[2] & 0x80 ? size : header, at = (size_t)(e[0] | e[1] << 8) % n;
    uint32_t v = awkward[e[3] % (sizeof awkward / sizeof *awkward)];
    if (e[2] % 8 == 4) file[at] = (char)(file[at] + (char)e[3]);
    else if (e[2] % 8 >= 5) memcpy(file + at, &v, n - at < 4 ? n - at : 4);
    else file[at] = (char)e[3];
}

static uint32_t sum; /* so that no read is left out as useless */

static void read_all(const float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], 4);
        sum += bits;
    }
}

/* A text of three tokens, as an encoder or its classifier sees it. */
static int embed(const struct model *m, struct pool *pool, int n_ctx, struct err *e) {
    struct embedder *em = NULL;
    const enum pooling pooling = m->hp.pooling == POOL_UNSAID ? POOL_RANK : m->hp.pooling;
    int done, code = embedder_new(&em, m, pool, (struct embedder_options){.pooling = pooling, .n_ctx = n_ctx, .max_rows = 16, .memory_limit = 1u << 28}, e);
    struct cost c = code ? (struct cost){0} : graph_cost(embedder_graph(em), 3, 3, 0);
    if (code == 0 && cost_ops(&c) < 1e8 && c.kv_bytes < 1e8) {
        const size_t width = (size_t)embedder_width(em);
        float *out = malloc(3 * width * sizeof *out);
        CHECK(out);
        code = embedder_step(em, &(struct embed_text){(int32_t[]){0, (int32_t)m->hp.n_vocab - 1, 0}, (int32_t[]){0, 0, 1}, 3, out}, 1, &done, e);
        if (code == 0) read_all(out, width * (pooling == POOL_NONE ? 3 : 1));
        free(out);
    }
    embedder_free(em);
    return code;
}

static int run(struct gguf *file, struct err *e) {
    struct model *m = NULL;
    struct pool *pool = NULL;
    struct engine *en = NULL;
    struct seq *s;
    const struct result *r;
    int code = model_open_file(&m, file, e);
    if (code == 0) code = pool_new(&pool, 1, e);
    int n_ctx = m && m->hp.n_ctx_train < 16 ? 0 : 16;
    const bool writes = code == 0 && m->hp.causal;
    if (code == 0 && !writes) code = embed(m, pool, n_ctx, e);
    if (code == 0 && writes) code = engine_new(&en, m, pool, (struct engine_options){.n_ctx = n_ctx, .memory_limit = 1u << 28}, e);
    if (code == 0 && writes) code = seq_new(&s, en, e);
    if (code == 0 && writes) code = seq_feed(s, (int32_t[]){0, (int32_t)m->hp.n_vocab - 1, 0}, 3, WANT_ALL, e);
    struct cost c = code || !writes ? (struct cost){0} : graph_cost(engine_graph(en), 3, 3, 0);
    if (code == 0 && writes && cost_ops(&c) < 1e8 && c.kv_bytes < 1e8) code = engine_step(en, e);
    if (code == 0 && writes)
        for (int i = engine_results(en, &r); i-- > 0;) read_all(r[i].logits, m->hp.n_vocab);
    engine_free(en);
    pool_free(pool);
    model_close(m);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct tiny models[TINY_ALL]; /* made once; what they hold lives as long as the program */
    struct gguf *g;
    struct err e = {0};
    if (size == 0) return 0;
    log_set_level(LOG_ERROR);
    bool whole = data[0] == 'G';
    const struct tiny *from = &models[data[0] % TINY_ALL];
    if (!models[0].file.data)
        for (enum tiny_kind kind = 0; kind < TINY_ALL; kind++) tiny_make(&models[kind], kind, NULL);
    size_t n = whole ? size : from->file.len;
    int64_t before = mem_live();
    char *copy = malloc(n); /* of the exact size, so that a sanitizer sees a read past it */
    CHECK(copy);
    memcpy(copy, whole ? (const char *)data : from->file.data, n);
    for (size_t at = 1; !whole && at + 4 <= size; at += 4) edit(copy, from->header, n, data + at);
    int code = gguf_open_memory(&g, copy, n, "fuzz.gguf", &e);
    if (code == 0) code = run(g, &e);
    CHECK(code == 0 || (e.code == code && code != ERR_INTERNAL && !strchr(e.msg, '\n') && strlen(e.msg) > 10));
    CHECK(mem_live() == before);
    free(copy);
    return 0;
}
