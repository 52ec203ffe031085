"""render.py: the records of run.py as RESULTS.md and roofline.svg. No measuring here."""
import math
import os
from statistics import median

QUANTISED = {"Q8_0": (2.5, 1.9), "Q4_K_M": (2.2, 2.0), "Q4_0": (1.9, 1.6), "Q6_K": (2.2, 1.7), "Q5_K_M": (2.2, 1.7), "IQ4_XS": (2.2, 1.7)}
ASKED = {**QUANTISED, "F16": (5, 1.2), "BF16": (5, 1.2)}                             # times the peer: prompt, generation
ASKED_BANDWIDTH = {"Q8_0": 0.92, "F16": 0.92, "Q4_K_M": 0.85, "Q6_K": 0.85}
ASKED_ARITHMETIC = {**{f: 0.45 for f in QUANTISED}, "F16": 0.72, "BF16": 0.72}
ASKED_DEPTH, ASKED_DEPTH_BANDWIDTH, ASKED_BATCH, ASKED_BATCH_PEER, ASKED_OUTSIDE = 3.5, 0.75, 5, 3, 0.03
ASKED_FIRST_S, ASKED_MORE_MB = 0.15, 150
ASKED_REPEATING, ASKED_ELSEWHERE = 2, 0.97


# ---- figures ----

def ratios(a, b):
    return [x / y for x, y in zip(a, b)]


def spread(r):
    """Median and spread of ratios of neighbours."""
    return f"{median(r):.2f} ({min(r):.2f}–{max(r):.2f})" if r else "–"


def times(asked):
    return f"≥ {asked:g} ×" if asked else ""


def percent(x, digits=0):
    return f"{100 * x:.{digits}f} %"


def part(x, asked):
    return percent(x) + (f" (asked {percent(asked)})" if asked else "")


def tps(record, name, test):
    values = record["tps"].get(name, {}).get(test)
    return f"{median(values):.1f}" if values else "–"


def against(record, test, other="peer"):
    t = record["tps"]
    return ratios(t["hearth"][test], t[other][test]) if other in t else []


def one_line(record):
    """For the person who waits."""
    if "texts" in record:
        return ", ".join(f"{name}: {t['ratio']:.2f} × without guesses" for name, t in record["texts"].items())
    if "seconds" in record:
        return ", ".join(f"{name} {median(s):.3f} s" for name, s in record["seconds"].items())
    if "tps" not in record:
        return f"{percent(record['report']['gen_outside_products'], 2)} outside products"
    tests = record["tps"]["hearth"]
    return "; ".join(f"{test}: {tps(record, 'hearth', test)} tokens/s, {spread(against(record, test))} × the peer" for test in tests)


# ---- the tables ----

def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)] + ["| " + " | ".join(r) + " |" for r in rows]) + "\n"


def speed_table(records, test, n, asked, share, limits):
    key = "gen" if test == "generation" else "prompt"
    rows = []
    for r in records:
        fmt = r["key"]["format"]
        rows.append([fmt, tps(r, "hearth", test), tps(r, "peer", test), spread(against(r, test)), times(ASKED.get(fmt, (0, 0))[n]),
                     part(r["report"][f"{key}_{asked}"], limits.get(fmt))])
    return table(["format", "Hearth, tokens/s", "peer", "ratio (least–most)", "asked", share], rows)


def speed(records):
    out = []
    for shape in dict.fromkeys(r["key"]["shape"] for r in records):
        mine = [r for r in records if r["key"]["shape"] == shape]
        out += [f"## {shape}\n", "Prompt of 512 tokens:\n",
                speed_table(mine, "prompt", 0, "of_arithmetic", "of the arithmetic's peak", ASKED_ARITHMETIC), "Generation of 128 tokens:\n",
                speed_table(mine, "generation", 1, "of_bandwidth", "of the read bandwidth", ASKED_BANDWIDTH)]
    return out


def limits(records):
    names = {"read_gbps": "read bandwidth, GB/s", "int8_gops": "int8 dot products, GOP/s", "bf16_gflops": "bf16 dot products, GFLOP/s", "fp32_gflops": "fp32, GFLOP/s"}
    rows = []
    for name, text in names.items():
        v = [r["report"][name] for r in records]
        rows.append([text, f"{median(v):.1f}" if name == "read_gbps" else f"{median(v):.0f}", f"{min(v):.0f}–{max(v):.0f}"])
    return ["## What the machine can do\n", "Measured by `hearth bench` on the same threads, before each of the measurements below. Reading is measured again right before each repetition, and parts of it are of that.\n", table(["", "median", "least–most"], rows)]


