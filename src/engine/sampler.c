/* sampler.c: choosing the next token; see sampler.h.
 *
 * Candidates stand in one array. Those that are wanted in order (top-k, top-p) are taken from a heap one by one, so that a large
 * vocabulary is never sorted whole: the heap occupies the front of the array and what was taken the back, best last.
 */
#include "engine/sampler.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

struct sampler {
    struct sampler_options o;
    int n_vocab;
    struct rng rng;
    struct logit_bias *bias;  /* [o.n_bias] */
    struct candidate *c;      /* [n_vocab] */
    int32_t *window;          /* the last o.repeat_last_n tokens, a ring */
    uint32_t *count;          /* [n_vocab] how often each stands in the window */
    int window_n, window_at;
};

struct sampler_options sampler_defaults(void) {
    return (struct sampler_options){.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1, .repeat_last_n = 64};
}

static int check(const struct sampler_options *o, int n_vocab, struct err *e) {
    if (n_vocab < 1) return err_set(e, ERR_USAGE, "a vocabulary of %d tokens", n_vocab);
    if (!isfinite(o->temperature)) return err_set(e, ERR_USAGE, "temperature: not a finite number");
    if (!(o->top_p >= 0)) return err_set(e, ERR_USAGE, "top-p %g: a probability from 0 to 1", (double)o->top_p);
    if (!(o->min_p >= 0) || o->min_p > 1) return err_set(e, ERR_USAGE, "min-p %g: a probability from 0 to 1", (double)o->min_p);
    if (!isfinite(o->top_n_sigma)) return err_set(e, ERR_USAGE, "top-n-sigma: not a finite number");
    if (!(o->repeat_penalty > 0) || !isfinite(o->repeat_penalty)) return err_set(e, ERR_USAGE, "repeat penalty %g: must be above 0", (double)o->repeat_penalty);
    if (!isfinite(o->frequency_penalty) || !isfinite(o->presence_penalty)) return err_set(e, ERR_USAGE, "frequency or presence penalty: not a finite number");
    if (o->repeat_last_n < -1 || o->repeat_last_n > SAMPLER_WINDOW) return err_set(e, ERR_USAGE, "repeat last %d: from -1 to %d", o->repeat_last_n, SAMPLER_WINDOW);
    for (int i = 0; i < o->n_bias; i++) {
        if (o->bias[i].id < 0 || o->bias[i].id >= n_vocab)
            return err_set(e, ERR_USAGE, "logit bias for token %d: the vocabulary has %d", o->bias[i].id, n_vocab);
        if (isnan(o->bias[i].bias) || o->bias[i].bias == INFINITY) return err_set(e, ERR_USAGE, "logit bias for token %d: not a number to add", o->bias[i].id);
    }
    return 0;
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
    s->rng = rng_new(o.seed, 0);
    bool ok = (s->c = mem_array(NULL, (size_t)n_vocab, sizeof *s->c)) != NULL;
    if (o.n_bias) ok = ok && (s->bias = mem_array(NULL, (size_t)o.n_bias, sizeof *s->bias));
    if (penalises(&o)) ok = ok && (s->window = mem_calloc((size_t)o.repeat_last_n, sizeof *s->window)) && (s->count = mem_calloc((size_t)n_vocab, sizeof *s->count));
    if (!ok) {
        sampler_free(s);
        return err_nomem(e, "a sampler", (unsigned long long)n_vocab * sizeof *s->c);
    }
    if (o.n_bias) memcpy(s->bias, o.bias, (size_t)o.n_bias * sizeof *s->bias);
    *out = s;
    return 0;
}

void sampler_free(struct sampler *s) {
    if (!s) return;
    mem_free(s->bias);
    mem_free(s->c);
    mem_free(s->window);
    mem_free(s->count);
    mem_free(s);
}

void sampler_accept(struct sampler *s, int32_t id) {
    if (!s->count || id < 0 || id >= s->n_vocab) return;
    if (s->window_n == s->o.repeat_last_n) s->count[s->window[s->window_at]]--;
    else s->window_n++;
    s->window[s->window_at] = id;
    s->count[id]++;
    s->window_at = (s->window_at + 1) % s->o.repeat_last_n;
}

void sampler_forget(struct sampler *s) {
    if (s->count) memset(s->count, 0, (size_t)s->n_vocab * sizeof *s->count);
    s->window_n = s->window_at = 0;
}

void sampler_reset(struct sampler *s) {
    sampler_forget(s);
    s->rng = rng_new(s->o.seed, 0);
}

/* ---- the steps of the chain ---- */

static int check_finite(const float *logits, int n, struct err *e) {
    for (int i = 0; i < n; i++)
        if (!isfinite(logits[i])) return err_set(e, ERR_FORMAT, "the logit of token %d is %g: the model's file is damaged or its type unsuited", i, (double)logits[i]);
    return 0;
}

static void penalise(struct sampler *s) {
    for (int i = 0; i < s->n_vocab; i++) {
        if (!s->count[i]) continue;
        float *x = &s->c[i].logit;
        *x = *x > 0 ? *x / s->o.repeat_penalty : *x * s->o.repeat_penalty;
        *x -= (float)s->count[i] * s->o.frequency_penalty + s->o.presence_penalty;
    }
}

static bool better(const struct candidate *a, const struct candidate *b) { return a->logit > b->logit || (a->logit == b->logit && a->id < b->id); }

static int best_of(const struct candidate *c, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (better(&c[i], &c[best])) best = i;
    return best;
}

