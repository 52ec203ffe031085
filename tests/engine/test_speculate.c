/* test_speculate.c: guesses change how fast a text comes, never the text: tokens and logits are compared bit for bit with those of plain generation, for
 * every kind of model, sampler and source of guesses; and what guesses may cost, with costs that the test sets. */
#include "rig.h"

#include <math.h>

#include "engine/lookup.h"
#include "engine/sampler.h"
#include "engine/speculate.h"
#include "support/light.h"

enum { PROMPT = 40, MOST = 100, MASK_WORDS = (TINY_VOCAB + 31) / 32 };

/* ---- look-up ---- */

static struct lookup *lookup_of(const int32_t *text, int n) {
    struct err e = {0};
    struct lookup *l;
    OK(lookup_new(&l, 4096, &e));
    lookup_reset(l, text, n);
    return l;
}

static void finds_what_came_before(void **state) {
    (void)state;
    static const int32_t text[] = {1, 2, 3, 4, 5, 9, 9, 1, 2, 3, 7, 8, 1, 2, 3, 4, 6, 6, 2, 3, 4};
    enum { N = sizeof text / sizeof *text };
    int32_t guess[4];
    struct lookup *l = lookup_of(text, N);
    struct match m = lookup_match(l); /* "2 3 4" stood twice; "1 2 3 4" would be longer, but here a 6 stands before it */
    assert_int_equal(m.at, 16);       /* the newer */
    assert_int_equal(m.length, 3);
    assert_int_equal(lookup_guess(l, text, N, guess, 4), 4);
    assert_memory_equal(guess, text + 16, sizeof guess);
    lookup_reset(l, text, 15); /* ... 8 1 2 3: "1 2 3" came twice, followed by 4 and by 7 */
    assert_int_equal(lookup_match(l).at, 10);
    lookup_add(l, text, 16); /* 4, not 7: now only the first agrees */
    m = lookup_match(l);
    assert_true(m.at == 4 && m.length == 4);
    lookup_reset(l, text, 7); /* one 9 after another */
    assert_int_equal(lookup_match(l).at, -1);
    assert_int_equal(lookup_guess(l, text, 7, guess, 4), 0);
    lookup_reset(l, text, 0);
    assert_int_equal(lookup_match(l).at, -1);
    lookup_free(l);
}

/* A repetition that reaches the end of the text is guessed to go on. */
static void repeats_a_repetition(void **state) {
    (void)state;
    static const int32_t text[] = {4, 7, 1, 2, 3, 1, 2, 3, 1, 2}, want[] = {3, 1, 2, 3, 1, 2, 3};
    int32_t guess[7];
    struct lookup *l = lookup_of(text, 10);
    assert_int_equal(lookup_guess(l, text, 10, guess, 7), 7);
    assert_memory_equal(guess, want, sizeof want);
    lookup_free(l);
}

/* A copy with changes: behind one replaced token the guess goes on at once; behind an insertion it comes back to where it was, not to the newest place. */
static void follows_a_changed_copy(void **state) {
    (void)state;
    int32_t text[400], n = 0;
    for (int part = 0; part < 3; part++) /* three parts that all hold "48 49" */
        for (int i = 0; i < 20; i++) text[n++] = i == 10 ? 48 : i == 11 ? 49 : part * 16 + (i % 16);
    int copied = n;
    struct lookup *l = lookup_of(text, n);
    for (int i = 0; i < 12; i++) {
        text[n++] = text[i];
        lookup_add(l, text, n);
    }
    assert_true(lookup_match(l).at == 12 && lookup_match(l).length == 12);
    text[n++] = 40; /* in place of text[12] */
    lookup_add(l, text, n);
    assert_true(lookup_match(l).at == 13 && lookup_match(l).length == 0);
    for (int i = 13; i < 20; i++) {
        text[n++] = text[i];
        lookup_add(l, text, n);
        assert_int_equal(lookup_match(l).at, i + 1);
    }
    for (int i = 20; i < 29; i++) {
        text[n++] = text[i];
        lookup_add(l, text, n);
    }
    static const int32_t inserted[] = {47, 46, 45, 48, 49}; /* and then on at 32, behind a "48 49" which stands in the other parts too, and newer */
    for (int i = 0; i < 5; i++) {
        text[n++] = inserted[i];
        lookup_add(l, text, n);
    }
    assert_int_equal(lookup_match(l).at, 32);
    assert_true(copied == 60);
    lookup_free(l);
}

