/* sampler.c: choosing the next token; see sampler.h.
 *
 * What may come stands in one array. Those that are wanted in order (top-k, typical, top-p) are taken from a heap one by one, so that a large
 * vocabulary is never sorted whole: the heap occupies the front of the array and what was taken the back, best last. Of the k best alone, that heap is made
 * of k. Until probabilities are set, a candidate's `probability` is its rank, by which it is ordered: the logit, but for locally typical sampling.
 */
#include "engine/sampler.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

struct sampler {
    struct sampler_options o;
    int n_vocab;
    struct rng rng;
    double mu;                /* Mirostat's bound, in bits */
    struct logit_bias *bias;  /* [o.n_bias] */
    struct candidate *c;      /* [n_vocab] */
    float *adjusted;          /* [n_vocab] logits after bias and penalties; NULL: there are none */
    int32_t *window;          /* the last o.repeat_last_n tokens, a ring; NULL, as count: no penalties */
    int32_t *count;           /* [n_vocab] how often each stands in the window */
    int window_n, window_at;
    struct dry *dry;
};

struct sampler_options sampler_defaults(void) {
    return (struct sampler_options){
        .temperature = 0.8f, .dynatemp_exponent = 1, .top_k = 40, .typical_p = 1, .top_p = 0.95f, .min_p = 0.05f, .xtc_threshold = 0.1f,
        .mirostat_tau = 5, .mirostat_eta = 0.1f, .repeat_penalty = 1, .repeat_last_n = 64,
        .dry = {.base = 1.75f, .allowed_length = 2, .last_n = -1, .breakers = dry_breakers, .n_breakers = DRY_BREAKERS},
    };
}

static int check_mirostat(const struct sampler_options *o, struct err *e) {
    if (o->mirostat != 0 && o->mirostat != 2) return err_set(e, ERR_USAGE, "mirostat %d: 0 (off) or 2 can be", o->mirostat);
    if (!(o->mirostat_tau >= 0) || !isfinite(o->mirostat_tau)) return err_set(e, ERR_USAGE, "mirostat's tau (entropy) %g: must be a number from 0 on", (double)o->mirostat_tau);
    if (!(o->mirostat_eta >= 0) || !isfinite(o->mirostat_eta)) return err_set(e, ERR_USAGE, "mirostat's eta (learning rate) %g: must be a number from 0 on", (double)o->mirostat_eta);
    return 0;
}

static int check_bias(const struct sampler_options *o, int n_vocab, struct err *e) {
    for (int i = 0; i < o->n_bias; i++) {
        if (o->bias[i].id < 0 || o->bias[i].id >= n_vocab)
            return err_set(e, ERR_USAGE, "logit bias for token %d: the vocabulary has %d", o->bias[i].id, n_vocab);
        if (isnan(o->bias[i].bias) || o->bias[i].bias == INFINITY) return err_set(e, ERR_USAGE, "logit bias for token %d: not a number to add", o->bias[i].id);
    }
    return 0;
}

