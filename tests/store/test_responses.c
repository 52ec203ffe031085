/* test_responses.c: answers kept and read back by whom they belong to, continued, removed, grown old, grown too many, by many threads, with failing allocations. With
 * "write PATH FIRST" it is the program that test_responses_kill.py kills. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/os.h"
#include "ledger_rig.h"
#include "store/responses.h"
#include "support/light.h"

static const struct responses_limits wide = {.age_s = 1000, .bytes = 1 << 30};

static struct responses *open_store(const char *path, struct responses_limits limits) {
    struct responses *r;
    struct err e = {0};
    if (responses_open(&r, path, limits, &e)) fail_msg("%s", e.msg);
    return r;
}

/* Answer i of a client, which continues answer `previous` (negative: none); its texts say which it is. */
struct made {
    char id[32], previous[32], object[64], input[64];
    struct response_row row;
};
static struct response_row *make(struct made *m, const char *client, int i, int previous) {
    (void)snprintf(m->id, sizeof m->id, "resp_%d", i);
    m->previous[0] = 0;
    if (previous >= 0) (void)snprintf(m->previous, sizeof m->previous, "resp_%d", previous);
    (void)snprintf(m->object, sizeof m->object, "{\"object\": %d}", i);
    (void)snprintf(m->input, sizeof m->input, "[\"input\", %d]", i);
    m->row = (struct response_row){slice_of(m->id), slice_of(client), slice_of(m->previous), os_wall_seconds(), slice_of(m->object), slice_of(m->input)};
    return &m->row;
}

static void put(struct responses *r, const char *client, int i, int previous) {
    struct made m;
    struct err e = {0};
    if (responses_write(r, make(&m, client, i, previous), &e)) fail_msg("%s", e.msg);
}

/* What `each` was given: numbers of answers, in order; -1: a text that is not as it was. */
struct heard {
    int n, at[64];
};
static int hear(void *ctx, const struct response_row *row, struct err *e) {
    struct heard *h = ctx;
    struct made m;
    char id[32];
    int i = -1;
    (void)e;
    (void)snprintf(id, sizeof id, "%.*s", (int)row->id.n, row->id.p);
    if (sscanf(id, "resp_%d", &i) != 1) i = -1;
    (void)make(&m, "x", i, -1);
    const bool same = slice_is(row->object, m.object) && slice_is(row->input, m.input);
    if (h->n < 64) h->at[h->n++] = same ? i : -1;
    return 0;
}

static bool has(struct responses *r, const char *client, int i) {
    struct made m;
    struct heard h = {0};
    struct err e = {0};
    const int code = responses_read(r, slice_of(client), make(&m, client, i, -1)->id, hear, &h, &e);
    if (code && code != ERR_NOT_FOUND) fail_msg("%s", e.msg);
    if (code == 0) assert_true(h.n == 1 && h.at[0] == i);
    return code == 0;
}

static int chain(struct responses *r, const char *client, int i, struct heard *h, struct err *e) {
    struct made m;
    *h = (struct heard){0};
    return responses_chain(r, slice_of(client), make(&m, client, i, -1)->id, hear, h, e);
}

static void come_back(void **state) {
    (void)state;
    struct place p;
    struct stat st;
    struct heard h;
    struct err e = {0};
    place_make(&p);
    struct responses *r = open_store(p.path, wide);
    put(r, "a", 1, -1);
    put(r, "a", 2, 1);
    put(r, "a", 3, 2);
    put(r, "a", 4, 2); /* two answers may continue the same one */
    responses_close(r);
    assert_true(stat(p.path, &st) == 0 && (st.st_mode & 0777) == 0600);
    r = open_store(p.path, wide);
    assert_true(has(r, "a", 1) && has(r, "a", 3) && !has(r, "a", 5));
    assert_int_equal(chain(r, "a", 3, &h, &e), 0);
    assert_true(h.n == 3 && h.at[0] == 1 && h.at[1] == 2 && h.at[2] == 3);
    assert_int_equal(chain(r, "a", 4, &h, &e), 0);
    assert_true(h.n == 3 && h.at[2] == 4);
    responses_close(r);
    place_remove(&p);
}

