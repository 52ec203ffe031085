/* adapter.c: adapters held against their model and laid out for its graph; see adapter.h. */
#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/adapter_file.h"
#include "model/arch.h"

struct adapter {
    struct arena arena; /* the path, the list, and all numbers */
    const struct model *model;
    const char *path;
    struct low_rank *list;
    int n;
    int32_t *invocation; /* [n_invocation]; NULL: an ordinary adapter */
    int n_invocation;
};

/* ---- laying out ---- */

/* One half of a pair on its way from the file. */
struct half {
    const struct tensor *t;
    float *numbers;   /* all of t, decoded */
    bool transposed;  /* t's rows are not the rank's */
    int rank, length; /* [rank][length] is what is wanted */
    int head;         /* columns of a head whose order is to change; 0: none */
};

/* Column c as the file has it. In Hugging Face's order a head's first numbers of all pairs stand before all second ones, here they are neighbours. */
static int source_column(const struct half *h, int c) {
    if (!h->head) return c;
    int within = c % h->head;
    return c - within + within % 2 * (h->head / 2) + within / 2;
}

static float number_at(const struct half *h, int k, int c) {
    return h->transposed ? h->numbers[(size_t)c * (size_t)h->rank + (size_t)k] : h->numbers[(size_t)k * (size_t)h->length + (size_t)c];
}

/* [rank][length] in blocks of `block` columns, as they are stored: 16-bit floats stay, and all else becomes F32. */
static void *lay_out(struct arena *arena, const struct half *h, int block, enum dtype *type) {
    float row[LOW_RANK_COLUMNS];
    *type = h->t->type == DT_F16 || h->t->type == DT_BF16 ? h->t->type : DT_F32;
    char *out = arena_array(arena, (size_t)h->rank * (size_t)h->length, dtype_size(*type, 1)), *at = out;
    for (int first = 0; out && first < h->length; first += block) {
        const int end = h->length - first < block ? h->length : first + block;
        for (int k = 0; k < h->rank; k++)
            for (int c = first; c < end; c += LOW_RANK_COLUMNS) {
                const int n = end - c < LOW_RANK_COLUMNS ? end - c : LOW_RANK_COLUMNS;
                for (int i = 0; i < n; i++) row[i] = number_at(h, k, source_column(h, c + i));
                dtype_info(*type)->encode(row, at, (size_t)n, NULL);
                at += dtype_size(*type, (uint64_t)n);
            }
    }
    return out;
}

static int decode(struct half *h, const char *path, struct err *e) {
    const size_t n = (size_t)h->rank * (size_t)h->length;
    const struct dtype_info *info = dtype_info((uint32_t)h->t->type);
    if (!info || !info->decode) return err_set(e, ERR_UNSUPPORTED, "%s: the tensor %s is of the type %s, which holds no numbers that can be computed with", path, h->t->name, info ? info->name : "?");
    h->numbers = mem_array(NULL, n, sizeof *h->numbers);
    if (!h->numbers) return err_nomem(e, "an adapter's numbers", n * sizeof *h->numbers);
    info->decode(h->t->data, h->numbers, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(h->numbers[i])) return err_set(e, ERR_FORMAT, "%s: the tensor %s has numbers that are not finite; the adapter is damaged", path, h->t->name);
    return 0;
}

/* ---- holding against the model ---- */

/* The matrix that an entry is for. An output matrix that is the table of embeddings too is changed as the former only. */
static int matrix_of(const struct model *m, const struct adapter_file *f, const struct adapter_entry *entry, const struct tensor **w, struct err *e) {
    const char *tensor = entry->a->name;
    *w = gguf_tensor(m->file, entry->name);
    if (!*w && strcmp(entry->name, "output.weight") == 0) *w = gguf_tensor(m->file, "token_embd.weight");
    if (!*w) return err_set(e, ERR_FORMAT, "%s: %s is for the tensor %s, which %s has not; the adapter is of another model", f->path, tensor, entry->name, gguf_path(m->file));
    if (strcmp(entry->name, "token_embd.weight") == 0) return err_set(e, ERR_UNSUPPORTED, "%s: %s changes embeddings; such adapters cannot be used here", f->path, tensor);
    if ((*w)->ne[2] > 1 || (*w)->ne[3] > 1)
        return err_set(e, ERR_UNSUPPORTED, "%s: %s is for experts or single heads (%s); such adapters cannot be used here", f->path, tensor, entry->name);
    return 0;
}

