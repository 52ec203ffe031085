/* cmd_inspect.c: hearth inspect: what a file is, and what running it takes. Works on any GGUF file; what cannot be run here says why. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "app/json.h"
#include "base/os.h"
#include "engine/vocab.h"

struct options {
    struct model_options model;
    bool json, tensors, keys;
};

static const struct flag flags[] = {
    {"--json", NULL, FLAG_BOOL, offsetof(struct options, json), NULL, "one JSON object", 0, 0},
    {"--tensors", NULL, FLAG_BOOL, offsetof(struct options, tensors), NULL, "list the tensors too", 0, 0},
    {"--keys", NULL, FLAG_BOOL, offsetof(struct options, keys), NULL, "list the metadata too", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_MODEL, NULL};

/* Facts go out as text or as JSON, by the same calls. In text a section is a heading, in JSON an object. */
struct out {
    bool json;
    struct jw j;
    struct buf text;
};

static void line(struct out *o, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void line(struct out *o, const char *name, const char *fmt, ...) {
    char value[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    if (!o->json) o->j.failed |= !buf_printf(&o->text, "  %-24s %s\n", name, value);
}

static void section(struct out *o, const char *name) {
    if (o->json) jw_open(&o->j, name, '{');
    else o->j.failed |= !buf_printf(&o->text, "%s%s\n", o->text.len ? "\n" : "", name);
}
static void section_end(struct out *o) {
    if (o->json) jw_close(&o->j, '}');
}

static void text_fact(struct out *o, const char *name, struct slice v) {
    char shown[200];
    if (o->json) jw_text(&o->j, name, v);
    else line(o, name, "%s", err_quote(shown, sizeof shown, v.p, v.n));
}
static void number(struct out *o, const char *name, uint64_t v) {
    if (o->json) jw_integer(&o->j, name, (int64_t)v);
    else line(o, name, "%llu", (unsigned long long)v);
}
static void bytes(struct out *o, const char *name, uint64_t v) {
    if (o->json) jw_integer(&o->j, name, (int64_t)v);
    else if (v < 1000000) line(o, name, "%.1f kB", (double)v / 1e3);
    else if (v < 1000000000) line(o, name, "%.1f MB", (double)v / 1e6);
    else line(o, name, "%.2f GB", (double)v / 1e9);
}
static void truth(struct out *o, const char *name, bool v) {
    if (o->json) jw_bool(&o->j, name, v);
    else line(o, name, "%s", v ? "yes" : "no");
}

/* ---- the file ---- */

static void file_section(struct out *o, const struct gguf *g) {
    static const char *const keys[] = {"general.architecture", "general.name", "general.size_label", "general.license"};
    uint64_t parameters = 0;
    section(o, "file");
    text_fact(o, "path", slice_of(gguf_path(g)));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct slice v = {0};
        if (gguf_get_str(g, keys[i], &v, NULL) == 0 && v.p) text_fact(o, keys[i] + strlen("general."), v);
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) parameters += (uint64_t)tensor_elements(gguf_tensor_at(g, i));
    number(o, "gguf_version", gguf_version(g));
    number(o, "parts", (uint64_t)gguf_part_count(g));
    bytes(o, "size", gguf_file_size(g));
    number(o, "tensors", gguf_tensor_count(g));
    number(o, "parameters", parameters);
    section_end(o);
}

static void types_section(struct out *o, const struct gguf *g) {
    section(o, "types");
    for (unsigned type = 0; type < DT_LIMIT; type++) {
        uint64_t count = 0, elements = 0, size = 0;
        for (size_t i = 0; i < gguf_tensor_count(g); i++) {
            const struct tensor *t = gguf_tensor_at(g, i);
            if ((unsigned)t->type != type) continue;
            count++;
            elements += (uint64_t)tensor_elements(t);
            size += t->size;
        }
        if (count == 0) continue;
        const char *name = dtype_info(type)->name;
        line(o, name, "%5llu tensors %15llu parameters %15llu bytes", (unsigned long long)count, (unsigned long long)elements, (unsigned long long)size);
        if (!o->json) continue;
        section(o, name);
        number(o, "tensors", count);
        number(o, "parameters", elements);
        number(o, "bytes", size);
        section_end(o);
    }
    section_end(o);
}

static void tensors_section(struct out *o, const struct gguf *g) {
    if (o->json) jw_open(&o->j, "tensor_list", '[');
    else section(o, "tensor list");
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        char shape[100];
        int at = 0;
        for (int d = 0; d < t->n_dims; d++) at += snprintf(shape + at, sizeof shape - (size_t)at, d ? " x %lld" : "%lld", (long long)t->ne[d]);
        line(o, dtype_info(t->type)->name, "%-40s %s", t->name, shape);
        if (!o->json) continue;
        jw_open(&o->j, NULL, '{');
        jw_str(&o->j, "name", t->name);
        jw_str(&o->j, "type", dtype_info(t->type)->name);
        jw_open(&o->j, "shape", '[');
        for (int d = 0; d < t->n_dims; d++) jw_integer(&o->j, NULL, t->ne[d]);
        jw_close(&o->j, ']');
        jw_integer(&o->j, "bytes", (int64_t)t->size);
        jw_close(&o->j, '}');
    }
    if (o->json) jw_close(&o->j, ']');
}

