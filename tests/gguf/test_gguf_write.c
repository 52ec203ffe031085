/* test_gguf_write.c: the GGUF writer: against bytes laid out by hand, read back, and against the gguf Python package
 * (tests/oracle/gguf_roundtrip.py) in both directions. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../shared_data.h"
#include "base/os.h"
#include "build.h"

static char folder[] = "/tmp/hearth-test-write-XXXXXX";
static char path[64], other[64];

static void ok(int code, const struct err *e) {
    if (code) fail_msg("%s", e->msg);
}

static struct gguf_writer *new_writer(void) {
    struct gguf_writer *w;
    struct err e = {0};
    ok(gguf_writer_new(&w, &e), &e);
    return w;
}

/* Copies all of g into w. */
static int copy_all(struct gguf_writer *w, const struct gguf *g, struct err *e) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < gguf_kv_count(g); i++) code = gguf_put_kv(w, gguf_kv_at(g, i), e);
    for (size_t i = 0; code == 0 && i < gguf_tensor_count(g); i++) code = gguf_put_tensor(w, gguf_tensor_at(g, i), NULL, NULL, e);
    return code;
}

static void copy_is_the_same_bytes(void **state) {
    (void)state;
    struct buf b = {0}, back = {0};
    struct err e = {0};
    struct gguf *g;
    b_sample(&b, 3);
    ok(gguf_open_memory(&g, b.data, b.len, "m", &e), &e);
    struct gguf_writer *w = new_writer();
    ok(copy_all(w, g, &e), &e);
    ok(gguf_write(w, path, &e), &e);
    ok(os_read_file(path, 1 << 20, &back, &e), &e);
    assert_int_equal(back.len, b.len + 16); /* the last tensor is padded too */
    assert_memory_equal(back.data, b.data, b.len);
    assert_memory_equal(back.data + b.len, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    gguf_writer_free(w);
    gguf_close(g);
    buf_free(&b);
    buf_free(&back);
}

static void single_values(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf_writer *w = new_writer();
    struct slice strings[2] = {SLICE("one"), SLICE("")};
    const int16_t numbers[3] = {-1, 0, 32767};
    ok(gguf_put_u32(w, "u32", 4000000000u, &e), &e);
    ok(gguf_put_u64(w, "u64", UINT64_MAX, &e), &e);
    ok(gguf_put_i32(w, "i32", -7, &e), &e);
    ok(gguf_put_f32(w, "f32", 0.1f, &e), &e);
    ok(gguf_put_bool(w, "bool", true, &e), &e);
    ok(gguf_put_str(w, "str", SLICE("text"), &e), &e);
    ok(gguf_put_array(w, "numbers", GGUF_I16, numbers, 3, &e), &e);
    ok(gguf_put_strings(w, "strings", strings, 2, &e), &e);
    ok(gguf_put_array(w, "empty", GGUF_U8, NULL, 0, &e), &e);
    ok(gguf_put_u32(w, "str", 5, &e), &e); /* replaces, in its place and with another type */
    ok(gguf_write(w, path, &e), &e);
    gguf_writer_free(w);

    struct gguf *g;
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    int32_t i32 = 0;
    float f = 0;
    bool flag = false;
    ok(gguf_open(&g, path, &e), &e);
    assert_int_equal(gguf_kv_count(g), 9);
    assert_int_equal(gguf_version(g), 3);
    ok(gguf_get_u32(g, "u32", &u32, &e), &e);
    ok(gguf_get_u64(g, "u64", &u64, &e), &e);
    ok(gguf_get_i32(g, "i32", &i32, &e), &e);
    ok(gguf_get_f32(g, "f32", &f, &e), &e);
    ok(gguf_get_bool(g, "bool", &flag, &e), &e);
    assert_true(u32 == 4000000000u && u64 == UINT64_MAX && i32 == -7 && f == 0.1f && flag);
    ok(gguf_get_u32(g, "str", &u32, &e), &e);
    assert_int_equal(u32, 5);
    assert_true(slice_is(gguf_kv_at(g, 5)->key, "str"));
    assert_int_equal(gguf_array_i64(gguf_find(g, "numbers"), 2), 32767);
    assert_true(slice_is(gguf_find(g, "strings")->strings[0], "one"));
    assert_int_equal(gguf_find(g, "empty")->count, 0);
    gguf_close(g);
}

struct filling {
    int calls;
    int fail_at;
};

static int fill_bytes(void *ctx, const struct tensor *t, void *data, struct err *e) {
    struct filling *f = ctx;
    if (++f->calls == f->fail_at) return err_set(e, ERR_CANCELLED, "stopped at %s", t->name);
    memset(data, t->name[0], t->size);
    return 0;
}

static void tensors_are_filled_in_turn(void **state) {
    (void)state;
    struct err e = {0};
    struct filling f = {0};
    struct gguf_writer *w = new_writer();
    ok(gguf_put_u32(w, "general.alignment", 64, &e), &e);
    ok(gguf_put_tensor(w, &(struct tensor){.name = "a", .type = DT_Q8_0, .n_dims = 2, .ne = {64, 3, 1, 1}, .size = 204}, fill_bytes, &f, &e), &e);
    ok(gguf_put_tensor(w, &(struct tensor){.name = "b", .type = DT_F32, .n_dims = 1, .ne = {25, 1, 1, 1}, .size = 100}, fill_bytes, &f, &e), &e);
    assert_int_equal(f.calls, 0);
    ok(gguf_write(w, path, &e), &e);
    assert_int_equal(f.calls, 2);
    struct gguf *g;
    ok(gguf_open(&g, path, &e), &e);
    for (size_t i = 0; i < 2; i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        uint64_t at;
        for (size_t k = 0; k < t->size; k++) assert_int_equal(((const char *)t->data)[k], "ab"[i]);
        (void)gguf_tensor_where(g, i, &at);
        assert_int_equal(at % 64, 0);
    }
    gguf_close(g);

    f = (struct filling){.fail_at = 2}; /* a failure leaves the old file, and nothing else */
    struct buf before = {0}, after = {0};
    ok(os_read_file(path, 1 << 20, &before, &e), &e);
    assert_int_equal(gguf_write(w, path, &e), ERR_CANCELLED);
    assert_string_equal(e.msg, "stopped at b");
    ok(os_read_file(path, 1 << 20, &after, &e), &e);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    int files = 0;
    DIR *d = opendir(folder);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) files += entry->d_name[0] != '.';
    (void)closedir(d);
    assert_int_equal(files, 1);
    gguf_writer_free(w);
    buf_free(&before);
    buf_free(&after);
}

