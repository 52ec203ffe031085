/* safetensors.c: opening and validating safetensors files; see safetensors.h. The writer is in safetensors_write.c.
 *
 * A file is eight bytes of header length, a JSON header, and the data. jansson reads the JSON (with the C library's
 * allocator); what is kept of it is copied, and the JSON tree is gone when opening returns. struct safetensors owns the
 * mappings, the tables and all strings it gives. It is filled by one thread and never changes afterwards.
 */
#include "gguf/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/os.h"
#include "base/strmap.h"

#define MAX_HEADER ((size_t)100 << 20) /* bytes of JSON, the format's own limit */

struct shard {
    struct os_map map; /* unused when the bytes are borrowed */
    const uint8_t *data;
    size_t size;
    const char *path;
};

struct safetensors {
    struct arena arena; /* names, paths, metadata */
    const char *path;
    struct shard *shards;
    size_t n_shards, cap_shards;
    struct safetensor *tensors;
    size_t n_tensors, cap_tensors;
    struct strmap names;
    struct safetensors_pair *meta;
    size_t n_meta;
};

static const struct {
    const char *name;
    enum dtype type;
} dtypes[] = {
    {"F64", DT_F64}, {"F32", DT_F32}, {"F16", DT_F16}, {"BF16", DT_BF16}, {"I64", DT_I64}, {"I32", DT_I32}, {"I16", DT_I16},
    {"I8", DT_I8},   {"U64", DT_I64}, {"U32", DT_I32}, {"U16", DT_I16},   {"U8", DT_I8},   {"BOOL", DT_I8},
};

static const char *tail(const char *path) {
    size_t n = strlen(path);
    return n > 200 ? path + n - 200 : path;
}

static int nomem(const char *path, struct err *e) { return err_set(e, ERR_MEMORY, "%s: out of memory for the file's tables", tail(path)); }

/* Room for one more element at the end of an array of n. */
static bool grow(void **array, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return true;
    size_t more = *cap ? *cap * 2 : 16;
    void *p = mem_array(*array, more, size);
    if (!p) return false;
    *array = p;
    *cap = more;
    return true;
}

/* JSON from bytes that are not trusted; NULL with *e filled. */
static json_t *parse_json(const char *path, const char *what, const void *data, size_t n, struct err *e) {
    json_error_t why;
    char quoted[200];
    json_t *root = json_loadb(data, n, JSON_REJECT_DUPLICATES, &why);
    if (!root && json_error_code(&why) == json_error_out_of_memory) (void)nomem(path, e);
    else if (!root)
        (void)err_set(e, ERR_FORMAT, "%s: %s is not valid JSON: %s, at its byte %d; the file is damaged", tail(path), what,
                      err_quote(quoted, sizeof quoted, why.text, strlen(why.text)), why.position);
    else if (!json_is_object(root)) {
        (void)err_set(e, ERR_FORMAT, "%s: %s is not a JSON object; the file is damaged", tail(path), what);
        json_decref(root);
        return NULL;
    }
    return root;
}

/* What a tensor's entry in the header is read into. */
struct reading {
    const struct shard *shard;
    const uint8_t *data; /* the data section */
    uint64_t data_size;
    const char *quoted;  /* the tensor's name, for messages */
    struct err *e;
};

static int bad(const struct reading *r, const char *what) {
    return err_set(r->e, ERR_FORMAT, "%s: tensor \"%s\": %s; the file is damaged or incomplete", tail(r->shard->path), r->quoted, what);
}

static int read_dtype(const struct reading *r, const json_t *entry, struct safetensor *t) {
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    char quoted[40];
    if (!name) return bad(r, "\"dtype\" is missing or no string");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        t->dtype = dtypes[i].name;
        t->t.type = dtypes[i].type;
        return 0;
    }
    return err_set(r->e, ERR_UNSUPPORTED, "%s: tensor \"%s\" has the type %s, which is not read; use a BF16, F16 or F32 version of the model",
                   tail(r->shard->path), r->quoted, err_quote(quoted, sizeof quoted, name, strlen(name)));
}

