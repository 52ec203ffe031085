/* test_body.c: bodies that are no JSON: the message names the field that went wrong, however the text is spoilt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serve/body.h"
#include "support/light.h"

static void names(void **state) {
    static const struct {
        const char *text, *says; /* the beginning of the message */
    } cases[] = {
        {"{\"model\": \"m\", \"top_p\": 1e999}", "top_p: the body is not JSON: line 1, column "},
        {"{\"max_tokens\": 100000000000000000000000}", "max_tokens: the body is not JSON: "},
        {"{\"a\": {\"b\": [1, [2, NaN]]}}", "a.b[1][1]: the body is not JSON: "},
        {"{\"a\": [{}, {\"b\": 1, \"c\": -Infinity}]}", "a[1].c: the body is not JSON: "},
        {"{\"m\": [{\"x\": 1}, {\"x\": 2, \"x\": 3}]}", "m[1].x: the body is not JSON: line 1, column 29: duplicate object key"},
        {"{\"m\": [{\"content\": \"a\\\"]}\", \"b\": \"\xff\"}]}", "m[0].b: the body is not JSON: "},
        {"{\"a\": \"\\ud800\"}", "a: the body is not JSON: "},
        {"{\"a\" 1}", "a: the body is not JSON: "},
        {"{\"a\x01\": 1}", "the body is not JSON: "},
        {"{\"a\": 1, , \"b\": 2}", "the body is not JSON: "},
        {"{\"a\": 1", "the body is not JSON: "}, /* no field is to blame for what is missing at the end */
        {"{\"a\": \"b", "the body is not JSON: "},
        {"{\"a\": 1} x", "the body is not JSON: "},
        {"", "the body is not JSON: "},
        {"]}]", "the body is not JSON: "},
        {"[]", "the body is not a JSON object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *body;
        struct err e = {0};
        assert_int_equal(body_parse(&body, slice_of(cases[i].text), &e), ERR_FORMAT);
        assert_null(body);
        if (strncmp(e.msg, cases[i].says, strlen(cases[i].says)) != 0) fail_msg("%s\n  says: %s\n  and not: %s", cases[i].text, e.msg, cases[i].says);
    }
}

/* As deep as may be, and longer than a path. */
static void deep(void **state) {
    char text[4096];
    json_t *body;
    struct err e = {0};
    size_t n = 0;
    (void)state;
    for (int i = 0; i < BODY_DEPTH / 2; i++) n += (size_t)snprintf(text + n, sizeof text - n, "{\"a_rather_long_name\": [1, 2, ");
    (void)snprintf(text + n, sizeof text - n, "NaN");
    n += 3;
    text[n++] = ' ';
    assert_int_equal(body_parse(&body, (struct slice){text, n}, &e), ERR_FORMAT);
    assert_memory_equal(e.msg, "a_rather_long_name[2].a_rather_long_name[2].", 44);
    assert_non_null(strstr(e.msg, "invalid token near 'NaN'"));
}

static void spoilt(void **state) {
    static const char whole[] = "{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\\\"\\u00e4\\\\\"}]}, [], {}], \"n\": 1.5e3, \"x\": {\"y\": [null, true, false]}}";
    static const char pieces[] = "\"\\{}[],:1e-N\x80\xff\x01 ";
    struct rng rng = rng_new(5, 1);
    (void)state;
    const int rounds = light("most of the spoilt bodies") ? 2000 : 20000;
    for (int i = 0; i < rounds; i++) {
        char text[sizeof whole];
        size_t n = sizeof whole - 1;
        memcpy(text, whole, sizeof text);
        for (int k = (int)rng_below(&rng, 4); k >= 0; k--) text[rng_below(&rng, (uint32_t)n)] = pieces[rng_below(&rng, sizeof pieces - 1)];
        if (rng_below(&rng, 3) == 0) n = rng_below(&rng, (uint32_t)n);
        char *exact = mem_alloc(n + 1); /* not a byte more, so that a look beyond is seen */
        json_t *body;
        struct err e = {0};
        memcpy(exact + 1, text, n);
        const int code = body_parse(&body, (struct slice){exact + 1, n}, &e);
        if (code) assert_true(code == ERR_FORMAT && !body && strstr(e.msg, "the body is not"));
        json_decref(body);
        mem_free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(deep), cmocka_unit_test(spoilt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
