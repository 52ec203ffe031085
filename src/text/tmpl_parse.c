/* tmpl_parse.c: the parser's half for statements, and template_parse.
 *
 * The tree lives in the template's arena and never changes afterwards. Names are unique values within a template, so that the
 * evaluator may compare pointers. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/strmap.h"
#include "text/tmpl.h"

struct val_names {
    struct strmap map; /* from text to index */
    struct value **at;
    size_t n, cap;
};

struct node *parse_fail(struct parser *p, const struct token *at, const char *fmt, ...) {
    if (p->code) return NULL; /* the first error counts */
    char what[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    bool memory = strcmp(what, "out of memory") == 0;
    p->code = memory ? err_nomem(p->err, "a template's tree", 0)
                     : err_set(p->err, ERR_TEMPLATE, "template:%u:%u: %s", at->line, at->column, what);
    return NULL;
}

struct node *parse_node(struct parser *p, enum node_kind kind, const struct token *at) {
    struct node *n = arena_alloc(p->mem, sizeof *n);
    if (!n) return parse_fail(p, at, "out of memory");
    n->kind = (uint8_t)kind;
    n->line = at->line;
    n->column = at->column;
    return n;
}

bool parse_deeper(struct parser *p) {
    if (p->depth >= PARSE_DEPTH) return (void)parse_fail(p, p->at, "nested too deeply"), false;
    p->depth++;
    return true;
}

val parse_name_value(struct parser *p, struct slice name) {
    struct val_names *names = p->names;
    uint32_t index;
    if (strmap_get(&names->map, name, &index)) return names->at[index];
    struct value *v = value_string(p->mem, name.p, name.n, VALUE_TRUSTED);
    if (v && names->n == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 64;
        struct value **at = mem_array(names->at, cap, sizeof *at);
        if (!at) v = NULL;
        else names->at = at, names->cap = cap;
    }
    if (!v || strmap_put(&names->map, (struct slice){v->s.p, v->s.n}, (uint32_t)names->n) < 0)
        return (void)parse_fail(p, p->at, "out of memory"), NULL;
    names->at[names->n++] = v;
    return v;
}

bool token_is(const struct token *t, const char *name) { return t->type == T_NAME && slice_is(t->text, name); }

const char *token_describe(enum token_type type) {
    static const char *const names[] = {
        "the end of the template", "text", "'{{'", "'}}'", "'{%'", "'%}'", "a name", "a string", "an integer", "a number",
        "'+'", "'-'", "'/'", "'//'", "'*'", "'%'", "'**'", "'~'", "'['", "']'", "'('", "')'", "'{'", "'}'",
        "'=='", "'!='", "'>'", "'>='", "'<'", "'<='", "'='", "'.'", "':'", "'|'", "','", "';'",
    };
    return names[type];
}

bool parse_expect(struct parser *p, enum token_type type) {
    if (p->at->type == type) {
        if (type != T_END) p->at++;
        return true;
    }
    (void)parse_fail(p, p->at, "expected %s, found %s", token_describe(type), token_describe(p->at->type));
    return false;
}

static bool at_any(const struct parser *p, const char *const *names) {
    for (; *names; names++)
        if (token_is(p->at, *names)) return true;
    return false;
}

static struct node *parse_statement(struct parser *p);

/* Nodes up to `{% name` for one of the names (NULL: up to the end); that name is then the current token. *body may be NULL:
 * an empty body. */
static bool parse_nodes(struct parser *p, const char *const *ends, const struct token *opened, struct node **body) {
    struct node **last = body;
    *body = NULL;
    for (;;) {
        const struct token *t = p->at;
        struct node *n = NULL;
        if (t->type == T_END) {
            if (!ends) return true;
            char note[200];
            const char *text = err_quote(note, 60, opened->text.p, opened->text.n);
            return (void)parse_fail(p, opened, "'%s' is never closed: expected '%s'", text, ends[0]), false;
        }
        p->at++;
        if (t->type == T_DATA) {
            if ((n = parse_node(p, N_TEXT, t)) != NULL && !(n->value = value_string(p->mem, t->text.p, t->text.n, VALUE_TRUSTED)))
                n = parse_fail(p, t, "out of memory");
        } else if (t->type == T_VARIABLE_BEGIN) {
            struct node *e = parse_tuple(p, true, false);
            if (e && parse_expect(p, T_VARIABLE_END) && (n = parse_node(p, N_PRINT, t)) != NULL) n->a = e;
        } else {
            if (ends && at_any(p, ends)) return true;
            n = parse_statement(p);
            if (n && !parse_expect(p, T_BLOCK_END)) n = NULL;
        }
        if (!n) return false;
        *last = n;
        while (*last) last = &(*last)->next; /* a `print` statement is several nodes */
    }
}

/* The rest of an opening tag (with Python's colon or without), the body, and the name that ended it, left current. */
static bool parse_body_until(struct parser *p, const char *const *ends, const struct token *opened, struct node **body) {
    if (p->at->type == T_COLON) p->at++;
    if (!parse_expect(p, T_BLOCK_END) || !parse_deeper(p)) return false;
    bool ok = parse_nodes(p, ends, opened, body);
    p->depth--;
    return ok;
}

static bool parse_body(struct parser *p, const char *end, const struct token *opened, struct node **body) {
    const char *const ends[] = {end, NULL};
    if (!parse_body_until(p, ends, opened, body)) return false;
    p->at++;
    return true;
}

static struct node *parse_for(struct parser *p) {
    static const char *const ends[] = {"endfor", "else", NULL};
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_FOR, t);
    if (!n || !(n->a = parse_target(p, false))) return NULL;
    if (!token_is(p->at, "in")) return parse_fail(p, p->at, "expected 'in', found %s", token_describe(p->at->type));
    p->at++;
    if (!(n->b = parse_tuple(p, false, false))) return NULL;
    if (token_is(p->at, "if")) {
        p->at++;
        if (!(n->c = parse_expression(p, true))) return NULL;
    }
    if (token_is(p->at, "recursive")) {
        n->flag = 1;
        p->at++;
    }
    p->loops++;
    bool ok = parse_body_until(p, ends, t, &n->d);
    p->loops--;
    if (!ok) return NULL;
    bool otherwise = token_is(p->at++, "else");
    return !otherwise || parse_body(p, "endfor", t, &n->e) ? n : NULL;
}

