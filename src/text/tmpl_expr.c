/* tmpl_expr.c: the parser's half for expressions, by recursive descent, one function per level of precedence:
 * condition, or, and, not, comparison, + -, ~, * / // %, **, sign, postfix and filters, primary. Nesting is bounded by
 * PARSE_DEPTH. */
#include <string.h>

#include "text/tmpl.h"

static struct node *parse_unary(struct parser *p, bool with_filters);

static bool at_type(const struct parser *p, enum token_type type) { return p->at->type == type; }
static bool at_name(const struct parser *p, const char *name) { return token_is(p->at, name); }

static bool skip_name(struct parser *p, const char *name) {
    if (!at_name(p, name)) return false;
    p->at++;
    return true;
}

static bool skip_type(struct parser *p, enum token_type type) {
    if (!at_type(p, type)) return false;
    p->at++;
    return true;
}

static struct node *binary(struct parser *p, enum node_kind kind, const struct token *at, struct node *a, struct node *b) {
    struct node *n = a && b ? parse_node(p, kind, at) : NULL;
    if (!n) return NULL;
    n->op = (uint8_t)at->type;
    n->a = a;
    n->b = b;
    return n;
}

static struct node *with_child(struct parser *p, enum node_kind kind, const struct token *at, struct node *a) {
    struct node *n = a ? parse_node(p, kind, at) : NULL;
    if (n) n->a = a;
    return n;
}

/* ---- calls and postfix ---- */

/* `(` args `)`; the current token is the parenthesis. */
static struct call_nodes *parse_call_args(struct parser *p) {
    struct call_nodes *call = arena_alloc(p->mem, sizeof *call);
    const struct token *open = p->at;
    if (!call || !parse_expect(p, T_LPAREN)) return (void)parse_fail(p, open, "out of memory"), NULL;
    struct node **last = &call->positional, **last_keyword = &call->keywords;
    for (bool first = true; !at_type(p, T_RPAREN); first = false) {
        if (!first && !parse_expect(p, T_COMMA)) return NULL;
        if (!first && at_type(p, T_RPAREN)) break;
        const struct token *at = p->at;
        bool wrong;
        if (at_type(p, T_MUL) || at_type(p, T_POW)) {
            struct node **star = at_type(p, T_MUL) ? &call->star : &call->star_star;
            wrong = *star || call->star_star;
            p->at++;
            if (!(*star = parse_expression(p, true))) return NULL;
        } else if (at_type(p, T_NAME) && p->at[1].type == T_ASSIGN) {
            wrong = call->star_star != NULL;
            p->at += 2;
            struct node *kw = with_child(p, N_NAME, at, parse_expression(p, true));
            if (!kw || !(kw->value = parse_name_value(p, at->text))) return NULL;
            *last_keyword = kw;
            last_keyword = &kw->next;
        } else {
            wrong = call->star || call->star_star || call->keywords;
            if (!(*last = parse_expression(p, true))) return NULL;
            last = &(*last)->next;
        }
        if (wrong) return (void)parse_fail(p, at, "invalid order of arguments in a call"), NULL;
    }
    return parse_expect(p, T_RPAREN) ? call : NULL;
}

static struct node *parse_slice_or_key(struct parser *p) {
    const struct token *at = p->at;
    struct node *start = NULL, *stop = NULL, *step = NULL;
    if (!at_type(p, T_COLON)) {
        if (!(start = parse_expression(p, true))) return NULL;
        if (!at_type(p, T_COLON)) return start;
    }
    p->at++;
    if (!at_type(p, T_COLON) && !at_type(p, T_RBRACKET) && !(stop = parse_expression(p, true))) return NULL;
    if (skip_type(p, T_COLON) && !at_type(p, T_RBRACKET) && !(step = parse_expression(p, true))) return NULL;
    struct node *n = parse_node(p, N_SLICE, at);
    if (!n) return NULL;
    n->b = start;
    n->c = stop;
    n->d = step;
    return n;
}

