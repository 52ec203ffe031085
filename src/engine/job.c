/* job.c: one request on its way: its copy of what was asked, its sequence, its draws and its text; see job.h. */
#include "engine/job.h"

#include <math.h>
#include <string.h>

#include "base/os.h"

enum { OPEN_END = 2048 }; /* tokens that a job without a limit is expected to generate, as far as memory is concerned */

/* ---- what was asked ---- */

static int copy(void *to, const void *from, size_t count, size_t size, const char *what, struct err *e) {
    void *p = mem_array(NULL, count + !count, size);
    memcpy(to, &p, sizeof p);
    if (!p) return err_nomem(e, what, count * size);
    if (count) memcpy(p, from, count * size);
    return 0;
}

/* The texts lie behind their slices. */
static int copy_stops(struct job *j, const struct job_spec *spec, struct err *e) {
    size_t bytes = (size_t)spec->n_stop * sizeof(struct slice);
    for (int i = 0; i < spec->n_stop; i++) bytes += spec->stop[i].n;
    struct slice *s = mem_alloc(bytes);
    j->spec.stop = s;
    if (!s) return err_nomem(e, "stop texts", bytes);
    char *text = (char *)(s + spec->n_stop);
    for (int i = 0; i < spec->n_stop; text += s[i].n, i++) {
        s[i] = (struct slice){text, spec->stop[i].n};
        memcpy(text, spec->stop[i].p, s[i].n);
        if (!s[i].n) return err_set(e, ERR_USAGE, "stop text %d is empty", i);
    }
    return 0;
}

/* The biases, and one for each token that ends a text where none is wanted. */
static int copy_biases(struct job *j, const struct job_spec *spec, struct err *e) {
    const uint32_t n_vocab = tokenizer_count(spec->tokenizer);
    int n = spec->sampling.n_bias;
    for (uint32_t i = 0; spec->ignore_eog && i < n_vocab; i++) n += tokenizer_is_eog(spec->tokenizer, (int32_t)i);
    struct logit_bias *b = mem_array(NULL, (size_t)n + 1, sizeof *b);
    j->spec.sampling.bias = b;
    if (!b) return err_nomem(e, "logit biases", (size_t)n * sizeof *b);
    j->spec.sampling.n_bias = spec->sampling.n_bias;
    if (spec->sampling.n_bias) memcpy(b, spec->sampling.bias, (size_t)spec->sampling.n_bias * sizeof *b);
    for (uint32_t i = 0; spec->ignore_eog && i < n_vocab; i++)
        if (tokenizer_is_eog(spec->tokenizer, (int32_t)i)) b[j->spec.sampling.n_bias++] = (struct logit_bias){(int32_t)i, -INFINITY};
    return 0;
}

static int check(const struct job_spec *s, struct err *e) {
    const int n_ctx = engine_context(s->engine);
    if (s->n_prompt < 1) return err_set(e, ERR_USAGE, "the prompt is empty");
    /* In words that agents look for, to know that it is time to summarize. */
    if (s->n_prompt > n_ctx) return err_set(e, ERR_CONTEXT, "the prompt is too long: %d tokens > %d, the maximum context length", s->n_prompt, n_ctx);
    if (s->logprobs > JOB_LOGPROBS_MAX) return err_set(e, ERR_USAGE, "%d alternatives were asked for; at most %d are given", s->logprobs, JOB_LOGPROBS_MAX);
    if (s->max_tokens < -1 || s->n_stop < 0 || s->n_reusable < 0 || s->guess < 0 || s->guess > GUESS_MAX || s->sampling.n_bias < 0)
        return err_set(e, ERR_USAGE, "a number of the request makes no sense");
    return 0;
}

int job_new(struct job **out, const struct job_spec *spec, struct err *e) {
    *out = NULL;
    int code = check(spec, e);
    if (code) return code;
    struct job *j = mem_calloc(1, sizeof *j);
    if (!j) return err_nomem(e, "a job", sizeof *j);
    j->spec = *spec;
    j->spec.prompt = NULL, j->spec.reusable = NULL, j->spec.stop = NULL, j->spec.sampling.bias = NULL;
    code = copy(&j->spec.prompt, spec->prompt, (size_t)spec->n_prompt, sizeof *spec->prompt, "a prompt", e);
    if (code == 0) code = copy(&j->spec.reusable, spec->reusable, (size_t)spec->n_reusable, sizeof *spec->reusable, "a prompt's messages", e);
    if (code == 0) code = copy_stops(j, spec, e);
    if (code == 0) code = copy_biases(j, spec, e);
    if (code == 0) code = guide_new(&j->guide, &spec->guide, spec->tokenizer, e);
    j->spec.guide.form = NULL; /* it is the guide's */
    if (code) {
        job_free(j);
        return code;
    }
    const int n_ctx = engine_context(spec->engine), more = spec->max_tokens < 0 || spec->max_tokens > OPEN_END ? OPEN_END : spec->max_tokens;
    j->kv_bytes = engine_sequence_bytes(spec->engine, more > n_ctx - spec->n_prompt ? n_ctx : spec->n_prompt + more);
    j->submitted = os_now();
    *out = j;
    return 0;
}

