/* test_dry.c: the penalty for repetitions against its definition, word by word and in quadratic time, on texts that repeat themselves under breakers that
 * tokens cut anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "engine/dry.h"
#include "engine/sampler.h"

/* The vocabulary: all strings of one to three out of four bytes. */
enum { VOCAB = 4 + 16 + 64, LONGEST = 3, TEXT = 400 };
static const char letters[] = {'a', 'b', ':', '\n'};

static char spelling[VOCAB][LONGEST];
static struct slice pieces[VOCAB];
static struct tokenizer *tokenizer;

static int open_vocabulary(void **state) {
    (void)state;
    struct tokenizer_spec spec;
    struct err e = {0};
    int id = 0;
    for (size_t n = 1, all = 4; n <= LONGEST; n++, all *= 4)
        for (size_t k = 0; k < all; k++, id++) {
            size_t rest = k;
            for (size_t i = 0; i < n; i++, rest /= 4) spelling[id][i] = letters[rest % 4];
            pieces[id] = (struct slice){spelling[id], n};
        }
    tokenizer_spec_init(&spec);
    spec.model = SLICE("rwkv");
    spec.tokens = pieces;
    spec.n_tokens = VOCAB;
    return tokenizer_new(&tokenizer, &spec, &e);
}

static int close_vocabulary(void **state) {
    (void)state;
    tokenizer_free(tokenizer);
    return 0;
}

static int32_t id_of(const char *text) {
    int32_t id = tokenizer_find(tokenizer, slice_of(text));
    assert_true(id >= 0);
    return id;
}

/* Whether the first `end` bytes end in the breaker. */
static bool breaks(const char *bytes, size_t end, struct slice breaker) {
    return end >= breaker.n && memcmp(bytes + end - breaker.n, breaker.p, breaker.n) == 0;
}

/* Tokens behind the last one in which a breaker ends. */
static int since_break(const struct dry_options *o, const int32_t *text, int n) {
    static char bytes[TEXT * LONGEST];
    size_t start[TEXT + 1] = {0};
    for (int i = 0; i < n; i++) {
        memcpy(bytes + start[i], pieces[text[i]].p, pieces[text[i]].n);
        start[i + 1] = start[i] + pieces[text[i]].n;
    }
    for (int i = n - 1; i >= 0; i--)
        for (size_t end = start[i] + 1; end <= start[i + 1]; end++)
            for (int b = 0; b < o->n_breakers; b++)
                if (breaks(bytes, end, o->breakers[b])) return n - 1 - i;
    return n;
}

static void twin(const struct dry_options *o, const int32_t *text, int n, float *logits) {
    int most = since_break(o, text, n), longest[VOCAB];
    if (o->last_n >= 0 && n > o->last_n) text += n - o->last_n, n = o->last_n;
    for (int id = 0; id < VOCAB; id++) longest[id] = -1;
    for (int next = 1; next < n; next++) { /* what came then, and how much before it is as at the end */
        int agree = 0;
        while (agree < most && agree < next && text[next - 1 - agree] == text[n - 1 - agree]) agree++;
        if (agree >= o->allowed_length && agree > longest[text[next]]) longest[text[next]] = agree;
    }
    for (int id = 0; id < VOCAB; id++)
        if (longest[id] >= 0) logits[id] -= o->multiplier * powf(o->base, (float)(longest[id] - o->allowed_length));
}

static void same_as_twin(struct dry *d, const struct dry_options *o, const int32_t *text, int n) {
    float got[VOCAB], want[VOCAB];
    for (int i = 0; i < VOCAB; i++) got[i] = want[i] = (float)(i % 7) - 3;
    got[11] = want[11] = -INFINITY;
    dry_penalise(d, got);
    twin(o, text, n, want);
    for (int i = 0; i < VOCAB; i++)
        if (i == 11 ? got[i] != -INFINITY : fabsf(got[i] - want[i]) > 1e-5f * (1 + fabsf(want[i])))
            fail_msg("behind %d tokens the logit of %d is %g, not %g", n, i, (double)got[i], (double)want[i]);
}

/* Texts of few tokens, which copy themselves. */
static void random_text(struct rng *r, int32_t *text, int n) {
    int32_t few[6];
    for (int i = 0; i < 6; i++) few[i] = (int32_t)rng_below(r, rng_below(r, 3) ? 2 : VOCAB); /* "a" and "b" often */
    for (int i = 0, from = -1; i < n; i++) {
        if (i > 4 && rng_below(r, 8) == 0) from = (int)rng_below(r, (uint32_t)i);
        else if (rng_below(r, 12) == 0) from = -1;
        text[i] = from >= 0 ? text[from++] : few[rng_below(r, 6)];
    }
}

