/* test_grammar.c: GBNF: texts that grammars accept and refuse, by hand; errors and their positions; and masks against a matcher of another kind, which
 * knows trees and positions but no automata, on random grammars, for every token at every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/light.h"
#include "base/rng.h"
#include "base/thread.h"
#include "grammar_fixture.h"
#include "vocab_fixture.h"

static struct grammar *gbnf(const char *text) {
    struct grammar *g = NULL;
    struct err e = {0};
    if (grammar_parse_gbnf(&g, slice_of(text), &e)) fail_msg("%s\n%s", e.msg, text);
    return g;
}
static struct matcher *matcher_of(const struct grammar *g, const struct grammar_vocab *v) {
    struct matcher *m = NULL;
    struct err e = {0};
    if (matcher_new(&m, g, v, &e)) fail_msg("%s", e.msg);
    return m;
}

/* ---- by hand ---- */

#define JSON_GRAMMAR \
    "root   ::= object\n" \
    "value  ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n" \
    "object ::=\n" \
    "  \"{\" ws (\n" \
    "            string \":\" ws value\n" \
    "    (\",\" ws string \":\" ws value)*\n" \
    "  )? \"}\" ws\n" \
    "array  ::=\n" \
    "  \"[\" ws (\n" \
    "            value\n" \
    "    (\",\" ws value)*\n" \
    "  )? \"]\" ws\n" \
    "string ::=\n" \
    "  \"\\\"\" (\n" \
    "    [^\"\\\\\\x7F\\x00-\\x1F] |\n" \
    "    \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}) # escapes\n" \
    "  )* \"\\\"\" ws\n" \
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws\n" \
    "# Optional space: by convention, applied in this grammar after literal chars when allowed\n" \
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n"

static const struct {
    const char *grammar;
    const char *yes[10], *no[10];
} cases[] = {
    {"root ::= \"a\"", {"a"}, {"", "b", "aa"}},
    {"root ::= \"a\" | \"bc\" |", {"a", "bc", ""}, {"b", "abc"}},
    {"root ::= x y\nx ::= [a-c]\ny ::= x x", {"abc", "ccc"}, {"ab", "abcd", "abd"}},
    {"root ::= [^a-c]", {"d", "é", "中", "\xf0\x9f\x98\x80", "\n"}, {"a", "", "\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80"}},
    {"root ::= . .", {"ab", "é中", "\n\n"}, {"a", "abc", "\xc3\xa9"}},
    {"root ::= [a-zé中-丯]+", {"abcé", "中", "丮"}, {"", "é\xc3", "丰"}},
    {"root ::= \"\\x41\\u00e9\\U0001F600\\n\\t\\r\\\\\\\"\\[\\]\"", {"Aé\xf0\x9f\x98\x80\n\t\r\\\"[]"}, {"A"}},
    {"root ::= \"a\"? \"b\"* \"c\"+", {"c", "acc", "bbbc", "abc"}, {"", "ab", "aac"}},
    {"root ::= \"ab\"{2}", {"abab"}, {"ab", "ababab", "aba"}},
    {"root ::= \"ab\"{2,}", {"abab", "abababab"}, {"ab", "ababa"}},
    {"root ::= [ab]{ 2 , 5 } \"a\"", {"aaa", "bbbbba", "aaaaaa"}, {"aa", "bbbbbba"}},
    {"root ::= (\"a\" | \"b\" \"c\"){0,1} \"d\"", {"d", "ad", "bcd"}, {"abcd", "bd"}},
    {"root ::= (\"a\"? \"b\"?){2,4}", {"", "a", "abab", "ba", "aaaa"}, {"aaaaa", "c"}},
    {"root ::= (\"a\"*)* \"b\"", {"b", "aaab"}, {"a", "ba"}},
    {"root ::= \"(\" root \")\" | \"x\"", {"x", "(x)", "((((x))))"}, {"(x", "x)", "()"}},
    {"root ::= e\ne ::= t (\"+\" t)*\nt ::= [0-9]+ | \"(\" e \")\"", {"1", "1+2", "(1+2)+3", "((1))"}, {"1+", "+1", "(1"}},
    {"root ::= a\na ::= \"x\" a | \"y\"", {"y", "xxxy"}, {"x", "yx"}},
    {"root ::= p\np ::= \"a\" p \"a\" | \"b\" p \"b\" | \"c\"", {"c", "aca", "abcba"}, {"abcab", "ab"}},
    {"root ::=\n  \"a\"\n  | \"b\"\n\n# a comment\nunused-rule ::= [x] # another\n", {"a", "b"}, {"x"}},
    {"root ::= \"a\"{0} \"b\"", {"b"}, {"ab"}},
    {"root ::= [a\\-z] [-a] [a-]", {"a-a", "--a", "z--"}, {"b-a"}},
    {"root ::= [\\]\\\\^]", {"]", "\\", "^"}, {"a"}},
    {"root ::= \"a\" | \"b\" x\nx ::= \"c\" x", {"a"}, {"b", "bc"}}, /* what can never end is not begun */
    {JSON_GRAMMAR, {"{}", "{\"a\": 1}", "{\"a\":[1, -2.5e+3, true ,null ], \"b\": {\"c\": \"\\u00e9\\n é\"}}", "{\n  \"x\": \"\"\n}"}, {"", "[]", "{\"a\" 1}", "{\"a\": 01}", "{\"a\": \"\n\"}", "{\"a\": 1,}", "{} {"}},
};

