/* test_units.c: numbers of bytes, as people write them. */
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
