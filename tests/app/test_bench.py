#!/usr/bin/env python3
"""test_bench.py: hearth bench: its figures hang together. Nothing here depends on how fast the machine is."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403


def figures():
    r = hearth("bench", EMBER, "-p", 24, "-n", 6, "-r", 3, "-d", "0,40", "--batch", "1,3", "--json")
    if not check(r.status == 0, "bench", r):
        return
    j = r.json
    check([(m["test"], m["depth"], m["batch"]) for m in j["results"]] ==
          [(t, d, b) for d in (0, 40) for t, b in (("prompt", 1), ("generation", 1), ("generation", 3))], "every setting", j["results"])
    for m in j["results"]:
        check(0 < m["min"] <= m["tps"] <= m["max"] and m["gbps"] > 0 and m["gops"] > 0, "median between least and most", m)
    check(j["prompt_tps"] == j["results"][0]["tps"] and j["gen_tps"] == j["results"][1]["tps"], "the first of each under short names", j)
    check(j["read_gbps"] > 0 and j["fp32_gflops"] > 0, "what the machine can do", j)
    weights = sum(t["bytes"] for t in hearth("inspect", EMBER, "--json").json["types"].values())
    m = j["results"][1]
    check(0.9 < m["gbps"] * 1e9 / m["tps"] / weights < 1.2, "a token reads the weights about once", (m, weights))
    check("tokens/s" in hearth("bench", EMBER, "-p", 0, "-n", 2, "-r", 1).text, "as text")
    check(len(hearth("bench", EMBER, "-p", 4, "-n", 0, "-r", 1, "--json").json["results"]) == 1, "only a prompt")


def errors():
    refused(USAGE, "nothing to measure", "bench", EMBER, "-p", 0, "-n", 0)
    refused(USAGE, "--depth", "bench", EMBER, "-d", "1,x")
    refused(USAGE, "--batch", "bench", EMBER, "--batch", "0")
    refused(CONTEXT, "need", "bench", EMBER, "-c", 100, "-p", 200)
    refused(CONTEXT, "32768", "bench", EMBER, "-d", 40000)


for test in (figures, errors):
    test()
finish()