static void test_texts(void **state) {
    (void)state;
    static struct grammar_fixture f;
    fixture_open(&f, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grammar *g = gbnf(cases[i].grammar);
        struct matcher *m = matcher_of(g, f.v);
        for (size_t k = 0; k < 10 && cases[i].yes[k]; k++)
            if (!accepts(m, slice_of(cases[i].yes[k]))) fail_msg("refuses '%s':\n%s", cases[i].yes[k], cases[i].grammar);
        for (size_t k = 0; k < 10 && cases[i].no[k]; k++)
            if (accepts(m, slice_of(cases[i].no[k]))) fail_msg("accepts '%s':\n%s", cases[i].no[k], cases[i].grammar);
        matcher_free(m);
        grammar_free(g);
    }
    fixture_close(&f);
}

static const struct {
    const char *grammar;
    int code;
    const char *says;
} errors[] = {
    {"", ERR_FORMAT, "no rule 'root'"},
    {"a ::= \"b\"", ERR_FORMAT, "no rule 'root'"},
    {"root ::= a\nb ::= a | c", ERR_FORMAT, "grammar:1:10: there is no rule 'a'"},
    {"root ::= \"a\"\n  b", ERR_FORMAT, "grammar:2:4: '::=' is missing"},
    {"root ::= \"a", ERR_FORMAT, "grammar:1:12: the closing quote"},
    {"root ::= \"a\nb\"", ERR_FORMAT, "grammar:1:12: the closing quote"},
    {"root ::= [a", ERR_FORMAT, "grammar:1:12: the closing quote or bracket"},
    {"root ::= []", ERR_FORMAT, "grammar:1:11: no characters"},
    {"root ::= [z-a]", ERR_FORMAT, "grammar:1:14: the range of characters runs backwards"},
    {"root ::= \"\\q\"", ERR_FORMAT, "grammar:1:12: this escape is not known"},
    {"root ::= \"\\x4g\"", ERR_FORMAT, "grammar:1:14: a hexadecimal digit"},
    {"root ::= \"\\ud800\"", ERR_FORMAT, "no such character"},
    {"root ::= \"\\U00110000\"", ERR_FORMAT, "no such character"},
    {"root ::= (\"a\"", ERR_FORMAT, "')' is missing"},
    {"root ::= \"a\")", ERR_FORMAT, "grammar:1:13: a rule cannot go on"},
    {"root ::= \"a\"{3,1}", ERR_FORMAT, "run backwards"},
    {"root ::= \"a\"{,1}", ERR_FORMAT, "a number is missing"},
    {"root ::= \"a\"{99999999999}", ERR_FORMAT, "too many repetitions"},
    {"root ::= *", ERR_FORMAT, "grammar:1:10: a rule cannot go on"},
    {"root ::= \"a\"\nroot ::= \"b\"", ERR_FORMAT, "grammar:2:1: there is another rule 'root'"},
    {"root ::= root \"a\" | \"b\"", ERR_FORMAT, "grammar:1:1: this rule can begin with itself"},
    {"root ::= \"x\" a\n\na ::= b? c\nb ::= \"b\"\nc ::= a \"d\" | \"e\"", ERR_FORMAT, "begin with itself"},
    {"root ::= (a){0,9} \"b\"\na ::= (root){4,9} \"c\"", ERR_FORMAT, "begin with itself"},
    {"root ::= \"a\" root", ERR_FORMAT, "no text can ever"},
    {"root ::= (\"a\"?){0,1000}", ERR_FORMAT, "repeated too often in rule 'root'"},
    {"root ::= <[12]>", ERR_UNSUPPORTED, "tokens as terminals"},
    {"root ::= \"\xff\"", ERR_FORMAT, "grammar:1:11: not UTF-8"},
};

