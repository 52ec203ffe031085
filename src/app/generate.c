/* generate.c: continuing a sequence; see generate.h. */
#include "app/generate.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/lora.h"
#include "base/os.h"

#define SAMPLING(field) offsetof(struct generate_options, sampling.field)
#define OPTION(field) offsetof(struct generate_options, field)

const struct flag FLAGS_GENERATE[] = {
    {"-n", "--predict", FLAG_INT, OPTION(n_predict), "N", "most tokens to generate; -1: until the model ends or the context is full (default)", -1, 1 << 30},
    {"--temp", "--temperature", FLAG_FLOAT, SAMPLING(temperature), "T", "temperature; 0: always the most probable token (default 0.8)", 0, 1000},
    {"--top-k", NULL, FLAG_INT, SAMPLING(top_k), "K", "draw from the K most probable; 0: all (default 40)", -1, 1 << 30},
    {"--top-p", NULL, FLAG_FLOAT, SAMPLING(top_p), "P", "draw from the fewest that have probability P together; 1: all (default 0.95)", 0, 1},
    {"--min-p", NULL, FLAG_FLOAT, SAMPLING(min_p), "P", "drop what is less probable than P times the best; 0: nothing (default 0.05)", 0, 1},
    {"--top-n-sigma", NULL, FLAG_FLOAT, SAMPLING(top_n_sigma), "N", "drop what is N standard deviations below the best; 0: nothing (default 0)", -1, 1e6},
    {"--typical", "--typical-p", FLAG_FLOAT, SAMPLING(typical_p), "P", "locally typical sampling: draw from those that surprise as is to be expected; 1: all (default 1)", 0, 1},
    {"--xtc-probability", NULL, FLAG_FLOAT, SAMPLING(xtc_probability), "P", "how often to do without the most probable ones (XTC); 0: never (default 0)", 0, 1},
    {"--xtc-threshold", NULL, FLAG_FLOAT, SAMPLING(xtc_threshold), "P", "of those that have this probability XTC keeps the last alone (default 0.1)", 0, 1},
    {"--dynatemp-range", NULL, FLAG_FLOAT, SAMPLING(dynatemp_range), "T", "the temperature follows the entropy, by so much down and up; 0: it stays (default 0)", 0, 1000},
    {"--dynatemp-exp", NULL, FLAG_FLOAT, SAMPLING(dynatemp_exponent), "X", "how it follows: by this power of the entropy (default 1)", 0, 1000},
    {"--mirostat", NULL, FLAG_INT, SAMPLING(mirostat), "N", "2: Mirostat 2, in place of all that cuts, from top-k to XTC; 0: off (default 0)", 0, 2},
    {"--mirostat-ent", NULL, FLAG_FLOAT, SAMPLING(mirostat_tau), "X", "Mirostat's tau: the surprise that it aims at, in bits (default 5)", 0, 1e6},
    {"--mirostat-lr", NULL, FLAG_FLOAT, SAMPLING(mirostat_eta), "X", "Mirostat's eta: how fast it gets there (default 0.1)", 0, 1e6},
    {"--dry-multiplier", NULL, FLAG_FLOAT, SAMPLING(dry.multiplier), "X", "makes what goes on with a repetition less likely (DRY); 0: off (default 0)", 0, 1e6},
    {"--dry-base", NULL, FLAG_FLOAT, SAMPLING(dry.base), "X", "by so many times more for each token that the repetition is longer (default 1.75)", 1, 1e6},
    {"--dry-allowed-length", NULL, FLAG_INT, SAMPLING(dry.allowed_length), "N", "tokens of a repetition at which DRY begins (default 2)", 0, DRY_WINDOW},
    {"--dry-penalty-last-n", NULL, FLAG_INT, SAMPLING(dry.last_n), "N", "tokens that repetitions are looked for in; -1: all, 0: none (default -1)", -1, DRY_WINDOW},
    {"--dry-sequence-breaker", NULL, FLAG_LIST, OPTION(breakers), "TEXT",
     "no repetition reaches back over this text; may be repeated; \"none\": there is none (default: newline, colon, quote and star)", 0, 0},
    {"--repeat-penalty", NULL, FLAG_FLOAT, SAMPLING(repeat_penalty), "X", "makes recent tokens less likely; 1: off (default 1)", 0, 1e6},
    {"--repeat-last-n", NULL, FLAG_INT, SAMPLING(repeat_last_n), "N", "tokens that count as recent; -1: all, 0: none (default 64)", -1, SAMPLER_WINDOW},
    {"--frequency-penalty", NULL, FLAG_FLOAT, SAMPLING(frequency_penalty), "X", "for each time a recent token occurred (default 0)", -1e6, 1e6},
    {"--presence-penalty", NULL, FLAG_FLOAT, SAMPLING(presence_penalty), "X", "for recent tokens, once (default 0)", -1e6, 1e6},
    {"--logit-bias", "-l", FLAG_LIST, OPTION(bias), "ID=BIAS", "adds BIAS to the logit of token ID (\"-inf\" forbids it); may be repeated", 0, 0},
    {"--seed", "-s", FLAG_STRING, OPTION(seed), "N", "seed of the random draws; -1: a fresh one (default)", 0, 0},
    {"--ignore-eos", NULL, FLAG_BOOL, OPTION(ignore_eos), NULL, "forbid the tokens that end a text", 0, 0},
    {"--stop", "-r", FLAG_LIST, OPTION(stop), "TEXT", "end before this text appears; may be repeated", 0, 0},
    {"--shift", "--context-shift", FLAG_BOOL, OPTION(shift), NULL,
     "when the context is full, forget the older half and go on; of a prompt that does not fit, only the end is read", 0, 0},
    {"--keep", NULL, FLAG_INT, OPTION(keep), "N", "tokens of the prompt that --shift keeps; -1: all (default 0, and BOS)", -1, 1 << 24},
    LORA_FLAG(OPTION(lora)),
    {"--lookup", NULL, FLAG_INT, OPTION(lookup), "N", "most tokens guessed at once from the text itself, verified in one step; changes speed only; 0: none (default 15)", 0, GUESS_MAX},
    {"--draft", "-md", FLAG_STRING, OPTION(draft), "FILE", "a smaller model of the same vocabulary that guesses what this one will say; changes speed only", 0, 0},
    {"--draft-max", "--draft-n", FLAG_INT, OPTION(draft_max), "N", "most tokens that --draft guesses at once (default 8)", 1, GUESS_MAX},
    {0},
};

