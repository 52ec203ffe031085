/* tmpl_filters.c: filters over sequences, mappings and numbers. tmpl_filters_text.c has those that make text. */
#include <math.h>
#include <string.h>

#include "text/tmpl.h"

#define FILTER(name) static val name(struct ev *ev, val self, val *argv, const struct args *args)
#define UNUSED ((void)argv, (void)args)

static bool flag(val v) { return v && truth(v); }

/* The `reverse` of a sort: not given, or what Python takes for an integer */
static bool reverse_arg(struct ev *ev, val v, bool *reverse) {
    int64_t i;
    if (!arg_int(ev, v, 0, &i)) return false;
    *reverse = i != 0;
    return true;
}

/* ---- shapes ---- */

FILTER(f_length) {
    UNUSED;
    switch ((enum value_kind)self->kind) {
    case V_UNDEFINED: return new_int(ev, 0);
    case V_STRING: return spend(ev, self->s.n / 64) ? new_int(ev, (int64_t)u8_count(self->s.p, self->s.n)) : NULL;
    case V_LIST: return new_int(ev, (int64_t)self->l.n);
    case V_DICT: return new_int(ev, (int64_t)self->d.n);
    case V_LOOP: return loop_attr(ev, self->loop, new_cstring(ev, "length", 0));
    default: return fail(ev, "object of type '%s' has no len()", type_name(self));
    }
}

FILTER(f_list) {
    UNUSED;
    struct list items;
    if (!to_list(ev, self, &items)) return NULL;
    struct value *v = new_list(ev, LIST_LIST, items.n);
    if (v && items.n) memcpy(v->l.at, items.at, items.n * sizeof(val));
    return v;
}

FILTER(f_first) {
    UNUSED;
    struct iter *it = iter_new(ev, self);
    val item;
    int rc = it ? iter_next(ev, it, &item) : -1;
    if (rc < 0) return NULL;
    return rc ? item : new_undefined(ev, NULL, NULL, "No first item, sequence was empty.");
}

FILTER(f_last) {
    UNUSED;
    struct list items;
    if (self->kind == V_ITER || (!is_iterable(self))) return fail(ev, "'%s' object is not reversible", type_name(self));
    if (!to_list(ev, self, &items)) return NULL;
    return items.n ? items.at[items.n - 1] : new_undefined(ev, NULL, NULL, "No last item, sequence was empty.");
}

/* A new list over the items, as an iterator */
static val iterate(struct ev *ev, val list) { return list ? iter_value(ev, iter_new(ev, list)) : NULL; }

FILTER(f_reverse) {
    UNUSED;
    if (self->kind == V_STRING) {
        val none = new_none(ev), back = none ? new_int(ev, -1) : NULL;
        return back ? get_slice(ev, self, none, none, back) : NULL;
    }
    struct list items;
    if (!is_iterable(self)) return fail(ev, "argument must be iterable");
    if (!to_list(ev, self, &items)) return NULL;
    struct value *v = new_list(ev, LIST_LIST, items.n);
    for (size_t i = 0; v && i < items.n; i++) v->l.at[i] = items.at[items.n - 1 - i];
    return self->kind == V_ITER ? v : iterate(ev, v);
}

static int next_computed(struct ev *ev, struct iter *it, val *item) {
    if (it->compute) {
        val list = it->compute(ev, it->source, it->argv, NULL);
        it->compute = NULL;
        if (!list || !(it->from = iter_new(ev, list))) return -1;
    }
    return it->from ? iter_next(ev, it->from, item) : 0;
}

/* An iterator over the list that `compute` makes: what Jinja2 writes as a generator, whose errors come when it is read */
static val later(struct ev *ev, builtin_fn *compute, val self, val *argv, size_t n) {
    struct iter *it = take(ev, 1, sizeof *it);
    if (!it) return NULL;
    it->next = next_computed;
    it->source = self;
    it->compute = compute;
    for (size_t i = 0; i < n; i++) it->argv[i] = argv[i];
    return iter_value(ev, it);
}

