/* schema_number.c: sets of numbers in decimal, as automata over the characters that write them; see schema_lang.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/schema_lang.h"

static void tidy(struct decimal *d) {
    while (d->scale > 0 && d->n > 1 && d->digits[d->n - 1] == '0') {
        d->n--;
        d->scale--;
    }
    d->digits[d->n] = 0;
    if (d->n == 1 && d->digits[0] == '0') {
        d->negative = false;
        d->scale = 0;
    }
}

void decimal_of_int(struct decimal *d, int64_t v) {
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, v);
    *d = (struct decimal){.negative = v < 0};
    d->n = (uint32_t)strlen(text + d->negative);
    memcpy(d->digits, text + d->negative, d->n);
    tidy(d);
}

bool decimal_of(struct decimal *d, double v) {
    char text[40];
    if (!isfinite(v)) return false;
    for (int p = 0; p < 17; p++) {
        (void)snprintf(text, sizeof text, "%.*e", p, v);
        if (strtod(text, NULL) == v) break;
    }
    *d = (struct decimal){.negative = text[0] == '-'};
    const char *e = strchr(text, 'e');
    for (const char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9') d->digits[d->n++] = *c;
    int exponent = atoi(e + 1) - (int)d->n + 1; /* of the last digit */
    if (exponent < -DECIMAL_DIGITS || exponent + (int)d->n > DECIMAL_DIGITS) return false;
    for (; exponent > 0 && d->digits[0] != '0'; exponent--) d->digits[d->n++] = '0';
    d->scale = exponent < 0 ? (uint32_t)-exponent : 0;
    tidy(d);
    return true;
}

static const struct lang *pattern(struct langs *l, const char *text) {
    uint32_t min, max;
    return l->rc ? &lang_none : lang_pattern(l, slice_of(text), &min, &max);
}
static const struct lang *pattern_of(struct langs *l, struct buf *text) {
    const struct lang *made = text->data ? pattern(l, text->data) : &lang_none;
    buf_free(text);
    return made;
}

const struct lang *lang_shortest_number(struct langs *l) { return pattern(l, "^-?(?:0|[1-9][0-9]*)(?:[.][0-9]*[1-9])?$"); }

#define UNSIGNED "(?:0|[1-9][0-9]*)(?:[.][0-9]+)?"

const struct lang *lang_number(struct langs *l) { return pattern(l, "^-?" UNSIGNED "(?:[eE][+-]?(?:[0-9]{1,2}|[12][0-9]{2}|30[0-7]))?$"); }
const struct lang *lang_plain_number(struct langs *l) { return pattern(l, "^-?" UNSIGNED "$"); }
const struct lang *lang_integer(struct langs *l) { return pattern(l, "^-?(?:0|[1-9][0-9]*)(?:[.]0+)?$"); }

/* Numbers without a sign that are at least d, or more: with more digits before the point; or the first digit that differs is larger, before the
 * point or behind it; or there is none. */
static const struct lang *magnitude(struct langs *l, const struct decimal *d, bool more) {
    char whole[DECIMAL_DIGITS + 2] = "0", part[2 * DECIMAL_DIGITS + 2] = "";
    struct buf b = {0};
    if (d->n > d->scale) {
        memcpy(whole, d->digits, d->n - d->scale);
        whole[d->n - d->scale] = 0;
        memcpy(part, d->digits + d->n - d->scale, d->scale);
        part[d->scale] = 0;
    } else {
        memset(part, '0', d->scale - d->n);
        memcpy(part + d->scale - d->n, d->digits, d->n);
        part[d->scale] = 0;
    }
    size_t k = strlen(whole), m = strlen(part);
    bool ok = buf_printf(&b, "^(?:[1-9][0-9]{%zu,}(?:[.][0-9]+)?", k);
    for (size_t i = 0; ok && i < k; i++)
        if (whole[i] < '9') ok = buf_printf(&b, "|%.*s[%c-9][0-9]{%zu}(?:[.][0-9]+)?", (int)i, whole, whole[i] + 1, k - i - 1);
    for (size_t i = 0; ok && i < m; i++)
        if (part[i] < '9') ok = buf_printf(&b, "|%s[.]%.*s[%c-9][0-9]*", whole, (int)i, part, part[i] + 1);
    if (m > 0)
        ok = ok && buf_printf(&b, "|%s[.]%s%s)$", whole, part, more ? "0*[1-9][0-9]*" : "[0-9]*");
    else
        ok = ok && buf_printf(&b, "|%s%s)$", whole, more ? "[.]0*[1-9][0-9]*" : "(?:[.][0-9]+)?");
    if (!ok && !l->rc) l->rc = err_nomem(l->err, "a bound", b.len);
    return pattern_of(l, &b);
}

static const struct lang *at_most(struct langs *l, const struct decimal *d, bool less) {
    const struct lang *all = pattern(l, "^" UNSIGNED "$");
    return lang_combine(l, LANG_MINUS, all, magnitude(l, d, !less));
}

/* The numbers of `a` behind a minus sign. */
static const struct lang *negative(struct langs *l, const struct lang *a) {
    struct lang_builder b = {.l = l};
    if (l->rc || lang_empty(a)) return &lang_none;
    (void)lang_add_state(&b, false);
    lang_add_edge(&b, '-', '-', 1);
    for (uint32_t s = 0; s < a->n && !l->rc; s++) {
        (void)lang_add_state(&b, a->states[s].accept);
        for (uint32_t i = 0; i < a->states[s].n; i++) {
            struct lang_edge e = a->edges[a->states[s].first + i];
            lang_add_edge(&b, e.lo, e.hi, e.to + 1);
        }
    }
    return l->rc ? &lang_none : lang_finish(&b);
}