static int check(const struct sampler_options *o, int n_vocab, struct err *e) {
    if (n_vocab < 1) return err_set(e, ERR_USAGE, "a vocabulary of %d tokens", n_vocab);
    if (!isfinite(o->temperature)) return err_set(e, ERR_USAGE, "temperature: not a finite number");
    if (!(o->dynatemp_range >= 0) || !isfinite(o->dynatemp_range)) return err_set(e, ERR_USAGE, "dynatemp-range %g: must be a number from 0 on", (double)o->dynatemp_range);
    if (!(o->dynatemp_exponent >= 0) || !isfinite(o->dynatemp_exponent)) return err_set(e, ERR_USAGE, "dynatemp-exp %g: must be a number from 0 on", (double)o->dynatemp_exponent);
    if (!(o->typical_p >= 0)) return err_set(e, ERR_USAGE, "typical-p %g: a probability from 0 to 1", (double)o->typical_p);
    if (!(o->top_p >= 0)) return err_set(e, ERR_USAGE, "top-p %g: a probability from 0 to 1", (double)o->top_p);
    if (!(o->min_p >= 0) || o->min_p > 1) return err_set(e, ERR_USAGE, "min-p %g: a probability from 0 to 1", (double)o->min_p);
    if (!isfinite(o->top_n_sigma)) return err_set(e, ERR_USAGE, "top-n-sigma: not a finite number");
    if (!(o->xtc_probability >= 0) || o->xtc_probability > 1) return err_set(e, ERR_USAGE, "xtc-probability %g: a probability from 0 to 1", (double)o->xtc_probability);
    if (!(o->xtc_threshold >= 0) || o->xtc_threshold > 1) return err_set(e, ERR_USAGE, "xtc-threshold %g: a probability from 0 to 1", (double)o->xtc_threshold);
    if (!(o->repeat_penalty > 0) || !isfinite(o->repeat_penalty)) return err_set(e, ERR_USAGE, "repeat penalty %g: must be above 0", (double)o->repeat_penalty);
    if (!isfinite(o->frequency_penalty) || !isfinite(o->presence_penalty)) return err_set(e, ERR_USAGE, "frequency or presence penalty: not a finite number");
    if (o->repeat_last_n < -1 || o->repeat_last_n > SAMPLER_WINDOW) return err_set(e, ERR_USAGE, "repeat last %d: from -1 to %d", o->repeat_last_n, SAMPLER_WINDOW);
    int code = check_mirostat(o, e);
    return code ? code : check_bias(o, n_vocab, e);
}

static bool penalises(const struct sampler_options *o) {
    return o->repeat_last_n != 0 && (o->repeat_penalty != 1 || o->frequency_penalty != 0 || o->presence_penalty != 0);
}

int sampler_new(struct sampler **out, int n_vocab, struct sampler_options o, struct err *e) {
    *out = NULL;
    int code = check(&o, n_vocab, e);
    if (code) return code;
    struct sampler *s = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "a sampler", sizeof *s);
    if (o.repeat_last_n < 0) o.repeat_last_n = SAMPLER_WINDOW;
    s->o = o;
    s->n_vocab = n_vocab;
    bool ok = (s->c = mem_array(NULL, (size_t)n_vocab, sizeof *s->c)) != NULL;
    if (o.n_bias) ok = ok && (s->bias = mem_array(NULL, (size_t)o.n_bias, sizeof *s->bias));
    if (penalises(&o))
        ok = ok && (s->window = mem_array(NULL, (size_t)o.repeat_last_n, sizeof *s->window)) && (s->count = mem_array(NULL, (size_t)n_vocab, sizeof *s->count));
    code = ok ? dry_new(&s->dry, n_vocab, &o.dry, e) : err_nomem(e, "a sampler", (unsigned long long)n_vocab * sizeof *s->c);
    bool adjusts = o.n_bias || s->count || s->dry;
    if (code == 0 && adjusts && !(s->adjusted = mem_array(NULL, (size_t)n_vocab, sizeof *s->adjusted)))
        code = err_nomem(e, "a sampler", (unsigned long long)n_vocab * sizeof *s->adjusted);
    if (code) {
        sampler_free(s);
        return code;
    }
    if (o.n_bias) memcpy(s->bias, o.bias, (size_t)o.n_bias * sizeof *s->bias);
    sampler_reset(s);
    *out = s;
    return 0;
}

void sampler_free(struct sampler *s) {
    if (!s) return;
    mem_free(s->bias);
    mem_free(s->c);
    mem_free(s->adjusted);
    mem_free(s->window);
    mem_free(s->count);
    dry_free(s->dry);
    mem_free(s);
}

void sampler_accept(struct sampler *s, int32_t id) {
    if (id < 0 || id >= s->n_vocab) return;
    dry_accept(s->dry, id);
    if (!s->count) return;
    if (s->window_n == s->o.repeat_last_n) s->count[s->window[s->window_at]]--;
    else s->window_n++;
    s->window[s->window_at] = id;
    s->count[id]++;
    s->window_at = (s->window_at + 1) % s->o.repeat_last_n;
}