/* A value in few words: long arrays and strings only begin. */
static void key_value(struct out *o, const struct gguf_kv *kv) {
    char name[256], value[200];
    size_t shown = kv->count < 8 ? (size_t)kv->count : 8;
    int at = 0;
    (void)snprintf(name, sizeof name, "%.*s", (int)(kv->key.n < 200 ? kv->key.n : 200), kv->key.p);
    if (kv->type == GGUF_STRING) {
        text_fact(o, name, kv->strings[0]);
        return;
    }
    if (kv->type == GGUF_ARRAY) at += snprintf(value, sizeof value, "%s[%llu]", gguf_type_name(kv->element), (unsigned long long)kv->count);
    for (size_t i = 0; i < shown && kv->element != GGUF_STRING && kv->element != GGUF_ARRAY && at < 150; i++) {
        if (gguf_is_float(kv->element)) at += snprintf(value + at, sizeof value - (size_t)at, at ? " %g" : "%g", gguf_array_f64(kv, i));
        else if (kv->element == GGUF_BOOL) at += snprintf(value + at, sizeof value - (size_t)at, at ? " %s" : "%s", gguf_array_i64(kv, i) ? "true" : "false");
        else at += snprintf(value + at, sizeof value - (size_t)at, at ? " %lld" : "%lld", (long long)gguf_array_i64(kv, i));
    }
    if (shown < kv->count && kv->type == GGUF_ARRAY && kv->element != GGUF_STRING) (void)snprintf(value + at, sizeof value - (size_t)at, " ...");
    text_fact(o, name, slice_of(value));
}

static void keys_section(struct out *o, const struct gguf *g) {
    section(o, "keys");
    for (size_t i = 0; i < gguf_kv_count(g); i++) key_value(o, gguf_kv_at(g, i));
    section_end(o);
}

/* ---- the tokenizer ---- */

static void tokenizer_facts(struct out *o, const struct tokenizer *t) {
    static const struct {
        const char *name;
        enum token_role role;
    } roles[] = {{"bos", ROLE_BOS}, {"eos", ROLE_EOS}, {"eot", ROLE_EOT}, {"eom", ROLE_EOM}, {"unknown", ROLE_UNK}, {"separator", ROLE_SEP}, {"padding", ROLE_PAD}};
    text_fact(o, "kind", slice_of(tokenizer_kind(t)));
    if (tokenizer_pre(t).n) text_fact(o, "pre", tokenizer_pre(t));
    number(o, "tokens", tokenizer_count(t));
    truth(o, "adds_bos", tokenizer_adds_bos(t));
    truth(o, "adds_eos", tokenizer_adds_eos(t));
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        int32_t id = tokenizer_role(t, roles[i].role);
        if (id == TOKEN_NONE) continue;
        struct slice text = tokenizer_text(t, id);
        char shown[64];
        line(o, roles[i].name, "%d %s", id, err_quote(shown, sizeof shown, text.p, text.n));
        if (!o->json) continue;
        section(o, roles[i].name);
        number(o, "id", (uint64_t)id);
        jw_text(&o->j, "text", text);
        section_end(o);
    }
}

static void tokenizer_section(struct out *o, const struct gguf *g) {
    struct tokenizer *t;
    struct err e = {0};
    struct slice template = {0};
    if (!gguf_find(g, "tokenizer.ggml.model")) return;
    section(o, "tokenizer");
    if (vocab_open(&t, g, (struct slice){0}, &e) == 0) tokenizer_facts(o, t);
    else text_fact(o, "error", slice_of(e.msg));
    tokenizer_free(t);
    if (vocab_chat_template(g, NULL, &template, &e)) text_fact(o, "chat_template_error", slice_of(e.msg));
    else if (template.p) bytes(o, "chat_template", template.n);
    else truth(o, "chat_template", false);
    section_end(o);
}

/* ---- the model ---- */

