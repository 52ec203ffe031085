/* test_energy.c: the meter of energy, on folders that look like the system's. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "host/energy.h"

static char top[64];

static int make_top(void **state) {
    (void)state;
    (void)snprintf(top, sizeof top, "/tmp/hearth-energy-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state) {
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

static void put(const char *zone, const char *file, const char *text) {
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", top, zone);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/%s/%s", top, zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void zone(const char *name, const char *what, const char *energy) {
    put(name, "name", what);
    put(name, "max_energy_range_uj", "1000000\n");
    if (energy) put(name, "energy_uj", energy);
}

static struct energy_meter *open_meter(void) {
    struct energy_meter *m;
    struct err e = {0};
    assert_int_equal(energy_open(&m, top, 50, &e), 0);
    return m;
}

static void spent(struct energy_meter *m, uint64_t busy_us, bool measured, uint64_t uj) {
    struct energy s = energy_spent(m, busy_us);
    assert_int_equal(s.measured, measured);
    assert_int_equal(s.uj, uj);
}

/* Packages and memory count; cores are in their package, psys and mmio are the same once more. */
static void counters(void **state) {
    (void)state;
    zone("intel-rapl:0", "package-0\n", "100\n");
    zone("intel-rapl:1", "package-1\n", "200\n");
    zone("intel-rapl:0:0", "core\n", "300\n");
    zone("intel-rapl:0:1", "dram\n", "400\n");
    zone("intel-rapl:2", "psys\n", "500\n");
    zone("intel-rapl-mmio:0", "package-0\n", "600\n");
    zone("dtpm:0", "package-0\n", "700\n");
    put("intel-rapl", "enabled", "1\n");
    struct energy_meter *m = open_meter();
    assert_null(energy_why(m));
    spent(m, 1000, true, 0);
    put("intel-rapl:0", "energy_uj", "150\n");
    put("intel-rapl:1", "energy_uj", "207\n");
    put("intel-rapl:0:0", "energy_uj", "999\n");
    put("intel-rapl:0:1", "energy_uj", "402\n");
    put("intel-rapl:2", "energy_uj", "999\n");
    put("intel-rapl-mmio:0", "energy_uj", "999\n");
    spent(m, 1000, true, 50 + 7 + 2);
    spent(m, 1000, true, 0);
    put("intel-rapl:0", "energy_uj", "1000000\n"); /* the largest value there is */
    spent(m, 0, true, 999850);
    put("intel-rapl:0", "energy_uj", "0\n"); /* and the one after it */
    spent(m, 0, true, 1);
    put("intel-rapl:1", "energy_uj", "7\n");
    spent(m, 0, true, 1000000 - 207 + 1 + 7);
    energy_close(m);
}

static void a_counter_goes(void **state) {
    (void)state;
    zone("intel-rapl:0", "package-0\n", "100\n");
    zone("intel-rapl:1", "package-1\n", "100\n");
    static const char *const bad[] = {"", "x\n", "-5\n", "1000001\n", "12 13\n", "99999999999999999999999\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("intel-rapl:1", "energy_uj", "100\n");
        struct energy_meter *m = open_meter();
        spent(m, 10, true, 0);
        put("intel-rapl:1", "energy_uj", bad[i]);
        spent(m, 10, false, 500); /* 50 W for 10 microseconds: never a part as if it were all */
        assert_non_null(energy_why(m));
        put("intel-rapl:1", "energy_uj", "100\n");
        spent(m, 2, false, 100);
        energy_close(m);
        put("intel-rapl:1", "energy_uj", bad[i]);
        m = open_meter();
        assert_non_null(strstr(energy_why(m), "cannot be read"));
        spent(m, 3, false, 150);
        energy_close(m);
    }
}

static void none(void **state) {
    (void)state;
    struct energy_meter *m = open_meter();
    assert_non_null(strstr(energy_why(m), "no counters"));
    spent(m, 1000000, false, 50000000);
    spent(m, UINT64_MAX, false, 366ull * 24 * 3600 * 1000000 * 50); /* a year at most: no overflow */
    energy_close(m);
    struct err e = {0};
    assert_int_equal(energy_open(&m, "/nowhere", 0, &e), 0);
    spent(m, 1000000, false, 0);
    energy_close(m);
    zone("intel-rapl:0", "package-0\n", NULL);
    m = open_meter();
    assert_non_null(energy_why(m));
    energy_close(m);
    put("intel-rapl:0", "max_energy_range_uj", "");
    put("intel-rapl:0", "energy_uj", "100\n");
    m = open_meter();
    assert_non_null(energy_why(m));
    energy_close(m);
    energy_close(NULL);
    mem_fail_after(1);
    assert_int_equal(energy_open(&m, top, 1, &e), ERR_MEMORY);
    mem_fail_after(0);
    assert_null(m);
}

static void forbidden(void **state) {
    (void)state;
    char path[200];
    if (geteuid() == 0) skip(); /* root may read everything */
    zone("intel-rapl:0", "package-0\n", "100\n");
    (void)snprintf(path, sizeof path, "%s/intel-rapl:0/energy_uj", top);
    assert_int_equal(chmod(path, 0), 0);
    struct energy_meter *m = open_meter();
    assert_non_null(strstr(energy_why(m), "root only"));
    spent(m, 1, false, 50);
    energy_close(m);
}

/* Whatever this machine has: nothing but an answer is asked for. */
static void this_machine(void **state) {
    (void)state;
    struct energy_meter *m;
    struct err e = {0};
    assert_int_equal(energy_open(&m, NULL, 10, &e), 0);
    struct energy s = energy_spent(m, 5);
    assert_true(s.measured ? energy_why(m) == NULL : s.uj == 50 && energy_why(m));
    energy_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters, make_top, remove_top), cmocka_unit_test_setup_teardown(a_counter_goes, make_top, remove_top),
        cmocka_unit_test_setup_teardown(none, make_top, remove_top), cmocka_unit_test_setup_teardown(forbidden, make_top, remove_top),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