static struct node *parse_subscript(struct parser *p, struct node *object) {
    const struct token *at = p->at++;
    struct node *n;
    if (at->type == T_DOT) {
        const struct token *attr = p->at++;
        if (attr->type == T_NAME) {
            if (!(n = with_child(p, N_GETATTR, at, object)) || !(n->value = parse_name_value(p, attr->text))) return NULL;
            return n;
        }
        if (attr->type != T_INTEGER) return parse_fail(p, attr, "expected a name or a number after '.'");
        struct node *index = parse_node(p, N_CONST, attr);
        if (!index || !(n = with_child(p, N_GETITEM, at, object))) return NULL;
        index->value = attr->value;
        n->b = index;
        return n;
    }
    struct node *first = parse_slice_or_key(p), *key = first;
    if (!first) return NULL;
    if (at_type(p, T_COMMA)) { /* x[1, 2] is x[(1, 2)] */
        if (first->kind == N_SLICE) return parse_fail(p, at, "a slice cannot be part of a tuple");
        if (!(key = with_child(p, N_TUPLE, at, first))) return NULL;
        for (struct node *last = first; skip_type(p, T_COMMA) && !at_type(p, T_RBRACKET); last = last->next)
            if (!(last->next = parse_expression(p, true))) return NULL;
    }
    if (!parse_expect(p, T_RBRACKET) || !(n = with_child(p, N_GETITEM, at, object))) return NULL;
    n->b = key;
    return n;
}

static struct node *parse_call(struct parser *p, struct node *callee) {
    struct node *n = with_child(p, N_CALL, p->at, callee);
    return n && (n->call = parse_call_args(p)) ? n : NULL;
}

static struct node *parse_postfix(struct parser *p, struct node *n) {
    while (n) {
        if (at_type(p, T_DOT) || at_type(p, T_LBRACKET)) n = parse_subscript(p, n);
        else if (at_type(p, T_LPAREN)) n = parse_call(p, n);
        else break;
    }
    return n;
}

/* name(.name)* as one value, at the current token */
static val parse_dotted(struct parser *p) {
    struct slice name = p->at->text;
    if (!parse_expect(p, T_NAME)) return NULL;
    while (at_type(p, T_DOT)) {
        p->at++;
        struct slice part = p->at->text;
        if (!parse_expect(p, T_NAME)) return NULL;
        name.n = (size_t)(part.p + part.n - name.p);
    }
    return parse_name_value(p, name);
}

/* Filters after `subject`; with inline_start the first comes without its "|" (filter blocks). */
struct node *parse_filter(struct parser *p, struct node *subject, bool inline_start) {
    struct node *n = subject;
    while (at_type(p, T_PIPE) || inline_start) {
        if (!inline_start) p->at++;
        inline_start = false;
        struct node *filter = parse_node(p, N_FILTER, p->at);
        if (!filter || !(filter->value = parse_dotted(p))) return NULL;
        filter->a = n;
        filter->row = find_filter(filter->value);
        if (at_type(p, T_LPAREN) && !(filter->call = parse_call_args(p))) return NULL;
        n = filter;
    }
    return n;
}

static bool starts_test_argument(const struct parser *p) {
    switch (p->at->type) {
    case T_NAME: return !at_name(p, "else") && !at_name(p, "or") && !at_name(p, "and");
    case T_STRING:
    case T_INTEGER:
    case T_FLOAT:
    case T_LBRACKET:
    case T_LBRACE: return true;
    default: return false;
    }
}

static struct node *parse_test(struct parser *p, struct node *subject) {
    const struct token *at = p->at++;
    bool negated = skip_name(p, "not");
    struct node *n = with_child(p, N_TEST, at, subject);
    if (!n || !(n->value = parse_dotted(p))) return NULL;
    n->row = find_test(n->value);
    if (at_type(p, T_LPAREN)) {
        if (!(n->call = parse_call_args(p))) return NULL;
    } else if (starts_test_argument(p)) {
        if (at_name(p, "is")) return parse_fail(p, p->at, "tests cannot be chained with 'is'");
        if (!(n->call = arena_alloc(p->mem, sizeof *n->call))) return parse_fail(p, at, "out of memory");
        if (!(n->call->positional = parse_postfix(p, parse_primary(p)))) return NULL;
    }
    return negated ? with_child(p, N_NOT, at, n) : n;
}

