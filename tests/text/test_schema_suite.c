/* test_schema_suite.c: the official JSON Schema suite (shared data): each schema compiles, and then its valid instances are accepted, compactly and as
 * Python writes them, and its invalid ones refused; or it is refused by the name of a keyword. Which are refused is printed, and at most 15 % may be.
 *
 *   test_schema_suite --walk    prints random texts under the masks, a line of JSON each, for test_schema.py to validate
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "../shared_data.h"
#include "base/rng.h"
#include "grammar_fixture.h"

static const char *const pieces[] = {"{\\x22", "\\x22:", "\\x22, \\x22", "\\x22}", "true", "false", "null", "[]", "{}", "\\x22\\x22", "foo", "bar", "baz", "ba", "10", "1.0", "0.0", "a", "}}", "]]", "\\xc3\\xa9"};
enum { PIECES = sizeof pieces / sizeof *pieces };

static struct grammar_fixture f;
static int groups, refused, wrong;
static bool walking;

/* Every format is an annotation in this file, and asserted in optional/format: what is tested here is that it is said when one is not known. */
static bool formats_are_annotations(const char *path) { return strstr(path, "2020-12/format.json") != NULL; }

/* Valid, and not written all the same: what the header of schema_format.c says. */
static bool is_narrower(const char *path, const char *text) {
    static const char *const rows[][2] = {{"/hostname.json", "xn--"}, {"time.json", ":60+"}, {"time.json", ":60-"}, {"date-time.json", ":60.123-"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strstr(path, rows[i][0]) && strstr(text, rows[i][1])) return true;
    return false;
}

static void check_instance(const char *path, const char *description, struct matcher *m, const json_t *test) {
    bool valid = json_is_true(json_object_get(test, "valid"));
    enum { ANY = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15), LONG = JSON_ENCODE_ANY | JSON_REAL_PRECISION(17) };
    const json_t *data = json_object_get(test, "data");
    bool whole = json_is_real(data) && json_real_value(data) > 1e15 && json_real_value(data) < 1e17; /* Python writes no exponent yet */
    const size_t styles[] = {(whole ? LONG : ANY) | JSON_COMPACT, (whole ? LONG : ANY) | JSON_ENSURE_ASCII, (whole ? LONG : ANY) | JSON_INDENT(2)};
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        char *text = json_dumps(data, styles[i]);
        bool accepted = accepts(m, slice_of(text));
        if (accepted != valid && !(valid && (formats_are_annotations(path) || is_narrower(path, text)))) {
            printf("%s, %s, %s: %s %.200s\n", strrchr(path, '/') + 1, description, json_string_value(json_object_get(test, "description")), valid ? "refuses" : "accepts", text);
            wrong++;
        }
        free(text);
        if (accepted != valid) break;
    }
}

/* ---- random walks ---- */

static int32_t choose(struct rng *r, size_t length, const char *so_far) {
    static const char first[] = "\"}]0e";
    int32_t found[FIRST_PIECE + PIECES], n = 0;
    if (allows(f.mask, 0) && (length > 60 || rng_below(r, 3) == 0)) return 0;
    for (const char *c = first; length > 80 && *c; c++)
        if (allows(f.mask, FIRST_BYTE + *c)) return FIRST_BYTE + *c;
    for (int32_t id = 0; id < FIRST_PIECE + PIECES; id++) {
        bool rare = id >= FIRST_BYTE + 127 && id < FIRST_PIECE;
        if (allows(f.mask, id) && (!rare || rng_below(r, 8) == 0)) found[n++] = id;
    }
    for (int32_t id = 0; n == 0 && id < FIRST_PIECE + PIECES; id++)
        if (allows(f.mask, id)) found[n++] = id;
    if (n == 0) fail_msg("nothing can follow '%s', and it is not whole", so_far ? so_far : "");
    return found[rng_below(r, (uint32_t)n)];
}