/* if a: b, elif as an IF in c, else in c */
static struct node *parse_if(struct parser *p) {
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    const struct token *t = p->at++;
    struct node *first = parse_node(p, N_IF, t), *n = first;
    while (n) {
        if (!(n->a = parse_tuple(p, false, false)) || !parse_body_until(p, ends, t, &n->b)) return NULL;
        const struct token *end = p->at++;
        if (token_is(end, "endif")) return first;
        if (token_is(end, "else")) return parse_body(p, "endif", t, &n->c) ? first : NULL;
        n->flag = 1; /* c is one elif: no scope or depth of its own */
        n = n->c = parse_node(p, N_IF, end);
    }
    return NULL;
}

static struct node *parse_set(struct parser *p) {
    const struct token *t = p->at++;
    struct node *target = parse_target(p, true);
    if (!target) return NULL;
    bool block = p->at->type != T_ASSIGN;
    struct node *n = parse_node(p, block ? N_SET_BLOCK : N_SET, t);
    if (!n) return NULL;
    n->a = target;
    if (!block) {
        p->at++;
        return (n->b = parse_tuple(p, true, false)) ? n : NULL;
    }
    if (p->at->type == T_PIPE && !(n->b = parse_filter(p, NULL, false))) return NULL;
    return parse_body(p, "endset", t, &n->c) ? n : NULL;
}

static bool parse_parameters(struct parser *p, struct node *macro) {
    struct node **last = &macro->a;
    bool defaults = false;
    if (!parse_expect(p, T_LPAREN)) return false;
    while (p->at->type != T_RPAREN) {
        if (macro->a && !parse_expect(p, T_COMMA)) return false;
        const struct token *t = p->at;
        struct node *param = parse_node(p, N_NAME, t);
        if (!param || !parse_expect(p, T_NAME) || !(param->value = parse_name_value(p, t->text))) return false;
        if (token_is(t, "caller")) macro->flag |= MACRO_EXPLICIT_CALLER;
        if (p->at->type == T_ASSIGN) {
            p->at++;
            defaults = true;
            if (!(param->a = parse_expression(p, true))) return false;
        } else if (defaults) {
            return (void)parse_fail(p, t, "a parameter without a default follows one with a default"), false;
        }
        *last = param;
        last = &param->next;
    }
    p->at++;
    return true;
}

