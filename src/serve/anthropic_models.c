/* anthropic_models.c: GET /v1/models as the Anthropic API has it, for clients that send anthropic-version. */
#include <stdlib.h>
#include <string.h>

#include "serve/anthropic_internal.h"

enum { PAGE = 20, PAGE_MOST = 1000 }; /* models of a list, as that API has it */

static void model_members(struct jw *j, const struct served *s) {
    jw_open(j, NULL, '{');
    jw_str(j, "type", "model");
    jw_str(j, "id", s->name);
    jw_str(j, "display_name", s->name);
    jw_str(j, "created_at", "1970-01-01T00:00:00Z"); /* in that API: not known */
    jw_str(j, "lifecycle", "active");
    jw_close(j, '}');
}

/* ---- the list: those behind after_id, or those right before before_id, at most `limit` of them ---- */

struct page {
    struct slice after, before;
    long limit;
    struct jw j;
    const char *first, *last; /* names live as long as the models are known */
    long at, from, n;         /* at: of the model looked at; from: the first that belongs to the page */
    bool more, found;         /* found: the model that after or before names */
};

/* Where the page begins. */
static void locate(void *ctx, const struct served *s) {
    struct page *p = ctx;
    if (p->after.p && slice_is(p->after, s->name)) p->from = p->at + 1, p->found = true;
    if (p->before.p && slice_is(p->before, s->name)) {
        p->found = true;
        p->from = p->at > p->limit ? p->at - p->limit : 0;
        p->more = p->from > 0;
        p->limit = p->at - p->from;
    }
    p->at++;
}

static void add(void *ctx, const struct served *s) {
    struct page *p = ctx;
    if (p->at++ < p->from) return;
    if (p->n == p->limit) {
        p->more |= !p->before.p;
        return;
    }
    if (!p->n++) p->first = s->name;
    p->last = s->name;
    model_members(&p->j, s);
}

static void name_member(struct jw *j, const char *key, const char *name) {
    if (name) jw_str(j, key, name);
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
    models_each(service_models(s), locate, &p);
    if ((p.after.p || p.before.p) && !p.found) {
        (void)http_error(r, 400, 0, "%s: there is no model of this name", p.after.p ? "after_id" : "before_id");
        return;
    }
    p.at = 0;
    jw_open(&p.j, NULL, '{');
    jw_open(&p.j, "data", '[');
    models_each(service_models(s), add, &p);
    jw_close(&p.j, ']');
    name_member(&p.j, "first_id", p.first);
    name_member(&p.j, "last_id", p.last);
    jw_bool(&p.j, "has_more", p.more);
    jw_close(&p.j, '}');
    answer_json(r, &p.j);
}

/* ---- one ---- */

struct wanted {
    struct slice name;
    struct jw j;
    bool found;
};

static void the_model(void *ctx, const struct served *s) {
    struct wanted *w = ctx;
    if (w->found || !slice_is(w->name, s->name)) return;
    w->found = true;
    model_members(&w->j, s);
}

void anthropic_show_model(struct service *s, struct http_request *r) {
    struct wanted w = {.name = http_param(r), .j = {.b = {.limit = 1 << 20}}};
    models_each(service_models(s), the_model, &w);
    if (!w.found) {
        w.name = models_alias(service_models(s), w.name);
        models_each(service_models(s), the_model, &w);
    }
    if (w.found) answer_json(r, &w.j);
    else (void)http_error(r, 404, 0, "there is no model of this name; GET /v1/models lists those that there are");
}
