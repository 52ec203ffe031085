/* build.h: GGUF files made byte by byte, so that tests can make wrong ones too. Independent of the writer under test. */
#ifndef HEARTH_TESTS_GGUF_BUILD_H
#define HEARTH_TESTS_GGUF_BUILD_H

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "gguf/gguf.h"

static inline void b_bytes(struct buf *b, const void *p, size_t n) {
    bool ok = buf_add(b, p, n);
    assert(ok);
    (void)ok;
}
static inline void b_uint(struct buf *b, uint64_t v, size_t bytes) { b_bytes(b, &v, bytes); } /* hosts are little-endian */
static inline void b_u32(struct buf *b, uint32_t v) { b_uint(b, v, 4); }
static inline void b_u64(struct buf *b, uint64_t v) { b_uint(b, v, 8); }
static inline void b_str(struct buf *b, const char *s) {
    b_u64(b, strlen(s));
    b_bytes(b, s, strlen(s));
}
static inline void b_header(struct buf *b, uint32_t version, uint64_t tensors, uint64_t kvs) {
    b_bytes(b, "GGUF", 4);
    b_u32(b, version);
    b_u64(b, tensors);
    b_u64(b, kvs);
}
static inline void b_kv(struct buf *b, const char *key, enum gguf_type type) {
    b_str(b, key);
    b_u32(b, (uint32_t)type);
}
static inline void b_kv_uint(struct buf *b, const char *key, enum gguf_type type, uint64_t v, size_t bytes) {
    b_kv(b, key, type);
    b_uint(b, v, bytes);
}
static inline void b_kv_str(struct buf *b, const char *key, const char *v) {
    b_kv(b, key, GGUF_STRING);
    b_str(b, v);
}
static inline void b_kv_array(struct buf *b, const char *key, enum gguf_type element, uint64_t n) {
    b_kv(b, key, GGUF_ARRAY);
    b_u32(b, (uint32_t)element);
    b_u64(b, n);
}
static inline void b_tensor(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset) {
    b_str(b, name);
    b_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) b_u64(b, ne[i]);
    b_u32(b, type);
    b_u64(b, offset);
}
static inline void b_pad(struct buf *b, size_t alignment) {
    while (b->len % alignment) b_bytes(b, "", 1);
}

/* A small file with every kind of value, and two tensors whose data ends at the end of the file. */
static inline void b_sample(struct buf *b, uint32_t version) {
    float f = 1.5f, data[24];
    double d = -2.25;
    b_header(b, version, 2, 16);
    b_kv_uint(b, "u8", GGUF_U8, 200, 1);
    b_kv_uint(b, "i8", GGUF_I8, (uint8_t)-5, 1);
    b_kv_uint(b, "u16", GGUF_U16, 60000, 2);
    b_kv_uint(b, "i16", GGUF_I16, (uint16_t)-300, 2);
    b_kv_uint(b, "u32", GGUF_U32, 4000000000u, 4);
    b_kv_uint(b, "i32", GGUF_I32, (uint32_t)-70000, 4);
    b_kv(b, "f32", GGUF_F32);
    b_bytes(b, &f, 4);
    b_kv_uint(b, "bool", GGUF_BOOL, 1, 1);
    b_kv_str(b, "string", "h\xc3\xa9llo");
    b_kv_uint(b, "u64", GGUF_U64, UINT64_MAX, 8);
    b_kv_uint(b, "i64", GGUF_I64, (uint64_t)INT64_MIN, 8);
    b_kv(b, "f64", GGUF_F64);
    b_bytes(b, &d, 8);
    b_kv_array(b, "array.strings", GGUF_STRING, 3);
    b_str(b, "a");
    b_str(b, "");
    b_str(b, "ccc");
    b_kv_array(b, "array.i16", GGUF_I16, 3);
    for (int i = -1; i < 2; i++) b_uint(b, (uint16_t)i, 2);
    b_kv_array(b, "array.empty", GGUF_F32, 0);
    b_kv_array(b, "array.bool", GGUF_BOOL, 2);
    b_bytes(b, "\1\0", 2);
    b_tensor(b, "first", 2, (uint64_t[]){4, 3}, DT_F32, 0);
    b_tensor(b, "second", 1, (uint64_t[]){12}, DT_F32, 64);
    b_pad(b, 32);
    for (int i = 0; i < 24; i++) data[i] = (float)i;
    b_bytes(b, data, 48);
    b_u64(b, 0); /* 48 bytes padded to 64 */
    b_u64(b, 0);
    b_bytes(b, data + 12, 48);
}

#endif
