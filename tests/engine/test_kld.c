/* test_kld.c: how exactly quantised weights are computed with: the embedded model in every format, on held-out text, against the same
 * weights decoded to F32. The measure is the mean Kullback-Leibler divergence of the next token's distribution, in nats.
 *
 * Whatever the engine does for speed (rounded activations) must stay within these bounds, for whole prompts, for small pieces and
 * token by token, since each takes other paths. The formats that are only read are tried too: one matrix of one layer is
 * filled with random blocks of them, a quarter as large as its numbers, so that the model still is one. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "engine/engine.h"
#include "engine/vocab.h"
#include "model/embedded.h"
#include "model/quantize.h"
#include "support/blocks.h"
#include "support/light.h"

enum { TOKENS = 384, LIGHT_TOKENS = 64 };
static const double LIMIT = 1e-3, LIMIT_HALF = 1e-4; /* nats: of the quantised formats; of F16 and BF16 */

static char folder[] = "/tmp/hearth-test-kld-XXXXXX";
static char quantised[64], decoded[64];
static struct pool *pool;
static int32_t ids[TOKENS];
static int whole_text = TOKENS; /* how much of it check_file reads */

#define OK(call)                                           \
    do {                                                   \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

static void open_ember(struct gguf **g) {
    struct err e = {0};
    OK(gguf_open_memory(g, hearth_embedded_model, embedded_model_size(), "ember", &e));
}

/* Logits of the first `rows` ids, fed `piece` at a time, keys and values kept as kv: [rows][*n_vocab], freed by the caller. */
static float *logits_of(const char *path, enum dtype kv, int rows, int piece, size_t *n_vocab) {
    struct err e = {0};
    struct model *m;
    struct engine *en;
    struct seq *s;
    OK(model_open(&m, path, &e));
    OK(engine_new(&en, m, pool, (struct engine_options){.n_ctx = TOKENS, .max_rows = TOKENS, .max_logits = TOKENS, .kv_type = kv}, &e));
    OK(seq_new(&s, en, &e));
    *n_vocab = m->hp.n_vocab;
    float *out = calloc((size_t)rows * *n_vocab, sizeof *out);
    assert_non_null(out);
    for (int at = 0; at < rows; at += piece) {
        OK(seq_feed(s, ids + at, rows - at < piece ? rows - at : piece, WANT_ALL, &e));
        while (seq_pending(s)) {
            const struct result *r;
            OK(engine_step(en, &e));
            for (int i = 0, n = engine_results(en, &r); i < n; i++) memcpy(out + (size_t)r[i].position * *n_vocab, r[i].logits, *n_vocab * sizeof *out);
        }
    }
    assert_int_equal(seq_length(s), rows);
    seq_free(s);
    engine_free(en);
    model_close(m);
    return out;
}

static double log_sum(const float *x, size_t n) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, (double)x[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* Mean divergence of the rows of q from those of p, of n each. */
static double divergence(const float *p, const float *q, int rows, size_t n) {
    double total = 0;
    for (int r = 0; r < rows; r++, p += n, q += n) {
        double p_sum = log_sum(p, n), q_sum = log_sum(q, n);
        for (size_t i = 0; i < n; i++) {
            double lp = (double)p[i] - p_sum, lq = (double)q[i] - q_sum;
            total += exp(lp) * (lp - lq);
        }
    }
    return total / rows;
}

static void quantise(const struct gguf *g, const char *path, const char *target, bool pure) {
    struct err e = {0};
    struct quantize_report r;
    struct quantize_options o = {.target = quant_target_find(target), .pure = pure, .allow_requantize = true};
    assert_non_null(o.target);
    OK(quantize_write(g, path, &o, pool, &r, &e));
}

/* Decodes the file `quantised` and compares: the whole text at once, and its beginning in small pieces, which must be as near as the same
 * rows of the whole. */
static void check_file(const char *what, double limit) {
    static const struct { int rows, piece; } ways[] = {{48, 12}, {24, 1}};
    struct err e = {0};
    struct gguf *g;
    size_t n;
    OK(gguf_open(&g, quantised, &e));
    quantise(g, decoded, "F32", false);
    gguf_close(g);
    float *exact = logits_of(decoded, DT_F32, whole_text, whole_text, &n), *whole = logits_of(quantised, DT_F32, whole_text, whole_text, &n);
    double kld = divergence(exact, whole, whole_text, n);
    if (!(fabs(kld) <= limit)) fail_msg("%s: mean divergence %.2e from the decoded weights, more than %.0e", what, kld, limit);
    for (int i = 0; i < 2; i++) {
        float *fast = logits_of(quantised, DT_F32, ways[i].rows, ways[i].piece, &n);
        double same = divergence(exact, whole, ways[i].rows, n);
        kld = divergence(exact, fast, ways[i].rows, n);
        if (!(fabs(kld) <= 1.5 * same + 1e-6)) fail_msg("%s, fed %d at a time: mean divergence %.2e from the decoded weights, of the whole %.2e", what, ways[i].piece, kld, same);
        free(fast);
    }
    free(whole);
    free(exact);
}

static void every_target(void **state) {
    (void)state;
    struct gguf *ember;
    open_ember(&ember);
    const bool less = light("all formats but Q8_0, Q4_K_M, Q6_K and F16, and most of the text");
    if (less) whole_text = LIGHT_TOKENS;
    for (int i = 0; quant_target_name(i); i++) {
        const char *name = quant_target_name(i);
        if (less && strcmp(name, "Q8_0") != 0 && strcmp(name, "Q4_K_M") != 0 && strcmp(name, "Q6_K") != 0 && strcmp(name, "F16") != 0) continue;
        enum dtype base = quant_target_base(quant_target_find(name));
        bool half = base == DT_F16 || base == DT_BF16;
        quantise(ember, quantised, name, base == DT_MXFP4); /* its mix is for experts */
        check_file(name, half ? LIMIT_HALF : LIMIT);
    }
    gguf_close(ember);
}

/* The same, of how keys and values are kept and computed with: prompts may round them to bfloat16. */
static void every_type_of_keys(void **state) {
    (void)state;
    if (light("types of keys")) return;
    const struct {
        enum dtype type;
        double small, prompt; /* limits in nats */
    } types[] = {{DT_F16, 1e-6, LIMIT_HALF}, {DT_BF16, LIMIT_HALF, LIMIT_HALF}, {DT_Q8_0, LIMIT, LIMIT}};
    struct gguf *ember;
    size_t n;
    open_ember(&ember);
    quantise(ember, decoded, "F32", false);
    gguf_close(ember);
    float *exact = logits_of(decoded, DT_F32, TOKENS, TOKENS, &n);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int piece = 8; piece <= TOKENS; piece += TOKENS - 8) {
            float *kept = logits_of(decoded, types[i].type, TOKENS, piece, &n);
            double kld = divergence(exact, kept, TOKENS, n), limit = piece == 8 ? types[i].small : types[i].prompt;
            if (!(fabs(kld) <= limit)) fail_msg("keys as %s, fed %d at a time: mean divergence %.2e from F32, more than %.0e", dtype_info((uint32_t)types[i].type)->name, piece, kld, limit);
            free(kept);
        }
    free(exact);
}

/* Random blocks of `type`, each with a quarter of the root mean square that t has there. */
static uint8_t *random_blocks(const struct tensor *t, enum dtype type, struct rng *rng) {
    const struct dtype_info *info = dtype_info((uint32_t)type), *from = dtype_info((uint32_t)t->type);
    size_t blocks = (size_t)tensor_elements(t) / SUPER, step = SUPER / from->block * from->bytes;
    uint8_t *data = malloc(blocks * info->bytes);
    assert_non_null(data);
    for (size_t i = 0; i < blocks; i++) {
        float x[SUPER];
        from->decode((const uint8_t *)t->data + i * step, x, SUPER);
        random_super_block(type, rng, root_mean_square(x, SUPER) / 4, data + i * info->bytes);
    }
    return data;
}

static void every_type_that_is_only_read(void **state) {
    (void)state;
    if (light("the formats that are only read")) return;
    struct gguf *ember;
    int types = 0;
    open_ember(&ember);
    for (uint32_t type = 0; type < DT_LIMIT; type++) {
        const struct dtype_info *info = dtype_info(type);
        if (!info || !info->decode || info->encode || info->block != SUPER) continue;
        struct err e = {0};
        struct gguf_writer *w;
        struct rng rng = rng_new(type, 1);
        uint8_t *data = NULL;
        OK(gguf_writer_new(&w, &e));
        for (size_t i = 0; i < gguf_kv_count(ember); i++) OK(gguf_put_kv(w, gguf_kv_at(ember, i), &e));
        for (size_t i = 0; i < gguf_tensor_count(ember); i++) {
            struct tensor t = *gguf_tensor_at(ember, i);
            if (strcmp(t.name, "blk.1.ffn_up.weight") == 0) {
                t.data = data = random_blocks(&t, (enum dtype)type, &rng);
                t.type = (enum dtype)type;
                t.size = dtype_size(t.type, (uint64_t)tensor_elements(&t));
            }
            OK(gguf_put_tensor(w, &t, NULL, NULL, &e));
        }
        assert_non_null(data);
        OK(gguf_write(w, quantised, &e));
        gguf_writer_free(w);
        free(data);
        check_file(info->name, LIMIT);
        types++;
    }
    assert_int_equal(types, 7);
    gguf_close(ember);
}

/* Fewer bits are further from the original: a sanity check of the encoders, the mixes and the measure itself. */
static void fewer_bits_are_further_away(void **state) {
    (void)state;
    if (light("the order of formats")) return;
    static const char *const falling[] = {"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_L", "Q2_K"};
    struct gguf *ember;
    size_t n;
    double last = 0;
    open_ember(&ember);
    quantise(ember, decoded, "F32", false);
    float *original = logits_of(decoded, DT_F32, TOKENS, TOKENS, &n);
    for (size_t i = 0; i < sizeof falling / sizeof *falling; i++) {
        quantise(ember, quantised, falling[i], false);
        float *other = logits_of(quantised, DT_F32, TOKENS, TOKENS, &n);
        double kld = divergence(original, other, TOKENS, n);
        if (i > 1 && !(kld > last)) fail_msg("%s: mean divergence %.2e from the original, not more than %.2e of %s", falling[i], kld, last, falling[i - 1]);
        last = kld;
        free(other);
    }
    assert_true(last > 0.01);
    free(original);
    gguf_close(ember);
}

static int set_up(void **state) {
    struct err e = {0};
    struct buf text = {0};
    struct tokens t = {0};
    struct tokenizer *tok;
    struct gguf *ember;
    (void)state;
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(quantised, sizeof quantised, "%s/q.gguf", folder);
    (void)snprintf(decoded, sizeof decoded, "%s/d.gguf", folder);
    OK(pool_new(&pool, os_cpu_count(), &e));
    OK(os_read_file("models/ember/heldout.txt", 1 << 20, &text, &e));
    open_ember(&ember);
    OK(vocab_open(&tok, ember, (struct slice){0}, &e));
    OK(tokenizer_encode(tok, (struct slice){text.data, text.len < TOKENS * 16 ? text.len : TOKENS * 16}, NULL, &t, &e));
    assert_true(t.n >= TOKENS);
    memcpy(ids, t.id, sizeof ids);
    tokens_free(&t);
    tokenizer_free(tok);
    gguf_close(ember);
    buf_free(&text);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pool_free(pool);
    (void)unlink(quantised);
    (void)unlink(decoded);
    (void)rmdir(folder);
    return mem_live() == 0 ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_target),
        cmocka_unit_test(every_type_of_keys),
        cmocka_unit_test(every_type_that_is_only_read),
        cmocka_unit_test(fewer_bits_are_further_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
