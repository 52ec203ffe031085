/* ollama_models.c: what clients of the Ollama dialect ask of models: which there are, what they are and can do, which are open. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "engine/vocab.h"
#include "serve/ollama.h"
#include "text/fim.h"

enum { SHOWN_ELEMENTS = 32 /* of an array, unless all is asked for */, NAMES = 4096 };

void ollama_listed_name(struct buf *out, const char *name) { (void)(buf_str(out, name) && (strchr(name, ':') || buf_str(out, ":latest"))); }

static void found(void *ctx, struct served *s) { (void)ctx, (void)s; }
static bool is_there(struct models *m, struct slice name) { return models_with(m, name, found, NULL, NULL) == 0; }
static void count_adapter(void *ctx, const struct adapter_view *a) { (void)a, ++*(int *)ctx; }

struct slice ollama_model(struct models *m, struct slice name) {
    int adapters = 0;
    size_t n = name.n;
    while (n && name.p[n - 1] != ':' && name.p[n - 1] != '/') n--;
    if (n < 2 || name.p[n - 1] == '/' || is_there(m, name)) return name;
    models_each_adapter(m, count_adapter, &adapters);
    return !adapters && is_there(m, (struct slice){name.p, n - 1}) ? (struct slice){name.p, n - 1} : name;
}

/* ---- what lists have of a model ---- */

static void details(struct jw *j, const struct facts *f, const char *parent) {
    const double n = (double)f->parameters;
    char size[32];
    if (n >= 1e9) (void)snprintf(size, sizeof size, "%.1fB", n / 1e9);
    else if (n >= 1e6) (void)snprintf(size, sizeof size, "%.2fM", n / 1e6);
    else (void)snprintf(size, sizeof size, "%.2fK", n / 1e3);
    jw_open(j, "details", '{');
    jw_str(j, "parent_model", parent ? parent : "");
    jw_str(j, "format", "gguf");
    jw_str(j, "family", f->family);
    jw_open(j, "families", '[');
    jw_str(j, NULL, f->family);
    jw_close(j, ']');
    jw_str(j, "parameter_size", size);
    jw_str(j, "quantization_level", f->quantization);
    jw_close(j, '}');
}

static void names(struct jw *j, const char *name) {
    struct buf listed = {.limit = 1 << 16};
    ollama_listed_name(&listed, name);
    jw_str(j, "name", listed.data ? listed.data : name);
    jw_str(j, "model", listed.data ? listed.data : name);
    buf_free(&listed);
}

static void capabilities(struct jw *j, const struct facts *f, bool insert) {
    jw_open(j, "capabilities", '[');
    jw_str(j, NULL, f->embeds ? "embedding" : "completion");
    if (f->chat) jw_str(j, NULL, "tools");
    if (f->thinks) jw_str(j, NULL, "thinking");
    if (insert) jw_str(j, NULL, "insert");
    jw_close(j, ']');
}

/* ---- lists: names first, files outside the lock ---- */

struct listed {
    const char *name, *base; /* base: of an adapter, its model; else NULL */
    uint64_t bytes;          /* that it takes, open */
    int context;
    double expiry;           /* os_now when it will be closed */
};

struct list {
    struct arena arena;
    struct listed *at;
    size_t n;
    bool open_only, failed;
    const char *last; /* adapter: one that is open on several models is listed once */
};

static const char *kept(struct list *l, const char *text) {
    const char *copy = arena_strndup(&l->arena, text, strlen(text));
    l->failed |= !copy;
    return copy;
}

/* Tokens that it can hold; 0: it is not open, or only reads. */
static int context_now(const struct served *s) { return s->life.state == SERVED_OPEN && s->engine ? engine_context(s->engine) : 0; }

/* When it will be closed, were its users done now. */
static double expiry_of(const struct life *l) { return l->users ? os_now() + l->keep_s : models_expiry(l); }

static void note_model(void *ctx, const struct served *s) {
    struct list *l = ctx;
    const bool open = s->life.state == SERVED_OPEN;
    if ((l->open_only && !open) || l->n == NAMES) return;
    l->at[l->n++] = (struct listed){kept(l, s->name), NULL, s->weights + s->buffers, context_now(s), expiry_of(&s->life)};
}

/* An adapter is a model of its name. */
static void note_adapter(void *ctx, const struct adapter_view *a) {
    struct list *l = ctx;
    const bool open = a->open && a->open->life.state == SERVED_OPEN;
    if ((l->open_only && !open) || !a->model || l->n == NAMES || (l->n && l->last && strcmp(l->last, a->name) == 0)) return;
    l->last = kept(l, a->name);
    l->at[l->n++] = (struct listed){l->last, kept(l, a->model->name), open ? a->open->bytes : 0, context_now(a->model),
                                    open ? expiry_of(&a->open->life) : (double)INFINITY};
}

