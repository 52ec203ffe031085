/* http.h: HTTP/1.1 for local clients: one event loop, replies from any thread. It knows nothing of models, tokens or JSON.
 *
 * One thread calls http_server_run; it is "the loop". It reads requests, refuses what must be refused (size, time, key, origin, host) and calls the
 * handler of the route, which must not wait: it replies at once, or keeps a reference and lets another thread reply.
 *
 * A struct http_request is a request and its reply. It is counted: a handler borrows it for the time of its call, and http_ref keeps it for longer;
 * each http_ref is given back by one http_unref, on any thread. What is said of a request (its path, headers, body) never changes while a
 * reference is held and may be read by any thread; all slices live as long. Replying is for any thread too, several at a time if need be. When the
 * last reference goes and nothing was replied, the client gets a 500; a stream that was begun and not ended is cut, so that the client can see it.
 *
 * A client may leave at any moment. From then on all that is written is dropped and the functions that write return false. Whoever computes for a
 * request learns it from that, from http_gone, or from the on_close of http_attach. A client that only closes its sending side still gets its reply.
 *
 * Order at the end: http_server_stop, http_server_run returns, the other threads give back what references they hold, http_server_free.
 */
#ifndef HEARTH_HTTP_H
#define HEARTH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "serve/keys.h"
#include "serve/metrics.h"

struct http_server;
struct http_request;

/* ---- what the owner states ---- */

enum {
    HTTP_OPEN = 1,  /* no key is asked for */
    HTTP_QUIET = 2, /* logged with the debug level: what monitors ask every few seconds */
};

/* One row for each method and path. A path is literal, except that its last part may be a parameter: "/v1/models/{id}" takes one segment (in which
 * %2F may stand for a slash), "/v1/models/{id...}" all that follows. Literal rows win over parameters. A GET row answers HEAD too. */
struct http_route {
    const char *method, *path;
    void (*handle)(void *ctx, struct http_request *r); /* on the loop; r is borrowed */
    unsigned flags;
};

/* The endpoints that a family of clients knows, with the form in which it wants errors. Of two dialects with the same route, and for what has no
 * route at all, a request goes to the first that claims it, otherwise to the first. */
struct http_dialect {
    const char *name;
    const struct http_route *routes;
    int n_routes;
    const char *claim_header; /* a header that only its clients send ("anthropic-version"), or NULL */
    const char *claim_prefix; /* what its paths begin with ("/api/"), or NULL */
    /* Appends the body of an error (application/json). message: one line of UTF-8. false: out of memory. Any thread. */
    bool (*error)(int status, const char *message, struct buf *body);
    /* In its place, for a dialect whose errors name the request. */
    bool (*error_with_id)(int status, const char *message, const char *request, struct buf *body);
    const char *id_header; /* in which replies name the request ("request-id"); NULL: in none */
    int overloaded;        /* its status in place of 503; 0: none */
};

/* 0: the default that stands beside it. */
struct http_limits {
    size_t head_bytes;    /* 32 KiB: request line and headers; 431, or 414 when the line alone has more than half of it */
    size_t body_bytes;    /* 64 MiB: 413 */
    size_t bodies_bytes;  /* 1 GiB: bodies of all requests together; 503 */
    size_t backlog_bytes; /* 16 MiB: written to a stream and not taken by its reader: more and it is cut. As much again may be on its way. Some dialects end a stream with
                           * all that was said, several times over */
    int connections;      /* 1024: idle ones give way to new ones; when none is idle, new ones wait */
    double head_s;        /* 30: from a request's first byte (or from connecting) to the end of its head; 408 */
    double body_s;        /* 120: from there to the end of its body; 408 */
    double idle_s;        /* 75: a connection between requests */
    double stall_s;       /* 60: a reader that takes nothing; cut */
    double drain_s;       /* 30: http_server_stop waits for replies */
};

struct http_options {
    const struct http_dialect *const *dialects; /* at least one; they and all below outlive the server */
    int n_dialects;
    void *ctx;                   /* for handlers */
    const char *const *origins;  /* allowed beside the server's own ("https://chat.example"); "*": all */
    int n_origins;
    struct http_limits limits;
    struct metrics *metrics;     /* or NULL */
};

/* ---- the server ---- */

int http_server_new(struct http_server **s, const struct http_options *o, struct err *e);

/* Who may come in: none of the keys, or an empty set, means everybody. Takes the set over, also to free it, and may be called again at any time, from any
 * thread, to exchange it. ERR_USAGE (and the old set stays, the new one is freed): an empty set while the server listens beyond loopback. */
int http_server_set_keys(struct http_server *s, struct keys *keys, struct err *e);

/* Listens on all addresses of host ("127.0.0.1", "localhost", "::", or "unix:/run/hearth.sock"); port 0: one that is free. May be called several times,
 * before http_server_run. ERR_USAGE: an address beyond loopback (as it was resolved, not as it was written) without a key, or a name that is none;
 * ERR_IO: in use, not allowed. */
