/* tmpl_strings.c: the operations of Python's str that both methods and filters use. All keep the mark of every byte they copy. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/tmpl.h"

static bool in_set(uint32_t cp, val chars) {
    if (!chars || chars->kind == V_NONE) return char_is(cp, CHAR_SPACE);
    uint32_t other;
    for (size_t i = 0; i < chars->s.n;) {
        i += u8_step(chars->s.p + i, chars->s.n - i, &other);
        if (other == cp) return true;
    }
    return false;
}

val strip_text(struct ev *ev, val string, val chars, enum side sides) {
    if (chars && chars->kind != V_NONE && !arg_text(ev, chars, "strip argument")) return NULL;
    struct text s = string->s;
    size_t from = 0, to = s.n, each = chars && chars->kind == V_STRING ? chars->s.n / 8 : 0;
    uint32_t cp;
    while ((sides & SIDE_LEFT) && from < to) {
        size_t n = u8_step(s.p + from, to - from, &cp);
        if (!in_set(cp, chars)) break;
        if (!spend(ev, each)) return NULL;
        from += n;
    }
    while ((sides & SIDE_RIGHT) && to > from) {
        size_t n = u8_step_back(s.p + from, to - from, &cp);
        if (!in_set(cp, chars)) break;
        if (!spend(ev, each)) return NULL;
        to -= n;
    }
    return substring(ev, string, from, to - from);
}

/* An empty `old` stands before every code point and at the end. */
static val replace_empty(struct ev *ev, val string, val with, int64_t count) {
    struct sink out = {0};
    struct text s = string->s;
    uint32_t cp;
    for (size_t i = 0;; count--) {
        if (count == 0) {
            if (!sink_part(ev, &out, string, i, s.n - i)) return NULL;
            break;
        }
        if (!sink_part(ev, &out, with, 0, with->s.n)) return NULL;
        if (i >= s.n) break;
        size_t n = u8_step(s.p + i, s.n - i, &cp);
        if (!sink_part(ev, &out, string, i, n)) return NULL;
        i += n;
    }
    return sink_done(ev, &out, string->flavor);
}

val replace_text(struct ev *ev, val string, val old, val with, int64_t count) {
    if (!old->s.n) return replace_empty(ev, string, with, count);
    struct sink out = {0};
    size_t at = 0, hit;
    while (count != 0 && (hit = text_find(string->s, at, old->s)) != SIZE_MAX) {
        if (!sink_part(ev, &out, string, at, hit - at) || !sink_part(ev, &out, with, 0, with->s.n) || !spend(ev, 1)) return NULL;
        at = hit + old->s.n;
        count--;
    }
    if (at == 0) return string;
    return sink_part(ev, &out, string, at, string->s.n - at) ? sink_done(ev, &out, string->flavor) : NULL;
}

static val split_space(struct ev *ev, val string, int64_t most) {
    struct value *list = new_list(ev, LIST_LIST, 0);
    struct text s = string->s;
    uint32_t cp;
    for (size_t i = 0; list && i < s.n; most--) {
        size_t n;
        while (i < s.n && (n = u8_step(s.p + i, s.n - i, &cp), char_is(cp, CHAR_SPACE))) i += n;
        if (i >= s.n) break;
        size_t from = i;
        while (i < s.n && (n = u8_step(s.p + i, s.n - i, &cp), most == 0 || !char_is(cp, CHAR_SPACE))) i += n;
        if (!push(ev, list, substring(ev, string, from, i - from)) || !spend(ev, 1)) return NULL;
    }
    return list;
}

val split_text(struct ev *ev, val string, val separator, int64_t most) {
    if (!separator || separator->kind == V_NONE) return split_space(ev, string, most);
    if (!arg_text(ev, separator, "separator")) return NULL;
    if (!separator->s.n) return fail(ev, "empty separator");
    struct value *list = new_list(ev, LIST_LIST, 0);
    size_t at = 0, hit;
    for (; list && most != 0 && (hit = text_find(string->s, at, separator->s)) != SIZE_MAX; most--) {
        if (!push(ev, list, substring(ev, string, at, hit - at)) || !spend(ev, 1)) return NULL;
        at = hit + separator->s.n;
    }
    return list && push(ev, list, substring(ev, string, at, string->s.n - at)) ? list : NULL;
}