static void walk(const char *path, const char *description, struct matcher *m, const json_t *schema, struct rng *r) {
    struct buf text = {0};
    struct err e = {0};
    matcher_reset(m);
    for (int i = 0; i < 600 && !matcher_finished(m); i++) {
        if (matcher_mask(m, f.mask, &e)) fail_msg("%s", e.msg);
        int32_t id = choose(r, text.len, text.data);
        if (matcher_accept(m, id, &e)) fail_msg("%s, %s: the mask allows token %d after '%s': %s", path, description, id, text.data, e.msg);
        struct slice piece = tokenizer_piece(f.t, id);
        if (id) assert_true(buf_add(&text, piece.p, piece.n));
    }
    json_t *line = json_pack("{s:s, s:s, s:O, s:s#, s:b}", "file", strrchr(path, '/') + 1, "group", description, "schema", schema, "text", text.data ? text.data : "", text.len, "whole", matcher_finished(m));
    char *out = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    if (!out) fail_msg("%s, %s: not UTF-8", path, description);
    puts(out);
    free(out);
    json_decref(line);
    buf_free(&text);
}

/* ---- all files ---- */

static void check_group(const char *path, const json_t *group) {
    const char *description = json_string_value(json_object_get(group, "description"));
    json_t *schema = json_object_get(group, "schema");
    char *text = json_dumps(schema, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    struct grammar *g = NULL;
    struct matcher *m = NULL;
    struct err e = {0};
    struct rng r = rng_new(17, 4);
    int rc = grammar_parse_schema(&g, slice_of(text), &e);
    bool nothing = rc == ERR_FORMAT && strstr(e.msg, "no text can ever");
    groups++;
    if (rc && !nothing) {
        refused++;
        if (!walking) printf("refused: %s, %s: %s\n", strrchr(path, '/') + 1, description, e.msg);
        if (!walking && (rc != ERR_UNSUPPORTED || !strstr(e.msg, "keyword '"))) {
            printf("  which is no refusal by name\n");
            wrong++;
        }
    } else if (nothing) {
        for (size_t i = 0; i < json_array_size(json_object_get(group, "tests")); i++)
            wrong += json_is_true(json_object_get(json_array_get(json_object_get(group, "tests"), i), "valid"));
    } else {
        assert_int_equal(matcher_new(&m, g, f.v, &e), 0);
        for (size_t i = 0; i < json_array_size(json_object_get(group, "tests")) && !walking; i++) check_instance(path, description, m, json_array_get(json_object_get(group, "tests"), i));
        for (int i = 0; i < 12 && walking; i++) walk(path, description, m, schema, &r);
    }
    matcher_free(m);
    grammar_free(g);
    free(text);
}

static void check_file(const char *path) {
    json_error_t why;
    json_t *all = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (!all) { /* numbers that are larger than the reader's */
        printf("SKIPPED: %s: %s\n", path, why.text);
        return;
    }
    for (size_t i = 0; i < json_array_size(all); i++) check_group(path, json_array_get(all, i));
    json_decref(all);
}

static void test_suite(void **state) {
    (void)state;
    groups = refused = wrong = 0;
    if (!shared_each("json-schema/draft2020-12", ".json", check_file)) skip();
    printf("%d schemas, %d refused (%.1f %%), %d wrong\n", groups, refused, 100.0 * refused / groups, wrong);
    assert_int_equal(wrong, 0);
    assert_true(groups > 300);
    assert_true(refused * 100 <= groups * 15);
}

static void test_formats(void **state) {
    (void)state;
    groups = refused = wrong = 0;
    if (!shared_each("json-schema/draft2020-12/optional/format", ".json", check_file)) skip();
    printf("%d formats, %d refused, %d wrong\n", groups, refused, wrong);
    assert_int_equal(wrong, 0);
    assert_true(refused < groups / 2);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),
        cmocka_unit_test(test_formats),
    };
    fixture_open(&f, pieces, PIECES);
    if (argc > 1 && strcmp(argv[1], "--walk") == 0) {
        walking = true;
        (void)shared_each("json-schema/draft2020-12", ".json", check_file);
        fixture_close(&f);
        return 0;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_close(&f);
    return failed;
}
