/* metrics.c: numbers about the server; see metrics.h. One lock for all: it is held for some tens of nanoseconds, and a page then shows one moment. */
#include "serve/metrics.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct row {
    const char *name, *help;
    enum kind kind;
    const char *label;             /* or NULL; several with tabs between them */
    double bounds[METRIC_BOUNDS];  /* upper ones of a histogram, rising, ended by 0; the last, without end, is not listed */
};

static const struct row rows[] = {
    [METRIC_CONNECTIONS] = {"hearth_connections", "Connections that are open.", GAUGE, NULL, {0}},
    [METRIC_CONNECTIONS_TOTAL] = {"hearth_connections_total", "Connections that were accepted.", COUNTER, NULL, {0}},
    [METRIC_HTTP_REQUESTS] = {"hearth_http_requests_total", "Requests of every kind that were answered, by status; 499: the client left first.", COUNTER, "status", {0}},
    [METRIC_REQUESTS_LIVE] = {"hearth_requests_live", "Requests that are being read or answered.", GAUGE, NULL, {0}},
    [METRIC_REQUEST_SECONDS] = {"hearth_request_seconds", "Time from a request's first byte to the last of its reply.", HISTOGRAM, NULL,
                                {0.001, 0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}},
    [METRIC_CLIENTS_LEFT] = {"hearth_clients_left_total", "Clients that left before their reply was complete.", COUNTER, NULL, {0}},
    [METRIC_STREAMS_CUT] = {"hearth_streams_cut_total", "Replies that the server ended before they were complete, by reason.", COUNTER, "reason", {0}},
    [METRIC_BYTES_IN] = {"hearth_received_bytes_total", "Bytes received from clients.", COUNTER, NULL, {0}},
    [METRIC_BYTES_OUT] = {"hearth_sent_bytes_total", "Bytes sent to clients.", COUNTER, NULL, {0}},
    [METRIC_REQUESTS] = {"hearth_requests_total", "What models were asked, by endpoint, status and model; 499: the client left first.", COUNTER, "endpoint\tstatus\tmodel", {0}},
    [METRIC_PROMPT_TOKENS] = {"hearth_prompt_tokens_total", "Tokens of prompts.", COUNTER, "model", {0}},
    [METRIC_CACHED_TOKENS] = {"hearth_prompt_tokens_cached_total", "Tokens of prompts that came from the cache.", COUNTER, "model", {0}},
    [METRIC_GENERATED_TOKENS] = {"hearth_generated_tokens_total", "Tokens that were generated.", COUNTER, "model", {0}},
    [METRIC_FIRST_TOKEN_SECONDS] = {"hearth_first_token_seconds", "Time from a request's first byte to its first token.", HISTOGRAM, "model",
                                    {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}},
    [METRIC_TOKEN_SECONDS] = {"hearth_token_seconds", "Time per token behind the first: one mean for each request.", HISTOGRAM, "model",
                              {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5}},
    [METRIC_QUEUE_SECONDS] = {"hearth_queue_seconds", "Time from a request's first byte to the beginning of work on it.", HISTOGRAM, "model",
                              {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}},
    [METRIC_ENERGY_JOULES] = {"hearth_energy_joules_total", "Energy that requests took.", COUNTER, "source", {0}},
    [METRIC_LEDGER_ROWS] = {"hearth_ledger_rows_total", "Rows for the ledger: written to the disk, or lost.", COUNTER, "result", {0}},
    [METRIC_CACHE_LOOKUPS] = {"hearth_cache_lookups_total", "Prompts of which a beginning was in the cache, and those that began anew.", COUNTER, "result", {0}},
    [METRIC_JOBS_WAITING] = {"hearth_jobs_waiting", "Answers that wait for a place.", GAUGE, NULL, {0}},
    [METRIC_JOBS_LIVE] = {"hearth_jobs_live", "Answers that are being computed.", GAUGE, NULL, {0}},
    [METRIC_MODEL_BYTES] = {"hearth_model_bytes", "Memory of models that are open: weights, buffers of a step, keys and values of answers under way.", GAUGE, "kind\tmodel", {0}},
    [METRIC_CACHE_BYTES] = {"hearth_cache_bytes", "Memory of the cache of prompts.", GAUGE, "model", {0}},
    [METRIC_CACHE_LIMIT_BYTES] = {"hearth_cache_limit_bytes", "Memory that the cache of prompts may take.", GAUGE, "model", {0}},
    [METRIC_DISK_BYTES] = {"hearth_cache_disk_bytes", "What the cache of prompts takes on the disk.", GAUGE, NULL, {0}},
    [METRIC_DISK_LIMIT_BYTES] = {"hearth_cache_disk_limit_bytes", "What the cache of prompts may take on the disk; 0: there is none.", GAUGE, NULL, {0}},
    [METRIC_DISK_BLOCKS] = {"hearth_cache_disk_blocks_total", "Pages of prompts read from the disk and written to it, those that were damaged, and those that could not be written.", COUNTER, "result", {0}},
    [METRIC_MEMORY_BYTES] = {"hearth_memory_bytes", "Memory that the server occupies, mapped weights included.", GAUGE, NULL, {0}},
    [METRIC_UPTIME_SECONDS] = {"hearth_uptime_seconds", "Time since the server was started.", GAUGE, NULL, {0}},
};
_Static_assert(sizeof rows / sizeof *rows == METRICS, "a row for each metric");

