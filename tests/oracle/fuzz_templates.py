#!/usr/bin/env python3
"""Differential test of the template engine: random templates through Python's Jinja2 and through build/tests/oracle/template_lines.

    make build/tests/oracle/template_lines && python3 tests/oracle/fuzz_templates.py [COUNT] [SEED] [BUILD]

Prints each template on which the two differ and exits with 1 if there is any. Half of the templates get a context in another
script, by which the bytes that count as the template's own are checked. Not compared: results that show an address of a
Python object, and integers beyond 64 bits, which are an error here by design."""
import functools
import json
import os
import random
import re
import subprocess
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "text"))
import mktemplates  # noqa: E402

warnings.simplefilter("ignore")
# Without the optimizer: folding constants hides errors, 2.5[1:2] for instance.
ENV = mktemplates.environment(optimized=False)


class generator:  # noqa: N801
    """A generator that prints without its address."""

    def __init__(self, items):
        self.source = items

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.source)

    def __repr__(self):
        return "<generator object>"


def printable(filter_function):
    @functools.wraps(filter_function)
    def wrapped(*args, **kwargs):
        result = filter_function(*args, **kwargs)
        return result if isinstance(result, (str, list)) else generator(result)
    return wrapped


for name in ("map", "select", "reject", "selectattr", "rejectattr", "batch", "slice", "items", "unique", "reverse"):
    ENV.filters[name] = printable(ENV.filters[name])



def foreign(value):
    """The same value with all Latin letters of its strings (not of its keys) made Cyrillic."""
    if isinstance(value, str):
        return "".join(chr(ord(c) + 0x430 - ord("a")) if "a" <= c <= "z" else chr(ord(c) + 0x410 - ord("A")) if "A" <= c <= "Z" else c for c in value)
    if isinstance(value, list):
        return [foreign(v) for v in value]
    return {k: foreign(v) for k, v in value.items()} if isinstance(value, dict) else value


FOREIGN = foreign(mktemplates.CONTEXT)
NAMES = list(mktemplates.CONTEXT) + ["missing", "x", "y"]
STRINGS = ["''", "'a'", "'Hello World'", "'  x y '", "'é你🙂'", "'a,b,,c'", "'%s'", "'%d|%5.1f'", "'{}'", "'{0:>4}'", "'1.5'", "'42'",
           "'<b>'", "'\\n a\\n'", "'aXbXc'", "'ß'", "'name'", "'x.y'", "'a-b c--d'", "'.'", "'0'"]
NUMBERS = ["0", "1", "2", "-1", "3", "7", "2.5", "-0.5", "10", "100", "1e3", "0.1", "64"]
FILTERS = {  # name: kinds of its arguments; s: string, n: number, b: bool, e: anything, k=: named
    "abs": "", "attr": "s", "batch": "n", "capitalize": "", "center": "n", "default": "e", "dictsort": "", "escape": "", "filesizeformat": "",
    "first": "", "float": "", "forceescape": "", "format": "e", "groupby": "s", "indent": "n", "int": "", "items": "", "join": "s", "last": "",
    "length": "", "list": "", "lower": "", "map": "f", "max": "", "min": "", "reject": "t", "rejectattr": "s", "replace": "ss", "reverse": "",
    "round": "n", "safe": "", "select": "t", "selectattr": "s", "slice": "n", "sort": "", "string": "", "striptags": "", "sum": "", "title": "",
    "tojson": "", "trim": "", "truncate": "n", "unique": "", "upper": "", "urlencode": "", "wordcount": "", "wordwrap": "n", "xmlattr": "",
}
TESTS = ["boolean", "callable", "defined", "divisibleby(2)", "eq(1)", "escaped", "even", "false", "float", "ge(1)", "gt(1)", "in([1, 'a'])", "integer",
         "iterable", "le(2)", "lower", "lt(3)", "mapping", "ne(1)", "none", "number", "odd", "sequence", "string", "true", "undefined", "upper"]
