/* tmpl_filters_text.c: filters that make text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/tmpl.h"

#define FILTER(name) static val name(struct ev *ev, val self, val *argv, const struct args *args)
#define UNUSED ((void)argv, (void)args)

static bool flag(val v, bool otherwise) { return v ? truth(v) : otherwise; }

FILTER(f_string) {
    UNUSED;
    return soft_str(ev, self);
}

FILTER(f_upper) {
    UNUSED;
    val s = soft_str(ev, self);
    return s ? map_case(ev, s, CASE_UPPER) : NULL;
}

FILTER(f_lower) {
    UNUSED;
    val s = soft_str(ev, self);
    return s ? map_case(ev, s, CASE_LOWER) : NULL;
}

FILTER(f_capitalize) {
    UNUSED;
    val s = soft_str(ev, self);
    return s ? capitalize(ev, s) : NULL;
}

/* Words begin after blanks, hyphens and opening brackets; only their first letter is upper case. */
static bool starts_word(uint32_t before) { return char_is(before, CHAR_SPACE) || (before && before < 128 && strchr("-({[<", (int)before)); }

FILTER(f_title) {
    UNUSED;
    val s = to_str(ev, self);
    struct sink out = {0};
    uint32_t cp;
    for (size_t i = 0; s && i < s->s.n;) {
        size_t first = u8_step(s->s.p + i, s->s.n - i, &cp), end = i + first;
        while (end < s->s.n && !starts_word(cp)) end += u8_step(s->s.p + end, s->s.n - end, &cp);
        val head = substring(ev, s, i, first), tail = substring(ev, s, i + first, end - i - first);
        if (!head || !tail || !(head = map_case(ev, head, CASE_UPPER)) || !(tail = map_case(ev, tail, CASE_LOWER))) return NULL;
        if (!sink_part(ev, &out, head, 0, head->s.n) || !sink_part(ev, &out, tail, 0, tail->s.n)) return NULL;
        i = end;
    }
    return s ? sink_done(ev, &out, STRING_PLAIN) : NULL;
}

FILTER(f_trim) {
    (void)args;
    val s = soft_str(ev, self);
    return s ? strip_text(ev, s, argv[0], SIDE_BOTH) : NULL;
}

FILTER(f_replace) {
    (void)args;
    int64_t count;
    val s = to_str(ev, self), old = s ? to_str(ev, argv[0]) : NULL, with = old ? to_str(ev, argv[1]) : NULL;
    if (!with || !arg_int(ev, argv[2] && argv[2]->kind == V_NONE ? NULL : argv[2], -1, &count)) return NULL;
    return replace_text(ev, s, old, with, count);
}

FILTER(f_join) {
    (void)args;
    val separator = argv[0] ? to_str(ev, argv[0]) : new_cstring(ev, "", 0);
    if (!separator) return NULL;
    if (!argv[1] || argv[1]->kind == V_NONE) return join_text(ev, separator, self, true);
    struct value *parts = new_list(ev, LIST_LIST, 0);
    struct iter *it = parts ? iter_new(ev, self) : NULL;
    val item;
    int rc = it ? 1 : -1;
    while (rc > 0 && (rc = iter_next(ev, it, &item)) > 0)
        if (!push(ev, parts, get_path(ev, item, argv[1], NULL))) return NULL;
    return rc < 0 ? NULL : join_text(ev, separator, parts, true);
}

FILTER(f_center) {
    (void)args;
    int64_t width;
    val s = soft_str(ev, self);
    return s && arg_int(ev, argv[0], 80, &width) ? pad_text(ev, s, width, NULL, SIDE_BOTH) : NULL;
}