static void expect_usage(int code, const struct err *e, const char *part) {
    if (code != ERR_USAGE || !strstr(e->msg, part)) fail_msg("%d \"%s\" should be \"%s\"", code, e->msg, part);
}

static void refuses_what_cannot_be_read_back(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf_writer *w = new_writer();
    float x[32] = {0};
    struct tensor good = {.name = "t", .type = DT_F32, .n_dims = 1, .ne = {32, 1, 1, 1}, .data = x, .size = sizeof x}, t;
    expect_usage(gguf_put_u32(w, "", 1, &e), &e, "key \"\"");
    expect_usage(gguf_put_u32(w, "\xff", 1, &e), &e, "UTF-8");
    expect_usage(gguf_put_array(w, "a", GGUF_ARRAY, x, 1, &e), &e, "key \"a\"");
    expect_usage(gguf_put_array(w, "a", (enum gguf_type)99, x, 1, &e), &e, "key \"a\"");
    expect_usage(gguf_put_array(w, "a", GGUF_U8, NULL, 1, &e), &e, "key \"a\"");
    ok(gguf_put_tensor(w, &good, NULL, NULL, &e), &e);
    expect_usage(gguf_put_tensor(w, &good, NULL, NULL, &e), &e, "twice");
    t = good, t.name = "size", t.size = 4;
    expect_usage(gguf_put_tensor(w, &t, NULL, NULL, &e), &e, "4 bytes, not 128");
    t = good, t.name = "data", t.data = NULL;
    expect_usage(gguf_put_tensor(w, &t, NULL, NULL, &e), &e, "no data");
    t = good, t.name = "zero", t.ne[0] = 0;
    expect_usage(gguf_put_tensor(w, &t, NULL, NULL, &e), &e, "shape");
    t = good, t.name = "dims", t.ne[1] = 2;
    expect_usage(gguf_put_tensor(w, &t, NULL, NULL, &e), &e, "shape");
    t = good, t.name = "block", t.type = DT_Q4_K;
    expect_usage(gguf_put_tensor(w, &t, NULL, NULL, &e), &e, "shape");
    t = good, t.name = "type", t.type = (enum dtype)5;
    expect_usage(gguf_put_tensor(w, &t, NULL, NULL, &e), &e, "shape");
    t = good, t.name = "";
    expect_usage(gguf_put_tensor(w, &t, NULL, NULL, &e), &e, "tensor \"\"");
    static const uint32_t bad[] = {0, 4, 48};
    for (size_t i = 0; i < 3; i++) {
        ok(gguf_put_u32(w, "general.alignment", bad[i], &e), &e);
        expect_usage(gguf_write(w, path, &e), &e, "general.alignment");
    }
    ok(gguf_put_u32(w, "general.alignment", 32, &e), &e);
    assert_int_equal(gguf_write(w, "/nowhere/at/all.gguf", &e), ERR_IO);
    assert_non_null(strstr(e.msg, "/nowhere/at/all.gguf"));
    gguf_writer_free(w);
    gguf_writer_free(NULL);
}

