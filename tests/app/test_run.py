#!/usr/bin/env python3
"""test_run.py: hearth run: what it writes, how it ends, and how it fails."""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403

GREEDY = ("--temp", 0)
CPU = max(os.sched_getaffinity(0))  # one that may be used


def completions():
    r = hearth("run", "-p", "Once upon a time", *GREEDY, "-n", 12)
    check(r.status == 0 and len(r.text.strip()) > 10, "a completion of the embedded model", r)
    check("demonstration" in r.err and "-m FILE.gguf" in r.err, "says that it is a demonstration", r)
    check("tokens/s" in r.err and "-n was reached" in r.err, "says how fast and why it ended", r)
    same = hearth("run", EMBER, "-p", "Once upon a time", *GREEDY, "-n", 12)
    check(same.out == r.out and "demonstration" not in same.err, "the same from the file itself", same)
    check(hearth("run", *GREEDY, "-n", 12, stdin="Once upon a time\n").out == r.out, "the prompt from standard input")
    check(hearth("run", *GREEDY, "-n", 12, "-f", tmp("prompt", "Once upon a time\n")).out == r.out, "the prompt from a file")
    check(hearth("run", *GREEDY, "-n", 12, "-f", "-", stdin="Once upon a time").out == r.out, "the prompt from '-'")
    for flags in (("-b", 1), ("-ub", 2), ("-t", 1), ("-t", 3), ("-c", 64), ("--cpus", "none"), ("--cpus", CPU), ("--cpus", CPU, "-t", 3)):
        check(hearth("run", *GREEDY, "-n", 12, *flags, "-p", "Once upon a time").out == r.out, f"the same under {flags}")
    r = hearth("run", *GREEDY, "-n", 12, stdin="")
    check(r.status == 0 and r.out == b"Once upon a time" + hearth("run", "-p", "Once upon a time", *GREEDY, "-n", 12).out, "without a prompt, one of its own, which is shown", r)
    r = hearth("run", *GREEDY, "-n", 12, "--json", stdin="")
    check(r.status == 0 and not r.json["text"].startswith("Once") and 'the prompt is "Once upon a time"' in r.err, "as JSON it is told", r)
    check(b'the embedded model begins with "Once upon a time"' in hearth("run", "--help").out, "and the help says so")
    check(hearth("run", *GREEDY, "-n", 0, "-p", "x").out == b"", "-n 0 generates nothing")


def seeds():
    def text(seed, *more):
        return hearth("run", "-p", "The", "-n", 20, "--seed", seed, "--temp", 1.5, *more).out
    first = text(1)
    check(text(1) == first and text(1, "-t", 1) == first, "a seed reproduces")
    check(text(2) != first, "another seed gives another text")
    wide = ("--temp", 2, "--top-k", 0, "--top-p", 1, "--min-p", 0, "--ignore-eos")  # twenty tokens alike by chance: never
    check(hearth("run", "-p", "The", "-n", 20, *wide).out != hearth("run", "-p", "The", "-n", 20, *wide).out, "without a seed texts differ")


