/* cmd_ledger.c: hearth ledger: what was asked of this machine, what that cost, and what it would have cost elsewhere. Reads only: a server may write
 * the same file meanwhile. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "app/json.h"
#include "app/table.h"
#include "store/date.h"
#include "store/place.h"
#include "store/report.h"

struct options {
    const char *db, *since, *until, *by, *against, *prices;
    bool json, csv;
};

static const struct flag flags[] = {
    {"--db", NULL, FLAG_STRING, offsetof(struct options, db), "FILE", "the ledger (default: hearth/ledger.db in $XDG_STATE_HOME or ~/.local/state)", 0, 0},
    {"--since", NULL, FLAG_STRING, offsetof(struct options, since), "DATE", "requests of this day and later, such as 2026-11-29", 0, 0},
    {"--until", NULL, FLAG_STRING, offsetof(struct options, until), "DATE", "requests of this day and earlier", 0, 0},
    {"--by", NULL, FLAG_STRING, offsetof(struct options, by), "WHAT", "a line for each day, month, model, adapter, client or dialect (default model)", 0, 0},
    {"--against", NULL, FLAG_STRING, offsetof(struct options, against), "MODEL", "the hosted model to compare with (default: what the file of prices says)", 0, 0},
    {"--prices", NULL, FLAG_STRING, offsetof(struct options, prices), "FILE", "prices that are added to the built-in ones and to hearth/prices.ini in $XDG_CONFIG_HOME or ~/.config", 0, 0},
    {"--json", NULL, FLAG_BOOL, offsetof(struct options, json), NULL, "one JSON object, with exact numbers", 0, 0},
    {"--csv", NULL, FLAG_BOOL, offsetof(struct options, csv), NULL, "comma-separated values, with exact numbers and without the total", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, NULL};

/* ---- numbers ---- */

enum { NUMBER = 48 };

/* v, which counts units of 10^-scale, with `shown` decimals (at most scale), rounded half away from zero; commas between thousands where a person reads. */
static const char *fixed(char out[NUMBER], int64_t v, int scale, int shown, bool commas) {
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, drop = 1, one = 1;
    char *p = out + NUMBER;
    for (int i = shown; i < scale; i++) drop *= 10;
    for (int i = 0; i < shown; i++) one *= 10;
    u = u / drop + (u % drop * 2 >= drop && drop > 1);
    uint64_t whole = u / one, part = u % one;
    *--p = 0;
    for (int i = 0; i < shown; i++, part /= 10) *--p = (char)('0' + part % 10);
    if (shown) *--p = '.';
    for (int i = 0; i == 0 || whole; i++, whole /= 10) {
        if (commas && i && i % 3 == 0) *--p = ',';
        *--p = (char)('0' + whole % 10);
    }
    if (v < 0 && u) *--p = '-';
    return p;
}

/* ---- columns ---- */

enum kind { COUNT, TIME /* microseconds */, ENERGY /* microjoules */, MONEY /* picodollars */ };

static int64_t energy_of(const struct report_line *l) { return l->measured_uj + l->estimated_uj; }
static int64_t saved_of(const struct report_line *l) { return l->there - l->here; }