/* Keeps, in order, what is at least `least`; the best always stays. */
static int keep_from(struct candidate *c, int n, double least) {
    int kept = 0;
    for (int i = 0; i < n; i++)
        if ((double)c[i].logit >= least) c[kept++] = c[i];
    return kept;
}

/* Drops what is forbidden, and brings what penalties drove beyond the range of floats back into it. */
static int keep_allowed(struct candidate *c, int n) {
    for (int i = 0; i < n; i++) c[i].logit = fminf(c[i].logit, FLT_MAX);
    return keep_from(c, n, -FLT_MAX);
}

static int top_n_sigma(struct candidate *c, int n, double sigmas) {
    double mean = 0, squares = 0;
    for (int i = 0; i < n; i++) mean += (double)c[i].logit / n;
    for (int i = 0; i < n; i++) squares += ((double)c[i].logit - mean) * ((double)c[i].logit - mean);
    return keep_from(c, n, (double)c[best_of(c, n)].logit - sigmas * sqrt(squares / n));
}

static void sift(struct candidate *c, int n, int i) {
    struct candidate moved = c[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && better(&c[child + 1], &c[child])) child++;
        if (!better(&c[child], &moved)) break;
        c[i] = c[child];
    }
    c[i] = moved;
}

static void heapify(struct candidate *c, int n) {
    for (int i = n / 2; i-- > 0;) sift(c, n, i);
}

/* The best of the heap c[0..n) moves to c[n - 1]. */
static void take(struct candidate *c, int n) {
    struct candidate best = c[0];
    c[0] = c[n - 1];
    c[n - 1] = best;
    if (n > 2) sift(c, n - 1, 0);
}

static double sum_exp(const struct candidate *c, int n, float max) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += exp((double)c[i].logit - (double)max);
    return sum;
}

/* Brings the wanted ones to the front, best first. Returns how many. */
static int top_k_p(struct candidate *c, int n, int top_k, double top_p) {
    int k = top_k > 0 && top_k < n ? top_k : n, taken = 0;
    if (k == n && top_p >= 1) return n;
    heapify(c, n);
    if (k < n)
        for (; taken < k; taken++) take(c, n - taken);
    if (top_p < 1) {
        float max = k < n ? c[n - 1].logit : c[0].logit;
        double all = k < n ? sum_exp(c + n - k, k, max) : sum_exp(c, n, max), sum = 0;
        int wanted = 0;
        while (wanted < k && (wanted == 0 || sum < top_p * all)) {
            if (wanted == taken) take(c, n - taken++);
            sum += exp((double)c[n - 1 - wanted++].logit - (double)max);
        }
        k = wanted;
    }
    for (int i = 0; i < n / 2; i++) { /* best last becomes best first */
        struct candidate other = c[i];
        c[i] = c[n - 1 - i];
        c[n - 1 - i] = other;
    }
    return k;
}

static void set_probabilities(struct candidate *c, int n, double temperature) {
    double max = (double)c[best_of(c, n)].logit, sum = 0;
    for (int i = 0; i < n; i++) sum += c[i].probability = exp(((double)c[i].logit - max) / temperature);
    for (int i = 0; i < n; i++) c[i].probability /= sum;
}

int sampler_candidates(struct sampler *s, const float *logits, const struct candidate **out, int *count, struct err *e) {
    struct candidate *c = s->c;
    int n = s->n_vocab, code = check_finite(logits, n, e);
    if (code) return code;
    for (int i = 0; i < n; i++) c[i] = (struct candidate){.id = i, .logit = logits[i]};
    for (int i = 0; i < s->o.n_bias; i++) c[s->bias[i].id].logit += s->bias[i].bias;
    if (s->count) penalise(s);
    n = keep_allowed(c, n);
    if (n == 0) return err_set(e, ERR_USAGE, "logit bias: every token is forbidden");
    if (!(s->o.temperature > 0)) {
        c[0] = c[best_of(c, n)];
        c[0].probability = 1;
        n = 1;
    } else {
        if (s->o.top_n_sigma > 0) n = top_n_sigma(c, n, (double)s->o.top_n_sigma);
        n = top_k_p(c, n, s->o.top_k, (double)s->o.top_p);
        if (s->o.min_p > 0) n = keep_from(c, n, (double)c[best_of(c, n)].logit + log((double)s->o.min_p));
        set_probabilities(c, n, (double)s->o.temperature);
    }
    *out = c;
    *count = n;
    return 0;
}

static const struct candidate *choose(const struct candidate *c, int n, double u) {
    double sum = 0;
    int i = 0;
    while (i < n - 1 && (sum += c[i].probability) <= u) i++; /* rounding can leave the sum below one: then it is the last */
    return &c[i];
}

int sampler_draw(struct sampler *s, const float *logits, int32_t *id, struct err *e) {
    const struct candidate *c;
    int n, code = sampler_candidates(s, logits, &c, &n, e);
    if (code == 0) *id = choose(c, n, rng_unit(&s->rng))->id;
    return code;
}

int sampler_foresee(struct sampler *s, const float *logits, int ahead, int32_t *id, double *probability, struct err *e) {
    const struct candidate *c;
    struct rng rng = s->rng;
    int n, code = sampler_candidates(s, logits, &c, &n, e);
    if (code) return code;
    while (ahead-- > 0) (void)rng_unit(&rng);
    c = choose(c, n, rng_unit(&rng));
    *id = c->id;
    *probability = c->probability;
    return 0;
}

int logprobs_of(const float *logits, int n_vocab, int32_t id, float *logprob, struct logprob *top, int n, struct err *e) {
    int code = check_finite(logits, n_vocab, e), have = 0;
    if (code) return code;
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
