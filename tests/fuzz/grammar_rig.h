/* grammar_rig.h: what the fuzzers of grammars share: a small vocabulary, and a text that is read under masks. The input is the grammar and, behind a NUL
 * byte, the text. */
#ifndef HEARTH_TESTS_GRAMMAR_RIG_H
#define HEARTH_TESTS_GRAMMAR_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/grammar.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

enum { RIG_BYTES = 1, RIG_PIECES = RIG_BYTES + 256, RIG_TEXT = 48 };

struct rig {
    char spelling[256][8];
    struct slice token[RIG_PIECES + 16];
    int32_t type[RIG_PIECES + 16];
    struct tokenizer *t;
    struct grammar_vocab *v;
};

static inline void rig_open(struct rig *r) {
    static const char *const pieces[] = {"ab", "abc", "{\\x22", "\\x22:", "\\x22,", "true", "null", "\\xc3\\xa9", "\\xe4\\xb8", "\\xad1", "1.5", " a", "]}"};
    struct tokenizer_spec s;
    struct err e = {0};
    size_t n = 0;
    tokenizer_spec_init(&s);
    r->token[n++] = SLICE("<end>");
    for (unsigned b = 0; b < 256; b++) {
        (void)snprintf(r->spelling[b], sizeof r->spelling[b], "\\x%02x", b);
        r->token[n++] = slice_of(r->spelling[b]);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) r->token[n++] = slice_of(pieces[i]);
    for (size_t i = 0; i < n; i++) r->type[i] = i ? TOKEN_NORMAL : TOKEN_CONTROL;
    s.model = SLICE("rwkv");
    s.tokens = r->token;
    s.n_tokens = n;
    s.types = r->type;
    s.role[ROLE_EOS] = 0;
    CHECK(tokenizer_new(&r->t, &s, &e) == 0);
    CHECK(grammar_vocab_new(&r->v, r->t, &e) == 0);
}

/* Reads the text byte by byte as long as it fits; at each place the mask says of every token what accepting it says. */
static inline void rig_read(struct rig *r, const struct grammar *g, const uint8_t *text, size_t n) {
    struct matcher *m = NULL;
    struct err e = {0};
    uint32_t mask[(RIG_PIECES + 16 + 31) / 32];
    CHECK(matcher_new(&m, g, r->v, &e) == 0 || e.code == ERR_UNSUPPORTED);
    for (size_t i = 0; m && i <= n && i < RIG_TEXT; i++) {
        int rc = matcher_mask(m, mask, &e);
        CHECK(rc == 0 || rc == ERR_UNSUPPORTED);
        if (rc) break;
        bool any = false;
        for (uint32_t id = 0; id < tokenizer_count(r->t); id++) {
            rc = matcher_accept(m, (int32_t)id, &e);
            CHECK(rc == 0 || rc == ERR_TEXT || rc == ERR_UNSUPPORTED);
            if (rc == 0) CHECK(matcher_back(m, 1, &e) == 0);
            if (rc != ERR_UNSUPPORTED) CHECK((rc == 0) == (mask[id / 32] >> id % 32 & 1));
            any |= rc == 0;
        }
        CHECK(any || rc == ERR_UNSUPPORTED); /* there is always a way to the end */
        if (i < n && matcher_accept(m, RIG_BYTES + text[i], &e)) break;
    }
    matcher_free(m);
}

static inline void rig_run(int (*parse)(struct grammar **, struct slice, struct err *), const uint8_t *data, size_t size) {
    static struct rig rig;
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size;
    struct grammar *g = NULL;
    struct err e = {0};
    if (!rig.t) rig_open(&rig);
    int64_t live = mem_live();
    int rc = parse(&g, (struct slice){(const char *)data, n}, &e);
    CHECK(rc == 0 ? g != NULL : !g && (rc == ERR_FORMAT || rc == ERR_UNSUPPORTED) && e.code == rc && e.msg[0] && !strchr(e.msg, '\n'));
    if (g) rig_read(&rig, g, nul ? nul + 1 : data, nul ? size - n - 1 : 0);
    grammar_free(g);
    CHECK(mem_live() == live);
}

#endif
