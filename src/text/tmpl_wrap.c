/* tmpl_wrap.c: the two filters that lay text out in lines: wordwrap (Python's textwrap.wrap) and pprint (pprint.pformat,
 * except that long strings are not cut into several literals). */
#include <string.h>

#include "text/tmpl.h"

enum { PPRINT_WIDTH = 80 };

/* One line's code points and where they begin, the last entry being the end. */
struct line {
    uint32_t *cp;
    size_t *at, n;
};

static bool line_of(struct ev *ev, val string, struct line *line) {
    size_t n = u8_count(string->s.p, string->s.n);
    line->cp = take(ev, n + 1, sizeof *line->cp);
    line->at = take(ev, n + 1, sizeof *line->at);
    if (!line->cp || !line->at) return false;
    line->n = n;
    size_t i = 0;
    for (size_t k = 0; k < n; k++) {
        line->at[k] = i;
        i += u8_step(string->s.p + i, string->s.n - i, &line->cp[k]);
    }
    line->at[n] = i;
    return true;
}

static bool blank(uint32_t c) { return c == ' ' || (c >= 9 && c <= 13); }
static bool word(uint32_t c) { return char_is(c, CHAR_ALNUM) || c == '_'; }
static bool letter(uint32_t c) { return word(c) && !char_is(c, CHAR_DECIMAL); }
static bool word_or_mark(uint32_t c) { return word(c) || (c && c < 128 && strchr("!\"'&.,?", (int)c)); }

/* Where a run of two or more hyphens at i ends if a word follows it, else 0. */
static size_t dash(const struct line *l, size_t i) {
    size_t end = i;
    while (end < l->n && l->cp[end] == '-') end++;
    return end >= i + 2 && end < l->n && word(l->cp[end]) ? end : 0;
}

/* Whether the hyphen at i may end a chunk: a word of two letters before it, two letters after it. */
static bool hyphen_breaks(const struct line *l, size_t i) {
    const uint32_t *c = l->cp;
    bool before = (i >= 2 && letter(c[i - 1]) && letter(c[i - 2])) || (i >= 3 && word_or_mark(c[i - 1]) && c[i - 2] == '-' && letter(c[i - 3]));
    if (!before || i + 1 >= l->n || !letter(c[i + 1])) return false;
    size_t next = i + 2 < l->n && c[i + 2] == '-' ? i + 3 : i + 2;
    return (next < l->n && letter(c[next])) || (i + 2 < l->n && letter(c[i + 2]));
}

/* The end of the chunk that begins at i: blanks, a dash between words, or a word or part of one. */
static size_t chunk_end(const struct line *l, size_t i, bool hyphens) {
    size_t from = i, end;
    if (blank(l->cp[i])) {
        while (i < l->n && blank(l->cp[i])) i++;
        return i;
    }
    if (hyphens && i > 0 && word_or_mark(l->cp[i - 1]) && (end = dash(l, i)) != 0) return end;
    for (i++; i < l->n && !blank(l->cp[i]); i++) {
        if (!hyphens) continue;
        if (l->cp[i] == '-' && i > from && hyphen_breaks(l, i)) return i + 1;
        if (word_or_mark(l->cp[i - 1]) && dash(l, i)) return i;
    }
    return i;
}

/* The end of the piece of a word longer than the width that still fits into `room` from i. */
static size_t cut_word(const struct line *l, size_t i, size_t room, bool hyphens) {
    size_t end = i + room;
    for (size_t k = end; hyphens && k > i + 1; k--) {
        if (l->cp[k - 1] != '-') continue;
        for (size_t other = i; other < k - 1; other++)
            if (l->cp[other] != '-') return k;
        break;
    }
    return end;
}

struct wrap {
    size_t width;
    bool break_words, hyphens;
};

/* Adds the pieces of one paragraph to `lines`. */
static bool wrap_line(struct ev *ev, val paragraph, const struct wrap *w, struct value *lines) {
    struct line l;
    if (!line_of(ev, paragraph, &l)) return false;
    bool any = false;
    for (size_t i = 0; i < l.n;) {
        if (any && blank(l.cp[i])) { /* blanks at a line's start go, except the first line's */
            i = chunk_end(&l, i, w->hyphens);
            if (i >= l.n) break;
        }
        size_t from = i, end = i, last = i; /* last: where the last chunk begins */
        bool keep_blank = false;
        while (i < l.n) {
            end = chunk_end(&l, i, w->hyphens);
            if (!spend(ev, 1 + (end - i) / 16)) return false;
            if (end - from > w->width) break;
            last = i;
            i = end;
        }
        if (i < l.n && end - i > w->width) {
            size_t room = w->width - (i - from);
            keep_blank = w->break_words && !room; /* textwrap then drops an empty piece of the word instead */
            if (w->break_words && room) {
                last = i;
                i = cut_word(&l, i, room, w->hyphens);
            } else if (!w->break_words && i == from) {
                last = i;
                i = end;
            }
        }
        size_t to = i;
        if (to > from && blank(l.cp[last]) && !keep_blank) to = last; /* the last chunk is blank */
        if (to == from) continue;
        if (!push(ev, lines, substring(ev, paragraph, l.at[from], l.at[to] - l.at[from]))) return false;
        any = true;
    }
    return true;
}

