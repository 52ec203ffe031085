/* cmd_serve.c: hearth serve: the models of this machine behind the APIs that clients speak. Signals are taken by a thread of their own: SIGTERM and
 * SIGINT end the server in order (once more: at once), SIGHUP reads the keys and the folders of models and adapters anew. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "base/log.h"
#include "base/os.h"
#include "serve/alias.h"
#include "serve/anthropic.h"
#include "serve/config.h"
#include "serve/disk_cache.h"
#include "serve/ollama.h"
#include "serve/openai.h"
#include "serve/own.h"
#include "serve/systemd.h"
#include "store/place.h"
#include "store/price.h"

enum { MODELS_MAX = 64 };

struct options {
    const char *config, *port, *host, *key_file, *ctx, *parallel, *threads, *models_dir, *keep_alive, *memory, *kv_type, *cache_ram, *ledger, *responses, *normalise, *cache_disk, *cache_dir, *cache_key;
    struct string_list key, origin, adapters_dir, alias, capture;
    bool verbose;
};

#define TEXT(name, field, value, help) {name, NULL, FLAG_STRING, offsetof(struct options, field), value, help, 0, 0}
static const struct flag flags[] = {
    TEXT("--config", config, "FILE", "an INI file with the names of these flags; flags win"),
    TEXT("--host", host, "ADDRESS", "where to listen: an address, a name, unix:PATH (default 127.0.0.1); beyond this machine only with a key"),
    TEXT("--port", port, "N", "port (default 11435)"),
    {"--api-key", NULL, FLAG_LIST, offsetof(struct options, key), "KEY", "a key that clients must show; may be repeated", 0, 0},
    TEXT("--api-key-file", key_file, "FILE", "keys, a line for each: KEY, or CLIENT KEY"),
    {"--origin", NULL, FLAG_LIST, offsetof(struct options, origin), "URL", "pages from there may call the server; may be repeated", 0, 0},
    TEXT("--ctx", ctx, "N", "most tokens of a conversation (default: what the model was made for, or what fits memory)"),
    TEXT("--parallel", parallel, "N", "requests computed at once (default 16)"),
    TEXT("--threads", threads, "N", "worker threads (default: as many as there are cores)"),
    TEXT("--models-dir", models_dir, "FOLDER", "every model file in it can be asked for by its name"),
    {"--adapters-dir", NULL, FLAG_LIST, offsetof(struct options, adapters_dir), "FOLDER", "every adapter in it too, as ADAPTER or MODEL:ADAPTER; others are loaded from there only; may be repeated", 0, 0},
    TEXT("--keep-alive", keep_alive, "DURATION", "models that were not named above are closed when unused for so long: 90s, 5m, never (default 5m)"),
    TEXT("--memory", memory, "BYTES", "what open models may take, such as 16G (default: the memory of the machine); those unused for longest give way"),
    TEXT("--kv-type", kv_type, "TYPE", "how keys and values are kept: f32, f16, bf16 or q8_0 (default f16)"),
    TEXT("--cache-ram", cache_ram, "BYTES", "memory for prompts that may come again, such as 4G (default 2G)"),
    TEXT("--cache-disk", cache_disk, "BYTES", "room on disk for what is known of prompts, such as 20G; it outlives a restart. Texts can be guessed from it (default 0: none)"),
    TEXT("--cache-dir", cache_dir, "FOLDER", "where that is (default ~/.cache/hearth/prefixes)"),
    TEXT("--cache-key-file", cache_key, "FILE", "encrypt it with the key in this file: 64 hexadecimal digits"),
    TEXT("--ledger", ledger, "FILE", "what requests took, a row each; none: keeps none (default: the one that hearth ledger reads)"),
    {"--capture", NULL, FLAG_LIST, offsetof(struct options, capture), "CLIENT", "keep the texts of this client in the ledger, to learn from; those of others are never kept; may be repeated", 0, 0},
    TEXT("--responses", responses, "FILE", "what /v1/responses keeps for 30 days, so that it can be continued; none: only until the end of the server (default: among the user's own files)"),
    {"--alias", NULL, FLAG_LIST, offsetof(struct options, alias), "PATTERN=MODEL", "the model that answers to a name, which may end with *; may be repeated (claude-* is the default model)", 0, 0},
    TEXT("--normalise", normalise, "yes|no", "leave out of prompts what clients make new with every request, such as billing marks (default yes)"),
    {"--verbose", "-v", FLAG_BOOL, offsetof(struct options, verbose), NULL, "on standard error, a line for each request, and where its prompt departs from those that are known, with a few words of it", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, NULL};

/* Flags that are settings too have the same name there. */
static int configure(const struct options *o, struct serve_config *c, struct err *e) {
    int code = o->config ? config_read_file(c, o->config, e) : 0;
    for (const struct flag *f = flags; code == 0 && f->name; f++) {
        const void *field = (const char *)o + f->offset;
        const char *const *text = field;
        const struct string_list *list = field;
        if (!config_has(f->name + 2)) continue;
        if (f->kind == FLAG_STRING && *text) code = config_flag(c, f->name + 2, *text, e);
        for (int i = 0; code == 0 && f->kind == FLAG_LIST && i < list->n; i++) code = config_flag(c, f->name + 2, list->at[i], e);
    }
    return code;
}

