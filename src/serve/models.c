/* models.c: models by name, using them, and closing them by age; see models.h.
 *
 * Everything is under one lock, which is held for moments only: opening and closing go on without it (models_open.c). A model that has been found stays where it is as
 * long as it has users, also when it is retired meanwhile; only the keeper takes it out of the list. */
#define _GNU_SOURCE
#include "serve/models.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/alias.h"
#include "serve/models_internal.h"

static const char EMBEDDED[] = "ember";

/* ---- names ---- */

struct served *models_find(struct models *m, struct slice name) {
    for (struct served *s = m->first; s; s = s->next)
        if (!s->life.retired && slice_is(name, s->name)) return s;
    return NULL;
}

static struct served *first_model(struct models *m) {
    struct served *s = m->first;
    while (s && s->life.retired) s = s->next;
    return s;
}

static struct served *served_new(struct models *m, const char *path, struct slice name) {
    struct served *s = mem_calloc(1, sizeof *s);
    struct os_file file;
    if (!s) return NULL;
    s->owner = m;
    if (path && os_file(path, &file)) s->created = file.changed_s;
    if ((s->name = mem_strndup(name.p, name.n)) && (!path || (s->path = mem_strndup(path, strlen(path))))) return s;
    served_free(s);
    return NULL;
}

double models_usual_keep(const struct models *m, const struct served *s) { return s->from_folder ? m->o.keep_s : (double)INFINITY; }

static int add(struct models *m, const char *path, bool from_folder, struct err *e) {
    const struct slice name = path ? model_name_of(slice_of(path)) : slice_of(EMBEDDED);
    if (!name.n) return err_set(e, ERR_USAGE, "%s: a model without a name", path);
    struct served *s = served_new(m, path, name);
    if (!s) return err_nomem(e, "a model's name", name.n);
    s->from_folder = from_folder;
    s->life.keep_s = models_usual_keep(m, s);
    (void)pthread_mutex_lock(&m->lock);
    const bool new = !models_find(m, name);
    if (new) *m->last = s, m->last = &s->next;
    (void)pthread_mutex_unlock(&m->lock);
    if (new) return 0;
    const int code = err_set(e, ERR_USAGE, "%s: there is a model named %s already", path ? path : "the embedded model", s->name);
    served_free(s);
    return code;
}

int models_add(struct models *m, const char *path, struct err *e) { return add(m, path, false, e); }

struct scan {
    struct models *m;
    const char *folder;
    size_t found;
};

static int add_from_folder(void *ctx, const char *name, struct err *e) {
    struct scan *scan = ctx;
    struct buf path = {0};
    if (!is_model_file(scan->folder, name)) return 0;
    scan->found++;
    int code = buf_printf(&path, "%s/%s", scan->folder, name) ? 0 : err_nomem(e, "a model's path", strlen(name));
    if (code == 0 && add(scan->m, path.data, true, e) == ERR_MEMORY) code = ERR_MEMORY; /* a name that was given before stays whose it was */
    buf_free(&path);
    return code;
}

static int scan_folder(struct models *m, const char *folder, struct err *e) {
    struct scan scan = {m, folder, 0};
    const int code = os_list_folder(folder, add_from_folder, &scan, e);
    if (code == 0 && !scan.found) log_warn("%s: there is no model in it, no file that ends in .gguf; SIGHUP has it read again", folder);
    return code;
}

int models_add_folder(struct models *m, const char *path, struct err *e) {
    const int code = scan_folder(m, path, e);
    if (code) return code;
    struct folder *f = mem_calloc(1, sizeof *f);
    if (!f || !(f->path = mem_strndup(path, strlen(path)))) {
        mem_free(f);
        return err_nomem(e, "a folder's name", strlen(path));
    }
    (void)pthread_mutex_lock(&m->lock);
    f->next = m->folders;
    m->folders = f;
    (void)pthread_mutex_unlock(&m->lock);
    return 0;
}

/* ---- changes on disk ---- */

/* Locked. Puts another in its place, closed, when the file that s was opened from is another by now, whose stamp is `now`. NULL: no memory. */
static struct served *fresh(struct models *m, struct served *s, uint64_t now) {
    if (s->life.state != SERVED_OPEN || !now || now == s->stamp) return s;
    struct served *other = served_new(m, s->path, slice_of(s->name));
    if (!other) return NULL;
    log_info("%s has changed on disk: it is opened anew", s->name);
    other->from_folder = s->from_folder;
    other->life.keep_s = s->life.keep_s;
    other->next = s->next;
    s->next = other;
    if (m->last == &s->next) m->last = &other->next;
    s->life.retired = true;
    models_wake(m);
    return other;
}

