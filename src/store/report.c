/* report.c: the ledger summed up; see report.h. One pass over the rows; a line for each key, found through a map. */
#include "store/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/strmap.h"
#include "store/date.h"
#include "store/ledger.h"

/* ---- what may be grouped by ---- */

/* The key of a row; space is for keys that no row holds. */
typedef struct slice key_of(const struct ledger_row *r, char space[DATE_TEXT]);

static struct slice by_day(const struct ledger_row *r, char space[DATE_TEXT]) {
    date_text(date_local(r->started_ms), space);
    return (struct slice){space, DATE_TEXT - 1};
}
static struct slice by_month(const struct ledger_row *r, char space[DATE_TEXT]) {
    date_text(date_local(r->started_ms), space);
    return (struct slice){space, sizeof "YYYY-MM" - 1};
}
static struct slice by_model(const struct ledger_row *r, char space[DATE_TEXT]) { return (void)space, r->model; }
static struct slice by_adapter(const struct ledger_row *r, char space[DATE_TEXT]) { return (void)space, r->adapter; }
static struct slice by_client(const struct ledger_row *r, char space[DATE_TEXT]) { return (void)space, r->client; }
static struct slice by_dialect(const struct ledger_row *r, char space[DATE_TEXT]) { return (void)space, r->dialect; }

static const struct {
    const char *name;
    key_of *key;
} groupings[] = {{"day", by_day}, {"month", by_month}, {"model", by_model}, {"adapter", by_adapter}, {"client", by_client}, {"dialect", by_dialect}};
enum { GROUPINGS = sizeof groupings / sizeof *groupings };

const char *report_grouping(int i) { return i >= 0 && i < GROUPINGS ? groupings[i].name : NULL; }

/* ---- summing ---- */

struct maker {
    struct report *r;
    const struct report_options *o;
    key_of *key;
    struct strmap map; /* from a key to its line */
    size_t cap;
};

static int line_of(struct maker *m, struct slice key, struct report_line **out, struct err *e) {
    struct report *r = m->r;
    uint32_t i;
    if (!strmap_get(&m->map, key, &i)) {
        if (r->n == REPORT_LINES) return err_set(e, ERR_UNSUPPORTED, "more than %d lines of a report; narrow it with --since and --until", REPORT_LINES);
        if (r->n == m->cap) {
            size_t cap = m->cap ? m->cap * 2 : 64;
            struct report_line *line = mem_array(r->line, cap, sizeof *line);
            if (!line) return err_nomem(e, "a report", cap * sizeof *line);
            r->line = line;
            m->cap = cap;
        }
        char *copy = arena_strndup(&r->keys, key.p, key.n);
        i = (uint32_t)r->n;
        if (!copy || strmap_put(&m->map, (struct slice){copy, key.n}, i) < 0) return err_nomem(e, "a report", key.n);
        r->line[r->n++] = (struct report_line){.key = copy};
    }
    *out = &r->line[i];
    return 0;
}

/* Adds one row, or one line: the same fields sum up both. false: beyond 2^63. */
static bool add(struct report_line *to, const struct report_line *v) {
    static const size_t fields[] = {
        offsetof(struct report_line, requests), offsetof(struct report_line, failed), offsetof(struct report_line, tokens_in),
        offsetof(struct report_line, tokens_cached), offsetof(struct report_line, tokens_out), offsetof(struct report_line, tokens_reasoning),
        offsetof(struct report_line, total_us), offsetof(struct report_line, measured_uj), offsetof(struct report_line, estimated_uj),
        offsetof(struct report_line, unmetered), offsetof(struct report_line, there), offsetof(struct report_line, unpriced)};
    bool ok = true;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        int64_t *sum = (void *)((char *)to + fields[i]);
        ok = ok && !__builtin_add_overflow(*sum, *(const int64_t *)(const void *)((const char *)v + fields[i]), sum);
    }
    return ok;
}

static int price_there(const struct report_options *o, const struct ledger_row *row, struct report_line *v, struct err *e) {
    if (!o->against) return 0;
    const struct price *p = price_on(o->prices, o->against, date_utc(row->started_ms));
    if (!p) {
        v->unpriced = 1;
        return 0;
    }
    return price_cost(p, (struct price_use){row->tokens_in, row->tokens_cached, row->tokens_written, row->tokens_out}, &v->there, e);
}

static int add_row(void *ctx, const struct ledger_row *row, struct err *e) {
    struct maker *m = ctx;
    struct report_line *line = NULL, v = {.requests = 1, .failed = row->status >= 400, .tokens_in = row->tokens_in, .tokens_cached = row->tokens_cached,
                                          .tokens_out = row->tokens_out, .tokens_reasoning = row->tokens_reasoning, .total_us = row->total_us};
    char space[DATE_TEXT];
    if (m->o->stop && *m->o->stop) return err_set(e, ERR_CANCELLED, "stopped");
    if (row->energy == LEDGER_ENERGY_MEASURED) v.measured_uj = row->energy_uj;
    else if (row->energy == LEDGER_ENERGY_ESTIMATED) v.estimated_uj = row->energy_uj;
    else v.unmetered = 1;
    int code = price_there(m->o, row, &v, e);
    if (code == 0) code = line_of(m, m->key(row, space), &line, e);
    if (code == 0 && !(add(line, &v) && add(&m->r->total, &v))) code = err_set(e, ERR_UNSUPPORTED, "a sum of the ledger is beyond 2^63; narrow it with --since and --until");
    return code;
}

static int price_here(struct report_line *line, int64_t per_kwh, struct err *e) {
    int64_t uj;
    if (per_kwh < 0) return 0;
    if (__builtin_add_overflow(line->measured_uj, line->estimated_uj, &uj)) return err_set(e, ERR_UNSUPPORTED, "a sum of energy is beyond 2^63");
    return price_energy(uj, per_kwh, &line->here, e);
}

static int compare(const void *a, const void *b) { return strcmp(((const struct report_line *)a)->key, ((const struct report_line *)b)->key); }

int report_make(struct report *r, const char *path, const struct report_options *o, struct err *e) {
    struct maker m = {.r = r, .o = o};
    *r = (struct report){.total.key = "total"};
    for (int i = 0; i < GROUPINGS; i++)
        if (strcmp(groupings[i].name, o->by) == 0) m.key = groupings[i].key;
    if (!m.key) return err_set(e, ERR_USAGE, "nothing is summed up by \"%.32s\"", o->by);
    int code = ledger_read(path, o->since_ms, o->until_ms, add_row, &m, e);
    strmap_free(&m.map);
    for (size_t i = 0; code == 0 && i < r->n; i++) code = price_here(&r->line[i], o->prices->per_kwh, e);
    if (code == 0) code = price_here(&r->total, o->prices->per_kwh, e);
    if (code == 0 && r->n) qsort(r->line, r->n, sizeof *r->line, compare);
    return code;
}

void report_free(struct report *r) {
    mem_free(r->line);
    arena_free(&r->keys);
    *r = (struct report){0};
}
