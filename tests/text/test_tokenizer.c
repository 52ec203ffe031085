/* test_tokenizer.c: each kind of tokenizer on a vocabulary small enough to work the ids out by hand; special tokens and who
 * wrote them; decoding as tokens come. Real vocabularies are in test_vocab.c, faults in test_tokenizer_faults.c.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden_pre.h"
#include "spec_fixture.h"
#include "text/tok_internal.h"

#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static void expect_ids(const struct tokenizer *t, struct slice text, const struct encode_options *o, const int32_t *want, size_t n) {
    struct tokens got = {0};
    struct err e = {0};
    char q[100];
    if (tokenizer_encode(t, text, o, &got, &e)) fail_msg("%s", e.msg);
    bool same = got.n == n && (!n || !memcmp(got.id, want, n * sizeof *want));
    for (size_t i = 0; !same && i < got.n; i++) fprintf(stderr, "%d ", got.id[i]);
    if (!same) fail_msg("^ ids of '%s'", err_quote(q, sizeof q, text.p, text.n));
    tokens_free(&got);
}
static void expect(const struct tokenizer *t, const char *text, const int32_t *want, size_t n) { expect_ids(t, slice_of(text), NULL, want, n); }

static void expect_text(const struct tokenizer *t, const int32_t *ids, size_t n, bool control, const char *want) {
    struct buf got = {0};
    struct err e = {0};
    assert_int_equal(tokenizer_decode(t, ids, n, control, &got, &e), 0);
    assert_string_equal(got.data, want);
    buf_free(&got);
}

static void test_pre_tokenizers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof golden_words / sizeof *golden_words; i++) {
        struct splitter *s;
        struct split_work w = {0};
        struct err e = {0};
        const struct pre_row *row = pre_find(slice_of(golden_words[i].pre));
        assert_non_null(row);
        assert_int_equal(splitter_new(&s, row, &e), 0);
        for (size_t k = 0; k < sizeof golden_texts / sizeof *golden_texts; k++) {
            struct buf got = {0};
            if (splitter_run(s, slice_of(golden_texts[k]), &w, &e)) fail_msg("%s", e.msg);
            for (size_t j = 0; j < w.n; j++) assert_true(buf_printf(&got, "%s%u", j ? " " : "", w.word[j].len));
            if (!slice_is((struct slice){got.data, got.len}, golden_words[i].words[k]))
                fail_msg("%s, text %zu:\n  got  %s\n  want %s", golden_words[i].pre, k, got.data, golden_words[i].words[k]);
            buf_free(&got);
        }
        split_free(&w);
        splitter_free(s);
    }
}

static void test_every_pre_name(void **state) {
    (void)state;
    size_t n = 0;
    for (; tokenizer_pre_name(n); n++) {
        struct slice name = {tokenizer_pre_name(n), 0};
        for (;; name.p += name.n + 1) {
            struct splitter *s;
            struct err e = {0};
            name.n = strcspn(name.p, " ");
            assert_ptr_equal(pre_find(name), pre_find((struct slice){tokenizer_pre_name(n), strcspn(tokenizer_pre_name(n), " ")}));
            assert_int_equal(splitter_new(&s, pre_find(name), &e), 0);
            splitter_free(s);
            if (!name.p[name.n]) break;
        }
    }
    assert_true(n > 30);
    assert_null(pre_find(SLICE("gpt")));
    assert_null(pre_find(SLICE("gpt-2 phi-2")));
    assert_ptr_equal(pre_find(SLICE("")), pre_find(SLICE("default")));
}

static void test_bpe(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_bpe(&f, "gpt-2");
    struct tokenizer *t = spec_new(&f);
    expect(t, "", NULL, 0);
    expect(t, "hello", IDS(BPE_HELLO));
    expect(t, "hell", IDS(BPE_HELL));
    expect(t, "helllo", IDS(BPE_HELL, 'l', 'o'));
    expect(t, "ell", IDS('e', BPE_LL));
    expect(t, "lll", IDS(BPE_LL, 'l')); /* of equal ranks the leftmost */
    expect(t, "abc", IDS('a', BPE_BC)); /* the better rank goes first */
    expect(t, "hello world", IDS(BPE_HELLO, BPE_W, BPE_OR, 'l', 'd'));
    expect(t, "é\n", IDS(0xC3, 0xA9, '\n'));
    expect_ids(t, (struct slice){"\xff\x80h\xc3", 4}, NULL, IDS(0xFF, 0x80, 'h', 0xC3));
    assert_int_equal(tokenizer_byte(t, 0x20), 0x20);
    assert_true(slice_is(tokenizer_piece(t, BPE_W), " w"));
    assert_true(slice_is(tokenizer_text(t, BPE_W), "Ġw"));
    expect_text(t, IDS(BPE_HELLO, BPE_W, BPE_OR, 'l', 'd'), false, "hello world");
    tokenizer_free(t);
}

