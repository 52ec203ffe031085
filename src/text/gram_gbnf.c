/* gram_gbnf.c: reading GBNF (grammar_parse_gbnf), the notation of llama.cpp.
 *
 *     grammar  = { rule }                          rule     = name "::=" choice end-of-line
 *     choice   = sequence { "|" sequence }         sequence = { item { "*" | "+" | "?" | "{m}" | "{m,}" | "{m,n}" } }
 *     item     = name | "text" | [characters] | [^characters] | "." | "(" choice ")"          # comment
 *
 * Lines may break inside parentheses, behind "::=" and around "|". The text becomes a tree first, since nodes are made from their end
 * backwards; the tree is the arena's and goes when parsing ends. Errors have a line and a column.
 */
#include <stdio.h>
#include <string.h>

#include "base/strmap.h"
#include "base/utf8.h"
#include "text/gram.h"

enum {
    NESTING_MAX = 100,     /* parentheses inside one another */
    REPEAT_MAX = 1 << 24,  /* in {m,n} */
    UNROLL_MAX = 3,        /* repetitions that are written out */
    EMPTY_REPEAT_MAX = 64, /* of an item that may be empty */
    CLASS_MAX = 4096,      /* ranges in one pair of brackets */
    TREE_MEMORY = 64 << 20,
};

enum kind { TEXT, CHARS, NAME, SEQUENCE, CHOICE, REPEAT };
struct tree {
    enum kind kind;
    struct slice text;       /* TEXT: what it stands for */
    struct chars *set;       /* CHARS */
    size_t n;                /* CHARS */
    struct tree *first;      /* SEQUENCE, CHOICE, REPEAT: what is in it */
    struct tree *next;       /* the next in the sequence or choice that this is in */
    uint32_t symbol;         /* NAME */
    uint32_t min, max;       /* REPEAT */
};

struct symbol {
    struct slice name;
    size_t used_at, defined_at; /* offsets in the source */
    struct tree *body;          /* NULL: not defined */
    uint32_t rule;
};

struct parser {
    struct slice src;
    size_t at;
    struct arena mem;
    struct strmap names;
    struct symbol *symbols;
    uint32_t n_symbols, cap_symbols;
    uint32_t *owner; /* the symbol that each of the builder's rules belongs to: bodies of loops are rules too */
    uint32_t cap_owner;
    struct gram_builder b;
};

/* ---- errors ---- */

static int fail_at(struct parser *p, size_t at, const char *what, struct slice about) {
    unsigned line = 1, column = 1;
    char quoted[80];
    for (size_t i = 0; i < at && i < p->src.n; i++) {
        column = p->src.p[i] == '\n' ? 1 : column + 1;
        line += p->src.p[i] == '\n';
    }
    if (about.p) return gram_fail(&p->b, ERR_FORMAT, "grammar:%u:%u: %s '%s'", line, column, what, err_quote(quoted, sizeof quoted, about.p, about.n));
    return gram_fail(&p->b, ERR_FORMAT, "grammar:%u:%u: %s", line, column, what);
}
static int fail(struct parser *p, const char *what) { return fail_at(p, p->at, what, (struct slice){0}); }

static void *make(struct parser *p, size_t count, size_t size) {
    void *made = p->b.rc ? NULL : arena_array(&p->mem, count, size);
    if (!made && !p->b.rc) p->b.rc = err_nomem(p->b.err, "the tree of a grammar", count * size);
    return made;
}

/* ---- characters of the source ---- */

static int peek(const struct parser *p) { return p->at < p->src.n ? (uint8_t)p->src.p[p->at] : -1; }
static bool is_name(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

static void skip_space(struct parser *p, bool lines) {
    for (;;) {
        int c = peek(p);
        if (c == '#')
            while (peek(p) >= 0 && peek(p) != '\n') p->at++;
        else if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && lines))
            p->at++;
        else
            return;
    }
}