def samplers():
    """Each flag of the samplers reaches its setting: a value that leaves one token leaves no choice to the seed, others are reproduced by it."""
    story = ("run", "-p", "The cat sat on the mat. The cat sat on the mat. The cat sat on", "-n", 16, "--ignore-eos")
    greedy = hearth(*story, *GREEDY).out
    for only in (("--mirostat", 2, "--mirostat-ent", 0), ("--top-k", 1), ("--temp", 0.001, "--dynatemp-range", 0.001), ("--temp", 0.001, "--dynatemp-range", 1, "--dynatemp-exp", 1000)):
        r = hearth(*story, "--seed", 1, *only)
        check(r.status == 0 and r.out == greedy, f"one token is left by {only}", r)
    for name in ("--typical", "--typical-p"):
        texts = {hearth(*story, "--seed", seed, name, 0.000001).out for seed in (1, 2, 3)}
        check(len(texts) == 1, f"one token is left by {name}", texts)
    wide = ("--temp", 2, "--top-k", 0, "--top-p", 1, "--min-p", 0)
    plain = hearth(*story, "--seed", 1, *wide).out
    for some in (("--xtc-probability", 1, "--xtc-threshold", 0.001), ("--mirostat", 2, "--mirostat-lr", 0.5, "--mirostat-ent", 1), ("--typical", 0.3),
                 ("--dynatemp-range", 2, "--dynatemp-exp", 3), ("--dry-multiplier", 100)):
        r = hearth(*story, "--seed", 1, *wide, *some)
        check(r.status == 0 and r.out != plain, f"another text with {some}", r)
        check(hearth(*story, "--seed", 1, *wide, *some, "--lookup", 0).out == r.out, f"reproduced with {some}", r)
    dry = (*story, *GREEDY, "--dry-multiplier", 100)
    check(hearth(*dry).out != greedy, "DRY leaves the repetition")
    everywhere = [part for letter in " aeiouty" for part in ("--dry-sequence-breaker", letter)]  # in nearly every token
    for off in (everywhere, ("--dry-allowed-length", 60000), ("--dry-penalty-last-n", 0)):
        check(hearth(*dry, *off).out == greedy, f"and not with {off}")
    check(hearth(*dry, "--dry-sequence-breaker", "none").out == hearth(*dry, "--dry-sequence-breaker", "\x01", "--dry-sequence-breaker", "\x02").out != greedy, "what never comes breaks nothing")
    gentle = hearth(*story, *GREEDY, "--dry-multiplier", 0.000001, "--dry-base", 1).out
    check(gentle == greedy, "a small multiplier changes little")
    for flags, word in ((("--mirostat", 1), "mirostat 1: 0 (off) or 2"), (("--mirostat", 3), "from 0 to 2"), (("--typical", 1.5), "--typical"), (("--xtc-probability", -1), "--xtc-probability"),
                        (("--xtc-threshold", 2), "--xtc-threshold"), (("--dry-base", 0.5), "--dry-base"), (("--dry-multiplier", -1), "--dry-multiplier"),
                        (("--dry-multiplier", 1, "--dry-sequence-breaker", ""), "dry-sequence-breaker: text 1 has 0 bytes"), (("--dynatemp-range", -1), "--dynatemp-range"),
                        (("--dry-penalty-last-n", 65537), "--dry-penalty-last-n"), (("--mirostat-lr", -1), "--mirostat-lr")):
        refused(USAGE, word, "run", "-p", "x", *flags)


def as_json():
    r = hearth("run", "-p", "Once upon a time", *GREEDY, "-n", 6, "--json", "--logprobs", 3)
    j = r.json
    plain = hearth("run", "-p", "Once upon a time", *GREEDY, "-n", 6)
    check(j["text"] == plain.text.rstrip("\n") and j["end"] == "length" and j["generated_tokens"] == 6 and len(j["tokens"]) == 6, "json", r)
    check("".join(t["text"] for t in j["tokens"]) == j["text"], "tokens make the text", r)
    for t in j["tokens"]:
        check(t["id"] == t["top"][0]["id"] and abs(t["logprob"] - t["top"][0]["logprob"]) < 1e-6 and t["logprob"] <= 0, "greedy takes the best", t)
        check(len(t["top"]) == 3 and t["top"][0]["logprob"] >= t["top"][1]["logprob"] >= t["top"][2]["logprob"], "the best in order", t)
    check(j["timings"]["generation_tps"] > 0 and j["timings"]["prompt_tps"] > 0 and j["prompt_tokens"] > 0, "timings", r)
    check(abs(j["timings"]["generation_tps"] * j["timings"]["generation_s"] - 5) < 1e-3, "the first token is the prompt's", j["timings"])
    told = re.search(r"generation: 6 tokens, (\d+\.\d) tokens/s", r.err)
    check(told and abs(float(told.group(1)) - j["timings"]["generation_tps"]) < 0.06, "the same is said", r)
    for n in (0, 1):
        r = hearth("run", "-p", "x", *GREEDY, "-n", n, "--json")
        check(r.json["timings"]["generation_tps"] is None and f"generation: {n} token{'' if n else 's'}; -n was reached" in r.err, "no speed of no step", r)
    check("logprob" in hearth("run", "-p", "x", "-n", 1, "--json").json["tokens"][0], "log-probabilities are there unasked", r)
    bias = str(j["tokens"][0]["id"]) + "=-inf"
    other = hearth("run", "-p", "Once upon a time", *GREEDY, "-n", 1, "--json", "--logit-bias", bias).json["tokens"][0]
    check(other["id"] == j["tokens"][0]["top"][1]["id"], "a forbidden token gives way to the second", other)
    check(abs(other["logprob"] - j["tokens"][0]["top"][1]["logprob"]) < 1e-6, "log-probabilities are the model's own", other)


