/* tmpl_lex.c: from template source to tokens.
 *
 * Between tags the source is data. Inside, whitespace separates tokens and the closing mark counts only where all brackets
 * are closed. Whitespace control happens here: a "-" inside a mark eats the whitespace on that side, trim_blocks eats the
 * newline after a block or comment, lstrip_blocks the blanks between the start of a line and a block or comment, and "+"
 * switches the last two off. Tokens point into the source; all memory is the arena's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text/tmpl.h"

struct lexer {
    struct arena *mem;
    const char *src;
    size_t n, at;
    size_t line_at; /* for positions: where the line that holds `counted` begins */
    size_t counted;
    uint32_t line;
    struct token *tokens;
    size_t count, cap;
    char open[PARSE_DEPTH]; /* brackets that are open, as their closing characters */
    size_t n_open;
    struct err *err;
};

static int lex_fail(struct lexer *lx, size_t at, const char *what);

static void locate(struct lexer *lx, size_t at, uint32_t *line, uint32_t *column) {
    for (; lx->counted < at; lx->counted++)
        if (lx->src[lx->counted] == '\n') {
            lx->line++;
            lx->line_at = lx->counted + 1;
        }
    *line = lx->line;
    *column = (uint32_t)(at - lx->line_at + 1);
}

static int lex_fail(struct lexer *lx, size_t at, const char *what) {
    uint32_t line, column;
    lx->counted = lx->line_at = 0; /* the position may lie before the last token's */
    lx->line = 1;
    locate(lx, at, &line, &column);
    return err_set(lx->err, ERR_TEMPLATE, "template:%u:%u: %s", line, column, what);
}

static int emit(struct lexer *lx, enum token_type type, size_t from, size_t to, val value) {
    if (lx->count == lx->cap) {
        size_t cap = lx->cap ? lx->cap * 2 : 256;
        struct token *tokens = arena_array(lx->mem, cap, sizeof *tokens);
        if (!tokens) return err_nomem(lx->err, "the tokens of a template", cap * sizeof *tokens);
        if (lx->count) memcpy(tokens, lx->tokens, lx->count * sizeof *tokens);
        lx->tokens = tokens;
        lx->cap = cap;
    }
    struct token *t = &lx->tokens[lx->count++];
    *t = (struct token){.type = type, .text = {lx->src + from, to - from}, .value = value};
    locate(lx, from, &t->line, &t->column);
    return 0;
}

static bool starts(const struct lexer *lx, size_t at, const char *s) {
    size_t n = strlen(s);
    return at <= lx->n && lx->n - at >= n && memcmp(lx->src + at, s, n) == 0;
}

static size_t skip_space(const struct lexer *lx, size_t at) {
    uint32_t cp;
    while (at < lx->n) {
        size_t step = u8_step(lx->src + at, lx->n - at, &cp);
        if (!char_is(cp, CHAR_SPACE)) break;
        at += step;
    }
    return at;
}

/* Where src[from, to) ends without its trailing whitespace. */
static size_t strip_end(const struct lexer *lx, size_t from, size_t to) {
    uint32_t cp;
    while (to > from) {
        size_t step = u8_step_back(lx->src + from, to - from, &cp);
        if (!char_is(cp, CHAR_SPACE)) break;
        to -= step;
    }
    return to;
}

/* The end of the data [from, to) before a mark with this sign: '-', '+' or 0. */
static size_t data_end(const struct lexer *lx, size_t from, size_t to, char sign, bool variable) {
    if (sign == '-') return strip_end(lx, from, to);
    if (sign == '+' || variable) return to;
    size_t line = to;
    while (line > from && lx->src[line - 1] != '\n') line--;
    bool at_line_start = line > from || from == 0 || lx->src[from - 1] == '\n';
    if (at_line_start && skip_space(lx, line) >= to) return line;
    return to;
}

/* The closing mark `close` ("%}" or "#}") at `at`, perhaps signed; 0: none here. Otherwise where the source goes on. */
static size_t closing(const struct lexer *lx, size_t at, const char *close) {
    if (starts(lx, at, "-") && starts(lx, at + 1, close)) return skip_space(lx, at + 3);
    if (starts(lx, at, "+") && starts(lx, at + 1, close)) return at + 3;
    if (!starts(lx, at, close)) return 0;
    return at + 2 + (starts(lx, at + 2, "\n") ? 1 : 0);
}

