#!/bin/sh
# check.sh: what goes beyond `make test`.
#
#   tests/check.sh ci              a quarter of an hour: sanitizers, short fuzzing, valgrind on a smoke run
#   tests/check.sh full [STEP]     the whole: also clang, threads, each instruction set, aarch64, and FUZZ_SECONDS (300) for each fuzzer
#                                  and SOAK_SECONDS (600) of many clients under each sanitizer; or the steps alone whose name matches a pattern
#                                  of the shell, as 'aarch64*'
#   tests/check.sh fuzz SECONDS    only fuzzing, SECONDS for each fuzzer
#
# Every step is run even when one before it failed; its output is shown when it fails and kept in build/check. The last line
# is "N passed, N failed", counted in steps.
set -u
cd "$(dirname "$0")/.." || exit 1
mode=${1:-full}
chosen=*
[ "$mode" = full ] && chosen=${2:-*}
logs=build/check
mkdir -p $logs
passed=0 failed=0 bad=
jobs=-j$(nproc 2>/dev/null || echo 1)
unset MAKEFLAGS MAKELEVEL MFLAGS # of the make that called this: its job server is not ours

# step NAME COMMAND...
step() {
    name=$1
    shift
    # shellcheck disable=SC2254 # a pattern
    case $name in $chosen) ;; *) return ;; esac
    log=$logs/$(echo "$name" | tr ' /' '--').log
    start=$(date +%s)
    if "$@" >"$log" 2>&1 </dev/null; then
        passed=$((passed + 1)) word="ok  "
    else
        failed=$((failed + 1)) word=FAIL bad="$bad, $name"
    fi
    # A sum of tests is the more telling part of a log that ends well.
    note=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    echo "$word $name${note:+: $note} ($(($(date +%s) - start)) s)"
    [ "$word" = FAIL ] && grep -vE '^  (CC|AS|AR|LD) ' "$log" | tail -n 150 | sed 's/^/     | /'
}

# build_and_test BUILD WRAP ALSO MAKE-ARGUMENT...: the unit tests, the replays of the corpora and the goldens, built the given way, and the tests whose
# path begins with a word of ALSO
build_and_test() {
    b=$1 wrap=$2
    also=$(printf -- '--only %s ' $3)
    shift 3
    # shellcheck disable=SC2086 # words
    make -s $jobs BUILD="$b" "$@" all test-programs && python3 tests/run.py "$b" --wrap "$wrap" --timeout 3600 \
        --only 'tests/*/test_*.c' --only 'tests/*/fuzz_*.c' --only tests/golden/test_whole $also
}

export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1

# The server, and the program's own tests: what it does with bad input must not leak.
server=tests/serve/test_
sanitizers() { build_and_test build/asan "" "$server tests/app" SAN=address,undefined CFLAGS='-O1 -g'; }
clang_sanitizers() { build_and_test build/clang-asan "" "$server tests/app" CC=clang SAN=address,undefined CFLAGS='-O1 -g'; }
clang_build() { build_and_test build/clang "" $server CC=clang CPPFLAGS=-Werror; }
gcc_warnings() { make -s $jobs BUILD=build/werror CPPFLAGS=-Werror all test-programs; }
# Side by side: each lets the other wait, as clients do.
soak() { HEARTH_BUILD=$1 python3 tests/serve/soak.py "${SOAK_SECONDS:-600}"; }
soaks() {
    soak build/asan &
    soak build/tsan
    other=$?
    wait $! && [ $other = 0 ]
}
threads() { HEARTH_LIGHT=1 build_and_test build/tsan "" $server SAN=thread CFLAGS='-O1 -g'; }

has_cpu() { grep -qw "$1" /proc/cpuinfo; }

# Leaks and uninitialised memory. valgrind knows AVX2 but not AVX-512, so the kernels are held back.
valgrind='valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,possible --suppressions=tests/valgrind.supp'
valgrind_isa=ref
has_cpu avx2 && valgrind_isa=avx2
valgrind_smoke() {
    make -s $jobs all || return 1
    # shellcheck disable=SC2086 # the words of a command
    HEARTH_ISA=$valgrind_isa $valgrind build/hearth run -p 'The sea' -n 8 --temp 0 -t 1
}
# Of the server what is soon over: all of it takes more than an hour here, and the sanitizers have all of it.
valgrind_unit() {
    some=
    for script in access http malformed streams tokens own samplers openai_chat anthropic; do some="$some tests/serve/test_$script.py"; done
    HEARTH_LIGHT=1 HEARTH_ISA=$valgrind_isa build_and_test build "$valgrind" "$some"
}

# isa_test ISA [FLAG OF RUN.PY]...: what computes, with kernels of that instruction set. What the server and the page do does not depend on them.
isa_test() {
    isa=$1
    shift
    make -s $jobs all test-programs && HEARTH_ISA=$isa python3 tests/run.py build --skip tests/web --skip "tests/serve/test_*.py" "$@"
}

