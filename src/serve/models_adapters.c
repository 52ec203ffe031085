/* models_adapters.c: adapters by name: those found in folders and those that a client loads, the model that each is for, and fitting them to it; see models.h.
 *
 * What is known of an adapter are its files. Asked for on a model it is fitted to that: a struct fitted, in the model's list. Each has its own copies of names, so
 * that either may go before the other. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/models_internal.h"

enum { NAME_MAX_BYTES = 128, PATH_MAX_BYTES = 4095, BASE_BYTES = 256 };

struct known *known_find(struct models *m, struct slice name) {
    struct known *k = m->adapters;
    while (k && !slice_is(name, k->name)) k = k->next;
    return k;
}

static void known_free(struct known *k) {
    mem_free(k->name);
    mem_free(k->path);
    mem_free(k->base);
    mem_free(k);
}

void known_free_all(struct models *m) {
    for (struct known *k; (k = m->adapters);) {
        m->adapters = k->next;
        known_free(k);
    }
}

static struct known *known_new(struct slice name, const char *path, struct slice base) {
    struct known *k = mem_calloc(1, sizeof *k);
    if (!k) return NULL;
    k->name = mem_strndup(name.p, name.n);
    k->path = mem_strndup(path, strlen(path));
    if (base.n) k->base = mem_strndup(base.p, base.n);
    if (k->name && k->path && (k->base || !base.n)) return k;
    known_free(k);
    return NULL;
}

/* Reads what the files say. One that is broken stays known, so that who asks for it hears why. */
static int describe(struct known *k, struct err *e) {
    k->stamp = stamp_of_adapter(k->path);
    return adapter_describe(&k->about, k->path, e);
}

/* Locked. In order of being made known. */
static void put_in(struct models *m, struct known *k) {
    struct known **at = &m->adapters;
    while (*at) at = &(*at)->next;
    *at = k;
    k->id = m->next_id++;
}

/* Locked. */
static void retire_fitted(struct models *m, const char *name) {
    for (struct served *s = m->first; s; s = s->next)
        for (struct fitted *f = s->fitted; f; f = f->next)
            if (strcmp(f->name, name) == 0) f->life.retired = true;
    models_wake(m);
}

static void take_out(struct models *m, struct known *k) {
    struct known **at = &m->adapters;
    while (*at != k) at = &(*at)->next;
    *at = k->next;
    retire_fitted(m, k->name);
    known_free(k);
}

/* ---- folders ---- */

struct scan {
    struct models *m;
    const char *folder;
};

static int add_from_folder(void *ctx, const char *entry, struct err *e) {
    const struct scan *scan = ctx;
    struct models *m = scan->m;
    struct buf path = {0};
    struct err why = {0};
    char name[256];
    if (!adapter_name_of(scan->folder, entry, name)) return 0;
    struct known *k = buf_printf(&path, "%s/%s", scan->folder, entry) ? known_new(slice_of(name), path.data, (struct slice){0}) : NULL;
    buf_free(&path);
    if (!k) return err_nomem(e, "an adapter's name", strlen(name));
    k->from_folder = true;
    (void)pthread_mutex_lock(&m->lock);
    bool there = known_find(m, slice_of(name));
    (void)pthread_mutex_unlock(&m->lock);
    if (!there && describe(k, &why)) log_warn("%s", why.msg);
    (void)pthread_mutex_lock(&m->lock);
    there = known_find(m, slice_of(name));
    if (!there && models_find(m, slice_of(name))) log_warn("%s: a model has the same name; the adapter is to be had as MODEL:%s", k->path, name);
    if (!there) put_in(m, k);
    (void)pthread_mutex_unlock(&m->lock);
    if (there) known_free(k);
    return 0;
}

