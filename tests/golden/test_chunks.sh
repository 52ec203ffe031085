#!/bin/sh
# test_chunks.sh: the goldens, in chunks that divide nothing evenly.
exec python3 tests/golden/check.py "$HEARTH" --folder "$HEARTH_BUILD/golden/chunks" --args "--chunk 7 -ub 5 -t 2"
