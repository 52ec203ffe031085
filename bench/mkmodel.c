/* mkmodel.c: writes a GGUF file of random F16 weights in the shape of a well-known model, for measuring speed and memory.
 *
 *   mkmodel SHAPE OUT.gguf      (the shapes stand below)
 *
 * The vocabulary has the real one's size and kind (byte-level BPE, with merges), but made-up words. What such a model says is noise;
 * time, memory and exactness are real. The same shape always gives the same bytes.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "gguf/gguf.h"

static const struct shape {
    const char *name, *arch, *pre; /* pre: the pre-tokenizer */
    unsigned vocab, width, layers, heads, heads_kv, head, ffn, context;
    float theta;
    bool qk_norm;
} shapes[] = {
    {"qwen3-0.6b", "qwen3", "qwen2", 151936, 1024, 28, 16, 8, 128, 3072, 40960, 1e6f, true},
    {"llama3.2-1b", "llama", "llama-bpe", 128256, 2048, 16, 32, 8, 64, 8192, 40960, 5e5f, false},
    {"tiny", "qwen3", "qwen2", 2000, 256, 2, 4, 2, 64, 512, 4096, 1e6f, true},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, TABLE = 1 << 16 };

struct maker {
    const struct shape *s;
    struct gguf_writer *w;
    struct arena arena;
    struct rng rng;
    float *normal;    /* [TABLE] numbers of a normal distribution, from which weights are drawn */
    uint16_t *scaled; /* [TABLE] the same at a tensor's scale, as halves */
    struct err e;
};

/* Marsaglia's polar method. */
static float draw_normal(struct rng *r) {
    double x, s;
    do {
        double y = 2 * rng_unit(r) - 1;
        x = 2 * rng_unit(r) - 1;
        s = x * x + y * y;
    } while (s >= 1 || s <= 0);
    return (float)(x * sqrt(-2 * log(s) / s));
}

static int fill_matrix(void *ctx, const struct tensor *t, void *data, struct err *e) {
    struct maker *m = ctx;
    uint16_t *out = data;
    size_t n = t->size / sizeof *out;
    bool embedding = strcmp(t->name, "token_embd.weight") == 0;
    float scale = embedding ? 0.02f : 1 / sqrtf((float)t->ne[0]);
    (void)e;
    for (size_t i = 0; i < TABLE; i++) m->scaled[i] = f32_to_f16(m->normal[i] * scale);
    for (size_t i = 0; i + 1 < n; i += 2) { /* rows are even */
        uint32_t two = rng_u32(&m->rng);
        out[i] = m->scaled[two & 0xffff];
        out[i + 1] = m->scaled[two >> 16];
    }
    return 0;
}

static int fill_vector(void *ctx, const struct tensor *t, void *data, struct err *e) {
    struct maker *m = ctx;
    float *out = data;
    (void)e;
    for (size_t i = 0; i < t->size / sizeof *out; i++) out[i] = 1 + 0.1f * m->normal[rng_u32(&m->rng) & 0xffff];
    return 0;
}

/* block: the layer, or -1. rows 0: a vector. */
static int put(struct maker *m, int block, const char *name, unsigned columns, unsigned rows) {
    struct tensor t = {.type = rows ? DT_F16 : DT_F32, .n_dims = rows ? 2 : 1, .ne = {columns, rows ? rows : 1, 1, 1}};
    t.name = block < 0 ? arena_printf(&m->arena, "%s.weight", name) : arena_printf(&m->arena, "blk.%d.%s.weight", block, name);
    if (!t.name) return err_nomem(&m->e, "names", 64);
    t.size = (size_t)tensor_elements(&t) * (rows ? 2 : 4);
    return gguf_put_tensor(m->w, &t, rows ? fill_matrix : fill_vector, m, &m->e);
}

static int put_tensors(struct maker *m) {
    const struct shape *s = m->s;
    int code = put(m, -1, "token_embd", s->width, s->vocab); /* also the output's matrix */
    if (code == 0) code = put(m, -1, "output_norm", s->width, 0);
    for (int i = 0; code == 0 && i < (int)s->layers; i++) {
        const struct {
            const char *name;
            unsigned columns, rows;
        } t[] = {
            {"attn_norm", s->width, 0},
            {"attn_q", s->width, s->heads * s->head},
            {"attn_k", s->width, s->heads_kv * s->head},
            {"attn_v", s->width, s->heads_kv * s->head},
            {"attn_output", s->heads * s->head, s->width},
            {"ffn_norm", s->width, 0},
            {"ffn_gate", s->width, s->ffn},
            {"ffn_up", s->width, s->ffn},
            {"ffn_down", s->ffn, s->width},
            {"attn_q_norm", s->head, 0},
            {"attn_k_norm", s->head, 0},
        };
        for (int k = 0; code == 0 && k < (s->qk_norm ? 11 : 9); k++) code = put(m, i, t[k].name, t[k].columns, t[k].rows);
    }
    return code;
}

/* ---- the vocabulary: bytes, then all words of two, three and as many of four small letters as there is room for ---- */

struct vocabulary {
    struct slice *token, *merge;
    int32_t *type;
    unsigned n, n_merges;
};

static void add_token(struct vocabulary *v, char *text, int32_t type) {
    v->token[v->n] = text ? slice_of(text) : (struct slice){0};
    v->type[v->n++] = type;
}

/* A word of n letters, number i of its length, and the merge of its halves. */
static void add_word(struct maker *m, struct vocabulary *v, unsigned n, unsigned i) {
    char word[5] = "", merge[6];
    unsigned head = n < 3 ? 1 : 2;
    for (unsigned k = n; k-- > 0; i /= 26) word[k] = (char)('a' + i % 26);
    (void)snprintf(merge, sizeof merge, "%.*s %s", (int)head, word, word + head);
    add_token(v, arena_strndup(&m->arena, word, n), 1);
    v->merge[v->n_merges++] = (struct slice){arena_strndup(&m->arena, merge, n + 1), n + 1};
}

