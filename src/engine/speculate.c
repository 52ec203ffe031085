/* speculate.c: guessing and verifying; see speculate.h.
 *
 * Costs are counted in steps of one row. A step of n rows that yields t tokens has earned t and cost what engine_rows_cost says; it is worth making
 * when it promises more tokens for its cost than one for one. What it promises follows from the odds: how often, lately, the text's own
 * past at a match of some length foretold the next token (which can be seen without guessing at all), and how often the draft did.
 */
#include "engine/speculate.h"

#include <string.h>

#include "base/os.h"
#include "engine/internal.h"
#include "engine/lookup.h"

/* Lengths of matches that share their odds, by the least of each, with what is believed before anything was seen. */
static const struct {
    int length;
    double odds;
} classes[] = {{0, 0.3}, {1, 0.3}, {2, 0.3}, {3, 0.4}, {4, 0.5}, {6, 0.6}, {8, 0.7}, {12, 0.8}, {16, 0.85}, {24, 0.9}, {LOOKUP_LONGEST, 0.95}};
enum { CLASSES = sizeof classes / sizeof *classes };

#define BELIEF 3.0       /* observations that the first belief counts for */
#define MEMORY 64.0      /* observations before older ones count less */
#define DRAFT_ODDS 0.7
#define DRAFT_COST 0.2   /* a draft's step, beside the model's, before it was measured */
#define WORTH 1.02       /* tokens for a step's cost that a guess has to promise */
#define ALLOWANCE 0.02   /* of all steps may be lost by guessing, */
#define CREDIT 1.0       /* besides so many at the beginning; */
#define CREDIT_MAX 4.0   /* what was gained is not all to be lost again */

struct odds {
    double hits, seen;
};

struct speculate {
    struct seq *seq, *draft;
    struct engine *engine;
    struct speculate_options o;
    struct lookup *lookup;
    float *padded;         /* a draft's logits for a larger vocabulary; NULL: not needed */
    int length;            /* of the text; guesses stand behind it */
    int first;             /* the position of the last token that had to be fed */
    int open;              /* guesses that were not drawn against yet */
    int made, came;        /* of the step under way: guesses, and those that came true */
    bool by_draft;         /* whose they are */
    double copy_s;         /* seconds that a copy of the recurrent state takes */
    double credit;         /* steps that may still be lost */
    int agreed;            /* tokens that the draft's sequence is known to share with the text */
    struct odds odds[CLASSES], draft_odds;
    struct speculate_counts counts;
};

static int least(int a, int b) { return a < b ? a : b; }

/* ---- odds ---- */

static void observe(struct odds *o, bool hit) {
    if (o->seen >= MEMORY) {
        o->hits /= 2;
        o->seen /= 2;
    }
    o->seen += 1;
    o->hits += hit;
}

static double chance(const struct odds *o) { return o->hits / o->seen; }

static struct odds *odds_at(struct speculate *sp, int length) {
    int c = CLASSES - 1;
    while (classes[c].length > length) c--;
    return &sp->odds[c];
}

int speculate_new(struct speculate **out, struct seq *s, struct speculate_options o, struct err *e) {
    *out = NULL;
    if (o.lookup < 0 || o.lookup > GUESS_MAX || o.draft_max < 0 || o.draft_max > GUESS_MAX)
        return err_set(e, ERR_USAGE, "%d tokens guessed at once: from 0 to %d can be", o.lookup < 0 || o.lookup > GUESS_MAX ? o.lookup : o.draft_max, GUESS_MAX);
    struct speculate *sp = mem_calloc(1, sizeof *sp);
    if (!sp) return err_nomem(e, "guessing", sizeof *sp);
    sp->seq = s;
    sp->engine = s->engine;
    sp->o = o;
    sp->credit = CREDIT;
    for (int c = 0; c < CLASSES; c++) sp->odds[c] = (struct odds){classes[c].odds * BELIEF, BELIEF};
    sp->draft_odds = (struct odds){DRAFT_ODDS * BELIEF, BELIEF};
    int code = o.lookup ? lookup_new(&sp->lookup, engine_context(sp->engine), e) : 0;
    if (code == 0 && o.draft && o.draft_max) {
        size_t ours = sp->engine->model->hp.n_vocab, theirs = o.draft->model->hp.n_vocab;
        code = seq_new(&sp->draft, o.draft, e);
        if (code == 0 && theirs < ours && !(sp->padded = mem_array(NULL, ours, sizeof *sp->padded))) code = err_nomem(e, "a draft's logits", ours * sizeof *sp->padded);
        for (size_t i = theirs; sp->padded && i < ours; i++) sp->padded[i] = -1e30f;
    }
    if (code == 0) code = seq_hold(s, e); /* reserves its place */
    if (code == 0 && sp->draft) code = seq_hold(sp->draft, e);
    if (code) speculate_free(sp);
    else *out = sp;
    return code;
}

void speculate_free(struct speculate *sp) {
    if (!sp) return;
    seq_free(sp->draft);
    lookup_free(sp->lookup);
    mem_free(sp->padded);
    mem_free(sp);
}

