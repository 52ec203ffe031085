/* prog_http.c: a server for the tests of src/serve: small handlers over http.h, and a second thread, "the stepper", that replies and writes streams as
 * the step loop of the engine will. Arguments are NAME=VALUE: listen=HOST:PORT or unix:PATH (several), key=KEY, keys=FILE (read again on SIGHUP), origin=ORIGIN
 * (several), and the names of struct http_limits. Prints "port N" when it is ready; SIGTERM stops it, and it prints what is left: "live N memory N". */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/http.h"
#include "serve/systemd.h"

enum { MOST = 32 };

enum work { LATER, STREAM, FORGET, FORGET_STREAM, CUT };

/* What the stepper has to do for one request. It holds a reference to the request until it is done; the request owns it. */
struct job {
    struct server *server;
    struct http_request *request;
    struct job *next;
    enum work work;
    int left, sent, size;
    double every, due;
    bool events;
    atomic_bool closed; /* by on_close */
};

struct server {
    struct http_server *http;
    struct metrics *metrics;
    const char *key, *keys_file;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *jobs; /* under the lock */
    bool stop;
    atomic_int closes, releases, attached, failed_writes;
    sigset_t signals;
};

static void die(const char *what, const struct err *e) {
    fprintf(stderr, "prog_http: %s: %s\n", what, e->msg);
    _exit(1);
}

/* ---- the stepper ---- */

static void write_one(struct job *j) {
    char *data = malloc((size_t)j->size + 32);
    int n = snprintf(data, 32, "%d ", j->sent++);
    while (n < j->size) data[n++] = 'x';
    bool ok;
    if (j->events) ok = http_stream_event(j->request, j->sent % 2 ? NULL : "token", (struct slice){data, (size_t)n});
    else {
        data[n++] = '\n';
        ok = http_stream_write(j->request, data, (size_t)n);
    }
    if (!ok) atomic_fetch_add(&j->server->failed_writes, 1), j->left = 0;
    free(data);
}

/* Does what is due; false: the job is done. */
static bool step(struct job *j) {
    struct http_request *r = j->request;
    static const struct http_stream plain = {.type = "application/x-ndjson"};
    if (http_gone(r)) return false;
    switch (j->work) {
    case LATER: http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .body = SLICE("later")}); return false;
    case FORGET: return false;
    case FORGET_STREAM:
    case CUT:
        http_stream_begin(r, &plain);
        http_stream_write(r, "half\n", 5);
        if (j->work == CUT) http_stream_cut(r);
        return false;
    default: break;
    }
    if (j->left > 0) write_one(j), j->left--;
    if (j->left > 0) return true;
    http_stream_end(r);
    return false;
}

static void *stepper(void *arg) {
    struct server *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop || s->jobs) {
        double now = os_now(), next = now + 0.5;
        struct job *mine = s->jobs, *kept = NULL;
        s->jobs = NULL;
        pthread_mutex_unlock(&s->lock);
        while (mine) {
            struct job *j = mine;
            mine = j->next;
            bool keep = !atomic_load(&j->closed);
            while (keep && j->due <= now) {
                keep = step(j);
                j->due += j->every;
                if (j->every <= 0) break;
            }
            if (keep) {
                j->next = kept;
                kept = j;
                if (j->due < next) next = j->due;
            } else http_unref(j->request); /* j is gone with it */
        }
        pthread_mutex_lock(&s->lock);
        if (kept) {
            struct job *end = kept;
            while (end->next) end = end->next;
            end->next = s->jobs;
            s->jobs = kept;
        } else if (s->jobs || s->stop) continue;
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        double wake = (double)t.tv_sec + (double)t.tv_nsec * 1e-9 + (next - now);
        t = (struct timespec){.tv_sec = (time_t)wake, .tv_nsec = (long)((wake - (double)(time_t)wake) * 1e9)};
        if (next > now) pthread_cond_timedwait(&s->more, &s->lock, &t);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void on_close(void *ctx) {
    struct job *j = ctx;
    atomic_store(&j->closed, true);
    atomic_fetch_add(&j->server->closes, 1);
    pthread_mutex_lock(&j->server->lock); /* what a scheduler would do: wake up and look */
    pthread_cond_signal(&j->server->more);
    pthread_mutex_unlock(&j->server->lock);
}

static void release(void *ctx) {
    struct job *j = ctx;
    atomic_fetch_add(&j->server->releases, 1);
    mem_free(j);
}

static double number(const struct http_request *r, const char *name, double otherwise) {
    struct slice v;
    return http_query(r, name, &v) ? atof(v.p) : otherwise;
}

static void give(struct server *s, struct http_request *r, enum work work) {
    struct job *j = mem_calloc(1, sizeof *j);
    struct slice kind;
    if (!j) {
        http_error(r, 503, 1, "no memory for the job");
        return;
    }
    j->server = s;
    j->request = r;
    j->work = work;
    j->left = (int)number(r, "n", 5);
    j->size = (int)number(r, "size", 10);
    j->every = number(r, "every", 0);
    j->due = os_now() + number(r, "after", 0);
    if (work == STREAM) {
        j->events = http_query(r, "kind", &kind) && slice_is(kind, "sse");
        bool pings = number(r, "ping", 0) > 0;
        http_stream_begin(r, &(struct http_stream){.type = j->events ? "text/event-stream" : "application/x-ndjson", .ping = pings ? HTTP_PING : NULL, .ping_s = number(r, "ping", 0)});
    }
    atomic_fetch_add(&s->attached, 1);
    http_ref(r);
    http_attach(r, j, on_close, release);
    pthread_mutex_lock(&s->lock);
    j->next = s->jobs;
    s->jobs = j;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

/* ---- handlers ---- */

static void text(struct http_request *r, const char *body) { http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .body = slice_of(body)}); }