static void expect_error(struct slice text, int code, const char *says) {
    struct grammar *g = NULL;
    struct err e = {0};
    int64_t before = mem_live();
    int rc = grammar_parse_gbnf(&g, text, &e);
    if (rc != code || !strstr(e.msg, says)) fail_msg("error %d '%s', not %d '%s':\n%.*s", rc, e.msg, code, says, (int)text.n, text.p);
    assert_null(g);
    assert_null(strchr(e.msg, '\n'));
    assert_int_equal(mem_live(), before);
}

static void test_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) expect_error(slice_of(errors[i].grammar), errors[i].code, errors[i].says);
}

/* Grammars that would run away are refused, and large ones that do not are taken. */
static void test_limits(void **state) {
    (void)state;
    struct buf b = {0};
    assert_true(buf_str(&b, "root ::= "));
    for (int i = 0; i < 200; i++) assert_true(buf_char(&b, '('));
    expect_error((struct slice){b.data, b.len}, ERR_FORMAT, "nested too deep");
    b.len = 0;
    assert_true(buf_str(&b, "root ::= \"a\""));
    for (int i = 0; i < 30; i++) assert_true(buf_str(&b, "{3}"));
    expect_error((struct slice){b.data, b.len}, ERR_UNSUPPORTED, "too large");
    b.len = 0;
    assert_true(buf_str(&b, "root ::= r0\n"));
    for (int i = 0; i < 20000; i++) assert_true(buf_printf(&b, "r%d ::= \"a\" r%d | \"b\"\n", i, i + 1));
    assert_true(buf_str(&b, "r20000 ::= \"c\"\n"));
    struct grammar *g = NULL;
    struct err e = {0};
    if (grammar_parse_gbnf(&g, (struct slice){b.data, b.len}, &e)) fail_msg("%s", e.msg);
    grammar_free(g);
    b.len = 0;
    while (b.len <= GRAMMAR_SOURCE_MAX) assert_true(buf_str(&b, "# \n"));
    expect_error((struct slice){b.data, b.len}, ERR_FORMAT, "longer than");
    buf_free(&b);
}

/* Bounds are counted, not written out. */
static void test_large_bounds(void **state) {
    (void)state;
    static struct grammar_fixture f;
    static const char *const pieces[] = {"aa", "aaa", "aaaa\\x0a", "aaaaaaaaaaaaaaaa"};
    struct buf text = {0};
    fixture_open(&f, pieces, 4);
    struct grammar *g = gbnf("root ::= [a-z]{90000,100000} \"\\n\"");
    struct matcher *m = matcher_of(g, f.v);
    while (text.len < 89999) assert_true(buf_char(&text, 'a'));
    assert_int_equal(matcher_accept_bytes(m, (struct slice){text.data, text.len}, NULL), 0);
    assert_int_equal(matcher_mask(m, f.mask, NULL), 0);
    assert_false(allows(f.mask, FIRST_BYTE + '\n'));
    assert_true(allows(f.mask, FIRST_PIECE + 2)); /* 4 letters and the end */
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'z', NULL), 0);
    assert_int_equal(matcher_mask(m, f.mask, NULL), 0);
    assert_true(allows(f.mask, FIRST_BYTE + '\n'));
    assert_int_equal(matcher_accept_bytes(m, (struct slice){text.data, 9997}, NULL), 0);
    assert_int_equal(matcher_mask(m, f.mask, NULL), 0); /* 99,997 are there */
    assert_true(allows(f.mask, FIRST_PIECE + 1));
    assert_false(allows(f.mask, FIRST_PIECE + 2));
    assert_false(allows(f.mask, FIRST_PIECE + 3));
    assert_int_equal(matcher_accept(m, FIRST_PIECE + 1, NULL), 0);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'a', NULL), ERR_TEXT);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + '\n', NULL), 0);
    assert_true(matcher_may_end(m));
    matcher_free(m);
    grammar_free(g);
    buf_free(&text);
    fixture_close(&f);
}

/* ---- another matcher: sets of positions, straight over the tree ---- */