void speculate_begin(struct speculate *sp) {
    sp->length = sp->seq->length + sp->seq->pending;
    sp->first = sp->length - 1;
    sp->open = sp->made = sp->came = sp->agreed = 0;
    if (sp->lookup) lookup_reset(sp->lookup, sp->seq->tokens, sp->length);
}

int speculate_length(const struct speculate *sp) { return sp->length; }
int speculate_first(const struct speculate *sp) { return sp->first; }
struct speculate_counts speculate_counts(const struct speculate *sp) { return sp->counts; }

/* ---- the draft model ---- */

/* Brings the draft's sequence to the text: what differs goes, what is missing is pending afterwards. False: the draft cannot hold it. */
static bool follow(struct speculate *sp) {
    struct seq *d = sp->draft;
    const int32_t *text = sp->seq->tokens;
    int have = d->length + d->pending, same = least(sp->agreed, have), n_vocab = (int)d->engine->model->hp.n_vocab;
    struct err ignored;
    while (same < have && same < sp->length && d->tokens[same] == text[same]) same++;
    if (same == sp->length && same == have && (d->pending || engine_logits(d->engine, d, same - 1))) return true;
    if (same == sp->length) same--; /* the last token's logits are needed */
    if (same < have) have = seq_truncate(d, same);
    for (int i = have; i < sp->length; i++)
        if (text[i] >= n_vocab) return false;
    if (seq_feed(d, text + have, sp->length - have, WANT_LAST, &ignored)) return false;
    sp->agreed = sp->length;
    return true;
}

int speculate_follow(struct speculate *sp, int *left, struct err *e) {
    *left = 0;
    if (!sp->draft || sp->length < 1 || !follow(sp)) return 0;
    int code = engine_step(sp->o.draft, e);
    *left = sp->draft->pending;
    return code;
}

/* The draft's logits behind its last token, as many as the model has. */
static int draft_logits(struct speculate *sp, const float **logits, struct err *e) {
    struct seq *d = sp->draft;
    int code = 0;
    while (code == 0 && !(*logits = engine_logits(d->engine, d, d->length + d->pending - 1))) {
        if (!d->pending) return err_set(e, ERR_INTERNAL, "the draft model gave no logits");
        code = engine_step(d->engine, e);
    }
    if (code || !sp->padded) return code;
    memcpy(sp->padded, *logits, d->engine->model->hp.n_vocab * sizeof **logits);
    *logits = sp->padded;
    return 0;
}

/* Beside a step of one row of the model. */
static double draft_cost(const struct speculate *sp) {
    double ours = engine_row_s(sp->engine), theirs = engine_row_s(sp->o.draft);
    return ours > 0 && theirs > 0 ? theirs / ours : DRAFT_COST;
}

/* Up to `most` guesses, fewer where the draft itself is in doubt. */
static int ask_draft(struct speculate *sp, int most, struct sampler *sampler, int32_t *guess, int *n, struct err *e) {
    int code = 0, room = engine_context(sp->o.draft) - sp->length;
    double sure = 1, doubt = draft_cost(sp) + engine_rows_cost(sp->engine, 2) - 1;
    *n = 0;
    if (most > room) most = room;
    if (most < 1 || !sampler || sp->length < 1 || !follow(sp)) return 0;
    while (code == 0 && *n < most) {
        const float *logits;
        double probability;
        int32_t id;
        if ((code = draft_logits(sp, &logits, e)) || (*n == 0 && (code = seq_hold(sp->draft, e)))) break;
        if ((code = sampler_foresee(sampler, logits, NULL, *n, &id, &probability, e))) break;
        guess[(*n)++] = id;
        sure *= probability;
        if (!sp->o.always && sure < doubt) break;
        if (id >= (int32_t)sp->o.draft->model->hp.n_vocab) break;
        if (*n < most) code = seq_feed(sp->draft, &id, 1, WANT_LAST, e);
    }
    return code;
}

/* ---- how much to guess ---- */

/* Of a step of n guesses: its rows, the copy of a recurrent state beforehand, and who makes the guesses. */
static double cost_of(const struct speculate *sp, int n, bool by_draft) {
    double row_s = engine_row_s(sp->engine), copy = row_s > 0 ? sp->copy_s / row_s : 0;
    return engine_rows_cost(sp->engine, n + 1) + copy + (by_draft ? n * draft_cost(sp) : 0);
}

/* Rows of a step that can be judged: what was measured, and twice as many. */
static int known_rows(const struct engine *en) {
    int rows = VERIFY_ROWS;
    while (rows > 2 && !en->costs.seen[rows]) rows--;
    return 2 * rows;
}

struct choice {
    int n;
    bool by_draft;
    double rate; /* tokens for the cost of a step of one row */
};