void models_reload(struct models *m) {
    struct err e = {0};
    (void)pthread_mutex_lock(&m->lock);
    for (struct served *s = m->first; s; s = s->next) {
        if (s->life.retired) continue;
        const uint64_t now = stamp_of_model(s->path);
        if (s->from_folder && !now) s->life.retired = true;
        else (void)fresh(m, s, now); /* without memory it is tried again when it is asked for */
    }
    models_wake(m);
    (void)pthread_mutex_unlock(&m->lock);
    for (const struct folder *f = m->folders; f; f = f->next) /* nobody adds to these any more */
        if (scan_folder(m, f->path, &e)) log_warn("%s", e.msg);
    known_reload(m);
}

/* ---- using ---- */

/* What a name stands for. */
struct target {
    struct served *model;
    struct slice adapter; /* empty: none */
};

/* Names only are compared and no path is ever made of one; but what looks like a way to somewhere else is not taken for the last part of it. */
static bool leads_elsewhere(struct slice name) {
    for (size_t i = 0; i + 1 < name.n; i++)
        if (name.p[i] == '.' && name.p[i + 1] == '.') return true;
    return name.n && name.p[0] == '/';
}

static int resolve_whole(struct models *m, struct slice name, struct target *t, struct err *e) {
    char shown[80];
    const struct known *k = NULL;
    *t = (struct target){.model = name.n ? models_find(m, name) : first_model(m)};
    if (!t->model && (k = known_find(m, name))) {
        t->adapter = name;
        return known_model(m, k, &t->model, e);
    }
    for (size_t i = name.n; !t->model && i-- > 0;) {
        if (name.p[i] != ':') continue;
        t->model = models_find(m, (struct slice){name.p, i});
        t->adapter = (struct slice){name.p + i + 1, name.n - i - 1};
        if (t->model && !known_find(m, t->adapter)) t->model = NULL;
    }
    if (t->model) return 0;
    t->adapter = (struct slice){0};
    if (!leads_elsewhere(name)) t->model = models_find(m, model_name_of(name));
    if (t->model) return 0;
    return name.n ? err_set(e, ERR_NOT_FOUND, "there is no model named \"%s\"; GET /v1/models lists those that there are", err_quote(shown, sizeof shown, name.p, name.n))
                  : err_set(e, ERR_NOT_FOUND, "there is no model; put one into the folder for models");
}

/* Some clients put ":latest" behind every name that has no tag: it says nothing. Locked. */
static int resolve_tagged(struct models *m, struct slice name, struct target *t, struct err *e) {
    static const char tag[] = ":latest";
    const size_t n = sizeof tag - 1;
    struct err ignored;
    const int code = resolve_whole(m, name, t, e);
    if (code != ERR_NOT_FOUND || name.n <= n || memcmp(name.p + name.n - n, tag, n) != 0) return code;
    return resolve_whole(m, (struct slice){name.p, name.n - n}, t, &ignored) ? code : 0;
}

bool models_alias(const struct models *m, struct slice name, struct slice *model) { return alias_find(m->o.aliases, name, model); }

/* Names that there are go before aliases. Locked. */
static int resolve(struct models *m, struct slice name, struct target *t, struct err *e) {
    struct slice model;
    const int code = resolve_tagged(m, name, t, e);
    return code == ERR_NOT_FOUND && alias_find(m->o.aliases, name, &model) && model.p ? resolve_tagged(m, model, t, e) : code;
}

int models_with(struct models *m, struct slice name, void (*fn)(void *ctx, struct served *s), void *ctx, struct err *e) {
    struct target t;
    (void)pthread_mutex_lock(&m->lock);
    const int code = resolve(m, name, &t, e);
    if (code == 0) fn(ctx, t.model);
    (void)pthread_mutex_unlock(&m->lock);
    return code;
}

/* Locked. What stands for s by now. The file is looked at without the lock: some lie on other machines. */
static int look_again(struct models *m, struct served **s, struct err *e) {
    struct served *held = *s;
    held->life.users++;
    (void)pthread_mutex_unlock(&m->lock);
    const uint64_t stamp = stamp_of_model(held->path);
    (void)pthread_mutex_lock(&m->lock);
    *s = held->life.retired ? models_find(m, slice_of(held->name)) : fresh(m, held, stamp);
    const bool retired = held->life.retired;
    life_leave(m, &held->life);
    if (*s) return 0;
    return retired ? err_set(e, ERR_NOT_FOUND, "the model has gone just now") : err_nomem(e, "a model that has changed", sizeof **s);
}

