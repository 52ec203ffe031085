/* spec_fixture.h: small vocabularies written in a test: {text, type, score} rows and merges make a tokenizer. */
#ifndef HEARTH_TESTS_SPEC_FIXTURE_H
#define HEARTH_TESTS_SPEC_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer.h"

#define MAX_TOKENS 700
#define MAX_MERGES 64

struct spec_fixture {
    struct tokenizer_spec spec;
    struct slice token[MAX_TOKENS], merge[MAX_MERGES];
    int32_t type[MAX_TOKENS];
    float score[MAX_TOKENS];
    char bytes[256][8]; /* spellings of byte tokens */
};

static inline void spec_begin(struct spec_fixture *f, const char *model, const char *pre) {
    tokenizer_spec_init(&f->spec);
    f->spec.model = slice_of(model);
    f->spec.pre = slice_of(pre);
    f->spec.tokens = f->token;
    f->spec.types = f->type;
    f->spec.scores = f->score;
    f->spec.merges = f->merge;
    f->spec.has_merges = true;
}
/* Returns the new token's id. */
static inline int32_t spec_token(struct spec_fixture *f, const char *text, enum token_type type, float score) {
    size_t i = f->spec.n_tokens++;
    if (i >= MAX_TOKENS) fail_msg("the fixture is full");
    f->token[i] = slice_of(text);
    f->type[i] = (int32_t)type;
    f->score[i] = score;
    return (int32_t)i;
}
static inline void spec_merge(struct spec_fixture *f, const char *line) {
    if (f->spec.n_merges >= MAX_MERGES) fail_msg("the fixture is full");
    f->merge[f->spec.n_merges++] = slice_of(line);
}
/* 256 tokens, one for each byte in GPT-2's alphabet; the id is the byte when they come first. */
static inline void spec_mapped_bytes(struct spec_fixture *f) {
    uint32_t next = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool shown = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
        f->bytes[b][utf8_put(f->bytes[b], shown ? b : next++)] = 0;
        spec_token(f, f->bytes[b], TOKEN_NORMAL, 0);
    }
}
/* 256 tokens <0x00> to <0xFF> */
static inline void spec_spelt_bytes(struct spec_fixture *f) {
    for (unsigned b = 0; b < 256; b++) {
        (void)snprintf(f->bytes[b], sizeof f->bytes[b], "<0x%02X>", b);
        spec_token(f, f->bytes[b], TOKEN_BYTE, 0);
    }
}
static inline struct tokenizer *spec_new(const struct spec_fixture *f) {
    struct tokenizer *t = NULL;
    struct err e = {0};
    if (tokenizer_new(&t, &f->spec, &e)) fail_msg("%s", e.msg);
    return t;
}

/* Byte-level BPE: bytes 0-255, then the tokens below. */
enum { BPE_HE = 256, BPE_LL, BPE_HELL, BPE_HELLO, BPE_W, BPE_OR, BPE_AB, BPE_BC, BPE_IM, BPE_IM_END, BPE_EOT, BPE_USER, BPE_BOS, BPE_CONTROL_BY_MERGE };
static inline void spec_bpe(struct spec_fixture *f, const char *pre) {
    memset(f, 0, sizeof *f);
    spec_begin(f, "gpt2", pre);
    spec_mapped_bytes(f);
    spec_token(f, "he", TOKEN_NORMAL, 0);
    spec_token(f, "ll", TOKEN_NORMAL, 0);
    spec_token(f, "hell", TOKEN_NORMAL, 0);
    spec_token(f, "hello", TOKEN_NORMAL, 0);
    spec_token(f, "Ġw", TOKEN_NORMAL, 0);
    spec_token(f, "or", TOKEN_NORMAL, 0);
    spec_token(f, "ab", TOKEN_NORMAL, 0);
    spec_token(f, "bc", TOKEN_NORMAL, 0);
    spec_token(f, "im", TOKEN_NORMAL, 0);
    spec_token(f, "<|im_end|>", TOKEN_CONTROL, 0);
    spec_token(f, "<|endoftext|>", TOKEN_CONTROL, 0);
    spec_token(f, "<think>", TOKEN_USER_DEFINED, 0);
    spec_token(f, "<s>", TOKEN_CONTROL, 0);
    spec_token(f, "zq", TOKEN_CONTROL, 0);
    f->spec.role[ROLE_BOS] = BPE_BOS;
    f->spec.role[ROLE_EOS] = BPE_EOT;
    static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "Ġ w", "o r", "b c", "a b", "i m", "z q"};
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) spec_merge(f, merges[i]);
}