FILTER(f_indent) {
    (void)args;
    int64_t width;
    bool first = flag(argv[1], false), blank = flag(argv[2], false);
    if (self->kind == V_UNDEFINED) return fail_undefined(ev, self);
    if (!arg_text(ev, self, "the value that indent takes")) return NULL;
    val by = argv[0] && argv[0]->kind == V_STRING ? argv[0] : NULL, newline = new_cstring(ev, "\n", MARK_DATA);
    if (!by) {
        struct sink blanks = {0};
        val one = new_cstring(ev, " ", MARK_DATA);
        if (!one || !arg_int(ev, argv[0], 4, &width) || !sink_fill(ev, &blanks, one, width > 0 ? (size_t)width : 0)) return NULL;
        by = sink_done(ev, &blanks, STRING_PLAIN);
    }
    val s = by && newline ? concat(ev, self, newline) : NULL, lines = s ? split_lines(ev, s, false) : NULL;
    struct sink out = {0};
    for (size_t i = 0; lines && i < lines->l.n; i++) {
        val line = lines->l.at[i];
        bool wanted = i ? blank || line->s.n : first;
        if ((i && !sink_part(ev, &out, newline, 0, 1)) || (wanted && !sink_part(ev, &out, by, 0, by->s.n)) || !sink_part(ev, &out, line, 0, line->s.n))
            return NULL;
    }
    return lines ? sink_done(ev, &out, self->flavor) : NULL;
}

FILTER(f_truncate) {
    (void)args;
    int64_t length, leeway;
    if (!arg_int(ev, argv[0], 255, &length) || !arg_int(ev, argv[3] && argv[3]->kind == V_NONE ? NULL : argv[3], 5, &leeway)) return NULL;
    val end = argv[2] ? argv[2] : new_cstring(ev, "...", MARK_DATA);
    if (!end || !arg_text(ev, end, "the end that truncate puts")) return NULL;
    int64_t end_n = (int64_t)u8_count(end->s.p, end->s.n);
    if (length < end_n) return fail(ev, "expected length >= %lld, got %lld", (long long)end_n, (long long)length);
    if (leeway < 0) return fail(ev, "expected leeway >= 0, got %lld", (long long)leeway);
    uint64_t whole = (uint64_t)length + (uint64_t)leeway;
    if (self->kind == V_UNDEFINED || (self->kind == V_LIST && self->l.n <= whole) || (self->kind == V_DICT && self->d.n <= whole)) return self;
    if (!arg_text(ev, self, "the value that truncate takes")) return NULL;
    size_t n = u8_count(self->s.p, self->s.n);
    if (n <= whole) return self;
    val cut = substring(ev, self, 0, u8_offset(self->s.p, self->s.n, (size_t)(length - end_n)));
    if (cut && !flag(argv[1], false)) {
        val blank = new_cstring(ev, " ", 0);
        size_t at = blank ? text_rfind(ev, cut->s, cut->s.n, blank->s) : SIZE_MAX;
        if (at != SIZE_MAX) cut = substring(ev, cut, 0, at);
    }
    return cut && !ev->code ? binary_op(ev, T_ADD, cut, end) : NULL;
}

FILTER(f_wordcount) {
    UNUSED;
    val s = to_str(ev, self);
    int64_t n = 0;
    bool inside = false;
    uint32_t cp;
    for (size_t i = 0; s && i < s->s.n;) {
        i += u8_step(s->s.p + i, s->s.n - i, &cp);
        /* re's \w: letters, numbers and the underscore */
        bool word = char_is(cp, CHAR_ALNUM) || cp == '_';
        n += word && !inside;
        inside = word;
    }
    return s ? new_int(ev, n) : NULL;
}

FILTER(f_filesizeformat) {
    (void)args;
    static const char units[] = "kMGTPEZY";
    double size, base = flag(argv[0], false) ? 1024 : 1000, unit = base;
    char text[64];
    if (self->kind == V_STRING ? !parse_float_text(self->s, &size) : !is_number(self))
        return self->kind == V_UNDEFINED ? fail_undefined(ev, self) : fail(ev, "could not convert to a number of bytes");
    if (self->kind != V_STRING) size = float_of(self);
    if (!isfinite(size) && size < base) return fail(ev, "cannot convert float infinity or NaN to integer");
    if (size == 1) return new_cstring(ev, "1 Byte", MARK_DATA);
    if (size < base) {
        (void)snprintf(text, sizeof text, "%.0f Bytes", trunc(size) + 0.0);
        return new_cstring(ev, text, MARK_DATA);
    }
    int k = 0;
    for (unit = base * base; k < 7 && size >= unit; k++) unit *= base;
    char long_text[400];
    (void)snprintf(long_text, sizeof long_text, "%.1f %c%sB", base * size / unit, base == 1024 && k == 0 ? 'K' : units[k], base == 1024 ? "i" : "");
    return new_cstring(ev, long_text, MARK_DATA);
}

/* ---- HTML and URLs ---- */