/* However the text grew, what is proposed is a true match: the same tokens stand before both places. */
static void matches_are_true(void **state) {
    (void)state;
    static int32_t text[4096];
    struct rng g = rng_new(3, 3);
    struct lookup *l = lookup_of(text, 0);
    int long_ones = 0;
    for (int n = 1, from = -1; n <= 4096; n++) {
        if (rng_below(&g, 30) == 0) from = n > 40 ? (int)rng_below(&g, (uint32_t)n - 20) : -1; /* begins to copy, or stops */
        else if (rng_below(&g, 40) == 0) from = -1;
        text[n - 1] = from >= 0 ? text[from++] : (int32_t)rng_below(&g, 300);
        lookup_add(l, text, n);
        struct match m = lookup_match(l);
        assert_true(m.at < n && m.length <= LOOKUP_LONGEST);
        if (m.at >= 0) assert_true(m.at >= m.length);
        for (int i = 0; i < m.length; i++) assert_int_equal(text[m.at - 1 - i], text[n - 1 - i]);
        long_ones += m.length >= 8;
    }
    assert_in_range(long_ones, 500, 4000);
    lookup_free(l);
}

/* ---- the same text ---- */

struct text {
    int32_t id[MOST];
    float logits[MOST][TINY_VOCAB]; /* from which each was drawn */
    struct speculate_counts counts;
};

static void prompt_of(int32_t *ids) { /* a motif three times, so that there is something to look up */
    random_ids(ids, PROMPT, 9);
    memcpy(ids + 14, ids, sizeof *ids * 13);
    memcpy(ids + 27, ids, sizeof *ids * 13);
}

static struct sampler *sampler_for(struct sampler_options o, const int32_t *ids, int n) {
    struct err e = {0};
    struct sampler *sampler;
    OK(sampler_new(&sampler, TINY_VOCAB, o, &e));
    for (int i = 0; i < n; i++) sampler_accept(sampler, ids[i]);
    return sampler;
}

static const float *logits_at(struct engine *en, struct seq *s, int position) {
    struct err e = {0};
    const float *logits;
    while (!(logits = engine_logits(en, s, position))) {
        assert_true(seq_pending(s) > 0);
        OK(engine_step(en, &e));
    }
    return logits;
}

/* What may follow a token, as a grammar might have it: others behind an odd token than behind an even one. */
static void fill_mask(int32_t last, uint32_t *mask) {
    for (int w = 0; w < MASK_WORDS; w++) mask[w] = last % 2 ? 0x5e2f8d3b : 0xd3b7c6e5;
}

/* NULL: everything is allowed. ids: the prompt. */
static const uint32_t *mask_of(bool grammar, const int32_t *ids, const int32_t *drawn, int n, uint32_t *mask) {
    if (!grammar) return NULL;
    fill_mask(n ? drawn[n - 1] : ids[PROMPT - 1], mask);
    return mask;
}

/* One token a step, as if speculate.h did not exist. grammar: under masks. */
static void plain_under(struct engine *en, struct sampler_options so, bool grammar, int n, struct text *out) {
    struct err e = {0};
    struct seq *s;
    int32_t ids[PROMPT];
    uint32_t mask[MASK_WORDS];
    prompt_of(ids);
    struct sampler *sampler = sampler_for(so, ids, PROMPT);
    OK(seq_new(&s, en, &e));
    OK(seq_feed(s, ids, PROMPT, WANT_LAST, &e));
    for (int i = 0; i < n; i++) {
        OK(engine_step(en, &e));
        const struct result *r;
        assert_int_equal(engine_results(en, &r), 1);
        memcpy(out->logits[i], r[0].logits, sizeof out->logits[i]);
        OK(sampler_draw(sampler, r[0].logits, mask_of(grammar, ids, out->id, i, mask), &out->id[i], &e));
        sampler_accept(sampler, out->id[i]);
        OK(seq_feed(s, &out->id[i], 1, WANT_LAST, &e));
    }
    sampler_free(sampler);
    seq_free(s);
}

