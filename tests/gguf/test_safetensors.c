/* test_safetensors.c: safetensors read and written: laid out by hand, malformed, sharded, and against the safetensors
 * Python package (tests/oracle/safetensors_roundtrip.py) in both directions. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../shared_data.h"
#include "base/os.h"
#include "base/rng.h"
#include "gguf/safetensors.h"

static char folder[] = "/tmp/hearth-test-safetensors-XXXXXX";
static char path[96], other[96], third[96];

static void ok(int code, const struct err *e) {
    if (code) fail_msg("%s", e->msg);
}

/* A file of a header and n bytes of data that count up from 0. */
static void build(struct buf *b, const char *json, size_t n) {
    uint64_t len = strlen(json);
    b->len = 0;
    assert_true(buf_add(b, &len, 8) && buf_str(b, json));
    for (size_t i = 0; i < n; i++) assert_true(buf_char(b, (char)i));
}

static void reads_a_file(void **state) {
    (void)state;
    struct buf b = {0};
    struct err e = {0};
    struct safetensors *s;
    build(&b, "{\"__metadata__\":{\"format\":\"pt\",\"n\\u00e9\":\"\"},"
              "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[4,28]},"
              "\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},"
              "\"five\":{\"dtype\":\"U8\",\"shape\":[5,1,2,1,1],\"data_offsets\":[28,38]},"
              "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[38,46]},"
              "\"none\":{\"dtype\":\"BOOL\",\"shape\":[0,7],\"data_offsets\":[46,46]}}   ",
          46);
    ok(safetensors_open_memory(&s, b.data, b.len, "m.safetensors", &e), &e);
    assert_int_equal(safetensors_count(s), 5);
    static const char *const order[] = {"a", "b", "five", "scalar", "none"};
    for (size_t i = 0; i < 5; i++) assert_string_equal(safetensors_at(s, i)->t.name, order[i]);
    assert_null(safetensors_at(s, 5));
    assert_null(safetensors_find(s, "c"));
    const struct safetensor *t = safetensors_find(s, "b");
    const uint8_t *data = (const uint8_t *)b.data + b.len - 46;
    assert_true(t->t.type == DT_F32 && t->t.n_dims == 2 && t->t.ne[0] == 3 && t->t.ne[1] == 2 && t->t.ne[2] == 1 && t->t.size == 24);
    assert_ptr_equal(t->t.data, data + 4);
    assert_string_equal(t->dtype, "F32");
    t = safetensors_find(s, "five");
    assert_true(t->t.type == DT_I8 && t->t.n_dims == 4 && t->t.ne[0] == 1 && t->t.ne[1] == 1 && t->t.ne[2] == 2 && t->t.ne[3] == 5);
    assert_string_equal(t->dtype, "U8");
    t = safetensors_find(s, "scalar");
    assert_true(t->t.type == DT_I64 && t->t.n_dims == 0 && tensor_elements(&t->t) == 1 && t->t.size == 8);
    assert_int_equal(safetensors_find(s, "none")->t.size, 0);
    assert_int_equal(safetensors_meta_count(s), 2);
    assert_string_equal(safetensors_meta(s, "format"), "pt");
    assert_string_equal(safetensors_meta_at(s, 1)->key, "n\xc3\xa9");
    assert_null(safetensors_meta(s, "other"));
    assert_null(safetensors_meta_at(s, 2));
    assert_string_equal(safetensors_path(s), "m.safetensors");
    safetensors_close(s);
    build(&b, "{\"__metadata__\":null}", 0); /* as mlx-lm writes */
    ok(safetensors_open_memory(&s, b.data, b.len, "m", &e), &e);
    assert_int_equal(safetensors_count(s), 0);
    safetensors_close(s);
    safetensors_close(NULL);
    buf_free(&b);
}

#define T(fields) "{\"w\":{" fields "}}"
#define D "\"dtype\":\"F32\","
#define S "\"shape\":[2,2],"
#define O "\"data_offsets\":[0,16]"

