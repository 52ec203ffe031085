/* dry.c: a penalty for repetitions; see dry.h.
 *
 * The text is read backwards: run[j] is how many tokens agree, one by one, from the end and from j tokens before the end. What came next there is the
 * token j - 1 before the end. Breakers are looked for in the bytes that tokens stand for, so that it does not matter how a breaker is cut into tokens.
 */
#include "engine/dry.h"

#include <float.h>
#include <math.h>
#include <string.h>

const struct slice dry_breakers[DRY_BREAKERS] = {{"\n", 1}, {":", 1}, {"\"", 1}, {"*", 1}};

struct dry {
    struct dry_options o;   /* last_n is a number of tokens */
    int32_t *token;         /* [o.last_n] the text's end, a ring */
    int32_t *run;           /* [o.last_n] */
    int32_t *longest;       /* [n_vocab] one more than the longest run before a token, 0 between two calls */
    int n, at;              /* tokens in the ring, and where the next goes */
    int since;              /* tokens behind the one in which a breaker last ended; at most o.last_n */
    struct slice *breaker;  /* [o.n_breakers] */
    char *text;             /* of all breakers */
    char *tail;             /* the last bytes before the next token: those in which a breaker may have begun */
    size_t tail_n, tail_max;
};

static int check(const struct dry_options *o, struct err *e) {
    if (!(o->multiplier >= 0) || !isfinite(o->multiplier)) return err_set(e, ERR_USAGE, "dry-multiplier %g: must be a number from 0 on", (double)o->multiplier);
    if (o->multiplier == 0) return 0;
    if (!(o->base >= 1) || !isfinite(o->base)) return err_set(e, ERR_USAGE, "dry-base %g: must be a number from 1 on", (double)o->base);
    if (o->allowed_length < 0 || o->allowed_length > DRY_WINDOW) return err_set(e, ERR_USAGE, "dry-allowed-length %d: from 0 to %d", o->allowed_length, DRY_WINDOW);
    if (o->last_n < -1 || o->last_n > DRY_WINDOW) return err_set(e, ERR_USAGE, "dry-penalty-last-n %d: from -1 to %d", o->last_n, DRY_WINDOW);
    if (o->n_breakers < 0 || o->n_breakers > DRY_BREAKERS_MAX) return err_set(e, ERR_USAGE, "dry-sequence-breaker: %d texts, at most %d can be", o->n_breakers, DRY_BREAKERS_MAX);
    for (int i = 0; i < o->n_breakers; i++)
        if (o->breakers[i].n < 1 || o->breakers[i].n > DRY_BREAKER_BYTES)
            return err_set(e, ERR_USAGE, "dry-sequence-breaker: text %d has %zu bytes, but must have from 1 to %d", i + 1, o->breakers[i].n, DRY_BREAKER_BYTES);
    if (o->n_breakers && !o->tokenizer) return err_set(e, ERR_USAGE, "dry-sequence-breaker: without a tokenizer there is no text to find them in");
    return 0;
}

/* false: out of memory. */
static bool copy_breakers(struct dry *d, const struct dry_options *o) {
    size_t bytes = 0;
    for (int i = 0; i < o->n_breakers; i++) {
        bytes += o->breakers[i].n;
        if (o->breakers[i].n - 1 > d->tail_max) d->tail_max = o->breakers[i].n - 1;
    }
    if (!(d->text = mem_alloc(bytes)) || !(d->tail = mem_alloc(d->tail_max)) || !(d->breaker = mem_array(NULL, (size_t)o->n_breakers, sizeof *d->breaker))) return false;
    char *to = d->text;
    for (int i = 0; i < o->n_breakers; to += d->breaker[i++].n) {
        d->breaker[i] = (struct slice){to, o->breakers[i].n};
        memcpy(to, o->breakers[i].p, o->breakers[i].n);
    }
    return true;
}