static void own_only(void **state) {
    (void)state;
    struct responses *r = open_store(NULL, wide);
    struct heard h;
    struct made m;
    struct err e = {0};
    put(r, "a", 1, -1);
    put(r, "b", 2, 1); /* names another client's: it continues nothing that this one has */
    assert_true(has(r, "a", 1) && !has(r, "b", 1) && !has(r, "", 1));
    assert_int_equal(chain(r, "b", 2, &h, &e), ERR_NOT_FOUND);
    assert_int_equal(responses_remove(r, slice_of("b"), make(&m, "b", 1, -1)->id, &e), ERR_NOT_FOUND);
    put(r, "b", 1, -1); /* the same id of another is another answer */
    assert_int_equal(responses_remove(r, slice_of("b"), m.row.id, &e), 0);
    assert_true(has(r, "a", 1) && !has(r, "b", 1));
    responses_close(r);
}

static void replaced_and_removed(void **state) {
    (void)state;
    struct place p;
    struct heard h;
    struct made m;
    struct err e = {0};
    struct buf file = {0};
    place_make(&p);
    struct responses *r = open_store(p.path, wide);
    make(&m, "a", 1, -1)->object = slice_of("a word that is to vanish");
    assert_int_equal(responses_write(r, &m.row, &e), 0);
    put(r, "a", 1, -1);
    put(r, "a", 2, 1);
    assert_true(has(r, "a", 1));
    assert_int_equal(responses_remove(r, slice_of("a"), m.row.id, &e), 0);
    assert_int_equal(responses_remove(r, slice_of("a"), m.row.id, &e), ERR_NOT_FOUND);
    assert_int_equal(chain(r, "a", 2, &h, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.msg, "continues"));
    assert_int_equal(h.n, 0);
    assert_true(has(r, "a", 2));
    responses_close(r);
    assert_int_equal(os_read_file(p.path, 1 << 24, &file, &e), 0);
    assert_null(memmem(file.data, file.len, "vanish", 6));
    assert_null(memmem(file.data, file.len, "\"input\", 1]", 11));
    assert_non_null(memmem(file.data, file.len, "\"input\", 2]", 11));
    buf_free(&file);
    place_remove(&p);
}

static void bad_ids(void **state) {
    (void)state;
    struct responses *r = open_store(NULL, wide);
    struct heard h = {0};
    struct err e = {0};
    char longest[400];
    memset(longest, 'x', sizeof longest);
    struct response_row row = {.id = {longest, sizeof longest}, .client = SLICE("a")};
    assert_int_equal(responses_write(r, &row, &e), ERR_USAGE);
    assert_int_equal(responses_chain(r, SLICE("a"), row.id, hear, &h, &e), ERR_NOT_FOUND);
    assert_int_equal(responses_read(r, SLICE("a"), row.id, hear, &h, &e), ERR_NOT_FOUND);
    assert_int_equal(responses_read(r, SLICE("a"), (struct slice){"a\0b", 3}, hear, &h, &e), ERR_NOT_FOUND);
    row.id = (struct slice){0};
    assert_int_equal(responses_write(r, &row, &e), ERR_USAGE);
    row = (struct response_row){.id = SLICE("resp_7"), .client = SLICE("a"), .previous = SLICE("resp_7"), .created_s = os_wall_seconds()}; /* one that continues itself */
    assert_int_equal(responses_write(r, &row, &e), 0);
    assert_int_equal(responses_chain(r, SLICE("a"), row.id, hear, &h, &e), ERR_CONTEXT);
    responses_close(r);
}

