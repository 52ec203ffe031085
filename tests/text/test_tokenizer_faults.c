/* test_tokenizer_faults.c: tokenizers that contradict themselves, memory that runs out at every place, many threads at once, and
 * texts that are long without a break. The last cannot be seen to be fast here, only to end: a quadratic step would take hours.
 */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/thread.h"
#include "spec_fixture.h"

static void expect_error(const struct tokenizer_spec *s, int code, const char *says) {
    struct tokenizer *t = NULL;
    struct err e = {0};
    int64_t before = mem_live();
    assert_int_equal(tokenizer_new(&t, s, &e), code);
    assert_null(t);
    if (!strstr(e.msg, says)) fail_msg("'%s' does not say '%s'", e.msg, says);
    assert_null(strchr(e.msg, '\n'));
    assert_int_equal(mem_live(), before);
}

static void test_bad_specs(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_bpe(&f, "nobody-knows");
    expect_error(&f.spec, ERR_UNSUPPORTED, "nobody-knows");
    spec_bpe(&f, "gpt-2");
    f.spec.has_merges = false;
    expect_error(&f.spec, ERR_FORMAT, "merges");
    f.spec.model = SLICE("hybrid\ndna");
    expect_error(&f.spec, ERR_UNSUPPORTED, "hybrid");
    f.spec.model = SLICE("plamo2");
    expect_error(&f.spec, ERR_UNSUPPORTED, "plamo2");
    f.spec.model = (struct slice){0};
    expect_error(&f.spec, ERR_UNSUPPORTED, "tokenizer.ggml.model");
    spec_spm(&f);
    f.score[SPM_BC] = NAN;
    expect_error(&f.spec, ERR_FORMAT, "not a number");
    f.spec.scores = NULL;
    expect_error(&f.spec, ERR_FORMAT, "scores");
    spec_unigram(&f);
    f.spec.scores = NULL;
    expect_error(&f.spec, ERR_FORMAT, "scores");
}

/* What is odd but harmless: ids out of range, empty and repeated tokens, merges that are no merges, an empty vocabulary. */
static void test_odd_specs(void **state) {
    (void)state;
    static struct spec_fixture f;
    struct tokens ids = {0};
    struct err e = {0};
    spec_bpe(&f, "gpt-2");
    f.spec.role[ROLE_BOS] = 1 << 20;
    f.spec.role[ROLE_EOS] = INT64_MAX;
    f.spec.add_bos = f.spec.add_eos = 1;
    spec_token(&f, "", TOKEN_NORMAL, 0);
    spec_token(&f, "he", TOKEN_NORMAL, 0);
    spec_token(&f, "", TOKEN_CONTROL, 0);
    f.type[0] = 99;
    static const char *const odd[] = {"", " ", "  ", "a", "a ", " a", "h e", "unheard of", "a b c"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) spec_merge(&f, odd[i]);
    struct tokenizer *t = spec_new(&f);
    struct encode_options o = {.add_special = true, .parse = SPECIAL_ALL};
    assert_int_equal(tokenizer_encode(t, SLICE("hello a b c"), &o, &ids, &e), 0);
    assert_int_equal(ids.id[0], 11); /* the default of the kind stands for an id out of range */
    assert_int_equal(ids.id[1], BPE_HELLO);
    tokenizer_free(t);
    static const char *const models[] = {"gpt2", "gemma4", "llama", "t5", "bert", "rwkv", "none", "test", "no_vocab"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        static struct spec_fixture empty;
        memset(&empty, 0, sizeof empty);
        spec_begin(&empty, models[i], "");
        t = spec_new(&empty);
        ids.n = 0;
        int rc = tokenizer_encode(t, SLICE("text"), NULL, &ids, &e);
        assert_int_equal(rc, i < 6 ? ERR_TEXT : ERR_UNSUPPORTED);
        assert_int_equal(ids.n, 0);
        assert_int_equal(tokenizer_encode(t, SLICE(""), NULL, &ids, &e), i < 6 ? 0 : ERR_UNSUPPORTED);
        tokenizer_free(t);
    }
    tokens_free(&ids);
}

