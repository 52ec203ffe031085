/* tmpl_methods.c: the methods of strings, lists, dicts, loops and cyclers. Those that would change a list or a dict are rows
 * without a function: the sandbox refuses them when they are called. */
#include <string.h>

#include "text/tmpl.h"

#define METHOD(name) static val name(struct ev *ev, val self, val *argv, const struct args *args)
#define UNUSED ((void)argv, (void)args)

/* ---- str: cutting ---- */

METHOD(s_strip) {
    (void)args;
    return strip_text(ev, self, argv[0], SIDE_BOTH);
}

METHOD(s_lstrip) {
    (void)args;
    return strip_text(ev, self, argv[0], SIDE_LEFT);
}

METHOD(s_rstrip) {
    (void)args;
    return strip_text(ev, self, argv[0], SIDE_RIGHT);
}

METHOD(s_split) {
    (void)args;
    int64_t most;
    return arg_int(ev, argv[1], -1, &most) ? split_text(ev, self, argv[0], most) : NULL;
}

static bool reverse_list(struct ev *ev, struct value *list) {
    for (size_t i = 0; list && i < list->l.n / 2; i++) {
        val t = list->l.at[i];
        list->l.at[i] = list->l.at[list->l.n - 1 - i];
        list->l.at[list->l.n - 1 - i] = t;
    }
    return list && spend(ev, list->l.n / 8);
}

static val rsplit_space(struct ev *ev, val self, int64_t most) {
    struct value *list = new_list(ev, LIST_LIST, 0);
    struct text s = self->s;
    uint32_t cp;
    for (size_t i = s.n; list && i > 0; most--) {
        size_t n;
        while (i > 0 && (n = u8_step_back(s.p, i, &cp), char_is(cp, CHAR_SPACE))) i -= n;
        if (!i) break;
        size_t to = i;
        while (i > 0 && (n = u8_step_back(s.p, i, &cp), most == 0 || !char_is(cp, CHAR_SPACE))) i -= n;
        if (!push(ev, list, substring(ev, self, i, to - i)) || !spend(ev, 1)) return NULL;
    }
    return reverse_list(ev, list) ? list : NULL;
}

METHOD(s_rsplit) {
    (void)args;
    int64_t most;
    if (!arg_int(ev, argv[1], -1, &most)) return NULL;
    if (!argv[0] || argv[0]->kind == V_NONE) return rsplit_space(ev, self, most);
    if (!arg_text(ev, argv[0], "separator")) return NULL;
    if (!argv[0]->s.n) return fail(ev, "empty separator");
    struct value *list = new_list(ev, LIST_LIST, 0);
    size_t end = self->s.n, hit;
    for (; list && most != 0 && (hit = text_rfind(ev, self->s, end, argv[0]->s)) != SIZE_MAX; most--) {
        size_t from = hit + argv[0]->s.n;
        if (!push(ev, list, substring(ev, self, from, end - from))) return NULL;
        end = hit;
    }
    if (ev->code || !list || !push(ev, list, substring(ev, self, 0, end))) return NULL;
    return reverse_list(ev, list) ? list : NULL;
}

METHOD(s_splitlines) {
    (void)args;
    int64_t keep;
    return arg_int(ev, argv[0], 0, &keep) ? split_lines(ev, self, keep != 0) : NULL;
}

static val three(struct ev *ev, val a, val b, val c) {
    struct value *v = new_list(ev, LIST_TUPLE, 3);
    if (!v || !a || !b || !c) return NULL;
    v->l.at[0] = a;
    v->l.at[1] = b;
    v->l.at[2] = c;
    return v;
}

