/* tmpl_exec.c: statements, and template_render.
 *
 * One rendering has one evaluator and one arena, whose limit is the rendering's memory limit; only the result is copied out.
 * Output goes to ev->out: the rendering itself, or the text that a macro, a set block or a filter block is making. */
#include <string.h>

#include "text/tmpl.h"

static const uint64_t DEFAULT_STEPS = 20000000;
static const size_t DEFAULT_MEMORY = (size_t)512 << 20;

bool assign(struct ev *ev, const struct node *target, val value) {
    if (target->kind == N_NAME) return scope_set(ev, ev->scope, target->value, value);
    if (target->kind == N_NSREF) {
        val ns = eval(ev, target->a);
        if (!ns) return false;
        ev->at = target;
        if (ns->kind != V_NAMESPACE) return (void)fail(ev, "cannot assign attribute on non-namespace object"), false;
        if (target->value->s.p[0] == '_') return (void)fail(ev, "attributes of a namespace cannot begin with an underscore"), false;
        return put(ev, ns->names, target->value, value);
    }
    struct list items;
    size_t expected = 0;
    for (const struct node *n = target->a; n; n = n->next) expected++;
    ev->at = target;
    if (!is_iterable(value)) return (void)fail(ev, "cannot unpack non-iterable %s object", type_name(value)), false;
    if (!to_list(ev, value, &items)) return false;
    if (items.n < expected) return (void)fail(ev, "not enough values to unpack (expected %zu, got %zu)", expected, items.n), false;
    if (items.n > expected) return (void)fail(ev, "too many values to unpack (expected %zu)", expected), false;
    size_t i = 0;
    for (const struct node *n = target->a; n; n = n->next)
        if (!assign(ev, n, items.at[i++])) return false;
    return true;
}

bool capture(struct ev *ev, const struct node *body, val *text) {
    struct sink made = {0}, *out = ev->out;
    ev->out = &made;
    bool ok = exec_body(ev, body);
    ev->out = out;
    return ok && (*text = sink_done(ev, &made, STRING_PLAIN)) != NULL;
}

/* A body whose assignments end with it. */
static bool exec_scoped(struct ev *ev, const struct node *body, struct scope *parent) {
    struct scope *saved = ev->scope;
    if (!(ev->scope = scope_new(ev, parent))) {
        ev->scope = saved;
        return false;
    }
    bool ok = exec_body(ev, body);
    ev->scope = saved;
    return ok;
}

static bool capture_scoped(struct ev *ev, const struct node *body, val *text) {
    struct sink made = {0}, *out = ev->out;
    ev->out = &made;
    bool ok = exec_scoped(ev, body, ev->scope);
    ev->out = out;
    return ok && (*text = sink_done(ev, &made, STRING_PLAIN)) != NULL;
}

static bool exec_if(struct ev *ev, const struct node *n) {
    for (;;) {
        val test = eval(ev, n->a);
        if (!test) return false;
        if (truth(test)) return exec_body(ev, n->b);
        if (!n->flag) return exec_body(ev, n->c);
        n = n->c; /* elif */
    }
}

static bool exec_set_block(struct ev *ev, const struct node *n) {
    val text;
    if (!capture_scoped(ev, n->c, &text)) return false;
    if (ev->flow != FLOW_NEXT) return true;
    if (n->b) {
        ev->captured = text;
        if (!(text = eval(ev, n->b))) return false;
    }
    return assign(ev, n->a, text);
}

static bool exec_filter_block(struct ev *ev, const struct node *n) {
    val text;
    if (!capture_scoped(ev, n->b, &text)) return false;
    if (ev->flow != FLOW_NEXT) return true;
    ev->captured = text;
    return (text = eval(ev, n->a)) && sink_str(ev, ev->out, text);
}

static val macro_value(struct ev *ev, const struct node *n) {
    struct value *v = take(ev, 1, sizeof *v);
    struct macro *macro = v ? take(ev, 1, sizeof *macro) : NULL;
    if (!macro) return NULL;
    macro->node = n;
    macro->scope = ev->scope;
    v->kind = V_MACRO;
    v->macro = macro;
    return v;
}

static bool exec_call_block(struct ev *ev, const struct node *n) {
    val caller = macro_value(ev, n->b), callee = caller ? eval(ev, n->a->a) : NULL;
    struct args args;
    if (!callee || !eval_args(ev, n->a->call, &args)) return false;
    struct arg *named = take(ev, args.n_named + 1, sizeof *named);
    if (!named) return false;
    if (args.n_named) memcpy(named, args.named, args.n_named * sizeof *named);
    named[args.n_named++] = (struct arg){ev->t->caller, caller};
    args.named = named;
    ev->at = n;
    val result = call_value(ev, callee, &args);
    return result && sink_str(ev, ev->out, result);
}

static bool exec_with(struct ev *ev, const struct node *n) {
    struct scope *outer = ev->scope, *inner = scope_new(ev, outer);
    bool ok = inner != NULL;
    for (const struct node *target = n->a, *value = n->b; ok && target; target = target->next, value = value->next) {
        val v = eval(ev, value);
        ev->scope = inner;
        ok = v && assign(ev, target, v);
        ev->scope = outer;
    }
    if (!ok) return false;
    ev->scope = inner;
    ok = exec_body(ev, n->c);
    ev->scope = outer;
    return ok;
}

