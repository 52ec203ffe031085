/* schema_pattern.c: patterns (lang_pattern): ECMAScript's regular expressions in Unicode mode, as far as they are regular.
 *
 * A pattern becomes a tree, the tree a nondeterministic automaton, and that a deterministic one. Anchors are read as two characters that no string
 * has: the string s is looked at as BEGIN s END, and "^" and "$" read those. What may stand before and behind the pattern is then either nothing,
 * where an anchor has read the mark, or the mark and anything. All memory is the arena's.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/schema_lang.h"

enum {
    MARK_BEGIN = CHAR_MAX_CODE + 1,
    MARK_END = CHAR_MAX_CODE + 2,
    DEPTH_MAX = 60,        /* groups inside one another */
    NODES_MAX = 20000,     /* of the nondeterministic automaton */
    REPEAT_MAX = 1 << 24,
    WRITE_OUT_MAX = 100,   /* larger bounds of a pattern that is one repetition become bounds of its length */
};

enum kind { SET, BEGIN, END, CONCAT, CHOICE, REPEAT };
struct tree {
    enum kind kind;
    struct chars *set;
    size_t n;
    struct tree *first, *next; /* parts; the next part of the same whole */
    uint32_t min, max;
    bool begins, ends; /* whether there is an anchor in it */
};

struct parser {
    struct langs *l;
    struct slice src;
    size_t at;
};

static int fail(struct parser *p, int code, const char *what) {
    char quoted[100];
    if (!p->l->rc)
        p->l->rc = err_set(p->l->err, code, "pattern '%s', byte %zu: %s", err_quote(quoted, sizeof quoted, p->src.p, p->src.n), p->at, what);
    return p->l->rc;
}

static void *make(struct parser *p, size_t n, size_t size) {
    void *made = p->l->rc ? NULL : arena_array(p->l->mem, n ? n : 1, size);
    if (!made && !p->l->rc) p->l->rc = err_nomem(p->l->err, "a pattern", n * size);
    return made;
}

static struct tree *leaf(struct parser *p, enum kind kind) {
    struct tree *t = make(p, 1, sizeof *t);
    if (t) t->kind = kind;
    return t;
}