FILTER(items_now) {
    UNUSED;
    if (self->kind != V_DICT && self->kind != V_UNDEFINED) return fail(ev, "Can only get item pairs from a mapping.");
    size_t n = self->kind == V_DICT ? self->d.n : 0;
    struct value *v = new_list(ev, LIST_LIST, n);
    for (size_t i = 0; v && i < n; i++) {
        struct value *pair = new_list(ev, LIST_TUPLE, 2);
        if (!pair) return NULL;
        pair->l.at[0] = self->d.at[i].key;
        pair->l.at[1] = self->d.at[i].value;
        v->l.at[i] = pair;
    }
    return v;
}

FILTER(f_items) {
    (void)args;
    return later(ev, items_now, self, argv, 0);
}

FILTER(batch_now) {
    (void)args;
    struct list items;
    int64_t size;
    if (!arg_int(ev, argv[0], 0, &size) || !to_list(ev, self, &items)) return NULL;
    struct value *rows = new_list(ev, LIST_LIST, 0), *row = new_list(ev, LIST_LIST, 0);
    for (size_t i = 0; i < items.n; i++) {
        if (row && (int64_t)row->l.n == size) {
            if (!push(ev, rows, row)) return NULL;
            row = new_list(ev, LIST_LIST, 0);
        }
        if (!push(ev, row, items.at[i])) return NULL;
    }
    while (row && row->l.n && argv[1] && argv[1]->kind != V_NONE && (int64_t)row->l.n < size)
        if (!spend(ev, 1) || !push(ev, row, argv[1])) return NULL;
    return rows && row && (!row->l.n || push(ev, rows, row)) ? rows : NULL;
}

FILTER(f_batch) {
    (void)args;
    return later(ev, batch_now, self, argv, 2);
}

FILTER(slice_now) {
    (void)args;
    struct list items;
    int64_t slices;
    if (!arg_int(ev, argv[0], 0, &slices) || !to_list(ev, self, &items)) return NULL;
    if (slices == 0) return fail(ev, "integer division or modulo by zero");
    struct value *columns = new_list(ev, LIST_LIST, 0);
    size_t at = 0, n = slices > 0 ? (size_t)slices : 0;
    for (size_t k = 0; columns && k < n; k++) {
        struct value *column = new_list(ev, LIST_LIST, 0);
        size_t take_n = items.n / n + (k < items.n % n);
        if (!spend(ev, 1) || !push(ev, columns, column)) return NULL;
        for (size_t i = 0; i < take_n; i++)
            if (!push(ev, column, items.at[at++])) return NULL;
        if (argv[1] && argv[1]->kind != V_NONE && k >= items.n % n && !push(ev, column, argv[1])) return NULL;
    }
    return columns;
}

FILTER(f_slice) {
    (void)args;
    return later(ev, slice_now, self, argv, 2);
}

/* ---- order ---- */

static val ignore_case(struct ev *ev, val v, bool case_sensitive) {
    return v && v->kind == V_STRING && !case_sensitive ? map_case(ev, v, CASE_LOWER) : v;
}

static val sorted(struct ev *ev, const struct list *items, const val *keys, bool reverse) {
    size_t *order = take(ev, items->n + 1, sizeof *order);
    struct value *v = order ? new_list(ev, LIST_LIST, items->n) : NULL;
    if (!v || !sort_values(ev, keys, items->n, reverse, order)) return NULL;
    for (size_t i = 0; i < items->n; i++) v->l.at[i] = items->at[order[i]];
    return v;
}

/* The key of sort: a list of the values of the attributes "a,b" */
static val sort_key(struct ev *ev, val item, val attribute, bool case_sensitive) {
    struct value *key = new_list(ev, LIST_LIST, 0);
    struct list parts = {.at = &attribute, .n = 1};
    if (key && attribute && attribute->kind == V_STRING) {
        val comma = new_cstring(ev, ",", 0), split = comma ? split_text(ev, attribute, comma, -1) : NULL;
        if (!split) return NULL;
        parts = split->l;
    }
    for (size_t i = 0; key && i < parts.n; i++)
        if (!push(ev, key, ignore_case(ev, get_path(ev, item, parts.at[i], NULL), case_sensitive))) return NULL;
    return key;
}

