#!/usr/bin/env python3
"""A second opinion on reference_embed.py: the same weights in the transformers library's own models, in float64.

    crosscheck_embed.py FOLDER [NAME...]   FOLDER holds what mkmodels.py wrote; prints the normalised mean squared error

The library has no jina-bert-v2, and a nomic-bert only in its later versions. Needs torch, gguf and transformers (5.x).
"""
import logging
import os
import re
import sys

import torch
import transformers

import reference
import reference_embed

# the end of a name in the library's model, before .weight or .bias -> name in GGUF; the first match counts
BERT = [
    (r"word_embeddings$", "token_embd"), (r"position_embeddings$", "position_embd"), (r"token_type_embeddings$", "token_types"),
    (r"embeddings\.LayerNorm$|embeddings_layernorm$", "token_embd_norm"),
    (r"(query|q_proj)$", "attn_q"), (r"(key|k_proj)$", "attn_k"), (r"(value|v_proj)$", "attn_v"),
    (r"attention\.output\.dense$|o_proj$", "attn_output"),
    (r"attention\.output\.LayerNorm$|post_attention_layernorm$", "attn_output_norm"),
    (r"intermediate\.dense$|up_proj$", "ffn_up"), (r"gate_proj$", "ffn_gate"), (r"output\.dense$|down_proj$", "ffn_down"),
    (r"output\.LayerNorm$|post_mlp_layernorm$", "layer_output_norm"),
    (r"classifier\.dense$", "cls"), (r"classifier(\.out_proj)?$", "cls.output"),
]
MODERN = [
    (r"tok_embeddings$", "token_embd"), (r"embeddings\.norm$", "token_embd_norm"), (r"final_norm$", "output_norm"),
    (r"attn_norm$", "attn_norm"), (r"mlp_norm$", "ffn_norm"), (r"Wqkv$", "attn_qkv"), (r"attn\.Wo$", "attn_output"),
    (r"mlp\.Wi$", "ffn_up"), (r"mlp\.Wo$", "ffn_down"), (r"head\.dense$", "cls"), (r"head\.norm$", "cls.norm"), (r"classifier$", "cls.output"),
]


def weight(m, names, name, shape):
    f, stem = m.file, re.sub(r"\.(weight|bias)$", "", name)
    layer = re.search(r"\.?(?:layers?)\.(\d+)\.", name)
    target = next(t for pattern, t in names if re.search(pattern, stem))
    prefix, ending = f"blk.{layer.group(1)}." if layer else "", name[len(stem):]
    part = {"attn_q": 0, "attn_k": 1, "attn_v": 2}.get(target)
    if part is not None and f.has(prefix + "attn_qkv" + ending):
        return f[prefix + "attn_qkv" + ending].chunk(3)[part]
    return f[prefix + target + ending].view(shape)


def bert(m, heads):
    f = m.file
    return dict(vocab_size=len(f["token_embd.weight"]), hidden_size=m.width, num_hidden_layers=m.layers, num_attention_heads=m.heads,
                intermediate_size=f.get("feed_forward_length"), max_position_embeddings=f.get("context_length"), layer_norm_eps=m.eps,
                type_vocab_size=f["token_types.weight"].numel() // m.width if f.has("token_types.weight") else 1,
                num_labels=heads, pad_token_id=0)


def modern(m, heads):
    f = m.file
    theta = f.get("rope.freq_base")
    return dict(vocab_size=len(f["token_embd.weight"]), hidden_size=m.width, num_hidden_layers=m.layers, num_attention_heads=m.heads,
                intermediate_size=f.get("feed_forward_length"), max_position_embeddings=f.get("context_length"), norm_eps=m.eps,
                hidden_activation=f.get("hidden_activation", "gelu"), local_attention=f.get("attention.sliding_window", 2 * 128),
                layer_types=["sliding_attention" if w else "full_attention" for w in m.windowed], num_labels=heads,
                classifier_pooling="cls" if f.get("classifier.pooling_type") == 2 else "mean", classifier_activation="gelu",
                rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": theta},
                                 "sliding_attention": {"rope_type": "default", "rope_theta": f.get("rope.freq_base_swa", 10000.0)}},
                pad_token_id=0, bos_token_id=None, eos_token_id=None, cls_token_id=None, sep_token_id=None)


CASES = {  # name: model type, configuration, names, the library's class where it has a head
    "bert": ("bert", bert, BERT, None), "bert-one-segment": ("bert", bert, BERT, None), "bert-f16": ("bert", bert, BERT, None),
    "bert-q8_0": ("bert", bert, BERT, None),
    "bert-rank": ("roberta", bert, BERT, "RobertaForSequenceClassification"),
    "nomic-bert": ("nomic_bert", bert, BERT, None),
    "modern-bert": ("modernbert", modern, MODERN, None), "modern-bert-silu": ("modernbert", modern, MODERN, None),
    "modern-bert-no-window": ("modernbert", modern, MODERN, None),
    "modern-bert-rank": ("modernbert", modern, MODERN, "ModernBertForSequenceClassification"),
    "modern-bert-rank-cls": ("modernbert", modern, MODERN, "ModernBertForSequenceClassification"),
}


def library_model(m, kind, config, names, head):
    more = {}
    if kind == "roberta":  # its table of positions begins with as many rows as the padding's id, and one, which no text reaches
        more = {"max_position_embeddings": m.file.get("context_length") + 1}
    if kind == "nomic_bert":
        more = {"rope_parameters": {"rope_type": "default", "rope_theta": m.file.get("rope.freq_base")}, "hidden_act": "silu"}
    config = transformers.AutoConfig.for_model(kind, **config(m, 1) | more, attn_implementation="eager")
    model = getattr(transformers, head)(config) if head else transformers.AutoModel.from_config(config)
    model = model.double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "pooler" in name:
                continue
            if kind == "roberta" and "position_embeddings" in name:
                parameter[1:] = m.file["position_embd.weight"]
                continue
            parameter.copy_(weight(m, names, name, parameter.shape))
    return model


def main(args):
    logging.disable(logging.WARNING)
    folder, names = args[0], args[1:] or list(CASES)
    texts = reference_embed.read_texts(os.path.join(os.path.dirname(os.path.abspath(__file__)), "texts.txt"))
    for name in names:
        m = reference.Model(reference.File(os.path.join(folder, name + ".gguf")))
        kind, config, tensors, head = CASES[name]
        try:
            model = library_model(m, kind, config, tensors, head)
            power = distance = 0.0
            for ids in texts:
                ids = [max(i, 1) for i in ids]  # 0 is the library's padding
                rows = reference.hidden_rows(m, ids)
                want = reference_embed.rank(m, rows) if head else rows
                with torch.no_grad():
                    out = model(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
                got = (out.logits if head else out.last_hidden_state)[0].double()
                power, distance = power + float((want ** 2).sum()), distance + float(((got - want) ** 2).sum())
        except Exception as why:  # one that this version of the library does not have must not hide the others
            print(f"{name:30}{type(why).__name__}: {str(why)[:150]}")
            continue
        print(f"{name:30}{distance / power:.1e}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) > 1 else print(__doc__) or 2)
