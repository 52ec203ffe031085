/* gguf_write.c: writing GGUF files (version 3); see gguf.h.
 *
 * Keys and tensors are collected, then written in one pass: every offset follows from the sizes, so nothing is patched
 * afterwards. The writer owns single values and its tables; names, strings, arrays and data are the caller's.
 */
#include <string.h>

#include "base/os.h"
#include "base/strmap.h"
#include "base/utf8.h"
#include "gguf/gguf.h"

enum { MAX_NAME = 65535, PIECE = 1 << 20 };

struct out_tensor {
    struct tensor t;
    gguf_fill_fn fill;
    void *ctx;
};

struct gguf_writer {
    struct arena arena; /* single values */
    struct gguf_kv *kvs;
    size_t n_kvs, cap_kvs;
    struct out_tensor *tensors;
    size_t n_tensors, cap_tensors;
    struct strmap keys, names;
    gguf_watch_fn watch;
    void *watch_ctx;
};

/* Bytes of an element; 0 for strings and what is no element. */
static size_t element_bytes(enum gguf_type type) {
    switch (type) {
    case GGUF_U8: case GGUF_I8: case GGUF_BOOL: return 1;
    case GGUF_U16: case GGUF_I16: return 2;
    case GGUF_U32: case GGUF_I32: case GGUF_F32: return 4;
    case GGUF_U64: case GGUF_I64: case GGUF_F64: return 8;
    default: return 0;
    }
}

int gguf_writer_new(struct gguf_writer **w, struct err *e) {
    *w = mem_calloc(1, sizeof **w);
    return *w ? 0 : err_nomem(e, "a GGUF writer", sizeof **w);
}

void gguf_writer_free(struct gguf_writer *w) {
    if (!w) return;
    arena_free(&w->arena);
    strmap_free(&w->keys);
    strmap_free(&w->names);
    mem_free(w->kvs);
    mem_free(w->tensors);
    mem_free(w);
}

/* Room for one more of `size` bytes at the end of an array of n. */
static bool grow(void **array, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return true;
    size_t more = *cap ? *cap * 2 : 64;
    void *p = mem_array(*array, more, size);
    if (!p) return false;
    *array = p;
    *cap = more;
    return true;
}

static int check_name(const char *what, struct slice name, struct err *e) {
    char quoted[80];
    if (name.n > 0 && name.n <= MAX_NAME && utf8_prefix(name.p, name.n) == name.n && !memchr(name.p, 0, name.n)) return 0;
    return err_set(e, ERR_USAGE, "%s \"%s\" cannot be written: 1 to %d bytes of UTF-8 without NUL are needed", what,
                   err_quote(quoted, sizeof quoted, name.p, name.n), MAX_NAME);
}

int gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv, struct err *e) {
    uint32_t i;
    int code = check_name("key", kv->key, e);
    if (code) return code;
    bool array = kv->type == GGUF_ARRAY, string = kv->element == GGUF_STRING;
    if ((!array && (kv->element != kv->type || kv->count != 1)) || (!string && element_bytes(kv->element) == 0) ||
        (kv->count > 0 && (string ? kv->strings == NULL : kv->data == NULL)))
        return err_set(e, ERR_USAGE, "key \"%.*s\" cannot be written: its type is not one that a value can have", (int)kv->key.n, kv->key.p);
    if (strmap_get(&w->keys, kv->key, &i)) {
        struct slice key = w->kvs[i].key; /* the map borrows this one */
        w->kvs[i] = *kv;
        w->kvs[i].key = key;
        return 0;
    }
    void *kvs = w->kvs;
    bool room = grow(&kvs, w->n_kvs, &w->cap_kvs, sizeof *w->kvs);
    w->kvs = kvs;
    if (!room || strmap_put(&w->keys, kv->key, (uint32_t)w->n_kvs) < 0) return err_nomem(e, "a GGUF writer's keys", w->n_kvs * sizeof *kv);
    w->kvs[w->n_kvs++] = *kv;
    return 0;
}

/* One value of n bytes, or one string, kept in the writer. */
static int put_value(struct gguf_writer *w, const char *key, enum gguf_type type, const void *value, size_t n, struct err *e) {
    void *copy = arena_alloc(&w->arena, n);
    if (!copy) return err_nomem(e, "a GGUF writer's value", n);
    memcpy(copy, value, n);
    struct gguf_kv kv = {.key = slice_of(key), .type = type, .element = type, .count = 1};
    if (type == GGUF_STRING) kv.strings = copy;
    else kv.data = copy;
    return gguf_put_kv(w, &kv, e);
}

int gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v, struct err *e) { return put_value(w, key, GGUF_U32, &v, sizeof v, e); }
int gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v, struct err *e) { return put_value(w, key, GGUF_U64, &v, sizeof v, e); }
int gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v, struct err *e) { return put_value(w, key, GGUF_I32, &v, sizeof v, e); }
int gguf_put_f32(struct gguf_writer *w, const char *key, float v, struct err *e) { return put_value(w, key, GGUF_F32, &v, sizeof v, e); }
int gguf_put_str(struct gguf_writer *w, const char *key, struct slice v, struct err *e) { return put_value(w, key, GGUF_STRING, &v, sizeof v, e); }

int gguf_put_bool(struct gguf_writer *w, const char *key, bool v, struct err *e) {
    uint8_t byte = v;
    return put_value(w, key, GGUF_BOOL, &byte, 1, e);
}

int gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type element, const void *data, uint64_t count, struct err *e) {
    struct gguf_kv kv = {.key = slice_of(key), .type = GGUF_ARRAY, .element = element, .count = count, .data = data};
    return gguf_put_kv(w, &kv, e);
}

int gguf_put_strings(struct gguf_writer *w, const char *key, const struct slice *v, uint64_t count, struct err *e) {
    struct gguf_kv kv = {.key = slice_of(key), .type = GGUF_ARRAY, .element = GGUF_STRING, .count = count, .strings = v};
    return gguf_put_kv(w, &kv, e);
}

/* Bytes that a tensor's type and shape ask for; 0: they do not make sense. */
static size_t tensor_bytes(const struct tensor *t) {
    const struct dtype_info *info = dtype_info((uint32_t)t->type);
    uint64_t total = 1;
    if (!info || !info->name || t->n_dims < 0 || t->n_dims > TENSOR_DIMS) return 0;
    for (int i = 0; i < TENSOR_DIMS; i++)
        if (t->ne[i] < 1 || (i >= t->n_dims && t->ne[i] != 1) || __builtin_mul_overflow(total, (uint64_t)t->ne[i], &total) || total > INT64_MAX)
            return 0;
    return (uint64_t)t->ne[0] % info->block == 0 ? dtype_size(t->type, total) : 0;
}

int gguf_put_tensor(struct gguf_writer *w, const struct tensor *t, gguf_fill_fn fill, void *ctx, struct err *e) {
    int code = check_name("tensor", slice_of(t->name), e);
    if (code) return code;
    size_t bytes = tensor_bytes(t);
    if (bytes == 0) return err_set(e, ERR_USAGE, "tensor \"%s\" cannot be written: its shape does not go with its type", t->name);
    if (t->size != bytes) return err_set(e, ERR_USAGE, "tensor \"%s\" cannot be written: it has %zu bytes, not %zu", t->name, t->size, bytes);
    if (!fill && !t->data) return err_set(e, ERR_USAGE, "tensor \"%s\" cannot be written: it has no data", t->name);
    void *tensors = w->tensors;
    bool room = grow(&tensors, w->n_tensors, &w->cap_tensors, sizeof *w->tensors);
    w->tensors = tensors;
    int put = room ? strmap_put(&w->names, slice_of(t->name), (uint32_t)w->n_tensors) : -1;
    if (put < 0) return err_nomem(e, "a GGUF writer's tensors", w->n_tensors * sizeof *w->tensors);
    if (put == 0) return err_set(e, ERR_USAGE, "tensor \"%s\" was added twice", t->name);
    w->tensors[w->n_tensors++] = (struct out_tensor){*t, fill, ctx};
    return 0;
}

void gguf_writer_watch(struct gguf_writer *w, gguf_watch_fn watch, void *ctx) {
    w->watch = watch;
    w->watch_ctx = ctx;
}

/* The stream of one gguf_write. After an error further writes do nothing. */
struct stream {
    struct os_out *out;
    uint64_t at;
    int code;
    struct err *e;
};

static void put_bytes(struct stream *s, const void *p, size_t n) {
    if (s->code == 0) s->code = os_out_write(s->out, p, n, s->e);
    s->at += n;
}

static void put_uint(struct stream *s, uint64_t v, size_t bytes) {
    uint8_t b[8];
    for (size_t i = 0; i < bytes; i++) b[i] = (uint8_t)(v >> (8 * i));
    put_bytes(s, b, bytes);
}