static void test_twin(void **state) {
    (void)state;
    static const struct slice breakers[] = {{"\n", 1}, {"b:", 2}, {"::a", 3}, {"a\nb:", 4}, {"ababa\n:", 7}};
    static const int lasts[] = {-1, 1, 2, 7, 50, 1000};
    struct rng r = rng_new(1, 0);
    for (int round = 0; round < 400; round++) {
        struct err e = {0};
        struct dry_options o = {.multiplier = 0.5f + (float)rng_unit(&r), .base = 1 + (float)rng_unit(&r) * 0.1f, .allowed_length = (int)rng_below(&r, 5),
                                .last_n = lasts[rng_below(&r, 6)], .n_breakers = (int)rng_below(&r, 3), .tokenizer = tokenizer};
        struct dry *d;
        int32_t text[TEXT];
        o.breakers = breakers + rng_below(&r, 4);
        assert_int_equal(dry_new(&d, VOCAB, &o, &e), 0);
        for (int again = 0; again < 2; again++) {
            random_text(&r, text, TEXT);
            for (int n = 0; n < TEXT; n++) {
                if (n % 5 == 0 || n < 20) same_as_twin(d, &o, text, n);
                dry_accept(d, text[n]);
            }
            dry_forget(d);
        }
        dry_free(d);
    }
}

static void accept_all(struct dry *d, const char *const *tokens, int n) {
    for (int i = 0; i < n; i++) dry_accept(d, id_of(tokens[i]));
}

static float penalty_of(struct dry *d, const char *token) {
    float logits[VOCAB] = {0};
    dry_penalise(d, logits);
    return -logits[id_of(token)];
}

static void test_by_hand(void **state) {
    (void)state;
    struct err e = {0};
    struct dry_options o = {.multiplier = 3, .base = 2, .allowed_length = 2, .last_n = -1, .breakers = dry_breakers, .n_breakers = DRY_BREAKERS, .tokenizer = tokenizer};
    struct dry *d;
    static const char *const text[] = {"a", "b", "aa", "a", "b"}, *const more[] = {"aa", "b", "a", "b"}, *const end[] = {":", "a", "b"};
    assert_int_equal(dry_new(&d, VOCAB, &o, &e), 0);
    assert_true(penalty_of(d, "a") == 0);
    accept_all(d, text, 4);
    assert_true(penalty_of(d, "b") == 0); /* one token agrees: too few */
    accept_all(d, text + 4, 1);
    assert_true(penalty_of(d, "aa") == 3 && penalty_of(d, "a") == 0); /* two */
    accept_all(d, more, 1);
    assert_true(penalty_of(d, "a") == 6); /* "a b aa": three */
    accept_all(d, more + 1, 3);
    assert_true(penalty_of(d, "aa") == 3); /* "a b" again, behind "b" and not behind "aa" */
    accept_all(d, end, 3);
    assert_true(penalty_of(d, "aa") == 3); /* a breaker stands before the two, */
    assert_true(penalty_of(d, ":") == 3);
    accept_all(d, end, 2);
    assert_true(penalty_of(d, "b") == 0); /* and here ": a" would be two with it */
    dry_forget(d);
    accept_all(d, text + 3, 2);
    assert_true(penalty_of(d, "aa") == 0);
    dry_free(d);
}

/* A breaker does not begin in a text that was forgotten. */
static void test_forget(void **state) {
    (void)state;
    struct err e = {0};
    static const struct slice breaker = {"aaaa", 4};
    struct dry_options o = {.multiplier = 3, .base = 2, .allowed_length = 2, .last_n = -1, .breakers = &breaker, .n_breakers = 1, .tokenizer = tokenizer};
    struct dry *d;
    static const char *const text[] = {"a", "a", "a", "a"};
    assert_int_equal(dry_new(&d, VOCAB, &o, &e), 0);
    for (int again = 0; again < 2; again++) {
        accept_all(d, text, 3);
        assert_true(penalty_of(d, "a") == 3);
        dry_forget(d);
    }
    accept_all(d, text, 4);
    assert_true(penalty_of(d, "a") == 0);
    dry_free(d);
}

/* As long as can be, all the same token: the penalty is beyond all floats, and the logit stays one. Quadratic time would be noticed. */
static void test_longest(void **state) {
    (void)state;
    struct err e = {0};
    struct dry_options o = {.multiplier = 1, .base = 1.75f, .allowed_length = 2, .last_n = -1};
    struct dry *d;
    float logits[VOCAB] = {0};
    assert_int_equal(dry_new(&d, VOCAB, &o, &e), 0);
    for (int i = 0; i < 2 * DRY_WINDOW + 5; i++) dry_accept(d, 3);
    for (int i = 0; i < 300; i++) dry_penalise(d, logits);
    assert_true(logits[3] == -FLT_MAX && logits[2] == 0);
    dry_accept(d, 2);
    for (int i = 0; i < DRY_WINDOW - 3; i++) dry_accept(d, 3);
    logits[3] = 0;
    dry_penalise(d, logits); /* "3 3 2 3 3 ... 3": two of them were followed by the other */
    assert_true(logits[2] == -1 && logits[3] == -FLT_MAX);
    dry_free(d);
}

