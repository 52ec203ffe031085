/* logprobs_file.c: log-probabilities in a file; see logprobs_file.h. */
#include "app/logprobs_file.h"

#include <string.h>

#include "base/cursor.h"
#include "tensor/dtype.h"

static const char magic[8] = "HEARTHLP";
enum { VERSION = 1, HEADER = 8 + 6 * 4 };

struct logprobs_writer {
    struct os_out *out;
    uint32_t n_vocab;
    bool half;
    uint8_t *row; /* [n_vocab * element] as the file has it */
};

int logprobs_text(struct logprobs_file *f, uint32_t n_vocab, uint32_t n_ctx, uint32_t n_chunks, const int32_t *ids, struct err *e) {
    *f = (struct logprobs_file){.n_vocab = n_vocab, .n_ctx = n_ctx, .n_chunks = n_chunks, .first = n_ctx / 2};
    size_t n = (size_t)n_ctx * n_chunks;
    if (!(f->ids = mem_array(NULL, n, sizeof *f->ids))) return err_nomem(e, "the text's tokens", n * sizeof *f->ids);
    memcpy(f->ids, ids, n * sizeof *f->ids);
    return 0;
}

static size_t element(bool half) { return half ? 2 : 4; }

/* The header, and a cursor behind it. */
static int read_header(struct logprobs_file *f, const char *path, struct cursor *c, struct err *e) {
    *f = (struct logprobs_file){0};
    int code = os_map_open(&f->map, path, e);
    if (code) return code;
    *c = cursor_of(f->map.data, f->map.size);
    const uint8_t *m = cursor_take(c, sizeof magic);
    if (!m || memcmp(m, magic, sizeof magic) != 0) return err_set(e, ERR_FORMAT, "%s: not a file of log-probabilities, as --save-logits writes them", path);
    uint32_t version = cursor_u32(c), type = cursor_u32(c);
    f->n_vocab = cursor_u32(c);
    f->n_ctx = cursor_u32(c);
    f->n_chunks = cursor_u32(c);
    f->first = cursor_u32(c);
    f->half = type == 1;
    if (c->failed) return err_set(e, ERR_FORMAT, "%s: ends within its header of %d bytes", path, HEADER);
    if (version != VERSION || type > 1) return err_set(e, ERR_UNSUPPORTED, "%s: version %u with elements of type %u is not known; it may be from a newer hearth", path, version, type);
    if (f->n_vocab == 0 || f->n_ctx < 4 || f->n_ctx > 1 << 24 || f->n_chunks == 0 || f->first >= f->n_ctx - 1)
        return err_set(e, ERR_FORMAT, "%s: %u chunks of %u tokens scored from %u on, over a vocabulary of %u, make no sense", path, f->n_chunks, f->n_ctx, f->first, f->n_vocab);
    return 0;
}

static int read_body(struct logprobs_file *f, const char *path, struct cursor *c, struct err *e) {
    size_t n = (size_t)f->n_ctx * f->n_chunks, rows;
    if (cursor_left(c) / 4 < n) return err_set(e, ERR_FORMAT, "%s: ends within its %zu token ids", path, n);
    if (!(f->ids = mem_array(NULL, n, sizeof *f->ids))) return err_nomem(e, "the text's tokens", n * sizeof *f->ids);
    for (size_t i = 0; i < n; i++) {
        size_t at = cursor_offset(c);
        f->ids[i] = (int32_t)cursor_u32(c);
        if (f->ids[i] < 0 || (uint32_t)f->ids[i] >= f->n_vocab) return err_set(e, ERR_FORMAT, "%s: byte %zu: token %d of a vocabulary of %u", path, at, f->ids[i], f->n_vocab);
    }
    bool huge = __builtin_mul_overflow((size_t)(f->n_ctx - 1 - f->first) * f->n_chunks, (size_t)f->n_vocab * element(f->half), &rows);
    f->rows = c->at;
    if (huge || cursor_left(c) != rows) return err_set(e, ERR_FORMAT, "%s: has %zu bytes of rows where %zu belong; was writing it interrupted?", path, cursor_left(c), rows);
    return 0;
}

