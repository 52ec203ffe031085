/* tmpl_text.c: strings with a mark on every byte: building them, cutting them, and str() and repr() of any value.
 *
 * Origin is exact where bytes are copied. Text that is computed (repr, JSON, escapes) is data, except the digits of a
 * number that the template itself wrote. */
#define _GNU_SOURCE /* memmem */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tmpl.h"

enum { BYTES_PER_STEP = 64 };

bool sink_room(struct ev *ev, struct sink *s, size_t n) {
    struct text_block *b = s->block;
    if (!spend(ev, n / BYTES_PER_STEP)) return false;
    if (!b && !(s->block = b = take(ev, 1, sizeof *b))) return false;
    if (b->cap - b->used >= n) return true;
    size_t cap;
    if (__builtin_add_overflow(b->used, n, &cap) || cap > SIZE_MAX / 8) return (void)fail(ev, "a string grew too long"), false;
    if (b->used) cap += cap / 2;
    if (cap < 32) cap = 32;
    char *p = take(ev, 2, cap);
    if (!p) return false;
    uint8_t *mark = (uint8_t *)p + cap;
    if (b->used) {
        memcpy(p, b->p, b->used);
        memcpy(mark, b->mark, b->used);
    }
    b->p = p;
    b->mark = mark;
    b->cap = cap;
    return true;
}

bool sink_put(struct ev *ev, struct sink *s, const char *p, size_t n, uint8_t mark) {
    if (!sink_room(ev, s, n)) return false;
    struct text_block *b = s->block;
    if (n) {
        memcpy(b->p + b->used, p, n);
        memset(b->mark + b->used, mark, n);
    }
    b->used += n;
    return true;
}

bool sink_cstr(struct ev *ev, struct sink *s, const char *p, uint8_t mark) { return sink_put(ev, s, p, strlen(p), mark); }

bool sink_part(struct ev *ev, struct sink *s, val string, size_t from, size_t n) {
    if (!sink_room(ev, s, n)) return false;
    struct text_block *b = s->block;
    if (n) {
        memcpy(b->p + b->used, string->s.p + from, n);
        memcpy(b->mark + b->used, string->s.mark + from, n);
    }
    b->used += n;
    return true;
}

bool sink_fill(struct ev *ev, struct sink *s, val pattern, size_t times) {
    size_t n;
    if (__builtin_mul_overflow(pattern->s.n, times, &n)) return (void)fail(ev, "a string grew too long"), false;
    if (!sink_room(ev, s, n)) return false;
    for (size_t i = 0; n && i < times; i++)
        if (!sink_part(ev, s, pattern, 0, pattern->s.n)) return false;
    return true;
}

bool sink_codepoint(struct ev *ev, struct sink *s, uint32_t cp, uint8_t mark) {
    char bytes[4];
    return sink_put(ev, s, bytes, u8_put(bytes, cp), mark);
}

size_t sink_length(const struct sink *s) { return s->block ? s->block->used : 0; }

static struct value *text_value(struct ev *ev, const char *p, const uint8_t *mark, size_t n, uint8_t flavor) {
    struct value *v = take(ev, 1, sizeof *v);
    if (!v) return NULL;
    v->kind = V_STRING;
    v->flavor = flavor;
    v->s = (struct text){p, mark, n, NULL};
    return v;
}

val sink_done(struct ev *ev, struct sink *s, uint8_t flavor) {
    static const uint8_t no_mark[1] = {0};
    struct text_block *b = s->block;
    if (!b || !b->used) return text_value(ev, "", no_mark, 0, flavor);
    struct value *v = text_value(ev, b->p, b->mark, b->used, flavor);
    if (v) v->s.block = b;
    s->block = NULL;
    return v;
}

val new_string(struct ev *ev, const char *p, size_t n, uint8_t mark) {
    struct sink s = {0};
    return sink_put(ev, &s, p, n, mark) ? sink_done(ev, &s, STRING_PLAIN) : NULL;
}

val new_cstring(struct ev *ev, const char *p, uint8_t mark) { return new_string(ev, p, strlen(p), mark); }

val substring(struct ev *ev, val string, size_t from, size_t n) {
    if (from == 0 && n == string->s.n) return string;
    struct value *v = text_value(ev, string->s.p + from, string->s.mark + from, n, string->flavor);
    if (v) v->s.block = string->s.block;
    return v;
}

/* Where a ends at the used end of its block, b is written behind it and the two strings share the block. */
val concat(struct ev *ev, val a, val b) {
    struct text_block *block = a->s.block;
    struct sink s = {0};
    if (block && a->s.p + a->s.n == block->p + block->used && block->cap - block->used >= b->s.n) {
        s.block = block;
        if (!sink_part(ev, &s, b, 0, b->s.n)) return NULL;
        struct value *v = text_value(ev, a->s.p, a->s.mark, a->s.n + b->s.n, STRING_PLAIN);
        if (v) v->s.block = block;
        return v;
    }
    /* room to grow only for what is worth it */
    size_t n = a->s.n + b->s.n;
    if (!sink_room(ev, &s, n < 256 ? n : n + n / 2)) return NULL;
    return sink_part(ev, &s, a, 0, a->s.n) && sink_part(ev, &s, b, 0, b->s.n) ? sink_done(ev, &s, STRING_PLAIN) : NULL;
}

