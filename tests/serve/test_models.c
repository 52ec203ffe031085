/* test_models.c: models and adapters by name: many threads that open, use and close the same few; what goes on while something is being opened or closed; files that are
 * broken, change and go; closing by memory and by age; and every allocation failing once. The thread sanitizer's build runs this too. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/os.h"
#include "model/embedded.h"
#include "serve/models_internal.h"
#include "support/lora.h"

#define OK(call)                                           \
    do {                                                   \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

enum { FILES = 3, CACHE = 1 << 20, N_CTX = 256, THREADS = 8, ROUNDS = 12 };

static char folder[] = "/tmp/hearth-test-models-XXXXXX", adapters[80];
static struct pool *pool;
static struct scheduler *scheduler;

static const char *in(const char *name) {
    static _Thread_local char path[4][120];
    static _Thread_local int turn;
    char *p = path[turn++ % 4];
    (void)snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void put(const char *name, const void *bytes, size_t n) {
    struct err e = {0};
    OK(os_write_file(in(name), bytes, n, &e));
}

static void put_model(const char *name) { put(name, hearth_embedded_model, embedded_model_size()); }

static struct models *open_models(uint64_t memory, double keep_s) {
    struct err e = {0};
    struct models *m;
    OK(models_new(&m, &(struct models_options){scheduler, pool, {.n_ctx = N_CTX, .max_rows = 32, .cache_bytes = CACHE}, memory, keep_s, NULL}, &e));
    return m;
}

static struct served *use(struct models *m, const char *name) {
    struct err e = {0};
    struct served *s;
    OK(models_use(m, slice_of(name), &s, &e));
    assert_non_null(s->engine);
    assert_non_null(s->tokenizer);
    return s;
}

/* ---- looking ---- */

struct seen {
    struct models *m;
    const char *name;
    enum served_state state;
    bool there, caches;
    int open, n;
    uint64_t weights, buffers, cache;
    double expiry;
};

static void see(void *ctx, const struct served *s) {
    struct seen *w = ctx;
    w->n++;
    w->open += s->life.state == SERVED_OPEN;
    if (w->caches && s->life.state == SERVED_OPEN) w->cache += engine_cache(s->engine).limit; /* on the scheduler's thread */
    if (!w->name || strcmp(w->name, s->name) != 0) return;
    w->there = true;
    w->state = s->life.state;
    w->weights = s->weights, w->buffers = s->buffers;
    w->expiry = models_expiry(&s->life);
}

static struct seen look(struct models *m, const char *name) {
    struct seen w = {.name = name};
    models_each(m, see, &w);
    return w;
}

/* Something that the keeper does: it comes, sooner or later. */
static void comes_to(struct models *m, const char *name, enum served_state state) {
    while (look(m, name).state != state) (void)usleep(1000);
}

/* ---- many threads ---- */

struct crowd {
    struct models *m;
    const char *const *names;
    int n;
    int code; /* that is expected */
    atomic_int turn, failed;
};

static void *of_crowd(void *ctx) {
    struct crowd *c = ctx;
    const int first = atomic_fetch_add(&c->turn, 1);
    for (int i = first; i < first + ROUNDS; i++) {
        struct err e = {0};
        struct served *s;
        const char *name = c->names[i % c->n];
        const int code = models_use(c->m, slice_of(name), &s, &e);
        bool good = code == c->code;
        if (good && code == 0) {
            good = strcmp(s->name, name) == 0 && engine_model(s->engine) == s->model;
            models_done(s);
        } else if (good) {
            good = e.code == code && strstr(e.msg, name);
        }
        if (!good) atomic_fetch_add(&c->failed, 1);
    }
    return NULL;
}

static void run_crowd(struct models *m, const char *const *names, int n, int code) {
    struct crowd c = {.m = m, .names = names, .n = n, .code = code};
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&t[i], NULL, of_crowd, &c), 0);
    for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
    assert_int_equal(c.failed, 0);
}