METHODS = {
    "strip": "", "lstrip": "s", "rstrip": "s", "split": "s", "rsplit": "s", "splitlines": "", "startswith": "s", "endswith": "s", "upper": "",
    "lower": "", "title": "", "capitalize": "", "replace": "ss", "find": "s", "rfind": "s", "count": "s", "join": "e", "format": "e", "isdigit": "",
    "isalpha": "", "isalnum": "", "isspace": "", "isupper": "", "islower": "", "removeprefix": "s", "removesuffix": "s", "zfill": "n", "ljust": "n",
    "rjust": "n", "center": "n", "partition": "s", "rpartition": "s", "expandtabs": "n", "swapcase": "", "casefold": "", "get": "e", "items": "",
    "keys": "", "values": "", "index": "e", "istitle": "",
}


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def pick(self, items):
        return self.rng.choice(list(items))

    def argument(self, kind, depth):
        if kind == "s":
            return self.pick(STRINGS) if self.rng.random() < 0.85 else self.expression(depth)
        if kind == "n":
            return self.pick(NUMBERS) if self.rng.random() < 0.85 else self.expression(depth)
        if kind == "f":
            return "'%s'" % self.pick([f for f, a in FILTERS.items() if not a])
        if kind == "t":
            return "'%s'" % self.pick([t for t in TESTS if "(" not in t])
        return self.expression(depth)

    def arguments(self, kinds, depth):
        count = len(kinds) if self.rng.random() < 0.8 else self.rng.randint(0, 3)
        return ", ".join(self.argument(kinds[k] if k < len(kinds) else "e", depth - 1) for k in range(count))

    def atom(self):
        r = self.rng.random()
        if r < 0.5:
            return self.pick(NAMES)
        if r < 0.7:
            return self.pick(STRINGS)
        if r < 0.9:
            return self.pick(NUMBERS)
        return self.pick(["true", "false", "none", "[]", "{}", "()"])

    def expression(self, depth):
        e = self.expression
        if depth <= 0:
            return self.atom()
        d = depth - 1
        r = self.rng.random()
        if r < 0.1:
            return self.atom()
        if r < 0.32:
            name, kinds = self.pick(FILTERS.items())
            return "%s|%s(%s)" % (self.operand(d), name, self.arguments(kinds, d))
        if r < 0.47:
            name, kinds = self.pick(METHODS.items())
            return "%s.%s(%s)" % (self.operand(d), name, self.arguments(kinds, d))
        if r < 0.6:
            return "%s %s %s" % (self.operand(d), self.pick(["+", "-", "*", "/", "//", "%", "~", "~", "+"]), self.operand(d))
        if r < 0.67:
            return "%s %s %s" % (self.operand(d), self.pick(["==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]), self.operand(d))
        if r < 0.72:
            return "%s is %s%s" % (self.operand(d), self.pick(["", "not "]), self.pick(TESTS))
        if r < 0.77:
            return "(%s if %s else %s)" % (e(d), e(d), e(d))
        if r < 0.83:
            return "%s[%s]" % (self.operand(d), e(d))
        if r < 0.88:
            bound = lambda: self.pick(["", "0", "1", "-1", "2", "-3", "100", e(0)])  # noqa: E731
            return "%s[%s:%s%s]" % (self.operand(d), bound(), bound(), self.pick(["", "", ":-1", ":2", ":-2"]))
        if r < 0.91:
            return "[%s, %s]" % (e(d), e(d))
        if r < 0.94:
            return "{%s: %s, 'k': %s}" % (self.pick(STRINGS + NUMBERS), e(d), e(d))
        if r < 0.97:
            return "%s.%s" % (self.operand(d), self.pick(["x", "name", "a", "items", "role", "0"]))
        return self.pick(["not %s", "-%s", "(%s, 1)"]) % self.operand(d)

    def operand(self, depth):
        text = self.expression(depth)
        return text if re.fullmatch(r"\w+", text) else "(%s)" % text

    def text(self):
        return "".join(self.pick(["a", " ", "\n", "  ", "b\n", "é", "}", "{ ", "\t", "%"]) for _ in range(self.rng.randint(0, 4)))

    def tag(self, body):
        return "{%" + self.pick(["", "", "-", "+"]) + " " + body + " " + self.pick(["", "", "-", "+"]) + "%}"

    def statement(self, depth):
        body = lambda: self.body(depth - 1)  # noqa: E731
        expr = lambda: self.expression(2)  # noqa: E731
        r = self.rng.random()
        if depth <= 0 or r < 0.3:
            return "{{%s %s %s}}" % (self.pick(["", "", "-"]), self.expression(3), self.pick(["", "", "-"]))
        if r < 0.45:
            middle = self.tag("elif " + expr()) + body() if self.rng.random() < 0.3 else ""
            middle += self.tag("else") + body() if self.rng.random() < 0.4 else ""
            return self.tag("if " + expr()) + body() + middle + self.tag("endif")
        if r < 0.65:
            target = self.pick(["x", "y", "x, y"])
            head = "for %s in %s" % (target, self.operand(2)) + (" if " + expr() if self.rng.random() < 0.2 else "")
            inner = body() + self.pick(["", "", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.revindex }}", "{{ loop.previtem }}", "{% if loop.index > 2 %}{% break %}{% endif %}",
                                        "{% if x %}{% continue %}{% endif %}"]) + body()
            return self.tag(head) + inner + (self.tag("else") + body() if self.rng.random() < 0.2 else "") + self.tag("endfor")
        if r < 0.75:
            return self.tag("set %s = %s" % (self.pick(["x", "y", "s", "x, y"]), expr()))
        if r < 0.8:
            return self.tag("set " + self.pick(["x", "y|upper"]).replace("y|", "y | ")) + body() + self.tag("endset")
        if r < 0.86:
            return self.tag("macro m(x, y=%s)" % expr()) + body() + self.tag("endmacro") + "{{ m(%s) }}" % self.arguments("ee", 2)
        if r < 0.9:
            return self.tag("with x = %s" % expr()) + body() + self.tag("endwith")
        if r < 0.93:
            return self.tag("filter " + self.pick(["upper", "trim", "title", "replace('a', 'b')", "indent"])) + body() + self.tag("endfilter")
        if r < 0.96:
            return "{#" + self.pick(["", "-"]) + self.text().replace("{", "") + self.pick([" ", " -"]) + "#}"
        return self.tag("raw").replace("+ raw", " raw").replace("+%}", "%}") + self.text() + self.tag("endraw")

    def body(self, depth):
        return "".join(self.text() + self.statement(depth) for _ in range(self.rng.randint(0, 2))) + self.text()


def reference(source, context):
    try:
        text = ENV.from_string(source).render(**context)
        text.encode()
        return text, ""
    except RecursionError:
        return None, "recursion"
    except Exception as e:
        return None, "%s: %s" % (type(e).__name__, e)


def comparable(source, text, ours):
    if text is not None and re.search(r"0[xX][0-9a-fA-F]{8,}|<built-in|<BUILT-IN|BUILTIN|<Macro|object at", text):
        return False
    why = ours.get("error", "")
    if "is not subscriptable" in why or "slice indices" in why or "'slice'" in why:
        return False  # Jinja2 evaluates slices of constants beforehand and then by other rules
    if "interpreted as an integer" in why and re.search(r"wordwrap|batch|truncate", source):
        return False  # Python happens to get by with a float there
    return "64 bits" not in why


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    build = sys.argv[3] if len(sys.argv) > 3 else "build"
    generator = Generator(random.Random(seed))
    driver = subprocess.Popen([os.path.join(build, "tests/oracle/template_lines")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wrong = errors = compared = 0
    for k in range(count):
        source = "{{ %s }}" % generator.expression(3) if k % 2 else generator.body(3)
        context = FOREIGN if k % 4 < 2 else mktemplates.CONTEXT
        driver.stdin.write(json.dumps({"template": source, "context": context}) + "\n")
        driver.stdin.flush()
        line = driver.stdout.readline()
        if not line:
            print("the driver died on: %r" % source)
            return 1
        ours = json.loads(line)
        if context is FOREIGN and any("\u0410" <= c <= "\u044f" for c in ours.get("template", "")):
            wrong += 1
            print("%r\n   data marked as the template's: %r" % (source, ours))
        text, why = reference(source, context)
        if not comparable(source, text, ours):
            continue
        compared += 1
        errors += text is None
        if ours.get("text") != text:
            wrong += 1
            print("%r\n   python: %r %s\n   ours:   %r" % (source, text, why, ours))
    driver.stdin.close()
    print("%d compared, %d of them errors, %d differ" % (compared, errors, wrong))
    return wrong > 0 or driver.wait() != 0


if __name__ == "__main__":
    sys.exit(main())
