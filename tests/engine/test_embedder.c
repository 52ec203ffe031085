/* test_embedder.c: texts to vectors. That the vectors are right is for tests/golden to say; here: that a text's vector is the same bits whatever shares its
 * step, that kinds of pooling agree with each other and with the engine's logits, and that what is wrong is said. */
#include "engine/embedder.h"
#include "rig.h"
#include "support/light.h"

enum { TEXTS = 40, MOST = 200, WIDTH = 32 };

struct desk { /* a model with its embedder */
    struct tiny tiny;
    struct model *model;
    struct pool *pool;
    struct embedder *em;
    int64_t before;
};

static int desk_try(struct desk *d, enum tiny_kind kind, int threads, struct embedder_options o, struct err *e) {
    struct gguf *file = NULL;
    *d = (struct desk){.before = mem_live()};
    tiny_make(&d->tiny, kind, NULL);
    int code = gguf_open_memory(&file, d->tiny.file.data, d->tiny.file.len, tiny_name(kind), e);
    if (code == 0) code = model_open_file(&d->model, file, e);
    if (code == 0) code = pool_new(&d->pool, threads, e);
    return code ? code : embedder_new(&d->em, d->model, d->pool, o, e);
}

static void desk_close(struct desk *d) {
    embedder_free(d->em);
    pool_free(d->pool);
    model_close(d->model);
    tiny_free(&d->tiny);
    assert_int_equal(mem_live(), d->before);
}

static void desk_open(struct desk *d, enum tiny_kind kind, int threads, struct embedder_options o) {
    struct err e = {0};
    OK(desk_try(d, kind, threads, o, &e));
}

static int32_t ids[TEXTS][MOST], segments[TEXTS][MOST];
static int lengths[TEXTS];

static void make_texts(void) {
    static const int some[] = {1, 2, 15, 16, 17, 63, 64, 65, 128, 129, 200};
    struct rng g = rng_new(3, 9);
    for (int t = 0; t < TEXTS; t++) {
        lengths[t] = t < (int)(sizeof some / sizeof *some) ? some[t] : 1 + (int)rng_below(&g, t % 3 ? 20 : MOST);
        random_ids(ids[t], lengths[t], 50 + (uint64_t)t);
        for (int i = 0; i < lengths[t]; i++) segments[t][i] = i > lengths[t] / 2;
    }
}

static bool rows_each(const struct embedder *em) { return embedder_pooling(em) == POOL_NONE; }

/* The vectors of all texts, at most `at_once` given in a call; [text][row or 0][width]. The caller frees. */
static float *vectors(struct embedder *em, int at_once) {
    struct err e = {0};
    struct embed_text text[TEXTS];
    const size_t width = (size_t)embedder_width(em);
    float *out = calloc((size_t)TEXTS * MOST * WIDTH, sizeof *out);
    assert_non_null(out);
    assert_true(width <= WIDTH);
    for (int t = 0; t < TEXTS; t++) text[t] = (struct embed_text){ids[t], segments[t], lengths[t], out + (size_t)t * MOST * width};
    for (int t = 0, done; t < TEXTS; t += done) {
        OK(embedder_step(em, text + t, TEXTS - t < at_once ? TEXTS - t : at_once, &done, &e));
        assert_in_range(done, 1, at_once);
    }
    return out;
}

static void same(const struct embedder *em, const float *a, const float *b, const char *what) {
    const size_t width = (size_t)embedder_width(em);
    for (size_t t = 0; t < TEXTS; t++)
        if (memcmp(a + t * MOST * width, b + t * MOST * width, sizeof *a * width * (rows_each(em) ? (size_t)lengths[t] : 1)) != 0)
            fail_msg("%s, pooling %d: text %d of %d tokens has other bits", what, (int)embedder_pooling(em), (int)t, lengths[t]);
}