static int peek(const struct parser *p) { return p->at < p->src.n ? (uint8_t)p->src.p[p->at] : -1; }
static bool take(struct parser *p, const char *word) {
    size_t n = strlen(word);
    if (p->src.n - p->at < n || memcmp(p->src.p + p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

/* ---- sets of characters ---- */

static const struct chars digits[] = {{'0', '9'}};
static const struct chars words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct chars spaces[] = {{9, 13}, {32, 32}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
static const struct chars line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

/* A growing set. */
struct set {
    struct chars *at;
    size_t n, cap;
};
static void set_add(struct parser *p, struct set *s, const struct chars *more, size_t n) {
    if (s->n + n + 1 > s->cap) { /* one more than needed: room for inversion */
        size_t cap = s->cap * 2 > s->n + n + 1 ? s->cap * 2 : s->n + n + 8;
        struct chars *wider = make(p, cap, sizeof *wider);
        if (!wider) return;
        if (s->n) memcpy(wider, s->at, s->n * sizeof *wider);
        s->at = wider;
        s->cap = cap;
    }
    if (n) memcpy(s->at + s->n, more, n * sizeof *more);
    s->n += n;
}
static void set_invert(struct set *s) { s->n = s->at ? chars_invert(s->at, chars_tidy(s->at, s->n)) : 0; }
static void set_add_inverted(struct parser *p, struct set *s, const struct chars *more, size_t n) {
    struct set other = {0};
    set_add(p, &other, more, n);
    set_invert(&other);
    set_add(p, s, other.at, other.n);
}

/* \p{...}: general categories by their short names, and a few long ones. */
static void set_property(struct parser *p, struct set *s, bool inverted) {
    static const char *const two[] = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
                                      "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};
    static const char *const longer[][2] = {{"Letter", "L"}, {"Number", "N"}, {"Punctuation", "P"}, {"Symbol", "S"}, {"Mark", "M"}, {"Separator", "Z"}, {"Other", "C"},
                                            {"Uppercase_Letter", "Lu"}, {"Lowercase_Letter", "Ll"}, {"Decimal_Number", "Nd"}, {"digit", "Nd"}, {"punct", "P"}, {"Space_Separator", "Zs"}};
    size_t from = p->at;
    while (peek(p) >= 0 && peek(p) != '}') p->at++;
    struct slice name = {p->src.p + from, p->at - from};
    if (!take(p, "}")) {
        (void)fail(p, ERR_FORMAT, "the closing brace is missing");
        return;
    }
    if (name.n > 17 && memcmp(name.p, "General_Category=", 17) == 0) name = (struct slice){name.p + 17, name.n - 17};
    if (name.n > 3 && memcmp(name.p, "gc=", 3) == 0) name = (struct slice){name.p + 3, name.n - 3};
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        if (slice_is(name, longer[i][0])) name = slice_of(longer[i][1]);
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < sizeof two / sizeof *two; i++)
        if ((name.n == 1 && name.p[0] == two[i][0]) || slice_is(name, two[i])) wanted |= 1u << i;
    if (!wanted) {
        (void)fail(p, ERR_UNSUPPORTED, "this property of characters is not known here");
        return;
    }
    for (uint32_t c = 0, start = 0; c <= CHAR_MAX_CODE + 1 && !p->l->rc; c++) {
        bool in = c <= CHAR_MAX_CODE && ((wanted >> utf8proc_category((utf8proc_int32_t)c) & 1) != 0) != inverted;
        if (in) continue;
        if (c > start) set_add(p, s, &(struct chars){start, c - 1}, 1);
        start = c + 1;
    }
}

/* digits of hexadecimal: exactly n, or any number up to a closing brace */
static bool take_hex(struct parser *p, int n, uint32_t *code) {
    uint32_t v = 0;
    int taken = 0;
    for (; n == 0 || taken < n; taken++) {
        int c = peek(p), d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0) break;
        if ((v = v << 4 | (uint32_t)d) > CHAR_MAX_CODE) return !fail(p, ERR_FORMAT, "there is no such character");
        p->at++;
    }
    *code = v;
    if (n == 0) return (taken > 0 && take(p, "}")) || !fail(p, ERR_FORMAT, "hexadecimal digits and '}' are missing");
    return taken == n || !fail(p, ERR_FORMAT, "a hexadecimal digit is missing");
}

/* Behind a backslash: one character (true), or a set that is added (false). */
static bool take_escape(struct parser *p, struct set *s, uint32_t *code) {
    int c = peek(p);
    uint32_t low;
    if (c < 0) return !fail(p, ERR_FORMAT, "nothing follows the backslash");
    size_t n = utf8_char(p->src.p + p->at, p->src.n - p->at, code);
    p->at += n ? n : 1;
    switch (c) {
    case 'd': set_add(p, s, digits, 1); return false;
    case 'D': set_add_inverted(p, s, digits, 1); return false;
    case 'w': set_add(p, s, words, 4); return false;
    case 'W': set_add_inverted(p, s, words, 4); return false;
    case 's': set_add(p, s, spaces, sizeof spaces / sizeof *spaces); return false;
    case 'S': set_add_inverted(p, s, spaces, sizeof spaces / sizeof *spaces); return false;
    case 'p':
    case 'P':
        if (!take(p, "{")) return !fail(p, ERR_FORMAT, "'{' is missing");
        set_property(p, s, c == 'P');
        return false;
    case 't': *code = '\t'; return true;
    case 'n': *code = '\n'; return true;
    case 'r': *code = '\r'; return true;
    case 'f': *code = '\f'; return true;
    case 'v': *code = '\v'; return true;
    case '0': *code = 0; return true;
    case 'x': return take_hex(p, 2, code);
    case 'c':
        if (peek(p) < 0) return !fail(p, ERR_FORMAT, "a letter is missing");
        *code = (uint32_t)peek(p) & 31;
        p->at++;
        return true;
    case 'u':
        if (take(p, "{")) return take_hex(p, 0, code);
        if (!take_hex(p, 4, code)) return false;
        if (*code >= 0xd800 && *code < 0xdc00 && take(p, "\\u") && take_hex(p, 4, &low)) *code = 0x10000 + ((*code - 0xd800) << 10) + (low & 0x3ff);
        return true;
    default: break;
    }
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || n == 0) return !fail(p, ERR_UNSUPPORTED, "this escape is not supported");
    return true;
}

static bool take_char(struct parser *p, uint32_t *code) {
    size_t n = utf8_char(p->src.p + p->at, p->src.n - p->at, code);
    p->at += n;
    return n > 0 || !fail(p, ERR_FORMAT, "not UTF-8");
}

/* One member of a class: true when it is a single character, which may begin a range. */
static bool class_member(struct parser *p, struct set *s, uint32_t *code) {
    if (!take(p, "\\")) return take_char(p, code);
    if (take(p, "b")) {
        *code = '\b';
        return true;
    }
    if (take(p, "-")) {
        *code = '-';
        return true;
    }
    return take_escape(p, s, code);
}

static struct tree *parse_class(struct parser *p) {
    struct tree *t = leaf(p, SET);
    struct set s = {0};
    bool inverted = take(p, "^");
    set_add(p, &s, NULL, 0);
    while (!p->l->rc && !take(p, "]")) {
        uint32_t lo = 0, hi;
        if (peek(p) < 0) {
            (void)fail(p, ERR_FORMAT, "']' is missing");
            break;
        }
        if (!class_member(p, &s, &lo)) continue;
        hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->src.n && p->src.p[p->at + 1] != ']') {
            p->at++;
            struct set other = {0};
            if (!class_member(p, &other, &hi)) { /* [a-\d]: three members */
                set_add(p, &s, (struct chars[]){{lo, lo}, {'-', '-'}}, 2);
                set_add(p, &s, other.at, other.n);
                continue;
            }
            if (hi < lo) (void)fail(p, ERR_FORMAT, "the range of characters runs backwards");
        }
        set_add(p, &s, &(struct chars){lo, hi}, 1);
    }
    if (p->l->rc || !t) return NULL;
    s.n = chars_tidy(s.at, s.n);
    if (inverted) s.n = chars_invert(s.at, s.n);
    t->set = s.at;
    t->n = s.n;
    return t;
}

