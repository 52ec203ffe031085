/* test_gguf.c: reading well-formed GGUF files: every kind of value, the typed readers, split files, the shared files. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../shared_data.h"
#include "base/os.h"
#include "build.h"

static struct gguf *open_bytes(const struct buf *b) {
    struct err e = {0};
    struct gguf *g = NULL;
    int code = gguf_open_memory(&g, b->data, b->len, "bytes.gguf", &e);
    if (code) fail_msg("%s", e.msg);
    return g;
}

static void check_values(const struct gguf *g) {
    struct err e = {0};
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    int32_t i32 = 0;
    float f = 0;
    bool flag = false;
    struct slice s = {0};
    assert_int_equal(gguf_kv_count(g), 16);
    assert_true(slice_is(gguf_kv_at(g, 0)->key, "u8"));
    assert_true(slice_is(gguf_kv_at(g, 15)->key, "array.bool"));
    assert_null(gguf_kv_at(g, 16));
    assert_int_equal(gguf_get_u32(g, "u8", &u32, &e), 0);
    assert_int_equal(u32, 200);
    assert_int_equal(gguf_get_u32(g, "u16", &u32, &e), 0);
    assert_int_equal(u32, 60000);
    assert_int_equal(gguf_get_u32(g, "u32", &u32, &e), 0);
    assert_int_equal(u32, 4000000000u);
    assert_int_equal(gguf_get_i32(g, "i8", &i32, &e), 0);
    assert_int_equal(i32, -5);
    assert_int_equal(gguf_get_i32(g, "i16", &i32, &e), 0);
    assert_int_equal(i32, -300);
    assert_int_equal(gguf_get_i32(g, "i32", &i32, &e), 0);
    assert_int_equal(i32, -70000);
    assert_int_equal(gguf_get_u64(g, "u64", &u64, &e), 0);
    assert_true(u64 == UINT64_MAX);
    assert_int_equal(gguf_get_f32(g, "f32", &f, &e), 0);
    assert_true(f == 1.5f);
    assert_int_equal(gguf_get_f32(g, "f64", &f, &e), 0);
    assert_true(f == -2.25f);
    assert_int_equal(gguf_get_f32(g, "i16", &f, &e), 0);
    assert_true(f == -300.0f);
    assert_int_equal(gguf_get_f32(g, "u64", &f, &e), 0);
    assert_true(f == 0x1p64f);
    assert_int_equal(gguf_array_i64(gguf_find(g, "f64"), 0), -2);
    assert_int_equal(gguf_array_i64(gguf_find(g, "string"), 0), 0);
    assert_int_equal(gguf_get_bool(g, "bool", &flag, &e), 0);
    assert_true(flag);
    assert_int_equal(gguf_get_str(g, "string", &s, &e), 0);
    assert_true(slice_is(s, "h\xc3\xa9llo"));
    const struct gguf_kv *kv = gguf_find(g, "array.strings");
    assert_non_null(kv);
    assert_int_equal(kv->type, GGUF_ARRAY);
    assert_int_equal(kv->element, GGUF_STRING);
    assert_int_equal(kv->count, 3);
    assert_true(slice_is(kv->strings[0], "a") && slice_is(kv->strings[1], "") && slice_is(kv->strings[2], "ccc"));
    kv = gguf_find(g, "array.i16");
    assert_int_equal(gguf_array_i64(kv, 0), -1);
    assert_true(gguf_array_f64(kv, 2) == 1.0);
    assert_int_equal(gguf_find(g, "array.empty")->count, 0);
}

static void check_tensors(const struct gguf *g) {
    uint64_t at;
    assert_int_equal(gguf_tensor_count(g), 2);
    assert_null(gguf_tensor_at(g, 2));
    assert_null(gguf_tensor(g, "third"));
    const struct tensor *a = gguf_tensor(g, "first"), *b = gguf_tensor(g, "second");
    assert_ptr_equal(a, gguf_tensor_at(g, 0));
    assert_ptr_equal(b, gguf_tensor_at(g, 1));
    assert_string_equal(b->name, "second");
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->ne[0], 4);
    assert_int_equal(a->ne[1], 3);
    assert_int_equal(a->ne[2], 1);
    assert_int_equal(a->ne[3], 1);
    assert_int_equal(a->size, 48);
    for (int i = 0; i < 12; i++) {
        assert_true(((const float *)a->data)[i] == (float)i);
        assert_true(((const float *)b->data)[i] == (float)(i + 12));
    }
    assert_string_equal(gguf_tensor_where(g, 1, &at), gguf_path(g));
    assert_int_equal(at, gguf_file_size(g) - 48);
    assert_null(gguf_tensor_where(g, 2, &at));
}

static void reads_every_kind(void **state) {
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct buf b = {0};
        b_sample(&b, version);
        struct gguf *g = open_bytes(&b);
        assert_int_equal(gguf_version(g), version);
        assert_int_equal(gguf_file_size(g), b.len);
        assert_int_equal(gguf_part_count(g), 1);
        assert_string_equal(gguf_path(g), "bytes.gguf");
        check_values(g);
        check_tensors(g);
        gguf_close(g);
        buf_free(&b);
    }
}

static void absent_keys_leave_the_value(void **state) {
    (void)state;
    struct buf b = {0};
    b_sample(&b, 3);
    struct gguf *g = open_bytes(&b);
    struct err e = {0};
    uint64_t u64 = 7;
    uint32_t u32 = 7, several[2] = {7, 8};
    int32_t i32 = -7;
    float f = 7, floats[1] = {7};
    bool flag = true, flags[1] = {true};
    struct slice s = SLICE("seven");
    assert_int_equal(gguf_get_u64(g, "none", &u64, &e), 0);
    assert_int_equal(gguf_get_u32(g, "none", &u32, &e), 0);
    assert_int_equal(gguf_get_i32(g, "none", &i32, &e), 0);
    assert_int_equal(gguf_get_f32(g, "none", &f, &e), 0);
    assert_int_equal(gguf_get_bool(g, "none", &flag, &e), 0);
    assert_int_equal(gguf_get_str(g, "none", &s, &e), 0);
    assert_int_equal(gguf_get_u32s(g, "none", several, 2, &e), 0);
    assert_int_equal(gguf_get_f32s(g, "none", floats, 1, &e), 0);
    assert_int_equal(gguf_get_bools(g, "none", flags, 1, &e), 0);
    assert_true(u64 == 7 && u32 == 7 && i32 == -7 && f == 7 && flag && several[1] == 8 && floats[0] == 7 && flags[0] && slice_is(s, "seven"));
    gguf_close(g);
    buf_free(&b);
}

static void expect(int code, const struct err *e, const char *part) {
    assert_int_equal(code, ERR_FORMAT);
    if (!strstr(e->msg, part) || !strstr(e->msg, "bytes.gguf") || strchr(e->msg, '\n')) fail_msg("\"%s\" should say \"%s\"", e->msg, part);
}

static void wrong_kinds_are_named(void **state) {
    (void)state;
    struct buf b = {0};
    b_sample(&b, 3);
    struct gguf *g = open_bytes(&b);
    struct err e = {0};
    uint64_t u64 = 7;
    uint32_t u32 = 7, many[4];
    int32_t i32 = 7;
    float f = 7;
    bool flag = true, flags[2];
    struct slice s = {0};
    expect(gguf_get_u32(g, "string", &u32, &e), &e, "\"string\"");
    expect(gguf_get_u32(g, "f32", &u32, &e), &e, "f32");
    expect(gguf_get_u32(g, "bool", &u32, &e), &e, "bool");
    expect(gguf_get_u32(g, "i8", &u32, &e), &e, "-5");
    expect(gguf_get_u32(g, "u64", &u32, &e), &e, "18446744073709551615");
    expect(gguf_get_u64(g, "i64", &u64, &e), &e, "-9223372036854775808");
    expect(gguf_get_u32(g, "array.i16", &u32, &e), &e, "array of i16");
    expect(gguf_get_i32(g, "u32", &i32, &e), &e, "4000000000");
    expect(gguf_get_i32(g, "u64", &i32, &e), &e, "18446744073709551615");
    expect(gguf_get_i32(g, "i64", &i32, &e), &e, "-9223372036854775808");
    expect(gguf_get_f32(g, "string", &f, &e), &e, "number");
    expect(gguf_get_f32(g, "array.empty", &f, &e), &e, "array of f32");
    expect(gguf_get_bool(g, "u8", &flag, &e), &e, "true or false");
    expect(gguf_get_bool(g, "array.bool", &flag, &e), &e, "array of bool");
    expect(gguf_get_str(g, "u8", &s, &e), &e, "string");
    expect(gguf_get_str(g, "array.strings", &s, &e), &e, "array of string");
    expect(gguf_get_u32s(g, "array.i16", many, 3, &e), &e, "-1");
    expect(gguf_get_u32s(g, "array.i16", many, 4, &e), &e, "3 elements but 4");
    expect(gguf_get_u32s(g, "array.strings", many, 3, &e), &e, "array of string");
    expect(gguf_get_bools(g, "array.i16", flags, 2, &e), &e, "true or false");
    assert_true(u64 == 7 && u32 == 7 && i32 == 7 && f == 7 && flag && !s.p);
    gguf_close(g);
    buf_free(&b);
}

static void per_layer_values(void **state) {
    (void)state;
    struct buf b = {0};
    b_sample(&b, 3);
    struct gguf *g = open_bytes(&b);
    struct err e = {0};
    uint32_t u[3] = {0};
    float f[3] = {0};
    bool flags[2] = {false, true};
    assert_int_equal(gguf_get_u32s(g, "u8", u, 3, &e), 0); /* one for all */
    assert_true(u[0] == 200 && u[1] == 200 && u[2] == 200);
    assert_int_equal(gguf_get_f32s(g, "array.i16", f, 2, &e), 0); /* the array may be longer */
    assert_true(f[0] == -1 && f[1] == 0 && f[2] == 0);
    assert_int_equal(gguf_get_bools(g, "array.bool", flags, 2, &e), 0);
    assert_true(flags[0] && !flags[1]);
    gguf_close(g);
    buf_free(&b);
}