static void consider(struct speculate *sp, bool by_draft, int most, struct choice *best) {
    int length = sp->lookup ? lookup_match(sp->lookup).length : 0;
    double reach = 1, tokens = 1;
    if (!sp->o.always) most = least(most, known_rows(sp->engine) - 1);
    for (int n = 1; n <= most; n++) {
        reach *= chance(by_draft ? &sp->draft_odds : odds_at(sp, length + n - 1));
        tokens += reach;
        double cost = cost_of(sp, n, by_draft);
        if (sp->seq->memory.state) cost += (1 - reach) * (engine_rows_cost(sp->engine, n / 2 + 2) - 1); /* a wrong guess means to compute the right ones again */
        double rate = tokens / cost;
        if (cost - 1 > sp->credit && !sp->o.always) return;
        if (rate > best->rate || sp->o.always) *best = (struct choice){n, by_draft, rate};
    }
}

static struct choice choose(struct speculate *sp, int most) {
    struct choice best = {.rate = WORTH};
    most = least(most, engine_context(sp->engine) - sp->length);
    most = least(most, least(sp->engine->o.max_logits, sp->engine->o.max_rows) - 1);
    if (sp->engine->step.n_spans > 1) most = 0;                     /* in company a step is full already */
    if (sp->seq->memory.state && sp->seq->pending > 1) most = 0;    /* what a wrong guess undid is computed first, so that it is not undone again */
    if (engine_row_s(sp->engine) <= 0 && !sp->o.always) most = 0;   /* nothing to weigh with */
    if (sp->draft) consider(sp, true, least(most, sp->o.draft_max), &best);
    if (sp->lookup && lookup_match(sp->lookup).at >= 0 && !(sp->o.always && best.n)) consider(sp, false, least(most, sp->o.lookup), &best);
    return best;
}

/* Feeds guesses behind the text. */
static int guess(struct speculate *sp, int most, struct sampler *sampler, struct err *e) {
    int32_t ids[GUESS_MAX];
    struct choice c = choose(sp, most);
    int n = 0, code = 0;
    if (c.n == 0) return 0;
    if (c.by_draft) code = ask_draft(sp, c.n, sampler, ids, &n, e);
    else n = lookup_guess(sp->lookup, sp->seq->tokens, sp->length, ids, c.n);
    if (code == 0 && n && sp->o.allowed) n = sp->o.allowed(sp->o.ctx, ids, n);
    if (code || n == 0) return code;
    double start = os_now();
    if ((code = seq_hold(sp->seq, e)) || (code = seq_feed(sp->seq, ids, n, WANT_ALL, e))) return code;
    if (sp->seq->memory.state) sp->copy_s += (os_now() - start - sp->copy_s) / 4;
    sp->open = sp->made = n;
    sp->came = 0;
    sp->by_draft = c.by_draft;
    sp->counts.drafted += n;
    return 0;
}

/* ---- the text grows ---- */

static void earn(struct speculate *sp, double steps) {
    sp->credit += steps;
    if (sp->credit > CREDIT_MAX) sp->credit = CREDIT_MAX;
}

/* The step of guesses is over, and its time part of what is known about such steps. */
static void settle_account(struct speculate *sp) {
    if (sp->made) earn(sp, 1 + sp->came - cost_of(sp, sp->made, sp->by_draft));
    sp->made = 0;
}

static int drop_guesses(struct speculate *sp, enum want want, struct err *e) {
    settle_account(sp);
    if (!sp->open) return 0;
    sp->open = 0;
    int reached = seq_truncate(sp->seq, sp->length);
    if (sp->length - reached > 0) earn(sp, 1 - engine_rows_cost(sp->engine, sp->length - reached + 1));
    return seq_feed(sp->seq, sp->seq->tokens + reached, sp->length - reached, want, e);
}

int speculate_settle(struct speculate *sp, struct err *e) {
    int code = drop_guesses(sp, WANT_LAST, e);
    struct seq *s = sp->seq;
    if (s->pending) s->wants[s->length + s->pending - 1] |= ENDS; /* guesses may have had these computed already, but never in a step with what is fed next */
    return code;
}

/* What the next token says about the odds, whether or not it had been guessed. */
static void learn(struct speculate *sp, int32_t id) {
    struct match m = sp->lookup ? lookup_match(sp->lookup) : (struct match){-1, 0};
    if (m.at >= 0) observe(odds_at(sp, m.length), sp->seq->tokens[m.at] == id);
    if (sp->open && sp->by_draft) observe(&sp->draft_odds, sp->seq->tokens[sp->length] == id);
    earn(sp, ALLOWANCE);
}

int speculate_append(struct speculate *sp, int32_t id, int most, struct sampler *sampler, struct err *e) {
    learn(sp, id);
    bool foretold = sp->open && sp->seq->tokens[sp->length] == id;
    int code = 0;
    if (foretold) {
        sp->open--;
        sp->came++;
        sp->counts.accepted++;
    } else if ((code = drop_guesses(sp, WANT_NONE, e)) || (code = seq_feed(sp->seq, &id, 1, WANT_LAST, e))) {
        return code;
    }
    if (!foretold) sp->first = sp->length;
    sp->length++;
    if (sp->lookup) lookup_add(sp->lookup, sp->seq->tokens, sp->length);
    return foretold ? 0 : guess(sp, most, sampler, e);
}