void job_free(struct job *j) {
    if (!j) return;
    mem_free((void *)(uintptr_t)j->spec.prompt);
    mem_free((void *)(uintptr_t)j->spec.reusable);
    mem_free((void *)(uintptr_t)j->spec.stop);
    mem_free((void *)(uintptr_t)j->spec.sampling.bias);
    guide_free(j->guide);
    mem_free(j);
}

/* ---- the prompt ---- */

static int allowed_guesses(void *ctx, const int32_t *ids, int n) {
    struct job *j = ctx;
    return guide_allows(j->guide, ids, n);
}

static struct job_event event_of(const struct job *j, enum job_event_kind kind) {
    return (struct job_event){.kind = kind, .prompt_tokens = j->spec.n_prompt, .cached_tokens = j->cached, .generated = j->generated, .id = TOKEN_NONE, .stop = -1};
}

static int feed_prompt(struct job *j, struct err *e) {
    const struct job_spec *s = &j->spec;
    struct seq_departure departure;
    const bool departs = s->departure && !s->prompt_logprobs && seq_departs(j->seq, s->prompt, s->n_prompt, &departure);
    if (!s->prompt_logprobs) j->cached = seq_reuse(j->seq, s->prompt, s->n_prompt);
    int code = seq_feed(j->seq, s->prompt + j->cached, s->n_prompt - j->cached, s->prompt_logprobs ? WANT_ALL : WANT_LAST, e);
    if (code == 0) seq_prompt(j->seq);
    for (int i = 0; code == 0 && i < s->n_reusable; i++) seq_expect_reuse(j->seq, s->reusable[i]);
    if (code == 0) code = speculate_new(&j->guesses, j->seq, (struct speculate_options){.lookup = s->guess, .allowed = j->guide ? allowed_guesses : NULL, .ctx = j}, e);
    if (code == 0 && j->guide) code = guide_begin(j->guide, e);
    if (code) return code;
    speculate_begin(j->guesses);
    for (int i = 0; i < s->n_prompt; i++) sampler_accept(j->sampler, s->prompt[i]);
    decoder_init(&j->decoder, s->tokenizer, s->prompt[s->n_prompt - 1]);
    j->decoder.control = s->control;
    struct job_event ev = event_of(j, JOB_STARTED);
    ev.storable_tokens = seq_storable(j->seq, s->n_prompt);
    ev.departure = departs ? &departure : NULL;
    s->event(s->ctx, &ev);
    return 0;
}

int job_start(struct job *j, struct err *e) {
    const struct job_spec *s = &j->spec;
    j->started = os_now();
    struct sampler_options so = s->sampling;
    int code = sampler_new(&j->sampler, (int)tokenizer_count(s->tokenizer), so, e);
    if (code == 0) code = seq_new(&j->seq, s->engine, e);
    if (code == 0 && s->adapted) code = seq_set_adapter(j->seq, s->adapter, s->adapter_from, e);
    if (code == 0 && !s->prompt_logprobs) j->fetch = seq_fetch(j->seq, s->prompt, s->n_prompt);
    return code || j->fetch ? code : feed_prompt(j, e);
}

bool job_waits(const struct job *j) { return j->fetch != NULL; }

int job_resume(struct job *j, double most_s, struct err *e) {
    if (!fetch_wait(j->fetch, most_s)) return 0;
    const bool again = fetch_end(j->fetch);
    j->fetch = again ? seq_fetch(j->seq, j->spec.prompt, j->spec.n_prompt) : NULL;
    return j->fetch ? 0 : feed_prompt(j, e);
}

bool job_generates(const struct job *j) { return j->first > 0; }

/* Logprobs of the prompt's tokens that the last step gave. */
static int tell_prompt(struct job *j, struct err *e) {
    const struct job_spec *s = &j->spec;
    for (; j->told < s->n_prompt; j->told++) {
        struct logprob top[JOB_LOGPROBS_MAX];
        struct job_event ev = event_of(j, JOB_PROMPT);
        ev.position = j->told;
        ev.id = s->prompt[j->told];
        const float *logits = j->told ? engine_logits(s->engine, j->seq, j->told - 1) : NULL;
        if (j->told && !logits) return 0;
        if (logits) {
            int code = logprobs_of(logits, (int)tokenizer_count(s->tokenizer), ev.id, &ev.logprob, top, s->logprobs > 0 ? s->logprobs : 0, e);
            if (code) return code;
            ev.top = top;
            ev.n_top = s->logprobs > 0 ? s->logprobs : 0;
        }
        s->event(s->ctx, &ev);
    }
    return 0;
}

