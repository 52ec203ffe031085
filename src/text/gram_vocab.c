/* gram_vocab.c: all tokens of a vocabulary as a tree of bytes in one array, laid out in the order of a walk (grammar_vocab_new). Immutable once made;
 * owns all its memory, also a copy of the tokens' bytes.
 *
 * Most tokens are plain: whole printable characters without quotes and backslashes. Inside strings they need not be tried one by one, so they
 * are listed apart, by length too, and the others have a smaller tree of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/gram_run.h"

struct key {
    const char *p;
    uint32_t n, chars; /* chars: of a plain token; 0: it is not plain */
    int32_t token;
};

static uint32_t plain_chars(const char *p, size_t n) {
    uint32_t chars = 0, code;
    for (size_t i = 0, k; i < n; i += k, chars++) {
        k = utf8_char(p + i, n - i, &code);
        if (k == 0 || code < 0x20 || code == '"' || code == '\\' || code == 0x7f) return 0;
    }
    return chars;
}

static int by_bytes(const void *pa, const void *pb) {
    const struct key *a = pa, *b = pb;
    int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    if (c) return c;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

static uint32_t common(const struct key *a, const struct key *b) {
    uint32_t k = 0;
    while (k < a->n && k < b->n && a->p[k] == b->p[k]) k++;
    return k;
}

/* Nodes for sorted keys; those that are plain are left out when only_special. path: room for the longest key and one more. */
static bool build(struct gram_trie *t, const struct key *keys, size_t n, bool only_special, int32_t *same, uint32_t *path) {
    size_t total = 1;
    const struct key *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (only_special && keys[i].chars) continue;
        total += keys[i].n - (last ? common(last, &keys[i]) : 0);
        last = &keys[i];
    }
    if (total > UINT32_MAX / 2 || !(t->nodes = mem_calloc(total, sizeof *t->nodes))) return false;
    t->nodes[0] = (struct gram_leaf){.token = TOKEN_NONE};
    t->n = 1;
    uint32_t depth = 0, plain = 0;
    path[0] = 0;
    last = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct key *k = &keys[i];
        if (only_special && k->chars) continue;
        uint32_t shared = last ? common(last, k) : 0;
        while (depth > shared) t->nodes[path[depth--]].skip = t->n;
        while (depth < k->n) {
            t->nodes[t->n] = (struct gram_leaf){.token = TOKEN_NONE, .byte = (uint8_t)k->p[depth], .depth = (uint16_t)(depth + 1), .plain_from = plain};
            path[++depth] = t->n++;
        }
        struct gram_leaf *leaf = &t->nodes[path[depth]];
        if (!only_special) same[k->token] = leaf->token;
        leaf->token = k->token;
        uint32_t chars = 0;
        for (uint32_t d = 0; k->chars && d <= depth; d++) { /* what is left of this token below each of its nodes */
            struct gram_leaf *on = &t->nodes[path[d]];
            if (d && (on->byte & 0xc0) != 0x80) chars++;
            if (on->plain_chars < k->chars - chars) on->plain_chars = (uint16_t)(k->chars - chars);
        }
        plain += k->chars > 0;
        last = k;
    }
    while (depth > 0) t->nodes[path[depth--]].skip = t->n;
    t->nodes[0].skip = t->n;
    return true;
}

/* For each node of `all` the one with the same bytes in `special`. Both are sorted, so at each depth one only goes forward. */
static void link_special(struct grammar_vocab *v, uint32_t *at, uint32_t *end) {
    const struct gram_leaf *special = v->special.nodes;
    at[1] = 1; /* the next candidate among the children, and where they end */
    end[1] = v->special.n;
    for (uint32_t i = 1; i < v->all.n; i++) {
        struct gram_leaf *leaf = &v->all.nodes[i];
        uint32_t d = leaf->depth;
        while (at[d] < end[d] && special[at[d]].byte < leaf->byte) at[d] = special[at[d]].skip;
        if (at[d] < end[d] && special[at[d]].byte == leaf->byte) {
            leaf->special = at[d];
            at[d + 1] = at[d] + 1;
            end[d + 1] = special[at[d]].skip;
        } else {
            at[d + 1] = end[d + 1] = 0;
        }
    }
}

