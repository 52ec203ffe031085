/* openai_responses_kept.c: GET, DELETE and POST of /v1/responses/ID...: what clients ask of responses that are kept. What is another client's is not there. */
#include <stdio.h>
#include <string.h>

#include "serve/openai_responses.h"

enum { LIST_DEFAULT = 20, LIST_MAX = 100 };

/* ---- paths ---- */

/* The id in the path, which goes on with `rest` ("": with nothing). */
static bool split(struct http_request *r, const char *rest, struct slice *id) {
    const struct slice path = http_param(r);
    const char *slash = path.n ? memchr(path.p, '/', path.n) : NULL;
    *id = (struct slice){path.p, slash ? (size_t)(slash - path.p) : path.n};
    return slash ? slice_is((struct slice){slash, path.n - id->n}, rest) : !*rest;
}

static void no_response(struct http_request *r) { (void)http_error(r, 404, 0, "no response of this id is kept"); }
static void no_path(struct http_request *r) { (void)http_error(r, 404, 0, "there is nothing at this path"); }

/* ---- one response ---- */

struct found {
    json_t *object, *input;
};

static int take(void *ctx, const struct response_row *row, struct err *e) {
    struct found *f = ctx;
    f->object = json_loadb(row->object.p, row->object.n, JSON_ALLOW_NUL, NULL);
    f->input = json_loadb(row->input.p, row->input.n, JSON_ALLOW_NUL, NULL);
    return f->object && f->input ? 0 : err_nomem(e, "a response", row->object.n + row->input.n);
}

static void forget(struct found *f) {
    json_decref(f->object);
    json_decref(f->input);
}

