/* test_units.c: numbers of bytes and durations, as people write them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/units.h"

static void bytes(void **state) {
    static const struct {
        const char *text;
        uint64_t v;
    } good[] = {{"0", 0}, {"7", 7}, {"500M", 500000000}, {"2G", 2000000000}, {"1Ki", 1024}, {"6Gi", 6442450944}, {"3T", 3000000000000}, {"18446744073709551615", UINT64_MAX}, {"16777215Ti", 16777215ull << 40}};
    static const char *const bad[] = {"", " 1", "-1", "+1", "G", "1g", "1GB", "1Gib", "1 G", "1.5G", "0x10", "1K1", "18446744073709551616", "16777216Ti", "99999999T", "1i", "1P"};
    (void)state;
    uint64_t v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(units_bytes(good[i].text, &v));
        assert_true(v == good[i].v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (units_bytes(bad[i], &v)) fail_msg("\"%s\" is taken for a number of bytes", bad[i]);
}

static void seconds(void **state) {
    static const struct {
        const char *text;
        double v;
    } good[] = {{"0", 0}, {"300", 300}, {"1.5", 1.5}, {".5", 0.5}, {"90s", 90}, {"5m", 300}, {"1h30m", 5400}, {"1d2h3m4.5s", 93784.5}, {"0s", 0}, {"never", (double)INFINITY}, {"-1", (double)INFINITY}, {"-1s", (double)INFINITY}};
    static const char *const bad[] = {"", "-", ".", "s", "m5", "5m1h", "5m5m", "1h30", "5 m", "5M", "5ms", "+5", "inf", "nan", "Never", "0x10", "1e3", "9999999999999", "1..5", "5m ", "--1"};
    (void)state;
    double v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!units_seconds(good[i].text, &v)) fail_msg("\"%s\" is not taken for a duration", good[i].text);
        assert_true(good[i].v > 1e300 ? v > 1e300 : fabs(v - good[i].v) < 1e-9);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (units_seconds(bad[i], &v)) fail_msg("\"%s\" is taken for a duration", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes), cmocka_unit_test(seconds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