static bool take(struct parser *p, const char *word) {
    size_t n = strlen(word);
    if (p->src.n - p->at < n || memcmp(p->src.p + p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

/* `digits` hexadecimal digits of a character's number */
static bool take_hex(struct parser *p, int digits, uint32_t *code) {
    uint32_t v = 0;
    for (int i = 0; i < digits; i++) {
        int c = peek(p), d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0) return !fail(p, "a hexadecimal digit is missing");
        v = v << 4 | (uint32_t)d;
        p->at++;
    }
    *code = v;
    if (v <= CHAR_MAX_CODE && (v < 0xd800 || v > 0xdfff)) return true;
    return !fail(p, "there is no such character");
}

/* One character inside quotes or brackets, escaped or not. */
static bool take_char(struct parser *p, uint32_t *code) {
    static const char plain[] = "\\\"[]-^'/.";
    if (peek(p) < 0 || peek(p) == '\n') return !fail(p, "the closing quote or bracket is missing");
    if (peek(p) != '\\') {
        size_t n = utf8_char(p->src.p + p->at, p->src.n - p->at, code);
        if (!n) return !fail(p, "not UTF-8");
        p->at += n;
        return true;
    }
    p->at++;
    int c = peek(p);
    if (c < 0) return !fail(p, "the closing quote or bracket is missing");
    p->at++;
    switch (c) {
    case 'x': return take_hex(p, 2, code);
    case 'u': return take_hex(p, 4, code);
    case 'U': return take_hex(p, 8, code);
    case 't': *code = '\t'; return true;
    case 'r': *code = '\r'; return true;
    case 'n': *code = '\n'; return true;
    default: break;
    }
    p->at--;
    if (!strchr(plain, c)) return !fail(p, "this escape is not known");
    p->at++;
    *code = (uint32_t)c;
    return true;
}

/* ---- the tree ---- */

static struct tree *leaf(struct parser *p, enum kind kind) {
    struct tree *t = make(p, 1, sizeof *t);
    if (t) t->kind = kind;
    return t;
}

static struct tree *parse_text(struct parser *p) {
    struct tree *t = leaf(p, TEXT);
    size_t room = 0;
    for (size_t i = ++p->at; i < p->src.n && p->src.p[i] != '"' && p->src.p[i] != '\n'; i++) {
        if (p->src.p[i] == '\\') i++;
        room += 2; /* the longest escape in the fewest signs: \x and two digits give two bytes */
    }
    char *text = make(p, room + 4, 1);
    while (text && !p->b.rc && peek(p) != '"') {
        uint32_t code;
        if (take_char(p, &code)) t->text.n += utf8_put(text + t->text.n, code);
    }
    if (p->b.rc || !t) return NULL;
    t->text.p = text;
    p->at++;
    return t;
}

static struct tree *parse_class(struct parser *p) {
    struct tree *t = leaf(p, CHARS);
    p->at++;
    bool inverted = take(p, "^");
    size_t start = p->at, n = 0, cap = 0;
    for (size_t i = p->at; i < p->src.n && p->src.p[i] != ']' && p->src.p[i] != '\n'; i++, cap++)
        if (p->src.p[i] == '\\') i++;
    if (cap > CLASS_MAX) (void)fail(p, "too many characters in one pair of brackets");
    struct chars *set = make(p, cap + 2, sizeof *set);
    while (set && !p->b.rc && peek(p) != ']') {
        uint32_t lo, hi;
        if (!take_char(p, &lo)) break;
        hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->src.n && p->src.p[p->at + 1] != ']') {
            p->at++;
            if (!take_char(p, &hi)) break;
            if (hi < lo) (void)fail(p, "the range of characters runs backwards");
        }
        set[n++] = (struct chars){lo, hi};
    }
    if (p->b.rc || !t) return NULL;
    if (n == 0 && !inverted) {
        p->at = start;
        (void)fail(p, "no characters in the brackets");
        return NULL;
    }
    p->at++;
    n = chars_tidy(set, n);
    t->n = inverted ? chars_invert(set, n) : n;
    t->set = set;
    return t;
}

/* The symbol of this name, made if it is new. */
static uint32_t symbol_of(struct parser *p, struct slice name, size_t at) {
    uint32_t k = p->n_symbols;
    if (strmap_get(&p->names, name, &k)) return k;
    if (k == p->cap_symbols) {
        uint32_t cap = p->cap_symbols ? p->cap_symbols * 2 : 32;
        struct symbol *wider = make(p, cap, sizeof *wider);
        if (!wider) return 0;
        if (k) memcpy(wider, p->symbols, k * sizeof *wider);
        p->symbols = wider;
        p->cap_symbols = cap;
    }
    if (strmap_put(&p->names, name, k) < 0) {
        p->b.rc = err_nomem(p->b.err, "the names of a grammar", 0);
        return 0;
    }
    p->symbols[k] = (struct symbol){.name = name, .used_at = at};
    p->n_symbols++;
    return k;
}

static struct slice take_name(struct parser *p) {
    size_t from = p->at;
    while (is_name(peek(p))) p->at++;
    return (struct slice){p->src.p + from, p->at - from};
}

static bool take_number(struct parser *p, uint32_t *n) {
    size_t from = p->at;
    uint32_t v = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++)
        if ((v = v * 10 + (uint32_t)(peek(p) - '0')) > REPEAT_MAX) return !fail(p, "too many repetitions");
    *n = v;
    return p->at > from || !fail(p, "a number is missing");
}

