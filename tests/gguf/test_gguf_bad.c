/* test_gguf_bad.c: malformed GGUF files. Each must give one clear line that says what and where, and leak nothing. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "build.h"

/* Opens the bytes, expects the code, and that the message names the file and says `part`. Empties b. */
static void expect(struct buf *b, int code, const char *part) {
    struct gguf *g;
    struct err e = {0};
    int64_t before = mem_live();
    int got = gguf_open_memory(&g, b->data, b->len, "bad.gguf", &e);
    assert_int_equal(mem_live(), before);
    assert_null(g);
    if (got != code || strncmp(e.msg, "bad.gguf: ", 10) != 0 || !strstr(e.msg, part) || strchr(e.msg, '\n'))
        fail_msg("%d \"%s\" should be %d \"%s\"", got, e.msg, code, part);
    buf_free(b);
}

static void header(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int code;
        const char *part;
    } cases[] = {
        {"GGU", 3, ERR_FORMAT, "within the header"},
        {"GGUF\3\0", 6, ERR_FORMAT, "within the header"},
        {"PK\3\4\0\0\0\0", 8, ERR_FORMAT, "not a GGUF file: it starts with \"PK\\x03\\x04\""},
        {"lmgg\1\0\0\0", 8, ERR_UNSUPPORTED, "before GGUF"},
        {"tjgg\3\0\0\0", 8, ERR_UNSUPPORTED, "before GGUF"},
        {"GGUF\1\0\0\0", 8, ERR_UNSUPPORTED, "byte 4: GGUF version 1 is no longer read"},
        {"GGUF\0\0\0\3", 8, ERR_UNSUPPORTED, "big-endian"},
        {"GGUF\0\0\0\2", 8, ERR_UNSUPPORTED, "big-endian"},
        {"GGUF\0\0\0\0", 8, ERR_UNSUPPORTED, "version 0"},
        {"GGUF\4\0\0\0", 8, ERR_UNSUPPORTED, "version 4"},
        {"GGUF\3\0\0\0\1\0\0\0\0\0\0\0\1", 17, ERR_FORMAT, "byte 16: the file ends within the header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        b_bytes(&b, cases[i].bytes, cases[i].n);
        expect(&b, cases[i].code, cases[i].part);
    }
}

static void absurd_counts(void **state) {
    (void)state;
    static const uint64_t counts[] = {3, 1000000, UINT32_MAX, (uint64_t)1 << 60, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buf b = {0};
        b_header(&b, 3, counts[i], 0);
        b_bytes(&b, "................................................", 40);
        expect(&b, ERR_FORMAT, "byte 8: the header announces");
        b_header(&b, 3, 0, counts[i]);
        b_bytes(&b, "................................................", 40);
        expect(&b, ERR_FORMAT, "byte 16: the header announces");
        if (i == 0) continue;
        b_header(&b, 3, 0, 1);
        b_kv_array(&b, "a", GGUF_U64, counts[i]);
        b_bytes(&b, "................................................", 40);
        expect(&b, ERR_FORMAT, "key \"a\" needs");
        b_header(&b, 3, 0, 1);
        b_kv_array(&b, "a", GGUF_STRING, counts[i]);
        b_bytes(&b, "................................................", 40);
        expect(&b, ERR_FORMAT, "key \"a\" needs");
        b_header(&b, 3, 0, 1);
        b_u64(&b, counts[i]); /* the length of a key */
        b_bytes(&b, "................................................", 40);
        expect(&b, ERR_FORMAT, "byte 24: a key is said to be");
        b_header(&b, 3, 0, 1);
        b_kv(&b, "a", GGUF_STRING);
        b_u64(&b, counts[i]);
        b_bytes(&b, "................................................", 40);
        expect(&b, ERR_FORMAT, "key \"a\" is said to be");
    }
}