void generate_defaults(struct generate_options *o) {
    o->sampling = sampler_defaults();
    o->n_predict = -1;
    o->logprobs = -1;
    o->lookup = GUESS_MAX;
    o->draft_max = 8;
}

const char *end_name(enum end end) {
    static const char *const names[] = {"eog", "stop", "length", "context", "cancelled"};
    return names[end];
}

/* ---- settings ---- */

static int read_bias(const char *text, struct logit_bias *b, struct err *e) {
    char *end;
    errno = 0;
    long id = strtol(text, &end, 10);
    bool good = end != text && !errno && id >= 0 && id <= INT32_MAX && (*end == '=' || *end == '+' || *end == '-');
    if (good) {
        const char *number = *end == '=' ? end + 1 : end;
        b->id = (int32_t)id;
        b->bias = strtof(number, &end);
        good = end != number && !*end && !isnan(b->bias) && b->bias != INFINITY;
    }
    return good ? 0 : err_set(e, ERR_USAGE, "--logit-bias %.64s: give ID=BIAS, for example 15=-1.5 or 15=-inf", text);
}

static int choose_seed(const char *text, uint64_t *seed, struct err *e) {
    *seed = os_random();
    if (!text || strcmp(text, "-1") == 0) return 0;
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    return end == text || *end || errno || *text == '-' ? err_set(e, ERR_USAGE, "--seed %.64s: not a whole number from 0 on, nor -1", text) : 0;
}

