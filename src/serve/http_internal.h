/* http_internal.h: what the files of the HTTP server share; included only by them.
 *
 * Threads: connections, and all of libevent, belong to the loop. What other threads touch of a request (struct reply) is under the server's lock, which is
 * never held while a function of somebody else runs. A thread that has something to be sent appends it to the request's outbox and puts the request
 * into the server's queue; the loop moves the outbox to the connection whenever all that was there before is sent.
 *
 * Why neither evhttp nor bufferevents: evhttp takes two lengths, a length beside chunks and bare line feeds, has no deadline for a request as a
 * whole, answers its own errors in HTML, and takes a client that ended its sending side for one that left; bufferevents send one turn of the loop later, and do
 * not tell the last two apart either. The loop, timers and readiness of libevent are used directly.
 */
#ifndef HEARTH_HTTP_INTERNAL_H
#define HEARTH_HTTP_INTERNAL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "serve/http.h"
#include "serve/http_parse.h"

enum {
    SCRATCH_BYTES = 65536, /* read at once; also what a client may send ahead while it waits for a reply */
    KEPT_BYTES = 4096,     /* a larger buffer is given back as soon as it is empty */
    LISTENERS_MAX = 64,
    ADDRESS_BYTES = 64,
};
#define LINGER_S 5.0 /* after a reply that ends the connection, what the client still sends is read and dropped, so that it can read the reply */

struct listener {
    struct http_server *server;
    struct event event;
    int fd;
    bool checks_host; /* TCP on loopback: pages of other sites must not reach it by a name that was pointed here */
    bool is_public;   /* beyond loopback */
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of a unix socket that we made */
};

enum phase { PHASE_WAITING, PHASE_STREAM, PHASE_DONE }; /* of a reply */
enum end { END_NOT_YET, END_SLOW, END_CUT, END_MEMORY }; /* why a reply is not to be completed */

struct http_request {
    struct http_server *server;
    atomic_int refs;    /* all; the last one frees */
    atomic_int holders; /* those of handlers and of whom they gave it to */
    /* fixed when the handler is called */
    const struct http_dialect *dialect;
    const struct http_route *route;
    uint64_t id;
    double arrival;
    char *text;         /* the head; slices of head point into it */
    struct http_head head;
    char *decoded;      /* what the next three point into */
    struct slice path, param;
    struct slice query; /* NAME NUL VALUE NUL ... */
    struct buf body;
    size_t body_counted; /* of server->bodies */
    char client[CLIENT_BYTES], address[ADDRESS_BYTES];
    struct slice cors;  /* the allowed origin of another site that asks; p NULL: none */
    bool head_only, ends_connection;
    struct conn *conn;  /* the loop's; NULL when it is gone */
    /* under the server's lock */
    enum phase phase;
    enum end end;
    bool gone, queued, abandoned, closes;
    bool held;          /* what is written goes to withheld, and the reply's end is not seen */
    int status;
    struct buf outbox, withheld;
    uint64_t written;   /* bytes of the reply's body */
    const char *ping;
    double ping_s;
    void *ctx;
    void (*on_close)(void *);
    void (*release)(void *);
    struct http_request *next; /* in the queue */
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_REPLY, CONN_LINGER, CONN_CLOSED };

struct conn {
    struct http_server *server;
    struct conn *prev, *next; /* of all, the longest idle first as far as they are idle */
    struct event reading, writing, timer;
    int fd;
    enum conn_state state;
    bool checks_host, ended; /* ended: the client sends no more */
    bool reads;              /* whether the event is on */
    bool served;             /* a request was answered before */
    bool begun;              /* a stream's head was handed over; ping is set then */
    const char *ping;        /* a whole piece of the stream; NULL: none */
    double ping_s;
    char address[ADDRESS_BYTES];
    struct buf in;           /* a head that is not whole, or what was sent ahead */
    struct http_scan scan;
    struct http_body_reader body;
    struct buf out;
    size_t sent;             /* of out */
    double began;            /* the first byte of the request; before the first one, the connection */
    double progress;         /* when the reader last took something, or had nothing to take */
    double last_out;         /* when something was last written for it */
    double due;              /* of the timer; 0: not set */
    uint64_t bytes;          /* of the reply */
    struct http_request *request;
};

struct http_server {
    struct http_options o;
    struct event_base *base;
    struct event wake, deadline, pause; /* pause: until accepting is tried again */
    int wake_fd;                        /* an eventfd */
    atomic_int stops;                   /* calls of http_server_stop */
    atomic_int live;
    atomic_size_t bodies;
    pthread_t loop;
    bool stopping;                      /* the loop's view of stops */
    atomic_bool draining;               /* the same for threads that reply */
    struct listener listeners[LISTENERS_MAX];
    int n_listeners;
    int port;
    bool accepting, short_of_fds;
    struct conn *first, *last, *dead;   /* dead: freed when no callback uses them any more */
    int n_conns;
    char *scratch;
    pthread_mutex_t lock;
    struct keys *keys;
    struct http_request *queue, **queue_end;
};

/* http_server.c */
void server_wake(struct http_server *s);
void server_drain(struct http_server *s);              /* at the end of every callback of the loop: delivers what is queued, frees what is dead */
void server_has_room(struct http_server *s);           /* a connection was closed, or can be */

/* http_listen.c */
bool address_is_local(const struct sockaddr *a);       /* loopback, or a unix socket */
void address_text(const struct sockaddr *a, char out[ADDRESS_BYTES]);
void listeners_close(struct http_server *s);           /* closes their sockets, removes their names */

/* http_conn.c */
struct conn *conn_new(struct http_server *s, int fd, const struct listener *l, const struct sockaddr *from); /* NULL: out of memory, and fd is closed */
void conn_close(struct conn *c);                       /* at once; the client of an unfinished reply counts as gone */
void conn_free(struct conn *c);                        /* one that is closed */
void conn_deliver(struct conn *c);                     /* its request has something in the outbox, or has ended */
bool conn_is_idle(const struct conn *c);

/* http_check.c */
struct http_request *request_new(struct conn *c);      /* holds the connection's reference; NULL: out of memory */
/* Reads the head (n bytes of text, which it takes over, NULL: there is none) and judges all that can be judged before the body. 0: go on with it; -1: it was answered; otherwise a status, and
 * a reason in why, to refuse it with. */
int request_check(struct http_request *r, char *text, size_t n, bool checks_host, char *why, size_t cap);

/* http_route.c */
const struct http_dialect *route_claimed(const struct http_server *s, const struct http_request *r); /* for what has no route */
/* Finds r's route by its method and decoded path, and sets dialect, route and param. 0, 404 or 405. */
int route_find(struct http_request *r);
bool route_methods(const struct http_request *r, struct buf *out); /* "GET, HEAD, OPTIONS": those of r's path */

/* http_request.c */
void request_log(const struct http_request *r, int status, uint64_t bytes, const char *note); /* note: how it ended, or NULL */
void request_drop(struct http_request *r);             /* one of refs */
void request_queue(struct http_request *r);            /* the lock is held */

/* http_reply.c */
bool reply_options(struct http_request *r, bool preflight); /* to OPTIONS */
bool reply_piece(const struct http_request *r, struct slice bytes, struct buf *out); /* bytes as a piece of r's stream. false: out of memory */

#endif
