/* service.c: the front of a request's way: a few threads that read bodies, open models, render prompts and submit jobs; see answer.h. */
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "engine/speculate.h"
#include "serve/answer_internal.h"
#include "serve/hold.h"
#include "serve/prompt.h"
#include "store/blocks.h"

enum { FRONTS = 2 /* at work at once */, FRONTS_MAX = 64 /* and with those that wait for a model or a disk */, FRONT_STACK = 4 << 20 /* templates and schemas are read by recursive functions of bounded depth */ };

/* What waits for a front thread. */
struct errand {
    struct errand *next;
    struct answer *answer;
    void (*then)(struct answer *a); /* NULL: it is at its beginning */
    struct http_request *http;      /* without an answer */
    void (*fn)(struct service *s, struct http_request *r);
};

struct service {
    struct pool *pool;
    struct scheduler *scheduler;
    struct models *models;
    struct kept *kept;
    struct blocks *disk;
    uint64_t disk_limit;
    struct books *books, *own_books; /* own: where nobody has given any */
    pthread_t front[FRONTS_MAX];
    int n_fronts, idle, aside, returning; /* of them: wait for an errand, or have ended; wait for a model or a disk; do so no more */
    pthread_mutex_t lock;
    pthread_cond_t work, room;  /* an errand; a place among those at work */
    struct errand *first, **last;
    bool stopping, normalise, departures;
};

struct models *service_models(struct service *s) { return s->models; }
struct kept *service_kept(struct service *s) { return s->kept; }
struct books *service_books(struct service *s) { return s->books; }

struct blocks_counts service_disk(const struct service *s, uint64_t *limit) {
    *limit = s->disk_limit;
    return blocks_counts(s->disk);
}
struct scheduler *service_scheduler(struct service *s) { return s->scheduler; }

/* ---- one request ---- */

/* Identifies who asks, for fairness: by key, else by address. */
static uint64_t client_of(const struct http_request *r) {
    const char *name = *http_client(r) ? http_client(r) : http_address(r);
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a; clients that meet in one number share a queue, nothing else */
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return h;
}

static int make_choices(struct answer *a, struct err *e) {
    struct choice *choices = mem_calloc((size_t)a->ask.n, sizeof *choices);
    if (!choices) return err_nomem(e, "answers", (size_t)a->ask.n * sizeof *choices);
    (void)pthread_mutex_lock(&a->lock);
    a->choices = choices;
    (void)pthread_mutex_unlock(&a->lock);
    for (int i = 0; i < a->ask.n; i++) {
        struct choice *c = &choices[i];
        *c = (struct choice){.answer = a, .index = i, .content = {.limit = 256 << 20}, .reasoning = {.limit = 256 << 20}};
        const int code = a->ask.messages ? tool_parser_new(&c->parser, a->model->syntax, &a->parsing, e) : 0;
        if (code) return code;
    }
    return 0;
}

static void act(const struct fitted *f, struct job_spec *s) {
    s->adapter_from = adapter_start(f->adapter, s->prompt, s->n_prompt);
    s->adapted = s->adapter_from >= 0; /* without its invocation the model answers alone */
    s->adapter = f->id;
}

/* Returns how many jobs were submitted; fewer than ask->n: e says why. */
static int submit(struct answer *a, const struct tokens *ids, struct err *e) {
    const struct ask *ask = &a->ask;
    int reusable[] = {(int)ids->n};
    struct job_spec s = {.engine = a->model->engine, .tokenizer = a->model->tokenizer, .prompt = ids->id, .n_prompt = (int)ids->n, .reusable = reusable, .n_reusable = 1,
                         .max_tokens = ask->max_tokens < 0 || ask->max_tokens > INT32_MAX ? -1 : (int)ask->max_tokens, .sampling = ask->sampling, .stop = ask->stop, .n_stop = ask->n_stop,
                         .logprobs = ask->logprobs, .prompt_logprobs = ask->echo && ask->logprobs >= 0, .ignore_eog = ask->ignore_eog, .background = ask->background, .guide = a->guide, .control = ask->messages != NULL,
                         .guess = GUESS_MAX, .departure = a->service->departures,
                         .client = client_of(a->http), .event = answer_hear};
    const int each = ask->n / (ask->n_prompts ? ask->n_prompts : 1);
    int n = 0;
    s.sampling.dry.tokenizer = a->model->tokenizer;
    if (!ask->seeded) s.sampling.seed = os_random();
    const uint64_t seed = s.sampling.seed;
    (void)pthread_mutex_lock(&a->lock); /* so that the client's leaving finds all jobs */
    const bool unwanted = a->gone || a->cancelled;
    if (unwanted) (void)err_set(e, ERR_CANCELLED, a->gone ? "the client has left" : "it was cancelled");
    for (; !unwanted && n < ask->n; n++) {
        const int i = n / each, begin = i ? a->prompt_end[i - 1] : 0;
        if (ask->n_prompts) s.prompt = ids->id + begin, s.n_prompt = reusable[0] = a->prompt_end[i] - begin;
        if (a->fitted) act(a->fitted, &s);
        s.sampling.seed = seed + (uint64_t)(n % each);
        s.ctx = &a->choices[n];
        if (job_submit(&a->choices[n].job, a->service->scheduler, &s, e)) break;
    }
    (void)pthread_mutex_unlock(&a->lock);
    return n;
}