static val part_at(struct ev *ev, val self, val separator, bool last) {
    if (!arg_text(ev, separator, "separator")) return NULL;
    if (!separator->s.n) return fail(ev, "empty separator");
    size_t hit = last ? text_rfind(ev, self->s, self->s.n, separator->s) : text_find(self->s, 0, separator->s);
    if (ev->code) return NULL;
    val none = substring(ev, self, 0, 0);
    if (hit == SIZE_MAX) return last ? three(ev, none, none, self) : three(ev, self, none, none);
    size_t after = hit + separator->s.n;
    return three(ev, substring(ev, self, 0, hit), substring(ev, self, hit, separator->s.n), substring(ev, self, after, self->s.n - after));
}

METHOD(s_partition) {
    (void)args;
    return part_at(ev, self, argv[0], false);
}

METHOD(s_rpartition) {
    (void)args;
    return part_at(ev, self, argv[0], true);
}

static bool has_prefix(struct text s, struct text p) { return p.n <= s.n && (p.n == 0 || memcmp(s.p, p.p, p.n) == 0); }
static bool has_suffix(struct text s, struct text p) { return p.n <= s.n && (p.n == 0 || memcmp(s.p + s.n - p.n, p.p, p.n) == 0); }

METHOD(s_removeprefix) {
    (void)args;
    if (!arg_text(ev, argv[0], "removeprefix() argument")) return NULL;
    return has_prefix(self->s, argv[0]->s) ? substring(ev, self, argv[0]->s.n, self->s.n - argv[0]->s.n) : self;
}

METHOD(s_removesuffix) {
    (void)args;
    if (!arg_text(ev, argv[0], "removesuffix() argument")) return NULL;
    return has_suffix(self->s, argv[0]->s) ? substring(ev, self, 0, self->s.n - argv[0]->s.n) : self;
}

/* ---- str: searching, with optional start and end in code points ---- */

/* The byte range [*from, *to) of self[start:end]; *from > *to: start lies behind the end */
static bool window(struct ev *ev, val self, val start, val end, size_t *from, size_t *to) {
    int64_t n = (int64_t)u8_count(self->s.p, self->s.n), a, b;
    if (!arg_int(ev, start && start->kind == V_NONE ? NULL : start, 0, &a)) return false;
    if (!arg_int(ev, end && end->kind == V_NONE ? NULL : end, INT64_MAX, &b)) return false;
    if (a < 0) a = a < -n ? 0 : a + n;
    if (b < 0) b = b < -n ? 0 : b + n;
    *to = u8_offset(self->s.p, self->s.n, b > n ? (size_t)n : (size_t)b);
    *from = a > n ? self->s.n + 1 : u8_offset(self->s.p, self->s.n, (size_t)a);
    return spend(ev, self->s.n / 64);
}

/* The byte offset of argv[0] in self[start:end]; SIZE_MAX: not there; false: failed */
static bool search(struct ev *ev, val self, val *argv, bool last, size_t *hit) {
    size_t from, to;
    if (!arg_text(ev, argv[0], "the text to find") || !window(ev, self, argv[1], argv[2], &from, &to)) return false;
    *hit = SIZE_MAX;
    if (from > to) return true;
    struct text s = {self->s.p, self->s.mark, to, NULL};
    if (!last) {
        *hit = text_find(s, from, argv[0]->s);
    } else {
        *hit = text_rfind(ev, s, to, argv[0]->s);
        if (*hit != SIZE_MAX && *hit < from) *hit = SIZE_MAX;
    }
    return !ev->code;
}

static val found(struct ev *ev, val self, val *argv, bool last, bool must) {
    size_t hit;
    if (!search(ev, self, argv, last, &hit)) return NULL;
    if (hit == SIZE_MAX) return must ? fail(ev, "substring not found") : new_int(ev, -1);
    return new_int(ev, (int64_t)u8_count(self->s.p, hit));
}

METHOD(s_find) {
    (void)args;
    return found(ev, self, argv, false, false);
}

METHOD(s_rfind) {
    (void)args;
    return found(ev, self, argv, true, false);
}

METHOD(s_index) {
    (void)args;
    return found(ev, self, argv, false, true);
}

METHOD(s_rindex) {
    (void)args;
    return found(ev, self, argv, true, true);
}

