/* fit.c: the searches of fit.h. */
#include "tensor/fit.h"

#include <math.h>
#include <string.h>

#include "tensor/dtype.h"

#define FIT_TINY 1e-30f /* scales below this are zero: their inverse would overflow */
#define FIT_LEAST 1e-6f /* the least weight beside 1: nothing is quite without weight, so that every run has a best scale */

/* Where the searches start: scales under which the largest element lies from 0.6 levels
 * below the last level to 0.8 beyond it. Finer steps, more
 * polishing and more rounds were measured to take less than 0.1 % off the error. */
#define CLIP_STEP 0.2f
#define CLIP_LEAST -0.6f
enum { SUPER_SIZE = 256, TRIES = 8, POLISH = 4, ROUNDS = 2 };

void fit_prepare(const float *src, const float *weight, int n, float *x, float *w) {
    float most = 0;
    for (int i = 0; i < n; i++) {
        x[i] = isnan(src[i]) ? 0 : fminf(fmaxf(src[i], -FIT_MOST), FIT_MOST);
        w[i] = weight && weight[i] > 0 ? fminf(weight[i], FIT_MOST) : 0;
        most = fmaxf(most, w[i]);
    }
    for (int i = 0; i < n; i++) w[i] = most > FIT_TINY ? fmaxf(w[i] / most, FIT_LEAST) : 1;
}

uint16_t fit_half(float d) {
    uint16_t h = f32_to_f16(fminf(fmaxf(d, -65504), 65504));
    if (h == 0 && d > 0) return 1;
    if (h == 0x8000) return d < 0 ? 0x8001 : 0;
    return h;
}

/* How many levels beyond the last one the largest element lies at the start number k. */
static inline float clip_at(int k) { return CLIP_STEP * (float)k + CLIP_LEAST; }

/* The same, but never nearer to zero than d: the largest scale of a super-block then fits in its bits, also where half
 * floats are coarse. */
static uint16_t half_beyond(float d) {
    uint16_t h = fit_half(d);
    return fabsf(f16_to_f32(h)) < fminf(fabsf(d), 65504) ? (uint16_t)(h + 1) : h;
}

static inline float round_to(float t, float lo, float hi) {
    t = rintf(t);
    return t < lo ? lo : t > hi ? hi : t;
}

/* The code of the level nearest to t, and the level itself. */
static inline int nearest_code(const struct levels *l, float t) {
    if (!l->values) return (int)round_to(t, (float)l->lo, (float)l->hi);
    const float *m = l->middle;
    int k = t > m[7] ? 8 : 0;
    k += t > m[k + 3] ? 4 : 0;
    k += t > m[k + 1] ? 2 : 0;
    return k + (t > m[k]);
}

static inline float nearest(const struct levels *l, float t) {
    return l->values ? (float)l->values[nearest_code(l, t)] : round_to(t, (float)l->lo, (float)l->hi);
}

static inline float inverse(float d) { return fabsf(d) < FIT_TINY ? 0 : 1 / d; }

/* Replaces *inv by the inverse of the best scale for the levels that *inv gives. Returns how much of the squared
 * error of a zero scale it takes away. */
static double improve(const struct levels *l, const float *x, const float *w, int n, float *inv) {
    float xv = 0, vv = 0, old = *inv;
    for (int i = 0; i < n; i++) {
        float v = nearest(l, x[i] * old), wv = w[i] * v;
        xv += wv * x[i];
        vv += wv * v;
    }
    if (vv <= 0) return 0;
    *inv = inverse(xv / vv);
    return (double)xv * xv / vv;
}