/* The adapter that the request gives the number of, in place of one by name. */
static int use_numbered(struct answer *a, struct err *e) {
    fitted_done(a->fitted), a->fitted = NULL;
    if (a->ask.lora < 0) return 0;
    service_step_aside(a->service);
    const int code = models_adapt(a->service->models, a->model, a->ask.lora, &a->fitted, e);
    service_step_back(a->service);
    return code == ERR_NOT_FOUND ? err_set(e, ERR_USAGE, "lora: there is no adapter number %d; GET /lora-adapters lists them", a->ask.lora) : code;
}

/* An answer ends where the context that was asked for is full; the prompt must leave it room. */
static int within_context(struct ask *ask, int prompt, struct err *e) {
    const int64_t left = ask->context - prompt;
    if (left < 1) return err_set(e, ERR_CONTEXT, "the prompt has %d tokens, which leaves no room for an answer in a context of %lld", prompt, (long long)ask->context);
    if (ask->max_tokens < 0 || ask->max_tokens > left) ask->max_tokens = left;
    return 0;
}

/* Which tokens there are is known only with the model. */
static int biases_fit(const struct ask *ask, const struct served *m, struct err *e) {
    const uint32_t n = tokenizer_count(m->tokenizer);
    for (int i = 0; i < ask->sampling.n_bias; i++)
        if ((uint32_t)ask->sampling.bias[i].id >= n) return err_set(e, ERR_FORMAT, "logit_bias: there is no token %d: the vocabulary has %u", (int)ask->sampling.bias[i].id, n);
    return 0;
}

static int prepare(struct answer *a, struct tokens *ids, struct err *e) {
    const struct endpoint *p = a->endpoint;
    a->ask = (struct ask){.sampling = sampler_defaults(), .max_tokens = -1, .context = -1, .n = 1, .logprobs = -1, .parallel = true, .budget = -1, .normalise = a->service->normalise};
    int code = body_parse(&a->body, http_body(a->http), e);
    if (code == 0) code = p->read(a, a->body, e);
    if (code == 0 && a->ask.idle) return 0;
    const double begin = os_now();
    if (code == 0) code = service_use(a->service, a->ask.model, &a->model, &a->fitted, e);
    a->load_s = os_now() - begin;
    if (code == 0 && a->ask.lora_said) code = use_numbered(a, e);
    if (code == 0 && p->opened) code = p->opened(a, e);
    if (code || p->instead) return code;
    if (!a->model->engine && !a->ask.count) return err_set(e, ERR_UNSUPPORTED, "model: %s writes no text; it makes vectors or scores of texts (/v1/embeddings, /v1/rerank)", a->model->name);
    const size_t prompts = (size_t)a->ask.n_prompts;
    if (prompts && !(a->prompt_end = arena_array(&a->arena, prompts, sizeof *a->prompt_end))) return err_nomem(e, "prompts", prompts * sizeof *a->prompt_end);
    code = prompts ? prompt_list(&a->ask, a->model, ids, a->prompt_end, e) : prompt_tokens(&a->ask, a->model, &a->arena, ids, &a->parsing.opened_reasoning, e);
    a->prompt_tokens = (int)ids->n;
    if (code == 0) code = biases_fit(&a->ask, a->model, e);
    if (code == 0 && a->ask.context >= 0) code = within_context(&a->ask, a->prompt_tokens, e);
    if (code == 0 && !a->ask.count) code = hold_answer(&a->ask, a->model, &a->arena, a->parsing.opened_reasoning, &a->guide, e);
    if (code == 0 && !(a->parsing.tools = hold_callable(&a->ask, &a->arena, &a->parsing.n_tools))) code = err_nomem(e, "tools", 1);
    a->parsing.parallel = a->ask.parallel;
    a->parsing.reasoning = a->model ? a->model->reasoning : NULL;
    if (code == 0) code = make_choices(a, e);
    return code || !p->ready ? code : p->ready(a, e);
}

