/* tool_value.c: one value as a model writes it (JSON, Python literals, Gemma's notation), turned into JSON as it comes.
 *
 * A machine of a few states and a bit for each level, so that depth costs no stack. What cannot be decided yet (an escape, a
 * word, a quote that may or may not close its string) is not read: the caller brings it again with more behind it. So nothing
 * that was read is ever in neither the input nor the output. */
#include <string.h>

#include "base/utf8.h"
#include "text/tool_internal.h"

enum { AT_VALUE, AT_FIRST_ITEM, AT_FIRST_KEY, AT_NEXT_KEY, AT_COLON, AT_BEHIND, IN_STRING, IN_NUMBER };
enum { NUM_MINUS, NUM_ZERO, NUM_INT, NUM_POINT, NUM_FRACTION, NUM_E, NUM_SIGN, NUM_EXPONENT };

static const char gemma_quote[] = "<|\"|>";
enum { GEMMA_QUOTE = sizeof gemma_quote - 1, WORD_MAX = 5 };

/* What the readers below share: the rest of the input, and where it goes. */
struct piece {
    const char *s;
    size_t n;
    bool final;
    struct buf *out;
};

void value_begin(struct tool_value *v, enum notation notation) { *v = (struct tool_value){.notation = notation, .state = AT_VALUE}; }

/* Reading stops with that status; nothing is read. */
static size_t stop(struct tool_value *v, enum value_status status) {
    v->status = status;
    return 0;
}

static size_t put(struct tool_value *v, const struct piece *t, const char *s, size_t n, size_t taken) {
    return buf_add(t->out, s, n) ? taken : stop(v, VALUE_NO_MEMORY);
}

/* Zero bytes are read: more must come, or, where there is no more, what stands there is no value. */
static size_t want_more(struct tool_value *v, const struct piece *t) {
    if (t->final) v->status = VALUE_BAD;
    return 0;
}

bool value_escape(struct buf *out, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t plain = i;
        while (plain < n && (unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\') plain++;
        if (!buf_add(out, s + i, plain - i)) return false;
        if ((i = plain) == n) break;
        unsigned char c = (unsigned char)s[i++];
        const char *name = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : NULL;
        if (name ? !buf_str(out, name) : !buf_printf(out, "\\u%04x", (unsigned)c)) return false;
    }
    return true;
}

static bool level(const struct tool_value *v) { return v->in_object[(v->depth - 1) / 8] >> (v->depth - 1) % 8 & 1; }

static void value_over(struct tool_value *v) {
    v->state = AT_BEHIND;
    if (!v->depth) v->status = VALUE_DONE;
}

/* ---- strings */

static bool hex_number(const char *s, size_t n, uint32_t *code) {
    *code = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'f' ? (uint32_t)((c | 32) - 'a' + 10) : 16;
        if (digit > 15) return false;
        *code = *code << 4 | digit;
    }
    return true;
}

static size_t json_escape(struct tool_value *v, const struct piece *t) {
    uint32_t code;
    if (t->n < 2) return want_more(v, t);
    if (t->s[1] != 'u') return strchr("\"\\/bfnrt", t->s[1]) && t->s[1] ? put(v, t, t->s, 2, 2) : stop(v, VALUE_BAD);
    if (t->n < 6) return want_more(v, t);
    return hex_number(t->s + 2, 4, &code) ? put(v, t, t->s, 6, 6) : stop(v, VALUE_BAD);
}

/* Python's \x, \u and \U: a character by its number. A number that is no character stays as it is written. */
static size_t python_number(struct tool_value *v, const struct piece *t, size_t digits) {
    uint32_t code;
    char utf8[4];
    if (t->n < 2 + digits) return want_more(v, t);
    if (!hex_number(t->s + 2, digits, &code)) return stop(v, VALUE_BAD);
    if (code > 0x10ffff) return stop(v, VALUE_BAD);
    if (code >= 0xd800 && code <= 0xdfff) return buf_printf(t->out, "\\u%04x", (unsigned)code) ? 2 + digits : stop(v, VALUE_NO_MEMORY);
    return value_escape(t->out, utf8, utf8_put(utf8, code)) ? 2 + digits : stop(v, VALUE_NO_MEMORY);
}