# The same instructions are encoded in two ways, and few processors have both: this one's way, compiled from the same lines.
avxvnni() {
    make -s $jobs BUILD=build/avxvnni FLAGS_avxvnni='-march=x86-64-v3 -mavx512vnni -mavx512vl' all test-programs &&
        HEARTH_ISA=avxvnni python3 tests/run.py build/avxvnni --only tests/kernel --only tests/graph --only tests/engine --only tests/golden
}

# The unit tests as an aarch64 machine would run them, under emulation: all of them on a processor that has everything (the tests of kernels
# try every instruction set), those that compute with each lesser set, and an old processor, on which the newer sets must not be found.
aarch64() {
    sh tools/setup.sh arm64 && PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig HEARTH_LIGHT=1 \
        build_and_test build/arm64 'qemu-aarch64 -cpu max' $server CC=aarch64-linux-gnu-gcc || return 1
    for isa in neon dotprod; do
        HEARTH_LIGHT=1 HEARTH_ISA=$isa python3 tests/run.py build/arm64 --wrap 'qemu-aarch64 -cpu max' --timeout 1800 \
            --only 'tests/graph/test_*.c' --only tests/engine/test_kld.c --only tests/engine/test_invariance.c || return 1
    done
    old='qemu-aarch64 -cpu cortex-a53'
    python3 tests/run.py build/arm64 --wrap "$old" --timeout 1800 --only 'tests/kernel/test_*.c' || return 1
    HEARTH_ISA=neon $old build/arm64/hearth run -p 'The sea' -n 2 --temp 0 -t 1 || return 1
    ! HEARTH_ISA=dotprod $old build/arm64/hearth run -p 'The sea' -n 2 --temp 0 -t 1
}
foreign_debian() { [ "$(uname -m)" != aarch64 ] && grep -qx 'ID=debian' /etc/os-release; }

# fuzz_one SOURCE SECONDS: new inputs go to build/fuzz/new, what crashes to build/fuzz/crash
fuzz_one() {
    fuzz_name=$(basename "$1" .c | cut -c6-)
    corpus=$(dirname "$1")/corpus/$fuzz_name
    new=build/fuzz/new/$fuzz_name crash=build/fuzz/crash/
    mkdir -p "$new" "$crash"
    "build/fuzz/${1%.c}" -max_total_time="$2" -rss_limit_mb=2048 -timeout=20 -malloc_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$crash$fuzz_name-" "$new" "$corpus"
}
fuzz_all() {
    fuzz_build() { make -s $jobs BUILD=build/fuzz CC=clang SAN=fuzzer-no-link,address,undefined CFLAGS='-O1 -g' fuzzers; }
    step "build the fuzzers" fuzz_build
    step "each of $(ls tests/*/fuzz_*.c | wc -l) fuzzers for $1 s" fuzz_each "$1"
}
# As many at a time as there are processors. Each has a log; of those that fail it is shown.
fuzz_each() {
    for f in tests/*/fuzz_*.c; do echo "$f"; done | xargs -P "${jobs#-j}" -I '{}' sh tests/check.sh fuzz-one '{}' "$1"
}

case $mode in
ci)
    step "structure" python3 tests/structure/check.py
    step "address and undefined-behaviour sanitizers" sanitizers
    step "clang" clang_build
    step "valgrind on a short generation" valgrind_smoke
    step "reference kernels" isa_test ref --only 'tests/*/test_*.c' --only tests/golden
    fuzz_all 20
    ;;
full)
    step "structure" python3 tests/structure/check.py
    step "gcc without a warning" gcc_warnings
    step "clang without a warning" clang_build
    step "address and undefined-behaviour sanitizers" sanitizers
    step "the same under clang" clang_sanitizers
    step "thread sanitizer" threads
    step "soaks under the address and the thread sanitizer" soaks
    step "reference kernels" isa_test ref
    has_cpu sse4_2 && step "SSE4.2 kernels" isa_test sse42
    has_cpu avx2 && step "AVX2 kernels" isa_test avx2
    has_cpu avx512_vnni && step "AVX-VNNI kernels, in AVX-512's encoding" avxvnni
    has_cpu avx512_vnni && step "AVX-512 kernels" isa_test avx512
    has_cpu avx512_bf16 && step "AVX-512 kernels with BF16" isa_test avx512bf16
    if foreign_debian; then
        step "aarch64, emulated" aarch64
    else
        echo "SKIPPED: aarch64 is emulated on Debian on another processor only"
    fi
    step "valgrind on a short generation" valgrind_smoke
    step "valgrind on the unit tests" valgrind_unit
    fuzz_all "${FUZZ_SECONDS:-300}"
    ;;
fuzz) fuzz_all "${2:-60}" ;;
fuzz-one)
    log=$logs/fuzz-$(basename "$2" .c | cut -c6-).log
    fuzz_one "$2" "$3" >"$log" 2>&1 && echo "$2: $(grep -o 'stat::number_of_executed_units: *[0-9]*' "$log" | grep -o '[0-9]*$') inputs" && exit
    tail -n 60 "$log"
    exit 1
    ;;
*)
    echo "usage: tests/check.sh ci|full [STEP]|fuzz [SECONDS]" >&2
    exit 2
    ;;
esac

[ -z "$bad" ] || echo "failed: ${bad#, }"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
