/* test_schema.c: JSON Schema: values that schemas accept and refuse, by hand; what is refused, and by which name; spellings; bounds that are large; thirty
 * properties in any order; and memory that runs out at every place. The official suite is test_schema_suite.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "grammar_fixture.h"

static const struct {
    const char *schema;
    const char *yes[12], *no[12];
} cases[] = {
    /* types, spellings and space */
    {"true", {"null", "1", "-0.5e-3", "\"a\"", "[]", "{}", "[1,{\"a\": [null, \"\"]}]", "[\n  1,\n  2\n]", "{ \"a\":1 }", "{}", "\"\\u00e9\\ud83d\\ude00\\n\\/\"", "\"\xf0\x9f\x98\x80\""},
     {"", "nul", "01", "1.", ".5", "[1,]", "{\"a\"}", "[  1]", "\"\\ud83d\"", "\"\n\"", " 1", "\"\\u0061\""}},
    {"{\"type\": \"integer\"}", {"0", "-5", "123456789012345678901234567890", "1.0", "-0"}, {"1.5", "1e3", "\"1\"", "true", "+1"}},
    {"{\"type\": [\"string\", \"null\"]}", {"\"\"", "null"}, {"1", "[]"}},
    {"{\"type\": \"string\", \"nullable\": true}", {"\"\"", "null"}, {"1"}},
    /* numbers */
    {"{\"type\": \"integer\", \"minimum\": -10, \"maximum\": 120}", {"-10", "0", "-0", "9", "99", "120", "120.0", "100"}, {"-11", "121", "-100", "120.5", "1e1", "1000"}},
    {"{\"minimum\": 1.25, \"exclusiveMaximum\": 10}", {"1.25", "1.250", "1.3", "9.99999", "2", "null", "\"x\""}, {"1.2", "1.2499", "10", "10.0", "0", "-5", "11"}},
    {"{\"exclusiveMinimum\": 0}", {"0.0001", "1", "10"}, {"0", "0.0", "-1", "-0"}},
    {"{\"minimum\": 0}", {"0", "-0", "-0.0", "5.5"}, {"-0.1", "-1"}},
    {"{\"maximum\": -1.5}", {"-1.5", "-2", "-10", "-1.51"}, {"-1.49", "0", "1", "-1"}},
    {"{\"multipleOf\": 0.25}", {"0", "0.25", "-1.5", "3", "1.750", "-0.0"}, {"0.1", "0.255", "1.3"}},
    {"{\"type\": \"integer\", \"multipleOf\": 7}", {"0", "7", "-14", "7000", "14.0"}, {"1", "8", "7.7"}},
    {"{\"const\": 1.50}", {"1.5", "1.500"}, {"1.51", "1", "15"}},
    {"{\"const\": 0}", {"0", "-0", "0.0"}, {"1", "false"}},
    /* strings */
    {"{\"type\": \"string\", \"minLength\": 2, \"maxLength\": 3}", {"\"ab\"", "\"abc\"", "\"\\n\xc3\xa9\"", "\"\\u00e9\\ud83d\\ude00a\""}, {"\"a\"", "\"abcd\"", "\"\\u00e9\""}},
    {"{\"type\": \"string\", \"pattern\": \"^[a-c]+\\\\d{2}$\"}", {"\"a12\"", "\"abc99\""}, {"\"a1\"", "\"d12\"", "\"a123\"", "\"\""}},
    {"{\"type\": \"string\", \"pattern\": \"b\"}", {"\"abc\"", "\"b\"", "\"bbb\""}, {"\"\"", "\"ac\""}},
    {"{\"type\": \"string\", \"pattern\": \"^a|b$\"}", {"\"ax\"", "\"xb\"", "\"a\""}, {"\"xa\"", "\"bx\""}},
    {"{\"type\": \"string\", \"pattern\": \"^(?:x|yz)*$\", \"minLength\": 3, \"maxLength\": 4}", {"\"xxx\"", "\"yzx\"", "\"yzyz\""}, {"\"xx\"", "\"yz\"", "\"yzyzx\"", "\"xyxx\""}},
    {"{\"type\": \"string\", \"pattern\": \"^(aa)*$\", \"minLength\": 3, \"maxLength\": 5}", {"\"aaaa\""}, {"\"aaa\"", "\"aa\"", "\"aaaaa\"", "\"aaaaaa\""}},
    {"{\"type\": \"string\", \"pattern\": \"^\\\\p{Lu}\\\\w*\\\\s[^\\\\d]$\"}", {"\"Ab x\"", "\"\xc3\x89 y\""}, {"\"ab x\"", "\"Ab 1\""}},
    {"{\"type\": \"string\", \"pattern\": \"^\\\"\\\\\\\\$\"}", {"\"\\\"\\\\\""}, {"\"\"", "\"\\\"\""}},
    {"{\"enum\": [\"red\", \"green\", 5, null, [1], {\"a\": 1}]}", {"\"red\"", "\"green\"", "5", "5.0", "null", "[1]", "{\"a\": 1}"}, {"\"blue\"", "4", "[2]", "{}", "true", "{\"a\":1,\"b\":2}"}},
    {"{\"type\": \"string\", \"format\": \"date\"}", {"\"2024-02-29\"", "\"1999-12-31\""}, {"\"2023-02-29\"", "\"2023-13-01\"", "\"23-01-01\"", "\"1900-02-29\""}},
    {"{\"type\": \"string\", \"format\": \"date-time\"}", {"\"2024-02-29T12:00:00Z\"", "\"1999-12-31T23:59:60Z\"", "\"2000-01-01t00:00:00.5+05:30\""}, {"\"2024-02-29\"", "\"2024-02-29T24:00:00Z\"", "\"2024-02-29T12:00:00\""}},
    {"{\"type\": \"string\", \"format\": \"uuid\"}", {"\"2eb8aa08-aa98-11ea-b4aa-73b441d16380\""}, {"\"2eb8aa08aa9811eab4aa73b441d16380\""}},
    {"{\"type\": \"string\", \"format\": \"ipv6\"}", {"\"::1\"", "\"::\"", "\"1:2:3:4:5:6:7:8\"", "\"::ffff:192.168.0.1\"", "\"fe80::a\""}, {"\"1:2:3\"", "\":::\"", "\"1::2::3\"", "\"12345::\""}},
    /* arrays */
    {"{\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 1, \"maxItems\": 3}", {"[1]", "[1, 2]", "[1,2,3]"}, {"[]", "[1,2,3,4]", "[\"a\"]", "[1.5]"}},
    {"{\"type\": \"array\", \"prefixItems\": [{\"const\": 1}, {\"type\": \"string\"}], \"items\": false}", {"[]", "[1]", "[1,\"x\"]"}, {"[2]", "[1,2]", "[1,\"x\",3]"}},
    {"{\"type\": \"array\", \"prefixItems\": [true], \"items\": {\"type\": \"null\"}}", {"[5]", "[5,null,null]"}, {"[5,5]"}},
    {"{\"type\": \"array\", \"items\": {\"type\": \"boolean\"}, \"contains\": {\"const\": true}, \"maxContains\": 2}", {"[true]", "[false,true,true]"}, {"[]", "[false]", "[true,true,true]"}},
    {"{\"type\": \"array\", \"items\": false, \"minItems\": 1}", {NULL}, {"[]", "[1]"}}, /* nothing: the error is tested below */
    /* objects */
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": \"string\"}}, \"required\": [\"b\"], \"additionalProperties\": false}",
     {"{\"b\":\"x\"}", "{\"a\": 1, \"b\": \"x\"}", "{\"b\":\"x\",\"a\":1}", "{\n  \"b\": \"\"\n}"}, {"{}", "{\"a\":1}", "{\"b\":1}", "{\"b\":\"\",\"c\":1}", "{\"b\":\"\",\"b\":\"\"}", "{\"b\":\"\",}"}},
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}}", {"{}", "{\"a\":1}", "{\"b\":\"x\",\"a\":2,\"aa\":null}"}, {"{\"a\":\"x\"}", "{\"b\":1,\"a\":null}"}},
    {"{\"type\": \"object\", \"additionalProperties\": {\"type\": \"integer\"}, \"maxProperties\": 2}", {"{}", "{\"x\":1,\"y\":2}"}, {"{\"x\":\"\"}", "{\"x\":1,\"y\":2,\"z\":3}"}},
    {"{\"type\": \"object\", \"patternProperties\": {\"^n_\": {\"type\": \"number\"}, \"_s$\": {\"type\": [\"string\", \"number\"]}}, \"additionalProperties\": false}",
     {"{\"n_a\":1}", "{\"a_s\":\"x\",\"n_s\":1}"}, {"{\"n_a\":\"\"}", "{\"n_s\":\"x\"}", "{\"a\":1}"}},
    {"{\"type\": \"object\", \"propertyNames\": {\"pattern\": \"^[a-z]{1,3}$\"}, \"minProperties\": 1}", {"{\"ab\":1}"}, {"{}", "{\"abcd\":1}", "{\"A\":1}"}},
    {"{\"type\": \"object\", \"required\": [\"x\", \"y\"], \"maxProperties\": 2, \"additionalProperties\": {\"type\": \"null\"}}", {"{\"y\":null,\"x\":null}"}, {"{\"x\":null,\"z\":null,\"y\":null}", "{\"x\":null}"}},
    {"{\"dependentRequired\": {\"a\": [\"b\"], \"b\": [\"c\"]}}", {"{}", "{\"c\":1}", "{\"a\":1,\"b\":1,\"c\":1}", "{\"b\":1,\"c\":1}", "5"}, {"{\"a\":1}", "{\"a\":1,\"b\":1}", "{\"b\":1}"}},
    /* combinations */
    {"{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"integer\", \"minimum\": 5}]}", {"\"\"", "5"}, {"4", "null"}},
    {"{\"oneOf\": [{\"multipleOf\": 2}, {\"multipleOf\": 3}], \"type\": \"integer\"}", {"2", "3", "4", "9"}, {"6", "5", "0"}},
    {"{\"allOf\": [{\"properties\": {\"a\": {\"minimum\": 2}}, \"required\": [\"a\"]}, {\"properties\": {\"a\": {\"type\": \"integer\"}}}], \"type\": \"object\"}", {"{\"a\":2}", "{\"a\":3,\"b\":1}"}, {"{\"a\":1}", "{\"a\":2.5}", "{}"}},
    {"{\"not\": {\"type\": [\"object\", \"array\", \"integer\"]}}", {"\"\"", "null", "1.5", "true"}, {"{}", "[]", "1"}},
    {"{\"type\": \"string\", \"not\": {\"enum\": [\"no\", \"never\"]}}", {"\"\"", "\"nob\"", "\"n\"", "\"yes\""}, {"\"no\"", "\"never\""}},
    {"{\"if\": {\"properties\": {\"k\": {\"const\": 1}}, \"required\": [\"k\"]}, \"then\": {\"required\": [\"x\"]}, \"else\": {\"required\": [\"y\"]}, \"type\": \"object\"}",
     {"{\"k\":1,\"x\":0}", "{\"x\":0,\"k\":1}", "{\"k\":2,\"y\":0}", "{\"y\":0}"}, {"{\"k\":1}", "{\"k\":1,\"y\":0}", "{\"k\":2,\"x\":0}", "{}"}},
    {"{\"oneOf\": [{\"type\": \"object\", \"properties\": {\"t\": {\"const\": \"a\"}, \"v\": {\"type\": \"string\"}}, \"required\": [\"t\", \"v\"], \"additionalProperties\": false},"
     "{\"type\": \"object\", \"properties\": {\"t\": {\"const\": \"b\"}, \"v\": {\"type\": \"integer\"}}, \"required\": [\"t\", \"v\"], \"additionalProperties\": false}]}",
     {"{\"t\":\"a\",\"v\":\"x\"}", "{\"v\":1,\"t\":\"b\"}"}, {"{\"t\":\"a\",\"v\":1}", "{\"v\":\"x\",\"t\":\"b\"}"}},
    {"{\"$defs\": {\"n\": {\"type\": \"object\", \"properties\": {\"v\": {\"type\": \"integer\"}, \"next\": {\"anyOf\": [{\"$ref\": \"#/$defs/n\"}, {\"type\": \"null\"}]}}, \"required\": [\"v\", \"next\"], \"additionalProperties\": false}}, \"$ref\": \"#/$defs/n\"}",
     {"{\"v\":1,\"next\":null}", "{\"next\":{\"next\":null,\"v\":2},\"v\":1}"}, {"{\"v\":1}", "{\"v\":1,\"next\":{}}"}},
    {"{\"$ref\": \"#\"}", {"1", "[]"}, {""}},
    {"{\"properties\": {\"a\": true}, \"unevaluatedProperties\": false, \"anyOf\": [{\"properties\": {\"b\": {\"const\": 1}}, \"required\": [\"b\"]}, {\"required\": [\"a\"]}]}", {"{\"a\":1}", "{\"b\":1}", "{\"a\":0,\"b\":1}"}, {"{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":1}", "{}"}},
    {"{\"title\": \"T\", \"description\": \"d\", \"default\": 1, \"examples\": [], \"x-note\": {}, \"type\": \"null\"}", {"null"}, {"1"}},
};

