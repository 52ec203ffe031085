/* model.c: opening a model and recording its forward pass; see model.h. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "model/arch.h"

/* What is wrong in the file itself, only its maker or another copy can mend. */
static int advised(struct err *e, int code) {
    return code == ERR_FORMAT && e ? err_add(e, "; the file is damaged or was not made well: fetch it again, or convert the original again") : code;
}

int model_open_file(struct model **out, struct gguf *file, struct err *e) {
    *out = NULL;
    struct model *m = mem_calloc(1, sizeof *m);
    if (!m) {
        gguf_close(file);
        return err_nomem(e, "a model", sizeof *m);
    }
    m->file = file;
    struct slice name = {0};
    char shown[64];
    int code = gguf_get_str(file, "general.architecture", &name, e);
    if (code == 0 && !name.p) code = err_set(e, ERR_FORMAT, "%s: the key general.architecture is missing", gguf_path(file));
    if (code == 0 && !(m->arch = arch_find(name)))
        code = err_set(e, ERR_UNSUPPORTED, "%s: unknown architecture \"%s\"; `hearth --help architectures` lists those that are known", gguf_path(file),
                       err_quote(shown, sizeof shown, name.p, name.n));
    if (code == 0) code = hparams_read(&(struct hparams_reader){file, m->arch->name}, &m->arena, m->arch, &m->hp, e);
    const struct tensor *embedding = gguf_tensor(file, "token_embd.weight");
    if (code == 0 && !embedding) code = err_set(e, ERR_FORMAT, "%s: the tensor token_embd.weight is missing", gguf_path(file));
    if (code) {
        model_close(m);
        return advised(e, code);
    }
    uint32_t said = m->hp.n_vocab = embedding->ne[1] > INT32_MAX ? 0 : (uint32_t)embedding->ne[1];
    code = hp_u32(&(struct hparams_reader){file, m->arch->name}, "vocab_size", &said, e);
    if (code == 0 && m->hp.n_vocab && (said == 0 || said > m->hp.n_vocab)) /* fewer than rows: these were padded */
        code = err_set(e, ERR_FORMAT, "%s: the key %s.vocab_size is %u, but the tensor token_embd.weight has %lld rows", gguf_path(file), m->arch->name,
                       said, (long long)embedding->ne[1]);
    if (code) model_close(m);
    else *out = m;
    return advised(e, code);
}

int model_open(struct model **m, const char *path, struct err *e) {
    struct gguf *file;
    *m = NULL;
    int code = gguf_open(&file, path, e);
    return code ? code : model_open_file(m, file, e);
}

void model_close(struct model *m) {
    if (!m) return;
    gguf_close(m->file);
    arena_free(&m->arena);
    mem_free(m);
}

const char *model_architecture(const struct model *m) { return m->arch->name; }

enum { LOGITS = POOL_RANK + 1 }; /* what is recorded, besides the kinds of pooling */

/* Tensors that are no weights of the forward pass, belong to the other head, or of which only one list is used. */
static bool may_be_unused(const struct model *m, const struct tensor *t, int what) {
    unsigned layer = 0;
    size_t n = strlen(t->name);
    if (strncmp(t->name, "rope_", 5) == 0 || strstr(t->name, ".rope_freqs.")) return true;
    bool classifier = strncmp(t->name, "cls.", 4) == 0, head = strncmp(t->name, "output.", 7) == 0;
    if (what == LOGITS ? classifier : head || (classifier && what != POOL_RANK)) return true;
    if (n > 12 && strcmp(t->name + n - 12, ".input_scale") == 0) return true; /* for engines that quantise activations to NVFP4 */
    return sscanf(t->name, "blk.%u.", &layer) == 1 && layer >= m->hp.n_layer; /* layers that predict further tokens */
}

static void warn_unused(const struct model *m, const struct graph *g, int what) {
    const char *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < gguf_tensor_count(m->file); i++) {
        const struct tensor *t = gguf_tensor_at(m->file, i);
        if (graph_uses(g, t) || may_be_unused(m, t, what)) continue;
        if (!first) first = t->name;
        count++;
    }
    if (count) log_warn("%s: %zu tensor%s not used by architecture %s (the first is %s); results may not be what the model's authors meant", gguf_path(m->file), count, count == 1 ? " is" : "s are", m->arch->name, first);
}

static int record(const struct model *m, int n_ctx, int what, struct graph **out, struct err *e) {
    int code = graph_new(out, e);
    if (code) return code;
    struct decoder_style style = m->arch->style;
    if (m->arch->restyle) m->arch->restyle(m, &style);
    struct build b = {.g = *out, .m = m, .hp = &m->hp, .arch = m->arch, .style = &style, .n_ctx = n_ctx, .rope = {NO_VAL, NO_VAL}};
    graph_output(b.g, what == LOGITS ? decoder_forward(&b) : embedding_forward(&b, (enum pooling)what));
    code = graph_check(b.g, e);
    if (code) {
        graph_free(*out);
        *out = NULL;
        return advised(e, err_in(e, "%s", gguf_path(m->file)));
    }
    warn_unused(m, b.g, what);
    return 0;
}

int model_record(const struct model *m, int n_ctx, struct graph **g, struct err *e) { return record(m, n_ctx, LOGITS, g, e); }
int model_record_embedding(const struct model *m, int n_ctx, enum pooling pooling, struct graph **g, struct err *e) { return record(m, n_ctx, (int)pooling, g, e); }