/* The numbers of one value of a label. */
struct series {
    char value[METRIC_VALUE_BYTES];
    double sum;                           /* or the number of a counter or gauge */
    uint64_t count[METRIC_BOUNDS];        /* observations up to each bound and above the one before; the last: above all */
};

/* Of one row: what has no label has one series. "other" is there from the start, so that counting in it cannot fail. */
struct family {
    struct series *at;
    int n;
    struct series other;
};

struct metrics {
    pthread_mutex_t lock;
    struct family family[METRICS];
};

int metrics_new(struct metrics **out, struct err *e) {
    struct metrics *m = *out = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(e, "metrics", sizeof *m);
    (void)pthread_mutex_init(&m->lock, NULL);
    for (int i = 0; i < METRICS; i++) memcpy(m->family[i].other.value, "other", sizeof "other");
    return 0;
}

void metrics_free(struct metrics *m) {
    if (!m) return;
    for (int i = 0; i < METRICS; i++) mem_free(m->family[i].at);
    (void)pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

/* The lock is held. */
static struct series *find(struct metrics *m, enum metric which, const char *value) {
    struct family *f = &m->family[which];
    if (!rows[which].label) return &f->other;
    char name[METRIC_VALUE_BYTES];
    size_t n = value ? strlen(value) : 0;
    if (n >= sizeof name) n = sizeof name - 1;
    while (n && n < strlen(value) && ((unsigned char)value[n] & 0xc0) == 0x80) n--; /* no half of a character */
    if (n) memcpy(name, value, n);
    name[n] = 0;
    if (strcmp(name, f->other.value) == 0) return &f->other;
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->at[i].value, name) == 0) return &f->at[i];
    struct series *more = f->n < METRIC_VALUES ? mem_array(f->at, (size_t)f->n + 1, sizeof *more) : NULL;
    if (!more) return &f->other;
    f->at = more;
    more[f->n] = (struct series){0};
    memcpy(more[f->n].value, name, n + 1);
    return &more[f->n++];
}

void metric_add(struct metrics *m, enum metric which, const char *value, double more) {
    assert(rows[which].kind != HISTOGRAM && (more >= 0 || rows[which].kind == GAUGE));
    if (!m) return;
    (void)pthread_mutex_lock(&m->lock);
    find(m, which, value)->sum += more;
    (void)pthread_mutex_unlock(&m->lock);
}

void metric_set(struct metrics *m, enum metric which, const char *value, double to) {
    assert(rows[which].kind != HISTOGRAM);
    if (!m) return;
    (void)pthread_mutex_lock(&m->lock);
    find(m, which, value)->sum = to;
    (void)pthread_mutex_unlock(&m->lock);
}

void metric_clear(struct metrics *m, enum metric which) {
    assert(rows[which].kind == GAUGE);
    if (!m) return;
    struct family *f = &m->family[which];
    (void)pthread_mutex_lock(&m->lock);
    for (int i = 0; i < f->n; i++) f->at[i].sum = 0;
    f->other.sum = 0;
    (void)pthread_mutex_unlock(&m->lock);
}