/* Locked. */
static int use_model(struct models *m, struct served **s, struct err *e) {
    bool opener;
    int code = (*s)->life.state == SERVED_OPEN ? look_again(m, s, e) : 0;
    if (code) return code;
    struct served *now = *s;
    code = life_enter(m, &now->life, &opener, e);
    if (code == 0 && opener) code = life_opened(m, &now->life, served_open(m, now, e), e);
    if (code == 0) now->life.last_used = os_now();
    return code;
}

int models_use_fitted(struct models *m, struct slice name, struct served **s, struct fitted **f, struct err *e) {
    struct target t;
    struct err why;
    char shown[80];
    *s = NULL;
    if (f) *f = NULL;
    (void)pthread_mutex_lock(&m->lock);
    int code = resolve(m, name, &t, &why);
    if (code == 0 && t.adapter.n && !f) code = err_set(&why, ERR_UNSUPPORTED, "\"%s\" is an adapter; here a model is wanted", err_quote(shown, sizeof shown, name.p, name.n));
    if (code == 0) code = use_model(m, &t.model, &why);
    if (code == 0 && t.adapter.n && (code = known_use(m, t.model, t.adapter, f, &why))) life_leave(m, &t.model->life);
    (void)pthread_mutex_unlock(&m->lock);
    if (code) return err_set(e, code, "%s", why.msg);
    *s = t.model;
    return 0;
}

int models_use(struct models *m, struct slice name, struct served **s, struct err *e) { return models_use_fitted(m, name, s, NULL, e); }