FILTER(f_sort) {
    (void)args;
    struct list items;
    bool reverse;
    if (!to_list(ev, self, &items) || !reverse_arg(ev, argv[0], &reverse)) return NULL;
    val *keys = take(ev, items.n + 1, sizeof *keys);
    for (size_t i = 0; keys && i < items.n; i++)
        if (!(keys[i] = sort_key(ev, items.at[i], argv[2], flag(argv[1])))) return NULL;
    return keys ? sorted(ev, &items, keys, reverse) : NULL;
}

FILTER(f_dictsort) {
    (void)args;
    if (self->kind == V_UNDEFINED) return fail_undefined(ev, self);
    if (self->kind != V_DICT) return fail(ev, "'%s' object has no attribute 'items'", type_name(self));
    bool reverse, by_value = argv[1] && text_is(argv[1], "value");
    if (argv[1] && !by_value && !text_is(argv[1], "key")) return fail(ev, "You can only sort by either \"key\" or \"value\"");
    if (!reverse_arg(ev, argv[2], &reverse)) return NULL;
    size_t n = self->d.n;
    val *keys = take(ev, n + 1, sizeof *keys);
    struct value *pairs = keys ? new_list(ev, LIST_LIST, n) : NULL;
    for (size_t i = 0; pairs && i < n; i++) {
        struct value *pair = new_list(ev, LIST_TUPLE, 2);
        if (!pair) return NULL;
        pair->l.at[0] = self->d.at[i].key;
        pair->l.at[1] = self->d.at[i].value;
        pairs->l.at[i] = pair;
        if (!(keys[i] = ignore_case(ev, pair->l.at[by_value], flag(argv[0])))) return NULL;
    }
    return pairs ? sorted(ev, &pairs->l, keys, reverse) : NULL;
}

static val extreme(struct ev *ev, val self, val *argv, int wanted, const char *op) {
    struct iter *it = iter_new(ev, self);
    val item, best = NULL, best_key = NULL;
    int rc = it ? 1 : -1, order;
    while (rc > 0 && (rc = iter_next(ev, it, &item)) > 0) {
        val key = ignore_case(ev, get_path(ev, item, argv[1], NULL), flag(argv[0]));
        if (!key) return NULL;
        if (best) {
            if (!values_order(ev, key, best_key, op, &order)) return NULL;
            if (order != wanted) continue;
        }
        best = item;
        best_key = key;
    }
    if (rc < 0) return NULL;
    return best ? best : new_undefined(ev, NULL, NULL, "No aggregated item, sequence was empty.");
}

FILTER(f_min) {
    (void)args;
    return extreme(ev, self, argv, -1, "<");
}

FILTER(f_max) {
    (void)args;
    return extreme(ev, self, argv, 1, ">");
}

FILTER(unique_now) {
    (void)args;
    struct list items;
    struct value *seen = new_dict(ev), *v = new_list(ev, LIST_LIST, 0);
    if (!seen || !v || !to_list(ev, self, &items)) return NULL;
    for (size_t i = 0; i < items.n; i++) {
        val key = ignore_case(ev, get_path(ev, items.at[i], argv[1], NULL), flag(argv[0]));
        if (!key) return NULL;
        size_t before = seen->d.n;
        if (!put(ev, seen, key, key) || (seen->d.n > before && !push(ev, v, items.at[i]))) return NULL;
    }
    return v;
}

FILTER(f_unique) {
    (void)args;
    return later(ev, unique_now, self, argv, 2);
}