/* ---- the tree ---- */

static struct tree *parse_choice(struct parser *p, int depth);

static struct tree *parse_group(struct parser *p, int depth) {
    if (take(p, "?")) {
        bool named = peek(p) == '<' && p->at + 1 < p->src.n && p->src.p[p->at + 1] != '=' && p->src.p[p->at + 1] != '!';
        if (named) {
            while (peek(p) >= 0 && peek(p) != '>') p->at++;
            if (!take(p, ">")) (void)fail(p, ERR_FORMAT, "'>' is missing");
        } else if (!take(p, ":")) {
            (void)fail(p, ERR_UNSUPPORTED, "look-around and flags are not supported");
        }
    }
    if (depth == DEPTH_MAX) (void)fail(p, ERR_UNSUPPORTED, "groups are nested too deep");
    struct tree *t = p->l->rc ? NULL : parse_choice(p, depth + 1);
    if (t && !take(p, ")")) (void)fail(p, ERR_FORMAT, "')' is missing");
    return t;
}

static struct tree *parse_atom(struct parser *p, int depth) {
    struct set s = {0};
    uint32_t code = 0;
    if (take(p, "(")) return parse_group(p, depth);
    if (take(p, "[")) return parse_class(p);
    if (take(p, "^") || take(p, "$")) {
        struct tree *anchor = leaf(p, p->src.p[p->at - 1] == '^' ? BEGIN : END);
        if (anchor) anchor->begins = anchor->kind == BEGIN, anchor->ends = anchor->kind == END;
        return anchor;
    }
    if (peek(p) == '*' || peek(p) == '+' || peek(p) == '?') {
        (void)fail(p, ERR_FORMAT, "there is nothing to repeat");
        return NULL;
    }
    struct tree *t = leaf(p, SET);
    if (take(p, "."))
        set_add_inverted(p, &s, line_ends, 3);
    else if (take(p, "\\")) {
        if (peek(p) == 'b' || peek(p) == 'B' || peek(p) == 'k' || (peek(p) >= '1' && peek(p) <= '9'))
            (void)fail(p, ERR_UNSUPPORTED, "word boundaries and back references are not supported");
        if (!p->l->rc && take_escape(p, &s, &code)) set_add(p, &s, &(struct chars){code, code}, 1);
    } else if (take_char(p, &code)) {
        set_add(p, &s, &(struct chars){code, code}, 1);
    }
    if (p->l->rc || !t) return NULL;
    t->n = chars_tidy(s.at, s.n);
    t->set = s.at;
    return t;
}