/* The shape in our order, and the bytes it needs. */
static int read_shape(const struct reading *r, const json_t *entry, struct safetensor *t) {
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return bad(r, "\"shape\" is missing or no list");
    size_t n = json_array_size(shape);
    int64_t total = 1, bytes;
    for (size_t i = 0; i < TENSOR_DIMS; i++) t->t.ne[i] = 1;
    t->t.n_dims = n < TENSOR_DIMS ? (int)n : TENSOR_DIMS;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(shape, n - 1 - i);
        size_t dim = i < TENSOR_DIMS ? i : TENSOR_DIMS - 1;
        if (!json_is_integer(item) || json_integer_value(item) < 0) return bad(r, "a dimension is not a whole number");
        int64_t v = json_integer_value(item);
        if (__builtin_mul_overflow(t->t.ne[dim], v, &t->t.ne[dim]) || __builtin_mul_overflow(total, v, &total))
            return bad(r, "it has more elements than can be counted");
    }
    if (__builtin_mul_overflow(total, (int64_t)dtype_info((uint32_t)t->t.type)->bytes, &bytes))
        return bad(r, "it has more bytes than can be counted");
    t->t.size = (size_t)bytes;
    return 0;
}

static int read_place(const struct reading *r, const json_t *entry, struct safetensor *t) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return bad(r, "\"data_offsets\" is missing or not two whole numbers");
    json_int_t begin = json_integer_value(from), end = json_integer_value(to);
    if (begin < 0 || end < begin) return bad(r, "\"data_offsets\" are not in order");
    if ((uint64_t)end > r->data_size)
        return err_set(r->e, ERR_FORMAT, "%s: tensor \"%s\" ends at byte %lld of the data, which has %llu; the file is incomplete: fetch it again",
                       tail(r->shard->path), r->quoted, (long long)end, (unsigned long long)r->data_size);
    if ((uint64_t)(end - begin) != t->t.size)
        return err_set(r->e, ERR_FORMAT, "%s: tensor \"%s\" has %lld bytes, but its shape and type need %zu; the file is damaged",
                       tail(r->shard->path), r->quoted, (long long)(end - begin), t->t.size);
    t->t.data = r->data + begin;
    return 0;
}

static int read_meta(struct safetensors *s, const struct shard *shard, json_t *map, struct err *e) {
    const char *key;
    json_t *value;
    if (json_is_null(map)) return 0; /* mlx-lm writes it so, and the format's own reader takes it */
    if (!json_is_object(map)) return err_set(e, ERR_FORMAT, "%s: \"__metadata__\" is not a map; the file is damaged", tail(shard->path));
    bool keep = shard == &s->shards[0];
    struct safetensors_pair *pairs = keep ? arena_array(&s->arena, json_object_size(map), sizeof *pairs) : NULL;
    if (keep && !pairs) return nomem(shard->path, e);
    json_object_foreach(map, key, value) {
        char quoted[80];
        if (!json_is_string(value))
            return err_set(e, ERR_FORMAT, "%s: metadata \"%s\" is not a string; the file is damaged", tail(shard->path),
                           err_quote(quoted, sizeof quoted, key, strlen(key)));
        if (!keep) continue;
        struct safetensors_pair *p = &pairs[s->n_meta];
        p->key = arena_strndup(&s->arena, key, strlen(key));
        p->value = arena_strndup(&s->arena, json_string_value(value), json_string_length(value));
        if (!p->key || !p->value) return nomem(shard->path, e);
        s->n_meta++;
    }
    s->meta = pairs ? pairs : s->meta;
    return 0;
}

static int read_tensor(struct safetensors *s, struct reading *r, const char *name, const json_t *entry) {
    struct safetensor t = {0};
    char quoted[80];
    int code;
    r->quoted = err_quote(quoted, sizeof quoted, name, strlen(name));
    for (const char *c = name; *c; c++)
        if ((uint8_t)*c < 0x20 || *c == 0x7f) return bad(r, "its name has a control character in it"); /* names stand in messages of one line */
    if (!json_is_object(entry)) return bad(r, "its entry is not a map");
    if ((code = read_dtype(r, entry, &t)) || (code = read_shape(r, entry, &t)) || (code = read_place(r, entry, &t))) return code;
    void *tensors = s->tensors;
    bool room = grow(&tensors, s->n_tensors, &s->cap_tensors, sizeof *s->tensors);
    s->tensors = tensors;
    t.t.name = room ? arena_strndup(&s->arena, name, strlen(name)) : NULL;
    if (!t.t.name) return nomem(r->shard->path, r->e);
    s->tensors[s->n_tensors++] = t;
    return 0;
}