static struct grammar *schema(const char *text) {
    struct grammar *g = NULL;
    struct err e = {0};
    if (grammar_parse_schema(&g, slice_of(text), &e)) fail_msg("%s\n%s", e.msg, text);
    return g;
}

static void test_values(void **state) {
    (void)state;
    static struct grammar_fixture f;
    fixture_open(&f, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct matcher *m = NULL;
        if (!cases[i].yes[0]) continue;
        struct grammar *g = schema(cases[i].schema);
        assert_int_equal(matcher_new(&m, g, f.v, NULL), 0);
        for (size_t k = 0; k < 12 && cases[i].yes[k]; k++)
            if (!accepts(m, slice_of(cases[i].yes[k]))) fail_msg("refuses %s:\n%s", cases[i].yes[k], cases[i].schema);
        for (size_t k = 0; k < 12 && cases[i].no[k]; k++)
            if (accepts(m, slice_of(cases[i].no[k]))) fail_msg("accepts %s:\n%s", cases[i].no[k], cases[i].schema);
        matcher_free(m);
        grammar_free(g);
    }
    fixture_close(&f);
}

static const struct {
    const char *schema;
    int code;
    const char *says;
} errors[] = {
    {"", ERR_FORMAT, "JSON line 1"},
    {"{\"type\": \"string\", \"type\": \"null\"}", ERR_FORMAT, "duplicate"},
    {"5", ERR_FORMAT, "a schema must be an object, true or false"},
    {"{\"properties\": {\"a\": {\"items\": 7}}}", ERR_FORMAT, "a schema must be an object"},
    {"false", ERR_FORMAT, "no text can ever"},
    {"{\"type\": \"array\", \"items\": false, \"minItems\": 1}", ERR_FORMAT, "no text can ever"},
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"minLength\": 3, \"maxLength\": 2}}, \"required\": [\"a\"]}", ERR_FORMAT, "no text can ever"},
    {"{\"minimun\": 3}", ERR_UNSUPPORTED, "keyword 'minimun' at #: is not known"},
    {"{\"properties\": {\"a/b\": {\"items\": {\"uniqueItems\": true, \"type\": \"array\"}}}}", ERR_UNSUPPORTED, "keyword 'uniqueItems' at #/properties/a~1b/items:"},
    {"{\"prefixItems\": [true, {\"pattern\": \"(?=a)b\"}]}", ERR_UNSUPPORTED, "keyword 'pattern' at #/prefixItems/1: pattern '(?=a)b', byte 2: look-around"},
    {"{\"pattern\": \"(a\"}", ERR_FORMAT, "keyword 'pattern' at #: pattern '(a'"},
    {"{\"pattern\": \"(a)\\\\1\"}", ERR_UNSUPPORTED, "back references"},
    {"{\"format\": \"idn-email\"}", ERR_UNSUPPORTED, "keyword 'format' at #: this format is not known"},
    {"{\"type\": \"text\"}", ERR_FORMAT, "keyword 'type' at #"},
    {"{\"minLength\": -1}", ERR_FORMAT, "keyword 'minLength' at #: must be a whole number"},
    {"{\"maximum\": \"5\"}", ERR_FORMAT, "keyword 'maximum' at #: must be a number"},
    {"{\"multipleOf\": 0}", ERR_FORMAT, "greater than 0"},
    {"{\"multipleOf\": 0.123456789}", ERR_UNSUPPORTED, "keyword 'multipleOf' at #"},
    {"{\"$ref\": \"http://example.com/a.json\"}", ERR_UNSUPPORTED, "keyword '$ref' at #: there is no such part"},
    {"{\"$ref\": \"#/$defs/none\"}", ERR_UNSUPPORTED, "keyword '$ref'"},
    {"{\"required\": \"a\"}", ERR_FORMAT, "keyword 'required' at #"},
    {"{\"items\": [true]}", ERR_UNSUPPORTED, "prefixItems"},
    {"{\"minProperties\": 3}", ERR_UNSUPPORTED, "keyword 'minProperties' at #"},
    {"{\"not\": {\"additionalProperties\": {\"type\": \"null\"}}}", ERR_UNSUPPORTED, "keyword 'additionalProperties' at #/not"},
    {"{\"$schema\": \"http://example.com/mine\"}", ERR_UNSUPPORTED, "keyword '$schema' at #"},
    {"{\"enum\": 5}", ERR_FORMAT, "keyword 'enum' at #"},
    {"{\"const\": 123456789012345678901234567890}", ERR_UNSUPPORTED, "JSON line 1"},
};