static bool take_number(struct parser *p, uint32_t *n) {
    size_t from = p->at;
    uint32_t v = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++)
        if ((v = v * 10 + (uint32_t)(peek(p) - '0')) > REPEAT_MAX) return !fail(p, ERR_UNSUPPORTED, "too many repetitions");
    *n = v;
    return p->at > from;
}

/* {m}, {m,} or {m,n}; anything else in braces is text, and the place stays as it was. */
static bool take_bounds(struct parser *p, uint32_t *min, uint32_t *max) {
    size_t from = p->at;
    if (!take(p, "{")) return false;
    bool ok = take_number(p, min);
    *max = *min;
    if (ok && take(p, ",") && !take_number(p, max)) *max = GRAM_INF;
    if (ok && take(p, "}")) return true;
    p->at = from;
    return false;
}

static struct tree *parse_repeats(struct parser *p, struct tree *t) {
    uint32_t min = 0, max = GRAM_INF;
    if (take(p, "+"))
        min = 1;
    else if (take(p, "?"))
        max = 1;
    else if (!take(p, "*") && !take_bounds(p, &min, &max))
        return t;
    (void)take(p, "?"); /* lazy: the same strings */
    if (max < min) (void)fail(p, ERR_FORMAT, "the bounds of the repetition run backwards");
    if ((t->begins || t->ends) && max > 1) (void)fail(p, ERR_UNSUPPORTED, "repeated anchors are not supported");
    struct tree *r = leaf(p, REPEAT);
    if (!r) return NULL;
    *r = (struct tree){.kind = REPEAT, .first = t, .min = min, .max = max, .begins = t->begins, .ends = t->ends};
    return r;
}

static struct tree *parse_concat(struct parser *p, int depth) {
    struct tree *all = leaf(p, CONCAT), **end = all ? &all->first : NULL;
    while (all && !p->l->rc && peek(p) >= 0 && peek(p) != '|' && peek(p) != ')') {
        struct tree *t = parse_atom(p, depth);
        if (!t || !(t = parse_repeats(p, t))) break;
        if ((all->begins && t->begins) || (all->ends && t->ends)) (void)fail(p, ERR_UNSUPPORTED, "one anchor after another is not supported");
        all->begins |= t->begins;
        all->ends |= t->ends;
        *end = t;
        end = &t->next;
    }
    return p->l->rc ? NULL : all;
}

static struct tree *parse_choice(struct parser *p, int depth) {
    struct tree *all = leaf(p, CHOICE), **end = all ? &all->first : NULL;
    while (all && !p->l->rc) {
        struct tree *t = parse_concat(p, depth);
        if (!t) break;
        all->begins |= t->begins;
        all->ends |= t->ends;
        *end = t;
        end = &t->next;
        if (!take(p, "|")) break;
    }
    return p->l->rc ? NULL : all;
}

/* ---- nondeterministic: nodes with up to two ways on, or a set to read ---- */

enum { MATCH = 0 }; /* node 0 */
struct nfa_node {
    const struct chars *set; /* NULL: goes on to both without reading */
    size_t n;
    uint32_t to, other;
};
struct nfa {
    struct parser *p;
    struct nfa_node *at;
    uint32_t n, cap;
};

static uint32_t node(struct nfa *a, struct nfa_node n) {
    if (a->n == NODES_MAX) (void)fail(a->p, ERR_UNSUPPORTED, "too large: use smaller bounds");
    if (a->n == a->cap && !a->p->l->rc) {
        uint32_t cap = a->cap ? a->cap * 2 : 128;
        struct nfa_node *wider = make(a->p, cap, sizeof *wider);
        if (!wider) return MATCH;
        if (a->n) memcpy(wider, a->at, a->n * sizeof *wider);
        a->at = wider;
        a->cap = cap;
    }
    if (a->p->l->rc) return MATCH;
    a->at[a->n] = n;
    return a->n++;
}
static uint32_t fork_to(struct nfa *a, uint32_t to, uint32_t other) { return node(a, (struct nfa_node){.to = to, .other = other}); }
static uint32_t reads(struct nfa *a, const struct chars *set, size_t n, uint32_t to) { return node(a, (struct nfa_node){set, n, to, to}); }

static const struct chars any_char[] = {{0, 0xd7ff}, {0xe000, CHAR_MAX_CODE}}, mark_begin[] = {{MARK_BEGIN, MARK_BEGIN}}, mark_end[] = {{MARK_END, MARK_END}};