static struct list list_of(struct models *m, bool open_only) {
    struct list l = {.arena = {.limit = 64 << 20}, .open_only = open_only};
    l.at = arena_array(&l.arena, NAMES, sizeof *l.at);
    if (!l.at) {
        l.failed = true;
        return l;
    }
    models_each(m, note_model, &l);
    models_each_adapter(m, note_adapter, &l);
    return l;
}

static void reply_list(struct service *s, struct http_request *r, bool open_only, void (*member)(struct jw *j, const struct listed *o, const struct facts *f)) {
    struct list l = list_of(service_models(s), open_only);
    struct jw j = {.b = {.limit = 64 << 20}, .failed = l.failed};
    jw_open(&j, NULL, '{');
    jw_open(&j, "models", '[');
    service_step_aside(s); /* headers of files are read */
    for (size_t i = 0; !l.failed && i < l.n; i++) {
        struct facts f;
        if (facts_of(service_models(s), slice_of(l.at[i].name), &f, NULL)) f = (struct facts){0}; /* no model, or gone: who uses it is told */
        jw_open(&j, NULL, '{');
        names(&j, l.at[i].name);
        member(&j, &l.at[i], &f);
        jw_close(&j, '}');
    }
    service_step_back(s);
    jw_close(&j, ']');
    jw_close(&j, '}');
    arena_free(&l.arena);
    answer_json(r, &j);
}

static void tag_members(struct jw *j, const struct listed *o, const struct facts *f) {
    char when[OLLAMA_TIME];
    jw_str(j, "modified_at", ollama_time(when, f->changed));
    jw_integer(j, "size", (int64_t)f->bytes);
    jw_str(j, "digest", f->digest);
    details(j, f, o->base);
    capabilities(j, f, false); /* whether it fills gaps would take its whole vocabulary to be read: show tells */
}

void ollama_tags(struct service *s, struct http_request *r) { reply_list(s, r, false, tag_members); }

static void ps_members(struct jw *j, const struct listed *o, const struct facts *f) {
    jw_integer(j, "size", (int64_t)o->bytes);
    jw_str(j, "digest", f->digest);
    details(j, f, o->base);
    const double left = o->expiry - os_now();
    char when[OLLAMA_TIME] = "9999-12-31T23:59:59Z";
    if (left < 1e9) (void)ollama_time(when, os_wall_seconds() + (int64_t)(left > 0 ? left : 0));
    jw_str(j, "expires_at", when);
    jw_integer(j, "size_vram", 0);
    jw_integer(j, "context_length", o->context ? o->context : (int64_t)f->context);
}

void ollama_ps(struct service *s, struct http_request *r) { reply_list(s, r, true, ps_members); }

/* ---- one model ---- */

/* Reads a body that names a model: "model", or "name" as older clients have it. The caller decrefs *body. */
static int read_name(struct models *m, struct http_request *r, json_t **body, struct slice *name, struct err *e) {
    int code = body_parse(body, http_body(r), e);
    if (code) return code;
    const struct body_at at = body_top(*body);
    code = body_text(&at, "name", name, e);
    if (code == 0) code = body_text(&at, "model", name, e);
    if (code == 0 && !name->n) return body_error(&at, "model", e, "missing");
    if (code == 0) *name = ollama_model(m, *name);
    return code;
}

static void number(struct jw *j, const char *key, const struct gguf_kv *kv, uint64_t i) {
    if (kv->element == GGUF_BOOL) jw_bool(j, key, gguf_array_i64(kv, i) != 0);
    else if (gguf_is_float(kv->element)) jw_number(j, key, gguf_array_f64(kv, i));
    else jw_integer(j, key, gguf_array_i64(kv, i));
}

static void value(struct jw *j, const char *key, const struct gguf_kv *kv, bool all) {
    if (kv->type != GGUF_ARRAY) {
        if (kv->type == GGUF_STRING) jw_text(j, key, kv->strings[0]);
        else number(j, key, kv, 0);
        return;
    }
    if ((kv->count > SHOWN_ELEMENTS && !all) || kv->element == GGUF_ARRAY) {
        jw_null(j, key);
        return;
    }
    jw_open(j, key, '[');
    for (uint64_t i = 0; i < kv->count && !j->failed; i++) {
        if (kv->element == GGUF_STRING) jw_text(j, NULL, kv->strings[i]);
        else number(j, NULL, kv, i);
    }
    jw_close(j, ']');
}