static void test_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct grammar *g = NULL;
        struct err e = {0};
        int64_t before = mem_live();
        int rc = grammar_parse_schema(&g, slice_of(errors[i].schema), &e);
        if (rc != errors[i].code || !strstr(e.msg, errors[i].says)) fail_msg("error %d '%s', not %d '%s':\n%s", rc, e.msg, errors[i].code, errors[i].says, errors[i].schema);
        assert_null(g);
        assert_null(strchr(e.msg, '\n'));
        assert_int_equal(mem_live(), before);
    }
}

/* Beginnings of texts that no valid value has, each refused at once: no text is led where it cannot end. */
static void test_dead_ends(void **state) {
    (void)state;
    static struct grammar_fixture f;
    static const char *const rows[][3] = {
        /* schema, a beginning, and what cannot follow it */
        {"{\"type\": \"string\", \"pattern\": \"^[a-c]+[0-9]{2}$\", \"maxLength\": 4}", "\"ab", "c"},
        {"{\"type\": \"string\", \"maxLength\": 2}", "\"", "abc"},
        {"{\"type\": \"string\", \"maxLength\": 2}", "\":'", "\xc3"},
        {"{\"type\": \"string\", \"maxLength\": 2}", "\":'", "\\"},
        {"{\"type\": \"string\", \"pattern\": \"^(aa)*$\", \"maxLength\": 3}", "\"aa", "a"},
        {"{\"type\": \"object\", \"properties\": {\"a\": true, \"b\": true}, \"required\": [\"b\"], \"additionalProperties\": false}", "{\"a\":1", "\n"},
        {"{\"type\": \"object\", \"properties\": {\"a\": true}, \"additionalProperties\": false}", "{\"a\":1", ","},
        {"{\"type\": \"object\", \"properties\": {\"a\": true, \"b\": true}, \"required\": [\"b\"], \"maxProperties\": 1}", "{\"", "a"},
        {"{\"type\": \"object\", \"properties\": {\"a\": false}}", "{\"a", "\""},
        {"{\"type\": \"array\", \"prefixItems\": [true, false]}", "[1", ","},
        {"{\"type\": \"array\", \"maxItems\": 2}", "[1,2", ","},
        {"{\"type\": \"array\", \"contains\": {\"const\": 1}, \"maxItems\": 2}", "[2,", "3"},
        {"{\"type\": \"integer\", \"maximum\": 30, \"minimum\": 10}", "", "4"},
        {"{\"anyOf\": [{\"type\": \"object\", \"required\": [\"k\"], \"properties\": {\"k\": {\"items\": false, \"minItems\": 1, \"type\": \"array\"}}}, {\"type\": \"null\"}]}", "", "{"},
    };
    fixture_open(&f, (const char *const[]){"ab", "abc", "a\\x22", "\\xc3\\xa9", "1,", "\\x22}"}, 6);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct matcher *m = NULL;
        struct grammar *g = schema(rows[i][0]);
        assert_int_equal(matcher_new(&m, g, f.v, NULL), 0);
        if (matcher_accept_bytes(m, slice_of(rows[i][1]), NULL)) fail_msg("refuses %s:\n%s", rows[i][1], rows[i][0]);
        if (matcher_accept_bytes(m, slice_of(rows[i][2]), NULL) != ERR_TEXT) fail_msg("accepts %s after %s:\n%s", rows[i][2], rows[i][1], rows[i][0]);
        assert_int_equal(matcher_mask(m, f.mask, NULL), 0); /* and masks say what accepting says */
        for (int32_t id = 0; id < FIRST_PIECE + 6; id++) {
            bool ok = matcher_accept(m, id, NULL) == 0;
            if (ok) assert_int_equal(matcher_back(m, 1, NULL), 0);
            if (ok != allows(f.mask, id)) fail_msg("token %d after %s:\n%s", id, rows[i][1], rows[i][0]);
        }
        matcher_free(m);
        grammar_free(g);
    }
    fixture_close(&f);
}

