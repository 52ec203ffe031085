/* test_dtype.c: the element types: table, half floats, integer forms and decoders against goldens that mkgolden.py made. Encoders are in
 * test_encode.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "golden_dtype.h"
#include "tensor/block.h"

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static void test_table(void **state) {
    (void)state;
    size_t known = 0;
    for (uint32_t t = 0; t < DT_LIMIT + 10; t++) {
        const struct dtype_info *info = dtype_info(t);
        if (!info) continue;
        known++;
        assert_int_equal(dtype_by_name(info->name), (int)t);
        assert_int_equal(dtype_size((enum dtype)t, 12 * info->block), 12 * info->bytes);
        if (info->block > 1) {
            assert_int_equal(dtype_size((enum dtype)t, info->block + 1), 0);
            assert_non_null(info->decode);
        }
    }
    assert_int_equal(known, sizeof golden / sizeof *golden + 6); /* and F32, F64, the integers */
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        const struct golden *g = &golden[i];
        const struct dtype_info *info = dtype_info(g->number);
        assert_non_null(info);
        assert_string_equal(info->name, g->name);
        assert_int_equal(info->block, g->block);
        assert_int_equal(info->bytes, g->bytes);
    }
    assert_null(dtype_info(DT_LIMIT));
    assert_null(dtype_info(4)); /* Q4_2, long gone */
    assert_null(dtype_info(UINT32_MAX));
    assert_int_equal(dtype_by_name("q4_k"), DT_Q4_K);
    assert_int_equal(dtype_by_name("iq2_XXS"), DT_IQ2_XXS);
    assert_int_equal(dtype_by_name("q4"), -1);
    assert_int_equal(dtype_by_name(""), -1);
    assert_int_equal(dtype_size(DT_F32, UINT64_MAX / 2), 0);
    assert_int_equal(dtype_size(DT_I64, UINT64_C(1) << 61), 0);
    assert_int_equal(dtype_size(DT_LIMIT, 32), 0);
}

/* What a half float means, from its definition. */
static double half_value(unsigned h) {
    int exp = h >> 10 & 31, man = h & 0x3ff;
    double v = exp ? ldexp(1024 + man, exp - 25) : ldexp(man, -24);
    return h & 0x8000 ? -v : v;
}

static void test_f16_to_f32(void **state) {
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h);
        bool minus = h & 0x8000;
        assert_int_equal(signbit(f) != 0, minus);
        if ((h & 0x7c00) != 0x7c00)
            assert_true((double)f == half_value(h));
        else if (h & 0x3ff)
            assert_true(isnan(f) && (bits_of(f) & 0x00400000)); /* quiet */
        else
            assert_true(isinf(f));
        bool nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff);
        assert_int_equal(f32_to_f16(f), nan ? h | 0x200 : h);
    }
}

