/* vector_math.h: exponential and what is made of it, on vectors of floats. Included by the math.h of an instruction set, which says
 * what a vector (vf) is and what it can do. A lane's result depends on that lane alone.
 *
 * Polynomials are minimax fits (Remez) on the ranges stated; the errors stated are theirs, before rounding. */

/* e^x, within one unit in the last place; 0 below -104, infinity above 89, and not a number for what is not one. */
static inline vf vf_exp(vf x) {
    x = vf_max(vf_set(-104.0f), vf_min(vf_set(89.0f), x));
    vf n = vf_round(x * vf_set(1.44269504088896341f)); /* 1 / ln 2 */
    /* x - n ln 2 with ln 2 in two parts, of which the first times n is exact */
    vf r = vf_fnma(n, vf_set(-2.12194440e-4f), vf_fnma(n, vf_set(0.693359375f), x));
    /* e^r = 1 + r + r^2 q(r) for |r| <= ln 2 / 2: relative error 3.1e-9 */
    vf q = vf_fma(vf_set(0.00138145406f), r, vf_set(0.00836874545f));
    q = vf_fma(q, r, vf_set(0.041668389f));
    q = vf_fma(q, r, vf_set(0.166665211f));
    q = vf_fma(q, r, vf_set(0.49999994f));
    q = vf_fma(q, r * r, r) + vf_set(1.0f);
    return vf_scale2(q, n);
}

static inline vf vf_sigmoid(vf x) { return vf_set(1.0f) / (vf_set(1.0f) + vf_exp(vf_set(0.0f) - x)); }

/* Near 0 an odd polynomial, x + x^3 q(x^2), relative error 4.1e-9; elsewhere 1 - 2 / (e^2x + 1). */
static inline vf vf_tanh(vf x) {
    vf far = vf_set(1.0f) - vf_set(2.0f) / (vf_exp(x + x) + vf_set(1.0f)), s = x * x;
    vf q = vf_fma(vf_set(-0.00571704516f), s, vf_set(0.020650588f));
    q = vf_fma(q, s, vf_set(-0.0537434965f));
    q = vf_fma(q, s, vf_set(0.133314908f));
    q = vf_fma(q, s, vf_set(-0.333332837f));
    return vf_if_less(vf_abs(x), vf_set(0.625f), vf_fma(q * s, x, x), far);
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + u), u = e^-|x| <= 1; ln(1 + u) = 2 artanh(s), s = u / (2 + u), artanh(s) = s + s^3 q(s^2): relative error 1.1e-10. */
static inline vf vf_softplus(vf x) {
    vf u = vf_exp(vf_set(0.0f) - vf_abs(x)), s = u / (u + vf_set(2.0f)), t = s * s;
    vf q = vf_fma(vf_set(0.121504672f), t, vf_set(0.107138291f));
    q = vf_fma(q, t, vf_set(0.143084422f));
    q = vf_fma(q, t, vf_set(0.199994385f));
    q = vf_fma(q, t, vf_set(0.333333373f));
    return vf_max(vf_set(0.0f), x) + vf_set(2.0f) * vf_fma(q * t, s, s);
}

/* The normal distribution's Phi(x) = erfc(-x / sqrt 2) / 2. For z = |x| / sqrt 2: erfc(z) = e^-z^2 t p(t), t = 1 / (1 + 0.4 z), after
 * Hastings; relative error 6.3e-8 up to z = 10. */
static inline vf vf_normal(vf x) {
    vf z = vf_abs(x) * vf_set(0.70710678118654752440f), t = vf_set(1.0f) / vf_fma(vf_set(0.4f), z, vf_set(1.0f));
    vf p = vf_fma(vf_set(0.0416125543f), t, vf_set(-0.142080218f));
    p = vf_fma(p, t, vf_set(0.0876540989f));
    p = vf_fma(p, t, vf_set(0.0837362483f));
    p = vf_fma(p, t, vf_set(0.0827009976f));
    p = vf_fma(p, t, vf_set(0.192128673f));
    p = vf_fma(p, t, vf_set(0.202213705f));
    p = vf_fma(p, t, vf_set(0.226397052f));
    p = vf_fma(p, t, vf_set(0.225636959f));
    vf half = vf_set(0.5f) * p * t * vf_exp(vf_set(0.0f) - z * z);
    return vf_if_less(vf_set(0.0f), x, vf_set(1.0f) - half, half);
}
