/* openai_old.c: the older form of logprobs; see openai_old.h. A token that is no whole text is spelt "bytes:\xe2\x80". Places count characters. */
#include "serve/openai_old.h"

#include <string.h>

#include "base/utf8.h"

/* A token as a string that no other token has. False: out of memory. */
static bool spell(const struct choice *c, int32_t id, struct buf *out) {
    const struct slice piece = tokenizer_piece(c->answer->model->tokenizer, id);
    out->len = 0;
    if (utf8_prefix(piece.p, piece.n) == piece.n && !(piece.n && memchr(piece.p, 0, piece.n))) return buf_add(out, piece.p, piece.n);
    bool ok = buf_str(out, "bytes:");
    for (size_t i = 0; ok && i < piece.n; i++) ok = buf_printf(out, "\\x%02x", (unsigned)(uint8_t)piece.p[i]);
    return ok;
}

static void number(struct jw *j, const char *key, float logprob) { jw_number(j, key, (double)logprob); }

/* The alternatives, and the token itself where it is none of them. */
static void alternatives(struct jw *j, const struct choice *c, const struct answer_token *t, struct buf *text) {
    bool among = false;
    jw_open(j, NULL, '{');
    for (int k = 0; k < t->n_top; k++) {
        among |= t->top[k].id == t->id;
        if (spell(c, t->top[k].id, text)) number(j, text->data, t->top[k].logprob);
        else j->failed = true;
    }
    if (!among && !spell(c, t->id, text)) j->failed = true;
    else if (!among) number(j, text->data, t->logprob);
    jw_close(j, '}');
}

static int64_t characters(const struct buf *text) {
    int64_t n = 0;
    for (size_t i = 0; i < text->len; i++) n += ((uint8_t)text->data[i] & 0xC0) != 0x80;
    return n;
}

/* The token that the tokenizer puts before a text, and that no text shows. */
static bool is_added(const struct choice *c, const struct ask_prompt *p, int32_t id) {
    const struct tokenizer *t = c->answer->model->tokenizer;
    const struct slice piece = tokenizer_piece(t, id);
    return !p->id && tokenizer_adds_bos(t) && id == tokenizer_role(t, ROLE_BOS) && !(p->text.n >= piece.n && memcmp(p->text.p, piece.p, piece.n) == 0);
}

/* Writes where token i stands, and moves on behind it. */
static void tell_place(struct jw *j, const struct choice *c, const struct ask_prompt *p, struct old_place *place, size_t i, struct buf *text) {
    const struct tokenizer *t = c->answer->model->tokenizer;
    struct err ignored;
    text->len = 0;
    if (i == 0) { /* as the decoder of the answer's text begins, or of the prompt's */
        decoder_init(&place->decoder, t, !c->prompt_tokens && p->id ? p->id[p->n - 1] : TOKEN_NONE);
        if (!c->prompt_tokens && !p->id && !p->gap) place->decoder.drop_space = false;
    }
    place->decoder.control = i < c->prompt_tokens;
    jw_integer(j, NULL, place->characters);
    if (i == 0 && c->prompt_tokens && is_added(c, p, c->tokens[i].id)) {
        decoder_init(&place->decoder, t, c->tokens[i].id);
        return;
    }
    if (decoder_add(&place->decoder, c->tokens[i].id, text, &ignored)) j->failed = true;
    place->characters += characters(text);
}

void old_logprobs(struct jw *j, const struct choice *c, const struct ask_prompt *p, struct old_place *place, size_t tokens) {
    struct buf text = {0};
    const size_t from = place->tokens;
    jw_open(j, "logprobs", '{');
    jw_open(j, "tokens", '[');
    for (size_t i = from; i < tokens; i++) {
        if (spell(c, c->tokens[i].id, &text)) jw_text(j, NULL, (struct slice){text.data, text.len});
        else j->failed = true;
    }
    jw_close(j, ']');
    jw_open(j, "token_logprobs", '[');
    for (size_t i = from; i < tokens; i++) {
        if (c->tokens[i].first) jw_null(j, NULL);
        else number(j, NULL, c->tokens[i].logprob);
    }
    jw_close(j, ']');
    jw_open(j, "top_logprobs", '[');
    for (size_t i = from; i < tokens; i++) {
        if (c->tokens[i].first) jw_null(j, NULL);
        else alternatives(j, c, &c->tokens[i], &text);
    }
    jw_close(j, ']');
    jw_open(j, "text_offset", '[');
    for (size_t i = from; i < tokens; i++) tell_place(j, c, p, place, i, &text);
    jw_close(j, ']');
    jw_close(j, '}');
    place->tokens = tokens;
    buf_free(&text);
}