int dry_new(struct dry **out, int n_vocab, const struct dry_options *o, struct err *e) {
    *out = NULL;
    int code = check(o, e);
    if (code || o->multiplier == 0 || o->last_n == 0) return code;
    struct dry *d = mem_calloc(1, sizeof *d);
    if (!d) return err_nomem(e, "the DRY sampler", sizeof *d);
    d->o = *o;
    if (o->last_n < 0) d->o.last_n = DRY_WINDOW;
    size_t n = (size_t)d->o.last_n;
    bool ok = (d->token = mem_array(NULL, n, sizeof *d->token)) && (d->run = mem_array(NULL, n, sizeof *d->run)) &&
              (d->longest = mem_calloc((size_t)n_vocab, sizeof *d->longest)) && copy_breakers(d, o);
    if (!ok) {
        dry_free(d);
        return err_nomem(e, "the DRY sampler", (2 * n + (size_t)n_vocab) * sizeof *d->token);
    }
    *out = d;
    return 0;
}

void dry_free(struct dry *d) {
    if (!d) return;
    mem_free(d->token);
    mem_free(d->run);
    mem_free(d->longest);
    mem_free(d->breaker);
    mem_free(d->text);
    mem_free(d->tail);
    mem_free(d);
}

/* ---- the text grows ---- */

/* Whether the breaker ends in the piece, wherever it began. */
static bool ends_in(const struct dry *d, struct slice piece, struct slice breaker) {
    for (size_t end = 1; end <= piece.n; end++) {
        size_t inside = end < breaker.n ? end : breaker.n, before = breaker.n - inside;
        if (before <= d->tail_n && memcmp(piece.p + end - inside, breaker.p + before, inside) == 0 && memcmp(d->tail + d->tail_n - before, breaker.p, before) == 0)
            return true;
    }
    return false;
}

static void add_to_tail(struct dry *d, struct slice piece) {
    if (piece.n > d->tail_max) piece = (struct slice){piece.p + piece.n - d->tail_max, d->tail_max};
    size_t room = d->tail_max - piece.n, keep = d->tail_n < room ? d->tail_n : room;
    memmove(d->tail, d->tail + d->tail_n - keep, keep);
    memcpy(d->tail + keep, piece.p, piece.n);
    d->tail_n = keep + piece.n;
}

void dry_accept(struct dry *d, int32_t id) {
    if (!d) return;
    d->token[d->at] = id;
    d->at = (d->at + 1) % d->o.last_n;
    if (d->n < d->o.last_n) d->n++;
    if (d->since < d->o.last_n) d->since++;
    if (!d->o.n_breakers) return;
    struct slice piece = tokenizer_piece(d->o.tokenizer, id);
    for (int i = 0; i < d->o.n_breakers && d->since; i++)
        if (ends_in(d, piece, d->breaker[i])) d->since = 0;
    add_to_tail(d, piece);
}

void dry_forget(struct dry *d) {
    if (!d) return;
    d->n = d->at = d->since = 0;
    d->tail_n = 0;
}

/* ---- penalties ---- */

static int32_t back(const struct dry *d, int i) { return d->token[d->at - 1 - i + (d->at - 1 - i < 0 ? d->o.last_n : 0)]; }

/* Fills run, with lengths of at most `most`. Inside the run that reaches furthest back, [from, to), a shorter one is known already, as far as that reaches; so
 * no token is compared twice with success (the Z algorithm: Gusfield, Algorithms on Strings, Trees and Sequences, 1.4). */
static void measure(struct dry *d, int most) {
    for (int j = 1, from = 0, to = 0; j < d->n; j++) {
        int run = 0;
        if (j < to) run = d->run[j - from] < to - j ? d->run[j - from] : to - j;
        while (run < most && j + run < d->n && back(d, run) == back(d, j + run)) run++;
        d->run[j] = run;
        if (j + run > to) from = j, to = j + run;
    }
}

void dry_penalise(struct dry *d, float *logits) {
    if (!d || d->since < d->o.allowed_length) return;
    measure(d, d->since);
    for (int j = 1; j < d->n; j++) {
        int32_t *longest = &d->longest[back(d, j - 1)];
        if (d->run[j] >= d->o.allowed_length && d->run[j] >= *longest) *longest = d->run[j] + 1;
    }
    for (int j = 1; j < d->n; j++) {
        int32_t id = back(d, j - 1), length = d->longest[id] - 1;
        d->longest[id] = 0;
        if (length < 0 || logits[id] == -INFINITY) continue;
        double penalty = (double)d->o.multiplier * pow((double)d->o.base, length - d->o.allowed_length);
        logits[id] = (float)fmax((double)logits[id] - penalty, -(double)FLT_MAX);
    }
}
