/* iq.c: the integer form of the codebook types IQ1, IQ2 and IQ3: a group of eight (IQ3: four) magnitudes is one entry of a
 * grid in iq_tables.c, its signs are bits, and runs of 16 or 32 elements have a scale of a few bits. The order of the
 * arithmetic is part of the format. These types are only read: finding good entries wants calibration data. */
#include "tensor/block.h"
#include "tensor/codec.h"

/* Eight elements from an entry of unsigned magnitudes. */
static void put8(int8_t *q, uint64_t entry, uint8_t signs) {
    for (int k = 0; k < 8; k++) {
        int v = (int)(entry >> 8 * k & 255), minus = signs >> k & 1;
        q[k] = (int8_t)(minus ? -v : v);
    }
}

/* IQ2_XXS, of each 32 elements: four bytes of indices; then four times seven bits of signs and four of scale. */
void iq2_xxs_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq2_xxs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            const uint8_t *index = b->qs + 8 * run;
            uint32_t bits = get_u32(index + 4);
            *scale++ = d * (0.5f + (float)(bits >> 28)) * 0.25f;
            for (int g = 0; g < 4; g++, q += 8) put8(q, iq2_xxs_grid[index[g]], iq_signs(bits >> 7 * g));
        }
    }
}

/* The scales of IQ2_XS and IQ2_S: a nibble for each 16 elements, the low one first. */
static void iq2_scales(const uint8_t packed[8], float d, float scale[16]) {
    for (int run = 0; run < 16; run++) scale[run] = d * (0.5f + (float)(packed[run / 2] >> 4 * (run & 1) & 15)) * 0.25f;
}

/* IQ2_XS, of each 8 elements: nine bits of index, seven of signs. */
void iq2_xs_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq2_xs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, scale += 16) {
        iq2_scales(b->scales, get_f16(b->d), scale);
        for (int g = 0; g < 32; g++, q += 8) {
            uint16_t bits = get_u16(b->qs + 2 * g);
            put8(q, iq2_xs_grid[bits & 511], iq_signs(bits >> 9));
        }
    }
}

/* IQ2_S: the same with ten bits of index (the upper two in qh) and all eight signs. */
void iq2_s_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq2_s *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++, scale += 16) {
        iq2_scales(b->scales, get_f16(b->d), scale);
        for (int g = 0; g < 32; g++, q += 8) put8(q, iq2_s_grid[b->qs[g] | (b->qh[g / 4] >> g % 4 * 2 & 3) << 8], b->signs[g]);
    }
}

/* Two entries of four as one of eight. */
static uint64_t pair(uint32_t first, uint32_t second) { return first | (uint64_t)second << 32; }

void iq3_xxs_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq3_xxs *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            uint32_t bits = get_u32(b->signs + 4 * run);
            *scale++ = d * (0.5f + (float)(bits >> 28)) * 0.5f;
            for (int g = 0; g < 4; g++, q += 8) {
                const uint8_t *index = b->qs + 8 * run + 2 * g;
                put8(q, pair(iq3_xxs_grid[index[0]], iq3_xxs_grid[index[1]]), iq_signs(bits >> 7 * g));
            }
        }
    }
}

/* IQ3_S: nine bits of index for each four elements, the ninth being bit k of qh for group k. */
void iq3_s_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq3_s *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            *scale++ = d * (float)(1 + 2 * (b->scales[run / 2] >> 4 * (run & 1) & 15));
            for (int g = 0; g < 4; g++, q += 8) {
                const uint8_t *index = b->qs + 8 * run + 2 * g;
                int high = b->qh[run] >> 2 * g;
                put8(q, pair(iq3_s_grid[index[0] | (high & 1) << 8], iq3_s_grid[index[1] | (high & 2) << 7]), b->signs[4 * run + g]);
            }
        }
    }
}

/* Eight elements from an entry of -1, 0 and 1, all moved by an eighth up or down: counted in eighths, so the scale is an
 * eighth too. That is exact: a scale is an odd number of at most 15 times a half float, far from float's subnormals. */
static void put8_moved(int8_t *q, uint64_t entry, int down) {
    for (int k = 0; k < 8; k++) q[k] = (int8_t)((int8_t)(entry >> 8 * k & 255) * 8 + (down ? -1 : 1));
}

/* IQ1_S, of each 32 elements: sixteen bits qh: four times three upper bits of the index, three of scale, the move. */
void iq1_s_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq1_s *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        float d = get_f16(b->d);
        for (int run = 0; run < 8; run++) {
            int qh = get_u16(b->qh + 2 * run);
            *scale++ = d * (float)(2 * (qh >> 12 & 7) + 1) * 0.125f;
            for (int g = 0; g < 4; g++, q += 8) put8_moved(q, iq1_grid[b->qs[4 * run + g] | (qh >> 3 * g & 7) << 8], qh >> 15);
        }
    }
}

/* IQ1_M: a nibble of qh for each 8 elements (three upper bits of the index, the move); three bits of scale for each
 * 16, four of them in each 16-bit word, whose top nibbles together are the half float d. */
void iq1_m_codes(const void *src, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const struct block_iq1_m *b = src;
    for (size_t i = 0; i < n; i += SUPER, b++) {
        uint16_t word[4], bits = 0;
        for (int k = 0; k < 4; k++) {
            word[k] = get_u16(b->scales + 2 * k);
            bits = (uint16_t)(bits | word[k] >> 12 << 4 * k);
        }
        float d = f16_to_f32(bits);
        for (int run = 0; run < 16; run++) *scale++ = d * (float)(2 * (word[run / 4] >> 3 * (run % 4) & 7) + 1) * 0.125f;
        for (int g = 0; g < 32; g++, q += 8) {
            int qh = b->qh[g / 2] >> 4 * (g & 1);
            put8_moved(q, iq1_grid[b->qs[g] | (qh & 7) << 8], qh >> 3 & 1);
        }
    }
}
