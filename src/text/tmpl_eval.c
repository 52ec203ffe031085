/* tmpl_eval.c: the value of an expression. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text/tmpl.h"

/* ---- failing, and the limits ---- */

/* Control characters would break the one line that a message is. */
static void one_line(char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 32 || *s == 127) *s = ' ';
}

val fail(struct ev *ev, const char *fmt, ...) {
    if (ev->code) return NULL;
    char what[440];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    one_line(what);
    if (ev->at) ev->code = err_set(ev->err, ERR_TEMPLATE, "template:%u:%u: %s", ev->at->line, ev->at->column, what);
    else ev->code = err_set(ev->err, ERR_TEMPLATE, "template: %s", what);
    return NULL;
}

val fail_memory(struct ev *ev) {
    if (ev->mem->limit && ev->mem->limit - ev->mem->used < 4096) return fail(ev, "the rendering needs more memory than its limit of %zu bytes", ev->mem->limit);
    if (!ev->code) ev->code = err_nomem(ev->err, "rendering a template", 0);
    return NULL;
}

void *take(struct ev *ev, size_t count, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(count, size, &n) || (ev->mem->limit && n > ev->mem->limit - ev->mem->used)) {
        (void)fail(ev, "the rendering needs more memory than its limit of %zu bytes", ev->mem->limit);
        return NULL;
    }
    void *p = arena_alloc(ev->mem, n);
    if (!p) (void)fail_memory(ev);
    return p;
}

bool spend(struct ev *ev, uint64_t steps) {
    if (ev->code) return false;
    if (steps >= ev->steps) return (void)fail(ev, "the rendering takes more steps than its limit"), false;
    ev->steps -= steps;
    return true;
}

bool spend_text(struct ev *ev, val v) { return v->kind != V_STRING || spend(ev, v->s.n / 64); }

bool deeper(struct ev *ev) {
    if (ev->depth >= EVAL_DEPTH) return (void)fail(ev, "the recursion is too deep"), false;
    ev->depth++;
    return true;
}

val fail_undefined(struct ev *ev, val u) {
    char name[100];
    if (u->undefined.hint) return fail(ev, "%s", u->undefined.hint);
    val n = u->undefined.name, object = u->undefined.object;
    if (!n) return fail(ev, "the value is undefined");
    bool text = n->kind == V_STRING;
    if (text) (void)err_quote(name, sizeof name, n->s.p, n->s.n);
    else if (is_int(n)) (void)snprintf(name, sizeof name, "%lld", (long long)int_of(n));
    else (void)snprintf(name, sizeof name, "of type %s", type_name(n));
    if (!object) return fail(ev, "'%s' is undefined", name);
    if (!text) return fail(ev, "'%s object' has no element %s", type_name(object), name);
    const char *of = object->kind == V_NONE ? "None" : type_name(object);
    return fail(ev, "'%s%s' has no attribute '%s'", of, object->kind == V_NONE ? "" : " object", name);
}

/* ---- names ---- */

struct scope *scope_new(struct ev *ev, struct scope *parent) {
    struct scope *s = take(ev, 1, sizeof *s);
    if (s) s->parent = parent;
    return s;
}

bool scope_set(struct ev *ev, struct scope *s, val name, val value) {
    if (!s || !value) return false;
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i].name == name) {
            s->at[i].value = value;
            return spend(ev, i / 16);
        }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        void *at = take(ev, cap, sizeof s->at[0]);
        if (!at) return false;
        if (s->n) memcpy(at, s->at, s->n * sizeof s->at[0]);
        s->at = at;
        s->cap = cap;
    }
    s->at[s->n].name = name;
    s->at[s->n++].value = value;
    return spend(ev, s->n / 16);
}

/* Scopes from the inside out, then the context, then the global functions. */
static val lookup(struct ev *ev, val name) {
    size_t seen = 0;
    for (const struct scope *s = ev->scope; s; s = s->parent) {
        for (size_t i = 0; i < s->n; i++)
            if (s->at[i].name == name) return s->at[i].value;
        seen += s->n + 1;
    }
    if (!spend(ev, seen / 16)) return NULL;
    val v = dict_find_text(&ev->context->d, name->s.p, name->s.n);
    if (v) return v;
    const struct builtin *row = find_global(name);
    if (!row) return new_undefined(ev, NULL, name, NULL);
    struct value *f = take(ev, 1, sizeof *f);
    if (!f) return NULL;
    f->kind = V_BUILTIN;
    f->builtin.row = row;
    return f;
}

