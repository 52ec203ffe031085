/* tmpl_ops.c: what values do: truth, equality, order, arithmetic, as Python's types define them. Integers are 64 bits wide;
 * where Python would go on with a longer one, this is an error. */
#include <math.h>
#include <string.h>

#include "text/tmpl.h"

const char *type_name(val v) {
    static const char *const lists[] = {"list", "tuple", "tuple", "range", "dict_keys", "dict_values", "dict_items"};
    switch ((enum value_kind)v->kind) {
    case V_UNDEFINED: return "Undefined";
    case V_NONE: return "NoneType";
    case V_BOOL: return "bool";
    case V_INT: return "int";
    case V_FLOAT: return "float";
    case V_STRING: return v->flavor == STRING_MARKUP ? "Markup" : "str";
    case V_LIST: return lists[v->flavor];
    case V_DICT: return "dict";
    case V_ITER: return "generator";
    case V_BUILTIN: return v->builtin.self ? "builtin_function_or_method" : "function";
    case V_MACRO: return "Macro";
    case V_NAMESPACE: return "Namespace";
    case V_LOOP: return "LoopContext";
    case V_CYCLER: return "Cycler";
    case V_JOINER: return "Joiner";
    }
    return "object";
}

/* ---- new values ---- */

static struct value *fresh(struct ev *ev, enum value_kind kind) {
    struct value *v = take(ev, 1, sizeof *v);
    if (v) v->kind = (uint8_t)kind;
    return v;
}

val new_undefined(struct ev *ev, val object, val name, const char *hint) {
    struct value *v = fresh(ev, V_UNDEFINED);
    if (v) v->undefined = (struct undefined){object, name, hint};
    return v;
}

val new_none(struct ev *ev) { return fresh(ev, V_NONE); }

val new_bool(struct ev *ev, bool b) {
    struct value *v = fresh(ev, V_BOOL);
    if (v) v->b = b;
    return v;
}

val new_int(struct ev *ev, int64_t i) {
    struct value *v = fresh(ev, V_INT);
    if (v) v->i = i;
    return v;
}

val new_float(struct ev *ev, double f) {
    struct value *v = fresh(ev, V_FLOAT);
    if (v) v->f = f;
    return v;
}

struct value *new_list(struct ev *ev, enum list_flavor flavor, size_t n) {
    struct value *v = fresh(ev, V_LIST);
    if (!v || (n && !(v->l.at = take(ev, n, sizeof(val))))) return NULL;
    v->flavor = (uint8_t)flavor;
    v->l.n = v->l.cap = n;
    return v;
}

struct value *new_dict(struct ev *ev) { return fresh(ev, V_DICT); }

bool push(struct ev *ev, struct value *list, val item) {
    if (!list || !item) return false;
    return list_push(ev->mem, &list->l, item) || fail_memory(ev);
}

bool put(struct ev *ev, struct value *dict, val key, val item) {
    if (!dict || !key || !item || !spend_text(ev, key)) return false;
    if (!value_hashable(key, KEY_DEPTH)) return (void)fail(ev, "unhashable type: '%s'", type_name(key)), false;
    return dict_put(ev->mem, &dict->d, key, item) || fail_memory(ev);
}

/* ---- truth, equality, order ---- */

bool truth(val v) {
    switch ((enum value_kind)v->kind) {
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v->b;
    case V_INT: return v->i != 0;
    case V_FLOAT: return v->f != 0;
    case V_STRING: return v->s.n != 0;
    case V_LIST: return v->l.n != 0;
    case V_DICT: return v->d.n != 0;
    default: return true;
    }
}

static int lists_equal(struct ev *ev, val a, val b) {
    if ((is_tuple(a) ? LIST_TUPLE : a->flavor) != (is_tuple(b) ? LIST_TUPLE : b->flavor)) return 0;
    if (a->flavor == LIST_VALUES) return a == b;
    if (a->l.n != b->l.n) return 0;
    int rc = 1;
    for (size_t i = 0; rc > 0 && i < a->l.n; i++) rc = a->l.at[i] == b->l.at[i] ? 1 : values_equal(ev, a->l.at[i], b->l.at[i]);
    return rc;
}

