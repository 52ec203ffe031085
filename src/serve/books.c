/* books.c: requests written down; see books.h. One lock for the list of open entries and all in them: it is held for some tens of nanoseconds, but for /slots. */
#include "serve/books.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"

#define MARK_S 2.0    /* the speed is that of the last one to two of these */
#define WARN_S 60.0   /* rows that are lost are told of no more often */
enum { CLIENT_TEXT = 64, LABELS = 400 };

struct books {
    char *path;
    struct ledger *ledger; /* NULL: none is kept */
    struct energy_meter *meter; /* NULL: energy is not known */
    struct metrics *metrics;
    const char *const *captured;
    int n_captured;
    double begin;
    _Atomic double warned;
    pthread_mutex_t lock;
    pthread_cond_t settled;
    int pending; /* rows on their way */
    struct books_entry *first, *last;
};

/* ---- life ---- */

int books_new(struct books **out, const struct books_options *o, struct err *e) {
    struct books *b = *out = mem_calloc(1, sizeof *b);
    if (!b) return err_nomem(e, "the books", sizeof *b);
    b->metrics = o->metrics;
    b->captured = o->captured;
    b->n_captured = o->n_captured;
    b->begin = os_now();
    atomic_store(&b->warned, -WARN_S);
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->settled, NULL);
    int code = 0;
    if (o->ledger && !(b->path = mem_strndup(o->ledger, strlen(o->ledger)))) code = err_nomem(e, "the ledger's path", strlen(o->ledger));
    if (code == 0 && o->ledger) code = ledger_open(&b->ledger, o->ledger, e);
    if (code == 0 && o->watts >= 0) code = energy_open(&b->meter, NULL, (uint32_t)(o->watts < 100000 ? o->watts : 100000), e);
    if (code) {
        (void)books_free(b, NULL);
        *out = NULL;
    } else if (b->meter && energy_why(b->meter)) {
        log_info("energy is estimated, %lld W while there is work: %s", (long long)o->watts, energy_why(b->meter));
    }
    return code;
}

int books_free(struct books *b, struct err *e) {
    if (!b) return 0;
    const int code = ledger_close(b->ledger, e);
    energy_close(b->meter);
    (void)pthread_mutex_destroy(&b->lock);
    (void)pthread_cond_destroy(&b->settled);
    mem_free(b->path);
    mem_free(b);
    return code;
}

const char *books_ledger(const struct books *b) { return b->ledger ? b->path : NULL; }
struct metrics *books_metrics(const struct books *b) { return b->metrics; }
double books_uptime(const struct books *b) { return os_now() - b->begin; }

struct energy books_energy(struct books *b, double busy_s) {
    return b->meter ? energy_spent(b->meter, busy_s > 0 ? (uint64_t)(busy_s * 1e6) : 0) : (struct energy){0};
}

/* ---- who asks ---- */

/* The name of the key, else what the client calls itself ("OpenAI/Python", without a version), else its address. */
static struct slice client_of(const struct http_request *r) {
    struct slice name = slice_of(http_client(r)), agent = http_header(r, "user-agent");
    if (name.n) return name;
    size_t n = 0;
    while (n < agent.n && n < CLIENT_TEXT && agent.p[n] != ' ' && agent.p[n] != '(') n++;
    for (size_t i = n; i-- > 1;)
        if (agent.p[i] == '/' && i + 1 < n && agent.p[i + 1] >= '0' && agent.p[i + 1] <= '9') n = i;
    if (n == 7 && memcmp(agent.p, "Mozilla", n) == 0) return SLICE("browser"); /* as all of them say */
    return n ? (struct slice){agent.p, n} : slice_of(http_address(r));
}

bool books_captures(const struct books *b, const struct books_entry *n) {
    for (int i = 0; b->ledger && i < b->n_captured; i++)
        if (slice_is(client_of(n->http), b->captured[i])) return true;
    return false;
}

/* ---- open entries ---- */

void books_open(struct books *b, struct books_entry *n, struct http_request *r) {
    *n = (struct books_entry){.http = r, .model = "", .bytes_in = http_body(r).n};
    (void)pthread_mutex_lock(&b->lock);
    n->prev = b->last;
    if (b->last) b->last->next = n;
    else b->first = n;
    b->last = n;
    (void)pthread_mutex_unlock(&b->lock);
}