static const char *const abc[FILES] = {"a", "b", "c"};

static void a_crowd(void **state) {
    (void)state;
    const double keeps[] = {(double)INFINITY, 0, 0.001};
    struct err e = {0};
    for (int i = 0; i < 3; i++) {
        const int64_t before = mem_live();
        struct models *m = open_models(0, keeps[i]);
        OK(models_add_folder(m, folder, &e));
        run_crowd(m, abc, FILES, 0);
        if (i == 0) assert_int_equal(look(m, NULL).open, FILES);
        for (int k = 0; i && k < FILES; k++) comes_to(m, abc[k], SERVED_CLOSED);
        models_free(m);
        assert_int_equal(mem_live(), before);
    }
}

/* Room for two of three: they take turns, and nobody is refused for longer than others use what there is. */
static void a_crowd_in_little_room(void **state) {
    (void)state;
    struct err e = {0};
    struct models *m = open_models(0, (double)INFINITY);
    OK(models_add_folder(m, folder, &e));
    models_done(use(m, "a"));
    struct seen a = look(m, "a");
    assert_true(a.weights == embedded_model_size() && a.buffers > 0);
    models_free(m);
    m = open_models((a.weights + a.buffers) * 5 / 2, (double)INFINITY);
    OK(models_add_folder(m, folder, &e));
    run_crowd(m, abc, 2, 0);
    struct served *s[2] = {use(m, "a"), use(m, "b")}, *none;
    assert_int_equal(models_use(m, slice_of("c"), &none, &e), ERR_MEMORY);
    assert_null(none);
    if (!strstr(e.msg, "c needs ") || !strstr(e.msg, "others use")) fail_msg("%s", e.msg);
    assert_int_equal(look(m, "c").state, SERVED_CLOSED);
    models_done(s[0]);
    models_done(use(m, "c")); /* in place of a */
    assert_int_equal(look(m, "a").state, SERVED_CLOSED);
    assert_int_equal(look(m, "b").state, SERVED_OPEN);
    models_done(s[1]);
    models_done(use(m, "a")); /* c was used longer ago than b */
    assert_int_equal(look(m, "c").state, SERVED_CLOSED);
    models_free(m);
    m = open_models(a.weights - 1, (double)INFINITY);
    OK(models_add(m, in("a.gguf"), &e));
    assert_int_equal(models_open_added(m, &e), ERR_MEMORY);
    if (!strstr(e.msg, "models may take")) fail_msg("%s", e.msg);
    models_free(m);
    /* those that are to stay go last */
    m = open_models((a.weights + a.buffers) * 5 / 2, 1e9);
    OK(models_add(m, in("b.gguf"), &e));
    OK(models_open_added(m, &e));
    OK(models_add_folder(m, folder, &e));
    models_done(use(m, "a"));
    models_done(use(m, "c"));
    assert_int_equal(look(m, "a").state, SERVED_CLOSED);
    assert_int_equal(look(m, "b").state, SERVED_OPEN);
    assert_true(isinf(look(m, "b").expiry) && look(m, "c").expiry < 1e10);
    models_free(m);
}

static int see_cache(void *ctx, struct err *e) {
    struct seen *w = ctx;
    (void)e;
    models_each(w->m, see, w);
    return 0;
}

/* What prompts that may come again take is for all models together. */
static void the_cache_is_divided(void **state) {
    (void)state;
    struct err e = {0};
    struct models *m = open_models(0, (double)INFINITY);
    OK(models_add_folder(m, folder, &e));
    for (int n = 1; n <= FILES; n++) {
        models_done(use(m, abc[n - 1]));
        struct seen w;
        do {
            w = (struct seen){.m = m, .caches = true};
            OK(scheduler_call(scheduler, see_cache, &w, &e));
        } while (w.cache > CACHE + FILES);
        assert_true(w.open == n && w.cache >= CACHE - FILES);
    }
    models_free(m);
}

