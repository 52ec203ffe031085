#!/usr/bin/env python3
"""test_schema.py: random texts under the masks of the official suite's schemas, validated by another implementation (the package `jsonschema`). The
texts come from `test_schema_suite --walk`. Skips, and says so, where the package or the suite is missing.
"""
import collections
import decimal
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.environ.get("HEARTH_BUILD", os.path.join(TOP, "build")), "tests/text/test_schema_suite")

try:
    import jsonschema
except ImportError:
    print("SKIPPED: the package jsonschema is not installed (make oracles)")
    sys.exit(77)


# The package takes digits that follow a 0 inside a number for a leading zero.
FAULTS = (r"^'[1-9][0-9]*0[0-9].*' is not a 'relative-json-pointer'$",)


def number(text):
    """Exactly, so that 0.3 is a multiple of 0.1; whole numbers are integers, as JSON Schema has it."""
    d = decimal.Decimal(text)
    return int(d) if d == d.to_integral_value() and abs(d.adjusted()) < 400 else d


def main():
    decimal.getcontext().prec = 1000
    out = subprocess.run([PROGRAM, "--walk"], stdout=subprocess.PIPE, check=True).stdout.decode("utf-8")
    lines = [line for line in out.split("\n") if line.startswith("{")]
    if not lines:
        print(out)
        print("SKIPPED: no texts: the suite is not there")
        sys.exit(77)
    passed = failed = unfinished = 0
    unable = collections.Counter()
    for line in lines:
        walk = json.loads(line, parse_float=number)
        if not walk["whole"]:
            unfinished += 1
            continue
        try:
            value = json.loads(walk["text"], parse_float=number)
            checker = jsonschema.Draft202012Validator(walk["schema"], format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
            errors = [e.message for e in checker.iter_errors(value) if not any(re.match(fault, e.message) for fault in FAULTS)]
        except ValueError as e:
            errors = [str(e)]
        except Exception as e:  # patterns and references that this validator does not know
            unable[f"{walk['file']}, {walk['group']}: {type(e).__name__}"] += 1
            continue
        if errors:
            print(f"{walk['file']}, {walk['group']}: {walk['text'][:200]}: {errors[0][:200]}")
        failed += bool(errors)
        passed += not errors
    for what in sorted(unable):
        print(f"SKIPPED: {what}: not validated ({unable[what]} texts)")
    print(f"{unfinished} texts did not come to an end")
    if passed < 1000 or unfinished > len(lines) // 10:
        failed += 1
        print(f"only {passed} of {len(lines)} texts were whole and could be validated")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