/* At "{%": the position after `{% word` and whitespace, or 0 when another word stands there. */
static size_t block_word(const struct lexer *lx, size_t at, const char *word, char *sign) {
    at += 2;
    *sign = at < lx->n && (lx->src[at] == '-' || lx->src[at] == '+') ? lx->src[at] : 0;
    at = skip_space(lx, at + (*sign ? 1 : 0));
    return starts(lx, at, word) ? skip_space(lx, at + strlen(word)) : 0;
}

static int lex_comment(struct lexer *lx, size_t begin) {
    for (size_t i = lx->at; i + 1 < lx->n; i++) {
        if (!starts(lx, i, "#}")) continue;
        bool is_signed = i > lx->at && (lx->src[i - 1] == '-' || lx->src[i - 1] == '+');
        lx->at = closing(lx, is_signed ? i - 1 : i, "#}");
        return 0;
    }
    return lex_fail(lx, begin, "this comment has no end; close it with #}");
}

/* After `{% raw %}`: data up to `{% endraw %}`. */
static int lex_raw(struct lexer *lx, size_t begin) {
    for (size_t i = lx->at; i + 1 < lx->n; i++) {
        char sign;
        size_t word, end;
        if (!starts(lx, i, "{%") || !(word = block_word(lx, i, "endraw", &sign)) || !(end = closing(lx, word, "%}"))) continue;
        size_t to = data_end(lx, lx->at, i, sign, false);
        int rc = to > lx->at ? emit(lx, T_DATA, lx->at, to, NULL) : 0;
        lx->at = end;
        return rc;
    }
    return lex_fail(lx, begin, "this raw block has no end; close it with {% endraw %}");
}

/* Data up to the next mark, and the mark. */
static int lex_root(struct lexer *lx, enum token_type *state) {
    size_t i = lx->at;
    while (i + 1 < lx->n && !(lx->src[i] == '{' && strchr("{%#", lx->src[i + 1]) && lx->src[i + 1])) i++;
    if (i + 1 >= lx->n) {
        int rc = lx->at < lx->n ? emit(lx, T_DATA, lx->at, lx->n, NULL) : 0;
        lx->at = lx->n;
        return rc;
    }
    char kind = lx->src[i + 1], sign = 0;
    size_t raw = kind == '%' ? block_word(lx, i, "raw", &sign) : 0, raw_end = 0;
    if (raw && starts(lx, raw, "-%}")) raw_end = skip_space(lx, raw + 3);
    else if (raw && starts(lx, raw, "%}")) raw_end = raw + 2;
    if (!raw_end) sign = i + 2 < lx->n && (lx->src[i + 2] == '-' || lx->src[i + 2] == '+') ? lx->src[i + 2] : 0;

    size_t to = data_end(lx, lx->at, i, sign, kind == '{');
    if (to > lx->at && emit(lx, T_DATA, lx->at, to, NULL)) return lx->err ? lx->err->code : ERR_MEMORY;
    lx->at = i + 2 + (sign ? 1 : 0);
    if (raw_end) {
        lx->at = raw_end;
        return lex_raw(lx, i);
    }
    if (kind == '#') return lex_comment(lx, i);
    *state = kind == '{' ? T_VARIABLE_BEGIN : T_BLOCK_BEGIN;
    return emit(lx, *state, i, lx->at, NULL);
}

/* ---- inside a tag ---- */

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* Digits with single underscores between them. */
static size_t digits(const struct lexer *lx, size_t at) {
    if (at >= lx->n || !digit(lx->src[at])) return at;
    while (at < lx->n && (digit(lx->src[at]) || (lx->src[at] == '_' && at + 1 < lx->n && digit(lx->src[at + 1])))) at++;
    return at;
}

/* Where a float that begins here ends, or 0. */
static size_t float_end(const struct lexer *lx, size_t at) {
    if (at > 0 && lx->src[at - 1] == '.') return 0;
    size_t i = digits(lx, at), mantissa;
    if (i == at) return 0;
    bool fraction = i + 1 < lx->n && lx->src[i] == '.' && digit(lx->src[i + 1]);
    if (fraction) i = digits(lx, i + 1);
    mantissa = i;
    if (i < lx->n && (lx->src[i] | 32) == 'e') {
        i++;
        if (i < lx->n && (lx->src[i] == '+' || lx->src[i] == '-')) i++;
        size_t end = digits(lx, i);
        if (end > i) return end;
    }
    return fraction ? mantissa : 0;
}

static int digit_value(char c) {
    if (digit(c)) return c - '0';
    char low = (char)(c | 32);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : 99;
}

