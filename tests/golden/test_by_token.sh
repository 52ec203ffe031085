#!/bin/sh
# test_by_token.sh: the goldens, token by token.
exec python3 tests/golden/check.py "$HEARTH" --folder "$HEARTH_BUILD/golden/by_token" --args "--chunk 1 -t 1"
