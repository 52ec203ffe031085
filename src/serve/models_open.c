/* models_open.c: opening and closing models and adapters, and the memory for them; see models_internal.h.
 *
 * Whoever opens or closes something does it without the lock: its state says that it is busy, and nobody else touches it. What it will take is known from the
 * head of its file, and is taken account of before it is opened: two that are opened at once cannot both get the same room. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "engine/vocab.h"
#include "model/embedded.h"
#include "serve/models_internal.h"

enum { WRITE_S = 10 /* that closing a model may take for writing what is known of prompts */ };

/* ---- states ---- */

int life_enter(struct models *m, struct life *l, bool *opener, struct err *e) {
    const int failures = l->failures;
    l->users++;
    *opener = false;
    while (l->state == SERVED_OPENING || l->state == SERVED_CLOSING) {
        (void)pthread_cond_wait(&m->changed, &m->lock);
        if (l->failures == failures) continue;
        *e = l->why;
        life_leave(m, l);
        return e->code;
    }
    if ((*opener = l->state == SERVED_CLOSED)) l->state = SERVED_OPENING;
    return 0;
}

int life_opened(struct models *m, struct life *l, int code, const struct err *e) {
    l->state = code ? SERVED_CLOSED : SERVED_OPEN;
    m->changes++;
    models_wake(m);
    (void)pthread_cond_broadcast(&m->changed);
    if (code == 0) return 0;
    l->why = *e;
    l->failures++;
    life_leave(m, l);
    return code;
}

void life_leave(struct models *m, struct life *l) {
    l->last_used = os_now();
    if (--l->users == 0) models_wake(m);
}

static void set_state(struct models *m, struct life *l, enum served_state state) {
    l->state = state;
    (void)pthread_cond_broadcast(&m->changed);
}

/* ---- memory ---- */

static uint64_t bytes_of(const struct served *s) {
    uint64_t bytes = s->weights + s->buffers;
    for (const struct fitted *f = s->fitted; f; f = f->next) bytes += f->bytes;
    return bytes;
}

/* What is taken; of it, *kept cannot be had by closing what nobody uses. */
static uint64_t taken(const struct models *m, uint64_t *kept) {
    uint64_t bytes = *kept = 0;
    for (const struct served *s = m->first; s; s = s->next) {
        bytes += bytes_of(s);
        if (s->life.users || s->life.state == SERVED_OPENING) *kept += bytes_of(s);
    }
    return bytes;
}

static bool goes_first(const struct served *a, const struct served *b) {
    const bool a_stays = isinf(a->life.keep_s), b_stays = isinf(b->life.keep_s);
    return a_stays == b_stays ? a->life.last_used < b->life.last_used : b_stays;
}

/* Closes the model that nobody uses and that was used longest ago, those last that are to stay, or waits for one that is being closed. False: there is none. */
static bool close_oldest(struct models *m) {
    struct served *oldest = NULL;
    bool closing = false;
    for (struct served *s = m->first; s; s = s->next) {
        closing |= s->life.state == SERVED_CLOSING;
        if (s->life.state == SERVED_OPEN && !s->life.users && (!oldest || goes_first(s, oldest))) oldest = s;
    }
    if (!oldest && closing) (void)pthread_cond_wait(&m->changed, &m->lock);
    if (!oldest) return closing;
    log_info("closing %s to make room", oldest->name);
    served_close(m, oldest);
    return true;
}

static double mb(uint64_t bytes) { return (double)bytes / 1e6; }

/* Adds `more` to *account as soon as that much can be had by somebody who has `own` already. */
static int take(struct models *m, uint64_t *account, uint64_t more, uint64_t own, const char *name, struct err *e) {
    const uint64_t limit = m->o.memory;
    for (uint64_t kept; limit && taken(m, &kept) + more > limit;) {
        if (own + more > limit) return err_set(e, ERR_MEMORY, "%s needs %.1f MB, but models may take %.1f MB", name, mb(own + more), mb(limit));
        if (kept + more > limit || !close_oldest(m))
            return err_set(e, ERR_MEMORY, "%s needs %.1f MB, but others use %.1f of the %.1f MB that models may take", name, mb(own + more), mb(kept - own), mb(limit));
    }
    *account += more;
    return 0;
}

/* ---- models ---- */

static int keep_prefixes(void *ctx, struct err *e) {
    struct served *s = ctx;
    (void)e;
    engine_keep(s->engine);
    return 0;
}

static int drop_engine(void *ctx, struct err *e) {
    struct served *s = ctx;
    (void)e;
    engine_free(s->engine);
    s->engine = NULL;
    for (int i = 0; i < 4; i++) embedder_free(s->embedder[i / 2][i % 2]), s->embedder[i / 2][i % 2] = NULL;
    return 0;
}