static bool exec_generation(struct ev *ev, const struct node *n) {
    size_t from = sink_length(ev->out);
    if (!exec_scoped(ev, n->a, ev->scope)) return false;
    for (size_t i = from; i < sink_length(ev->out); i++) ev->out->block->mark[i] |= MARK_GENERATED;
    return true;
}

static bool exec_print(struct ev *ev, const struct node *n) {
    val v = eval(ev, n->a);
    return v && sink_str(ev, ev->out, v);
}

static bool exec_set(struct ev *ev, const struct node *n) {
    val v = eval(ev, n->b);
    return v && assign(ev, n->a, v);
}

static bool exec(struct ev *ev, const struct node *n) {
    ev->at = n;
    switch ((enum node_kind)n->kind) {
    case N_TEXT: return sink_part(ev, ev->out, n->value, 0, n->value->s.n);
    case N_PRINT: return exec_print(ev, n);
    case N_IF: return exec_if(ev, n);
    case N_FOR: return exec_for(ev, n);
    case N_SET: return exec_set(ev, n);
    case N_SET_BLOCK: return exec_set_block(ev, n);
    case N_MACRO: return scope_set(ev, ev->scope, n->value, macro_value(ev, n));
    case N_CALL_BLOCK: return exec_call_block(ev, n);
    case N_FILTER_BLOCK: return exec_filter_block(ev, n);
    case N_WITH: return exec_with(ev, n);
    case N_SCOPE: return exec_scoped(ev, n->a, ev->scope);
    case N_BLOCK: return exec_scoped(ev, n->a, n->flag ? ev->scope : ev->root);
    case N_GENERATION: return exec_generation(ev, n);
    case N_BREAK: ev->flow = FLOW_BREAK; return true;
    case N_CONTINUE: ev->flow = FLOW_CONTINUE; return true;
    default: return (void)fail(ev, "'%s' is not supported: there are no other templates", n->value->s.p), false;
    }
}

bool exec_body(struct ev *ev, const struct node *body) {
    if (!deeper(ev)) return false;
    bool ok = true;
    for (const struct node *n = body; ok && n && ev->flow == FLOW_NEXT; n = n->next) ok = spend(ev, 1) && exec(ev, n);
    ev->depth--;
    return ok;
}

/* ---- the result ---- */

/* The runs of bytes whose mark has this bit. */
static bool spans_of(const struct text_block *b, uint8_t bit, struct byte_span **spans, size_t *n) {
    size_t count = 0;
    for (size_t i = 0; i < b->used; i++) count += (b->mark[i] & bit) && (i == 0 || !(b->mark[i - 1] & bit));
    if (!count) return true;
    if (!(*spans = mem_calloc(count, sizeof **spans))) return false;
    for (size_t i = 0; i < b->used; i++) {
        if (!(b->mark[i] & bit)) continue;
        size_t end = i;
        while (end < b->used && (b->mark[end] & bit)) end++;
        (*spans)[(*n)++] = (struct byte_span){i, end};
        i = end;
    }
    return true;
}

static int finish(const struct sink *made, struct rendering *out, struct err *e) {
    static char empty[1]; /* never written */
    static const struct text_block nothing = {empty, NULL, 0, 0};
    const struct text_block *b = made->block ? made->block : &nothing;
    out->len = b->used;
    out->text = mem_strndup(b->p, b->used);
    if (out->text && spans_of(b, MARK_TEMPLATE, &out->template_spans, &out->n_template) &&
        spans_of(b, MARK_GENERATED, &out->generation_spans, &out->n_generation))
        return 0;
    rendering_free(out);
    return err_nomem(e, "the text of a rendering", b->used);
}

int template_render(const struct template *t, const struct value *context, const struct render_options *options,
                    struct rendering *out, struct err *e) {
    static const struct render_options defaults = {0};
    struct err local = {0};
    if (!e) e = &local;
    if (!options) options = &defaults;
    *out = (struct rendering){0};
    if (context->kind != V_DICT) return err_set(e, ERR_TEMPLATE, "template: its context must be a dict, not %s", type_name(context));

    struct arena mem = {.limit = options->max_memory ? options->max_memory : DEFAULT_MEMORY};
    struct sink made = {0};
    struct ev ev = {.t = t, .mem = &mem, .err = e, .context = context, .out = &made, .options = options,
                    .steps = options->max_steps ? options->max_steps : DEFAULT_STEPS};
    ev.root = ev.scope = scope_new(&ev, NULL);
    int rc = ev.root && exec_body(&ev, t->body) ? finish(&made, out, e) : ev.code;
    arena_free(&mem);
    return rc;
}

void rendering_free(struct rendering *r) {
    mem_free(r->text);
    mem_free(r->template_spans);
    mem_free(r->generation_spans);
    *r = (struct rendering){0};
}
