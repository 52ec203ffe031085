/* ollama_options.c: the members "options" and "keep_alive" of requests in the Ollama dialect: one row for each name. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "serve/ollama.h"

enum kind {
    REAL,    /* a float of struct sampler_options */
    WHOLE,   /* an int of it */
    MACHINE, /* a number that says how a machine is to be used, or what happens where text is dropped: it changes no answer here */
    SWITCH,  /* likewise, true or false */
    OWN,     /* read below */
};

struct option {
    const char *name;
    enum kind kind;
    double least, most;
    size_t offset;
};

#define FIELD(name) offsetof(struct sampler_options, name)
static const struct option options[] = {
    {"temperature", REAL, 0, 100, FIELD(temperature)}, {"top_p", REAL, 0, 1, FIELD(top_p)}, {"min_p", REAL, 0, 1, FIELD(min_p)}, {"typical_p", REAL, 0, 1, FIELD(typical_p)},
    {"top_k", WHOLE, -1, 1 << 30, FIELD(top_k)}, {"repeat_penalty", REAL, 0.01, 100, FIELD(repeat_penalty)}, {"repeat_last_n", WHOLE, -1, SAMPLER_WINDOW, FIELD(repeat_last_n)},
    {"presence_penalty", REAL, -100, 100, FIELD(presence_penalty)}, {"frequency_penalty", REAL, -100, 100, FIELD(frequency_penalty)},
    {"mirostat_tau", REAL, 0, 100, FIELD(mirostat_tau)}, {"mirostat_eta", REAL, 0, 1, FIELD(mirostat_eta)},
    /* beyond that API, by the names that llama.cpp gave them */
    {"dynatemp_range", REAL, 0, 100, FIELD(dynatemp_range)}, {"dynatemp_exponent", REAL, 0, 100, FIELD(dynatemp_exponent)}, {"top_n_sigma", REAL, -1, 100, FIELD(top_n_sigma)},
    {"xtc_probability", REAL, 0, 1, FIELD(xtc_probability)}, {"xtc_threshold", REAL, 0, 1, FIELD(xtc_threshold)},
    {"seed", OWN, 0, 0, 0}, {"num_predict", OWN, 0, 0, 0}, {"num_ctx", OWN, 0, 0, 0}, {"stop", OWN, 0, 0, 0}, {"mirostat", OWN, 0, 0, 0}, {"tfs_z", OWN, 0, 0, 0}, {"penalize_newline", OWN, 0, 0, 0},
    {"num_keep", MACHINE, -1, 1 << 30, 0}, {"num_batch", MACHINE, 0, 1 << 30, 0}, {"num_gpu", MACHINE, -1, 1 << 30, 0}, {"main_gpu", MACHINE, 0, 1 << 30, 0}, {"num_thread", MACHINE, 0, 1 << 30, 0},
    {"num_gqa", MACHINE, 0, 1 << 30, 0}, {"numa", SWITCH, 0, 0, 0}, {"use_mmap", SWITCH, 0, 0, 0}, {"use_mlock", SWITCH, 0, 0, 0}, {"low_vram", SWITCH, 0, 0, 0}, {"f16_kv", SWITCH, 0, 0, 0},
    {"logits_all", SWITCH, 0, 0, 0}, {"vocab_only", SWITCH, 0, 0, 0}, {"embedding_only", SWITCH, 0, 0, 0},
};

static int read_option(struct sampler_options *s, const struct body_at *at, const char *name, struct err *e) {
    const size_t n = sizeof options / sizeof *options;
    size_t i = 0;
    int64_t whole = 0;
    bool yes;
    char shown[64];
    while (i < n && strcmp(options[i].name, name) != 0) i++;
    if (i == n) return body_error(at, NULL, e, "there is no option \"%s\"", err_quote(shown, sizeof shown, name, strlen(name)));
    const struct option *o = &options[i];
    char *field = (char *)s + o->offset;
    int code = 0;
    switch (o->kind) {
    case REAL: return body_float(at, name, o->least, o->most, (float *)(void *)field, e);
    case WHOLE:
        whole = *(int *)(void *)field;
        code = body_int(at, name, (int64_t)o->least, (int64_t)o->most, &whole, e);
        *(int *)(void *)field = (int)whole;
        return code;
    case MACHINE: return body_int(at, name, (int64_t)o->least, (int64_t)o->most, &whole, e);
    case SWITCH: return body_bool(at, name, &yes, e);
    case OWN: break;
    }
    return 0;
}