static int by_place(const void *a, const void *b) {
    const struct tensor *x = &((const struct safetensor *)a)->t, *y = &((const struct safetensor *)b)->t;
    const uint8_t *px = x->data, *py = y->data;
    if (px != py) return px < py ? -1 : 1;
    if (x->size != y->size) return x->size < y->size ? -1 : 1; /* the empty ones first */
    return strcmp(x->name, y->name);
}

/* The tensors from `first` on in file order: they must fill the data section. Then they get their places in the map. */
static int index_tensors(struct safetensors *s, struct reading *r, size_t first) {
    const uint8_t *at = r->data;
    if (s->n_tensors > first) qsort(s->tensors + first, s->n_tensors - first, sizeof *s->tensors, by_place);
    for (size_t i = first; i < s->n_tensors; i++) {
        const struct tensor *t = &s->tensors[i].t;
        char quoted[80];
        r->quoted = err_quote(quoted, sizeof quoted, t->name, strlen(t->name));
        if ((const uint8_t *)t->data != at) return bad(r, (const uint8_t *)t->data < at ? "it overlaps another tensor" : "there is a gap before it");
        at += t->size;
        int put = strmap_put(&s->names, slice_of(t->name), (uint32_t)i);
        if (put < 0) return nomem(r->shard->path, r->e);
        if (put == 0) return bad(r, "it is in two files");
    }
    uint64_t used = (uint64_t)(at - r->data);
    if (used == r->data_size) return 0;
    return err_set(r->e, ERR_FORMAT, "%s: %llu bytes follow the last tensor, which belong to none; the file is damaged", tail(r->shard->path),
                   (unsigned long long)(r->data_size - used));
}

static int read_shard(struct safetensors *s, const struct shard *shard, struct err *e) {
    struct cursor c = cursor_of(shard->data, shard->size);
    uint64_t n = cursor_u64(&c);
    if (c.failed) return err_set(e, ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file; it is incomplete", tail(shard->path), shard->size);
    if (n > MAX_HEADER || n > cursor_left(&c))
        return err_set(e, ERR_FORMAT, "%s: byte 0: a header of %llu bytes does not fit; not a safetensors file, or an incomplete one",
                       tail(shard->path), (unsigned long long)n);
    const uint8_t *header = cursor_take(&c, (size_t)n);
    struct reading r = {.shard = shard, .data = c.at, .data_size = cursor_left(&c), .e = e};
    json_t *root = parse_json(shard->path, "the header", header, (size_t)n, e), *entry;
    if (!root) return e ? e->code : ERR_FORMAT;
    int code = 0;
    size_t first = s->n_tensors;
    const char *name;
    if (json_object_size(root) >= UINT32_MAX - first) code = err_set(e, ERR_FORMAT, "%s: too many tensors", tail(shard->path));
    json_object_foreach(root, name, entry) {
        if (code == 0) code = strcmp(name, "__metadata__") == 0 ? read_meta(s, shard, entry, e) : read_tensor(s, &r, name, entry);
    }
    json_decref(root);
    return code ? code : index_tensors(s, &r, first);
}

/* Adds a shard, mapped from path, or borrowed where data is given. */
static int add_shard(struct safetensors *s, const char *path, const void *data, size_t size, struct err *e) {
    void *shards = s->shards;
    bool room = grow(&shards, s->n_shards, &s->cap_shards, sizeof *s->shards);
    s->shards = shards;
    struct shard shard = {.map.slot = -1, .data = data, .size = size, .path = room ? arena_strndup(&s->arena, path, strlen(path)) : NULL};
    if (!shard.path) return nomem(path, e);
    if (!data) {
        int code = os_map_open(&shard.map, path, e);
        if (code) return code;
        shard.data = shard.map.data;
        shard.size = shard.map.size;
    }
    s->shards[s->n_shards++] = shard;
    return read_shard(s, &s->shards[s->n_shards - 1], e);
}

/* Opens the file that an index names, beside the index, unless that was done already. */
static int add_named(struct safetensors *s, struct strmap *done, const char *file, struct err *e) {
    char quoted[100];
    const char *slash = strrchr(s->path, '/');
    if (file[0] == 0 || strchr(file, '/') || strcmp(file, "..") == 0)
        return err_set(e, ERR_FORMAT, "%s: \"%s\" is not the name of a file beside it; the index is damaged", tail(s->path),
                       err_quote(quoted, sizeof quoted, file, strlen(file)));
    int put = strmap_put(done, slice_of(file), 0);
    if (put == 0) return 0;
    const char *path = put < 0 ? NULL : arena_printf(&s->arena, "%.*s%s", slash ? (int)(slash + 1 - s->path) : 0, s->path, file);
    return path ? add_shard(s, path, NULL, 0, e) : nomem(s->path, e);
}

static int read_index(struct safetensors *s, struct err *e) {
    struct buf text = {0};
    struct strmap done = {0};
    json_t *root = NULL, *file;
    const char *name;
    int code = os_read_file(s->path, MAX_HEADER, &text, e);
    if (code == 0 && !(root = parse_json(s->path, "the index", text.data, text.len, e))) code = e ? e->code : ERR_FORMAT;
    json_t *map = json_object_get(root, "weight_map");
    if (code == 0 && json_object_size(map) == 0)
        code = err_set(e, ERR_FORMAT, "%s: no \"weight_map\" that names files; not an index of safetensors files", tail(s->path));
    json_object_foreach(map, name, file) {
        char quoted[80];
        if (code) break;
        if (!json_is_string(file))
            code = err_set(e, ERR_FORMAT, "%s: \"%s\" is not given a file; the index is damaged", tail(s->path),
                           err_quote(quoted, sizeof quoted, name, strlen(name)));
        else code = add_named(s, &done, json_string_value(file), e);
        if (code == 0 && !safetensors_find(s, name))
            code = err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is not in %s, where the index says it is; fetch the files again", tail(s->path),
                           err_quote(quoted, sizeof quoted, name, strlen(name)), json_string_value(file));
    }
    strmap_free(&done);
    json_decref(root);
    buf_free(&text);
    return code;
}