METHOD(s_count) {
    (void)args;
    size_t from, to, hit;
    int64_t n = 0;
    if (!arg_text(ev, argv[0], "the text to count") || !window(ev, self, argv[1], argv[2], &from, &to)) return NULL;
    if (from > to) return new_int(ev, 0);
    struct text s = {self->s.p, NULL, to, NULL}, needle = argv[0]->s;
    if (!needle.n) return new_int(ev, (int64_t)u8_count(s.p + from, to - from) + 1);
    for (; (hit = text_find(s, from, needle)) != SIZE_MAX; from = hit + needle.n, n++)
        if (!spend(ev, 1)) return NULL;
    return new_int(ev, n);
}

static val with_affix(struct ev *ev, val self, val *argv, bool at_end) {
    size_t from, to;
    struct list one = {.at = &argv[0], .n = 1}, affixes = is_tuple(argv[0]) ? argv[0]->l : one;
    if (!window(ev, self, argv[1], argv[2], &from, &to)) return NULL;
    for (size_t i = 0; i < affixes.n; i++) {
        if (affixes.at[i]->kind == V_UNDEFINED) return fail_undefined(ev, affixes.at[i]);
        if (affixes.at[i]->kind != V_STRING)
            return fail(ev, "%s first arg must be str or a tuple of str, not %s", at_end ? "endswith" : "startswith", type_name(affixes.at[i]));
        if (from > to) continue;
        struct text s = {self->s.p + from, NULL, to - from, NULL};
        if (at_end ? has_suffix(s, affixes.at[i]->s) : has_prefix(s, affixes.at[i]->s)) return new_bool(ev, true);
    }
    return new_bool(ev, false);
}

METHOD(s_startswith) {
    (void)args;
    return with_affix(ev, self, argv, false);
}

METHOD(s_endswith) {
    (void)args;
    return with_affix(ev, self, argv, true);
}

/* ---- str: making ---- */

METHOD(s_replace) {
    (void)args;
    int64_t count;
    if (!arg_text(ev, argv[0], "replace() argument 1") || !arg_text(ev, argv[1], "replace() argument 2") || !arg_int(ev, argv[2], -1, &count)) return NULL;
    val with = self->flavor == STRING_MARKUP ? html_escape(ev, argv[1]) : argv[1];
    return with ? replace_text(ev, self, argv[0], with, count) : NULL;
}

METHOD(s_join) {
    (void)args;
    return join_text(ev, self, argv[0], false);
}

METHOD(s_format) {
    (void)argv;
    return format_braces(ev, self, args);
}

METHOD(s_upper) {
    UNUSED;
    return map_case(ev, self, CASE_UPPER);
}

METHOD(s_lower) {
    UNUSED;
    return map_case(ev, self, CASE_LOWER);
}

METHOD(s_casefold) {
    UNUSED;
    return map_case(ev, self, CASE_FOLD);
}

METHOD(s_capitalize) {
    UNUSED;
    return capitalize(ev, self);
}

METHOD(s_title) {
    UNUSED;
    return title_case(ev, self);
}

METHOD(s_swapcase) {
    UNUSED;
    return swap_case(ev, self);
}

static val padded(struct ev *ev, val self, val *argv, enum side sides) {
    int64_t width;
    return arg_int(ev, argv[0], 0, &width) ? pad_text(ev, self, width, argv[1], sides) : NULL;
}

METHOD(s_center) {
    (void)args;
    return padded(ev, self, argv, SIDE_BOTH);
}

METHOD(s_ljust) {
    (void)args;
    return padded(ev, self, argv, SIDE_RIGHT);
}

METHOD(s_rjust) {
    (void)args;
    return padded(ev, self, argv, SIDE_LEFT);
}

