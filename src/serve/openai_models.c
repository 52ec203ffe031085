/* openai_models.c: GET /v1/models, GET /lora-adapters and a request's "lora" as llama.cpp has them, and POST /v1/load_lora_adapter and /v1/unload_lora_adapter as vLLM has them.
 *
 * A model's object is OpenAI's, and beside it what other servers' clients look for: vLLM's root, parent and max_model_len, llama.cpp's status and meta, LM Studio's
 * state. */
#include <stdio.h>
#include <string.h>

#include "serve/openai.h"

/* ---- the list ---- */

static const char *state_of(const struct life *l) {
    static const char *const names[] = {[SERVED_CLOSED] = "unloaded", [SERVED_OPENING] = "loading", [SERVED_OPEN] = "loaded", [SERVED_CLOSING] = "unloaded"};
    return l ? names[l->state] : "unloaded";
}

/* An object up to what models and adapters do not have in common. */
static void begin(struct jw *j, const char *id, const char *root, const char *parent, const struct life *l) {
    const char *state = state_of(l);
    jw_open(j, NULL, '{');
    jw_str(j, "id", id);
    jw_str(j, "object", "model");
    jw_str(j, "owned_by", "hearth");
    jw_str(j, "root", root);
    if (parent) jw_str(j, "parent", parent);
    else jw_null(j, "parent");
    jw_str(j, "state", strcmp(state, "unloaded") == 0 ? "not-loaded" : state);
    jw_open(j, "status", '{');
    jw_str(j, "value", state);
    jw_close(j, '}');
}

static void write_model(struct jw *j, const struct served *s) {
    begin(j, s->name, s->name, NULL, &s->life);
    jw_integer(j, "created", s->created);
    if (s->life.state == SERVED_OPEN) {
        const struct hparams *h = &s->model->hp;
        jw_integer(j, "max_model_len", s->engine ? (int64_t)engine_context(s->engine) : (int64_t)h->n_ctx_train);
        jw_open(j, "meta", '{');
        jw_str(j, "architecture", model_architecture(s->model));
        jw_integer(j, "n_vocab", h->n_vocab);
        jw_integer(j, "n_ctx_train", h->n_ctx_train);
        jw_integer(j, "n_embd", h->n_embd);
        jw_integer(j, "size", (int64_t)s->weights);
        jw_close(j, '}');
    }
    jw_close(j, '}');
}

static void write_adapter(struct jw *j, const struct adapter_view *a) {
    const char *slash = strrchr(a->path, '/');
    begin(j, a->name, slash ? slash + 1 : a->path, a->model ? a->model->name : NULL, a->open ? &a->open->life : NULL); /* its folder is nobody's business */
    jw_integer(j, "created", a->model ? a->model->created : 0);
    jw_close(j, '}');
}

/* All objects, or the one of a name. */
struct listing {
    struct jw j;
    struct slice wanted; /* p NULL: all */
    const char *last;    /* adapter: one that is open on several models is listed once */
    bool found;
};

static void list_model(void *ctx, const struct served *s) {
    struct listing *l = ctx;
    if (l->wanted.p && (l->found || !slice_is(l->wanted, s->name))) return;
    l->found = true;
    write_model(&l->j, s);
}

static void list_adapter(void *ctx, const struct adapter_view *a) {
    struct listing *l = ctx;
    if (l->last == a->name || (l->wanted.p && (l->found || !slice_is(l->wanted, a->name)))) return;
    l->last = a->name;
    l->found = true;
    write_adapter(&l->j, a);
}

void openai_list_models(struct service *s, struct http_request *r) {
    struct listing l = {.j = {.b = {.limit = 64 << 20}}};
    jw_open(&l.j, NULL, '{');
    jw_str(&l.j, "object", "list");
    jw_open(&l.j, "data", '[');
    models_each(service_models(s), list_model, &l);
    models_each_adapter(service_models(s), list_adapter, &l);
    jw_close(&l.j, ']');
    jw_close(&l.j, '}');
    answer_json(r, &l.j);
}

