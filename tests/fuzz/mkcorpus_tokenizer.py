#!/usr/bin/env python3
"""Writes the seeds of fuzz_tokenizer: tests/fuzz/corpus/tokenizer. One small vocabulary per kind, with a text that uses it.

Usage, from the root of the repository: python3 tests/fuzz/mkcorpus_tokenizer.py       (no packages needed)
"""
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "tokenizer")
GPT2, LLAMA, T5, BERT, RWKV, GEMMA4 = range(6)
WITH_BYTES, PREFIX, MERGE_SPACES, NO_TYPES, ADD, SPANS, SUFFIX = (1 << i for i in range(7))
NORMAL, UNKNOWN, CONTROL, USER = 1, 2, 3, 4


def seed(name, kind, pre, flags, tokens, merges, text, charsmap=b""):
    out = struct.pack("<BBBBBH", kind, pre, flags, len(tokens), len(merges), len(charsmap))
    for t, kind_of, score in tokens:
        t = t.encode()
        out += struct.pack("<BfB", kind_of + 1, score, len(t)) + t
    for m in merges:
        out += bytes([len(m.encode())]) + m.encode()
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(out + charsmap + (text if isinstance(text, bytes) else text.encode()))


def charsmap():
    """A double array of darts-clone's form for one key: "A" becomes "a"."""
    unit = [0] * 256
    unit[0] = 1 << 10
    unit[1 ^ 65] = 65 | 1 << 8 | 128 << 10
    unit[1 ^ 65 ^ 128] = 1 << 31
    return struct.pack("<I256I", 1024, *unit) + b"a\0"


def main():
    os.makedirs(HERE, exist_ok=True)
    words = [("he", NORMAL, 0), ("ll", NORMAL, 0), ("hell", NORMAL, 0), ("Ġw", NORMAL, 0), ("<|im_end|>", CONTROL, 0), ("<think>", USER, 0), ("õ", USER, 0)]
    merges = ["h e", "l l", "he ll", "Ġ w", "x y", "", "a b c", "im _"]
    text = "hell world's  12345\r\n\n <|im_end|> <think>é õ\xff".encode("latin-1", "replace") + "世界 ▁ \u00a0".encode()
    for pre in range(34):
        seed(f"bpe-{pre}", GPT2, pre, WITH_BYTES | ADD, words, merges, text)
    seed("bpe-no-bytes", GPT2, 1, SPANS, words, merges, text)
    pieces = [("<unk>", UNKNOWN, 0), ("<s>", CONTROL, 0), ("</s>", CONTROL, 0), ("▁", NORMAL, -3), ("a", NORMAL, -4), ("▁a", NORMAL, -1), ("ab", NORMAL, -2), ("b", NORMAL, -5),
              ("▁▁", NORMAL, -2), ("▁▁▁", USER, 0), ("a▁b", NORMAL, -1)]
    text = "ab a  b    ▁ é </s><s>\xff".encode("utf-8") + b"\xff\xc3"
    seed("spm", LLAMA, 0, WITH_BYTES | PREFIX | ADD, pieces, [], text)
    seed("spm-spans", LLAMA, 0, SPANS | MERGE_SPACES, pieces, [], text)
    seed("spm-no-types", LLAMA, 0, NO_TYPES | WITH_BYTES, pieces, [], text)
    seed("unigram", T5, 0, PREFIX | MERGE_SPACES | ADD, pieces, [], b"AAb" + text, charsmap())
    seed("unigram-bytes", T5, 0, WITH_BYTES | SUFFIX, pieces, [], text)
    seed("wordpiece", BERT, 0, PREFIX | ADD, [("[UNK]", CONTROL, 0), ("▁play", NORMAL, 0), ("ing", NORMAL, 0), ("▁,", NORMAL, 0)], [], "Playing, plây 中 x")
    seed("rwkv", RWKV, 0, 0, [("a", NORMAL, 0), ("\\n", NORMAL, 0), ("\\xc3\\xa9", NORMAL, 0), ("ab", NORMAL, 0), ("\\", NORMAL, 0)], [], "abé\na")
    seed("gemma4", GEMMA4, 0, WITH_BYTES | ADD, pieces + [("\n\n", NORMAL, 0)], ["▁ a", "a b", "▁ ▁"], text + b"\n\n\n")
    seed("empty", GPT2, 0, 0, [], [], "")


main()