METHOD(s_zfill) {
    (void)args;
    int64_t width, n = (int64_t)u8_count(self->s.p, self->s.n);
    if (!arg_int(ev, argv[0], 0, &width)) return NULL;
    if (width <= n) return self;
    struct sink out = {0};
    size_t sign = self->s.n && (self->s.p[0] == '-' || self->s.p[0] == '+') ? 1 : 0;
    val zero = new_cstring(ev, "0", MARK_DATA);
    if (!zero || !sink_part(ev, &out, self, 0, sign) || !sink_fill(ev, &out, zero, (size_t)(width - n)) ||
        !sink_part(ev, &out, self, sign, self->s.n - sign))
        return NULL;
    return sink_done(ev, &out, self->flavor);
}

METHOD(s_expandtabs) {
    (void)args;
    int64_t width, column = 0;
    struct sink out = {0};
    uint32_t cp;
    val blank = new_cstring(ev, " ", MARK_DATA);
    if (!blank || !arg_int(ev, argv[0], 8, &width)) return NULL;
    for (size_t i = 0, n; i < self->s.n; i += n) {
        n = u8_step(self->s.p + i, self->s.n - i, &cp);
        if (cp == '\t') {
            int64_t more = width > 0 ? width - column % width : 0;
            if (!sink_fill(ev, &out, blank, (size_t)more)) return NULL;
            column += more;
            continue;
        }
        column = cp == '\n' || cp == '\r' ? 0 : column + 1;
        if (!sink_part(ev, &out, self, i, n)) return NULL;
    }
    return sink_done(ev, &out, self->flavor);
}

/* ---- str: questions ---- */

/* Whether there is a code point and all are of this class. */
static val all_are(struct ev *ev, val self, enum char_class c) {
    uint32_t cp;
    for (size_t i = 0; i < self->s.n;) {
        i += u8_step(self->s.p + i, self->s.n - i, &cp);
        if (!char_is(cp, c)) return new_bool(ev, false);
    }
    return new_bool(ev, self->s.n || c == CHAR_PRINTABLE);
}

METHOD(s_isalpha) {
    UNUSED;
    return all_are(ev, self, CHAR_ALPHA);
}

METHOD(s_isalnum) {
    UNUSED;
    return all_are(ev, self, CHAR_ALNUM);
}

METHOD(s_isdigit) {
    UNUSED;
    return all_are(ev, self, CHAR_DIGIT);
}

METHOD(s_isdecimal) {
    UNUSED;
    return all_are(ev, self, CHAR_DECIMAL);
}

METHOD(s_isnumeric) {
    UNUSED;
    return all_are(ev, self, CHAR_NUMERIC);
}

METHOD(s_isspace) {
    UNUSED;
    return all_are(ev, self, CHAR_SPACE);
}

METHOD(s_isprintable) {
    UNUSED;
    return all_are(ev, self, CHAR_PRINTABLE);
}

METHOD(s_isascii) {
    UNUSED;
    for (size_t i = 0; i < self->s.n; i++)
        if ((unsigned char)self->s.p[i] >= 0x80) return new_bool(ev, false);
    return new_bool(ev, true);
}

static val cased(struct ev *ev, val self, const char *test) {
    const struct args none = {0};
    val name = new_cstring(ev, test, 0);
    return name ? apply_test(ev, name, self, &none) : NULL;
}

METHOD(s_islower) {
    UNUSED;
    return cased(ev, self, "lower");
}

METHOD(s_isupper) {
    UNUSED;
    return cased(ev, self, "upper");
}

METHOD(s_istitle) {
    UNUSED;
    bool any = false, inside = false;
    uint32_t cp;
    for (size_t i = 0; i < self->s.n;) {
        i += u8_step(self->s.p + i, self->s.n - i, &cp);
        bool upper = char_is(cp, CHAR_UPPER) || char_is(cp, CHAR_TITLE), lower = char_is(cp, CHAR_LOWER);
        if ((upper && inside) || (lower && !inside)) return new_bool(ev, false);
        inside = upper || lower;
        any = any || inside;
    }
    return new_bool(ev, any);
}

/* ---- dict ---- */

