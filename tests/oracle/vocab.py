#!/usr/bin/env python3
"""Holds the tokenizers against live oracles, on random text.

    bpe        every pre-tokenizer, on a shared vocabulary with its tokenizer.ggml.pre rewritten: against the peer, and against
               Hugging Face's `tokenizers` with the model's own expression
    spm        SentencePiece BPE: shared vocabularies against the peer; small trained models against `sentencepiece`
    unigram    small trained models, with and without a normaliser, against `sentencepiece`
    wordpiece  the shared BERT vocabulary against `tokenizers`

Usage: PEER=program PEER_LIBS=folder tests/oracle/vocab.py [--strings N] [--only NAME] [what ...]
Exits with 1 if anything differs that is not explained in DIFFERS. What is absent is skipped, and said.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(os.environ.get("HEARTH_SHARED", os.path.join(TOP, "..", "shared")), "data")
PEER = os.environ.get("PEER")
SEP = "<|oracle-separator|>"
DUMP = os.path.join(TOP, "build/tests/oracle/tokdump")

try:
    import gguf
    import sentencepiece
    import tokenizers as hf
    from tokenizers import Regex, pre_tokenizers as pt
except ImportError as missing:
    print(f"SKIPPED: tokenizer oracle: {missing} (pip install gguf sentencepiece tokenizers)")
    sys.exit(0)

# ---- the models' own expressions, as their tokenizer.json has them
CL = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s")
O2 = CASED + r"|%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
APO = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" + APO +
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*" + APO +
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
V3 = [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
      r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
DEEPSEEK_LETTERS = ("[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώ"
                    "ᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏"
                    "𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]")
DEEPSEEK_LLM = [r"[\r\n]", r"\s?" + DEEPSEEK_LETTERS + "+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}+"]
PUNCT_FALCON = r"[\p{P}\$\+<=>\^~\|`]+"
ORIGINAL = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"], "falcon": [PUNCT_FALCON, GPT2, r"[0-9][0-9][0-9]"],
    "spark2_5": V3[:2] + [V3[2].replace(r"[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+", r"[\p{P}\p{S}]+|[\r\n]"), r"\p{N}"],
    "chameleon": [r"<sentinel:[0-9]+>", r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", GPT2],
    "gpt-2": [GPT2], "starcoder": [r"\p{N}", GPT2], "llama-bpe": [CL % r"\p{N}{1,3}"], "dbrx": [CL % r"\p{N}{1,3}"], "glm4": [CL % r"\p{N}{1,3}"],
    "qwen2": [CL % r"\p{N}"], "laguna": [r"[^\n]+|[\n]+", CL % r"\p{N}"], "minicpm5": [r"\p{N}{1,3}", CL % r"\p{N}+"],
    "qwen35": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "ufakzeka": [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "seed-coder": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "exaone-moe": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "jais-2": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|"
               r"\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"],
    "gpt-4o": [O2 % (APO, APO, r"\p{N}{1,3}")], "granite-embed-multi-97m": [O2 % (APO, APO, r"\p{N}{1,3}")],
    "tekken": [O2 % ("", "", r"\p{N}")], "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", O2 % (APO, APO, r"\p{N}{1,3}")],
    "youtu": [r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+", O2 % (APO, APO, r"\p{N}")],
    "kimi-k2": [KIMI], "deepseek-v3": V3, "bloom": [BLOOM], "viking": [BLOOM, r"\p{N}"], "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "deepseek-llm": DEEPSEEK_LLM,
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
}
RAW = {"gemma4", "sarvam-moe"}  # no bytes mapped to characters: they need a vocabulary of SentencePiece's kind
IGNORE_MERGES = {"llama-bpe", "minicpm5", "granite-embed-multi-97m", "tekken", "youtu"}

# Where the peer is not equal and why; the model's own expression is what counts.
CASE = "the peer knows case only of ASCII letters and leaves marks out of words"
DIFFERS = {
    "gpt-4o": CASE, "granite-embed-multi-97m": CASE, "tekken": CASE, "youtu": CASE, "kimi-k2": CASE,
    "deepseek-llm": "the peer does not count U+3000 as punctuation",
    "tiny_aya": CASE + "; and groups digits that a letter follows",
}


def rows():
    """The names of each row of the table in tok_pre.c."""
    import re
    text = open(os.path.join(TOP, "src/text/tok_pre.c"), encoding="utf-8").read()
    table = text[text.index("pre_row rows[]"):]
    for m in re.finditer(r'^    \{((?:"[^"]*"\s*)+),', table, re.M):
        yield "".join(re.findall(r'"([^"]*)"', m.group(1))).split()


# ---- random text
PARTS = [" the", "Hello", " world", "'s", "'S", "'LL", "'ve", "'Re", "'d", "don't", "HTMLParser", "camelCase", "ÀÉÎ", "àé", "Ünïcode", "straße", "ǅ", "1", "12", "123",
         "1234567", " 3.14", "½", "²", "١٢٣", "\r\n", "\n", "\n\n\n", "\r", " ", "  ", "    ", "\t", "\t\t", "\v", "\f", "\x85", "\u00a0", "\u2003", "\u3000", "\u2028",
         "\u180e", "\u200b", "!", "...", "->", "==", "#!/", "//", "/*", "\"", "$", "+", "_", "`", "~", "{}", "[x]", "a_b", "世界", "你好。", "、", "「」", "ひらがな", "カタカナ", "ｶﾅ",
         "々", "〇", "한국어", "ᄀ", "مرحبا", "،", "हिन्दी", "।", "ไทย", "ລາວ", "ខ្មែរ", "ꧠ", "e\u0301", "\u0301", "n\u0303", "👍", "👨‍👩‍👧", "🇩🇪", "…", "“x”", "—", "ſ", "'ſ", "İ", "ı", "\ufb01", "\ufffd",
         "<sentinel:12>", "IMGIMGABZ", "\x00"[:0], "\x03", "\x7f", "ﷺ", "Ω", "µ", "ª", "ʰ", "ⅷ", "①", "￥", "。", "！"]


def text(rng):
    out = []
    for _ in range(rng.randint(1, 14)):
        kind = rng.random()
        if kind < 0.7:
            out.append(rng.choice(PARTS) * rng.choice([1, 1, 1, 1, 2, 3, 7]))
        elif kind < 0.85:
            out.append("".join(chr(rng.randint(32, 126)) for _ in range(rng.randint(1, 6))))
        else:
            c = chr(rng.randint(1, rng.choice([0x2ff, 0x33ff, 0xffff, 0x1ffff])))
            if unicodedata.category(c) not in ("Cn", "Cs") and c != "\u2581":
                out.append(c)
    return "".join(out)


def texts(n, seed):
    rng = random.Random(seed)
    made = [t for t in (text(rng) for _ in range(n)) if t and "\0" not in t and SEP not in t]
    return made


# ---- the three tokenizers
def ours(model, strings, pre=None):
    done = subprocess.run([DUMP, model] + ([pre] if pre else []), input="".join(s + "\0" for s in strings).encode(), capture_output=True, check=True)
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(strings), (len(lines), len(strings))
    return [[int(x) for x in line.split()] if not line.startswith("error") else line for line in lines]


def peers(model, strings, sep_id):
    env = dict(os.environ, LD_LIBRARY_PATH=os.environ.get("PEER_LIBS", ""))
    done = subprocess.run([PEER, "tokenize", model], input=SEP.join(strings).encode(), capture_output=True, env=env)
    if done.returncode:
        return done.stderr.decode(errors="replace").strip().split("\n")[-1]
    out, cur = [], []
    for x in done.stdout.split():
        if int(x) == sep_id:
            out.append(cur)
            cur = []
        else:
            cur.append(int(x))
    return out + [cur]


def report(what, strings, got, want, limit=3):
    if isinstance(want, str):
        return f"{what}: {want}", None
    bad = [i for i, (a, b) in enumerate(zip(got, want)) if a != b]
    for i in bad[:limit]:
        print(f"    {what} {strings[i]!r}\n      own    {got[i]}\n      oracle {want[i]}")
    return f"{what} {len(strings) - len(bad)}/{len(strings)}", len(bad)


# ---- byte-level BPE
class Vocab:
    def __init__(self, path):
        self.fields = gguf.GGUFReader(path).fields
        self.tokens = self.get("tokens")
        self.types = self.get("token_type")
        self.merges = self.get("merges") if "tokenizer.ggml.merges" in self.fields else None
        self.scores = self.get("scores") if "tokenizer.ggml.scores" in self.fields else None

    def get(self, key):
        return self.fields["tokenizer.ggml." + key].contents()

    def write(self, path, pre, add_sep=True):
        w = gguf.GGUFWriter(path, "llama")
        w.add_tokenizer_model("gpt2" if self.merges else self.get("model"))
        if pre:
            w.add_tokenizer_pre(pre)
        w.add_token_list(self.tokens + [SEP])
        w.add_token_types(self.types + [3])
        if self.scores:
            w.add_token_scores(self.scores + [0.0])
        if self.merges:
            w.add_token_merges(self.merges)
        for key in ("bos", "eos", "unknown"):
            name = f"tokenizer.ggml.{key}_token_id"
            if name in self.fields:
                w.add_uint32(name, int(self.fields[name].contents()))
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        return len(self.tokens)


def original(vocab, name):
    cuts = [pt.Split(Regex(r), "isolated") for r in ORIGINAL[name]] + [pt.ByteLevel(add_prefix_space=False, use_regex=False)]
    ids = {t: i for i, t in enumerate(vocab.tokens) if vocab.types[i] == 1}
    merges = [tuple(m.split(" ")) for m in vocab.merges]
    merges = [m for m in merges if len(m) == 2 and m[0] in ids and m[1] in ids and m[0] + m[1] in ids]
    model = hf.models.BPE(vocab=ids, merges=merges, ignore_merges=name in IGNORE_MERGES)
    t = hf.Tokenizer(model)
    t.pre_tokenizer = pt.Sequence(cuts)
    return t


def with_merges(spm):
    """A SentencePiece vocabulary with merges made of it: every way to cut a token in two, by score."""
    known = set(spm.tokens)
    order = sorted((i for i, y in enumerate(spm.types) if y == 1 and len(spm.tokens[i]) > 1), key=lambda i: -spm.scores[i])
    spm.merges = [f"{t[:k]} {t[k:]}" for t in (spm.tokens[i] for i in order) for k in range(1, len(t)) if t[:k] in known and t[k:] in known and " " not in t]
    spm.scores = None
    return spm


def check_bpe(args, folder):
    usual = Vocab(os.path.join(SHARED, "vocab", f"ggml-vocab-{args.vocab}.gguf"))
    raw = with_merges(Vocab(os.path.join(SHARED, "vocab", "ggml-vocab-llama-spm.gguf")))
    strings, wrong, path = texts(args.strings, 1), 0, os.path.join(folder, "bpe.gguf")
    for names in rows():
        if args.only and args.only not in names:
            continue
        base = raw if names[0] in RAW else usual
        for name in names if args.aliases else names[:1]:
            sep_id = base.write(path, name)
            got = ours(path, strings)
            line, bad = report("peer", strings, got, peers(path, strings, sep_id), 0 if names[0] in DIFFERS and not args.only else 3) if PEER else ("peer absent", None)
            if names[0] in ORIGINAL:
                whole = original(base, names[0])
                second, bad2 = report("original", strings, got, [whole.encode(s, add_special_tokens=False).ids for s in strings])
                line, bad = f"{second}, {line}", bad2
            wrong += bool(bad)
            print(f"{name}: {line}{' (' + DIFFERS[names[0]] + ')' if names[0] in DIFFERS else ''}{'' if not bad else '  <-- DIFFERS'}", flush=True)
    return wrong


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", nargs="*", default=[])
    p.add_argument("--strings", type=int, default=3000)
    p.add_argument("--only")
    p.add_argument("--vocab", default="llama-bpe")
    p.add_argument("--aliases", action="store_true", help="every name of a row, not only the first")
    args = p.parse_args()
    subprocess.run(["make", "-s", "-C", TOP, "build/tests/oracle/tokdump"], check=True)
    checks = {"bpe": check_bpe, "spm": check_spm, "unigram": check_unigram, "wordpiece": check_wordpiece}
    with tempfile.TemporaryDirectory() as folder:
        wrong = sum(check(args, folder) for name, check in checks.items() if not args.what or name in args.what)
    sys.exit(wrong != 0)


# ---- SentencePiece
def corpus(folder):
    path = os.path.join(folder, "corpus.txt")
    with open(path, "w", encoding="utf-8") as f:
        f.write(open(os.path.join(SHARED, "text/tiny_shakespeare.txt"), encoding="utf-8").read()[:300000])
        for t in texts(2000, 99):
            f.write("".join(c if c.isprintable() else " " for c in t) + "\n")
    return path


def fields(message):
    """(number, value) of each field of a protobuf message: integers, or bytes."""
    at = 0

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            v |= (message[at] & 127) << shift
            shift += 7
            at += 1
            if message[at - 1] < 128:
                return v
    while at < len(message):
        tag = varint()
        size = {0: None, 1: 8, 2: -1, 5: 4}[tag & 7]
        if size is None:
            yield tag >> 3, varint()
            continue
        n = varint() if size < 0 else size
        yield tag >> 3, message[at:at + n]
        at += n


def train(folder, kind, user_defined_symbols=(), **options):
    """A small model: its processor and the GGUF file of it."""
    prefix = os.path.join(folder, "trained")
    sentencepiece.SentencePieceTrainer.train(input=corpus(folder), model_prefix=prefix, model_type=kind, vocab_size=1500, hard_vocab_limit=False,
                                             max_sentence_length=20000, minloglevel=2, character_coverage=0.98,
                                             user_defined_symbols=list(user_defined_symbols), **options)
    sp = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
    normalizer = dict(fields(dict(fields(open(prefix + ".model", "rb").read()))[3]))
    ids = range(sp.get_piece_size())
    w = gguf.GGUFWriter(prefix + ".gguf", "llama")
    w.add_tokenizer_model("t5" if kind == "unigram" else "llama")
    w.add_token_list([sp.id_to_piece(i) for i in ids])
    w.add_token_scores([sp.get_score(i) for i in ids])
    w.add_token_types([2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 5 if sp.is_unused(i) else 6 if sp.is_byte(i) else
                       4 if sp.id_to_piece(i).replace("\u2581", " ") in user_defined_symbols else 1 for i in ids])
    w.add_unk_token_id(sp.unk_id())
    w.add_add_space_prefix(options.get("add_dummy_prefix", True))
    w.add_remove_extra_whitespaces(options.get("remove_extra_whitespaces", True))
    w.add_bool("tokenizer.ggml.treat_whitespace_as_suffix", options.get("treat_whitespace_as_suffix", False))
    if normalizer.get(2):
        w.add_precompiled_charsmap(normalizer[2])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return sp, prefix + ".gguf"


def check_trained(args, folder, kind, variants):
    strings, wrong = texts(args.strings, 3), 0
    for label, options in variants.items():
        sp, path = train(folder, kind, **options)
        got, want = ours(path, strings), [sp.encode(s) for s in strings]
        ties = 0
        if kind == "unigram":  # equal sums, which SentencePiece adds in float32 and others in float64: the rounding decides
            for i, (a, b) in enumerate(zip(got, want)):
                tie = a != b and sorted(map(sp.get_score, a)) == sorted(map(sp.get_score, b)) and len(a) == len(b)
                got[i] = b if tie else a
                ties += tie
        line, bad = report(f"sentencepiece {kind}, {label}:", strings, got, want)
        print(line + (f", of them {ties} ties" if ties else ""), flush=True)
        wrong += bool(bad)
    return wrong


def check_spm(args, folder):
    wrong, path = 0, os.path.join(folder, "spm.gguf")
    strings = texts(args.strings, 2)
    for name in ("llama-spm", "phi-3") if PEER else ():
        v = Vocab(os.path.join(SHARED, "vocab", f"ggml-vocab-{name}.gguf"))
        sep_id = v.write(path, None)
        line, bad = report(f"{name}: peer", strings, ours(path, strings), peers(path, strings, sep_id))
        print(line, flush=True)
        wrong += bool(bad)
    plain = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    return wrong + check_trained(args, folder, "bpe", {
        "byte fallback": dict(plain, byte_fallback=True),
        "no prefix, user-defined": dict(plain, byte_fallback=True, add_dummy_prefix=False, user_defined_symbols=["<sentinel:12>", "\n\n", "HTML"]),
        "no bytes": dict(plain),
    })


def check_unigram(args, folder):
    plain = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    return check_trained(args, folder, "unigram", {
        "as T5 (nmt_nfkc)": {},
        "nmt_nfkc_cf, spaces kept": {"normalization_rule_name": "nmt_nfkc_cf", "remove_extra_whitespaces": False},
        "identity": plain,
        "identity, byte fallback, no prefix": dict(plain, byte_fallback=True, add_dummy_prefix=False),
        "spaces behind words": {"treat_whitespace_as_suffix": True},
    })


# ---- WordPiece
def check_wordpiece(args, folder):
    path = os.path.join(SHARED, "vocab/ggml-vocab-bert-bge.gguf")
    v = Vocab(path)
    ids = {}
    for i, t in enumerate(v.tokens):  # as BERT spells it
        ids[t if v.types[i] == 3 else t[1:] if t.startswith("\u2581") else "##" + t] = i
    t = hf.Tokenizer(hf.models.WordPiece(vocab=ids, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = hf.normalizers.BertNormalizer()
    t.pre_tokenizer = pt.BertPreTokenizer()
    old = unicodedata.ucd_3_2_0.category  # that library's tables of marks and punctuation are old
    strings = ["".join(c for c in s if old(c) != "Cn") for s in texts(args.strings, 4)]
    strings = [s for s in strings if s] + ["a" * 100, "a" * 101, "b" * 99 + " c"]
    line, bad = report("bert-bge: tokenizers", strings, ours(path, strings), [t.encode(s, add_special_tokens=False).ids for s in strings])
    print(line)
    return bool(bad)


if __name__ == "__main__":
    main()
