#!/usr/bin/env python3
"""man.py: writes the commands and their flags, as the program's own --help tells them, into its manual page.

    tools/man.py [--check] PROGRAM PAGE

Flags that several commands share are listed once, at the end. --check changes nothing: it shows the difference and returns
status 1 when there is one.
"""
import difflib
import re
import subprocess
import sys

BEGIN, END = '.\\" commands: written by `make docs`\n', '.\\" end of commands\n'
SHARED = 3  # a flag of so many commands is a common one


def ask(program, *args):
    return subprocess.run([program, *args], check=True, stdout=subprocess.PIPE).stdout.decode()


def escape(text):
    """Prose as roff: a backslash, a hyphen that is a minus, a line that would be a request."""
    text = text.replace("\\", "\\e").replace('"', "\\(dq")
    return re.sub(r"(?<!\w)-(?=[-\w])", r"\\-", text)


def commands(program):
    """[(name, usage, help, [(names, value, help)])]"""
    found = []
    for name in re.findall(r"^  (\w+)\s", ask(program, "--help"), re.M):
        text = ask(program, name, "--help")
        usage = text.split("\n", 1)[0].split(f"hearth {name}", 1)[1].strip()
        about = text.split("\n\n")[1].strip()
        flags = re.findall(r"^  (-[^\s,]+(?:, -[^\s,]+)*)(?: (\S.*?))??(?:  +|\n {10,})(.*)$", text, re.M)
        found.append((name, usage, about, flags))
    return found


def item(names, value, about):
    heads = " , ".join("Fl " + n[1:].replace("-", "\\-") for n in names.split(", "))
    return f".It {heads}{' Ar ' + value if value else ''}\n{escape(sentence(about))}\n"


def sentence(text):
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def flag_list(flags):
    return ".Bl -tag -width Ds\n" + "".join(item(*f) for f in flags) + ".El\n" if flags else ""


def page(program):
    all_commands = commands(program)
    if not all_commands:
        sys.exit(f"{program} --help names no command")
    uses = {}
    for _, _, _, flags in all_commands:
        for f in flags:
            uses[f] = uses.get(f, 0) + 1
    out = ""
    for name, usage, about, flags in all_commands:
        out += f".Ss hearth {name} {escape(usage)}\n{escape(sentence(about))}\n"
        out += flag_list([f for f in flags if uses[f] < SHARED])
    common = [f for f in uses if uses[f] >= SHARED]
    if common:
        out += ".Ss Flags that several commands share\n" + flag_list(common)
    return out


def main():
    check = "--check" in sys.argv
    program, path = [a for a in sys.argv[1:] if a != "--check"]
    old = open(path, encoding="utf-8").read()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"{path}: the markers of the commands are missing or there twice")
    head, rest = old.split(BEGIN)
    new = f"{head}{BEGIN}{page(program)}{END}{rest.split(END)[1]}"
    if check:
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), path, "make docs"))
        return old != new
    with open(path, "w", encoding="utf-8") as f:
        f.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
