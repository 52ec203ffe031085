/* quantize.c: writing a model file anew with other element types; see quantize.h. */
#include "model/quantize.h"

#include <stdatomic.h>

#include "base/log.h"

enum { AT_ONCE = 8192 }; /* elements that a worker converts at a time */

struct job {
    const struct gguf *g;
    const struct quantize_options *o;
    struct pool *pool;
    struct quantize_report *r;
    enum dtype *types;   /* [n_tensors] */
    float *rows;         /* one decoded row per worker */
    size_t row_elements; /* room of each */
    uint64_t done, total; /* bytes of the input that are converted: so far, at the end */
    /* the tensor whose turn it is */
    const struct tensor *from;
    const struct dtype_info *to;
    uint8_t *data;
    atomic_llong next;    /* row that nobody has taken yet */
    atomic_bool stopped;  /* because of code, which the driving thread sets, as *e */
    int code;
    struct err *e;
};

/* How far we are, with `bytes` of the tensor whose turn it is. */
static int tell(const struct job *j, uint64_t bytes, struct err *e) {
    return j->o->progress ? j->o->progress(j->o->ctx, j->from ? j->from->name : "", j->done + bytes, j->total, e) : 0;
}

/* Rows as long as there are any, a few at a time: that takes no worker long, so that all end together and a wish to stop is soon
 * heard. Worker 0 is the driving thread. All elements of a row count alike: weighting them by their magnitude, in four ways, left
 * the embedded model's divergence from the original the same within its scatter of five per cent over five perturbed copies. */
static void convert(void *ctx, int worker, int workers) {
    struct job *j = ctx;
    const struct tensor *t = j->from;
    size_t n = (size_t)t->ne[0], from_bytes = tensor_row_bytes(t), to_bytes = n / j->to->block * j->to->bytes;
    float *row = j->rows + (size_t)worker * j->row_elements;
    int64_t rows = tensor_rows(t), few = n < AT_ONCE ? AT_ONCE / (int64_t)n : 1, first;
    (void)workers;
    while (!atomic_load(&j->stopped) && (first = atomic_fetch_add(&j->next, few)) < rows) {
        int64_t last = rows - first < few ? rows : first + few;
        for (int64_t i = first; i < last; i++) {
            dtype_info((uint32_t)t->type)->decode((const uint8_t *)t->data + (size_t)i * from_bytes, row, n);
            j->to->encode(row, j->data + (size_t)i * to_bytes, n, NULL);
        }
        if (worker == 0 && (j->code = tell(j, (uint64_t)last * from_bytes, j->e)) != 0) atomic_store(&j->stopped, true);
    }
}

/* A gguf_fill_fn, of the tensors whose type changes. */
static int fill(void *ctx, const struct tensor *t, void *data, struct err *e) {
    struct job *j = ctx;
    j->from = gguf_tensor(j->g, t->name);
    j->to = dtype_info((uint32_t)t->type);
    j->data = data;
    j->e = e;
    atomic_store(&j->next, 0);
    j->code = tell(j, 0, e);
    if (j->code == 0) pool_run(j->pool, convert, j);
    j->done += j->from->size;
    return j->code;
}

/* A gguf_watch_fn. */
static int watch(void *ctx, struct err *e) { return tell(ctx, 0, e); }

static int put_keys(struct gguf_writer *w, const struct job *j, struct err *e) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < gguf_kv_count(j->g); i++) code = gguf_put_kv(w, gguf_kv_at(j->g, i), e);
    if (code == 0) code = gguf_put_u32(w, "general.quantization_version", 2, e);
    if (code == 0) code = gguf_put_u32(w, "general.file_type", quant_target_file_type(j->o->target), e);
    return code;
}

static int put_tensors(struct gguf_writer *w, struct job *j, struct err *e) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < gguf_tensor_count(j->g); i++) {
        const struct tensor *from = gguf_tensor_at(j->g, i);
        struct tensor to = *from;
        const struct dtype_info *was = dtype_info((uint32_t)from->type);
        to.type = j->types[i];
        bool changes = to.type != from->type;
        if (changes && to.type != DT_F32 && was->block > 1 && !j->o->allow_requantize)
            return err_set(e, ERR_USAGE, "%s: tensor \"%s\" is quantised already, as %s; quantising twice loses more than once: start from F16 or F32, or "
                           "insist with --allow-requantize", gguf_path(j->g), from->name, was->name);
        to.size = dtype_size(to.type, (uint64_t)tensor_elements(from));
        if (to.size == 0) return err_set(e, ERR_FORMAT, "%s: tensor \"%s\" is too large as %s", gguf_path(j->g), from->name, dtype_info((uint32_t)to.type)->name);
        if (changes && (size_t)from->ne[0] > j->row_elements) j->row_elements = (size_t)from->ne[0];
        code = gguf_put_tensor(w, &to, changes ? fill : NULL, j, e);
        j->total += changes ? from->size : 0;
        j->r->bytes_before += from->size;
        j->r->bytes_after += to.size;
        j->r->elements += (uint64_t)tensor_elements(from);
        j->r->changed += changes;
        j->r->tensors++;
    }
    return code;
}

int quantize_write(const struct gguf *g, const char *path, const struct quantize_options *o, struct pool *pool, struct quantize_report *r, struct err *e) {
    struct job j = {.g = g, .o = o, .pool = pool, .r = r};
    struct gguf_writer *w = NULL;
    struct quant_misfits m = {0};
    *r = (struct quantize_report){0};
    j.types = mem_array(NULL, gguf_tensor_count(g) + 1, sizeof *j.types);
    if (!j.types) return err_nomem(e, "the tensors' types", gguf_tensor_count(g) * sizeof *j.types);
    int code = quantize_types(g, o->target, o->pure, j.types, &m, e);
    if (code == 0) code = gguf_writer_new(&w, e);
    if (code == 0) code = put_keys(w, &j, e);
    if (code == 0) code = put_tensors(w, &j, e);
    if (code == 0) {
        size_t workers = (size_t)pool_threads(pool);
        if (m.n)
            log_warn("%d of %d tensors have rows that are not whole blocks of their type and got a larger one: \"%s\", rows of %lld, is %s", m.n, r->tensors,
                     m.first->name, (long long)m.first->ne[0], dtype_info((uint32_t)m.given)->name);
        r->misfits = m.n;
        j.rows = mem_array(NULL, workers * sizeof *j.rows, j.row_elements);
        gguf_writer_watch(w, watch, &j);
        code = j.rows || j.row_elements == 0 ? gguf_write(w, path, e) : err_nomem(e, "a row per thread", workers * j.row_elements * sizeof *j.rows);
    }
    mem_free(j.rows);
    mem_free(j.types);
    gguf_writer_free(w);
    return code;
}