/* Thirty properties, all required, in random orders; and each of them missing once. */
static void test_any_order(void **state) {
    (void)state;
    enum { N = 30 };
    static struct grammar_fixture f;
    struct buf text = {0}, value = {0};
    struct matcher *m = NULL;
    struct rng r = rng_new(1, 2);
    fixture_open(&f, NULL, 0);
    assert_true(buf_str(&text, "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"));
    for (int i = 0; i < N; i++) assert_true(buf_printf(&text, "%s\"property_%d\": {\"type\": \"integer\"}", i ? ", " : "", i));
    assert_true(buf_str(&text, "}, \"required\": ["));
    for (int i = 0; i < N; i++) assert_true(buf_printf(&text, "%s\"property_%d\"", i ? ", " : "", i));
    assert_true(buf_str(&text, "]}"));
    struct grammar *g = schema(text.data);
    assert_int_equal(matcher_new(&m, g, f.v, NULL), 0);
    for (int round = 0; round < 2 * N; round++) {
        int order[N], without = round % N;
        for (int i = 0; i < N; i++) order[i] = i;
        for (int i = N - 1; i > 0; i--) {
            int k = (int)rng_below(&r, (uint32_t)i + 1), other = order[i];
            order[i] = order[k];
            order[k] = other;
        }
        for (int missing = 0; missing < 2; missing++) {
            value.len = 0;
            assert_true(buf_char(&value, '{'));
            for (int i = 0; i < N; i++)
                if (!missing || order[i] != without) assert_true(buf_printf(&value, "%s\"property_%d\": %d", value.len > 1 ? ", " : "", order[i], i));
            assert_true(buf_char(&value, '}'));
            assert_int_equal(accepts(m, (struct slice){value.data, value.len}), !missing);
        }
    }
    matcher_free(m);
    grammar_free(g);
    buf_free(&text);
    buf_free(&value);
    fixture_close(&f);
}

