/* gguf_read.c: opening and validating GGUF files; see gguf.h. The readers of single values are in gguf_get.c.
 *
 * A part is parsed in one walk of a bounded cursor. Nothing is allocated on the word of a count: arrays grow as entries
 * are really found, and a string array is walked before its slices are made, so memory stays a small multiple of the
 * bytes that the file has. An error names the file, the byte, and what stands there.
 *
 * struct gguf owns the mappings, the path names and the tables; keys and strings point into the mappings. It is filled
 * by one thread and never changes after gguf_open has returned.
 */
#include "gguf/gguf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/os.h"
#include "base/strmap.h"
#include "base/utf8.h"

enum {
    MIN_KV_BYTES = 8 + 1 + 4 + 1,    /* length, a key of one byte, type, a value of one byte */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 4 + 8, /* length, a name of one byte, dimensions, type, offset */
    MAX_NAME = 65535,                /* bytes of a key or tensor name (the specification's limit for keys) */
    MAX_PARTS = 65535,               /* split.count is a 16-bit number */
};

struct part {
    struct os_map map; /* unused when the bytes are borrowed */
    const uint8_t *data;
    size_t size;
    const char *path;
};

struct entry {
    struct tensor t;
    uint64_t offset; /* of the data, from the start of the part's data section; then from the start of the part */
    size_t at;       /* where the entry stands, for messages */
    int part;
};

struct gguf {
    struct arena arena; /* paths, names, slices of strings */
    struct part *parts;
    int n_parts;
    uint32_t version;
    struct gguf_kv *kvs;
    size_t n_kvs, cap_kvs;
    struct entry *tensors;
    size_t n_tensors, cap_tensors;
    struct strmap keys, names;
};

/* The keys that belong to one part, not to the model. Of them only the first part's alignment is listed. */
enum { PART_ALIGNMENT, PART_NO, PART_COUNT, PART_TENSORS, PART_KEYS };
static const char *const part_key[PART_KEYS] = {"general.alignment", "split.no", "split.count", "split.tensors.count"};

struct parse {
    struct gguf *g;
    struct cursor c;
    const char *path;
    int part;
    size_t first_tensor;
    uint64_t own[PART_KEYS]; /* values of part_key */
    bool has[PART_KEYS];
    struct err *e;
};

