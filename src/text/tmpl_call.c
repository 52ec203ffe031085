/* tmpl_call.c: calling what can be called, and binding arguments to parameters by position and by name. */
#include <string.h>

#include "text/tmpl.h"

enum { MAX_PARAMS = 8 };

/* Splits "a b -" into argv by position and name. */
static bool bind(struct ev *ev, const struct builtin *row, const struct args *args, val argv[MAX_PARAMS]) {
    struct slice names[MAX_PARAMS];
    size_t n = 0;
    for (const char *p = row->params; *p;) {
        size_t len = strcspn(p, " ");
        names[n++] = (struct slice){p, len};
        p += len + (p[len] == ' ');
    }
    if (args->n > n) return (void)fail(ev, "%s() takes at most %zu arguments (%zu given)", row->name, n, args->n), false;
    for (size_t i = 0; i < n; i++) argv[i] = i < args->n ? args->at[i] : NULL;
    for (size_t k = 0; k < args->n_named; k++) {
        struct text name = args->named[k].name->s;
        size_t i = 0;
        while (i < n && !slice_eq(names[i], (struct slice){name.p, name.n})) i++;
        char quoted[80];
        if (i == n)
            return (void)fail(ev, "%s() got an unexpected keyword argument '%s'", row->name, err_quote(quoted, sizeof quoted, name.p, name.n)), false;
        if (argv[i]) return (void)fail(ev, "%s() got multiple values for argument '%.*s'", row->name, (int)name.n, name.p), false;
        argv[i] = args->named[k].value;
    }
    for (size_t i = 0; i < row->required; i++)
        if (!argv[i]) return (void)fail(ev, "%s() missing required argument %zu", row->name, i + 1), false;
    return true;
}

val call_builtin(struct ev *ev, const struct builtin *row, val self, const struct args *args) {
    val argv[MAX_PARAMS] = {0};
    if (self && !spend_text(ev, self)) return NULL;
    for (size_t i = 0; i < args->n; i++)
        if (!spend_text(ev, args->at[i])) return NULL;
    if (row->params && !bind(ev, row, args, argv)) return NULL;
    return row->fn(ev, self, argv, args);
}

/* ---- macros ---- */

static val take_named(const struct args *args, val name, bool *used) {
    for (size_t i = 0; i < args->n_named; i++)
        if (!used[i] && key_equal(args->named[i].name, name)) {
            used[i] = true;
            return args->named[i].value;
        }
    return NULL;
}

/* Positional arguments, then named ones, for all parameters; what is left over goes to varargs and kwargs or is an error. */
static bool bind_macro(struct ev *ev, const struct node *n, const struct args *args, bool *used, struct scope *scope) {
    size_t i = 0;
    for (const struct node *p = n->a; p; p = p->next, i++) {
        val v = i < args->n ? args->at[i] : take_named(args, p->value, used);
        if (v && !scope_set(ev, scope, p->value, v)) return false;
    }
    if ((n->flag & MACRO_CALLER) && !(n->flag & MACRO_EXPLICIT_CALLER)) {
        val caller = take_named(args, ev->t->caller, used);
        if (!caller || caller->kind == V_NONE) caller = new_undefined(ev, NULL, NULL, "No caller defined");
        if (!scope_set(ev, scope, ev->t->caller, caller)) return false;
    }
    const char *name = n->value ? n->value->s.p : "caller";
    if (n->flag & MACRO_KWARGS) {
        struct value *rest = new_dict(ev);
        for (size_t k = 0; k < args->n_named; k++)
            if (!used[k] && !put(ev, rest, args->named[k].name, args->named[k].value)) return false;
        if (!rest || !scope_set(ev, scope, ev->t->kwargs, rest)) return false;
    } else {
        for (size_t k = 0; k < args->n_named; k++)
            if (!used[k]) return (void)fail(ev, "macro '%s' takes no keyword argument '%s'", name, args->named[k].name->s.p), false;
    }
    if (n->flag & MACRO_VARARGS) {
        struct value *rest = new_list(ev, LIST_TUPLE, 0);
        for (; rest && i < args->n; i++)
            if (!push(ev, rest, args->at[i])) return false;
        if (!rest || !scope_set(ev, scope, ev->t->varargs, rest)) return false;
    } else if (args->n > i) {
        return (void)fail(ev, "macro '%s' takes not more than %zu argument(s)", name, i), false;
    }
    return true;
}

