/* openai_samplers.c: samplers beyond those that the OpenAI API has, in its requests, by the names that llama.cpp gave them: typical, top-n-sigma, XTC, DRY, Mirostat and the
 * dynamic temperature. See openai.h, and sampler.h for what they do. */
#include <stddef.h>

#include "serve/openai.h"

#define FIELD(name) offsetof(struct sampler_options, name)
static const struct number {
    const char *name;
    bool whole; /* an int of struct sampler_options, else a float */
    double least, most;
    size_t offset;
} numbers[] = {
    {"typical_p", false, 0, 1, FIELD(typical_p)},
    {"top_n_sigma", false, -1, 100, FIELD(top_n_sigma)},
    {"dynatemp_range", false, 0, 100, FIELD(dynatemp_range)},
    {"dynatemp_exponent", false, 0, 100, FIELD(dynatemp_exponent)},
    {"xtc_probability", false, 0, 1, FIELD(xtc_probability)},
    {"xtc_threshold", false, 0, 1, FIELD(xtc_threshold)},
    {"mirostat", true, 0, 2, FIELD(mirostat)},
    {"mirostat_tau", false, 0, 100, FIELD(mirostat_tau)},
    {"mirostat_eta", false, 0, 1, FIELD(mirostat_eta)},
    {"repeat_penalty", false, 0.01, 100, FIELD(repeat_penalty)},
    {"repeat_last_n", true, -1, SAMPLER_WINDOW, FIELD(repeat_last_n)},
    {"dry_multiplier", false, 0, 100, FIELD(dry.multiplier)},
    {"dry_base", false, 1, 100, FIELD(dry.base)},
    {"dry_allowed_length", true, 0, DRY_WINDOW, FIELD(dry.allowed_length)},
    {"dry_penalty_last_n", true, -1, DRY_WINDOW, FIELD(dry.last_n)},
};

static int read_number(struct sampler_options *s, const struct body_at *at, const struct number *number, struct err *e) {
    char *field = (char *)s + number->offset;
    if (!number->whole) return body_float(at, number->name, number->least, number->most, (float *)(void *)field, e);
    int64_t whole = *(int *)(void *)field;
    const int code = body_int(at, number->name, (int64_t)number->least, (int64_t)number->most, &whole, e);
    *(int *)(void *)field = (int)whole;
    return code;
}

/* Copied: samplers are made when the body is gone. */
static int read_breakers(struct answer *a, const struct body_at *at, struct err *e) {
    static const char key[] = "dry_sequence_breakers";
    struct dry_options *dry = &a->ask.sampling.dry;
    const json_t *list = NULL;
    const int code = body_array(at, key, &list, e);
    const size_t n = json_array_size(list);
    if (code || !list) return code;
    if (n > DRY_BREAKERS_MAX) return body_error(at, key, e, "%zu texts; there may be %d", n, DRY_BREAKERS_MAX);
    struct slice *breakers = arena_array(&a->arena, n + 1, sizeof *breakers);
    for (size_t i = 0; breakers && i < n; i++) {
        const json_t *v = json_array_get(list, i);
        const size_t bytes = json_string_length(v);
        if (bytes < 1 || bytes > DRY_BREAKER_BYTES) return body_error(at, key, e, "item %zu is no text of 1 to %d bytes", i, DRY_BREAKER_BYTES);
        breakers[i] = (struct slice){arena_strndup(&a->arena, json_string_value(v), bytes), bytes};
        if (!breakers[i].p) return err_nomem(e, key, bytes);
    }
    if (!breakers) return err_nomem(e, key, n * sizeof *breakers);
    dry->breakers = breakers;
    dry->n_breakers = (int)n;
    return 0;
}

int openai_samplers(struct answer *a, const struct body_at *at, struct err *e) {
    struct sampler_options *s = &a->ask.sampling;
    int code = 0;
    for (size_t i = 0; code == 0 && i < sizeof numbers / sizeof *numbers; i++) code = read_number(s, at, &numbers[i], e);
    if (code == 0 && s->mirostat == 1) code = body_error(at, "mirostat", e, "version 2 is to be had, version 1 is not");
    return code ? code : read_breakers(a, at, e);
}
