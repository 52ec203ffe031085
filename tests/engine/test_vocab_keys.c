/* test_vocab_keys.c: a tokenizer read from GGUF keys: what each key does, and what a wrong one says. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../gguf/build.h"
#include "engine/chat.h"
#include "engine/vocab.h"

/* A SentencePiece vocabulary of five tokens. `more` extra keys may be added behind it. */
static void vocabulary(struct buf *b, uint64_t more, enum gguf_type scores) {
    static const char *const text[] = {"<unk>", "<s>", "</s>", "▁", "a"};
    static const int32_t type[] = {2, 3, 3, 1, 1};
    b_header(b, 3, 0, 4 + more);
    b_kv_str(b, "tokenizer.ggml.model", "llama");
    b_kv_array(b, "tokenizer.ggml.tokens", GGUF_STRING, 5);
    for (int i = 0; i < 5; i++) b_str(b, text[i]);
    b_kv_array(b, "tokenizer.ggml.scores", scores, 5);
    for (int i = 0; i < 5; i++) {
        float f = (float)-i;
        int32_t k = -i;
        b_bytes(b, scores == GGUF_F32 ? (const void *)&f : &k, 4);
    }
    b_kv_array(b, "tokenizer.ggml.token_type", GGUF_I32, 5);
    b_bytes(b, type, sizeof type);
}

/* Opens what was built; b is freed. On success the caller closes both. */
static int open_built(struct buf *b, struct gguf **g, struct tokenizer **t, const char *pre, struct err *e) {
    int64_t size = (int64_t)b->len;
    if (gguf_open_memory(g, b->data, (size_t)size, "built", e)) fail_msg("%s", e->msg);
    return vocab_open(t, *g, slice_of(pre), e);
}

static void expect_error(struct buf *b, const char *pre, int code, const char *says) {
    struct gguf *g;
    struct tokenizer *t;
    struct err e = {0};
    assert_int_equal(open_built(b, &g, &t, pre, &e), code);
    assert_null(t);
    if (!strstr(e.msg, says)) fail_msg("'%s' does not say '%s'", e.msg, says);
    gguf_close(g);
    buf_free(b);
}

static void test_keys(void **state) {
    (void)state;
    for (int whole = 0; whole < 2; whole++) { /* scores may be integers */
        struct buf b = {0};
        struct gguf *g;
        struct tokenizer *t;
        struct err e = {0};
        vocabulary(&b, 5, whole ? GGUF_I32 : GGUF_F32);
        b_kv_uint(&b, "tokenizer.ggml.eos_token_id", GGUF_U32, 4, 4);
        b_kv_uint(&b, "tokenizer.ggml.prefix_token_id", GGUF_U32, 3, 4);
        b_kv_uint(&b, "tokenizer.ggml.padding_token_id", GGUF_I32, UINT32_MAX, 4); /* -1: none */
        b_kv_uint(&b, "tokenizer.ggml.add_bos_token", GGUF_BOOL, 0, 1);
        b_kv_uint(&b, "tokenizer.ggml.add_eos_token", GGUF_BOOL, 1, 1);
        if (open_built(&b, &g, &t, "", &e)) fail_msg("%s", e.msg);
        assert_int_equal(tokenizer_count(t), 5);
        assert_int_equal(tokenizer_role(t, ROLE_BOS), 1); /* the kind's default */
        assert_int_equal(tokenizer_role(t, ROLE_EOS), 4);
        assert_int_equal(tokenizer_role(t, ROLE_FIM_PRE), 3);
        assert_int_equal(tokenizer_role(t, ROLE_PAD), TOKEN_NONE);
        assert_false(tokenizer_adds_bos(t));
        assert_true(tokenizer_adds_eos(t));
        assert_true(tokenizer_score(t, 4) == -4.0f);
        assert_int_equal(tokenizer_type(t, 2), TOKEN_CONTROL);
        tokenizer_free(t);
        gguf_close(g);
        buf_free(&b);
    }
}

