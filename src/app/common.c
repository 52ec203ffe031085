/* common.c: what commands share; see common.h. */
#include "app/common.h"

#include <stddef.h>

#include "base/os.h"

const struct flag FLAGS_MODEL[] = {
    {"-m", "--model", FLAG_STRING, offsetof(struct model_options, model), "FILE", "the model, a GGUF file (default: the embedded demonstration model)", 0, 0},
    {"-c", "--ctx-size", FLAG_INT, offsetof(struct model_options, n_ctx), "N", "tokens of context (default: what the model was made for)", 1, 1 << 24},
    {"-t", "--threads", FLAG_INT, offsetof(struct model_options, threads), "N", "threads (default: one per processor)", 1, 1024},
    {"-b", "--batch-size", FLAG_INT, offsetof(struct model_options, batch), "N", "most tokens of a prompt given to the engine at once (default 2048)", 1, 1 << 20},
    {"-ub", "--ubatch-size", FLAG_INT, offsetof(struct model_options, ubatch), "N", "most tokens of a step (default 512)", 1, 1 << 16},
    {"--kv-type", "-ctk", FLAG_STRING, offsetof(struct model_options, kv_type), "TYPE", "keys and values as f32, f16, bf16 or q8_0 (default f16)", 0, 0},
    {"--paged", NULL, FLAG_BOOL, offsetof(struct model_options, paged), NULL, "run a model larger than memory, reading weights from disk as needed", 0, 0},
    {"--memory-limit", NULL, FLAG_U64, offsetof(struct model_options, memory_limit), "BYTES", "memory that may be taken (default: what the system has)", 0, 0},
    {0},
};

int open_model(struct model **m, const struct model_options *o, struct err *e) {
    if (!o->model) return err_set(e, ERR_USAGE, "no model was given");
    return model_open(m, o->model, e);
}

int session_open(struct session *s, const struct model_options *o, const char *default_kv, int max_logits, struct err *e) {
    *s = (struct session){0};
    const char *kv_name = o->kv_type ? o->kv_type : default_kv;
    int kv = dtype_by_name(kv_name);
    if (kv < 0) return err_set(e, ERR_USAGE, "--kv-type %.32s: use f32, f16, bf16 or q8_0", kv_name);
    int rows = o->ubatch ? o->ubatch : 512;
    if (o->batch && o->batch < rows) rows = o->batch;
    struct engine_options eo = {.n_ctx = o->n_ctx, .max_rows = rows, .max_logits = max_logits, .kv_type = (enum dtype)kv, .memory_limit = o->memory_limit, .paged = o->paged};
    int code = open_model(&s->model, o, e);
    if (code == 0) code = pool_new(&s->pool, o->threads ? o->threads : os_cpu_count(), e);
    if (code == 0) code = engine_new(&s->engine, s->model, s->pool, eo, e);
    if (code) session_close(s);
    return code;
}

void session_close(struct session *s) {
    engine_free(s->engine);
    pool_free(s->pool);
    model_close(s->model);
    *s = (struct session){0};
}