/* ---- attributes and items ---- */

val unsafe_attr(struct ev *ev, val object, val name) {
    char quoted[100], message[200];
    (void)err_quote(quoted, sizeof quoted, name->s.p, name->s.n);
    (void)snprintf(message, sizeof message, "access to attribute '%s' of '%s' object is unsafe.", quoted, type_name(object));
    char *hint = arena_strndup(ev->mem, message, strlen(message));
    return hint ? new_undefined(ev, object, name, hint) : fail_memory(ev);
}

val own_attr(struct ev *ev, val object, val name) {
    val v = NULL;
    switch ((enum value_kind)object->kind) {
    case V_NAMESPACE:
        if (name->s.n && name->s.p[0] == '_') return unsafe_attr(ev, object, name);
        return dict_find(&object->names->d, name);
    case V_LOOP: v = loop_attr(ev, object->loop, name); break;
    case V_LIST:
        if (object->flavor == LIST_GROUP && text_is(name, "grouper")) return object->l.at[0];
        if (object->flavor == LIST_GROUP && text_is(name, "list")) return object->l.at[1];
        break;
    case V_CYCLER:
        if (text_is(name, "current")) return object->cycler->items.at[object->cycler->at];
        break;
    case V_MACRO:
        if (text_is(name, "name")) return object->macro->node->value ? object->macro->node->value : new_none(ev);
        break;
    default: break;
    }
    if (v || ev->code) return v;
    return method_of(ev, object, name);
}

static val item_or_null(struct ev *ev, val object, val key) {
    if (!spend_text(ev, key)) return NULL;
    if (object->kind == V_DICT) return value_hashable(key, KEY_DEPTH) ? dict_find(&object->d, key) : NULL;
    if (!is_int(key)) return NULL;
    int64_t i = int_of(key);
    if (is_sequence(object)) {
        if (i < 0) i += (int64_t)object->l.n;
        return i >= 0 && (uint64_t)i < object->l.n ? object->l.at[i] : NULL;
    }
    if (object->kind != V_STRING || !spend(ev, object->s.n / 64)) return NULL;
    struct text s = object->s;
    if (i < 0) i += (int64_t)u8_count(s.p, s.n);
    size_t at = i < 0 ? s.n : u8_offset(s.p, s.n, (size_t)i);
    uint32_t cp;
    return at < s.n ? substring(ev, object, at, u8_step(s.p + at, s.n - at, &cp)) : NULL;
}

val get_attr(struct ev *ev, val object, val name) {
    if (object->kind == V_UNDEFINED) return fail_undefined(ev, object);
    val v = own_attr(ev, object, name);
    if (!v && !ev->code) v = item_or_null(ev, object, name);
    return v || ev->code ? v : new_undefined(ev, object, name, NULL);
}

val get_item(struct ev *ev, val object, val key) {
    if (object->kind == V_UNDEFINED) return fail_undefined(ev, object);
    val v = item_or_null(ev, object, key);
    if (!v && !ev->code && key->kind == V_STRING) v = own_attr(ev, object, key);
    return v || ev->code ? v : new_undefined(ev, object, key, NULL);
}

/* "a.b.0" from filters; an integer looks up one item */
val get_path(struct ev *ev, val item, val attribute, val fallback) {
    if (!attribute || attribute->kind == V_NONE) return item;
    if (attribute->kind != V_STRING) {
        item = get_item(ev, item, attribute);
        return item && item->kind == V_UNDEFINED && fallback ? fallback : item;
    }
    struct text s = attribute->s;
    for (size_t at = 0; item && at <= s.n;) {
        const char *dot = at < s.n ? memchr(s.p + at, '.', s.n - at) : NULL;
        size_t n = dot ? (size_t)(dot - s.p) - at : s.n - at;
        val part = substring(ev, attribute, at, n);
        int64_t index = 0;
        bool number = n > 0 && n < 18;
        for (size_t i = 0; number && i < n; i++) {
            number = s.p[at + i] >= '0' && s.p[at + i] <= '9';
            index = index * 10 + (s.p[at + i] - '0');
        }
        if (number) part = new_int(ev, index);
        item = part ? get_item(ev, item, part) : NULL;
        if (item && item->kind == V_UNDEFINED && fallback) item = fallback;
        at += n + 1;
    }
    return item;
}