FILTER(f_escape) {
    UNUSED;
    return html_escape(ev, self);
}

FILTER(f_forceescape) {
    UNUSED;
    val s = to_str(ev, self);
    return s ? html_escape(ev, s) : NULL;
}

FILTER(f_safe) {
    UNUSED;
    val s = soft_str(ev, self);
    return s ? with_flavor(ev, s, STRING_MARKUP) : NULL;
}

/* Removes each open..close and what lies between, from left to right, as often as open occurs. */
static val without(struct ev *ev, val s, const char *open, const char *close) {
    struct sink out = {0};
    struct text from = {open, NULL, strlen(open), NULL}, to = {close, NULL, strlen(close), NULL};
    size_t at = 0, start, end = 0;
    while ((start = text_find(s->s, at, from)) != SIZE_MAX && (end = text_find(s->s, start, to)) != SIZE_MAX) {
        if (!sink_part(ev, &out, s, at, start - at)) return NULL;
        at = end + to.n;
    }
    return sink_part(ev, &out, s, at, s->s.n - at) ? sink_done(ev, &out, STRING_PLAIN) : NULL;
}

/* The few entities that escape makes, and numeric ones. */
static val unescape(struct ev *ev, val s) {
    static const struct {
        const char *name, *text;
    } entities[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&nbsp;", "\xc2\xa0"}};
    struct sink out = {0};
    for (size_t i = 0; i < s->s.n;) {
        const char *p = s->s.p + i;
        size_t left = s->s.n - i, taken = 0;
        for (size_t k = 0; *p == '&' && k < TABLE_SIZE(entities) && !taken; k++) {
            size_t n = strlen(entities[k].name);
            if (left >= n && memcmp(p, entities[k].name, n) == 0 && (taken = n) && !sink_cstr(ev, &out, entities[k].text, MARK_DATA)) return NULL;
        }
        if (!taken && left > 3 && p[0] == '&' && p[1] == '#') {
            bool hex = (p[2] | 32) == 'x';
            size_t k = hex ? 3 : 2, first = k;
            uint32_t cp = 0;
            for (; k < left && k < 12; k++) {
                int d = p[k] >= '0' && p[k] <= '9' ? p[k] - '0' : hex && (p[k] | 32) >= 'a' && (p[k] | 32) <= 'f' ? (p[k] | 32) - 'a' + 10 : -1;
                if (d < 0 || cp > 0x10ffff) break;
                cp = cp * (hex ? 16 : 10) + (uint32_t)d;
            }
            if (k > first && k < left && p[k] == ';' && cp && cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff)) {
                if (!sink_codepoint(ev, &out, cp, MARK_DATA)) return NULL;
                taken = k + 1;
            }
        }
        if (!taken && !sink_part(ev, &out, s, i, 1)) return NULL;
        i += taken ? taken : 1;
    }
    return sink_done(ev, &out, STRING_PLAIN);
}

FILTER(f_striptags) {
    UNUSED;
    val s = to_str(ev, self), blank = s ? new_cstring(ev, " ", MARK_DATA) : NULL;
    s = blank ? without(ev, s, "<!--", "-->") : NULL;
    s = s ? without(ev, s, "<", ">") : NULL;
    val words = s ? split_text(ev, s, NULL, -1) : NULL;
    s = words ? join_text(ev, blank, words, true) : NULL;
    return s ? unescape(ev, s) : NULL;
}

static bool url_quote(struct ev *ev, struct sink *out, val v, bool query) {
    val s = to_str(ev, v);
    for (size_t i = 0; s && i < s->s.n; i++) {
        unsigned char c = (unsigned char)s->s.p[i];
        char text[4];
        bool keep = (c < 128 && char_is(c, CHAR_ALNUM)) || (c && strchr("_.-~", c)) || (c == '/' && !query);
        (void)snprintf(text, sizeof text, query && c == ' ' ? "+" : "%%%02X", c);
        if (!(keep ? sink_part(ev, out, s, i, 1) : sink_cstr(ev, out, text, MARK_DATA))) return false;
    }
    return s != NULL;
}