static struct node *parse_filters_and_tests(struct parser *p, struct node *n) {
    while (n) {
        if (at_type(p, T_PIPE)) n = parse_filter(p, n, false);
        else if (at_name(p, "is")) n = parse_test(p, n);
        else if (at_type(p, T_LPAREN)) n = parse_call(p, n);
        else break;
    }
    return n;
}

/* ---- primaries ---- */

static struct node *parse_strings(struct parser *p) {
    struct node *n = parse_node(p, N_CONST, p->at);
    if (!n) return NULL;
    if (p->at[1].type != T_STRING) {
        n->value = p->at++->value;
        return n;
    }
    size_t total = 0, count = 0; /* "a" "b" is "ab" */
    for (; p->at[count].type == T_STRING; count++) total += p->at[count].value->s.n;
    char *text = arena_alloc(p->mem, total + 1);
    struct value *v = NULL;
    for (size_t i = 0, at = 0; text && i < count; i++) {
        struct text part = p->at[i].value->s;
        if (part.n) memcpy(text + at, part.p, part.n);
        at += part.n;
    }
    if (text) v = value_string(p->mem, text, total, VALUE_TRUSTED);
    if (!v) return parse_fail(p, p->at, "out of memory");
    p->at += count;
    n->value = v;
    return n;
}

static struct node *parse_list(struct parser *p) {
    struct node *n = parse_node(p, N_LIST, p->at++), **last = n ? &n->a : NULL;
    while (n && !at_type(p, T_RBRACKET)) {
        if (n->a && !parse_expect(p, T_COMMA)) return NULL;
        if (at_type(p, T_RBRACKET)) break;
        if (!(*last = parse_expression(p, true))) return NULL;
        last = &(*last)->next;
    }
    return n && parse_expect(p, T_RBRACKET) ? n : NULL;
}

static struct node *parse_dict(struct parser *p) {
    struct node *n = parse_node(p, N_DICT, p->at++), **last = n ? &n->a : NULL;
    while (n && !at_type(p, T_RBRACE)) {
        if (n->a && !parse_expect(p, T_COMMA)) return NULL;
        if (at_type(p, T_RBRACE)) break;
        struct node *key = parse_expression(p, true);
        if (!key || !parse_expect(p, T_COLON) || !(key->next = parse_expression(p, true))) return NULL;
        *last = key;
        last = &key->next->next;
    }
    return n && parse_expect(p, T_RBRACE) ? n : NULL;
}

static void note_special_name(struct parser *p, const struct token *t) {
    if (token_is(t, "caller")) p->special |= MACRO_CALLER;
    if (token_is(t, "kwargs")) p->special |= MACRO_KWARGS;
    if (token_is(t, "varargs")) p->special |= MACRO_VARARGS;
}

static struct node *parse_name(struct parser *p) {
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_CONST, t);
    struct value *v = NULL;
    if (!n) return NULL;
    bool yes = token_is(t, "true") || token_is(t, "True");
    if (yes || token_is(t, "false") || token_is(t, "False")) {
        v = value_bool(p->mem, yes);
    } else if (token_is(t, "none") || token_is(t, "None")) {
        v = value_none(p->mem);
    } else {
        note_special_name(p, t);
        n->kind = N_NAME;
        n->value = parse_name_value(p, t->text);
        return n->value ? n : NULL;
    }
    if (!v) return parse_fail(p, t, "out of memory");
    v->mark = MARK_TEMPLATE;
    n->value = v;
    return n;
}

