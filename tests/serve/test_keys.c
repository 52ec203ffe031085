/* test_keys.c: keys and their clients. */
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

#include "base/os.h"
#include "serve/keys.h"

static struct keys *new_keys(void) {
    struct keys *k;
    struct err e = {0};
    if (keys_new(&k, &e)) fail_msg("%s", e.msg);
    return k;
}

static void found(void **state) {
    struct keys *k = new_keys();
    struct err e = {0};
    char longest[KEY_BYTES + 1];
    (void)state;
    memset(longest, 'k', sizeof longest);
    assert_null(keys_find(k, SLICE("")));
    assert_int_equal(keys_count(NULL), 0);
    assert_null(keys_find(NULL, SLICE("x")));
    assert_int_equal(keys_add(k, SLICE("abc"), "first", &e), 0);
    assert_int_equal(keys_add(k, SLICE("abcd"), NULL, &e), 0);
    assert_int_equal(keys_add(k, (struct slice){longest, KEY_BYTES - 1}, "longest", &e), 0);
    assert_int_equal(keys_count(k), 3);
    assert_string_equal(keys_find(k, SLICE("abc")), "first");
    assert_string_equal(keys_find(k, SLICE("abcd")), "key-2");
    assert_string_equal(keys_find(k, (struct slice){longest, KEY_BYTES - 1}), "longest");
    assert_null(keys_find(k, (struct slice){longest, KEY_BYTES}));
    assert_null(keys_find(k, (struct slice){longest, KEY_BYTES + 1}));
    assert_null(keys_find(k, SLICE("")));
    assert_null(keys_find(k, (struct slice){NULL, 0}));
    assert_null(keys_find(k, SLICE("ab")));
    assert_null(keys_find(k, SLICE("abc\0")));
    assert_null(keys_find(k, SLICE("abce")));
    assert_null(keys_find(k, SLICE("ABC")));
    keys_free(k);
}

static void refused(void **state) {
    struct keys *k = new_keys();
    struct err e = {0};
    char text[KEY_BYTES + 1];
    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(keys_add(k, SLICE(""), NULL, &e), ERR_USAGE);
    assert_int_equal(keys_add(k, SLICE("a b"), NULL, &e), ERR_USAGE);
    assert_int_equal(keys_add(k, SLICE("a\n"), NULL, &e), ERR_USAGE);
    assert_int_equal(keys_add(k, SLICE("\xc3\xa9"), NULL, &e), ERR_USAGE);
    assert_int_equal(keys_add(k, (struct slice){text, KEY_BYTES}, NULL, &e), ERR_USAGE);
    assert_int_equal(keys_add(k, SLICE("secret"), "two words", &e), ERR_USAGE);
    assert_int_equal(keys_add(k, SLICE("secret"), "", &e), ERR_USAGE);
    text[CLIENT_BYTES] = 0;
    assert_int_equal(keys_add(k, SLICE("secret"), text, &e), ERR_USAGE);
    assert_int_equal(keys_count(k), 0);
    assert_int_equal(keys_add(k, SLICE("secret"), "one", &e), 0);
    assert_int_equal(keys_add(k, SLICE("secret"), "two", &e), ERR_USAGE);
    assert_null(strstr(e.msg, "secret"));
    assert_non_null(strstr(e.msg, "one"));
    for (int i = 1; i < KEYS_MAX; i++) {
        char key[20];
        int n = snprintf(key, sizeof key, "key %d", i);
        key[3] = '-';
        assert_int_equal(keys_add(k, (struct slice){key, (size_t)n}, NULL, &e), 0);
        if (i > 40) i += 500; /* comparing all with all takes a while */
    }
    keys_free(k);
}

static int from(struct keys *k, const char *content, struct err *e) {
    char path[] = "/tmp/hearth-keys-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    int code = keys_read_file(k, path, e);
    unlink(path);
    return code;
}

static void files(void **state) {
    static const struct {
        const char *content, *word;
    } wrong[] = {{"a b c\n", ":1: "}, {"one first-secret\n\n#\ntwo first-secret\n", ":4: "}, {"x\n\xff\n", ":2: "}};
    struct err e = {0};
    (void)state;
    struct keys *k = new_keys();
    assert_int_equal(from(k, "", &e), 0);
    assert_int_equal(from(k, "# nothing\n\n   \n", &e), 0);
    assert_int_equal(keys_count(k), 0);
    assert_int_equal(from(k, "alpha\nlaptop\tbeta\r\n  gamma  \n#delta\nphone epsilon", &e), 0);
    assert_int_equal(keys_count(k), 4);
    assert_string_equal(keys_find(k, SLICE("alpha")), "key-1");
    assert_string_equal(keys_find(k, SLICE("beta")), "laptop");
    assert_string_equal(keys_find(k, SLICE("gamma")), "key-3");
    assert_string_equal(keys_find(k, SLICE("epsilon")), "phone");
    keys_free(k);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        k = new_keys();
        assert_int_equal(from(k, wrong[i].content, &e), ERR_FORMAT);
        assert_int_equal(e.code, ERR_FORMAT);
        assert_non_null(strstr(e.msg, wrong[i].word));
        assert_null(strstr(e.msg, "secret"));
        keys_free(k);
    }
    k = new_keys();
    assert_int_equal(keys_read_file(k, "/no/such/file", &e), ERR_IO);
    keys_free(k);
}

static void without_memory(void **state) {
    int64_t before = mem_live();
    (void)state;
    for (int64_t n = 1;; n++) {
        struct keys *k;
        struct err e = {0};
        mem_fail_after(n);
        int code = keys_new(&k, &e);
        for (int i = 0; code == 0 && i < 6; i++) {
            char key[] = {'k', (char)('0' + i)};
            code = keys_add(k, (struct slice){key, 2}, i % 2 ? "client" : NULL, &e);
        }
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        keys_free(k);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
        assert_true(n < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(found), cmocka_unit_test(refused), cmocka_unit_test(files), cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