static const struct {
    const char *json;
    int code;
    const char *part;
} malformed[] = {
    {"", ERR_FORMAT, "not valid JSON"},
    {"{", ERR_FORMAT, "not valid JSON"},
    {"[]", ERR_FORMAT, "not a JSON object"},
    {"{} x", ERR_FORMAT, "not valid JSON"},
    {"{\"w\xff\":1}", ERR_FORMAT, "not valid JSON"},
    {"{\"w\\u0000\":1}", ERR_FORMAT, "not valid JSON"},
    {"{\"w\":1,\"w\":1}", ERR_FORMAT, "duplicate"},
    {"{\"w\":7}", ERR_FORMAT, "tensor \"w\": its entry is not a map"},
    {"{\"a\\nb\":7}", ERR_FORMAT, "its name has a control character"},
    {T(S O), ERR_FORMAT, "\"dtype\" is missing"},
    {T("\"dtype\":4," S O), ERR_FORMAT, "\"dtype\" is missing"},
    {T("\"dtype\":\"F8_E4M3\"," S O), ERR_UNSUPPORTED, "tensor \"w\" has the type F8_E4M3"},
    {T("\"dtype\":\"F8_E5M2\"," S O), ERR_UNSUPPORTED, "F8_E5M2"},
    {T("\"dtype\":\"C64\"," S O), ERR_UNSUPPORTED, "C64"},
    {T("\"dtype\":\"\"," S O), ERR_UNSUPPORTED, "the type ,"},
    {T(D O), ERR_FORMAT, "\"shape\" is missing"},
    {T(D "\"shape\":4," O), ERR_FORMAT, "\"shape\" is missing"},
    {T(D "\"shape\":[2,2.0]," O), ERR_FORMAT, "not a whole number"},
    {T(D "\"shape\":[-2,-2]," O), ERR_FORMAT, "not a whole number"},
    {T(D "\"shape\":[\"4\"]," O), ERR_FORMAT, "not a whole number"},
    {T(D "\"shape\":[4294967296,4294967296]," O), ERR_FORMAT, "more elements"},
    {T(D "\"shape\":[4611686018427387904]," O), ERR_FORMAT, "more bytes"},
    {T(D "\"shape\":[99999999999999999999]," O), ERR_FORMAT, "not valid JSON"},
    {T(D "\"shape\":[3]," O), ERR_FORMAT, "has 16 bytes, but its shape and type need 12"},
    {T(D "\"shape\":[2,0]," O), ERR_FORMAT, "need 0"},
    {T(D S "\"data_offsets\":7"), ERR_FORMAT, "\"data_offsets\" is missing"},
    {T(D "\"shape\":[2,2]"), ERR_FORMAT, "\"data_offsets\" is missing"},
    {T(D S "\"data_offsets\":[0]"), ERR_FORMAT, "\"data_offsets\" is missing"},
    {T(D S "\"data_offsets\":[0,16,16]"), ERR_FORMAT, "\"data_offsets\" is missing"},
    {T(D S "\"data_offsets\":[16,0]"), ERR_FORMAT, "not in order"},
    {T(D S "\"data_offsets\":[-8,8]"), ERR_FORMAT, "not in order"},
    {T(D S "\"data_offsets\":[1,17]"), ERR_FORMAT, "ends at byte 17 of the data, which has 16"},
    {T(D S "\"data_offsets\":[9223372036854775791,9223372036854775807]"), ERR_FORMAT, "ends at byte 9223372036854775807"},
    {T(D "\"shape\":[2],\"data_offsets\":[8,16]"), ERR_FORMAT, "gap before"},
    {T(D "\"shape\":[2],\"data_offsets\":[0,8]"), ERR_FORMAT, "8 bytes follow the last tensor"},
    {"{}", ERR_FORMAT, "16 bytes follow"},
    {"{\"a\":{" D S O "},\"b\":{" D "\"shape\":[2],\"data_offsets\":[8,16]}}", ERR_FORMAT, "tensor \"b\": it overlaps"},
    {"{\"a\":{" D S O "},\"b\":{" D S O "}}", ERR_FORMAT, "overlaps"},
    {"{\"__metadata__\":[]}", ERR_FORMAT, "\"__metadata__\" is not a map"},
    {"{\"__metadata__\":{\"a\":1}}", ERR_FORMAT, "metadata \"a\" is not a string"},
};