static void guessed_under(struct engine *en, struct sampler_options so, bool grammar, struct speculate_options o, int n, struct text *out) {
    struct err e = {0};
    struct seq *s;
    struct speculate *sp;
    int32_t ids[PROMPT];
    uint32_t mask[MASK_WORDS];
    prompt_of(ids);
    struct sampler *sampler = sampler_for(so, ids, PROMPT);
    OK(seq_new(&s, en, &e));
    OK(speculate_new(&sp, s, o, &e));
    OK(seq_feed(s, ids, PROMPT, WANT_LAST, &e));
    speculate_begin(sp);
    for (int i = 0; i < n; i++) {
        assert_int_equal(speculate_length(sp), PROMPT + i);
        const float *logits = logits_at(en, s, PROMPT + i - 1);
        memcpy(out->logits[i], logits, sizeof out->logits[i]);
        OK(sampler_draw(sampler, logits, mask_of(grammar, ids, out->id, i, mask), &out->id[i], &e));
        sampler_accept(sampler, out->id[i]);
        OK(speculate_append(sp, out->id[i], n - 1 - i, sampler, &e));
        assert_true(seq_length(s) + seq_pending(s) <= PROMPT + n); /* never more guesses than wanted */
    }
    assert_memory_equal(seq_tokens(s) + PROMPT, out->id, sizeof *out->id * (size_t)n);
    out->counts = speculate_counts(sp);
    speculate_free(sp);
    seq_free(s);
    sampler_free(sampler);
}

static void plain(struct engine *en, struct sampler_options so, int n, struct text *out) { plain_under(en, so, false, n, out); }

static void guessed(struct engine *en, struct sampler_options so, struct speculate_options o, int n, struct text *out) { guessed_under(en, so, false, o, n, out); }

static void same_text(const struct text *a, const struct text *b, int n, const char *what) {
    for (int i = 0; i < n; i++) {
        if (a->id[i] != b->id[i]) fail_msg("%s: token %d is %d with guesses, %d without", what, i, b->id[i], a->id[i]);
        if (memcmp(a->logits[i], b->logits[i], sizeof a->logits[i]) != 0) fail_msg("%s: the logits of token %d differ", what, i);
    }
}

enum { SAMPLINGS = 7 };

static struct sampler_options sampling(int which) {
    struct sampler_options o = sampler_defaults();
    o.seed = 77;
    if (which == 0) o.temperature = 0;
    if (which == 2) o.repeat_penalty = 1.3f, o.frequency_penalty = 0.2f, o.presence_penalty = 0.1f, o.repeat_last_n = 20;
    if (which == 3) o.temperature = 0.3f, o.top_k = 5, o.top_n_sigma = 2, o.repeat_penalty = 1.1f;
    static const struct logit_bias few[] = {{3, 40}, {4, 40}, {5, 40}}; /* a text of three tokens, which repeats itself a lot */
    if (which == 4) o.temperature = 1, o.bias = few, o.n_bias = 3;
    o.dry.n_breakers = 0;
    if (which == 5) o.typical_p = 0.9f, o.xtc_probability = 0.5f, o.dynatemp_range = 0.5f, o.dry.multiplier = 0.5f;
    if (which == 6) o.mirostat = 2, o.mirostat_tau = 3, o.bias = few, o.n_bias = 3;
    return o;
}

static struct engine_options narrow(void) { return (struct engine_options){.n_ctx = 256, .max_rows = 64, .max_logits = VERIFY_ROWS}; }

