/* test_thread.c: the worker pool. What workers share is plain memory, so that under the thread sanitizer a missing order
 * between them is an error even when the numbers come out right. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/thread.h"

enum { MOST = 6 };

static struct pool *new_pool(int threads) {
    struct pool *p;
    struct err e = {0};
    if (pool_new(&p, threads, &e)) fail_msg("%s", e.msg);
    assert_int_equal(pool_threads(p), threads);
    return p;
}

struct calls {
    int count[MOST], workers;
    pthread_t thread[MOST];
};

static void count_call(void *ctx, int worker, int workers) {
    struct calls *c = ctx;
    c->count[worker]++;
    c->thread[worker] = pthread_self();
    if (worker == 0) c->workers = workers;
}

static void every_worker_is_called_once(void **state) {
    (void)state;
    for (int n = 1; n <= MOST; n++) {
        struct pool *p = new_pool(n);
        struct calls c = {0};
        for (int run = 1; run <= 300; run++) {
            pool_run(p, count_call, &c);
            for (int i = 0; i < MOST; i++) assert_int_equal(c.count[i], i < n ? run : 0);
            assert_int_equal(c.workers, n);
        }
        assert_true(pthread_equal(c.thread[0], pthread_self())); /* the caller is worker 0 */
        for (int i = 0; i < n; i++)
            for (int k = 0; k < i; k++) assert_false(pthread_equal(c.thread[i], c.thread[k]));
        pool_free(p);
    }
}

struct phases {
    struct pool *pool;
    int at[MOST], rounds, wrong[MOST];
    bool sleepy;
};

static void nap(void) { (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL); }

/* Each writes its own number, waits for the others, and must see theirs; then waits again before writing the next. */
static void meet(void *ctx, int worker, int workers) {
    struct phases *f = ctx;
    for (int round = 1; round <= f->rounds; round++) {
        if (f->sleepy && round % workers == worker) nap(); /* long enough for the others to fall asleep */
        f->at[worker] = round;
        pool_barrier(f->pool, NULL, NULL);
        for (int i = 0; i < workers; i++) f->wrong[worker] += f->at[i] != round;
        pool_barrier(f->pool, NULL, NULL);
    }
}

static void barriers(void **state) {
    (void)state;
    for (int n = 1; n <= MOST; n++)
        for (int sleepy = 0; sleepy < 2; sleepy++) {
            struct pool *p = new_pool(n);
            struct phases f = {.pool = p, .rounds = sleepy ? 30 : 300, .sleepy = sleepy};
            for (int run = 0; run < 3; run++) {
                pool_run(p, meet, &f);
                for (int i = 0; i < n; i++) assert_true(f.wrong[i] == 0 && f.at[i] == f.rounds);
            }
            pool_free(p);
        }
}

/* What those that wait do meanwhile: the last to arrive does so only when all others have done it often enough. */
struct idlers {
    struct pool *pool;
    int least; /* times */
    atomic_int done[MOST], ready;
};
struct idler {
    struct idlers *all;
    int worker;
};

static bool do_something(void *ctx) {
    struct idler *i = ctx;
    const int times = atomic_fetch_add(&i->all->done[i->worker], 1) + 1;
    if (times == i->all->least) atomic_fetch_add(&i->all->ready, 1);
    return times < 2 * i->all->least; /* then it has done enough, and waits like others */
}

static void idle(void *ctx, int worker, int workers) {
    struct idlers *all = ctx;
    struct idler mine = {all, worker};
    while (worker == 0 && atomic_load(&all->ready) < workers - 1) (void)sched_yield();
    pool_barrier(all->pool, do_something, &mine);
}

static void who_waits_does_something(void **state) {
    (void)state;
    for (int n = 1; n <= MOST; n++) {
        struct pool *p = new_pool(n);
        for (int least = 1; least < 2000; least *= 11) {
            struct idlers all = {.pool = p, .least = least};
            pool_run(p, idle, &all);
            for (int w = 1; w < n; w++) assert_in_range(atomic_load(&all.done[w]), least, 2 * least);
            assert_int_equal(atomic_load(&all.done[0]), 0); /* nobody is left to wait for */
        }
        pool_free(p);
    }
}

struct sums {
    const int *in;
    int64_t part[MOST];
};

static void add_part(void *ctx, int worker, int workers) {
    struct sums *s = ctx;
    s->part[worker] = 0;
    for (int i = worker; i < 1000; i += workers) s->part[worker] += s->in[i];
}

/* What the caller writes before a run is seen in it, and what the run writes is seen by the caller; also after pauses in which all
 * workers have gone to sleep. */
static void runs_see_the_caller_and_back(void **state) {
    (void)state;
    struct pool *p = new_pool(4);
    static int in[1000];
    for (int run = 0; run < 500; run++) {
        struct sums s = {.in = in};
        for (int i = 0; i < 1000; i++) in[i] = i * run;
        if (run % 50 == 0) nap();
        pool_run(p, add_part, &s);
        assert_int_equal(s.part[0] + s.part[1] + s.part[2] + s.part[3], 499500 * (int64_t)run);
    }
    pool_free(p);
}

struct seen {
    struct cpus on[MOST];
};

static void look(void *ctx, int worker, int workers) {
    struct seen *s = ctx;
    (void)workers;
    os_thread_cpus(&s->on[worker]);
}

static bool same_cpus(const struct cpus *a, const struct cpus *b) { return a->n == b->n && memcmp(a->id, b->id, (size_t)a->n * sizeof *a->id) == 0; }

