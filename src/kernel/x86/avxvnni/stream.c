/* stream.c: AVX2's products for few rows, with the instruction that multiplies and adds four bytes; see avx2/dot.h. */
#define SET avxvnni
#include "kernel/x86/avx2/stream.c"