/* ---- slices ---- */

static bool slice_bound(struct ev *ev, val v, int64_t otherwise, int64_t *out) {
    *out = otherwise;
    if (v->kind == V_NONE) return true;
    if (!is_int(v)) return (void)fail(ev, "slice indices must be integers or None or have an __index__ method"), false;
    *out = int_of(v);
    return true;
}

/* Python's PySlice_AdjustIndices: *start and *stop are brought into range, the number of items returned. */
static int64_t adjust(int64_t n, int64_t *start, int64_t *stop, int64_t step) {
    int64_t *const both[] = {start, stop};
    for (int i = 0; i < 2; i++) {
        int64_t *v = both[i];
        if (*v < 0) {
            *v = *v < -n ? -1 : *v + n;
            if (*v < 0) *v = step < 0 ? -1 : 0;
        } else if (*v >= n) {
            *v = step < 0 ? n - 1 : n;
        }
    }
    if (step > 0) return *start < *stop ? (*stop - *start - 1) / step + 1 : 0;
    return *stop < *start ? (*start - *stop - 1) / -step + 1 : 0;
}

static val slice_string(struct ev *ev, val v, int64_t n, int64_t start, int64_t stop, int64_t step, int64_t count) {
    struct text s = v->s;
    if (step == 1) {
        size_t from = u8_offset(s.p, s.n, (size_t)start);
        size_t len = u8_offset(s.p + from, s.n - from, (size_t)(stop > start ? stop - start : 0));
        return substring(ev, v, from, len);
    }
    uint32_t *at = take(ev, (size_t)n + 1, sizeof *at); /* byte offsets of all code points */
    if (!at || s.n > UINT32_MAX) return at ? fail(ev, "the string is too long to slice with a step") : NULL;
    uint32_t cp;
    for (size_t i = 0, k = 0; i < s.n; at[k] = (uint32_t)i) {
        k++;
        i += u8_step(s.p + i, s.n - i, &cp);
    }
    struct sink out = {0};
    for (int64_t k = 0, i = start; k < count; k++, i += step)
        if (!sink_part(ev, &out, v, at[i], at[i + 1] - at[i])) return NULL;
    return sink_done(ev, &out, v->flavor);
}

val get_slice(struct ev *ev, val object, val start, val stop, val step) {
    if (object->kind == V_UNDEFINED) return fail_undefined(ev, object);
    if (object->kind != V_STRING && !is_sequence(object)) {
        if (object->kind == V_DICT) return fail(ev, "unhashable type: 'slice'");
        return fail(ev, "'%s' object is not subscriptable", type_name(object));
    }
    int64_t by, from, to, n = (int64_t)(object->kind == V_STRING ? u8_count(object->s.p, object->s.n) : object->l.n);
    if (!spend(ev, (uint64_t)n / 64) || !slice_bound(ev, step, 1, &by)) return NULL;
    if (by == 0) return fail(ev, "slice step cannot be zero");
    if (by < -INT64_MAX) by = -INT64_MAX;
    if (!slice_bound(ev, start, by < 0 ? INT64_MAX : 0, &from) || !slice_bound(ev, stop, by < 0 ? INT64_MIN : INT64_MAX, &to)) return NULL;
    int64_t count = adjust(n, &from, &to, by);
    if (object->kind == V_STRING) return slice_string(ev, object, n, from, to, by, count);
    struct value *v = new_list(ev, is_tuple(object) ? LIST_TUPLE : (enum list_flavor)object->flavor, (size_t)count);
    for (int64_t k = 0; v && k < count; k++) v->l.at[k] = object->l.at[from + k * by];
    if (v && object->flavor == LIST_RANGE) {
        const int64_t *r = object->l.range;
        int64_t *range = take(ev, 3, sizeof *range);
        if (!range) return NULL;
        range[0] = r[0] + from * r[2];
        range[1] = r[0] + to * r[2];
        range[2] = r[2] * by;
        v->l.range = range;
    }
    return v;
}

/* ---- calls ---- */

static bool push_star(struct ev *ev, struct list *out, val v) {
    struct list items;
    if (!to_list(ev, v, &items)) return false;
    for (size_t i = 0; i < items.n; i++)
        if (!list_push(ev->mem, out, items.at[i])) return (void)fail_memory(ev), false;
    return true;
}

