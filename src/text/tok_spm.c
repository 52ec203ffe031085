/* tok_spm.c: SentencePiece's BPE (Llama 2, Mistral, Phi-3, Gemma): no words, neighbours are joined whenever they make a token,
 * the token with the highest score first. Spaces are U+2581; characters without a token become their byte tokens.
 */
#define _GNU_SOURCE
#include <string.h>

#include "text/tok_internal.h"
#include "base/utf8.h"

struct spm {
    bool by_word; /* words can be encoded one by one, with the same result */
};

struct spm_text {
    const struct tokenizer *t;
    const char *text;
};

/* A number that is lower the higher the score: the bits of a float, turned so that they sort. */
static uint32_t order_of(float score) {
    float f = score + 0.0f; /* -0 and 0 are one */
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7FFFFFFFu;
}

static bool pair_by_score(const void *ctx, uint32_t left, uint32_t right, uint32_t from, uint32_t to, uint32_t *order, uint32_t *joined) {
    (void)left, (void)right;
    const struct spm_text *s = ctx;
    if (!token_plain(s->t, (struct slice){s->text + from, to - from}, joined)) return false;
    *order = order_of(s->t->score[*joined]);
    return true;
}

static uint32_t character_name(const struct tokenizer *t, struct slice c) {
    uint32_t id;
    return token_plain(t, c, &id) ? id : SYM_NONE;
}

int escape_symbols(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool prefix, symbol_name_fn name, struct err *e) {
    const struct slice block = SLICE(LOWER_BLOCK);
    uint32_t space = name(t, block);
    bool spell_block = t->byte_id[0xE2] >= 0 && t->byte_id[0x96] >= 0 && t->byte_id[0x81] >= 0;
    bool ok = !prefix || (merge_push(&w->merge, space, 0) && buf_add(&w->text, block.p, block.n));
    for (size_t i = 0; i < text.n && ok;) {
        uint32_t cp = 0, start = (uint32_t)w->text.len;
        size_t len = utf8_char(text.p + i, text.n - i, &cp);
        struct slice c = {text.p + i, len ? len : 1};
        i += c.n;
        if (!len || (cp == 0x2581 && spell_block))
            ok = merge_push(&w->merge, SYM_ALONE, start) && buf_add(&w->text, c.p, c.n);
        else if (cp == ' ')
            ok = merge_push(&w->merge, space, start) && buf_add(&w->text, block.p, block.n);
        else
            ok = merge_push(&w->merge, name(t, c), start) && buf_add(&w->text, c.p, c.n);
    }
    return ok ? ERR_OK : err_nomem(e, "the symbols of a text", text.n);
}

/* Whether no token has a space behind another character: then no merge goes over the end of a word. */
static bool words_stand_alone(const struct tokenizer *t) {
    for (uint32_t i = 0; i < t->n; i++) {
        struct slice s = t->text[i];
        size_t at = 0;
        if (!token_is_plain(t, i)) continue;
        while (s.n - at >= 3 && !memcmp(s.p + at, LOWER_BLOCK, 3)) at += 3;
        if (memmem(s.p + at, s.n - at, LOWER_BLOCK, 3)) return false;
    }
    return true;
}

static int spm_build(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) {
    struct spm *m = t->model = arena_alloc(&t->arena, sizeof *m);
    if (!m) return err_nomem(e, "the tokenizer", sizeof *m);
    m->by_word = words_stand_alone(t);
    return s->scores ? ERR_OK : err_set(e, ERR_FORMAT, "tokenizer.ggml.scores is missing: a SentencePiece tokenizer needs its scores");
}

/* A stretch of text from which no merge goes out. */
static int encode_stretch(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool prefix, struct tokens *out, struct err *e) {
    w->merge.n_sym = 0;
    w->text.len = 0;
    int rc = escape_symbols(t, w, text, prefix, character_name, e);
    if (rc) return rc;
    const struct spm_text ctx = {t, w->text.data};
    if (!merge_run(&w->merge, (uint32_t)w->text.len, pair_by_score, &ctx)) return err_nomem(e, "the symbols of a text", text.n);
    for (int32_t i = 0; i >= 0 && !rc; i = w->merge.sym[i].next) {
        const struct merge_sym *s = &w->merge.sym[i];
        size_t end = s->next < 0 ? w->text.len : w->merge.sym[s->next].start;
        struct slice bytes = {w->text.data + s->start, end - s->start};
        rc = emit_symbol(t, w, s->id, bytes, out, e);
    }
    return rc;
}

/* Where the word (with the spaces before it) that starts at `at` ends: before spaces again. Not where they follow the byte 0x81,
 * with which a U+2581 of the text's own ends: that may count as a space too. */
static size_t word_end(struct slice text, size_t at) {
    while (at < text.n && text.p[at] == ' ') at++;
    for (; at < text.n; at++) {
        if (text.p[at] != ' ') continue;
        if ((uint8_t)text.p[at - 1] != 0x81) return at;
        while (at + 1 < text.n && text.p[at + 1] == ' ') at++;
    }
    return at;
}

static int spm_encode(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool after_special, struct tokens *out, struct err *e) {
    const struct spm *m = t->model;
    int rc = ERR_OK;
    for (size_t at = 0, end; at < text.n && !rc; at = end) {
        end = m->by_word ? word_end(text, at) : text.n;
        rc = encode_stretch(t, w, (struct slice){text.p + at, end - at}, at == 0 && after_special && t->add_space_prefix, out, e);
    }
    return rc;
}

const struct tok_kind tok_kind_spm = {
    .model = "llama", .label = "SentencePiece BPE", .bos = 1, .eos = 2, .unk = 0, .sep = -1, .pad = -1, .mask = -1,
    .add_bos = true, .space_prefix = true, .lower_block = true, .build = spm_build, .encode = spm_encode,
};
