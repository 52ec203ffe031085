/* embedding.c: from the rows of a text to its embedding, or to a classifier's scores. */
#include "model/arch.h"

/* One or two matrices: cls, whose outputs are squashed and perhaps normalised, and cls.output. */
static val classify(struct build *b, val x) {
    const struct tensor *hidden = tensor_if(b, "cls.weight"), *norm = tensor_if(b, "cls.norm.weight"), *out = tensor_if(b, "cls.output.weight");
    if (!hidden && !out)
        graph_fail(b->g, ERR_UNSUPPORTED, "the file has no classifier (neither cls.weight nor cls.output.weight): it gives embeddings, but no scores");
    if (hidden) {
        x = op_linear(b->g, x, NULL, (struct linear){hidden, tensor_if(b, "cls.bias"), NULL});
        x = b->style->head_gelu ? op_act(b->g, x, ACT_GELU_ERF) : op_softcap(b->g, x, 1); /* 1 * tanh(x / 1) */
    }
    if (hidden && norm) x = op_norm(b->g, x, (struct norm){.kind = NORM_LAYER, .eps = b->hp->norm_eps, .weight = norm, .bias = tensor_if(b, "cls.norm.bias")});
    return out ? op_linear(b->g, x, NULL, (struct linear){out, tensor_if(b, "cls.output.bias"), NULL}) : x;
}

val embedding_forward(struct build *b, enum pooling pooling) {
    b->all_rows = (pooling == POOL_RANK ? b->hp->rank_pooling : pooling) == POOL_MEAN;
    val x = decoder_rows(b);
    x = b->all_rows ? op_mean(b->g, x) : op_rows(b->g, x);
    return pooling == POOL_RANK ? classify(b, x) : x;
}