/* ---- generating ---- */

/* Puts what can be shown into ev; it stays in `held` until drop_shown. */
static size_t show(struct job *j, struct job_event *ev, bool last) {
    const struct stop_texts stops = {j->spec.stop, j->spec.n_stop};
    const size_t n = stop_showable(&stops, (struct slice){j->held.data, j->held.len}, last, &ev->stop);
    ev->text = (struct slice){j->held.data ? j->held.data : "", n};
    return n;
}

static void drop_shown(struct job *j, size_t n) {
    if (n) memmove(j->held.data, j->held.data + n, j->held.len - n);
    j->held.len -= n;
}

/* One token; *end: why it was the last, or -1. */
static int draw(struct job *j, const float *logits, int most, int *end, struct err *e) {
    const struct job_spec *s = &j->spec;
    struct logprob top[JOB_LOGPROBS_MAX];
    struct job_event ev = event_of(j, JOB_TOKEN);
    const size_t before = j->held.len;
    bool over;
    const uint32_t *mask = guide_mask(j->guide, &ev.id);
    int code = ev.id >= 0 ? 0 : sampler_draw(j->sampler, logits, mask, &ev.id, e);
    if (code) return code;
    sampler_accept(j->sampler, ev.id);
    ev.top = top;
    ev.n_top = s->logprobs > 0 ? s->logprobs : 0;
    if (s->logprobs >= 0 && (code = logprobs_of(logits, (int)tokenizer_count(s->tokenizer), ev.id, &ev.logprob, top, ev.n_top, e))) return code;
    const bool eog = tokenizer_is_eog(s->tokenizer, ev.id);
    ev.generated = ++j->generated;
    ev.position = s->n_prompt + j->generated - 1;
    if (!eog && (code = decoder_add(&j->decoder, ev.id, &j->held, e))) return code;
    if ((code = guide_accept(j->guide, ev.id, (struct slice){j->held.data ? j->held.data + before : "", j->held.len - before}, &over, e))) return code;
    const size_t shown = show(j, &ev, false);
    s->event(s->ctx, &ev);
    drop_shown(j, shown);
    if (ev.stop >= 0) {
        j->held.len = 0;
        j->stop = ev.stop;
        *end = JOB_STOP;
    } else if (eog || over) {
        *end = JOB_EOG;
    } else if (j->generated == s->max_tokens) {
        *end = JOB_LENGTH;
    } else if (speculate_length(j->guesses) == engine_context(s->engine)) {
        *end = JOB_CONTEXT;
    }
    const int left = s->max_tokens < 0 ? GUESS_MAX : s->max_tokens - j->generated - 1;
    return *end < 0 ? speculate_append(j->guesses, ev.id, most < left ? most : left, j->sampler, e) : 0;
}

int job_advance(struct job *j, int most, int *end, struct err *e) {
    const struct job_spec *s = &j->spec;
    const float *logits;
    int code = s->prompt_logprobs ? tell_prompt(j, e) : 0;
    *end = -1;
    j->cached = seq_reused(j->seq); /* others may have computed some of the prompt meanwhile */
    while (code == 0 && *end < 0 && (logits = engine_logits(s->engine, j->seq, speculate_length(j->guesses) - 1))) {
        if (!job_generates(j)) j->first = os_now();
        if (s->max_tokens == 0) *end = JOB_LENGTH;
        else code = draw(j, logits, most, end, e);
    }
    return code;
}

void job_finish(struct job *j, int end, const struct err *error) {
    struct job_event ev = event_of(j, JOB_ENDED);
    struct err ignored;
    const double now = os_now();
    if (j->guesses) (void)decoder_end(&j->decoder, &j->held, &ignored);
    (void)show(j, &ev, true);
    if (end == JOB_STOP) ev.stop = j->stop;
    else if (ev.stop >= 0 && end != JOB_FAILED) end = JOB_STOP; /* the last character made it whole */
    ev.end = (enum job_end)end;
    ev.error = error;
    ev.energy_uj = j->energy_uj;
    ev.energy_measured = j->energy_uj && !j->estimated;
    ev.queued_s = (j->started > 0 ? j->started : now) - j->submitted;
    ev.prompt_s = j->started > 0 ? (j->first > 0 ? j->first : now) - j->started : 0;
    ev.generate_s = j->first > 0 ? now - j->first : 0;
    if (j->fetch) (void)fetch_end(j->fetch), j->fetch = NULL;
    speculate_free(j->guesses), j->guesses = NULL;
    seq_free(j->seq), j->seq = NULL;
    sampler_free(j->sampler), j->sampler = NULL;
    guide_end(j->guide);
    struct buf text = j->held;
    j->held = (struct buf){0};
    j->spec.event(j->spec.ctx, &ev); /* the job may be gone from here on */
    buf_free(&text);
}
