/* own_machine.c: GET /api/machine and GET /metrics: what the process, its models and their caches occupy; see own.h. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "serve/own.h"
#include "store/blocks.h"

struct survey {
    struct jw *j;              /* a member for each model; NULL: none are wanted */
    struct metrics *metrics;   /* NULL: likewise */
    uint64_t cache, cache_limit;
};

static void model_metric(struct metrics *m, const char *kind, const char *name, uint64_t bytes) {
    char labels[METRIC_VALUE_BYTES];
    (void)snprintf(labels, sizeof labels, "%s\t%s", kind, name);
    metric_set(m, METRIC_MODEL_BYTES, labels, (double)bytes);
}

/* A model cannot be closed meanwhile: the list is locked. */
static void survey_model(void *ctx, const struct served *s) {
    static const char *const states[] = {[SERVED_CLOSED] = "not loaded", [SERVED_OPENING] = "loading", [SERVED_OPEN] = "ready", [SERVED_CLOSING] = "closing"};
    struct survey *v = ctx;
    const bool open = s->life.state == SERVED_OPEN;
    const struct engine_use use = open && s->engine ? engine_use(s->engine) : (struct engine_use){0}; /* one that only reads has no engine */
    v->cache += use.cache;
    v->cache_limit += use.cache_limit;
    if (v->j) {
        jw_open(v->j, NULL, '{');
        jw_str(v->j, "name", s->name);
        jw_str(v->j, "state", states[s->life.state]);
        jw_integer(v->j, "bytes_weights", (int64_t)s->weights);
        jw_integer(v->j, "bytes_kv", (int64_t)use.kv);
        jw_integer(v->j, "context", !open ? 0 : s->engine ? (int64_t)engine_context(s->engine) : (int64_t)s->model->hp.n_ctx_train);
        jw_close(v->j, '}');
    }
    model_metric(v->metrics, "weights", s->name, s->weights);
    model_metric(v->metrics, "buffers", s->name, s->buffers);
    model_metric(v->metrics, "kv", s->name, use.kv);
    metric_set(v->metrics, METRIC_CACHE_BYTES, s->name, (double)use.cache);
    metric_set(v->metrics, METRIC_CACHE_LIMIT_BYTES, s->name, (double)use.cache_limit);
}

/* Those that are open. */
static void show_adapter(void *ctx, const struct adapter_view *a) {
    struct jw *j = ctx;
    if (!a->open) return;
    jw_open(j, NULL, '{');
    jw_str(j, "name", a->name);
    jw_str(j, "model", a->open->model->name);
    jw_integer(j, "bytes", (int64_t)a->open->bytes);
    jw_close(j, '}');
}

void own_machine(struct service *s, struct http_request *r) {
    struct jw j = {.b = {.limit = 64 << 20}};
    struct survey v = {.j = &j};
    uint64_t disk_limit;
    const struct blocks_counts disk = service_disk(s, &disk_limit);
    jw_open(&j, NULL, '{');
    jw_str(&j, "version", HEARTH_VERSION);
    jw_integer(&j, "uptime_s", (int64_t)books_uptime(service_books(s)));
    jw_open(&j, "memory", '{');
    jw_integer(&j, "total", (int64_t)os_memory_total());
    jw_integer(&j, "available", (int64_t)os_memory_available());
    jw_integer(&j, "hearth", (int64_t)os_memory_resident());
    jw_close(&j, '}');
    jw_open(&j, "models", '[');
    models_each(service_models(s), survey_model, &v);
    jw_close(&j, ']');
    jw_open(&j, "cache", '{');
    jw_integer(&j, "ram_bytes", (int64_t)v.cache);
    jw_integer(&j, "ram_limit", (int64_t)v.cache_limit);
    jw_integer(&j, "disk_bytes", (int64_t)disk.bytes);
    jw_integer(&j, "disk_limit", (int64_t)disk_limit);
    jw_close(&j, '}');
    jw_open(&j, "adapters", '[');
    models_each_adapter(service_models(s), show_adapter, &j);
    jw_close(&j, ']');
    jw_close(&j, '}');
    answer_json(r, &j);
}

void own_metrics(struct service *s, struct http_request *r) {
    struct metrics *m = books_metrics(service_books(s));
    struct survey v = {.metrics = m};
    const struct scheduler_counts counts = scheduler_counts(service_scheduler(s));
    uint64_t disk_limit;
    const struct blocks_counts disk = service_disk(s, &disk_limit);
    struct buf b = {.limit = 64 << 20};
    static const enum metric by_model[] = {METRIC_MODEL_BYTES, METRIC_CACHE_BYTES, METRIC_CACHE_LIMIT_BYTES};
    for (size_t i = 0; i < sizeof by_model / sizeof *by_model; i++) metric_clear(m, by_model[i]); /* of models that are not there any more */
    models_each(service_models(s), survey_model, &v);
    metric_set(m, METRIC_DISK_BYTES, NULL, (double)disk.bytes);
    metric_set(m, METRIC_DISK_LIMIT_BYTES, NULL, (double)disk_limit);
    metric_set(m, METRIC_DISK_BLOCKS, "read", (double)disk.read);
    metric_set(m, METRIC_DISK_BLOCKS, "written", (double)disk.written);
    metric_set(m, METRIC_DISK_BLOCKS, "damaged", (double)disk.damaged);
    metric_set(m, METRIC_DISK_BLOCKS, "failed", (double)disk.failed);
    metric_set(m, METRIC_JOBS_WAITING, NULL, counts.waiting);
    metric_set(m, METRIC_JOBS_LIVE, NULL, counts.live);
    metric_set(m, METRIC_MEMORY_BYTES, NULL, (double)os_memory_resident());
    metric_set(m, METRIC_UPTIME_SECONDS, NULL, books_uptime(service_books(s)));
    if (metrics_print(m, &b)) (void)http_reply(r, &(struct http_reply){.status = 200, .type = METRICS_TYPE, .body = {b.data ? b.data : "", b.len}});
    else (void)http_error(r, 503, 1, "out of memory for the metrics");
    buf_free(&b);
}