static void test_wrong_keys(void **state) {
    (void)state;
    struct buf b = {0};
    b_header(&b, 3, 0, 1);
    b_kv_str(&b, "general.name", "bare");
    expect_error(&b, "", ERR_FORMAT, "tokenizer.ggml.model is missing");
    vocabulary(&b, 1, GGUF_F32);
    b_kv_str(&b, "tokenizer.ggml.eos_token_id", "4");
    expect_error(&b, "", ERR_FORMAT, "tokenizer.ggml.eos_token_id");
    vocabulary(&b, 1, GGUF_F32);
    b_kv_uint(&b, "tokenizer.ggml.add_bos_token", GGUF_U32, 1, 4);
    expect_error(&b, "", ERR_FORMAT, "tokenizer.ggml.add_bos_token");
    vocabulary(&b, 1, GGUF_F32);
    b_kv_str(&b, "tokenizer.ggml.precompiled_charsmap", "x");
    expect_error(&b, "", ERR_FORMAT, "tokenizer.ggml.precompiled_charsmap");
    vocabulary(&b, 1, GGUF_F32);
    b_kv_str(&b, "tokenizer.ggml.merges", "a b");
    expect_error(&b, "", ERR_FORMAT, "tokenizer.ggml.merges");
    vocabulary(&b, 0, GGUF_U32);
    expect_error(&b, "", ERR_FORMAT, "tokenizer.ggml.scores");
    b_header(&b, 3, 0, 3);
    b_kv_str(&b, "tokenizer.ggml.model", "gpt2");
    b_kv_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, 2);
    b_str(&b, "a");
    b_str(&b, "b");
    b_kv_array(&b, "tokenizer.ggml.token_type", GGUF_I32, 1); /* fewer than tokens */
    b_u32(&b, 1);
    expect_error(&b, "", ERR_FORMAT, "tokenizer.ggml.token_type");
    b_header(&b, 3, 0, 2);
    b_kv_str(&b, "tokenizer.ggml.model", "gpt2");
    b_kv_array(&b, "tokenizer.ggml.merges", GGUF_STRING, 0);
    expect_error(&b, "of-tomorrow", ERR_UNSUPPORTED, "of-tomorrow"); /* the caller's pre-tokenizer goes before the file's */
}

/* Where there are no tokens, roles have nothing to name, and saying so of each only hides the error that comes. */
static void test_no_tokens_no_warnings(void **state) {
    (void)state;
    struct buf b = {0};
    struct gguf *g;
    struct tokenizer *t;
    struct err e = {0};
    b_header(&b, 3, 0, 4);
    b_kv_str(&b, "tokenizer.ggml.model", "gpt2");
    b_kv_array(&b, "tokenizer.ggml.merges", GGUF_STRING, 0);
    b_kv_uint(&b, "tokenizer.ggml.bos_token_id", GGUF_U32, 1, 4);
    b_kv_uint(&b, "tokenizer.ggml.eos_token_id", GGUF_U32, 2, 4);
    FILE *said = tmpfile();
    int standard = dup(STDERR_FILENO);
    assert_true(said && standard >= 0 && dup2(fileno(said), STDERR_FILENO) >= 0);
    int code = open_built(&b, &g, &t, "", &e);
    (void)dup2(standard, STDERR_FILENO);
    (void)close(standard);
    assert_int_equal(code, 0);
    assert_int_equal(tokenizer_role(t, ROLE_BOS), TOKEN_NONE);
    assert_int_equal(lseek(fileno(said), 0, SEEK_END), 0);
    (void)fclose(said);
    tokenizer_free(t);
    gguf_close(g);
    buf_free(&b);
}

/* A template of the file's own that is broken is told with the file's name; one that the caller brought is the caller's to name. */
static void test_bad_template_names_file(void **state) {
    (void)state;
    static const char *const bad[] = {"\xff", "{% if"};
    for (int i = 0; i < 2; i++) {
        struct buf b = {0};
        struct gguf *g;
        struct tokenizer *t;
        struct chat *c;
        struct err e = {0};
        vocabulary(&b, 1, GGUF_F32);
        b_kv_str(&b, "tokenizer.chat_template", bad[i]);
        if (open_built(&b, &g, &t, "", &e)) fail_msg("%s", e.msg);
        assert_int_equal(chat_new(&c, g, t, (struct slice){0}, NULL, &e), ERR_TEMPLATE);
        if (strncmp(e.msg, "built: ", 7)) fail_msg("%s", e.msg);
        assert_int_equal(chat_new(&c, g, t, slice_of(bad[i]), NULL, &e), ERR_TEMPLATE);
        assert_null(strstr(e.msg, "built"));
        tokenizer_free(t);
        gguf_close(g);
        buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_wrong_keys), cmocka_unit_test(test_no_tokens_no_warnings),
                                       cmocka_unit_test(test_bad_template_names_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