static bool parse_bounds(struct parser *p, uint32_t *min, uint32_t *max) {
    skip_space(p, true);
    if (!take_number(p, min)) return false;
    *max = *min;
    skip_space(p, true);
    if (take(p, ",")) {
        skip_space(p, true);
        *max = GRAM_INF;
        if (peek(p) != '}' && !take_number(p, max)) return false;
        skip_space(p, true);
    }
    if (!take(p, "}")) return !fail(p, "'}' is missing");
    return *max >= *min || !fail(p, "the bounds of the repetition run backwards");
}

/* Takes the signs of repetition behind an item. */
static struct tree *parse_repeats(struct parser *p, struct tree *item, bool lines) {
    for (int many = 0; item && !p->b.rc; many++) {
        uint32_t min = 0, max = GRAM_INF;
        skip_space(p, lines);
        if (take(p, "+"))
            min = 1;
        else if (take(p, "?"))
            max = 1;
        else if (take(p, "{")) {
            if (!parse_bounds(p, &min, &max)) return NULL;
        } else if (!take(p, "*"))
            break;
        if (many == NESTING_MAX) {
            (void)fail(p, "too many repetitions of repetitions");
            return NULL;
        }
        struct tree *t = leaf(p, REPEAT);
        if (!t) return NULL;
        t->first = item;
        t->min = min;
        t->max = max;
        item = t;
    }
    return item;
}

static struct tree *parse_choice(struct parser *p, int depth);

static struct tree *parse_item(struct parser *p, int depth) {
    struct tree *t = NULL;
    size_t from = p->at;
    int c = peek(p);
    if (c == '"') return parse_text(p);
    if (c == '[') return parse_class(p);
    if (c == '.') {
        if ((t = leaf(p, CHARS)) && (t->set = make(p, 1, sizeof *t->set))) t->set[t->n++] = (struct chars){0, CHAR_MAX_CODE};
        p->at++;
    } else if (c == '(') {
        p->at++;
        if (depth == NESTING_MAX) {
            (void)fail(p, "parentheses are nested too deep");
            return NULL;
        }
        t = parse_choice(p, depth + 1);
        if (!p->b.rc && !take(p, ")")) (void)fail(p, "')' is missing");
    } else if (is_name(c)) {
        struct slice name = take_name(p);
        if ((t = leaf(p, NAME))) t->symbol = symbol_of(p, name, from);
    } else if (c == '<' || c == '!') {
        (void)gram_fail(&p->b, ERR_UNSUPPORTED, "grammar, byte %zu: tokens as terminals are not supported: write their text in quotes", from);
    }
    return p->b.rc ? NULL : t;
}

static struct tree *parse_sequence(struct parser *p, int depth) {
    struct tree *all = leaf(p, SEQUENCE), **end = all ? &all->first : NULL;
    while (all && !p->b.rc) {
        skip_space(p, depth > 0);
        size_t from = p->at;
        struct tree *item = parse_item(p, depth);
        if (!item || p->at == from) break;
        if (!(item = parse_repeats(p, item, depth > 0))) break;
        *end = item;
        end = &item->next;
    }
    return p->b.rc ? NULL : all;
}

/* Whether a "|" comes, perhaps on the next line. */
static bool take_bar(struct parser *p) {
    size_t from = p->at;
    skip_space(p, true);
    if (take(p, "|")) {
        skip_space(p, true);
        return true;
    }
    p->at = from;
    return false;
}