static void a_full_disk_is_an_error(void **state) {
    (void)state;
    struct err e = {0};
    if (access("/dev/full", W_OK) != 0) {
        printf("SKIPPED: no /dev/full\n");
        skip();
    }
    struct gguf_writer *w = new_writer();
    ok(gguf_put_u32(w, "a", 1, &e), &e);
    assert_int_equal(gguf_write(w, "/dev/full", &e), ERR_IO);
    assert_non_null(strstr(e.msg, "/dev/full: cannot write"));
    struct stat st;
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode)); /* and was not replaced by a file */
    gguf_writer_free(w);
}

/* Makes, fills, writes and frees a writer. */
static int write_sample(struct err *e) {
    struct gguf_writer *w;
    struct filling f = {0};
    int code = gguf_writer_new(&w, e);
    for (int i = 0; code == 0 && i < 200; i++) {
        static char names[200][24];
        (void)snprintf(names[i], sizeof names[i], "name.%d", i);
        code = gguf_put_u32(w, names[i], 1, e);
        struct tensor t = {.name = names[i], .type = DT_I8, .n_dims = 1, .ne = {3, 1, 1, 1}, .size = 3};
        if (code == 0) code = gguf_put_tensor(w, &t, fill_bytes, &f, e);
    }
    if (code == 0) code = gguf_write(w, path, e);
    gguf_writer_free(w);
    return code;
}