/* What DRY breaks at. breaker: [LIST_MAX] for the user's own. */
static void set_breakers(struct dry_options *dry, const struct string_list *own, struct slice *breaker) {
    if (!own->n) return;
    dry->breakers = breaker;
    dry->n_breakers = own->n == 1 && strcmp(own->at[0], "none") == 0 ? 0 : own->n;
    for (int i = 0; i < dry->n_breakers; i++) breaker[i] = slice_of(own->at[i]);
}

/* Frees what it allocated: sampler_new copies. */
static int new_sampler(struct generator *g, struct err *e) {
    const struct generate_options *o = g->o;
    struct sampler_options so = o->sampling;
    struct slice breaker[LIST_MAX];
    uint32_t n_vocab = tokenizer_count(g->s->tok);
    int n = 0, code = choose_seed(o->seed, &g->seed, e);
    for (uint32_t i = 0; o->ignore_eos && i < n_vocab; i++) n += tokenizer_is_eog(g->s->tok, (int32_t)i);
    struct logit_bias *bias = mem_array(NULL, (size_t)(o->bias.n + n), sizeof *bias);
    if (!bias) return err_nomem(e, "logit biases", sizeof *bias);
    for (int i = 0; code == 0 && i < o->bias.n; i++) code = read_bias(o->bias.at[i], &bias[so.n_bias++], e);
    for (uint32_t i = 0; o->ignore_eos && i < n_vocab; i++)
        if (tokenizer_is_eog(g->s->tok, (int32_t)i)) bias[so.n_bias++] = (struct logit_bias){(int32_t)i, -INFINITY};
    so.bias = bias;
    so.seed = g->seed;
    so.dry.tokenizer = g->s->tok;
    set_breakers(&so.dry, &o->breakers, breaker);
    if (code == 0) code = sampler_new(&g->sampler, (int)n_vocab, so, e);
    mem_free(bias);
    return code;
}

int generate_open(struct session *s, const struct generate_options *o, struct err *e) {
    int guesses = o->draft && o->draft_max > o->lookup ? o->draft_max : o->lookup;
    int code = session_open(s, &o->model, "f16", 1 + guesses, e);
    if (code == 0) code = session_tokenizer(s, e);
    if (code == 0) code = lora_open(s, &o->lora, e);
    return code || !o->draft ? code : session_draft(s, &o->model, o->draft, "f16", e);
}

static int new_stops(struct generator *g, struct err *e) {
    const struct string_list *stop = &g->o->stop;
    if (!(g->stops = mem_array(NULL, (size_t)stop->n + 1, sizeof *g->stops))) return err_nomem(e, "stop texts", (size_t)stop->n * sizeof *g->stops);
    for (int i = 0; i < stop->n; i++)
        if (!(g->stops[i] = slice_of(stop->at[i])).n) return err_set(e, ERR_USAGE, "--stop: the text is empty");
    return 0;
}

int generator_new(struct generator *g, struct session *s, const struct generate_options *o, struct err *e) {
    *g = (struct generator){.s = s, .o = o};
    int code = new_stops(g, e);
    if (code == 0) code = new_sampler(g, e);
    if (code == 0) code = seq_new(&g->seq, s->engine, e);
    struct speculate_options so = {.lookup = o->lookup, .draft_max = o->draft_max, .draft = s->draft};
    if (code == 0) code = speculate_new(&g->guesses, g->seq, so, e);
    size_t bytes = (size_t)engine_context(s->engine) * sizeof *g->shifted;
    if (code == 0 && o->shift && !(g->shifted = mem_alloc(bytes))) code = err_nomem(e, "the window shift", bytes);
    if (code) generator_free(g);
    return code;
}

void generator_free(struct generator *g) {
    speculate_free(g->guesses);
    seq_free(g->seq);
    sampler_free(g->sampler);
    buf_free(&g->held);
    mem_free(g->stops);
    mem_free(g->shifted);
    *g = (struct generator){0};
}

/* ---- feeding ---- */

