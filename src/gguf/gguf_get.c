/* gguf_get.c: single values and arrays of numbers out of an opened GGUF file; see gguf.h. Reads only what gguf_read.c has validated. */
#include <math.h>
#include <string.h>

#include "gguf/gguf.h"

bool gguf_is_integer(enum gguf_type type) {
    switch (type) {
    case GGUF_U8: case GGUF_I8: case GGUF_U16: case GGUF_I16: case GGUF_U32: case GGUF_I32: case GGUF_U64: case GGUF_I64: return true;
    default: return false;
    }
}

bool gguf_is_float(enum gguf_type type) { return type == GGUF_F32 || type == GGUF_F64; }

const char *gguf_type_name(enum gguf_type type) {
    static const char *const name[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
    return (unsigned)type < sizeof name / sizeof *name ? name[type] : "unknown";
}

#define LOAD(type) \
    type v; \
    memcpy(&v, kv->data + i * sizeof v, sizeof v)

int64_t gguf_array_i64(const struct gguf_kv *kv, uint64_t i) {
    switch (kv->element) {
    case GGUF_U8: case GGUF_BOOL: return kv->data[i];
    case GGUF_I8: { LOAD(int8_t); return v; }
    case GGUF_U16: { LOAD(uint16_t); return v; }
    case GGUF_I16: { LOAD(int16_t); return v; }
    case GGUF_U32: { LOAD(uint32_t); return v; }
    case GGUF_I32: { LOAD(int32_t); return v; }
    case GGUF_U64: case GGUF_I64: { LOAD(int64_t); return v; }
    case GGUF_F32: case GGUF_F64: {
        double v = gguf_array_f64(kv, i);
        return v > -0x1p63 && v < 0x1p63 ? (int64_t)v : 0;
    }
    default: return 0;
    }
}

double gguf_array_f64(const struct gguf_kv *kv, uint64_t i) {
    switch (kv->element) {
    case GGUF_F32: { LOAD(float); return (double)v; }
    case GGUF_F64: { LOAD(double); return v; }
    case GGUF_U64: { LOAD(uint64_t); return (double)v; }
    default: return (double)gguf_array_i64(kv, i);
    }
}

/* The error of a key with a value of another kind than `wanted`. */
static int wrong_type(const struct gguf *g, const struct gguf_kv *kv, const char *key, const char *wanted, struct err *e) {
    return err_set(e, ERR_FORMAT, "%s: key \"%s\" is %s%s but must be %s; the file is damaged or newer than this program", gguf_path(g), key,
                   kv->type == GGUF_ARRAY ? "an array of " : "of type ", gguf_type_name(kv->element), wanted);
}

/* Element i as an integer in [lo, hi]; a whole hi of UINT64_MAX takes all of u64. */
static int take_integer(const struct gguf *g, const struct gguf_kv *kv, const char *key, uint64_t i, int64_t lo, uint64_t hi, uint64_t *out,
                        struct err *e) {
    if (!gguf_is_integer(kv->element)) return wrong_type(g, kv, key, "a whole number", e);
    int64_t v = gguf_array_i64(kv, i);
    bool large = kv->element == GGUF_U64 && v < 0; /* above INT64_MAX */
    bool fits = large ? (uint64_t)v <= hi : v >= lo && (v < 0 || (uint64_t)v <= hi);
    if (!fits)
        return large ? err_set(e, ERR_FORMAT, "%s: key \"%s\" is %llu, more than the %llu allowed", gguf_path(g), key, (unsigned long long)v,
                               (unsigned long long)hi)
                     : err_set(e, ERR_FORMAT, "%s: key \"%s\" is %lld, not between %lld and %llu", gguf_path(g), key, (long long)v, (long long)lo,
                               (unsigned long long)hi);
    *out = (uint64_t)v;
    return 0;
}

static int take_float(const struct gguf *g, const struct gguf_kv *kv, const char *key, uint64_t i, float *out, struct err *e) {
    if (!gguf_is_integer(kv->element) && !gguf_is_float(kv->element)) return wrong_type(g, kv, key, "a number", e);
    double v = gguf_array_f64(kv, i);
    float f = (float)v;
    if (!isfinite(f)) return err_set(e, ERR_FORMAT, "%s: key \"%s\" is %g, not a finite 32-bit number; the file is damaged", gguf_path(g), key, v);
    *out = f;
    return 0;
}

static int take_bool(const struct gguf *g, const struct gguf_kv *kv, const char *key, uint64_t i, bool *out, struct err *e) {
    if (kv->element != GGUF_BOOL) return wrong_type(g, kv, key, "true or false", e);
    *out = kv->data[i] != 0;
    return 0;
}

/* A key that must be a single value. *kv NULL: not there. */
static int single(const struct gguf *g, const char *key, const char *wanted, const struct gguf_kv **kv, struct err *e) {
    *kv = gguf_find(g, key);
    return *kv && (*kv)->type == GGUF_ARRAY ? wrong_type(g, *kv, key, wanted, e) : 0;
}

/* A key with a value for each of n: one for all, or an array that is long enough. */
static int several(const struct gguf *g, const char *key, size_t n, const struct gguf_kv **kv, struct err *e) {
    *kv = gguf_find(g, key);
    if (!*kv || (*kv)->type != GGUF_ARRAY || (*kv)->count >= n) return 0;
    return err_set(e, ERR_FORMAT, "%s: key \"%s\" has %llu elements but %zu are needed; the file is damaged", gguf_path(g), key,
                   (unsigned long long)(*kv)->count, n);
}

static int get_integer(const struct gguf *g, const char *key, int64_t lo, uint64_t hi, uint64_t *out, bool *there, struct err *e) {
    const struct gguf_kv *kv;
    int code = single(g, key, "a whole number", &kv, e);
    *there = code == 0 && kv;
    return *there ? take_integer(g, kv, key, 0, lo, hi, out, e) : code;
}

int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *e) {
    bool there;
    return get_integer(g, key, 0, UINT64_MAX, out, &there, e);
}

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e) {
    bool there;
    uint64_t v = 0;
    int code = get_integer(g, key, 0, UINT32_MAX, &v, &there, e);
    if (code == 0 && there) *out = (uint32_t)v;
    return code;
}