static void test_ignore_merges(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_bpe(&f, "gpt-2");
    spec_token(&f, "Ġxyz", TOKEN_NORMAL, 0); /* no merge makes it */
    spec_token(&f, "xyw", TOKEN_CONTROL, 0);
    struct tokenizer *t = spec_new(&f);
    expect(t, " xyz", IDS(' ', 'x', 'y', 'z'));
    tokenizer_free(t);
    f.spec.pre = SLICE("llama-bpe");
    t = spec_new(&f);
    expect(t, " xyz", IDS(BPE_CONTROL_BY_MERGE + 1));
    expect(t, "xyw", IDS('x', 'y', 'w')); /* not even so does text become control */
    assert_true(tokenizer_adds_bos(t));
    tokenizer_free(t);
}

/* Lines that are no merges, a merge that comes twice (the first counts, however far apart they stand), and a text that is two tokens'. */
static void test_merges_repeated(void **state) {
    (void)state;
    static struct spec_fixture f;
    for (int apart = 0; apart < 40; apart++)
        for (int twice = 0; twice < 2; twice++) {
            memset(&f, 0, sizeof f);
            spec_begin(&f, "gpt2", "gpt-2");
            spec_mapped_bytes(&f);
            int32_t ab = spec_token(&f, "ab", TOKEN_NORMAL, 0), bc = spec_token(&f, "bc", TOKEN_NORMAL, 0), abc = spec_token(&f, "abc", TOKEN_NORMAL, 0);
            if (twice) spec_token(&f, "ab", TOKEN_NORMAL, 0);
            spec_merge(&f, "a b");
            for (int i = 0; i < apart; i++) spec_merge(&f, i % 3 ? "nothing" : "");
            spec_merge(&f, "b c");
            spec_merge(&f, "a b");
            spec_merge(&f, "ab c");
            struct tokenizer *t = spec_new(&f);
            expect(t, "ab", IDS(ab));
            expect(t, "xbc", IDS('x', bc));
            expect(t, "abc", IDS(abc)); /* by the rank of the second "a b" it would be a, bc */
            tokenizer_free(t);
        }
}

static void test_control_stays_text(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_bpe(&f, "gpt-2");
    struct tokenizer *t = spec_new(&f);
    const int32_t spelt[] = {'<', '|', BPE_IM, '_', 'e', 'n', 'd', '|', '>'};
    struct encode_options all = {.parse = SPECIAL_ALL}, add = {.add_special = true};
    expect(t, "<|im_end|>", spelt, 9);
    expect(t, "zq", IDS('z', 'q')); /* the merge that would make a control token is not made */
    expect_ids(t, SLICE("<|im_end|>"), &all, IDS(BPE_IM_END));
    expect_ids(t, SLICE("a<|im_end|>b<|im_end|><|im_end"), &all, IDS('a', BPE_IM_END, 'b', BPE_IM_END, '<', '|', BPE_IM, '_', 'e', 'n', 'd'));
    expect(t, "a<think>b", IDS('a', BPE_USER, 'b')); /* user-defined: vocabulary, not control */
    expect_ids(t, SLICE("hello"), &add, IDS(BPE_HELLO)); /* gpt-2 adds nothing unless the file says so */
    tokenizer_free(t);
    f.spec.add_bos = f.spec.add_eos = 1;
    t = spec_new(&f);
    expect_ids(t, SLICE("hello"), &add, IDS(BPE_BOS, BPE_HELLO, BPE_EOT));
    expect(t, "hello", IDS(BPE_HELLO));
    tokenizer_free(t);
}

