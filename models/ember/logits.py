"""The reference logits of Ember from PyTorch in F32, for tests: python logits.py MODEL.gguf IDS OUT.f32

MODEL is any qwen3 GGUF with a tied head that export.py wrote; its matrices are decoded to F32. IDS is a text file of token ids. OUT gets one row of
n_vocab little-endian float32 for each id.
"""
import sys

import gguf
import numpy as np
import torch

from train import Config, Ember


def config(reader):
    get = lambda key: reader.get_field(key).contents()
    return Config(n_vocab=get("qwen3.vocab_size"), n_embd=get("qwen3.embedding_length"), n_layer=get("qwen3.block_count"),
                  n_head=get("qwen3.attention.head_count"), n_head_kv=get("qwen3.attention.head_count_kv"),
                  head_dim=get("qwen3.attention.key_length"), n_ff=get("qwen3.feed_forward_length"), n_ctx=get("qwen3.context_length"),
                  rope_theta=get("qwen3.rope.freq_base"), rms_eps=get("qwen3.attention.layer_norm_rms_epsilon"))


def main():
    path, ids, out = sys.argv[1:]
    reader = gguf.GGUFReader(path)
    model = Ember(config(reader))
    model.load_state_dict({t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy()) for t in reader.tensors})
    ids = [int(x) for x in open(ids).read().split()]
    with torch.no_grad():
        rows = model(torch.tensor([ids]))[0]
    rows.numpy().astype("<f4").tofile(out)


if __name__ == "__main__":
    main()