static const char *text_in(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* One that is neither over nor being computed was cut short by the end of a server. false: out of memory. */
static bool mend(struct service *s, const char *client, struct slice id, json_t *object) {
    if (strcmp(text_in(object, "status"), "queued") != 0 || kept_is_live(service_kept(s), client, id)) return true;
    json_t *error = json_pack("{s:s, s:s}", "code", "server_error", "message", "the server ended before the response was complete");
    return error && json_object_set_new(object, "error", error) == 0 && json_object_set_new(object, "status", json_string("failed")) == 0;
}

/* Reads it; otherwise replies and says false. */
static bool find(struct service *s, struct http_request *r, struct slice id, struct found *f) {
    struct err e = {0};
    const bool live = kept_is_live(service_kept(s), http_client(r), id); /* before: one that is over by now is read as such */
    int code = responses_read(kept_store(service_kept(s)), slice_of(http_client(r)), id, take, f, &e);
    if (code == 0 && !live && !mend(s, http_client(r), id, f->object)) code = err_nomem(&e, "a response", 1);
    if (code == 0) return true;
    forget(f);
    if (code == ERR_NOT_FOUND) no_response(r);
    else (void)http_error(r, status_of(code), 0, "%s", e.msg);
    return false;
}

static void reply_with(struct http_request *r, const json_t *object) {
    struct jw j = {.b = {.limit = (size_t)1 << 30}};
    j.failed = body_dump(object, &j.b, NULL) != 0;
    answer_json(r, &j);
}

/* ---- its input ---- */

/* A number of the query. false: the client was told that it is none. */
static bool read_limit(struct http_request *r, size_t *limit) {
    struct slice text;
    size_t v = 0;
    if (!http_query(r, "limit", &text)) return true;
    for (size_t i = 0; i < text.n; i++) v = text.p[i] >= '0' && text.p[i] <= '9' && v <= LIST_MAX ? v * 10 + (size_t)(text.p[i] - '0') : LIST_MAX + 1;
    *limit = v;
    if (v >= 1 && v <= LIST_MAX) return true;
    (void)http_error(r, 400, 0, "limit: not a whole number from 1 to %d", LIST_MAX);
    return false;
}

static bool read_order(struct http_request *r, bool *up) {
    struct slice text = SLICE("desc");
    (void)http_query(r, "order", &text);
    *up = slice_is(text, "asc");
    if (*up || slice_is(text, "desc")) return true;
    (void)http_error(r, 400, 0, "order: neither \"asc\" nor \"desc\"");
    return false;
}

/* Items of a list, in either direction. */
static const json_t *item_at(const json_t *list, size_t i, bool up) { return json_array_get(list, up ? i : json_array_size(list) - 1 - i); }

static void list_items(struct http_request *r, const json_t *list) {
    struct jw j = {.b = {.limit = (size_t)1 << 30}};
    struct slice after = {0};
    const size_t n = json_array_size(list);
    size_t limit = LIST_DEFAULT, first = 0, i;
    bool up;
    if (!read_limit(r, &limit) || !read_order(r, &up)) return;
    if (http_query(r, "after", &after)) {
        while (first < n && !slice_is(after, text_in(item_at(list, first, up), "id"))) first++;
        if (first++ == n) {
            (void)http_error(r, 400, 0, "after: the input has no item of this id");
            return;
        }
    }
    jw_open(&j, NULL, '{');
    jw_str(&j, "object", "list");
    jw_open(&j, "data", '[');
    for (i = first; i < n && i - first < limit; i++) {
        struct buf text = {.limit = 256 << 20};
        j.failed |= body_dump(item_at(list, i, up), &text, NULL) != 0;
        jw_raw(&j, NULL, (struct slice){text.data ? text.data : "", text.len});
        buf_free(&text);
    }
    jw_close(&j, ']');
    jw_str(&j, "first_id", i > first ? text_in(item_at(list, first, up), "id") : "");
    jw_str(&j, "last_id", i > first ? text_in(item_at(list, i - 1, up), "id") : "");
    jw_bool(&j, "has_more", i < n);
    jw_close(&j, '}');
    answer_json(r, &j);
}

void turn_get(struct service *s, struct http_request *r) {
    struct found f = {0};
    struct slice id, streaming = {0};
    const bool items = split(r, "/input_items", &id);
    if (!items && !split(r, "", &id)) no_path(r);
    else if (http_query(r, "stream", &streaming) && slice_is(streaming, "true")) (void)http_error(r, 400, 0, "stream: a response that was begun cannot be streamed");
    else if (find(s, r, id, &f)) {
        if (items) list_items(r, f.input);
        else reply_with(r, f.object);
        forget(&f);
    }
}

/* ---- removing and cancelling ---- */

void turn_delete(struct service *s, struct http_request *r) {
    struct slice id;
    struct err e = {0};
    struct jw j = {.b = {.limit = 1 << 16}};
    if (!split(r, "", &id)) {
        no_path(r);
        return;
    }
    (void)kept_cancel(service_kept(s), http_client(r), id);
    service_step_aside(s);
    const int code = responses_remove(kept_store(service_kept(s)), slice_of(http_client(r)), id, &e);
    service_step_back(s);
    if (code == ERR_NOT_FOUND) no_response(r);
    else if (code) (void)http_error(r, status_of(code), 0, "%s", e.msg);
    if (code) return;
    jw_open(&j, NULL, '{');
    jw_text(&j, "id", id);
    jw_str(&j, "object", "response");
    jw_bool(&j, "deleted", true);
    jw_close(&j, '}');
    answer_json(r, &j);
}

void turn_post(struct service *s, struct http_request *r) {
    struct found f = {0};
    struct slice id;
    if (!split(r, "/cancel", &id)) {
        no_path(r);
        return;
    }
    (void)kept_cancel(service_kept(s), http_client(r), id);
    if (!find(s, r, id, &f)) return;
    if (json_is_true(json_object_get(f.object, "background"))) reply_with(r, f.object);
    else (void)http_error(r, 400, 0, "only a response that was asked for with background: true can be cancelled");
    forget(&f);
}