static void echo(void *ctx, struct http_request *r) {
    char id[32];
    struct slice agent = http_header(r, "USER-agent");
    char agent_text[100];
    (void)ctx;
    snprintf(id, sizeof id, "%016llx", (unsigned long long)http_id(r));
    snprintf(agent_text, sizeof agent_text, "%.*s", (int)agent.n, agent.p ? agent.p : "");
    struct http_field fields[] = {{"X-Request-Id", id}, {"X-Client", http_client(r)}, {"X-Address", http_address(r)}, {"X-Agent", agent_text}};
    http_reply(r, &(struct http_reply){.status = 200, .type = "application/octet-stream", .body = http_body(r), .fields = fields, .n_fields = 4});
    http_drop_body(r);
}

static void hello(void *ctx, struct http_request *r) { (void)ctx, text(r, "hello"); }

static void item(void *ctx, struct http_request *r) {
    (void)ctx;
    http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .body = http_param(r)});
}

static void query(void *ctx, struct http_request *r) {
    struct slice v;
    (void)ctx;
    if (http_query(r, "name", &v)) http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .body = v});
    else http_error(r, 400, 0, "name: is missing");
}

static void path(void *ctx, struct http_request *r) {
    (void)ctx;
    http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .body = http_path(r)});
}

static void page(void *ctx, struct http_request *r) {
    (void)ctx;
    struct http_field field = {"Cache-Control", "no-cache"};
    http_reply(r, &(struct http_reply){.status = 200, .type = "text/html; charset=utf-8", .body = SLICE("<!doctype html>"), .fields = &field, .n_fields = 1, .cached = true});
}

static void large(void *ctx, struct http_request *r) {
    size_t n = (size_t)number(r, "n", 1000);
    char *body = malloc(n + 1);
    (void)ctx;
    for (size_t i = 0; i < n; i++) body[i] = (char)('a' + i % 26);
    http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .body = {body, n}});
    free(body);
}

static void bad_header(void *ctx, struct http_request *r) {
    struct http_field field = {"X-Split", "a\r\nSet-Cookie: b"};
    (void)ctx;
    http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .fields = &field, .n_fields = 1});
}

static void busy(void *ctx, struct http_request *r) { (void)ctx, http_error(r, 429, 7, "busy: %s", "come back"); }
static void full(void *ctx, struct http_request *r) { (void)ctx, http_error(r, 503, 7, "full"); }
static void twice(void *ctx, struct http_request *r) { (void)ctx, text(r, "first"), text(r, "second"); }
static void nothing(void *ctx, struct http_request *r) { (void)ctx, (void)r; }
static void lines(void *ctx, struct http_request *r) {
    (void)ctx;
    http_stream_begin(r, &(struct http_stream){.type = "text/event-stream"});
    http_stream_event(r, NULL, SLICE("one"));
    http_stream_event(r, "two", SLICE("a\nb\n"));
    http_stream_event(r, NULL, SLICE("c\n\nd"));
    http_stream_event(r, "none", SLICE(""));
    http_stream_write(r, "", 0);
    http_stream_end(r);
}

