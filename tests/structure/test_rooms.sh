#!/bin/sh
# test_rooms.sh: the rules of the house, checked on this tree.
exec python3 tests/structure/check.py
