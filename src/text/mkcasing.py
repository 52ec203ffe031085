#!/usr/bin/env python3
"""Writes tmpl_casing.h: the code points whose upper or title case is several code points (Unicode SpecialCasing.txt, without
the rules that depend on language or context). Run in src/text: python3 mkcasing.py > tmpl_casing.h"""
import sys
import unicodedata

print("/* tmpl_casing.h: case mappings that give several code points, from Unicode %s; written by mkcasing.py. */"
      % unicodedata.unidata_version)
print("struct special_case {\n    uint32_t cp, to[3];\n};")
for name, fn in (("upper", str.upper), ("title", str.title)):
    rows = [(cp, [ord(x) for x in fn(chr(cp))]) for cp in range(sys.maxunicode + 1)
            if not 0xd800 <= cp < 0xe000 and len(fn(chr(cp))) > 1]
    print("static const struct special_case special_%s[] = {" % name)
    for i in range(0, len(rows), 3):
        print("    " + " ".join("{0x%04x, {%s}}," % (cp, ", ".join("0x%04x" % x for x in to)) for cp, to in rows[i:i + 3]))
    print("};")