static void broken_files(void **state) {
    (void)state;
    struct err e = {0};
    struct served *s;
    const int64_t before = mem_live();
    put("broken.gguf", "It is no model at all, this file.", 33);
    struct models *m = open_models(0, (double)INFINITY);
    OK(models_add_folder(m, folder, &e));
    run_crowd(m, (const char *const[]){"broken"}, 1, ERR_FORMAT);
    put_model("broken.gguf");
    run_crowd(m, (const char *const[]){"broken"}, 1, 0); /* it is looked at again */
    (void)unlink(in("broken.gguf"));
    models_done(use(m, "broken")); /* it is open */
    models_reload(m);
    assert_false(look(m, "broken").there);
    assert_int_equal(models_use(m, slice_of("broken"), &s, &e), ERR_NOT_FOUND);
    models_free(m);
    assert_int_equal(mem_live(), before);
}

static void files_that_change(void **state) {
    (void)state;
    struct err e = {0};
    const int64_t before = mem_live();
    put_model("new.gguf");
    struct models *m = open_models(0, (double)INFINITY);
    OK(models_add_folder(m, folder, &e));
    struct served *old = use(m, "new"), *same = use(m, "new");
    assert_ptr_equal(old, same);
    put_model("new.gguf"); /* another file, though the bytes are the same */
    struct served *young = use(m, "new");
    assert_ptr_not_equal(young, old);
    assert_int_equal(look(m, NULL).n, FILES + 1);
    models_done(same);
    assert_non_null(engine_model(old->engine)->file); /* who used the old one keeps it */
    models_done(old);
    models_done(young);
    put_model("later.gguf");
    assert_false(look(m, "later").there);
    put_model("new.gguf");
    models_reload(m);
    assert_true(look(m, "later").there && look(m, "new").there);
    assert_int_equal(look(m, "new").state, SERVED_CLOSED);
    models_done(use(m, "later"));
    (void)unlink(in("new.gguf")), (void)unlink(in("later.gguf"));
    models_free(m);
    assert_int_equal(mem_live(), before);
}

/* ---- while something takes long ---- */

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool inside, open, done;
    struct models *m;
};

static int hold(void *ctx, struct err *e) {
    struct gate *g = ctx;
    (void)e;
    (void)pthread_mutex_lock(&g->lock);
    g->inside = true;
    (void)pthread_cond_broadcast(&g->changed);
    while (!g->open) (void)pthread_cond_wait(&g->changed, &g->lock);
    (void)pthread_mutex_unlock(&g->lock);
    return 0;
}

static void *hold_scheduler(void *ctx) {
    struct err e;
    (void)scheduler_call(scheduler, hold, ctx, &e);
    return NULL;
}