/* Around the middle between each half and the next: below it goes down, above it up, on it to the even one. */
static void test_f32_to_f16(void **state) {
    (void)state;
    for (unsigned h = 0; h < 0x7c00; h++) {
        double low = half_value(h), high = h + 1 < 0x7c00 ? half_value(h + 1) : 65536, mid = (low + high) / 2;
        float m = (float)mid;
        assert_true((double)m == mid);
        unsigned even = h & 1 ? h + 1 : h;
        for (unsigned sign = 0; sign <= 0x8000; sign += 0x8000) {
            float s = sign ? -1 : 1;
            assert_int_equal(f32_to_f16(s * nextafterf(m, 0)), sign | h);
            assert_int_equal(f32_to_f16(s * m), sign | even);
            assert_int_equal(f32_to_f16(s * nextafterf(m, INFINITY)), sign | (h + 1));
        }
    }
    assert_int_equal(f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(f32_to_f16(float_of(1)), 0);
    assert_int_equal(f32_to_f16(float_of(0x7f800001)), 0x7e00); /* a NaN never becomes an infinity */
    assert_int_equal(f32_to_f16(float_of(0xffc02000)), 0xfe01);
}

#ifdef __FLT16_MAX__
__extension__ typedef _Float16 half;
#endif

static void test_f16_hardware(void **state) {
    (void)state;
#ifdef __FLT16_MAX__
    struct rng rng = rng_new(7, 1);
    for (int i = 0; i < 2000000; i++) {
        uint32_t u = rng_u32(&rng);
        if (i & 1) u = (u & 0x8fffffff) | 0x30000000; /* more of those in a half's range */
        float f = float_of(u);
        if (isnan(f)) continue;
        half h = (half)f;
        uint16_t expected;
        memcpy(&expected, &h, sizeof expected);
        assert_int_equal(f32_to_f16(f), expected);
    }
#else
    printf("SKIPPED: this compiler has no _Float16\n");
    skip();
#endif
}

static void test_bf16(void **state) {
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float f = bf16_to_f32((uint16_t)h);
        assert_int_equal(bits_of(f), h << 16);
        bool nan = (h & 0x7fff) > 0x7f80;
        assert_int_equal(f32_to_bf16(f), nan ? h | 0x40 : h);
        if ((h & 0x7f80) == 0x7f80) continue;
        uint32_t mid = h << 16 | 0x8000;
        assert_int_equal(f32_to_bf16(float_of(mid - 1)), h);
        assert_int_equal(f32_to_bf16(float_of(mid)), h + (h & 1));
        assert_int_equal(f32_to_bf16(float_of(mid + 1)), h + 1);
    }
    assert_int_equal(f32_to_bf16(float_of(0x7fffffff)), 0x7fff);
    assert_int_equal(f32_to_bf16(float_of(0x7f800001)), 0x7fc0);
}

static uint64_t fnv1a(const float *f, size_t n) {
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(f[i]);
        for (int k = 0; k < 32; k += 8) h = (h ^ (u >> k & 255)) * 0x100000001b3;
    }
    return h;
}

static void test_decode(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        const struct golden *g = &golden[i];
        const struct dtype_info *info = dtype_info(g->number);
        unsigned char odd[GOLDEN_BLOCKS * 300 + 1];
        float out[GOLDEN_BLOCKS * 256 + 1];
        assert_true(GOLDEN_BLOCKS * g->bytes < sizeof odd);
        memcpy(odd + 1, g->blocks, GOLDEN_BLOCKS * g->bytes); /* blocks need no alignment */
        size_t n = GOLDEN_BLOCKS * g->block;
        out[n] = 123;
        info->decode(odd + 1, out, n);
        assert_true(out[n] == 123);
        for (unsigned b = 0; b < GOLDEN_BLOCKS; b++)
            if (fnv1a(out + b * g->block, g->block) != g->hash[b]) fail_msg("%s: block %u is decoded wrongly", g->name, b);
    }
}

static void test_decode_wide(void **state) {
    (void)state;
    double wide[3] = {1.5, 1e-3, -1e300};
    float out[3], in[3] = {0.1f, -0.0f, NAN};
    dtype_info(DT_F64)->decode(wide, out, 3);
    assert_true(out[0] == 1.5f && out[1] == 1e-3f && out[2] == -INFINITY);
    unsigned char odd[13];
    dtype_info(DT_F32)->encode(in, odd + 1, 3, NULL);
    dtype_info(DT_F32)->decode(odd + 1, out, 3);
    assert_memory_equal(in, out, sizeof in);
}

/* Any bytes decode without undefined behaviour: scales that are infinite or no numbers give such elements, no more. */
static void test_decode_any_bytes(void **state) {
    (void)state;
    struct rng rng = rng_new(11, 1);
    for (uint32_t t = 0; t < DT_LIMIT; t++) {
        const struct dtype_info *info = dtype_info(t);
        if (!info || !info->decode) continue;
        unsigned char bytes[300];
        float out[257];
        for (int round = 0; round < 300; round++) {
            for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = round == 0 ? 255 : (unsigned char)rng_u32(&rng);
            out[info->block] = 7;
            info->decode(bytes, out, info->block);
            assert_true(out[info->block] == 7);
        }
    }
}

/* The integer form: which types have it and of what kind, codes in their range, nothing written beyond its end, and floats that hash to
 * the goldens when they are made here from it. */