static bool is_bound(const struct scope *s, val name) {
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i].name == name) return true;
    return false;
}

/* Defaults are evaluated in the macro's own scope, so that one may use another parameter. */
static bool bind_defaults(struct ev *ev, const struct node *n, struct scope *scope) {
    for (const struct node *p = n->a; p; p = p->next) {
        if (is_bound(scope, p->value)) continue;
        val v = p->a ? eval(ev, p->a) : new_undefined(ev, NULL, p->value, NULL);
        if (!v || !scope_set(ev, scope, p->value, v)) return false;
    }
    return true;
}

static val call_macro(struct ev *ev, const struct macro *macro, const struct args *args) {
    struct scope *saved = ev->scope, *scope = scope_new(ev, macro->scope);
    bool *used = take(ev, args->n_named + 1, sizeof *used);
    val text = NULL;
    if (!scope || !used || !bind_macro(ev, macro->node, args, used, scope)) return NULL;
    ev->scope = scope;
    bool ok = bind_defaults(ev, macro->node, scope) && capture(ev, macro->node->b, &text);
    ev->scope = saved;
    return ok ? text : NULL;
}

val call_value(struct ev *ev, val callee, const struct args *args) {
    switch ((enum value_kind)callee->kind) {
    case V_BUILTIN: return call_builtin(ev, callee->builtin.row, callee->builtin.self, args);
    case V_MACRO: return call_macro(ev, callee->macro, args);
    case V_LOOP: return loop_call(ev, callee->loop, args);
    case V_JOINER:
        if (callee->joiner->used) return callee->joiner->separator;
        callee->joiner->used = true;
        return new_cstring(ev, "", MARK_TEMPLATE);
    case V_UNDEFINED: return fail_undefined(ev, callee);
    default: return fail(ev, "'%s' object is not callable", type_name(callee));
    }
}

/* ---- finding rows ---- */

const struct builtin *find_builtin(const struct builtin *table, size_t n, val name) {
    for (size_t i = 0; i < n; i++)
        if (text_is(name, table[i].name)) return &table[i];
    return NULL;
}

val apply_filter(struct ev *ev, val name, val subject, const struct args *args) {
    char quoted[80];
    const struct builtin *row = name->kind == V_STRING ? find_filter(name) : NULL;
    if (row) return call_builtin(ev, row, subject, args);
    if (name->kind != V_STRING) return fail(ev, "the name of a filter must be a string, not %s", type_name(name));
    return fail(ev, "No filter named '%s'.", err_quote(quoted, sizeof quoted, name->s.p, name->s.n));
}

val apply_test(struct ev *ev, val name, val subject, const struct args *args) {
    char quoted[80];
    const struct builtin *row = name->kind == V_STRING ? find_test(name) : NULL;
    if (row) return call_builtin(ev, row, subject, args);
    if (name->kind != V_STRING) return fail(ev, "the name of a test must be a string, not %s", type_name(name));
    return fail(ev, "No test named '%s'.", err_quote(quoted, sizeof quoted, name->s.p, name->s.n));
}

/* ---- arguments of builtins ---- */

bool arg_int(struct ev *ev, val v, int64_t otherwise, int64_t *i) {
    *i = otherwise;
    if (!v) return true;
    if (v->kind == V_UNDEFINED) return (void)fail_undefined(ev, v), false;
    if (!is_int(v)) return (void)fail(ev, "'%s' object cannot be interpreted as an integer", type_name(v)), false;
    *i = int_of(v);
    return true;
}

bool arg_text(struct ev *ev, val v, const char *what) {
    if (v->kind == V_STRING) return true;
    if (v->kind == V_UNDEFINED) return (void)fail_undefined(ev, v), false;
    return (void)fail(ev, "%s must be str, not %s", what, type_name(v)), false;
}
