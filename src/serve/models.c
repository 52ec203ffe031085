/* models.c: models by name; see models.h.
 *
 * The list is under the lock, and so is becoming a user; opening and closing happen with it held too, so that a model is opened once: who asks for another
 * meanwhile waits. */
#include "serve/models.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "engine/vocab.h"
#include "model/embedded.h"

struct models {
    struct models_options o;
    pthread_mutex_t lock;
    struct served *first, **last;
};

static const char EMBEDDED[] = "ember";

int models_new(struct models **out, const struct models_options *o, struct err *e) {
    struct models *m = *out = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(e, "the list of models", sizeof *m);
    m->o = *o;
    m->last = &m->first;
    (void)pthread_mutex_init(&m->lock, NULL);
    return 0;
}

/* ---- opening and closing ---- */

struct pair {
    struct models *m;
    struct served *s;
};

static int make_engine(void *ctx, struct err *e) {
    const struct pair *a = ctx;
    return engine_new(&a->s->engine, a->s->model, a->m->o.pool, a->m->o.engine, e);
}

static int drop_engine(void *ctx, struct err *e) {
    struct served *s = ctx;
    (void)e;
    engine_free(s->engine);
    s->engine = NULL;
    return 0;
}

static void close_model(struct models *m, struct served *s) {
    struct err ignored;
    if (s->engine) (void)scheduler_call(m->o.scheduler, drop_engine, s, &ignored);
    chat_free(s->chat), s->chat = NULL;
    forms_free(s->forms), s->forms = NULL;
    tokenizer_free(s->tokenizer), s->tokenizer = NULL;
    model_close(s->model), s->model = NULL;
    s->open = false;
    s->weights = s->buffers = 0;
}

static int open_parts(struct models *m, struct served *s, struct err *e) {
    struct gguf *file = NULL;
    struct pair both = {m, s};
    int code = s->path ? model_open(&s->model, s->path, e) : gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), EMBEDDED, e);
    if (code == 0 && !s->path) code = model_open_file(&s->model, file, e);
    if (code == 0) code = vocab_of_model(&s->tokenizer, s->model, e);
    if (code == 0) code = forms_new(&s->forms, s->tokenizer, e);
    s->template = (struct slice){0};
    if (code == 0) code = vocab_chat_template(s->model->file, NULL, &s->template, e);
    if (code == 0 && s->template.p) code = chat_new(&s->chat, s->model->file, s->tokenizer, (struct slice){0}, NULL, e);
    if (code == 0) code = scheduler_call(m->o.scheduler, make_engine, &both, e);
    return code;
}

static uint64_t taken(const struct models *m) {
    uint64_t bytes = 0;
    for (const struct served *s = m->first; s; s = s->next) bytes += s->weights + s->buffers;
    return bytes;
}

/* Closes the one that was used longest ago and that nobody uses. False: there is none. */
static bool close_oldest(struct models *m) {
    struct served *oldest = NULL;
    for (struct served *s = m->first; s; s = s->next)
        if (s->open && !s->users && (!oldest || s->last_used < oldest->last_used)) oldest = s;
    if (!oldest) return false;
    log_info("closing %s to make room", oldest->name);
    close_model(m, oldest);
    return true;
}

static int open_model(struct models *m, struct served *s, struct err *e) {
    const double begin = os_now();
    int code = open_parts(m, s, e);
    if (code == 0) {
        const struct memory_need need = engine_memory(s->engine);
        s->weights = need.weights, s->buffers = need.buffers;
        while (m->o.memory && taken(m) > m->o.memory && close_oldest(m)) {}
        if (m->o.memory && taken(m) > m->o.memory)
            code = err_set(e, ERR_MEMORY, "%s needs %.1f MB, but %.1f of the %.1f MB for models are in use", s->name, (double)(s->weights + s->buffers) / 1e6,
                           (double)(taken(m) - s->weights - s->buffers) / 1e6, (double)m->o.memory / 1e6);
    }
    if (code) {
        close_model(m, s);
        return code;
    }
    s->syntax = tool_syntax_for(s->template);
    s->reasoning = tool_reasoning_for(s->template);
    s->open = true;
    log_info("opened %s in %.2f s", s->name, os_now() - begin);
    return 0;
}

