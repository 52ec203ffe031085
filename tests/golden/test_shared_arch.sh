#!/bin/sh
# test_shared_arch.sh: the tiny models of the shared data, one for each architecture, against the logits that lie beside them: each
# prompt whole, token by token, and in uneven chunks.
set -u
archive=${HEARTH_SHARED:-../shared}/data/arch.tar.xz
if [ ! -r "$archive" ]; then
    echo "SKIPPED: $archive is not there (set HEARTH_SHARED)"
    exit 77
fi
folder=$HEARTH_BUILD/arch-models
if [ ! -e "$folder/complete" ]; then
    mkdir -p "$folder" && tar -xJf "$archive" -C "$folder" && : >"$folder/complete" || exit 1
fi
passed=0 failed=0
for how in "-ub 512" "--chunk 1 -t 1" "--chunk 7 -ub 5"; do
    echo "$how"
    out=$(python3 tests/golden/check.py "$HEARTH" --folder "$folder" --arch-dir "$folder/arch" --only arch/ --args "$how")
    echo "$out"
    # shellcheck disable=SC2046 # the words of "N passed, N failed"
    set -- $(echo "$out" | tail -n 1)
    passed=$((passed + ${1:-0})) failed=$((failed + ${3:-1}))
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