static int read_keys(const struct serve_config *c, struct http_server *server, struct err *e) {
    struct keys *keys;
    int code = keys_new(&keys, e);
    for (int i = 0; code == 0 && i < c->api_key.n; i++) code = keys_add(keys, slice_of(c->api_key.at[i]), NULL, e);
    if (code == 0 && c->api_key_file) code = keys_read_file(keys, c->api_key_file, e);
    if (code == 0) return http_server_set_keys(server, keys, e);
    keys_free(keys);
    return code;
}

/* The ledger that the settings name. The prices say what the machine takes while it works; a mistake in them is told now, and not when somebody wants to see the ledger. */
static int open_books(struct books **books, const struct serve_config *c, struct metrics *metrics, struct err *e) {
    struct books_options o = {.watts = -1, .metrics = metrics, .captured = c->capture.at, .n_captured = c->capture.n};
    struct price_table prices;
    struct buf own = {0};
    if (c->ledger && strcmp(c->ledger, "none") == 0 && c->capture.n) return err_set(e, ERR_USAGE, "capture %s: texts are kept in the ledger, and there is none", c->capture.at[0]);
    if (c->ledger && strcmp(c->ledger, "none") == 0) return books_new(books, &o, e);
    int code = price_table_load(&prices, NULL, e);
    o.watts = prices.watts;
    price_table_free(&prices);
    if (code) return code;
    if (!c->ledger) code = place_state(&own, "ledger.db", e);
    o.ledger = c->ledger ? c->ledger : own.data;
    if (code == 0) code = books_new(books, &o, e);
    buf_free(&own);
    if (code && code != ERR_MEMORY && e) {
        const struct err inner = *e;
        (void)err_set(e, code, "%.420s; --ledger FILE names another ledger, --ledger none keeps none", inner.msg);
    }
    return code;
}

/* Where responses are kept: NULL: in memory. Where no place can be told, a warning says so. */
static const char *place_of_responses(const struct serve_config *c, struct buf *own) {
    struct err e;
    if (c->responses) return strcmp(c->responses, "none") == 0 ? NULL : c->responses;
    if (place_state(own, "responses.db", &e) == 0) return own->data;
    log_warn("responses are kept in memory only: %s", e.msg);
    return NULL;
}

static int make_service(struct service **service, struct blocks *cache, struct books *books, const struct serve_config *c, const char *const *models, int n, bool verbose, struct err *e) {
    struct model_options m = {.kv_type = c->kv_type};
    struct service_options o = {.models = models, .n_models = n, .models_dir = c->models_dir, .adapters_dirs = c->adapters_dir.at, .n_adapters_dirs = c->adapters_dir.n, .threads = c->threads, .parallel = c->parallel,
                                .normalise = c->normalise, .departures = verbose, .aliases = &c->alias, .books = books};
    struct buf own = {0};
    int code = kv_type_of(&m, "f16", &o.engine.kv_type, e);
    o.memory = c->model_memory ? c->model_memory : os_memory_total();
    o.keep_s = c->keep_alive;
    o.kv_bytes = os_memory_available() / 2; /* the other half is for models, the cache of prompts and everybody else */
    o.engine.n_ctx = c->ctx;
    o.engine.cache_bytes = c->cache_ram;
    o.engine.store = blocks_store(cache);
    o.disk = cache, o.disk_limit = cache ? c->cache_disk : 0;
    o.engine.max_logits = c->parallel > 32 ? 2 * c->parallel : 64; /* a row of each, guesses of some, and the last rows of prompts */
    o.responses = place_of_responses(c, &own);
    if (code == 0) code = service_new(service, &o, e);
    buf_free(&own);
    return code;
}