static void alone_and_among_others(void **state) {
    (void)state;
    const bool less = light("all poolings but two, and half of the ways");
    for (enum tiny_kind kind = 0; kind < TINY_ALL; kind += tiny_step())
        for (enum pooling p = POOL_NONE; p <= POOL_RANK; p++) {
            float *first = NULL;
            static const struct {
                int at_once, max_rows, threads, n_ctx;
            } ways[] = {{1, 0, 1, 256}, {TEXTS, 0, 1, 256}, {TEXTS, 0, 3, 256}, {TEXTS, 100, 2, 200}, {7, 2000, 2, 256}, {TEXTS, 1, 1, 256}};
            if ((p == POOL_RANK && kind < TINY_KINDS) || (less && p != POOL_MEAN && p != POOL_RANK)) continue;
            for (size_t w = 0; w < sizeof ways / sizeof *ways; w += less ? 2 : 1) {
                struct desk d;
                desk_open(&d, kind, ways[w].threads, (struct embedder_options){.pooling = p, .max_rows = ways[w].max_rows, .n_ctx = ways[w].n_ctx});
                assert_int_equal(embedder_width(d.em), p == POOL_RANK ? 1 : WIDTH);
                float *out = vectors(d.em, ways[w].at_once);
                if (first) same(d.em, first, out, tiny_name(kind));
                if (first) free(out);
                else first = out;
                desk_close(&d);
            }
            free(first);
        }
}

/* A step in pieces has the bits of a whole one, whatever else the pool does between them; and one that is dropped leaves nothing. */
static void in_pieces(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_ALL; kind += tiny_step()) {
        struct desk d;
        struct err e = {0};
        const struct embedder_options o = {.pooling = POOL_MEAN, .n_ctx = 256, .max_rows = 300};
        int pieces = 0, steps = 0;
        desk_open(&d, kind, 2, o);
        struct embedder *other;
        OK(embedder_new(&other, d.model, d.pool, o, &e));
        float *whole = vectors(d.em, TEXTS), *out = calloc((size_t)TEXTS * MOST * WIDTH, sizeof *out), side[WIDTH];
        assert_non_null(out);
        for (int t = 0, count; t < TEXTS; t += count, steps++) {
            struct embed_text text[TEXTS];
            bool over = false;
            int done;
            for (int i = t; i < TEXTS; i++) text[i] = (struct embed_text){ids[i], segments[i], lengths[i], out + (size_t)i * MOST * (size_t)embedder_width(d.em)};
            OK(embedder_begin(d.em, text + t, TEXTS - t, &count, &e));
            if (steps == 1) { /* begun in vain */
                OK(embedder_continue(d.em, 1e-12, &over, &e));
                assert_false(over);
                embedder_drop(d.em);
                OK(embedder_begin(d.em, text + t, TEXTS - t, &count, &e));
            }
            while (!over) {
                OK(embedder_continue(d.em, 1e-12, &over, &e));
                pieces++;
                if (pieces % 7 == 0) OK(embedder_step(other, &(struct embed_text){ids[pieces % TEXTS], NULL, lengths[pieces % TEXTS], side}, 1, &done, &e));
            }
        }
        assert_true(steps > 3 && pieces > steps * 5);
        same(d.em, whole, out, "in pieces");
        free(whole);
        free(out);
        embedder_free(other);
        desk_close(&d);
    }
}

static double off(const float *a, const float *b, size_t n) {
    double square = 1e-30, error = 0;
    for (size_t i = 0; i < n; i++) square += (double)a[i] * (double)a[i], error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(error / square);
}

/* What the mean, the first and the last row are can be read off all rows. And they differ, or nothing is said by that. */
static void pooling_agrees(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_ALL; kind += tiny_step()) {
        float *by[POOL_RANK];
        for (enum pooling p = POOL_NONE; p < POOL_RANK; p++) {
            struct desk d;
            desk_open(&d, kind, 2, (struct embedder_options){.pooling = p, .n_ctx = 256});
            by[p] = vectors(d.em, TEXTS);
            desk_close(&d);
        }
        for (size_t t = 0; t < TEXTS; t++) {
            const float *rows = by[POOL_NONE] + t * MOST * WIDTH, *mean = by[POOL_MEAN] + t * MOST * WIDTH, *cls = by[POOL_CLS] + t * MOST * WIDTH, *last = by[POOL_LAST] + t * MOST * WIDTH;
            const size_t n = (size_t)lengths[t];
            float sum[WIDTH] = {0};
            for (size_t i = 0; i < n; i++)
                for (size_t c = 0; c < WIDTH; c++) sum[c] += rows[i * WIDTH + c] / (float)n;
            if (off(rows, cls, WIDTH) > 1e-6 || off(rows + (n - 1) * WIDTH, last, WIDTH) > 1e-6 || off(sum, mean, WIDTH) > 1e-5)
                fail_msg("%s: text %d: the kinds of pooling do not agree", tiny_name(kind), (int)t);
            if (n > 1) assert_true(off(cls, last, WIDTH) > 1e-3 && off(cls, mean, WIDTH) > 1e-3);
        }
        for (enum pooling p = POOL_NONE; p < POOL_RANK; p++) free(by[p]);
    }
}