static void *use_a(void *ctx) {
    struct gate *g = ctx;
    models_done(use(g->m, "a"));
    (void)pthread_mutex_lock(&g->lock);
    g->done = true;
    (void)pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* Until the keeper has no more to ask of the scheduler. */
static void settled(struct models *m) {
    for (bool done = false; !done; (void)usleep(1000)) {
        (void)pthread_mutex_lock(&m->lock);
        done = m->changes == m->divided;
        (void)pthread_mutex_unlock(&m->lock);
    }
}

/* The scheduler's thread is held, so that closing a cannot go on. Who wants a waits; others open and use theirs. */
static void others_go_on(void **state) {
    (void)state;
    struct err e = {0};
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t holder, waiter;
    struct models *m = g.m = open_models(0, (double)INFINITY);
    OK(models_add_folder(m, folder, &e));
    models_done(use(m, "b"));
    struct served *a = use(m, "a");
    settled(m);
    assert_int_equal(pthread_create(&holder, NULL, hold_scheduler, &g), 0);
    (void)pthread_mutex_lock(&g.lock);
    while (!g.inside) (void)pthread_cond_wait(&g.changed, &g.lock);
    (void)pthread_mutex_unlock(&g.lock);
    models_keep(a, 0);
    models_done(a);
    comes_to(m, "a", SERVED_CLOSING);
    assert_int_equal(pthread_create(&waiter, NULL, use_a, &g), 0);
    for (int i = 0; i < 20; i++) models_done(use(m, i % 2 ? "b" : "c"));
    assert_true(models_ready(m, SLICE("b")) && !models_ready(m, SLICE("a")));
    (void)pthread_mutex_lock(&g.lock);
    assert_false(g.done);
    g.open = true;
    (void)pthread_cond_broadcast(&g.changed);
    (void)pthread_mutex_unlock(&g.lock);
    (void)pthread_join(holder, NULL);
    (void)pthread_join(waiter, NULL);
    assert_true(g.done);
    comes_to(m, "a", SERVED_OPEN); /* opened anew for who waited: what was asked of it ended when it was closed */
    assert_true(isinf(look(m, "a").expiry) && look(m, "b").expiry > 0);
    models_free(m);
}

/* ---- adapters ---- */

static void *of_adapters(void *ctx) {
    struct crowd *c = ctx;
    const int first = atomic_fetch_add(&c->turn, 1);
    for (int i = first; i < first + ROUNDS; i++) {
        struct err e = {0};
        struct served *s;
        struct fitted *f;
        const char *name = c->names[i % c->n];
        if (models_use_fitted(c->m, slice_of(name), &s, &f, &e) || !f || f->model != s || !f->adapter || adapter_model(f->adapter) != s->model) {
            atomic_fetch_add(&c->failed, 1);
            continue;
        }
        fitted_done(f);
        models_done(s);
    }
    return NULL;
}

static void write_adapter(const char *path, uint64_t seed) {
    struct err e = {0};
    struct gguf *file;
    OK(gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), "ember", &e));
    lora_write(path, file, seed, 4, 0.5f, DT_F16, NULL, 0);
    gguf_close(file);
}

static void adapters_in_a_crowd(void **state) {
    static const char *const names[] = {"a:one", "b:one", "a:two", "b:two", "c:two"};
    (void)state;
    struct err e = {0};
    for (int keep = 0; keep < 2; keep++) {
        const int64_t before = mem_live();
        struct models *m = open_models(0, keep ? (double)INFINITY : 0);
        OK(models_add_folder(m, folder, &e));
        OK(models_add_adapters(m, adapters, &e));
        struct crowd c = {.m = m, .names = names, .n = sizeof names / sizeof *names};
        pthread_t t[THREADS];
        for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&t[i], NULL, of_adapters, &c), 0);
        for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
        assert_int_equal(c.failed, 0);
        models_free(m);
        assert_int_equal(mem_live(), before);
    }
}

static void count_open(void *ctx, const struct adapter_view *a) {
    struct seen *w = ctx;
    w->n++;
    w->open += a->open != NULL;
    if (a->open) w->weights += a->open->bytes;
}

static struct seen look_adapters(struct models *m) {
    struct seen w = {0};
    models_each_adapter(m, count_open, &w);
    return w;
}