static bool line_end(uint32_t cp) {
    return (cp >= 0x0a && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

val split_lines(struct ev *ev, val string, bool keep_ends) {
    struct value *list = new_list(ev, LIST_LIST, 0);
    struct text s = string->s;
    uint32_t cp;
    for (size_t i = 0; list && i < s.n;) {
        size_t from = i, n = 0;
        while (i < s.n && (n = u8_step(s.p + i, s.n - i, &cp), !line_end(cp))) i += n;
        size_t to = i;
        if (i < s.n) i += n + (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n' ? 1 : 0);
        if (!push(ev, list, substring(ev, string, from, (keep_ends ? i : to) - from)) || !spend(ev, 1)) return NULL;
    }
    return list;
}

val join_text(struct ev *ev, val separator, val items, bool any_type) {
    struct iter *it = iter_new(ev, items);
    struct sink out = {0};
    bool markup = !any_type && separator->flavor == STRING_MARKUP;
    val item;
    int rc = it ? 1 : -1;
    for (size_t i = 0; rc > 0 && (rc = iter_next(ev, it, &item)) > 0; i++) {
        if (markup) item = html_escape(ev, item);
        else if (!any_type && item->kind != V_STRING) return fail(ev, "sequence item %zu: expected str instance, %s found", i, type_name(item));
        if (!item || (i && !sink_part(ev, &out, separator, 0, separator->s.n)) || !sink_str(ev, &out, item)) return NULL;
    }
    return rc == 0 ? sink_done(ev, &out, markup ? STRING_MARKUP : STRING_PLAIN) : NULL;
}

val pad_text(struct ev *ev, val string, int64_t width, val fill, enum side sides) {
    int64_t n = (int64_t)u8_count(string->s.p, string->s.n), missing = width - n, left = 0;
    if (fill && !arg_text(ev, fill, "The fill character")) return NULL;
    if (fill && u8_count(fill->s.p, fill->s.n) != 1) return fail(ev, "The fill character must be exactly one character long");
    if (missing <= 0) return string;
    if (sides == SIDE_LEFT) left = missing;
    if (sides == SIDE_BOTH) left = missing / 2 + (missing & width & 1);
    if (!fill && !(fill = new_cstring(ev, " ", MARK_DATA))) return NULL;
    struct sink out = {0};
    if (!sink_fill(ev, &out, fill, (size_t)left) || !sink_part(ev, &out, string, 0, string->s.n) || !sink_fill(ev, &out, fill, (size_t)(missing - left)))
        return NULL;
    return sink_done(ev, &out, string->flavor);
}

/* ---- numbers ---- */

static struct text trimmed(struct text s) {
    uint32_t cp;
    while (s.n) {
        size_t n = u8_step(s.p, s.n, &cp);
        if (!char_is(cp, CHAR_SPACE)) break;
        s.p += n;
        s.n -= n;
    }
    while (s.n) {
        size_t n = u8_step_back(s.p, s.n, &cp);
        if (!char_is(cp, CHAR_SPACE)) break;
        s.n -= n;
    }
    return s;
}

static int digit_in(char c, int base) {
    int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'z' ? (c | 32) - 'a' + 10 : 99;
    return d < base ? d : -1;
}

static int prefix_base(const char *p, size_t n) {
    if (n < 2 || p[0] != '0') return 0;
    char c = (char)(p[1] | 32);
    return c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
}

bool parse_int_text(struct text s, int base, int64_t *out, bool *overflow) {
    s = trimmed(s);
    bool negative = s.n && s.p[0] == '-', underscore = false;
    size_t i = negative || (s.n && s.p[0] == '+') ? 1 : 0;
    int prefix = prefix_base(s.p + i, s.n - i);
    *overflow = false;
    *out = 0;
    if (prefix && (base == prefix || base == 0)) {
        i += 2;
        if (i < s.n && s.p[i] == '_') i++;
        base = prefix;
    } else if (base == 0) {
        for (size_t k = i; k < s.n; k++)
            if (s.p[i] == '0' && s.p[k] != '0' && s.p[k] != '_') return false; /* 010 is no number */
        base = 10;
    }
    if (i >= s.n) return false;
    for (; i < s.n; i++) {
        int d = digit_in(s.p[i], base);
        if (s.p[i] == '_' && !underscore && i + 1 < s.n && i > 0 && digit_in(s.p[i - 1], 36) >= 0) {
            underscore = true;
            continue;
        }
        if (d < 0) return false;
        underscore = false;
        if (!*overflow && (__builtin_mul_overflow(*out, base, out) || __builtin_sub_overflow(*out, d, out))) *overflow = true;
    }
    if (!negative && *out == INT64_MIN) *overflow = true;
    if (!negative && !*overflow) *out = -*out; /* built up below zero, where there is room for INT64_MIN */
    return true;
}

static bool same_word(const char *p, size_t n, const char *word) {
    if (strlen(word) != n) return false;
    for (size_t i = 0; i < n; i++)
        if ((p[i] | 32) != word[i]) return false;
    return true;
}

bool parse_float_text(struct text s, double *out) {
    s = trimmed(s);
    char *copy = NULL, local[128];
    size_t n = 0, sign = s.n && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    if (s.n >= sizeof local) return false; /* no number that a template means is that long */
    const char *rest = s.p + sign;
    if (same_word(rest, s.n - sign, "inf") || same_word(rest, s.n - sign, "infinity") || same_word(rest, s.n - sign, "nan")) {
        double v = (rest[0] | 32) == 'n' ? (double)NAN : (double)INFINITY;
        *out = s.p[0] == '-' ? -v : v;
        return true;
    }
    for (size_t i = 0; i < s.n; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        if (s.p[i] == '_') {
            if (i == 0 || i + 1 >= s.n || digit_in(s.p[i - 1], 10) < 0 || digit_in(s.p[i + 1], 10) < 0) return false;
            continue;
        }
        if (!digit && !strchr("+-.eE", s.p[i])) return false;
        if (!s.p[i]) return false;
        local[n++] = s.p[i];
    }
    local[n] = 0;
    *out = strtod(local, &copy);
    return n > 0 && copy == local + n;
}