void sampler_forget(struct sampler *s) {
    if (s->count) memset(s->count, 0, (size_t)s->n_vocab * sizeof *s->count);
    s->window_n = s->window_at = 0;
    dry_forget(s->dry);
}

void sampler_reset(struct sampler *s) {
    sampler_forget(s);
    s->rng = rng_new(s->o.seed, 0);
    s->mu = 2 * (double)s->o.mirostat_tau;
}

/* ---- logits, and what may come ---- */

static int not_finite(const float *logits, int i, struct err *e) {
    return err_set(e, ERR_FORMAT, "the logit of token %d is %g: the model's file is damaged or its type unsuited", i, (double)logits[i]);
}

/* What sums and penalties drove beyond the range of floats is brought back into it: only a bias of -INFINITY forbids. */
static float bounded(double x) { return x > (double)FLT_MAX ? FLT_MAX : x < -(double)FLT_MAX ? -FLT_MAX : (float)x; }

static void penalise(struct sampler *s, float *x) {
    for (int i = 0; i < s->window_n; i++) {
        int32_t id = s->window[i], times = s->count[id];
        if (times < 0) continue;
        s->count[id] = -times; /* so that each is met once */
        if (x[id] == -INFINITY) continue;
        double y = (double)x[id] > 0 ? (double)x[id] / (double)s->o.repeat_penalty : (double)x[id] * (double)s->o.repeat_penalty;
        x[id] = bounded(y - times * (double)s->o.frequency_penalty - (double)s->o.presence_penalty);
    }
    for (int i = 0; i < s->window_n; i++) s->count[s->window[i]] = abs(s->count[s->window[i]]);
}

/* The logits after bias, penalties and DRY. */
static const float *adjust(struct sampler *s, const float *logits) {
    float *x = s->adjusted;
    if (!x) return logits;
    memcpy(x, logits, (size_t)s->n_vocab * sizeof *x);
    for (int i = 0; i < s->o.n_bias; i++) {
        float *at = &x[s->bias[i].id];
        *at = *at == -INFINITY || s->bias[i].bias == -INFINITY ? -INFINITY : bounded((double)*at + (double)s->bias[i].bias);
    }
    penalise(s, x);
    dry_penalise(s->dry, x);
    return x;
}

/* The next ids behind *to that may come, one after another without a gap: [*from, *to). false: there are none. */
static bool next_run(const uint32_t *mask, int n_vocab, int *from, int *to) {
    int at = *to;
    if (mask) {
        while (at < n_vocab && !(mask[at / 32] >> at % 32)) at = at / 32 * 32 + 32;
        if (at < n_vocab) at += __builtin_ctz(mask[at / 32] >> at % 32);
    }
    if (at >= n_vocab) return false;
    uint32_t ends = mask ? ~mask[at / 32] >> at % 32 : 0;
    int end = !mask ? n_vocab : ends ? at + __builtin_ctz(ends) : at / 32 * 32 + 32;
    *from = at;
    *to = end < n_vocab ? end : n_vocab;
    return true;
}

static int nothing_left(const uint32_t *mask, int n_vocab, struct err *e) {
    int from, to = 0;
    if (!next_run(mask, n_vocab, &from, &to)) return err_set(e, ERR_USAGE, "the grammar allows no token of the vocabulary here");
    return err_set(e, ERR_USAGE, "logit bias: every token%s is forbidden", mask ? " that the grammar allows" : "");
}

/* All that may come, in order of ids. */
static int gather(struct sampler *s, const float *logits, const uint32_t *mask, int *n, struct err *e) {
    const float *x = adjust(s, logits);
    int kept = 0;
    for (int from, to = 0; next_run(mask, s->n_vocab, &from, &to);)
        for (int i = from; i < to; i++) {
            if (!isfinite(logits[i])) return not_finite(logits, i, e);
            s->c[kept] = (struct candidate){.id = i, .logit = x[i], .probability = (double)x[i]};
            kept += x[i] != -INFINITY;
        }
    *n = kept;
    return kept ? 0 : nothing_left(mask, s->n_vocab, e);
}

