/* arch_encoders.c: encoders, which read a text both ways and make an embedding or a score of it: rows like those of
 * arch_decoders.c, over the same family statement. */
#include <stdio.h>

#include "model/arch.h"

static int read_jina_v2(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    (void)r, (void)e;
    hp->alibi = 8;
    return 0;
}

/* The name is that of the gate's activation, or of the gated network as a whole. */
static int read_hidden_act(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    static const struct {
        const char *name;
        enum act act;
    } known[] = {{"gelu", ACT_GELU_ERF}, {"geglu", ACT_GELU_ERF}, {"silu", ACT_SILU}, {"swish", ACT_SILU}, {"swiglu", ACT_SILU}};
    struct slice name = SLICE("gelu");
    char full[96], shown[64];
    (void)snprintf(full, sizeof full, "%s.hidden_activation", r->arch);
    int code = gguf_get_str(r->file, full, &name, e);
    for (size_t i = 0; code == 0 && i < sizeof known / sizeof *known; i++)
        if (slice_is(name, known[i].name)) hp->hidden_act = (int)known[i].act;
    if (code || hp->hidden_act >= 0) return code;
    return err_set(e, ERR_UNSUPPORTED, "%s: the key %s is \"%s\"; known are gelu and silu", gguf_path(r->file), full, err_quote(shown, sizeof shown, name.p, name.n));
}

/* Every third layer, from the first on, sees everything; the others see a window, and turn faster. */
static int read_modern_bert(struct hparams_reader *r, struct hparams *hp, struct err *e) {
    hp->rope_theta_window = 10000;
    if (hp->rank_pooling == POOL_UNSAID) hp->rank_pooling = POOL_MEAN;
    int code = hp_rope_base(r, "rope.freq_base_swa", &hp->rope_theta_window, e);
    if (code == 0) code = hp_windows_after(r, hp, 3, e);
    return code ? code : read_hidden_act(r, hp, e);
}

static void restyle_modern_bert(const struct model *m, struct decoder_style *s) { s->act = (enum act)m->hp.hidden_act; }

/* The feed-forward network of the later models is gated, with gate and up apart or together. */
static void restyle_jina_v2(const struct model *m, struct decoder_style *s) {
    const struct tensor *up = gguf_tensor(m->file, "blk.0.ffn_up.weight"), *down = gguf_tensor(m->file, "blk.0.ffn_down.weight");
    s->gated = gguf_tensor(m->file, "blk.0.ffn_gate.weight") || (up && down && up->ne[1] == 2 * down->ne[0]);
}

#define ENCODER .both_ways = true, .norm = NORM_LAYER, .embed_norm = true
#define POST_NORM .attn_added = "attn_output_norm", .ffn_added = "layer_output_norm", .no_last_norm = true

#define ROW(id, gguf_name, models, ...) const struct arch arch_##id = {.name = gguf_name, .description = models, .style = __VA_ARGS__}

ROW(bert, "bert", "BERT, RoBERTa, XLM-RoBERTa: BGE, E5, GTE, MiniLM, their rerankers", {ENCODER, POST_NORM, .act = ACT_GELU_ERF});
ROW(nomic_bert, "nomic-bert", "Nomic Embed 1 and 1.5", {ENCODER, POST_NORM, .rope = ROPE_NEOX, .act = ACT_SILU, .gated = true});
ROW(modern_bert, "modern-bert", "ModernBERT, Granite Embedding R2, their rerankers",
    {ENCODER, .rope = ROPE_NEOX, .act = ACT_GELU_ERF, .gated = true, .attn_norm = "attn_norm", .ffn_norm = "ffn_norm", .bare_first = true, .head_gelu = true},
    .read = read_modern_bert, .restyle = restyle_modern_bert);
ROW(jina_bert_v2, "jina-bert-v2", "Jina Embeddings 2", {ENCODER, POST_NORM, .act = ACT_GELU_ERF, .qk_norm = QK_NORM_IF_PRESENT}, .read = read_jina_v2, .restyle = restyle_jina_v2);
