/* http_request.c: requests as handlers see them, and who holds them. What is fixed when the handler is called is read without the lock. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/http_internal.h"

/* ---- holding ---- */

static void request_free(struct http_request *r) {
    struct http_server *s = r->server;
    if (r->release) r->release(r->ctx);
    http_drop_body(r);
    buf_free(&r->outbox);
    buf_free(&r->withheld);
    mem_free(r->decoded);
    mem_free(r->text);
    mem_free(r);
    atomic_fetch_sub(&s->live, 1); /* last: the server may be freed when none is left */
}

void request_drop(struct http_request *r) {
    if (atomic_fetch_sub(&r->refs, 1) == 1) request_free(r);
}

void http_ref(struct http_request *r) {
    atomic_fetch_add(&r->refs, 1);
    atomic_fetch_add(&r->holders, 1);
}

void http_unref(struct http_request *r) {
    struct http_server *s = r->server;
    if (atomic_fetch_sub(&r->holders, 1) == 1) { /* nobody is left who could reply */
        http_release(r);
        (void)pthread_mutex_lock(&s->lock);
        if (!r->gone && r->phase != PHASE_DONE) {
            r->abandoned = true;
            request_queue(r);
        }
        (void)pthread_mutex_unlock(&s->lock);
    }
    request_drop(r);
}

void request_queue(struct http_request *r) {
    struct http_server *s = r->server;
    if (r->queued) return;
    r->queued = true;
    r->next = NULL;
    atomic_fetch_add(&r->refs, 1);
    bool first = !s->queue;
    *s->queue_end = r;
    s->queue_end = &r->next;
    if (first && !pthread_equal(pthread_self(), s->loop)) server_wake(s); /* the loop looks by itself before it sleeps */
}

bool http_attach(struct http_request *r, void *ctx, void (*on_close)(void *), void (*release)(void *)) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    assert(!r->ctx && !r->release);
    r->ctx = ctx;
    r->release = release;
    bool here = !r->gone;
    if (here) r->on_close = on_close;
    (void)pthread_mutex_unlock(&s->lock);
    return here;
}

bool http_gone(const struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    bool gone = r->gone || r->end != END_NOT_YET;
    (void)pthread_mutex_unlock(&s->lock);
    return gone;
}

/* ---- reading ---- */

const char *http_dialect_name(const struct http_request *r) { return r->dialect->name; }
const char *http_endpoint(const struct http_request *r) { return r->route ? r->route->path : ""; }
struct slice http_method(const struct http_request *r) { return r->head.method; }
struct slice http_path(const struct http_request *r) { return r->path; }
struct slice http_param(const struct http_request *r) { return r->param; }
struct slice http_header(const struct http_request *r, const char *name) { return http_field_value(&r->head, name); }
struct slice http_body(const struct http_request *r) { return (struct slice){r->body.data, r->body.len}; }
const char *http_client(const struct http_request *r) { return r->client; }
const char *http_address(const struct http_request *r) { return r->address; }
uint64_t http_id(const struct http_request *r) { return r->id; }

const char *http_id_text(const struct http_request *r, char out[HTTP_ID_BYTES]) {
    (void)snprintf(out, HTTP_ID_BYTES, "req_%016llx", (unsigned long long)r->id);
    return out;
}

double http_arrival(const struct http_request *r) { return r->arrival; }
bool http_stopping(const struct http_request *r) { return atomic_load(&r->server->draining); }

bool http_query(const struct http_request *r, const char *name, struct slice *value) {
    const char *at = r->query.p, *end = r->query.n ? at + r->query.n : at;
    while (at < end) { /* NAME NUL VALUE NUL, decoded; neither has a NUL in it */
        size_t n = strlen(at);
        const char *v = at + n + 1;
        size_t n_value = strlen(v);
        if (strcmp(at, name) == 0) {
            *value = (struct slice){v, n_value};
            return true;
        }
        at = v + n_value + 1;
    }
    return false;
}

void http_drop_body(struct http_request *r) {
    atomic_fetch_sub(&r->server->bodies, r->body_counted);
    r->body_counted = 0;
    buf_free(&r->body);
}

/* ---- the log ---- */

void request_log(const struct http_request *r, int status, uint64_t bytes, const char *note) {
    struct metrics *m = r->server->o.metrics;
    double seconds = os_now() - r->arrival;
    char method[32], path[300], value[16];
    (void)snprintf(value, sizeof value, "%d", status);
    metric_add(m, METRIC_HTTP_REQUESTS, value, 1);
    metric_observe(m, METRIC_REQUEST_SECONDS, NULL, seconds);
    /* Not the query, in which somebody may have put a key. */
    err_quote(method, sizeof method, r->head.method.p, r->head.method.n);
    err_quote(path, sizeof path, r->head.path.p, r->head.path.n);
    log_line(r->route && (r->route->flags & HTTP_QUIET) ? LOG_DEBUG : LOG_INFO, "%s %s %s %d %.1f ms %llu bytes%s%s%s%s", r->address, *method ? method : "-", *path ? path : "-",
             status, seconds * 1e3, (unsigned long long)bytes, *r->client ? " client " : "", r->client, note ? ": " : "", note ? note : "");
}