int models_add_adapters(struct models *m, const char *path, struct err *e) {
    char *real;
    int code = os_real_path(path, &real, e);
    if (code) return code;
    struct scan scan = {m, real};
    struct folder *f = mem_calloc(1, sizeof *f);
    code = f ? os_list_folder(real, add_from_folder, &scan, e) : err_nomem(e, "a folder's name", sizeof *f);
    if (code) {
        mem_free(f);
        mem_free(real);
        return code;
    }
    f->path = real;
    (void)pthread_mutex_lock(&m->lock);
    struct folder **at = &m->adapter_folders;
    while (*at) at = &(*at)->next;
    *at = f;
    (void)pthread_mutex_unlock(&m->lock);
    return 0;
}

void known_reload(struct models *m) {
    struct err e = {0};
    (void)pthread_mutex_lock(&m->lock);
    for (struct known *k = m->adapters, *next; k; k = next) {
        next = k->next;
        const uint64_t stamp = stamp_of_adapter(k->path);
        if (k->from_folder && stamp != k->stamp) take_out(m, k); /* what is there instead is found below */
    }
    (void)pthread_mutex_unlock(&m->lock);
    for (const struct folder *f = m->adapter_folders; f; f = f->next) {
        struct scan scan = {m, f->path};
        if (os_list_folder(f->path, add_from_folder, &scan, &e)) log_warn("%s", e.msg);
    }
}

/* ---- the model it is for ---- */

/* Letters in lower case and digits of what stands behind the last slash: how publishers and files write a name differs in the rest. */
static size_t bare(const char *text, char out[BASE_BYTES]) {
    size_t n = 0;
    for (const char *slash; (slash = strchr(text, '/')) && slash[1];) text = slash + 1;
    for (; *text && n + 1 < BASE_BYTES; text++) {
        const char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out[n++] = c;
    }
    out[n] = 0;
    return n;
}

/* The model whose name begins as that of the one it was trained on; of several the shortest name, then the first. */
static struct served *named_like(struct models *m, const char *base) {
    char wanted[BASE_BYTES], has[BASE_BYTES];
    const size_t n = bare(base, wanted);
    struct served *best = NULL;
    size_t least = 0;
    for (struct served *s = m->first; n && s; s = s->next) {
        const size_t length = bare(s->name, has);
        if (s->life.retired || strncmp(has, wanted, n) != 0 || (best && length >= least)) continue;
        best = s;
        least = length;
    }
    return best;
}

int known_model(struct models *m, const struct known *k, struct served **out, struct err *e) {
    struct served *only = NULL, *s = NULL;
    char shown[80];
    int n = 0;
    for (struct served *at = m->first; at; at = at->next)
        if (!at->life.retired) only = at, n++;
    if (k->base) s = models_find(m, slice_of(k->base));
    else if (*k->about.base && n > 1) s = named_like(m, k->about.base);
    if (!s && !k->base && n == 1) s = only;
    *out = s;
    if (s) return 0;
    if (k->base) return err_set(e, ERR_NOT_FOUND, "the adapter %s is for the model \"%s\", which there is not", k->name, err_quote(shown, sizeof shown, k->base, strlen(k->base)));
    if (*k->about.base)
        return err_set(e, ERR_NOT_FOUND, "the adapter %s was trained on \"%s\", and no model here has such a name; ask for MODEL:%s", k->name,
                       err_quote(shown, sizeof shown, k->about.base, strlen(k->about.base)), k->name);
    return err_set(e, ERR_USAGE, "the adapter %s does not say for which of the models it is; ask for MODEL:%s", k->name, k->name);
}

/* ---- using ---- */

struct fitted *fitted_find(const struct served *s, struct slice name) {
    struct fitted *f = s->fitted;
    while (f && (f->life.retired || !slice_is(name, f->name))) f = f->next;
    return f;
}

static struct fitted *fitted_new(struct models *m, struct served *s, const struct known *k) {
    struct fitted *f = mem_calloc(1, sizeof *f);
    if (!f) return NULL;
    f->model = s;
    f->life.keep_s = k->from_folder ? m->o.keep_s : (double)INFINITY;
    f->name = mem_strndup(k->name, strlen(k->name));
    f->path = mem_strndup(k->path, strlen(k->path));
    if (f->name && f->path) {
        f->next = s->fitted;
        return s->fitted = f;
    }
    fitted_free(f);
    return NULL;
}