int http_server_listen(struct http_server *s, const char *host, int port, struct err *e);
/* The same for a socket that listens already (systemd.h); it is closed at the end, or when it is refused. */
int http_server_listen_fd(struct http_server *s, int fd, struct err *e);
int http_server_port(const struct http_server *s); /* of the first address; 0: none, or not TCP */

/* Serves until http_server_stop. ERR_USAGE: listens nowhere; ERR_INTERNAL: the loop failed. */
int http_server_run(struct http_server *s, struct err *e);

/* Ends http_server_run in order: no new connections, idle ones are closed, requests that were begun are answered (for at most limits.drain_s; then
 * they are cut). Called once more, they are cut at once. Any thread; async-signal-safe. */
void http_server_stop(struct http_server *s);
void http_server_free(struct http_server *s); /* NULL is fine; not while it runs, nor while references are held */
int http_server_live(const struct http_server *s); /* requests that exist: in work, or held by somebody */

/* ---- a request ---- */

void http_ref(struct http_request *r);
void http_unref(struct http_request *r);

const char *http_dialect_name(const struct http_request *r);
const char *http_endpoint(const struct http_request *r); /* its route's path, as the table has it */
struct slice http_method(const struct http_request *r);
struct slice http_path(const struct http_request *r);  /* decoded, without the query */
struct slice http_param(const struct http_request *r); /* of the route, decoded; empty without one */
struct slice http_header(const struct http_request *r, const char *name);              /* the first of that name, in any case; p NULL: none */
bool http_query(const struct http_request *r, const char *name, struct slice *value); /* of the query string, decoded; the first of that name */
struct slice http_body(const struct http_request *r);
const char *http_client(const struct http_request *r);  /* the name of its key; "" without keys */
const char *http_address(const struct http_request *r); /* "127.0.0.1", "::1", "unix" */
uint64_t http_id(const struct http_request *r);         /* drawn at random, for logs and request ids */
enum { HTTP_ID_BYTES = 24 };
const char *http_id_text(const struct http_request *r, char out[HTTP_ID_BYTES]); /* the same as clients see it: "req_" and 16 digits; returns out */
double http_arrival(const struct http_request *r);      /* os_now when its first byte was read */
bool http_stopping(const struct http_request *r);       /* http_server_stop was called: what was begun is answered still */

/* Gives the body's memory back early, when it has been read: slices into it are void from then on, and nobody else may read it meanwhile. */
void http_drop_body(struct http_request *r);

/* Ties ctx to the request, once. release(ctx) is called when the last reference goes, on whatever thread that is. on_close(ctx) is called on the loop, at
 * most once, when the client leaves, or is cut, before the reply is complete; it may still come while another thread ends the reply. No lock is held.
 * Either may be NULL. false: the client is gone already, on_close will not be called (release will). */
bool http_attach(struct http_request *r, void *ctx, void (*on_close)(void *ctx), void (*release)(void *ctx));
bool http_gone(const struct http_request *r);

/* ---- replying: once, whole or as a stream. Any thread. false: the client is gone, or a reply was made already ---- */

struct http_field {
    const char *name, *value; /* printable, without line breaks; otherwise the client gets a 500 */
};

struct http_reply {
    int status;
    const char *type; /* content type; NULL: none */
    struct slice body; /* copied */
    const struct http_field *fields; /* further headers; copied, like type */
    int n_fields;
    bool cached; /* fields say how long it may be kept; otherwise it may not */
};
bool http_reply(struct http_request *r, const struct http_reply *reply);

/* An error in the form of the request's dialect; retry_after_s 0: without that header. */
bool http_error(struct http_request *r, int status, int retry_after_s, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

struct http_stream {
    int status;       /* 0: 200 */
    const char *type; /* "text/event-stream", "application/x-ndjson" */
    const struct http_field *fields;
    int n_fields;
    const char *ping; /* a whole event that is sent when nothing else was for ping_s seconds, so that nothing between us and the client gives up: HTTP_PING, or
                       * what the dialect has for it; NULL: none. It lives as long as the request */
    double ping_s;    /* 0: 15 */
};
#define HTTP_PING ": ping\n\n"

bool http_stream_begin(struct http_request *r, const struct http_stream *stream);
/* Each call is one event, or line, and goes out as one piece, whole or not at all; false also when the reader is too slow, or memory is short: the stream is then cut. */
bool http_stream_write(struct http_request *r, const void *bytes, size_t n);
/* A server-sent event; event NULL: without a name. Data of several lines is sent as such; it has no carriage returns (JSON has neither). */
bool http_stream_event(struct http_request *r, const char *event, struct slice data);
bool http_stream_end(struct http_request *r);
void http_stream_cut(struct http_request *r); /* ends it so that the client sees that something is missing; before a stream was begun, too */


/* What is written from now on, the reply's end included, waits in the server until http_release: for what must be safe before the client can take it for done.
 * Pings still go out. Once: after http_release nothing is held any more; the last http_unref releases too. */
void http_hold(struct http_request *r);
void http_release(struct http_request *r);

/* What was said of the reply so far; 0: nothing yet. Any thread. */
int http_status(const struct http_request *r);
uint64_t http_written(const struct http_request *r); /* bytes of its body, without chunks' heads */

#endif
