/* common.c: what commands share; see common.h. */
#include "app/common.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cpus.h"
#include "base/os.h"
#include "engine/vocab.h"
#include "model/embedded.h"

volatile sig_atomic_t interrupted, conversing;

const struct flag FLAGS_MODEL[] = {
    {"-m", "--model", FLAG_STRING, offsetof(struct model_options, model), "FILE", "the model, a GGUF file (default: the embedded demonstration model)", 0, 0},
    {"-c", "--ctx-size", FLAG_CONTEXT, offsetof(struct model_options, n_ctx), "N",
     "tokens of context; 0: what the model was made for (the default; of embed 8192 at most, of perplexity 512, of logits one for each id, of bench what it measures)", 0, 1 << 24},
    {"-t", "--threads", FLAG_INT, offsetof(struct model_options, threads), "N", "threads (default: one per physical core)", 1, 1024},
    {"--cpus", "--cpu-range", FLAG_STRING, offsetof(struct model_options, cpus), "LIST", "processors that threads run on, such as 0-3,8, or none (default: physical cores)", 0, 0},
    {"-b", "--batch-size", FLAG_INT, offsetof(struct model_options, batch), "N", "most tokens of a prompt given to the engine at once (default 2048)", 1, 1 << 20},
    {"-ub", "--ubatch-size", FLAG_INT, offsetof(struct model_options, ubatch), "N", "most tokens of a step (default 512)", 1, 1 << 16},
    {"--kv-type", "-ctk", FLAG_STRING, offsetof(struct model_options, kv_type), "TYPE", "keys and values as f32, f16, bf16 or q8_0 (default f16; of logits and embed f32)", 0, 0},
    {"-ctv", "--cache-type-v", FLAG_STRING, offsetof(struct model_options, v_type), "TYPE", "values alone; must be the type of --kv-type", 0, 0},
    {"--paged", NULL, FLAG_BOOL, offsetof(struct model_options, paged), NULL, "run a model larger than memory, reading weights from disk as needed", 0, 0},
    {"--memory-limit", NULL, FLAG_BYTES, offsetof(struct model_options, memory_limit), "BYTES",
     "memory that may be taken, such as 6G or 6Gi (default: what the system has)", 0, 0},
    {0},
};

int open_file(struct gguf **g, const struct model_options *o, struct err *e) {
    static bool said; /* once is enough */
    if (o->model) return gguf_open(g, o->model, e);
    if (!said) (void)fprintf(stderr, "hearth: this is Ember, a small demonstration model inside the program; for a real one, name a GGUF file: -m FILE.gguf\n");
    said = true;
    return gguf_open_memory(g, hearth_embedded_model, embedded_model_size(), "the embedded model", e);
}

int open_model(struct model **m, const struct model_options *o, struct err *e) {
    struct gguf *file;
    *m = NULL;
    int code = open_file(&file, o, e);
    return code ? code : model_open_file(m, file, e);
}

int default_context(struct model_options *o, int n, struct err *e) {
    struct model *m;
    int code = open_model(&m, o, e);
    if (code) return code;
    o->n_ctx = (uint32_t)n > m->hp.n_ctx_train ? (int)m->hp.n_ctx_train : n;
    model_close(m);
    return 0;
}

int kv_type_of(const struct model_options *o, const char *otherwise, enum dtype *type, struct err *e) {
    const char *name = o->kv_type ? o->kv_type : otherwise;
    int kv = dtype_by_name(name), v = o->v_type ? dtype_by_name(o->v_type) : kv;
    if (kv < 0) return err_set(e, ERR_USAGE, "--kv-type %.32s: use f32, f16, bf16 or q8_0", name);
    if (v != kv) return err_set(e, ERR_USAGE, "-ctv %.32s: keys and values are kept as one type, here %.32s; --kv-type sets it for both", o->v_type, name);
    *type = (enum dtype)kv;
    return 0;
}

