/* fuzz_safetensors.c: any bytes as a safetensors file. What opens is read in full and held to the promises of
 * safetensors.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/safetensors.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum; /* so that no read is left out as useless */

/* Every byte of the data section belongs to exactly one tensor, in order. */
static void read_all(const struct safetensors *s, const uint8_t *data, size_t size) {
    uint64_t header;
    memcpy(&header, data, 8);
    const uint8_t *at = data + 8 + header;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct safetensor *t = safetensors_at(s, i);
        CHECK(safetensors_find(s, t->t.name) == t);
        CHECK(t->t.n_dims >= 0 && t->t.n_dims <= TENSOR_DIMS && t->dtype);
        CHECK((size_t)tensor_elements(&t->t) * dtype_info((uint32_t)t->t.type)->bytes == t->t.size);
        CHECK(t->t.data == at);
        for (size_t k = 0; k < t->t.size; k++) sum += at[k];
        at += t->t.size;
    }
    CHECK(at == data + size);
    for (size_t i = 0; i < safetensors_meta_count(s); i++) {
        const struct safetensors_pair *p = safetensors_meta_at(s, i);
        CHECK(safetensors_meta(s, p->key) == p->value);
        sum += strlen(p->value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct safetensors *s;
    struct err e = {0};
    int64_t before = mem_live();
    int code = safetensors_open_memory(&s, data, size, "fuzz", &e);
    if (code) CHECK(!s && e.code == code && strncmp(e.msg, "fuzz: ", 6) == 0 && !strchr(e.msg, '\n'));
    else read_all(s, data, size);
    safetensors_close(s);
    CHECK(mem_live() == before);
    return 0;
}
