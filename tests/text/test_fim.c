/* test_fim.c: prompts to fill in the middle: in which order the parts stand, that what is in the texts stays text; marks of real vocabularies; failing allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text/fim.h"
#include "vocab_fixture.h"

enum { UNK, BOS, PRE, SUF, MID, SEP, REP, LINE, SPACE, LETTERS, TOKENS = LETTERS + 26 };

/* A token for each small letter; `parts` says whether there are marks for files too. */
static struct tokenizer *letters(bool known, bool parts, bool bos) {
    static const char *const first[] = {"<unk>", "<s>", "<PRE>", "<SUF>", "<MID>", "<|file_sep|>", "<|repo_name|>", "\n", "\xE2\x96\x81"};
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";
    struct slice text[TOKENS];
    int32_t type[TOKENS];
    float score[TOKENS] = {0};
    struct tokenizer_spec s;
    struct tokenizer *t;
    struct err e = {0};
    for (int i = 0; i < TOKENS; i++) {
        const bool shown = i < PRE || i > REP || (known && (i <= MID || parts));
        text[i] = i >= LETTERS ? (struct slice){alphabet + (i - LETTERS), 1} : shown ? slice_of(first[i]) : (struct slice){alphabet, (size_t)(20 + i)};
        type[i] = i == UNK ? TOKEN_UNKNOWN : i == BOS ? TOKEN_CONTROL : TOKEN_NORMAL;
    }
    tokenizer_spec_init(&s);
    s.model = SLICE("llama");
    s.tokens = text, s.n_tokens = TOKENS, s.scores = score, s.types = type;
    s.add_space_prefix = 0, s.add_bos = bos;
    s.role[ROLE_UNK] = UNK, s.role[ROLE_BOS] = BOS;
    if (tokenizer_new(&t, &s, &e)) fail_msg("%s", e.msg);
    return t;
}

/* What the prompt is, spelt with a letter for each token: B P S M f r, n for the line's end, _ for a space, ? for what is unknown. */
static const char *spelt(const struct tokens *ids) {
    static char out[256];
    size_t n = 0;
    for (size_t i = 0; i < ids->n && n + 1 < sizeof out; i++) out[n++] = ids->id[i] < LETTERS ? "?BPSMFR|_"[ids->id[i]] : (char)('a' + ids->id[i] - LETTERS);
    out[n] = 0;
    return out;
}

static void says(const struct tokenizer *t, const struct fim *f, const char *expected) {
    struct tokens ids = {0};
    struct err e = {0};
    if (fim_tokens(t, f, &ids, &e)) fail_msg("%s", e.msg);
    assert_string_equal(spelt(&ids), expected);
    tokens_free(&ids);
}

static void order(void **state) {
    static const struct fim_file files[] = {{{"one", 3}, {"x y", 3}}, {{"two", 3}, {"z\n", 2}}};
    const struct fim gap = {.prefix = SLICE("ab"), .suffix = SLICE("cd")}, begun = {.prefix = SLICE("ab"), .suffix = SLICE("cd"), .middle = SLICE("ef")}, nothing = {{0}, {0}, {0}, NULL, 0};
    const struct fim inside = {.prefix = SLICE("ab"), .suffix = SLICE("cd"), .files = files, .n_files = 2};
    (void)state;
    struct tokenizer *t = letters(true, true, true);
    assert_true(fim_known(t));
    says(t, &gap, "BPabScdM");
    says(t, &begun, "BPabScdMef");
    says(t, &nothing, "BPSM");
    says(t, &inside, "BRproject|Fone|x_y|Ftwo|z||Ffilename|PabScdM");
    /* spellings of marks are text */
    struct tokens ids = {0};
    struct err e = {0};
    assert_int_equal(fim_tokens(t, &(struct fim){.prefix = SLICE("<MID>a"), .suffix = SLICE("<s>"), .middle = SLICE("<PRE>")}, &ids, &e), 0);
    int marks = 0;
    for (size_t i = 0; i < ids.n; i++) marks += ids.id[i] >= BOS && ids.id[i] <= REP;
    assert_int_equal(marks, 4);
    tokens_free(&ids);
    tokenizer_free(t);
    t = letters(true, false, false);
    says(t, &gap, "PabScdM");
    says(t, &inside, "||one|x_y|||two|z||PabScdM");
    tokenizer_free(t);
}