int session_open(struct session *s, const struct model_options *o, const char *default_kv, int max_logits, struct err *e) {
    *s = (struct session){0};
    double start = os_now();
    enum dtype kv;
    int code = kv_type_of(o, default_kv, &kv, e);
    if (code) return code;
    int rows = o->ubatch ? o->ubatch : 512;
    if (o->batch && o->batch < rows) rows = o->batch;
    int n_ctx = o->n_ctx == CONTEXT_OWN ? 0 : o->n_ctx;
    struct engine_options eo = {.n_ctx = n_ctx, .max_rows = rows, .max_logits = max_logits, .kv_type = kv, .memory_limit = o->memory_limit, .paged = o->paged};
    code = open_model(&s->model, o, e);
    if (code == 0) code = open_pool(&s->pool, o->threads, o->cpus, e);
    if (code == 0) code = engine_new(&s->engine, s->model, s->pool, eo, e);
    if (code) session_close(s);
    s->load_s = os_now() - start;
    return code;
}

int session_tokenizer(struct session *s, struct err *e) {
    int code = vocab_of_model(&s->tok, s->model, e);
    if (code == 0 && tokenizer_count(s->tok) == 0)
        return err_set(e, ERR_UNSUPPORTED, "%s has no tokenizer: it can only be run on ids, with hearth logits", gguf_path(s->model->file));
    return code;
}

int session_draft(struct session *s, const struct model_options *o, const char *path, const char *default_kv, struct err *e) {
    double start = os_now();
    struct tokenizer *tok = NULL;
    struct model_options named = {.model = path};
    int code = open_model(&s->draft_model, &named, e);
    if (code == 0) code = vocab_of_model(&tok, s->draft_model, e);
    if (code == 0 && (code = vocab_same(s->tok, tok, e))) (void)err_in(e, "--draft %s", path);
    tokenizer_free(tok);
    if (code) return code;
    int n_ctx = engine_context(s->engine), most = (int)s->draft_model->hp.n_ctx_train;
    struct engine_options eo = {.n_ctx = n_ctx < most ? n_ctx : most, .max_rows = engine_rows(s->engine), .max_logits = 1, .paged = o->paged,
                                .kv_type = (enum dtype)dtype_by_name(o->kv_type ? o->kv_type : default_kv)};
    code = engine_new(&s->draft, s->draft_model, s->pool, eo, e);
    s->load_s += os_now() - start;
    return code;
}

void session_close(struct session *s) {
    engine_free(s->draft);
    model_close(s->draft_model);
    engine_free(s->engine);
    adapter_close(s->adapter);
    pool_free(s->pool);
    tokenizer_free(s->tok);
    model_close(s->model);
    *s = (struct session){0};
}

int parse_ids(struct slice text, const char *name, struct tokens *ids, struct err *e) {
    static const char blank[] = " \t\r\n,";
    int code = 0;
    for (const char *p = text.p + strspn(text.p, blank); code == 0 && p < text.p + text.n; p += strspn(p, blank)) {
        char *end, shown[40];
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || errno || v < INT32_MIN || v > INT32_MAX || (end < text.p + text.n && (!*end || !strchr(blank, *end))))
            return err_set(e, ERR_TEXT, "%s: byte %zu: \"%s\" is not a token id", name, (size_t)(p - text.p), err_quote(shown, sizeof shown, p, strcspn(p, blank)));
        code = tokens_add(ids, (int32_t)v, e);
        p = end;
    }
    return code;
}

int read_input(const char *path, size_t limit, struct buf *b, struct err *e) { return os_read_until(path, limit, &interrupted, b, e); }

/* Not the C library's, which forgets what is in its buffer when a signal (Ctrl-C) interrupts a terminal that is slow to take it. */
static struct os_out *standard_output;

int out_flush(struct err *e) { return standard_output ? os_out_flush(standard_output, e) : 0; }

static void flush_at_end(void) { (void)out_flush(NULL); }

int out_write(struct slice text, struct err *e) {
    if (!standard_output) {
        int code = os_out_open(&standard_output, "-", e);
        if (code) return code;
        (void)atexit(flush_at_end); /* what is left is written at the end, as the C library does */
    }
    return os_out_write(standard_output, text.p, text.n, e);
}

void progress(const char *fmt, ...) {
    static double shown; /* when, so that a terminal is not flooded */
    double now = os_now();
    if (now - shown < 0.2 || !os_is_terminal(STDERR_FILENO)) return;
    shown = now;
    char text[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "\r%s\033[K", text);
}

void progress_clear(void) {
    if (os_is_terminal(STDERR_FILENO)) (void)fprintf(stderr, "\r\033[K");
}

int check_interrupt(struct err *e) { return interrupted ? err_set(e, ERR_CANCELLED, "stopped") : 0; }
