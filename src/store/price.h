/* price.h: what hosted models cost, by the day, from a file that people edit (share/prices.ini says how it is written).
 *
 * Money is whole numbers throughout. A price list's dollars per million tokens with up to six decimals are whole picodollars (10^-12 dollars) per
 * token, so costs are exact in picodollars; 2^63 of them are nine million dollars, and what goes beyond is an error.
 *
 * Later files add to earlier ones: same model and same day: the later holds. A table is filled by one thread and then read by any.
 */
#ifndef HEARTH_PRICE_H
#define HEARTH_PRICE_H

#include "base/err.h"
#include "base/mem.h"

enum {
    PRICE_TIERS = 8,
    PRICE_PATTERNS = 16,
    PRICE_NAME = 128,          /* bytes of a model's name or pattern */
    PRICE_ENTRIES = 1024,      /* of a table */
    PRICE_FILE = 1 << 20,      /* bytes of a file */
    PRICE_ALWAYS = INT32_MIN,  /* a day before all others: no day was given */
    PRICE_DECIMALS = 6,        /* of dollars in a file */
    PRICE_MOST = 1000000,      /* dollars of one price */
};

/* Prices of requests with more than `above` tokens of input: picodollars per token. */
struct price_tier {
    int64_t above;
    int64_t input, cached, write, output; /* new input, input read from the cache, input written to it, output */
};

/* The prices of one model from one day on. */
struct price {
    const char *model;
    const char *match[PRICE_PATTERNS];  /* other names, * for any characters */
    int n_match;
    const char *source;                 /* where they were read, or NULL */
    int32_t from, as_of;                /* days (date.h): valid from; read on; PRICE_ALWAYS: not given */
    struct price_tier tier[PRICE_TIERS]; /* by rising `above`, the first 0 */
    int n_tiers;
    int line, file;                     /* where it stands: the line of its heading, in which of the files added */
};

struct price_table {
    struct price *at; /* in the order of the files */
    int n;
    const char *against;   /* the model to compare with where none is named, or NULL */
    int64_t per_kwh;       /* electricity: microdollars per kWh; -1: not set */
    int64_t watts;         /* what this machine takes while it computes, for estimates; -1: not set */
    int cap, files;
    struct arena text;     /* what the names lie in */
};

/* The table that is linked into the program, then the user's own $XDG_CONFIG_HOME/hearth/prices.ini where there is one, then the file `extra` unless it is
 * NULL. The caller frees *t with price_table_free, after an error too. ERR_IO, ERR_MEMORY; ERR_FORMAT with FILE:LINE:COLUMN. */
int price_table_load(struct price_table *t, const char *extra, struct err *e);

/* Adds what text says; name is for messages. {0} with per_kwh and watts -1 is an empty table: price_table_init. */
void price_table_init(struct price_table *t);
int price_table_add(struct price_table *t, struct slice text, const char *name, struct err *e);
void price_table_free(struct price_table *t);

/* The model that a name means: the one that bears it, else the one with the closest pattern (most characters that are not *), whatever their case. NULL:
 * none. The result is good for price_on and lives as long as the table. */
const char *price_model(const struct price_table *t, struct slice name);

/* Its prices on a day: the latest that began until then. NULL: there were none yet. */
const struct price *price_on(const struct price_table *t, const char *model, int32_t day);

/* Tokens of one request. in counts all input; cached and written are parts of it. None is negative. */
struct price_use {
    int64_t in, cached, written, out;
};

/* What a request costs, exactly. The number of all its input tokens chooses the tier, for all its tokens. ERR_UNSUPPORTED: beyond 2^63. */
int price_cost(const struct price *p, struct price_use use, int64_t *picodollars, struct err *e);

/* What energy costs at per_kwh microdollars: rounded once, half up, to picodollars. ERR_UNSUPPORTED: beyond 2^63. */
int price_energy(int64_t microjoules, int64_t per_kwh, int64_t *picodollars, struct err *e);

#endif