static int new_safetensors(struct safetensors **out, const char *path, struct err *e) {
    struct safetensors *s = mem_calloc(1, sizeof *s);
    if (s) s->path = arena_strndup(&s->arena, path, strlen(path));
    if (!s || !s->path) {
        safetensors_close(s);
        return nomem(path, e);
    }
    *out = s;
    return 0;
}

/* *out is what an open call gives: s, or NULL after an error. */
static int opened(struct safetensors **out, int code) {
    if (code == 0) return 0;
    safetensors_close(*out);
    *out = NULL;
    return code;
}

int safetensors_open(struct safetensors **out, const char *path, struct err *e) {
    *out = NULL;
    size_t n = strlen(path);
    int code = new_safetensors(out, path, e);
    if (code) return code;
    bool index = n >= 5 && strcmp(path + n - 5, ".json") == 0;
    return opened(out, index ? read_index(*out, e) : add_shard(*out, path, NULL, 0, e));
}

int safetensors_open_memory(struct safetensors **out, const void *data, size_t size, const char *name, struct err *e) {
    *out = NULL;
    int code = new_safetensors(out, name, e);
    return code ? code : opened(out, add_shard(*out, name, size ? data : "", size, e));
}

void safetensors_close(struct safetensors *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_shards; i++) os_map_close(&s->shards[i].map);
    strmap_free(&s->names);
    mem_free(s->shards);
    mem_free(s->tensors);
    arena_free(&s->arena);
    mem_free(s);
}

const char *safetensors_path(const struct safetensors *s) { return s->path; }
size_t safetensors_count(const struct safetensors *s) { return s->n_tensors; }
const struct safetensor *safetensors_at(const struct safetensors *s, size_t i) { return i < s->n_tensors ? &s->tensors[i] : NULL; }

const struct safetensor *safetensors_find(const struct safetensors *s, const char *name) {
    uint32_t i;
    return strmap_get(&s->names, slice_of(name), &i) ? &s->tensors[i] : NULL;
}

size_t safetensors_meta_count(const struct safetensors *s) { return s->n_meta; }
const struct safetensors_pair *safetensors_meta_at(const struct safetensors *s, size_t i) { return i < s->n_meta ? &s->meta[i] : NULL; }

const char *safetensors_meta(const struct safetensors *s, const char *key) {
    for (size_t i = 0; i < s->n_meta; i++)
        if (strcmp(s->meta[i].key, key) == 0) return s->meta[i].value;
    return NULL;
}