static void stream(void *ctx, struct http_request *r) { give(ctx, r, STREAM); }
static void later(void *ctx, struct http_request *r) { give(ctx, r, LATER); }
static void forget(void *ctx, struct http_request *r) { give(ctx, r, FORGET); }
static void forget_stream(void *ctx, struct http_request *r) { give(ctx, r, FORGET_STREAM); }
static void cut(void *ctx, struct http_request *r) { give(ctx, r, CUT); }

static long resident(void) {
    long pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &all, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return pages * 4096;
}

static void stats(void *ctx, struct http_request *r) {
    struct server *s = ctx;
    char out[512];
    snprintf(out, sizeof out, "{\"live\": %d, \"memory\": %lld, \"closes\": %d, \"releases\": %d, \"attached\": %d, \"failed_writes\": %d, \"resident\": %ld, \"cpu\": %.6f}",
             http_server_live(s->http), (long long)mem_live(), atomic_load(&s->closes), atomic_load(&s->releases), atomic_load(&s->attached), atomic_load(&s->failed_writes), resident(),
             (double)clock() / CLOCKS_PER_SEC);
    text(r, out);
}

static void metrics(void *ctx, struct http_request *r) {
    struct server *s = ctx;
    struct buf b = {0};
    if (metrics_print(s->metrics, &b)) http_reply(r, &(struct http_reply){.status = 200, .type = METRICS_TYPE, .body = {b.data, b.len}});
    buf_free(&b);
}

static const struct http_route plain_routes[] = {
    {"POST", "/echo", echo, 0}, {"PUT", "/echo", echo, 0}, {"GET", "/hello", hello, 0}, {"GET", "/items/{id}", item, 0}, {"GET", "/files/{path...}", item, 0}, {"GET", "/items/special", hello, 0},
    {"GET", "/query", query, 0}, {"GET", "/p%61th", path, 0}, {"GET", "/page", page, 0}, {"GET", "/large", large, 0}, {"GET", "/bad-header", bad_header, 0}, {"GET", "/busy", busy, 0}, {"GET", "/full", full, 0},
    {"GET", "/twice", twice, 0}, {"GET", "/nothing", nothing, 0}, {"GET", "/lines", lines, 0}, {"GET", "/stream", stream, 0}, {"POST", "/stream", stream, 0}, {"GET", "/later", later, 0},
    {"POST", "/later", later, 0}, {"GET", "/forget", forget, 0}, {"GET", "/forget-stream", forget_stream, 0}, {"GET", "/cut", cut, 0}, {"GET", "/open", hello, HTTP_OPEN | HTTP_QUIET},
    {"GET", "/stats", stats, HTTP_OPEN | HTTP_QUIET}, {"GET", "/metrics", metrics, HTTP_OPEN | HTTP_QUIET}, {"GET", "/shared", hello, 0},
};

static void other(void *ctx, struct http_request *r) { (void)ctx, text(r, "other"); }
static const struct http_route other_routes[] = {{"GET", "/shared", other, 0}, {"GET", "/other/full", full, 0}, {"POST", "/other/only", other, 0}};

/* Messages have no quotes or backslashes except in what err_quote has quoted. */
static bool error_in(const char *family, int status, const char *message, struct buf *b) {
    bool ok = buf_printf(b, "{\"family\": \"%s\", \"status\": %d, \"message\": \"", family, status);
    for (; ok && *message; message++) ok = (*message != '"' && *message != '\\') || buf_char(b, '\\') ? buf_char(b, *message) : false;
    return ok && buf_str(b, "\"}");
}
static bool plain_error(int status, const char *message, struct buf *b) { return error_in("plain", status, message, b); }
static bool other_error(int status, const char *message, const char *id, struct buf *b) {
    if (!error_in("other", status, message, b)) return false;
    b->len--; /* the brace */
    return buf_printf(b, ", \"id\": \"%s\"}", id);
}

static const struct http_dialect plain = {.name = "plain", .routes = plain_routes, .n_routes = sizeof plain_routes / sizeof *plain_routes, .error = plain_error};
static const struct http_dialect second = {.name = "other", .routes = other_routes, .n_routes = sizeof other_routes / sizeof *other_routes, .claim_header = "x-other", .claim_prefix = "/other/",
                                           .error_with_id = other_error, .id_header = "x-id", .overloaded = 529};
static const struct http_dialect *const dialects[] = {&plain, &second};

/* ---- the program ---- */

static struct keys *read_keys(const struct server *s) {
    struct keys *k;
    struct err e = {0};
    if (keys_new(&k, &e)) die("keys", &e);
    if (s->key && keys_add(k, slice_of(s->key), NULL, &e)) die("key", &e);
    if (s->keys_file && keys_read_file(k, s->keys_file, &e)) die("keys", &e);
    return k;
}

