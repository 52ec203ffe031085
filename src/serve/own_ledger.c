/* own_ledger.c: GET /api/ledger: the ledger summed up as the page shows it; see own.h. Prices are read anew each time, so that a change of theirs is seen. */
#include <string.h>

#include "base/os.h"
#include "serve/own.h"
#include "store/date.h"
#include "store/report.h"

#define UJ_PER_KWH 3.6e12

/* What is asked, and what it comes to. */
struct view {
    const char *by;
    int32_t since, until; /* days */
    struct price_table prices;
    struct report report;
    const char *against; /* NULL: none */
};

/* Errors of code ERR_USAGE are the client's. */
static int read_query(struct view *v, const struct http_request *r, struct err *e) {
    static const char *const groupings[] = {"day", "model", "client"};
    struct slice text;
    v->until = date_local(os_wall_ms());
    if (!http_query(r, "by", &text)) return err_set(e, ERR_USAGE, "by: missing; use day, model or client");
    for (size_t i = 0; i < sizeof groupings / sizeof *groupings; i++)
        if (slice_is(text, groupings[i])) v->by = groupings[i];
    if (!v->by) return err_set(e, ERR_USAGE, "by: use day, model or client");
    if (http_query(r, "since", &text) && !date_parse(text, &v->since)) return err_set(e, ERR_USAGE, "since: not a day; write it like 2026-11-29");
    return 0;
}

static int choose_against(struct view *v, const struct http_request *r, struct err *e) {
    struct slice text = {0};
    const bool asked = http_query(r, "against", &text) && text.n;
    if (!asked && !v->prices.against) return 0;
    v->against = price_model(&v->prices, asked ? text : slice_of(v->prices.against));
    if (v->against) return 0;
    return asked ? err_set(e, ERR_USAGE, "against: no prices are known of this model") : err_set(e, ERR_FORMAT, "against = %.128s: the table of prices does not have this model", v->prices.against);
}

static int make(struct view *v, struct service *s, const struct http_request *r, struct err *e) {
    int code = read_query(v, r, e);
    price_table_init(&v->prices);
    if (code == 0) code = price_table_load(&v->prices, NULL, e);
    if (code == 0) code = choose_against(v, r, e);
    if (code) return code;
    const struct report_options o = {.since_ms = v->since ? date_local_start(v->since) : 0, .until_ms = date_local_start(v->until + 1), .by = v->by, .prices = &v->prices, .against = v->against};
    code = report_make(&v->report, books_ledger(service_books(s)), &o, e);
    return code == ERR_USAGE ? ERR_INTERNAL : code;
}

static void write_prices(struct jw *j, const struct price_table *t) {
    jw_open(j, "prices", '[');
    for (int i = 0; i < t->n; i++) {
        char day[DATE_TEXT] = "";
        bool first = true;
        for (int k = 0; first && k < i; k++) first = strcmp(t->at[k].model, t->at[i].model) != 0;
        if (!first) continue; /* a model stands once for each day of new prices */
        const struct price *p = price_on(t, t->at[i].model, INT32_MAX);
        if (p && p->as_of != PRICE_ALWAYS) date_text(p->as_of, day);
        jw_open(j, NULL, '{');
        jw_str(j, "name", t->at[i].model);
        jw_str(j, "dated", day);
        jw_close(j, '}');
    }
    jw_close(j, ']');
}

static int64_t micro(int64_t picodollars) { return picodollars / 1000000 + (picodollars % 1000000 >= 500000); }

static void write_rows(struct jw *j, const struct report *report) {
    jw_open(j, "rows", '[');
    for (size_t i = 0; i < report->n; i++) {
        const struct report_line *l = &report->line[i];
        jw_open(j, NULL, '{');
        jw_str(j, "key", l->key);
        jw_integer(j, "requests", l->requests);
        jw_integer(j, "tokens_in", l->tokens_in);
        jw_integer(j, "tokens_cached", l->tokens_cached);
        jw_integer(j, "tokens_out", l->tokens_out);
        jw_number(j, "kwh", ((double)l->measured_uj + (double)l->estimated_uj) / UJ_PER_KWH);
        jw_integer(j, "cost_here", micro(l->here));
        jw_integer(j, "cost_there", micro(l->there));
        jw_close(j, '}');
    }
    jw_close(j, ']');
}

static void write(struct jw *j, const struct view *v) {
    const struct report_line *total = &v->report.total;
    char since[DATE_TEXT], until[DATE_TEXT];
    date_text(v->since, since);
    date_text(v->until, until);
    jw_open(j, NULL, '{');
    jw_str(j, "by", v->by);
    jw_str(j, "since", since);
    jw_str(j, "until", until);
    jw_str(j, "against", v->against ? v->against : "");
    write_prices(j, &v->prices);
    jw_str(j, "energy", !total->measured_uj ? "estimated" : total->estimated_uj ? "mixed" : "measured");
    jw_bool(j, "electricity", v->prices.per_kwh >= 0);
    jw_integer(j, "unpriced", total->unpriced);
    write_rows(j, &v->report);
    jw_close(j, '}');
}

void own_ledger(struct service *s, struct http_request *r) {
    struct view v = {0};
    struct err e = {0};
    if (!books_ledger(service_books(s))) {
        (void)http_error(r, 404, 0, "this server keeps no ledger; start it without --ledger none");
        return;
    }
    const int code = make(&v, s, r, &e);
    if (code) {
        (void)http_error(r, code == ERR_USAGE ? 400 : code == ERR_MEMORY ? 503 : 500, code == ERR_MEMORY, "%s", e.msg);
    } else {
        struct jw j = {.b = {.limit = 64 << 20}};
        write(&j, &v);
        answer_json(r, &j);
    }
    report_free(&v.report);
    price_table_free(&v.prices);
}