static void test_spans(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_bpe(&f, "gpt-2");
    struct tokenizer *t = spec_new(&f);
    struct slice text = SLICE("<s><s><s>");
    const struct byte_span middle[] = {{3, 6}}, whole[] = {{0, 4}, {4, 9}}, broken[] = {{0, 2}, {2, 2}, {3, 8}};
    struct encode_options o = {.parse = SPECIAL_SPANS, .spans = middle, .n_spans = 1};
    expect_ids(t, text, &o, IDS('<', 's', '>', BPE_BOS, '<', 's', '>'));
    o.spans = whole, o.n_spans = 2; /* touching spans are one */
    expect_ids(t, text, &o, IDS(BPE_BOS, BPE_BOS, BPE_BOS));
    o.spans = broken, o.n_spans = 3; /* a spelling that a user's byte completes is no token */
    expect_ids(t, text, &o, IDS('<', 's', '>', BPE_BOS, '<', 's', '>'));
    o.n_spans = 0;
    expect_ids(t, text, &o, IDS('<', 's', '>', '<', 's', '>', '<', 's', '>'));
    const struct byte_span outside[] = {{8, 10}}, disorder[] = {{4, 6}, {5, 7}}, huge[] = {{2, SIZE_MAX}};
    const struct byte_span *const bad[] = {outside, disorder, huge};
    for (int i = 0; i < 3; i++) {
        struct tokens ids = {0};
        struct err e = {0};
        o.spans = bad[i], o.n_spans = i == 1 ? 2 : 1;
        assert_int_equal(tokenizer_encode(t, text, &o, &ids, &e), ERR_INTERNAL);
        tokens_free(&ids);
    }
    tokenizer_free(t);
}

static void test_strip(void **state) {
    (void)state;
    static struct spec_fixture f;
    struct encode_options all = {.parse = SPECIAL_ALL};
    spec_bpe(&f, "jina-v2-de");
    int32_t mask = spec_token(&f, "<mask>", TOKEN_CONTROL, 0);
    struct tokenizer *t = spec_new(&f);
    expect_ids(t, SLICE("a \n<mask> b"), &all, IDS('a', mask, ' ', 'b'));
    tokenizer_free(t);
    f.spec.pre = SLICE("gpt-2");
    f.spec.name = SLICE("My Phi-3 tune");
    t = spec_new(&f);
    expect_ids(t, SLICE("a <mask> \n b<s> c"), &all, IDS('a', ' ', mask, 'b', BPE_BOS, ' ', 'c'));
    tokenizer_free(t);
}