static void *signals(void *arg) {
    struct server *s = arg;
    struct err e = {0};
    for (int sig; sigwait(&s->signals, &sig) == 0;) {
        if (sig == SIGUSR1) return NULL;
        if (sig == SIGHUP && http_server_set_keys(s->http, read_keys(s), &e)) fprintf(stderr, "prog_http: %s\n", e.msg);
        if (sig != SIGTERM) continue;
        (void)systemd_notify("STOPPING=1", &e);
        http_server_stop(s->http);
    }
    return NULL;
}

static bool limit(struct http_limits *l, const char *name, const char *value) {
    struct {
        const char *name;
        size_t *bytes;
        double *seconds;
    } all[] = {{"head_bytes", &l->head_bytes, NULL}, {"body_bytes", &l->body_bytes, NULL}, {"bodies_bytes", &l->bodies_bytes, NULL}, {"backlog_bytes", &l->backlog_bytes, NULL},
               {"head_s", NULL, &l->head_s}, {"body_s", NULL, &l->body_s}, {"idle_s", NULL, &l->idle_s}, {"stall_s", NULL, &l->stall_s}, {"drain_s", NULL, &l->drain_s}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0) {
            if (all[i].bytes) *all[i].bytes = (size_t)atoll(value);
            else *all[i].seconds = atof(value);
            return true;
        }
    if (strcmp(name, "connections") != 0) return false;
    l->connections = atoi(value);
    return true;
}

static void listen_on(struct server *s, const char *const *at, int n) {
    struct err e = {0};
    int fds[SYSTEMD_FDS_MAX], n_fds;
    if (systemd_listen_fds(fds, &n_fds, &e)) die("sockets", &e);
    for (int i = 0; i < n_fds; i++)
        if (http_server_listen_fd(s->http, fds[i], &e)) die("listen", &e);
    for (int i = 0; i < n; i++) {
        char host[200];
        const char *colon = strncmp(at[i], "unix:", 5) == 0 ? NULL : strrchr(at[i], ':');
        snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - at[i]) : (int)strlen(at[i]), at[i]);
        if (http_server_listen(s->http, host, colon ? atoi(colon + 1) : 0, &e)) die("listen", &e);
    }
}

int main(int argc, char **argv) {
    struct server s = {0};
    struct http_options o = {.dialects = dialects, .n_dialects = 2, .ctx = &s};
    const char *at[MOST], *origins[MOST];
    int n_at = 0;
    struct err e = {0};
    o.origins = origins;
    log_set_level(LOG_INFO);
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) return 2;
        *value++ = 0;
        if (strcmp(argv[i], "listen") == 0 && n_at < MOST) at[n_at++] = value;
        else if (strcmp(argv[i], "origin") == 0 && o.n_origins < MOST) origins[o.n_origins++] = value;
        else if (strcmp(argv[i], "key") == 0) s.key = value;
        else if (strcmp(argv[i], "keys") == 0) s.keys_file = value;
        else if (!limit(&o.limits, argv[i], value)) return 2;
    }
    pthread_t step_thread, signal_thread;
    sigemptyset(&s.signals);
    sigaddset(&s.signals, SIGTERM);
    sigaddset(&s.signals, SIGHUP);
    sigaddset(&s.signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &s.signals, NULL);
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.more, NULL);
    if (metrics_new(&s.metrics, &e)) die("metrics", &e);
    o.metrics = s.metrics;
    if (http_server_new(&s.http, &o, &e) || http_server_set_keys(s.http, read_keys(&s), &e)) die("server", &e);
    listen_on(&s, at, n_at);
    if (pthread_create(&step_thread, NULL, stepper, &s) || pthread_create(&signal_thread, NULL, signals, &s)) return 1;
    printf("port %d\n", http_server_port(s.http));
    fflush(stdout);
    if (systemd_notify("READY=1", &e)) fprintf(stderr, "prog_http: %s\n", e.msg);
    int code = http_server_run(s.http, &e);
    if (code) die("run", &e);
    pthread_mutex_lock(&s.lock);
    s.stop = true;
    pthread_cond_signal(&s.more);
    pthread_mutex_unlock(&s.lock);
    pthread_join(step_thread, NULL);
    pthread_kill(signal_thread, SIGUSR1);
    pthread_join(signal_thread, NULL);
    int live = http_server_live(s.http);
    http_server_free(s.http);
    metrics_free(s.metrics);
    printf("live %d memory %lld\n", live, (long long)mem_live());
    return 0;
}