enum kind { TEXT, CHARS, RULE, SEQUENCE, CHOICE, REPEAT };
struct tree {
    enum kind kind;
    const char *text;                                /* TEXT: as written; CHARS: as written in brackets */
    struct { uint32_t lo, hi; } set[4];              /* CHARS */
    int n, min, max, rule;                           /* children, bounds (max -1: none), RULE */
    bool inverted;
    struct tree *child[4];
};
struct oracle {
    struct tree *rules[4];
    const uint8_t *s;
    size_t n;
    bool more; /* something wanted to read on at the end of the text */
};

static bool in_set(const struct tree *t, uint32_t lo, uint32_t hi) { /* whether any of [lo, hi] is */
    for (int i = 0; i < 4 && !t->inverted; i++)
        if (t->set[i].hi && t->set[i].lo <= hi && t->set[i].hi >= lo) return true;
    if (!t->inverted) return false;
    for (uint32_t c = lo; c <= hi; c++) {
        bool in = false;
        if (c >= 0xd800 && c <= 0xdfff) continue;
        for (int i = 0; i < 4; i++) in |= t->set[i].hi && c >= t->set[i].lo && c <= t->set[i].hi;
        if (!in) return true;
    }
    return false;
}

static uint64_t read_char(struct oracle *o, const struct tree *t, size_t p) {
    uint32_t code;
    const uint8_t *s = o->s + p;
    size_t left = o->n - p, n = utf8_char(s, left, &code);
    if (left == 0) o->more = true;
    if (n) return in_set(t, code, code) ? 1ull << (p + n) : 0;
    if (left == 0 || left > 3) return 0;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2; /* perhaps a character that is cut: which could it be? */
    if (s[0] < 0xc2 || s[0] > 0xf4 || left >= len) return 0;
    uint32_t lo = s[0] & (0x7fu >> len), hi, least = len == 2 ? 0x80 : len == 3 ? 0x800 : 0x10000;
    for (size_t i = 1; i < left; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        lo = lo << 6 | (s[i] & 0x3fu);
    }
    hi = lo;
    for (size_t i = left; i < len; i++) {
        lo <<= 6;
        hi = hi << 6 | 0x3f;
    }
    if (lo < least) lo = least;
    if (hi > 0x10ffff) hi = 0x10ffff;
    if (lo <= hi && in_set(t, lo, hi)) o->more = true;
    return 0;
}

static uint64_t match(struct oracle *o, const struct tree *t, uint64_t from);

static uint64_t match_repeat(struct oracle *o, const struct tree *t, uint64_t from) {
    uint64_t at = from, all = t->min == 0 ? from : 0;
    for (int k = 1; (t->max < 0 || k <= t->max) && at; k++) {
        at = match(o, t->child[0], at);
        uint64_t before = all;
        if (k >= t->min) all |= at;
        if (k > t->min + 64 && before == all) break;
    }
    return all;
}

/* Where the tree can end when it begins at one of these positions. */
static uint64_t match(struct oracle *o, const struct tree *t, uint64_t from) {
    uint64_t to = 0;
    switch (t->kind) {
    case TEXT:
        for (size_t p = 0; p <= o->n; p++) {
            size_t len = strlen(t->text), left = o->n - p, common = len < left ? len : left;
            if (!(from >> p & 1) || memcmp(o->s + p, t->text, common) != 0) continue;
            if (left < len)
                o->more = true;
            else
                to |= 1ull << (p + len);
        }
        return to;
    case CHARS:
        for (size_t p = 0; p <= o->n; p++)
            if (from >> p & 1) to |= read_char(o, t, p);
        return to;
    case RULE: return from ? match(o, o->rules[t->rule], from) : 0;
    case SEQUENCE:
        for (int i = 0; i < t->n; i++) from = match(o, t->child[i], from);
        return from;
    case CHOICE:
        for (int i = 0; i < t->n; i++) to |= match(o, t->child[i], from);
        return to;
    case REPEAT: return match_repeat(o, t, from);
    }
    return 0;
}

/* ---- random grammars ---- */

static struct arena trees;