static void wrong_types(void **state) {
    (void)state;
    struct buf b = {0};
    b_header(&b, 3, 0, 1);
    b_kv_uint(&b, "a", (enum gguf_type)13, 0, 8);
    expect(&b, ERR_FORMAT, "byte 33: key \"a\" has a value of the unknown type 13");
    b_header(&b, 3, 0, 1);
    b_kv_uint(&b, "a", (enum gguf_type)UINT32_MAX, 0, 8);
    expect(&b, ERR_FORMAT, "unknown type 4294967295");
    b_header(&b, 3, 0, 1);
    b_kv_array(&b, "a", (enum gguf_type)77, 0);
    expect(&b, ERR_FORMAT, "unknown type 77");
    b_header(&b, 3, 0, 1);
    b_kv_array(&b, "a", GGUF_ARRAY, 1);
    b_u32(&b, GGUF_U8);
    b_u64(&b, 0);
    expect(&b, ERR_UNSUPPORTED, "array of arrays");
    b_header(&b, 3, 0, 1);
    b_kv_uint(&b, "a", GGUF_BOOL, 2, 1);
    expect(&b, ERR_FORMAT, "truth value of 2");
    b_header(&b, 3, 0, 1);
    b_kv_array(&b, "a", GGUF_BOOL, 3);
    b_bytes(&b, "\0\1\377", 3);
    expect(&b, ERR_FORMAT, "truth value of 255");
}

static void wrong_names(void **state) {
    (void)state;
    struct buf b = {0};
    static const char *const bad[] = {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        b_header(&b, 3, 0, 1);
        b_kv_uint(&b, bad[i], GGUF_U32, 1, 8);
        expect(&b, ERR_FORMAT, "byte 24: a key \"");
        b_header(&b, 3, 1, 0);
        b_tensor(&b, bad[i], 1, (uint64_t[]){1}, DT_I8, 0);
        b_pad(&b, 64);
        expect(&b, ERR_FORMAT, "not valid UTF-8");
    }
    b_header(&b, 3, 0, 1);
    b_kv_uint(&b, "", GGUF_U32, 1, 8);
    expect(&b, ERR_FORMAT, "a key is empty");
    b_header(&b, 3, 1, 0);
    b_tensor(&b, "", 1, (uint64_t[]){1}, DT_I8, 0);
    b_pad(&b, 64);
    expect(&b, ERR_FORMAT, "name is empty");
    for (size_t i = 0; i < 4; i++) {
        b_header(&b, 3, 1, 0);
        b_u64(&b, 3);
        b_bytes(&b, &"a\0b" "a\nb" "a\x1f" "b" "a\x7f" "b"[3 * i], 3);
        for (int k = 0; k < 8; k++) b_u64(&b, 0);
        expect(&b, ERR_FORMAT, "control character");
    }
    b_header(&b, 3, 0, 1);
    b_u64(&b, 70000);
    for (int i = 0; i < 10000; i++) b_bytes(&b, "abcdefgh", 8);
    expect(&b, ERR_FORMAT, "more than 65535");
    b_header(&b, 3, 0, 2);
    b_kv_uint(&b, "same", GGUF_U32, 1, 4);
    b_kv_uint(&b, "same", GGUF_U32, 1, 4);
    expect(&b, ERR_FORMAT, "byte 44: key \"same\" is there twice");
    b_header(&b, 3, 0, 2);
    b_kv_uint(&b, "split.no", GGUF_U32, 1, 4);
    b_kv_uint(&b, "split.no", GGUF_U32, 1, 4);
    expect(&b, ERR_FORMAT, "\"split.no\" is there twice");
    b_header(&b, 3, 2, 0);
    b_tensor(&b, "same", 1, (uint64_t[]){1}, DT_I8, 0);
    b_tensor(&b, "same", 1, (uint64_t[]){1}, DT_I8, 0);
    b_pad(&b, 64);
    expect(&b, ERR_FORMAT, "tensor \"same\" is there twice");
}

