/* test_config.c: flags and files of settings. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serve/config.h"

static int from_bytes(struct serve_config *c, const char *content, size_t n, struct err *e) {
    char path[] = "/tmp/hearth-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, n), n);
    close(fd);
    int code = config_read_file(c, path, e);
    unlink(path);
    return code;
}
static int from(struct serve_config *c, const char *content, struct err *e) { return from_bytes(c, content, strlen(content), e); }

static void defaults(void **state) {
    struct serve_config c;
    (void)state;
    config_init(&c);
    assert_int_equal(c.port, 11435);
    assert_string_equal(c.host, "127.0.0.1");
    assert_true(!c.api_key_file && !c.models_dir && c.api_key.n == 0 && c.origin.n == 0 && c.ctx == 0 && c.alias.n == 0 && c.normalise && c.cache_disk == 0 && !c.cache_dir && !c.cache_key_file);
    config_free(&c);
    for (int i = 0; i < CONFIG_ROWS; i++) assert_non_null(config_name(i));
    assert_null(config_name(CONFIG_ROWS));
    assert_null(config_name(-1));
}

static void a_file(void **state) {
    struct serve_config c;
    struct err e = {0};
    (void)state;
    config_init(&c);
    int code = from(&c, "# a comment\r\n; another\n\n [server] \nport=8080\r\n  host = ::1\napi-key = one\napi-key = two\norigin=https://a.example\nctx = 8192\nparallel = 4\nthreads=2\n"
                        "models-dir = \"/models with blanks\"\nadapters-dir = /a\nadapters-dir=/b c\nkeep-alive = 1h30m\nmemory = 12G\nkv-type = q8_0\ncache-ram = 500M\ncache-disk = 2Gi\ncache-dir = /a/b\ncache-key-file = /k\nalias = gpt-*=big\nalias = x=\nnormalise = no\n[server]\napi-key-file=/keys = here", &e);
    if (code) fail_msg("%s", e.msg);
    assert_int_equal(c.port, 8080);
    assert_true(c.alias.n == 2 && !c.normalise);
    assert_string_equal(c.alias.at[0], "gpt-*=big"); /* a value may have a = in it */
    assert_string_equal(c.host, "::1");
    assert_int_equal(c.api_key.n, 2);
    assert_string_equal(c.api_key.at[1], "two");
    assert_string_equal(c.origin.at[0], "https://a.example");
    assert_true(c.ctx == 8192 && c.parallel == 4 && c.threads == 2);
    assert_string_equal(c.models_dir, "/models with blanks");
    assert_int_equal(c.adapters_dir.n, 2);
    assert_string_equal(c.adapters_dir.at[1], "/b c");
    assert_true(fabs(c.keep_alive - 5400) < 1e-9 && c.model_memory == 12000000000);
    assert_string_equal(c.kv_type, "q8_0");
    assert_true(c.cache_ram == 500000000 && c.cache_disk == (uint64_t)2 << 30);
    assert_string_equal(c.cache_dir, "/a/b");
    assert_string_equal(c.cache_key_file, "/k");
    assert_string_equal(c.api_key_file, "/keys = here");
    config_free(&c);
}

static void flags_win(void **state) {
    static const char file[] = "[server]\nport = 1\nhost = file\napi-key = f1\napi-key = f2\norigin = fo\ncache-ram = 1G\n";
    (void)state;
    for (int file_first = 0; file_first < 2; file_first++) {
        struct serve_config c;
        struct err e = {0};
        config_init(&c);
        if (file_first) assert_int_equal(from(&c, file, &e), 0);
        assert_int_equal(config_flag(&c, "port", "2", &e), 0);
        assert_int_equal(config_flag(&c, "api-key", "a", &e), 0);
        assert_int_equal(config_flag(&c, "api-key", "b", &e), 0);
        assert_int_equal(config_flag(&c, "cache-ram", "3Gi", &e), 0);
        assert_int_equal(config_flag(&c, "port", "3", &e), 0); /* the last of two */
        if (!file_first) assert_int_equal(from(&c, file, &e), 0);
        assert_int_equal(c.port, 3);
        assert_string_equal(c.host, "file");
        assert_int_equal(c.api_key.n, 2);
        assert_string_equal(c.api_key.at[0], "a");
        assert_string_equal(c.origin.at[0], "fo");
        assert_true(c.cache_ram == (uint64_t)3 << 30);
        config_free(&c);
    }
}