bool models_ready(struct models *m, struct slice name) {
    struct target t;
    struct err ignored;
    (void)pthread_mutex_lock(&m->lock);
    bool ready = resolve(m, name, &t, &ignored) == 0 && t.model->life.state == SERVED_OPEN;
    if (ready && t.adapter.n) {
        const struct fitted *f = fitted_find(t.model, t.adapter);
        ready = f && f->life.state == SERVED_OPEN;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return ready;
}

static void done(struct models *m, struct life *l) {
    (void)pthread_mutex_lock(&m->lock);
    life_leave(m, l);
    (void)pthread_mutex_unlock(&m->lock);
}

void models_done(struct served *s) { done(s->owner, &s->life); }

void fitted_done(struct fitted *f) {
    if (f) done(f->model->owner, &f->life);
}

void models_keep(struct served *s, double keep_s) {
    (void)pthread_mutex_lock(&s->owner->lock);
    s->life.keep_s = keep_s;
    models_wake(s->owner);
    (void)pthread_mutex_unlock(&s->owner->lock);
}

static void close_soon(void *ctx, struct served *s) {
    if (s->life.state == SERVED_CLOSED) return;
    s->life.keep_s = 0;
    models_wake(ctx);
}

int models_close(struct models *m, struct slice name, struct err *e) { return models_with(m, name, close_soon, m, e); }

int models_open_added(struct models *m, struct err *e) {
    int code = 0;
    for (struct served *s = m->first, *used; code == 0 && s; s = s->next) /* nobody else is there yet */
        if (!s->from_folder && (code = models_use(m, slice_of(s->name), &used, e)) == 0) models_done(used);
    return code;
}

/* ---- looking ---- */

double models_expiry(const struct life *l) {
    if (l->state != SERVED_OPEN || l->users) return (double)INFINITY;
    return l->retired ? 0 : l->last_used + l->keep_s;
}

void models_each(struct models *m, void (*fn)(void *ctx, const struct served *s), void *ctx) {
    (void)pthread_mutex_lock(&m->lock);
    for (const struct served *s = m->first; s; s = s->next)
        if (!s->life.retired) fn(ctx, s);
    (void)pthread_mutex_unlock(&m->lock);
}

/* ---- the keeper ---- */

void models_wake(struct models *m) { (void)pthread_cond_signal(&m->wake); }

static void take_out(struct models *m, struct served *s) {
    struct served **at = &m->first;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    if (m->last == &s->next) m->last = at;
}

/* Locked. Closes or frees one adapter of s. *next: when the first of those that stay is due. */
static bool tidy_fitted(struct models *m, struct served *s, double now, double *next) {
    for (struct fitted **at = &s->fitted, *f; (f = *at); at = &f->next) {
        const double due = models_expiry(&f->life);
        if (f->life.state == SERVED_CLOSED && !f->life.users) {
            *at = f->next;
            fitted_free(f);
            return true;
        }
        if (due <= now) {
            fitted_close(m, f);
            return true;
        }
        if (due < *next) *next = due;
    }
    return false;
}

/* The same for one of all. */
static bool tidy(struct models *m, double now, double *next) {
    for (struct served *s = m->first; s; s = s->next) {
        const double due = models_expiry(&s->life);
        if (s->life.retired && s->life.state == SERVED_CLOSED && !s->life.users) {
            take_out(m, s);
            served_free(s);
            return true;
        }
        if (due <= now) {
            log_info("closing %s, which %s", s->name, s->life.retired ? "has gone" : "was not used for long");
            served_close(m, s);
            return true;
        }
        if (tidy_fitted(m, s, now, next)) return true;
        if (due < *next) *next = due;
    }
    return false;
}

/* On the scheduler's thread, where engines that are open stay so meanwhile. */
static int divide_cache(void *ctx, struct err *e) {
    struct models *m = ctx;
    uint64_t n = 0, share;
    (void)e;
    (void)pthread_mutex_lock(&m->lock);
    for (const struct served *s = m->first; s; s = s->next) n += s->life.state == SERVED_OPEN && s->engine;
    share = n ? m->o.engine.cache_bytes / n : 0;
    share = share ? share : 1; /* what is read back from disk passes through, and need not stay */
    for (const struct served *s = m->first; s; s = s->next)
        if (s->life.state == SERVED_OPEN && s->engine) engine_limit_cache(s->engine, share);
    (void)pthread_mutex_unlock(&m->lock);
    return 0;
}

static void even_out(struct models *m) {
    struct err ignored;
    const unsigned changes = m->changes;
    (void)pthread_mutex_unlock(&m->lock);
    (void)scheduler_call(m->o.scheduler, divide_cache, m, &ignored);
    (void)pthread_mutex_lock(&m->lock);
    m->divided = changes;
}

static void *keep(void *ctx) {
    struct models *m = ctx;
    (void)pthread_mutex_lock(&m->lock);
    while (!m->stopping) {
        double next = (double)INFINITY;
        if (tidy(m, os_now(), &next)) continue;
        if (m->changes != m->divided) {
            even_out(m);
            continue;
        }
        if (isinf(next)) {
            (void)pthread_cond_wait(&m->wake, &m->lock);
        } else {
            const struct timespec at = {(time_t)next, (long)((next - floor(next)) * 1e9)};
            (void)pthread_cond_timedwait(&m->wake, &m->lock, &at);
        }
    }
    (void)pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- life ---- */

void models_hurry(struct models *m) {
    if (!m) return;
    (void)pthread_mutex_lock(&m->lock);
    m->hurry = true;
    (void)pthread_mutex_unlock(&m->lock);
}

static void free_folders(struct folder *f) {
    for (struct folder *next; f; f = next) {
        next = f->next;
        mem_free(f->path);
        mem_free(f);
    }
}

void models_free(struct models *m) {
    if (!m) return;
    (void)pthread_mutex_lock(&m->lock);
    m->stopping = true;
    models_wake(m);
    (void)pthread_mutex_unlock(&m->lock);
    if (m->keeping) (void)pthread_join(m->keeper, NULL);
    (void)pthread_mutex_lock(&m->lock);
    for (struct served *s; (s = m->first);) {
        if (s->life.state == SERVED_OPEN) served_close(m, s);
        m->first = s->next;
        served_free(s);
    }
    (void)pthread_mutex_unlock(&m->lock);
    known_free_all(m);
    free_folders(m->folders);
    free_folders(m->adapter_folders);
    (void)pthread_mutex_destroy(&m->lock);
    (void)pthread_cond_destroy(&m->changed);
    (void)pthread_cond_destroy(&m->wake);
    mem_free(m);
}

int models_new(struct models **out, const struct models_options *o, struct err *e) {
    struct models *m = *out = mem_calloc(1, sizeof *m);
    pthread_condattr_t attr;
    if (!m) return err_nomem(e, "the list of models", sizeof *m);
    m->o = *o;
    m->last = &m->first;
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_cond_init(&m->changed, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* os_now's */
    (void)pthread_cond_init(&m->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if ((m->keeping = pthread_create(&m->keeper, NULL, keep, m) == 0)) return 0;
    models_free(m);
    *out = NULL;
    return err_set(e, ERR_MEMORY, "the system starts no thread for models");
}
