/* attention.c: AVX-512's attention, with prompts in bfloat16; see avx512/attention.c. */
#define ATTN_SET attn_avx512bf16
#include "kernel/x86/avx512/attention.c"