/* Without the lock. */
static void close_parts(struct models *m, struct served *s) {
    struct err ignored;
    if (s->engine && m->o.engine.store) { /* what is known of prompts is written while others go on */
        (void)scheduler_call(m->o.scheduler, keep_prefixes, s, &ignored);
        if (!engine_kept(s->engine, WRITE_S)) log_info("%s: not all that is known of prompts could be written in %d s", s->name, WRITE_S);
    }
    if (s->model) (void)scheduler_call(m->o.scheduler, drop_engine, s, &ignored);
    chat_free(s->chat), s->chat = NULL;
    forms_free(s->forms), s->forms = NULL;
    tokenizer_free(s->tokenizer), s->tokenizer = NULL;
    model_close(s->model), s->model = NULL;
}

/* Reads the head of the file: the weights stay where they are. */
static int open_head(struct served *s, struct err *e) {
    struct gguf *file;
    if (s->path) return model_open(&s->model, s->path, e);
    const int code = gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), s->name, e);
    return code ? code : model_open_file(&s->model, file, e);
}

/* The engine is nobody's yet, so that it need not be made on the scheduler's thread, where all would wait for it. */
static int open_rest(struct models *m, struct served *s, struct err *e) {
    int code = vocab_of_model(&s->tokenizer, s->model, e);
    if (code == 0) code = forms_new(&s->forms, s->tokenizer, e);
    s->template = (struct slice){0};
    if (code == 0) code = vocab_chat_template(s->model->file, NULL, &s->template, e);
    if (code == 0 && s->template.p) code = chat_new(&s->chat, s->model->file, s->tokenizer, (struct slice){0}, NULL, e);
    const bool writes = s->model->hp.causal && s->model->hp.pooling != POOL_RANK;
    if (code == 0 && writes) code = engine_new(&s->engine, s->model, m->o.pool, m->o.engine, e);
    s->syntax = tool_syntax_for(s->template);
    s->reasoning = tool_reasoning_for(s->template);
    return code;
}

/* Reads the weights, so that the first step does not: all that is generated would wait for it. Without the lock. */
static void warm(struct models *m, const struct served *s) {
    enum { PIECE = 32 << 20 };
    for (size_t i = 0; s->path && i < gguf_tensor_count(s->model->file); i++) {
        const struct tensor *t = gguf_tensor_at(s->model->file, i);
        for (size_t at = 0; at < t->size; at += PIECE) {
            (void)pthread_mutex_lock(&m->lock);
            const bool stop = m->hurry;
            (void)pthread_mutex_unlock(&m->lock);
            if (stop) return;
            os_map_warm((const uint8_t *)t->data + at, t->size - at < PIECE ? t->size - at : PIECE);
        }
    }
}

int served_open(struct models *m, struct served *s, struct err *e) {
    const double begin = os_now();
    s->stamp = stamp_of_model(s->path);
    if (!s->stamp && s->from_folder) return err_set(e, ERR_NOT_FOUND, "the file of the model %s is gone", s->name);
    (void)pthread_mutex_unlock(&m->lock);
    int code = open_head(s, e);
    const uint64_t weights = code ? 0 : gguf_file_size(s->model->file);
    (void)pthread_mutex_lock(&m->lock);
    if (code == 0) code = take(m, &s->weights, weights, 0, s->name, e);
    (void)pthread_mutex_unlock(&m->lock);
    if (code == 0) code = open_rest(m, s, e);
    (void)pthread_mutex_lock(&m->lock);
    if (code == 0 && s->engine) code = take(m, &s->buffers, engine_memory(s->engine).buffers, weights, s->name, e);
    (void)pthread_mutex_unlock(&m->lock);
    if (code == 0) warm(m, s);
    (void)pthread_mutex_lock(&m->lock);
    if (code == 0) {
        log_info("opened %s in %.2f s", s->name, os_now() - begin);
        return 0;
    }
    (void)pthread_mutex_unlock(&m->lock);
    close_parts(m, s);
    (void)pthread_mutex_lock(&m->lock);
    s->weights = s->buffers = 0;
    return code;
}

/* Whoever opens or closes an adapter of it uses it, so that here none is busy. */
void served_close(struct models *m, struct served *s) {
    struct fitted *list = s->fitted;
    s->fitted = NULL;
    set_state(m, &s->life, SERVED_CLOSING);
    (void)pthread_mutex_unlock(&m->lock);
    close_parts(m, s);
    for (struct fitted *f = list, *next; f; f = next) {
        next = f->next;
        fitted_free(f);
    }
    (void)pthread_mutex_lock(&m->lock);
    s->weights = s->buffers = 0;
    s->life.keep_s = models_usual_keep(m, s);
    m->changes++;
    models_wake(m);
    set_state(m, &s->life, SERVED_CLOSED);
}

