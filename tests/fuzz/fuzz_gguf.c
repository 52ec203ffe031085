/* fuzz_gguf.c: any bytes as a GGUF file. What opens is read in full, through every reader, and what it says is held to the
 * promises of gguf.h; then it is written and must read back the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf/gguf.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum; /* so that no read is left out as useless */

static void read_kv(const struct gguf *g, const struct gguf_kv *kv) {
    char key[65536];
    uint64_t u64;
    uint32_t u32, many[3];
    int32_t i32;
    float f, floats[3];
    bool flag, flags[3];
    struct slice s;
    struct err e;
    CHECK(kv->key.n > 0 && kv->key.n < sizeof key);
    memcpy(key, kv->key.p, kv->key.n);
    key[kv->key.n] = 0;
    CHECK(gguf_find(g, key) == kv);
    if (gguf_get_u64(g, key, &u64, &e) == 0) sum += u64;
    if (gguf_get_u32(g, key, &u32, &e) == 0) sum += u32;
    if (gguf_get_i32(g, key, &i32, &e) == 0) sum += (uint64_t)i32;
    if (gguf_get_f32(g, key, &f, &e) == 0) CHECK(f - f == 0);
    if (gguf_get_bool(g, key, &flag, &e) == 0) sum += flag;
    if (gguf_get_str(g, key, &s, &e) == 0) sum += s.n;
    if (gguf_get_u32s(g, key, many, 3, &e) == 0) sum += many[2];
    if (gguf_get_f32s(g, key, floats, 3, &e) == 0) CHECK(floats[2] - floats[2] == 0);
    if (gguf_get_bools(g, key, flags, 3, &e) == 0) sum += flags[2];
    for (uint64_t i = 0; i < kv->count; i++) {
        if (kv->element == GGUF_STRING)
            for (size_t k = 0; k < kv->strings[i].n; k++) sum += (uint8_t)kv->strings[i].p[k];
        else
            sum += (uint64_t)gguf_array_i64(kv, i) + (gguf_array_f64(kv, i) > 0);
    }
}

static void read_tensor(const struct gguf *g, size_t i, size_t size) {
    const struct tensor *t = gguf_tensor_at(g, i);
    uint64_t at = 0;
    CHECK(gguf_tensor(g, t->name) == t);
    CHECK(t->n_dims >= 0 && t->n_dims <= TENSOR_DIMS && t->size > 0 && dtype_info((uint32_t)t->type));
    CHECK(tensor_row_bytes(t) * (size_t)tensor_rows(t) == t->size);
    CHECK((uintptr_t)t->data % 8 == 0);
    CHECK(gguf_tensor_where(g, i, &at) && at <= size && t->size <= size - at);
    for (size_t k = 0; k < t->size; k++) sum += ((const uint8_t *)t->data)[k];
}

static bool same_kv(const struct gguf_kv *a, const struct gguf_kv *b) {
    if (!slice_eq(a->key, b->key) || a->type != b->type || a->element != b->element || a->count != b->count) return false;
    for (uint64_t i = 0; i < a->count; i++)
        if (a->element == GGUF_STRING ? !slice_eq(a->strings[i], b->strings[i]) : gguf_array_i64(a, i) != gguf_array_i64(b, i)) return false;
    return true;
}

static void write_and_read_back(const struct gguf *g) {
    char path[64];
    struct err e = {0};
    struct gguf_writer *w;
    struct gguf *back;
    uint64_t alignment = GGUF_ALIGNMENT;
    CHECK(gguf_get_u64(g, "general.alignment", &alignment, &e) == 0);
    if (alignment > 4096) return; /* padding of up to a megabyte a tensor tells nothing new */
    (void)snprintf(path, sizeof path, "/tmp/hearth-fuzz-%ld.gguf", (long)getpid());
    CHECK(gguf_writer_new(&w, &e) == 0);
    for (size_t i = 0; i < gguf_kv_count(g); i++) CHECK(gguf_put_kv(w, gguf_kv_at(g, i), &e) == 0);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) CHECK(gguf_put_tensor(w, gguf_tensor_at(g, i), NULL, NULL, &e) == 0);
    CHECK(gguf_write(w, path, &e) == 0);
    gguf_writer_free(w);
    CHECK(gguf_open(&back, path, &e) == 0);
    (void)unlink(path);
    CHECK(gguf_kv_count(back) == gguf_kv_count(g) && gguf_tensor_count(back) == gguf_tensor_count(g));
    for (size_t i = 0; i < gguf_kv_count(g); i++) CHECK(same_kv(gguf_kv_at(g, i), gguf_kv_at(back, i)));
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *a = gguf_tensor_at(g, i), *b = gguf_tensor_at(back, i);
        CHECK(strcmp(a->name, b->name) == 0 && a->type == b->type && a->size == b->size && memcmp(a->ne, b->ne, sizeof a->ne) == 0);
        CHECK(memcmp(a->data, b->data, a->size) == 0);
    }
    gguf_close(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gguf *g;
    struct err e = {0};
    int64_t before = mem_live();
    int code = gguf_open_memory(&g, data, size, "fuzz.gguf", &e);
    if (code) {
        CHECK(!g && e.code == code && strncmp(e.msg, "fuzz.gguf: ", 11) == 0 && !strchr(e.msg, '\n'));
    } else {
        for (size_t i = 0; i < gguf_kv_count(g); i++) read_kv(g, gguf_kv_at(g, i));
        for (size_t i = 0; i < gguf_tensor_count(g); i++) read_tensor(g, i, size);
        if (size % 8 == 0) write_and_read_back(g); /* slower: an eighth of the time */
    }
    gguf_close(g);
    CHECK(mem_live() == before);
    return 0;
}
