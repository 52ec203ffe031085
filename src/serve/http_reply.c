/* http_reply.c: replies: whole ones and streams, from any thread. What is sent is put together without the lock and handed over under it. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "serve/http_internal.h"

#define PING_S 15.0
enum { ERROR_BYTES = 512 };

static const char *reason_of(int status) {
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {402, "Payment Required"},
                   {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"}, {411, "Length Required"}, {413, "Content Too Large"},
                   {414, "URI Too Long"}, {415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {422, "Unprocessable Content"}, {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"}, {499, "Client Closed Request"}, {500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"},
                   {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"}, {529, "Overloaded"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "Status";
}

/* ---- the head ---- */

static bool add_date(struct buf *b) {
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;
    if (!gmtime_r(&now, &t)) return true;
    return buf_printf(b, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* To the page of another site that may ask; RFC of CORS: Fetch, 3.2. */
static bool add_cors(const struct http_request *r, struct buf *b) {
    return !r->cors.p || buf_printf(b, "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\nAccess-Control-Expose-Headers: Retry-After, Request-Id, X-Request-Id\r\n", (int)r->cors.n, r->cors.p);
}

struct parts { /* of a head */
    int status;
    const char *type;
    const struct http_field *fields;
    int n_fields;
    bool cached, chunked, closes, has_length;
    size_t length;
};

static bool good_field(const char *text) {
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f) return false;
    return true;
}

static bool good_fields(const struct http_request *r, const struct parts *p) {
    bool good = !p->type || good_field(p->type);
    for (int i = 0; good && i < p->n_fields; i++) good = *p->fields[i].name && good_field(p->fields[i].name) && !strpbrk(p->fields[i].name, ": \t") && good_field(p->fields[i].value);
    if (!good) log_line(LOG_ERROR, "%s: a reply has a header that cannot be sent", r->route ? r->route->path : "?");
    return good;
}

static bool add_head(const struct http_request *r, const struct parts *p, struct buf *b) {
    bool ok = buf_printf(b, "HTTP/1.1 %d %s\r\n", p->status, reason_of(p->status)) && add_date(b) && buf_str(b, "Server: hearth\r\nX-Content-Type-Options: nosniff\r\n");
    if (p->type) ok = ok && buf_printf(b, "Content-Type: %s\r\n", p->type);
    if (p->chunked) ok = ok && buf_str(b, "Transfer-Encoding: chunked\r\n");
    if (p->has_length) ok = ok && buf_printf(b, "Content-Length: %zu\r\n", p->length);
    if (p->closes) ok = ok && buf_str(b, "Connection: close\r\n");
    else if (r->head.minor == 0) ok = ok && buf_str(b, "Connection: keep-alive\r\n");
    char id[HTTP_ID_BYTES];
    if (r->dialect->id_header) ok = ok && buf_printf(b, "%s: %s\r\n", r->dialect->id_header, http_id_text(r, id));
    if (p->type && !p->cached) ok = ok && buf_str(b, "Cache-Control: no-store\r\n");
    ok = ok && add_cors(r, b);
    for (int i = 0; ok && i < p->n_fields; i++) ok = buf_printf(b, "%s: %s\r\n", p->fields[i].name, p->fields[i].value);
    return ok && buf_str(b, "\r\n");
}

static bool will_close(const struct http_request *r) { return r->ends_connection || !r->head.keep_alive || atomic_load(&r->server->draining); }

/* ---- handing over ---- */

static bool memory_short(struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    if (!r->gone && r->phase != PHASE_DONE && r->end == END_NOT_YET) {
        r->end = END_MEMORY;
        request_queue(r);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return false;
}

/* Whether a reply may begin, or a stream (begun: go on). The lock is held. */
static bool may(const struct http_request *r, enum phase phase) { return !r->gone && r->end == END_NOT_YET && r->phase == phase; }

/* Where what is written goes. The lock is held. */
static struct buf *outbox_of(struct http_request *r) { return r->held ? &r->withheld : &r->outbox; }

/* Hands b over, which is empty afterwards; n: bytes of it that are the body's. */
static bool hand_over(struct http_request *r, struct buf *b, size_t n, enum phase phase, int status, bool closes, const struct http_stream *stream) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    bool ok = may(r, PHASE_WAITING);
    if (ok) {
        r->phase = phase;
        r->status = status;
        r->closes = closes;
        r->written += n;
        *outbox_of(r) = *b; /* the first that is written: there is nothing in it yet */
        *b = (struct buf){0};
        if (stream) {
            r->ping = r->head_only ? NULL : stream->ping;
            r->ping_s = stream->ping_s > 0 ? stream->ping_s : PING_S;
        }
        request_queue(r);
    }
    (void)pthread_mutex_unlock(&s->lock);
    buf_free(b);
    return ok;
}

static bool reply(struct http_request *r, const struct parts *parts, struct slice body) {
    struct buf b = {0};
    struct parts p = *parts;
    p.has_length = p.status != 204 && p.status != 304;
    p.length = body.n;
    p.closes = will_close(r);
    bool ok = buf_reserve(&b, 1024 + body.n) && add_head(r, &p, &b) && (r->head_only || !p.has_length || buf_add(&b, body.p, body.n));
    if (ok) return hand_over(r, &b, r->head_only || !p.has_length ? 0 : body.n, PHASE_DONE, p.status, p.closes, NULL);
    buf_free(&b);
    return memory_short(r);
}

/* In place of a reply that cannot be sent. */
static bool refuse_fields(struct http_request *r) {
    (void)http_error(r, 500, 0, "the reply cannot be sent: a mistake of the server");
    return false;
}

bool http_reply(struct http_request *r, const struct http_reply *from) {
    struct parts p = {.status = from->status, .type = from->type, .fields = from->fields, .n_fields = from->n_fields, .cached = from->cached};
    if (!good_fields(r, &p)) return refuse_fields(r);
    return reply(r, &p, from->body);
}

bool http_error(struct http_request *r, int status, int retry_after_s, const char *fmt, ...) {
    char message[ERROR_BYTES], seconds[16];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    struct http_field fields[2];
    struct buf body = {0}, methods = {0};
    int n = 0;
    (void)snprintf(seconds, sizeof seconds, "%d", retry_after_s);
    if (retry_after_s > 0) fields[n++] = (struct http_field){"Retry-After", seconds};
    if (status == 401) fields[n++] = (struct http_field){"WWW-Authenticate", "Bearer"};
    if (status == 503 && r->dialect->overloaded) status = r->dialect->overloaded;
    char id[HTTP_ID_BYTES];
    bool ok = r->dialect->error_with_id ? r->dialect->error_with_id(status, message, http_id_text(r, id), &body) : r->dialect->error(status, message, &body);
    if (status == 405) {
        ok = ok && route_methods(r, &methods);
        fields[n++] = (struct http_field){"Allow", ok ? methods.data : ""};
    }
    struct parts p = {.status = status, .type = "application/json", .fields = fields, .n_fields = n};
    ok = ok ? reply(r, &p, (struct slice){body.data, body.len}) : memory_short(r);
    buf_free(&body);
    buf_free(&methods);
    return ok;
}

bool reply_options(struct http_request *r, bool preflight) {
    struct http_field fields[5] = {{0}};
    struct buf methods = {0};
    struct slice asked = http_header(r, "access-control-request-headers");
    char headers[1024];
    int n = 0;
    bool ok = route_methods(r, &methods);
    fields[n++] = (struct http_field){"Allow", ok ? methods.data : ""};
    if (preflight) {
        (void)snprintf(headers, sizeof headers, "%.*s", asked.n < sizeof headers ? (int)asked.n : 0, asked.p ? asked.p : "");
        fields[n++] = (struct http_field){"Access-Control-Allow-Methods", ok ? methods.data : ""};
        if (*headers) fields[n++] = (struct http_field){"Access-Control-Allow-Headers", headers};
        fields[n++] = (struct http_field){"Access-Control-Max-Age", "600"};
        if (http_same(http_header(r, "access-control-request-private-network"), "true")) fields[n++] = (struct http_field){"Access-Control-Allow-Private-Network", "true"};
    }
    struct parts p = {.status = 204, .fields = fields, .n_fields = n};
    ok = ok ? reply(r, &p, (struct slice){0}) : memory_short(r);
    buf_free(&methods);
    return ok;
}

/* ---- streams ---- */

static bool is_chunked(const struct http_request *r) { return r->head.minor > 0; }

bool reply_piece(const struct http_request *r, struct slice bytes, struct buf *out) {
    if (r->head_only || bytes.n == 0) return true;
    if (!is_chunked(r)) return buf_add(out, bytes.p, bytes.n);
    return buf_printf(out, "%zx\r\n", bytes.n) && buf_add(out, bytes.p, bytes.n) && buf_add(out, "\r\n", 2);
}

bool http_stream_begin(struct http_request *r, const struct http_stream *stream) {
    struct buf b = {0};
    struct parts p = {.status = stream->status ? stream->status : 200, .type = stream->type, .fields = stream->fields, .n_fields = stream->n_fields, .chunked = is_chunked(r)};
    p.closes = will_close(r) || !p.chunked; /* without chunks, the end of the connection is the end of the stream */
    if (!good_fields(r, &p)) return refuse_fields(r);
    if (add_head(r, &p, &b)) return hand_over(r, &b, 0, PHASE_STREAM, p.status, p.closes, stream);
    buf_free(&b);
    return memory_short(r);
}

/* A piece in three parts, so that an event needs no copy of its own; what cannot be appended as a whole ends the stream. */
static bool append(struct http_request *r, struct slice a, struct slice b, struct slice c) {
    struct http_server *s = r->server;
    const size_t n = a.n + b.n + c.n, backlog = s->o.limits.backlog_bytes;
    (void)pthread_mutex_lock(&s->lock);
    bool ok = may(r, PHASE_STREAM);
    if (ok && n && !r->head_only) {
        struct buf *out = outbox_of(r);
        bool fits = n <= backlog && out->len <= backlog - n;
        bool done = fits && buf_reserve(out, n + 32) && (!is_chunked(r) || buf_printf(out, "%zx\r\n", n)) && buf_add(out, a.p, a.n) && buf_add(out, b.p, b.n) && buf_add(out, c.p, c.n) &&
                    (!is_chunked(r) || buf_add(out, "\r\n", 2));
        if (!done) {
            r->end = fits ? END_MEMORY : END_SLOW;
            buf_free(out);
            ok = false;
        } else r->written += n;
        request_queue(r);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return ok;
}

bool http_stream_write(struct http_request *r, const void *bytes, size_t n) { return append(r, (struct slice){bytes, n}, (struct slice){0}, (struct slice){0}); }

bool http_stream_event(struct http_request *r, const char *event, struct slice data) {
    if (!event && !(data.n && memchr(data.p, '\n', data.n))) return append(r, SLICE("data: "), data, SLICE("\n\n"));
    struct buf b = {0};
    bool ok = !event || buf_printf(&b, "event: %s\n", event);
    for (size_t at = 0; ok && at <= data.n;) { /* a line for each of the data's */
        const char *end = at < data.n ? memchr(data.p + at, '\n', data.n - at) : NULL;
        size_t n = end ? (size_t)(end - (data.p + at)) : data.n - at;
        ok = buf_str(&b, "data: ") && buf_add(&b, n ? data.p + at : NULL, n) && buf_char(&b, '\n');
        at += n + 1;
    }
    ok = ok && buf_char(&b, '\n') ? append(r, (struct slice){b.data, b.len}, (struct slice){0}, (struct slice){0}) : memory_short(r);
    buf_free(&b);
    return ok;
}

bool http_stream_end(struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    bool ok = may(r, PHASE_STREAM);
    if (ok) {
        if (!is_chunked(r) || r->head_only || buf_str(outbox_of(r), "0\r\n\r\n")) r->phase = PHASE_DONE;
        else r->end = END_MEMORY;
        ok = r->phase == PHASE_DONE;
        request_queue(r);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return ok;
}

void http_stream_cut(struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    if (!r->gone && r->end == END_NOT_YET && r->phase != PHASE_DONE) {
        r->end = END_CUT;
        request_queue(r);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- holding back ---- */

void http_hold(struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    if (r->phase != PHASE_DONE) r->held = true; /* else all is said */
    (void)pthread_mutex_unlock(&s->lock);
}

void http_release(struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    if (r->held && r->gone) {
        r->held = false; /* nobody is left to send it to, perhaps not even the loop */
    } else if (r->held) {
        r->held = false;
        if (!r->outbox.len) {
            struct buf empty = r->outbox;
            r->outbox = r->withheld;
            r->withheld = empty;
        } else if (r->withheld.len && !buf_add(&r->outbox, r->withheld.data, r->withheld.len)) {
            r->end = END_MEMORY;
        }
        request_queue(r);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

int http_status(const struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    const int status = r->status;
    (void)pthread_mutex_unlock(&s->lock);
    return status;
}

uint64_t http_written(const struct http_request *r) {
    struct http_server *s = r->server;
    (void)pthread_mutex_lock(&s->lock);
    const uint64_t n = r->written;
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}