/* The best alone, without a look at how the others stand. */
static int gather_best(struct sampler *s, const float *logits, const uint32_t *mask, struct err *e) {
    const float *x = adjust(s, logits);
    float max = -INFINITY;
    int best = -1;
    for (int from, to = 0; next_run(mask, s->n_vocab, &from, &to);)
        for (int i = from; i < to; i++) {
            if (!isfinite(logits[i])) return not_finite(logits, i, e);
            if (x[i] > max) max = x[i], best = i;
        }
    s->c[0] = (struct candidate){.id = best, .logit = max, .probability = 1};
    return best >= 0 ? 0 : nothing_left(mask, s->n_vocab, e);
}

/* ---- the steps of the chain ---- */

static bool better(const struct candidate *a, const struct candidate *b) {
    return a->probability > b->probability || (a->probability == b->probability && a->id < b->id);
}

static double max_logit(const struct candidate *c, int n) {
    float max = c[0].logit;
    for (int i = 1; i < n; i++) max = c[i].logit > max ? c[i].logit : max;
    return (double)max;
}

/* Keeps, in order, what is at least `least`; the best always stays. */
static int keep_from(struct candidate *c, int n, double least) {
    int kept = 0;
    for (int i = 0; i < n; i++)
        if ((double)c[i].logit >= least) c[kept++] = c[i];
    return kept;
}

static int top_n_sigma(struct candidate *c, int n, double sigmas) {
    double mean = 0, squares = 0;
    for (int i = 0; i < n; i++) mean += (double)c[i].logit / n;
    for (int i = 0; i < n; i++) squares += ((double)c[i].logit - mean) * ((double)c[i].logit - mean);
    return keep_from(c, n, max_logit(c, n) - sigmas * sqrt(squares / n));
}

/* A heap with the best on top, or with the worst. */
static void sift(struct candidate *c, int n, int i, bool best) {
    struct candidate moved = c[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && better(&c[child + 1], &c[child]) == best) child++;
        if (better(&c[child], &moved) != best) break;
        c[i] = c[child];
    }
    c[i] = moved;
}

static void heapify(struct candidate *c, int n, bool best) {
    for (int i = n / 2; i-- > 0;) sift(c, n, i, best);
}

/* The best of the heap c[0..n) moves to c[n - 1]. */
static void take(struct candidate *c, int n) {
    struct candidate best = c[0];
    c[0] = c[n - 1];
    c[n - 1] = best;
    if (n > 2) sift(c, n - 1, 0, true);
}

/* The k best come to the front, in no order. Most of the others are only compared with the worst of those that lead. */
static void lead(struct candidate *c, int n, int k) {
    heapify(c, k, false);
    for (int i = k; i < n; i++) {
        if (!better(&c[i], &c[0])) continue;
        c[0] = c[i];
        sift(c, k, 0, false);
    }
}

static double weight(const struct candidate *c, double max) { return exp((double)c->logit - max); }

static double sum_weights(const struct candidate *c, int n, double max) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += weight(&c[i], max);
    return sum;
}

/* Brings the wanted ones to the front, best rank first: k of them, or all if k is not above 0; of these the fewest that have the part p of their probability. */
static int keep_best(struct candidate *c, int n, int k, double p) {
    int taken = 0, wanted = n;
    if (k <= 0 || k >= n) k = 0;
    if (!k && p >= 1) return n;
    if (k) lead(c, n, k), n = wanted = k;
    heapify(c, n, true);
    for (; taken < k; taken++) take(c, n - taken);
    if (p < 1) {
        double max = max_logit(c, n), all = sum_weights(c, n, max), sum = 0;
        for (wanted = 0; wanted < n && (wanted == 0 || sum < p * all); wanted++) {
            if (wanted == taken) take(c, n - taken++);
            sum += weight(&c[n - 1 - wanted], max);
        }
    }
    for (int i = 0; i < n / 2 && i < wanted; i++) { /* best last becomes best first */
        struct candidate other = c[i];
        c[i] = c[n - 1 - i];
        c[n - 1 - i] = other;
    }
    return wanted;
}

