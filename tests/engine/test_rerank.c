/* test_rerank.c: a query and a document as one text: by the tokenizer's rules as BERT, RoBERTa and ModernBERT have them, and by a template. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../gguf/build.h"
#include "engine/rerank.h"
#include "engine/vocab.h"

enum { UNK, CLS, SEP, END, A, B, AB, TOKENS };

struct file {
    const char *model, *template; /* template NULL: none */
    int bos, eos, sep;            /* -1: the key is not there */
};

static void build(struct buf *b, const struct file *f) {
    static const char *const text[] = {"[UNK]", "[CLS]", "[SEP]", "</s>", "▁a", "▁b", "▁ab"};
    static const int32_t type[] = {2, 3, 3, 3, 1, 1, 1};
    const int flags[] = {f->bos, f->eos, f->sep};
    uint64_t more = 5 + (f->template != NULL);
    for (int i = 0; i < 3; i++) more += flags[i] >= 0;
    b_header(b, 3, 0, 4 + more);
    b_kv_str(b, "tokenizer.ggml.model", f->model);
    b_kv_array(b, "tokenizer.ggml.tokens", GGUF_STRING, TOKENS);
    for (int i = 0; i < TOKENS; i++) b_str(b, text[i]);
    b_kv_array(b, "tokenizer.ggml.scores", GGUF_F32, TOKENS);
    for (int i = 0; i < TOKENS; i++) b_bytes(b, &(float){i == AB ? -1.0f : -2.0f}, 4);
    b_kv_array(b, "tokenizer.ggml.token_type", GGUF_I32, TOKENS);
    b_bytes(b, type, sizeof type);
    b_kv_uint(b, "tokenizer.ggml.unknown_token_id", GGUF_U32, UNK, 4);
    b_kv_uint(b, "tokenizer.ggml.bos_token_id", GGUF_U32, CLS, 4);
    b_kv_uint(b, "tokenizer.ggml.eos_token_id", GGUF_U32, strcmp(f->model, "bert") ? END : SEP, 4);
    b_kv_uint(b, "tokenizer.ggml.seperator_token_id", GGUF_U32, SEP, 4);
    b_kv_uint(b, "tokenizer.ggml.add_space_prefix", GGUF_BOOL, 1, 1);
    static const char *const keys[] = {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_sep_token"};
    for (int i = 0; i < 3; i++)
        if (flags[i] >= 0) b_kv_uint(b, keys[i], GGUF_BOOL, (uint64_t)flags[i], 1);
    if (f->template) b_kv_str(b, "tokenizer.chat_template.rerank", f->template);
}

/* The pair as "ids | segments", or the error's message. */
static int pair(const struct file *f, const char *query, const char *document, struct buf *said) {
    struct buf b = {0};
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct err e = {0};
    struct tokens ids = {0}, segments = {0};
    int64_t before = mem_live();
    build(&b, f);
    int code = gguf_open_memory(&g, b.data, b.len, "built", &e);
    if (code == 0) code = vocab_open(&t, g, (struct slice){0}, &e);
    if (code) fail_msg("%s", e.msg);
    code = rerank_pair(t, g, slice_of(query), slice_of(document), &ids, &segments, &e);
    for (size_t i = 0; code == 0 && i < ids.n; i++) (void)buf_printf(said, "%d ", ids.id[i]);
    for (size_t i = 0; code == 0 && i < segments.n; i++) (void)buf_printf(said, "%s%d", i ? " " : "| ", segments.id[i]);
    if (code) (void)buf_str(said, e.msg);
    tokens_free(&ids);
    tokens_free(&segments);
    tokenizer_free(t);
    gguf_close(g);
    buf_free(&b);
    assert_int_equal(mem_live(), before + (said->data != NULL));
    return code;
}

static void expect(const struct file *f, const char *query, const char *document, int want, const char *says) {
    struct buf said = {0};
    int code = pair(f, query, document, &said);
    if (code != want || (code ? !strstr(said.data, says) : strcmp(said.data, says) != 0)) fail_msg("\"%s\" and \"%s\": %d \"%s\", not %d \"%s\"", query, document, code, said.data, want, says);
    buf_free(&said);
}

static void by_rules(void **state) {
    (void)state;
    /* WordPiece: [CLS] query [SEP] document [SEP], by whichever flag its converter wrote */
    expect(&(struct file){"bert", NULL, -1, -1, -1}, "a b", "ab", 0, "1 4 5 2 6 2 | 0 0 0 0 1 1");
    expect(&(struct file){"bert", NULL, 1, 1, 0}, "a", "b a", 0, "1 4 2 5 4 2 | 0 0 0 1 1 1");
    expect(&(struct file){"bert", NULL, 1, 0, 1}, "a", "", 0, "1 4 2 2 | 0 0 0 1");
    expect(&(struct file){"bert", NULL, 1, 1, 0}, "[SEP]", "[CLS]", 0, "1 0 0 0 2 0 0 0 2 | 0 0 0 0 0 1 1 1 1"); /* as text */
    /* RoBERTa: <s> query </s> </s> document </s> */
    expect(&(struct file){"t5", NULL, 1, 1, 1}, "a", "b", 0, "1 4 3 2 5 3 | 0 0 0 0 1 1");
    /* ModernBERT: one separator, which is what ends a text */
    expect(&(struct file){"t5", NULL, 1, 1, 0}, "a", "b", 0, "1 4 3 5 3 | 0 0 0 1 1");
    expect(&(struct file){"t5", NULL, 0, 1, 0}, "a", "b", 0, "4 3 5 3 | 0 0 1 1");
    expect(&(struct file){"t5", NULL, 1, 0, 0}, "a", "b", ERR_UNSUPPORTED, "how a query and a document become one text");
}

static void by_template(void **state) {
    (void)state;
    expect(&(struct file){"t5", "[CLS]{query}[SEP]{document}</s>", 0, 0, 0}, "a", "b", 0, "1 4 2 5 3 | 0 0 0 0 0");
    expect(&(struct file){"t5", "[CLS]{document}[SEP]{query}", 0, 1, 0}, "a", "b", 0, "1 5 2 4 3 | 0 0 0 0 0"); /* the other way round, and with what ends every text */
    expect(&(struct file){"t5", "{query}[SEP]{document}", 0, 0, 0}, "{document}", "{query}", 0, "0 2 0 | 0 0 0"); /* what is put in is not filled again */
    expect(&(struct file){"t5", "{query}[SEP]{document}", 0, 0, 0}, "[SEP]", "[CLS]", 0, "0 2 0 | 0 0 0"); /* nor taken for a token */
    expect(&(struct file){"t5", "only {query}", 0, 0, 0}, "a", "b", ERR_FORMAT, "no {document} in it");
    expect(&(struct file){"t5", "{document}", 0, 0, 0}, "a", "b", ERR_FORMAT, "no {query} in it");
}

static void every_allocation(void **state) {
    (void)state;
    static const struct file files[] = {{"bert", NULL, 1, 1, 0}, {"t5", "[CLS]{query}[SEP]{document}", 1, 1, 1}};
    for (size_t i = 0; i < 2; i++) {
        struct buf b = {0};
        struct gguf *g;
        struct tokenizer *t;
        struct err e = {0};
        build(&b, &files[i]);
        assert_int_equal(gguf_open_memory(&g, b.data, b.len, "built", &e), 0);
        assert_int_equal(vocab_open(&t, g, (struct slice){0}, &e), 0);
        bool failed = true;
        for (int64_t n = 1; failed; n++) {
            struct tokens ids = {0}, segments = {0};
            int64_t before = mem_live();
            mem_fail_after(n);
            int code = rerank_pair(t, g, SLICE("a b"), SLICE("ab"), &ids, &segments, &e);
            failed = mem_has_failed();
            mem_fail_after(0);
            assert_int_equal(code, failed ? ERR_MEMORY : 0);
            tokens_free(&ids);
            tokens_free(&segments);
            assert_int_equal(mem_live(), before);
        }
        tokenizer_free(t);
        gguf_close(g);
        buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_rules), cmocka_unit_test(by_template), cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