/* SentencePiece BPE: <unk> <s> </s>, bytes from 3, then the tokens below. */
enum { SPM_BYTE = 3, SPM_SPACE = 259, SPM_A, SPM_B, SPM_C, SPM_AB, SPM_SPACE_A, SPM_BC, SPM_SPACE_AB, SPM_SPACES, SPM_USER };
static inline void spec_spm(struct spec_fixture *f) {
    memset(f, 0, sizeof *f);
    spec_begin(f, "llama", "");
    spec_token(f, "<unk>", TOKEN_UNKNOWN, 0);
    spec_token(f, "<s>", TOKEN_CONTROL, 0);
    spec_token(f, "</s>", TOKEN_CONTROL, 0);
    spec_spelt_bytes(f);
    spec_token(f, "▁", TOKEN_NORMAL, -10);
    spec_token(f, "a", TOKEN_NORMAL, -11);
    spec_token(f, "b", TOKEN_NORMAL, -12);
    spec_token(f, "c", TOKEN_NORMAL, -13);
    spec_token(f, "ab", TOKEN_NORMAL, -1);
    spec_token(f, "▁a", TOKEN_NORMAL, -2);
    spec_token(f, "bc", TOKEN_NORMAL, -3);
    spec_token(f, "▁ab", TOKEN_NORMAL, -4);
    spec_token(f, "▁▁", TOKEN_NORMAL, -5);
    spec_token(f, "<user>", TOKEN_USER_DEFINED, 0);
}

/* Unigram: <pad> </s> <unk>, then the tokens below. The best cut of "▁abc" is ▁a + bc (-3) against ▁ + ab + c (-6) or ▁ab + c (-4.5). */
enum { UNI_SPACE = 3, UNI_A, UNI_B, UNI_C, UNI_SPACE_A, UNI_BC, UNI_AB, UNI_SPACE_AB };
static inline void spec_unigram(struct spec_fixture *f) {
    memset(f, 0, sizeof *f);
    spec_begin(f, "t5", "");
    spec_token(f, "<pad>", TOKEN_CONTROL, 0);
    spec_token(f, "</s>", TOKEN_CONTROL, 0);
    spec_token(f, "<unk>", TOKEN_UNKNOWN, 0);
    spec_token(f, "▁", TOKEN_NORMAL, -2);
    spec_token(f, "a", TOKEN_NORMAL, -3);
    spec_token(f, "b", TOKEN_NORMAL, -3);
    spec_token(f, "c", TOKEN_NORMAL, -2);
    spec_token(f, "▁a", TOKEN_NORMAL, -1.5f);
    spec_token(f, "bc", TOKEN_NORMAL, -1.5f);
    spec_token(f, "ab", TOKEN_NORMAL, -2);
    spec_token(f, "▁ab", TOKEN_NORMAL, -2.5f);
    f->spec.add_space_prefix = 1;
    f->spec.remove_extra_whitespaces = 1;
}

/* WordPiece */
enum { WP_UNK, WP_CLS, WP_SEP, WP_PLAY, WP_ING, WP_ER, WP_COMMA, WP_CAFE, WP_ZHONG };
static inline void spec_wordpiece(struct spec_fixture *f) {
    memset(f, 0, sizeof *f);
    spec_begin(f, "bert", "");
    spec_token(f, "[UNK]", TOKEN_CONTROL, 0);
    spec_token(f, "[CLS]", TOKEN_CONTROL, 0);
    spec_token(f, "[SEP]", TOKEN_CONTROL, 0);
    spec_token(f, "▁play", TOKEN_NORMAL, 0);
    spec_token(f, "ing", TOKEN_NORMAL, 0);
    spec_token(f, "er", TOKEN_NORMAL, 0);
    spec_token(f, "▁,", TOKEN_NORMAL, 0);
    spec_token(f, "▁cafe", TOKEN_NORMAL, 0);
    spec_token(f, "▁中", TOKEN_NORMAL, 0);
    f->spec.role[ROLE_UNK] = WP_UNK;
    f->spec.role[ROLE_BOS] = WP_CLS;
    f->spec.role[ROLE_SEP] = WP_SEP;
}

/* RWKV: single bytes in Python's spelling, two words. */
enum { RWKV_NEWLINE = 1, RWKV_A, RWKV_AB, RWKV_ABC, RWKV_QUOTE, RWKV_HEX, RWKV_B, RWKV_C };
static inline void spec_rwkv(struct spec_fixture *f) {
    memset(f, 0, sizeof *f);
    spec_begin(f, "rwkv", "");
    spec_token(f, "<s>", TOKEN_CONTROL, 0);
    spec_token(f, "\\n", TOKEN_NORMAL, 0);
    spec_token(f, "a", TOKEN_NORMAL, 0);
    spec_token(f, "ab", TOKEN_NORMAL, 0);
    spec_token(f, "abca", TOKEN_NORMAL, 0);
    spec_token(f, "\\'", TOKEN_NORMAL, 0);
    spec_token(f, "\\xc3\\xa9", TOKEN_NORMAL, 0);
    spec_token(f, "b", TOKEN_NORMAL, 0);
    spec_token(f, "c", TOKEN_NORMAL, 0);
}

#endif