static void floats_must_be_finite(void **state) {
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY, 1e300};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = {0};
        struct err e = {0};
        float f = 7, pair[2] = {7, 7}, narrow = (float)bad[i];
        b_header(&b, 3, 0, 2);
        b_kv(&b, "eps", GGUF_F64);
        b_bytes(&b, &bad[i], 8);
        b_kv_array(&b, "scales", GGUF_F32, 2);
        b_u32(&b, 0);
        b_bytes(&b, &narrow, 4);
        struct gguf *g = open_bytes(&b);
        expect(gguf_get_f32(g, "eps", &f, &e), &e, "finite");
        expect(gguf_get_f32s(g, "scales", pair, 2, &e), &e, "\"scales\"");
        assert_true(f == 7);
        gguf_close(g);
        buf_free(&b);
    }
}

static void alignment_is_honoured(void **state) {
    (void)state;
    struct buf b = {0};
    b_header(&b, 3, 1, 1);
    b_kv_uint(&b, "general.alignment", GGUF_U32, 128, 4);
    b_tensor(&b, "t", 1, (uint64_t[]){2}, DT_I8, 128);
    b_pad(&b, 128);
    size_t start = b.len;
    for (int i = 0; i < 128; i++) b_bytes(&b, "", 1);
    b_bytes(&b, "\5\6", 2);
    struct gguf *g = open_bytes(&b);
    uint64_t at = 0;
    (void)gguf_tensor_where(g, 0, &at);
    assert_int_equal(at, start + 128);
    assert_memory_equal(gguf_tensor_at(g, 0)->data, "\5\6", 2);
    assert_non_null(gguf_find(g, "general.alignment"));
    gguf_close(g);
    buf_free(&b);
}