/* A conversation stays while it is continued, and then goes as a whole. */
static void age(void **state) {
    (void)state;
    struct responses *r = open_store(NULL, (struct responses_limits){.age_s = 100, .bytes = 1 << 30});
    struct made m;
    struct err e = {0};
    const int64_t now = os_wall_seconds();
    const struct { int i, previous; int64_t ago; } rows[] = {{1, -1, 90}, {2, 1, 80}, {3, -1, 500}, {4, 2, 0}, {5, -1, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make(&m, "a", rows[i].i, rows[i].previous)->created_s = now - rows[i].ago;
        assert_int_equal(responses_write(r, &m.row, &e), 0);
    }
    assert_true(has(r, "a", 1) && has(r, "a", 2) && !has(r, "a", 3) && has(r, "a", 4) && has(r, "a", 5));
    make(&m, "a", 6, -1)->created_s = now - 5000; /* old already when it comes */
    assert_int_equal(responses_write(r, &m.row, &e), 0);
    assert_false(has(r, "a", 6));
    responses_close(r);
}

static void age_before_opening(void **state) {
    (void)state;
    struct place p;
    struct made m;
    struct err e = {0};
    place_make(&p);
    struct responses *r = open_store(p.path, wide);
    make(&m, "a", 1, -1)->created_s -= 500;
    assert_int_equal(responses_write(r, &m.row, &e), 0);
    put(r, "a", 2, -1);
    responses_close(r);
    r = open_store(p.path, (struct responses_limits){.age_s = 100, .bytes = 1 << 30});
    assert_true(!has(r, "a", 1) && has(r, "a", 2));
    responses_close(r);
    place_remove(&p);
}

static void size(void **state) {
    (void)state;
    static char text[10000];
    struct responses *r = open_store(NULL, (struct responses_limits){.age_s = 1000, .bytes = 100000});
    struct made m;
    struct err e = {0};
    memset(text, ' ', sizeof text);
    int there[40], n = 0;
    for (int i = 0; i < 40; i++) {
        make(&m, "a", i, i % 2 ? i - 1 : -1)->created_s += i; /* twenty conversations of two */
        m.row.input = (struct slice){text, sizeof text};
        assert_int_equal(responses_write(r, &m.row, &e), 0);
    }
    for (int i = 0; i < 40; i++) {
        struct made k;
        struct heard h = {0};
        there[i] = responses_read(r, slice_of("a"), make(&k, "a", i, -1)->id, hear, &h, &e) == 0;
        n += there[i];
    }
    assert_in_range(n, 7, 9); /* of 10 KB each, and a bit more; the last one may have made room */
    for (int i = 0; i < 40; i += 2) assert_int_equal(there[i], there[i + 1]);
    for (int i = 1; i < 40; i++) assert_true(there[i] >= there[i - 1]); /* the oldest went first */
    static char huge[200000];
    memset(huge, ' ', sizeof huge);
    make(&m, "a", 50, -1)->created_s += 50;
    m.row.input = (struct slice){huge, sizeof huge};
    assert_int_equal(responses_write(r, &m.row, &e), 0); /* more than all may have: nothing is left */
    assert_false(has(r, "a", 50));
    put(r, "a", 51, -1);
    assert_true(has(r, "a", 51));
    responses_close(r);
}

static void nothing(void *ctx, const struct err *e) {
    (void)ctx;
    if (e) fail_msg("%s", e->msg);
}

/* Room for many small ones is made at once: this takes minutes where each that goes is looked for among all. */
static void many_small(void **state) {
    (void)state;
    enum { ALL = 20000, BYTES = 20 };
    struct responses *r = open_store(NULL, (struct responses_limits){.age_s = 1000, .bytes = ALL * BYTES});
    struct made m;
    struct err e = {0};
    for (int i = 0; i < ALL; i++) {
        make(&m, "a", i, -1)->created_s += i;
        while (responses_put(r, &m.row, nothing, NULL, &e) == ERR_IO) (void)usleep(1000); /* as many wait as may */
    }
    assert_int_equal(responses_write(r, &m.row, &e), 0);
    assert_true(has(r, "a", ALL - 1) && has(r, "a", ALL / 2) && !has(r, "a", ALL / 4));
    responses_close(r);
}

enum { THREADS = 4, EACH = 60 };

struct worker {
    struct responses *r;
    int number;
    pthread_t thread;
    bool good;
};

static void *work(void *ctx) {
    struct worker *w = ctx;
    char client[8];
    struct err e = {0};
    struct heard h;
    (void)snprintf(client, sizeof client, "%d", w->number % 2);
    w->good = true;
    for (int i = 0; i < EACH; i++) {
        struct made m;
        const int id = w->number * 1000 + i;
        w->good = w->good && responses_write(w->r, make(&m, client, id, i % 8 ? id - 1 : -1), &e) == 0;
        w->good = w->good && chain(w->r, client, id, &h, &e) == 0 && h.n == i % 8 + 1 && h.at[h.n - 1] == id && h.at[0] == id - i % 8;
    }
    return NULL;
}

static void many_threads(void **state) {
    (void)state;
    struct place p;
    struct worker w[THREADS];
    place_make(&p);
    struct responses *r = open_store(p.path, wide), *other = open_store(p.path, wide); /* two stores of the same file, as of two processes */
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.r = i % 3 ? r : other, .number = i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(w[i].thread, NULL);
        assert_true(w[i].good);
    }
    responses_close(r);
    responses_close(other);
    r = open_store(p.path, wide);
    for (int i = 0; i < THREADS; i++)
        for (int k = 0; k < EACH; k++) assert_true(has(r, i % 2 ? "1" : "0", i * 1000 + k));
    responses_close(r);
    place_remove(&p);
}