/* Those that need more than a range. */
static int own_options(struct answer *a, struct ollama *o, const struct body_at *at, struct err *e) {
    struct ask *ask = &a->ask;
    int64_t seed = -1, predict = -1, mirostat = 0;
    float tail = 1;
    bool newline = true;
    int code = body_int(at, "seed", INT64_MIN, INT64_MAX, &seed, e);
    if (code == 0) code = body_int(at, "num_predict", -2, INT32_MAX, &predict, e);
    if (code == 0) code = body_int(at, "num_ctx", 1, INT32_MAX, &o->num_ctx, e);
    if (code == 0) code = body_int(at, "mirostat", 0, 2, &mirostat, e);
    if (code == 0 && mirostat == 1) code = body_error(at, "mirostat", e, "version 2 is to be had, version 1 is not");
    if (code == 0) code = body_float(at, "tfs_z", 0, 1, &tail, e);
    if (code == 0 && tail < 1) code = body_error(at, "tfs_z", e, "tail-free sampling is not to be had; min_p does what it was for");
    if (code == 0) code = body_bool(at, "penalize_newline", &newline, e);
    if (code == 0 && !newline) code = body_error(at, "penalize_newline", e, "line ends are penalised like all that is repeated");
    if (code == 0) code = ask_stops(ask, at, e);
    ask->seeded = seed != -1;
    ask->sampling.seed = (uint64_t)seed;
    ask->sampling.mirostat = (int)mirostat;
    ask->max_tokens = predict > 0 ? predict : -1;
    return code;
}

int ollama_options(struct answer *a, struct ollama *o, const struct body_at *at, struct err *e) {
    const json_t *object = NULL;
    struct body_at inside;
    const char *name;
    json_t *ignored;
    int code = body_object(at, "options", &object, e);
    if (code || !object) return code;
    code = body_into(&inside, at, "options", -1, object, e);
    json_object_foreach((json_t *)(uintptr_t)object, name, ignored) {
        if (code == 0) code = read_option(&a->ask.sampling, &inside, name, e);
    }
    return code ? code : own_options(a, o, &inside, e);
}

/* ---- keep_alive: seconds, or a text such as "5m", "1h30m" or "-1" ---- */

static bool read_unit(struct slice *s, double *seconds) {
    static const struct { const char *name; double seconds; } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xC2\xB5s", 1e-6}, {"\xCE\xBCs", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const size_t n = strlen(units[i].name);
        if (s->n < n || memcmp(s->p, units[i].name, n) != 0) continue;
        *seconds = units[i].seconds;
        *s = (struct slice){s->p + n, s->n - n};
        return true;
    }
    return false;
}

/* Digits and a point, and nothing else. */
static bool read_decimal(struct slice *s, double *value) {
    double scale = 0;
    size_t i = 0, digits = 0;
    *value = 0;
    for (; i < s->n; i++) {
        const char c = s->p[i];
        if (c == '.' && scale <= 0) {
            scale = 1;
            continue;
        }
        if (c < '0' || c > '9') break;
        digits++;
        if (scale > 0) *value += (c - '0') * (scale /= 10);
        else *value = *value * 10 + (c - '0');
    }
    *s = (struct slice){s->p + i, s->n - i};
    return digits > 0;
}

static bool read_duration(struct slice s, double *seconds) {
    double sum = 0, value, unit;
    const bool negative = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) s.p++, s.n--;
    if (!read_decimal(&s, &value)) return false;
    if (s.n == 0) sum = value; /* without a unit, as a number would be */
    while (s.n) {
        if (!read_unit(&s, &unit)) return false;
        sum += value * unit;
        if (s.n && (!read_decimal(&s, &value) || !s.n)) return false;
    }
    *seconds = negative ? -sum : sum;
    return true;
}

int ollama_keep_alive(const struct body_at *at, double *seconds, struct err *e) {
    const json_t *v = json_object_get(at->object, "keep_alive");
    char shown[48];
    if (!v || json_is_null(v)) return 0;
    if (json_is_number(v)) {
        *seconds = json_number_value(v);
        return 0;
    }
    if (!json_is_string(v)) return body_error(at, "keep_alive", e, "not a number of seconds or a duration such as \"5m\"");
    const struct slice text = {json_string_value(v), json_string_length(v)};
    if (text.n <= 64 && read_duration(text, seconds)) return 0;
    return body_error(at, "keep_alive", e, "\"%s\" is no duration such as \"5m\" or \"1h30m\"", err_quote(shown, sizeof shown, text.p, text.n));
}
