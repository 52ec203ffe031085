/* tok_unigram.c: SentencePiece's Unigram (T5 and others): the text is normalised, then cut into the tokens whose scores (log
 * probabilities) have the highest sum (Kudo 2018; the search is Viterbi's).
 *
 * The normaliser is part of the file: "precompiled_charsmap" is a little-endian uint32, the bytes of a double array (the format of the
 * darts-clone library: 32-bit units), then the replacements, each ended by a NUL. Characters are replaced by the longest match.
 */
#include <float.h>
#include <string.h>

#include "text/tok_internal.h"
#include "base/utf8.h"

#define NORMAL_LIMIT ((size_t)1 << 31) /* bytes of a normalised text: offsets in it are 32 bits */
#define UNKNOWN_PENALTY 10.0 /* below the worst score, as SentencePiece sets it */

struct unigram {
    struct tok_trie trie;
    double unknown_score;
    const char *unit; /* the double array, unaligned */
    uint32_t n_unit;
    struct slice replacements;
    bool prefix, suffix, merge_spaces, escape, has_bytes;
};

struct best { /* the best way to reach an offset */
    double score;
    uint32_t from; /* where its last token starts */
    int32_t id;    /* that token; TOKEN_NONE: a character that no token spells */
};

/* ---- building */

static int open_charsmap(struct unigram *u, struct slice map, struct err *e) {
    if (!map.n) return ERR_OK;
    uint32_t bytes;
    if (map.n > NORMAL_LIMIT / 2) return err_set(e, ERR_FORMAT, "tokenizer.ggml.precompiled_charsmap has %zu bytes, which is more than any needs", map.n);
    if (map.n < 4) return err_set(e, ERR_FORMAT, "tokenizer.ggml.precompiled_charsmap has only %zu bytes", map.n);
    memcpy(&bytes, map.p, 4);
    if (bytes % 4 || bytes >= map.n - 4 || map.p[map.n - 1])
        return err_set(e, ERR_FORMAT, "tokenizer.ggml.precompiled_charsmap: a table of %u bytes and its texts do not fit in %zu bytes", bytes, map.n);
    u->unit = map.p + 4;
    u->n_unit = bytes / 4;
    u->replacements = (struct slice){map.p + 4 + bytes, map.n - 4 - bytes};
    return ERR_OK;
}

static bool in_trie(const struct tokenizer *t, uint32_t i) { return t->type[i] == TOKEN_NORMAL || t->type[i] == TOKEN_UNUSED; }

static int unigram_build(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) {
    struct unigram *u = t->model = arena_alloc(&t->arena, sizeof *u);
    struct trie_key *keys = mem_array(NULL, t->n, sizeof *keys);
    if (!u || !keys) {
        mem_free(keys);
        return err_nomem(e, "the tokenizer", t->n * sizeof *keys);
    }
    size_t n = 0;
    double worst = FLT_MAX;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->type[i] == TOKEN_NORMAL && (double)t->score[i] < worst) worst = (double)t->score[i];
        if (in_trie(t, i)) keys[n++] = (struct trie_key){t->text[i], (int32_t)i};
        if (t->type[i] == TOKEN_BYTE) u->has_bytes = true;
    }
    bool ok = trie_build(&u->trie, &t->arena, keys, n);
    mem_free(keys);
    if (!ok) return err_nomem(e, "the tokenizer", n * sizeof *keys);
    u->unknown_score = worst - UNKNOWN_PENALTY;
    bool suffix = s->treat_whitespace_as_suffix == 1;
    u->prefix = t->add_space_prefix && !suffix;
    u->suffix = t->add_space_prefix && suffix;
    u->merge_spaces = s->remove_extra_whitespaces == 1;
    u->escape = s->escape_whitespaces != 0;
    return s->scores ? open_charsmap(u, s->precompiled_charsmap, e) : err_set(e, ERR_FORMAT, "tokenizer.ggml.scores is missing: a Unigram tokenizer needs its scores");
}

/* ---- the normaliser */

static bool unit_at(const struct unigram *u, uint32_t i, uint32_t *unit) {
    if (i >= u->n_unit) return false;
    memcpy(unit, u->unit + 4 * (size_t)i, 4);
    return true;
}
static uint32_t unit_offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

/* The longest prefix of text that the table replaces: its length (0: none), *value: where its replacement starts. false: broken. */
static bool longest_replaced(const struct unigram *u, struct slice text, size_t *len, uint32_t *value) {
    uint32_t node, unit;
    *len = 0;
    if (!u->n_unit) return true;
    if (!unit_at(u, 0, &unit)) return false;
    node = unit_offset(unit);
    for (size_t i = 0; i < text.n && text.p[i]; i++) {
        uint8_t c = (uint8_t)text.p[i];
        node ^= c;
        if (!unit_at(u, node, &unit)) return false;
        if ((unit & (1u << 31 | 0xFFu)) != c) break;
        node ^= unit_offset(unit);
        if (!(unit >> 8 & 1)) continue;
        if (!unit_at(u, node, &unit)) return false;
        *value = unit & 0x7FFFFFFFu;
        *len = i + 1;
        if (*value >= u->replacements.n) return false;
    }
    return true;
}