int logprobs_open(struct logprobs_file *f, const char *path, uint32_t n_vocab, struct err *e) {
    struct cursor c;
    int code = read_header(f, path, &c, e);
    if (code == 0 && f->n_vocab != n_vocab) code = err_set(e, ERR_USAGE, "%s: is over a vocabulary of %u tokens, but the model has %u: they cannot be compared", path, f->n_vocab, n_vocab);
    if (code == 0) code = read_body(f, path, &c, e);
    if (code) logprobs_close(f);
    return code;
}

int logprobs_context(const char *path, int *n_ctx, struct err *e) {
    struct logprobs_file f;
    struct cursor c;
    int code = read_header(&f, path, &c, e);
    if (code == 0) *n_ctx = (int)f.n_ctx;
    logprobs_close(&f);
    return code;
}

void logprobs_close(struct logprobs_file *f) {
    mem_free(f->ids);
    if (f->map.data) os_map_close(&f->map);
    *f = (struct logprobs_file){0};
}

const void *logprobs_row(const struct logprobs_file *f, int chunk, int at) {
    size_t per_chunk = f->n_ctx - 1 - f->first, row = (size_t)chunk * per_chunk + (size_t)at - f->first;
    return f->rows + row * f->n_vocab * element(f->half);
}

float logprobs_at(const struct logprobs_file *f, const void *row, int id) {
    const uint8_t *p = (const uint8_t *)row + (size_t)id * element(f->half);
    if (f->half) return f16_to_f32((uint16_t)(p[0] | p[1] << 8));
    uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* ---- writing ---- */

static void put_u32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

int logprobs_create(struct logprobs_writer **out, const struct logprobs_file *f, const char *path, bool half, struct err *e) {
    struct logprobs_writer *w = *out = mem_calloc(1, sizeof *w);
    if (!w || !(w->row = mem_array(NULL, f->n_vocab, element(half)))) {
        mem_free(w);
        *out = NULL;
        return err_nomem(e, "a row of log-probabilities", (unsigned long long)f->n_vocab * 4);
    }
    w->n_vocab = f->n_vocab;
    w->half = half;
    uint8_t head[HEADER], id[4];
    const uint32_t fields[] = {VERSION, half, f->n_vocab, f->n_ctx, f->n_chunks, f->first};
    memcpy(head, magic, sizeof magic);
    for (int i = 0; i < 6; i++) put_u32(head + 8 + 4 * i, fields[i]);
    int code = os_out_open(&w->out, path, e);
    if (code == 0) code = os_out_write(w->out, head, sizeof head, e);
    for (size_t i = 0; code == 0 && i < (size_t)f->n_ctx * f->n_chunks; i++) {
        put_u32(id, (uint32_t)f->ids[i]);
        code = os_out_write(w->out, id, sizeof id, e);
    }
    if (code) {
        logprobs_abort(w);
        *out = NULL;
    }
    return code;
}

int logprobs_write(struct logprobs_writer *w, const float *row, struct err *e) {
    for (uint32_t i = 0; i < w->n_vocab; i++) {
        uint32_t bits;
        memcpy(&bits, &row[i], sizeof bits);
        if (!w->half) {
            put_u32(w->row + 4 * (size_t)i, bits);
            continue;
        }
        uint16_t h = f32_to_f16(row[i]);
        w->row[2 * (size_t)i] = (uint8_t)h;
        w->row[2 * (size_t)i + 1] = (uint8_t)(h >> 8);
    }
    return os_out_write(w->out, w->row, w->n_vocab * element(w->half), e);
}

int logprobs_finish(struct logprobs_writer *w, struct err *e) {
    int code = os_out_commit(w->out, e);
    mem_free(w->row);
    mem_free(w);
    return code;
}

void logprobs_abort(struct logprobs_writer *w) {
    if (!w) return;
    os_out_abort(w->out);
    mem_free(w->row);
    mem_free(w);
}