/* The candidates' distribution at temperature one. */
struct softmax {
    double max, sum, entropy; /* the best logit, the sum of all weights beside it; nats */
};

static struct softmax softmax_of(const struct candidate *c, int n) {
    struct softmax m = {.max = max_logit(c, n)};
    double below = 0;
    for (int i = 0; i < n; i++) {
        double w = weight(&c[i], m.max);
        m.sum += w;
        below += w * (m.max - (double)c[i].logit);
    }
    m.entropy = log(m.sum) + below / m.sum;
    return m;
}

/* How far a token's surprise is from the expected one is its rank. */
static int typical(struct candidate *c, int n, double p) {
    struct softmax m = softmax_of(c, n);
    for (int i = 0; i < n; i++) c[i].probability = -fabs(log(m.sum) + m.max - (double)c[i].logit - m.entropy);
    n = keep_best(c, n, 0, p);
    for (int i = 0; i < n; i++) c[i].probability = (double)c[i].logit;
    return n;
}

/* XTC: of those with at least this probability only the last stays. */
static int exclude_top(struct candidate *c, int n, double threshold) {
    double max = max_logit(c, n), least = threshold * sum_weights(c, n, max);
    int last = -1, kept = 0;
    for (int i = 0; i < n; i++)
        if (weight(&c[i], max) >= least && (last < 0 || better(&c[last], &c[i]))) last = i;
    for (int i = 0; i < n; i++)
        if (i == last || weight(&c[i], max) < least) c[kept++] = c[i];
    return kept;
}

/* Never zero, whose limit it takes instead: all is with the best. */
static double temperature_of(const struct sampler_options *o, const struct candidate *c, int n) {
    double t = (double)o->temperature, range = (double)o->dynatemp_range;
    if (range == 0 || n < 2) return t;
    double part = fmin(fmax(softmax_of(c, n).entropy / log(n), 0), 1), least = fmax(t - range, 0);
    return fmax(least + (t + range - least) * pow(part, (double)o->dynatemp_exponent), DBL_MIN);
}

static void set_probabilities(struct candidate *c, int n, double temperature) {
    double max = max_logit(c, n), sum = 0;
    for (int i = 0; i < n; i++) sum += c[i].probability = exp(((double)c[i].logit - max) / temperature);
    for (int i = 0; i < n; i++) c[i].probability /= sum;
}

/* Mirostat: drops what surprises by more than mu bits; the best always stays. */
static int drop_surprises(struct candidate *c, int n, double mu) {
    double best = 0, sum = 0;
    int kept = 0;
    for (int i = 0; i < n; i++) best = fmax(best, c[i].probability);
    double least = fmin(best, exp2(-mu));
    for (int i = 0; i < n; i++)
        if (c[i].probability >= least) sum += (c[kept++] = c[i]).probability;
    for (int i = 0; i < kept; i++) c[i].probability /= sum;
    return kept;
}

/* All steps that cut, without Mirostat. */
static int cut(const struct sampler_options *o, struct candidate *c, int n, bool exclude) {
    bool by_surprise = o->typical_p > 0 && o->typical_p < 1;
    if (o->top_n_sigma > 0) n = top_n_sigma(c, n, (double)o->top_n_sigma);
    n = keep_best(c, n, o->top_k, by_surprise ? 1 : (double)o->top_p);
    if (by_surprise) n = keep_best(c, typical(c, n, (double)o->typical_p), 0, (double)o->top_p);
    if (o->min_p > 0) n = keep_from(c, n, max_logit(c, n) + log((double)o->min_p));
    return exclude ? exclude_top(c, n, (double)o->xtc_threshold) : n;
}

/* ---- drawing ---- */

/* The random numbers of one draw. XTC's is taken whether or not there is anything to exclude. */
struct numbers {
    bool exclude;
    double draw;
};

