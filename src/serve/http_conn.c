/* http_conn.c: connections: bytes in, bytes out, and the time that each may take. Everything here runs on the loop. A connection is closed at once
 * and freed at the end of the callback (server_drain), so that whoever calls may still look at its state. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "serve/http_internal.h"

#define HUNG_UP_S 0.2 /* how often a connection whose client sends no more is asked whether the client still listens */
enum { ROUNDS = 16, REASON_BYTES = 256 }; /* ROUNDS: sends in a row, before others have their turn */

static void on_readable(int fd, short what, void *arg);
static void on_writable(int fd, short what, void *arg);
static void on_timer(int fd, short what, void *arg);

/* ---- events ---- */

static void set_timer(struct conn *c, double seconds) {
    struct timeval tv = {.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)((seconds - floor(seconds)) * 1e6)};
    c->due = os_now() + seconds;
    if (evtimer_add(&c->timer, &tv) != 0) conn_close(c); /* a connection that nothing would end */
}

static void no_timer(struct conn *c) {
    c->due = 0;
    (void)evtimer_del(&c->timer);
}

static void read_on(struct conn *c) {
    if (c->reads || c->ended) return;
    c->reads = event_add(&c->reading, NULL) == 0;
    if (!c->reads) conn_close(c);
}

static void read_off(struct conn *c) {
    if (c->reads) (void)event_del(&c->reading);
    c->reads = false;
}

/* Events go out when they are written. A client whose machine is gone, or whose cable is, is noticed though it says nothing: by the system, a little later than we
 * notice one that reads nothing. */
static void tune(int fd, double stall_s) {
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){stall_s < 30000 ? (int)stall_s + 1 : 30000}, sizeof(int));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(unsigned){stall_s < 1e6 ? (unsigned)(stall_s * 2000) : 0}, sizeof(unsigned));
}