static const struct column {
    const char *title; /* in text; NULL: only elsewhere */
    const char *name;  /* in JSON and CSV */
    enum kind kind;
    size_t offset;     /* in a line, unless there is a function */
    int64_t (*value)(const struct report_line *);
    bool compares;     /* with another model */
} columns[] = {
    {"requests", "requests", COUNT, offsetof(struct report_line, requests), NULL, false},
    {"failed", "requests_failed", COUNT, offsetof(struct report_line, failed), NULL, false},
    {"tokens in", "tokens_in", COUNT, offsetof(struct report_line, tokens_in), NULL, false},
    {"cached", "tokens_cached", COUNT, offsetof(struct report_line, tokens_cached), NULL, false},
    {"tokens out", "tokens_out", COUNT, offsetof(struct report_line, tokens_out), NULL, false},
    {NULL, "tokens_reasoning", COUNT, offsetof(struct report_line, tokens_reasoning), NULL, false},
    {"time", "seconds", TIME, offsetof(struct report_line, total_us), NULL, false},
    {"kWh", "joules", ENERGY, 0, energy_of, false},
    {NULL, "joules_estimated", ENERGY, offsetof(struct report_line, estimated_uj), NULL, false},
    {NULL, "requests_without_energy", COUNT, offsetof(struct report_line, unmetered), NULL, false},
    {"here $", "dollars_here", MONEY, offsetof(struct report_line, here), NULL, false},
    {"there $", "dollars_there", MONEY, offsetof(struct report_line, there), NULL, true},
    {"saved $", "dollars_saved", MONEY, 0, saved_of, true},
    {NULL, "requests_without_price", COUNT, offsetof(struct report_line, unpriced), NULL, true},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static int64_t value_of(const struct column *c, const struct report_line *l) {
    return c->value ? c->value(l) : *(const int64_t *)(const void *)((const char *)l + c->offset);
}

/* With all its digits. */
static const char *exact(char out[NUMBER], enum kind kind, int64_t v) {
    static const int scale[] = {[COUNT] = 0, [TIME] = 6, [ENERGY] = 6, [MONEY] = 12};
    return fixed(out, v, scale[kind], scale[kind], false);
}

/* As a person reads it. */
static void readable(struct table *t, const struct column *c, const struct report_line *l) {
    enum { TENTH_WATT_HOUR = 360000000 };
    char out[NUMBER];
    int64_t v = value_of(c, l), seconds = v / 1000000 + (v % 1000000 >= 500000);
    switch (c->kind) {
    case TIME: table_cell(t, "%lld:%02d:%02d", (long long)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60)); return;
    case ENERGY:
        table_cell(t, "%s%s", fixed(out, v / TENTH_WATT_HOUR + (v % TENTH_WATT_HOUR >= TENTH_WATT_HOUR / 2), 4, 4, true), l->estimated_uj ? "~" : " ");
        return;
    case MONEY: table_cell(t, "%s", fixed(out, v, 12, 4, true)); return;
    default: table_cell(t, "%s", fixed(out, v, 0, 0, true)); return;
    }
}

/* ---- the report ---- */

struct view {
    const struct options *o;
    const char *path;
    struct price_table prices;
    const struct price *against; /* its latest prices; NULL: no comparison */
    struct report report;
};

static bool wanted(const struct view *v, const struct column *c, bool text) { return (c->title || !text) && (v->against || !c->compares); }

static void key_cell(struct table *t, const char *key, bool text) {
    char shown[200];
    table_cell(t, "%s", !*key && text ? "(none)" : err_quote(shown, sizeof shown, key, strlen(key)));
}

static void text_line(struct table *t, const struct view *v, const struct report_line *l, bool text) {
    char out[NUMBER];
    key_cell(t, l->key, text);
    for (int i = 0; i < COLUMNS; i++) {
        if (!wanted(v, &columns[i], text)) continue;
        if (text) readable(t, &columns[i], l);
        else table_cell(t, "%s", exact(out, columns[i].kind, value_of(&columns[i], l)));
    }
}

static const char *day_or(char out[DATE_TEXT], int32_t day, const char *otherwise) {
    if (day == PRICE_ALWAYS) return otherwise;
    date_text(day, out);
    return out;
}

/* What the numbers rest on. */
static int notes(const struct view *v, struct err *e) {
    const struct report_line *all = &v->report.total;
    struct buf b = {0};
    char out[NUMBER], from[DATE_TEXT], as_of[DATE_TEXT];
    bool ok = buf_printf(&b, "\nhere: electricity at %s dollars per kWh (per_kwh in prices.ini)\n", fixed(out, v->prices.per_kwh, 6, 4, false));
    if (v->against) {
        const struct price *p = v->against;
        ok = ok && buf_printf(&b, "there: %s, by the prices of each day, the latest from %s, read %s: %s\n", p->model, day_or(from, p->from, "always"),
                              day_or(as_of, p->as_of, "no one says when"), p->source ? p->source : "(no source)");
    }
    if (all->estimated_uj) ok = ok && buf_str(&b, "~: energy estimated, at least in part: this machine did not tell what it took\n");
    if (all->unmetered) ok = ok && buf_printf(&b, "%lld requests without a figure for energy count as 0 kWh\n", (long long)all->unmetered);
    if (all->unpriced) ok = ok && buf_printf(&b, "%lld requests are older than the first price there and count as 0\n", (long long)all->unpriced);
    int code = ok ? out_write((struct slice){b.data, b.len}, e) : err_nomem(e, "the notes", b.len);
    buf_free(&b);
    return code;
}

