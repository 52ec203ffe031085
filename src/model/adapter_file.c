/* adapter_file.c: an adapter's files, whatever their kind; those of GGUF are read here. See adapter_file.h. */
#include "model/adapter_file.h"

#include <math.h>
#include <string.h>

#include "base/os.h"

int adapter_nomem(const struct adapter_file *f, struct err *e) { return err_set(e, ERR_MEMORY, "%s: out of memory for the adapter's tables", f->path); }

/* ---- entries ---- */

static int new_entry(struct adapter_file *f, struct slice name, struct err *e) {
    if (f->n == f->cap) {
        int more = f->cap ? f->cap * 2 : 64;
        struct adapter_entry *p = mem_array(f->entries, (size_t)more, sizeof *p);
        if (!p) return adapter_nomem(f, e);
        f->entries = p;
        f->cap = more;
    }
    struct adapter_entry entry = {.name = arena_strndup(&f->arena, name.p, name.n)};
    if (!entry.name || strmap_put(&f->names, slice_of(entry.name), (uint32_t)f->n) < 0) return adapter_nomem(f, e);
    f->entries[f->n++] = entry;
    return 0;
}

int adapter_add_half(struct adapter_file *f, struct slice name, enum adapter_half half, const struct tensor *t, float scale, struct err *e) {
    uint32_t i;
    if (!strmap_get(&f->names, name, &i)) {
        int code = new_entry(f, name, e);
        if (code) return code;
        i = (uint32_t)f->n - 1;
    }
    const struct tensor **place = half == HALF_A ? &f->entries[i].a : &f->entries[i].b;
    if (*place) return err_set(e, ERR_FORMAT, "%s: the tensors %s and %s are both for the model's %s", f->path, (*place)->name, t->name, f->entries[i].name);
    *place = t;
    f->entries[i].scale = scale;
    return 0;
}

/* What holds for every kind of file, when its tensors are read. */
static int check_entries(const struct adapter_file *f, struct err *e) {
    if (f->n == 0) return err_set(e, ERR_FORMAT, "%s: there is no tensor of an adapter in it", f->path);
    for (int i = 0; i < f->n; i++) {
        const struct adapter_entry *entry = &f->entries[i];
        if (!entry->a || !entry->b)
            return err_set(e, ERR_FORMAT, "%s: the tensor %s has no partner (%s); the file is incomplete", f->path, (entry->a ? entry->a : entry->b)->name, entry->a ? "B" : "A");
        if (!isfinite(entry->scale)) return err_set(e, ERR_FORMAT, "%s: %s is multiplied by %g, which makes no sense", f->path, entry->a->name, (double)entry->scale);
    }
    return 0;
}

/* ---- GGUF ---- */

static int need_word(const struct adapter_file *f, const char *key, const char *word, struct err *e) {
    struct slice is = {0};
    char shown[40];
    int code = gguf_get_str(f->gguf, key, &is, e);
    if (code || slice_is(is, word)) return code;
    if (!is.p) return err_set(e, ERR_FORMAT, "%s: the key %s is missing; this is not an adapter", f->path, key);
    return err_set(e, ERR_UNSUPPORTED, "%s: the key %s is \"%s\"; only \"%s\" can be used as an adapter", f->path, key,
                   err_quote(shown, sizeof shown, is.p, is.n), word);
}

static int read_invocation(struct adapter_file *f, struct err *e) {
    static const char key[] = "adapter.alora.invocation_tokens";
    const struct gguf_kv *kv = gguf_find(f->gguf, key);
    if (!kv) return 0;
    if (kv->type != GGUF_ARRAY || !gguf_is_integer(kv->element) || kv->count < 1 || kv->count > INVOCATION_MAX)
        return err_set(e, ERR_FORMAT, "%s: the key %s is no list of 1 to %d token ids", f->path, key, INVOCATION_MAX);
    f->invocation = arena_array(&f->arena, (size_t)kv->count, sizeof *f->invocation);
    if (!f->invocation) return adapter_nomem(f, e);
    for (uint64_t i = 0; i < kv->count; i++) {
        int64_t id = gguf_array_i64(kv, i);
        if (id < 0 || id > INT32_MAX) return err_set(e, ERR_FORMAT, "%s: the key %s has the token id %lld", f->path, key, (long long)id);
        f->invocation[f->n_invocation++] = (int32_t)id;
    }
    return 0;
}

static bool ends_in(const char *name, const char *suffix, struct slice *stem) {
    size_t n = strlen(name), end = strlen(suffix);
    if (n <= end || strcmp(name + n - end, suffix) != 0) return false;
    *stem = (struct slice){name, n - end};
    return true;
}

/* The strength is alpha by rank; a file without alpha has its factor in the numbers. */
static int read_tensor(struct adapter_file *f, const struct tensor *t, float alpha, struct err *e) {
    struct slice stem = {0};
    bool is_a = ends_in(t->name, ".lora_a", &stem);
    if (!is_a && !ends_in(t->name, ".lora_b", &stem))
        return err_set(e, ERR_UNSUPPORTED, "%s: the tensor %s is neither .lora_a nor .lora_b of a matrix; such adapters cannot be used here", f->path, t->name);
    int64_t rank = is_a ? t->ne[1] : t->ne[0];
    return adapter_add_half(f, stem, is_a ? HALF_A : HALF_B, t, alpha > 0 || alpha < 0 ? alpha / (float)rank : 1, e);
}

int adapter_read_gguf(struct adapter_file *f, struct gguf *file, struct err *e) {
    float alpha = 0;
    f->gguf = file;
    f->path = gguf_path(file);
    int code = need_word(f, "general.type", "adapter", e);
    if (code == 0) code = need_word(f, "adapter.type", "lora", e);
    if (code == 0) code = gguf_get_str(file, "general.architecture", &f->arch, e);
    if (code == 0) code = gguf_get_str(file, "general.base_model.0.repo_url", &f->base, e);
    if (code == 0 && !f->base.n) code = gguf_get_str(file, "general.base_model.0.name", &f->base, e);
    if (code == 0) code = gguf_get_f32(file, "adapter.lora.alpha", &alpha, e);
    if (code == 0) code = read_invocation(f, e);
    for (size_t i = 0; code == 0 && i < gguf_tensor_count(file); i++) code = read_tensor(f, gguf_tensor_at(file, i), alpha, e);
    return code ? code : check_entries(f, e);
}

/* ---- any ---- */

int adapter_read(struct adapter_file *f, const char *path, struct err *e) {
    struct slice stem;
    int code;
    f->path = path;
    if (os_is_folder(path) || ends_in(path, ".safetensors", &stem)) {
        code = adapter_read_safetensors(f, path, e);
        return code ? code : check_entries(f, e);
    }
    struct gguf *file;
    code = gguf_open(&file, path, e);
    return code ? code : adapter_read_gguf(f, file, e);
}

void adapter_file_close(struct adapter_file *f) {
    strmap_free(&f->names);
    mem_free(f->entries);
    gguf_close(f->gguf);
    safetensors_close(f->safetensors);
    arena_free(&f->arena);
    *f = (struct adapter_file){0};
}