static void test_spm(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_spm(&f);
    struct tokenizer *t = spec_new(&f);
    struct encode_options add = {.add_special = true}, all = {.parse = SPECIAL_ALL};
    expect(t, "", NULL, 0);
    expect(t, "ab", IDS(SPM_SPACE_AB));                       /* ab (-1), then ▁ab */
    expect(t, "abc", IDS(SPM_SPACE_AB, SPM_C));               /* ab wins over bc */
    expect(t, "bc a", IDS(SPM_SPACE, SPM_BC, SPM_SPACE_A));
    expect(t, "  a", IDS(SPM_SPACES, SPM_SPACE_A));           /* ▁a (-2) goes before ▁▁ (-5) */
    expect(t, "é", IDS(SPM_SPACE, SPM_BYTE + 0xC3, SPM_BYTE + 0xA9));
    expect(t, "▁a", IDS(SPM_SPACE, SPM_BYTE + 0xE2, SPM_BYTE + 0x96, SPM_BYTE + 0x81, SPM_A)); /* not a space: comes back as it was */
    expect_ids(t, (struct slice){"a\xff\0", 3}, NULL, IDS(SPM_SPACE_A, SPM_BYTE + 0xFF, SPM_BYTE));
    expect(t, "</s>", IDS(SPM_SPACE, SPM_BYTE + '<', SPM_BYTE + '/', SPM_BYTE + 's', SPM_BYTE + '>')); /* no pair makes control */
    expect(t, "<0x41>", IDS(SPM_SPACE, SPM_BYTE + '<', SPM_BYTE + '0', SPM_BYTE + 'x', SPM_BYTE + '4', SPM_BYTE + '1', SPM_BYTE + '>'));
    expect_ids(t, SLICE("a"), &add, IDS(1, SPM_SPACE_A));
    expect_ids(t, SLICE("a</s>a"), &all, IDS(SPM_SPACE_A, 2, SPM_SPACE_A)); /* a space behind a special token too */
    expect(t, "<user>a", IDS(SPM_USER, SPM_SPACE_A));
    expect_text(t, IDS(SPM_SPACE_A, 2, SPM_SPACE_A), false, "aa");
    expect_text(t, IDS(SPM_SPACE_A, SPM_SPACE_A), false, "a a");
    expect_text(t, IDS(SPM_USER, SPM_SPACE_A), false, "<user>a");
    expect_text(t, IDS(1, SPM_SPACE_A, 2), true, "<s>a</s>");
    tokenizer_free(t);
    f.spec.add_space_prefix = 0; /* as Gemma, which has runs of spaces as tokens of their own */
    int32_t run = spec_token(&f, "▁▁▁", TOKEN_USER_DEFINED, 0);
    t = spec_new(&f);
    expect(t, "a    ab", IDS(SPM_A, run, SPM_SPACE_AB));
    expect_text(t, IDS(SPM_A, run, SPM_SPACE_AB), false, "a    ab");
    expect(t, "ab a", IDS(SPM_AB, SPM_SPACE_A));
    expect_text(t, IDS(SPM_SPACE_A), false, " a");
    tokenizer_free(t);
}

static void test_spm_unknown(void **state) {
    (void)state;
    static struct spec_fixture f;
    memset(&f, 0, sizeof f);
    spec_begin(&f, "llama", "");
    spec_token(&f, "<unk>", TOKEN_UNKNOWN, 0);
    int32_t a = spec_token(&f, "a", TOKEN_NORMAL, -1);
    f.spec.add_space_prefix = 0;
    struct tokenizer *t = spec_new(&f);
    expect(t, "aéüa", IDS(a, 0, a)); /* a run of unknown characters is one unknown token */
    tokenizer_free(t);
}

static void test_unigram(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_unigram(&f);
    struct tokenizer *t = spec_new(&f);
    struct encode_options add = {.add_special = true};
    expect(t, "abc", IDS(UNI_SPACE_A, UNI_BC));
    expect(t, "  ab   c ", IDS(UNI_SPACE_AB, UNI_SPACE, UNI_C));
    expect(t, "axyb", IDS(UNI_SPACE_A, 2, UNI_B));
    expect(t, "   ", NULL, 0);
    expect_ids(t, SLICE("a"), &add, IDS(UNI_SPACE_A, 1));
    expect_text(t, IDS(UNI_SPACE_A, UNI_BC, UNI_SPACE, UNI_C, 1), false, "abc c");
    tokenizer_free(t);
    f.spec.remove_extra_whitespaces = 0;
    f.spec.treat_whitespace_as_suffix = 1;
    t = spec_new(&f);
    expect(t, " ab", IDS(UNI_SPACE_AB, UNI_SPACE));
    tokenizer_free(t);
}