/* ---- split files ---- */

static char folder[] = "/tmp/hearth-test-gguf-XXXXXX";

/* Writes part `no` (from 0) of `count`, with one tensor of two bytes, into the folder. */
static void write_part(const char *base, int no, int count, int says_no, int says_count, int total, const char *extra) {
    struct buf b = {0};
    struct err e = {0};
    char path[256], name[16];
    (void)snprintf(path, sizeof path, "%s/%s-%05d-of-%05d.gguf", folder, base, no + 1, count);
    (void)snprintf(name, sizeof name, "t%d", says_no);
    b_header(&b, 3, 1, no == 0 || extra ? 4 : 3);
    if (no == 0 || extra) b_kv_str(&b, "general.architecture", extra ? extra : "llama");
    b_kv_uint(&b, "split.no", GGUF_U16, (uint64_t)says_no, 2);
    b_kv_uint(&b, "split.count", GGUF_U32, (uint64_t)says_count, 4);
    b_kv_uint(&b, "split.tensors.count", GGUF_I32, (uint64_t)total, 4);
    b_tensor(&b, name, 1, (uint64_t[]){2}, DT_I8, 0);
    b_pad(&b, 32);
    b_uint(&b, (uint64_t)(no * 257), 2);
    if (os_write_file(path, b.data, b.len, &e)) fail_msg("%s", e.msg);
    buf_free(&b);
}