float fit_scale(const struct levels *l, const float *x, const float *w, int n) {
    float low = 0, high = 0, bottom = level_value(l, l->lo), top = level_value(l, l->hi);
    for (int i = 0; i < n; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    if (fmaxf(high, -low) < FIT_TINY) return 0;
    double best = 0;
    float best_inv = 0, steps = (float)(l->values ? 8 : -l->lo); /* levels from zero to the bottom */
    for (int flip = 0; flip < 2; flip++) {
        float a = flip ? bottom / high : top / high, b = flip ? top / low : bottom / low;
        float full = fabsf(a) < fabsf(b) ? a : b; /* the inverse scale that just clips nothing; +-infinity loses */
        for (int k = 0; k < TRIES; k++) {
            float inv = full * (1 + clip_at(k) / steps);
            double gain = improve(l, x, w, n, &inv);
            if (gain > best) {
                best = gain;
                best_inv = inv;
            }
        }
    }
    for (int k = 0; k < POLISH; k++) {
        float inv = best_inv;
        double gain = improve(l, x, w, n, &inv);
        if (!(gain > best)) break;
        best = gain;
        best_inv = inv;
    }
    return inverse(best_inv);
}

float fit_codes(const struct levels *l, float d, const float *x, const float *w, int n, int8_t *q) {
    float inv = inverse(d), err = 0;
    for (int i = 0; i < n; i++) {
        float e = x[i] - d * nearest(l, x[i] * inv);
        err += w[i] * e * e;
    }
    for (int i = 0; q && i < n; i++) q[i] = (int8_t)nearest_code(l, x[i] * inv);
    return err;
}

/* The five sums of a straight-line fit of y = x - base to whole numbers q. */
struct line {
    double w, q, qq, y, yq;
};

static struct line line_sums(int hi, float base, float inv, float shift, const float *x, const float *w, int n) {
    float sw = 0, sq = 0, sqq = 0, sy = 0, syq = 0;
    for (int i = 0; i < n; i++) {
        float y = x[i] - base, q = round_to(y * inv - shift, 0, (float)hi), wq = w[i] * q;
        sw += w[i];
        sq += wq;
        sqq += wq * q;
        sy += w[i] * y;
        syq += wq * y;
    }
    return (struct line){sw, sq, sqq, sy, syq};
}

/* The line y = d q + m with the least error, m at most `most`; returns how much error it takes away. */
static double line_solve(const struct line *s, double most, double *d, double *m) {
    double det = s->w * s->qq - s->q * s->q;
    *d = det > 0 ? (s->w * s->yq - s->y * s->q) / det : 0;
    *m = (s->y - *d * s->q) / s->w;
    if (*m > most) {
        *m = most;
        *d = s->qq > 0 ? (s->yq - most * s->q) / s->qq : 0;
    }
    return 2 * (*d * s->yq + *m * s->y) - (*d * *d * s->qq + 2 * *d * *m * s->q + *m * *m * s->w);
}

void fit_affine(int hi, bool below, const float *x, const float *w, int n, float *d, float *m) {
    float low = x[0], high = x[0];
    for (int i = 1; i < n; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    if (below) low = fminf(low, 0);
    float range = high - low;
    *d = 0;
    *m = low;
    if (range < FIT_TINY) return;
    double most = below ? -(double)low : INFINITY, best = 0, bd = 0, bm = 0;
    for (int k = 0; k < TRIES; k++) {
        float clip = clip_at(k), inv = ((float)hi + clip) / range;
        for (int side = 0; side < 3; side++) { /* clip at the upper end, at both, at the lower */
            struct line s = line_sums(hi, low, inv, clip * 0.5f * (float)side, x, w, n);
            double td, tm, gain = line_solve(&s, most, &td, &tm);
            if (!(gain > best && td > 0)) continue;
            best = gain;
            bd = td;
            bm = tm;
        }
    }
    for (int k = 0; k < POLISH && bd > FIT_TINY; k++) {
        struct line s = line_sums(hi, low, (float)(1 / bd), (float)(bm / bd), x, w, n);
        double td, tm, gain = line_solve(&s, most, &td, &tm);
        if (!(gain > best && td > 0)) break;
        best = gain;
        bd = td;
        bm = tm;
    }
    *d = (float)bd;
    *m = (float)(low + bm);
}

float fit_affine_codes(int hi, float d, float m, const float *x, const float *w, int n, int8_t *q) {
    float inv = inverse(d), err = 0;
    for (int i = 0; i < n; i++) {
        float v = round_to((x[i] - m) * inv, 0, (float)hi), e = x[i] - (d * v + m);
        err += w[i] * e * e;
        if (q) q[i] = (int8_t)v;
    }
    return err;
}

static int clamp_int(int v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

/* v / d as a whole number in lo..hi; d may be zero */
static int ratio(float v, float d, int lo, int hi) { return (int)round_to(v * inverse(d), (float)lo, (float)hi); }

/* One round of fit_super_scaled: the best codes under out->d. Returns the error and, in *next, the best d for them. */
static double scaled_round(const struct levels *l, int run, int scale_lo, int scale_hi, const float *x, const float *w,
                           const float *wanted, struct fit_scaled *out, float *next) {
    double total = 0, xv = 0, vv = 0;
    float d = f16_to_f32(out->d);
    for (int j = 0; j < SUPER_SIZE / run; j++) {
        const float *xj = x + j * run, *wj = w + j * run;
        int8_t *q = out->q + j * run;
        int near = ratio(wanted[j], d, scale_lo, scale_hi), best = near;
        float least = INFINITY;
        for (int s = clamp_int(near - 1, scale_lo, scale_hi); s <= clamp_int(near + 1, scale_lo, scale_hi); s++) {
            float err = fit_codes(l, d * (float)s, xj, wj, run, NULL);
            if (err >= least) continue;
            least = err;
            best = s;
        }
        out->scale[j] = (int8_t)best;
        total += fit_codes(l, d * (float)best, xj, wj, run, q);
        for (int i = 0; i < run; i++) {
            float v = (float)best * level_value(l, q[i]);
            xv += wj[i] * xj[i] * v;
            vv += wj[i] * v * v;
        }
    }
    *next = vv > 0 ? (float)(xv / vv) : 0;
    return total;
}

void fit_super_scaled(const struct levels *l, int run, int scale_lo, int scale_hi, const float *x, const float *w,
                      struct fit_scaled *out) {
    float wanted[16], extreme = 0;
    for (int j = 0; j < SUPER_SIZE / run; j++) {
        wanted[j] = fit_scale(l, x + j * run, w + j * run, run);
        if (fabsf(wanted[j]) > fabsf(extreme)) extreme = wanted[j];
    }
    double least = INFINITY;
    float d = extreme / (float)scale_lo;
    for (int round = 0; round < ROUNDS; round++) {
        struct fit_scaled now = {.d = round ? fit_half(d) : half_beyond(d)};
        double err = scaled_round(l, run, scale_lo, scale_hi, x, w, wanted, &now, &d);
        if (err >= least) break;
        least = err;
        *out = now;
    }
}

/* One run of fit_super_affine under d and dmin: the best scale and minimum near the wanted ones. Returns the error. */
static float affine_run(int hi, int run, int scale_hi, float d, float dmin, float wanted_d, float wanted_min, const float *x,
                        const float *w, uint8_t *scale, uint8_t *min, int8_t *q) {
    int near = ratio(wanted_d, d, 0, scale_hi), first = ratio(wanted_min, dmin, 0, scale_hi);
    float least = INFINITY;
    for (int s = clamp_int(near - 1, 0, scale_hi); s <= clamp_int(near + 1, 0, scale_hi); s++) {
        /* The codes under the wanted minimum say which minimum they would rather have. */
        float ds = d * (float)s, want = 0, sum = 0;
        float err = fit_affine_codes(hi, ds, -dmin * (float)first, x, w, run, q);
        for (int i = 0; i < run; i++) {
            want += w[i] * (ds * (float)q[i] - x[i]);
            sum += w[i];
        }
        int m = ratio(want / sum, dmin, 0, scale_hi);
        float err2 = m == first ? err : fit_affine_codes(hi, ds, -dmin * (float)m, x, w, run, q);
        if (err <= err2) m = first;
        err = fminf(err, err2);
        if (err >= least) continue;
        least = err;
        *scale = (uint8_t)s;
        *min = (uint8_t)m;
    }
    return fit_affine_codes(hi, d * (float)*scale, -dmin * (float)*min, x, w, run, q);
}

/* The best d and dmin for the codes in out, in the sense of least squares: x = d a - dmin b. */
static void affine_refit(int run, const float *x, const float *w, const struct fit_affined *out, float *d, float *dmin) {
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
    for (int i = 0; i < SUPER_SIZE; i++) {
        double a = out->scale[i / run] * out->q[i], b = -out->min[i / run], wi = w[i];
        aa += wi * a * a;
        ab += wi * a * b;
        bb += wi * b * b;
        xa += wi * a * x[i];
        xb += wi * b * x[i];
    }
    double det = aa * bb - ab * ab;
    if (det > 0) {
        *d = (float)((xa * bb - xb * ab) / det);
        *dmin = (float)((xb * aa - xa * ab) / det);
    } else if (aa > 0) {
        *d = (float)(xa / aa);
    } else if (bb > 0) {
        *dmin = (float)(xb / bb);
    }
}

void fit_super_affine(int hi, int run, int scale_hi, const float *x, const float *w, struct fit_affined *out) {
    float wanted_d[16], wanted_min[16], d = 0, dmin = 0;
    for (int j = 0; j < SUPER_SIZE / run; j++) {
        fit_affine(hi, true, x + j * run, w + j * run, run, &wanted_d[j], &wanted_min[j]);
        wanted_min[j] = -wanted_min[j];
        d = fmaxf(d, wanted_d[j]);
        dmin = fmaxf(dmin, wanted_min[j]);
    }
    d /= (float)scale_hi;
    dmin /= (float)scale_hi;
    double least = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        struct fit_affined now = {.d = round ? fit_half(fmaxf(d, 0)) : half_beyond(d),
                                  .dmin = round ? fit_half(fmaxf(dmin, 0)) : half_beyond(dmin)};
        double err = 0;
        for (int j = 0, at = 0; at < SUPER_SIZE; j++, at += run)
            err += affine_run(hi, run, scale_hi, f16_to_f32(now.d), f16_to_f32(now.dmin), wanted_d[j], wanted_min[j],
                              x + at, w + at, &now.scale[j], &now.min[j], now.q + at);
        if (err >= least) break;
        least = err;
        *out = now;
        affine_refit(run, x, w, &now, &d, &dmin);
    }
}