static void look_up_changes_nothing(void **state) {
    (void)state;
    static const int sizes[] = {1, 4, GUESS_MAX};
    static struct text a, b;
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        int drafted = 0, accepted = 0;
        rig_open(&r, kind, 1, narrow());
        for (int which = 0; which < SAMPLINGS; which++) {
            plain(r.engine, sampling(which), MOST, &a);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                guessed(r.engine, sampling(which), (struct speculate_options){.lookup = sizes[i], .always = true}, MOST, &b);
                same_text(&a, &b, MOST, tiny_name(kind));
                drafted += b.counts.drafted;
                accepted += b.counts.accepted;
            }
            guessed(r.engine, sampling(which), (struct speculate_options){.lookup = GUESS_MAX}, MOST, &b); /* as many as the clock says */
            same_text(&a, &b, MOST, tiny_name(kind));
            guessed(r.engine, sampling(which), (struct speculate_options){.always = true}, MOST, &b); /* none */
            same_text(&a, &b, MOST, tiny_name(kind));
            assert_int_equal(b.counts.drafted, 0);
        }
        assert_true(accepted > 50 && drafted > accepted + 100); /* both ways were gone */
        rig_close(&r);
    }
}

static void a_draft_changes_nothing(void **state) {
    (void)state;
    static struct text a, b;
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r, twin, other;
        int accepted = 0, drafted = 0;
        rig_open(&r, kind, 1, narrow());
        rig_open(&twin, kind, 1, (struct engine_options){.n_ctx = 256, .max_rows = 16, .max_logits = 1});
        rig_open(&other, (kind + 1) % TINY_KINDS, 1, (struct engine_options){.n_ctx = 120, .max_rows = 64}); /* holds only part of the text */
        for (int which = 0; which < SAMPLINGS; which++) {
            plain(r.engine, sampling(which), MOST, &a);
            struct speculate_options o = {.draft_max = 6, .draft = twin.engine, .always = true};
            guessed(r.engine, sampling(which), o, MOST, &b);
            same_text(&a, &b, MOST, tiny_name(kind));
            if (which < 2) /* the same model and random number: the same token, but where the twin's prompt, read in small steps, rounds to another */
                assert_true(b.counts.accepted * 10 >= b.counts.drafted * 6 && b.counts.drafted > 70);
            o = (struct speculate_options){.draft_max = GUESS_MAX, .draft = other.engine, .lookup = 3, .always = true};
            guessed(r.engine, sampling(which), o, MOST, &b);
            same_text(&a, &b, MOST, tiny_name(kind));
            accepted += b.counts.accepted;
            drafted += b.counts.drafted;
            o = (struct speculate_options){.draft_max = 8, .draft = other.engine, .lookup = GUESS_MAX};
            guessed(r.engine, sampling(which), o, MOST, &b);
            same_text(&a, &b, MOST, tiny_name(kind));
        }
        assert_true(drafted > accepted + 100);
        rig_free(&other);
        rig_free(&twin);
        rig_close(&r); /* nothing is left of any */
    }
}

/* Guesses know nothing of a grammar, whose mask the caller computes from the text before each draw: what does not fit is a guess that did not come true. */
static void a_mask_is_kept(void **state) {
    (void)state;
    static struct text a, b;
    struct rig r, twin;
    int accepted = 0, drafted = 0;
    rig_open(&r, TINY_LLAMA, 1, narrow());
    rig_open(&twin, TINY_LLAMA, 1, (struct engine_options){.n_ctx = 256, .max_rows = 16, .max_logits = 1});
    for (int which = 0; which < SAMPLINGS; which++) {
        plain_under(r.engine, sampling(which), true, MOST, &a);
        for (int i = 0; i < MOST; i++) {
            uint32_t mask[MASK_WORDS];
            int32_t prompt[PROMPT];
            prompt_of(prompt);
            (void)mask_of(true, prompt, a.id, i, mask);
            assert_true(mask[a.id[i] / 32] >> a.id[i] % 32 & 1);
        }
        const struct speculate_options o[] = {{.lookup = GUESS_MAX, .always = true}, {.draft_max = 5, .draft = twin.engine, .always = true}};
        for (int i = 0; i < 2; i++) {
            guessed_under(r.engine, sampling(which), true, o[i], MOST, &b);
            same_text(&a, &b, MOST, "under a mask");
            accepted += b.counts.accepted;
            drafted += b.counts.drafted;
        }
    }
    assert_true(accepted > 50 && drafted > accepted + 100);
    rig_free(&twin);
    rig_close(&r);
}