static int print_table(const struct view *v, bool text, struct err *e) {
    struct table t = {.columns = 1};
    table_cell(&t, "%s", v->o->by);
    for (int i = 0; i < COLUMNS; i++) {
        if (!wanted(v, &columns[i], text)) continue;
        t.right[t.columns++] = true;
        table_cell(&t, "%s%s", text ? columns[i].title : columns[i].name, text && columns[i].kind == ENERGY ? " " : ""); /* above the numbers, not their mark */
    }
    for (size_t i = 0; i < v->report.n; i++) text_line(&t, v, &v->report.line[i], text);
    if (text) text_line(&t, v, &v->report.total, true);
    int code = table_print(&t, !text, e);
    return code == 0 && text ? notes(v, e) : code;
}

static void json_line(struct jw *j, const struct view *v, const char *member, const struct report_line *l) {
    char out[NUMBER];
    jw_open(j, member, '{');
    if (!member) jw_str(j, v->o->by, l->key);
    for (int i = 0; i < COLUMNS; i++)
        if (wanted(v, &columns[i], false)) jw_raw(j, columns[i].name, slice_of(exact(out, columns[i].kind, value_of(&columns[i], l))));
    jw_close(j, '}');
}

static void json_price(struct jw *j, const char *member, const struct price *p) {
    static const struct {
        const char *name;
        size_t offset;
    } prices[] = {{"input", offsetof(struct price_tier, input)}, {"cached", offsetof(struct price_tier, cached)}, {"write", offsetof(struct price_tier, write)},
                  {"output", offsetof(struct price_tier, output)}};
    char out[NUMBER], day[DATE_TEXT];
    jw_open(j, member, '{');
    jw_str(j, "model", p->model);
    jw_open(j, "match", '[');
    for (int i = 0; i < p->n_match; i++) jw_str(j, NULL, p->match[i]);
    jw_close(j, ']');
    if (p->from != PRICE_ALWAYS) jw_str(j, "from", day_or(day, p->from, ""));
    if (p->as_of != PRICE_ALWAYS) jw_str(j, "as_of", day_or(day, p->as_of, ""));
    if (p->source) jw_str(j, "source", p->source);
    jw_open(j, "dollars_per_million", '[');
    for (int i = 0; i < p->n_tiers; i++) {
        jw_open(j, NULL, '{');
        jw_integer(j, "above", p->tier[i].above);
        for (size_t k = 0; k < sizeof prices / sizeof *prices; k++)
            jw_raw(j, prices[k].name, slice_of(fixed(out, *(const int64_t *)(const void *)((const char *)&p->tier[i] + prices[k].offset), 6, 6, false)));
        jw_close(j, '}');
    }
    jw_close(j, ']');
    jw_close(j, '}');
}

static int print_json(const struct view *v, struct err *e) {
    struct jw j = {0};
    char out[NUMBER];
    jw_open(&j, NULL, '{');
    jw_str(&j, "ledger", v->path);
    if (v->o->since) jw_str(&j, "since", v->o->since);
    if (v->o->until) jw_str(&j, "until", v->o->until);
    jw_str(&j, "by", v->o->by);
    jw_raw(&j, "dollars_per_kwh", slice_of(fixed(out, v->prices.per_kwh, 6, 6, false)));
    if (v->against) json_price(&j, "against", v->against);
    jw_open(&j, "lines", '[');
    for (size_t i = 0; i < v->report.n; i++) json_line(&j, v, NULL, &v->report.line[i]);
    jw_close(&j, ']');
    json_line(&j, v, "total", &v->report.total);
    jw_close(&j, '}');
    return jw_print(&j, e);
}

static int since_and_until(const struct options *o, struct report_options *r, struct err *e) {
    int32_t since = 0, until = 0;
    r->since_ms = 0;
    r->until_ms = INT64_MAX;
    if (o->since && !date_parse(slice_of(o->since), &since)) return err_set(e, ERR_USAGE, "--since %.32s: not a day; write it like 2026-11-29", o->since);
    if (o->until && !date_parse(slice_of(o->until), &until)) return err_set(e, ERR_USAGE, "--until %.32s: not a day; write it like 2026-11-29", o->until);
    if (o->since && o->until && since > until) return err_set(e, ERR_USAGE, "--since %s lies after --until %s", o->since, o->until);
    if (o->since) r->since_ms = date_local_start(since);
    if (o->until) r->until_ms = date_local_start(until + 1);
    return 0;
}

