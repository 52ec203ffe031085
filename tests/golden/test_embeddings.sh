#!/bin/sh
# test_embeddings.sh: the goldens of embedding models, the texts together and each alone.
passed=0 failed=0
for how in "-t 2" "-ub 1 -t 1"; do
    echo "$how"
    out=$(python3 tests/golden/check.py "$HEARTH" --embeddings --folder "$HEARTH_BUILD/golden/embeddings" --args "$how")
    echo "$out"
    # shellcheck disable=SC2046 # the words of "N passed, N failed"
    set -- $(echo "$out" | tail -n 1)
    passed=$((passed + ${1:-0})) failed=$((failed + ${3:-1}))
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
