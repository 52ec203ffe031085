/* schema_lang.h: sets of strings as deterministic automata over characters, with union, intersection and complement. Inside src/text only.
 *
 * Patterns, formats, numbers, names of properties: whatever a schema says of a string becomes one of these, so that all of it can be combined
 * exactly. Immutable once made; all memory is the arena's of the struct langs. Automata are trimmed (every state is on a way to an end) and,
 * unless large, minimal. Surrogates are no characters.
 *
 * The first failure stays in `rc`, and the error is set; whatever is called later returns lang_none.
 */
#ifndef HEARTH_TEXT_SCHEMA_LANG_H
#define HEARTH_TEXT_SCHEMA_LANG_H

#include "text/gram.h"

struct langs {
    struct arena *mem;
    uint64_t work; /* steps taken for all of them together: at most LANG_WORK, about a second */
    int rc;
    struct err *err;
};

struct lang_edge {
    uint32_t lo, hi, to;
};
struct lang_state {
    uint32_t first, n; /* edges, sorted, apart */
    bool accept;
};
struct lang { /* state 0 is the start; no states: no strings */
    uint32_t n, n_edges;
    const struct lang_state *states;
    const struct lang_edge *edges;
};

enum { LANG_STATES = 20000, LANG_WORK = 50000000 };
bool lang_worked(struct langs *l, uint64_t steps); /* false: that was too much, or there was a failure before */
extern const struct lang lang_none;
extern const struct lang lang_all;

enum lang_op { LANG_AND, LANG_OR, LANG_MINUS };
const struct lang *lang_combine(struct langs *l, enum lang_op op, const struct lang *a, const struct lang *b);
const struct lang *lang_words(struct langs *l, const struct slice *words, size_t n); /* UTF-8 */
const struct lang *lang_length(struct langs *l, uint32_t min, uint32_t max);          /* in characters; max may be GRAM_INF */
bool lang_has(const struct lang *a, struct slice word);
static inline bool lang_empty(const struct lang *a) { return a->n == 0; }
bool lang_is_all(const struct lang *a);

/* For each state, how few and how many characters may still come (GRAM_INF: no bound). NULL: out of memory. */
struct lang_span {
    uint32_t least, most;
};
struct lang_span *lang_spans(struct langs *l, const struct lang *a);
/* Whether from each state every number of characters between its least and most leads to an end. */
bool lang_even(const struct lang *a, const struct lang_span *spans);

/* Building one state by state (number them from 0, the start): then lang_finish trims and minimises. */
struct lang_builder {
    struct langs *l;
    struct lang_state *states;
    struct lang_edge *edges;
    uint32_t n, n_edges, cap, cap_edges;
};
uint32_t lang_add_state(struct lang_builder *b, bool accept);
void lang_add_edge(struct lang_builder *b, uint32_t lo, uint32_t hi, uint32_t to); /* of the newest state; in order */
const struct lang *lang_finish(struct lang_builder *b);

/* A pattern in ECMAScript's syntax (Unicode mode), matched anywhere in the string. Lengths that the pattern itself bounds with large numbers go to
 * *min and *max instead (0 and GRAM_INF otherwise). ERR_FORMAT: no regular expression; ERR_UNSUPPORTED: look-around, back references, ... */
const struct lang *lang_pattern(struct langs *l, struct slice pattern, uint32_t *min, uint32_t *max);

/* The strings of a format, and their most characters beyond what the automaton says. NULL when the format is not known; no failure, then. */
const struct lang *lang_format(struct langs *l, struct slice name, uint32_t *max);

/* Numbers, as JSON writes them. A decimal is digits / 10^scale. */
enum { DECIMAL_DIGITS = 120 };
struct decimal {
    bool negative;
    char digits[DECIMAL_DIGITS + 1]; /* the first not 0 unless alone, nor the last behind the point; NUL at the end */
    uint32_t n, scale;
};
bool decimal_of(struct decimal *d, double v); /* the shortest that reads back as v; false: not finite, or more digits than fit */
void decimal_of_int(struct decimal *d, int64_t v);
const struct lang *lang_number(struct langs *l);              /* any number, exponents included */
const struct lang *lang_plain_number(struct langs *l);        /* any number without an exponent */
const struct lang *lang_integer(struct langs *l);             /* whole, without an exponent; a fraction of zeros is allowed */
const struct lang *lang_shortest_number(struct langs *l);      /* any number without an exponent or needless zeros behind the point */
const struct lang *lang_equal(struct langs *l, const struct decimal *d);
const struct lang *lang_at_least(struct langs *l, const struct decimal *bound, bool exclusive);
const struct lang *lang_at_most(struct langs *l, const struct decimal *bound, bool exclusive);
const struct lang *lang_multiple(struct langs *l, const struct decimal *of); /* of > 0. ERR_UNSUPPORTED: too many remainders */

#endif