METHOD(d_get) {
    (void)args;
    if (!value_hashable(argv[0], KEY_DEPTH)) return fail(ev, "unhashable type: '%s'", type_name(argv[0]));
    val v = dict_find(&self->d, argv[0]);
    return v ? v : argv[1] ? argv[1] : new_none(ev);
}

METHOD(d_keys) {
    UNUSED;
    struct value *v = new_list(ev, LIST_KEYS, self->d.n);
    for (size_t i = 0; v && i < self->d.n; i++) v->l.at[i] = self->d.at[i].key;
    return v;
}

METHOD(d_values) {
    UNUSED;
    struct value *v = new_list(ev, LIST_VALUES, self->d.n);
    for (size_t i = 0; v && i < self->d.n; i++) v->l.at[i] = self->d.at[i].value;
    return v;
}

METHOD(d_items) {
    UNUSED;
    struct value *v = new_list(ev, LIST_ITEMS, self->d.n);
    for (size_t i = 0; v && i < self->d.n; i++) {
        struct value *pair = new_list(ev, LIST_TUPLE, 2);
        if (!pair) return NULL;
        pair->l.at[0] = self->d.at[i].key;
        pair->l.at[1] = self->d.at[i].value;
        v->l.at[i] = pair;
    }
    return v;
}

/* A copy of something that cannot change is the thing itself. */
METHOD(any_copy) {
    (void)ev, UNUSED;
    return self;
}

/* ---- list, tuple, range ---- */

METHOD(l_count) {
    (void)args;
    int64_t n = 0;
    for (size_t i = 0; i < self->l.n; i++) {
        int same = values_equal(ev, self->l.at[i], argv[0]);
        if (same < 0) return NULL;
        n += same;
    }
    return new_int(ev, n);
}

METHOD(l_index) {
    (void)args;
    int64_t n = (int64_t)self->l.n, from, to;
    if (!arg_int(ev, argv[1], 0, &from) || !arg_int(ev, argv[2], INT64_MAX, &to)) return NULL;
    if (from < 0) from = from < -n ? 0 : from + n;
    if (to < 0) to += n;
    for (int64_t i = from; i < n && i < to; i++) {
        int same = values_equal(ev, self->l.at[i], argv[0]);
        if (same < 0) return NULL;
        if (same) return new_int(ev, i);
    }
    return fail(ev, "the item is not in the %s", type_name(self));
}

/* ---- loop, cycler ---- */

METHOD(loop_cycle) {
    (void)argv;
    if (!args->n) return fail(ev, "no items for cycling given");
    return args->at[(size_t)self->loop->index0 % args->n];
}

METHOD(loop_changed) {
    (void)argv;
    struct value *now = new_list(ev, LIST_TUPLE, args->n);
    if (!now) return NULL;
    if (args->n) memcpy(now->l.at, args->at, args->n * sizeof(val));
    int same = self->loop->changed ? values_equal(ev, self->loop->changed, now) : 0;
    if (same < 0) return NULL;
    self->loop->changed = now;
    return new_bool(ev, !same);
}

METHOD(cycler_next) {
    (void)ev, UNUSED;
    struct cycler *c = self->cycler;
    val item = c->items.at[c->at];
    c->at = (c->at + 1) % c->items.n;
    return item;
}

METHOD(cycler_reset) {
    UNUSED;
    self->cycler->at = 0;
    return new_none(ev);
}

