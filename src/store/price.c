/* price.c: looking prices up and reckoning with them; see price.h. The files are read by price_parse.c. */
#define _GNU_SOURCE
#include "store/price.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "store/embedded_prices.h"
#include "store/place.h"

void price_table_init(struct price_table *t) { *t = (struct price_table){.per_kwh = -1, .watts = -1}; }

void price_table_free(struct price_table *t) {
    mem_free(t->at);
    arena_free(&t->text);
    price_table_init(t);
}

static int add_file(struct price_table *t, const char *path, struct err *e) {
    struct buf b = {0};
    int code = os_read_file(path, PRICE_FILE, &b, e);
    if (code == 0) code = price_table_add(t, (struct slice){b.data, b.len}, path, e);
    buf_free(&b);
    return code;
}

int price_table_load(struct price_table *t, const char *extra, struct err *e) {
    struct buf own = {0};
    price_table_init(t);
    int code = price_table_add(t, (struct slice){hearth_embedded_prices, embedded_prices_size()}, "share/prices.ini", e);
    if (code) return code;
    code = place_config(&own, "prices.ini", e);
    if (code == 0 && access(own.data, F_OK) == 0) code = add_file(t, own.data, e);
    else if (code == ERR_USAGE) code = 0; /* nobody's home: no file of their own */
    buf_free(&own);
    return code == 0 && extra ? add_file(t, extra, e) : code;
}

/* ---- which price ---- */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* A pattern with * in it against a name, by going back to the last * only: that one could have taken more, and earlier ones need not. */
static bool matches(const char *pattern, struct slice name) {
    const char *p = pattern, *star = NULL;
    size_t i = 0, back = 0;
    while (i < name.n) {
        if (*p == '*') {
            star = p++;
            back = i;
        } else if (*p && lower(*p) == lower(name.p[i])) {
            p++;
            i++;
        } else if (star) {
            p = star + 1;
            i = ++back;
        } else {
            return false;
        }
    }
    while (*p == '*') p++;
    return !*p;
}

static int literal(const char *pattern) {
    int n = 0;
    for (; *pattern; pattern++) n += *pattern != '*';
    return n;
}

static bool same_name(const char *a, struct slice b) {
    if (strlen(a) != b.n) return false;
    for (size_t i = 0; i < b.n; i++)
        if (lower(a[i]) != lower(b.p[i])) return false;
    return true;
}

const char *price_model(const struct price_table *t, struct slice name) {
    const char *best = NULL;
    int closest = -1;
    if (name.n > PRICE_NAME) return NULL;
    for (int i = 0; i < t->n; i++) {
        const struct price *p = &t->at[i];
        if (same_name(p->model, name)) return p->model;
        for (int k = 0; k < p->n_match; k++) {
            if (!matches(p->match[k], name) || literal(p->match[k]) < closest) continue;
            closest = literal(p->match[k]); /* of two that are as close the later */
            best = p->model;
        }
    }
    return best;
}

const struct price *price_on(const struct price_table *t, const char *model, int32_t day) {
    const struct price *best = NULL;
    const struct slice name = slice_of(model);
    for (int i = 0; i < t->n; i++)
        if (t->at[i].from <= day && (!best || t->at[i].from >= best->from) && same_name(t->at[i].model, name)) best = &t->at[i];
    return best;
}

/* ---- how much ---- */

static bool add_product(int64_t *sum, int64_t tokens, int64_t price) {
    int64_t v;
    return !__builtin_mul_overflow(tokens, price, &v) && !__builtin_add_overflow(*sum, v, sum);
}

int price_cost(const struct price *p, struct price_use use, int64_t *picodollars, struct err *e) {
    const struct price_tier *t = &p->tier[0];
    int64_t sum = 0;
    for (int i = 1; i < p->n_tiers && use.in > p->tier[i].above; i++) t = &p->tier[i];
    bool ok = add_product(&sum, use.in - use.cached - use.written, t->input) && add_product(&sum, use.cached, t->cached) &&
              add_product(&sum, use.written, t->write) && add_product(&sum, use.out, t->output);
    *picodollars = ok ? sum : 0;
    return ok ? 0 : err_set(e, ERR_UNSUPPORTED, "%s: a cost of more than nine million dollars cannot be reckoned with", p->model);
}

/* A kWh is 3.6 10^12 microjoules, so a microjoule costs per_kwh / 3.6 10^12 microdollars, which are per_kwh / 3.6 10^6 picodollars. */
int price_energy(int64_t microjoules, int64_t per_kwh, int64_t *picodollars, struct err *e) {
    enum { UNIT = 3600000 };
    int64_t whole, part;
    bool ok = !__builtin_mul_overflow(microjoules / UNIT, per_kwh, &whole) && !__builtin_mul_overflow(microjoules % UNIT, per_kwh, &part) &&
              !__builtin_add_overflow(part, UNIT / 2, &part) && !__builtin_add_overflow(whole, part / UNIT, &whole);
    *picodollars = ok ? whole : 0;
    return ok ? 0 : err_set(e, ERR_UNSUPPORTED, "energy for more than nine million dollars cannot be reckoned with");
}
