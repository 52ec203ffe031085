/* http_server.c: the loop: who is let in, what other threads have queued, and the end. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/http_internal.h"

enum { ACCEPTS = 64 /* in a row, before others have their turn */, PAUSE_MS = 200 };
#define NEW_S 1.0

static void set_defaults(struct http_limits *l) {
    if (!l->head_bytes) l->head_bytes = 32 << 10;
    if (!l->body_bytes) l->body_bytes = 64 << 20;
    if (!l->bodies_bytes) l->bodies_bytes = 1 << 30;
    if (!l->backlog_bytes) l->backlog_bytes = 16 << 20;
    if (!l->connections) l->connections = 1024;
    if (!(l->head_s > 0)) l->head_s = 30;
    if (!(l->body_s > 0)) l->body_s = 120;
    if (!(l->idle_s > 0)) l->idle_s = 75;
    if (!(l->stall_s > 0)) l->stall_s = 60;
    if (!(l->drain_s > 0)) l->drain_s = 30;
}

/* ---- letting in ---- */

static bool accept_on(struct http_server *s) {
    bool ok = true;
    if (s->accepting || s->stopping) return true;
    s->accepting = true;
    for (int i = 0; i < s->n_listeners; i++) ok = event_add(&s->listeners[i].event, NULL) == 0 && ok;
    return ok;
}

static void accept_off(struct http_server *s) {
    if (!s->accepting) return;
    s->accepting = false;
    for (int i = 0; i < s->n_listeners; i++) (void)event_del(&s->listeners[i].event);
}

void server_has_room(struct http_server *s) {
    if (!s->short_of_fds) (void)accept_on(s);
}

/* When all places are taken: a connection that can give way, idle or at its end. One that is new has a moment to send its request. */
static struct conn *least_needed(const struct http_server *s) {
    const double now = os_now();
    struct conn *idle = s->first, *ending = s->first;
    while (idle && !(conn_is_idle(idle) && (idle->served || now - idle->began > NEW_S))) idle = idle->next;
    while (ending && ending->state != CONN_LINGER) ending = ending->next;
    return idle ? idle : ending;
}