static void put_slice(struct stream *s, struct slice v) {
    put_uint(s, v.n, 8);
    put_bytes(s, v.p, v.n);
}

static void put_padding(struct stream *s, uint64_t alignment) {
    static const uint8_t zero[64];
    while (s->code == 0 && s->at % alignment != 0) {
        uint64_t n = alignment - s->at % alignment;
        put_bytes(s, zero, n < sizeof zero ? (size_t)n : sizeof zero);
    }
}

static void put_header(struct stream *s, const struct gguf_writer *w, uint64_t alignment) {
    put_bytes(s, "GGUF", 4);
    put_uint(s, 3, 4);
    put_uint(s, w->n_tensors, 8);
    put_uint(s, w->n_kvs, 8);
    for (size_t i = 0; i < w->n_kvs; i++) {
        const struct gguf_kv *kv = &w->kvs[i];
        put_slice(s, kv->key);
        put_uint(s, (uint64_t)kv->type, 4);
        if (kv->type == GGUF_ARRAY) {
            put_uint(s, (uint64_t)kv->element, 4);
            put_uint(s, kv->count, 8);
        }
        if (kv->element != GGUF_STRING) put_bytes(s, kv->data, (size_t)kv->count * element_bytes(kv->element));
        else
            for (uint64_t k = 0; k < kv->count; k++) put_slice(s, kv->strings[k]);
    }
    uint64_t offset = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct tensor *t = &w->tensors[i].t;
        put_slice(s, slice_of(t->name));
        put_uint(s, (uint64_t)t->n_dims, 4);
        for (int k = 0; k < t->n_dims; k++) put_uint(s, (uint64_t)t->ne[k], 8);
        put_uint(s, (uint64_t)t->type, 4);
        put_uint(s, offset, 8);
        offset += t->size + (alignment - t->size % alignment) % alignment;
    }
}

static void put_data(struct stream *s, const struct gguf_writer *w, const uint8_t *data, size_t n) {
    for (size_t at = 0; at < n && s->code == 0; at += PIECE) {
        if (w->watch && (s->code = w->watch(w->watch_ctx, s->e)) != 0) return;
        put_bytes(s, data + at, n - at < PIECE ? n - at : PIECE);
    }
}

static void put_tensors(struct stream *s, const struct gguf_writer *w, uint64_t alignment, void *scratch) {
    for (size_t i = 0; i < w->n_tensors && s->code == 0; i++) {
        const struct out_tensor *t = &w->tensors[i];
        if (t->fill && (s->code = t->fill(t->ctx, &t->t, scratch, s->e)) != 0) return;
        put_data(s, w, t->fill ? scratch : t->t.data, t->t.size);
        put_padding(s, alignment);
    }
}

/* The alignment that the keys ask for; 0 with *e filled when it cannot be. */
static uint64_t alignment_of(const struct gguf_writer *w, struct err *e) {
    uint32_t i;
    if (!strmap_get(&w->keys, SLICE("general.alignment"), &i)) return GGUF_ALIGNMENT;
    const struct gguf_kv *kv = &w->kvs[i];
    int64_t v = kv->type != GGUF_ARRAY && gguf_is_integer(kv->element) ? gguf_array_i64(kv, 0) : 0;
    if (v >= 8 && v <= 1 << 20 && (v & (v - 1)) == 0) return (uint64_t)v;
    (void)err_set(e, ERR_USAGE, "general.alignment must be a power of two from 8 to 1048576");
    return 0;
}

int gguf_write(struct gguf_writer *w, const char *path, struct err *e) {
    uint64_t alignment = alignment_of(w, e);
    if (alignment == 0) return ERR_USAGE;
    struct stream s = {.e = e};
    size_t largest = 0;
    for (size_t i = 0; i < w->n_tensors; i++)
        if (w->tensors[i].fill && w->tensors[i].t.size > largest) largest = w->tensors[i].t.size;
    void *scratch = largest ? mem_aligned(64, largest) : NULL;
    if (largest && !scratch) return err_nomem(e, "the largest tensor", largest);
    s.code = os_out_open(&s.out, path, e);
    if (s.code == 0) {
        put_header(&s, w, alignment);
        put_padding(&s, alignment);
        put_tensors(&s, w, alignment, scratch);
        if (s.code == 0) s.code = os_out_commit(s.out, e);
        else os_out_abort(s.out);
    }
    mem_free(scratch);
    return s.code;
}