def partial_characters():
    """Bytes that only together are a character: the embedded model has a token for each byte."""
    ids = hearth("tokenize", EMBER, stdin="é").text.split()
    if not check(len(ids) == 2, "two byte tokens for a character", ids):
        return
    out = hearth("run", "-p", "x", *GREEDY, "-n", 6, "--logit-bias", f"{ids[0]}=50", "--json").json
    check(out["text"] == "\ufffd" * 6 and out["tokens"][0].get("bytes") == [0xC3], "bytes that are no character are told as bytes", out)
    out = hearth("run", "-p", "x", *GREEDY, "-n", 6, "--logit-bias", f"{ids[0]}=50")
    check(out.out == b"\xC3" * 6 + b"\n", "and written as they are", out)


def endings():
    prompt = ("-p", "Once upon a time", *GREEDY, "-n", 30)
    whole = hearth("run", *prompt).text
    word = whole[12:18]
    r = hearth("run", *prompt, "--stop", word, "--stop", "no such text")
    check(r.text.rstrip("\n") == whole[:whole.index(word)].rstrip("\n") and "a stop text" in r.err, "a stop text ends the text before it", r)
    r = hearth("run", *prompt, "--stop", whole[-8:].rstrip("\n") + "##")
    check(r.text == whole, "half a stop text at the end is shown", r)
    end = hearth("tokenize", EMBER, "--special", stdin="<|im_end|>").text.strip()
    r = hearth("run", *prompt, "--logit-bias", f"{end}=100", "--json")
    check(r.json["end"] == "eog" and r.json["text"] == "", "the end of a text ends it", r)
    r = hearth("run", *prompt, "--logit-bias", f"{end}=100", "--ignore-eos")
    check(r.status == 0 and "-n was reached" in r.err and len(r.out) > 20, "unless it is to be ignored", r)
    r = hearth("run", "-p", "<|im_end|>", "-n", 1, "--json")
    plain = r.json["prompt_tokens"]
    check(plain > 1 and hearth("run", "-p", "<|im_end|>", "-n", 1, "--json", "--special").json["prompt_tokens"] == 1, "spellings are text unless asked", r)


def contexts():
    full = ("run", EMBER, "-p", "Once upon a time", "-c", 16, *GREEDY, "--ignore-eos", "--json")
    for more in ((), ("-n", -1)):
        r = hearth(*full, *more)
        says = re.search(r"the context of 16 tokens is full: it holds (\d+) of the prompt and (\d+) of the (\d+) generated", r.err)
        check(r.status == 0 and r.json["end"] == "context" and says, "a full context is an end, and is said", r)
        prompt, held, generated = map(int, says.groups())
        check(prompt + held == 16 and held + 1 == generated == r.json["generated_tokens"] and prompt == r.json["prompt_tokens"], "the counts add up", r)
    r = hearth(*full, "-n", 60)
    check(r.status == CONTEXT and "hearth run: the context of 16 tokens is full" in r.err and r.json["generated_tokens"] == generated, "that -n cannot be reached is an error", r)
    r = hearth("run", "-p", "Once upon a time", "-c", 16, "-n", 60, *GREEDY, "--ignore-eos", "--shift", "--json")
    check(r.status == 0 and r.json["generated_tokens"] == 60 and r.json["shifts"] > 3, "a shift goes on", r)
    refused(CONTEXT, "the context holds 32768, and this model was made for no more; use a shorter", "run", "-c", 0, stdin="word " * 40000)
    r = refused(CONTEXT, "the context holds 16", "run", "-p", "word " * 100, "-c", 16)
    tokens = hearth("tokenize", EMBER, stdin="word " * 100).text.split()
    check(f"has {len(tokens)} tokens" in r.err, "both numbers", r)
    refused(CONTEXT, "32768", "run", "-p", "x", "-c", 40000)
    text = " ".join(f"word{i}" for i in range(100))
    ids = hearth("tokenize", EMBER, "--bos", stdin=text).text.split()
    for keep in (0, 3, 10):
        r = hearth("run", "-p", text, "-c", 32, "-n", 40, "--shift", "--keep", keep, "--json", "--ignore-eos")
        says = re.search(r"the prompt has (\d+) tokens, but the context holds 32: (\d+) of them were left out, and the first (\d+) and the last (\d+) kept", r.err)
        check(r.status == 0 and says and r.json["generated_tokens"] == 40, "--shift shortens a prompt that does not fit, and says so", r)
        check(says and [int(n) for n in says.groups()] == [len(ids), len(ids) - 24, keep, 24 - keep] and r.json["prompt_tokens"] == 24, "it says how many were left out", (r, len(ids)))
    end = hearth("tokenize", EMBER, "--decode", stdin=" ".join(ids[-24:])).text
    whole, short = (hearth("run", "-p", p, "-c", 32, "-n", 5, *GREEDY, "--shift", "--json").json for p in (text, end))
    check(short["prompt_tokens"] == 24 and whole["tokens"] == short["tokens"], "what is left is the end", (whole, short))
    refused(CONTEXT, "--keep keeps", "run", "-p", text, "-c", 32, "--shift", "--keep", -1)