struct node *parse_primary(struct parser *p) {
    const struct token *t = p->at;
    struct node *n = NULL;
    if (!parse_deeper(p)) return NULL;
    switch (t->type) {
    case T_NAME: n = parse_name(p); break;
    case T_STRING: n = parse_strings(p); break;
    case T_INTEGER:
    case T_FLOAT:
        if ((n = parse_node(p, N_CONST, t)) != NULL) n->value = t->value;
        p->at++;
        break;
    case T_LPAREN:
        p->at++;
        n = parse_tuple(p, true, true);
        if (n && !parse_expect(p, T_RPAREN)) n = NULL;
        break;
    case T_LBRACKET: n = parse_list(p); break;
    case T_LBRACE: n = parse_dict(p); break;
    default: n = parse_fail(p, t, "expected an expression, found %s", token_describe(t->type));
    }
    p->depth--;
    return n;
}

/* ---- operators, from tightest to loosest ---- */

static struct node *parse_sign(struct parser *p) {
    const struct token *at = p->at++;
    if (!parse_deeper(p)) return NULL;
    struct node *n = with_child(p, at->type == T_SUB ? N_NEG : N_POS, at, parse_unary(p, false));
    p->depth--;
    return n;
}

static struct node *parse_unary(struct parser *p, bool with_filters) {
    struct node *n = at_type(p, T_SUB) || at_type(p, T_ADD) ? parse_sign(p) : parse_primary(p);
    n = parse_postfix(p, n);
    return with_filters ? parse_filters_and_tests(p, n) : n;
}

static struct node *parse_power(struct parser *p) {
    struct node *n = parse_unary(p, true);
    while (n && at_type(p, T_POW)) {
        const struct token *at = p->at++;
        n = binary(p, N_BINARY, at, n, parse_unary(p, true));
    }
    return n;
}

static struct node *parse_product(struct parser *p) {
    struct node *n = parse_power(p);
    while (n && (at_type(p, T_MUL) || at_type(p, T_DIV) || at_type(p, T_FLOORDIV) || at_type(p, T_MOD))) {
        const struct token *at = p->at++;
        n = binary(p, N_BINARY, at, n, parse_power(p));
    }
    return n;
}

static struct node *parse_concat(struct parser *p) {
    const struct token *at = p->at;
    struct node *first = parse_product(p);
    if (!first || !at_type(p, T_TILDE)) return first;
    struct node *n = with_child(p, N_CONCAT, at, first);
    for (struct node *last = first; n && skip_type(p, T_TILDE); last = last->next)
        if (!(last->next = parse_product(p))) return NULL;
    return n;
}

static struct node *parse_sum(struct parser *p) {
    struct node *n = parse_concat(p);
    while (n && (at_type(p, T_ADD) || at_type(p, T_SUB))) {
        const struct token *at = p->at++;
        n = binary(p, N_BINARY, at, n, parse_concat(p));
    }
    return n;
}

static int comparison(struct parser *p) {
    switch (p->at->type) {
    case T_EQ:
    case T_NE:
    case T_LT:
    case T_LE:
    case T_GT:
    case T_GE: return (int)p->at++->type;
    default: break;
    }
    if (skip_name(p, "in")) return OP_IN;
    if (!at_name(p, "not") || !token_is(p->at + 1, "in")) return -1;
    p->at += 2;
    return OP_NOT_IN;
}

static struct node *parse_comparison(struct parser *p) {
    struct node *first = parse_sum(p), *n = NULL, **last = NULL;
    while (first) {
        const struct token *at = p->at;
        int op = comparison(p);
        if (op < 0) return n ? n : first;
        if (!n) {
            if (!(n = with_child(p, N_COMPARE, at, first))) return NULL;
            last = &n->b;
        }
        struct node *operand = with_child(p, N_COMPARE, at, parse_sum(p));
        if (!operand) return NULL;
        operand->op = (uint8_t)op;
        *last = operand;
        last = &operand->next;
    }
    return NULL;
}

