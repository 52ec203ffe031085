/* tmpl_tests.c: what can follow `is`. */
#include <string.h>

#include "text/tmpl.h"

#define TEST(name, expression)                                                            \
    static val name(struct ev *ev, val self, val *argv, const struct args *args) {        \
        (void)argv, (void)args;                                                           \
        return new_bool(ev, expression);                                                  \
    }

TEST(t_boolean, self->kind == V_BOOL)
TEST(t_callable, self->kind == V_BUILTIN || self->kind == V_MACRO || self->kind == V_LOOP || self->kind == V_JOINER || self->kind == V_UNDEFINED)
TEST(t_defined, self->kind != V_UNDEFINED)
TEST(t_undefined, self->kind == V_UNDEFINED)
TEST(t_escaped, self->kind == V_STRING && self->flavor == STRING_MARKUP)
TEST(t_false, self->kind == V_BOOL && !self->b)
TEST(t_true, self->kind == V_BOOL && self->b)
TEST(t_float, self->kind == V_FLOAT)
TEST(t_integer, self->kind == V_INT)
TEST(t_number, is_number(self))
TEST(t_none, self->kind == V_NONE)
TEST(t_mapping, self->kind == V_DICT)
TEST(t_string, self->kind == V_STRING)
TEST(t_iterable, is_iterable(self))
TEST(t_sequence, self->kind == V_STRING || self->kind == V_DICT || self->kind == V_UNDEFINED || is_sequence(self))
TEST(t_filter, self->kind == V_STRING && find_filter(self) != NULL)
TEST(t_test, self->kind == V_STRING && find_test(self) != NULL)

/* All letters that have a case are of this one, and there is one. */
static val all_cased(struct ev *ev, val self, enum char_class wanted, enum char_class other) {
    val s = to_str(ev, self);
    bool any = false;
    uint32_t cp;
    for (size_t i = 0; s && i < s->s.n;) {
        i += u8_step(s->s.p + i, s->s.n - i, &cp);
        if (char_is(cp, other) || char_is(cp, CHAR_TITLE)) return new_bool(ev, false);
        any = any || char_is(cp, wanted);
    }
    return s ? new_bool(ev, any) : NULL;
}

static val t_lower(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)argv, (void)args;
    return all_cased(ev, self, CHAR_LOWER, CHAR_UPPER);
}

static val t_upper(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)argv, (void)args;
    return all_cased(ev, self, CHAR_UPPER, CHAR_LOWER);
}

/* self % divisor == rest */
static val remainder_is(struct ev *ev, val self, val divisor, int64_t rest) {
    val r = binary_op(ev, T_MOD, self, divisor), wanted = r ? new_int(ev, rest) : NULL;
    int same = wanted ? values_equal(ev, r, wanted) : -1;
    return same < 0 ? NULL : new_bool(ev, same);
}

static val t_divisibleby(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)args;
    return remainder_is(ev, self, argv[0], 0);
}

static val t_even(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)argv, (void)args;
    val two = new_int(ev, 2);
    return two ? remainder_is(ev, self, two, 0) : NULL;
}

static val t_odd(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)argv, (void)args;
    val two = new_int(ev, 2);
    return two ? remainder_is(ev, self, two, 1) : NULL;
}

static val t_in(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)args;
    int yes = contains(ev, argv[0], self);
    return yes < 0 ? NULL : new_bool(ev, yes);
}

/* `is` of Python: the same object. What has no identity of its own here is compared by value. */
static val t_sameas(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)args;
    val other = argv[0];
    bool same = self == other;
    if (self->kind == other->kind && (self->kind == V_NONE || self->kind == V_BOOL || self->kind == V_INT || self->kind == V_STRING))
        same = key_equal(self, other);
    return new_bool(ev, same);
}

static val t_eq(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)args;
    int same = values_equal(ev, self, argv[0]);
    return same < 0 ? NULL : new_bool(ev, same);
}

static val t_ne(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)args;
    int same = values_equal(ev, self, argv[0]);
    return same < 0 ? NULL : new_bool(ev, !same);
}

#define ORDER_TEST(name, op, expression)                                                   \
    static val name(struct ev *ev, val self, val *argv, const struct args *args) {        \
        (void)args;                                                                       \
        int order;                                                                        \
        return values_order(ev, self, argv[0], op, &order) ? new_bool(ev, expression) : NULL; \
    }

ORDER_TEST(t_lt, "<", order == -1)
ORDER_TEST(t_le, "<=", order == -1 || order == 0)
ORDER_TEST(t_gt, ">", order == 1)
ORDER_TEST(t_ge, ">=", order == 1 || order == 0)

static const struct builtin table[] = {
    {"boolean", t_boolean, "", 0}, {"callable", t_callable, "", 0}, {"defined", t_defined, "", 0},
    {"divisibleby", t_divisibleby, "num", 1}, {"eq", t_eq, "-", 1}, {"equalto", t_eq, "-", 1}, {"==", t_eq, "-", 1},
    {"escaped", t_escaped, "", 0}, {"even", t_even, "", 0}, {"false", t_false, "", 0}, {"filter", t_filter, "", 0},
    {"float", t_float, "", 0}, {"ge", t_ge, "-", 1}, {">=", t_ge, "-", 1}, {"gt", t_gt, "-", 1}, {"greaterthan", t_gt, "-", 1},
    {">", t_gt, "-", 1}, {"in", t_in, "seq", 1}, {"integer", t_integer, "", 0}, {"iterable", t_iterable, "", 0},
    {"le", t_le, "-", 1}, {"<=", t_le, "-", 1}, {"lower", t_lower, "", 0}, {"lt", t_lt, "-", 1}, {"lessthan", t_lt, "-", 1},
    {"<", t_lt, "-", 1}, {"mapping", t_mapping, "", 0}, {"ne", t_ne, "-", 1}, {"!=", t_ne, "-", 1}, {"none", t_none, "", 0},
    {"number", t_number, "", 0}, {"odd", t_odd, "", 0}, {"sameas", t_sameas, "other", 1}, {"sequence", t_sequence, "", 0},
    {"string", t_string, "", 0}, {"test", t_test, "", 0}, {"true", t_true, "", 0}, {"undefined", t_undefined, "", 0},
    {"upper", t_upper, "", 0},
};

const struct builtin *find_test(val name) { return find_builtin(table, TABLE_SIZE(table), name); }