static void test_codes(void **state) {
    (void)state;
    static const enum dtype mins[] = {DT_Q4_1, DT_Q5_1, DT_Q2_K, DT_Q4_K, DT_Q5_K};
    static const enum dtype sixteens[] = {DT_Q2_K, DT_Q3_K, DT_Q6_K, DT_IQ1_M, DT_IQ2_XS, DT_IQ2_S, DT_NVFP4};
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        const struct golden *g = &golden[i];
        const struct dtype_info *info = dtype_info(g->number);
        bool min = false, sixteen = false;
        for (size_t k = 0; k < sizeof mins / sizeof *mins; k++) min = min || mins[k] == g->number;
        for (size_t k = 0; k < sizeof sixteens / sizeof *sixteens; k++) sixteen = sixteen || sixteens[k] == g->number;
        assert_int_equal(info->min, min);
        assert_int_equal(info->group, info->block == 1 ? 0 : sixteen ? 16 : 32);
        assert_int_equal(info->codes != NULL, info->block > 1);
        if (!info->codes) continue;
        enum { MOST = GOLDEN_BLOCKS * 256 };
        int8_t q[MOST + 1];
        float scale[MOST / 16 + 1], least[MOST / 16 + 1], out[MOST];
        size_t n = GOLDEN_BLOCKS * g->block, groups = n / info->group;
        q[n] = 77;
        scale[groups] = least[min ? groups : 0] = 123;
        info->codes(g->blocks, n, q, scale, least);
        assert_true(q[n] == 77 && scale[groups] == 123 && least[min ? groups : 0] == 123);
        for (size_t j = 0; j < n; j++) {
            assert_true(!min || q[j] >= 0);
            out[j] = scale[j / info->group] * (float)q[j];
            if (min) out[j] -= least[j / info->group];
        }
        for (unsigned b = 0; b < GOLDEN_BLOCKS; b++)
            if (fnv1a(out + b * g->block, g->block) != g->hash[b]) fail_msg("%s: the codes of block %u are wrong", g->name, b);
    }
    for (uint32_t t = 0; t < DT_LIMIT; t++) /* no golden, no integer form */
        if (dtype_info(t) && dtype_info(t)->block == 1) assert_true(!dtype_info(t)->codes && !dtype_info(t)->group && !dtype_info(t)->min);
}

/* Decoding many blocks at once is decoding them one by one, and is what codes, scales and minimums say, for any bytes. */
static void test_decode_is_codes(void **state) {
    (void)state;
    struct rng rng = rng_new(12, 1);
    enum { MOST = 1280 };
    static unsigned char bytes[MOST / 32 * 36 + 300];
    for (uint32_t t = 0; t < DT_LIMIT; t++) {
        const struct dtype_info *info = dtype_info(t);
        if (!info || !info->codes) continue;
        for (uint32_t n = 0; n <= MOST; n += info->block) {
            int8_t q[MOST];
            float scale[MOST / 16], min[MOST / 16], all[MOST], one[256];
            for (size_t i = 0; i < n / info->block * info->bytes; i++) bytes[i] = (unsigned char)rng_u32(&rng);
            info->decode(bytes, all, n);
            info->codes(bytes, n, q, scale, info->min ? min : NULL);
            for (uint32_t i = 0; i < n; i++) {
                if (i % info->block == 0) info->decode(bytes + i / info->block * info->bytes, one, info->block);
                float want = scale[i / info->group] * (float)q[i], same = one[i % info->block];
                if (info->min) want -= min[i / info->group];
                if (isnan(want) ? !isnan(all[i]) || !isnan(same) : bits_of(all[i]) != bits_of(want) || bits_of(all[i]) != bits_of(same))
                    fail_msg("%s: element %u of %u is %a, by its codes %a, alone %a", info->name, i, n, (double)all[i], (double)want, (double)same);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_f16_to_f32), cmocka_unit_test(test_f32_to_f16),
        cmocka_unit_test(test_f16_hardware),  cmocka_unit_test(test_bf16),       cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_wide),   cmocka_unit_test(test_decode_any_bytes),
        cmocka_unit_test(test_codes),         cmocka_unit_test(test_decode_is_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
