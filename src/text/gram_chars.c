/* gram_chars.c: sets of characters, and the bytes that spell them.
 *
 * A set becomes sequences of ranges (of bytes, or of hexadecimal digits where characters are escaped), and these a small tree of byte nodes.
 * Where one of a sequence's ranges holds more than one value, everything is possible behind it; so at each place two sequences with the same
 * beginning have ranges that are equal or apart, and the tree needs no more than grouping.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/gram.h"

const struct chars chars_plain[CHARS_PLAIN] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, 0x7e}, {0x80, 0xd7ff}, {0xe000, CHAR_MAX_CODE}};

enum { LONGEST = 12 }; /* \ud83d\ude00 */

struct piece {
    uint8_t lo, hi, hex; /* bytes; or values of a digit */
};
struct sequence {
    struct piece at[LONGEST];
    uint8_t n;
};
struct sequences {
    struct gram_builder *b;
    struct sequence *at;
    size_t n, cap;
};

static int by_lo(const void *pa, const void *pb) {
    const struct chars *a = pa, *b = pb;
    return (a->lo > b->lo) - (a->lo < b->lo);
}

size_t chars_tidy(struct chars *set, size_t n) {
    size_t kept = 0;
    if (n) qsort(set, n, sizeof *set, by_lo);
    for (size_t i = 0; i < n; i++) {
        if (set[i].lo > set[i].hi) continue;
        if (kept && set[i].lo <= set[kept - 1].hi + 1) {
            if (set[i].hi > set[kept - 1].hi) set[kept - 1].hi = set[i].hi;
        } else {
            set[kept++] = set[i];
        }
    }
    return kept;
}

size_t chars_invert(struct chars *set, size_t n) {
    uint32_t from = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct chars c = set[i];
        if (c.lo > from) set[kept++] = (struct chars){from, c.lo - 1};
        from = c.hi + 1;
    }
    if (from <= CHAR_MAX_CODE) set[kept++] = (struct chars){from, CHAR_MAX_CODE};
    return kept;
}

static void add(struct sequences *s, const struct piece *p, size_t n) {
    if (s->b->rc) return;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct sequence *at = mem_array(s->at, cap, sizeof *at);
        if (!at) {
            s->b->rc = err_nomem(s->b->err, "a set of characters", cap * sizeof *at);
            return;
        }
        s->at = at;
        s->cap = cap;
    }
    memcpy(s->at[s->n].at, p, n * sizeof *p);
    s->at[s->n++].n = (uint8_t)n;
}

/* Numbers [lo, hi] as ranges of digits of so many bits, the first digit taking what is above: cut until each range of digits stands for itself.
 * emit gets pieces whose digits are all [lo's, hi's]. */
struct cutter {
    struct sequences *out;
    unsigned bits, digits;
    struct piece prefix[LONGEST];
    size_t n_prefix;
    void (*emit)(struct cutter *c, uint32_t lo, uint32_t hi);
};
static void cut(struct cutter *c, uint32_t lo, uint32_t hi) {
    for (unsigned i = 1; i < c->digits; i++) {
        uint32_t low = (1u << (c->bits * i)) - 1;
        if ((lo & ~low) == (hi & ~low)) continue;
        if (lo & low) {
            cut(c, lo, lo | low);
            cut(c, (lo | low) + 1, hi);
            return;
        }
        if ((hi & low) != low) {
            cut(c, lo, (hi & ~low) - 1);
            cut(c, hi & ~low, hi);
            return;
        }
    }
    c->emit(c, lo, hi);
}

static void emit_utf8(struct cutter *c, uint32_t lo, uint32_t hi) {
    char a[4], b[4];
    struct piece p[4];
    size_t n = utf8_put(a, lo);
    (void)utf8_put(b, hi);
    for (size_t i = 0; i < n; i++) p[i] = (struct piece){(uint8_t)a[i], (uint8_t)b[i], 0};
    add(c->out, p, n);
}

static void emit_hex(struct cutter *c, uint32_t lo, uint32_t hi) {
    struct piece p[LONGEST];
    memcpy(p, c->prefix, c->n_prefix * sizeof *p);
    for (unsigned i = 0; i < 4; i++) {
        unsigned shift = 12 - 4 * i;
        p[c->n_prefix + i] = (struct piece){(uint8_t)(lo >> shift & 15), (uint8_t)(hi >> shift & 15), 1};
    }
    add(c->out, p, c->n_prefix + 4);
}

static const struct piece escape_u[2] = {{'\\', '\\', 0}, {'u', 'u', 0}};

static void hex(struct sequences *s, uint32_t lo, uint32_t hi) {
    struct cutter c = {.out = s, .bits = 4, .digits = 4, .n_prefix = 2, .emit = emit_hex};
    memcpy(c.prefix, escape_u, sizeof escape_u);
    cut(&c, lo, hi);
}

/* The high surrogates [lo >> 10, hi >> 10] have been cut to be either one, or several with every low one. First the ranges of the high, as hex
 * sequences on their own; then each is continued by the low. */
static void emit_pair(struct cutter *c, uint32_t lo, uint32_t hi) {
    struct sequences high = {.b = c->out->b};
    hex(&high, 0xd800 + (lo >> 10), 0xd800 + (hi >> 10));
    for (size_t i = 0; i < high.n; i++) {
        struct cutter low = {.out = c->out, .bits = 4, .digits = 4, .n_prefix = 8, .emit = emit_hex};
        memcpy(low.prefix, high.at[i].at, 6 * sizeof *low.prefix);
        memcpy(low.prefix + 6, escape_u, sizeof escape_u);
        cut(&low, 0xdc00 + (lo & 0x3ff), 0xdc00 + (hi & 0x3ff));
    }
    mem_free(high.at);
}