static void wrong_alignments(void **state) {
    (void)state;
    static const uint32_t bad[] = {0, 1, 4, 12, 33, 0xffffffff};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        b_header(&b, 3, 0, 1);
        b_kv_uint(&b, "general.alignment", GGUF_U32, bad[i], 4);
        expect(&b, ERR_FORMAT, "general.alignment");
    }
    b_header(&b, 3, 0, 1);
    b_kv_str(&b, "general.alignment", "32");
    expect(&b, ERR_FORMAT, "whole number");
    b_header(&b, 3, 0, 1);
    b_kv_uint(&b, "general.alignment", GGUF_I64, UINT64_MAX, 8);
    expect(&b, ERR_FORMAT, "not negative");
    b_header(&b, 3, 1, 1); /* a power of two so large that the data section would start past the end */
    b_kv_uint(&b, "general.alignment", GGUF_U64, (uint64_t)1 << 62, 8);
    b_tensor(&b, "t", 1, (uint64_t[]){1}, DT_I8, 0);
    expect(&b, ERR_FORMAT, "past the end");
}

/* One tensor of a type and shape at an offset, with 64 bytes of data. */
static void one_tensor(struct buf *b, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset) {
    b_header(b, 3, 1, 0);
    b_tensor(b, "blk.0.w", n_dims, ne, type, offset);
    b_pad(b, 32);
    for (int i = 0; i < 8; i++) b_u64(b, 0);
}