static void expect(const struct buf *b, int code, const char *part) {
    struct safetensors *s;
    struct err e = {0};
    int64_t before = mem_live();
    int got = safetensors_open_memory(&s, b->data, b->len, "bad.safetensors", &e);
    if (got != code || s || strncmp(e.msg, "bad.safetensors: ", 17) != 0 || !strstr(e.msg, part) || strchr(e.msg, '\n'))
        fail_msg("%d \"%s\" should be %d \"%s\"", got, e.msg, code, part);
    assert_int_equal(mem_live(), before);
}

static void malformed_files(void **state) {
    (void)state;
    struct buf b = {0};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        build(&b, malformed[i].json, 16);
        expect(&b, malformed[i].code, malformed[i].part);
    }
    b.len = 0;
    expect(&b, ERR_FORMAT, "too few");
    (void)buf_add(&b, "\1\0\0\0\0\0\0", 7);
    expect(&b, ERR_FORMAT, "too few");
    (void)buf_add(&b, "\0", 1);
    expect(&b, ERR_FORMAT, "does not fit");
    b.len = 0;
    (void)buf_add(&b, "\377\377\377\377\377\377\377\377{}", 10);
    expect(&b, ERR_FORMAT, "does not fit");
    b.len = 0;
    for (int i = 0; i < 8; i++) (void)buf_char(&b, i ? 0 : (char)200);
    for (int i = 0; i < 200; i++) (void)buf_char(&b, '['); /* nested */
    expect(&b, ERR_FORMAT, "not valid JSON");
    buf_free(&b);
}

static const char sample[] = "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                             "\"v\":{\"dtype\":\"U16\",\"shape\":[3],\"data_offsets\":[16,22]}}";

static void truncated_or_damaged_anywhere(void **state) {
    (void)state;
    struct buf b = {0};
    struct rng r = rng_new(5, 1);
    int opened = 0;
    build(&b, sample, 22);
    int64_t before = mem_live();
    for (size_t n = 0; n < b.len; n++) {
        struct safetensors *s;
        struct err e = {0};
        uint8_t *copy = mem_alloc(n);
        if (n) memcpy(copy, b.data, n);
        if (safetensors_open_memory(&s, copy, n, "cut", &e) != ERR_FORMAT) fail_msg("%zu bytes: \"%s\"", n, e.msg);
        mem_free(copy);
    }
    for (size_t i = 0; i < b.len * 8; i++) {
        struct safetensors *s;
        struct err e = {0};
        uint8_t *copy = mem_alloc(b.len);
        memcpy(copy, b.data, b.len);
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        if (i % 3 == 0) copy[rng_below(&r, (uint32_t)b.len)] = (uint8_t)rng_u32(&r);
        if (safetensors_open_memory(&s, copy, b.len, "damaged", &e) == 0) opened++;
        else assert_true(e.msg[0] && !strchr(e.msg, '\n'));
        for (size_t k = 0; s && k < safetensors_count(s); k++) {
            const struct tensor *t = &safetensors_at(s, k)->t;
            assert_true((const uint8_t *)t->data >= copy && (const uint8_t *)t->data + t->size <= copy + b.len);
        }
        safetensors_close(s);
        mem_free(copy);
    }
    assert_true(opened > 0);
    assert_int_equal(mem_live(), before);
    buf_free(&b);
}