static struct tree *random_tree(struct rng *r, int rule, int depth) {
    static const char *const texts[] = {"a", "b", "ab", "\"", "é", "中", "a b", ", "};
    static const struct {
        const char *text;
        bool inverted;
        uint32_t range[4][2];
    } sets[] = {{"[ab]", false, {{'a', 'b'}}},        {"[^\\\"\\\\]", true, {{'"', '"'}, {'\\', '\\'}}}, {".", true, {{0, 0}}},
                {"[à-ï]", false, {{0xe0, 0xef}}},     {"[^a]", true, {{'a', 'a'}}},                     {"[0-9 ]", false, {{'0', '9'}, {' ', ' '}}},
                {"[^\\\"\\\\\\n]", true, {{'"', '"'}, {'\\', '\\'}, {'\n', '\n'}}}};
    struct tree *t = arena_alloc(&trees, sizeof *t);
    uint32_t pick = rng_below(r, depth > 0 ? 10 : 4);
    if (pick < 2) {
        t->kind = TEXT;
        t->text = texts[rng_below(r, 8)];
    } else if (pick < 4) {
        uint32_t k = rng_below(r, 7);
        t->kind = CHARS;
        t->text = sets[k].text;
        t->inverted = sets[k].inverted;
        for (int i = 0; i < 4; i++) t->set[i].lo = sets[k].range[i][0], t->set[i].hi = sets[k].range[i][1];
    } else if (pick == 4) {
        t->kind = RULE;
        t->rule = rule + 1 + (int)rng_below(r, 3);
        if (t->rule > 3) return random_tree(r, rule, 0);
    } else if (pick < 7) {
        t->kind = REPEAT;
        t->child[0] = random_tree(r, rule, depth - 1);
        t->min = (int)rng_below(r, 4) % 3;
        t->max = rng_below(r, 2) ? -1 : t->min + (int)rng_below(r, 6);
    } else {
        t->kind = pick < 9 ? SEQUENCE : CHOICE;
        t->n = 1 + (int)rng_below(r, 3);
        for (int i = 0; i < t->n; i++) t->child[i] = random_tree(r, rule, depth - 1);
    }
    return t;
}

static void print_tree(struct buf *b, const struct tree *t) {
    switch (t->kind) {
    case TEXT: assert_true(buf_printf(b, strcmp(t->text, "\"") ? "\"%s\" " : "\"\\%s\" ", t->text)); break;
    case CHARS: assert_true(buf_printf(b, "%s ", t->text)); break;
    case RULE: assert_true(buf_printf(b, "r%d ", t->rule)); break;
    case REPEAT:
        assert_true(buf_str(b, "("));
        print_tree(b, t->child[0]);
        assert_true(t->max < 0 ? buf_printf(b, "){%d,} ", t->min) : buf_printf(b, "){%d,%d} ", t->min, t->max));
        break;
    default:
        assert_true(buf_str(b, "("));
        for (int i = 0; i < t->n; i++) {
            if (i && t->kind == CHOICE) assert_true(buf_str(b, "| "));
            print_tree(b, t->child[i]);
        }
        assert_true(buf_str(b, ") "));
    }
}

static const char *const pieces[] = {"ab", "a ", " a", "aaa", "\\x22,", "a\\x22", "é", "\\xc3", "\\xa9a", "\\xe4\\xb8", "\\xadb", "中 b", "b\\x0a", ", ", "0 1", "\\xf0\\x9f", "\\x98\\x80", "bb é", "\\x22\\x22", "a\\x5c"};
enum { PIECES = sizeof pieces / sizeof *pieces };

/* Every token against the oracle. Returns one that is allowed, or -1. */
static int32_t check_mask(struct grammar_fixture *f, struct matcher *m, struct oracle *o, struct buf *text, struct rng *r, const char *source) {
    struct err e = {0};
    int32_t chosen = -1;
    uint32_t n = 0;
    if (matcher_mask(m, f->mask, &e)) fail_msg("%s\n%s", e.msg, source);
    size_t before = text->len;
    for (int32_t id = 0; id < FIRST_PIECE + PIECES; id++) {
        struct slice piece = tokenizer_piece(f->t, id);
        if (id >= FIRST_BYTE) assert_true(buf_add(text, piece.p, piece.n));
        o->s = (const uint8_t *)text->data;
        o->n = text->len;
        o->more = false;
        bool whole = match(o, o->rules[0], 1) >> o->n & 1, want = id == 0 ? whole : id >= FIRST_BYTE && (whole || o->more);
        text->len = before;
        if (id == 0) assert_int_equal(whole, matcher_may_end(m));
        if (want != allows(f->mask, id)) {
            char q[200], q2[50];
            fail_msg("after '%s', token %d '%s' is %s:\n%s", err_quote(q, sizeof q, text->data, text->len), id, err_quote(q2, sizeof q2, piece.p, piece.n), want ? "missing" : "too much", source);
        }
        if (want && id >= FIRST_BYTE && rng_below(r, ++n) == 0) chosen = id;
        if (want && id >= FIRST_PIECE && rng_below(r, 3) == 0) chosen = id; /* longer ones more often */
    }
    return chosen;
}