/* What comes of a prompt, `stop` forced tokens and a second prompt: the logits behind it. sp_options NULL: one token a step; leave: when the last of the
 * forced tokens is still to be computed. */
static void then_more(struct engine *en, const struct speculate_options *o, const int32_t *forced, int stop, bool leave, float *out) {
    struct err e = {0};
    struct seq *s;
    struct speculate *sp = NULL;
    int32_t ids[PROMPT], more[30];
    prompt_of(ids);
    random_ids(more, 30, 21);
    OK(seq_new(&s, en, &e));
    OK(seq_feed(s, ids, PROMPT, WANT_LAST, &e));
    if (o) OK(speculate_new(&sp, s, *o, &e));
    if (o) speculate_begin(sp);
    for (int i = 0; i < stop; i++) {
        (void)logits_at(en, s, PROMPT + i - 1);
        if (o) OK(speculate_append(sp, forced[i], GUESS_MAX, NULL, &e));
        else OK(seq_feed(s, &forced[i], 1, WANT_LAST, &e));
    }
    if (!leave) (void)logits_at(en, s, PROMPT + stop - 1);
    if (o) OK(speculate_settle(sp, &e));
    assert_int_equal(seq_length(s) + seq_pending(s), PROMPT + stop);
    if (!o && seq_pending(s)) OK(engine_step(en, &e));
    OK(seq_feed(s, more, 30, WANT_LAST, &e));
    memcpy(out, logits_at(en, s, PROMPT + stop + 29), sizeof *out * TINY_VOCAB);
    speculate_free(sp);
    seq_free(s);
}

/* Whatever was guessed, afterwards the sequence is as one that never guessed. */
static void settles_as_if_nothing_had_been(void **state) {
    (void)state;
    static struct text a;
    float want[TINY_VOCAB], got[TINY_VOCAB];
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r;
        rig_open(&r, kind, 1, narrow());
        plain(r.engine, sampling(4), MOST, &a);
        for (int stop = 1; stop < 90; stop += 4) {
            struct speculate_options o = {.lookup = stop % GUESS_MAX + 1, .always = true};
            bool leave = stop % 8 == 1;
            then_more(r.engine, NULL, a.id, stop, leave, want);
            then_more(r.engine, &o, a.id, stop, leave, got);
            if (memcmp(want, got, sizeof want) != 0) fail_msg("%s: the logits differ behind %d tokens", tiny_name(kind), stop);
        }
        rig_close(&r);
    }
}

/* ---- the distribution ---- */

enum { CHOICES = 3, CELLS = CHOICES * CHOICES * CHOICES, SEEDS = 2000 };

/* Whatever three tokens come behind the prompt, out of the three that the biases leave, as one number. */
static int cell_of(const int32_t *ids) { return (ids[0] - 3) * 9 + (ids[1] - 3) * 3 + ids[2] - 3; }

static struct sampler_options three_tokens(uint64_t seed) {
    struct sampler_options o = sampling(4);
    o.temperature = 3; /* so that no cell is nearly empty */
    o.top_k = CHOICES;
    o.top_p = 1;
    o.min_p = 0;
    o.seed = seed;
    return o;
}

/* The probability of each cell, as `en` has it. */
static void exact(struct engine *en, double *p) {
    struct err e = {0};
    struct sampler *sampler = sampler_for(three_tokens(0), NULL, 0);
    int32_t ids[PROMPT + 3];
    prompt_of(ids);
    for (int cell = 0; cell < CELLS; cell++) {
        ids[PROMPT] = 3 + cell / 9;
        ids[PROMPT + 1] = 3 + cell / 3 % 3;
        ids[PROMPT + 2] = 3 + cell % 3;
        float *logits = logits_of(en, ids, PROMPT + 2, 8);
        p[cell] = 1;
        for (int k = PROMPT; k < PROMPT + 3; k++) {
            const struct candidate *c;
            int n;
            OK(sampler_candidates(sampler, logits + (size_t)(k - 1) * TINY_VOCAB, NULL, &c, &n, &e));
            assert_true(n <= CHOICES);
            double chance = 0;
            for (int i = 0; i < n; i++) chance += c[i].id == ids[k] ? c[i].probability : 0;
            p[cell] *= chance;
        }
        free(logits);
    }
    sampler_free(sampler);
}

