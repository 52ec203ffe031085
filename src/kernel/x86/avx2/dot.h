/* dot.h: which instruction multiplies bytes in vectors of 256 bits. The integer products of AVX2 (int8.c, stream.c) are compiled once for AVX2 and once, in
 * ../avxvnni, for processors that have the dot product of VNNI besides: whole numbers are exact, so that both give the same bits. */
#ifndef HEARTH_AVX2_DOT_H
#define HEARTH_AVX2_DOT_H

#include <immintrin.h>

/* What the names of functions begin with that would be there twice. */
#ifndef SET
#define SET avx2
#endif
#define OF_SET__(set, name) set##_##name
#define OF_SET_(set, name) OF_SET__(set, name)
#define OF_SET(name) OF_SET_(SET, name)

/* c + sums of four products each, of unsigned w by signed x, where one instruction does that: in AVX's encoding, or in that of AVX-512. */
#if defined(__AVXVNNI__)
#define DOT_FOURS(c, w, x) _mm256_dpbusd_avx_epi32(c, w, x)
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DOT_FOURS(c, w, x) _mm256_dpbusd_epi32(c, w, x)
#endif

#endif