/* A decoder's last row, through the matrix of the head, gives the logits that the engine gives. */
static void rows_are_those_of_the_engine(void **state) {
    (void)state;
    static const enum tiny_kind with_head[] = {TINY_LLAMA, TINY_GPT_OSS, TINY_QWEN35, TINY_MAMBA2, TINY_DEEPSEEK2, TINY_PHI3};
    for (size_t k = 0; k < sizeof with_head / sizeof *with_head; k++) {
        struct desk d;
        struct rig r;
        desk_open(&d, with_head[k], 1, (struct embedder_options){.pooling = POOL_LAST, .n_ctx = 256});
        float *out = vectors(d.em, TEXTS);
        rig_open(&r, with_head[k], 1, wide());
        const struct tensor *head = gguf_tensor(d.model->file, "output.weight");
        assert_int_equal(head->type, DT_F32);
        for (size_t t = 0; t < 12; t++) {
            float *logits = logits_of(r.engine, ids[t], lengths[t], lengths[t]), got[TINY_VOCAB];
            for (size_t c = 0; c < TINY_VOCAB; c++) {
                double sum = 0;
                for (size_t i = 0; i < WIDTH; i++) sum += (double)((const float *)head->data)[c * WIDTH + i] * (double)out[t * MOST * WIDTH + i];
                got[c] = (float)sum;
            }
            if (off(logits + (size_t)(lengths[t] - 1) * TINY_VOCAB, got, TINY_VOCAB) > 1e-4) fail_msg("%s: text %d is not what the engine makes of it", tiny_name(with_head[k]), (int)t);
            free(logits);
        }
        rig_close(&r);
        free(out);
        desk_close(&d);
    }
}

/* Every token matters to every row of an encoder, and only what is before it to a decoder's. */
static void what_is_seen(void **state) {
    (void)state;
    for (enum tiny_kind kind = TINY_BERT; kind < TINY_ALL; kind++) {
        struct desk d;
        struct err e = {0};
        int done;
        float a[40 * WIDTH], b[40 * WIDTH];
        int32_t text[40];
        random_ids(text, 40, 5);
        desk_open(&d, kind, 1, (struct embedder_options){.pooling = POOL_NONE});
        OK(embedder_step(d.em, &(struct embed_text){.id = text, .n = 40, .out = a}, 1, &done, &e));
        text[39] = (text[39] + 1) % TINY_VOCAB;
        OK(embedder_step(d.em, &(struct embed_text){.id = text, .n = 40, .out = b}, 1, &done, &e));
        for (size_t i = 0; i < 40; i++) assert_true(off(a + i * WIDTH, b + i * WIDTH, WIDTH) > 1e-6);
        desk_close(&d);
    }
}