def guesses():
    """Guessing changes no text, whoever guesses and however it is drawn."""
    story = "The cat sat on the mat. The dog sat on the mat. The cat sat on the"
    for sampling in (GREEDY, ("--seed", 3), ("--seed", 4, "--temp", 1.3, "--repeat-penalty", 1.2)):
        want = hearth("run", "-p", story, "-n", 60, *sampling, "--lookup", 0, "--json").json
        check(want["timings"]["drafted"] == 0 and want["timings"]["accepted"] == 0, "--lookup 0 guesses nothing", want)
        for flags in ((), ("--lookup", 3), ("--lookup", 0, "--draft", EMBER), ("-md", EMBER, "--draft-max", 3)):
            got = hearth("run", "-p", story, "-n", 60, *sampling, "--json", *flags).json
            check(got["tokens"] == want["tokens"] and got["text"] == want["text"] and got["end"] == want["end"], f"the same under {sampling} and {flags}", got)
            check(got["timings"]["accepted"] <= got["timings"]["drafted"], "no more accepted than drafted", got)
    shift = ("run", "-p", story, "-c", 48, "-n", 200, *GREEDY, "--ignore-eos", "--shift")
    check(hearth(*shift).out == hearth(*shift, "--lookup", 0).out == hearth(*shift, "--draft", EMBER).out, "the same when the window shifts")
    refused(USAGE, "--lookup", "run", "-p", "x", "--lookup", 16)
    refused(IO, "missing draft", "run", "-p", "x", "--draft", tmp("missing draft", None))
    other = shared("models/stories260K.gguf")
    if other:
        refused(UNSUPPORTED, "same vocabulary", "run", EMBER, "-p", "x", "--draft", other)