/* Locked. Retires an adapter whose files are others by now. They are looked at without the lock. */
static void look_again(struct models *m, struct fitted *f) {
    f->life.users++;
    (void)pthread_mutex_unlock(&m->lock);
    const uint64_t now = stamp_of_adapter(f->path);
    (void)pthread_mutex_lock(&m->lock);
    if (now && now != f->stamp && !f->life.retired) {
        log_info("the adapter %s has changed on disk: it is opened anew", f->name);
        f->life.retired = true;
    }
    life_leave(m, &f->life);
}

int known_use(struct models *m, struct served *s, struct slice name, struct fitted **out, struct err *e) {
    char shown[80];
    bool opener;
    struct fitted *f = fitted_find(s, name);
    if (f && f->life.state == SERVED_OPEN) look_again(m, f);
    const struct known *k = known_find(m, name); /* it may have gone while the model was opened */
    if (!k) return err_set(e, ERR_NOT_FOUND, "there is no adapter named \"%s\" any more", err_quote(shown, sizeof shown, name.p, name.n));
    const uint64_t bytes = k->about.bytes;
    f = fitted_find(s, name);
    if (!f && !(f = fitted_new(m, s, k))) return err_nomem(e, "an adapter", sizeof *f);
    int code = life_enter(m, &f->life, &opener, e);
    if (code == 0 && opener) code = life_opened(m, &f->life, fitted_open(m, f, bytes, e), e);
    if (code) return code;
    f->life.last_used = os_now();
    *out = f;
    return 0;
}

int models_adapt(struct models *m, struct served *s, int id, struct fitted **f, struct err *e) {
    struct err why;
    *f = NULL;
    (void)pthread_mutex_lock(&m->lock);
    const struct known *k = m->adapters;
    while (k && k->id != id) k = k->next;
    char *name = k ? mem_strndup(k->name, strlen(k->name)) : NULL; /* it may go meanwhile */
    int code = name ? known_use(m, s, slice_of(name), f, &why) : k ? err_nomem(&why, "an adapter's name", 1) : err_set(&why, ERR_NOT_FOUND, "there is no adapter number %d; GET /lora-adapters lists them", id);
    (void)pthread_mutex_unlock(&m->lock);
    mem_free(name);
    return code ? err_set(e, code, "%s", why.msg) : 0;
}

void models_each_adapter(struct models *m, void (*fn)(void *ctx, const struct adapter_view *a), void *ctx) {
    struct err ignored;
    (void)pthread_mutex_lock(&m->lock);
    for (const struct known *k = m->adapters; k; k = k->next) {
        struct served *base = NULL;
        bool open = false;
        for (struct served *s = m->first; s; s = s->next) {
            const struct fitted *f = s->life.retired ? NULL : fitted_find(s, slice_of(k->name));
            if (!f || f->life.state != SERVED_OPEN) continue;
            open = true;
            fn(ctx, &(struct adapter_view){k->name, k->path, k->id, s, f});
        }
        if (open) continue;
        (void)known_model(m, k, &base, &ignored);
        fn(ctx, &(struct adapter_view){k->name, k->path, k->id, base, NULL});
    }
    (void)pthread_mutex_unlock(&m->lock);
}

/* ---- loading and unloading ---- */

static bool is_inside(const char *path, const char *folder) {
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1];
}

static bool has_step_up(const char *path) {
    for (const char *p = path; (p = strstr(p, "..")); p += 2)
        if ((p == path || p[-1] == '/') && (p[2] == '/' || !p[2])) return true;
    return false;
}

