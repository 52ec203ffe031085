#!/usr/bin/env python3
"""test_ledger.py: hearth ledger against sums made here, with exact fractions, from random rows that Python's sqlite3 wrote."""
import csv
import io
import os
import random
import re
import sqlite3
import subprocess
import time
from decimal import Decimal
from fractions import Fraction

from hearth import FORMAT, IO, PROGRAM, TMP, UNSUPPORTED, USAGE, check, finish, hearth, refused, tmp

os.environ.update(TZ="CET-1CEST,M3.5.0,M10.5.0/3", XDG_CONFIG_HOME=os.path.join(TMP.name, "config"), XDG_STATE_HOME=os.path.join(TMP.name, "state"))
time.tzset()
rng = random.Random(7)

NUMBERS = ["tokens_in", "tokens_cached", "tokens_written", "tokens_out", "tokens_reasoning", "queued_us", "first_us", "total_us", "bytes_in", "bytes_out",
           "status", "energy_uj", "energy"]
COLUMNS = ["started_ms", "model", "adapter", "client", "dialect", "endpoint"] + NUMBERS
# The file as version 1 of it is; what is different here is a change of the format, which takes a migration.
SCHEMA = ("CREATE TABLE request (id INTEGER PRIMARY KEY, started_ms INTEGER NOT NULL, model TEXT NOT NULL, adapter TEXT NOT NULL, client TEXT NOT NULL,"
          "dialect TEXT NOT NULL, endpoint TEXT NOT NULL, " + ", ".join(f"{c} INTEGER NOT NULL" for c in NUMBERS) + ") STRICT;"
          "CREATE INDEX request_started ON request(started_ms); PRAGMA application_id=0x48724c67; CREATE TABLE capture(request INTEGER PRIMARY KEY REFERENCES request(id), asked TEXT NOT NULL, answered TEXT NOT NULL) STRICT; PRAGMA user_version=2; PRAGMA journal_mode=WAL;")

PRICES = """[settings]
per_kwh = 0.2871
against = other
[model other]
match = else-*
from = 2025-03-01
as_of = 2025-03-02
source = https://example.org/#prices
input = 1.234567
cached = 0.1
write = 1.5
output = 9.876543
above = 50000
input = 2.5
cached = 0.25
output = 12
[model other]
from = 2025-09-01
input = 0.5
output = 3.000001
"""
# (first day, [(above, input, cached, write, output)]), as PRICES says, in millionths of a dollar for each million tokens
TIERS = [("2025-03-01", [(0, 1234567, 100000, 1500000, 9876543), (50000, 2500000, 250000, 2500000, 12000000)]), ("2025-09-01", [(0, 500000, 500000, 500000, 3000001)])]
PER_KWH = Fraction(2871, 10000)


def database(name, rows):
    path = tmp(name, None)
    if os.path.exists(path):
        os.unlink(path)
    db = sqlite3.connect(path)
    db.executescript(SCHEMA)
    db.executemany(f"INSERT INTO request ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", [[r[c] for c in COLUMNS] for r in rows])
    db.commit()
    db.close()
    return path


def random_row():
    tokens_in = rng.choice([0, 5, 49999, 50000, 50001, rng.randrange(200000)])
    cached = rng.randrange(tokens_in + 1)
    out = rng.randrange(5000)
    return {"started_ms": rng.randrange(1735689600000, 1767225600000), "model": rng.choice(["ember", "qwen", "a, \"b\""]), "adapter": rng.choice(["", "reviewer"]),
            "client": rng.choice(["laptop", "editor", "ägent"]), "dialect": rng.choice(["openai", "anthropic"]), "endpoint": "/v1/x", "tokens_in": tokens_in,
            "tokens_cached": cached, "tokens_written": rng.randrange(tokens_in - cached + 1), "tokens_out": out, "tokens_reasoning": rng.randrange(out + 1),
            "queued_us": 1, "first_us": 2, "total_us": rng.randrange(10**9), "bytes_in": 3, "bytes_out": 4, "status": rng.choice([200, 200, 400, 500]),
            "energy_uj": rng.randrange(10**12), "energy": rng.randrange(3)}


