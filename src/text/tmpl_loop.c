/* tmpl_loop.c: `for`, and the object called `loop` inside it.
 *
 * Items are fetched one ahead only when loop.last or loop.nextitem asks, and all at once only when loop.length does. All turns
 * of a loop share one scope, emptied before each. */
#include "text/tmpl.h"

/* The next item that passes the loop's test: 1, 0 at the end, -1 failed. */
static int fetch(struct ev *ev, struct loop *loop, val *item) {
    const struct node *n = loop->node;
    if (loop->after) {
        *item = loop->after;
        loop->after = NULL;
        return 1;
    }
    while (!loop->ended) {
        int rc = iter_next(ev, loop->from, item);
        if (rc < 0) return rc;
        if (rc == 0) break;
        if (!n->c || loop->tested) return 1;
        struct scope *saved = ev->scope;
        ev->scope = loop->test;
        loop->test->n = 0;
        val yes = assign(ev, n->a, *item) ? eval(ev, n->c) : NULL;
        ev->scope = saved;
        if (!yes) return -1;
        if (truth(yes)) return 1;
    }
    loop->ended = true;
    return 0;
}

/* Sets loop->after if there is another item. */
static bool peek(struct ev *ev, struct loop *loop) {
    val item;
    int rc = loop->after ? 0 : fetch(ev, loop, &item);
    if (rc > 0) loop->after = item;
    return rc >= 0;
}

static bool know_length(struct ev *ev, struct loop *loop) {
    if (loop->length >= 0) return true;
    if (!loop->node->c && loop->source->kind == V_LIST) {
        loop->length = (int64_t)loop->source->l.n;
        return true;
    }
    struct value *rest = new_list(ev, LIST_LIST, 0);
    val item;
    int rc = rest ? 1 : -1;
    while (rc > 0 && (rc = fetch(ev, loop, &item)) > 0)
        if (!push(ev, rest, item)) return false;
    if (rc < 0) return false;
    loop->length = loop->index0 + 1 + (int64_t)rest->l.n;
    /* what was fetched is still to come, and has passed the test */
    struct iter *it = iter_new(ev, rest);
    if (!it) return false;
    loop->from = it;
    loop->ended = false;
    loop->tested = true;
    return true;
}

static bool run_turns(struct ev *ev, struct loop *loop, bool *completed) {
    const struct node *n = loop->node;
    struct value *self = take(ev, 1, sizeof *self);
    val item;
    int rc = self ? 1 : -1;
    if (self) {
        self->kind = V_LOOP;
        self->loop = loop;
    }
    while (rc > 0 && (rc = fetch(ev, loop, &item)) > 0) {
        loop->index0++;
        loop->before = loop->current;
        loop->current = item;
        loop->body->n = 0;
        ev->scope = loop->body;
        bool ok = assign(ev, n->a, item) && scope_set(ev, loop->body, ev->t->loop, self) && exec_body(ev, n->d);
        ev->scope = loop->scope;
        if (!ok) return false;
        enum flow flow = ev->flow;
        ev->flow = FLOW_NEXT;
        if (flow == FLOW_BREAK) break;
        if (flow == FLOW_NEXT) *completed = true; /* as in Jinja2: only a turn that reaches its end prevents `else` */
    }
    return rc >= 0;
}

static bool run(struct ev *ev, const struct node *n, struct scope *scope, val source, int64_t depth0) {
    struct scope *saved = ev->scope;
    struct loop *loop = take(ev, 1, sizeof *loop);
    bool completed = false;
    if (!loop) return false;
    *loop = (struct loop){.node = n, .scope = scope, .source = source, .index0 = -1, .length = -1, .depth0 = depth0};
    if (!(loop->from = iter_new(ev, source)) || !(loop->body = scope_new(ev, scope)) || !(loop->test = scope_new(ev, scope))) return false;
    ev->scope = scope;
    bool ok = run_turns(ev, loop, &completed);
    if (ok && !completed && n->e) ok = (ev->scope = scope_new(ev, scope)) && exec_body(ev, n->e);
    ev->scope = saved;
    return ok;
}

bool exec_for(struct ev *ev, const struct node *n) {
    val source = eval(ev, n->b);
    ev->at = n;
    return source && run(ev, n, ev->scope, source, 0);
}

val loop_call(struct ev *ev, struct loop *loop, const struct args *args) {
    if (!loop->node->flag) return fail(ev, "The loop must have the 'recursive' marker to be called recursively.");
    if (args->n != 1 || args->n_named) return fail(ev, "loop() takes one argument");
    struct sink made = {0}, *out = ev->out;
    ev->out = &made;
    bool ok = deeper(ev);
    if (ok) {
        ok = run(ev, loop->node, loop->scope, args->at[0], loop->depth0 + 1);
        ev->depth--;
    }
    ev->out = out;
    return ok ? sink_done(ev, &made, STRING_PLAIN) : NULL;
}

/* A count is the template's own doing, whatever it counts. */
static val counted(struct ev *ev, int64_t i) {
    struct value *v = take(ev, 1, sizeof *v);
    if (!v) return NULL;
    v->kind = V_INT;
    v->mark = MARK_TEMPLATE;
    v->i = i;
    return v;
}

val loop_attr(struct ev *ev, struct loop *loop, val name) {
    if (text_is(name, "index")) return counted(ev, loop->index0 + 1);
    if (text_is(name, "index0")) return counted(ev, loop->index0);
    if (text_is(name, "first")) return new_bool(ev, loop->index0 == 0);
    if (text_is(name, "depth")) return counted(ev, loop->depth0 + 1);
    if (text_is(name, "depth0")) return counted(ev, loop->depth0);
    if (text_is(name, "last")) return peek(ev, loop) ? new_bool(ev, !loop->after) : NULL;
    if (text_is(name, "nextitem")) {
        if (!peek(ev, loop)) return NULL;
        return loop->after ? loop->after : new_undefined(ev, NULL, NULL, "there is no next item");
    }
    if (text_is(name, "previtem")) return loop->before ? loop->before : new_undefined(ev, NULL, NULL, "there is no previous item");
    bool length = text_is(name, "length"), rev = text_is(name, "revindex"), rev0 = text_is(name, "revindex0");
    if (length || rev || rev0) {
        if (!know_length(ev, loop)) return NULL;
        return counted(ev, length ? loop->length : loop->length - loop->index0 - (rev0 ? 1 : 0));
    }
    return NULL; /* perhaps a method */
}
