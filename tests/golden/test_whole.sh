#!/bin/sh
# test_whole.sh: the goldens, each prompt in one piece.
exec python3 tests/golden/check.py "$HEARTH" --folder "$HEARTH_BUILD/golden/whole" --args "-ub 512"