void models_free(struct models *m) {
    if (!m) return;
    for (struct served *s = m->first, *next; s; s = next) {
        next = s->next;
        close_model(m, s);
        mem_free(s->name);
        mem_free(s->path);
        mem_free(s);
    }
    (void)pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

/* ---- names ---- */

/* A path without its folders and ".gguf", and without the number of a first part. */
static struct slice name_of(struct slice path) {
    static const char end[] = ".gguf", first[] = "-00001-of-";
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/') {
            path = (struct slice){path.p + i + 1, path.n - i - 1};
            break;
        }
    const size_t n = sizeof end - 1, part = sizeof first - 1 + 5;
    if (path.n > n && memcmp(path.p + path.n - n, end, n) == 0) path.n -= n;
    if (path.n > part && memcmp(path.p + path.n - part, first, sizeof first - 1) == 0) path.n -= part;
    return path;
}

static struct served *find(struct models *m, struct slice name) {
    for (struct served *s = m->first; s; s = s->next)
        if (slice_is(name, s->name)) return s;
    return NULL;
}

int models_add(struct models *m, const char *path, struct err *e) {
    const struct slice name = path ? name_of(slice_of(path)) : slice_of(EMBEDDED);
    if (!name.n) return err_set(e, ERR_USAGE, "%s: a model without a name", path);
    struct served *s = mem_calloc(1, sizeof *s);
    if (!s || !(s->name = mem_strndup(name.p, name.n)) || (path && !(s->path = mem_strndup(path, strlen(path))))) {
        if (s) mem_free(s->name);
        mem_free(s);
        return err_nomem(e, "a model's name", name.n);
    }
    (void)pthread_mutex_lock(&m->lock);
    const bool new = !find(m, name);
    if (new) *m->last = s, m->last = &s->next;
    (void)pthread_mutex_unlock(&m->lock);
    if (new) return 0;
    int code = err_set(e, ERR_USAGE, "%s: there is a model named %s already", path ? path : "the embedded model", s->name);
    mem_free(s->name);
    mem_free(s->path);
    mem_free(s);
    return code;
}

struct folder {
    struct models *m;
    const char *path;
};

static bool ends_in(const char *name, const char *end) {
    const size_t n = strlen(name), k = strlen(end);
    return n > k && strcmp(name + n - k, end) == 0;
}

static int add_from_folder(void *ctx, const char *name, struct err *e) {
    const struct folder *f = ctx;
    const char *part = strstr(name, "-of-");
    if (!ends_in(name, ".gguf") || (part && part > name + 5 && strncmp(part - 5, "00001", 5) != 0 && strspn(part - 5, "0123456789") == 5)) return 0;
    struct buf path = {0};
    int code = buf_printf(&path, "%s/%s", f->path, name) ? 0 : err_nomem(e, "a model's path", strlen(name));
    if (code == 0 && models_add(f->m, path.data, e) == ERR_MEMORY) code = ERR_MEMORY; /* a name that was given before stays whose it was */
    buf_free(&path);
    return code;
}

int models_add_folder(struct models *m, const char *folder, struct err *e) {
    struct folder f = {m, folder};
    return os_list_folder(folder, add_from_folder, &f, e);
}

/* ---- using ---- */

int models_use(struct models *m, struct slice name, struct served **out, struct err *e) {
    char shown[80];
    int code = 0;
    (void)pthread_mutex_lock(&m->lock);
    struct served *s = name.n ? find(m, name) : m->first;
    if (!s && name.n) s = find(m, name_of(name));
    if (!s) code = err_set(e, ERR_NOT_FOUND, "there is no model named \"%s\"; GET /v1/models lists those that there are", err_quote(shown, sizeof shown, name.p, name.n));
    else if (!s->open) code = open_model(m, s, e);
    if (code == 0) {
        s->users++;
        s->last_used = os_now();
        *out = s;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return code;
}

/* Without the lock, behind which a model may be waiting for the scheduler to open it. */
void models_done(struct served *s) {
    atomic_store(&s->last_used, os_now());
    (void)atomic_fetch_sub(&s->users, 1);
}

void models_each(struct models *m, void (*fn)(void *ctx, const struct served *s), void *ctx) {
    (void)pthread_mutex_lock(&m->lock);
    for (const struct served *s = m->first; s; s = s->next) fn(ctx, s);
    (void)pthread_mutex_unlock(&m->lock);
}

void models_close_idle(struct models *m, double idle_s) {
    (void)pthread_mutex_lock(&m->lock);
    for (struct served *s = m->first; s; s = s->next)
        if (s->open && !s->users && os_now() - s->last_used > idle_s) close_model(m, s);
    (void)pthread_mutex_unlock(&m->lock);
}