static const uint8_t type_bytes[] = {[GGUF_U8] = 1, [GGUF_I8] = 1, [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
                                     [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_STRING] = 0, [GGUF_ARRAY] = 0, [GGUF_U64] = 8,
                                     [GGUF_I64] = 8, [GGUF_F64] = 8};
enum { TYPE_LIMIT = sizeof type_bytes };

/* The end of a long path says more than its start. */
static const char *tail(const char *path) {
    size_t n = strlen(path);
    return n > 200 ? path + n - 200 : path;
}

__attribute__((format(printf, 4, 5))) static int fail(const struct parse *p, int code, size_t at, const char *fmt, ...) {
    char what[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return err_set(p->e, code, "%s: byte %zu: %s", tail(p->path), at, what);
}

static int truncated(const struct parse *p, const char *what) {
    return fail(p, ERR_FORMAT, cursor_offset(&p->c), "the file ends within %s (it has %zu bytes); it is incomplete: fetch it again", what,
                (size_t)(p->c.end - p->c.start));
}

static int nomem(const struct parse *p, size_t bytes) {
    return err_set(p->e, ERR_MEMORY, "%s: out of memory: %zu bytes for the file's tables", tail(p->path), bytes);
}

/* A string: its length, then its bytes. `what` is for the message. */
static int read_string(struct parse *p, const char *what, struct slice *s) {
    size_t at = cursor_offset(&p->c);
    uint64_t n = cursor_u64(&p->c);
    if (p->c.failed) return truncated(p, what);
    if (n > cursor_left(&p->c))
        return fail(p, ERR_FORMAT, at, "%s is said to be %llu bytes long but only %zu follow; the file is damaged or incomplete", what,
                    (unsigned long long)n, cursor_left(&p->c));
    *s = (struct slice){(const char *)cursor_take(&p->c, (size_t)n), (size_t)n};
    return 0;
}

/* A key or a tensor's name: a string that is not empty, not too long, UTF-8 and without control characters: names stand in messages of one line. */
static int read_name(struct parse *p, const char *what, struct slice *s) {
    size_t at = cursor_offset(&p->c);
    char quoted[80];
    int code = read_string(p, what, s);
    if (code) return code;
    if (s->n == 0) return fail(p, ERR_FORMAT, at, "%s is empty; the file is damaged", what);
    if (s->n > MAX_NAME) return fail(p, ERR_FORMAT, at, "%s is %zu bytes long, more than %d; the file is damaged", what, s->n, MAX_NAME);
    if (utf8_prefix(s->p, s->n) != s->n)
        return fail(p, ERR_FORMAT, at, "%s \"%s\" is not valid UTF-8; the file is damaged", what, err_quote(quoted, sizeof quoted, s->p, s->n));
    for (size_t i = 0; i < s->n; i++)
        if ((uint8_t)s->p[i] < 0x20 || s->p[i] == 0x7f)
            return fail(p, ERR_FORMAT, at, "%s \"%s\" has a control character in it; the file is damaged", what, err_quote(quoted, sizeof quoted, s->p, s->n));
    return 0;
}

/* The elements of a string array (or one string): walked first, then sliced. */
static int read_strings(struct parse *p, const char *what, struct gguf_kv *kv) {
    struct cursor start = p->c;
    struct slice s;
    for (uint64_t i = 0; i < kv->count; i++) {
        int code = read_string(p, what, &s);
        if (code) return code;
    }
    struct slice *all = arena_array(&p->g->arena, (size_t)kv->count, sizeof *all);
    if (!all) return nomem(p, (size_t)kv->count * sizeof *all);
    for (uint64_t i = 0; i < kv->count; i++) {
        size_t n = (size_t)cursor_u64(&start);
        all[i] = (struct slice){(const char *)cursor_take(&start, n), n};
    }
    kv->strings = all;
    return 0;
}

static int read_value(struct parse *p, const char *what, struct gguf_kv *kv) {
    size_t at = cursor_offset(&p->c);
    uint32_t type = cursor_u32(&p->c), element = type;
    kv->count = 1;
    if (!p->c.failed && type == GGUF_ARRAY) {
        element = cursor_u32(&p->c);
        kv->count = cursor_u64(&p->c);
    }
    if (p->c.failed) return truncated(p, what);
    if (type >= TYPE_LIMIT || element >= TYPE_LIMIT)
        return fail(p, ERR_FORMAT, at, "%s has a value of the unknown type %lu; the file is damaged or newer than this program", what,
                    (unsigned long)(type >= TYPE_LIMIT ? type : element));
    if (type == GGUF_ARRAY && element == GGUF_ARRAY)
        return fail(p, ERR_UNSUPPORTED, at, "%s is an array of arrays, which no known model uses; convert the model again", what);
    kv->type = (enum gguf_type)type;
    kv->element = (enum gguf_type)element;
    kv->data = p->c.at;
    uint64_t bytes = element == GGUF_STRING ? 8 : type_bytes[element]; /* at least, each */
    if (kv->count > cursor_left(&p->c) / bytes)
        return fail(p, ERR_FORMAT, at, "%s needs %llu elements of at least %llu bytes but only %zu bytes follow; the file is damaged or incomplete",
                    what, (unsigned long long)kv->count, (unsigned long long)bytes, cursor_left(&p->c));
    if (element == GGUF_STRING) return read_strings(p, what, kv);
    (void)cursor_take(&p->c, (size_t)(kv->count * bytes));
    for (uint64_t i = 0; element == GGUF_BOOL && i < kv->count; i++)
        if (kv->data[i] > 1)
            return fail(p, ERR_FORMAT, at, "%s has a truth value of %u, which is neither 0 nor 1; the file is damaged", what, kv->data[i]);
    return 0;
}

/* Notes a key that belongs to the part. *listed tells whether it is to be listed all the same. */
static int note_own(struct parse *p, const struct gguf_kv *kv, size_t at, bool *listed) {
    for (int k = 0; k < PART_KEYS; k++) {
        if (!slice_is(kv->key, part_key[k])) continue;
        *listed = k == PART_ALIGNMENT && p->part == 0;
        int64_t v = kv->type == GGUF_ARRAY || !gguf_is_integer(kv->element) ? -1 : gguf_array_i64(kv, 0);
        if (v < 0) return fail(p, ERR_FORMAT, at, "key \"%s\" must be a whole number that is not negative; the file is damaged", part_key[k]);
        if (p->has[k]) return fail(p, ERR_FORMAT, at, "key \"%s\" is there twice; the file is damaged", part_key[k]);
        p->own[k] = (uint64_t)v;
        p->has[k] = true;
        return 0;
    }
    *listed = true;
    return 0;
}

/* Whether a later part repeats a key of the first with the same value, which some splitters do. */
static bool same_value(const struct gguf_kv *a, const struct gguf_kv *b) {
    if (a->type != b->type || a->element != b->element || a->count != b->count) return false;
    for (uint64_t i = 0; a->element == GGUF_STRING && i < a->count; i++)
        if (!slice_eq(a->strings[i], b->strings[i])) return false;
    return a->element == GGUF_STRING || a->count == 0 || memcmp(a->data, b->data, (size_t)(a->count * type_bytes[a->element])) == 0;
}

static int read_kv(struct parse *p) {
    struct gguf *g = p->g;
    struct gguf_kv kv = {0};
    char quoted[80], what[100];
    size_t at = cursor_offset(&p->c);
    bool listed;
    uint32_t other;
    int code = read_name(p, "a key", &kv.key);
    if (code) return code;
    (void)snprintf(what, sizeof what, "key \"%s\"", err_quote(quoted, sizeof quoted, kv.key.p, kv.key.n));
    if ((code = read_value(p, what, &kv)) || (code = note_own(p, &kv, at, &listed)) || !listed) return code;
    if (strmap_get(&g->keys, kv.key, &other)) {
        if (p->part > 0 && same_value(&g->kvs[other], &kv)) return 0;
        return fail(p, ERR_FORMAT, at, "%s is there twice%s; the file is damaged", what, p->part > 0 ? ", in two parts with two values" : "");
    }
    if (g->n_kvs == g->cap_kvs) {
        size_t cap = g->cap_kvs ? g->cap_kvs * 2 : 64;
        struct gguf_kv *more = mem_array(g->kvs, cap, sizeof *more);
        if (!more) return nomem(p, cap * sizeof *more);
        g->kvs = more;
        g->cap_kvs = cap;
    }
    if (strmap_put(&g->keys, kv.key, (uint32_t)g->n_kvs) < 0) return nomem(p, g->n_kvs * sizeof(struct strmap_slot));
    g->kvs[g->n_kvs++] = kv;
    return 0;
}

/* Types that the format once had, for a message that helps. */
static const char *removed_type(uint32_t type) {
    switch (type) {
    case 4: return " (Q4_2, removed from the format: use another quantisation of the model)";
    case 5: return " (Q4_3, removed from the format: use another quantisation of the model)";
    case 31: case 32: case 33: return " (a repacked Q4_0, removed from the format: use a plain Q4_0 file)";
    case 36: case 37: case 38: return " (a repacked IQ4_NL, removed from the format: use a plain IQ4_NL file)";
    default: return "; the file is newer than this program, or damaged";
    }
}

/* Type, shape and size of a tensor whose fields have been read. */
static int check_tensor(struct parse *p, struct entry *t, const char *name, uint32_t n_dims, const uint64_t ne[TENSOR_DIMS], uint32_t type) {
    uint64_t total = 1;
    for (uint32_t i = 0; i < TENSOR_DIMS; i++) {
        t->t.ne[i] = i < n_dims ? (int64_t)ne[i] : 1;
        if (i >= n_dims) continue;
        if (ne[i] == 0) return fail(p, ERR_FORMAT, t->at, "tensor \"%s\": dimension %u is zero; the file is damaged", name, i);
        if (ne[i] > INT64_MAX || __builtin_mul_overflow(total, ne[i], &total) || total > INT64_MAX)
            return fail(p, ERR_FORMAT, t->at, "tensor \"%s\" has more elements than can be counted; the file is damaged", name);
    }
    const struct dtype_info *info = dtype_info(type);
    if (!info || !info->name)
        return fail(p, ERR_UNSUPPORTED, t->at, "tensor \"%s\" has the unknown type %lu%s", name, (unsigned long)type, removed_type(type));
    if ((uint64_t)t->t.ne[0] % info->block != 0)
        return fail(p, ERR_FORMAT, t->at, "tensor \"%s\": rows of %lld are not whole blocks of %u (%s); the file is damaged", name,
                    (long long)t->t.ne[0], info->block, info->name);
    t->t.type = (enum dtype)type;
    t->t.n_dims = (int)n_dims;
    t->t.size = dtype_size(t->t.type, total);
    if (t->t.size == 0) return fail(p, ERR_FORMAT, t->at, "tensor \"%s\" has more bytes than can be counted; the file is damaged", name);
    return 0;
}

static int read_tensor(struct parse *p) {
    struct gguf *g = p->g;
    struct entry t = {.at = cursor_offset(&p->c), .part = p->part};
    struct slice name;
    char quoted[80], what[100];
    uint64_t ne[TENSOR_DIMS] = {0};
    int code = read_name(p, "a tensor's name", &name);
    if (code) return code;
    (void)snprintf(what, sizeof what, "tensor \"%s\"", err_quote(quoted, sizeof quoted, name.p, name.n));
    uint32_t n_dims = cursor_u32(&p->c);
    if (!p->c.failed && n_dims > TENSOR_DIMS)
        return fail(p, ERR_FORMAT, t.at, "%s has %lu dimensions, more than %d; the file is damaged", what, (unsigned long)n_dims, TENSOR_DIMS);
    for (uint32_t i = 0; i < n_dims && !p->c.failed; i++) ne[i] = cursor_u64(&p->c);
    uint32_t type = cursor_u32(&p->c);
    t.offset = cursor_u64(&p->c);
    if (p->c.failed) return truncated(p, what);
    if ((code = check_tensor(p, &t, quoted, n_dims, ne, type))) return code;
    if (g->n_tensors == g->cap_tensors) {
        size_t cap = g->cap_tensors ? g->cap_tensors * 2 : 64;
        struct entry *more = mem_array(g->tensors, cap, sizeof *more);
        if (!more) return nomem(p, cap * sizeof *more);
        g->tensors = more;
        g->cap_tensors = cap;
    }
    t.t.name = arena_strndup(&g->arena, name.p, name.n);
    if (!t.t.name) return nomem(p, name.n);
    int put = strmap_put(&g->names, (struct slice){t.t.name, name.n}, (uint32_t)g->n_tensors);
    if (put < 0) return nomem(p, g->n_tensors * sizeof(struct strmap_slot));
    if (put == 0) return fail(p, ERR_FORMAT, t.at, "%s is there twice; the file is damaged", what);
    g->tensors[g->n_tensors++] = t;
    return 0;
}

/* Gives each tensor of the part its bytes. */
static int place_tensors(struct parse *p) {
    struct gguf *g = p->g;
    uint64_t alignment = p->has[PART_ALIGNMENT] ? p->own[PART_ALIGNMENT] : GGUF_ALIGNMENT;
    if (alignment < 8 || (alignment & (alignment - 1)) != 0)
        return err_set(p->e, ERR_FORMAT, "%s: general.alignment is %llu but must be a power of two of at least 8; the file is damaged",
                       tail(p->path), (unsigned long long)alignment);
    uint64_t size = (uint64_t)(p->c.end - p->c.start), start = cursor_offset(&p->c);
    start += (alignment - start % alignment) % alignment; /* both are below 2^63 */
    for (size_t i = p->first_tensor; i < g->n_tensors; i++) {
        struct entry *t = &g->tensors[i];
        char name[80];
        (void)err_quote(name, sizeof name, t->t.name, strlen(t->t.name));
        if (t->offset % alignment != 0)
            return fail(p, ERR_FORMAT, t->at, "tensor \"%s\": its offset %llu is not a multiple of the alignment %llu; the file is damaged", name,
                        (unsigned long long)t->offset, (unsigned long long)alignment);
        if (start > size || t->offset > size - start || t->t.size > size - start - t->offset)
            return fail(p, ERR_FORMAT, t->at,
                        "tensor \"%s\": %zu bytes at offset %llu of the data at %llu reach past the end of the file (%llu bytes); it is incomplete: "
                        "fetch it again",
                        name, t->t.size, (unsigned long long)t->offset, (unsigned long long)start, (unsigned long long)size);
        t->offset += start;
        t->t.data = p->c.start + t->offset;
    }
    return 0;
}

static int check_magic(struct parse *p) {
    char quoted[32];
    const uint8_t *magic = cursor_take(&p->c, 4);
    if (!magic) return truncated(p, "the header");
    if (memcmp(magic, "GGUF", 4) != 0) {
        bool old = memcmp(magic, "lmgg", 4) == 0 || memcmp(magic, "fmgg", 4) == 0 || memcmp(magic, "tjgg", 4) == 0 || memcmp(magic, "algg", 4) == 0;
        if (old) return fail(p, ERR_UNSUPPORTED, 0, "this is a GGML file from before GGUF; convert the original model to GGUF");
        return fail(p, ERR_FORMAT, 0, "not a GGUF file: it starts with \"%s\"; give the path of a model in GGUF", err_quote(quoted, sizeof quoted, magic, 4));
    }
    uint32_t version = cursor_u32(&p->c);
    if (p->c.failed) return truncated(p, "the header");
    if (version == 1) return fail(p, ERR_UNSUPPORTED, 4, "GGUF version 1 is no longer read; convert the original model again");
    if (version != 0 && (version & 0xffff) == 0)
        return fail(p, ERR_UNSUPPORTED, 4, "a big-endian GGUF file, which is not read; convert the original model for little-endian machines");
    if (version != 2 && version != 3)
        return fail(p, ERR_UNSUPPORTED, 4, "GGUF version %lu, but 2 and 3 are what is read; is there a newer hearth?", (unsigned long)version);
    if (p->part == 0) p->g->version = version;
    return 0;
}

static int check_count(const struct parse *p, size_t at, uint64_t n, size_t held, size_t each, const char *what) {
    if (n <= cursor_left(&p->c) / each && n < UINT32_MAX - held) return 0;
    return fail(p, ERR_FORMAT, at, "the header announces %llu %s, more than the %zu bytes that follow can hold; the file is damaged or incomplete",
                (unsigned long long)n, what, cursor_left(&p->c));
}

static int parse_part(struct parse *p) {
    int code = check_magic(p);
    if (code) return code;
    uint64_t n_tensors = cursor_u64(&p->c), n_kvs = cursor_u64(&p->c);
    if (p->c.failed) return truncated(p, "the header");
    if ((code = check_count(p, 8, n_tensors, p->g->n_tensors, MIN_TENSOR_BYTES, "tensors")) ||
        (code = check_count(p, 16, n_kvs, p->g->n_kvs, MIN_KV_BYTES, "keys")))
        return code;
    for (uint64_t i = 0; i < n_kvs; i++)
        if ((code = read_kv(p))) return code;
    for (uint64_t i = 0; i < n_tensors; i++)
        if ((code = read_tensor(p))) return code;
    return place_tensors(p);
}

/* Parses part number `index` of `count` (0: not known yet) from its bytes. *out keeps what it says of itself. */
static int add_part(struct gguf *g, int index, struct parse *out, struct err *e) {
    const struct part *part = &g->parts[index];
    *out = (struct parse){.g = g, .c = cursor_of(part->data, part->size), .path = part->path, .part = index, .first_tensor = g->n_tensors, .e = e};
    return parse_part(out);
}

static int map_part(struct gguf *g, int index, const char *path, struct err *e) {
    struct part *part = &g->parts[index];
    part->path = arena_strndup(&g->arena, path, strlen(path));
    if (!part->path) return err_nomem(e, "a file's name", strlen(path) + 1);
    int code = os_map_open(&part->map, part->path, e);
    if (code) return code;
    g->n_parts = index + 1;
    part->data = part->map.data;
    part->size = part->map.size;
    return 0;
}

/* Opens parts 2 to n of a split file whose first part has been parsed. */
static int open_others(struct gguf *g, const struct parse *first, struct err *e) {
    const char *path = g->parts[0].path;
    uint64_t n = first->own[PART_COUNT];
    char suffix[32];
    size_t len = strlen(path);
    if (n > MAX_PARTS)
        return err_set(e, ERR_FORMAT, "%s: split.count is %llu, more than %d; the file is damaged", tail(path), (unsigned long long)n, MAX_PARTS);
    if (!first->has[PART_NO] || first->own[PART_NO] != 0)
        return err_set(e, ERR_USAGE, "%s: this is part %llu of a model in %llu parts; give the first one, ...-00001-of-%05llu.gguf", tail(path),
                       (unsigned long long)first->own[PART_NO] + 1, (unsigned long long)n, (unsigned long long)n);
    size_t suffix_len = (size_t)snprintf(suffix, sizeof suffix, "-00001-of-%05llu.gguf", (unsigned long long)n);
    if (len < suffix_len || strcmp(path + len - suffix_len, suffix) != 0)
        return err_set(e, ERR_FORMAT, "%s: the first of %llu parts must be named like NAME%s, so that the others can be found; rename it back",
                       tail(path), (unsigned long long)n, suffix);
    struct part *parts = mem_array(g->parts, (size_t)n, sizeof *parts);
    if (!parts) return err_nomem(e, "the parts of a file", n * sizeof *parts);
    g->parts = parts;
    memset(parts + 1, 0, (size_t)(n - 1) * sizeof *parts);
    for (int i = 1; i < (int)n; i++) {
        struct parse p;
        char *name = arena_printf(&g->arena, "%.*s-%05d-of-%05d.gguf", (int)(len - suffix_len), path, i + 1, (int)n);
        if (!name) return err_nomem(e, "a file's name", len + 1);
        int code = map_part(g, i, name, e);
        if (code) return code == ERR_IO ? err_in(e, "part %d of %d", i + 1, (int)n) : code;
        if ((code = add_part(g, i, &p, e))) return code;
        if (!p.has[PART_NO] || p.own[PART_NO] != (uint64_t)i || !p.has[PART_COUNT] || p.own[PART_COUNT] != n)
            return err_set(e, ERR_FORMAT, "%s: should be part %d of %d but does not say so (split.no, split.count); the parts do not belong together",
                           tail(name), i + 1, (int)n);
    }
    if (first->has[PART_TENSORS] && first->own[PART_TENSORS] != g->n_tensors)
        return err_set(e, ERR_FORMAT, "%s: split.tensors.count is %llu but the %d parts hold %zu tensors; a part is damaged or of another model",
                       tail(path), (unsigned long long)first->own[PART_TENSORS], (int)n, g->n_tensors);
    return 0;
}

static struct gguf *new_gguf(struct err *e) {
    struct gguf *g = mem_calloc(1, sizeof *g);
    if (g) g->parts = mem_calloc(1, sizeof *g->parts);
    if (g && g->parts) return g;
    mem_free(g);
    (void)err_nomem(e, "a GGUF file", sizeof *g + sizeof(struct part));
    return NULL;
}

int gguf_open(struct gguf **out, const char *path, struct err *e) {
    struct parse first;
    *out = NULL;
    struct gguf *g = new_gguf(e);
    if (!g) return ERR_MEMORY;
    int code = map_part(g, 0, path, e);
    if (code == 0) code = add_part(g, 0, &first, e);
    if (code == 0 && first.own[PART_COUNT] > 1) code = open_others(g, &first, e);
    if (code) gguf_close(g);
    else *out = g;
    return code;
}

int gguf_open_memory(struct gguf **out, const void *data, size_t size, const char *name, struct err *e) {
    struct parse first;
    *out = NULL;
    if ((uintptr_t)data % 8 != 0) return err_set(e, ERR_USAGE, "%s: the bytes must start at a multiple of 8", tail(name));
    struct gguf *g = new_gguf(e);
    if (!g) return ERR_MEMORY;
    g->parts[0] = (struct part){.map.slot = -1, .data = data, .size = size, .path = arena_strndup(&g->arena, name, strlen(name))};
    g->n_parts = 1;
    int code = g->parts[0].path ? add_part(g, 0, &first, e) : err_nomem(e, "a file's name", strlen(name) + 1);
    if (code == 0 && first.own[PART_COUNT] > 1)
        code = err_set(e, ERR_UNSUPPORTED, "%s: one part of a split file cannot be opened from memory; open it by its path", tail(name));
    if (code) gguf_close(g);
    else *out = g;
    return code;
}

void gguf_close(struct gguf *g) {
    if (!g) return;
    for (int i = 0; i < g->n_parts; i++) os_map_close(&g->parts[i].map);
    strmap_free(&g->keys);
    strmap_free(&g->names);
    mem_free(g->kvs);
    mem_free(g->tensors);
    mem_free(g->parts);
    arena_free(&g->arena);
    mem_free(g);
}

const char *gguf_path(const struct gguf *g) { return g->parts[0].path; }
uint32_t gguf_version(const struct gguf *g) { return g->version; }
int gguf_part_count(const struct gguf *g) { return g->n_parts; }

uint64_t gguf_file_size(const struct gguf *g) {
    uint64_t n = 0;
    for (int i = 0; i < g->n_parts; i++) n += g->parts[i].size;
    return n;
}

size_t gguf_kv_count(const struct gguf *g) { return g->n_kvs; }
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i) { return i < g->n_kvs ? &g->kvs[i] : NULL; }

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key) {
    uint32_t i;
    return strmap_get(&g->keys, slice_of(key), &i) ? &g->kvs[i] : NULL;
}

size_t gguf_tensor_count(const struct gguf *g) { return g->n_tensors; }
const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i) { return i < g->n_tensors ? &g->tensors[i].t : NULL; }

const struct tensor *gguf_tensor(const struct gguf *g, const char *name) {
    uint32_t i;
    return strmap_get(&g->names, slice_of(name), &i) ? &g->tensors[i].t : NULL;
}

const char *gguf_tensor_where(const struct gguf *g, size_t i, uint64_t *offset) {
    if (i >= g->n_tensors) return NULL;
    *offset = g->tensors[i].offset;
    return g->parts[g->tensors[i].part].path;
}