static bool list_plain(struct grammar_vocab *v, const struct key *keys, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (keys[i].chars) v->n_plain++;
        if (keys[i].chars > v->plain_longest) v->plain_longest = keys[i].chars;
    }
    v->plain = mem_array(NULL, v->n_plain, sizeof *v->plain);
    v->plain_masks = mem_calloc((size_t)PLAIN_MASKS * v->words, sizeof *v->plain_masks);
    if (!v->plain || !v->plain_masks) return false;
    v->n_plain = 0;
    for (size_t i = 0; i < n; i++) {
        if (!keys[i].chars) continue;
        /* `same` chains tokens of equal bytes from the last to the first, and each has its own place here */
        v->plain[v->n_plain++] = keys[i].token;
        uint32_t k = keys[i].chars < PLAIN_MASKS ? keys[i].chars - 1 : PLAIN_MASKS - 1, token = (uint32_t)keys[i].token;
        v->plain_masks[(size_t)k * v->words + token / 32] |= 1u << token % 32;
    }
    for (size_t k = 1; k < PLAIN_MASKS; k++)
        for (size_t w = 0; w < v->words; w++) v->plain_masks[k * v->words + w] |= v->plain_masks[(k - 1) * v->words + w];
    return true;
}

/* Control tokens have a sign in front that no text has, so that only a grammar that means the token itself allows it (grammar_vocab_spell). Tokens
 * with a byte that is in no text are left out: they could stand for such a sign. */
static size_t bytes_of(const struct tokenizer *t, int32_t id) {
    struct slice s = tokenizer_piece(t, id);
    if (s.n == 0 || s.n + 1 >= UINT16_MAX || tokenizer_is_eog(t, id)) return 0;
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] >= GRAM_SIGNS) return 0;
    return s.n + tokenizer_is_control(t, id);
}

/* Copies the tokens' bytes, and lists those that can be allowed. */
static size_t collect(struct grammar_vocab *v, const struct tokenizer *t, struct key *keys) {
    size_t n = 0, at = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        int32_t id = (int32_t)i;
        v->text_at[i] = (uint32_t)at;
        v->same[i] = TOKEN_NONE;
        const size_t bytes = bytes_of(t, id);
        struct slice s = tokenizer_piece(t, id);
        if (tokenizer_is_eog(t, id)) { /* kept, but not in the tree */
            v->end[v->n_end++] = id;
            if (s.n) memcpy(v->text + at, s.p, s.n);
            at += s.n;
            continue;
        }
        if (!bytes) continue;
        v->text[at] = (char)GRAM_CONTROL;
        memcpy(v->text + at + (bytes - s.n), s.p, s.n);
        keys[n++] = (struct key){v->text + at, (uint32_t)bytes, plain_chars(v->text + at, bytes), id};
        if (bytes > v->longest) v->longest = (uint32_t)bytes;
        at += bytes;
    }
    v->text_at[v->n_tokens] = (uint32_t)at;
    return n;
}

