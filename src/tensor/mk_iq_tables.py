#!/usr/bin/env python3
"""Writes iq_tables.c: the grids of the codebook types, as the `gguf` package states them.

Usage: python3 src/tensor/mk_iq_tables.py > src/tensor/iq_tables.c      (needs: pip install gguf)
"""
from gguf import quants

GRIDS = [("IQ2_XXS", "iq2_xxs_grid", 64), ("IQ2_XS", "iq2_xs_grid", 64), ("IQ2_S", "iq2_s_grid", 64),
         ("IQ1_S", "iq1_grid", 64), ("IQ3_XXS", "iq3_xxs_grid", 32), ("IQ3_S", "iq3_s_grid", 32)]

print("/* iq_tables.c: the grids of the codebook types, facts of the format. Written by mk_iq_tables.py; do not edit. */")
print('#include "tensor/block.h"')
for cls_name, name, bits in GRIDS:
    cls = getattr(quants, cls_name)
    cls.init_grid()
    grid = cls.grid.reshape(cls.grid_shape)
    print(f"\nconst uint{bits}_t {name}[{len(grid)}] = {{")
    words = [sum((int(v) & 255) << 8 * k for k, v in enumerate(entry)) for entry in grid]
    per_line = 6 if bits == 64 else 10
    for i in range(0, len(words), per_line):
        print("    " + " ".join(f"0x{w:0{bits // 4}x}," for w in words[i:i + per_line]))
    print("};")