static void model_facts(struct out *o, const struct model *m) {
    const struct hparams *h = &m->hp;
    const struct layer_hparams *l = &h->layer[0];
    uint32_t windows = 0, recurrent = 0;
    for (uint32_t i = 0; i < h->n_layer; i++) {
        windows += h->layer[i].window;
        recurrent += h->layer[i].recurrent;
        if (!l->n_head) l = &h->layer[i]; /* the first with attention speaks for all */
    }
    number(o, "context", h->n_ctx_train);
    number(o, "layers", h->n_layer);
    number(o, "width", h->n_embd);
    number(o, "vocabulary", h->n_vocab);
    if (l->n_head) {
        number(o, "heads", l->n_head);
        number(o, "kv_heads", l->n_head_kv);
        number(o, "key_size", h->head_k);
        number(o, "value_size", h->head_v);
    }
    number(o, "feed_forward", l->n_ff);
    if (h->n_expert) {
        number(o, "experts", h->n_expert);
        number(o, "experts_used", h->n_expert_used);
    }
    if (windows) {
        number(o, "window_layers", windows);
        number(o, "window", h->window);
    }
    if (recurrent) number(o, "recurrent_layers", recurrent);
}

static void engine_facts(struct out *o, const struct engine *en) {
    struct memory_need need = engine_memory(en);
    int n = engine_context(en);
    struct cost first = graph_cost(engine_graph(en), 1, 1, 0), last = graph_cost(engine_graph(en), 1, 1, n - 1);
    section(o, "memory");
    number(o, "at_context", (uint64_t)n);
    bytes(o, "weights", need.weights);
    bytes(o, "keys_values_state", need.sequence);
    bytes(o, "buffers", need.buffers);
    bytes(o, "all", need.weights + need.sequence + need.buffers);
    bytes(o, "this_machine_has", os_memory_total());
    section_end(o);
    section(o, "one_token");
    bytes(o, "reads_weights", (uint64_t)first.weight_bytes);
    bytes(o, "reads_kv_at_the_end", (uint64_t)last.kv_bytes);
    number(o, "operations", (uint64_t)cost_ops(&first));
    section_end(o);
}

/* Memory and arithmetic at the context that was asked for, whatever this machine has: nothing is run. */
static int plan(struct out *o, const struct options *opt, const struct model *m, struct err *e) {
    int n_ctx = opt->model.n_ctx == CONTEXT_OWN ? 0 : opt->model.n_ctx;
    enum dtype kv;
    int code = kv_type_of(&opt->model, "f16", &kv, e);
    if (code) return code;
    struct engine_options eo = {.n_ctx = n_ctx, .max_rows = opt->model.ubatch, .max_logits = 1, .kv_type = kv, .paged = true, .memory_limit = UINT64_MAX >> 1};
    struct pool *pool = NULL;
    struct engine *en = NULL;
    code = pool_new(&pool, 1, e);
    if (code == 0) code = engine_new(&en, m, pool, eo, e);
    if (code == 0) engine_facts(o, en);
    engine_free(en);
    pool_free(pool);
    return code;
}

/* A wrong flag is an error; a model that cannot be run is a fact. */
static int model_section(struct out *o, const struct options *opt, const struct gguf *g, struct err *e) {
    struct model *m = NULL;
    struct err why = {0};
    int code = 0;
    if (gguf_tensor_count(g) == 0) code = err_set(&why, ERR_UNSUPPORTED, "the file holds no tensors");
    section(o, "model");
    if (code == 0 && (code = open_model(&m, &opt->model, &why)) == 0) model_facts(o, m);
    section_end(o);
    if (code == 0) code = plan(o, opt, m, &why);
    model_close(m);
    if (o->json) jw_bool(&o->j, "runs", code == 0);
    if (code && o->json) jw_str(&o->j, "why_not", why.msg);
    else if (code) line(o, "cannot be run", "%s", why.msg);
    return code == ERR_USAGE || code == ERR_CONTEXT || code == ERR_MEMORY ? err_set(e, code, "%s", why.msg) : 0;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[1];
    int n_words;
    if (args_help(argc, argv, &cmd_inspect, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.model.model = words[0];
    struct gguf *g;
    if ((code = open_file(&g, &o.model, e))) return code;
    struct out out = {.json = o.json};
    if (o.json) jw_open(&out.j, NULL, '{');
    file_section(&out, g);
    types_section(&out, g);
    tokenizer_section(&out, g);
    code = model_section(&out, &o, g, e);
    if (o.keys) keys_section(&out, g);
    if (o.tensors) tensors_section(&out, g);
    if (o.json) jw_close(&out.j, '}');
    if (code == 0 && o.json) code = jw_print(&out.j, e);
    else if (code == 0) code = out.j.failed ? err_nomem(e, "the report", out.text.len) : out_write((struct slice){out.text.data, out.text.len}, e);
    if (code == 0) code = out_flush(e);
    buf_free(&out.j.b);
    buf_free(&out.text);
    gguf_close(g);
    return code;
}

const struct command cmd_inspect = {"inspect", "[MODEL]", "what a file is, and the memory it needs", run, false};