/* The second segment of one model is the first of another, in which the rows of the table stand the other way round. */
static void segments_are_passed_on(void **state) {
    (void)state;
    struct desk d[2];
    struct err e = {0};
    int done;
    float out[3][WIDTH];
    static const int32_t ones[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (int i = 0; i < 2; i++) {
        desk_open(&d[i], TINY_BERT, 1, (struct embedder_options){.pooling = POOL_MEAN});
        const struct tensor *t = gguf_tensor(d[i].model->file, "token_types.weight");
        float *rows = (float *)(void *)(d[i].tiny.file.data + ((const char *)t->data - d[i].tiny.file.data)), row[WIDTH];
        if (i) memcpy(row, rows, sizeof row), memmove(rows, rows + WIDTH, sizeof row), memcpy(rows + WIDTH, row, sizeof row);
        for (int second = 0; second < 2 - i; second++)
            OK(embedder_step(d[i].em, &(struct embed_text){ids[4], second ? ones : NULL, 10, out[i + i + second]}, 1, &done, &e));
    }
    assert_memory_equal(out[1], out[2], sizeof out[1]);
    assert_true(off(out[0], out[1], WIDTH) > 1e-3);
    desk_close(&d[1]); /* as allocations are counted */
    desk_close(&d[0]);
}

static void near_the_reference(void **state) {
    (void)state;
    const struct kernels *tables[8];
    const int count = kernels_all(tables, 8);
    for (enum tiny_kind kind = TINY_BERT; kind < TINY_ALL; kind++)
        for (enum dtype kv = DT_F32; kv <= DT_F16; kv++) {
            float *ref = NULL;
            for (int k = 0; k < count; k++) {
                struct desk d;
                desk_open(&d, kind, 1, (struct embedder_options){.pooling = POOL_MEAN, .isa = tables[k]->name, .kv_type = kv, .n_ctx = 256});
                assert_string_equal(embedder_isa(d.em), tables[k]->name);
                float *out = vectors(d.em, TEXTS);
                for (size_t t = 0; ref && t < TEXTS; t++)
                    if (off(ref + t * MOST * WIDTH, out + t * MOST * WIDTH, WIDTH) > 3e-2) fail_msg("%s, %s: text %d is far from the reference", tiny_name(kind), tables[k]->name, (int)t);
                if (ref) free(out);
                else ref = out;
                desk_close(&d);
            }
            free(ref);
        }
}

/* ---- what is wrong ---- */

static void expect(int code, int want, const struct err *e, const char *a, const char *b) {
    if (code != want || !strstr(e->msg, a) || !strstr(e->msg, b)) fail_msg("%d \"%s\" is not %d with \"%s\" and \"%s\"", code, e->msg, want, a, b);
}

static void bad_texts(void **state) {
    (void)state;
    struct desk d;
    struct err e = {0};
    int done;
    float out[3][WIDTH];
    int32_t bad[] = {1, TINY_VOCAB, 2}, less[] = {1, -1};
    static int32_t zeros[65];
    desk_open(&d, TINY_BERT, 1, (struct embedder_options){.pooling = POOL_UNSAID, .n_ctx = 64});
    assert_int_equal(embedder_pooling(d.em), POOL_MEAN); /* as the file says */
    assert_int_equal(embedder_context(d.em), 64);
    expect(embedder_step(d.em, &(struct embed_text){.id = zeros, .n = 65, .out = out[0]}, 1, &done, &e), ERR_CONTEXT, &e, "65 tokens", "holds 64");
    expect(embedder_step(d.em, &(struct embed_text){.id = zeros, .n = 0, .out = out[0]}, 1, &done, &e), ERR_TEXT, &e, "empty", "");
    expect(embedder_step(d.em, &(struct embed_text){.id = bad, .n = 3, .out = out[0]}, 1, &done, &e), ERR_TEXT, &e, "token 1 of 3 is 50", "has 50");
    expect(embedder_step(d.em, &(struct embed_text){.id = less, .n = 2, .out = out[0]}, 1, &done, &e), ERR_TEXT, &e, "token 1 of 2 is -1", "");
    struct embed_text three[] = {{ids[3], NULL, 16, out[0]}, {bad, NULL, 3, out[1]}, {ids[4], NULL, 17, out[2]}};
    OK(embedder_step(d.em, three, 3, &done, &e)); /* those before a wrong one are computed */
    assert_int_equal(done, 1);
    expect(embedder_step(d.em, three + 1, 2, &done, &e), ERR_TEXT, &e, "token 1", "");
    assert_int_equal(done, 0);
    OK(embedder_step(d.em, three + 2, 1, &done, &e));
    OK(embedder_step(d.em, three, 0, &done, &e));
    assert_int_equal(done, 0);
    desk_close(&d);
}

static void bad_options(void **state) {
    (void)state;
    static const struct {
        enum tiny_kind kind;
        struct embedder_options o;
        int code;
        const char *a, *b;
    } cases[] = {
        {TINY_LLAMA, {.pooling = POOL_RANK}, ERR_UNSUPPORTED, "cls.weight", "no scores"},
        {TINY_BERT, {.n_ctx = TINY_POSITIONS + 1}, ERR_CONTEXT, "257", "256"},
        {TINY_BERT, {.n_ctx = -1}, ERR_USAGE, "-1", ""},
        {TINY_BERT, {.isa = "none"}, ERR_USAGE, "none", ""},
        {TINY_MODERN_BERT, {.n_ctx = 4096, .memory_limit = 1 << 20}, ERR_MEMORY, "4096 tokens", "there are 1.0 MB"},
        {TINY_MODERN_BERT, {.memory_limit = 1000}, ERR_MEMORY, "64 tokens", "use a smaller -c"},
        {TINY_LLAMA, {.kv_type = DT_Q4_0}, ERR_UNSUPPORTED, "Q4_0", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct desk d;
        struct err e = {0};
        expect(desk_try(&d, cases[i].kind, 1, cases[i].o, &e), cases[i].code, &e, cases[i].a, cases[i].b);
        assert_null(d.em);
        desk_close(&d);
    }
    struct desk d; /* nobody asked for 4096 */
    desk_open(&d, TINY_MODERN_BERT, 1, (struct embedder_options){.pooling = POOL_UNSAID, .memory_limit = 3 << 20});
    assert_in_range(embedder_context(d.em), 64, 2048);
    assert_int_equal(embedder_pooling(d.em), POOL_CLS);
    desk_close(&d);
}

/* An encoder does not write; and weights that are no numbers are not passed off as vectors. */
static void not_for_text(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    for (enum tiny_kind kind = TINY_BERT; kind < TINY_ALL; kind++) {
        expect(rig_try(&r, kind, 1, wide(), &e), ERR_UNSUPPORTED, &e, "encoder", "hearth embed");
        rig_close(&r);
    }
    struct desk d;
    int done;
    float out[WIDTH];
    desk_open(&d, TINY_BERT, 1, (struct embedder_options){.pooling = POOL_MEAN});
    const struct tensor *t = gguf_tensor(d.model->file, "blk.1.layer_output_norm.bias");
    memset(d.tiny.file.data + ((const char *)t->data - d.tiny.file.data), 0xff, 4);
    expect(embedder_step(d.em, &(struct embed_text){.id = ids[3], .n = 16, .out = out}, 1, &done, &e), ERR_FORMAT, &e, "no numbers", "bert");
    desk_close(&d);
}

static void every_allocation(void **state) {
    (void)state;
    const bool less = light("most allocations");
    for (enum tiny_kind kind = 0; kind < TINY_ALL; kind += tiny_step()) {
        bool failed = true;
        for (int64_t n = 1; failed; n += less ? 1 + n / 4 : 1) {
            struct desk d;
            struct err e = {0};
            struct gguf *file = NULL;
            int done = 0;
            float out[3][WIDTH];
            struct embed_text three[] = {{ids[3], NULL, 16, out[0]}, {ids[8], NULL, 128, out[1]}, {ids[4], NULL, 17, out[2]}};
            d = (struct desk){.before = mem_live()};
            tiny_make(&d.tiny, kind, NULL);
            mem_fail_after(n);
            int code = gguf_open_memory(&file, d.tiny.file.data, d.tiny.file.len, "faulty.gguf", &e);
            if (code == 0) code = model_open_file(&d.model, file, &e);
            if (code == 0) code = pool_new(&d.pool, 2, &e);
            if (code == 0) code = embedder_new(&d.em, d.model, d.pool, (struct embedder_options){.pooling = POOL_MEAN, .n_ctx = 200}, &e);
            for (int at = 0; code == 0 && at < 3; at += done) code = embedder_step(d.em, three + at, 3 - at, &done, &e);
            failed = mem_has_failed();
            mem_fail_after(0);
            if (failed ? code != ERR_MEMORY || !strstr(e.msg, "memory") : code != 0) fail_msg("%s, allocation %d: %d \"%s\"", tiny_name(kind), (int)n, code, e.msg);
            if (d.em && failed) OK(embedder_step(d.em, three, 3, &done, &e)); /* a step that failed can be repeated */
            desk_close(&d);
        }
    }
}

/* ---- around it ---- */

static void lengths_of_vectors(void **state) {
    (void)state;
    static const float x[4] = {3, -4, 0, 12};
    static const struct {
        int p;
        double length;
    } cases[] = {{-1, 1}, {0, 12 / 32760.0}, {1, 19}, {2, 13}, {3, 12.207056}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float v[4], huge[2] = {3e38f, -3e38f}, zero[2] = {0, 0};
        memcpy(v, x, sizeof v);
        embedding_normalise(v, 4, cases[i].p);
        for (int c = 0; c < 4; c++) assert_true(fabs((double)v[c] * cases[i].length - (double)x[c]) < 1e-4);
        embedding_normalise(huge, 2, cases[i].p);
        embedding_normalise(zero, 2, cases[i].p);
        assert_true(isfinite(huge[0]) && (huge[0] < 1e5f || cases[i].p < 0) && huge[0] > 0 && zero[0] <= 0 && zero[0] >= 0);
    }
}

int main(void) {
    make_texts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_and_among_others), cmocka_unit_test(in_pieces), cmocka_unit_test(pooling_agrees), cmocka_unit_test(rows_are_those_of_the_engine),
        cmocka_unit_test(what_is_seen), cmocka_unit_test(segments_are_passed_on), cmocka_unit_test(near_the_reference),
        cmocka_unit_test(bad_texts), cmocka_unit_test(bad_options), cmocka_unit_test(not_for_text), cmocka_unit_test(every_allocation),
        cmocka_unit_test(lengths_of_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