static uint32_t build(struct nfa *a, const struct tree *t, uint32_t next);

static uint32_t build_concat(struct nfa *a, const struct tree *t, uint32_t next) {
    size_t n = 0;
    for (const struct tree *c = t->first; c; c = c->next) n++;
    const struct tree **parts = make(a->p, n, sizeof(void *));
    if (!parts) return MATCH;
    n = 0;
    for (const struct tree *c = t->first; c; c = c->next) parts[n++] = c;
    while (n > 0 && !a->p->l->rc) next = build(a, parts[--n], next);
    return next;
}

static uint32_t build_repeat(struct nfa *a, const struct tree *t, uint32_t next) {
    uint32_t at = next;
    if (t->max == GRAM_INF) {
        uint32_t loop = fork_to(a, next, next), body = build(a, t->first, loop);
        if (a->p->l->rc) return MATCH;
        a->at[loop].to = body;
        at = loop;
    } else {
        for (uint32_t i = t->min; i < t->max && !a->p->l->rc; i++) at = fork_to(a, build(a, t->first, at), next);
    }
    for (uint32_t i = 0; i < t->min && !a->p->l->rc; i++) at = build(a, t->first, at);
    return at;
}

static uint32_t build(struct nfa *a, const struct tree *t, uint32_t next) {
    uint32_t at = MATCH;
    if (a->p->l->rc) return MATCH;
    switch (t->kind) {
    case SET: return reads(a, t->set, t->n, next);
    case BEGIN: return reads(a, mark_begin, 1, next);
    case END: return reads(a, mark_end, 1, next);
    case CONCAT: return build_concat(a, t, next);
    case REPEAT: return build_repeat(a, t, next);
    case CHOICE:
        at = build(a, t->first, next);
        for (const struct tree *c = t->first->next; c; c = c->next) at = fork_to(a, build(a, c, next), at);
        return at;
    }
    return at;
}

/* ---- deterministic: sets of reading nodes, and MATCH where it is among them ---- */

struct subset {
    uint32_t first, n;
};
struct item { /* one range that leads to one node */
    uint32_t lo, hi, to;
};
struct maker {
    struct nfa *a;
    struct parser *p;
    uint32_t *members, n_members, cap_members;
    struct subset *sets;
    uint32_t n_sets, cap_sets, *slots, cap_slots;
    uint32_t *stamp, round, *todo, *now, n_now;
    struct item *items;
    uint32_t n_items, cap_items, *points, cap_points;
};

static bool widen(struct parser *p, void **items, uint32_t n, uint32_t need, uint32_t *cap, size_t size) {
    if (need <= *cap) return !p->l->rc;
    uint32_t wider = *cap ? *cap : 64;
    while (wider < need) wider *= 2;
    void *at = make(p, wider, size);
    if (!at) return false;
    if (n) memcpy(at, *items, n * size);
    *items = at;
    *cap = wider;
    return true;
}

static int by_number(const void *pa, const void *pb) {
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return (a > b) - (a < b);
}
static int by_item(const void *pa, const void *pb) {
    const struct item *a = pa, *b = pb;
    return a->lo != b->lo ? (a->lo > b->lo ? 1 : -1) : (a->to > b->to) - (a->to < b->to);
}

/* Adds to `now` what can be reached from a node without reading. */
static void reach(struct maker *m, uint32_t from) {
    uint32_t n = 0;
    if (m->stamp[from] == m->round) return;
    m->stamp[from] = m->round;
    m->todo[n++] = from;
    while (n > 0) {
        uint32_t at = m->todo[--n];
        const struct nfa_node *node_at = &m->a->at[at];
        m->a->p->l->work++;
        if (at == MATCH || node_at->set) {
            m->now[m->n_now++] = at;
            continue;
        }
        const uint32_t ways[2] = {node_at->to, node_at->other};
        for (int i = 0; i < 2; i++)
            if (m->stamp[ways[i]] != m->round) {
                m->stamp[ways[i]] = m->round;
                m->todo[n++] = ways[i];
            }
    }
}