static void model_info(struct jw *j, const struct gguf *g, const struct facts *f, const char *name, bool all) {
    jw_open(j, "model_info", '{');
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        char key[256];
        if (slice_is(kv->key, "tokenizer.chat_template")) continue; /* that is the member `template` */
        (void)snprintf(key, sizeof key, "%.*s", (int)(kv->key.n < 255 ? kv->key.n : 255), kv->key.p);
        value(j, key, kv, all);
    }
    if (!gguf_find(g, "general.basename")) jw_str(j, "general.basename", name); /* editors show it */
    jw_integer(j, "general.parameter_count", (int64_t)f->parameters);
    jw_close(j, '}');
}

/* What a request gets that says nothing, one setting a line. */
static void parameters(struct jw *j, int context) {
    const struct sampler_options o = sampler_defaults();
    char text[400];
    int n = context ? snprintf(text, sizeof text, "%-30s %d\n", "num_ctx", context) : 0;
    (void)snprintf(text + n, sizeof text - (size_t)n, "%-30s %g\n%-30s %d\n%-30s %g\n%-30s %g", "temperature", (double)o.temperature, "top_k", o.top_k, "top_p", (double)o.top_p, "min_p", (double)o.min_p);
    jw_str(j, "parameters", text);
}

static void context_of(void *ctx, struct served *s) { *(int *)ctx = context_now(s); }

static bool fills_gaps(const struct gguf *g) {
    struct tokenizer *t = NULL;
    const bool known = vocab_open(&t, g, (struct slice){0}, NULL) == 0 && fim_known(t);
    tokenizer_free(t);
    return known;
}

static void show(struct jw *j, const struct gguf *g, const struct facts *f, const char *name, int context, bool all) {
    struct slice license = {0}, source = {"", 0};
    struct buf file = {.limit = 1 << 16};
    char when[OLLAMA_TIME];
    (void)gguf_get_str(g, "general.license", &license, NULL);
    (void)gguf_get_str(g, "tokenizer.chat_template", &source, NULL);
    if (!buf_printf(&file, "FROM %s.gguf\n", name)) j->failed = true;
    jw_open(j, NULL, '{');
    if (license.p) jw_text(j, "license", license);
    jw_text(j, "modelfile", (struct slice){file.data ? file.data : "", file.len});
    parameters(j, context);
    jw_text(j, "template", source);
    details(j, f, NULL);
    model_info(j, g, f, name, all);
    capabilities(j, f, fills_gaps(g));
    jw_str(j, "modified_at", ollama_time(when, f->changed));
    jw_close(j, '}');
    buf_free(&file);
}

void ollama_show(struct service *s, struct http_request *r) {
    struct models *m = service_models(s);
    struct arena a = {.limit = 1 << 20};
    struct jw j = {.b = {.limit = 256 << 20}};
    struct err e = {0};
    struct slice name = {0};
    struct gguf *g = NULL;
    struct facts f = {0};
    json_t *body = NULL;
    const char *own = NULL;
    bool verbose = false;
    int context = 0, code = read_name(m, r, &body, &name, &e);
    const struct body_at at = body_top(body);
    if (code == 0) code = body_bool(&at, "verbose", &verbose, &e);
    if (code == 0) code = facts_open(m, name, &a, &g, &own, &e);
    if (code == 0) code = facts_of(m, name, &f, &e);
    if (code == 0) code = models_with(m, name, context_of, &context, &e);
    if (code == 0) show(&j, g, &f, own, context, verbose);
    if (code) (void)http_error(r, status_of(code), 0, "%s", e.msg);
    else answer_json(r, &j);
    gguf_close(g);
    json_decref(body);
    arena_free(&a);
}

/* Some clients ask for a model to be fetched each time before they use it: one that is here has been. */
void ollama_pull(struct service *s, struct http_request *r) {
    struct err e = {0};
    struct slice name = {0};
    struct facts f;
    json_t *body = NULL;
    char shown[100];
    int code = read_name(service_models(s), r, &body, &name, &e);
    if (code == 0 && (code = facts_of(service_models(s), name, &f, &e)) == ERR_NOT_FOUND)
        (void)http_error(r, 501, 0, "\"%s\" is not here, and this server fetches no models: put the GGUF file into the folder that --models-dir names, or name it when the server is started", err_quote(shown, sizeof shown, name.p, name.n));
    else if (code) (void)http_error(r, status_of(code), 0, "%s", e.msg);
    else (void)http_reply(r, &(struct http_reply){.status = 200, .type = "application/x-ndjson", .body = SLICE("{\"status\": \"success\"}\n")});
    json_decref(body);
}
