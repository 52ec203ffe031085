#!/bin/sh
# build.sh: makes the static files of the page from web/src: web/build.sh WORK OUT
#
# WORK gets a copy of the sources and the packages of package-lock.json, so that nothing is written beside the sources. Status 3: the packages could not be
# had; 1: the sources do not build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" "$2"
work=$(cd "$1" && pwd) out=$(cd "$2" && pwd)

rm -rf "$work/src"
cp -R "$here/src" "$here/build.mjs" "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$work"
cd "$work"
if ! cmp -s package-lock.json installed.json; then
    rm -f installed.json
    npm ci --no-audit --no-fund >npm.log 2>&1 || {
        echo "build.sh: npm could not install the packages of package-lock.json; the end of $work/npm.log:" >&2
        tail -n 5 npm.log >&2
        exit 3
    }
    cp package-lock.json installed.json
fi
exec node build.mjs "$out"