def depth(records):
    rows = []
    for r in records:
        for test, text in (("prompt", "prompt, 512"), ("generation", "generation, 32")):
            share = part(r["report"]["gen_of_bandwidth"], ASKED_DEPTH_BANDWIDTH) if test == "generation" else ""
            rows.append([f"{r['key']['format']}, KV {r['key']['kv'].upper()}", text, tps(r, "hearth", test), tps(r, "peer", test), spread(against(r, test)), times(ASKED_DEPTH), share])
    head = ["", "test", "Hearth, tokens/s", "peer", "ratio (least–most)", "asked", "of the read bandwidth"]
    return [f"## Depth: behind {records[0]['key']['depth']:,} tokens of context\n", f"Shape {records[0]['key']['shape']}.\n", table(head, rows)]


def batch(records):
    rows = [[r["key"]["format"], tps(r, "hearth", "generation"), tps(r, "one", "generation"), spread(against(r, "generation", "one")), times(ASKED_BATCH),
             tps(r, "peer", "generation"), spread(against(r, "generation")), times(ASKED_BATCH_PEER)] for r in records]
    head = ["format", "8 sequences, tokens/s in all", "one sequence", "ratio (least–most)", "asked", "peer's 8", "ratio (least–most)", "asked"]
    return ["## Batch: eight sequences that generate together\n", f"Shape {records[0]['key']['shape']}.\n", table(head, rows)]


def start(records):
    rows = []
    for r in records:
        more = (r["peak"]["hearth"] - r["file"] - r["kv"]) / 1e6
        for name in r["seconds"]:
            s = r["seconds"][name]
            mine = name == "hearth"
            rows.append([name, f"{median(s):.3f} ({min(s):.3f}–{max(s):.3f})", f"≤ {ASKED_FIRST_S} s" if mine else "", f"{r['peak'][name] / 1e6:.0f} MB",
                         f"file + KV {'+' if more >= 0 else '−'} {abs(more):.0f} MB, asked ≤ + {ASKED_MORE_MB} MB" if mine else ""])
    r = records[-1]
    text = f"{r['key']['shape']}, {r['key']['format']}: a file of {r['file'] / 1e6:.0f} MB in the page cache, KV of {r['kv'] / 1e6:.0f} MB.\n"
    return ["## Start: from the program's start to its first token\n", text, table(["", "seconds", "asked", "most memory held", ""], rows)]


def small(records):
    rows = []
    for r in records:
        middle, least, most = (percent(r["report"]["gen_outside_products" + which], 2) for which in ("", "_least", "_most"))
        rows.append([r["key"]["format"], f"{middle} ({least}–{most})", f"< {percent(ASKED_OUTSIDE)}"])
    return ["## Small: a step's time outside matrix products\n", f"The first sixteen tokens of a context, shape {records[0]['key']['shape']}: attention, sums, the engine, and norms that are "
            "not fused with a product. A product's own time is counted with it: rounding its activations, a norm fused with it, and its threads' waiting for each other.\n",
            table(["format", "outside products (least–most)", "asked"], rows)]


def speculation(records):
    asked = {"edit": f"≥ {ASKED_REPEATING:g} ×"}
    what = {"edit": "a source file, edited", "code": "another source file", "prose": "prose, going on"}
    rows = [[r["key"]["format"], what.get(name, name), f"{t['guessed_tps']:.1f}", f"{t['plain_tps']:.1f}", f"{t['ratio']:.2f} ({t['ratio_min']:.2f}–{t['ratio_max']:.2f})",
             asked.get(name, f"≥ {ASKED_ELSEWHERE:g} ×")] for r in records for name, t in r["texts"].items()]
    return ["## Speculation: guesses from the text itself\n", f"A fixed output is replayed behind a prompt of a few thousand tokens, with and without guesses in turns; shape "
            f"{records[0]['key']['shape']}.\n", table(["format", "output", "with guesses, tokens/s", "without", "ratio (least–most)", "asked"], rows)]


def parts_of(keys):
    """What was measured, or was not, in words."""
    by_part = {}
    for k in keys:
        by_part.setdefault((k["part"], k["shape"]), []).append(k["format"] + (f" with KV {k['kv'].upper()}" if k["part"] == "depth" else ""))
    return "; ".join(f"{part} of {shape}: {', '.join(formats)}" for (part, shape), formats in by_part.items())


def commits(records):
    """The commit; or each with what it measured."""
    of = {}
    for r in records:
        of.setdefault(r["run"]["commit"], []).append(r["key"])
    return next(iter(of)) if len(of) == 1 else ". ".join(f"{c}: {parts_of(keys)}" for c, keys in of.items())