void openai_show_model(struct service *s, struct http_request *r) {
    struct listing l = {.j = {.b = {.limit = 1 << 20}}, .wanted = http_param(r)};
    models_each(service_models(s), list_model, &l);
    models_each_adapter(service_models(s), list_adapter, &l);
    if (l.found) answer_json(r, &l.j);
    else (void)http_error(r, 404, 0, "there is no model of this name; GET /v1/models lists those that there are");
}

/* ---- adapters ---- */

static void number_adapter(void *ctx, const struct adapter_view *a) {
    struct listing *l = ctx;
    const char *slash = strrchr(a->path, '/');
    if (l->last == a->name) return;
    l->last = a->name;
    jw_open(&l->j, NULL, '{');
    jw_integer(&l->j, "id", a->id);
    jw_str(&l->j, "name", a->name);
    jw_str(&l->j, "path", slash ? slash + 1 : a->path);
    jw_integer(&l->j, "scale", 0); /* for who does not say otherwise */
    jw_close(&l->j, '}');
}

void openai_list_adapters(struct service *s, struct http_request *r) {
    struct listing l = {.j = {.b = {.limit = 64 << 20}}};
    jw_open(&l.j, NULL, '[');
    models_each_adapter(service_models(s), number_adapter, &l);
    jw_close(&l.j, ']');
    answer_json(r, &l.j);
}

/* A sequence has one adapter, which acts as it was trained. */
int openai_lora(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "lora", &list, e);
    if (code || !list) return code;
    a->ask.lora_said = true;
    a->ask.lora = -1;
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        struct body_at one;
        int64_t id = -1;
        float scale = 0;
        code = body_into(&one, at, "lora", (int)i, json_array_get(list, i), e);
        if (code == 0) code = body_int(&one, "id", 0, INT32_MAX, &id, e);
        if (code == 0 && id < 0) code = body_error(&one, "id", e, "missing");
        if (code == 0) code = body_float(&one, "scale", -1e6, 1e6, &scale, e);
        const bool none = !(scale < 0 || scale > 0), whole = !(scale < 1 || scale > 1);
        if (code == 0 && !none && !whole) code = body_error(&one, "scale", e, "an adapter acts as it was trained (1) or not at all (0) here");
        if (code == 0 && whole && a->ask.lora >= 0) code = body_error(&one, "scale", e, "a request can have one adapter, and number %d is one", a->ask.lora);
        if (code == 0 && whole) a->ask.lora = (int)id;
    }
    return code;
}

static void reply(struct http_request *r, struct slice name, const char *done, int code, const struct err *e) {
    char text[256], shown[160];
    if (code) {
        (void)http_error(r, status_of(code), status_of(code) == 503 ? 1 : 0, "%s", e->msg);
        return;
    }
    (void)snprintf(text, sizeof text, "Success: LoRA adapter '%s' %s successfully.", err_quote(shown, sizeof shown, name.p, name.n), done);
    (void)http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain; charset=utf-8", .body = slice_of(text)});
}

void openai_load_adapter(struct service *s, struct http_request *r) {
    struct slice name = {0}, path = {0}, base = {0};
    struct err e = {0};
    json_t *body = NULL;
    bool replace = false;
    int code = body_parse(&body, http_body(r), &e);
    const struct body_at at = body_top(body);
    if (code == 0) code = body_text(&at, "lora_name", &name, &e);
    if (code == 0) code = body_text(&at, "lora_path", &path, &e);
    if (code == 0) code = body_text(&at, "base_model_name", &base, &e);
    if (code == 0) code = body_bool(&at, "load_inplace", &replace, &e);
    if (code == 0) {
        service_step_aside(s);
        code = models_load(service_models(s), name, path, base, replace, &e);
        service_step_back(s);
    }
    reply(r, name, "added", code, &e);
    json_decref(body);
}

void openai_unload_adapter(struct service *s, struct http_request *r) {
    struct slice name = {0};
    struct err e = {0};
    json_t *body = NULL;
    int code = body_parse(&body, http_body(r), &e);
    const struct body_at at = body_top(body);
    if (code == 0) code = body_text(&at, "lora_name", &name, &e);
    if (code == 0 && !name.n) code = body_error(&at, "lora_name", &e, "missing");
    if (code == 0) code = models_unload(service_models(s), name, &e);
    reply(r, name, "removed", code, &e);
    json_decref(body);
}