static const struct decimal zero = {.digits = "0", .n = 1};
static bool is_zero(const struct decimal *d) { return d->n == 1 && d->digits[0] == '0'; }

const struct lang *lang_at_least(struct langs *l, const struct decimal *bound, bool exclusive) {
    if (bound->negative) return lang_combine(l, LANG_OR, magnitude(l, &zero, false), negative(l, at_most(l, bound, exclusive)));
    const struct lang *above = magnitude(l, bound, exclusive);
    if (!is_zero(bound) || exclusive) return above;
    return lang_combine(l, LANG_OR, above, negative(l, at_most(l, &zero, false))); /* -0 */
}

const struct lang *lang_at_most(struct langs *l, const struct decimal *bound, bool exclusive) {
    if (bound->negative) return negative(l, magnitude(l, bound, exclusive));
    const struct lang *below = negative(l, magnitude(l, &zero, is_zero(bound) && exclusive));
    return lang_combine(l, LANG_OR, below, at_most(l, bound, exclusive));
}

/* States of lang_multiple: the start, behind a minus, behind a leading 0; then one for each remainder before the point; then a row of remainders for
 * each digit behind the point (row 0: no digit yet; in the last only zeros may follow). */
struct multiple {
    struct lang_builder b;
    uint32_t m, scale, rows;
};

static bool divides(const struct multiple *k, uint32_t r, uint32_t digits) {
    uint64_t rest = r;
    for (uint32_t i = digits; i < k->scale; i++) rest = rest * 10 % k->m;
    return rest % k->m == 0;
}
static uint32_t whole_state(uint32_t r) { return 3 + r; }
static uint32_t part_state(const struct multiple *k, uint32_t row, uint32_t r) { return 3 + k->m + row * k->m + r; }
static uint32_t next_rest(const struct multiple *k, uint32_t r, uint32_t digit) { return (uint32_t)(((uint64_t)r * 10 + digit) % k->m); }

static void first_digit(struct multiple *k, bool sign) {
    (void)lang_add_state(&k->b, false);
    if (sign) lang_add_edge(&k->b, '-', '-', 1);
    lang_add_edge(&k->b, '0', '0', 2);
    for (uint32_t d = 1; d <= 9; d++) lang_add_edge(&k->b, '0' + d, '0' + d, whole_state(next_rest(k, 0, d)));
}

const struct lang *lang_multiple(struct langs *l, const struct decimal *of) {
    struct multiple k = {.b = {.l = l}, .scale = of->scale, .rows = of->scale > 1 ? of->scale : 1};
    uint64_t m = 0;
    for (uint32_t i = 0; i < of->n && m < LANG_STATES; i++) m = m * 10 + (uint64_t)(of->digits[i] - '0');
    if (l->rc) return &lang_none;
    if (m * (k.rows + 2) + 3 > LANG_STATES) {
        l->rc = err_set(l->err, ERR_UNSUPPORTED, "multiples of a number with so many digits are not supported");
        return &lang_none;
    }
    k.m = (uint32_t)m;
    first_digit(&k, true);
    first_digit(&k, false);
    (void)lang_add_state(&k.b, true);
    lang_add_edge(&k.b, '.', '.', part_state(&k, 0, 0));
    for (uint32_t r = 0; r < k.m; r++) {
        (void)lang_add_state(&k.b, divides(&k, r, 0));
        lang_add_edge(&k.b, '.', '.', part_state(&k, 0, r));
        for (uint32_t d = 0; d <= 9; d++) lang_add_edge(&k.b, '0' + d, '0' + d, whole_state(next_rest(&k, r, d)));
    }
    for (uint32_t row = 0; row <= k.rows; row++)
        for (uint32_t r = 0; r < k.m; r++) {
            (void)lang_add_state(&k.b, row > 0 && divides(&k, r, row < k.scale ? row : k.scale));
            if (row < k.scale)
                for (uint32_t d = 0; d <= 9; d++) lang_add_edge(&k.b, '0' + d, '0' + d, part_state(&k, row + 1, next_rest(&k, r, d)));
            else
                lang_add_edge(&k.b, '0', '0', part_state(&k, k.rows, r));
        }
    return l->rc ? &lang_none : lang_finish(&k.b);
}

const struct lang *lang_equal(struct langs *l, const struct decimal *d) {
    char whole[DECIMAL_DIGITS + 2] = "0", zeros[DECIMAL_DIGITS + 2] = "";
    struct buf b = {0};
    if (d->n > d->scale) (void)snprintf(whole, sizeof whole, "%.*s", (int)(d->n - d->scale), d->digits);
    if (d->scale > d->n) memset(zeros, '0', d->scale - d->n);
    const char *part = d->n > d->scale ? d->digits + d->n - d->scale : d->digits;
    bool ok = d->scale ? buf_printf(&b, "^%s%s[.]%s%s0*$", d->negative ? "-" : "", whole, zeros, part)
                       : buf_printf(&b, "^%s%s(?:[.]0+)?$", d->negative ? "-" : is_zero(d) ? "-?" : "", whole);
    if (!ok && !l->rc) l->rc = err_nomem(l->err, "a number", b.len);
    return pattern_of(l, &b);
}