/* The body of a macro, a call block or the like: `caller`, `kwargs` and `varargs` in it are its own. */
static bool parse_macro_body(struct parser *p, struct node *macro, const char *end, const struct token *opened) {
    unsigned loops = p->loops;
    uint8_t outer = p->special;
    p->special = 0;
    p->loops = 0;
    bool ok = parse_body(p, end, opened, &macro->b);
    macro->flag |= p->special;
    p->special |= outer;
    p->loops = loops;
    return ok;
}

static struct node *parse_macro(struct parser *p) {
    const struct token *t = p->at++, *name = p->at;
    struct node *n = parse_node(p, N_MACRO, t);
    if (!n || !parse_expect(p, T_NAME) || !(n->value = parse_name_value(p, name->text)) || !parse_parameters(p, n)) return NULL;
    return parse_macro_body(p, n, "endmacro", t) ? n : NULL;
}

static struct node *parse_call_block(struct parser *p) {
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_CALL_BLOCK, t), *macro = n ? parse_node(p, N_MACRO, t) : NULL;
    if (!macro || (p->at->type == T_LPAREN && !parse_parameters(p, macro))) return NULL;
    const struct token *call = p->at;
    if (!(n->a = parse_expression(p, true))) return NULL;
    if (n->a->kind != N_CALL) return parse_fail(p, call, "expected a call");
    n->b = macro;
    return parse_macro_body(p, macro, "endcall", t) ? n : NULL;
}

static struct node *parse_filter_block(struct parser *p) {
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_FILTER_BLOCK, t);
    return n && (n->a = parse_filter(p, NULL, true)) && parse_body(p, "endfilter", t, &n->b) ? n : NULL;
}

static struct node *parse_with(struct parser *p) {
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_WITH, t);
    struct node **target = n ? &n->a : NULL, **value = n ? &n->b : NULL;
    while (n && p->at->type != T_BLOCK_END) {
        if (n->a && !parse_expect(p, T_COMMA)) return NULL;
        if (!(*target = parse_target(p, false)) || !parse_expect(p, T_ASSIGN) || !(*value = parse_expression(p, true))) return NULL;
        target = &(*target)->next;
        value = &(*value)->next;
    }
    return n && parse_body(p, "endwith", t, &n->c) ? n : NULL;
}

/* {% print a, b %}: as many N_PRINT nodes, linked */
static struct node *parse_print(struct parser *p) {
    const struct token *t = p->at++;
    struct node *first = NULL, **last = &first;
    while (p->at->type != T_BLOCK_END) {
        if (first && !parse_expect(p, T_COMMA)) return NULL;
        struct node *e = parse_expression(p, true), *n = e ? parse_node(p, N_PRINT, t) : NULL;
        if (!n) return NULL;
        n->a = e;
        *last = n;
        last = &n->next;
    }
    return first ? first : parse_node(p, N_SCOPE, t);
}

static struct node *parse_generation(struct parser *p) {
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_GENERATION, t), *inner = n ? parse_node(p, N_MACRO, t) : NULL;
    if (!inner || !parse_macro_body(p, inner, "endgeneration", t)) return NULL;
    n->a = inner->b;
    return n;
}

/* A block stands where it is defined: without inheritance there is nothing else it could mean. It sees the top level. */
static struct node *parse_block(struct parser *p) {
    const struct token *t = p->at++, *name = p->at;
    struct node *n = parse_node(p, N_BLOCK, t), *inner = n ? parse_node(p, N_MACRO, t) : NULL;
    if (!inner || !parse_expect(p, T_NAME)) return NULL;
    n->flag = token_is(p->at, "scoped");
    if (n->flag) p->at++;
    if (token_is(p->at, "required")) p->at++;
    if (!parse_macro_body(p, inner, "endblock", t)) return NULL;
    n->a = inner->b;
    if (p->at->type == T_NAME && slice_eq(p->at->text, name->text)) p->at++;
    return n;
}

