/* int8.c: the reference integer products. A tile is TILE_OUTS rows of codes, then their scales, then their minimums. */
#include <math.h>
#include <string.h>

#include "kernel/kernel.h"

/* `shared`: activations that share a scale, whole blocks. */
static void quantize(const float *x, size_t n, size_t shared, int8_t *q, struct act_scale *s) {
    float most = 0;
    for (size_t b = 0; b < n; b += ACT_BLOCK, x += ACT_BLOCK, q += ACT_BLOCK, s++) {
        int32_t sum[2] = {0, 0};
        if (b % shared == 0) {
            most = 0;
            for (size_t i = 0; i < shared; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        }
        float d = most / 127, inverse = most > 0 ? 127 / most : 0;
        if (!isfinite(inverse)) inverse = 0, d = 0; /* what is next to nothing becomes nothing */
        for (int i = 0; i < ACT_BLOCK; i++) {
            q[i] = (int8_t)lrintf(x[i] * inverse);
            sum[i / (ACT_BLOCK / 2)] += q[i];
        }
        *s = (struct act_scale){d, d * (float)(sum[0] + sum[1]), {d * (float)sum[0], d * (float)sum[1]}, -128 * (sum[0] + sum[1]), {-128 * sum[0], -128 * sum[1]}, 0};
    }
}

static void act_quantize(const float *x, size_t n, int8_t *q, struct act_scale *s) { quantize(x, n, ACT_BLOCK, q, s); }
static void act_quantize_wide(const float *x, size_t n, int8_t *q, struct act_scale *s) { quantize(x, n, ACT_WIDE, q, s); }

size_t tile_bytes(enum dtype type, size_t n) {
    const struct dtype_info *info = dtype_info(type);
    return TILE_OUTS * (n + n / info->group * sizeof(float) * (info->min ? 2 : 1));
}

size_t half_tile_bytes(size_t n) { return TILE_OUTS * sizeof(uint16_t) * ((n + HALF_BLOCK - 1) / HALF_BLOCK * HALF_BLOCK); }

static void tile_unpack(enum dtype type, const void *w, size_t row_bytes, int outs, size_t n, void *tile) {
    const struct dtype_info *info = dtype_info(type);
    size_t groups = n / info->group;
    int8_t *q = tile;
    float *scale = (float *)(void *)(q + TILE_OUTS * n), *min = scale + TILE_OUTS * groups;
    memset(tile, 0, tile_bytes(type, n));
    for (size_t o = 0; o < (size_t)outs; o++) info->codes((const char *)w + o * row_bytes, n, q + o * n, scale + o * groups, min + o * groups);
}

static float row_product(const struct dtype_info *info, size_t n, const int8_t *w, const float *scale, const float *min, const struct act_row *x) {
    size_t group = info->group;
    float sum = 0;
    for (size_t b = 0; b < n / ACT_BLOCK; b++) {
        const struct act_scale *s = &x->s[b];
        float block = 0;
        for (size_t i = b * ACT_BLOCK; i < (b + 1) * ACT_BLOCK; i += group) {
            int32_t dot = 0;
            for (size_t j = i; j < i + group; j++) dot += w[j] * x->q[j];
            block += (float)dot * scale[i / group];
        }
        sum += block * s->d;
        if (!info->min) continue;
        if (group == ACT_BLOCK) sum -= min[b] * s->sum;
        else sum -= min[2 * b] * s->half_sum[0] + min[2 * b + 1] * s->half_sum[1];
    }
    return sum;
}

static void tile_product(enum dtype type, const void *tile, size_t n, const struct act_row *x, int rows, float *out, size_t ld) {
    const struct dtype_info *info = dtype_info(type);
    size_t groups = n / info->group;
    const int8_t *q = tile;
    const float *scale = (const float *)(const void *)(q + TILE_OUTS * n), *min = scale + TILE_OUTS * groups;
    for (int r = 0; r < rows; r++)
        for (size_t o = 0; o < TILE_OUTS; o++) out[(size_t)r * ld + o] = row_product(info, n, q + o * n, scale + o * groups, min + o * groups, &x[r]);
}

void kernels_ref_int8(struct kernels *k) {
    k->act_quantize = act_quantize;
    k->tile_unpack = tile_unpack;
    k->tile_product = tile_product;
    k->act_quantize_wide = act_quantize_wide;
    k->wide_product = tile_product;
}