void books_model(struct books *b, struct books_entry *n, const char *model, const char *adapter, int64_t prompt_tokens) {
    (void)pthread_mutex_lock(&b->lock);
    n->model = model;
    n->adapter = adapter;
    n->tokens_in = prompt_tokens;
    (void)pthread_mutex_unlock(&b->lock);
}

void books_start(struct books *b, struct books_entry *n, int64_t cached) {
    (void)pthread_mutex_lock(&b->lock);
    if (!(n->started > 0)) n->started = os_now();
    if (cached > n->cached) n->cached = cached;
    (void)pthread_mutex_unlock(&b->lock);
}

void books_tokens(struct books *b, struct books_entry *n, int64_t more) {
    const double now = os_now();
    (void)pthread_mutex_lock(&b->lock);
    n->tokens += more;
    if (!(n->first > 0)) {
        n->first = n->mark[0].at = n->mark[1].at = now;
        n->mark[0].tokens = n->mark[1].tokens = n->tokens;
    } else if (now - n->mark[1].at >= MARK_S) {
        n->mark[0] = n->mark[1];
        n->mark[1].at = now;
        n->mark[1].tokens = n->tokens;
    }
    (void)pthread_mutex_unlock(&b->lock);
}

static void show(const struct books_entry *n, double now, struct jw *j) {
    const struct slice client = client_of(n->http);
    const double passed = now - n->mark[0].at;
    char id[32], name[CLIENT_TEXT * 4 + 8];
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)http_id(n->http));
    jw_open(j, NULL, '{');
    jw_str(j, "id", id);
    jw_str(j, "model", n->adapter ? n->adapter : n->model);
    jw_str(j, "client", err_quote(name, sizeof name, client.p, client.n));
    jw_str(j, "state", n->first > 0 ? "generating" : n->started > 0 ? "prompt" : "queued");
    jw_integer(j, "tokens_prompt", n->tokens_in);
    jw_integer(j, "tokens_cached", n->cached);
    jw_integer(j, "tokens", n->tokens);
    jw_number(j, "tokens_per_second", n->first > 0 && passed > 0 ? round((double)(n->tokens - n->mark[0].tokens) / passed * 100) / 100 : 0);
    jw_close(j, '}');
}

void books_slots(struct books *b, struct jw *j) {
    const double now = os_now();
    jw_open(j, NULL, '[');
    (void)pthread_mutex_lock(&b->lock);
    for (const struct books_entry *n = b->first; n; n = n->next) show(n, now, j);
    (void)pthread_mutex_unlock(&b->lock);
    jw_close(j, ']');
}

/* ---- the end ---- */

static void count(const struct books *b, const struct books_entry *n, int status, const struct usage *u, double now) {
    struct metrics *m = b->metrics;
    const double arrival = http_arrival(n->http);
    char labels[LABELS];
    (void)snprintf(labels, sizeof labels, "%s\t%d\t%s", http_endpoint(n->http), status, n->model);
    metric_add(m, METRIC_REQUESTS, labels, 1);
    if (!u || !(n->started > 0)) return;
    metric_add(m, METRIC_PROMPT_TOKENS, n->model, (double)n->tokens_in);
    metric_add(m, METRIC_CACHED_TOKENS, n->model, (double)u->cached);
    metric_add(m, METRIC_GENERATED_TOKENS, n->model, (double)u->out);
    if (!u->uncached) metric_add(m, METRIC_CACHE_LOOKUPS, u->cached ? "hit" : "miss", 1);
    metric_add(m, METRIC_ENERGY_JOULES, u->measured ? "measured" : "estimated", (double)u->energy_uj * 1e-6);
    metric_observe(m, METRIC_QUEUE_SECONDS, n->model, n->started - arrival);
    if (n->first > 0) metric_observe(m, METRIC_FIRST_TOKEN_SECONDS, n->model, n->first - arrival);
    if (n->first > 0 && n->tokens > 1) metric_observe(m, METRIC_TOKEN_SECONDS, n->model, (now - n->first) / (double)(n->tokens - 1));
}