static struct node *parse_autoescape(struct parser *p) {
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_SCOPE, t), *test = parse_expression(p, true);
    if (!n || !test) return NULL;
    if (test->kind != N_CONST || truth(test->value)) return parse_fail(p, t, "only {%% autoescape false %%} is supported");
    return parse_body(p, "endautoescape", t, &n->a) ? n : NULL;
}

static struct node *parse_jump(struct parser *p) {
    const struct token *t = p->at++;
    if (!p->loops) return parse_fail(p, t, "'%s' outside of a loop", token_is(t, "break") ? "break" : "continue");
    return parse_node(p, token_is(t, "break") ? N_BREAK : N_CONTINUE, t);
}

/* include, import, from, extends: there are no other templates. It is an error only where it is reached. */
static struct node *parse_refused(struct parser *p) {
    const struct token *t = p->at++;
    struct node *n = parse_node(p, N_REFUSED, t);
    if (!n || !(n->value = parse_name_value(p, t->text))) return NULL;
    while (p->at->type != T_BLOCK_END && p->at->type != T_END) p->at++;
    return n;
}

static struct node *parse_statement(struct parser *p) {
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *p);
    } table[] = {
        {"for", parse_for}, {"if", parse_if}, {"set", parse_set}, {"macro", parse_macro}, {"call", parse_call_block},
        {"filter", parse_filter_block}, {"with", parse_with}, {"print", parse_print}, {"generation", parse_generation},
        {"block", parse_block}, {"autoescape", parse_autoescape}, {"break", parse_jump}, {"continue", parse_jump},
        {"include", parse_refused}, {"import", parse_refused}, {"from", parse_refused}, {"extends", parse_refused},
    };
    const struct token *t = p->at;
    if (t->type != T_NAME) return parse_fail(p, t, "expected the name of a tag, found %s", token_describe(t->type));
    for (size_t i = 0; i < TABLE_SIZE(table); i++)
        if (token_is(t, table[i].name)) return table[i].parse(p);
    char name[80];
    return parse_fail(p, t, "unknown tag '%s'", err_quote(name, sizeof name, t->text.p, t->text.n));
}

/* Line ends become \n and one at the very end is dropped. */
static bool normalise(struct arena *a, struct slice source, struct slice *out) {
    char *p = arena_alloc(a, source.n + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < source.n; i++) {
        p[n++] = source.p[i] == '\r' ? '\n' : source.p[i];
        if (source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n') i++;
    }
    if (n && p[n - 1] == '\n') n--;
    *out = (struct slice){p, n};
    return p != NULL;
}

int template_parse(struct template **out, struct slice source, struct err *e) {
    struct err local = {0};
    if (!e) e = &local;
    *out = NULL;
    if (source.n > TEMPLATE_SOURCE_MAX)
        return err_set(e, ERR_TEMPLATE, "template: %zu bytes are more than the %d that a template may have", source.n, TEMPLATE_SOURCE_MAX);
    if (!u8_valid(source.p, source.n)) return err_set(e, ERR_TEMPLATE, "template: not valid UTF-8");
    struct template *t = mem_calloc(1, sizeof *t);
    struct slice text;
    if (!t || !normalise(&t->mem, source, &text)) {
        template_free(t);
        return err_nomem(e, "a template", source.n);
    }
    struct token *tokens;
    size_t count;
    struct val_names names = {0};
    struct parser p = {.mem = &t->mem, .err = e, .names = &names};
    int rc = tmpl_lex(&t->mem, text, &tokens, &count, e);
    p.at = tokens;
    if (!rc && !(t->caller = parse_name_value(&p, SLICE("caller")))) rc = p.code;
    if (!rc && !(t->kwargs = parse_name_value(&p, SLICE("kwargs")))) rc = p.code;
    if (!rc && !(t->varargs = parse_name_value(&p, SLICE("varargs")))) rc = p.code;
    if (!rc && !(t->loop = parse_name_value(&p, SLICE("loop")))) rc = p.code;
    if (!rc && !parse_nodes(&p, NULL, NULL, &t->body)) rc = p.code;
    strmap_free(&names.map);
    mem_free(names.at);
    if (rc) template_free(t);
    else *out = t;
    return rc;
}

void template_free(struct template *t) {
    if (!t) return;
    arena_free(&t->mem);
    mem_free(t);
}