static int find_against(struct view *v, struct report_options *r, struct err *e) {
    const char *name = v->o->against ? v->o->against : v->prices.against;
    if (!name) return 0;
    r->against = price_model(&v->prices, slice_of(name));
    if (!r->against)
        return err_set(e, ERR_USAGE, "%s%.128s: no prices are known of this model; hearth ledger prices lists those that are", v->o->against ? "--against " : "against = ", name);
    v->against = price_on(&v->prices, r->against, INT32_MAX);
    return 0;
}

static int print_report(struct view *v, struct err *e) {
    struct report_options r = {.by = v->o->by, .prices = &v->prices, .stop = &interrupted};
    struct buf own = {0};
    int code = since_and_until(v->o, &r, e);
    if (code == 0) code = find_against(v, &r, e);
    if (code == 0 && !v->o->db) code = place_state(&own, "ledger.db", e);
    if (code == 0) {
        v->path = v->o->db ? v->o->db : own.data;
        code = report_make(&v->report, v->path, &r, e);
        if (code == 0) code = v->o->json ? print_json(v, e) : print_table(v, !v->o->csv, e);
        report_free(&v->report);
    }
    buf_free(&own);
    return code;
}

/* ---- prices ---- */

static int print_price_table(const struct price_table *prices, bool csv, struct err *e) {
    static const char *const titles[] = {"model", "from", "tokens above", "input", "cached", "write", "output", "read on", "source"};
    struct table t = {.columns = sizeof titles / sizeof *titles};
    for (int i = 0; i < t.columns; i++) {
        t.right[i] = i >= 2 && i <= 6;
        table_cell(&t, "%s", titles[i]);
    }
    for (int i = 0; i < prices->n; i++) {
        const struct price *p = &prices->at[i];
        for (int k = 0; k < p->n_tiers; k++) {
            const struct price_tier *tier = &p->tier[k];
            const int64_t money[] = {tier->input, tier->cached, tier->write, tier->output};
            char out[NUMBER], day[DATE_TEXT];
            key_cell(&t, p->model, true);
            table_cell(&t, "%s", day_or(day, p->from, "-"));
            table_cell(&t, "%lld", (long long)tier->above);
            for (int m = 0; m < 4; m++) table_cell(&t, "%s", fixed(out, money[m], 6, 6, false));
            table_cell(&t, "%s", day_or(day, p->as_of, "-"));
            table_cell(&t, "%s", p->source ? p->source : "-");
        }
    }
    return table_print(&t, csv, e);
}

static int print_prices(const struct view *v, struct err *e) {
    if (!v->o->json) return print_price_table(&v->prices, v->o->csv, e);
    struct jw j = {0};
    jw_open(&j, NULL, '[');
    for (int i = 0; i < v->prices.n; i++) json_price(&j, NULL, &v->prices.at[i]);
    jw_close(&j, ']');
    return jw_print(&j, e);
}

static int check_words(const struct options *o, const char *word, struct err *e) {
    bool known = false;
    for (int i = 0; report_grouping(i); i++) known |= strcmp(report_grouping(i), o->by) == 0;
    if (!known) return err_set(e, ERR_USAGE, "--by %.32s: use day, month, model, adapter, client or dialect", o->by);
    if (o->json && o->csv) return err_set(e, ERR_USAGE, "--json and --csv exclude each other");
    return word && strcmp(word, "prices") != 0 ? err_set(e, ERR_USAGE, "\"%.64s\": the only word here is prices; --db names a ledger", word) : 0;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {.by = "model"};
    struct view v = {.o = &o};
    const char *words[1];
    int n_words;
    if (args_help(argc, argv, &cmd_ledger, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code == 0) code = check_words(&o, n_words ? words[0] : NULL, e);
    if (code) return code;
    code = price_table_load(&v.prices, o.prices, e);
    if (code == 0) code = n_words ? print_prices(&v, e) : print_report(&v, e);
    if (code == 0) code = out_flush(e);
    price_table_free(&v.prices);
    return code;
}

const struct command cmd_ledger = {"ledger", "[prices] [--by WHAT]", "what requests took and cost here, and would have cost elsewhere; prices: those that are known", run, false};