static void adapters_come_and_go(void **state) {
    (void)state;
    struct err e = {0};
    struct served *s;
    struct fitted *f, *again;
    const int64_t before = mem_live();
    struct models *m = open_models(0, (double)INFINITY);
    OK(models_add(m, NULL, &e));
    OK(models_add_adapters(m, adapters, &e));
    assert_int_equal(look_adapters(m).n, 2);
    OK(models_use_fitted(m, SLICE("one"), &s, &f, &e));
    assert_string_equal(s->name, "ember");
    assert_true(look_adapters(m).open == 1 && look_adapters(m).weights > 1000);
    OK(models_unload(m, SLICE("one"), &e));
    assert_int_equal(models_use_fitted(m, SLICE("one"), &s, &again, &e), ERR_NOT_FOUND);
    assert_null(again);
    assert_non_null(adapter_path(f->adapter)); /* who uses it keeps it */
    OK(models_load(m, SLICE("one"), SLICE("one.gguf"), (struct slice){0}, false, &e)); /* the same file once more, beside the old */
    OK(models_use_fitted(m, SLICE("ember:one"), &s, &again, &e));
    assert_ptr_not_equal(f, again);
    assert_int_not_equal(f->id, again->id);
    fitted_done(f), models_done(s);
    fitted_done(again), models_done(s);
    assert_int_equal(models_use(m, SLICE("one"), &s, &e), ERR_UNSUPPORTED);
    assert_int_equal(models_load(m, SLICE("x"), SLICE("../a.gguf"), (struct slice){0}, false, &e), ERR_USAGE);
    assert_int_equal(models_load(m, SLICE("x"), SLICE("none"), (struct slice){0}, false, &e), ERR_NOT_FOUND);
    assert_int_equal(models_load(m, SLICE("ember"), SLICE("two.gguf"), (struct slice){0}, false, &e), ERR_USAGE);
    models_free(m);
    assert_int_equal(mem_live(), before);
}

/* ---- memory ---- */

static int short_life(struct err *e) {
    struct models *m = NULL;
    struct served *s;
    struct fitted *f;
    int code = models_new(&m, &(struct models_options){scheduler, pool, {.n_ctx = N_CTX, .max_rows = 32, .cache_bytes = CACHE}, 0, 0, NULL}, e);
    if (code == 0) code = models_add(m, NULL, e);
    if (code == 0) code = models_add_folder(m, folder, e);
    if (code == 0) code = models_add_adapters(m, adapters, e);
    if (code == 0) code = models_load(m, SLICE("three"), SLICE("two.gguf"), SLICE("ember"), false, e);
    if (code == 0 && (code = models_use_fitted(m, SLICE("a:one"), &s, &f, e)) == 0) {
        fitted_done(f);
        models_done(s);
    }
    if (code == 0) models_reload(m);
    models_free(m);
    return code;
}

static void out_of_memory(void **state) {
    (void)state;
    const int64_t before = mem_live();
    for (int64_t n = 1;; n++) {
        struct err e = {0};
        mem_fail_after(n);
        const int code = short_life(&e);
        const bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(mem_live(), before);
        if (code && (code != ERR_MEMORY || !strstr(e.msg, "memory"))) fail_msg("allocation %d: %d \"%s\"", (int)n, code, e.msg);
        if (code) continue;
        if (!failed) {
            assert_true(n > 100);
            break;
        }
    }
}

static int begin(void **state) {
    struct err e = {0};
    (void)state;
    log_set_level(LOG_ERROR); /* what goes wrong here does so on purpose */
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(adapters, sizeof adapters, "%s.adapters", folder);
    if (pool_new(&pool, 1, &e) || scheduler_new(&scheduler, (struct scheduler_options){0}, &e)) return -1;
    for (int i = 0; i < FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%s.gguf", abc[i]);
        put_model(name);
    }
    char command[100]; /* one folder beside the other */
    (void)snprintf(command, sizeof command, "mkdir %s", adapters);
    if (system(command)) return -1;
    char path[120];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s.gguf", adapters, i ? "two" : "one");
        write_adapter(path, (uint64_t)i);
    }
    return 0;
}

static int end(void **state) {
    char command[220];
    (void)state;
    scheduler_free(scheduler);
    pool_free(pool);
    (void)snprintf(command, sizeof command, "rm -r %s %s", folder, adapters);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd), cmocka_unit_test(a_crowd_in_little_room), cmocka_unit_test(the_cache_is_divided), cmocka_unit_test(broken_files), cmocka_unit_test(files_that_change), cmocka_unit_test(others_go_on),
        cmocka_unit_test(adapters_in_a_crowd), cmocka_unit_test(adapters_come_and_go), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