/* Back and forth: a fork goes another way, the matcher itself comes back to where it was. */
static void check_back(struct grammar_fixture *f, struct matcher *m, int32_t token) {
    struct matcher *other = NULL;
    uint32_t again[(MAX_TOKENS + 31) / 32];
    assert_int_equal(matcher_fork(&other, m, NULL), 0);
    assert_int_equal(matcher_accept(other, token, NULL), 0);
    assert_int_equal(matcher_accept(m, token, NULL), 0);
    assert_int_equal(matcher_mask(other, f->mask, NULL), 0);
    assert_int_equal(matcher_mask(m, again, NULL), 0);
    assert_memory_equal(again, f->mask, grammar_vocab_words(f->v) * 4);
    assert_int_equal(matcher_back(other, 1, NULL), 0);
    assert_int_equal(matcher_back(other, 1, NULL), ERR_USAGE);
    assert_int_equal(matcher_back(m, 1, NULL), 0);
    assert_int_equal(matcher_may_end(m), matcher_may_end(other));
    matcher_free(other);
}

static void test_against_oracle(void **state) {
    (void)state;
    static struct grammar_fixture f;
    struct rng r = rng_new(3, 5);
    fixture_open(&f, pieces, PIECES);
    int n = light("most random grammars") ? 20 : 500, steps = 0;
    for (int i = 0; i < n; i++) {
        struct oracle o = {0};
        struct buf source = {0}, text = {0};
        for (int k = 0; k < 4; k++) {
            o.rules[k] = random_tree(&r, k, 3);
            assert_true(k ? buf_printf(&source, "r%d ::= ", k) : buf_str(&source, "root ::= "));
            print_tree(&source, o.rules[k]);
            assert_true(buf_char(&source, '\n'));
        }
        assert_true(buf_str(&text, ""));
        struct grammar *g = gbnf(source.data);
        struct matcher *m = matcher_of(g, f.v);
        for (int k = 0; k < 8 && text.len < 40; k++, steps++) {
            int32_t token = check_mask(&f, m, &o, &text, &r, source.data);
            if (token < 0) break;
            check_back(&f, m, token);
            assert_int_equal(matcher_accept(m, token, NULL), 0);
            struct slice piece = tokenizer_piece(f.t, token);
            assert_true(buf_add(&text, piece.p, piece.n));
        }
        matcher_free(m);
        grammar_free(g);
        buf_free(&source);
        buf_free(&text);
        arena_free(&trees);
    }
    printf("%d grammars, %d masks of %d tokens\n", n, steps, FIRST_PIECE + PIECES);
    assert_true(steps > n);
    fixture_close(&f);
}

/* ---- the end, starting again, and what is never allowed ---- */

static void test_end(void **state) {
    (void)state;
    static struct grammar_fixture f;
    struct err e = {0};
    fixture_open(&f, pieces, PIECES);
    struct grammar *g = gbnf("root ::= \"a\"{1,2}");
    struct matcher *m = matcher_of(g, f.v);
    assert_int_equal(matcher_accept(m, 0, &e), ERR_TEXT);
    assert_int_equal(matcher_accept(m, 1, &e), ERR_TEXT);
    assert_int_equal(matcher_accept(m, -1, &e), ERR_TEXT);
    assert_int_equal(matcher_accept(m, 100000, &e), ERR_TEXT);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'a', &e), 0);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'b', &e), ERR_TEXT);
    assert_non_null(strstr(e.msg, "0x62"));
    assert_int_equal(matcher_mask(m, f.mask, &e), 0);
    assert_true(allows(f.mask, 0) && allows(f.mask, FIRST_BYTE + 'a') && !allows(f.mask, 1) && !allows(f.mask, FIRST_PIECE));
    assert_false(matcher_finished(m));
    assert_int_equal(matcher_accept(m, 0, &e), 0);
    assert_true(matcher_finished(m) && matcher_may_end(m));
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'a', &e), ERR_TEXT);
    assert_int_equal(matcher_accept(m, 0, &e), ERR_TEXT);
    assert_int_equal(matcher_mask(m, f.mask, &e), 0);
    for (int32_t id = 0; id < FIRST_PIECE + PIECES; id++) assert_false(allows(f.mask, id));
    assert_int_equal(matcher_back(m, 1, &e), 0);
    assert_false(matcher_finished(m));
    assert_int_equal(matcher_accept_bytes(m, SLICE(""), &e), 0);
    assert_int_equal(matcher_back(m, 3, &e), ERR_USAGE);
    assert_int_equal(matcher_back(m, 2, &e), 0);
    assert_false(matcher_may_end(m));
    matcher_reset(m);
    assert_int_equal(matcher_accept_bytes(m, SLICE("aa"), &e), 0);
    matcher_free(m);
    grammar_free(g);
    fixture_close(&f);
}