static size_t python_escape(struct tool_value *v, const struct piece *t) {
    static const char from[] = "ntrbf\"\\/'", *const to[] = {"\\n", "\\t", "\\r", "\\b", "\\f", "\\\"", "\\\\", "/", "'"};
    if (t->n < 2) return want_more(v, t);
    char c = t->s[1];
    if (c == '\n') return 2; /* a line that goes on */
    if (c == 'x' || c == 'u' || c == 'U') return python_number(v, t, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    const char *known = c ? strchr(from, c) : NULL;
    if (known) return put(v, t, to[known - from], strlen(to[known - from]), 2);
    return put(v, t, "\\\\", 2, 1); /* no escape: a backslash */
}

static size_t close_string(struct tool_value *v, const struct piece *t, size_t quote) {
    if (!buf_char(t->out, '"')) return stop(v, VALUE_NO_MEMORY);
    if (v->is_key) v->state = AT_COLON;
    else value_over(v);
    return quote;
}

/* A quote in a Python string closes it only where a literal can end; models that were shown unescaped quotes write them too. */
static size_t python_quote(struct tool_value *v, const struct piece *t) {
    size_t width = v->triple ? 3 : 1;
    for (size_t i = 1; i < width; i++) {
        if (i == t->n) return want_more(v, t);
        if (t->s[i] != v->quote) return value_escape(t->out, t->s, 1) ? 1 : stop(v, VALUE_NO_MEMORY);
    }
    if (t->n == width && !t->final) return 0;
    if (t->n > width && !v->triple && !is_space(t->s[width]) && !strchr(",)]}:", t->s[width]))
        return value_escape(t->out, t->s, 1) ? 1 : stop(v, VALUE_NO_MEMORY);
    return close_string(v, t, width);
}

/* Whether Gemma's quote stands here. */
static enum match gemma_here(const struct piece *t) {
    size_t n = t->n < GEMMA_QUOTE ? t->n : GEMMA_QUOTE;
    if (memcmp(t->s, gemma_quote, n) != 0) return NO;
    return n == GEMMA_QUOTE ? YES : t->final ? NO : MAYBE;
}

static size_t read_string(struct tool_value *v, const struct piece *t) {
    char end = v->quote ? v->quote : gemma_quote[0], c = t->s[0];
    size_t plain = 0;
    while (plain < t->n && t->s[plain] != end && t->s[plain] != '\\') plain++;
    if (plain) return value_escape(t->out, t->s, plain) ? plain : stop(v, VALUE_NO_MEMORY);
    if (!v->quote) {
        enum match m = gemma_here(t);
        if (m == YES) return close_string(v, t, GEMMA_QUOTE);
        return m == MAYBE ? 0 : value_escape(t->out, t->s, 1) ? 1 : stop(v, VALUE_NO_MEMORY);
    }
    if (c == '\\') return v->notation == NOTE_PYTHON ? python_escape(v, t) : json_escape(v, t);
    return v->notation == NOTE_PYTHON ? python_quote(v, t) : close_string(v, t, 1);
}

/* The opening quote has `width` bytes. */
static size_t open_string(struct tool_value *v, const struct piece *t, char quote, size_t width) {
    v->quote = quote;
    v->triple = false;
    if (v->notation == NOTE_PYTHON) {
        size_t same = 1;
        while (same < 3 && same < t->n && t->s[same] == quote) same++;
        if (same == t->n && same < 3 && !t->final) return 0;
        if (same == 3) {
            v->triple = true;
            width = 3;
        }
    }
    v->state = IN_STRING;
    return put(v, t, "\"", 1, width);
}

/* ---- numbers and words */

/* The state behind c, or -1 when the number cannot go on with it. */
static int number_next(int state, char c) {
    bool digit = c >= '0' && c <= '9', e = c == 'e' || c == 'E';
    switch (state) {
    case NUM_MINUS: return c == '0' ? NUM_ZERO : digit ? NUM_INT : -1;
    case NUM_ZERO: return c == '.' ? NUM_POINT : e ? NUM_E : -1;
    case NUM_INT: return digit ? NUM_INT : c == '.' ? NUM_POINT : e ? NUM_E : -1;
    case NUM_POINT: return digit ? NUM_FRACTION : -1;
    case NUM_FRACTION: return digit ? NUM_FRACTION : e ? NUM_E : -1;
    case NUM_E: return c == '+' || c == '-' ? NUM_SIGN : digit ? NUM_EXPONENT : -1;
    default: return digit ? NUM_EXPONENT : -1;
    }
}

static bool number_whole(int state) { return state == NUM_ZERO || state == NUM_INT || state == NUM_FRACTION || state == NUM_EXPONENT; }

static size_t read_number(struct tool_value *v, const struct piece *t) {
    size_t i = 0;
    for (int next; i < t->n && (next = number_next(v->number, t->s[i])) >= 0; i++) v->number = (uint8_t)next;
    if (i) return put(v, t, t->s, i, i);
    if (!number_whole(v->number)) return stop(v, VALUE_BAD);
    value_over(v);
    return 0;
}

static size_t read_word(struct tool_value *v, const struct piece *t) {
    static const struct {
        const char *word, *json;
        unsigned type;
    } words[] = {{"true", "true", TYPE_BOOL}, {"false", "false", TYPE_BOOL}, {"null", "null", TYPE_NULL},
                 {"True", "true", TYPE_BOOL}, {"False", "false", TYPE_BOOL}, {"None", "null", TYPE_NULL}};
    size_t n = 0;
    while (n < t->n && n <= WORD_MAX && ((t->s[n] | 32) >= 'a' && (t->s[n] | 32) <= 'z')) n++;
    if (n == t->n && n <= WORD_MAX && !t->final) return 0;
    for (size_t i = 0; i < (v->notation == NOTE_JSON ? 3 : sizeof words / sizeof *words); i++)
        if (strlen(words[i].word) == n && memcmp(words[i].word, t->s, n) == 0) {
            if (!v->depth) v->type = words[i].type;
            value_over(v);
            return put(v, t, words[i].json, strlen(words[i].json), n);
        }
    return stop(v, VALUE_BAD);
}

/* ---- structure */

static size_t open_level(struct tool_value *v, const struct piece *t, bool object) {
    if (v->depth == TOOL_DEPTH_MAX) return stop(v, VALUE_BAD);
    if (!v->depth) v->type = object ? TYPE_OBJECT : TYPE_ARRAY;
    uint8_t bit = (uint8_t)(1u << v->depth % 8), *byte = &v->in_object[v->depth / 8];
    *byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
    v->depth++;
    v->state = object ? AT_FIRST_KEY : AT_FIRST_ITEM;
    return put(v, t, object ? "{" : "[", 1, 1);
}

static size_t close_level(struct tool_value *v, const struct piece *t) {
    bool object = level(v);
    if (t->s[0] != (object ? '}' : ']')) return stop(v, VALUE_BAD);
    v->depth--;
    v->comma = false;
    value_over(v);
    return put(v, t, t->s, 1, 1);
}

/* A comma is owed where the notation allows one before a closing bracket, which JSON does not. */
static bool pay_comma(struct tool_value *v, const struct piece *t) {
    bool owed = v->comma;
    v->comma = false;
    return !owed || buf_str(t->out, ", ");
}

static bool is_quote(const struct tool_value *v, char c) { return c == '"' || (c == '\'' && v->notation == NOTE_PYTHON); }

/* What begins a string: 0 when nothing does, else the bytes of its quote. */
static size_t string_here(const struct tool_value *v, const struct piece *t, enum match *m) {
    *m = YES;
    if (is_quote(v, t->s[0])) return 1;
    *m = v->notation == NOTE_GEMMA ? gemma_here(t) : NO;
    return *m == YES ? GEMMA_QUOTE : 0;
}

static size_t read_value(struct tool_value *v, const struct piece *t) {
    char c = t->s[0];
    enum match m;
    size_t quote = string_here(v, t, &m);
    if (m == MAYBE) return 0;
    if (!pay_comma(v, t)) return stop(v, VALUE_NO_MEMORY);
    if (quote) {
        v->is_key = false;
        if (!v->depth) v->type = TYPE_STRING;
        return open_string(v, t, c == gemma_quote[0] ? 0 : c, quote);
    }
    if (c == '{' || c == '[') return open_level(v, t, c == '{');
    if (c == '-' || (c >= '0' && c <= '9')) {
        if (!v->depth) v->type = TYPE_NUMBER;
        v->number = c == '-' ? NUM_MINUS : c == '0' ? NUM_ZERO : NUM_INT;
        v->state = IN_NUMBER;
        return put(v, t, t->s, 1, 1);
    }
    return read_word(v, t);
}

static size_t read_key(struct tool_value *v, const struct piece *t) {
    enum match m;
    size_t quote = string_here(v, t, &m), n = 0;
    if (m == MAYBE) return 0;
    if (quote) {
        if (!pay_comma(v, t)) return stop(v, VALUE_NO_MEMORY);
        v->is_key = true;
        return open_string(v, t, t->s[0] == gemma_quote[0] ? 0 : t->s[0], quote);
    }
    if (v->notation != NOTE_GEMMA) return stop(v, VALUE_BAD);
    while (n < t->n && n <= TOOL_NAME_MAX && !is_space(t->s[n]) && !strchr(":,{}[]<>\"", t->s[n])) n++;
    if (n == t->n && n <= TOOL_NAME_MAX) return want_more(v, t);
    if (n == 0 || n > TOOL_NAME_MAX) return stop(v, VALUE_BAD);
    if (!pay_comma(v, t) || !buf_char(t->out, '"') || !value_escape(t->out, t->s, n) || !buf_char(t->out, '"')) return stop(v, VALUE_NO_MEMORY);
    v->state = AT_COLON;
    return n;
}

static size_t read_comma(struct tool_value *v, const struct piece *t) {
    v->state = level(v) ? AT_NEXT_KEY : AT_VALUE;
    if (v->notation == NOTE_JSON) return put(v, t, ",", 1, 1);
    v->comma = true;
    return 1;
}

/* Outside strings and numbers. Returns the bytes read; none: wait, stop, or the state has changed. */
static size_t read_structure(struct tool_value *v, const struct piece *t) {
    char c = t->s[0];
    bool json = v->notation == NOTE_JSON;
    if (is_space(c)) return json && v->depth ? put(v, t, t->s, 1, 1) : 1;
    switch (v->state) {
    case AT_COLON:
        if (c != ':') return stop(v, VALUE_BAD);
        v->state = AT_VALUE;
        return json ? put(v, t, ":", 1, 1) : put(v, t, ": ", 2, 1);
    case AT_BEHIND: return c == ',' ? read_comma(v, t) : close_level(v, t);
    case AT_FIRST_KEY: return c == '}' ? close_level(v, t) : read_key(v, t);
    case AT_NEXT_KEY: return c == '}' && v->comma ? close_level(v, t) : read_key(v, t);
    case AT_FIRST_ITEM: return c == ']' ? close_level(v, t) : read_value(v, t);
    default: return c == ']' && v->comma ? close_level(v, t) : read_value(v, t);
    }
}

size_t value_read(struct tool_value *v, const char *s, size_t n, bool final, struct buf *out) {
    size_t i = 0;
    while (v->status == VALUE_MORE && i < n) {
        struct piece t = {s + i, n - i, final, out};
        uint8_t before = v->state;
        size_t taken = v->state == IN_STRING ? read_string(v, &t) : v->state == IN_NUMBER ? read_number(v, &t) : read_structure(v, &t);
        if (!taken && v->state == before) break;
        i += taken;
    }
    if (v->status == VALUE_MORE && final && i == n && v->state == IN_NUMBER && !v->depth && number_whole(v->number)) v->status = VALUE_DONE;
    return i;
}