static const struct builtin of_string[] = {
    {"capitalize", s_capitalize, "", 0}, {"casefold", s_casefold, "", 0}, {"center", s_center, "- -", 1}, {"count", s_count, "- - -", 1},
    {"endswith", s_endswith, "- - -", 1}, {"expandtabs", s_expandtabs, "tabsize", 0}, {"find", s_find, "- - -", 1},
    {"format", s_format, NULL, 0}, {"index", s_index, "- - -", 1}, {"isalnum", s_isalnum, "", 0}, {"isalpha", s_isalpha, "", 0},
    {"isascii", s_isascii, "", 0}, {"isdecimal", s_isdecimal, "", 0}, {"isdigit", s_isdigit, "", 0}, {"islower", s_islower, "", 0},
    {"isnumeric", s_isnumeric, "", 0}, {"isprintable", s_isprintable, "", 0}, {"isspace", s_isspace, "", 0}, {"istitle", s_istitle, "", 0},
    {"isupper", s_isupper, "", 0}, {"join", s_join, "-", 1}, {"ljust", s_ljust, "- -", 1}, {"lower", s_lower, "", 0},
    {"lstrip", s_lstrip, "-", 0}, {"partition", s_partition, "-", 1}, {"removeprefix", s_removeprefix, "-", 1},
    {"removesuffix", s_removesuffix, "-", 1}, {"replace", s_replace, "- - -", 2}, {"rfind", s_rfind, "- - -", 1},
    {"rindex", s_rindex, "- - -", 1}, {"rjust", s_rjust, "- -", 1}, {"rpartition", s_rpartition, "-", 1},
    {"rsplit", s_rsplit, "sep maxsplit", 0}, {"rstrip", s_rstrip, "-", 0}, {"split", s_split, "sep maxsplit", 0},
    {"splitlines", s_splitlines, "keepends", 0}, {"startswith", s_startswith, "- - -", 1}, {"strip", s_strip, "-", 0},
    {"swapcase", s_swapcase, "", 0}, {"title", s_title, "", 0}, {"upper", s_upper, "", 0}, {"zfill", s_zfill, "-", 1},
};
static const struct builtin of_dict[] = {
    {"copy", any_copy, "", 0}, {"get", d_get, "- -", 1}, {"items", d_items, "", 0}, {"keys", d_keys, "", 0}, {"values", d_values, "", 0},
    {"clear", NULL, "", 0}, {"pop", NULL, "", 0}, {"popitem", NULL, "", 0}, {"setdefault", NULL, "", 0}, {"update", NULL, "", 0},
};
static const struct builtin of_list[] = {
    {"copy", any_copy, "", 0}, {"count", l_count, "-", 1}, {"index", l_index, "- - -", 1}, {"append", NULL, "", 0}, {"clear", NULL, "", 0},
    {"extend", NULL, "", 0}, {"insert", NULL, "", 0}, {"pop", NULL, "", 0}, {"remove", NULL, "", 0}, {"reverse", NULL, "", 0},
    {"sort", NULL, "", 0},
};
static const struct builtin of_sequence[] = {{"count", l_count, "-", 1}, {"index", l_index, "- - -", 1}};
static const struct builtin of_loop[] = {{"cycle", loop_cycle, NULL, 0}, {"changed", loop_changed, NULL, 0}};
static const struct builtin of_cycler[] = {{"next", cycler_next, "", 0}, {"reset", cycler_reset, "", 0}};

static const struct builtin *find_method(val object, val name) {
    switch ((enum value_kind)object->kind) {
    case V_STRING: return find_builtin(of_string, TABLE_SIZE(of_string), name);
    case V_DICT: return find_builtin(of_dict, TABLE_SIZE(of_dict), name);
    case V_LIST:
        if (object->flavor == LIST_LIST) return find_builtin(of_list, TABLE_SIZE(of_list), name);
        return is_sequence(object) ? find_builtin(of_sequence, TABLE_SIZE(of_sequence), name) : NULL;
    case V_LOOP: return find_builtin(of_loop, TABLE_SIZE(of_loop), name);
    case V_CYCLER: return find_builtin(of_cycler, TABLE_SIZE(of_cycler), name);
    default: return NULL;
    }
}

val method_of(struct ev *ev, val object, val name) {
    const struct builtin *row = find_method(object, name);
    if (!row) return NULL;
    if (!row->fn) return unsafe_attr(ev, object, name);
    struct value *v = take(ev, 1, sizeof *v);
    if (!v) return NULL;
    v->kind = V_BUILTIN;
    v->builtin.row = row;
    v->builtin.self = object;
    return v;
}