static struct tree *parse_choice(struct parser *p, int depth) {
    struct tree *all = leaf(p, CHOICE), **end = all ? &all->first : NULL;
    while (all && !p->b.rc) {
        struct tree *one = parse_sequence(p, depth);
        if (!one) break;
        *end = one;
        end = &one->next;
        if (!take_bar(p)) break;
    }
    return p->b.rc ? NULL : all;
}

static void parse_rule(struct parser *p) {
    size_t from = p->at;
    struct slice name = take_name(p);
    if (name.n == 0) {
        (void)fail(p, "the name of a rule is missing");
        return;
    }
    skip_space(p, false);
    if (!take(p, "::=")) {
        (void)fail(p, "'::=' is missing");
        return;
    }
    skip_space(p, true);
    uint32_t k = symbol_of(p, name, from);
    if (!p->b.rc && p->symbols[k].body) {
        (void)fail_at(p, from, "there is another rule", name);
        return;
    }
    struct tree *body = parse_choice(p, 0);
    skip_space(p, false);
    if (!p->b.rc && peek(p) >= 0 && peek(p) != '\n') (void)fail(p, "a rule cannot go on like this");
    if (p->b.rc) return;
    p->symbols[k].body = body;
    p->symbols[k].defined_at = from;
}

/* ---- from tree to nodes ---- */

static uint32_t rule_new(struct parser *p, uint32_t symbol) {
    uint32_t rule = gram_rule_new(&p->b);
    if (rule >= p->cap_owner && !p->b.rc) {
        uint32_t cap = p->cap_owner ? p->cap_owner * 2 : 64;
        uint32_t *wider = make(p, cap, sizeof *wider);
        if (!wider) return 0;
        if (p->cap_owner) memcpy(wider, p->owner, p->cap_owner * sizeof *wider);
        p->owner = wider;
        p->cap_owner = cap;
    }
    if (!p->b.rc) p->owner[rule] = symbol;
    return rule;
}

static uint32_t compile(struct parser *p, uint32_t symbol, const struct tree *t, uint32_t next);

static uint32_t compile_repeat(struct parser *p, uint32_t symbol, const struct tree *t, uint32_t next) {
    struct gram_builder *b = &p->b;
    if (t->max == GRAM_INF && t->min <= 1) {
        uint32_t again = gram_split_new(b), body = compile(p, symbol, t->first, again);
        gram_split_set(b, again, (uint32_t[]){body, next}, 2);
        return t->min ? body : again;
    }
    if (t->max <= UNROLL_MAX) {
        uint32_t node = next;
        for (uint32_t i = t->max; i-- > 0 && !b->rc;) {
            node = compile(p, symbol, t->first, node);
            if (i >= t->min) node = gram_split(b, (uint32_t[]){node, next}, 2);
        }
        return node;
    }
    uint32_t rule = rule_new(p, symbol);
    uint32_t body = compile(p, symbol, t->first, GRAM_RETURN);
    if (b->rc) return GRAM_FAIL;
    b->g.rules[rule] = body;
    uint32_t count = gram_count_new(b, (struct gram_count){.min = t->min, .max = t->max, .rule = rule});
    return gram_node(b, (struct gram_node){.kind = GRAM_LOOP, .next = next, .arg = count});
}

/* A sequence is compiled from its end; its items are linked the other way, so they are listed first. */
static uint32_t compile_sequence(struct parser *p, uint32_t symbol, const struct tree *t, uint32_t next) {
    size_t n = 0;
    for (const struct tree *c = t->first; c; c = c->next) n++;
    const struct tree **items = make(p, n + 1, sizeof(void *));
    if (!items) return GRAM_FAIL;
    n = 0;
    for (const struct tree *c = t->first; c; c = c->next) items[n++] = c;
    while (n > 0 && !p->b.rc) next = compile(p, symbol, items[--n], next);
    return next;
}

static uint32_t compile_choice(struct parser *p, uint32_t symbol, const struct tree *t, uint32_t next) {
    uint32_t n = 0;
    for (const struct tree *c = t->first; c; c = c->next) n++;
    uint32_t *to = make(p, n, sizeof *to);
    if (!to) return GRAM_FAIL;
    n = 0;
    for (const struct tree *c = t->first; c && !p->b.rc; c = c->next) to[n++] = compile(p, symbol, c, next);
    return p->b.rc ? GRAM_FAIL : gram_split(&p->b, to, n);
}

