/* fit.h: choosing scales, for the encoders.
 *
 * To encode is to choose scales and, under them, the nearest level for each element, so that the weighted squared error
 * is least. Given the levels the best scale is a linear least-squares solution; given the scale the best levels are the
 * nearest. The functions here start that alternation from a set of scales that clip a little more each, and keep
 * the best. Everything is deterministic; x and w come from fit_prepare, so that no sum overflows.
 */
#ifndef HEARTH_FIT_H
#define HEARTH_FIT_H

#include <stdbool.h>
#include <stdint.h>

/* The values that an element may take before scaling: the integers lo..hi, or values[0..15], ascending. */
struct levels {
    int lo, hi;
    const int8_t *values; /* NULL: integers; otherwise lo = 0 and hi = 15 */
    float middle[15];     /* between values[k] and values[k + 1] */
};

static inline float level_value(const struct levels *l, int code) { return (float)(l->values ? l->values[code] : code); }

#define FIT_MOST 1e9f /* beyond what any scale of any type can hold */

/* Copies n elements to x: what is not a number becomes 0, and what is beyond +-FIT_MOST is brought there. The weights w are
 * scaled to 1 at most and are never zero; weight NULL, or nowhere positive: ones. */
void fit_prepare(const float *src, const float *weight, int n, float *x, float *w);

/* d as a half float: finite, and not zero unless d is. */
uint16_t fit_half(float d);

/* The scale d (of either sign) with the least sum of w (x - d v)^2, v being the nearest level. */
float fit_scale(const struct levels *l, const float *x, const float *w, int n);

/* The nearest levels at scale d, as codes; returns the weighted squared error. q may be NULL. */
float fit_codes(const struct levels *l, float d, const float *x, const float *w, int n, int8_t *q);

/* The same for x = d q + m with q in 0..hi; below: m <= 0 is wanted. fit_affine sets *d >= 0 and *m. */
void fit_affine(int hi, bool below, const float *x, const float *w, int n, float *d, float *m);
float fit_affine_codes(int hi, float d, float m, const float *x, const float *w, int n, int8_t *q);

/* A super-block of 256 in runs of `run`: x = d * scale[j] * level. scale_lo < 0 < scale_hi bound the runs' scales. */
struct fit_scaled {
    uint16_t d;
    int8_t scale[16], q[256];
};
void fit_super_scaled(const struct levels *l, int run, int scale_lo, int scale_hi, const float *x, const float *w,
                      struct fit_scaled *out);

/* The same for x = d * scale[j] * q - dmin * min[j], q in 0..hi, scales and minima in 0..scale_hi. */
struct fit_affined {
    uint16_t d, dmin;
    uint8_t scale[16], min[16];
    int8_t q[256];
};
void fit_super_affine(int hi, int run, int scale_hi, const float *x, const float *w, struct fit_affined *out);

#endif