def errors():
    refused(IO, "cannot open", "run", tmp("missing", None), "-p", "x")
    refused(IO, "folder", "run", TMP.name, "-p", "x")
    refused(IO, "missing prompt", "run", "-f", tmp("missing prompt", None))
    refused(FORMAT, "not.gguf", "run", tmp("not.gguf", b"no model at all" * 100), "-p", "x")
    with open(EMBER, "rb") as f:
        head = f.read(1 << 20)
    refused(FORMAT, "cut.gguf", "run", tmp("cut.gguf", head), "-p", "x")
    raw = open(EMBER, "rb").read()
    at = raw.index(b"token_embd.weight") + 17 + 4 + 8  # behind name and number of dimensions: width, then rows
    few = raw[:at] + (2047).to_bytes(8, "little") + raw[at + 8:]
    refused(FORMAT, "qwen3.vocab_size is 2048, but the tensor token_embd.weight has 2047 rows", "run", tmp("few.gguf", few), "-p", "x")
    few = few.replace(b"qwen3.vocab_size", b"qwen3.other_size")
    refused(FORMAT, "has 2048 tokens, but token_embd.weight has 2047 rows", "run", tmp("few.gguf", few), "-p", "x")
    refused(FORMAT, "damaged or its type unsuited", "run", without_numbers(), "-p", "x")
    refused(FORMAT, "empty.gguf", "run", tmp("empty.gguf"), "-p", "x")
    refused(MEMORY, "MB", "run", EMBER, "-p", "x", "--memory-limit", 1000000)
    for flags, word in ((("--temp", "warm"), "--temp"), (("--temp", "nan"), "--temp"), (("--top-p", 2), "--top-p"), (("--no-such",), "--no-such"), (("-n",), "-n"), (("-n", "4x"), "-n"),
                        (("--seed", "x"), "--seed"), (("--seed", "-5"), "--seed"), (("--logit-bias", "7"), "--logit-bias"), (("--logit-bias", "999999=1"), "999999"),
                        (("--logit-bias", "1=nan"), "--logit-bias"), (("--stop", ""), "--stop"), (("-p", "a", "-f", "b"), "not both"), (("--logprobs", 3), "--json"),
                        (("a.gguf", "b.gguf"), "too many"), (("--kv-type", "q5"), "--kv-type"), (("--json=1",), "--json"), (("--repeat-penalty", 0), "repeat"),
                        (("--cpus", "0-"), "--cpus"), (("--cpus", "3-1"), "--cpus"), (("--cpus", "0,,1"), "--cpus"), (("--cpus", ""), "--cpus"), (("--cpus", 1024), "--cpus"),
                        (("--cpus", f"{CPU},1023"), "cannot be used")):
        refused(USAGE, word, "run", *(("-p", "x") if "-p" not in flags else ()), *flags)
    check(hearth().status == USAGE and hearth("no-such").status == USAGE, "no command")
    check(hearth("run", "--help").status == 0 and b"--min-p" in hearth("run", "--help").out and hearth("--help").status == 0, "help")
    check(b"\nqwen3 " in hearth("--help", "architectures").out, "the list of architectures")


def flags():
    """What is typed comes back as it was typed, and what is known elsewhere is known here."""
    for flag, value, bounds in (("-c", "99999999", "from 0 to 16777216"), ("-n", "-5", "from -1 to 1073741824"), ("-n", "99999999999", "from -1 to 1073741824"),
                                ("--temp", "1e9", "from 0 to 1000"), ("--frequency-penalty", "2000001", "from -1000000 to 1000000")):
        refused(USAGE, f"{flag} {value}: must be {bounds}", "run", "-p", "x", flag, value)
    for flag in ("-ngl", "--n-gpu-layers", "--gpu-layers", "-fa", "--flash-attn", "--no-mmap", "--mlock", "-tb", "--threads-batch", "-no-cnv", "--jinja", "--no-warmup"):
        refused(USAGE, f"unknown flag {flag}: it is not needed here", "run", "-p", "x", flag, "1")
    refused(USAGE, "unknown flag --system-prompt; see", "run", "--system-prompt", "x")
    for command in ("bench", "perplexity", "chat"):
        refused(USAGE, "unknown flag --foo", command, "--foo")
        refused(USAGE, "too many", command, "a", "b", "c")
    some = ("run", "-p", "Once", *GREEDY, "-n", 6)
    plain = hearth(*some).out
    for more in (("-c", 0), ("--n-predict", 6), ("--reverse-prompt", "nowhere"), ("-ctk", "f16", "-ctv", "f16"), ("--cache-type-k", "f16"), ("-ctv", "f16"), ("--memory-limit", "1G"), ("--memory-limit", "2Gi"), ("--memory-limit", "900M"),
                 ("--memory-limit", "900000Ki")):
        r = hearth(*some, *more)
        check(r.status == 0 and r.out == plain, f"taken: {more}", r)
    refused(USAGE, "-ctv q8_0: keys and values are kept as one type, here f16", *some, "-ctv", "q8_0")
    refused(USAGE, "-ctv f16: keys", "inspect", EMBER, "-ctk", "q8_0", "-ctv", "f16")
    check(hearth(*some, "-c", 0, "--json").json["generated_tokens"] == 6, "-c 0 is the model's own context")
    refused(MEMORY, "there are 2.0 MB", *some, "--memory-limit", "2M")
    refused(MEMORY, "there are 2.0 MB", *some, "--memory-limit", "2047Ki")
    for wrong in ("5X", "5Gix", "5GG", "99999999T", "-5", "", "G", "1.5G"):
        refused(USAGE, "is not a number of bytes", *some, "--memory-limit", wrong)
    check(hearth("help", "run").out == hearth("run", "--help").out, "help run")
    check(hearth("help", "nonsense").status == USAGE and b"qwen3" in hearth("help", "architectures").out, "other help")
    check(b"0: what the model was made for (the default; of embed 8192 at most, of perplexity 512, of logits one" in hearth("perplexity", "--help").out, "the defaults of -c")
    check(b"default f16; of logits and embed f32" in hearth("logits", "--help").out, "the defaults of --kv-type")


