/* test_date.c: days as numbers, against the C library's own reckoning. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "store/date.h"

enum { DAY = 86400 };

static void every_day(void **state) {
    (void)state;
    for (int32_t d = 0; d < 120000; d++) { /* until 2298 */
        time_t t = (time_t)d * DAY + d % DAY;
        struct tm tm;
        char want[DATE_TEXT], got[DATE_TEXT];
        int32_t back = -1;
        assert_non_null(gmtime_r(&t, &tm));
        (void)strftime(want, sizeof want, "%Y-%m-%d", &tm);
        date_text(d, got);
        assert_string_equal(got, want);
        assert_true(date_parse(slice_of(want), &back));
        assert_int_equal(back, d);
        assert_int_equal(date_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday), d);
        assert_int_equal(date_utc((int64_t)t * 1000), d);
    }
    assert_int_equal(date_utc(-1), -1);
    assert_int_equal(date_utc(-86400000), -1);
    assert_int_equal(date_utc(-86400001), -2);
}

static void no_days(void **state) {
    (void)state;
    static const char *const bad[] = {"", "2025-02-29", "1900-02-28", "2025-13-01", "2025-00-10", "2025-01-00", "2025-01-32", "2025-04-31", "2025-1-01", "2025-01-1",
                                      "2025/01/01", "20250101", "2025-01-01 ", " 2025-01-01", "2025-01-0x", "+025-01-01", "1969-12-31", "2100-02-29", "12025-01-01"};
    int32_t d;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (date_parse(slice_of(bad[i]), &d)) fail_msg("%s", bad[i]);
    assert_true(date_parse(SLICE("2024-02-29"), &d) && date_parse(SLICE("2000-02-29"), &d) && date_parse(SLICE("9999-12-31"), &d));
}

/* A place's own midnight, also where the clocks change. */
static void local_days(void **state) {
    (void)state;
    static const char *const zones[] = {"UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "<+1345>-13:45", "<-11>11"};
    for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
        assert_int_equal(setenv("TZ", zones[z], 1), 0);
        tzset();
        for (int32_t d = 20000; d < 20800; d++) {
            int64_t start = date_local_start(d);
            assert_int_equal(date_local(start), d);
            assert_int_equal(date_local(start - 1), d - 1);
            assert_int_equal(date_local(start + 22 * 3600000), d); /* the shortest day has 23 hours */
            int64_t length = date_local_start(d + 1) - start;
            assert_true(length == 23 * 3600000 || length == 24 * 3600000 || length == 25 * 3600000);
        }
    }
    assert_int_equal(unsetenv("TZ"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_day), cmocka_unit_test(no_days), cmocka_unit_test(local_days)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