struct conn *conn_new(struct http_server *s, int fd, const struct listener *l, const struct sockaddr *from) {
    struct conn *c = mem_calloc(1, sizeof *c);
    if (!c) {
        (void)close(fd);
        return NULL;
    }
    c->server = s;
    c->fd = fd;
    c->checks_host = l->checks_host;
    c->began = os_now();
    c->in.limit = s->o.limits.head_bytes + 2 * SCRATCH_BYTES;
    address_text(from, c->address);
    (void)event_assign(&c->reading, s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    (void)event_assign(&c->writing, s->base, fd, EV_WRITE, on_writable, c);
    (void)evtimer_assign(&c->timer, s->base, on_timer, c);
    if (from->sa_family != AF_UNIX) tune(fd, s->o.limits.stall_s);
    c->prev = s->last;
    if (s->last) s->last->next = c;
    else s->first = c;
    s->last = c;
    s->n_conns++;
    metric_add(s->o.metrics, METRIC_CONNECTIONS, NULL, 1);
    metric_add(s->o.metrics, METRIC_CONNECTIONS_TOTAL, NULL, 1);
    set_timer(c, s->o.limits.head_s);
    if (c->state != CONN_CLOSED) read_on(c);
    return c;
}

static void unlist(struct conn *c) {
    struct http_server *s = c->server;
    if (c->prev) c->prev->next = c->next;
    else s->first = c->next;
    if (c->next) c->next->prev = c->prev;
    else s->last = c->prev;
    c->prev = c->next = NULL;
}

bool conn_is_idle(const struct conn *c) { return c->state == CONN_HEAD && c->in.len == 0; }

/* ---- the end of requests and connections ---- */

/* The connection lets go of its request. */
static void let_go(struct conn *c, int status, const char *note) {
    struct http_request *r = c->request;
    metric_add(c->server->o.metrics, METRIC_REQUESTS_LIVE, NULL, -1);
    request_log(r, status, c->bytes, note);
    c->request = NULL;
    r->conn = NULL;
    request_drop(r);
}

/* The client of the request is gone before its reply was sent. */
static void abandon(struct conn *c, const char *note) {
    struct http_server *s = c->server;
    struct http_request *r = c->request;
    struct buf outbox;
    void (*on_close)(void *) = NULL;
    (void)pthread_mutex_lock(&s->lock);
    r->gone = true;
    outbox = r->outbox;
    r->outbox = (struct buf){0};
    if (r->phase != PHASE_DONE) on_close = r->on_close;
    r->on_close = NULL;
    void *ctx = r->ctx;
    (void)pthread_mutex_unlock(&s->lock);
    buf_free(&outbox);
    if (on_close) on_close(ctx);
    let_go(c, 499, note);
}

static void close_noting(struct conn *c, const char *note) {
    struct http_server *s = c->server;
    if (c->state == CONN_CLOSED) return;
    c->state = CONN_CLOSED;
    read_off(c);
    (void)event_del(&c->writing);
    no_timer(c);
    (void)close(c->fd);
    unlist(c);
    if (c->request) abandon(c, note);
    buf_free(&c->in);
    buf_free(&c->out);
    c->next = s->dead;
    s->dead = c;
    s->n_conns--;
    metric_add(s->o.metrics, METRIC_CONNECTIONS, NULL, -1);
    server_has_room(s);
}

void conn_close(struct conn *c) { close_noting(c, "cut by the server"); }

void conn_free(struct conn *c) { mem_free(c); }

static void left(struct conn *c) {
    if (c->request) metric_add(c->server->o.metrics, METRIC_CLIENTS_LEFT, NULL, 1);
    close_noting(c, "the client left");
}

/* Ends a reply that is not to be completed. What the system still holds for a slow reader goes too. */
static void cut(struct conn *c, enum end why) {
    static const char *const reasons[] = {[END_SLOW] = "slow", [END_CUT] = "cut", [END_MEMORY] = "memory"};
    static const char *const notes[] = {[END_SLOW] = "cut: its reader is too slow", [END_CUT] = "cut by its handler", [END_MEMORY] = "cut: out of memory"};
    metric_add(c->server->o.metrics, METRIC_STREAMS_CUT, reasons[why], 1);
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close_noting(c, notes[why]);
}

static void advance(struct conn *c);

/* All of the reply is sent: on to the next request, or to the end. */
static void finish(struct conn *c) {
    struct http_server *s = c->server;
    struct http_request *r = c->request;
    bool ends = r->ends_connection || s->stopping || c->ended;
    (void)pthread_mutex_lock(&s->lock);
    ends = ends || r->closes;
    int status = r->status;
    (void)pthread_mutex_unlock(&s->lock);
    no_timer(c);
    let_go(c, status, NULL);
    c->begun = false;
    c->ping = NULL;
    c->bytes = 0;
    if (ends) {
        if (c->ended || shutdown(c->fd, SHUT_WR) != 0) {
            close_noting(c, NULL);
            return;
        }
        c->state = CONN_LINGER;
        buf_free(&c->in);
        set_timer(c, LINGER_S);
        server_has_room(s);
    } else {
        c->state = CONN_HEAD;
        c->served = true;
        c->scan = (struct http_scan){0};
        unlist(c); /* to the end: the last that became idle */
        c->prev = s->last;
        if (s->last) s->last->next = c;
        else s->first = c;
        s->last = c;
        if (c->in.len == 0) {
            if (c->in.cap > KEPT_BYTES) buf_free(&c->in);
            set_timer(c, s->o.limits.idle_s);
            server_has_room(s);
        }
    }
    if (c->state != CONN_CLOSED) read_on(c);
    if (c->state == CONN_HEAD) advance(c);
}

/* ---- out ---- */

/* Takes what the reply has so far; c->out is empty. False: nothing. *done: nothing will come any more. */
static bool pull(struct conn *c, bool *done) {
    struct http_server *s = c->server;
    struct http_request *r = c->request;
    (void)pthread_mutex_lock(&s->lock);
    if (r->outbox.len) {
        struct buf empty = c->out;
        c->out = r->outbox;
        r->outbox = empty;
        c->last_out = os_now();
        if (r->phase != PHASE_WAITING) c->begun = true;
        if (r->phase == PHASE_STREAM) c->ping = r->ping, c->ping_s = r->ping_s;
    }
    *done = r->phase == PHASE_DONE && !r->held;
    (void)pthread_mutex_unlock(&s->lock);
    if (*done) c->ping = NULL;
    return c->out.len > 0;
}

static bool is_pending(const struct conn *c) { return c->sent < c->out.len; }

/* Sets the timer for the next thing that may have to be done about the reply. One that is set for earlier stays: what it does then is to set it anew. */
static void watch(struct conn *c) {
    double next = INFINITY, now = os_now();
    if (is_pending(c)) next = fmin(next, c->progress + c->server->o.limits.stall_s);
    if (c->ping) next = fmin(next, c->last_out + c->ping_s);
    if (c->ended) next = fmin(next, now + HUNG_UP_S);
    if (isinf(next) || (c->due > 0 && c->due <= next)) return;
    set_timer(c, fmax(next - now, 0.001));
}

/* Sends what there is, until the client takes no more, and looks whether the reply is complete. */
static void flush(struct conn *c) {
    bool done = false;
    for (int rounds = 0;; rounds++) {
        if (!is_pending(c)) {
            c->sent = c->out.len = 0;
            if (c->out.cap > KEPT_BYTES) buf_free(&c->out);
            c->progress = os_now();
            if (!c->request || !pull(c, &done)) break;
        }
        if (rounds == ROUNDS) break; /* there is more: the event below goes on with it */
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (n < 0) {
            left(c);
            return;
        }
        c->sent += (size_t)n;
        c->bytes += (uint64_t)n;
        c->progress = os_now();
        metric_add(c->server->o.metrics, METRIC_BYTES_OUT, NULL, (double)n);
    }
    if (is_pending(c)) {
        if (event_add(&c->writing, NULL) != 0) cut(c, END_MEMORY);
        else if (c->state == CONN_REPLY) watch(c);
    } else if (done) finish(c);
    else if (c->state == CONN_REPLY) watch(c);
}

static void on_writable(int fd, short what, void *arg) {
    struct conn *c = arg;
    struct http_server *s = c->server;
    (void)fd, (void)what;
    flush(c);
    server_drain(s);
}

void conn_deliver(struct conn *c) {
    struct http_server *s = c->server;
    struct http_request *r = c->request;
    (void)pthread_mutex_lock(&s->lock);
    enum end end = r->end;
    bool forgotten = r->abandoned && r->phase == PHASE_WAITING;
    if (r->abandoned && r->phase == PHASE_STREAM && end == END_NOT_YET) end = END_CUT;
    (void)pthread_mutex_unlock(&s->lock);
    if (end != END_NOT_YET) cut(c, end);
    else if (forgotten) (void)http_error(r, 500, 0, "the request was given up without an answer");
    else flush(c);
}

/* Sends something that is not the reply's: before it, or between two pieces of it. */
static void interject(struct conn *c, struct slice bytes) {
    if (is_pending(c)) return; /* the client has something to read already */
    c->sent = c->out.len = 0;
    if (!buf_add(&c->out, bytes.p, bytes.n)) return; /* then not: it was a courtesy */
    c->last_out = os_now();
    flush(c);
}

/* ---- in ---- */

static void refuse(struct conn *c, int status, bool ends, const char *why) {
    if (!c->request && !(c->request = request_new(c))) {
        conn_close(c);
        return;
    }
    if (ends) c->request->ends_connection = true;
    http_drop_body(c->request);
    c->state = CONN_REPLY;
    no_timer(c);
    (void)http_error(c->request, status, status == 503, "%s", why);
}

static void dispatch(struct conn *c) {
    struct http_request *r = c->request;
    c->state = CONN_REPLY;
    no_timer(c);
    http_ref(r);
    r->route->handle(c->server->o.ctx, r);
    http_unref(r);
}

/* Bytes of the body, and perhaps of what was sent after it. */
static void take_body(struct conn *c, const char *p, size_t n) {
    struct http_server *s = c->server;
    struct http_request *r = c->request;
    const char *why;
    size_t used, before = r->body.len;
    int status = http_body_take(&c->body, p, n, &used, s->o.limits.body_bytes, &r->body, &why);
    r->body_counted += r->body.len - before;
    size_t all = atomic_fetch_add(&s->bodies, r->body.len - before) + (r->body.len - before);
    if (status < 400 && all > s->o.limits.bodies_bytes) status = 503;
    if (status == 413) refuse(c, status, true, "the body is larger than what is accepted here");
    else if (status == 503) refuse(c, status, true, "no memory for the body now; try again");
    else if (status >= 400) refuse(c, status, true, why);
    else if (status == BODY_DONE && used < n && !buf_add(&c->in, p + used, n - used)) conn_close(c);
    else if (status == BODY_DONE) dispatch(c);
}

/* The head, n bytes of c->in, is complete. */
static void begin(struct conn *c, size_t n) {
    char why[REASON_BYTES], *text = mem_strndup(c->in.data, n);
    struct http_request *r = c->request = text ? request_new(c) : NULL;
    if (!r) {
        mem_free(text);
        conn_close(c);
        return;
    }
    memmove(c->in.data, c->in.data + n, c->in.len - n);
    c->in.len -= n;
    int status = request_check(r, text, n, c->checks_host, why, sizeof why);
    if (status > 0) refuse(c, status, r->ends_connection, why);
    else if (status < 0) c->state = CONN_REPLY, no_timer(c);
    else {
        struct buf ahead = c->in;
        c->in = (struct buf){.limit = ahead.limit};
        c->state = CONN_BODY;
        set_timer(c, c->server->o.limits.body_s);
        http_body_start(&c->body, &r->head);
        if (c->state == CONN_BODY && r->head.expects_continue && ahead.len == 0) interject(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
        if (c->state == CONN_BODY) take_body(c, ahead.data, ahead.len);
        buf_free(&ahead);
    }
}

/* Looks for requests in what has come. */
static void advance(struct conn *c) {
    const struct http_limits *limits = &c->server->o.limits;
    bool bad;
    while (c->state == CONN_HEAD && c->in.len) {
        while (c->in.len >= 2 && memcmp(c->in.data, "\r\n", 2) == 0) { /* RFC 9112 2.2: empty lines before a request */
            memmove(c->in.data, c->in.data + 2, c->in.len -= 2);
            c->scan = (struct http_scan){0};
        }
        if (c->scan.at == 0) {
            c->began = os_now();
            set_timer(c, limits->head_s);
        }
        size_t seen = c->in.len < limits->head_bytes ? c->in.len : limits->head_bytes;
        if (c->state == CONN_CLOSED || c->in.len == 0) return;
        const bool whole = http_scan_head(&c->scan, c->in.data, seen, &bad);
        if ((c->scan.line ? c->scan.line : c->scan.at) > limits->head_bytes / 2) refuse(c, 414, true, "the request line is too long");
        else if (whole) begin(c, c->scan.at);
        else if (bad) refuse(c, 400, true, "not an HTTP request: a control character, or a line that does not end with CRLF");
        else if (c->in.len >= limits->head_bytes) refuse(c, 431, true, "the headers are too long");
        else return;
        c->scan = (struct http_scan){0};
    }
}

static void take_input(struct conn *c, const char *p, size_t n) {
    switch (c->state) {
    case CONN_HEAD:
        if (!buf_add(&c->in, p, n)) conn_close(c);
        else advance(c);
        break;
    case CONN_BODY: take_body(c, p, n); break;
    case CONN_REPLY:
        if (c->request->ends_connection) break;
        if (!buf_add(&c->in, p, n)) conn_close(c);
        else if (c->in.len >= SCRATCH_BYTES) read_off(c); /* that will do for now; that the client leaves is then seen by what is sent */
        break;
    default: break; /* CONN_LINGER: dropped */
    }
}

/* Whether the client does not even listen any more, which a client that only ended its sending side does. Of a TCP connection it is known
 * only after something was sent. */
static bool hung_up(const struct conn *c) {
    struct pollfd p = {.fd = c->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

/* The client sends no more. */
static void input_ended(struct conn *c) {
    c->ended = true;
    read_off(c);
    if (c->state == CONN_HEAD && c->in.len) refuse(c, 400, true, "the connection ended within the headers");
    else if (c->state == CONN_BODY) refuse(c, 400, true, "the connection ended within the body");
    else if (c->state != CONN_REPLY) close_noting(c, NULL);
    else if (hung_up(c)) left(c);
    else {
        if (c->begun && c->ping) {
            struct buf piece = {0};
            if (reply_piece(c->request, slice_of(c->ping), &piece)) interject(c, (struct slice){piece.data, piece.len});
            buf_free(&piece);
        } else if (!c->begun && c->request->head.minor > 0) interject(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
        if (c->state == CONN_REPLY) watch(c);
    }
}

static void on_readable(int fd, short what, void *arg) {
    struct conn *c = arg;
    struct http_server *s = c->server;
    (void)what;
    ssize_t n = recv(fd, s->scratch, SCRATCH_BYTES, MSG_DONTWAIT);
    if (n > 0) {
        metric_add(s->o.metrics, METRIC_BYTES_IN, NULL, (double)n);
        take_input(c, s->scratch, (size_t)n);
    } else if (n == 0) input_ended(c);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) left(c);
    server_drain(s);
}

/* ---- time ---- */

static void reply_due(struct conn *c) {
    const double now = os_now();
    if (c->ended && hung_up(c)) left(c);
    else if (is_pending(c) && now >= c->progress + c->server->o.limits.stall_s) cut(c, END_SLOW);
    else if (c->ping && now >= c->last_out + c->ping_s) {
        struct buf piece = {0};
        if (reply_piece(c->request, slice_of(c->ping), &piece)) interject(c, (struct slice){piece.data, piece.len});
        buf_free(&piece);
        c->last_out = now; /* also when there was no need for it */
    }
    if (c->state == CONN_REPLY) watch(c);
}

static void on_timer(int fd, short what, void *arg) {
    struct conn *c = arg;
    struct http_server *s = c->server;
    (void)fd, (void)what;
    c->due = 0;
    if (c->state == CONN_REPLY) reply_due(c);
    else if (c->state == CONN_HEAD && c->in.len) refuse(c, 408, true, "the request's headers took too long");
    else if (c->state == CONN_BODY) refuse(c, 408, true, "the request's body took too long");
    else close_noting(c, NULL);
    server_drain(s);
}