/* In a sampler: the most probable token gives way to the second when it would go on with a repetition. */
static void test_in_a_sampler(void **state) {
    (void)state;
    struct err e = {0};
    struct sampler_options o = sampler_defaults();
    struct sampler *s;
    float logits[VOCAB] = {0};
    int32_t id;
    logits[20] = 2;
    logits[30] = 1;
    o.temperature = 0;
    o.dry.multiplier = 1.5f;
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), ERR_USAGE); /* breakers and no tokenizer */
    assert_non_null(strstr(e.msg, "dry-sequence-breaker"));
    o.dry.tokenizer = tokenizer;
    assert_int_equal(sampler_new(&s, VOCAB, o, &e), 0);
    static const int32_t text[] = {0, 1, 20, 0, 1};
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 5; i++) {
            assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
            assert_int_equal(id, 20);
            sampler_accept(s, text[i]);
        }
        assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
        assert_int_equal(id, 30);
        if (again) sampler_reset(s);
        else sampler_forget(s);
        assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
        assert_int_equal(id, 20);
    }
    sampler_free(s);
}

static void test_off(void **state) {
    (void)state;
    struct err e = {0};
    struct dry_options o = {.base = NAN, .n_breakers = -7};
    struct dry *d;
    float logits[VOCAB] = {0};
    assert_int_equal(dry_new(&d, VOCAB, &o, &e), 0);
    assert_null(d);
    o = (struct dry_options){.multiplier = 1, .base = 1, .last_n = 0};
    assert_int_equal(dry_new(&d, VOCAB, &o, &e), 0);
    assert_null(d);
    dry_accept(d, 1);
    dry_penalise(d, logits);
    dry_forget(d);
    dry_free(d);
}

static void test_errors(void **state) {
    (void)state;
    struct err e = {0};
    struct dry *d;
    static char large[DRY_BREAKER_BYTES + 1];
    struct slice empty = {"", 0}, big = {large, sizeof large}, many[DRY_BREAKERS_MAX + 1];
    for (int i = 0; i <= DRY_BREAKERS_MAX; i++) many[i] = SLICE("x");
    const struct dry_options good = {.multiplier = 1, .base = 2, .allowed_length = 2, .last_n = -1, .breakers = many, .n_breakers = DRY_BREAKERS_MAX, .tokenizer = tokenizer};
    struct dry_options o;
#define REFUSED(setting, says)                                \
    o = good;                                                 \
    setting;                                                  \
    assert_int_equal(dry_new(&d, VOCAB, &o, &e), ERR_USAGE);  \
    assert_null(d);                                           \
    assert_non_null(strstr(e.msg, says))
    REFUSED(o.multiplier = -1, "dry-multiplier -1");
    REFUSED(o.multiplier = NAN, "dry-multiplier");
    REFUSED(o.multiplier = INFINITY, "dry-multiplier");
    REFUSED(o.base = 0.5f, "dry-base 0.5");
    REFUSED(o.base = INFINITY, "dry-base");
    REFUSED(o.allowed_length = -1, "dry-allowed-length -1");
    REFUSED(o.allowed_length = DRY_WINDOW + 1, "dry-allowed-length 65537");
    REFUSED(o.last_n = -2, "dry-penalty-last-n -2");
    REFUSED(o.last_n = DRY_WINDOW + 1, "dry-penalty-last-n 65537");
    REFUSED(o.n_breakers++, "65 texts, at most 64");
    REFUSED(o.n_breakers = -1, "dry-sequence-breaker: -1");
    REFUSED((o.breakers = &empty, o.n_breakers = 1), "text 1 has 0 bytes");
    REFUSED((o.breakers = &big, o.n_breakers = 1), "text 1 has 129 bytes");
    REFUSED(o.tokenizer = NULL, "without a tokenizer");
    o = good;
    assert_int_equal(dry_new(&d, VOCAB, &o, &e), 0);
    dry_free(d);
}

static void test_memory(void **state) {
    (void)state;
    struct err e = {0};
    struct sampler_options o = sampler_defaults();
    int64_t before = mem_live();
    bool failed = true;
    o.dry.multiplier = 1;
    o.dry.tokenizer = tokenizer;
    for (int n = 1; failed; n++) {
        struct sampler *s;
        mem_fail_after(n);
        int code = sampler_new(&s, VOCAB, o, &e);
        failed = mem_has_failed();
        for (int i = 0; code == 0 && i < 10; i++) { /* nothing is allocated between tokens */
            float logits[VOCAB] = {0};
            int32_t id;
            sampler_accept(s, i % 3);
            assert_int_equal(sampler_draw(s, logits, NULL, &id, &e), 0);
            assert_int_equal(mem_has_failed(), failed);
        }
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        sampler_free(s);
        assert_int_equal(mem_live(), before);
        assert_true(n < 30);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_twin), cmocka_unit_test(test_by_hand), cmocka_unit_test(test_forget), cmocka_unit_test(test_longest),
                                       cmocka_unit_test(test_in_a_sampler), cmocka_unit_test(test_off), cmocka_unit_test(test_errors), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests_name("dry", tests, open_vocabulary, close_vocabulary);
}