FILTER(f_groupby) {
    (void)args;
    struct list items;
    val fallback = argv[1] && argv[1]->kind != V_NONE ? argv[1] : NULL;
    if (!to_list(ev, self, &items)) return NULL;
    val *keys = take(ev, items.n + 1, sizeof *keys);
    size_t *order = take(ev, items.n + 1, sizeof *order);
    struct value *groups = new_list(ev, LIST_LIST, 0), *members = NULL;
    if (!keys || !order || !groups) return NULL;
    for (size_t i = 0; i < items.n; i++)
        if (!(keys[i] = ignore_case(ev, get_path(ev, items.at[i], argv[0], fallback), flag(argv[2])))) return NULL;
    if (!sort_values(ev, keys, items.n, false, order)) return NULL;
    for (size_t i = 0; i < items.n; i++) {
        int same = i ? values_equal(ev, keys[order[i - 1]], keys[order[i]]) : 0;
        if (same < 0) return NULL;
        if (!same) {
            struct value *group = new_list(ev, LIST_GROUP, 2);
            members = new_list(ev, LIST_LIST, 0);
            if (!group || !members || !push(ev, groups, group)) return NULL;
            group->l.at[0] = flag(argv[2]) ? keys[order[i]] : get_path(ev, items.at[order[i]], argv[0], fallback);
            group->l.at[1] = members;
            if (!group->l.at[0]) return NULL;
        }
        if (!push(ev, members, items.at[order[i]])) return NULL;
    }
    return groups;
}

FILTER(f_sum) {
    (void)args;
    val total = argv[1] ? argv[1] : new_int(ev, 0), item;
    struct iter *it = total ? iter_new(ev, self) : NULL;
    int rc = it ? 1 : -1;
    if (it && total->kind == V_STRING) return fail(ev, "sum() can't sum strings [use ''.join(seq) instead]");
    while (rc > 0 && (rc = iter_next(ev, it, &item)) > 0)
        if (!(item = get_path(ev, item, argv[0], NULL)) || !(total = binary_op(ev, T_ADD, total, item))) return NULL;
    return rc < 0 ? NULL : total;
}

/* ---- map and select, lazily ---- */

static val named_arg(const struct args *args, const char *name) {
    for (size_t i = 0; i < args->n_named; i++)
        if (text_is(args->named[i].name, name)) return args->named[i].value;
    return NULL;
}

/* The next item of what is mapped or filtered, which is not looked at before; what is false has none. */
static int next_subject(struct ev *ev, struct iter *it, val *item) {
    if (!it->from && !truth(it->source)) return 0;
    if (!it->from && !(it->from = iter_new(ev, it->source))) return -1;
    return iter_next(ev, it->from, item);
}

static int next_mapped(struct ev *ev, struct iter *it, val *item) {
    if (!it->attribute && !it->name && truth(it->source)) return (void)fail(ev, "map requires a filter argument"), -1;
    int rc = next_subject(ev, it, item);
    if (rc <= 0) return rc;
    *item = it->attribute ? get_path(ev, *item, it->attribute, it->fallback) : apply_filter(ev, it->name, *item, it->args);
    return *item ? 1 : -1;
}

static int next_selected(struct ev *ev, struct iter *it, val *item) {
    int rc;
    if (it->by_attribute && !it->attribute && truth(it->source)) return (void)fail(ev, "Missing parameter for attribute name"), -1;
    while ((rc = next_subject(ev, it, item)) > 0) {
        val tested = it->attribute ? get_path(ev, *item, it->attribute, NULL) : *item;
        if (tested && it->name) tested = apply_test(ev, it->name, tested, it->args);
        if (!tested) return -1;
        if (truth(tested) != it->negate) return 1;
    }
    return rc;
}

/* An iterator over self whose arguments are args without the first `skip` */
static struct iter *lazily(struct ev *ev, val self, const struct args *args, size_t skip) {
    struct iter *it = take(ev, 1, sizeof *it);
    struct args *rest = it ? take(ev, 1, sizeof *rest) : NULL;
    if (!rest) return NULL;
    *rest = *args;
    rest->at = args->n > skip ? args->at + skip : NULL;
    rest->n = args->n > skip ? args->n - skip : 0;
    it->source = self;
    it->args = rest;
    return it;
}