/* A byte without a token: its place in the whole text, whatever was cut off before it, and what can be done. */
static void test_no_token_for_a_byte(void **state) {
    (void)state;
    static struct spec_fixture f;
    struct tokens ids = {0};
    struct err e = {0};
    spec_bpe(&f, "gpt-2");
    f.token[0xFF] = f.token[0xC3] = SLICE("elsewhere");
    struct tokenizer *t = spec_new(&f);
    assert_int_equal(tokenizer_encode(t, SLICE("hello a\xff\xfe b"), NULL, &ids, &e), ERR_TEXT);
    assert_non_null(strstr(e.msg, "byte 7 of the text is 0xFF"));
    assert_non_null(strstr(e.msg, "not valid UTF-8"));
    assert_int_equal(tokenizer_encode(t, SLICE("hello \xc3\xa9"), NULL, &ids, &e), ERR_TEXT);
    assert_non_null(strstr(e.msg, "byte 6 of the text is 0xC3"));
    assert_non_null(strstr(e.msg, "take that character out"));
    tokenizer_free(t);
    tokens_free(&ids);
}

static void test_ids_only(void **state) {
    (void)state;
    static struct spec_fixture f;
    struct tokens ids = {0};
    struct err e = {0};
    spec_bpe(&f, "");
    f.spec.model = SLICE("test");
    struct tokenizer *t = spec_new(&f);
    assert_int_equal(tokenizer_count(t), BPE_CONTROL_BY_MERGE + 1);
    assert_int_equal(tokenizer_encode(t, SLICE("a"), NULL, &ids, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "'test'"));
    assert_int_equal(tokenizer_find(t, SLICE("he")), BPE_HE);
    tokenizer_free(t);
}

static void test_limits(void **state) {
    (void)state;
    static struct spec_fixture f;
    struct tokens ids = {.limit = 5};
    struct err e = {0};
    spec_bpe(&f, "gpt-2");
    struct tokenizer *t = spec_new(&f);
    assert_int_equal(tokenizer_encode(t, SLICE("hello"), NULL, &ids, &e), 0);
    assert_int_equal(tokenizer_encode(t, SLICE("world"), NULL, &ids, &e), 0);
    assert_int_equal(ids.n, 5);
    assert_int_equal(tokenizer_encode(t, SLICE(""), NULL, &ids, &e), 0);
    assert_int_equal(tokenizer_encode(t, SLICE("x"), NULL, &ids, &e), ERR_CONTEXT);
    assert_int_equal(ids.n, 5); /* as before */
    assert_non_null(strstr(e.msg, "5 tokens"));
    assert_int_equal(tokenizer_encode(t, SLICE("x"), NULL, &ids, NULL), ERR_CONTEXT);
    tokens_free(&ids);
    tokenizer_free(t);
}

typedef void (*fill_fn)(struct spec_fixture *f);
static void fill_llama3(struct spec_fixture *f) { spec_bpe(f, "llama-bpe"); }
static void fill_digits(struct spec_fixture *f) { spec_bpe(f, "tiny_aya"); }
static const fill_fn fills[] = {fill_llama3, fill_digits, spec_spm, spec_unigram, spec_wordpiece, spec_rwkv};
#define KINDS (sizeof fills / sizeof *fills)

/* The whole life of a tokenizer. Returns the first error. */
static int live(const struct spec_fixture *f, struct slice text) {
    struct tokenizer *t = NULL;
    struct tokens ids = {0};
    struct buf back = {0};
    struct err e = {0};
    const struct encode_options o = {.add_special = true, .parse = SPECIAL_ALL};
    int rc = tokenizer_new(&t, &f->spec, &e);
    if (!rc) rc = tokenizer_encode(t, text, &o, &ids, &e);
    if (!rc) rc = tokenizer_decode(t, ids.id, ids.n, true, &back, &e);
    tokens_free(&ids);
    buf_free(&back);
    tokenizer_free(t);
    return rc;
}