static void out_of_memory_anywhere(void **state) {
    (void)state;
    int64_t before = mem_live();
    int failures = 0;
    (void)unlink(path);
    for (int64_t n = 1;; n++, failures++) {
        struct err e = {0};
        mem_fail_after(n);
        int code = write_sample(&e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(mem_live(), before);
        if (!failed) {
            ok(code, &e);
            break;
        }
        if (code != ERR_MEMORY) fail_msg("allocation %lld: %d \"%s\"", (long long)n, code, e.msg);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    assert_true(failures >= 8);
    assert_int_equal(access(path, F_OK), 0);
}

/* ---- against the gguf Python package ---- */

/* Runs the oracle; 77: the package is not there. */
static int oracle(const char *verb, const char *a, const char *b) {
    const char *python = getenv("HEARTH_PYTHON");
    char command[512];
    (void)snprintf(command, sizeof command, "'%s' tests/oracle/gguf_roundtrip.py %s %s %s", python && *python ? python : "python3", verb, a, b);
    (void)fflush(stdout);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool no_oracle(void) {
    if (oracle("probe", "", "") != 77) return false;
    printf("SKIPPED: no Python with the packages gguf and numpy (set HEARTH_PYTHON)\n");
    return true;
}

static void compare_with_oracle(const char *file) {
    struct gguf *g;
    struct err e = {0};
    ok(gguf_open(&g, file, &e), &e);
    struct gguf_writer *w = new_writer();
    ok(copy_all(w, g, &e), &e);
    ok(gguf_write(w, other, &e), &e);
    gguf_writer_free(w);
    gguf_close(g);
    if (oracle("compare", file, other) != 0) fail_msg("the copy of %s differs (see above)", file);
}

/* A file of version 3 without split.* is copied byte for byte, whoever wrote it. */
static void copy_shared(const char *file) {
    struct gguf *g;
    struct err e = {0};
    struct buf a = {0}, b = {0};
    ok(gguf_open(&g, file, &e), &e);
    struct gguf_writer *w = new_writer();
    ok(copy_all(w, g, &e), &e);
    ok(gguf_write(w, other, &e), &e);
    ok(os_read_file(file, 1 << 28, &a, &e), &e);
    ok(os_read_file(other, 1 << 28, &b, &e), &e);
    size_t n = a.len < b.len ? a.len : b.len, apart = 0; /* one may lack the padding at the end */
    assert_true(gguf_version(g) == 2 || gguf_version(g) == 3);
    if (gguf_version(g) == 2) a.data[4] = 3;
    while (apart < n && a.data[apart] == b.data[apart]) apart++;
    if (apart < n || a.len - n > 31 || b.len - n > 31) fail_msg("the copy of %s differs from byte %zu on (%zu and %zu bytes)", file, apart, a.len, b.len);
    gguf_writer_free(w);
    gguf_close(g);
    buf_free(&a);
    buf_free(&b);
}

static void copies_of_the_shared_files(void **state) {
    (void)state;
    int n = shared_each("vocab", ".gguf", copy_shared);
    n += shared_each("models", ".gguf", copy_shared);
    if (n == 0) skip();
}

static void agrees_with_the_python_package(void **state) {
    (void)state;
    if (no_oracle()) skip();
    assert_int_equal(oracle("write", path, ""), 0); /* written by the package, read and copied by us, read by it */
    compare_with_oracle(path);
    (void)shared_each("models", ".gguf", compare_with_oracle);

    struct gguf *g; /* what the package wrote means the same to us */
    struct err e = {0};
    struct slice s = {0};
    float f = 0;
    ok(gguf_open(&g, path, &e), &e);
    ok(gguf_get_str(g, "text", &s, &e), &e);
    ok(gguf_get_f32(g, "half", &f, &e), &e);
    assert_true(slice_is(s, "gr\xc3\xbc\xc3\x9f" "e") && f == 0.5f);
    assert_int_equal(gguf_find(g, "words")->count, 3);
    const struct tensor *t = gguf_tensor(g, "matrix"); /* numpy shape (2, 3, 4) */
    assert_true(t && t->n_dims == 3 && t->ne[0] == 4 && t->ne[1] == 3 && t->ne[2] == 2);
    for (int i = 0; i < 24; i++) assert_true(((const float *)t->data)[i] == (float)i);
    t = gguf_tensor(g, "quantised");
    assert_true(t && t->type == DT_Q8_0 && t->ne[0] == 64 && t->ne[1] == 2 && t->size == 2 * 2 * 34);
    gguf_close(g);
}

static void reads_the_python_packages_split(void **state) {
    (void)state;
    if (no_oracle()) skip();
    char base[80], part[128];
    struct gguf *g;
    struct err e = {0};
    (void)snprintf(base, sizeof base, "%s/split", folder);
    assert_int_equal(oracle("split", base, ""), 0);
    (void)snprintf(part, sizeof part, "%s-00001-of-00003.gguf", base);
    ok(gguf_open(&g, part, &e), &e);
    assert_int_equal(gguf_part_count(g), 3);
    assert_int_equal(gguf_tensor_count(g), 5);
    for (size_t i = 0; i < 5; i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        assert_int_equal(t->name[1], '0' + (int)i);
        for (int k = 0; k < 3; k++) assert_true(((const float *)t->data)[k] == (float)i);
    }
    gguf_close(g);
    for (int i = 1; i <= 3; i++) {
        (void)snprintf(part, sizeof part, "%s-%05d-of-00003.gguf", base, i);
        (void)unlink(part);
    }
}

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/a.gguf", folder);
    (void)snprintf(other, sizeof other, "%s/b.gguf", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    (void)unlink(other);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_is_the_same_bytes),
        cmocka_unit_test(single_values),
        cmocka_unit_test(tensors_are_filled_in_turn),
        cmocka_unit_test(refuses_what_cannot_be_read_back),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(out_of_memory_anywhere),
        cmocka_unit_test(copies_of_the_shared_files),
        cmocka_unit_test(agrees_with_the_python_package),
        cmocka_unit_test(reads_the_python_packages_split),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