static void out_of_memory_anywhere(void **state) {
    (void)state;
    struct buf b = {0}, json = {0};
    (void)buf_str(&json, "{\"__metadata__\":{\"a\":\"b\"}");
    for (int i = 0; i < 100; i++)
        (void)buf_printf(&json, ",\"a.tensor.with.a.long.name.%0200d\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i, i, i + 1);
    (void)buf_str(&json, "}");
    build(&b, json.data, 100);
    buf_free(&json);
    int64_t before = mem_live();
    int failures = 0;
    for (int64_t n = 1;; n++, failures++) {
        struct safetensors *s;
        struct err e = {0};
        mem_fail_after(n);
        int code = safetensors_open_memory(&s, b.data, b.len, "m", &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        if (failed && (code != ERR_MEMORY || s)) fail_msg("allocation %lld: %d \"%s\"", (long long)n, code, e.msg);
        if (!failed) ok(code, &e);
        safetensors_close(s);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
    }
    assert_true(failures > 8);
    float x[2] = {1, 2};
    struct tensor t = {.name = "t", .type = DT_F32, .n_dims = 1, .ne = {2, 1, 1, 1}, .data = x, .size = 8};
    for (int64_t n = 1;; n++) {
        struct err e = {0};
        (void)unlink(path);
        mem_fail_after(n);
        int code = safetensors_write(path, &t, 1, &(struct safetensors_pair){"k", "v"}, 1, &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        assert_int_equal(mem_live(), before);
        assert_int_equal(access(path, F_OK) == 0, !failed);
        if (!failed) break;
    }
    buf_free(&b);
}

static const struct safetensors_pair metadata[] = {{"format", "pt"}, {"note", "a \"quoted\" l\xc3\xadne\n"}};

static void write_sample(const char *to) {
    static const float f[6] = {0, 1, 2, 3, 4, 5};
    static const uint16_t h[3] = {0x3f80, 0x4000, 0x4040};
    static const int8_t i[5] = {-1, 2, -3, 4, -5};
    static const double d = 0.1;
    const struct tensor t[] = {
        {.name = "bytes", .type = DT_I8, .n_dims = 1, .ne = {5, 1, 1, 1}, .data = i, .size = 5},
        {.name = "b.weight", .type = DT_F32, .n_dims = 2, .ne = {3, 2, 1, 1}, .data = f, .size = 24},
        {.name = "half", .type = DT_BF16, .n_dims = 1, .ne = {3, 1, 1, 1}, .data = h, .size = 6},
        {.name = "a.weight", .type = DT_F32, .n_dims = 4, .ne = {1, 2, 1, 3}, .data = f, .size = 24},
        {.name = "scalar", .type = DT_F64, .ne = {1, 1, 1, 1}, .data = &d, .size = 8},
        {.name = "empty", .type = DT_F32, .n_dims = 2, .ne = {0, 4, 1, 1}, .size = 0},
    };
    struct err e = {0};
    ok(safetensors_write(to, t, sizeof t / sizeof *t, metadata, 2, &e), &e);
}

static void written_reads_back(void **state) {
    (void)state;
    struct safetensors *s;
    struct err e = {0};
    static const char *const order[] = {"scalar", "a.weight", "b.weight", "empty", "half", "bytes"};
    write_sample(path);
    ok(safetensors_open(&s, path, &e), &e);
    assert_int_equal(safetensors_count(s), 6);
    for (size_t i = 0; i < 6; i++) {
        const struct tensor *t = &safetensors_at(s, i)->t;
        assert_string_equal(t->name, order[i]);
        assert_int_equal((uintptr_t)t->data % dtype_info((uint32_t)t->type)->bytes, 0);
    }
    const struct tensor *t = &safetensors_find(s, "a.weight")->t;
    assert_true(t->n_dims == 4 && t->ne[0] == 1 && t->ne[1] == 2 && t->ne[2] == 1 && t->ne[3] == 3);
    for (int i = 0; i < 6; i++) assert_true(((const float *)t->data)[i] == (float)i);
    assert_int_equal(safetensors_meta_count(s), 2);
    assert_string_equal(safetensors_meta(s, "note"), metadata[1].value);
    safetensors_close(s);
}

static void writer_refuses(void **state) {
    (void)state;
    float x[4] = {0};
    struct err e = {0};
    const struct tensor good = {.name = "t", .type = DT_F32, .n_dims = 1, .ne = {4, 1, 1, 1}, .data = x, .size = 16};
    struct tensor t[2] = {good, good};
    assert_int_equal(safetensors_write(path, t, 2, NULL, 0, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "twice"));
    t[0].type = DT_Q4_K;
    assert_int_equal(safetensors_write(path, t, 1, NULL, 0, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "no type Q4_K"));
    t[0] = good, t[0].size = 12;
    assert_int_equal(safetensors_write(path, t, 1, NULL, 0, &e), ERR_USAGE);
    t[0] = good, t[0].name = "__metadata__";
    assert_int_equal(safetensors_write(path, t, 1, NULL, 0, &e), ERR_USAGE);
    t[0] = good, t[0].data = NULL;
    assert_int_equal(safetensors_write(path, t, 1, NULL, 0, &e), ERR_USAGE);
    t[0] = good, t[0].name = "\xff";
    assert_int_equal(safetensors_write(path, t, 1, NULL, 0, &e), ERR_USAGE);
    assert_int_equal(safetensors_write(path, &good, 1, &(struct safetensors_pair){"k", "\xff"}, 1, &e), ERR_USAGE);
    assert_int_equal(safetensors_write("/nowhere/at/all", &good, 1, NULL, 0, &e), ERR_IO);
}

/* ---- several files ---- */

static void write_text(const char *to, const char *text) {
    struct err e = {0};
    ok(os_write_file(to, text, strlen(text), &e), &e);
}

static void expect_open(const char *file, int code, const char *part) {
    struct safetensors *s;
    struct err e = {0};
    int64_t before = mem_live();
    int got = safetensors_open(&s, file, &e);
    if (got != code || s || !strstr(e.msg, part) || strchr(e.msg, '\n')) fail_msg("%d \"%s\" should be %d \"%s\"", got, e.msg, code, part);
    assert_int_equal(mem_live(), before);
}

static void sharded_files(void **state) {
    (void)state;
    struct err e = {0};
    struct safetensors *s;
    const uint8_t x[2] = {7, 8};
    struct tensor one = {.name = "one", .type = DT_I8, .n_dims = 1, .ne = {1, 1, 1, 1}, .data = x, .size = 1}, two = one;
    two.name = "two";
    two.data = x + 1;
    ok(safetensors_write(path, &one, 1, metadata, 2, &e), &e); /* a.safetensors */
    ok(safetensors_write(other, &two, 1, NULL, 0, &e), &e);    /* b.safetensors */
    write_text(third, "{\"metadata\":{\"total_size\":2},\"weight_map\":{\"one\":\"a.safetensors\",\"two\":\"b.safetensors\"}}");
    ok(safetensors_open(&s, third, &e), &e);
    assert_int_equal(safetensors_count(s), 2);
    assert_int_equal(*(const uint8_t *)safetensors_find(s, "one")->t.data, 7);
    assert_int_equal(*(const uint8_t *)safetensors_find(s, "two")->t.data, 8);
    assert_string_equal(safetensors_meta(s, "format"), "pt");
    assert_string_equal(safetensors_path(s), third);
    safetensors_close(s);

    write_text(third, "{\"weight_map\":{\"one\":\"a.safetensors\",\"three\":\"b.safetensors\"}}");
    expect_open(third, ERR_FORMAT, "tensor \"three\" is not in b.safetensors");
    write_text(third, "{\"weight_map\":{\"one\":\"a.safetensors\",\"two\":\"c.safetensors\"}}");
    expect_open(third, ERR_IO, "c.safetensors");
    write_text(third, "{\"weight_map\":{\"one\":\"../a.safetensors\"}}");
    expect_open(third, ERR_FORMAT, "not the name of a file beside it");
    write_text(third, "{\"weight_map\":{\"one\":\"\"}}");
    expect_open(third, ERR_FORMAT, "not the name of a file beside it");
    write_text(third, "{\"weight_map\":{\"one\":7}}");
    expect_open(third, ERR_FORMAT, "not given a file");
    write_text(third, "{\"weight_map\":{}}");
    expect_open(third, ERR_FORMAT, "weight_map");
    write_text(third, "{}");
    expect_open(third, ERR_FORMAT, "weight_map");
    write_text(third, "nonsense");
    expect_open(third, ERR_FORMAT, "the index is not valid JSON");
    ok(safetensors_write(other, &one, 1, NULL, 0, &e), &e);
    write_text(third, "{\"weight_map\":{\"one\":\"a.safetensors\",\"two\":\"b.safetensors\"}}");
    expect_open(third, ERR_FORMAT, "tensor \"one\": it is in two files");
    expect_open("/nowhere/model.safetensors.index.json", ERR_IO, "/nowhere");
    expect_open("/nowhere/model.safetensors", ERR_IO, "/nowhere");
    expect_open("/tmp", ERR_IO, "folder");
}

/* ---- against the safetensors Python package, and real files ---- */

static int oracle(const char *verb, const char *a) {
    const char *python = getenv("HEARTH_PYTHON");
    char command[512];
    (void)snprintf(command, sizeof command, "'%s' tests/oracle/safetensors_roundtrip.py %s %s", python && *python ? python : "python3", verb, a);
    (void)fflush(stdout);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void agrees_with_the_python_package(void **state) {
    (void)state;
    struct safetensors *s;
    struct err e = {0};
    if (oracle("probe", "") == 77) {
        printf("SKIPPED: no Python with the packages safetensors and numpy (set HEARTH_PYTHON)\n");
        skip();
    }
    write_sample(path);
    assert_int_equal(oracle("check", path), 0); /* it reads what we write */
    assert_int_equal(oracle("write", path), 0); /* and we what it writes */
    ok(safetensors_open(&s, path, &e), &e);
    assert_int_equal(safetensors_count(s), 4);
    const struct safetensor *t = safetensors_find(s, "matrix"); /* numpy shape (2, 3, 4) */
    assert_true(t && t->t.n_dims == 3 && t->t.ne[0] == 4 && t->t.ne[1] == 3 && t->t.ne[2] == 2);
    for (int i = 0; i < 24; i++) {
        float f;
        memcpy(&f, (const uint8_t *)t->t.data + i * 4, 4);
        assert_true(f == (float)i);
    }
    assert_string_equal(safetensors_find(s, "flags")->dtype, "BOOL");
    assert_string_equal(safetensors_find(s, "wide")->dtype, "U64");
    assert_int_equal(safetensors_find(s, "halves")->t.type, DT_F16);
    assert_string_equal(safetensors_meta(s, "who"), "\xc3\xa4");
    safetensors_close(s);
}

static void read_adapter(const char *file) {
    struct safetensors *s;
    struct err e = {0};
    ok(safetensors_open(&s, file, &e), &e);
    assert_true(safetensors_count(s) > 0);
    printf("%s: %zu tensors, the first %s %s\n", file, safetensors_count(s), safetensors_at(s, 0)->dtype, safetensors_at(s, 0)->t.name);
    safetensors_close(s);
}

static void reads_the_shared_files(void **state) {
    (void)state;
    if (shared_each("adapters", ".safetensors", read_adapter) == 0) skip();
}

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    (void)snprintf(other, sizeof other, "%s/b.safetensors", folder);
    (void)snprintf(third, sizeof third, "%s/model.safetensors.index.json", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    (void)unlink(other);
    (void)unlink(third);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_file),
        cmocka_unit_test(malformed_files),
        cmocka_unit_test(truncated_or_damaged_anywhere),
        cmocka_unit_test(out_of_memory_anywhere),
        cmocka_unit_test(written_reads_back),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(sharded_files),
        cmocka_unit_test(agrees_with_the_python_package),
        cmocka_unit_test(reads_the_shared_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