/* A long and deep text: what is no longer needed is dropped, and going back still works. */
static void test_long_text(void **state) {
    (void)state;
    static struct grammar_fixture f;
    fixture_open(&f, pieces, PIECES);
    struct grammar *g = gbnf("root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [a-z]{1,1000000}");
    struct matcher *m = matcher_of(g, f.v);
    int n = light("a long text") ? 1000 : 100000;
    for (int i = 0; i < n; i++) assert_int_equal(matcher_accept(m, FIRST_BYTE + '[', NULL), 0);
    for (int i = 0; i < 4 * n; i++) assert_int_equal(matcher_accept(m, FIRST_BYTE + 'a', NULL), 0);
    assert_int_equal(matcher_mask(m, f.mask, NULL), 0);
    assert_true(allows(f.mask, FIRST_BYTE + ']') && allows(f.mask, FIRST_PIECE) && !allows(f.mask, 0));
    struct matcher *deep = NULL;
    assert_int_equal(matcher_fork(&deep, m, NULL), 0);
    for (int i = 0; i < n; i++) assert_int_equal(matcher_accept(deep, FIRST_BYTE + ']', NULL), 0);
    assert_true(matcher_may_end(deep));
    assert_int_equal(matcher_back(m, (size_t)4 * (size_t)n + 1, NULL), 0);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + ']', NULL), 0);
    matcher_free(m);
    assert_int_equal(matcher_mask(deep, f.mask, NULL), 0);
    assert_true(allows(f.mask, 0));
    matcher_reset(deep);
    assert_true(accepts(deep, SLICE("[a,[b]]")));
    matcher_free(deep);
    grammar_free(g);
    fixture_close(&f);
}

static void test_too_ambiguous(void **state) {
    (void)state;
    static struct grammar_fixture f;
    struct err e = {0};
    fixture_open(&f, NULL, 0);
    struct grammar *g = gbnf("root ::= ((\"a\"{1,9} | \"aa\"){1,1000} | \"a\"{1,999}){1,1000}");
    struct matcher *m = matcher_of(g, f.v);
    int rc = 0;
    for (int i = 0; i < 2000 && !rc; i++) rc = matcher_accept(m, FIRST_BYTE + 'a', &e);
    assert_int_equal(rc, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "ambiguous"));
    matcher_reset(m);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'a', &e), 0);
    matcher_free(m);
    grammar_free(g);
    fixture_close(&f);
}

/* ---- memory, threads, real vocabularies ---- */

static int live(const struct grammar_fixture *f) {
    struct grammar *g = NULL;
    struct grammar_vocab *v = NULL;
    struct matcher *m = NULL, *other = NULL;
    struct err e = {0};
    uint32_t mask[(MAX_TOKENS + 31) / 32];
    int rc = grammar_parse_gbnf(&g, SLICE(JSON_GRAMMAR), &e);
    if (!rc) rc = grammar_vocab_new(&v, f->t, &e);
    if (!rc) rc = matcher_new(&m, g, v, &e);
    if (!rc) rc = matcher_accept_bytes(m, SLICE("{\"a\": ["), &e);
    if (!rc) rc = matcher_mask(m, mask, &e);
    if (!rc) rc = matcher_fork(&other, m, &e);
    if (!rc) matcher_reset(other);
    for (int i = 0; i < 20 && !rc; i++) rc = matcher_accept(m, FIRST_BYTE + '[', &e);
    matcher_free(m);
    if (!rc) rc = matcher_mask(other, mask, &e);
    matcher_free(other);
    grammar_vocab_free(v);
    grammar_free(g);
    return rc;
}

static void test_out_of_memory(void **state) {
    (void)state;
    static struct grammar_fixture f;
    fixture_open(&f, pieces, PIECES);
    int64_t before = mem_live(), n = 1;
    assert_int_equal(live(&f), 0);
    for (bool failed = true; failed; n++) {
        mem_fail_after(n);
        int rc = live(&f);
        failed = mem_has_failed();
        mem_fail_after(0);
        if (rc != (failed ? ERR_MEMORY : 0)) fail_msg("allocation %lld: error %d", (long long)n, rc);
        assert_int_equal(mem_live(), before);
    }
    assert_true(n > 60);
    fixture_close(&f);
}

