/* grammar_fixture.h: a vocabulary written as bytes, and grammars that must compile. Tokens: 0 ends the generation, 1 is another control token, then
 * every byte, then the pieces given.
 */
#ifndef HEARTH_TESTS_GRAMMAR_FIXTURE_H
#define HEARTH_TESTS_GRAMMAR_FIXTURE_H

#include "spec_fixture.h"
#include "text/grammar.h"

enum { FIRST_BYTE = 2, FIRST_PIECE = FIRST_BYTE + 256 };

struct grammar_fixture {
    struct spec_fixture spec;
    char spelling[256][8];
    struct tokenizer *t;
    struct grammar_vocab *v;
    uint32_t mask[(MAX_TOKENS + 31) / 32];
};

/* Pieces are spelt as RWKV's files spell them: \xNN for a byte. */
static inline void fixture_open(struct grammar_fixture *f, const char *const *pieces, size_t n) {
    struct err e = {0};
    memset(f, 0, sizeof *f);
    spec_begin(&f->spec, "rwkv", "");
    spec_token(&f->spec, "<end>", TOKEN_CONTROL, 0);
    spec_token(&f->spec, "<other>", TOKEN_CONTROL, 0);
    for (unsigned b = 0; b < 256; b++) {
        (void)snprintf(f->spelling[b], sizeof f->spelling[b], "\\x%02x", b);
        spec_token(&f->spec, f->spelling[b], TOKEN_NORMAL, 0);
    }
    for (size_t i = 0; i < n; i++) spec_token(&f->spec, pieces[i], TOKEN_NORMAL, 0);
    f->spec.spec.role[ROLE_EOS] = 0;
    f->t = spec_new(&f->spec);
    if (grammar_vocab_new(&f->v, f->t, &e)) fail_msg("%s", e.msg);
}
static inline void fixture_close(struct grammar_fixture *f) {
    grammar_vocab_free(f->v);
    tokenizer_free(f->t);
}

static inline bool allows(const uint32_t *mask, int32_t token) { return mask[token / 32] >> (token % 32) & 1; }

/* Whether the whole text is one of the grammar's. */
static inline bool accepts(struct matcher *m, struct slice text) {
    matcher_reset(m);
    return matcher_accept_bytes(m, text, NULL) == 0 && matcher_may_end(m);
}

#endif
