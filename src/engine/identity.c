/* identity.c: what keys, values and states depend on besides tokens, as one address: see keep.h. */
#include <string.h>

#include "base/os.h"
#include "engine/keep.h"
#include "gguf/gguf.h"
#include "tensor/dtype.h"

/* To be raised when what is kept gets another layout or meaning within one version of the program. */
enum { FORMAT = 1, SAMPLE = 256, SAMPLES = 4 };

struct making {
    const struct block_store *store;
    struct block_address *at;
};

static void add(const struct making *m, const void *p, size_t n) {
    const uint64_t size = n; /* so that what follows cannot be taken for a part of it */
    m->store->address(m->store, m->at, &size, sizeof size, m->at);
    m->store->address(m->store, m->at, p, n, m->at);
}

static void add_number(const struct making *m, uint64_t v) { add(m, &v, sizeof v); }
static void add_text(const struct making *m, const char *s) { add(m, s, strlen(s)); }

/* Names and texts change nothing of what is computed; nor does the tokenizer, since there are only tokens from here on. */
static bool matters(const struct gguf_kv *kv) {
    static const char tokenizer[] = "tokenizer.", general[] = "general.";
    const bool about = kv->key.n >= sizeof general - 1 && memcmp(kv->key.p, general, sizeof general - 1) == 0 && !slice_is(kv->key, "general.architecture");
    return !about && !(kv->key.n >= sizeof tokenizer - 1 && memcmp(kv->key.p, tokenizer, sizeof tokenizer - 1) == 0);
}

static void add_value(const struct making *m, const struct gguf_kv *kv) {
    add(m, kv->key.p, kv->key.n);
    add_number(m, (uint64_t)kv->type << 32 | (uint64_t)kv->element);
    add_number(m, kv->count);
    for (uint64_t i = 0; i < kv->count; i++)
        if (kv->element == GGUF_STRING) add(m, kv->strings[i].p, kv->strings[i].n);
        else if (gguf_is_integer(kv->element) || kv->element == GGUF_BOOL) add_number(m, (uint64_t)gguf_array_i64(kv, i));
        else {
            const double v = gguf_array_f64(kv, i);
            add(m, &v, sizeof v);
        }
}

/* Bytes at the beginning, the end and in between: another training, or another quantisation, has others everywhere. */
static void add_samples(const struct making *m, const void *data, size_t size) {
    add_number(m, size);
    if (size <= SAMPLE * SAMPLES) {
        add(m, data, size);
        return;
    }
    for (size_t i = 0; i < SAMPLES; i++) add(m, (const uint8_t *)data + (size - SAMPLE) / (SAMPLES - 1) * i, SAMPLE);
}

static void add_tensor(const struct making *m, const struct tensor *t) {
    add_text(m, t->name);
    add(m, t->ne, sizeof t->ne);
    add_number(m, (uint64_t)t->type);
    add_samples(m, t->data, t->size);
}

void identity_of_adapter(const struct block_store *store, const struct low_rank *list, int n, struct block_address *out) {
    const struct making m = {store, out};
    for (int i = 0; i < n; i++) {
        const struct low_rank *l = &list[i];
        const uint64_t numbers[] = {(uint64_t)l->rank, (uint64_t)l->a_type, (uint64_t)l->b_type};
        add_text(&m, l->w->name);
        add(&m, numbers, sizeof numbers);
        add(&m, &l->scale, sizeof l->scale);
        add_samples(&m, l->a, dtype_size(l->a_type, (uint64_t)l->rank * (uint64_t)l->w->ne[0]));
        add_samples(&m, l->b, dtype_size(l->b_type, (uint64_t)l->rank * (uint64_t)l->w->ne[1]));
    }
}

void identity_of(const struct engine *en, const struct block_store *store, struct block_address *out) {
    const struct making m = {store, out};
    const struct gguf *file = en->model->file;
    static const char what[] = "prefix pages of hearth " HEARTH_VERSION;
    store->address(store, NULL, what, sizeof what, out);
    const uint64_t numbers[] = {FORMAT, KV_PAGE, VERIFY_ROWS, (uint64_t)en->o.kv_type, graph_state_floats(en->graph), (uint64_t)graph_kv_groups(en->graph),
                                (uint64_t)en->o.n_ctx > en->model->hp.n_ctx_orig /* which of two lists of rotary factors is in use */};
    add(&m, numbers, sizeof numbers);
    for (int g = 0; g < graph_kv_groups(en->graph); g++) add_number(&m, (uint64_t)graph_kv_window(en->graph, g)), add_number(&m, graph_kv_page_bytes(en->graph, g));
    add_text(&m, en->kernels->name);
    struct os_file on_disk; /* samples of tensors do not see that a single row was changed; the time of the file does */
    if (gguf_path(file) && os_file(gguf_path(file), &on_disk)) add(&m, (uint64_t[]){on_disk.size, (uint64_t)on_disk.changed_s, (uint64_t)on_disk.changed_ns}, 3 * sizeof(uint64_t));
    for (size_t i = 0; i < gguf_kv_count(file); i++)
        if (matters(gguf_kv_at(file, i))) add_value(&m, gguf_kv_at(file, i));
    for (size_t i = 0; i < gguf_tensor_count(file); i++) add_tensor(&m, gguf_tensor_at(file, i));
}
