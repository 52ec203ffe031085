"""Writes the trained weights as GGUF: python export.py --work DIR OUT.gguf [--f32]

Matrices are Q8_0 (or F32), norms F32. The tokenizer, the chat template and what the file says of itself travel with them.
"""
import argparse
import os

import gguf
import numpy as np

import prepare
from train import load

HERE = os.path.dirname(os.path.abspath(__file__))


def add_tokenizer(w, sp):
    pieces, scores, types = [], [], []
    for i in range(sp.get_piece_size()):
        piece = sp.id_to_piece(i)
        pieces.append(piece.encode())
        scores.append(sp.get_score(i))
        types.append(gguf.TokenType.UNKNOWN if sp.is_unknown(i) else gguf.TokenType.BYTE if sp.is_byte(i) else
                     gguf.TokenType.CONTROL if sp.is_control(i) else gguf.TokenType.USER_DEFINED if piece in prepare.MARKS else
                     gguf.TokenType.NORMAL)
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(pieces)
    w.add_token_scores(scores)
    w.add_token_types(types)
    w.add_bos_token_id(sp.piece_to_id("<|endoftext|>"))
    w.add_eos_token_id(sp.piece_to_id("<|im_end|>"))
    w.add_eot_token_id(sp.piece_to_id("<|im_end|>"))
    w.add_pad_token_id(sp.piece_to_id("<|endoftext|>"))
    w.add_unk_token_id(0)
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(False)
    w.add_remove_extra_whitespaces(False)
    w.add_chat_template(open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8").read())


def add_header(w, c, f32):
    w.add_name("Ember")
    w.add_basename("ember")
    w.add_author("The Hearth project")
    w.add_organization("Hearth")
    w.add_version("1.0")
    w.add_size_label("4.5M")
    w.add_license("apache-2.0")
    w.add_description("The demonstration model that Hearth carries: very small, trained from scratch, made to show that everything works. "
                      "It is not for real work; for that, give Hearth a GGUF file: hearth run model.gguf")
    w.add_languages(["en"])
    w.add_tags(["demonstration", "text-generation"])
    w.add_file_type(gguf.LlamaFileType.ALL_F32 if f32 else gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_vocab_size(c.n_vocab)
    w.add_context_length(c.n_ctx)
    w.add_embedding_length(c.n_embd)
    w.add_block_count(c.n_layer)
    w.add_feed_forward_length(c.n_ff)
    w.add_head_count(c.n_head)
    w.add_head_count_kv(c.n_head_kv)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_rope_freq_base(c.rope_theta)
    w.add_layer_norm_rms_eps(c.rms_eps)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--work", required=True)
    a.add_argument("--f32", action="store_true")
    a.add_argument("out")
    o = a.parse_args()
    model, _ = load(os.path.join(o.work, "checkpoint.pt"))
    w = gguf.GGUFWriter(o.out, "qwen3")
    add_header(w, model.c, o.f32)
    add_tokenizer(w, prepare.load_tokenizer(o.work))
    for name, p in model.state_dict().items():
        value = p.float().numpy().astype(np.float32)
        if value.ndim == 2 and not o.f32:
            kind = gguf.GGMLQuantizationType.Q8_0
            w.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
        else:
            w.add_tensor(name, value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