/* What the start of text becomes; *used: how many of its bytes. */
static bool normal_prefix(const struct unigram *u, struct slice text, size_t *used, struct slice *out) {
    uint32_t value = 0, cp;
    if (!longest_replaced(u, text, used, &value)) return false;
    if (*used) {
        *out = slice_of(u->replacements.p + value); /* the last byte of all is a NUL */
        return true;
    }
    *used = utf8_char(text.p, text.n, &cp);
    *out = (struct slice){text.p, *used ? *used : 1};
    if (!*used && !u->has_bytes) *out = SLICE("\xEF\xBF\xBD"); /* U+FFFD */
    if (!*used) *used = 1;
    return true;
}

static int normalise(const struct unigram *u, struct slice text, struct buf *out, struct err *e) {
    struct slice space = u->escape ? SLICE(LOWER_BLOCK) : SLICE(" "), part;
    bool after_space = u->merge_spaces, started = false, ok = true;
    size_t used;
    out->len = 0;
    for (size_t i = 0; i < text.n && ok; i += used) {
        if (out->len > NORMAL_LIMIT) return err_set(e, ERR_TEXT, "the text has more than %zu bytes once it is normalised: split it", NORMAL_LIMIT);
        if (!normal_prefix(u, (struct slice){text.p + i, text.n - i}, &used, &part))
            return err_set(e, ERR_FORMAT, "tokenizer.ggml.precompiled_charsmap points outside itself");
        if (!started && !(u->merge_spaces && slice_is(part, " "))) {
            started = true;
            ok = !u->prefix || buf_add(out, space.p, space.n);
        }
        for (size_t k = 0; k < part.n && ok; k++) {
            bool is_space = part.p[k] == ' ';
            if (is_space && after_space) continue;
            ok = (is_space ? buf_add(out, space.p, space.n) : buf_char(out, part.p[k]));
            after_space = is_space && u->merge_spaces;
        }
    }
    while (u->merge_spaces && out->len >= space.n && !memcmp(out->data + out->len - space.n, space.p, space.n)) out->len -= space.n;
    if (u->suffix && started) ok = ok && buf_add(out, space.p, space.n);
    return ok ? ERR_OK : err_nomem(e, "the normalised text", text.n);
}

/* ---- the search */

static struct best *table(struct tok_scratch *w, size_t n) {
    if (n <= w->table_cap) return w->table;
    void *p = mem_array(w->table, n, sizeof(struct best));
    if (!p) return NULL;
    w->table = p;
    w->table_cap = n;
    return p;
}

static void reach(struct best *b, double score, size_t from, int32_t id) {
    if (score > b->score) *b = (struct best){score, (uint32_t)from, id};
}

static void search(const struct tokenizer *t, const struct unigram *u, struct slice text, struct best *best) {
    for (size_t i = 0; i <= text.n; i++) best[i] = (struct best){-DBL_MAX, 0, TOKEN_NONE};
    best[0].score = 0;
    for (size_t i = 0, len; i < text.n; i += len) {
        uint32_t cp, node = 0;
        bool whole = false; /* a token spells this character alone */
        len = utf8_char(text.p + i, text.n - i, &cp);
        if (!len) len = 1;
        for (size_t k = i; k < text.n && (node = trie_step(&u->trie, node, (uint8_t)text.p[k])) != 0; k++) {
            int32_t id = u->trie.nodes[node].value;
            if (id < 0) continue;
            if (k + 1 - i == len) whole = true;
            reach(&best[k + 1], best[i].score + (double)t->score[id], i, id);
        }
        if (!whole) reach(&best[i + len], best[i].score + u->unknown_score, i, TOKEN_NONE);
    }
}

static int unigram_encode(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool after_special, struct tokens *out, struct err *e) {
    (void)after_special;
    const struct unigram *u = t->model;
    int rc = normalise(u, text, &w->text, e);
    if (rc || !w->text.len) return rc;
    struct slice normal = {w->text.data, w->text.len};
    struct best *best = table(w, normal.n + 1);
    if (!best) return err_nomem(e, "the search for the best tokens", (normal.n + 1) * sizeof *best);
    search(t, u, normal, best);
    uint32_t next = 0;
    for (uint32_t at = (uint32_t)normal.n; at;) { /* turns the way back into the way forward */
        uint32_t from = best[at].from;
        best[at].from = next;
        next = at;
        at = from;
    }
    for (uint32_t start = 0; next && !rc; start = next, next = best[next].from) {
        struct slice bytes = {normal.p + start, next - start};
        rc = emit_symbol(t, w, best[next].id >= 0 ? (uint32_t)best[next].id : SYM_NONE, bytes, out, e);
    }
    return rc;
}

const struct tok_kind tok_kind_unigram = {
    .model = "t5", .label = "Unigram", .bos = -1, .eos = 1, .unk = 2, .sep = -1, .pad = 0, .mask = -1,
    .add_eos = true, .lower_block = true, .build = unigram_build, .encode = unigram_encode,
};