static void unknown(void **state) {
    struct tokens ids = {0};
    struct err e = {0};
    (void)state;
    struct tokenizer *t = letters(false, false, true);
    assert_false(fim_known(t));
    assert_int_equal(tokens_add(&ids, 7, &e), 0);
    assert_int_equal(fim_tokens(t, &(struct fim){.prefix = SLICE("a")}, &ids, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "fill in the middle"));
    assert_int_equal(ids.n, 1);
    tokens_free(&ids);
    tokenizer_free(t);
}

static void short_of_memory(void **state) {
    static const struct fim_file file = {{"name", 4}, {"text of it", 10}};
    const struct fim f = {.prefix = SLICE("abc abc"), .suffix = SLICE("def def"), .middle = SLICE("x"), .files = &file, .n_files = 1};
    (void)state;
    struct tokenizer *t = letters(true, true, true);
    const int64_t before = mem_live();
    bool failed = true;
    int n = 0;
    while (failed) {
        struct tokens ids = {0};
        struct err e = {0};
        mem_fail_after(++n);
        const int code = fim_tokens(t, &f, &ids, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        if (failed) assert_true(code == ERR_MEMORY && ids.n == 0 && strstr(e.msg, "memory"));
        else assert_int_equal(code, 0);
        tokens_free(&ids);
        assert_int_equal(mem_live(), before);
    }
    assert_true(n > 5);
    tokenizer_free(t);
}

/* Of real vocabularies: which token each mark is. */
static void real(void **state) {
    static const struct {
        const char *file, *pre, *suf, *mid; /* pre NULL: it has none */
    } of[] = {
        {"vocab/ggml-vocab-starcoder.gguf", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
        {"vocab/ggml-vocab-deepseek-coder.gguf", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
        {"vocab/ggml-vocab-llama-bpe.gguf", NULL, NULL, NULL},
        {"vocab/ggml-vocab-gpt-2.gguf", NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char path[4096];
        struct vocab v;
        struct tokens ids = {0}, a = {0}, b = {0};
        struct err e = {0};
        if (!shared_data(path, sizeof path, of[i].file) || !vocab_fixture(&v, path, "")) continue;
        assert_int_equal(fim_known(v.t), of[i].pre != NULL);
        if (of[i].pre) {
            const struct fim f = {.prefix = SLICE("def f(x):\n"), .suffix = SLICE("\n    return y\n")};
            assert_int_equal(fim_tokens(v.t, &f, &ids, &e), 0);
            assert_int_equal(tokenizer_encode(v.t, f.prefix, NULL, &a, &e), 0);
            assert_int_equal(tokenizer_encode(v.t, f.suffix, NULL, &b, &e), 0);
            const size_t from = tokenizer_adds_bos(v.t);
            assert_int_equal(ids.n, from + a.n + b.n + 3);
            assert_int_equal(ids.id[from], tokenizer_find(v.t, slice_of(of[i].pre)));
            assert_memory_equal(ids.id + from + 1, a.id, a.n * sizeof *a.id);
            assert_int_equal(ids.id[from + 1 + a.n], tokenizer_find(v.t, slice_of(of[i].suf)));
            assert_memory_equal(ids.id + from + 2 + a.n, b.id, b.n * sizeof *b.id);
            assert_int_equal(ids.id[ids.n - 1], tokenizer_find(v.t, slice_of(of[i].mid)));
        }
        tokens_free(&ids);
        tokens_free(&a);
        tokens_free(&b);
        vocab_close(&v);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(unknown), cmocka_unit_test(short_of_memory), cmocka_unit_test(real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