static void wrong_tensors(void **state) {
    (void)state;
    static const struct {
        uint32_t n_dims;
        uint64_t ne[4];
        uint32_t type;
        uint64_t offset;
        int code;
        const char *part;
    } cases[] = {
        {1, {17}, DT_F32, 0, ERR_FORMAT, "past the end"},
        {1, {16}, DT_F32, 32, ERR_FORMAT, "past the end"},
        {1, {1}, DT_F32, 96, ERR_FORMAT, "past the end"},
        {1, {1}, DT_F32, UINT64_MAX - 31, ERR_FORMAT, "past the end"},
        {1, {1}, DT_F32, (uint64_t)1 << 63, ERR_FORMAT, "past the end"},
        {1, {1}, DT_F32, 4, ERR_FORMAT, "not a multiple of the alignment"},
        {1, {1}, DT_F32, UINT64_MAX, ERR_FORMAT, "not a multiple of the alignment"},
        {1, {0}, DT_F32, 0, ERR_FORMAT, "dimension 0 is zero"},
        {3, {4, 1, 0}, DT_F32, 0, ERR_FORMAT, "dimension 2 is zero"},
        {1, {UINT64_MAX}, DT_F32, 0, ERR_FORMAT, "more elements than can be counted"},
        {1, {(uint64_t)1 << 63}, DT_I8, 0, ERR_FORMAT, "more elements than can be counted"},
        {2, {(uint64_t)1 << 32, (uint64_t)1 << 32}, DT_I8, 0, ERR_FORMAT, "more elements than can be counted"},
        {4, {65536, 65536, 65536, 65536}, DT_I8, 0, ERR_FORMAT, "more elements than can be counted"},
        {1, {INT64_MAX}, DT_F64, 0, ERR_FORMAT, "more bytes than can be counted"},
        {1, {(uint64_t)1 << 62}, DT_F32, 0, ERR_FORMAT, "more bytes than can be counted"},
        {1, {(uint64_t)1 << 61}, DT_F16, 0, ERR_FORMAT, "past the end"},
        {1, {16}, DT_Q8_0, 0, ERR_FORMAT, "not whole blocks of 32 (Q8_0)"},
        {2, {16, 2}, DT_Q8_0, 0, ERR_FORMAT, "not whole blocks"}, /* 32 elements, but in rows of 16 */
        {5, {1}, DT_F32, 0, ERR_FORMAT, "5 dimensions"},
        {UINT32_MAX, {1}, DT_F32, 0, ERR_FORMAT, "4294967295 dimensions"},
        {1, {1}, 4, 0, ERR_UNSUPPORTED, "tensor \"blk.0.w\" has the unknown type 4 (Q4_2"},
        {1, {32}, 31, 0, ERR_UNSUPPORTED, "use a plain Q4_0"},
        {1, {32}, 38, 0, ERR_UNSUPPORTED, "use a plain IQ4_NL"},
        {1, {1}, 999, 0, ERR_UNSUPPORTED, "tensor \"blk.0.w\" has the unknown type 999"},
        {1, {1}, UINT32_MAX, 0, ERR_UNSUPPORTED, "unknown type 4294967295"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        uint64_t ne[5] = {cases[i].ne[0], cases[i].ne[1], cases[i].ne[2], cases[i].ne[3], 1};
        if (cases[i].n_dims <= 5) {
            one_tensor(&b, cases[i].n_dims, ne, cases[i].type, cases[i].offset);
        } else {
            b_header(&b, 3, 1, 0);
            b_str(&b, "blk.0.w");
            b_u32(&b, cases[i].n_dims);
            for (int k = 0; k < 8; k++) b_u64(&b, 0);
        }
        expect(&b, cases[i].code, cases[i].part);
    }
}

static void limits_that_are_allowed(void **state) {
    (void)state;
    struct buf b = {0};
    struct gguf *g;
    struct err e = {0};
    one_tensor(&b, 1, (uint64_t[]){16}, DT_F32, 0); /* to the last byte */
    if (gguf_open_memory(&g, b.data, b.len, "m", &e)) fail_msg("%s", e.msg);
    gguf_close(g);
    b.len = 0;
    one_tensor(&b, 1, (uint64_t[]){8}, DT_F32, 32);
    if (gguf_open_memory(&g, b.data, b.len, "m", &e)) fail_msg("%s", e.msg);
    gguf_close(g);
    b.len = 0;
    b_header(&b, 3, 2, 0); /* two tensors with the same bytes */
    b_tensor(&b, "a", 1, (uint64_t[]){8}, DT_F32, 0);
    b_tensor(&b, "b", 0, NULL, DT_F32, 0);
    b_pad(&b, 32);
    for (int i = 0; i < 4; i++) b_u64(&b, 0);
    if (gguf_open_memory(&g, b.data, b.len, "m", &e)) fail_msg("%s", e.msg);
    assert_ptr_equal(gguf_tensor(g, "a")->data, gguf_tensor(g, "b")->data);
    assert_int_equal(gguf_tensor(g, "b")->size, 4);
    gguf_close(g);
    buf_free(&b);
}

/* Every shorter file is an error. A copy of its exact length lets the sanitizer see a byte read past the end. */
static void truncated_anywhere(void **state) {
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct buf whole = {0};
        b_sample(&whole, version);
        for (size_t n = 0; n <= whole.len; n++) {
            struct gguf *g;
            struct err e = {0};
            int64_t before = mem_live();
            uint8_t *copy = mem_alloc(n);
            if (n) memcpy(copy, whole.data, n);
            int code = gguf_open_memory(&g, copy, n, "cut.gguf", &e);
            if (n < whole.len && (code != ERR_FORMAT || g || strncmp(e.msg, "cut.gguf: byte ", 15) != 0))
                fail_msg("%zu of %zu bytes: %d \"%s\"", n, whole.len, code, e.msg);
            if (n == whole.len) assert_int_equal(code, 0);
            gguf_close(g);
            mem_free(copy);
            assert_int_equal(mem_live(), before);
        }
        buf_free(&whole);
    }
}

/* Touches all that an opened file gives, so that a pointer out of bounds shows. */
static uint64_t touch(const struct gguf *g) {
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        for (uint64_t k = 0; k < kv->count; k++) {
            if (kv->element == GGUF_STRING)
                for (size_t c = 0; c < kv->strings[k].n; c++) sum += (uint8_t)kv->strings[k].p[c];
            else
                sum += (uint64_t)gguf_array_i64(kv, k);
        }
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        for (size_t k = 0; k < t->size; k++) sum += ((const uint8_t *)t->data)[k];
    }
    return sum;
}

