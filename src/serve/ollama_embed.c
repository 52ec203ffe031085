/* ollama_embed.c: POST /api/embed, and /api/embeddings as older clients have it: texts to vectors, in the Ollama dialect. */
#include <math.h>
#include <stdio.h>

#include "base/os.h"
#include "serve/ollama.h"
#include "serve/vectors.h"

/* The members of both: options are read, so that wrong ones are told; those that say how text is drawn mean nothing here. */
static int settings_of(struct answer *a, const struct body_at *at, struct err *e) {
    struct ollama *o = a->dialect = arena_alloc(&a->arena, sizeof *o);
    if (!o) return err_nomem(e, "a request", sizeof *o);
    *o = (struct ollama){.num_ctx = -1, .keep_s = NAN};
    int code = body_text(at, "model", &a->ask.model, e);
    if (code == 0) code = ollama_options(a, o, at, e);
    if (code == 0) code = ollama_keep_alive(at, &o->keep_s, e);
    o->name = a->ask.model;
    if (code == 0) a->ask.model = ollama_model(service_models(a->service), o->name);
    return code;
}

/* Texts that are too long lose their ends unless `truncate` is false, as that API has it. */
static int read_embed(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    const json_t *v = json_object_get(body, "input");
    int64_t dimensions = 0;
    bool truncate = true;
    int code = settings_of(a, &at, e);
    if (code == 0 && !json_is_string(v) && !json_is_array(v)) code = body_error(&at, "input", e, v ? "not a string or an array of strings" : "missing");
    if (code == 0) code = body_bool(&at, "truncate", &truncate, e);
    if (code == 0) code = body_int(&at, "dimensions", 0, INT32_MAX, &dimensions, e);
    if (code == 0) code = vectors_want(a, json_is_array(v) ? json_array_size(v) : 1, "input", json_is_array(v), e);
    if (code == 0 && json_is_string(v)) vectors_add(a, (struct slice){json_string_value(v), json_string_length(v)});
    for (size_t i = 0; code == 0 && json_is_array(v) && i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        char where[32];
        (void)snprintf(where, sizeof where, "input[%zu]", i);
        if (json_is_string(one)) vectors_add(a, (struct slice){json_string_value(one), json_string_length(one)});
        else code = body_error(&at, where, e, "not a string");
    }
    if (code) return code;
    a->vectors->truncate = truncate;
    a->vectors->dimensions = dimensions;
    return 0;
}

static int read_embeddings(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    struct slice prompt = {0};
    int code = settings_of(a, &at, e);
    if (code == 0) code = body_text(&at, "prompt", &prompt, e);
    if (code == 0 && !prompt.p) code = body_error(&at, "prompt", e, "missing");
    if (code == 0) code = vectors_want(a, 1, "prompt", false, e);
    if (code) return code;
    vectors_add(a, prompt);
    a->vectors->truncate = true;
    return 0;
}

static void vector(struct jw *j, const char *key, const struct vectors *v, int i) {
    jw_open(j, key, '[');
    for (int k = 0; k < v->width; k++) jw_number(j, NULL, (double)v->text[i].out[k]);
    jw_close(j, ']');
}

static void write_embed(struct answer *a, struct jw *j) {
    const struct vectors *v = a->vectors;
    const struct ollama *o = a->dialect;
    jw_open(j, NULL, '{');
    jw_text(j, "model", o->name.n ? o->name : slice_of(a->model->name));
    jw_open(j, "embeddings", '[');
    for (int i = 0; i < v->n; i++) vector(j, NULL, v, i);
    jw_close(j, ']');
    jw_integer(j, "total_duration", (int64_t)((os_now() - http_arrival(a->http)) * 1e9));
    jw_integer(j, "load_duration", (int64_t)(a->load_s * 1e9));
    jw_integer(j, "prompt_eval_count", v->tokens);
    jw_close(j, '}');
}

static void write_embeddings(struct answer *a, struct jw *j) {
    jw_open(j, NULL, '{');
    vector(j, "embedding", a->vectors, 0);
    jw_close(j, '}');
}

const struct endpoint ollama_embed = {.read = read_embed, .opened = ollama_opened, .instead = vectors_start, .whole = write_embed};
const struct endpoint ollama_embeddings = {.read = read_embeddings, .opened = ollama_opened, .instead = vectors_start, .whole = write_embeddings};