static int open_part(struct gguf **g, const char *base, int no, int count, struct err *e) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s-%05d-of-%05d.gguf", folder, base, no + 1, count);
    return gguf_open(g, path, e);
}

static void split_files_look_like_one(void **state) {
    (void)state;
    struct gguf *g;
    struct err e = {0};
    write_part("good", 0, 3, 0, 3, 3, NULL);
    write_part("good", 1, 3, 1, 3, 3, NULL);
    write_part("good", 2, 3, 2, 3, 3, "llama"); /* repeats a key */
    if (open_part(&g, "good", 0, 3, &e)) fail_msg("%s", e.msg);
    assert_int_equal(gguf_part_count(g), 3);
    assert_int_equal(gguf_tensor_count(g), 3);
    assert_int_equal(gguf_kv_count(g), 1);
    for (int i = 0; i < 3; i++) {
        char name[8];
        uint64_t at;
        (void)snprintf(name, sizeof name, "t%d", i);
        const struct tensor *t = gguf_tensor(g, name);
        assert_ptr_equal(t, gguf_tensor_at(g, (size_t)i));
        assert_int_equal(*(const uint8_t *)t->data, i);
        assert_non_null(strstr(gguf_tensor_where(g, (size_t)i, &at), i == 0 ? "00001-of" : i == 1 ? "00002-of" : "00003-of"));
    }
    gguf_close(g);
    const char *path;
    size_t offset;
    assert_false(os_map_find(g, &path, &offset));
}

static void expect_split(const char *base, int no, int count, int code, const char *part) {
    struct gguf *g;
    struct err e = {0};
    int64_t before = mem_live();
    int got = open_part(&g, base, no, count, &e);
    if (got != code || !strstr(e.msg, part) || strchr(e.msg, '\n')) fail_msg("%d \"%s\" should be %d \"%s\"", got, e.msg, code, part);
    assert_null(g);
    assert_int_equal(mem_live(), before);
}

static void split_files_that_do_not_fit(void **state) {
    (void)state;
    write_part("second", 1, 2, 1, 2, 2, NULL);
    expect_split("second", 1, 2, ERR_USAGE, "-00001-of-00002.gguf");
    write_part("alone", 0, 2, 0, 2, 2, NULL);
    expect_split("alone", 0, 2, ERR_IO, "part 2 of 2");
    write_part("number", 0, 2, 0, 2, 2, NULL);
    write_part("number", 1, 2, 0, 2, 2, NULL);
    expect_split("number", 0, 2, ERR_FORMAT, "\"t0\" is there twice");
    write_part("order", 0, 2, 0, 2, 2, NULL);
    write_part("order", 1, 2, 5, 2, 2, NULL);
    expect_split("order", 0, 2, ERR_FORMAT, "do not belong together");
    write_part("count", 0, 2, 0, 2, 2, NULL);
    write_part("count", 1, 2, 1, 3, 2, NULL);
    expect_split("count", 0, 2, ERR_FORMAT, "do not belong together");
    write_part("total", 0, 2, 0, 2, 9, NULL);
    write_part("total", 1, 2, 1, 2, 9, NULL);
    expect_split("total", 0, 2, ERR_FORMAT, "split.tensors.count is 9");
    write_part("key", 0, 2, 0, 2, 2, NULL);
    write_part("key", 1, 2, 1, 2, 2, "gemma");
    expect_split("key", 0, 2, ERR_FORMAT, "twice, in two parts");
    write_part("name", 0, 3, 0, 2, 2, NULL); /* called "of-00003" but split.count is 2 */
    expect_split("name", 0, 3, ERR_FORMAT, "must be named");
    write_part("many", 0, 2, 0, 65535, 2, NULL);
    expect_split("many", 0, 2, ERR_FORMAT, "must be named");
    write_part("huge", 0, 2, 0, 65536, 2, NULL);
    expect_split("huge", 0, 2, ERR_FORMAT, "split.count is 65536");
}

