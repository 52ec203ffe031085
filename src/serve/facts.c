/* facts.c: what files say of their models; see facts.h. */
#include "serve/facts.h"

#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "engine/vocab.h"
#include "model/embedded.h"
#include "model/quantize.h"
#include "serve/models.h"

bool facts_template_thinks(struct slice source) {
    static const char usual[] = "<think>"; /* also the marks of those that spell none */
    static const char *const words[] = {"enable_thinking", "reasoning_effort", "reasoning_content", usual};
    if (strcmp(tool_reasoning_for(source)->open, usual) != 0) return true;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        const size_t n = strlen(words[w]);
        for (size_t i = 0; i + n <= source.n; i++)
            if (source.p[i] == words[w][0] && memcmp(source.p + i, words[w], n) == 0) return true;
    }
    return false;
}

static void quantization_of(const struct gguf *g, struct facts *f) {
    uint64_t elements[DT_LIMIT] = {0}, most = 0;
    uint32_t number = UINT32_MAX;
    const char *name = NULL;
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        elements[t->type] += (uint64_t)tensor_elements(t);
        f->parameters += (uint64_t)tensor_elements(t);
    }
    for (unsigned type = 0; type < DT_LIMIT; type++)
        if (elements[type] > most) most = elements[type], name = dtype_info((enum dtype)type)->name;
    if (gguf_get_u32(g, "general.file_type", &number, NULL) == 0 && number != UINT32_MAX) {
        for (int i = 0; quant_target_name(i); i++)
            if (quant_target_file_type(quant_target_find(quant_target_name(i))) == number) name = quant_target_name(i);
    }
    (void)snprintf(f->quantization, sizeof f->quantization, "%s", name ? name : "unknown");
}

/* FNV-1a, begun four times differently: enough to tell the files of one machine apart. */
static void digest_of(const char *path, struct facts *f) {
    const uint64_t numbers[] = {f->bytes, (uint64_t)f->changed};
    for (unsigned part = 0; part < 4; part++) {
        uint64_t h = 0xcbf29ce484222325u + part;
        for (const char *p = path; *p; p++) h = (h ^ (uint8_t)*p) * 0x100000001b3u;
        for (size_t i = 0; i < sizeof numbers; i++) h = (h ^ (uint8_t)(numbers[i / 8] >> (i % 8 * 8))) * 0x100000001b3u;
        (void)snprintf(f->digest + part * 16, sizeof f->digest - part * 16, "%016llx", (unsigned long long)h);
    }
}

static void read_facts(const struct gguf *g, const char *path, int64_t changed, struct facts *f) {
    struct slice arch = {0}, source = {0};
    char key[120];
    *f = (struct facts){.bytes = gguf_file_size(g), .changed = changed};
    (void)gguf_get_str(g, "general.architecture", &arch, NULL);
    (void)snprintf(f->family, sizeof f->family, "%.*s", (int)(arch.n < 63 ? arch.n : 63), arch.p ? arch.p : "");
    (void)snprintf(key, sizeof key, "%s.context_length", f->family);
    (void)gguf_get_u64(g, key, &f->context, NULL);
    (void)snprintf(key, sizeof key, "%s.pooling_type", f->family);
    f->embeds = gguf_find(g, key) != NULL;
    f->chat = vocab_chat_template(g, NULL, &source, NULL) == 0 && source.p;
    f->thinks = f->chat && facts_template_thinks(source);
    quantization_of(g, f);
    digest_of(path, f);
}

/* ---- where a model is, and what was read of it before ---- */

struct where {
    struct arena *arena;
    const char *name, *path; /* path NULL: the embedded model */
    struct facts known;      /* no digest: none */
    const struct facts *learnt;
};

static void look(void *ctx, struct served *s) {
    struct where *w = ctx;
    w->name = arena_strndup(w->arena, s->name, strlen(s->name));
    w->path = s->path ? arena_strndup(w->arena, s->path, strlen(s->path)) : NULL;
    if (s->path && !w->path) w->name = NULL; /* out of memory */
    w->known = s->facts;
}

static void learn(void *ctx, struct served *s) { s->facts = *((const struct where *)ctx)->learnt; }

static int find(struct models *m, struct slice name, struct where *w, struct err *e) {
    const int code = models_with(m, name, look, w, e);
    return code || w->name ? code : err_nomem(e, "a model's name", name.n);
}

static int open_file(const struct where *w, struct gguf **file, struct err *e) {
    return w->path ? gguf_open(file, w->path, e) : gguf_open_memory(file, hearth_embedded_model, embedded_model_size(), w->name, e);
}

int facts_open(struct models *m, struct slice wanted, struct arena *a, struct gguf **file, const char **name, struct err *e) {
    struct where w = {.arena = a};
    const int code = find(m, wanted, &w, e);
    *name = w.name;
    return code ? code : open_file(&w, file, e);
}

int facts_of(struct models *m, struct slice name, struct facts *f, struct err *e) {
    struct arena a = {.limit = 1 << 20};
    struct where w = {.arena = &a, .learnt = f};
    struct os_file file = {0};
    struct gguf *g = NULL;
    int code = find(m, name, &w, e);
    const int64_t changed = code == 0 && w.path && os_file(w.path, &file) ? file.changed_s : 0;
    const bool known = code == 0 && *w.known.digest && w.known.changed == changed;
    if (known) *f = w.known;
    if (code == 0 && !known && (code = open_file(&w, &g, e)) == 0) {
        read_facts(g, w.path ? w.path : w.name, changed, f);
        gguf_close(g);
        (void)models_with(m, name, learn, &w, NULL);
    }
    arena_free(&a);
    return code;
}