static int lex_integer(struct lexer *lx) {
    size_t from = lx->at, i = from;
    int base = 10;
    if (lx->src[i] == '0' && i + 1 < lx->n) {
        char c = (char)(lx->src[i + 1] | 32);
        int b = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
        size_t d = i + 2 + (i + 2 < lx->n && lx->src[i + 2] == '_' ? 1 : 0);
        if (b && d < lx->n && digit_value(lx->src[d]) < b) {
            base = b;
            i = d;
        }
    }
    bool zero = base == 10 && lx->src[i] == '0'; /* a leading zero takes only more zeros */
    int64_t v = 0;
    for (; i < lx->n; i++) {
        char c = lx->src[i];
        if (c == '_' && i + 1 < lx->n && digit_value(lx->src[i + 1]) < (zero ? 1 : base)) continue;
        int d = digit_value(c);
        if (d >= (zero ? 1 : base)) break;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
            return lex_fail(lx, from, "this integer does not fit in 64 bits");
    }
    struct value *value = value_int(lx->mem, v);
    if (!value) return err_nomem(lx->err, "a number of a template", sizeof *value);
    value->mark = MARK_TEMPLATE;
    lx->at = i;
    return emit(lx, T_INTEGER, from, i, value);
}

static int lex_float(struct lexer *lx, size_t end) {
    char text[64];
    size_t n = 0, from = lx->at;
    for (size_t i = from; i < end; i++) {
        if (lx->src[i] == '_') continue;
        if (n + 1 >= sizeof text) return lex_fail(lx, from, "this number is too long");
        text[n++] = lx->src[i];
    }
    text[n] = 0;
    struct value *value = value_float(lx->mem, strtod(text, NULL));
    if (!value) return err_nomem(lx->err, "a number of a template", sizeof *value);
    value->mark = MARK_TEMPLATE;
    lx->at = end;
    return emit(lx, T_FLOAT, from, end, value);
}

/* The escape after a backslash at s[0], as Python's unicode-escape reads it. Returns bytes taken, 0: malformed. */
static size_t unescape(const char *s, size_t n, char *out, size_t *n_out) {
    static const char names[] = "abfnrtv\\'\"", codes[] = "\a\b\f\n\r\t\v\\'\"";
    const char *simple = s[0] ? strchr(names, s[0]) : NULL;
    *n_out = 0;
    if (s[0] == '\n') return 1;
    if (simple) {
        out[(*n_out)++] = codes[simple - names];
        return 1;
    }
    uint32_t cp = 0;
    size_t i = 0;
    if (s[0] >= '0' && s[0] <= '7') {
        while (i < 3 && i < n && s[i] >= '0' && s[i] <= '7') cp = cp * 8 + (uint32_t)(s[i++] - '0');
    } else if (s[0] == 'x' || s[0] == 'u' || s[0] == 'U') {
        size_t width = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : 8;
        if (n < width + 1) return 0;
        for (i = 1; i <= width; i++) {
            if (digit_value(s[i]) > 15) return 0;
            cp = cp << 4 | (uint32_t)digit_value(s[i]);
        }
    } else if (s[0] == 'N') {
        return 0;
    } else {
        out[(*n_out)++] = '\\'; /* an unknown escape stays as it is */
        return (size_t)-1;
    }
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) return 0;
    *n_out = u8_put(out, cp);
    return i;
}

static int lex_string(struct lexer *lx) {
    size_t from = lx->at, end = from + 1;
    char quote = lx->src[from];
    while (end < lx->n && lx->src[end] != quote) end += lx->src[end] == '\\' ? 2 : 1;
    if (end >= lx->n) return lex_fail(lx, from, "this string has no end");
    char *text = arena_alloc(lx->mem, 2 * (end - from));
    struct value *value = value_new(lx->mem, V_STRING);
    if (!text || !value) return err_nomem(lx->err, "a string of a template", 2 * (end - from));
    size_t n = 0;
    for (size_t i = from + 1; i < end;) {
        if (lx->src[i] != '\\') {
            text[n++] = lx->src[i++];
            continue;
        }
        size_t n_out, taken = unescape(lx->src + i + 1, end - i - 1, text + n, &n_out);
        if (!taken) return lex_fail(lx, i, "this escape is malformed; \\N{...} and lone surrogates are not supported");
        n += n_out;
        i += 1 + (taken == (size_t)-1 ? 0 : taken);
    }
    uint8_t *mark = arena_alloc(lx->mem, n + 1);
    if (!mark) return err_nomem(lx->err, "a string of a template", n);
    memset(mark, MARK_TEMPLATE, n);
    value->s = (struct text){text, mark, n, NULL};
    lx->at = end + 1;
    return emit(lx, T_STRING, from, end + 1, value);
}