void metric_observe(struct metrics *m, enum metric which, const char *value, double x) {
    assert(rows[which].kind == HISTOGRAM);
    if (!m || isnan(x)) return;
    const double *bounds = rows[which].bounds;
    int i = 0;
    while (i < METRIC_BOUNDS - 1 && bounds[i] > 0 && x > bounds[i]) i++;
    (void)pthread_mutex_lock(&m->lock);
    struct series *s = find(m, which, value);
    s->count[i]++;
    s->sum += x;
    (void)pthread_mutex_unlock(&m->lock);
}

static bool print_value(struct buf *out, struct slice name, struct slice value) {
    bool ok = buf_add(out, name.p, name.n) && buf_str(out, "=\"");
    for (size_t i = 0; ok && i < value.n; i++) {
        const char c = value.p[i];
        if (c == '\\' || c == '"' || c == '\n') ok = buf_char(out, '\\');
        ok = ok && buf_char(out, c == '\n' ? 'n' : c);
    }
    return ok && buf_char(out, '"');
}

/* What stands in front of the next tab, or all of it when it is the last; *text goes on behind. */
static struct slice part(const char **text, bool last) {
    const size_t n = last ? strlen(*text) : strcspn(*text, "\t");
    const struct slice s = {*text, n};
    *text += n + ((*text)[n] == '\t');
    return s;
}

/* {label="value",le="bound"} with what there is of it. "other" is that in each of its labels. */
static bool print_labels(struct buf *out, const struct row *row, const char *value, const char *bound) {
    if (!row->label && !bound) return true;
    const bool other = strcmp(value, "other") == 0;
    bool ok = buf_char(out, '{'), first = true;
    for (const char *label = row->label; ok && label && *label; first = false) {
        const struct slice name = part(&label, false), v = other ? SLICE("other") : part(&value, !*label);
        ok = (first || buf_char(out, ',')) && print_value(out, name, v);
    }
    if (bound) ok = ok && buf_printf(out, "%sle=\"%s\"", row->label ? "," : "", bound);
    return ok && buf_char(out, '}');
}

static bool print_line(struct buf *out, const struct row *row, const char *suffix, const char *value, const char *bound, double v) {
    bool whole = v == floor(v) && fabs(v) < 1e15;
    return buf_printf(out, "%s%s", row->name, suffix) && print_labels(out, row, value, bound) &&
           (isinf(v) ? buf_str(out, v > 0 ? " +Inf\n" : " -Inf\n") : whole ? buf_printf(out, " %.0f\n", v) : buf_printf(out, " %.17g\n", v));
}

static bool print_series(struct buf *out, const struct row *row, const struct series *s) {
    if (row->kind != HISTOGRAM) return print_line(out, row, "", s->value, NULL, s->sum);
    uint64_t below = 0;
    bool ok = true;
    for (int i = 0, last = 0; ok && !last; i++) {
        char bound[32];
        last = i == METRIC_BOUNDS - 1 || !(row->bounds[i] > 0);
        if (last) memcpy(bound, "+Inf", sizeof "+Inf");
        else (void)snprintf(bound, sizeof bound, "%.9g", row->bounds[i]);
        below += s->count[i];
        ok = print_line(out, row, "_bucket", s->value, bound, (double)below);
    }
    return ok && print_line(out, row, "_sum", s->value, NULL, s->sum) && print_line(out, row, "_count", s->value, NULL, (double)below);
}

static bool is_used(const struct series *s) {
    uint64_t n = 0;
    for (int i = 0; i < METRIC_BOUNDS; i++) n += s->count[i];
    return n > 0 || s->sum < 0 || s->sum > 0;
}

bool metrics_print(struct metrics *m, struct buf *out) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    bool ok = true;
    if (!m) return true;
    (void)pthread_mutex_lock(&m->lock);
    for (int i = 0; ok && i < METRICS; i++) {
        const struct row *row = &rows[i];
        const struct family *f = &m->family[i];
        ok = buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, kinds[row->kind]);
        for (int k = 0; ok && k < f->n; k++) ok = print_series(out, row, &f->at[k]);
        if (ok && (!row->label || is_used(&f->other))) ok = print_series(out, row, &f->other);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return ok;
}
