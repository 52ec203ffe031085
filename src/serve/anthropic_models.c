/* anthropic_models.c: GET /v1/models as the Anthropic API has it, for clients that send anthropic-version. Adapters are models there. */
#define _GNU_SOURCE /* gmtime_r */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/anthropic_internal.h"

enum { PAGE = 20, PAGE_MOST = 1000 }; /* models of a list, as that API has it */

/* A model or an adapter, while the list is looked at. */
struct listed {
    const char *name;
    int64_t created; /* seconds since 1970 */
    int context;     /* tokens; 0: not open */
};

static void write_entry(struct jw *j, const struct listed *m) {
    char when[32] = "1970-01-01T00:00:00Z";
    const time_t seconds = (time_t)m->created;
    struct tm t;
    if (gmtime_r(&seconds, &t)) (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &t);
    jw_open(j, NULL, '{');
    jw_str(j, "type", "model");
    jw_str(j, "id", m->name);
    jw_str(j, "display_name", m->name);
    jw_str(j, "created_at", when);
    jw_str(j, "lifecycle", "active");
    if (m->context) jw_integer(j, "max_input_tokens", m->context);
    if (m->context) jw_integer(j, "max_tokens", m->context);
    jw_close(j, '}');
}

/* ---- all that there is ---- */

struct visit {
    void (*fn)(void *ctx, const struct listed *m);
    void *ctx;
    const char *last; /* adapter: one that is open on several models is listed once */
};

static int context_of(const struct served *s) { return s->life.state == SERVED_OPEN && s->engine ? engine_context(s->engine) : 0; }

static void visit_model(void *ctx, const struct served *s) {
    const struct visit *v = ctx;
    v->fn(v->ctx, &(struct listed){s->name, s->created, context_of(s)});
}

static void visit_adapter(void *ctx, const struct adapter_view *a) {
    struct visit *v = ctx;
    if (v->last == a->name) return;
    v->last = a->name;
    v->fn(v->ctx, &(struct listed){a->name, a->model ? a->model->created : 0, a->model && a->open ? context_of(a->model) : 0});
}

static void each(struct service *s, void (*fn)(void *ctx, const struct listed *m), void *ctx) {
    struct visit v = {.fn = fn, .ctx = ctx};
    models_each(service_models(s), visit_model, &v);
    models_each_adapter(service_models(s), visit_adapter, &v);
}

/* ---- the list: those behind after_id, or those right before before_id, at most `limit` of them ---- */

struct page {
    struct slice after, before;
    long limit;
    struct jw j;
    struct buf first, last; /* names */
    long at, from, n;       /* at: of the model looked at; from: the first that belongs to the page */
    bool more, found;       /* found: the model that after or before names */
};

/* Where the page begins. */
static void locate(void *ctx, const struct listed *m) {
    struct page *p = ctx;
    if (p->after.p && slice_is(p->after, m->name)) p->from = p->at + 1, p->found = true;
    if (p->before.p && slice_is(p->before, m->name)) {
        p->found = true;
        p->from = p->at > p->limit ? p->at - p->limit : 0;
        p->more = p->from > 0;
        p->limit = p->at - p->from;
    }
    p->at++;
}

static void keep_name(struct page *p, struct buf *b, const char *name) {
    b->len = 0;
    p->j.failed |= !buf_str(b, name);
}

static void add(void *ctx, const struct listed *m) {
    struct page *p = ctx;
    if (p->at++ < p->from) return;
    if (p->n == p->limit) {
        p->more |= !p->before.p;
        return;
    }
    if (!p->n++) keep_name(p, &p->first, m->name);
    keep_name(p, &p->last, m->name);
    write_entry(&p->j, m);
}

static void name_member(struct jw *j, const char *key, const struct buf *name) {
    if (name->len) jw_text(j, key, (struct slice){name->data, name->len});
    else jw_null(j, key);
}

/* What the query asks for. False: it was refused. */
static bool read_query(struct http_request *r, struct page *p) {
    struct slice limit = {0};
    char *end = NULL;
    (void)http_query(r, "after_id", &p->after);
    (void)http_query(r, "before_id", &p->before);
    if (http_query(r, "limit", &limit)) p->limit = strtol(limit.p, &end, 10); /* NUL-terminated */
    const bool number = !limit.p || (end != limit.p && !*end && p->limit >= 1 && p->limit <= PAGE_MOST);
    if (!number) (void)http_error(r, 400, 0, "limit: a number from 1 to %d is wanted", PAGE_MOST);
    else if (p->after.p && p->before.p) (void)http_error(r, 400, 0, "before_id: it cannot stand beside after_id");
    return number && !(p->after.p && p->before.p);
}

void anthropic_list_models(struct service *s, struct http_request *r) {
    struct page p = {.limit = PAGE, .j = {.b = {.limit = 64 << 20}}};
    if (!read_query(r, &p)) return;
    each(s, locate, &p);
    if ((p.after.p || p.before.p) && !p.found) {
        (void)http_error(r, 400, 0, "%s: there is no model of this name", p.after.p ? "after_id" : "before_id");
        return;
    }
    p.at = 0;
    jw_open(&p.j, NULL, '{');
    jw_open(&p.j, "data", '[');
    each(s, add, &p);
    jw_close(&p.j, ']');
    name_member(&p.j, "first_id", &p.first);
    name_member(&p.j, "last_id", &p.last);
    jw_bool(&p.j, "has_more", p.more);
    jw_close(&p.j, '}');
    buf_free(&p.first);
    buf_free(&p.last);
    answer_json(r, &p.j);
}

/* ---- one ---- */

struct wanted {
    struct slice name; /* empty: the first */
    struct jw j;
    bool found;
};

static void the_model(void *ctx, const struct listed *m) {
    struct wanted *w = ctx;
    if (w->found || (w->name.n && !slice_is(w->name, m->name))) return;
    w->found = true;
    write_entry(&w->j, m);
}

void anthropic_show_model(struct service *s, struct http_request *r) {
    struct wanted w = {.name = http_param(r), .j = {.b = {.limit = 1 << 20}}};
    each(s, the_model, &w);
    if (!w.found && models_alias(service_models(s), w.name, &w.name) && w.name.p) each(s, the_model, &w);
    if (w.found) answer_json(r, &w.j);
    else (void)http_error(r, 404, 0, "there is no model of this name; GET /v1/models lists those that there are");
}