FILTER(f_map) {
    (void)argv;
    struct iter *it = lazily(ev, self, args, 1);
    if (!it) return NULL;
    it->next = next_mapped;
    val attribute = named_arg(args, "attribute"), fallback = named_arg(args, "default");
    if (!args->n && attribute) {
        if (args->n_named > (fallback ? 2u : 1u)) return fail(ev, "map got an unexpected keyword argument");
        it->attribute = attribute;
        it->fallback = fallback && fallback->kind != V_NONE ? fallback : NULL;
    } else if (args->n) {
        it->name = args->at[0];
    }
    return iter_value(ev, it);
}

static val select_items(struct ev *ev, val self, const struct args *args, bool by_attribute, bool negate) {
    size_t off = by_attribute ? 1 : 0;
    struct iter *it = lazily(ev, self, args, off + 1);
    if (!it) return NULL;
    it->next = next_selected;
    it->by_attribute = by_attribute;
    it->attribute = by_attribute && args->n ? args->at[0] : NULL;
    it->name = args->n > off ? args->at[off] : NULL;
    it->negate = negate;
    return iter_value(ev, it);
}

FILTER(f_select) {
    (void)argv;
    return select_items(ev, self, args, false, false);
}

FILTER(f_reject) {
    (void)argv;
    return select_items(ev, self, args, false, true);
}

FILTER(f_selectattr) {
    (void)argv;
    return select_items(ev, self, args, true, false);
}

FILTER(f_rejectattr) {
    (void)argv;
    return select_items(ev, self, args, true, true);
}

/* ---- single values ---- */

FILTER(f_default) {
    (void)args;
    if (self->kind != V_UNDEFINED && !(flag(argv[1]) && !truth(self))) return self;
    return argv[0] ? argv[0] : new_cstring(ev, "", MARK_TEMPLATE);
}

FILTER(f_attr) {
    (void)args;
    if (self->kind == V_UNDEFINED) return fail_undefined(ev, self);
    if (!arg_text(ev, argv[0], "attribute name")) return NULL;
    val v = own_attr(ev, self, argv[0]);
    return v || ev->code ? v : new_undefined(ev, self, argv[0], NULL);
}

FILTER(f_abs) {
    UNUSED;
    if (!is_number(self)) return fail(ev, "bad operand type for abs(): '%s'", type_name(self));
    if (self->kind == V_FLOAT) return new_float(ev, fabs(self->f));
    return int_of(self) < 0 ? unary_op(ev, T_SUB, self) : new_int(ev, int_of(self));
}

/* int(f), or the default where Python raises ValueError; what is beyond 64 bits is an error */
static val int_of_float(struct ev *ev, double f, val fallback, bool infinite_falls_back) {
    if (isnan(f) || (isinf(f) && infinite_falls_back)) return fallback ? fallback : new_int(ev, 0);
    if (isinf(f)) return fail(ev, "cannot convert float infinity to integer");
    if (f >= 0x1p63 || f < -0x1p63) return fail(ev, "an integer does not fit in 64 bits");
    return new_int(ev, (int64_t)f);
}

FILTER(f_int) {
    (void)args;
    int64_t base, i;
    double f;
    bool overflow;
    if (self->kind == V_UNDEFINED) return fail_undefined(ev, self);
    if (is_int(self)) return new_int(ev, int_of(self));
    if (self->kind == V_FLOAT) return int_of_float(ev, self->f, argv[0], false);
    if (self->kind == V_STRING) {
        bool numeric = !argv[1] || is_int(argv[1]); /* Python's TypeError leads to the other attempt */
        if (numeric && !arg_int(ev, argv[1], 10, &base)) return NULL;
        if (numeric && (base == 0 || (base >= 2 && base <= 36)) && parse_int_text(self->s, (int)base, &i, &overflow))
            return overflow ? fail(ev, "an integer does not fit in 64 bits") : new_int(ev, i);
        if (parse_float_text(self->s, &f)) return int_of_float(ev, f, argv[0], true);
    }
    return argv[0] ? argv[0] : new_int(ev, 0);
}

FILTER(f_float) {
    (void)args;
    double f;
    if (self->kind == V_UNDEFINED) return fail_undefined(ev, self);
    if (is_number(self)) return new_float(ev, float_of(self));
    if (self->kind == V_STRING && parse_float_text(self->s, &f)) return new_float(ev, f);
    return argv[0] ? argv[0] : new_float(ev, 0);
}