static int dicts_equal(struct ev *ev, val a, val b) {
    if (a->d.n != b->d.n) return 0;
    int rc = 1;
    for (size_t i = 0; rc > 0 && i < a->d.n; i++) {
        val other = dict_find(&b->d, a->d.at[i].key);
        rc = !other ? 0 : other == a->d.at[i].value ? 1 : values_equal(ev, a->d.at[i].value, other);
    }
    return rc;
}

int values_equal(struct ev *ev, val a, val b) {
    if (!spend(ev, 1) || !spend_text(ev, a)) return -1;
    if (is_number(a) && is_number(b)) {
        bool unordered;
        return number_compare(a, b, &unordered) == 0 && !unordered;
    }
    if (a->kind != b->kind) return 0;
    switch ((enum value_kind)a->kind) {
    case V_UNDEFINED:
    case V_NONE: return 1;
    case V_STRING: return text_eq(a->s, b->s);
    case V_LIST:
    case V_DICT: {
        if (!deeper(ev)) return -1;
        int rc = a->kind == V_LIST ? lists_equal(ev, a, b) : dicts_equal(ev, a, b);
        ev->depth--;
        return rc;
    }
    case V_BUILTIN: return a->builtin.row == b->builtin.row && a->builtin.self == b->builtin.self;
    default: return a == b;
    }
}

static int text_order(struct text a, struct text b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? (c > 0) - (c < 0) : (a.n > b.n) - (a.n < b.n);
}

static bool lists_order(struct ev *ev, val a, val b, const char *op, int *order) {
    for (size_t i = 0; i < a->l.n && i < b->l.n; i++) {
        int same = values_equal(ev, a->l.at[i], b->l.at[i]);
        if (same < 0) return false;
        if (!same) return values_order(ev, a->l.at[i], b->l.at[i], op, order);
    }
    *order = (a->l.n > b->l.n) - (a->l.n < b->l.n);
    return true;
}

bool values_order(struct ev *ev, val a, val b, const char *op, int *order) {
    if (!spend(ev, 1) || !spend_text(ev, a)) return false;
    if (a->kind == V_UNDEFINED) return (void)fail_undefined(ev, a), false;
    if (b->kind == V_UNDEFINED) return (void)fail_undefined(ev, b), false;
    if (is_number(a) && is_number(b)) {
        bool unordered;
        *order = number_compare(a, b, &unordered);
        if (unordered) *order = 2;
        return true;
    }
    if (a->kind == V_STRING && b->kind == V_STRING) {
        *order = text_order(a->s, b->s); /* UTF-8 sorts as its code points do */
        return true;
    }
    if (a->kind == V_LIST && b->kind == V_LIST && ((is_tuple(a) && is_tuple(b)) || (a->flavor == LIST_LIST && b->flavor == LIST_LIST))) {
        if (!deeper(ev)) return false;
        bool ok = lists_order(ev, a, b, op, order);
        ev->depth--;
        return ok;
    }
    return (void)fail(ev, "'%s' not supported between instances of '%s' and '%s'", op, type_name(a), type_name(b)), false;
}

/* Merges order[0, half) and order[half, n), both sorted, through `scratch`. Equal keys keep their order. */
static bool merge(struct ev *ev, const val *keys, bool reverse, size_t *order, size_t half, size_t n, size_t *scratch) {
    size_t i = 0, j = half, k = 0;
    while (i < half && j < n) {
        int c;
        if (!values_order(ev, keys[order[j]], keys[order[i]], "<", &c)) return false;
        bool second = reverse ? c == 1 : c == -1;
        scratch[k++] = second ? order[j++] : order[i++];
    }
    while (i < half) scratch[k++] = order[i++];
    while (j < n) scratch[k++] = order[j++];
    memcpy(order, scratch, n * sizeof *order);
    return true;
}

