/* safetensors_write.c: writing safetensors files; see safetensors.h. Everything is the caller's; what is made here is freed here. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/utf8.h"
#include "gguf/safetensors.h"

static const char *dtype_name(enum dtype type) {
    switch (type) {
    case DT_F64: case DT_F32: case DT_F16: case DT_BF16: case DT_I8: case DT_I16: case DT_I32: case DT_I64: return dtype_info((uint32_t)type)->name;
    default: return NULL;
    }
}

/* Large elements first, so that all are aligned; then by name, as the format's own writer does. */
static int by_width(const void *a, const void *b) {
    const struct tensor *const *x = a, *const *y = b;
    uint32_t wx = dtype_info((uint32_t)(*x)->type)->bytes, wy = dtype_info((uint32_t)(*y)->type)->bytes;
    return wx != wy ? (wx > wy ? -1 : 1) : strcmp((*x)->name, (*y)->name);
}

static int check_tensor(const struct tensor *t, struct err *e) {
    uint64_t total = 1, bytes;
    char quoted[80];
    (void)err_quote(quoted, sizeof quoted, t->name, strlen(t->name));
    if (t->name[0] == 0 || strcmp(t->name, "__metadata__") == 0 || utf8_prefix(t->name, strlen(t->name)) != strlen(t->name))
        return err_set(e, ERR_USAGE, "\"%s\" cannot be the name of a tensor in a safetensors file", quoted);
    if (!dtype_name(t->type)) {
        const struct dtype_info *info = dtype_info((uint32_t)t->type);
        return err_set(e, ERR_USAGE, "tensor \"%s\": safetensors has no type %s; decode it first", quoted, info && info->name ? info->name : "like its own");
    }
    bool ok = t->n_dims >= 0 && t->n_dims <= TENSOR_DIMS;
    for (int i = 0; i < TENSOR_DIMS; i++)
        ok = ok && t->ne[i] >= 0 && (i < t->n_dims || t->ne[i] == 1) && !__builtin_mul_overflow(total, (uint64_t)t->ne[i], &total);
    ok = ok && !__builtin_mul_overflow(total, (uint64_t)dtype_info((uint32_t)t->type)->bytes, &bytes) && bytes == t->size && bytes <= INT64_MAX;
    return ok && (t->data || t->size == 0) ? 0 : err_set(e, ERR_USAGE, "tensor \"%s\": its size does not go with its shape and type", quoted);
}

/* The entry of a tensor that starts at `offset`; NULL: out of memory. */
static json_t *entry_of(const struct tensor *t, uint64_t offset) {
    json_t *shape = json_array();
    for (int i = t->n_dims; shape && i-- > 0;)
        if (json_array_append_new(shape, json_integer(t->ne[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return shape ? json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(t->type), "shape", shape, "data_offsets", (json_int_t)offset,
                             (json_int_t)(offset + t->size))
                 : NULL;
}

static int add_text(const char *text, size_t n, void *buf) { return buf_add(buf, text, n) ? 0 : -1; }

static bool add_meta(json_t *root, const struct safetensors_pair *meta, size_t n) {
    json_t *map = n ? json_object() : NULL;
    if (n == 0) return true;
    if (json_object_set_new(root, "__metadata__", map) != 0) return false;
    for (size_t i = 0; i < n; i++)
        if (json_object_set_new(map, meta[i].key, json_string(meta[i].value)) != 0) return false;
    return true;
}

/* The header's text with its length in front, padded to 8 bytes, in *out. */
static int make_header(struct buf *out, const struct tensor *const *sorted, size_t n, const struct safetensors_pair *meta, size_t n_meta,
                       struct err *e) {
    json_t *root = json_object();
    uint64_t offset = 0;
    int code = root && add_meta(root, meta, n_meta) ? 0 : err_nomem(e, "a safetensors header", 0);
    for (size_t i = 0; i < n && code == 0; i++) {
        if (json_object_get(root, sorted[i]->name)) code = err_set(e, ERR_USAGE, "tensor \"%s\" is given twice", sorted[i]->name);
        else if (json_object_set_new(root, sorted[i]->name, entry_of(sorted[i], offset)) != 0) code = err_nomem(e, "a safetensors header", 0);
        offset += sorted[i]->size;
    }
    if (code == 0 && (!buf_add(out, "\0\0\0\0\0\0\0", 8) || json_dump_callback(root, add_text, out, JSON_COMPACT) != 0))
        code = err_nomem(e, "a safetensors header", out->len);
    while (code == 0 && out->len % 8 != 0)
        if (!buf_char(out, ' ')) code = err_nomem(e, "a safetensors header", out->len);
    for (size_t i = 0; code == 0 && i < 8; i++) out->data[i] = (char)((uint64_t)(out->len - 8) >> (8 * i));
    json_decref(root);
    return code;
}

int safetensors_write(const char *path, const struct tensor *tensors, size_t n, const struct safetensors_pair *meta, size_t n_meta,
                      struct err *e) {
    struct buf header = {0};
    struct os_out *out = NULL;
    int code = 0;
    for (size_t i = 0; i < n; i++)
        if ((code = check_tensor(&tensors[i], e))) return code;
    for (size_t i = 0; i < n_meta; i++)
        if (utf8_prefix(meta[i].key, strlen(meta[i].key)) != strlen(meta[i].key) || utf8_prefix(meta[i].value, strlen(meta[i].value)) != strlen(meta[i].value))
            return err_set(e, ERR_USAGE, "metadata number %zu is not UTF-8", i + 1);
    const struct tensor **sorted = mem_array(NULL, n, sizeof *sorted);
    if (!sorted) return err_nomem(e, "a list of tensors", n * sizeof *sorted);
    for (size_t i = 0; i < n; i++) sorted[i] = &tensors[i];
    qsort(sorted, n, sizeof *sorted, by_width);
    code = make_header(&header, sorted, n, meta, n_meta, e);
    if (code == 0) code = os_out_open(&out, path, e);
    if (code == 0) code = os_out_write(out, header.data, header.len, e);
    for (size_t i = 0; i < n && code == 0; i++) code = os_out_write(out, sorted[i]->data, sorted[i]->size, e);
    if (code == 0) code = os_out_commit(out, e);
    else os_out_abort(out);
    mem_free(sorted);
    buf_free(&header);
    return code;
}