/* GPT-2's letter for a byte: itself where it can be seen, else the next of those from 256 on. */
static char *byte_letter(struct arena *a, unsigned byte) {
    unsigned code = byte, unseen = 256;
    for (unsigned b = 0; b <= byte; b++) {
        bool seen = (b > 32 && b < 127) || (b > 160 && b != 173);
        code = seen ? b : unseen++;
    }
    if (code < 128) return arena_printf(a, "%c", (char)code);
    return arena_printf(a, "%c%c", (char)(0xc0 | code >> 6), (char)(0x80 | (code & 63)));
}

static int put_vocabulary(struct maker *m) {
    unsigned n = m->s->vocab;
    struct vocabulary v = {arena_array(&m->arena, n, sizeof *v.token), arena_array(&m->arena, n, sizeof *v.merge), arena_array(&m->arena, n, sizeof *v.type), 0, 0};
    if (!v.token || !v.merge || !v.type) return err_nomem(&m->e, "the vocabulary", n);
    for (unsigned b = 0; b < 256; b++) add_token(&v, byte_letter(&m->arena, b), 1);
    for (unsigned length = 2, count = 26 * 26; length <= 4; length++, count *= 26)
        for (unsigned i = 0; i < count && v.n < n - 1; i++) add_word(m, &v, length, i);
    add_token(&v, arena_strndup(&m->arena, "<|endoftext|>", 13), 3); /* 3: a control token */
    int code = gguf_put_str(m->w, "tokenizer.ggml.model", SLICE("gpt2"), &m->e);
    if (code == 0) code = gguf_put_str(m->w, "tokenizer.ggml.pre", slice_of(m->s->pre), &m->e);
    if (code == 0) code = gguf_put_strings(m->w, "tokenizer.ggml.tokens", v.token, v.n, &m->e);
    if (code == 0) code = gguf_put_array(m->w, "tokenizer.ggml.token_type", GGUF_I32, v.type, v.n, &m->e);
    if (code == 0) code = gguf_put_strings(m->w, "tokenizer.ggml.merges", v.merge, v.n_merges, &m->e);
    if (code == 0) code = gguf_put_u32(m->w, "tokenizer.ggml.eos_token_id", n - 1, &m->e);
    if (code == 0) code = gguf_put_u32(m->w, "tokenizer.ggml.bos_token_id", n - 1, &m->e);
    return code;
}

/* Under the architecture's name, which the key is made of. NULL: out of memory, which the writer takes for a key without a name. */
static const char *key_of(struct maker *m, const char *rest) {
    const char *key = arena_printf(&m->arena, "%s.%s", m->s->arch, rest);
    return key ? key : "";
}

static int put_keys(struct maker *m) {
    const struct shape *s = m->s;
    const struct {
        const char *key;
        unsigned value;
    } keys[] = {
        {"vocab_size", s->vocab}, {"context_length", s->context}, {"embedding_length", s->width}, {"block_count", s->layers}, {"feed_forward_length", s->ffn},
        {"attention.head_count", s->heads}, {"attention.head_count_kv", s->heads_kv}, {"attention.key_length", s->head}, {"attention.value_length", s->head},
        {"rope.dimension_count", s->head},
    };
    int code = gguf_put_str(m->w, "general.architecture", slice_of(s->arch), &m->e);
    if (code == 0) code = gguf_put_str(m->w, "general.name", slice_of(s->name), &m->e);
    if (code == 0) code = gguf_put_u32(m->w, "general.file_type", 1, &m->e);
    for (size_t i = 0; code == 0 && i < sizeof keys / sizeof *keys; i++) code = gguf_put_u32(m->w, key_of(m, keys[i].key), keys[i].value, &m->e);
    if (code == 0) code = gguf_put_f32(m->w, key_of(m, "rope.freq_base"), s->theta, &m->e);
    return code ? code : gguf_put_f32(m->w, key_of(m, "attention.layer_norm_rms_epsilon"), 1e-6f, &m->e);
}

int main(int argc, char **argv) {
    struct maker m = {.rng = rng_new(1, 1)};
    for (size_t i = 0; argc == 3 && i < N_SHAPES; i++)
        if (strcmp(shapes[i].name, argv[1]) == 0) m.s = &shapes[i];
    if (!m.s) {
        (void)fputs("usage: mkmodel SHAPE OUT.gguf; shapes:", stderr);
        for (size_t i = 0; i < N_SHAPES; i++) (void)fprintf(stderr, " %s", shapes[i].name);
        return fputs("\n", stderr), ERR_USAGE;
    }
    m.normal = arena_array(&m.arena, TABLE, sizeof *m.normal);
    m.scaled = arena_array(&m.arena, TABLE, sizeof *m.scaled);
    int code = m.normal && m.scaled ? gguf_writer_new(&m.w, &m.e) : err_nomem(&m.e, "tables", TABLE);
    for (size_t i = 0; code == 0 && i < TABLE; i++) m.normal[i] = draw_normal(&m.rng);
    if (code == 0) code = put_keys(&m);
    if (code == 0) code = put_vocabulary(&m);
    if (code == 0) code = put_tensors(&m);
    if (code == 0) code = gguf_write(m.w, argv[2], &m.e);
    if (code) (void)fprintf(stderr, "mkmodel: %s\n", m.e.msg);
    gguf_writer_free(m.w);
    arena_free(&m.arena);
    return code;
}