/* Where a client's path leads, in the first folder in which there is something. Whether anything lies elsewhere is not told. */
static int find_inside(const struct models *m, const char *path, char **real, struct err *e) {
    char shown[100];
    const char *why = "leads out of the folders for adapters";
    struct err ignored;
    (void)err_quote(shown, sizeof shown, path, strlen(path));
    *real = NULL;
    if (!m->adapter_folders) return err_set(e, ERR_USAGE, "lora_path: adapters are loaded from the folders of --adapters-dir, and none was given");
    if (has_step_up(path)) return err_set(e, ERR_USAGE, "lora_path: \"%s\" %s", shown, why);
    bool within = *path != '/';
    for (const struct folder *f = m->adapter_folders; f; f = f->next) {
        struct buf whole = {.limit = 2 * PATH_MAX_BYTES};
        if (*path == '/' && !is_inside(path, f->path)) continue;
        within = true;
        if (!(*path == '/' ? buf_str(&whole, path) : buf_printf(&whole, "%s/%s", f->path, path))) {
            buf_free(&whole);
            return err_nomem(e, "a path", strlen(path));
        }
        const int code = os_real_path(whole.data, real, &ignored);
        buf_free(&whole);
        if (code == ERR_MEMORY) return err_nomem(e, "a path", strlen(path));
        if (code) continue;
        if (is_inside(*real, f->path)) return 0;
        mem_free(*real), *real = NULL;
        return err_set(e, ERR_USAGE, "lora_path: \"%s\" %s", shown, why);
    }
    return within ? err_set(e, ERR_NOT_FOUND, "lora_path: there is nothing named \"%s\" in the folders for adapters", shown) : err_set(e, ERR_USAGE, "lora_path: \"%s\" %s", shown, why);
}

static int check_words(struct slice name, struct slice path, struct err *e) {
    if (!name.n || !path.n) return err_set(e, ERR_USAGE, "%s: Both 'lora_name' and 'lora_path' must be provided.", name.n ? "lora_path" : "lora_name");
    if (name.n > NAME_MAX_BYTES) return err_set(e, ERR_USAGE, "lora_name: %zu bytes; there may be %d", name.n, NAME_MAX_BYTES);
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f) return err_set(e, ERR_USAGE, "lora_name: a control character is in it");
    if (path.n > PATH_MAX_BYTES || memchr(path.p, 0, path.n)) return err_set(e, ERR_USAGE, "lora_path: this is no path");
    return 0;
}

/* Takes k over. */
static int announce(struct models *m, struct known *k, bool replace, struct err *e) {
    int code = 0;
    (void)pthread_mutex_lock(&m->lock);
    struct known *old = known_find(m, slice_of(k->name));
    if (models_find(m, slice_of(k->name))) code = err_set(e, ERR_USAGE, "lora_name: a model is named %s", k->name);
    else if (old && !replace) code = err_set(e, ERR_USAGE, "lora_name: The lora adapter '%s' has already been loaded. If you want to load the adapter in place, set 'load_inplace' to True.", k->name);
    if (code == 0 && old) take_out(m, old);
    if (code == 0) put_in(m, k);
    (void)pthread_mutex_unlock(&m->lock);
    if (code) known_free(k);
    return code;
}

int models_load(struct models *m, struct slice name, struct slice path, struct slice base, bool replace, struct err *e) {
    char *asked, *real;
    struct served *s;
    struct fitted *f;
    struct err ignored;
    int code = check_words(name, path, e);
    if (code) return code;
    if (!(asked = mem_strndup(path.p, path.n))) return err_nomem(e, "a path", path.n);
    code = find_inside(m, asked, &real, e);
    mem_free(asked);
    if (code) return code;
    struct known *k = known_new(name, real, base);
    mem_free(real);
    if (!k) return err_nomem(e, "an adapter", sizeof *k);
    if ((code = describe(k, e))) {
        known_free(k);
        return code;
    }
    if ((code = announce(m, k, replace, e))) return code;
    if ((code = models_use_fitted(m, name, &s, &f, e))) {
        (void)models_unload(m, name, &ignored);
        return code;
    }
    fitted_done(f);
    models_done(s);
    return 0;
}

int models_unload(struct models *m, struct slice name, struct err *e) {
    char shown[80];
    (void)pthread_mutex_lock(&m->lock);
    struct known *k = known_find(m, name);
    if (k) take_out(m, k);
    (void)pthread_mutex_unlock(&m->lock);
    return k ? 0 : err_set(e, ERR_NOT_FOUND, "The lora adapter '%s' cannot be found.", err_quote(shown, sizeof shown, name.p, name.n));
}
