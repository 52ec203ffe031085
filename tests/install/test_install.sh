#!/bin/sh
# test_install.sh: what `make install` puts somewhere is whole and usable, and `make uninstall` takes it away again.
#
# A user's program is built against the installed library, shared and static, by what pkg-config says.
set -u
unset MAKEFLAGS MAKELEVEL MFLAGS
case $HEARTH_BUILD in build) ;; *)
    echo "SKIPPED: only the ordinary build is installed"
    exit 77
    ;;
esac
cc=${CC:-cc}
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
prefix=/opt/hearth
at=$root$prefix
passed=0 failed=0

# expect WHAT COMMAND...: counts a command that must succeed
expect() {
    what=$1
    shift
    if "$@" >"$root/out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL: $what"
        sed 's/^/    /' "$root/out"
    fi
}

expect "make install" make -s install DESTDIR="$root" PREFIX=$prefix
for f in bin/hearth include/hearth.h lib/libhearth.a lib/libhearth.so lib/libhearth.so.0 lib/pkgconfig/hearth.pc share/man/man1/hearth.1 share/hearth/prices.ini; do
    expect "$f is installed" test -s "$at/$f"
done
expect "the installed program runs" "$at/bin/hearth" --version

# pkg-config, told where the files lie until they are at their place
export PKG_CONFIG_PATH="$at/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
expect "pkg-config knows the package" pkg-config --exists hearth
for f in examples/*.c; do
    name=$(basename "$f" .c)
    # shellcheck disable=SC2046 # flags are words
    expect "$name links with the shared library" $cc -std=c17 "$f" -o "$root/$name" $(pkg-config --cflags --libs hearth)
    expect "$name uses the shared library" sh -c "readelf -d '$root/$name' | grep -q 'NEEDED.*libhearth.so.0'"
    # The libraries that ours stands on are the system's: their flags come without the moved root.
    # shellcheck disable=SC2046
    expect "$name links with the static library" $cc -std=c17 -I"$at/include" "$f" -o "$root/$name-static" "$at/lib/libhearth.a" \
        $(PKG_CONFIG_SYSROOT_DIR='' pkg-config --libs $(sed -n 's/^Requires.private: //p' "$at/lib/pkgconfig/hearth.pc")) -lpthread -lm
done

# What the library shows is what the header declares, no more and no less.
nm -D --defined-only "$at/lib/libhearth.so" | awk '{ print $3 }' | sort >"$root/shown"
sed -e 's|/\*.*\*/||' "$at/include/hearth.h" | grep -oE '\bhearth_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$root/declared"
expect "the library shows the functions of hearth.h and nothing else" diff "$root/declared" "$root/shown"
expect "the static library shows nothing else" sh -c "! nm -g --defined-only '$at/lib/libhearth.a' | awk 'NF == 3 { print \$3 }' | grep -v '^hearth_'"

expect "make uninstall" make -s uninstall DESTDIR="$root" PREFIX=$prefix
expect "nothing is left" sh -c "! find '$at' ! -type d | grep ."

echo "$passed passed, $failed failed"
[ $failed = 0 ]
