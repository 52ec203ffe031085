"""Makes from text what train.py reads: the tokenizer, train.bin and heldout.bin (uint16 ids), and heldout.txt.

    python prepare.py --work DIR --text tiny_shakespeare.txt war-and-peace.txt [--count 60000] [--prose 0.3]

The tokenizer is SentencePiece BPE with byte fallback that changes nothing in the text: no normalisation, no prefix, no folding
of white space. The last 3 % of each text are held out, and so are the dialogues of another seed.
"""
import argparse
import os
import random
import re

import numpy as np
import sentencepiece as spm

import data

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
END = "<|endoftext|>"
NO_THOUGHT = "<think>\n\n</think>\n\n"
PIECES = re.compile("(" + "|".join(map(re.escape, CONTROL + [NO_THOUGHT])) + ")")
READ_ONLY = 0x8000  # set on ids that are read, but not to be predicted
SEED_TRAIN, SEED_HELDOUT = 1, 2


def chunks(text, size):
    """Paragraphs, put together to about `size` characters. Prose broken at 72 columns is joined to one line a paragraph."""
    prose = text.startswith("CHAPTER")
    part, out = "", []
    for paragraph in re.split(r"\n\s*\n", text):
        paragraph = " ".join(paragraph.split()) if prose else paragraph.strip("\n")
        part += ("\n\n" if part else "") + paragraph
        if len(part) > size:
            out.append(part)
            part = ""
    return out + ([part] if part else [])


def train_tokenizer(documents, work, n_vocab):
    lines = os.path.join(work, "tokenizer.txt")
    with open(lines, "w", encoding="utf-8") as f:
        for d in documents:
            for line in re.split("|".join(map(re.escape, CONTROL + MARKS)) + r"|\n", d):
                if line:
                    f.write(line + "\n")
    spm.SentencePieceTrainer.train(
        input=lines, model_prefix=os.path.join(work, "tokenizer"), model_type="bpe", vocab_size=n_vocab, byte_fallback=True,
        normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, character_coverage=0.9999, max_sentence_length=1 << 16, num_threads=2,
        unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1, control_symbols=CONTROL, user_defined_symbols=MARKS, minloglevel=2)


def load_tokenizer(work):
    return spm.SentencePieceProcessor(model_file=os.path.join(work, "tokenizer.model"))


def encode(sp, text):
    """Text to ids, control tokens parsed, as an engine does with a rendered template."""
    ids = []
    for piece in PIECES.split(text):
        if piece:
            ids += [sp.piece_to_id(piece)] if piece in CONTROL else sp.encode(piece)
    return ids


def encode_marked(sp, document):
    """The ids of a document; in a dialogue, all that the assistant does not write itself is marked as only to be read."""
    ids, learn = [], not document.startswith("<|im_start|>")
    for piece in PIECES.split(document):
        if piece == "<|im_start|>":
            learn = False
        part, head = encode(sp, piece), 0
        if ids and piece.startswith("assistant\n") and ids[-1] & ~READ_ONLY == sp.piece_to_id("<|im_start|>"):
            learn, head = True, len(encode(sp, "assistant\n"))
        ids += [i if learn and n >= head and piece != NO_THOUGHT else i | READ_ONLY for n, i in enumerate(part)]
        if piece == "<|im_end|>":
            learn = False
    return ids + [sp.piece_to_id(END)]


def write_ids(sp, documents, path):
    ids = np.array([i for d in documents for i in encode_marked(sp, d)], dtype=np.uint16)
    ids.tofile(path)
    return f"{len(ids)} ({(ids < READ_ONLY).sum()} to be predicted)"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--work", required=True)
    a.add_argument("--text", nargs="+", required=True)
    a.add_argument("--count", type=int, default=60000)
    a.add_argument("--prose", type=float, default=1.0, help="the part of the prose to train on")
    a.add_argument("--vocab", type=int, default=2048)
    o = a.parse_args()
    os.makedirs(o.work, exist_ok=True)
    texts = [open(p, encoding="utf-8").read() for p in o.text]
    cut = [len(t) * 97 // 100 for t in texts]
    made, held_made = data.documents(o.count, SEED_TRAIN), data.documents(600, SEED_HELDOUT)
    seen = set(made)
    held_made = [d for d in held_made if d not in seen]
    prose = [c for t, n in zip(texts, cut) for c in chunks(t[:n], 900)]
    held_prose = [c for t, n in zip(texts, cut) for c in chunks(t[n:], 900)]
    if not os.path.exists(os.path.join(o.work, "tokenizer.model")):
        train_tokenizer(made[:8000] + prose, o.work, o.vocab)
    sp = load_tokenizer(o.work)
    with open(os.path.join(o.work, "end_of_text"), "w") as f:
        f.write(str(sp.piece_to_id(END)))
    rng = random.Random(3)
    documents = made + rng.sample(prose, int(o.prose * len(prose)))
    rng.shuffle(documents)
    print("training tokens", write_ids(sp, documents, os.path.join(o.work, "train.bin")))
    print("held-out tokens: dialogues", write_ids(sp, held_made, os.path.join(o.work, "heldout.bin")),
          "prose", write_ids(sp, held_prose, os.path.join(o.work, "heldout_prose.bin")))
    text = ""
    for d in held_made:
        if len(text) < 64000:
            text += d + END + "\n"
    with open(os.path.join(o.work, "heldout.txt"), "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