static void test_large_bounds(void **state) {
    (void)state;
    static struct grammar_fixture f;
    struct buf text = {0};
    struct matcher *m = NULL;
    fixture_open(&f, (const char *const[]){"ab", "abcd"}, 2);
    struct grammar *g = schema("{\"type\": \"object\", \"properties\": {\"s\": {\"type\": \"string\", \"maxLength\": 100000, \"pattern\": \"^[a-z]*$\"},"
                               "\"l\": {\"type\": \"array\", \"items\": {\"type\": \"boolean\"}, \"minItems\": 1000, \"maxItems\": 50000}}, \"required\": [\"s\", \"l\"]}");
    assert_int_equal(matcher_new(&m, g, f.v, NULL), 0);
    assert_true(buf_str(&text, "{\"l\":["));
    for (int i = 0; i < 999; i++) assert_true(buf_str(&text, "true,"));
    assert_int_equal(matcher_accept_bytes(m, (struct slice){text.data, text.len - 1}, NULL), 0);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + ']', NULL), ERR_TEXT);
    assert_int_equal(matcher_accept_bytes(m, SLICE(", false"), NULL), 0);
    text.len = 0;
    for (int i = 0; i < 49000; i++) assert_true(buf_str(&text, ",true"));
    assert_int_equal(matcher_accept_bytes(m, (struct slice){text.data, text.len}, NULL), 0);
    assert_int_equal(matcher_mask(m, f.mask, NULL), 0);
    assert_true(allows(f.mask, FIRST_BYTE + ']') && !allows(f.mask, FIRST_BYTE + ','));
    assert_int_equal(matcher_accept_bytes(m, SLICE("], \"s\": \""), NULL), 0);
    text.len = 0;
    while (text.len < 99997) assert_true(buf_char(&text, 'x'));
    assert_int_equal(matcher_accept_bytes(m, (struct slice){text.data, text.len}, NULL), 0);
    assert_int_equal(matcher_mask(m, f.mask, NULL), 0);
    assert_true(allows(f.mask, FIRST_PIECE) && !allows(f.mask, FIRST_PIECE + 1) && allows(f.mask, FIRST_BYTE + '"'));
    assert_int_equal(matcher_accept(m, FIRST_PIECE, NULL), 0);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'a', NULL), 0);
    assert_int_equal(matcher_accept(m, FIRST_BYTE + 'a', NULL), ERR_TEXT);
    assert_int_equal(matcher_accept_bytes(m, SLICE("\"}"), NULL), 0);
    assert_true(matcher_may_end(m));
    matcher_free(m);
    grammar_free(g);
    buf_free(&text);
    fixture_close(&f);
}