/* Runs steps until the logits after the text's last token are there; all guesses that stand behind it may not be computed yet. */
static int compute(struct generator *g, struct err *e) {
    int code = 0, all = seq_pending(g->seq), last = speculate_length(g->guesses) - 1;
    while (code == 0 && !(g->logits = engine_logits(g->s->engine, g->seq, last))) {
        int left = seq_pending(g->seq);
        if (left == 0) return err_set(e, ERR_INTERNAL, "no logits came of %d tokens", last + 1);
        if ((code = check_interrupt(e)) == 0) code = engine_step(g->s->engine, e);
        if (left > VERIFY_ROWS) progress("prompt: %d of %d tokens", all - seq_pending(g->seq), all);
    }
    if (all > VERIFY_ROWS) progress_clear();
    return code;
}

/* The prompt, by the model and by the draft. */
static int compute_prompt(struct generator *g, struct err *e) {
    int code = 0, left = 1;
    speculate_begin(g->guesses);
    if (seq_pending(g->seq)) code = compute(g, e);
    while (code == 0 && left > 0 && (code = check_interrupt(e)) == 0) code = speculate_follow(g->guesses, &left, e);
    return code;
}

/* How many of the first n tokens a shift keeps, of which the prompt has n_prompt. */
static int kept_of(const struct generator *g, const int32_t *ids, int n_prompt) {
    int keep = g->o->keep < 0 || g->o->keep > n_prompt ? n_prompt : g->o->keep;
    return keep == 0 && n_prompt && ids[0] == tokenizer_role(g->s->tok, ROLE_BOS) ? 1 : keep;
}

/* Of a prompt that does not fit an empty sequence, with --shift: what --keep keeps and then the end, so that a quarter of the context is free. *ids
 * becomes g->shifted. */
static int shorten(struct generator *g, const int32_t **ids, size_t *n, struct err *e) {
    int n_ctx = engine_context(g->s->engine), keep = kept_of(g, *ids, *n > INT32_MAX ? INT32_MAX : (int)*n), end = n_ctx - n_ctx / 4 - keep;
    if (end < 1)
        return err_set(e, ERR_CONTEXT, "the prompt has %zu tokens, the context holds %d, and --keep keeps %d of them: nothing is left to forget", *n, n_ctx, keep);
    memcpy(g->shifted, *ids, (size_t)keep * sizeof **ids);
    memcpy(g->shifted + keep, *ids + *n - end, (size_t)end * sizeof **ids);
    (void)fprintf(stderr, "hearth: the prompt has %zu tokens, but the context holds %d: %zu of them were left out, and the first %d and the last %d kept\n",
                  *n, n_ctx, *n - (size_t)(keep + end), keep, end);
    *ids = g->shifted;
    *n = (size_t)(keep + end);
    return 0;
}

static int too_long(const struct generator *g, size_t n, struct err *e) {
    const int n_ctx = engine_context(g->s->engine);
    const uint32_t most = g->s->model->hp.n_ctx_train;
    if (most > (uint32_t)n_ctx)
        return err_set(e, ERR_CONTEXT, "the prompt has %zu tokens, but the context holds %d; use a larger -c (up to %u for this model), a shorter prompt, or --shift to read only its end", n,
                       n_ctx, most);
    return err_set(e, ERR_CONTEXT, "the prompt has %zu tokens, but the context holds %d, and this model was made for no more; use a shorter prompt, or --shift to read only its end", n, n_ctx);
}

int generator_start(struct generator *g, const int32_t *ids, size_t n, struct err *e) {
    int have = seq_length(g->seq), n_ctx = engine_context(g->s->engine), code = 0;
    if (n > (size_t)(n_ctx - have) && g->o->shift && !have) {
        code = shorten(g, &ids, &n, e);
        if (code == 0) code = lora_set(g->s, g->seq, ids, n, e);
    } else if (n > (size_t)(n_ctx - have))
        code = too_long(g, (size_t)have + n, e);
    if (code) return code;
    double start = os_now();
    g->prompt_tokens = (int)n;
    g->generated = g->steps = g->shifts = 0;
    g->prompt_s = g->generate_s = 0;
    g->held.len = 0;
    code = seq_feed(g->seq, ids, (int)n, WANT_LAST, e);
    if (code == 0) code = compute_prompt(g, e);
    if (code) return code;
    for (size_t i = 0; i < n; i++) sampler_accept(g->sampler, ids[i]);
    g->n_prompt = have + (int)n;
    decoder_init(&g->decoder, g->s->tok, g->n_prompt ? seq_tokens(g->seq)[g->n_prompt - 1] : TOKEN_NONE);
    g->decoder.control = g->o->special;
    g->prompt_s = os_now() - start;
    return 0;
}

