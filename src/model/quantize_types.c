/* quantize_types.c: which tensor gets which type; see quantize.h. A target is one row of the table below.
 *
 * Experience behind the mixes: the output matrix, the value projection of attention and the down projection of the feed-forward
 * network lose most by few bits, the outer layers more than the middle ones. The rules are those of the k-quant mixes of
 * llama.cpp (pull request 1684 there, and later changes), stated as a table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "model/quantize.h"

/* When a choice holds. i of n is the tensor's place among its kind, in order of layers. */
enum when {
    NEVER,
    ALWAYS,
    FIRST_2,
    FIRST_4,
    SIXTEENTH, /* i in the first sixteenth */
    EIGHTH,    /* in the first eighth */
    OUTER,     /* in the first or the last eighth, and every third between */
    GROUPED,   /* four or more heads share a key and value head: the matrix is small */
};

struct choice {
    enum when when;
    enum dtype type;
};

/* The first choice that holds counts; with none, the base type. */
struct quant_target {
    const char *name, *alias;
    const char *arch;       /* only for this architecture; such a row stands before the general one */
    uint32_t file_type;     /* GGUF's number */
    enum dtype base;
    struct choice value[2]; /* attention's values, also where fused with others */
    struct choice down[3];  /* the second matrix of the feed-forward network */
    struct choice out;      /* attention's output; not with eight experts */
    bool out_of_eight;      /* with eight experts, attention's output as Q5_K */
};

static const struct quant_target targets[] = {
    {.name = "F32", .file_type = 0, .base = DT_F32},
    {.name = "F16", .file_type = 1, .base = DT_F16},
    {.name = "BF16", .file_type = 32, .base = DT_BF16},
    {.name = "Q8_0", .file_type = 7, .base = DT_Q8_0},
    {.name = "Q6_K", .file_type = 18, .base = DT_Q6_K},
    {.name = "Q5_K_M", .alias = "Q5_K", .file_type = 17, .base = DT_Q5_K, .value = {{OUTER, DT_Q6_K}}, .down = {{OUTER, DT_Q6_K}}},
    {.name = "Q5_K_S", .file_type = 16, .base = DT_Q5_K},
    {.name = "Q5_1", .file_type = 9, .base = DT_Q5_1},
    {.name = "Q5_0", .file_type = 8, .base = DT_Q5_0},
    {.name = "Q4_K_M", .arch = "falcon", .file_type = 15, .base = DT_Q4_K, .value = {{OUTER, DT_Q6_K}},
     .down = {{SIXTEENTH, DT_Q6_K}, {OUTER, DT_Q5_K}}},
    {.name = "Q4_K_M", .alias = "Q4_K", .file_type = 15, .base = DT_Q4_K, .value = {{OUTER, DT_Q6_K}}, .down = {{OUTER, DT_Q6_K}}, .out_of_eight = true},
    {.name = "Q4_K_S", .arch = "falcon", .file_type = 14, .base = DT_Q4_K, .value = {{FIRST_4, DT_Q5_K}}},
    {.name = "Q4_K_S", .file_type = 14, .base = DT_Q4_K, .value = {{FIRST_4, DT_Q5_K}}, .down = {{EIGHTH, DT_Q5_K}}, .out_of_eight = true},
    {.name = "IQ4_NL", .file_type = 25, .base = DT_IQ4_NL, .value = {{GROUPED, DT_Q5_K}}, .down = {{EIGHTH, DT_Q5_K}}, .out_of_eight = true},
    {.name = "IQ4_XS", .file_type = 30, .base = DT_IQ4_XS, .value = {{GROUPED, DT_Q5_K}}, .down = {{EIGHTH, DT_Q5_K}}, .out_of_eight = true},
    {.name = "Q4_1", .file_type = 3, .base = DT_Q4_1},
    {.name = "Q4_0", .file_type = 2, .base = DT_Q4_0},
    {.name = "MXFP4", .alias = "MXFP4_MOE", .file_type = 38, .base = DT_MXFP4},
    {.name = "NVFP4", .file_type = 39, .base = DT_NVFP4},
    {.name = "Q3_K_L", .arch = "falcon", .file_type = 13, .base = DT_Q3_K, .value = {{ALWAYS, DT_Q5_K}}, .down = {{ALWAYS, DT_Q4_K}}, .out = {ALWAYS, DT_Q4_K}},
    {.name = "Q3_K_L", .file_type = 13, .base = DT_Q3_K, .value = {{ALWAYS, DT_Q5_K}}, .down = {{ALWAYS, DT_Q5_K}}, .out = {ALWAYS, DT_Q5_K}},
    {.name = "Q3_K_M", .arch = "falcon", .file_type = 12, .base = DT_Q3_K, .value = {{FIRST_2, DT_Q5_K}, {ALWAYS, DT_Q4_K}},
     .down = {{SIXTEENTH, DT_Q5_K}, {OUTER, DT_Q4_K}}},
    {.name = "Q3_K_M", .alias = "Q3_K", .file_type = 12, .base = DT_Q3_K, .value = {{FIRST_2, DT_Q5_K}, {ALWAYS, DT_Q4_K}},
     .down = {{SIXTEENTH, DT_Q5_K}, {ALWAYS, DT_Q4_K}}, .out = {ALWAYS, DT_Q4_K}, .out_of_eight = true},
    {.name = "Q3_K_S", .file_type = 11, .base = DT_Q3_K, .out_of_eight = true},
    {.name = "Q2_K", .arch = "falcon", .file_type = 10, .base = DT_Q2_K, .value = {{GROUPED, DT_Q4_K}, {ALWAYS, DT_Q3_K}}, .down = {{ALWAYS, DT_Q3_K}}},
    {.name = "Q2_K", .file_type = 10, .base = DT_Q2_K, .value = {{GROUPED, DT_Q4_K}, {ALWAYS, DT_Q3_K}}, .down = {{ALWAYS, DT_Q3_K}},
     .out = {ALWAYS, DT_Q3_K}, .out_of_eight = true},
    {.name = "TQ2_0", .file_type = 37, .base = DT_TQ2_0},
    {.name = "TQ1_0", .file_type = 36, .base = DT_TQ1_0},
    {.name = "Q2_0", .file_type = 41, .base = DT_Q2_0},
    {.name = "Q1_0", .file_type = 40, .base = DT_Q1_0},
};
enum { TARGETS = sizeof targets / sizeof *targets };