val with_flavor(struct ev *ev, val string, uint8_t flavor) {
    if (string->flavor == flavor) return string;
    struct value *v = text_value(ev, string->s.p, string->s.mark, string->s.n, flavor);
    if (v) v->s.block = string->s.block;
    return v;
}

bool text_eq(struct text a, struct text b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }

size_t text_find(struct text s, size_t from, struct text needle) {
    if (needle.n > s.n || from > s.n - needle.n) return SIZE_MAX;
    if (!needle.n) return from;
    const char *p = memmem(s.p + from, s.n - from, needle.p, needle.n);
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

size_t text_rfind(struct ev *ev, struct text s, size_t end, struct text needle) {
    if (end > s.n) end = s.n;
    if (needle.n > end || !spend(ev, s.n / BYTES_PER_STEP)) return SIZE_MAX;
    for (size_t i = end - needle.n + 1; i-- > 0;) {
        if (needle.n && s.p[i] != needle.p[0]) continue;
        if (!spend(ev, needle.n / BYTES_PER_STEP)) return SIZE_MAX; /* each comparison may run long */
        if (!needle.n || memcmp(s.p + i, needle.p, needle.n) == 0) return i;
    }
    return SIZE_MAX;
}

uint8_t common_mark(val string) {
    for (size_t i = 0; i < string->s.n; i++)
        if (!(string->s.mark[i] & MARK_TEMPLATE)) return MARK_DATA;
    return MARK_TEMPLATE;
}

/* The shortest decimal that reads back as f, laid out as Python does: an exponent below 1e-4 and from 1e16 on. */
size_t float_repr(char out[32], double f) {
    if (isnan(f) || isinf(f)) return (size_t)snprintf(out, 32, "%s", isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
    int digits = 1;
    for (; digits < 17; digits++) {
        (void)snprintf(out, 32, "%.*e", digits - 1, f);
        if (strtod(out, NULL) == f) break;
    }
    (void)snprintf(out, 32, "%.*e", digits - 1, f);
    int exponent = atoi(strchr(out, 'e') + 1);
    if (exponent < -4 || exponent >= 16) return strlen(out);
    int decimals = digits - 1 - exponent;
    return (size_t)snprintf(out, 32, "%.*f", decimals < 1 ? 1 : decimals, f);
}

double round_digits(double f, int digits) {
    if (!isfinite(f) || digits > 350) return f;
    if (digits < 0) {
        double scale = pow(10, -digits);
        return isfinite(scale) ? nearbyint(f / scale) * scale : 0.0 * f;
    }
    char text[800]; /* 309 digits before the point, at most 350 after it */
    (void)snprintf(text, sizeof text, "%.*f", digits, f);
    return strtod(text, NULL);
}

static bool put_scalar(struct ev *ev, struct sink *s, val v, uint8_t mark) {
    char text[32];
    switch (v->kind) {
    case V_NONE: return sink_cstr(ev, s, "None", mark);
    case V_BOOL: return sink_cstr(ev, s, v->b ? "True" : "False", mark);
    case V_INT: return sink_put(ev, s, text, (size_t)snprintf(text, sizeof text, "%" PRId64, v->i), mark);
    default: return sink_put(ev, s, text, float_repr(text, v->f), mark);
    }
}

bool sink_str(struct ev *ev, struct sink *s, val v) {
    switch (v->kind) {
    case V_UNDEFINED: return true;
    case V_STRING: return sink_part(ev, s, v, 0, v->s.n);
    case V_NONE:
    case V_BOOL:
    case V_INT:
    case V_FLOAT: return put_scalar(ev, s, v, v->mark);
    default: return sink_repr(ev, s, v);
    }
}

static bool repr_codepoint(struct ev *ev, struct sink *s, uint32_t cp, char quote) {
    char text[16];
    if (cp == '\\' || cp == (uint32_t)quote) return sink_put(ev, s, "\\", 1, 0) && sink_codepoint(ev, s, cp, 0);
    if (cp == '\n') return sink_cstr(ev, s, "\\n", 0);
    if (cp == '\r') return sink_cstr(ev, s, "\\r", 0);
    if (cp == '\t') return sink_cstr(ev, s, "\\t", 0);
    if (char_is(cp, CHAR_PRINTABLE)) return sink_codepoint(ev, s, cp, 0);
    (void)snprintf(text, sizeof text, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
    return sink_cstr(ev, s, text, 0);
}

static bool repr_string(struct ev *ev, struct sink *s, val v) {
    char quote = memchr(v->s.p, '\'', v->s.n) && !memchr(v->s.p, '"', v->s.n) ? '"' : '\'';
    bool markup = v->flavor == STRING_MARKUP;
    if (!sink_cstr(ev, s, markup ? "Markup(" : "", 0) || !sink_put(ev, s, &quote, 1, 0)) return false;
    uint32_t cp;
    for (size_t i = 0; i < v->s.n;) {
        i += u8_step(v->s.p + i, v->s.n - i, &cp);
        if (!repr_codepoint(ev, s, cp, quote)) return false;
    }
    return sink_put(ev, s, &quote, 1, 0) && sink_cstr(ev, s, markup ? ")" : "", 0);
}

static bool repr_dict(struct ev *ev, struct sink *s, const struct dict *d) {
    if (!sink_cstr(ev, s, "{", 0)) return false;
    for (size_t i = 0; i < d->n; i++)
        if (!sink_cstr(ev, s, i ? ", " : "", 0) || !sink_repr(ev, s, d->at[i].key) || !sink_cstr(ev, s, ": ", 0) ||
            !sink_repr(ev, s, d->at[i].value))
            return false;
    return sink_cstr(ev, s, "}", 0);
}

static bool repr_list(struct ev *ev, struct sink *s, val v) {
    static const char *const around[][2] = {
        [LIST_LIST] = {"[", "]"}, [LIST_TUPLE] = {"(", ")"}, [LIST_GROUP] = {"(", ")"}, [LIST_KEYS] = {"dict_keys([", "])"},
        [LIST_VALUES] = {"dict_values([", "])"}, [LIST_ITEMS] = {"dict_items([", "])"},
    };
    if (v->flavor == LIST_RANGE) {
        const int64_t *r = v->l.range;
        char text[96];
        (void)snprintf(text, sizeof text, r[2] == 1 ? "range(%" PRId64 ", %" PRId64 ")" : "range(%" PRId64 ", %" PRId64 ", %" PRId64 ")",
                       r[0], r[1], r[2]);
        return sink_cstr(ev, s, text, 0);
    }
    if (!sink_cstr(ev, s, around[v->flavor][0], 0)) return false;
    for (size_t i = 0; i < v->l.n; i++)
        if (!sink_cstr(ev, s, i ? ", " : "", 0) || !sink_repr(ev, s, v->l.at[i])) return false;
    if (is_tuple(v) && v->l.n == 1 && !sink_cstr(ev, s, ",", 0)) return false;
    return sink_cstr(ev, s, around[v->flavor][1], 0);
}

bool sink_repr(struct ev *ev, struct sink *s, val v) {
    if (!deeper(ev) || !spend(ev, 1)) return false;
    bool ok;
    switch (v->kind) {
    case V_NONE:
    case V_BOOL:
    case V_INT:
    case V_FLOAT: ok = put_scalar(ev, s, v, MARK_DATA); break;
    case V_UNDEFINED: ok = sink_cstr(ev, s, "Undefined", 0); break;
    case V_STRING: ok = repr_string(ev, s, v); break;
    case V_LIST: ok = repr_list(ev, s, v); break;
    case V_DICT: ok = repr_dict(ev, s, &v->d); break;
    case V_NAMESPACE: ok = sink_cstr(ev, s, "<Namespace ", 0) && repr_dict(ev, s, &v->names->d) && sink_cstr(ev, s, ">", 0); break;
    case V_MACRO:
        ok = sink_cstr(ev, s, "<Macro ", 0) && (v->macro->node->value ? sink_repr(ev, s, v->macro->node->value) : sink_cstr(ev, s, "anonymous", 0)) &&
             sink_cstr(ev, s, ">", 0);
        break;
    default: ok = sink_cstr(ev, s, "<", 0) && sink_cstr(ev, s, type_name(v), 0) && sink_cstr(ev, s, " object>", 0); break;
    }
    ev->depth--;
    return ok;
}

val soft_str(struct ev *ev, val v) {
    if (v->kind == V_STRING) return v;
    struct sink s = {0};
    return sink_str(ev, &s, v) ? sink_done(ev, &s, STRING_PLAIN) : NULL;
}

val to_str(struct ev *ev, val v) { return v->kind == V_STRING ? with_flavor(ev, v, STRING_PLAIN) : soft_str(ev, v); }

val to_repr(struct ev *ev, val v) {
    struct sink s = {0};
    return sink_repr(ev, &s, v) ? sink_done(ev, &s, STRING_PLAIN) : NULL;
}

val html_escape(struct ev *ev, val v) {
    if (v->kind == V_STRING && v->flavor == STRING_MARKUP) return v;
    val text = to_str(ev, v);
    struct sink s = {0};
    for (size_t i = 0; text && i < text->s.n; i++) {
        const char *entity = NULL;
        switch (text->s.p[i]) {
        case '&': entity = "&amp;"; break;
        case '<': entity = "&lt;"; break;
        case '>': entity = "&gt;"; break;
        case '"': entity = "&#34;"; break;
        case '\'': entity = "&#39;"; break;
        default: break;
        }
        if (!(entity ? sink_cstr(ev, &s, entity, MARK_DATA) : sink_part(ev, &s, text, i, 1))) return NULL;
    }
    return text ? sink_done(ev, &s, STRING_MARKUP) : NULL;
}
