/* fuzz_prices.c: any bytes as a file of prices. What is read keeps the promises of price.h, and costs can be reckoned with it; what is not is an error
 * that says where. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/price.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct price_table *t, const struct price *p) {
    int64_t c = 0;
    struct err e;
    const int64_t most = (int64_t)PRICE_MOST * 1000000;
    CHECK(*p->model && strlen(p->model) <= PRICE_NAME && p->n_tiers >= 1 && p->n_tiers <= PRICE_TIERS && p->n_match <= PRICE_PATTERNS && p->tier[0].above == 0);
    for (int i = 0; i < p->n_tiers; i++) {
        const struct price_tier *r = &p->tier[i];
        CHECK(i == 0 || r->above > p->tier[i - 1].above);
        CHECK(r->input >= 0 && r->input <= most && r->cached >= 0 && r->cached <= most && r->write >= 0 && r->write <= most && r->output >= 0 && r->output <= most);
        struct price_use u = {.in = r->above + 2, .cached = 1, .written = 1, .out = 3};
        if (i + 1 < p->n_tiers && u.in > p->tier[i + 1].above) continue; /* the next one's prices hold already */
        if (price_cost(p, u, &c, &e) == 0) CHECK(c == r->above * r->input + r->cached + r->write + 3 * r->output);
    }
    const char *model = price_model(t, slice_of(p->model));
    const struct price *on = model ? price_on(t, model, p->from) : NULL;
    CHECK(on && on->from == p->from);
    for (int i = 0; i < p->n_match; i++) CHECK(strlen(p->match[i]) <= PRICE_NAME && price_model(t, slice_of(p->match[i])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct price_table t;
    struct err e = {0};
    int64_t before = mem_live();
    price_table_init(&t);
    int code = price_table_add(&t, (struct slice){(const char *)data, size}, "f", &e);
    if (code) CHECK(code == ERR_FORMAT && e.code == code && strncmp(e.msg, "f:", 2) == 0 && !strchr(e.msg, '\n'));
    else
        for (int i = 0; i < t.n && i < 50; i++) use(&t, &t.at[i]);
    CHECK(code || (t.per_kwh >= -1 && t.watts >= -1 && t.n <= PRICE_ENTRIES));
    price_table_free(&t);
    CHECK(mem_live() == before);
    return 0;
}
