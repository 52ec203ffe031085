/* price_parse.c: reads a file of prices; see price.h, and share/prices.ini for how such a file is written.
 *
 * Line by line: a heading [settings] or [model NAME], "key = value", or a comment. Each key is a row of a table. What a heading began is judged when the
 * next begins or the text ends. Errors name file, line and column, counted in bytes from 1.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "store/date.h"
#include "store/price.h"

enum section { NOWHERE, SETTINGS, MODEL };

struct parser {
    struct price_table *t;
    const char *name;     /* of the file */
    const char *line;     /* the line at hand */
    int number;           /* of it, from 1 */
    enum section section;
    int opened;           /* line of the heading, or of the tier's `above`: where an incomplete group begins */
    unsigned seen;        /* keys of this heading, and of this tier, as bits by their place in the table */
    struct price price;   /* the one being read */
};

/* An error at p, which lies in the line. */
static int fail(const struct parser *ps, const char *p, struct err *e, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static int fail(const struct parser *ps, const char *p, struct err *e, const char *fmt, ...) {
    char what[300];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return err_set(e, ERR_FORMAT, "%s:%d:%d: %s", ps->name, ps->number, (int)(p - ps->line) + 1, what);
}

static bool blank(char c) { return c == ' ' || c == '\t'; }

static struct slice trim(struct slice s) {
    while (s.n && blank(s.p[0])) s = (struct slice){s.p + 1, s.n - 1};
    while (s.n && blank(s.p[s.n - 1])) s.n--;
    return s;
}

static int keep(const struct parser *ps, struct slice s, const char **out, struct err *e) {
    *out = arena_strndup(&ps->t->text, s.p, s.n);
    return *out ? 0 : err_nomem(e, "the table of prices", s.n);
}

/* ---- values ---- */

typedef int setter(struct parser *ps, struct slice v, size_t offset, struct err *e);

/* Dollars as microdollars. */
static int money(const struct parser *ps, struct slice v, int64_t *out, struct err *e) {
    int64_t n = 0;
    int decimals = -1; /* none after the point yet; -1: no point yet */
    bool good = v.n > 0 && v.p[v.n - 1] != '.' && v.p[0] != '.';
    for (size_t i = 0; good && i < v.n; i++) {
        if (v.p[i] == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        good = v.p[i] >= '0' && v.p[i] <= '9';
        if (decimals >= 0 && ++decimals > PRICE_DECIMALS) return fail(ps, v.p + i, e, "more than %d decimals", PRICE_DECIMALS);
        n = n * 10 + (v.p[i] - '0');
        if (good && n > (int64_t)PRICE_MOST * 1000000) return fail(ps, v.p, e, "more than %d dollars", PRICE_MOST);
    }
    char shown[40];
    if (!good) return fail(ps, v.p, e, "\"%s\" is not an amount; write it like 1.25, in dollars", err_quote(shown, sizeof shown, v.p, v.n));
    for (int i = decimals < 0 ? 0 : decimals; i < PRICE_DECIMALS; i++) n *= 10;
    if (n > (int64_t)PRICE_MOST * 1000000) return fail(ps, v.p, e, "more than %d dollars", PRICE_MOST);
    *out = n;
    return 0;
}

static int whole(const struct parser *ps, struct slice v, int64_t most, int64_t *out, struct err *e) {
    int64_t n = 0;
    bool good = v.n > 0;
    char shown[40];
    for (size_t i = 0; good && i < v.n; i++) {
        good = v.p[i] >= '0' && v.p[i] <= '9';
        n = n * 10 + (v.p[i] - '0');
        if (good && n > most) return fail(ps, v.p, e, "more than %lld", (long long)most);
    }
    *out = n;
    return good ? 0 : fail(ps, v.p, e, "\"%s\" is not a whole number", err_quote(shown, sizeof shown, v.p, v.n));
}

static int name_value(const struct parser *ps, struct slice v, const char **out, struct err *e) {
    if (v.n == 0) return fail(ps, v.p, e, "a name is missing");
    if (v.n > PRICE_NAME) return fail(ps, v.p, e, "a name of more than %d bytes", PRICE_NAME);
    return keep(ps, v, out, e);
}

static int set_price(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    return money(ps, v, (int64_t *)(void *)((char *)&ps->price.tier[ps->price.n_tiers - 1] + offset), e);
}

static int set_date(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    char shown[40];
    int32_t *day = (void *)((char *)&ps->price + offset);
    return date_parse(v, day) ? 0 : fail(ps, v.p, e, "\"%s\" is not a day; write it like 2025-08-07", err_quote(shown, sizeof shown, v.p, v.n));
}

static int set_source(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    (void)offset;
    return keep(ps, v, &ps->price.source, e);
}

/* Names, separated by commas. */
static int set_match(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    (void)offset;
    int code = 0;
    for (bool more = true; code == 0 && more;) {
        const char *comma = memchr(v.p, ',', v.n);
        size_t n = comma ? (size_t)(comma - v.p) : v.n;
        if (ps->price.n_match == PRICE_PATTERNS) return fail(ps, v.p, e, "more than %d names", PRICE_PATTERNS);
        code = name_value(ps, trim((struct slice){v.p, n}), &ps->price.match[ps->price.n_match], e);
        if (code == 0) ps->price.n_match++;
        more = comma != NULL;
        if (more) v = (struct slice){comma + 1, v.n - n - 1};
    }
    return code;
}

static int finish_tier(struct parser *ps, struct err *e);
static void forget_tier(struct parser *ps);

static int set_above(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    (void)offset;
    int64_t n = 0;
    int code = whole(ps, v, (int64_t)1 << 40, &n, e);
    if (code == 0) code = finish_tier(ps, e);
    if (code) return code;
    struct price *p = &ps->price;
    if (p->n_tiers == PRICE_TIERS) return fail(ps, v.p, e, "more than %d groups of prices", PRICE_TIERS);
    if (n <= p->tier[p->n_tiers - 1].above) return fail(ps, v.p, e, "must be more than the %lld before it", (long long)p->tier[p->n_tiers - 1].above);
    p->tier[p->n_tiers++] = (struct price_tier){.above = n};
    ps->opened = ps->number;
    forget_tier(ps);
    return 0;
}

static int set_electricity(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    (void)offset;
    return money(ps, v, &ps->t->per_kwh, e);
}

static int set_watts(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    (void)offset;
    return whole(ps, v, 100000, &ps->t->watts, e);
}

static int set_against(struct parser *ps, struct slice v, size_t offset, struct err *e) {
    (void)offset;
    return name_value(ps, v, &ps->t->against, e);
}

static const struct key {
    const char *name;
    enum section section;
    setter *set;
    size_t offset;
    bool tier;     /* once in each group of prices, not in each section */
    bool needed;   /* in each */
} keys[] = {
    {"input", MODEL, set_price, offsetof(struct price_tier, input), true, true},
    {"output", MODEL, set_price, offsetof(struct price_tier, output), true, true},
    {"cached", MODEL, set_price, offsetof(struct price_tier, cached), true, false},
    {"write", MODEL, set_price, offsetof(struct price_tier, write), true, false},
    {"above", MODEL, set_above, 0, true, false},
    {"match", MODEL, set_match, 0, false, false},
    {"from", MODEL, set_date, offsetof(struct price, from), false, false},
    {"as_of", MODEL, set_date, offsetof(struct price, as_of), false, false},
    {"source", MODEL, set_source, 0, false, false},
    {"per_kwh", SETTINGS, set_electricity, 0, false, false},
    {"watts", SETTINGS, set_watts, 0, false, false},
    {"against", SETTINGS, set_against, 0, false, false},
};
enum { KEYS = sizeof keys / sizeof *keys };

/* ---- sections ---- */

static bool has(const struct parser *ps, const char *key) {
    for (unsigned i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, key) == 0) return ps->seen >> i & 1;
    return false;
}

static void forget_tier(struct parser *ps) {
    for (unsigned i = 0; i < KEYS; i++)
        if (keys[i].tier && keys[i].set != set_above) ps->seen &= ~(1u << i);
}

/* A list without a price of its own for the cache charges what other input costs. */
static int finish_tier(struct parser *ps, struct err *e) {
    struct price_tier *t = &ps->price.tier[ps->price.n_tiers - 1];
    for (unsigned i = 0; i < KEYS; i++)
        if (keys[i].needed && !(ps->seen >> i & 1))
            return err_set(e, ERR_FORMAT, "%s:%d:1: %s without \"%s\"", ps->name, ps->opened, ps->price.n_tiers > 1 ? "prices of long requests" : "a model", keys[i].name);
    if (!has(ps, "cached")) t->cached = t->input;
    if (!has(ps, "write")) t->write = t->input;
    return 0;
}

static int finish_section(struct parser *ps, struct err *e) {
    struct price_table *t = ps->t;
    if (ps->section != MODEL) return 0;
    int code = finish_tier(ps, e);
    if (code) return code;
    for (int i = t->n; i-- > 0 && t->at[i].file == ps->price.file;)
        if (t->at[i].from == ps->price.from && strcmp(t->at[i].model, ps->price.model) == 0)
            return err_set(e, ERR_FORMAT, "%s:%d:1: %s has prices of the same day in line %d; give one of them another \"from\"", ps->name, ps->price.line,
                           ps->price.model, t->at[i].line);
    if (t->n == PRICE_ENTRIES) return err_set(e, ERR_FORMAT, "%s:%d:1: more than %d models", ps->name, ps->price.line, PRICE_ENTRIES);
    if (t->n == t->cap) {
        int cap = t->cap ? t->cap * 2 : 64;
        struct price *at = mem_array(t->at, (size_t)cap, sizeof *at);
        if (!at) return err_nomem(e, "the table of prices", (size_t)cap * sizeof *at);
        t->at = at;
        t->cap = cap;
    }
    t->at[t->n++] = ps->price;
    return 0;
}

static int heading(struct parser *ps, struct slice s, struct err *e) {
    int code = finish_section(ps, e);
    if (code) return code;
    if (s.p[s.n - 1] != ']') return fail(ps, s.p + s.n, e, "a ] is missing at the end of the line");
    struct slice in = trim((struct slice){s.p + 1, s.n - 2});
    ps->seen = 0;
    ps->opened = ps->number;
    if (slice_is(in, "settings")) {
        ps->section = SETTINGS;
        return 0;
    }
    if (in.n < 5 || memcmp(in.p, "model", 5) != 0 || (in.n > 5 && !blank(in.p[5]))) return fail(ps, s.p, e, "not a heading that is known; use [settings] or [model NAME]");
    ps->section = MODEL;
    ps->price = (struct price){.from = PRICE_ALWAYS, .as_of = PRICE_ALWAYS, .n_tiers = 1, .line = ps->number, .file = ps->t->files};
    return name_value(ps, trim((struct slice){in.p + 5, in.n - 5}), &ps->price.model, e);
}

static int key_value(struct parser *ps, struct slice s, struct err *e) {
    char shown[40];
    const char *equals = memchr(s.p, '=', s.n);
    if (!equals) return fail(ps, s.p, e, "neither a [heading] nor \"key = value\"; a comment begins with #");
    struct slice name = trim((struct slice){s.p, (size_t)(equals - s.p)}), value = trim((struct slice){equals + 1, s.n - (size_t)(equals + 1 - s.p)});
    if (value.n == 0) value.p = equals + 1; /* where it would stand */
    if (ps->section == NOWHERE) return fail(ps, s.p, e, "stands before the first heading; use [settings] or [model NAME]");
    for (unsigned i = 0; i < KEYS; i++) {
        if (keys[i].section != ps->section || !slice_is(name, keys[i].name)) continue;
        if (ps->seen >> i & 1 && keys[i].set != set_above) return fail(ps, s.p, e, "\"%s\" for the second time", keys[i].name);
        ps->seen |= 1u << i;
        return keys[i].set(ps, value, keys[i].offset, e);
    }
    return fail(ps, s.p, e, "\"%s\" is not known under this heading", err_quote(shown, sizeof shown, name.p, name.n));
}

static int read_line(struct parser *ps, struct slice line, struct err *e) {
    ps->line = line.p;
    ps->number++;
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    size_t good = utf8_prefix(line.p, line.n);
    for (size_t i = 0; i < good; i++)
        if ((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') good = i;
    if (good < line.n) return fail(ps, line.p + good, e, "a byte that is not text");
    struct slice s = trim(line);
    if (s.n == 0 || *s.p == '#' || *s.p == ';') return 0;
    return *s.p == '[' ? heading(ps, s, e) : key_value(ps, s, e);
}

int price_table_add(struct price_table *t, struct slice text, const char *name, struct err *e) {
    struct parser ps = {.t = t, .name = name};
    int code = 0;
    if (text.n > PRICE_FILE) return err_set(e, ERR_FORMAT, "%s: more than %d bytes", name, PRICE_FILE);
    if (text.n >= 3 && memcmp(text.p, "\xEF\xBB\xBF", 3) == 0) text = (struct slice){text.p + 3, text.n - 3};
    while (code == 0 && text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n, next = end ? n + 1 : n;
        code = read_line(&ps, (struct slice){text.p, n}, e);
        text = (struct slice){text.p + next, text.n - next};
    }
    if (code == 0) code = finish_section(&ps, e);
    t->files++;
    return code;
}