def memory():
    """What does not fit is told in numbers that differ; a context that nobody asked for shrinks until it fits."""
    def numbers(r):
        return [float(n) for n in re.findall(r"(?:needs|there are) (\d+\.\d) MB", r.err)]
    for more, advice in (((), "smaller -ub, or --paged"), (("--paged",), "smaller -ub\n"), (("-c", 64), "smaller -ub, or --paged")):
        for limit in (1000, 4800000):
            r = hearth("run", EMBER, "-p", "Once", "-n", 2, "--memory-limit", limit if more != ("--paged",) else limit // 10, *more)
            need, there = numbers(r)
            check(r.status == MEMORY and need > there and (advice in r.err or limit == 1000 and "smaller quantisation" in r.err), "both numbers, and what to do", r)
            check("--paged" not in r.err.split("MB; ")[1] or "--paged" not in more, "--paged is not advised to who has it", r)
    fixed = hearth("inspect", EMBER, "-c", 256, "-ub", 256, "--json").json["memory"]
    r = hearth("run", EMBER, "-p", "Once", "-n", 2, "--memory-limit", fixed["all"])
    check(r.status == 0 and re.search(r"the context is \d+ tokens", r.err), "the default context shrinks until it fits", r)


def pipes():
    p = subprocess.Popen([PROGRAM, "run", "-n", "100000", "-p", "x", "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(5)
    p.stdout.close()
    err = p.stderr.read().decode()
    check(p.wait(60) == IO and "hearth run:" not in err, "a reader that goes away ends it quietly", err)
    r = subprocess.run([PROGRAM, "run", "-n", "9", "-p", "x", "--temp", "0", "--ignore-eos"], stdout=open("/dev/full", "wb"), stderr=subprocess.PIPE)
    check(r.returncode == IO and b"No space left" in r.stderr, "a full disk is said", r)
    for asked in (["--help"], ["--version"], ["--help", "architectures"], ["run", "--help"]):
        r = subprocess.run([PROGRAM, *asked], stdout=open("/dev/full", "wb"), stderr=subprocess.PIPE)
        check(r.returncode == IO and b"No space left" in r.stderr, "of help, too", (asked, r))
    r = hearth("run", "no\npe.gguf", "-p", "x")
    check(r.status == IO and r.err.count("\n") == 1 and "no\\x0ape.gguf" in r.err, "a name with a newline does not break the line", r)
    p = subprocess.Popen([PROGRAM, "run", "-n", "100000", "-p", "x", "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(5)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    check(p.returncode == CANCELLED and b"tokens/s" in err, "Ctrl-C stops it, with its timings", err)


def vanishing():
    with open(EMBER, "rb") as f:
        path = tmp("shrinks.gguf", f.read())
    p = subprocess.Popen([PROGRAM, "run", path, "-n", "100000", "-p", "x", "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(2)
    os.truncate(path, 300000)
    out, err = p.communicate(timeout=60)
    check(p.returncode == VANISHED and b"shrinks.gguf: cannot be read at byte" in err, "a file that shrinks is named", (p.returncode, err))


def stories():
    model, expected = shared("models/stories260K.gguf"), shared("models/stories260K.expected.txt")
    if not model or not expected:
        return
    want = open(expected, "rb").read()
    for kv in ("f32", "f16"):
        r = hearth("run", model, "-p", "", "-n", 200, *GREEDY, "--kv-type", kv)
        check(r.out == want, f"200 greedy tokens of stories260K ({kv})", r)
    r = hearth("run", model, "-p", "Once", *GREEDY)
    check(r.status == 0 and "the context of 512 tokens is full" in r.err, "a model that does not end fills its context", r)


for test in (completions, seeds, samplers, as_json, partial_characters, endings, contexts, guesses, errors, flags, memory, pipes, vanishing, stories):
    test()
finish()