int gguf_get_i32(const struct gguf *g, const char *key, int32_t *out, struct err *e) {
    bool there;
    uint64_t v = 0;
    int code = get_integer(g, key, INT32_MIN, INT32_MAX, &v, &there, e);
    if (code == 0 && there) *out = (int32_t)(int64_t)v;
    return code;
}

int gguf_get_f32(const struct gguf *g, const char *key, float *out, struct err *e) {
    const struct gguf_kv *kv;
    int code = single(g, key, "a number", &kv, e);
    return code || !kv ? code : take_float(g, kv, key, 0, out, e);
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *e) {
    const struct gguf_kv *kv;
    int code = single(g, key, "true or false", &kv, e);
    return code || !kv ? code : take_bool(g, kv, key, 0, out, e);
}

int gguf_get_str(const struct gguf *g, const char *key, struct slice *out, struct err *e) {
    const struct gguf_kv *kv;
    int code = single(g, key, "a string", &kv, e);
    if (code || !kv) return code;
    if (kv->type != GGUF_STRING) return wrong_type(g, kv, key, "a string", e);
    *out = kv->strings[0];
    return 0;
}

int gguf_get_u32s(const struct gguf *g, const char *key, uint32_t *out, size_t n, struct err *e) {
    const struct gguf_kv *kv;
    int code = several(g, key, n, &kv, e);
    for (size_t i = 0; kv && code == 0 && i < n; i++) {
        uint64_t v;
        code = take_integer(g, kv, key, kv->type == GGUF_ARRAY ? i : 0, 0, UINT32_MAX, &v, e);
        if (code == 0) out[i] = (uint32_t)v;
    }
    return code;
}

int gguf_get_f32s(const struct gguf *g, const char *key, float *out, size_t n, struct err *e) {
    const struct gguf_kv *kv;
    int code = several(g, key, n, &kv, e);
    for (size_t i = 0; kv && code == 0 && i < n; i++) code = take_float(g, kv, key, kv->type == GGUF_ARRAY ? i : 0, &out[i], e);
    return code;
}

int gguf_get_bools(const struct gguf *g, const char *key, bool *out, size_t n, struct err *e) {
    const struct gguf_kv *kv;
    int code = several(g, key, n, &kv, e);
    for (size_t i = 0; kv && code == 0 && i < n; i++) code = take_bool(g, kv, key, kv->type == GGUF_ARRAY ? i : 0, &out[i], e);
    return code;
}