static void test_out_of_memory(void **state) {
    (void)state;
    static struct spec_fixture f;
    for (size_t k = 0; k < KINDS; k++) {
        fills[k](&f);
        struct slice text = k == KINDS - 1 ? SLICE("abcabca\n") : SLICE("hello abc 12345 \xff<s>ab");
        int64_t before = mem_live();
        assert_int_equal(live(&f, text), 0);
        int64_t n = 1;
        for (bool failed = true; failed; n++) {
            mem_fail_after(n);
            int rc = live(&f, text);
            failed = mem_has_failed();
            mem_fail_after(0);
            /* Compiling to machine code is a gain that is done without when memory is short. */
            if (failed && rc && rc != ERR_MEMORY) fail_msg("kind %zu, allocation %lld: error %d", k, (long long)n, rc);
            if (!failed) assert_int_equal(rc, 0);
            assert_int_equal(mem_live(), before);
        }
        assert_true(n > 8);
    }
}

static void test_long_texts(void **state) {
    (void)state;
    static const char *const units[] = {"a", " ", "A", "1", "\n", "'", "!", "\xff", "hello", "▁", "世", " a", "   \n", "\u0301"};
    static const char *const pres[] = {"llama-bpe", "gpt-4o", "deepseek-llm", "tiny_aya", "superbpe", "jais-2", "exaone-moe", "afmoe"};
    const size_t size = 200000;
    static struct spec_fixture f;
    for (size_t k = 0; k < KINDS + sizeof pres / sizeof *pres - 1; k++) {
        if (k < KINDS)
            fills[k](&f);
        else
            spec_bpe(&f, pres[k - KINDS + 1]);
        struct tokenizer *t = spec_new(&f);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            struct buf text = {0};
            struct tokens ids = {0};
            struct err e = {0};
            while (text.len < size) assert_true(buf_str(&text, units[u]));
            assert_true(buf_char(&text, '5'));
            int rc = tokenizer_encode(t, (struct slice){text.data, text.len}, NULL, &ids, &e);
            if (rc && (rc != ERR_TEXT || k != KINDS - 1)) fail_msg("kind %zu, '%s': %s", k, units[u], e.msg); /* the small RWKV spells few bytes */
            tokens_free(&ids);
            buf_free(&text);
        }
        tokenizer_free(t);
    }
}

struct shared {
    const struct tokenizer *t;
    struct slice text;
    struct tokens ids[4];
    int rc[4];
};
static void encode_many(void *ctx, int worker, int workers) {
    struct shared *s = ctx;
    (void)workers;
    for (int i = 0; i < 200 && !s->rc[worker]; i++) {
        s->ids[worker].n = 0;
        s->rc[worker] = tokenizer_encode(s->t, s->text, NULL, &s->ids[worker], NULL);
    }
}

static void test_threads(void **state) {
    (void)state;
    static struct spec_fixture f;
    struct pool *pool;
    struct err e = {0};
    assert_int_equal(pool_new(&pool, 4, &e), 0);
    for (size_t k = 0; k < KINDS; k++) {
        fills[k](&f);
        struct tokenizer *t = spec_new(&f);
        struct shared s = {.t = t, .text = SLICE("abcabca")};
        pool_run(pool, encode_many, &s);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(s.rc[i], 0);
            assert_int_equal(s.ids[i].n, s.ids[0].n);
            assert_memory_equal(s.ids[i].id, s.ids[0].id, s.ids[0].n * sizeof(int32_t));
        }
        for (int i = 0; i < 4; i++) tokens_free(&s.ids[i]);
        tokenizer_free(t);
    }
    pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_specs),     cmocka_unit_test(test_odd_specs),  cmocka_unit_test(test_no_token_for_a_byte), cmocka_unit_test(test_ids_only), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_long_texts), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
