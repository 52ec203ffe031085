/* test_vocab.c: the tokenizers of real models against the ids that their authors' own tokenizers gave (shared data), and
 * encode-then-decode over random text on each of them.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "vocab_fixture.h"

static struct slice part(struct slice all, size_t *at, const char *separator) {
    size_t n = strlen(separator), from = *at;
    const char *found = from <= all.n ? memmem(all.p + from, all.n - from, separator, n) : NULL;
    size_t to = found ? (size_t)(found - all.p) : all.n;
    *at = found ? to + n : all.n + 1;
    return (struct slice){all.p + from, to - from};
}

static void print_ids(const char *what, const int32_t *id, size_t n) {
    fprintf(stderr, "%s:", what);
    for (size_t i = 0; i < n; i++) fprintf(stderr, " %d", id[i]);
    fprintf(stderr, "\n");
}

static int check_case(const struct tokenizer *t, const char *path, size_t number, struct slice text, struct slice line) {
    struct tokens got = {0}, want = {0};
    struct err e = {0};
    if (tokenizer_encode(t, text, NULL, &got, &e)) fail_msg("%s case %zu: %s", path, number, e.msg);
    char *copy = mem_strndup(line.p, line.n), *at = copy;
    for (char *end; *at; at = end) {
        long id = strtol(at, &end, 10);
        if (end == at) break;
        assert_int_equal(tokens_add(&want, (int32_t)id, &e), 0);
    }
    int same = got.n == want.n && (!got.n || !memcmp(got.id, want.id, got.n * sizeof *got.id));
    if (!same) {
        char q[200];
        fprintf(stderr, "%s case %zu: '%s'\n", path, number, err_quote(q, sizeof q, text.p, text.n));
        print_ids("  got ", got.id, got.n);
        print_ids("  want", want.id, want.n);
    }
    mem_free(copy);
    tokens_free(&got);
    tokens_free(&want);
    return !same;
}

static int failed, cases, files;

static void check_file(const char *path) {
    char name[4096];
    struct vocab v;
    struct err e = {0};
    struct buf in = {0}, out = {0};
    vocab_fixture(&v, path, "");
    (void)snprintf(name, sizeof name, "%s.inp", path);
    if (os_read_file(name, 1 << 20, &in, &e)) fail_msg("%s", e.msg);
    (void)snprintf(name, sizeof name, "%s.out", path);
    if (os_read_file(name, 1 << 20, &out, &e)) fail_msg("%s", e.msg);
    size_t i = 0, o = 0, number = 0;
    while (o < out.len) {
        struct slice line = part((struct slice){out.data, out.len}, &o, "\n");
        struct slice text = part((struct slice){in.data, in.len}, &i, "\n__ggml_vocab_test__\n");
        failed += check_case(v.t, path, ++number, text, line);
        cases++;
    }
    files++;
    buf_free(&in);
    buf_free(&out);
    vocab_close(&v);
}

static void test_reference_ids(void **state) {
    (void)state;
    failed = cases = files = 0;
    if (!shared_each("vocab", ".gguf", check_file)) skip();
    printf("%d cases of %d vocabularies\n", cases, files);
    assert_true(cases >= 40 * files);
    assert_int_equal(failed, 0);
}

/* Random text: words that tokenizers know, spaces of all kinds, any character of any plane; sometimes stray bytes. */
static void random_text(struct rng *r, struct buf *b, bool invalid) {
    static const char *const known[] = {" the", "Hello", "'s", "'LL", "12345", "\r\n", "\n\n", "    ", "\t", "ing", "ÀÉ", "世界", "한국", "مرحبا", "<s>",
                                        "</s>", "<|im_end|>", "<|endoftext|>", "<0x41>", "\u00a0", "\u3000", "e\u0301", "👨‍👩‍👧", "…", "->", "###", "ſ", "½"};
    b->len = 0;
    for (uint32_t n = rng_below(r, 30); n > 0; n--) {
        char c[4];
        uint32_t kind = rng_below(r, invalid ? 5 : 4), limit = kind == 1 ? 0x300 : kind == 2 ? 0x10000 : 0x110000;
        uint32_t cp = rng_below(r, limit - 1) + 1;
        if (kind == 0) {
            assert_true(buf_str(b, known[rng_below(r, sizeof known / sizeof *known)]));
        } else if (kind == 4) {
            assert_true(buf_char(b, (char)(0x80 | rng_below(r, 128))));
        } else if (cp < 0xD800 || cp > 0xDFFF) {
            assert_true(buf_add(b, c, utf8_put(c, cp)));
        }
    }
}

static void round_trip(const struct tokenizer *t, const char *path, const struct buf *text) {
    struct tokens ids = {0};
    struct buf back = {0};
    struct err e = {0};
    char q[300], q2[300];
    struct decoder d;
    bool missing = false; /* a byte that the vocabulary cannot spell: an error, never a loss */
    for (size_t i = 0; i < text->len; i++) missing |= tokenizer_byte(t, (uint8_t)text->data[i]) < 0;
    if (missing) {
        if (tokenizer_encode(t, (struct slice){text->data, text->len}, NULL, &ids, &e)) {
            assert_int_equal(e.code, ERR_TEXT);
            assert_int_equal(ids.n, 0);
            tokens_free(&ids);
            return;
        }
        ids.n = 0;
    }
    if (tokenizer_encode(t, (struct slice){text->data, text->len}, NULL, &ids, &e)) fail_msg("%s: %s", path, e.msg);
    decoder_init(&d, t, TOKEN_NONE);
    for (size_t i = 0; i < ids.n; i++) {
        assert_false(tokenizer_is_control(t, ids.id[i]));
        assert_int_equal(decoder_add(&d, ids.id[i], &back, &e), 0);
        size_t whole = utf8_prefix(back.data, back.len);
        if (utf8_prefix(text->data, text->len) == text->len && whole != back.len) fail_msg("%s: a part of a character was given out", path);
    }
    assert_int_equal(decoder_end(&d, &back, &e), 0);
    if (back.len != text->len || memcmp(back.data, text->data, text->len))
        fail_msg("%s: '%s' came back as '%s'", path, err_quote(q, sizeof q, text->data, text->len), err_quote(q2, sizeof q2, back.data, back.len));
    tokens_free(&ids);
    buf_free(&back);
}

static void fuzz_file(const char *path) {
    if (strstr(path, "bert")) return; /* WordPiece loses by design */
    struct vocab v;
    struct buf text = {0};
    struct rng r = rng_new(7, 11);
    vocab_fixture(&v, path, "");
    int i = 0;
    for (; i < 1500; i++) {
        random_text(&r, &text, i % 2);
        if (text.len) round_trip(v.t, path, &text);
    }
    printf("%s: %d round trips\n", strrchr(path, '/') + 1, i);
    buf_free(&text);
    vocab_close(&v);
}

static void test_round_trip(void **state) {
    (void)state;
    if (!shared_each("vocab", ".gguf", fuzz_file)) skip();
    assert_true(shared_each("models", ".gguf", fuzz_file) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_ids),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