static void wrong_files(void **state) {
    static const struct {
        const char *content, *where, *word;
    } wrong[] = {
        {"port = 1\n", ":1: ", "[server]"}, {"[client]\n", ":1: ", "unknown section"}, {"[server]\nprot = 1\n", ":2: ", "\"prot\""}, {"[server]\n\n\nsecret-key\n", ":4: ", "neither"},
        {"[server]\nport = 70000\n", ":2: ", "65535"}, {"[server]\nport = x\n", ":2: ", "whole number"}, {"[server]\nport =\n", ":2: ", "whole number"}, {"[server]\nport = 1 2\n", ":2: ", "whole number"},
        {"[server]\nport = 1\nport = 2\n", ":3: ", "line 2"}, {"[server]\nhost =\n", ":2: ", "empty"}, {"[server]\nhost = \"\"\n", ":2: ", "empty"}, {"[server]\ncache-ram = 2GB\n", ":2: ", "number of bytes"},
        {"[server]\nctx = -1\n", ":2: ", "from 0"}, {"[server]\nctx = 99999999999999999999\n", ":2: ", "from 0"}, {"[server]\nkeep-alive = soon\n", ":2: ", "no duration"}, {"[server]\n= 1\n", ":2: ", "unknown setting"}, {"[server]\nPort = 1\n", ":2: ", "unknown setting"},
        {"[server]\nalias = gpt-4\n", ":2: ", "is not PATTERN=MODEL"}, {"[server]\nalias = a*b=c\n", ":2: ", "may only end"}, {"[server]\nnormalise = maybe\n", ":2: ", "neither yes nor no"}, {"[server\n", ":1: ", "unknown section"}, {"[server]\nport\x01 = 1\n", ":2: ", "\\x01"},
    };
    struct err e = {0};
    struct serve_config c;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        config_init(&c);
        assert_int_equal(from(&c, wrong[i].content, &e), ERR_FORMAT);
        assert_int_equal(e.code, ERR_FORMAT);
        if (!strstr(e.msg, wrong[i].where) || !strstr(e.msg, wrong[i].word) || strstr(e.msg, "secret")) fail_msg("%s, and not '%s' and '%s'", e.msg, wrong[i].where, wrong[i].word);
        config_free(&c);
    }
    config_init(&c);
    assert_int_equal(config_read_file(&c, "/no/such/file", &e), ERR_IO);
    assert_int_equal(from_bytes(&c, "[server]\nhost = a\0b\n", 20, &e), ERR_FORMAT);
    char *large = malloc(6000);
    int n = snprintf(large, 6000, "[server]\nhost = %05000d\n", 1);
    assert_int_equal(from_bytes(&c, large, (size_t)n, &e), ERR_FORMAT);
    free(large);
    assert_int_equal(config_flag(&c, "port", "1", &e), 0);
    assert_int_equal(from(&c, "[server]\nport = wrong\n", &e), ERR_FORMAT); /* also where a flag has said something else */
    config_free(&c);
    config_init(&c);
    for (int i = 0; i < CONFIG_LIST_MAX; i++) assert_int_equal(config_flag(&c, "origin", "x", &e), 0);
    assert_int_equal(config_flag(&c, "origin", "x", &e), ERR_USAGE);
    config_free(&c);
}

static void wrong_flags(void **state) {
    struct err e = {0};
    struct serve_config c;
    (void)state;
    config_init(&c);
    assert_int_equal(config_flag(&c, "port", "99999", &e), ERR_USAGE);
    assert_string_equal(e.msg, "--port 99999: must be from 0 to 65535");
    assert_int_equal(config_flag(&c, "cache-ram", "much", &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "--cache-ram: \"much\""));
    assert_int_equal(config_flag(&c, "nonsense", "1", &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "--nonsense"));
    assert_int_equal(config_flag(&c, "host", "", &e), ERR_USAGE);
    assert_int_equal(c.port, 11435);
    config_free(&c);
}

/* Files of random bytes and of random lines: an error or none, nothing lost. */
static void any_file(void **state) {
    static const char *const pieces[] = {"[server]\n", "port = ", "=", "\n", "1", "\"", "host=a\n", "api-key = k\n", "#", "[", "]", " ", "\r\n", "\0", "\xff", "cache-ram = 1G\n", "origin", "=x\n"};
    struct rng rng = rng_new(3, 0);
    int64_t before = mem_live();
    (void)state;
    for (int i = 0; i < 2000; i++) {
        char text[400];
        size_t n = 0;
        for (uint32_t k = rng_u32(&rng) % 20; k-- > 0;) {
            const char *piece = pieces[rng_u32(&rng) % (sizeof pieces / sizeof *pieces)];
            size_t len = *piece ? strlen(piece) : 1;
            memcpy(text + n, piece, len);
            n += len;
        }
        struct serve_config c;
        struct err e = {0};
        config_init(&c);
        int code = from_bytes(&c, text, n, &e);
        assert_true(code == 0 || (code == ERR_FORMAT && strchr(e.msg, ':')));
        config_free(&c);
    }
    assert_int_equal(mem_live(), before);
}

static void without_memory(void **state) {
    int64_t before = mem_live();
    (void)state;
    for (int64_t n = 1;; n++) {
        struct serve_config c;
        struct err e = {0};
        config_init(&c);
        mem_fail_after(n);
        int code = from(&c, "[server]\nhost = a\napi-key = b\norigin = c\n", &e);
        if (code == 0) code = config_flag(&c, "api-key", "d", &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        config_free(&c);
        assert_int_equal(mem_live(), before);
        if (!failed) break;
        assert_true(n < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults), cmocka_unit_test(a_file), cmocka_unit_test(flags_win), cmocka_unit_test(wrong_files), cmocka_unit_test(wrong_flags), cmocka_unit_test(any_file), cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
