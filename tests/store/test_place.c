/* test_place.c: where a person's own files lie. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/place.h"

static void set(const char *name, const char *value) { assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0); }

static void environment(void **state) {
    (void)state;
    static const struct {
        const char *state, *config, *home, *want_state, *want_config;
    } cases[] = {
        {"/s", "/c", "/h", "/s/hearth/x", "/c/hearth/x"},
        {NULL, NULL, "/h", "/h/.local/state/hearth/x", "/h/.config/hearth/x"},
        {"", "", "/h", "/h/.local/state/hearth/x", "/h/.config/hearth/x"},
        {"relative", "./c", "/h", "/h/.local/state/hearth/x", "/h/.config/hearth/x"},
        {"/s", NULL, NULL, "/s/hearth/x", NULL},
        {NULL, NULL, "", NULL, NULL},
        {NULL, NULL, "not/absolute", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf s = {0}, c = {0};
        struct err e = {0};
        set("XDG_STATE_HOME", cases[i].state);
        set("XDG_CONFIG_HOME", cases[i].config);
        set("HOME", cases[i].home);
        int code = place_state(&s, "x", &e);
        if (cases[i].want_state) assert_string_equal(s.data, cases[i].want_state);
        assert_int_equal(code, cases[i].want_state ? 0 : ERR_USAGE);
        code = place_config(&c, "x", &e);
        if (cases[i].want_config) assert_string_equal(c.data, cases[i].want_config);
        assert_int_equal(code, cases[i].want_config ? 0 : ERR_USAGE);
        buf_free(&s);
        buf_free(&c);
    }
    struct buf b = {0};
    struct err e = {0};
    set("HOME", "/h");
    mem_fail_after(1);
    assert_int_equal(place_state(&b, "x", &e), ERR_MEMORY);
    assert_int_equal(place_make_folders("/tmp/a/b", &e), ERR_MEMORY);
    mem_fail_after(0);
}

static void folders(void **state) {
    (void)state;
    char top[] = "/tmp/hearth-place-XXXXXX", path[200], file[200];
    struct stat st;
    struct err e = {0};
    assert_non_null(mkdtemp(top));
    (void)snprintf(path, sizeof path, "%s/a/b//c/file", top);
    assert_int_equal(place_make_folders(path, &e), 0);
    assert_int_equal(place_make_folders(path, &e), 0);
    static const char *const made[] = {"a/b/c", "a/b", "a"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", top, made[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        assert_int_equal(rmdir(path), 0);
    }
    (void)snprintf(file, sizeof file, "%s/file", top);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    (void)fclose(f);
    (void)snprintf(path, sizeof path, "%s/file/below/x", top);
    assert_int_equal(place_make_folders(path, &e), ERR_IO);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(top), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(environment), cmocka_unit_test(folders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
