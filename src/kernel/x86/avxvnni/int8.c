/* int8.c: AVX2's integer products, with the instruction that multiplies and adds four bytes; see avx2/dot.h. */
#define SET avxvnni
#include "kernel/x86/avx2/int8.c"