/* Each worker on a processor of its own where there are as many, else all on all; afterwards the caller is as free as before. */
static void bound(void **state) {
    (void)state;
    static struct cpus all, after, few;
    static struct seen seen;
    os_thread_cpus(&all);
    if (all.n < 1) {
        printf("SKIPPED: this system does not say what a thread may run on\n");
        skip();
    }
    for (int n = 1; n <= MOST; n++) {
        struct pool *p = new_pool(n);
        struct err e = {0};
        if (pool_bind(p, &all, &e)) fail_msg("%s", e.msg);
        pool_run(p, look, &seen);
        for (int i = 0; i < n; i++) {
            if (all.n != n) assert_true(same_cpus(&seen.on[i], &all));
            else assert_true(seen.on[i].n == 1 && seen.on[i].id[0] == all.id[i]);
        }
        few = (struct cpus){1, {all.id[all.n - 1]}}; /* and again, otherwise */
        assert_int_equal(pool_bind(p, &few, &e), 0);
        pool_run(p, look, &seen);
        for (int i = 0; i < n; i++) assert_true(same_cpus(&seen.on[i], &few));
        struct phases f = {.pool = p, .rounds = 10}; /* all on one processor: waiting must let the others through */
        pool_run(p, meet, &f);
        for (int i = 0; i < n; i++) assert_true(f.wrong[i] == 0 && f.at[i] == f.rounds);
        pool_free(p);
        os_thread_cpus(&after);
        assert_true(same_cpus(&after, &all));
    }
}

static void bound_to_what_is_not_there(void **state) {
    (void)state;
    static struct cpus none, absent = {1, {CPUS_MAX - 1}}, negative = {1, {-1}}, beyond = {1, {1 << 20}};
    struct pool *p = new_pool(2);
    struct err e = {0};
    assert_int_equal(pool_bind(p, &none, &e), ERR_USAGE);
    assert_int_equal(pool_bind(p, &absent, &e), ERR_USAGE);
    assert_int_equal(pool_bind(p, &negative, &e), ERR_USAGE);
    assert_int_equal(pool_bind(p, &beyond, &e), ERR_USAGE);
    struct calls c = {0};
    pool_run(p, count_call, &c); /* still of use */
    assert_true(c.count[0] == 1 && c.count[1] == 1);
    pool_free(p);
}

static void two_pools(void **state) {
    (void)state;
    struct pool *a = new_pool(2), *b = new_pool(3);
    struct calls ca = {0}, cb = {0};
    for (int run = 0; run < 200; run++) {
        pool_run(a, count_call, &ca);
        pool_run(b, count_call, &cb);
    }
    assert_true(ca.count[1] == 200 && cb.count[2] == 200);
    pool_free(b);
    pool_run(a, count_call, &ca);
    assert_int_equal(ca.count[1], 201);
    pool_free(a);
}

static void born_and_gone(void **state) {
    (void)state;
    int64_t before = mem_live();
    for (int i = 0; i < 200; i++) {
        struct pool *p = new_pool(1 + i % MOST);
        struct calls c = {0};
        if (i % 2) pool_run(p, count_call, &c); /* freed while the workers are on their way out of the last barrier */
        pool_free(p);
    }
    pool_free(NULL);
    assert_int_equal(mem_live(), before);
}

static void wrong_numbers(void **state) {
    (void)state;
    struct pool *p = (struct pool *)state;
    struct err e = {0};
    assert_int_equal(pool_new(&p, 0, &e), ERR_USAGE);
    assert_null(p);
    assert_int_equal(pool_new(&p, -3, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "-3"));
}

static void out_of_memory(void **state) {
    (void)state;
    int64_t before = mem_live();
    int failures = 0;
    for (int64_t n = 1;; n++, failures++) {
        struct pool *p;
        struct err e = {0};
        mem_fail_after(n);
        int code = pool_new(&p, 3, &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        pool_free(p);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
        assert_null(p);
    }
    assert_true(failures >= 2);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* With little address space left, some of the threads can be started and some not: the pool must undo itself. */
static void threads_that_cannot_start(void **state) {
    (void)state;
#ifdef SANITIZED
    printf("SKIPPED: sanitizers need the address space\n");
    skip();
#else
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        unsigned long pages = 0;
        FILE *f = fopen("/proc/self/statm", "r");
        if (!f || fscanf(f, "%lu", &pages) != 1) _exit(2);
        (void)fclose(f);
        rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (100u << 20);
        struct rlimit got = {0}; /* emulators accept the limit and forget it */
        if (setrlimit(RLIMIT_AS, &(struct rlimit){most, most}) != 0 || getrlimit(RLIMIT_AS, &got) != 0 || got.rlim_cur != most) _exit(2);
        struct pool *p;
        struct err e = {0};
        int64_t before = mem_live();
        int code = pool_new(&p, 200, &e); /* 200 stacks of 8 MB */
        _exit(code == ERR_MEMORY && !p && strstr(e.msg, "of 200") && mem_live() == before ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        printf("SKIPPED: the address space cannot be limited here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_worker_is_called_once),
        cmocka_unit_test(barriers), cmocka_unit_test(who_waits_does_something),
        cmocka_unit_test(runs_see_the_caller_and_back),
        cmocka_unit_test(bound),
        cmocka_unit_test(bound_to_what_is_not_there),
        cmocka_unit_test(two_pools),
        cmocka_unit_test(born_and_gone),
        cmocka_unit_test(wrong_numbers),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(threads_that_cannot_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