static void damaged_anywhere(void **state) {
    (void)state;
    struct buf whole = {0};
    struct rng r = rng_new(2, 71);
    uint64_t sum = 0;
    int opened = 0, refused = 0;
    b_sample(&whole, 3);
    for (size_t i = 0; i < whole.len * 24; i++) {
        struct gguf *g;
        struct err e = {0};
        int64_t before = mem_live();
        uint8_t *copy = mem_alloc(whole.len);
        memcpy(copy, whole.data, whole.len);
        copy[i / 24] = (uint8_t)(i % 24 < 8 ? copy[i / 24] ^ 1u << i % 24 : rng_u32(&r)); /* each bit, then any byte */
        if (i % 24 > 15) copy[rng_below(&r, (uint32_t)whole.len)] = (uint8_t)rng_u32(&r);
        if (gguf_open_memory(&g, copy, whole.len, "damaged.gguf", &e) == 0) {
            opened++;
            sum += touch(g);
        } else {
            refused++;
            assert_true(e.msg[0] != 0 && !strchr(e.msg, '\n'));
        }
        gguf_close(g);
        mem_free(copy);
        assert_int_equal(mem_live(), before);
    }
    assert_true(sum > 0 && opened > 0 && refused > 0);
    buf_free(&whole);
}

static void files_that_cannot_be_opened(void **state) {
    (void)state;
    struct gguf *g;
    struct err e = {0};
    char path[] = "/tmp/hearth-test-bad-XXXXXX";
    assert_int_equal(gguf_open(&g, "/nowhere/at/all.gguf", &e), ERR_IO);
    assert_non_null(strstr(e.msg, "/nowhere/at/all.gguf"));
    assert_int_equal(gguf_open(&g, "/tmp", &e), ERR_IO);
    assert_non_null(strstr(e.msg, "folder"));
    assert_int_equal(gguf_open(&g, "/dev/null", &e), ERR_IO);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(gguf_open(&g, path, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "empty"));
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_int_equal(gguf_open(&g, path, &e), ERR_IO);
    (void)unlink(path);
    assert_null(g);
    assert_int_equal(mem_live(), 0);
}

static void out_of_memory_anywhere(void **state) {
    (void)state;
    struct buf b = {0};
    b_header(&b, 3, 200, 200); /* enough that every table grows */
    for (int i = 0; i < 200; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "key.%d", i);
        b_kv_array(&b, name, GGUF_STRING, 20);
        for (int k = 0; k < 20; k++) b_str(&b, name);
    }
    for (int i = 0; i < 200; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "tensor.%d", i);
        b_tensor(&b, name, 1, (uint64_t[]){8}, DT_F32, 0);
    }
    b_pad(&b, 32);
    for (int i = 0; i < 4; i++) b_u64(&b, 0);
    int64_t before = mem_live();
    int failures = 0;
    for (int64_t n = 1;; n++) {
        struct gguf *g;
        struct err e = {0};
        mem_fail_after(n);
        int code = gguf_open_memory(&g, b.data, b.len, "m.gguf", &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        if (!failed) {
            assert_int_equal(code, 0);
            gguf_close(g);
            break;
        }
        if (code != ERR_MEMORY || g) fail_msg("allocation %lld: %d \"%s\"", (long long)n, code, e.msg);
        assert_int_equal(mem_live(), before);
        failures++;
    }
    assert_true(failures >= 10);
    assert_int_equal(mem_live(), before);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header),
        cmocka_unit_test(absurd_counts),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(wrong_names),
        cmocka_unit_test(wrong_alignments),
        cmocka_unit_test(wrong_tensors),
        cmocka_unit_test(limits_that_are_allowed),
        cmocka_unit_test(truncated_anywhere),
        cmocka_unit_test(damaged_anywhere),
        cmocka_unit_test(files_that_cannot_be_opened),
        cmocka_unit_test(out_of_memory_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