/* The recursion is bounded by the nesting of the tree, which is. */
static uint32_t compile(struct parser *p, uint32_t symbol, const struct tree *t, uint32_t next) {
    if (p->b.rc) return GRAM_FAIL;
    switch (t->kind) {
    case TEXT: return gram_text(&p->b, t->text, next);
    case CHARS: return gram_chars(&p->b, t->set, t->n, SPELL_RAW, next);
    case NAME: return gram_call(&p->b, p->symbols[t->symbol].rule, next);
    case SEQUENCE: return compile_sequence(p, symbol, t, next);
    case CHOICE: return compile_choice(p, symbol, t, next);
    case REPEAT: return compile_repeat(p, symbol, t, next);
    }
    return GRAM_FAIL;
}

static void compile_all(struct parser *p, uint32_t root) {
    p->symbols[root].rule = rule_new(p, root); /* the start is rule 0 */
    for (uint32_t i = 0; i < p->n_symbols && !p->b.rc; i++) {
        if (!p->symbols[i].body) (void)fail_at(p, p->symbols[i].used_at, "there is no rule", p->symbols[i].name);
        if (i != root) p->symbols[i].rule = rule_new(p, i);
    }
    for (uint32_t i = 0; i < p->n_symbols && !p->b.rc; i++) {
        uint32_t node = compile(p, i, p->symbols[i].body, GRAM_RETURN);
        if (!p->b.rc) p->b.g.rules[p->symbols[i].rule] = node;
    }
}

static void check_recursion(struct parser *p) {
    uint32_t rule;
    uint8_t *nullable = make(p, p->b.g.n_rules, 1);
    if (!nullable || gram_left_recursion(&p->b, &rule, nullable)) return;
    if (rule != GRAM_INF) {
        const struct symbol *s = &p->symbols[p->owner[rule]];
        (void)fail_at(p, s->defined_at, "this rule can begin with itself (left recursion): write it with repetition:", s->name);
    }
    for (uint32_t i = 0; i < p->b.g.n_counts && !p->b.rc; i++) {
        struct gram_count *loop = &p->b.g.counts[i];
        if (!nullable[loop->rule]) continue;
        loop->min = 0; /* what is missing may be empty */
        const struct symbol *s = &p->symbols[p->owner[loop->rule]];
        if (loop->max != GRAM_INF && loop->max > EMPTY_REPEAT_MAX)
            (void)fail_at(p, s->defined_at, "an item that may be empty is repeated too often in rule", s->name);
    }
}

int gbnf_rules(struct gram_builder *b, struct slice source, uint32_t *root) {
    struct parser p = {.src = source, .mem = {.limit = TREE_MEMORY}, .b = *b};
    uint32_t start = 0;
    if (source.n > GRAMMAR_SOURCE_MAX) (void)gram_fail(&p.b, ERR_FORMAT, "grammar: longer than %d bytes", GRAMMAR_SOURCE_MAX);
    for (skip_space(&p, true); p.at < source.n && !p.b.rc; skip_space(&p, true)) parse_rule(&p);
    if (!p.b.rc && (!strmap_get(&p.names, SLICE("root"), &start) || !p.symbols[start].body))
        (void)gram_fail(&p.b, ERR_FORMAT, "grammar: there is no rule 'root'");
    if (!p.b.rc) compile_all(&p, start);
    if (!p.b.rc) check_recursion(&p);
    if (!p.b.rc) *root = p.symbols[start].rule;
    *b = p.b;
    strmap_free(&p.names);
    arena_free(&p.mem);
    return b->rc;
}

int grammar_parse_gbnf(struct grammar **g, struct slice source, struct err *e) {
    struct gram_builder b;
    uint32_t root;
    *g = NULL;
    gram_begin(&b, e);
    if (gbnf_rules(&b, source, &root) == 0 && gram_finish(&b, g) == ERR_FORMAT) (void)err_in(e, "grammar");
    int rc = b.rc;
    gram_abandon(&b);
    return rc;
}