bool sort_values(struct ev *ev, const val *keys, size_t n, bool reverse, size_t *order) {
    size_t *scratch = take(ev, n, sizeof *scratch);
    if (!scratch) return false;
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t width = 1; width < n; width *= 2)
        for (size_t at = 0; at + width < n; at += 2 * width) {
            size_t len = n - at < 2 * width ? n - at : 2 * width;
            if (!merge(ev, keys, reverse, order + at, width, len, scratch)) return false;
        }
    return true;
}

/* ---- arithmetic ---- */

static const char *op_text(enum token_type op) {
    switch (op) {
    case T_ADD: return "+";
    case T_SUB: return "-";
    case T_MUL: return "*";
    case T_DIV: return "/";
    case T_FLOORDIV: return "//";
    case T_MOD: return "%";
    default: return "** or pow()";
    }
}

static val marked(val v, uint8_t mark) {
    if (v) ((struct value *)v)->mark = mark; /* just made: nobody else has it yet */
    return v;
}

static val too_large(struct ev *ev) { return fail(ev, "an integer does not fit in 64 bits"); }

static val int_power(struct ev *ev, int64_t base, int64_t exponent) {
    if (exponent < 0) {
        if (!base) return fail(ev, "0.0 cannot be raised to a negative power");
        return new_float(ev, pow((double)base, (double)exponent));
    }
    int64_t result = 1;
    for (; exponent; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return too_large(ev);
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return too_large(ev);
    }
    return new_int(ev, result);
}

static val int_op(struct ev *ev, enum token_type op, int64_t a, int64_t b) {
    int64_t r;
    bool overflow = false;
    switch (op) {
    case T_ADD: overflow = __builtin_add_overflow(a, b, &r); break;
    case T_SUB: overflow = __builtin_sub_overflow(a, b, &r); break;
    case T_MUL: overflow = __builtin_mul_overflow(a, b, &r); break;
    case T_DIV: return b ? new_float(ev, (double)((long double)a / (long double)b)) : fail(ev, "division by zero");
    case T_POW: return int_power(ev, a, b);
    default: /* T_FLOORDIV, T_MOD: towards minus infinity, the remainder has the divisor's sign */
        if (!b) return fail(ev, "integer division or modulo by zero");
        if (b == -1) { /* INT64_MIN / -1 traps */
            if (op == T_MOD) r = 0;
            else overflow = __builtin_sub_overflow((int64_t)0, a, &r);
            break;
        }
        r = a % b;
        bool below = r && (r < 0) != (b < 0);
        r = op == T_MOD ? r + (below ? b : 0) : a / b - (below ? 1 : 0);
    }
    return overflow ? too_large(ev) : new_int(ev, r);
}

static val float_op(struct ev *ev, enum token_type op, double a, double b) {
    switch (op) {
    case T_ADD: return new_float(ev, a + b);
    case T_SUB: return new_float(ev, a - b);
    case T_MUL: return new_float(ev, a * b);
    case T_DIV: return b != 0 ? new_float(ev, a / b) : fail(ev, "float division by zero");
    case T_POW: {
        if (a == 0 && b < 0) return fail(ev, "0.0 cannot be raised to a negative power");
        if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b)) return fail(ev, "a root of a negative number is a complex number");
        double r = pow(a, b);
        return isinf(r) && isfinite(a) && isfinite(b) ? fail(ev, "Numerical result out of range") : new_float(ev, r);
    }
    default: break;
    }
    if (b == 0) return fail(ev, op == T_MOD ? "float modulo" : "float floor division by zero");
    double rest = fmod(a, b);
    double quotient = (a - rest) / b;
    if (rest != 0) {
        if ((b < 0) != (rest < 0)) {
            rest += b;
            quotient -= 1;
        }
    } else {
        rest = copysign(0.0, b);
    }
    if (op == T_MOD) return new_float(ev, rest);
    if (quotient == 0) return new_float(ev, copysign(0.0, a / b));
    double whole = floor(quotient);
    return new_float(ev, quotient - whole > 0.5 ? whole + 1 : whole);
}