FILTER(f_urlencode) {
    UNUSED;
    struct sink out = {0};
    struct list pairs, pair;
    val items = self;
    if (self->kind == V_STRING || !is_iterable(self)) return url_quote(ev, &out, self, false) ? sink_done(ev, &out, STRING_PLAIN) : NULL;
    if (self->kind == V_DICT) {
        const struct args none = {0};
        val name = new_cstring(ev, "items", 0), method = name ? method_of(ev, self, name) : NULL;
        items = method ? call_value(ev, method, &none) : NULL;
    }
    if (!items || !to_list(ev, items, &pairs)) return NULL;
    for (size_t i = 0; i < pairs.n; i++) {
        if (!to_list(ev, pairs.at[i], &pair)) return NULL;
        if (pair.n != 2) return fail(ev, "urlencode takes pairs, this item has %zu values", pair.n);
        if ((i && !sink_cstr(ev, &out, "&", MARK_DATA)) || !url_quote(ev, &out, pair.at[0], true) || !sink_cstr(ev, &out, "=", MARK_DATA) ||
            !url_quote(ev, &out, pair.at[1], true))
            return NULL;
    }
    return sink_done(ev, &out, STRING_PLAIN);
}

FILTER(f_xmlattr) {
    (void)args;
    struct sink out = {0};
    if (self->kind != V_DICT) return fail(ev, "'%s' object has no attribute 'items'", type_name(self));
    for (size_t i = 0; i < self->d.n; i++) {
        val key = self->d.at[i].key, value = self->d.at[i].value;
        if (value->kind == V_NONE || value->kind == V_UNDEFINED) continue;
        if (!arg_text(ev, key, "the name of an attribute")) return NULL;
        for (size_t k = 0; k < key->s.n; k++)
            if (key->s.p[k] && strchr(" \t\n\r\f\v/>=", key->s.p[k])) return fail(ev, "Invalid character in attribute name");
        bool blank = sink_length(&out) || flag(argv[0], true);
        val k = html_escape(ev, key), v = k ? html_escape(ev, value) : NULL;
        if (!v || (blank && !sink_cstr(ev, &out, " ", MARK_DATA)) || !sink_part(ev, &out, k, 0, k->s.n) || !sink_cstr(ev, &out, "=\"", MARK_DATA) ||
            !sink_part(ev, &out, v, 0, v->s.n) || !sink_cstr(ev, &out, "\"", MARK_DATA))
            return NULL;
    }
    return sink_done(ev, &out, STRING_PLAIN);
}

FILTER(f_format) {
    (void)argv;
    val s = soft_str(ev, self);
    if (args->n && args->n_named) return fail(ev, "can't handle positional and keyword arguments at the same time");
    struct value *values = s ? (args->n_named ? new_dict(ev) : new_list(ev, LIST_TUPLE, 0)) : NULL;
    for (size_t i = 0; values && i < args->n; i++)
        if (!push(ev, values, args->at[i])) return NULL;
    for (size_t i = 0; values && i < args->n_named; i++)
        if (!put(ev, values, args->named[i].name, args->named[i].value)) return NULL;
    return values ? format_percent(ev, s, values) : NULL;
}

static const struct builtin text_filters[] = {
    {"capitalize", f_capitalize, "", 0}, {"center", f_center, "width", 0}, {"e", f_escape, "", 0}, {"escape", f_escape, "", 0},
    {"filesizeformat", f_filesizeformat, "binary", 0}, {"forceescape", f_forceescape, "", 0}, {"format", f_format, NULL, 0},
    {"indent", f_indent, "width first blank", 0}, {"join", f_join, "d attribute", 0}, {"lower", f_lower, "", 0},
    {"pprint", tmpl_pprint, "", 0}, {"replace", f_replace, "old new count", 2}, {"safe", f_safe, "", 0}, {"string", f_string, "", 0},
    {"striptags", f_striptags, "", 0}, {"title", f_title, "", 0}, {"trim", f_trim, "chars", 0},
    {"truncate", f_truncate, "length killwords end leeway", 0}, {"upper", f_upper, "", 0}, {"urlencode", f_urlencode, "", 0},
    {"wordcount", f_wordcount, "", 0}, {"wordwrap", tmpl_wordwrap, "width break_long_words wrapstring break_on_hyphens", 0},
    {"xmlattr", f_xmlattr, "autospace", 0},
};

const struct builtin *find_filter(val name) {
    const struct builtin *row = find_builtin(tmpl_sequence_filters, tmpl_n_sequence_filters, name);
    return row ? row : find_builtin(text_filters, TABLE_SIZE(text_filters), name);
}