val tmpl_wordwrap(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)args;
    int64_t width;
    if (self->kind == V_UNDEFINED) return fail_undefined(ev, self);
    if (!arg_text(ev, self, "the value that wordwrap takes") || !arg_int(ev, argv[0], 79, &width)) return NULL;
    if (width <= 0) return fail(ev, "invalid width %lld (must be > 0)", (long long)width);
    const struct wrap w = {(size_t)width, !argv[1] || truth(argv[1]), !argv[3] || truth(argv[3])};
    val newline = argv[2] && argv[2]->kind != V_NONE ? argv[2] : new_cstring(ev, "\n", MARK_DATA);
    val paragraphs = newline && arg_text(ev, newline, "wrapstring") ? split_lines(ev, self, false) : NULL;
    struct value *all = paragraphs ? new_list(ev, LIST_LIST, 0) : NULL;
    for (size_t i = 0; all && i < paragraphs->l.n; i++) {
        struct value *lines = new_list(ev, LIST_LIST, 0);
        if (!lines || !wrap_line(ev, paragraphs->l.at[i], &w, lines) || !push(ev, all, join_text(ev, newline, lines, true))) return NULL;
    }
    return all ? join_text(ev, newline, all, true) : NULL;
}

/* ---- pprint ---- */

/* v with the keys of all its dicts sorted where they can be, so that repr shows them so */
static val keys_sorted(struct ev *ev, val v) {
    if ((v->kind != V_DICT && v->kind != V_LIST) || !deeper(ev)) return ev->code ? NULL : v;
    val result = NULL;
    if (v->kind == V_LIST) {
        struct value *list = new_list(ev, (enum list_flavor)v->flavor, v->l.n);
        if (list) list->l.range = v->l.range;
        for (size_t i = 0; list && i < v->l.n; i++)
            if (!(list->l.at[i] = keys_sorted(ev, v->l.at[i]))) return NULL;
        result = list;
    } else {
        struct value *dict = new_dict(ev);
        val *keys = take(ev, v->d.n + 1, sizeof *keys);
        size_t *order = take(ev, v->d.n + 1, sizeof *order);
        if (!dict || !keys || !order) return NULL;
        bool strings = true;
        for (size_t i = 0; i < v->d.n; i++) {
            keys[i] = v->d.at[i].key;
            order[i] = i;
            strings = strings && keys[i]->kind == keys[0]->kind && (is_number(keys[i]) || keys[i]->kind == V_STRING);
        }
        if (strings && !sort_values(ev, keys, v->d.n, false, order)) return NULL;
        for (size_t i = 0; i < v->d.n; i++)
            if (!put(ev, dict, keys[order[i]], keys_sorted(ev, v->d.at[order[i]].value))) return NULL;
        result = dict;
    }
    ev->depth--;
    return result;
}

static bool pretty(struct ev *ev, struct sink *out, val v, size_t indent, size_t allowance);

static bool pretty_newline(struct ev *ev, struct sink *out, size_t indent) {
    val one = new_cstring(ev, " ", MARK_DATA);
    return one && sink_cstr(ev, out, ",\n", MARK_DATA) && sink_fill(ev, out, one, indent);
}

static bool pretty_dict(struct ev *ev, struct sink *out, const struct dict *d, size_t indent, size_t allowance) {
    if (!sink_cstr(ev, out, "{", MARK_DATA)) return false;
    for (size_t i = 0; i < d->n; i++) {
        val key = to_repr(ev, d->at[i].key);
        if (!key || (i && !pretty_newline(ev, out, indent + 1)) || !sink_part(ev, out, key, 0, key->s.n) || !sink_cstr(ev, out, ": ", MARK_DATA)) return false;
        size_t at = indent + 1 + u8_count(key->s.p, key->s.n) + 2;
        if (!pretty(ev, out, d->at[i].value, at, i + 1 == d->n ? allowance + 1 : 1)) return false;
    }
    return sink_cstr(ev, out, "}", MARK_DATA);
}

static bool pretty_list(struct ev *ev, struct sink *out, val v, size_t indent, size_t allowance) {
    const char *close = !is_tuple(v) ? "]" : v->l.n == 1 ? ",)" : ")";
    if (!sink_cstr(ev, out, is_tuple(v) ? "(" : "[", MARK_DATA)) return false;
    for (size_t i = 0; i < v->l.n; i++)
        if ((i && !pretty_newline(ev, out, indent + 1)) || !pretty(ev, out, v->l.at[i], indent + 1, i + 1 == v->l.n ? allowance + strlen(close) : 1)) return false;
    return sink_cstr(ev, out, close, MARK_DATA);
}

static bool pretty(struct ev *ev, struct sink *out, val v, size_t indent, size_t allowance) {
    val flat = to_repr(ev, v);
    if (!flat || !deeper(ev)) return false;
    bool fits = u8_count(flat->s.p, flat->s.n) + indent + allowance <= PPRINT_WIDTH, ok;
    if (!fits && v->kind == V_DICT) ok = pretty_dict(ev, out, &v->d, indent, allowance);
    else if (!fits && v->kind == V_LIST && v->flavor <= LIST_TUPLE) ok = pretty_list(ev, out, v, indent, allowance);
    else ok = sink_part(ev, out, flat, 0, flat->s.n);
    ev->depth--;
    return ok;
}

val tmpl_pprint(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)argv, (void)args;
    struct sink out = {0};
    val v = keys_sorted(ev, self);
    return v && pretty(ev, &out, v, 0, 0) ? sink_done(ev, &out, STRING_PLAIN) : NULL;
}
