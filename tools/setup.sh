#!/bin/sh
# setup.sh: finds what is missing for a purpose, says so, and installs it.
#
#   tools/setup.sh [--check] build|test|full|arm64|page|oracles
#
# --check installs nothing: one line with what is missing, and status 1. What is needed stands in packages.txt. Packages
# are installed on Debian and Ubuntu, through sudo when not root; elsewhere the list is printed and status 1 returned.
set -eu

check=0
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
want=${1:-build}
case $want in
build) groups=" build " ;;
test) groups=" build test " ;;
full) groups=" build test full " ;;
arm64) groups=" arm64 " ;;
page) groups=" page " ;;
oracles) groups=" oracles " ;;
*)
    echo "usage: tools/setup.sh [--check] build|test|full|arm64|page|oracles" >&2
    exit 2
    ;;
esac
list=$(dirname "$0")/packages.txt

# present PROBE: whether this machine has it
present() {
    case $1 in
    cmd:cc) command -v "${CC:-cc}" >/dev/null 2>&1 ;;
    cmd:*) command -v "${1#cmd:}" >/dev/null 2>&1 ;;
    py:*) python3 -c "import ${1#py:}" >/dev/null 2>&1 ;;
    pkg:*) pkg-config --exists "${1#pkg:}" 2>/dev/null ;;
    arm64:*) PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig pkg-config --exists "${1#arm64:}" 2>/dev/null ;;
    arm64so:*) [ -e "/usr/lib/aarch64-linux-gnu/${1#arm64so:}" ] ;;
    hdr:*) echo "#include <${1#hdr:}>" | ${CC:-cc} -E -x c - >/dev/null 2>&1 ;;
    fuzzer)
        echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n < 0; }' |
            clang -fsanitize=fuzzer -x c -o /dev/null - >/dev/null 2>&1
        ;;
    *)
        echo "setup: $list: unknown probe $1" >&2
        exit 2
        ;;
    esac
}

packages=
table=
while read -r group probe package purpose; do
    case $groups in *" $group "*) ;; *) continue ;; esac
    present "$probe" && continue
    packages="$packages $package"
    table="$table$(printf '  %-24s %s' "$package" "$purpose")
"
done <"$list"
[ -n "$packages" ] || exit 0
packages=${packages# }

if [ $check = 1 ]; then
    echo "missing: $packages (install them, or let 'make run' or 'tools/setup.sh $want' do it)"
    exit 1
fi

printf 'Hearth needs these packages, which are missing:\n%s' "$table"

id=unknown like=
if [ -r /etc/os-release ]; then
    id=$(. /etc/os-release && echo "${ID:-unknown}")
    like=$(. /etc/os-release && echo "${ID_LIKE:-}")
fi
case " $id $like " in
*" debian "* | *" ubuntu "*) command -v apt-get >/dev/null 2>&1 || id=unknown ;;
*) id=unknown ;;
esac
if [ "$id" = unknown ]; then
    echo "setup: this is not Debian or Ubuntu: install them (the names are Debian's) with this system's own tool, then try again" >&2
    exit 1
fi

sudo=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: not root, and there is no sudo: run as root: apt-get install $packages" >&2
        exit 1
    fi
    sudo=sudo
    [ -t 0 ] || sudo="sudo -n" # nobody is there to type a password
fi

# apt COMMAND...: apt-get that asks nothing and waits for another one to finish
apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" </dev/null >/dev/null
}
# The names are split into words on purpose.
install() { apt install -y --no-install-recommends $packages; }

if [ $want = arm64 ]; then
    # Ubuntu keeps foreign packages on other servers: adding the architecture alone would break its apt-get update.
    if [ "$id" != debian ]; then
        echo "setup: packages of a foreign architecture are installed on Debian only" >&2
        exit 1
    fi
    echo "Adding the foreign architecture arm64 to dpkg."
    $sudo dpkg --add-architecture arm64
fi
echo "Installing them with apt-get; this can take a minute or two."
# Package lists may be missing, or too old to find what they name.
apt-get -qq -s install --no-install-recommends $packages >/dev/null 2>&1 || apt update
if ! install; then
    apt update && install || {
        echo "setup: apt-get could not install: $packages" >&2
        exit 1
    }
fi

# A package that is there but does not give what its probe looks for would fail later and obscurely.
if ! left=$(sh "$0" --check "$want"); then
    echo "setup: still $left" >&2
    exit 1
fi