/* Schemas that would need more than anyone has are refused, soon and by name. */
static void test_bombs(void **state) {
    (void)state;
    struct grammar *g = NULL;
    struct err e = {0};
    struct buf b = {0};
    assert_true(buf_str(&b, "{\"allOf\": ["));
    for (int i = 0; i < 40; i++) assert_true(buf_printf(&b, "%s{\"anyOf\": [{\"required\": [\"a%d\"]}, {\"required\": [\"b%d\"]}]}", i ? "," : "", i, i));
    assert_true(buf_str(&b, "]}"));
    assert_int_equal(grammar_parse_schema(&g, (struct slice){b.data, b.len}, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "too many alternatives"));
    assert_int_equal(grammar_parse_schema(&g, SLICE("{\"pattern\": \"^(a|b)*a(a|b){40}$\"}"), &e), ERR_UNSUPPORTED);
    assert_int_equal(grammar_parse_schema(&g, SLICE("{\"pattern\": \"((((a{99}){99}){99}){99}){99}\"}"), &e), ERR_UNSUPPORTED);
    b.len = 0;
    for (int i = 0; i < 3000; i++) assert_true(buf_str(&b, "{\"items\":"));
    assert_true(buf_str(&b, "true"));
    for (int i = 0; i < 3000; i++) assert_true(buf_char(&b, '}'));
    assert_int_equal(grammar_parse_schema(&g, (struct slice){b.data, b.len}, &e), ERR_FORMAT); /* deeper than the JSON reader goes */
    buf_free(&b);
}