const struct quant_target *quant_target_find(const char *name) {
    for (int i = 0; i < TARGETS; i++)
        if (!targets[i].arch && (strcasecmp(name, targets[i].name) == 0 || (targets[i].alias && strcasecmp(name, targets[i].alias) == 0))) return &targets[i];
    return NULL;
}

const char *quant_target_name(int index) {
    for (int i = 0; i < TARGETS; i++)
        if (!targets[i].arch && index-- == 0) return targets[i].name;
    return NULL;
}

uint32_t quant_target_file_type(const struct quant_target *t) { return t->file_type; }
enum dtype quant_target_base(const struct quant_target *t) { return t->base; }

/* Tensors that stay as they are although they are matrices: parts of a name that tell them. */
static const char *const kept[] = {
    "_norm.weight",                                                                     /* norms of several heads */
    "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight",                                   /* who is asked which expert */
    "altup", "laurel", "per_layer_model_proj",                                          /* Gemma 3n's side paths */
    "position_embd", "token_types.weight", "attn_rel_b.weight",
    "ssm_conv1d", "shortconv.conv.weight",                                              /* convolutions over a few tokens */
    "indexer.k_proj.weight", "indexer.q_proj.weight",
    "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight", /* RWKV's low-rank mixes */
    "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight",
    "time_mix_g1.weight", "time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
    "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd", /* seeing and hearing */
};

static bool is_kept(const struct tensor *t) {
    size_t n = strlen(t->name);
    if (tensor_rows(t) == 1 || n < 6 || strcmp(t->name + n - 6, "weight") != 0 || !dtype_info((uint32_t)t->type)->decode) return true;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strstr(t->name, kept[i])) return true;
    return false;
}