static struct numbers next_numbers(const struct sampler *s, struct rng *r) {
    bool exclude = s->o.xtc_probability > 0 && rng_unit(r) < (double)s->o.xtc_probability;
    return (struct numbers){exclude, rng_unit(r)};
}

/* Fills c with what can be drawn; *n of them. */
static int prepare(struct sampler *s, const float *logits, const uint32_t *mask, bool exclude, int *n, struct err *e) {
    *n = 1;
    if (!(s->o.temperature > 0)) return gather_best(s, logits, mask, e);
    int code = gather(s, logits, mask, n, e);
    if (code) return code;
    if (!s->o.mirostat) *n = cut(&s->o, s->c, *n, exclude);
    set_probabilities(s->c, *n, temperature_of(&s->o, s->c, *n));
    if (s->o.mirostat) *n = drop_surprises(s->c, *n, s->mu);
    return 0;
}

int sampler_candidates(struct sampler *s, const float *logits, const uint32_t *mask, const struct candidate **out, int *n, struct err *e) {
    struct rng rng = s->rng;
    *out = s->c;
    return prepare(s, logits, mask, next_numbers(s, &rng).exclude, n, e);
}

/* One draw with the generator's next numbers. */
static int pick(struct sampler *s, const float *logits, const uint32_t *mask, struct rng *rng, const struct candidate **c, struct err *e) {
    struct numbers numbers = next_numbers(s, rng);
    int n, i = 0, code = prepare(s, logits, mask, numbers.exclude, &n, e);
    if (code) return code;
    double sum = 0;
    while (i < n - 1 && (sum += s->c[i].probability) <= numbers.draw) i++; /* rounding can leave the sum below one: then it is the last */
    *c = &s->c[i];
    return 0;
}

/* Moves Mirostat's bound by how far the surprise of a draw was from the wanted one. */
static void follow(struct sampler *s, double probability) {
    double surprise = -log2(fmax(probability, DBL_MIN));
    s->mu -= (double)s->o.mirostat_eta * (surprise - (double)s->o.mirostat_tau);
}

int sampler_draw(struct sampler *s, const float *logits, const uint32_t *mask, int32_t *id, struct err *e) {
    struct rng rng = s->rng;
    const struct candidate *c;
    int code = pick(s, logits, mask, &rng, &c, e);
    if (code) return code;
    s->rng = rng;
    *id = c->id;
    if (s->o.mirostat && s->o.temperature > 0) follow(s, c->probability);
    return 0;
}

int sampler_foresee(struct sampler *s, const float *logits, const uint32_t *mask, int ahead, int32_t *id, double *probability, struct err *e) {
    struct rng rng = s->rng;
    const struct candidate *c;
    while (ahead-- > 0) (void)next_numbers(s, &rng);
    int code = pick(s, logits, mask, &rng, &c, e);
    if (code) return code;
    *id = c->id;
    *probability = c->probability;
    return 0;
}

int logprobs_of(const float *logits, int n_vocab, int32_t id, float *logprob, struct logprob *top, int n, struct err *e) {
    int have = 0;
    for (int i = 0; i < n_vocab; i++)
        if (!isfinite(logits[i])) return not_finite(logits, i, e);
    float max = logits[0];
    for (int i = 1; i < n_vocab; i++) max = logits[i] > max ? logits[i] : max;
    double sum = 0;
    for (int i = 0; i < n_vocab; i++) sum += exp((double)logits[i] - (double)max);
    double whole = (double)max + log(sum);
    if (id >= 0 && id < n_vocab) *logprob = (float)((double)logits[id] - whole);
    for (int i = 0; i < n_vocab && n > 0; i++) { /* insertion into a short list; equal ones keep the order of ids */
        float lp = (float)((double)logits[i] - whole);
        if (have == n && lp <= top[n - 1].logprob) continue;
        int at = have < n ? have++ : n - 1;
        for (; at > 0 && top[at - 1].logprob < lp; at--) top[at] = top[at - 1];
        top[at] = (struct logprob){i, lp};
    }
    for (; have < n; have++) top[have] = (struct logprob){-1, -INFINITY};
    return 0;
}