static void split_files_out_of_memory(void **state) {
    (void)state;
    int64_t before = mem_live();
    int failures = 0;
    for (int i = 0; i < 3; i++) write_part("memory", i, 3, i, 3, 3, NULL);
    for (int64_t n = 1;; n++, failures++) {
        struct gguf *g;
        struct err e = {0};
        mem_fail_after(n);
        int code = open_part(&g, "memory", 0, 3, &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        if (code != (failed ? ERR_MEMORY : 0)) fail_msg("allocation %lld: %d \"%s\"", (long long)n, code, e.msg);
        gguf_close(g);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
        assert_null(g);
    }
    assert_true(failures >= 8);
}

static void a_part_from_memory_is_refused(void **state) {
    (void)state;
    struct buf b = {0};
    struct err e = {0};
    struct gguf *g;
    b_header(&b, 3, 0, 2);
    b_kv_uint(&b, "split.no", GGUF_U16, 0, 2);
    b_kv_uint(&b, "split.count", GGUF_U16, 2, 2);
    assert_int_equal(gguf_open_memory(&g, b.data, b.len, "m", &e), ERR_UNSUPPORTED);
    assert_int_equal(gguf_open_memory(&g, b.data + 1, b.len - 1, "m", &e), ERR_USAGE);
    buf_free(&b);
}

/* ---- the shared files ---- */

static void read_one(const char *path) {
    struct gguf *g;
    struct err e = {0};
    struct slice arch = {0};
    if (gguf_open(&g, path, &e)) fail_msg("%s", e.msg);
    assert_int_equal(gguf_get_str(g, "general.architecture", &arch, &e), 0);
    assert_true(arch.n > 0);
    const struct gguf_kv *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    assert_non_null(tokens);
    assert_true(tokens->element == GGUF_STRING && tokens->count >= 512);
    size_t bytes = 0;
    for (uint64_t i = 0; i < tokens->count; i++) bytes += tokens->strings[i].n;
    assert_true(bytes > tokens->count);
    printf("%s: %.*s, %zu keys, %zu tensors, %llu tokens\n", path, (int)arch.n, arch.p, gguf_kv_count(g), gguf_tensor_count(g),
           (unsigned long long)tokens->count);
    gguf_close(g);
}

static void reads_the_shared_files(void **state) {
    (void)state;
    int64_t before = mem_live();
    int n = shared_each("vocab", ".gguf", read_one);
    n += shared_each("models", ".gguf", read_one);
    if (n == 0) skip();
    assert_int_equal(mem_live(), before);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char path[512];
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    if (d) (void)closedir(d);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind),
        cmocka_unit_test(absent_keys_leave_the_value),
        cmocka_unit_test(wrong_kinds_are_named),
        cmocka_unit_test(per_layer_values),
        cmocka_unit_test(floats_must_be_finite),
        cmocka_unit_test(alignment_is_honoured),
        cmocka_unit_test(split_files_look_like_one),
        cmocka_unit_test(split_files_that_do_not_fit),
        cmocka_unit_test(split_files_out_of_memory),
        cmocka_unit_test(a_part_from_memory_is_refused),
        cmocka_unit_test(reads_the_shared_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