def local(row, form):
    return time.strftime(form, time.localtime(row["started_ms"] / 1000))


KEYS = {"day": lambda r: local(r, "%Y-%m-%d"), "month": lambda r: local(r, "%Y-%m"), "model": lambda r: r["model"], "adapter": lambda r: r["adapter"],
        "client": lambda r: r["client"], "dialect": lambda r: r["dialect"]}


def there(row):
    """What the row costs there, in dollars, or None."""
    day = time.strftime("%Y-%m-%d", time.gmtime(row["started_ms"] // 1000))
    tiers = [t for start, t in TIERS if start <= day]
    if not tiers:
        return None
    _, price, cached, write, out = [t for t in tiers[-1] if row["tokens_in"] > t[0] or t[0] == 0][-1]
    new = row["tokens_in"] - row["tokens_cached"] - row["tokens_written"]
    return Fraction(new * price + row["tokens_cached"] * cached + row["tokens_written"] * write + row["tokens_out"] * out, 10**12)


def summed(rows):
    energy = sum(r["energy_uj"] for r in rows if r["energy"])
    picodollars = Fraction(energy, 10**6) / 3600000 * PER_KWH * 10**12
    here = Fraction((2 * picodollars.numerator + picodollars.denominator) // (2 * picodollars.denominator), 10**12)  # half up
    elsewhere = sum((there(r) or 0 for r in rows), Fraction(0))
    return {"requests": len(rows), "requests_failed": sum(r["status"] >= 400 for r in rows), "tokens_in": sum(r["tokens_in"] for r in rows),
            "tokens_cached": sum(r["tokens_cached"] for r in rows), "tokens_out": sum(r["tokens_out"] for r in rows),
            "tokens_reasoning": sum(r["tokens_reasoning"] for r in rows), "seconds": Fraction(sum(r["total_us"] for r in rows), 10**6),
            "joules": Fraction(energy, 10**6), "joules_estimated": Fraction(sum(r["energy_uj"] for r in rows if r["energy"] == 1), 10**6),
            "requests_without_energy": sum(not r["energy"] for r in rows), "dollars_here": here, "dollars_there": elsewhere, "dollars_saved": elsewhere - here,
            "requests_without_price": sum(there(r) is None for r in rows)}


def grouped(rows, by):
    groups = {}
    for r in rows:
        groups.setdefault(KEYS[by](r), []).append(r)
    return [(key, summed(groups[key])) for key in sorted(groups, key=lambda k: k.encode())]


def exact_json(text):
    import json
    return json.loads(text, parse_float=lambda s: Fraction(Decimal(s)))


def sums():
    rows = [random_row() for _ in range(700)]
    path, prices = database("sums.db", rows), tmp("prices.ini", PRICES)
    for by in KEYS:
        want = grouped(rows, by)
        r = hearth("ledger", "--db", path, "--by", by, "--prices", prices, "--json")
        got = exact_json(r.out) if r.status == 0 else {}
        check([(line.pop(by), line) for line in got.get("lines", [])] == want, f"sums by {by}", r)
        check(got.get("total") == summed(rows), f"the total by {by}", (got.get("total"), summed(rows)))
        c = hearth("ledger", "--db", path, "--by", by, "--prices", prices, "--csv")
        table = list(csv.reader(io.StringIO(c.out.decode(), newline="")))
        check(table[0] == [by] + list(want[0][1]), "the heading of the CSV", table[0])
        check([(line[0], [Fraction(Decimal(v)) for v in line[1:]]) for line in table[1:]] == [(k, [Fraction(v) for v in w.values()]) for k, w in want],
              f"the CSV by {by}", c)
    days = sorted(KEYS["day"](r) for r in rows)
    for since, until in ((days[100], None), (None, days[100]), (days[50], days[60]), (days[7], days[7]), ("2031-01-01", None)):
        part = [r for r in rows if (not since or KEYS["day"](r) >= since) and (not until or KEYS["day"](r) <= until)]
        r = hearth("ledger", "--db", path, "--prices", prices, "--json", *(["--since", since] if since else []), *(["--until", until] if until else []))
        check(r.status == 0 and exact_json(r.out)["total"] == summed(part), f"from {since} to {until}", r)
    r = hearth("ledger", "--db", path, "--prices", prices, "--against", "ELSE-where", "--json")
    check(r.json["against"]["model"] == "other" and r.json["against"]["from"] == "2025-09-01", "a model by another of its names", r)


def text():
    """The table for people: as wide as it must be, the numbers rounded."""
    rows = [dict(random_row(), model="ember", started_ms=1757000000000, tokens_in=1234567, tokens_cached=0, tokens_written=0, tokens_out=1000000, tokens_reasoning=0,
                 total_us=3725400000, energy_uj=7200000000000, energy=2, status=200),
            dict(random_row(), model="größer", started_ms=1757000000000, tokens_in=0, tokens_cached=0, tokens_written=0, tokens_out=0, tokens_reasoning=0,
                 total_us=600000, energy_uj=360000000, energy=1, status=404)]
    r = hearth("ledger", "--db", database("text.db", rows), "--prices", tmp("prices.ini", PRICES))
    lines = r.text.split("\n")
    want = ["model   requests  failed  tokens in  cached  tokens out     time      kWh  here $  there $  saved $",
            "ember          1       0  1,234,567       0   1,000,000  1:02:05   2.0000  0.5742   3.6173   3.0431",
            "größer         1       1          0       0           0  0:00:01  0.0001~  0.0000   0.0000  -0.0000",
            "total          2       1  1,234,567       0   1,000,000  1:02:06  2.0001~  0.5742   3.6173   3.0431"]
    plain = [re.sub(r"(\d) (?= )", r"\1", line) for line in lines]
    check(r.status == 0 and [line.split() for line in lines[:4]] == [w.replace("-0.0000", "0.0000").split() for w in want], "the table", r)
    check(len({len(line.rstrip()) for line in lines[:4]}) == 1, "columns are aligned", plain)
    check("0.2871 dollars per kWh" in r.text and "other" in r.text and "2025-09-01" in r.text and "estimated" in r.text, "what the numbers rest on", r)
    r = hearth("ledger", "--db", database("empty.db", []))
    check(r.status == 0 and re.search(r"^total +0 ", r.text, re.M), "nothing yet", r)
    r = hearth("ledger", "--db", database("old.db", [dict(random_row(), started_ms=0, energy=0)]), "--by", "adapter")
    check("1 requests are older" in r.text and "1 requests without a figure" in r.text, "what is not known is said", r)
    r = hearth("ledger", "--db", database("none.db", [dict(random_row(), adapter="")]), "--by", "adapter")
    check(re.search(r"^\(none\)", r.text, re.M), "no adapter", r)
    r = hearth("ledger", "--db", database("odd.db", [dict(random_row(), client="a\x1b[31m\nb")]), "--by", "client")
    check("a\\x1b[31m\\x0ab" in r.text, "nothing in a name reaches the terminal", r)


def prices():
    r = hearth("ledger", "prices")
    check(r.status == 0 and re.search(r"^model +from ", r.text) and re.search(r"^gpt-5-mini +2025-08-07 +0 +0\.250000 +0\.025000 ", r.text, re.M), "the built-in prices", r)
    check(len(re.findall(r"^claude-sonnet-4-5 ", r.text, re.M)) == 2 and "https://" in r.text, "with their groups and sources", r)
    path = tmp("prices.ini", PRICES)
    j = hearth("ledger", "prices", "--prices", path, "--json").json
    mine = [p for p in j if p["model"] == "other"]
    check(len(mine) == 2 and mine[0]["source"] == "https://example.org/#prices" and mine[0]["dollars_per_million"][1] ==
          {"above": 50000, "input": 2.5, "cached": 0.25, "write": 2.5, "output": 12}, "prices of one's own", mine)
    c = list(csv.reader(io.StringIO(hearth("ledger", "prices", "--prices", path, "--csv").text)))
    check(c[-1][:7] == ["other", "2025-09-01", "0", "0.500000", "0.500000", "0.500000", "3.000001"], "as CSV", c[-1])
    os.makedirs(os.path.join(TMP.name, "config/hearth"), exist_ok=True)
    with open(os.path.join(TMP.name, "config/hearth/prices.ini"), "w", encoding="utf-8") as f:
        f.write("[model home-made]\ninput = 1\noutput = 1\n")
    check("home-made" in hearth("ledger", "prices").text, "the user's own file")
    os.unlink(os.path.join(TMP.name, "config/hearth/prices.ini"))


def places():
    r = refused(IO, "no ledger yet", "ledger")
    check("state/hearth/ledger.db" in r.err, "the usual place is named", r)
    os.makedirs(os.path.join(TMP.name, "state/hearth"), exist_ok=True)
    os.rename(database("usual.db", [random_row()]), os.path.join(TMP.name, "state/hearth/ledger.db"))
    check(hearth("ledger", "--json").json["total"]["requests"] == 1, "the usual place is read")


def errors():
    path = database("errors.db", [random_row()])
    refused(USAGE, "--by", "ledger", "--db", path, "--by", "colour")
    refused(USAGE, "no prices are known", "ledger", "--db", path, "--against", "nobody")
    refused(USAGE, "--since", "ledger", "--db", path, "--since", "yesterday")
    refused(USAGE, "--until", "ledger", "--db", path, "--until", "2025-02-30")
    refused(USAGE, "lies after", "ledger", "--db", path, "--since", "2025-02-02", "--until", "2025-02-01")
    refused(USAGE, "exclude", "ledger", "--db", path, "--json", "--csv")
    refused(USAGE, "only word", "ledger", "sums")
    refused(USAGE, "one argument too many", "ledger", "prices", "prices")
    refused(IO, "cannot open", "ledger", "--db", path, "--prices", tmp("nowhere.ini", None))
    refused(FORMAT, "bad.ini:2:9: ", "ledger", "prices", "--prices", tmp("bad.ini", "[model x]\ninput = cheap\n"))
    refused(FORMAT, "not an SQLite database", "ledger", "--db", tmp("text", "no database at all\n" * 100))
    refused(FORMAT, "another program", "ledger", "--db", foreign("PRAGMA user_version=1; CREATE TABLE t(x)"))
    refused(UNSUPPORTED, "later Hearth", "ledger", "--db", foreign(SCHEMA + "PRAGMA user_version=9"))
    refused(FORMAT, "table", "ledger", "--db", foreign("CREATE TABLE t(x); PRAGMA application_id=0x48724c67; PRAGMA user_version=2"))
    refused(IO, "regular file", "ledger", "--db", TMP.name)


def foreign(script):
    path = tmp("foreign.db", None)
    if os.path.exists(path):
        os.unlink(path)
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()
    return path


def reads_only():
    path = database("kept.db", [random_row() for _ in range(50)])
    before = open(path, "rb").read()
    os.chmod(path, 0o400)
    check(hearth("ledger", "--db", path).status == 0 and open(path, "rb").read() == before, "the file is left as it is")
    with open("/dev/full", "w", encoding="utf-8") as full:
        r = subprocess.run([PROGRAM, "ledger", "--db", path], stdout=full, stderr=subprocess.PIPE, timeout=60)
    check(r.returncode == IO, "standard output that is full", r.stderr)


for test in (sums, text, prices, places, errors, reads_only):
    test()
finish()