/* A double array by hand: A becomes "a", AB becomes "cc". A unit is a label with, past bit 10, the distance to its children. */
static struct slice charsmap(char out[4 + 4 * 512 + 8]) {
    uint32_t unit[512] = {0}, size = sizeof unit;
    unit[0] = 1 << 10;                              /* the root's children are at 1 ^ byte */
    uint32_t at_a = 1 ^ 'A', at_ab = (at_a ^ 256) ^ 'B';
    unit[at_a] = 'A' | 1 << 8 | 256u << 10;         /* ends a key; its value and children at +256 */
    unit[at_a ^ 256] = 0x80000000u;                 /* replacement at 0 */
    unit[at_ab] = 'B' | 1 << 8 | 128u << 10;
    unit[at_ab ^ 128] = 0x80000000u | 2;            /* replacement at 2 */
    memcpy(out, &size, 4);
    memcpy(out + 4, unit, sizeof unit);
    memcpy(out + 4 + sizeof unit, "a\0cc\0", 5);
    return (struct slice){out, 4 + sizeof unit + 5};
}

static void test_unigram_charsmap(void **state) {
    (void)state;
    static struct spec_fixture f;
    static char map[4 + 4 * 512 + 8];
    spec_unigram(&f);
    f.spec.precompiled_charsmap = charsmap(map);
    struct tokenizer *t = spec_new(&f);
    expect(t, "A", IDS(UNI_SPACE_A));
    expect(t, "bAB", IDS(UNI_SPACE, UNI_BC, UNI_C)); /* bcc */
    expect(t, "Ab", IDS(UNI_SPACE_AB));
    tokenizer_free(t);
    struct err e = {0};
    f.spec.precompiled_charsmap.n -= 1; /* the last replacement has no end */
    assert_int_equal(tokenizer_new(&t, &f.spec, &e), ERR_FORMAT);
    f.spec.precompiled_charsmap.n = 3;
    assert_int_equal(tokenizer_new(&t, &f.spec, &e), ERR_FORMAT);
    f.spec.precompiled_charsmap = charsmap(map);
    map[4 + 4 * (1 ^ 'A') + 3] = 0x7F; /* the children of A lie outside */
    t = spec_new(&f);
    struct tokens ids = {0};
    assert_int_equal(tokenizer_encode(t, SLICE("bA"), NULL, &ids, &e), ERR_FORMAT);
    assert_int_equal(ids.n, 0);
    tokens_free(&ids);
    tokenizer_free(t);
}

static void test_wordpiece(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_wordpiece(&f);
    struct tokenizer *t = spec_new(&f);
    struct encode_options add = {.add_special = true}, all = {.parse = SPECIAL_ALL};
    expect(t, "Playing, player", IDS(WP_PLAY, WP_ING, WP_COMMA, WP_PLAY, WP_ER));
    expect(t, "caf\u00e9\u200b CAFE\u0301", IDS(WP_CAFE, WP_CAFE)); /* accents and format characters go */
    expect(t, "play\u4e2dplay", IDS(WP_PLAY, WP_ZHONG, WP_PLAY));
    expect(t, "played play", IDS(WP_UNK, WP_PLAY)); /* a word is spelt whole or not at all */
    expect(t, "[CLS]", IDS(WP_UNK, WP_UNK, WP_UNK));
    expect_ids(t, SLICE("play"), &add, IDS(WP_CLS, WP_PLAY, WP_SEP));
    expect_ids(t, SLICE("play[SEP]play"), &all, IDS(WP_PLAY, WP_SEP, WP_PLAY));
    tokenizer_free(t);
    f.spec.lowercase = 0;
    t = spec_new(&f);
    expect(t, "Play play caf\u00e9", IDS(WP_UNK, WP_PLAY, WP_UNK));
    tokenizer_free(t);
}