static void on_connection(int fd, short what, void *arg) {
    struct listener *l = arg;
    struct http_server *s = l->server;
    (void)what;
    for (int i = 0; i < ACCEPTS && s->accepting; i++) {
        struct sockaddr_storage from = {0};
        socklen_t n = sizeof from;
        struct conn *gives_way = s->n_conns < s->o.limits.connections ? NULL : least_needed(s);
        if (s->n_conns >= s->o.limits.connections && !gives_way) {
            accept_off(s); /* the system keeps a few more waiting */
            (void)evtimer_add(&s->pause, &(struct timeval){.tv_sec = 1});
            break;
        }
        int got = accept4(fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got >= 0) {
            if (gives_way) conn_close(gives_way);
            if (n < sizeof(sa_family_t)) from.ss_family = AF_UNIX; /* a client's end of a unix socket has no name */
            (void)conn_new(s, got, l, (struct sockaddr *)&from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warn("cannot accept connections for a moment: %s", strerror(errno));
            accept_off(s);
            s->short_of_fds = true;
            (void)evtimer_add(&s->pause, &(struct timeval){.tv_usec = PAUSE_MS * 1000});
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    }
    server_drain(s);
}

static void on_pause_over(int fd, short what, void *arg) {
    struct http_server *s = arg;
    (void)fd, (void)what;
    s->short_of_fds = false;
    (void)accept_on(s);
}

/* ---- what other threads want ---- */

void server_wake(struct http_server *s) {
    ssize_t ignored = write(s->wake_fd, &(uint64_t){1}, sizeof(uint64_t)); /* full: the loop will wake anyway */
    (void)ignored;
}

void server_drain(struct http_server *s) {
    for (;;) {
        (void)pthread_mutex_lock(&s->lock);
        struct http_request *r = s->queue;
        if (r) {
            s->queue = r->next;
            if (!s->queue) s->queue_end = &s->queue;
            r->queued = false;
        }
        (void)pthread_mutex_unlock(&s->lock);
        if (!r) break;
        if (r->conn) conn_deliver(r->conn);
        request_drop(r);
    }
    while (s->dead) {
        struct conn *c = s->dead;
        s->dead = c->next;
        conn_free(c);
    }
    if (s->stopping && s->n_conns == 0) (void)event_base_loopbreak(s->base);
}

static void close_all(struct http_server *s, bool idle_only) {
    for (struct conn *c = s->first, *next; c; c = next) {
        next = c->next;
        if (!idle_only || conn_is_idle(c)) conn_close(c);
    }
}

static void on_deadline(int fd, short what, void *arg) {
    struct http_server *s = arg;
    (void)fd, (void)what;
    close_all(s, false);
    server_drain(s);
}

static void begin_stop(struct http_server *s) {
    const double seconds = s->o.limits.drain_s;
    struct timeval left = {.tv_sec = (time_t)seconds};
    accept_off(s);
    (void)evtimer_del(&s->pause);
    s->stopping = true;
    atomic_store(&s->draining, true);
    listeners_close(s);
    close_all(s, true);
    left.tv_usec = (suseconds_t)((seconds - (double)left.tv_sec) * 1e6);
    if (evtimer_add(&s->deadline, &left) != 0) close_all(s, false);
}

static void on_wake(int fd, short what, void *arg) {
    struct http_server *s = arg;
    uint64_t count;
    (void)what;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
    int stops = atomic_load(&s->stops);
    if (stops > 0 && !s->stopping) begin_stop(s);
    if (stops > 1) close_all(s, false);
    server_drain(s);
}

void http_server_stop(struct http_server *s) {
    int kept = errno; /* of what a signal interrupted */
    atomic_fetch_add(&s->stops, 1);
    server_wake(s);
    errno = kept;
}

/* ---- the server ---- */

int http_server_new(struct http_server **out, const struct http_options *o, struct err *e) {
    *out = NULL;
    assert(o->n_dialects > 0);
    struct http_server *s = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "the HTTP server", sizeof *s);
    s->o = *o;
    set_defaults(&s->o.limits);
    s->queue_end = &s->queue;
    s->loop = pthread_self();
    (void)pthread_mutex_init(&s->lock, NULL);
    s->scratch = mem_alloc(SCRATCH_BYTES);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct event_config *config = event_config_new();
    /* One thread only touches the loop: no locks. */
    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0) s->base = event_base_new_with_config(config);
    if (config) event_config_free(config);
    if (!s->scratch || !s->base || s->wake_fd < 0) {
        int code = s->wake_fd < 0 ? err_set(e, ERR_IO, "cannot make an eventfd: %s", strerror(errno)) : err_nomem(e, "the HTTP server", SCRATCH_BYTES);
        http_server_free(s);
        return code;
    }
    (void)event_assign(&s->wake, s->base, s->wake_fd, EV_READ | EV_PERSIST, on_wake, s);
    (void)evtimer_assign(&s->deadline, s->base, on_deadline, s);
    (void)evtimer_assign(&s->pause, s->base, on_pause_over, s);
    *out = s;
    return 0;
}

int http_server_set_keys(struct http_server *s, struct keys *keys, struct err *e) {
    bool is_public = false;
    (void)pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_listeners; i++) is_public = is_public || s->listeners[i].is_public;
    bool refused = is_public && keys_count(keys) == 0;
    struct keys *gone = refused ? keys : s->keys;
    if (!refused) s->keys = keys;
    (void)pthread_mutex_unlock(&s->lock);
    keys_free(gone);
    return refused ? err_set(e, ERR_USAGE, "the server can be reached from other machines: it needs a key; the keys that it had stay") : 0;
}

int http_server_run(struct http_server *s, struct err *e) {
    if (s->n_listeners == 0) return err_set(e, ERR_USAGE, "the server listens nowhere");
    s->loop = pthread_self();
    int code = event_add(&s->wake, NULL) == 0 ? 0 : err_nomem(e, "the HTTP server's loop", 0);
    for (int i = 0; i < s->n_listeners; i++) (void)event_assign(&s->listeners[i].event, s->base, s->listeners[i].fd, EV_READ | EV_PERSIST, on_connection, &s->listeners[i]);
    if (code == 0 && !accept_on(s)) code = err_nomem(e, "the HTTP server's loop", 0);
    if (code == 0 && event_base_dispatch(s->base) < 0) code = err_set(e, ERR_INTERNAL, "the HTTP server's loop failed: %s", strerror(errno));
    accept_off(s);
    s->stopping = true;
    close_all(s, false);
    server_drain(s);
    (void)event_del(&s->wake);
    (void)evtimer_del(&s->deadline);
    (void)evtimer_del(&s->pause);
    return code;
}

int http_server_live(const struct http_server *s) { return atomic_load(&s->live); }

void http_server_free(struct http_server *s) {
    if (!s) return;
    assert(!s->first && http_server_live(s) == 0);
    listeners_close(s);
    if (s->base) event_base_free(s->base);
    if (s->wake_fd >= 0) (void)close(s->wake_fd);
    mem_free(s->scratch);
    keys_free(s->keys);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