def head(records):
    run, dates = max(records, key=lambda r: r["when"])["run"], sorted(r["when"] for r in records)
    m = run["machine"]
    peer = f"llama.cpp as prebuilt in node-llama-cpp {m['peer']}, its best variant for this processor, flash attention where faster" if m["peer"] else "none"
    pairs = sorted({r["pairs"] for r in records})
    return ["# Results\n", "Written by `make bench`, peer included.\n",
            table(["", ""], [["machine", f"{m['processor']}, {m['processors']} processors, {m['memory_gb']} GB, {m['system']}"], ["threads", str(m["threads"])],
                             ["when", f"{dates[0]} to {dates[-1]} UTC"], ["commit", commits(records)], ["peer", peer],
                             ["repetitions", f"PAIRS={' or '.join(str(n) for n in pairs)}; of depth, batch and speculation at most 3"]]),
            "Models have random weights in the shape of well-known ones. Both programs stay loaded and take turns on the same file; a ratio is that of two "
            "neighbouring repetitions, and the median of these ratios stands with the least and the most. "
            "Hearth brings each file into the page cache, for both.\n"]


def write(records, planned, folder):
    """planned: the keys of all that was to be measured; what has no record is named."""
    latest = list({str(r["key"]): r for r in records}.values())
    of = {name: [r for r in latest if r["key"]["part"] == name] for name in ("speed", "depth", "batch", "start", "small", "speculation")}
    measured = [r for r in latest if "report" in r]
    missing = [k for k in planned if not any(r["key"] == k for r in latest)]
    again = [r["key"] for r in latest if sum(o["key"] == r["key"] and o["run"]["commit"] == r["run"]["commit"] for o in records) > 1]
    out = head(latest) + ([f"**Not measured:** {parts_of(missing)}.\n"] if missing else [])
    out += [f"**Measured more than once, the last stands:** {parts_of(again)}.\n"] if again else []
    for rows, section in ((measured, limits), (of["speed"], speed), (of["depth"], depth), (of["batch"], batch), (of["start"], start), (of["small"], small),
                          (of["speculation"], speculation)):
        if rows:
            out += section(rows)
    os.makedirs(folder, exist_ok=True)
    if of["speed"]:
        with open(os.path.join(folder, "roofline.svg"), "w", encoding="utf-8") as f:
            f.write(roofline(of["speed"]))
        out += ["## Roofline\n", "![Each format's prompt and generation beside the measured limits](roofline.svg)\n",
                "Where the memory's speed swings, a point that was measured in a fast moment may stand above the line, which is the median.\n"]
    with open(os.path.join(folder, "RESULTS.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(out))


# ---- the picture ----

COLOURS = dict(zip(ASKED, ["#2a78d6", "#d1571c", "#1f8a4c", "#8a4fc9", "#b08a00", "#c2378b", "#0f8f9c", "#6b6b6b"]))
STYLE = """
  svg { --ink: #1c1c1c; --soft: #5c5c5c; --grid: #e3e3e3; --ground: #ffffff; font: 13px system-ui, sans-serif; }
  @media (prefers-color-scheme: dark) { svg { --ink: #ececec; --soft: #a8a8a8; --grid: #383838; --ground: #181818; } }
  .ground { fill: var(--ground); } text { fill: var(--ink); } .soft { fill: var(--soft); font-size: 12px; }
  .grid { stroke: var(--grid); } .limit { stroke: var(--ink); stroke-width: 1.6; fill: none; } .title { font-weight: 600; font-size: 15px; }
"""
WIDTH, PANEL, LEFT, RIGHT, ABOVE, BELOW = 900, 470, 70, 190, 50, 60


def ticks(low, high):
    for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for digit in (1, 2, 5):
            if low <= digit * 10**e <= high:
                yield digit * 10**e


class Panel:
    """Logarithmic axes: operations per byte, and 1e9 operations a second."""
    def __init__(self, top, x, y):
        self.top, self.x, self.y, self.out = top, x, y, []

    def at(self, x, y):
        fx = (math.log(x) - math.log(self.x[0])) / (math.log(self.x[1]) - math.log(self.x[0]))
        fy = (math.log(y) - math.log(self.y[0])) / (math.log(self.y[1]) - math.log(self.y[0]))
        return LEFT + fx * (WIDTH - LEFT - RIGHT), self.top + PANEL - BELOW - fy * (PANEL - ABOVE - BELOW)

    def line(self, a, b, style):
        (x1, y1), (x2, y2) = self.at(*a), self.at(*b)
        self.out.append(f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x, y, text, style="", anchor="start"):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{text}</text>')

    def axes(self, title):
        self.text(LEFT, self.top + 24, title, "title")
        for t in ticks(*self.x):
            self.line((t, self.y[0]), (t, self.y[1]), "grid")
            self.text(self.at(t, self.y[0])[0], self.top + PANEL - BELOW + 18, f"{t:g}", "soft", "middle")
        for t in ticks(*self.y):
            self.line((self.x[0], t), (self.x[1], t), "grid")
            self.text(LEFT - 8, self.at(self.x[0], t)[1] + 4, f"{t:g}", "soft", "end")
        self.text((LEFT + WIDTH - RIGHT) / 2, self.top + PANEL - BELOW + 38, "operations of matrix products per byte read", "soft", "middle")
        self.text(LEFT - 55, self.top + 42, "GOP/s", "soft")

    def point(self, x, y, colour, generation, filled, title):
        cx, cy = self.at(x, y)
        paint = f'fill="{colour}"' if filled else f'fill="none" stroke="{colour}" stroke-width="1.6"'
        mark = f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="5" {paint}>' if generation else f'<rect x="{cx - 5:.1f}" y="{cy - 5:.1f}" width="10" height="10" {paint}>'
        self.out.append(f"{mark}<title>{title}</title>{'</circle>' if generation else '</rect>'}")


def points(record):
    """(generation?, Hearth's?, operations per byte, GOP/s)"""
    for test, key in (("prompt", "prompt"), ("generation", "gen")):
        gbps, gops = record["report"][f"{key}_gbps"], record["report"][f"{key}_gops"]
        yield test == "generation", True, gops / gbps, gops
        behind = against(record, test)
        if behind:
            yield test == "generation", False, gops / gbps, gops / median(behind)


def draw_limits(p, report):
    peaks = [(report[k], n) for k, n in (("int8_gops", "int8"), ("bf16_gflops", "bf16"), ("fp32_gflops", "fp32")) if report[k]]
    read = report["read_gbps"]
    p.line((p.x[0], read * p.x[0]), (max(peaks)[0] / read, max(peaks)[0]), "limit")
    x, y = p.at(max(peaks)[0] / read / 2, max(peaks)[0] / 2)
    p.text(x - 10, y, f"reading: {read:.1f} GB/s", "soft", "end")
    for peak, name in peaks:
        p.line((peak / read, peak), (p.x[1], peak), "limit")
        p.text(WIDTH - RIGHT + 6, p.at(p.x[1], peak)[1] + 4, f"{name}: {peak:.0f}", "soft")


def draw_panel(top, shape, records):
    everything = [pt for r in records for pt in points(r)]
    report = {k: median(r["report"][k] for r in records) for k in ("int8_gops", "bf16_gflops", "fp32_gflops")}
    report["read_gbps"] = median(r["report"]["gen_read_gbps"] for r in records)  # right before the repetitions whose points stand under it
    most = max(report["int8_gops"], report["bf16_gflops"], report["fp32_gflops"])
    low = min(pt[2] for pt in everything) / 2
    p = Panel(top, (low, max(pt[2] for pt in everything) * 2), (min(min(pt[3] for pt in everything) / 2, report["read_gbps"] * low), most * 1.6))
    p.axes(f"{shape}, prompt (squares) and generation (circles); hollow: the peer")
    draw_limits(p, report)
    for i, r in enumerate(records):
        colour = COLOURS.get(r["key"]["format"], "#000000")
        y = top + PANEL - BELOW - 18 * (len(records) - i)
        p.out.append(f'<circle cx="{WIDTH - RIGHT + 12}" cy="{y - 4}" r="5" fill="{colour}"/>')
        p.text(WIDTH - RIGHT + 24, y, r["key"]["format"])
        for generation, ours, x, gops in points(r):
            title = f"{r['key']['format']}, {'generation' if generation else 'prompt'}, {'Hearth' if ours else 'peer'}: {gops:.1f} GOP/s"
            p.point(x, gops, colour, generation, ours, title)
    return "\n".join(p.out)


def roofline(records):
    shapes = list(dict.fromkeys(r["key"]["shape"] for r in records))
    body = "\n".join(draw_panel(i * PANEL, s, [r for r in records if r["key"]["shape"] == s]) for i, s in enumerate(shapes))
    height = PANEL * len(shapes)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
            f'aria-label="Roofline: speed over operations per byte">\n<style>{STYLE}</style>\n<rect class="ground" width="{WIDTH}" height="{height}"/>\n{body}\n</svg>\n')