static void test_rwkv(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_rwkv(&f);
    struct tokenizer *t = spec_new(&f);
    expect(t, "abcab\n'é", IDS(RWKV_ABC, RWKV_B, RWKV_NEWLINE, RWKV_QUOTE, RWKV_HEX));
    expect(t, "abcb", IDS(RWKV_AB, RWKV_C, RWKV_B));
    expect_text(t, IDS(RWKV_ABC, RWKV_NEWLINE, RWKV_HEX, RWKV_QUOTE), false, "abca\né'");
    tokenizer_free(t);
}

static void test_raw_bpe(void **state) {
    (void)state;
    static struct spec_fixture f;
    memset(&f, 0, sizeof f);
    spec_begin(&f, "gemma4", "");
    spec_spelt_bytes(&f);
    int32_t space = spec_token(&f, "▁", TOKEN_NORMAL, 0), a = spec_token(&f, "a", TOKEN_NORMAL, 0), sa = spec_token(&f, "▁a", TOKEN_NORMAL, 0);
    int32_t lines = spec_token(&f, "\n\n", TOKEN_NORMAL, 0), bos = spec_token(&f, "<bos>", TOKEN_CONTROL, 0);
    spec_merge(&f, "▁ a");
    f.spec.role[ROLE_BOS] = bos;
    f.spec.add_bos = 0; /* Gemma 4's files say so, wrongly */
    struct tokenizer *t = spec_new(&f);
    struct encode_options add = {.add_special = true};
    expect(t, "a a  a\n\n", IDS(a, sa, space, sa, lines));
    expect(t, "\n\n\n", IDS('\n', '\n', '\n'));
    expect(t, "▁aé", IDS(0xE2, 0x96, 0x81, a, 0xC3, 0xA9));
    expect_ids(t, SLICE("a"), &add, IDS(bos, a));
    expect_text(t, IDS(sa, 0xC3, 0xA9), false, " aé");
    tokenizer_free(t);
}

static void test_end_of_generation(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_bpe(&f, "gpt-4o");
    struct tokenizer *t = spec_new(&f);
    assert_true(tokenizer_is_eog(t, BPE_IM_END));
    assert_true(tokenizer_is_eog(t, BPE_EOT));
    assert_false(tokenizer_is_eog(t, BPE_HELLO));
    assert_false(tokenizer_is_eog(t, -1));
    assert_int_equal(tokenizer_role(t, ROLE_EOT), BPE_IM_END); /* known by its spelling */
    tokenizer_free(t);
    int32_t end = spec_token(&f, "<|end|>", TOKEN_NORMAL, 0), ret = spec_token(&f, "<|return|>", TOKEN_CONTROL, 0);
    t = spec_new(&f);
    assert_true(tokenizer_is_eog(t, end) && tokenizer_is_eog(t, ret));
    assert_true(tokenizer_is_control(t, end)); /* whatever its type says */
    tokenizer_free(t);
    int32_t call = spec_token(&f, "<|call|>", TOKEN_CONTROL, 0);
    t = spec_new(&f);
    assert_true(tokenizer_is_eog(t, ret) && tokenizer_is_eog(t, call));
    assert_false(tokenizer_is_eog(t, end)); /* Harmony: only the end of a channel */
    tokenizer_free(t);
}