static void no_stores(void **state) {
    (void)state;
    struct place p;
    struct responses *r;
    struct err e = {0};
    struct ledger *l;
    place_make(&p);
    assert_int_equal(os_write_file(p.path, "no database", 11, &e), 0);
    assert_int_equal(responses_open(&r, p.path, wide, &e), ERR_FORMAT);
    assert_null(r);
    assert_int_equal(unlink(p.path), 0);
    assert_int_equal(ledger_open(&l, p.path, &e), 0);
    assert_int_equal(ledger_close(l, &e), 0);
    assert_int_equal(responses_open(&r, p.path, wide, &e), ERR_FORMAT); /* of our own, but another kind */
    assert_non_null(strstr(e.msg, "not a store of responses"));
    assert_int_equal(responses_open(&r, "/proc/none/responses.db", wide, &e), ERR_IO);
    place_remove(&p);
}

static void moved_away(void **state) {
    (void)state;
    struct place p;
    char other[160];
    place_make(&p);
    struct responses *r = open_store(p.path, wide);
    put(r, "a", 1, -1);
    (void)snprintf(other, sizeof other, "%s.old", p.path);
    assert_int_equal(rename(p.path, other), 0);
    put(r, "a", 2, -1);
    assert_true(!has(r, "a", 1) && has(r, "a", 2));
    responses_close(r);
    r = open_store(p.path, wide);
    assert_true(!has(r, "a", 1) && has(r, "a", 2));
    responses_close(r);
    place_remove(&p);
}

static void out_of_memory(void **state) {
    (void)state;
    if (light("allocation failures of the store of responses")) skip();
    const int64_t before = mem_live();
    bool failed = true;
    for (int64_t n = 1; failed; n += n < 40 ? 1 : 5) {
        struct place p;
        struct responses *r;
        struct made m;
        struct heard h = {0};
        struct err e = {0};
        bool kept[4] = {false};
        place_make(&p);
        mem_fail_after(n);
        const int opened = responses_open(&r, n % 2 ? p.path : NULL, wide, &e);
        int code = opened;
        for (int i = 0; opened == 0 && i < 4; i++) kept[i] = responses_write(r, make(&m, "a", i, i - 1), &e) == 0;
        if (opened == 0) code = chain(r, "a", 3, &h, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        if (code) assert_true(failed && (code == ERR_MEMORY || (code == ERR_NOT_FOUND && !(kept[0] && kept[1] && kept[2] && kept[3]))));
        else if (opened == 0) assert_true(kept[3] && h.n == 4 && h.at[0] == 0 && h.at[3] == 3);
        for (int i = 0; opened == 0 && n % 2 && i < 4; i++)
            if (kept[i]) assert_true(has(r, "a", i));
        responses_close(r);
        place_remove(&p);
        assert_int_equal(mem_live(), before);
        assert_true(n < 20000);
    }
}

/* ---- the program that is killed ---- */

static int write_until_killed(const char *path, int first) {
    struct responses *r;
    struct err e;
    if (responses_open(&r, path, wide, &e)) {
        (void)fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    for (int i = first;; i++) {
        struct made m;
        if (responses_write(r, make(&m, "a", i, i > first ? i - 1 : -1), &e)) return 1;
        char line[32];
        const int n = snprintf(line, sizeof line, "%d\n", i);
        if (write(STDOUT_FILENO, line, (size_t)n) != n) return 1;
    }
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "write") == 0) return write_until_killed(argv[2], atoi(argv[3]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_back), cmocka_unit_test(own_only), cmocka_unit_test(replaced_and_removed), cmocka_unit_test(bad_ids), cmocka_unit_test(age), cmocka_unit_test(age_before_opening), cmocka_unit_test(size), cmocka_unit_test(many_small),
        cmocka_unit_test(many_threads), cmocka_unit_test(no_stores), cmocka_unit_test(moved_away), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