static double chi_square(const int *count, const double *p) {
    double sum = 0;
    for (int i = 0; i < CELLS; i++) sum += pow(count[i] - SEEDS * p[i], 2) / (SEEDS * p[i]);
    return sum;
}

/* Three tokens behind one prompt, drawn under two thousand seeds with a draft model that often errs: they are distributed as the model has it. The
 * critical value is that of 26 degrees of freedom at one in a thousand; the seeds being fixed, the result is always the same. */
static void a_draft_leaves_the_distribution(void **state) {
    (void)state;
    if (light("what a draft does to the distribution, thousands of draws")) return;
    struct rig r, d;
    struct err e = {0};
    struct speculate_counts all = {0};
    struct seq *base;
    static double p[CELLS], drafts[CELLS];
    static int count[CELLS];
    float first[TINY_VOCAB];
    int32_t prompt[PROMPT];
    rig_open(&r, TINY_LLAMA, 1, wide());
    rig_open(&d, TINY_QWEN35, 1, wide());
    exact(r.engine, p);
    exact(d.engine, drafts);
    prompt_of(prompt);
    OK(seq_new(&base, r.engine, &e));
    OK(seq_feed(base, prompt, PROMPT, WANT_LAST, &e));
    memcpy(first, logits_at(r.engine, base, PROMPT - 1), sizeof first);
    for (int seed = 0; seed < SEEDS; seed++) {
        struct seq *s;
        struct speculate *sp;
        int32_t drawn[3];
        struct sampler *sampler = sampler_for(three_tokens((uint64_t)seed), NULL, 0);
        OK(seq_fork(&s, base, &e));
        OK(speculate_new(&sp, s, (struct speculate_options){.draft_max = 2, .draft = d.engine, .always = true}, &e));
        speculate_begin(sp);
        for (int k = 0; k < 3; k++) {
            const float *logits = k ? logits_at(r.engine, s, PROMPT + k - 1) : first;
            OK(sampler_draw(sampler, logits, NULL, &drawn[k], &e));
            OK(speculate_append(sp, drawn[k], 2 - k, sampler, &e));
        }
        count[cell_of(drawn)]++;
        all.drafted += speculate_counts(sp).drafted;
        all.accepted += speculate_counts(sp).accepted;
        speculate_free(sp);
        seq_free(s);
        sampler_free(sampler);
    }
    double statistic = chi_square(count, p);
    if (statistic > 54.05) fail_msg("chi-square %.1f with 26 degrees of freedom; %d of %d guesses came true", statistic, all.accepted, all.drafted);
    assert_true(chi_square(count, drafts) > 300); /* that the draft has another one would be seen */
    assert_true(all.accepted > SEEDS / 4 && all.drafted - all.accepted > SEEDS / 2);
    seq_free(base);
    rig_free(&d);
    rig_close(&r);
}

/* ---- what it costs ---- */

/* Costs that the test decides: a step of n rows costs 1 + slope (n - 1). */
static void set_costs(struct engine *en, double slope) {
    en->costs.row_s = 1;
    for (int i = 1; i <= VERIFY_ROWS; i++) {
        en->costs.seen[i] = 4;
        en->costs.ratio[i] = 1 + slope * (i - 1);
    }
}