/* In place of jobs. */
static void answer_instead(struct answer *a) {
    struct err e = {0};
    bool later = false;
    const int code = a->endpoint->instead(a, &later, &e); /* the answer may be gone from here on, if later */
    if (code == 0 && later) return;
    if (code == 0) answer_count(a);
    else answer_refuse(a, status_of(code), e.msg);
}

static void answer_request(struct answer *a) {
    struct tokens ids = {0};
    struct err e = {0};
    int code = prepare(a, &ids, &e);
    const int n = a->ask.n;
    if (a->model) books_model(a->service->books, &a->entry, a->model->name, a->fitted ? a->fitted->name : NULL, a->prompt_tokens);
    if (code == 0 && a->endpoint->instead) {
        answer_instead(a);
        return;
    }
    if (code == 0 && a->ask.count) {
        answer_count(a);
        tokens_free(&ids);
        return;
    }
    atomic_store(&a->left, n);
    const int submitted = code ? 0 : submit(a, &ids, &e); /* the answer may be gone from here on, if all were */
    tokens_free(&ids);
    if (code) {
        answer_refuse(a, status_of(code), e.msg);
    } else if (submitted < n) {
        answer_fail(a, n - submitted, &e);
    }
}

/* ---- the threads: FRONTS are at work; more are there for each that waits for a model to be opened, or for a disk ---- */

/* Under the lock. */
static int at_work(const struct service *s) { return s->n_fronts - s->idle - s->aside; }