enum kind { OTHER, HEAD, EMBEDDING, VALUE, KEY, OUT, DOWN };

static enum kind kind_of(const char *name) {
    if (strcmp(name, "output.weight") == 0) return HEAD;
    if (strcmp(name, "token_embd.weight") == 0 || strcmp(name, "per_layer_token_embd.weight") == 0) return EMBEDDING;
    if (strstr(name, "attn_qkv.weight") || strstr(name, "attn_kv_b.weight") || strstr(name, "attn_v.weight")) return VALUE;
    if (strstr(name, "attn_k.weight")) return KEY;
    if (strstr(name, "attn_output.weight")) return OUT;
    if (strstr(name, "ffn_down")) return DOWN;
    return OTHER;
}

/* The layer in a name like "blk.12.attn_v.weight"; -1: none. */
static int layer_of(const char *name) {
    int layer;
    return sscanf(name, "blk.%6d.", &layer) == 1 && layer >= 0 ? layer : -1;
}

/* What the rules look at. */
struct facts {
    const struct gguf *g;
    const struct quant_target *target;
    char arch[64];
    uint32_t layers, experts, heads, heads_kv;
    int values;        /* tensors of that kind */
    int value, down;   /* how many of their kind came before, as layers go */
    bool tied;         /* the embedding is the output matrix too */
    bool small_values; /* a known large model whose value matrices are an eighth of its query matrices */
};

/* Reads ARCH.name as the first of an array or a single number. */
static int fact(const struct facts *f, const char *name, uint32_t *out, struct err *e) {
    char key[128];
    (void)snprintf(key, sizeof key, "%s.%s", f->arch, name);
    const struct gguf_kv *kv = gguf_find(f->g, key);
    return kv && kv->count ? gguf_get_u32s(f->g, key, out, 1, e) : 0;
}

static int read_facts(struct facts *f, const struct gguf *g, const struct quant_target *target, struct err *e) {
    struct slice arch = {0};
    *f = (struct facts){.g = g, .target = target, .tied = true};
    int code = gguf_get_str(g, "general.architecture", &arch, e);
    (void)snprintf(f->arch, sizeof f->arch, "%.*s", arch.n < sizeof f->arch ? (int)arch.n : 0, arch.n ? arch.p : "");
    if (code == 0) code = fact(f, "block_count", &f->layers, e);
    if (code == 0) code = fact(f, "expert_count", &f->experts, e);
    if (code == 0) code = fact(f, "attention.head_count", &f->heads, e);
    f->heads_kv = f->heads;
    if (code == 0) code = fact(f, "attention.head_count_kv", &f->heads_kv, e);
    if (code) return code;
    for (const struct quant_target *t = targets; t < targets + TARGETS; t++)
        if (t->arch && strcmp(t->name, target->name) == 0 && strcmp(t->arch, f->arch) == 0) f->target = t;
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        enum kind kind = kind_of(gguf_tensor_at(g, i)->name);
        f->values += kind == VALUE;
        if (kind == HEAD) f->tied = false;
    }
    static const char *const large[] = {"llama", "qwen2", "deci", "olmo"};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        f->small_values |= f->layers == 80 && f->heads != f->heads_kv && strcmp(f->arch, large[i]) == 0;
    return 0;
}

static enum dtype choose(const struct facts *f, const struct choice *c, int n_choices, int64_t i, int64_t n, enum dtype otherwise) {
    for (const struct choice *end = c + n_choices; c < end; c++) {
        bool holds = false;
        switch (c->when) {
        case NEVER: break;
        case ALWAYS: holds = true; break;
        case FIRST_2: holds = i < 2; break;
        case FIRST_4: holds = i < 4; break;
        case SIXTEENTH: holds = i < n / 16; break;
        case EIGHTH: holds = i < n / 8; break;
        case OUTER: holds = i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; break;
        case GROUPED: holds = f->heads_kv != 0 && f->heads / f->heads_kv >= 4; break;
        }
        if (holds) return c->type;
    }
    return otherwise;
}