static int check_shape(const struct adapter_file *f, const struct tensor *t, int64_t n0, int64_t n1, const struct tensor *w, struct err *e) {
    if (t->ne[0] == n0 && t->ne[1] == n1 && t->ne[2] == 1 && t->ne[3] == 1) return 0;
    return err_set(e, ERR_FORMAT, "%s: the tensor %s is {%lld, %lld}, but for %s, which is {%lld, %lld}, it would be {%lld, %lld}; the adapter is of another model", f->path, t->name,
                   (long long)t->ne[0], (long long)t->ne[1], w->name, (long long)w->ne[0], (long long)w->ne[1], (long long)n0, (long long)n1);
}

/* The size of a head whose columns in B are in Hugging Face's order and in the model's file are not; 0: they are alike. */
static int turned_head(const struct model *m, const struct adapter_file *f, const char *name) {
    const char *last = strrchr(name, '.'); /* of ".weight" */
    const bool q_or_k = last && last - name > 7 && (strncmp(last - 7, ".attn_q", 7) == 0 || strncmp(last - 7, ".attn_k", 7) == 0);
    return f->turned && m->arch->turned && q_or_k ? (int)m->hp.head_k : 0;
}

static int take(struct adapter *a, const struct adapter_file *f, const struct adapter_entry *entry, float scale, struct low_rank *out, struct err *e) {
    const struct tensor *w;
    const int64_t rank = entry->a->ne[!f->transposed];
    int code = matrix_of(a->model, f, entry, &w, e);
    if (code) return code;
    if (rank < 1 || rank > LOW_RANK_MAX) return err_set(e, ERR_UNSUPPORTED, "%s: the tensor %s is of rank %lld; from 1 to %d can be used", f->path, entry->a->name, (long long)rank, LOW_RANK_MAX);
    code = f->transposed ? check_shape(f, entry->a, rank, w->ne[0], w, e) : check_shape(f, entry->a, w->ne[0], rank, w, e);
    if (code == 0) code = f->transposed ? check_shape(f, entry->b, w->ne[1], rank, w, e) : check_shape(f, entry->b, rank, w->ne[1], w, e);
    if (code) return code;
    if (w->ne[0] > INT32_MAX || w->ne[1] > INT32_MAX) return err_set(e, ERR_UNSUPPORTED, "%s: the tensor %s is too large", f->path, w->name);
    *out = (struct low_rank){.w = w, .rank = (int)rank, .scale = entry->scale * scale};
    /* A [rank][n_in] is as GGUF and PEFT have it, B [n_out][rank] is transposed; MLX has both the other way round */
    struct half ha = {.t = entry->a, .transposed = f->transposed, .rank = (int)rank, .length = (int)w->ne[0]};
    struct half hb = {.t = entry->b, .transposed = !f->transposed, .rank = (int)rank, .length = (int)w->ne[1], .head = turned_head(a->model, f, entry->name)};
    if (hb.head && (hb.head % 2 || hb.length % hb.head)) return err_set(e, ERR_FORMAT, "%s: the tensor %s has %d columns, which are no heads of %d", f->path, w->name, hb.length, hb.head);
    code = decode(&ha, f->path, e);
    if (code == 0) code = decode(&hb, f->path, e);
    if (code == 0 && (!(out->a = lay_out(&a->arena, &ha, ha.length, &out->a_type)) || !(out->b = lay_out(&a->arena, &hb, LOW_RANK_COLUMNS, &out->b_type))))
        code = err_nomem(e, "an adapter's numbers", (unsigned long long)rank * (unsigned long long)(w->ne[0] + w->ne[1]) * sizeof(float));
    mem_free(ha.numbers);
    mem_free(hb.numbers);
    return code;
}

