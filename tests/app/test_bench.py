#!/usr/bin/env python3
"""test_bench.py: hearth bench: its figures hang together. Nothing here depends on how fast the machine is."""
import json
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
        check(0 < m["of_bandwidth"] and 0 < m["of_arithmetic"], "beside what the machine can do", m)
        check(("outside_products" in m) == (m["test"] == "generation"), "time outside products", m)
        if "outside_products" in m:
            check(0 <= m["outside_products_least"] <= m["outside_products"] <= m["outside_products_most"] < 1, "and its spread", m)
    check(j["prompt_tps"] == j["results"][0]["tps"] and j["gen_tps"] == j["results"][1]["tps"], "the first of each under short names", j)
    check(j["read_gbps"] > 0 and j["fp32_gflops"] > 0 and j["int8_gops"] >= 0 and j["bf16_gflops"] >= 0, "what the machine can do", j)
    for short, m in (("prompt", j["results"][0]), ("gen", j["results"][1])):
        check(all(j[f"{short}_{k}"] == m[k] for k in ("read_gbps", "of_bandwidth", "of_arithmetic", "gbps", "gops")), "the same under short names", short)
    check(j["gen_outside_products"] == j["results"][1]["outside_products"], "outside products under a short name")
    flops = [m["gops"] * 1e9 / m["tps"] for m in j["results"] if m["depth"] == 40 and m["test"] == "generation"]
    check(abs(flops[1] / flops[0] - 1) < 1e-6, "products of a token, whatever shares its step", flops)
    weights = sum(t["bytes"] for t in hearth("inspect", EMBER, "--json").json["types"].values())
    m = j["results"][1]
    check(0.9 < m["gbps"] * 1e9 / m["tps"] / weights < 1.2, "a token reads the weights about once", (m, weights))
    check("tokens/s" in hearth("bench", EMBER, "-p", 0, "-n", 2, "-r", 1).text, "as text")
    check(len(hearth("bench", EMBER, "-p", 4, "-n", 0, "-r", 1, "--json").json["results"]) == 1, "only a prompt")


def paced():
    """A repetition for each line of standard input, and a line for each repetition: 0 warms up."""
    asked = ["-p", 4, "-n", 3, "-r", 3, "--batch", "1,2", "--json", "--paced"]
    r = hearth("bench", EMBER, *asked, stdin=b"\n" * 12)
    if not check(r.status == 0, "paced", r):
        return
    *turns, last = [json.loads(line) for line in r.text.splitlines()]
    check([(t["test"], t["batch"], t["repetition"]) for t in turns] ==
          [(t, b, n) for t, b in (("prompt", 1), ("generation", 1), ("generation", 2)) for n in range(4)], "a line for each turn", turns)
    for i, m in enumerate(last["results"]):
        mine = turns[4 * i + 1:4 * i + 4]
        check(sorted(t["tps"] for t in mine) == [m["min"], m["tps"], m["max"]], "the turns are what is reported", (mine, m))
        shares = [m["gbps"] / m["tps"] * t["tps"] / t["read_gbps"] for t in mine]
        check(abs(sorted(shares)[1] / m["of_bandwidth"] - 1) < 1e-6, "of the bandwidth right before each, the median", (shares, m))
    refused(IO, "--paced", "bench", EMBER, *asked, stdin=b"")


def errors():
    refused(USAGE, "nothing to measure", "bench", EMBER, "-p", 0, "-n", 0)
    refused(USAGE, "--depth", "bench", EMBER, "-d", "1,x")
    refused(USAGE, "--batch", "bench", EMBER, "--batch", "0")
    refused(CONTEXT, "need", "bench", EMBER, "-c", 100, "-p", 200)
    refused(CONTEXT, "32768", "bench", EMBER, "-d", 40000)


for test in (figures, paced, errors):
    test()
finish()