/* an integer to tens, hundreds, ...: half to even */
static val round_int(struct ev *ev, int64_t i, int64_t digits) {
    if (digits >= 0) return new_int(ev, i);
    if (digits < -18) return new_int(ev, 0);
    int64_t unit = 1;
    for (int64_t d = digits; d < 0; d++) unit *= 10;
    int64_t rest = i % unit, down = i - rest;
    if (rest < 0) {
        rest += unit;
        if (__builtin_sub_overflow(down, unit, &down)) return fail(ev, "an integer does not fit in 64 bits");
    }
    bool up = rest > unit - rest || (rest == unit - rest && (down / unit) % 2 != 0);
    if (up && __builtin_add_overflow(down, unit, &down)) return fail(ev, "an integer does not fit in 64 bits");
    return new_int(ev, down);
}

FILTER(f_round) {
    (void)args;
    int64_t digits;
    bool ceil_it = argv[1] && text_is(argv[1], "ceil"), floor_it = argv[1] && text_is(argv[1], "floor");
    if (!arg_int(ev, argv[0], 0, &digits)) return NULL;
    if (argv[1] && !ceil_it && !floor_it && !text_is(argv[1], "common")) return fail(ev, "method must be common, ceil or floor");
    if (self->kind == V_UNDEFINED && (ceil_it || floor_it)) return fail_undefined(ev, self);
    if (!is_number(self)) return fail(ev, "type %s doesn't define __round__ method", type_name(self));
    if (!ceil_it && !floor_it) {
        if (is_int(self)) return round_int(ev, int_of(self), digits);
        return new_float(ev, round_digits(self->f, digits > 400 ? 400 : digits < -400 ? -400 : (int)digits));
    }
    double scale = pow(10, (double)digits), scaled = float_of(self) * scale;
    if (!isfinite(scaled) || scale == 0) return fail(ev, "cannot convert float infinity or NaN to integer");
    return new_float(ev, (ceil_it ? ceil(scaled) : floor(scaled)) / scale);
}

FILTER(f_tojson) {
    (void)args;
    return to_json(ev, self, argv[1], argv[2], flag(argv[0]), flag(argv[3]));
}

FILTER(f_random) {
    (void)self, UNUSED;
    return fail(ev, "the filter 'random' is not available: the same conversation must give the same prompt");
}

const struct builtin tmpl_sequence_filters[] = {
    {"abs", f_abs, "", 0}, {"attr", f_attr, "name", 1}, {"batch", f_batch, "linecount fill_with", 1}, {"count", f_length, "", 0},
    {"d", f_default, "default_value boolean", 0}, {"default", f_default, "default_value boolean", 0},
    {"dictsort", f_dictsort, "case_sensitive by reverse", 0}, {"first", f_first, "", 0}, {"float", f_float, "default", 0},
    {"groupby", f_groupby, "attribute default case_sensitive", 1}, {"int", f_int, "default base", 0}, {"items", f_items, "", 0},
    {"last", f_last, "", 0}, {"length", f_length, "", 0}, {"list", f_list, "", 0}, {"map", f_map, NULL, 0},
    {"max", f_max, "case_sensitive attribute", 0}, {"min", f_min, "case_sensitive attribute", 0}, {"random", f_random, "", 0},
    {"reject", f_reject, NULL, 0}, {"rejectattr", f_rejectattr, NULL, 0}, {"reverse", f_reverse, "", 0},
    {"round", f_round, "precision method", 0}, {"select", f_select, NULL, 0}, {"selectattr", f_selectattr, NULL, 0},
    {"slice", f_slice, "slices fill_with", 1}, {"sort", f_sort, "reverse case_sensitive attribute", 0},
    {"sum", f_sum, "attribute start", 0}, {"tojson", f_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"unique", f_unique, "case_sensitive attribute", 0},
};
const size_t tmpl_n_sequence_filters = TABLE_SIZE(tmpl_sequence_filters);