static val repeat(struct ev *ev, val sequence, int64_t times) {
    if (times < 0) times = 0;
    if (sequence->kind == V_STRING) {
        struct sink s = {0};
        return sink_fill(ev, &s, sequence, (size_t)times) ? sink_done(ev, &s, sequence->flavor) : NULL;
    }
    size_t n;
    if (__builtin_mul_overflow(sequence->l.n, (size_t)times, &n)) return fail(ev, "a list grew too long");
    if (!spend(ev, n)) return NULL;
    struct value *v = new_list(ev, (enum list_flavor)sequence->flavor, n);
    for (size_t i = 0; v && i < n; i++) v->l.at[i] = sequence->l.at[i % sequence->l.n];
    return v;
}

static val join_lists(struct ev *ev, val a, val b) {
    if (!spend(ev, (a->l.n + b->l.n) / 8)) return NULL;
    struct value *v = new_list(ev, is_tuple(a) ? LIST_TUPLE : LIST_LIST, a->l.n + b->l.n);
    if (!v) return NULL;
    if (a->l.n) memcpy(v->l.at, a->l.at, a->l.n * sizeof(val));
    if (b->l.n) memcpy(v->l.at + a->l.n, b->l.at, b->l.n * sizeof(val));
    return v;
}

/* a + b of strings; Markup on either side escapes the other. */
static val join_strings(struct ev *ev, val a, val b) {
    if (a->flavor != STRING_MARKUP && b->flavor != STRING_MARKUP) return concat(ev, a, b);
    val x = html_escape(ev, a), y = x ? html_escape(ev, b) : NULL, both = y ? concat(ev, x, y) : NULL;
    return both ? with_flavor(ev, both, STRING_MARKUP) : NULL;
}

static bool can_repeat(val v) { return v->kind == V_STRING || (v->kind == V_LIST && v->flavor <= LIST_GROUP); }

val binary_op(struct ev *ev, enum token_type op, val a, val b) {
    if (op == T_MOD && a->kind == V_STRING) return format_percent(ev, a, b);
    if (a->kind == V_UNDEFINED) return fail_undefined(ev, a);
    if (b->kind == V_UNDEFINED) return fail_undefined(ev, b);
    if (is_number(a) && is_number(b)) {
        uint8_t mark = a->mark & b->mark & MARK_TEMPLATE;
        if (is_int(a) && is_int(b)) return marked(int_op(ev, op, int_of(a), int_of(b)), mark);
        return marked(float_op(ev, op, float_of(a), float_of(b)), mark);
    }
    if (op == T_ADD && a->kind == V_STRING && b->kind == V_STRING) return join_strings(ev, a, b);
    if (op == T_ADD && a->kind == V_LIST && b->kind == V_LIST && ((is_tuple(a) && is_tuple(b)) || (a->flavor + b->flavor == LIST_LIST)))
        return join_lists(ev, a, b);
    if (op == T_MUL && can_repeat(a) && is_int(b)) return repeat(ev, a, int_of(b));
    if (op == T_MUL && can_repeat(b) && is_int(a)) return repeat(ev, b, int_of(a));
    if (op == T_ADD && a->kind == V_STRING) return fail(ev, "can only concatenate str (not \"%s\") to str", type_name(b));
    return fail(ev, "unsupported operand type(s) for %s: '%s' and '%s'", op_text(op), type_name(a), type_name(b));
}

val unary_op(struct ev *ev, enum token_type op, val a) {
    if (a->kind == V_UNDEFINED) return fail_undefined(ev, a);
    if (!is_number(a)) return fail(ev, "bad operand type for unary %s: '%s'", op == T_SUB ? "-" : "+", type_name(a));
    if (a->kind == V_FLOAT) return marked(new_float(ev, op == T_SUB ? -a->f : a->f), a->mark);
    int64_t i = int_of(a);
    if (op == T_SUB && __builtin_sub_overflow((int64_t)0, i, &i)) return too_large(ev);
    return marked(new_int(ev, i), a->mark);
}