static int live(struct slice text) {
    struct grammar *g = NULL;
    struct err e = {0};
    int rc = grammar_parse_schema(&g, text, &e);
    grammar_free(g);
    return rc;
}

static void test_out_of_memory(void **state) {
    (void)state;
    struct slice text = SLICE("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\", \"minimum\": 3}, \"b\": {\"enum\": [\"x\", \"y\", 1]},"
                              "\"c\": {\"type\": \"string\", \"pattern\": \"^a+b\", \"maxLength\": 90000}, \"d\": {\"type\": \"array\", \"items\": {\"$ref\": \"#\"}, \"maxItems\": 100}},"
                              "\"patternProperties\": {\"^x\": {\"oneOf\": [{\"type\": \"string\"}, {\"not\": {\"type\": \"number\"}}]}}, \"required\": [\"a\"]}");
    int64_t before = mem_live(), n = 1;
    assert_int_equal(live(text), 0);
    for (bool failed = true; failed; n++) {
        mem_fail_after(n);
        int rc = live(text);
        failed = mem_has_failed();
        mem_fail_after(0);
        if (rc != (failed ? ERR_MEMORY : 0)) fail_msg("allocation %lld: error %d", (long long)n, rc);
        assert_int_equal(mem_live(), before);
    }
    assert_true(n > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_errors), cmocka_unit_test(test_dead_ends), cmocka_unit_test(test_any_order), cmocka_unit_test(test_large_bounds), cmocka_unit_test(test_bombs), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