static void *front(void *ctx) {
    struct service *s = ctx;
    (void)pthread_mutex_lock(&s->lock);
    for (;;) {
        s->idle++;
        (void)pthread_cond_signal(&s->room);
        while (!(s->first && at_work(s) + s->returning < FRONTS) && !s->stopping) (void)pthread_cond_wait(&s->work, &s->lock);
        struct errand *job = s->first;
        if (!job) break;
        s->idle--;
        if (!(s->first = job->next)) s->last = &s->first;
        (void)pthread_mutex_unlock(&s->lock);
        if (job->then) {
            job->then(job->answer);
        } else if (job->answer) {
            answer_request(job->answer);
        } else {
            job->fn(s, job->http);
            http_unref(job->http);
        }
        mem_free(job);
        (void)pthread_mutex_lock(&s->lock);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Under the lock. Without another thread requests wait longer, no more. */
static bool start_front(struct service *s) {
    pthread_attr_t attr;
    if (s->n_fronts == FRONTS_MAX || pthread_attr_init(&attr)) return false;
    const bool ok = pthread_attr_setstacksize(&attr, FRONT_STACK) == 0 && pthread_create(&s->front[s->n_fronts], &attr, front, s) == 0;
    (void)pthread_attr_destroy(&attr);
    s->n_fronts += ok;
    return ok;
}

void service_step_aside(struct service *s) {
    (void)pthread_mutex_lock(&s->lock);
    s->aside++;
    if (!s->stopping && !s->idle && s->n_fronts - s->aside < FRONTS) (void)start_front(s);
    (void)pthread_cond_signal(&s->work);
    (void)pthread_cond_signal(&s->room);
    (void)pthread_mutex_unlock(&s->lock);
}

void service_step_back(struct service *s) {
    (void)pthread_mutex_lock(&s->lock);
    s->returning++;
    while (at_work(s) >= FRONTS) (void)pthread_cond_wait(&s->room, &s->lock);
    s->returning--;
    s->aside--;
    (void)pthread_mutex_unlock(&s->lock);
}

int service_use(struct service *s, struct slice name, struct served **m, struct fitted **f, struct err *e) {
    if (models_ready(s->models, name)) return models_use_fitted(s->models, name, m, f, e);
    service_step_aside(s);
    const int code = models_use_fitted(s->models, name, m, f, e);
    service_step_back(s);
    return code;
}

/* False: there is no memory, or *stopping. */
static bool post(struct service *s, struct errand errand, bool *stopping) {
    struct errand *job = mem_calloc(1, sizeof *job);
    bool taken = false;
    if (job) {
        *job = errand;
        (void)pthread_mutex_lock(&s->lock);
        if ((taken = !s->stopping)) {
            *s->last = job;
            s->last = &job->next;
            (void)pthread_cond_signal(&s->work);
        }
        (void)pthread_mutex_unlock(&s->lock);
    }
    *stopping = job && !taken;
    if (!taken) mem_free(job);
    return taken;
}

/* The errand is the front's from here on; one that cannot be made is told the client. */
static void send(struct service *s, struct http_request *r, struct answer *a, void (*fn)(struct service *s, struct http_request *r)) {
    bool stopping;
    if (post(s, (struct errand){.answer = a, .http = r, .fn = fn}, &stopping)) return;
    const char *why = stopping ? "the server is stopping" : "out of memory";
    if (a) {
        answer_refuse(a, 503, why);
        return;
    }
    (void)http_error(r, 503, 1, "%s", why);
    http_unref(r);
}

bool service_send_back(struct service *s, struct answer *a, void (*then)(struct answer *a)) {
    bool stopping;
    return post(s, (struct errand){.answer = a, .then = then}, &stopping);
}

void answer_begin(struct service *s, struct http_request *r, const struct endpoint *endpoint) {
    struct answer *a = answer_new(s, r, endpoint);
    if (a) send(s, r, a, NULL);
    else (void)http_error(r, 503, 1, "out of memory");
}

void answer_aside(struct service *s, struct http_request *r, void (*fn)(struct service *s, struct http_request *r)) {
    http_ref(r);
    send(s, r, NULL, fn);
}

/* ---- life ---- */

static int add_models(struct service *s, const struct service_options *o, struct err *e) {
    int code = 0;
    for (int i = 0; code == 0 && i < o->n_models; i++) code = models_add(s->models, o->models[i], e);
    if (code == 0 && o->models_dir) code = models_add_folder(s->models, o->models_dir, e);
    if (code == 0 && !o->n_models && !o->models_dir) code = models_add(s->models, NULL, e);
    for (int i = 0; code == 0 && i < o->n_adapters_dirs; i++) code = models_add_adapters(s->models, o->adapters_dirs[i], e);
    return code;
}

static int start_fronts(struct service *s, struct err *e) {
    (void)pthread_mutex_lock(&s->lock);
    bool ok = true;
    while (ok && s->n_fronts < FRONTS) ok = start_front(s);
    (void)pthread_mutex_unlock(&s->lock);
    return ok ? 0 : err_set(e, ERR_MEMORY, "the system starts no thread for requests");
}

static uint64_t spent(void *ctx, double busy_s, bool *measured) {
    const struct energy e = books_energy(ctx, busy_s);
    *measured = e.measured;
    return e.uj;
}

int service_new(struct service **out, const struct service_options *o, struct err *e) {
    struct service *s = *out = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "the service", sizeof *s);
    s->last = &s->first;
    s->normalise = o->normalise;
    s->departures = o->departures;
    s->books = o->books;
    s->disk = o->disk, s->disk_limit = o->disk_limit;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->work, NULL);
    (void)pthread_cond_init(&s->room, NULL);
    int code = o->books ? 0 : books_new(&s->own_books, &(struct books_options){.watts = -1}, e);
    if (!o->books) s->books = s->own_books;
    if (code == 0) code = pool_new(&s->pool, o->threads ? o->threads : os_cpu_count(), e);
    if (code == 0) code = scheduler_new(&s->scheduler, (struct scheduler_options){.max_live = o->parallel, .kv_bytes = o->kv_bytes, .spent = spent, .ctx = s->books}, e);
    if (code == 0) code = models_new(&s->models, &(struct models_options){s->scheduler, s->pool, o->engine, o->memory, o->keep_s, o->aliases}, e);
    if (code == 0) code = kept_new(&s->kept, o->responses, e);
    if (code == 0) code = add_models(s, o, e);
    if (code == 0) code = start_fronts(s, e);
    if (code == 0) return 0;
    service_free(s);
    *out = NULL;
    return code;
}

void service_free(struct service *s) {
    if (!s) return;
    (void)pthread_mutex_lock(&s->lock);
    s->stopping = true;
    (void)pthread_cond_broadcast(&s->work);
    (void)pthread_mutex_unlock(&s->lock);
    models_hurry(s->models);
    for (int i = 0; i < s->n_fronts; i++) (void)pthread_join(s->front[i], NULL);
    if (s->scheduler) scheduler_drain(s->scheduler);
    kept_free(s->kept); /* ends the answers that wait for it */
    if (s->books) books_settle(s->books); /* requests use models to the end */
    models_free(s->models);
    scheduler_free(s->scheduler);
    pool_free(s->pool);
    (void)books_free(s->own_books, NULL);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->work);
    (void)pthread_cond_destroy(&s->room);
    mem_free(s);
}