/* Keeps the first tokens as --keep says and the later half of the rest, which is computed anew at its new positions. */
static int shift(struct generator *g, int32_t next, struct err *e) {
    const int32_t *ids = seq_tokens(g->seq);
    int n = seq_length(g->seq), keep = kept_of(g, ids, g->n_prompt), drop = (n - keep + 1) / 2;
    if (drop < 1) return err_set(e, ERR_CONTEXT, "the context holds %d tokens and --keep keeps %d of them: nothing is left to forget", n, keep);
    memcpy(g->shifted, ids, (size_t)keep * sizeof *ids);
    memcpy(g->shifted + keep, ids + keep + drop, (size_t)(n - keep - drop) * sizeof *ids);
    g->shifted[n - drop] = next;
    int reached = seq_truncate(g->seq, keep);
    g->shifts++;
    int code = lora_shift(g->seq, keep, drop, e);
    if (code == 0) code = seq_feed(g->seq, g->shifted + reached, n - drop + 1 - reached, WANT_LAST, e);
    speculate_begin(g->guesses);
    return code;
}

/* ---- generating ---- */

static int emit(struct generator *g, struct token_event *t, bool last, bool *stopped, token_fn fn, void *ctx, struct err *e) {
    if (last) {
        int code = decoder_end(&g->decoder, &g->held, e);
        if (code) return code;
    }
    int which;
    const struct stop_texts stops = {g->stops, g->o->stop.n};
    size_t shown = stop_showable(&stops, (struct slice){g->held.data, g->held.len}, last, &which);
    *stopped = which >= 0;
    t->text = (struct slice){g->held.data, shown};
    int code = fn(ctx, t, e);
    if (shown) memmove(g->held.data, g->held.data + shown, g->held.len - shown);
    g->held.len -= shown;
    return code;
}

static int draw(struct generator *g, struct token_event *t, struct err *e) {
    int code = sampler_draw(g->sampler, g->logits, NULL, &t->id, e);
    if (code) return code;
    sampler_accept(g->sampler, t->id);
    t->n_top = g->o->logprobs > 0 ? g->o->logprobs : 0;
    if (g->o->logprobs < 0) return 0;
    return logprobs_of(g->logits, (int)tokenizer_count(g->s->tok), t->id, &t->logprob, t->top, t->n_top, e);
}

/* One token; *end gets a value only when the generation ends. */
static int step(struct generator *g, int n, token_fn fn, void *ctx, struct token_event *t, int *end, struct err *e) {
    bool stopped = false;
    int code = draw(g, t, e);
    if (code) return code;
    bool eog = tokenizer_is_eog(g->s->tok, t->id), last = eog || g->generated + 1 == n;
    g->generated++;
    if (!eog && (code = decoder_add(&g->decoder, t->id, &g->held, e))) return code;
    if ((code = emit(g, t, last, &stopped, fn, ctx, e))) return code;
    if (stopped || last) {
        *end = stopped ? END_STOP : eog ? END_EOG : END_LENGTH;
        return 0;
    }
    if (speculate_length(g->guesses) < engine_context(g->s->engine)) code = speculate_append(g->guesses, t->id, n < 0 ? GUESS_MAX : n - g->generated - 1, g->sampler, e);
    else if (g->o->shift) code = shift(g, t->id, e);
    else *end = END_CONTEXT;
    return code || *end >= 0 ? code : compute(g, e);
}