static size_t name_end(const struct lexer *lx, size_t at) {
    uint32_t cp;
    while (at < lx->n) {
        size_t step = u8_step(lx->src + at, lx->n - at, &cp);
        if (!char_is(cp, CHAR_WORD)) break;
        at += step;
    }
    return at;
}

static int lex_operator(struct lexer *lx) {
    static const struct {
        const char *text;
        enum token_type type;
    } table[] = {
        {"//", T_FLOORDIV}, {"**", T_POW}, {"==", T_EQ}, {"!=", T_NE}, {">=", T_GE}, {"<=", T_LE}, {"+", T_ADD}, {"-", T_SUB},
        {"/", T_DIV}, {"*", T_MUL}, {"%", T_MOD}, {"~", T_TILDE}, {"[", T_LBRACKET}, {"]", T_RBRACKET}, {"(", T_LPAREN},
        {")", T_RPAREN}, {"{", T_LBRACE}, {"}", T_RBRACE}, {">", T_GT}, {"<", T_LT}, {"=", T_ASSIGN}, {".", T_DOT},
        {":", T_COLON}, {"|", T_PIPE}, {",", T_COMMA}, {";", T_SEMICOLON},
    };
    for (size_t i = 0; i < TABLE_SIZE(table); i++) {
        if (!starts(lx, lx->at, table[i].text)) continue;
        size_t from = lx->at;
        lx->at += strlen(table[i].text);
        switch (table[i].type) {
        case T_LBRACKET:
        case T_LPAREN:
        case T_LBRACE:
            if (lx->n_open == sizeof lx->open) return lex_fail(lx, from, "brackets are nested too deeply");
            lx->open[lx->n_open++] = table[i].type == T_LBRACKET ? ']' : table[i].type == T_LPAREN ? ')' : '}';
            break;
        case T_RBRACKET:
        case T_RPAREN:
        case T_RBRACE:
            if (!lx->n_open || lx->open[--lx->n_open] != table[i].text[0]) return lex_fail(lx, from, "this bracket closes nothing");
            break;
        default: break;
        }
        return emit(lx, table[i].type, from, lx->at, NULL);
    }
    return lex_fail(lx, lx->at, "unexpected character");
}

/* One token inside a tag, or its end. */
static int lex_tag(struct lexer *lx, enum token_type *state) {
    if (!lx->n_open) {
        size_t end = 0;
        if (*state == T_BLOCK_BEGIN) end = closing(lx, lx->at, "%}");
        else if (starts(lx, lx->at, "-}}")) end = skip_space(lx, lx->at + 3);
        else if (starts(lx, lx->at, "}}")) end = lx->at + 2;
        if (end) {
            int rc = emit(lx, *state == T_BLOCK_BEGIN ? T_BLOCK_END : T_VARIABLE_END, lx->at, lx->at + 2, NULL);
            lx->at = end;
            *state = T_DATA;
            return rc;
        }
    }
    size_t space = skip_space(lx, lx->at), end;
    if (space > lx->at) {
        lx->at = space;
        return 0;
    }
    char c = lx->src[lx->at];
    if ((end = float_end(lx, lx->at)) != 0) return lex_float(lx, end);
    if (digit(c)) return lex_integer(lx);
    if ((end = name_end(lx, lx->at)) > lx->at) {
        size_t from = lx->at;
        lx->at = end;
        return emit(lx, T_NAME, from, end, NULL);
    }
    if (c == '"' || c == '\'') return lex_string(lx);
    return lex_operator(lx);
}

int tmpl_lex(struct arena *a, struct slice source, struct token **tokens, size_t *count, struct err *e) {
    struct err ignored;
    struct lexer lx = {.mem = a, .src = source.p, .n = source.n, .line = 1, .err = e ? e : &ignored};
    enum token_type state = T_DATA;
    int rc = 0;
    while (!rc && lx.at < lx.n) rc = state == T_DATA ? lex_root(&lx, &state) : lex_tag(&lx, &state);
    if (!rc && state != T_DATA) {
        const struct token *open = NULL; /* an unclosed tag: point at where it began */
        for (size_t i = 0; i < lx.count; i++)
            if (lx.tokens[i].type == state) open = &lx.tokens[i];
        rc = lex_fail(&lx, open ? (size_t)(open->text.p - lx.src) : lx.n, "this tag is not closed");
    }
    if (!rc) rc = emit(&lx, T_END, lx.n, lx.n, NULL);
    *tokens = lx.tokens;
    *count = lx.count;
    return rc;
}
