#!/usr/bin/env python3
"""test_samplers.py: samplers beyond those of the OpenAI API, which local clients send: each draws what `hearth run` draws with the flag of that name, and makes a difference; wrong values are
refused by name, in every endpoint of the dialect that draws."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish, hearth  # noqa: E402

PROMPT = "Once upon a time there was a cat. The cat sat. The cat sat. The cat"
WILD = {"temperature": 1.5, "top_k": 0, "top_p": 1, "min_p": 0, "seed": 3}
FLAGS = {"temperature": "--temp", "dry_sequence_breakers": "--dry-sequence-breaker", "typical_p": "--typical", "mirostat_tau": "--mirostat-ent", "mirostat_eta": "--mirostat-lr", "dynatemp_exponent": "--dynatemp-exp",
         "repeat_penalty": "--repeat-penalty"}
SAMPLERS = [
    {"typical_p": 0.2}, {"top_n_sigma": 0.5}, {"dynatemp_range": 1.2}, {"dynatemp_range": 1.2, "dynatemp_exponent": 3}, {"xtc_probability": 1, "xtc_threshold": 0.05}, {"mirostat": 2, "mirostat_tau": 1, "mirostat_eta": 0.5},
    {"repeat_penalty": 1.5}, {"repeat_penalty": 1.5, "repeat_last_n": 3}, {"dry_multiplier": 8, "dry_base": 3}, {"dry_multiplier": 8, "dry_allowed_length": 1}, {"dry_multiplier": 8, "dry_penalty_last_n": 9},
    {"dry_multiplier": 8, "dry_base": 3, "dry_sequence_breakers": [" sat", "\n"]},
]
REFUSED = [
    ({"typical_p": -0.1}, "typical_p"), ({"typical_p": "x"}, "typical_p"), ({"top_n_sigma": 1e30}, "top_n_sigma"), ({"dynatemp_range": -1}, "dynatemp_range"), ({"xtc_probability": 2}, "xtc_probability"), ({"mirostat": 1}, "mirostat"),
    ({"mirostat": 3}, "mirostat"), ({"mirostat_eta": -1}, "mirostat_eta"), ({"repeat_penalty": 0}, "repeat_penalty"), ({"repeat_last_n": -2}, "repeat_last_n"), ({"dry_multiplier": []}, "dry_multiplier"), ({"dry_base": 0.5}, "dry_base"),
    ({"dry_allowed_length": 1.5}, "dry_allowed_length"), ({"dry_sequence_breakers": "x"}, "dry_sequence_breakers"), ({"dry_sequence_breakers": [""]}, "dry_sequence_breakers"), ({"dry_sequence_breakers": [5]}, "dry_sequence_breakers"),
    ({"dry_sequence_breakers": ["x"] * 65}, "dry_sequence_breakers"), ({"dry_sequence_breakers": ["x" * 129]}, "dry_sequence_breakers"),
]
ENDPOINTS = [("/v1/completions", {"prompt": PROMPT}), ("/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}]}), ("/v1/responses", {"input": PROMPT, "store": False})]


def ran(**settings):
    """What the program draws by itself."""
    flags = []
    for name, value in settings.items():
        for v in value if isinstance(value, list) else [value]:
            flags += [FLAGS.get(name, "--" + name.replace("_", "-")), str(v)]
    return hearth("run", "-p", PROMPT, "-n", "24", "--json", *flags)


def draws(s):
    def served(**settings):
        status, _, r = s.post("/v1/completions", {"model": "ember", "prompt": PROMPT, "max_tokens": 24, **settings})
        return r["choices"][0]["text"] if status == 200 else r
    free = served(**WILD)
    for more in SAMPLERS:
        text, p = served(**WILD, **more), ran(**WILD, **more)
        check(text != free, f"{more} makes a difference", text)
        check(p.status == 0 and p.json["text"] == text, f"{more}: as the program draws", (text, p))


def refusals(s):
    for path, body in ENDPOINTS:
        for more, field in REFUSED:
            status, _, r = s.post(path, {"model": "ember", **body, **more})
            check(status == 400 and r["error"]["param"] == field, f"{path}: refused, naming {field}", (more, status, r))


with Server() as s:
    draws(s)
    refusals(s)
finish()