/* What n forced tokens behind a prompt cost, in steps of one row. */
static double cost_of(struct engine *en, const int32_t *ids, int n_prompt, int n, double slope, struct speculate_counts *counts) {
    struct err e = {0};
    struct seq *s;
    struct speculate *sp;
    double cost = 0;
    OK(seq_new(&s, en, &e));
    OK(speculate_new(&sp, s, (struct speculate_options){.lookup = GUESS_MAX}, &e));
    OK(seq_feed(s, ids, n_prompt, WANT_LAST, &e));
    speculate_begin(sp);
    (void)logits_at(en, s, n_prompt - 1);
    for (int i = n_prompt; i < n_prompt + n; i++) {
        set_costs(en, slope);
        OK(speculate_append(sp, ids[i], n_prompt + n - 1 - i, NULL, &e));
        int rows = seq_pending(s);
        (void)logits_at(en, s, i);
        if (rows) cost += 1 + slope * (rows - 1);
    }
    *counts = speculate_counts(sp);
    speculate_free(sp);
    seq_free(s);
    return cost;
}

static void pays_or_stops(void **state) {
    (void)state;
    enum { ALL = 2000, HALF = 1000 };
    struct rig r;
    struct speculate_counts counts;
    static int32_t ids[ALL];
    rig_open(&r, TINY_LLAMA, 1, (struct engine_options){.n_ctx = ALL, .max_rows = 512, .max_logits = VERIFY_ROWS});
    random_ids(ids, ALL, 31); /* out of fifty ids, so that pairs and triples often come again, and mean nothing */
    for (int i = 0; i < 4; i++) {
        double slope = 0.05 + 0.2 * i, cost = cost_of(r.engine, ids, HALF, HALF, slope, &counts);
        if (cost > HALF * 1.03) fail_msg("a text without repetition cost %.0f steps for %d tokens at %g a row", cost, HALF, slope);
        assert_true(slope > 0.1 || counts.drafted > 0); /* it was tried */
    }
    for (int i = 0; i < HALF; i++) ids[HALF + i] = i % 40 == 13 ? (ids[i] + 1) % TINY_VOCAB : ids[i]; /* a copy with a change in forty */
    double cost = cost_of(r.engine, ids, HALF, HALF, 0.05, &counts);
    if (cost > HALF / 3.0) fail_msg("a copy cost %.0f steps for %d tokens", cost, HALF);
    cost = cost_of(r.engine, ids, HALF, HALF, 1, &counts); /* rows that cost as much as steps: nothing to gain */
    assert_true(cost < HALF * 1.03);
    rig_close(&r);
}

static void costs_of_rows(void **state) {
    (void)state;
    struct rig r;
    rig_open(&r, TINY_LLAMA, 1, narrow());
    struct step_costs *c = &r.engine->costs;
    assert_true(engine_row_s(r.engine) == 0 && engine_rows_cost(r.engine, 1) == 1 && engine_rows_cost(r.engine, 9) > engine_rows_cost(r.engine, 8));
    c->seen[1] = 1;
    c->ratio[5] = 2;
    c->seen[5] = 1;
    c->ratio[9] = 3;
    c->seen[9] = 1;
    assert_true(fabs(engine_rows_cost(r.engine, 3) - 1.5) < 1e-9 && fabs(engine_rows_cost(r.engine, 7) - 2.5) < 1e-9 && engine_rows_cost(r.engine, 9) == 3);
    assert_true(fabs(engine_rows_cost(r.engine, 13) - 4) < 1e-9); /* goes on as steeply */
    rig_close(&r);
}

/* ---- errors ---- */

static int live(struct engine *en, struct engine *draft, struct err *e) {
    struct seq *s = NULL;
    struct speculate *sp = NULL;
    struct sampler *sampler = NULL;
    int32_t ids[PROMPT], id = 0;
    int left = 1, code = seq_new(&s, en, e);
    prompt_of(ids);
    if (code == 0) code = sampler_new(&sampler, TINY_VOCAB, sampling(0), e);
    if (code == 0) code = speculate_new(&sp, s, (struct speculate_options){.lookup = 5, .draft_max = 3, .draft = draft, .always = true}, e);
    if (code == 0) code = seq_feed(s, ids, PROMPT, WANT_LAST, e);
    if (code == 0) speculate_begin(sp);
    while (code == 0 && left) code = speculate_follow(sp, &left, e);
    for (int i = 0; code == 0 && i < 40; i++) {
        const float *logits;
        while (code == 0 && !(logits = engine_logits(en, s, speculate_length(sp) - 1))) code = engine_step(en, e);
        if (code == 0) code = sampler_draw(sampler, logits, NULL, &id, e);
        if (code == 0) code = speculate_append(sp, id, 9, sampler, e);
    }
    if (code == 0) code = speculate_settle(sp, e);
    speculate_free(sp);
    sampler_free(sampler);
    seq_free(s);
    return code;
}