/* The sequence holds the text alone again, computed unless the user wants no more. */
static int leave(struct generator *g, bool cancelled, struct err *e) {
    struct speculate_counts c = speculate_counts(g->guesses);
    g->counts = (struct speculate_counts){c.drafted - g->counts.drafted, c.accepted - g->counts.accepted};
    int code = speculate_settle(g->guesses, e);
    if (code == 0 && !cancelled && seq_pending(g->seq) && (code = compute(g, e)) == ERR_CANCELLED) code = 0;
    return code;
}

int generator_run(struct generator *g, int n, token_fn fn, void *ctx, enum end *end, struct err *e) {
    double start = os_now();
    struct token_event t = {0};
    g->counts = speculate_counts(g->guesses);
    int why = n == 0 ? END_LENGTH : -1, code = 0;
    if (!g->logits) return err_set(e, ERR_USAGE, "the prompt is empty and the model adds no BOS token: there is nothing to continue");
    while (why < 0 && code == 0) code = step(g, n, fn, ctx, &t, &why, e);
    if (code == ERR_CANCELLED) {
        why = END_CANCELLED;
        code = 0;
    }
    if (code == 0 && (why == END_CANCELLED || why == END_CONTEXT)) { /* what was held back is shown */
        bool stopped = false;
        t = (struct token_event){.id = TOKEN_NONE};
        code = emit(g, &t, true, &stopped, fn, ctx, e);
    }
    if (code == 0) code = leave(g, why == END_CANCELLED, e);
    *end = why < 0 ? END_CANCELLED : (enum end)why;
    g->steps = g->generated ? g->generated - 1 : 0;
    g->generate_s = os_now() - start;
    return code;
}

/* ---- reporting ---- */

/* NAN where nothing was timed. */
static double rate(int n, double seconds) { return n && seconds > 0 ? n / seconds : NAN; }

static void report_rate(const char *what, int n, double tps) {
    (void)fprintf(stderr, "%s: %d token%s", what, n, n == 1 ? "" : "s");
    if (!isnan(tps)) (void)fprintf(stderr, ", %.1f tokens/s", tps);
}

void generator_report(const struct generator *g, enum end end) {
    static const char *const why[] = {"the text ended", "a stop text came", "-n was reached", "the context is full", "stopped"};
    report_rate("prompt", g->prompt_tokens, rate(g->prompt_tokens, g->prompt_s));
    report_rate("; generation", g->generated, rate(g->steps, g->generate_s));
    (void)fprintf(stderr, "; %s", why[end]);
    if (g->counts.drafted) (void)fprintf(stderr, "; %d of %d guesses came true", g->counts.accepted, g->counts.drafted);
    if (g->shifts) (void)fprintf(stderr, "; the window was shifted %d time%s", g->shifts, g->shifts == 1 ? "" : "s");
    (void)fprintf(stderr, "\n");
}

void generator_report_json(const struct generator *g, enum end end, struct jw *j) {
    jw_str(j, "end", end_name(end));
    jw_text(j, "model", slice_of(gguf_path(g->s->model->file)));
    jw_integer(j, "prompt_tokens", g->prompt_tokens);
    jw_integer(j, "generated_tokens", g->generated);
    jw_integer(j, "shifts", g->shifts);
    jw_bool(j, "greedy", !(g->o->sampling.temperature > 0));
    char seed[24];
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)g->seed);
    jw_str(j, "seed", seed); /* 64 bits: more than a JSON number holds everywhere */
    jw_open(j, "timings", '{');
    jw_number(j, "load_s", g->s->load_s);
    jw_number(j, "prompt_s", g->prompt_s);
    jw_number(j, "prompt_tps", rate(g->prompt_tokens, g->prompt_s));
    jw_number(j, "generation_s", g->generate_s);
    jw_number(j, "generation_tps", rate(g->steps, g->generate_s));
    jw_integer(j, "drafted", g->counts.drafted);
    jw_integer(j, "accepted", g->counts.accepted);
    jw_close(j, '}');
}
