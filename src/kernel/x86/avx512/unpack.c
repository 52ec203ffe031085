/* unpack.c: direct unpackers of the common types, from a file's bytes to a panel of a tile (int8.c says how one lies).
 *
 * In a step of one token each weight is used once, so these decide the speed of generation. */
#include "kernel/x86/avx512/tile.h"
#include "kernel/x86/avx512/transpose.h"
#include "tensor/block.h"

/* Sixteen rows are read side by side, which the processor does not foresee. The sixteen after them follow in memory: they are asked
 * for line by line, as much as is read here, into the cache of the second level. Twice as fast as without. */
static inline const char *prefetch(const char *next, int lines) {
    for (int j = 0; j < lines; j++) _mm_prefetch(next + j * 64, _MM_HINT_T1);
    return next + lines * 64;
}

/* Q8_0: two blocks of a row are a vector. */
static void unpack_q8_0(const char *w, size_t row_bytes, size_t n, uint8_t *t) {
    enum { BLOCK = 512 + 64, BYTES = 34 };
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const char *next = w + PANEL * row_bytes;
    for (size_t i = 0; i < n; i += 64, w += 2 * BYTES, t += 2 * BLOCK) {
        next = prefetch(next, 2 * BYTES * PANEL / 64);
        const bool both = n - i > 32;
        __m512i v[PANEL];
        uint16_t d[2][PANEL];
        UNROLL
        for (size_t r = 0; r < PANEL; r++) {
            const char *b = w + r * row_bytes, *c = both ? b + BYTES : b;
            d[0][r] = get_u16((const void *)b), d[1][r] = get_u16((const void *)c);
            v[r] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)(b + 2))), _mm256_loadu_si256((const void *)(c + 2)), 1);
        }
        transpose16(v);
        UNROLL
        for (int j = 0; j < 8; j++) _mm512_store_si512(t + j * 64, _mm512_xor_si512(v[j], flip));
        _mm512_store_ps((float *)(void *)(t + 512), _mm512_cvtph_ps(_mm256_loadu_si256((const void *)d[0])));
        if (!both) break;
        UNROLL
        for (int j = 0; j < 8; j++) _mm512_store_si512(t + BLOCK + j * 64, _mm512_xor_si512(v[8 + j], flip));
        _mm512_store_ps((float *)(void *)(t + BLOCK + 512), _mm512_cvtph_ps(_mm256_loadu_si256((const void *)d[1])));
    }
}

panel_unpacker tile_unpacker(enum dtype type) {
    switch (type) {
    case DT_Q8_0: return unpack_q8_0;
    default: return NULL;
    }
}