static int64_t us(double from, double to) { return to > from ? (int64_t)((to - from) * 1e6) : 0; }

static struct ledger_row row_of(const struct books_entry *n, int status, const struct usage *u, double now) {
    const struct http_request *r = n->http;
    const double arrival = http_arrival(r);
    const bool worked = n->started > 0;
    return (struct ledger_row){
        .started_ms = os_wall_ms() - us(arrival, now) / 1000, .model = slice_of(n->model), .adapter = slice_of(n->adapter ? n->adapter : ""), .client = client_of(r),
        .dialect = slice_of(http_dialect_name(r)), .endpoint = slice_of(http_endpoint(r)), .tokens_in = worked ? n->tokens_in : 0, .tokens_cached = u->cached,
        .tokens_written = u->written, .tokens_out = u->out, .tokens_reasoning = u->reasoning, .queued_us = worked ? us(arrival, n->started) : us(arrival, now),
        .first_us = n->first > 0 ? us(arrival, n->first) : 0, .total_us = us(arrival, now), .bytes_in = (int64_t)n->bytes_in, .bytes_out = (int64_t)http_written(r), .status = status,
        .energy_uj = (int64_t)u->energy_uj, .energy = !u->energy_uj ? LEDGER_ENERGY_UNKNOWN : u->measured ? LEDGER_ENERGY_MEASURED : LEDGER_ENERGY_ESTIMATED};
}

static void lost(struct books *b, const struct err *e) {
    const double now = os_now();
    metric_add(b->metrics, METRIC_LEDGER_ROWS, "lost", 1);
    if (now - atomic_load(&b->warned) < WARN_S) return;
    atomic_store(&b->warned, now);
    log_warn("requests are missing in the ledger: %s", e->msg);
}

/* A row on its way, and the reply that waits for it. */
struct pending {
    struct books *books;
    struct http_request *http;
};

static void add_pending(struct books *b, int more) {
    (void)pthread_mutex_lock(&b->lock);
    b->pending += more;
    if (!b->pending) (void)pthread_cond_broadcast(&b->settled);
    (void)pthread_mutex_unlock(&b->lock);
}

void books_settle(struct books *b) {
    (void)pthread_mutex_lock(&b->lock);
    while (b->pending) (void)pthread_cond_wait(&b->settled, &b->lock);
    (void)pthread_mutex_unlock(&b->lock);
}

static void done(void *ctx, const struct err *e) {
    struct pending *p = ctx;
    struct books *b = p->books;
    if (e) lost(b, e);
    else metric_add(b->metrics, METRIC_LEDGER_ROWS, "written", 1);
    http_release(p->http);
    http_unref(p->http);
    mem_free(p);
    add_pending(b, -1);
}

/* 0: the reply is released when the row is safe. */
static int add_row(struct books *b, struct http_request *r, const struct ledger_row *row, const struct ledger_text *text, struct err *e) {
    struct pending *p = mem_alloc(sizeof *p);
    if (!p) return err_nomem(e, "a row of the ledger", sizeof *p);
    *p = (struct pending){b, r};
    http_ref(r);
    add_pending(b, 1);
    const int code = text ? ledger_add_text(b->ledger, row, text, done, p, e) : ledger_add(b->ledger, row, done, p, e);
    if (code == 0) return 0;
    add_pending(b, -1);
    http_unref(r);
    mem_free(p);
    return code;
}

void books_close(struct books *b, struct books_entry *n, int status, const struct usage *u) {
    const double now = os_now();
    struct http_request *r = n->http;
    struct err e = {0};
    (void)pthread_mutex_lock(&b->lock);
    if (n->prev) n->prev->next = n->next;
    else b->first = n->next;
    if (n->next) n->next->prev = n->prev;
    else b->last = n->prev;
    (void)pthread_mutex_unlock(&b->lock);
    count(b, n, status, u, now);
    if (b->ledger && u) {
        const struct ledger_row row = row_of(n, status, u, now);
        if (add_row(b, r, &row, u->text, &e) == 0) return;
        lost(b, &e);
    }
    http_release(r);
}
