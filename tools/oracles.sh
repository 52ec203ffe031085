#!/bin/sh
# oracles.sh: what tests compare with that is not a system's package: tools/oracles.sh OUT
#
# OUT/venv is a Python with tests/oracle/requirements.txt, OUT/node_modules has those of tests/oracle/package-lock.json, where there is a Node. What cannot be had (no
# network, no venv) is said here, and the tests that need it say that they skip. The status is 0 all the same: a machine without a network can test the rest.
set -u
here=$(cd "$(dirname "$0")/../tests/oracle" && pwd)
mkdir -p "$1" && cd "$1" || exit 0

# same LIST: whether it is what was installed last
same() { [ -e "installed-$1" ] && cmp -s "$here/$1" "installed-$1"; }

# missing WHAT LOG
missing() {
    echo "oracles: $1 could not be installed, and what needs them will be skipped; the end of $PWD/$2:"
    tail -n 3 "$2" | sed 's/^/    /'
}

python() {
    rm -rf venv installed-requirements.txt
    python3 -m venv --system-site-packages venv &&
        venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --retries 1 --timeout 20 -r "$here/requirements.txt"
}

node() {
    rm -rf node_modules installed-package-lock.json
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" . && npm ci --no-audit --no-fund --fetch-retries 1 --fetch-timeout 20000
}

# Another Python may have come to stand there since.
knows='import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, ["anthropic", "gguf", "jsonschema", "openai"])))'
if ! same requirements.txt || ! venv/bin/python -c "$knows" 2>/dev/null; then
    if python >python.log 2>&1; then cp "$here/requirements.txt" installed-requirements.txt; else missing "the Python packages" python.log; fi
fi
if command -v npm >/dev/null 2>&1 && ! same package-lock.json; then
    if node >node.log 2>&1; then cp "$here/package-lock.json" installed-package-lock.json; else missing "the packages for Node" node.log; fi
fi
exit 0