static struct node *parse_not(struct parser *p) {
    const struct token *at = p->at;
    if (!skip_name(p, "not")) return parse_comparison(p);
    if (!parse_deeper(p)) return NULL;
    struct node *n = with_child(p, N_NOT, at, parse_not(p));
    p->depth--;
    return n;
}

static struct node *parse_and(struct parser *p) {
    struct node *n = parse_not(p);
    while (n && at_name(p, "and")) {
        const struct token *at = p->at++;
        n = binary(p, N_AND, at, n, parse_not(p));
    }
    return n;
}

static struct node *parse_or(struct parser *p) {
    struct node *n = parse_and(p);
    while (n && at_name(p, "or")) {
        const struct token *at = p->at++;
        n = binary(p, N_OR, at, n, parse_and(p));
    }
    return n;
}

static struct node *parse_condition(struct parser *p) {
    struct node *n = parse_or(p);
    while (n && at_name(p, "if")) {
        const struct token *at = p->at++;
        struct node *test = parse_or(p), *otherwise = NULL;
        if (!test) return NULL;
        if (skip_name(p, "else")) {
            if (!parse_deeper(p)) return NULL;
            otherwise = parse_condition(p);
            p->depth--;
            if (!otherwise) return NULL;
        }
        n = binary(p, N_COND, at, test, n);
        if (n) n->c = otherwise;
    }
    return n;
}

struct node *parse_expression(struct parser *p, bool with_condition) {
    if (!parse_deeper(p)) return NULL;
    struct node *n = with_condition ? parse_condition(p) : parse_or(p);
    p->depth--;
    return n;
}

static bool at_tuple_end(const struct parser *p) { return at_type(p, T_VARIABLE_END) || at_type(p, T_BLOCK_END) || at_type(p, T_RPAREN); }

/* What `item` reads, or a tuple where commas follow. A trailing comma needs a closing mark behind it: as in Jinja2,
 * `for x, in y` is an error. */
static struct node *tuple_of(struct parser *p, struct node *(*item)(struct parser *p, bool flag), bool flag, bool parenthesised) {
    const struct token *at = p->at;
    struct node *first = NULL, **last = &first;
    bool is_tuple_node = false;
    for (;;) {
        if (first && !parse_expect(p, T_COMMA)) return NULL;
        if (at_tuple_end(p)) break;
        if (!(*last = item(p, flag))) return NULL;
        last = &(*last)->next;
        if (!at_type(p, T_COMMA)) break;
        is_tuple_node = true;
    }
    if (!is_tuple_node && first) return first;
    if (!first && !parenthesised) return parse_fail(p, p->at, "expected an expression, found %s", token_describe(p->at->type));
    struct node *n = parse_node(p, N_TUPLE, at);
    if (n) n->a = first;
    return n;
}

struct node *parse_tuple(struct parser *p, bool with_condition, bool parenthesised) {
    return tuple_of(p, parse_expression, with_condition, parenthesised);
}

static struct node *parse_target_item(struct parser *p, bool with_namespace) {
    const struct token *at = p->at;
    struct node *n = parse_primary(p);
    if (!n || !with_namespace || n->kind != N_NAME || !at_type(p, T_DOT)) return n;
    p->at++;
    struct slice attribute = p->at->text;
    if (!parse_expect(p, T_NAME)) return NULL;
    struct node *ref = with_child(p, N_NSREF, at, n);
    return ref && (ref->value = parse_name_value(p, attribute)) ? ref : NULL;
}

static bool assignable(const struct node *n) {
    if (n->kind != N_TUPLE) return n->kind == N_NAME || n->kind == N_NSREF;
    for (const struct node *item = n->a; item; item = item->next)
        if (!assignable(item)) return false;
    return true;
}

struct node *parse_target(struct parser *p, bool with_namespace) {
    const struct token *at = p->at;
    struct node *n = tuple_of(p, parse_target_item, with_namespace, false);
    if (n && !assignable(n)) return parse_fail(p, at, "cannot assign to this");
    return n;
}