/* The type that the mix wants for t, whatever its shape. Tensors come in the order of layers. */
static enum dtype mixed(struct facts *f, const struct tensor *t) {
    const struct quant_target *q = f->target;
    enum kind kind = kind_of(t->name);
    bool eight = f->experts == 8;
    if (kind == HEAD || (kind == EMBEDDING && f->tied)) {
        bool whole = t->ne[0] % dtype_info((uint32_t)q->base)->block == 0;
        return q->base == DT_Q8_0 || q->base == DT_MXFP4 || !whole || strcmp(f->arch, "falcon") == 0 ? DT_Q8_0 : DT_Q6_K;
    }
    if (q->base == DT_MXFP4) return t->ne[2] > 1 ? DT_MXFP4 : DT_Q8_0; /* made for experts */
    switch (kind) {
    case EMBEDDING: return q->base == DT_TQ1_0 || q->base == DT_TQ2_0 || q->base == DT_Q2_0 ? DT_Q4_K : q->base;
    case VALUE: {
        if (eight) return DT_Q8_0; /* small beside the experts */
        enum dtype type = choose(f, q->value, 2, f->value++, f->values, q->base);
        return f->small_values && (type == DT_Q3_K || type == DT_Q4_K) ? DT_Q5_K : type;
    }
    case KEY: return eight ? DT_Q8_0 : q->base;
    case DOWN: return choose(f, q->down, 3, f->experts > 1 ? layer_of(t->name) : f->down++, f->layers, q->base);
    case OUT: return eight ? (q->out_of_eight ? DT_Q5_K : q->base) : choose(f, &q->out, 1, 0, 1, q->base);
    default: return q->base;
    }
}

/* The nearest type that rows of n elements can have. */
static enum dtype fitting(enum dtype type, int64_t n) {
    while (n % dtype_info((uint32_t)type)->block != 0)
        switch (type) {
        case DT_IQ4_XS: type = DT_IQ4_NL; break;
        case DT_Q2_K: case DT_Q3_K: case DT_TQ1_0: case DT_TQ2_0: case DT_Q2_0: case DT_Q1_0: type = DT_Q4_0; break;
        case DT_Q4_K: type = DT_Q5_0; break;
        case DT_Q5_K: type = DT_Q5_1; break;
        case DT_Q6_K: type = DT_Q8_0; break;
        case DT_NVFP4: type = DT_MXFP4; break;
        default: return DT_F16;
        }
    return type;
}

/* A tensor with what it is sorted by: the layer, then the name. */
struct place {
    const char *name;
    int layer;
    size_t index;
};

static int by_layer(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    return x->layer != y->layer ? (x->layer < y->layer ? -1 : 1) : strcmp(x->name, y->name);
}

int quantize_types(const struct gguf *g, const struct quant_target *target, bool pure, enum dtype *types, struct quant_misfits *misfits, struct err *e) {
    struct facts f;
    size_t n = gguf_tensor_count(g);
    struct quant_misfits m = {0};
    int code = read_facts(&f, g, target, e);
    if (code) return code;
    struct place *order = mem_array(NULL, n + 1, sizeof *order);
    if (!order) return err_nomem(e, "the order of the tensors", n * sizeof *order);
    for (size_t i = 0; i < n; i++) {
        const char *name = gguf_tensor_at(g, i)->name;
        order[i] = (struct place){name, layer_of(name), i};
    }
    qsort(order, n, sizeof *order, by_layer);
    bool mix = !pure && dtype_info((uint32_t)target->base)->block > 1;
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = gguf_tensor_at(g, order[i].index);
        enum dtype *type = &types[order[i].index];
        *type = t->type;
        if (is_kept(t)) {
            if (target->base == DT_F32 && dtype_info((uint32_t)t->type)->decode) *type = DT_F32; /* F32 means all of it */
            continue;
        }
        enum dtype wanted = mix ? mixed(&f, t) : target->base;
        *type = fitting(wanted, t->ne[0]);
        if (*type != wanted && m.n++ == 0) {
            m.first = t;
            m.given = *type;
        }
    }
    mem_free(order);
    if (misfits) *misfits = m;
    return 0;
}