static void test_decoder(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_bpe(&f, "gpt-2");
    struct tokenizer *t = spec_new(&f);
    struct err e = {0};
    struct decoder d;
    /* A family emoji's first character, then a broken one, then a letter: what is out after each byte. */
    const struct {
        int32_t id;
        size_t out;
    } steps[] = {{0xF0, 0}, {0x9F, 0}, {0x91, 0}, {0xA8, 4}, {0xE2, 4}, {0x80, 4}, {'h', 7}, {0x80, 8}, {0xFF, 9}, {BPE_IM_END, 9}, {0xC3, 9}};
    struct buf out = {0};
    decoder_init(&d, t, TOKEN_NONE);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(decoder_add(&d, steps[i].id, &out, &e), 0);
        assert_int_equal(out.len, steps[i].out);
    }
    assert_int_equal(decoder_end(&d, &out, &e), 0);
    assert_int_equal(out.len, 10);
    assert_memory_equal(out.data, "\xF0\x9F\x91\xA8\xE2\x80h\x80\xFF\xC3", 10);
    assert_int_equal(decoder_add(&d, 100000, &out, &e), ERR_TEXT);
    assert_int_equal(decoder_add(&d, -1, &out, &e), ERR_TEXT);
    assert_non_null(strstr(e.msg, "-1"));
    buf_free(&out);
    expect_text(t, IDS('a', BPE_IM_END, BPE_USER), false, "a<think>");
    expect_text(t, IDS('a', BPE_IM_END, BPE_USER), true, "a<|im_end|><think>");
    tokenizer_free(t);
    spec_spm(&f); /* where a generation goes on from a prompt */
    t = spec_new(&f);
    decoder_init(&d, t, SPM_A);
    out = (struct buf){0};
    assert_int_equal(decoder_add(&d, SPM_SPACE_A, &out, &e), 0);
    decoder_init(&d, t, 2);
    assert_int_equal(decoder_add(&d, SPM_SPACE_A, &out, &e), 0);
    assert_string_equal(out.data, " aa");
    buf_free(&out);
    tokenizer_free(t);
}

static void test_queries(void **state) {
    (void)state;
    static struct spec_fixture f;
    spec_spm(&f);
    struct tokenizer *t = spec_new(&f);
    assert_int_equal(tokenizer_count(t), SPM_USER + 1);
    assert_string_equal(tokenizer_kind(t), "SentencePiece BPE");
    assert_int_equal(tokenizer_find(t, SLICE("▁ab")), SPM_SPACE_AB);
    assert_int_equal(tokenizer_find(t, SLICE("</s>")), 2);
    assert_int_equal(tokenizer_find(t, SLICE("nothing")), TOKEN_NONE);
    assert_int_equal(tokenizer_find(t, SLICE("")), TOKEN_NONE);
    assert_int_equal(tokenizer_role(t, ROLE_BOS), 1);
    assert_int_equal(tokenizer_role(t, ROLE_EOS), 2);
    assert_int_equal(tokenizer_role(t, ROLE_SEP), TOKEN_NONE);
    assert_int_equal(tokenizer_type(t, SPM_USER), TOKEN_USER_DEFINED);
    assert_int_equal(tokenizer_type(t, 5000), TOKEN_UNDEFINED);
    assert_true(tokenizer_is_byte(t, SPM_BYTE));
    assert_true(tokenizer_is_control(t, 0));
    assert_false(tokenizer_is_control(t, SPM_USER));
    assert_int_equal(tokenizer_byte(t, 0x41), SPM_BYTE + 0x41);
    assert_true(tokenizer_score(t, SPM_AB) == -1.0f);
    assert_int_equal(tokenizer_piece(t, 5000).n, 0);
    assert_true(slice_is(tokenizer_piece(t, SPM_SPACE_AB), " ab"));
    tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pre_tokenizers), cmocka_unit_test(test_every_pre_name),     cmocka_unit_test(test_bpe),
        cmocka_unit_test(test_ignore_merges), cmocka_unit_test(test_merges_repeated), cmocka_unit_test(test_control_stays_text), cmocka_unit_test(test_spans),
        cmocka_unit_test(test_strip),          cmocka_unit_test(test_spm),                cmocka_unit_test(test_spm_unknown),
        cmocka_unit_test(test_unigram),        cmocka_unit_test(test_unigram_charsmap),   cmocka_unit_test(test_wordpiece),
        cmocka_unit_test(test_rwkv),           cmocka_unit_test(test_raw_bpe),            cmocka_unit_test(test_end_of_generation),
        cmocka_unit_test(test_decoder),        cmocka_unit_test(test_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