int grammar_vocab_new(struct grammar_vocab **out, const struct tokenizer *t, struct err *e) {
    struct grammar_vocab *v = *out = mem_calloc(1, sizeof *v);
    size_t bytes = 0, n = tokenizer_count(t), n_end = 0;
    if (!v) return err_nomem(e, "a vocabulary's tree", sizeof *v);
    for (uint32_t i = 0; i < n; i++) {
        const bool end = tokenizer_is_eog(t, (int32_t)i);
        bytes += end ? tokenizer_piece(t, (int32_t)i).n : bytes_of(t, (int32_t)i);
        n_end += end;
    }
    v->n_tokens = (uint32_t)n;
    v->words = (uint32_t)((n + 31) / 32);
    struct key *keys = mem_array(NULL, n, sizeof *keys);
    v->text = bytes < UINT32_MAX ? mem_alloc(bytes) : NULL;
    v->text_at = mem_array(NULL, n + 1, sizeof *v->text_at);
    v->same = mem_array(NULL, n, sizeof *v->same);
    v->end = mem_array(NULL, n_end, sizeof *v->end);
    uint32_t *path = NULL;
    bool ok = keys && v->text && v->text_at && v->same && v->end;
    if (ok) {
        n = collect(v, t, keys);
        qsort(keys, n, sizeof *keys, by_bytes);
        path = mem_array(NULL, 2 * ((size_t)v->longest + 3), sizeof *path);
        ok = path && build(&v->all, keys, n, false, v->same, path) && build(&v->special, keys, n, true, v->same, path) && list_plain(v, keys, n);
    }
    if (ok) link_special(v, path, path + v->longest + 3);
    mem_free(keys);
    mem_free(path);
    if (ok) return 0;
    grammar_vocab_free(v);
    *out = NULL;
    return err_nomem(e, "a vocabulary's tree", bytes);
}

void grammar_vocab_free(struct grammar_vocab *v) {
    if (!v) return;
    mem_free(v->all.nodes);
    mem_free(v->special.nodes);
    mem_free(v->text);
    mem_free(v->text_at);
    mem_free(v->same);
    mem_free(v->plain);
    mem_free(v->plain_masks);
    mem_free(v->end);
    mem_free(v);
}

/* The longest control token that `text` begins with: its length, or 0. In the tree the walk goes from node to child; children are in order. */
static size_t control_at(const struct grammar_vocab *v, struct slice text) {
    const struct gram_leaf *nodes = v->all.nodes;
    size_t longest = 0;
    uint32_t at = 1, end = v->all.n;
    for (size_t i = 0; i <= text.n && at < end;) {
        const uint8_t want = i ? (uint8_t)text.p[i - 1] : GRAM_CONTROL;
        while (at < end && nodes[at].byte != want) at = nodes[at].skip;
        if (at >= end) break;
        if (nodes[at].token != TOKEN_NONE) longest = i;
        end = nodes[at].skip;
        at++;
        i++;
    }
    return longest;
}

bool grammar_vocab_spell(const struct grammar_vocab *v, struct slice text, struct buf *out) {
    bool ok = true;
    for (size_t i = 0, n; i < text.n && ok; i += n) {
        n = control_at(v, (struct slice){text.p + i, text.n - i});
        ok = n == 0 || buf_char(out, (char)GRAM_CONTROL);
        if (n == 0) n = 1;
        ok = ok && buf_add(out, text.p + i, n);
    }
    return ok;
}

bool grammar_vocab_ends(const struct grammar_vocab *v, int32_t token) {
    for (uint32_t i = 0; i < v->n_end; i++)
        if (v->end[i] == token) return true;
    return false;
}

bool grammar_vocab_end_is(const struct grammar_vocab *v, struct slice text) {
    for (uint32_t i = 0; i < v->n_end; i++) {
        const uint32_t at = v->text_at[v->end[i]];
        if (slice_eq((struct slice){v->text + at, v->text_at[v->end[i] + 1] - at}, text)) return true;
    }
    return false;
}

bool grammar_vocab_only_ends(const struct grammar_vocab *v, const uint32_t *mask) {
    for (uint32_t w = 0; w < v->words; w++) {
        uint32_t bits = mask[w];
        for (uint32_t i = 0; i < v->n_end && bits; i++)
            if ((uint32_t)v->end[i] / 32 == w) bits &= ~(1u << (uint32_t)v->end[i] % 32);
        if (bits) return false;
    }
    return true;
}

size_t grammar_vocab_words(const struct grammar_vocab *v) { return v->words; }