static uint32_t at_least(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t at_most(uint32_t a, uint32_t b) { return a < b ? a : b; }

static void spell_raw(struct sequences *s, struct chars c) {
    static const struct {
        uint32_t lo, hi;
        unsigned digits;
    } part[] = {{0, 0x7f, 1}, {0x80, 0x7ff, 2}, {0x800, 0xd7ff, 3}, {0xe000, 0xffff, 3}, {0x10000, CHAR_MAX_CODE, 4}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        uint32_t lo = at_least(c.lo, part[i].lo), hi = at_most(c.hi, part[i].hi);
        struct cutter u = {.out = s, .bits = 6, .digits = part[i].digits, .emit = emit_utf8};
        if (lo <= hi) cut(&u, lo, hi);
    }
}

static void spell_json(struct sequences *s, struct chars c) {
    static const struct chars raw[] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, CHAR_MAX_CODE}}; /* spell_raw leaves surrogates out */
    static const struct chars coded[] = {{0, 0x1f}, {0x7f, 0xd7ff}, {0xe000, 0xffff}};
    static const char named[] = "\"\\/\b\f\n\r\t", letter[] = "\"\\/bfnrt";
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        struct chars r = {at_least(c.lo, raw[i].lo), at_most(c.hi, raw[i].hi)};
        if (r.lo <= r.hi) spell_raw(s, r);
    }
    for (size_t i = 0; named[i]; i++) {
        struct piece p[2] = {{'\\', '\\', 0}, {(uint8_t)letter[i], (uint8_t)letter[i], 0}};
        if ((uint32_t)named[i] >= c.lo && (uint32_t)named[i] <= c.hi) add(s, p, 2);
    }
    for (size_t i = 0; i < sizeof coded / sizeof *coded; i++) {
        uint32_t lo = at_least(c.lo, coded[i].lo), hi = at_most(c.hi, coded[i].hi);
        if (lo <= hi) hex(s, lo, hi);
    }
    struct cutter pair = {.out = s, .bits = 10, .digits = 2, .emit = emit_pair};
    if (c.hi >= 0x10000) cut(&pair, at_least(c.lo, 0x10000) - 0x10000, c.hi - 0x10000);
}

static int by_pieces(const void *pa, const void *pb) {
    const struct sequence *a = pa, *b = pb;
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (a->at[i].lo != b->at[i].lo) return a->at[i].lo < b->at[i].lo ? -1 : 1;
    return (a->n > b->n) - (a->n < b->n);
}

static uint32_t digit_edges(struct gram_edge *e, struct piece p, uint32_t to) {
    uint32_t n = 0;
    uint8_t lo = p.lo, hi = p.hi;
    if (!p.hex) {
        e[n++] = (struct gram_edge){to, lo, hi};
        return n;
    }
    if (lo <= 9) e[n++] = (struct gram_edge){to, (uint8_t)('0' + lo), (uint8_t)('0' + (hi < 9 ? hi : 9))};
    if (hi < 10) return n;
    uint8_t from = lo > 10 ? (uint8_t)(lo - 10) : 0, until = (uint8_t)(hi - 10);
    e[n++] = (struct gram_edge){to, (uint8_t)('A' + from), (uint8_t)('A' + until)};
    e[n++] = (struct gram_edge){to, (uint8_t)('a' + from), (uint8_t)('a' + until)};
    return n;
}

/* The node for sequences [from, to), which agree in their first `depth` pieces. Recursion ends with the longest sequence. */
static uint32_t tree(const struct sequences *s, size_t from, size_t to, size_t depth, uint32_t next) {
    struct gram_edge edges[256];
    uint32_t n = 0;
    while (from < to && !s->b->rc) {
        struct piece p = s->at[from].at[depth];
        size_t end = from + 1;
        while (end < to && s->at[end].at[depth].lo == p.lo) end++;
        uint32_t child = s->at[from].n == depth + 1 ? next : tree(s, from, end, depth + 1, next);
        n += digit_edges(edges + n, p, child);
        from = end;
    }
    return gram_bytes(s->b, edges, n);
}

static bool covers_plain(const struct chars *set, size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < CHARS_PLAIN; i++) {
        while (k < n && set[k].hi < chars_plain[i].lo) k++;
        if (k == n || set[k].lo > chars_plain[i].lo || set[k].hi < chars_plain[i].hi) return false;
    }
    return true;
}

uint32_t gram_chars(struct gram_builder *b, const struct chars *set, size_t n, enum char_spelling spelling, uint32_t next) {
    struct sequences s = {.b = b};
    for (size_t i = 0; i < n; i++) {
        if (spelling == SPELL_RAW)
            spell_raw(&s, set[i]);
        else
            spell_json(&s, set[i]);
    }
    if (s.n) qsort(s.at, s.n, sizeof *s.at, by_pieces);
    uint32_t node = b->rc ? GRAM_FAIL : tree(&s, 0, s.n, 0, next);
    mem_free(s.at);
    if (node && covers_plain(set, n)) {
        b->g.nodes[node].plain = PLAIN_MAYBE;
        b->g.nodes[node].arg = next;
    }
    return node;
}