struct shared {
    const struct grammar *g;
    const struct grammar_vocab *v;
    int rc[4];
    uint32_t mask[4][(MAX_TOKENS + 31) / 32];
};
static void match_many(void *ctx, int worker, int workers) {
    struct shared *s = ctx;
    struct matcher *m = NULL;
    (void)workers;
    for (int i = 0; i < 20 && !s->rc[worker]; i++) {
        s->rc[worker] = matcher_new(&m, s->g, s->v, NULL);
        if (!s->rc[worker]) s->rc[worker] = matcher_accept_bytes(m, SLICE("{\"key\": [1, \"te"), NULL);
        if (!s->rc[worker]) s->rc[worker] = matcher_mask(m, s->mask[worker], NULL);
        matcher_free(m);
    }
}
static void test_threads(void **state) {
    (void)state;
    static struct grammar_fixture f;
    struct pool *pool;
    fixture_open(&f, pieces, PIECES);
    struct grammar *g = gbnf(JSON_GRAMMAR);
    struct shared s = {.g = g, .v = f.v};
    assert_int_equal(pool_new(&pool, 4, NULL), 0);
    pool_run(pool, match_many, &s);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s.rc[i], 0);
        assert_memory_equal(s.mask[i], s.mask[0], grammar_vocab_words(f.v) * 4);
    }
    assert_true(allows(s.mask[0], FIRST_PIECE));
    pool_free(pool);
    grammar_free(g);
    fixture_close(&f);
}

/* The mask of a real vocabulary, against trying each of its tokens: the tree, the lists of plain tokens and the automaton against plain stepping. */
static void check_vocabulary(const char *path) {
    static const char *const prefixes[] = {"", "{", "{\"", "{\"name", "{\"name\\", "{\"name\": ", "{\"name\": [1", "{\"n\": \"\xe4\xb8", "{\n"};
    static const char *const bounded[] = {"", "{\"", "{\"n"};
    struct vocab v;
    struct grammar_vocab *gv = NULL;
    struct err e = {0};
    vocab_fixture(&v, path, "");
    if (tokenizer_count(v.t) < 1000 || grammar_vocab_new(&gv, v.t, &e)) fail_msg("%s: %s", path, e.msg);
    uint32_t *mask = mem_array(NULL, grammar_vocab_words(gv), 4);
    for (int k = 0; k < 2; k++) {
        struct grammar *g = gbnf(k ? "root ::= \"{\\\"\" [^\"\\\\\\n]{0,6} \"\\\"\" .{0,3} \"end\"" : JSON_GRAMMAR);
        struct matcher *m = matcher_of(g, gv);
        for (size_t i = 0; i < (k ? sizeof bounded / sizeof *bounded : sizeof prefixes / sizeof *prefixes); i++) {
            matcher_reset(m);
            assert_int_equal(matcher_accept_bytes(m, slice_of(k ? bounded[i] : prefixes[i]), NULL), 0);
            if (matcher_mask(m, mask, &e)) fail_msg("%s: %s", path, e.msg);
            for (int32_t id = 0; id < (int32_t)tokenizer_count(v.t); id++) {
                bool ok = matcher_accept(m, id, NULL) == 0;
                if (ok) assert_int_equal(matcher_back(m, 1, NULL), 0);
                if (ok != allows(mask, id)) fail_msg("%s: token %d after '%s'", path, id, k ? bounded[i] : prefixes[i]);
            }
        }
        matcher_free(m);
        grammar_free(g);
    }
    mem_free(mask);
    grammar_vocab_free(gv);
    vocab_close(&v);
}

static void test_real_vocabularies(void **state) {
    (void)state;
    static const char *const names[] = {"vocab/ggml-vocab-qwen2.gguf", "vocab/ggml-vocab-llama-spm.gguf"};
    char path[4096];
    if (light("real vocabularies")) skip();
    for (size_t i = 0; i < 2; i++) {
        if (!shared_data(path, sizeof path, names[i])) skip();
        check_vocabulary(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),         cmocka_unit_test(test_errors),        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_large_bounds),  cmocka_unit_test(test_against_oracle), cmocka_unit_test(test_end),
        cmocka_unit_test(test_long_text),     cmocka_unit_test(test_too_ambiguous), cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_threads),       cmocka_unit_test(test_real_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