static int take_invocation(struct adapter *a, const struct adapter_file *f, struct err *e) {
    if (!f->n_invocation) return 0;
    for (int i = 0; i < f->n_invocation; i++)
        if ((uint32_t)f->invocation[i] >= a->model->hp.n_vocab)
            return err_set(e, ERR_FORMAT, "%s: the adapter's invocation has the token %d, but the vocabulary has %u; the adapter is of another model", f->path, f->invocation[i], a->model->hp.n_vocab);
    a->invocation = arena_array(&a->arena, (size_t)f->n_invocation, sizeof *a->invocation);
    if (!a->invocation) return adapter_nomem(f, e);
    memcpy(a->invocation, f->invocation, (size_t)f->n_invocation * sizeof *a->invocation);
    a->n_invocation = f->n_invocation;
    return 0;
}

static int take_all(struct adapter *a, const struct adapter_file *f, float scale, struct err *e) {
    const char *arch = model_architecture(a->model);
    char shown[40];
    if (f->arch.p && !slice_is(f->arch, arch))
        return err_set(e, ERR_FORMAT, "%s: the adapter is for models of architecture \"%s\", but %s is \"%s\"", f->path, err_quote(shown, sizeof shown, f->arch.p, f->arch.n),
                       gguf_path(a->model->file), arch);
    a->path = arena_strndup(&a->arena, f->path, strlen(f->path));
    a->list = arena_array(&a->arena, (size_t)f->n, sizeof *a->list);
    if (!a->path || !a->list) return adapter_nomem(f, e);
    int code = take_invocation(a, f, e);
    for (; code == 0 && a->n < f->n; a->n++) code = take(a, f, &f->entries[a->n], scale, &a->list[a->n], e);
    return code;
}

/* What reading has given; the files are closed. */
static int finish(struct adapter **out, struct adapter_file *f, const struct model *m, float scale, int code, struct err *e) {
    struct adapter *a = NULL;
    if (code == 0 && !isfinite(scale)) code = err_set(e, ERR_USAGE, "%s: an adapter cannot be scaled by %g", f->path, (double)scale);
    if (code == 0 && !(a = mem_calloc(1, sizeof *a))) code = err_nomem(e, "an adapter", sizeof *a);
    if (code == 0) {
        a->model = m;
        code = take_all(a, f, scale, e);
    }
    adapter_file_close(f);
    if (code) adapter_close(a);
    else *out = a;
    return code;
}

int adapter_open(struct adapter **out, const char *path, const struct model *m, float scale, struct err *e) {
    struct adapter_file f = {0};
    *out = NULL;
    return finish(out, &f, m, scale, adapter_read(&f, path, e), e);
}

int adapter_open_gguf(struct adapter **out, struct gguf *file, const struct model *m, float scale, struct err *e) {
    struct adapter_file f = {0};
    *out = NULL;
    return finish(out, &f, m, scale, adapter_read_gguf(&f, file, e), e);
}

void adapter_close(struct adapter *a) {
    if (!a) return;
    arena_free(&a->arena);
    mem_free(a);
}

/* ---- asking ---- */

static void copy_text(char *to, size_t cap, struct slice s) { (void)snprintf(to, cap, "%.*s", (int)(s.n < cap ? s.n : cap), s.p ? s.p : ""); }

int adapter_describe(struct adapter_about *about, const char *path, struct err *e) {
    struct adapter_file f = {0};
    *about = (struct adapter_about){0};
    int code = adapter_read(&f, path, e);
    if (code == 0) {
        copy_text(about->arch, sizeof about->arch, f.arch);
        copy_text(about->base, sizeof about->base, f.base);
        about->activated = f.n_invocation > 0;
        for (int i = 0; i < f.n; i++) about->bytes += f.entries[i].a->size + f.entries[i].b->size;
    }
    adapter_file_close(&f);
    return code;
}

const char *adapter_path(const struct adapter *a) { return a->path; }
const struct model *adapter_model(const struct adapter *a) { return a->model; }
uint64_t adapter_bytes(const struct adapter *a) { return a->arena.used; }
bool adapter_is_activated(const struct adapter *a) { return a->n_invocation > 0; }

const struct low_rank *adapter_list(const struct adapter *a, int *n) {
    *n = a->n;
    return a->list;
}

int adapter_start(const struct adapter *a, const int32_t *ids, int n) {
    if (!a->n_invocation) return 0;
    for (int at = n - a->n_invocation; at >= 0; at--)
        if (memcmp(ids + at, a->invocation, (size_t)a->n_invocation * sizeof *ids) == 0) return at;
    return -1;
}
