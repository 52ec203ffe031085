#!/usr/bin/env python3
"""Writes the seeds of fuzz_gbnf, fuzz_schema and fuzz_answer. Run from anywhere."""
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))

GBNF = [
    (r'root ::= "a" | "bc" x' + "\n" + r"x ::= [^a-c\n]{2,5} .", "bcdef"),
    (r'root ::= ("(" root ")" | "x"?)* # nested', "((x)x)"),
    (r'root ::= "\x41\u00e9\U0001F600" [à-ï]+ {0,3}', "Aé"),
    ('root ::=\n  "a"{3}\n  | r-1{2,}\nr-1 ::= [\\]\\-z]', "aaa"),
    (r'root ::= [^"\\]{0,100000} "\""', "long text, plain\""),
    (r'root ::= a' + "\n" + r'a ::= a "x" | "y"', ""),
]
SCHEMAS = [
    (True, [1, {"a": None}]),
    ({"type": "object", "properties": {"a": {"type": "integer", "minimum": -3, "maximum": 40}, "b": {"enum": ["x", 1, None]}}, "required": ["b"]}, {"b": "x"}),
    ({"type": "string", "pattern": "^(a|[^b-d]{2})+\\d?$", "minLength": 2, "maxLength": 9}, "aae1"),
    ({"type": "array", "prefixItems": [{"const": [1]}], "items": {"$ref": "#"}, "minItems": 1, "maxItems": 200}, [[1]]),
    ({"oneOf": [{"multipleOf": 1.5}, {"multipleOf": 4}], "not": {"const": 3}}, 4),
    ({"$defs": {"n": {"$anchor": "n", "type": ["null", "string"]}}, "additionalProperties": {"$ref": "#n"}, "patternProperties": {"^x": False}}, {"k": None}),
    ({"if": {"required": ["k"]}, "then": {"minProperties": 1}, "else": {"maxProperties": 3}, "dependentRequired": {"a": ["b"]}, "unevaluatedProperties": {"type": "number"}}, {"k": 1}),
    ({"type": "string", "format": "date-time"}, "2024-02-29T12:00:00Z"),
    ({"contains": {"type": "integer"}, "minContains": 1, "maxContains": 2, "items": {"anyOf": [{"type": "null"}, {"type": "integer"}]}}, [None, 1]),
]

TOOL = json.dumps({"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}, "b": {"enum": [1, "x", None]}, "c": {"type": "array", "items": {"type": "boolean"}}}, "required": ["a"]})
ANSWERS = [(chr(65 + syntax) + chr(how) + TOOL, text) for syntax, how, text in [  # see parse_answer
    (1, 0x08 | 1, "<tool_call>"), (4, 0x04, "It is <"), (12, 0x08, "[TOOL_CALLS]f"), (20, 0x04 | 3, "a<tool"), (22, 0x14 | 2, "{\"a\":"), (7, 0x10, "{\"a\": \"x"), (25, 0x08, "[f(a="), (28, 0x20 | 8, "g")]]

for name, seeds in (("answer", ANSWERS), ("gbnf", [(g, t) for g, t in GBNF]), ("schema", [(json.dumps(s), json.dumps(v, separators=(",", ":"))) for s, v in SCHEMAS])):
    folder = os.path.join(HERE, "corpus", name)
    os.makedirs(folder, exist_ok=True)
    for k, (grammar, text) in enumerate(seeds):
        with open(os.path.join(folder, "case%02d" % k), "wb") as f:
            f.write(grammar.encode() + b"\0" + text.encode())
    print(len(seeds), "seeds for", name)