static void every_allocation(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_KINDS; kind += tiny_step()) {
        struct rig r, d;
        int64_t n = 0;
        bool failed = true;
        while (failed) { /* anew each time, so that no page is left over from before */
            struct err e = {0};
            rig_open(&r, kind, 1, narrow());
            rig_open(&d, kind == TINY_MAMBA2 ? TINY_GPT_OSS : TINY_MAMBA2, 1, narrow());
            mem_fail_after(++n);
            int code = live(r.engine, d.engine, &e);
            failed = mem_has_failed();
            mem_fail_after(0);
            if (failed ? code != ERR_MEMORY || !strstr(e.msg, "memory") : code != 0) fail_msg("%s, allocation %d: %d \"%s\"", tiny_name(kind), (int)n, code, e.msg);
            rig_free(&d);
            rig_close(&r); /* nothing is left of either */
        }
        assert_true(n > 15);
    }
}

static void wrong_use(void **state) {
    (void)state;
    struct rig r;
    struct err e = {0};
    struct seq *s;
    struct speculate *sp;
    int32_t ids[64];
    random_ids(ids, 64, 2);
    rig_open(&r, TINY_LLAMA, 1, (struct engine_options){.n_ctx = 64, .max_logits = VERIFY_ROWS});
    OK(seq_new(&s, r.engine, &e));
    assert_int_equal(speculate_new(&sp, s, (struct speculate_options){.lookup = GUESS_MAX + 1}, &e), ERR_USAGE);
    assert_int_equal(speculate_new(&sp, s, (struct speculate_options){.draft_max = -1}, &e), ERR_USAGE);
    assert_null(sp);
    OK(speculate_new(&sp, s, (struct speculate_options){.lookup = GUESS_MAX, .always = true}, &e));
    feed(s, ids, 58);
    speculate_begin(sp);
    for (int i = 0; i < 6; i++) { /* to the last place of the context, of which no guess may stand beyond */
        (void)logits_at(r.engine, s, 57 + i);
        OK(speculate_append(sp, ids[i], GUESS_MAX, NULL, &e));
    }
    (void)logits_at(r.engine, s, 63);
    assert_int_equal(speculate_append(sp, 1, GUESS_MAX, NULL, &e), ERR_CONTEXT);
    assert_int_equal(speculate_length(sp), 64);
    assert_int_equal(seq_truncate(s, 60), 60); /* the owner does something else with it */
    speculate_begin(sp);
    assert_int_equal(speculate_append(sp, TINY_VOCAB, 0, NULL, &e), ERR_TEXT);
    assert_int_equal(speculate_length(sp), 60);
    OK(speculate_append(sp, 1, 0, NULL, &e));
    assert_int_equal(seq_pending(s), 1); /* none were wanted */
    speculate_free(sp);
    speculate_free(NULL);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_came_before), cmocka_unit_test(repeats_a_repetition), cmocka_unit_test(follows_a_changed_copy), cmocka_unit_test(matches_are_true),
        cmocka_unit_test(look_up_changes_nothing), cmocka_unit_test(a_draft_changes_nothing), cmocka_unit_test(a_mask_is_kept), cmocka_unit_test(settles_as_if_nothing_had_been),
        cmocka_unit_test(a_draft_leaves_the_distribution), cmocka_unit_test(pays_or_stops), cmocka_unit_test(costs_of_rows), cmocka_unit_test(every_allocation), cmocka_unit_test(wrong_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