/* ---- embedders ---- */

static int make_embedder(const struct models *m, const struct served *s, bool scores, bool large, struct embedder **em, struct err *e) {
    static const struct option_names names = {.context = "--ctx", .batch = "--ctx", .kv_type = "--kv-type", .paged = "another model"};
    const int64_t most = s->model->hp.n_ctx_train, ctx = large ? m->o.engine.n_ctx : SHORT_TEXT;
    const struct embedder_options o = {.pooling = scores ? POOL_RANK : POOL_UNSAID, .n_ctx = (int)(ctx > most ? most : ctx), .max_rows = SHORT_TEXT, .kv_type = DT_F32,
                                       .memory_limit = m->o.engine.memory_limit, .names = &names};
    const int code = embedder_new(em, s->model, m->o.pool, o, e);
    if (code) return code;
    const enum pooling pooling = embedder_pooling(*em);
    if (scores || (pooling != POOL_RANK && pooling != POOL_NONE)) return 0;
    embedder_free(*em);
    return pooling == POOL_RANK ? err_set(e, ERR_UNSUPPORTED, "the model %s scores texts as answers to a query (/v1/rerank); it makes no embeddings", s->name)
                                : err_set(e, ERR_UNSUPPORTED, "the model %s makes a vector of each token, and none of a whole text", s->name);
}

/* It is made without the lock, perhaps by two at once: the second one's is not taken. */
int models_embedder(struct models *m, struct served *s, bool scores, bool large, struct embedder **em, struct err *e) {
    struct embedder *made, **place = &s->embedder[scores][large];
    (void)pthread_mutex_lock(&m->lock);
    *em = *place;
    (void)pthread_mutex_unlock(&m->lock);
    if (*em) return 0;
    int code = make_embedder(m, s, scores, large, &made, e);
    if (code) return code;
    const uint64_t bytes = graph_buffer_bytes(embedder_graph(made));
    (void)pthread_mutex_lock(&m->lock);
    code = take(m, &s->buffers, bytes, s->weights + s->buffers, s->name, e);
    if (code == 0 && !*place) *place = made, made = NULL;
    else if (code == 0) s->buffers -= bytes;
    *em = *place;
    (void)pthread_mutex_unlock(&m->lock);
    embedder_free(made);
    return code;
}

void served_free(struct served *s) {
    mem_free(s->name);
    mem_free(s->path);
    mem_free(s);
}

/* ---- adapters ---- */

static int add_to_engine(void *ctx, struct err *e) {
    struct fitted *f = ctx;
    return engine_adapter_add(f->model->engine, f->adapter, &f->id, e);
}

static int remove_from_engine(void *ctx, struct err *e) {
    struct fitted *f = ctx;
    return engine_adapter_remove(f->model->engine, f->id, e);
}

int fitted_open(struct models *m, struct fitted *f, uint64_t bytes, struct err *e) {
    f->stamp = stamp_of_adapter(f->path);
    if (!f->model->engine) return err_set(e, ERR_UNSUPPORTED, "the model %s writes no text, so that no adapter can act on it", f->model->name);
    int code = f->stamp ? take(m, &f->bytes, bytes, 0, f->name, e) : err_set(e, ERR_NOT_FOUND, "the files of the adapter %s are gone", f->name);
    (void)pthread_mutex_unlock(&m->lock);
    if (code == 0) code = adapter_open(&f->adapter, f->path, f->model->model, 1, e);
    if (code == 0) code = scheduler_call(m->o.scheduler, add_to_engine, f, e);
    if (code) adapter_close(f->adapter), f->adapter = NULL;
    (void)pthread_mutex_lock(&m->lock);
    f->bytes = code ? 0 : adapter_bytes(f->adapter);
    f->activated = code == 0 && adapter_is_activated(f->adapter);
    if (code == 0) log_info("opened the adapter %s on %s", f->name, f->model->name);
    return code;
}

void fitted_close(struct models *m, struct fitted *f) {
    struct err e;
    f->model->life.users++; /* it stays meanwhile */
    set_state(m, &f->life, SERVED_CLOSING);
    (void)pthread_mutex_unlock(&m->lock);
    const int code = scheduler_call(m->o.scheduler, remove_from_engine, f, &e);
    assert(code == 0); /* nobody uses it */
    (void)code;
    adapter_close(f->adapter), f->adapter = NULL;
    (void)pthread_mutex_lock(&m->lock);
    f->bytes = 0;
    set_state(m, &f->life, SERVED_CLOSED);
    f->model->life.users--; /* which was no use of it: its age goes on */
}

void fitted_free(struct fitted *f) {
    adapter_close(f->adapter);
    mem_free(f->name);
    mem_free(f->path);
    mem_free(f);
}
