#!/bin/sh
# setup.sh: gets the public peer, llama.cpp as the npm package node-llama-cpp brings it (prebuilt for each level of x86-64 and for
# aarch64), and builds peer.c against it.
#
#   setup.sh DIR      makes DIR/peer, and DIR/env, which says where it and its libraries are
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: setup.sh DIR}
version=${PEER_VERSION:-3.22.1}
case $(uname -m) in
x86_64) system=linux-x64 ;;
aarch64) system=linux-arm64 ;;
*) echo "setup.sh: no peer is known for $(uname -m)" >&2 && exit 1 ;;
esac
for tool in npm git cc; do
    command -v $tool >/dev/null || { echo "setup.sh: $tool is missing" >&2 && exit 1; }
done

mkdir -p "$dir"
cd "$dir"
libs=$PWD/node_modules/@node-llama-cpp/$system/bins/$system
if [ ! -d "$libs" ] || [ ! -d node_modules/node-llama-cpp ]; then
    [ -f package.json ] || echo '{"private": true}' >package.json
    npm install --no-fund --no-audit --ignore-scripts --omit=optional "node-llama-cpp@$version" "@node-llama-cpp/$system@$version"
fi
if [ ! -f include/llama.h ]; then # the sources of that release come with the package
    rm -rf include source
    git clone -q -n node_modules/node-llama-cpp/llama/gitRelease.bundle source
    git -C source checkout -q HEAD -- include ggml/include
    mkdir include
    cp source/include/*.h source/ggml/include/*.h include/
    rm -rf source
fi
cc -std=c17 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -o peer "$here/peer.c" -Iinclude "$libs"/libllama.*so "$libs"/libggml.*so "$libs"/libggml-base.so \
    -Wl,-rpath,"$libs"
printf 'PEER=%s/peer\nPEER_LIBS=%s\nPEER_VERSION=%s\n' "$PWD" "$libs" "$version" >env
