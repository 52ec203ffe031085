"""tinymodels.py: models of a few kilobytes, with random weights and words of their own, for the server's tests: encoders, rerankers, and one that fills in the middle."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden"))
from ggufmodel import EPS, F32, VOCAB, Writer, attention, classifier, decoder, feed_forward  # noqa: E402
from hearth import tmp  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581cats", "\u2581purr", "\u2581dogs", "\u2581bark", "\u2581the", "\u2581wa", "ter", "\u2581.", "\u2581?"]
WIDTH, CTX = 24, 32


def bert(name, classes=0, title="golden", width=WIDTH, heads=3):
    """An encoder that knows WORDS; with classes, a reranker. The path of its file."""
    w = Writer(name, "bert")
    w.kind = F32
    w.put("general.name", title)
    w.kv(context_length=CTX, embedding_length=width, block_count=2, feed_forward_length=40, attention__head_count=heads, attention__layer_norm_epsilon=EPS,
         attention__causal=False, pooling_type=4 if classes else 1)
    w.put("tokenizer.ggml.model", "bert")
    w.put("tokenizer.ggml.tokens", WORDS)
    w.put("tokenizer.ggml.token_type", [3, 2, 3, 3] + [1] * (len(WORDS) - 4))
    for key, token in (("padding", 0), ("unknown", 1), ("bos", 2), ("seperator", 3)):
        w.put(f"tokenizer.ggml.{key}_token_id", token)
    w.random("token_embd.weight", (width, len(WORDS)), 1.0)
    w.norm("token_embd_norm", width, bias=True)
    w.random("token_types.weight", (width, 2), 0.5)
    w.random("position_embd.weight", (width, CTX), 0.5)
    for i in range(2):
        attention(w, i, width, heads, heads, width // heads, width // heads, bias="qkvo")
        feed_forward(w, i, width, 40, "plain", True)
        w.norm(f"blk.{i}.attn_output_norm", width, bias=True)
        w.norm(f"blk.{i}.layer_output_norm", width, bias=True)
    if classes:
        classifier(w, width, out=classes)
    return saved(w, name)


def saved(w, name):
    path = tmp(name + ".gguf", None)
    w.save(path)
    return path


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789(){}[]:;=+-*/.,_\"'#<>ABCDEFGHIJK"
SPELT = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>", "<|repo_name|>"]
NAMED = ["<begin>", "<hole>", "<end>", "<x>", "<y>"]


def coder(name, named=False, known=True):
    """A decoder with a token for each letter, and tokens that mark a gap: known by their spellings, or named by the file's metadata (without one that parts files)."""
    w = Writer(name, "llama")
    decoder(w, L=2, E=32, H=4, K=2, F=48, ctx=512)
    marks = NAMED if named or not known else SPELT
    tokens = ["<unk>", "<s>", "</s>", *marks, "\n", "\u2581", *LETTERS]
    tokens += [f"<free{i}>" for i in range(VOCAB - len(tokens))]
    w.put("tokenizer.ggml.model", "llama")
    w.put("tokenizer.ggml.tokens", tokens)
    w.put("tokenizer.ggml.token_type", [2, 3, 3] + [3] * 5 + [1] * (VOCAB - 8))
    w.put("tokenizer.ggml.scores", [0.0] * VOCAB)
    for key, token in (("unknown", 0), ("bos", 1), ("eos", 2)):
        w.put(f"tokenizer.ggml.{key}_token_id", token)
    w.put("tokenizer.ggml.add_bos_token", True)
    w.put("tokenizer.ggml.add_space_prefix", False)
    if named:
        for key, token in (("pre", 3), ("suf", 4), ("mid", 5)):
            w.put(f"tokenizer.ggml.fim_{key}_token_id", token)
    return saved(w, name)