static uint64_t hash_members(const uint32_t *at, uint32_t n) {
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) {
        h = (h ^ at[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return h;
}

/* The number of the set `now`. */
static uint32_t subset_number(struct maker *m) {
    qsort(m->now, m->n_now, sizeof *m->now, by_number);
    if (m->n_sets * 2 >= m->cap_slots) {
        uint32_t cap = m->cap_slots ? m->cap_slots * 2 : 64, *slots = make(m->p, cap, sizeof *slots);
        if (!slots) return 0;
        for (uint32_t i = 0; i < m->n_sets; i++) {
            uint64_t k = hash_members(m->members + m->sets[i].first, m->sets[i].n);
            while (slots[k & (cap - 1)]) k++;
            slots[k & (cap - 1)] = i + 1;
        }
        m->slots = slots;
        m->cap_slots = cap;
    }
    uint64_t k = hash_members(m->now, m->n_now);
    for (uint32_t i; (i = m->slots[k & (m->cap_slots - 1)]) != 0; k++) {
        const struct subset *s = &m->sets[i - 1];
        if (s->n == m->n_now && memcmp(m->members + s->first, m->now, s->n * sizeof *m->now) == 0) return i - 1;
    }
    if (!widen(m->p, (void **)&m->sets, m->n_sets, m->n_sets + 1, &m->cap_sets, sizeof *m->sets) ||
        !widen(m->p, (void **)&m->members, m->n_members, m->n_members + m->n_now, &m->cap_members, sizeof *m->members))
        return 0;
    m->slots[k & (m->cap_slots - 1)] = m->n_sets + 1;
    memcpy(m->members + m->n_members, m->now, m->n_now * sizeof *m->now);
    m->sets[m->n_sets] = (struct subset){m->n_members, m->n_now};
    m->n_members += m->n_now;
    return m->n_sets++;
}

/* All ranges that the members of a set read, and the points where one begins or has ended. */
static uint32_t collect(struct maker *m, struct subset s) {
    uint32_t n = 0;
    m->n_items = 0;
    for (uint32_t i = 0; i < s.n && !m->p->l->rc; i++) {
        const struct nfa_node *at = &m->a->at[m->members[s.first + i]];
        if (m->members[s.first + i] == MATCH) continue;
        if (!widen(m->p, (void **)&m->items, m->n_items, m->n_items + (uint32_t)at->n, &m->cap_items, sizeof *m->items)) return 0;
        for (size_t k = 0; k < at->n; k++) m->items[m->n_items++] = (struct item){at->set[k].lo, at->set[k].hi, at->to};
    }
    if (!widen(m->p, (void **)&m->points, 0, 2 * m->n_items + 1, &m->cap_points, sizeof *m->points)) return 0;
    for (uint32_t i = 0; i < m->n_items; i++) {
        m->points[n++] = m->items[i].lo;
        m->points[n++] = m->items[i].hi + 1;
    }
    if (m->n_items > 1) qsort(m->items, m->n_items, sizeof *m->items, by_item);
    if (n > 1) qsort(m->points, n, sizeof *m->points, by_number);
    return n;
}

/* The edges of one set: between two points the same items are open. Open ones are kept at the front of `items`. */
static void subset_edges(struct maker *m, struct lang_builder *out, struct subset s) {
    uint32_t n_points = collect(m, s), open = 0, next = 0;
    for (uint32_t i = 0; i + 1 < n_points && !m->p->l->rc; i++) {
        uint32_t lo = m->points[i], hi = m->points[i + 1] - 1, kept = 0;
        if (m->points[i] == m->points[i + 1]) continue;
        for (uint32_t k = 0; k < open; k++)
            if (m->items[k].hi >= lo) m->items[kept++] = m->items[k];
        open = kept;
        for (; next < m->n_items && m->items[next].lo == lo; next++) m->items[open++] = m->items[next];
        if (open == 0) continue;
        m->round++;
        m->n_now = 0;
        for (uint32_t k = 0; k < open; k++) reach(m, m->items[k].to);
        if (!lang_worked(m->p->l, open + 1)) return;
        uint32_t to = subset_number(m);
        if (!m->p->l->rc) lang_add_edge(out, lo, hi, to);
    }
}

static uint32_t follow(const struct lang_builder *b, uint32_t state, uint32_t mark) {
    for (uint32_t i = 0; i < b->states[state].n; i++) {
        const struct lang_edge *e = &b->edges[b->states[state].first + i];
        if (e->lo <= mark && e->hi >= mark) return e->to;
    }
    return UINT32_MAX;
}

/* Takes the marks away: the start is behind BEGIN, and an end is where END leads to a match. */
static const struct lang *without_marks(struct langs *l, const struct lang_builder *b, const uint8_t *match) {
    struct lang_builder out = {.l = l};
    uint32_t start = follow(b, 0, MARK_BEGIN);
    if (start == UINT32_MAX) return &lang_none;
    /* the start must be state 0: a new state is put in front, and all others move by one */
    for (uint32_t i = 0; i <= b->n && !l->rc; i++) {
        uint32_t s = i ? i - 1 : start, end = follow(b, s, MARK_END);
        (void)lang_add_state(&out, end != UINT32_MAX && match[end]);
        for (uint32_t k = 0; k < b->states[s].n; k++) {
            struct lang_edge e = b->edges[b->states[s].first + k];
            for (int part = 0; part < 2; part++) { /* the characters are those of lang_all */
                uint32_t lo = e.lo > any_char[part].lo ? e.lo : any_char[part].lo, hi = e.hi < any_char[part].hi ? e.hi : any_char[part].hi;
                if (lo <= hi) lang_add_edge(&out, lo, hi, e.to + 1);
            }
        }
    }
    return l->rc ? &lang_none : lang_finish(&out);
}

static const struct lang *determine(struct nfa *a, uint32_t start) {
    struct langs *l = a->p->l;
    struct maker m = {.a = a, .p = a->p};
    struct lang_builder b = {.l = l};
    m.stamp = make(a->p, a->n, sizeof *m.stamp);
    m.todo = make(a->p, (size_t)a->n + 2, sizeof *m.todo);
    m.now = make(a->p, a->n, sizeof *m.now);
    if (l->rc) return &lang_none;
    m.round = 1;
    reach(&m, start);
    (void)subset_number(&m);
    for (uint32_t i = 0; i < m.n_sets && !l->rc; i++) {
        (void)lang_add_state(&b, false);
        subset_edges(&m, &b, m.sets[i]);
    }
    uint8_t *match = make(a->p, m.n_sets, 1);
    if (!match) return &lang_none;
    for (uint32_t i = 0; i < m.n_sets; i++) match[i] = m.sets[i].n && m.members[m.sets[i].first] == MATCH; /* the least number of all */
    return without_marks(l, &b, match);
}

/* The repetition that the pattern is between its anchors, when it repeats single characters with large bounds. */
static struct tree *long_repeat(const struct tree *t) {
    if (t->kind == CHOICE && !t->first->next) t = t->first;
    struct tree *first = t->kind == CONCAT ? t->first : NULL, *second = first ? first->next : NULL, *third = second ? second->next : NULL;
    if (!third || third->next || first->kind != BEGIN || third->kind != END || second->kind != REPEAT || second->first->kind != SET) return NULL;
    bool large = second->min > WRITE_OUT_MAX || (second->max != GRAM_INF && second->max > WRITE_OUT_MAX);
    return large ? second : NULL;
}

const struct lang *lang_pattern(struct langs *l, struct slice pattern, uint32_t *min, uint32_t *max) {
    struct parser p = {.l = l, .src = pattern};
    struct nfa a = {.p = &p};
    *min = 0;
    *max = GRAM_INF;
    struct tree *t = parse_choice(&p, 0);
    if (!l->rc && p.at < pattern.n) (void)fail(&p, ERR_FORMAT, "')' without '('");
    if (l->rc || !t) return &lang_none;
    struct tree *repeat = long_repeat(t);
    if (repeat) {
        *min = repeat->min;
        *max = repeat->max;
        repeat->min = 0;
        repeat->max = GRAM_INF;
    }
    uint32_t match = fork_to(&a, MATCH, MATCH); /* node 0, never looked behind */
    uint32_t rest = fork_to(&a, match, match), any = reads(&a, any_char, 2, rest), end = reads(&a, mark_end, 1, match);
    if (l->rc) return &lang_none;
    a.at[rest] = (struct nfa_node){.to = any, .other = end};
    uint32_t after = fork_to(&a, match, rest), body = build(&a, t, after);
    uint32_t before = fork_to(&a, body, body), skip = reads(&a, any_char, 2, before), begin = reads(&a, mark_begin, 1, before);
    if (l->rc) return &lang_none;
    a.at[before].other = skip;
    return determine(&a, fork_to(&a, body, begin));
}
