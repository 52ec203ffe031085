#!/bin/sh
# server.sh: builds the public peer's own server, llama-server, from the sources that the package brings, on the prebuilt libraries that setup.sh got: so that
# the kernels are the very ones that `make bench` measures. Its page is left out. A quarter of an hour on two cores, once.
#
#   server.sh DIR      after setup.sh DIR; makes DIR/llama-server
set -eu
dir=$(cd "${1:?usage: server.sh DIR}" && pwd)
. "$dir/env"
cd "$dir"
[ -x llama-server ] && [ llama-server -nt env ] && exit 0
for tool in c++ git xargs; do
    command -v $tool >/dev/null || { echo "server.sh: $tool is missing" >&2 && exit 1; }
done
[ -d source/tools/server ] || {
    rm -rf source
    git clone -q -n node_modules/node-llama-cpp/llama/gitRelease.bundle source
    git -C source checkout -q HEAD -- common include ggml/include tools/server tools/mtmd tools/ui vendor src/llama-ext.h
}
mkdir -p server
cat >server/ui.h <<'UI'
#pragma once
#include <array>
#include <string>
struct llama_ui_asset { std::string name; const unsigned char * data; std::size_t size; std::string etag; std::string type; };
inline const llama_ui_asset * llama_ui_find_asset(const std::string &) { return nullptr; }
inline bool llama_ui_use_gzip() { return false; }
inline const std::array<llama_ui_asset, 0> & llama_ui_get_assets() { static const std::array<llama_ui_asset, 0> none{}; return none; }
UI
flags="-std=c++17 -O2 -fPIC -w -DLLAMA_SHARED -DGGML_SHARED -DGGML_BACKEND_DL -Iserver -Isource -Isource/common -Isource/include -Isource/ggml/include -Isource/src -Isource/tools/mtmd -Isource/tools/server -Isource/vendor
       -Isource/vendor/nlohmann -Isource/vendor/cpp-httplib -Isource/vendor/sheredom -Isource/vendor/miniaudio -Isource/vendor/stb -Isource/vendor/hash"
{
    ls source/tools/server/*.cpp source/vendor/cpp-httplib/*.cpp source/vendor/hash/*.cpp source/tools/mtmd/mtmd*.cpp source/tools/mtmd/clip.cpp source/tools/mtmd/models/*.cpp | grep -v 'mtmd-cli'
} | while read -r f; do
    o=server/$(echo "$f" | tr / _ | sed 's/\.cpp$/.o/')
    [ -f "$o" ] || echo "$f $o"
done | FLAGS=$flags xargs -r -P "$(nproc)" -n 2 sh -c 'c++ $FLAGS -c "$1" -o "$2.new" && mv "$2.new" "$2"' sh
cc -O2 -fPIC -w -Isource/vendor/hash -c source/vendor/hash/sha256/sha256.c -o server/sha256.o
ln -sf "$PEER_LIBS"/libggml-cpu-*.so . # it looks for them beside itself
c++ -o llama-server server/*.o "$PEER_LIBS"/libllama-common.so "$PEER_LIBS"/libllama.*so "$PEER_LIBS"/libggml.*so "$PEER_LIBS"/libggml-base.so -Wl,-rpath,"$PEER_LIBS" -lpthread -ldl