static bool add_named(struct ev *ev, struct args *args, size_t cap, val name, val value) {
    for (size_t i = 0; i < args->n_named; i++)
        if (key_equal(args->named[i].name, name)) return (void)fail(ev, "a keyword argument is given twice"), false;
    if (!value || args->n_named >= cap || !spend(ev, args->n_named / 16)) return false;
    args->named[args->n_named++] = (struct arg){name, value};
    return true;
}

bool eval_args(struct ev *ev, const struct call_nodes *call, struct args *args) {
    *args = (struct args){0};
    if (!call) return true;
    struct list positional = {0};
    for (const struct node *n = call->positional; n; n = n->next) {
        val v = eval(ev, n);
        if (!v || !list_push(ev->mem, &positional, v)) return (void)(v ? fail_memory(ev) : NULL), false;
    }
    if (call->star) {
        val v = eval(ev, call->star);
        if (!v || !push_star(ev, &positional, v)) return false;
    }
    args->at = positional.at;
    args->n = positional.n;
    if (!call->keywords && !call->star_star) return true;

    val more = NULL;
    size_t cap = 0;
    for (const struct node *n = call->keywords; n; n = n->next) cap++;
    if (call->star_star) {
        if (!(more = eval(ev, call->star_star))) return false;
        if (more->kind != V_DICT) return (void)fail(ev, "argument after ** must be a mapping, not %s", type_name(more)), false;
        cap += more->d.n;
    }
    if (!(args->named = take(ev, cap, sizeof *args->named))) return false;
    for (const struct node *n = call->keywords; n; n = n->next)
        if (!add_named(ev, args, cap, n->value, eval(ev, n->a))) return false;
    for (size_t i = 0; more && i < more->d.n; i++) {
        if (more->d.at[i].key->kind != V_STRING) return (void)fail(ev, "keywords must be strings"), false;
        if (!add_named(ev, args, cap, more->d.at[i].key, more->d.at[i].value)) return false;
    }
    return true;
}

static val eval_call(struct ev *ev, const struct node *n) {
    struct args args;
    val callee = eval(ev, n->a);
    if (!callee || !eval_args(ev, n->call, &args)) return NULL;
    ev->at = n;
    return call_value(ev, callee, &args);
}

static val eval_filter(struct ev *ev, const struct node *n) {
    struct args args;
    val subject = n->a ? eval(ev, n->a) : ev->captured;
    if (!subject || !eval_args(ev, n->call, &args)) return NULL;
    ev->at = n;
    return n->row ? call_builtin(ev, n->row, subject, &args) : apply_filter(ev, n->value, subject, &args);
}

static val eval_test(struct ev *ev, const struct node *n) {
    struct args args;
    val subject = eval(ev, n->a);
    if (!subject || !eval_args(ev, n->call, &args)) return NULL;
    ev->at = n;
    return n->row ? call_builtin(ev, n->row, subject, &args) : apply_test(ev, n->value, subject, &args);
}

/* ---- operators ---- */

/* 1, 0, -1 failed */
static int compare(struct ev *ev, unsigned op, val a, val b) {
    static const struct {
        const char *text;
        int8_t when[3]; /* for orders -1, 0, 1 */
    } orders[] = {[T_LT - T_GT] = {"<", {1, 0, 0}}, [T_LE - T_GT] = {"<=", {1, 1, 0}}, [T_GT - T_GT] = {">", {0, 0, 1}}, [T_GE - T_GT] = {">=", {0, 1, 1}}};
    int order, rc;
    switch (op) {
    case T_EQ: return values_equal(ev, a, b);
    case T_NE: rc = values_equal(ev, a, b); return rc < 0 ? rc : !rc;
    case OP_IN: return contains(ev, b, a);
    case OP_NOT_IN: rc = contains(ev, b, a); return rc < 0 ? rc : !rc;
    default:
        if (!values_order(ev, a, b, orders[op - T_GT].text, &order)) return -1;
        return order == 2 ? 0 : orders[op - T_GT].when[order + 1];
    }
}