static int listen_all(struct http_server *server, const struct serve_config *c, struct err *e) {
    int fds[SYSTEMD_FDS_MAX], n = 0, code = systemd_listen_fds(fds, &n, e);
    for (int i = 0; code == 0 && i < n; i++) code = http_server_listen_fd(server, fds[i], e);
    return code || n ? code : http_server_listen(server, c->host, c->port, e);
}

/* ---- signals ---- */

struct watch {
    struct http_server *server;
    struct service *service;
    const struct serve_config *config;
    sigset_t set;
};

static void reload(struct watch *w) {
    struct err e = {0};
    (void)systemd_notify("RELOADING=1", NULL);
    if (read_keys(w->config, w->server, &e)) log_warn("the keys stay as they were: %s", e.msg);
    models_reload(service_models(w->service));
    (void)systemd_notify("READY=1", NULL);
}

static void *watch_signals(void *ctx) {
    struct watch *w = ctx;
    for (int sig; sigwait(&w->set, &sig) == 0;) {
        if (sig == SIGUSR1) break; /* the server has ended */
        if (sig == SIGHUP) reload(w);
        else http_server_stop(w->server);
    }
    return NULL;
}

static int serve(struct http_server *server, struct service *service, const struct serve_config *c, sigset_t set, struct err *e) {
    struct watch w = {server, service, c, set};
    pthread_t watcher;
    char where[160];
    if (pthread_create(&watcher, NULL, watch_signals, &w)) return err_set(e, ERR_MEMORY, "the system starts no thread for signals");
    if (!http_server_port(server)) (void)fprintf(stderr, "hearth: listening on a socket of this machine\n");
    else (void)snprintf(where, sizeof where, strchr(c->host, ':') ? "http://[%s]:%d" : "http://%s:%d", c->host, http_server_port(server));
    if (http_server_port(server)) (void)fprintf(stderr, "hearth: listening on %s (OpenAI API: %s/v1)\n", where, where);
    (void)systemd_notify("READY=1", NULL);
    int code = http_server_run(server, e);
    (void)systemd_notify("STOPPING=1", NULL);
    (void)pthread_kill(watcher, SIGUSR1);
    (void)pthread_join(watcher, NULL);
    return code;
}

static int run_server(const struct serve_config *c, const char *const *models, int n_models, bool verbose, struct err *e) {
    static const struct http_dialect *const dialects[] = {&openai_dialect, &anthropic_dialect, &ollama_dialect, &own_dialect};
    struct metrics *metrics = NULL;
    struct books *books = NULL;
    struct http_server *server = NULL;
    struct service *service = NULL;
    struct blocks *cache = NULL;
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT), (void)sigaddset(&set, SIGTERM), (void)sigaddset(&set, SIGHUP), (void)sigaddset(&set, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* before there are other threads, which inherit it */
    int code = metrics_new(&metrics, e);
    if (code == 0) code = open_books(&books, c, metrics, e);
    if (code == 0) code = disk_cache_open(&cache, c, e);
    if (code == 0) code = make_service(&service, cache, books, c, models, n_models, verbose, e);
    if (code == 0) code = models_open_added(service_models(service), e); /* so that a wrong file is told now, and the first request need not wait */
    const struct http_options o = {.dialects = dialects, .n_dialects = sizeof dialects / sizeof *dialects, .ctx = service, .metrics = metrics, .origins = c->origin.at, .n_origins = c->origin.n};
    if (code == 0) code = http_server_new(&server, &o, e);
    if (code == 0) code = read_keys(c, server, e);
    if (code == 0) code = listen_all(server, c, e);
    if (code == 0) code = serve(server, service, c, set, e);
    service_free(service); /* gives back the requests' references */
    struct err late = {0};
    if (books_free(books, &late)) log_warn("%s", late.msg);
    http_server_free(server);
    blocks_free(cache);
    metrics_free(metrics);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    struct serve_config c;
    const char *models[MODELS_MAX];
    int n = 0;
    if (args_help(argc, argv, &cmd_serve, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, models, MODELS_MAX, &n, e);
    if (code) return code;
    if (o.verbose) log_set_level(LOG_INFO);
    config_init(&c);
    code = configure(&o, &c, e);
    if (code == 0) code = run_server(&c, models, n, o.verbose, e);
    config_free(&c);
    return code;
}

const struct command cmd_serve = {"serve", "[MODEL...]", "answer the OpenAI, Anthropic and Ollama APIs on this machine", run, false};
