/* iq.c: decoding the codebook types IQ1, IQ2 and IQ3: a group of eight (IQ3: four) magnitudes is one entry of a grid
 * in iq_tables.c, its signs are bits, and runs of 16 or 32 elements have a scale of a few bits. The order of the
 * arithmetic is part of the format. These types are only read: finding good entries wants calibration data. */
#include "tensor/block.h"
#include "tensor/codec.h"

/* Eight elements from an entry of unsigned magnitudes. */
static float *put8(float *dst, float scale, uint64_t entry, uint8_t signs) {
    for (int k = 0; k < 8; k++) {
        float v = scale * (float)(entry >> 8 * k & 255);
        *dst++ = signs >> k & 1 ? -v : v;
    }
    return dst;
}

/* IQ2_XXS, of each 32 elements: four bytes of indices; then four times seven bits of signs and four of scale. */
void iq2_xxs_decode(const void *src, float *dst, size_t n) {
    const struct block_iq2_xxs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            const uint8_t *q = b->qs + 8 * run;
            uint32_t bits = get_u32(q + 4);
            float scale = d * (0.5f + (float)(bits >> 28)) * 0.25f;
            for (int g = 0; g < 4; g++) dst = put8(dst, scale, iq2_xxs_grid[q[g]], iq_signs(bits >> 7 * g));
        }
    }
}

/* IQ2_XS, of each 8 elements: nine bits of index, seven of signs; a nibble of scale for each 16. */
void iq2_xs_decode(const void *src, float *dst, size_t n) {
    const struct block_iq2_xs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int g = 0; g < 32; g++) {
            uint16_t q = get_u16(b->qs + 2 * g);
            int s = b->scales[g / 4] >> g / 2 % 2 * 4 & 15;
            float scale = d * (0.5f + (float)s) * 0.25f;
            dst = put8(dst, scale, iq2_xs_grid[q & 511], iq_signs(q >> 9));
        }
    }
}

/* IQ2_S: the same with ten bits of index (the upper two in qh) and all eight signs. */
void iq2_s_decode(const void *src, float *dst, size_t n) {
    const struct block_iq2_s *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int g = 0; g < 32; g++) {
            int q = b->qs[g] | (b->qh[g / 4] >> g % 4 * 2 & 3) << 8, s = b->scales[g / 4] >> g / 2 % 2 * 4 & 15;
            float scale = d * (0.5f + (float)s) * 0.25f;
            dst = put8(dst, scale, iq2_s_grid[q], b->signs[g]);
        }
    }
}

/* Two entries of four as one of eight. */
static uint64_t pair(uint32_t first, uint32_t second) { return first | (uint64_t)second << 32; }

void iq3_xxs_decode(const void *src, float *dst, size_t n) {
    const struct block_iq3_xxs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            uint32_t bits = get_u32(b->signs + 4 * run);
            float scale = d * (0.5f + (float)(bits >> 28)) * 0.5f;
            for (int g = 0; g < 4; g++) {
                const uint8_t *q = b->qs + 8 * run + 2 * g;
                dst = put8(dst, scale, pair(iq3_xxs_grid[q[0]], iq3_xxs_grid[q[1]]), iq_signs(bits >> 7 * g));
            }
        }
    }
}

/* IQ3_S: nine bits of index for each four elements, the ninth being bit k of qh for group k. */
void iq3_s_decode(const void *src, float *dst, size_t n) {
    const struct block_iq3_s *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            float scale = d * (float)(1 + 2 * (b->scales[run / 2] >> 4 * (run & 1) & 15));
            for (int g = 0; g < 4; g++) {
                const uint8_t *q = b->qs + 8 * run + 2 * g;
                int high = b->qh[run] >> 2 * g;
                uint64_t entry = pair(iq3_s_grid[q[0] | (high & 1) << 8], iq3_s_grid[q[1] | (high & 2) << 7]);
                dst = put8(dst, scale, entry, b->signs[4 * run + g]);
            }
        }
    }
}

/* Eight elements from an entry of -1, 0 and 1, all moved by an eighth up or down. */
static float *put8_moved(float *dst, float scale, uint64_t entry, int down) {
    float move = down ? -0.125f : 0.125f;
    for (int k = 0; k < 8; k++) *dst++ = scale * ((float)(int8_t)(entry >> 8 * k & 255) + move);
    return dst;
}

/* IQ1_S, of each 32 elements: sixteen bits qh: four times three upper bits of the index, three of scale, the move. */
void iq1_s_decode(const void *src, float *dst, size_t n) {
    const struct block_iq1_s *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            int qh = get_u16(b->qh + 2 * run);
            float scale = d * (float)(2 * (qh >> 12 & 7) + 1);
            for (int g = 0; g < 4; g++)
                dst = put8_moved(dst, scale, iq1_grid[b->qs[4 * run + g] | (qh >> 3 * g & 7) << 8], qh >> 15);
        }
    }
}

/* IQ1_M: a nibble of qh for each 8 elements (three upper bits of the index, the move); three bits of scale for each
 * 16, four of them in each 16-bit word, whose top nibbles together are the half float d. */
void iq1_m_decode(const void *src, float *dst, size_t n) {
    const struct block_iq1_m *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        uint16_t word[4], bits = 0;
        for (int k = 0; k < 4; k++) {
            word[k] = get_u16(b->scales + 2 * k);
            bits = (uint16_t)(bits | word[k] >> 12 << 4 * k);
        }
        float d = f16_to_f32(bits);
        for (int g = 0; g < 32; g++) {
            int qh = b->qh[g / 2] >> 4 * (g & 1), s = word[g / 8] >> 3 * (g / 2 % 4) & 7;
            dst = put8_moved(dst, d * (float)(2 * s + 1), iq1_grid[b->qs[g] | (qh & 7) << 8], qh >> 3 & 1);
        }
    }
}