static val eval_comparison(struct ev *ev, const struct node *n) {
    val left = eval(ev, n->a);
    for (const struct node *operand = n->b; left && operand; operand = operand->next) {
        val right = eval(ev, operand->a);
        if (!right) return NULL;
        ev->at = operand;
        int yes = compare(ev, operand->op, left, right);
        if (yes < 0) return NULL;
        if (!yes) return new_bool(ev, false);
        left = right;
    }
    return left ? new_bool(ev, true) : NULL;
}

static val eval_concat(struct ev *ev, const struct node *n) {
    val left = eval(ev, n->a);
    left = left ? to_str(ev, left) : NULL;
    for (const struct node *item = n->a->next; left && item; item = item->next) {
        val right = eval(ev, item);
        right = right ? to_str(ev, right) : NULL;
        left = right ? concat(ev, left, right) : NULL;
    }
    return left;
}

static val eval_list(struct ev *ev, const struct node *n) {
    struct value *v = new_list(ev, n->kind == N_TUPLE ? LIST_TUPLE : LIST_LIST, 0);
    for (const struct node *item = n->a; v && item; item = item->next)
        if (!push(ev, v, eval(ev, item))) return NULL;
    return v;
}

static val eval_dict(struct ev *ev, const struct node *n) {
    struct value *v = new_dict(ev);
    for (const struct node *key = n->a; v && key; key = key->next->next) {
        val k = eval(ev, key);
        if (!k || !put(ev, v, k, eval(ev, key->next))) return NULL;
    }
    return v;
}

static val eval_optional(struct ev *ev, const struct node *n) { return n ? eval(ev, n) : new_none(ev); }

static val eval_item(struct ev *ev, const struct node *n) {
    val object = eval(ev, n->a);
    if (!object) return NULL;
    if (n->b->kind == N_SLICE) {
        val start = eval_optional(ev, n->b->b), stop = start ? eval_optional(ev, n->b->c) : NULL;
        val step = stop ? eval_optional(ev, n->b->d) : NULL;
        ev->at = n;
        return step ? get_slice(ev, object, start, stop, step) : NULL;
    }
    val key = eval(ev, n->b);
    ev->at = n;
    return key ? get_item(ev, object, key) : NULL;
}

static val eval_attr(struct ev *ev, const struct node *n) {
    val object = eval(ev, n->a);
    ev->at = n;
    return object ? get_attr(ev, object, n->value) : NULL;
}

static val eval_condition(struct ev *ev, const struct node *n) {
    val test = eval(ev, n->a);
    if (!test) return NULL;
    if (truth(test)) return eval(ev, n->b);
    return n->c ? eval(ev, n->c) : new_undefined(ev, NULL, NULL, "the inline if-expression evaluated to false and no else section was defined.");
}

static val eval_operator(struct ev *ev, const struct node *n) {
    val a = eval(ev, n->a), b;
    if (!a) return NULL;
    switch (n->kind) {
    case N_AND: return truth(a) ? eval(ev, n->b) : a;
    case N_OR: return truth(a) ? a : eval(ev, n->b);
    case N_NOT: return new_bool(ev, !truth(a));
    case N_NEG:
    case N_POS: ev->at = n; return unary_op(ev, n->kind == N_NEG ? T_SUB : T_ADD, a);
    default:
        b = eval(ev, n->b);
        ev->at = n;
        return b ? binary_op(ev, (enum token_type)n->op, a, b) : NULL;
    }
}

static val eval_kind(struct ev *ev, const struct node *n) {
    switch ((enum node_kind)n->kind) {
    case N_CONST: return n->value;
    case N_NAME: return lookup(ev, n->value);
    case N_TUPLE:
    case N_LIST: return eval_list(ev, n);
    case N_DICT: return eval_dict(ev, n);
    case N_GETATTR: return eval_attr(ev, n);
    case N_GETITEM: return eval_item(ev, n);
    case N_CALL: return eval_call(ev, n);
    case N_FILTER: return eval_filter(ev, n);
    case N_TEST: return eval_test(ev, n);
    case N_COMPARE: return eval_comparison(ev, n);
    case N_CONCAT: return eval_concat(ev, n);
    case N_COND: return eval_condition(ev, n);
    default: return eval_operator(ev, n);
    }
}

val eval(struct ev *ev, const struct node *n) {
    if (!deeper(ev) || !spend(ev, 1)) return NULL;
    ev->at = n;
    val v = eval_kind(ev, n);
    ev->depth--;
    return v;
}
