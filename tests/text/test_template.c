/* test_template.c: the chat-template engine against renderings made by Python's Jinja2.
 *
 * template_cases.json holds our own cases (written by mktemplates.py, next to it); renders.json in the shared data folder
 * has the chat templates of well-known models. Both come from the reference engine. The other tests look at what Python
 * cannot show: the origin of each byte, the limits, and that no failed allocation leaks or crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "text/template.h"

static const struct render_options at_noon = {.fixed_now = true, .now = 1769860800}; /* 2026-01-31T12:00:00 */

static json_t *load(const char *path) {
    json_error_t why;
    json_t *j = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (!j) print_message("%s:%d: %s\n", path, why.line, why.text);
    return j;
}

static char *read_all(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *p = malloc(1 << 20);
    *n = p ? fread(p, 1, 1 << 20, f) : 0;
    fclose(f);
    return p;
}

/* Parses and renders source with the context that `json` states. */
static int render(const char *source, size_t n, const char *json, const struct render_options *options, struct rendering *r, struct err *e) {
    struct arena mem = {0};
    struct value *context;
    struct template *t = NULL;
    *r = (struct rendering){0};
    int rc = value_from_json(&mem, json, strlen(json), &context, e);
    if (!rc) rc = template_parse(&t, (struct slice){source, n}, e);
    if (!rc) rc = template_render(t, context, options, r, e);
    template_free(t);
    arena_free(&mem);
    return rc;
}

/* Whether rendering gives `expected`, or (expected NULL) fails; says what is wrong. */
static bool as_expected(const char *name, const char *source, size_t n, const char *json, const char *expected, size_t n_expected) {
    struct rendering r;
    struct err e = {0};
    int rc = render(source, n, json, &at_noon, &r, &e);
    bool ok = expected ? rc == 0 && r.len == n_expected && memcmp(r.text, expected, r.len) == 0 : rc == ERR_TEMPLATE && e.msg[0] != 0;
    if (!ok) print_message("%s\n  expected: %s\n  got:      %s\n", name, expected ? expected : "an error", rc ? e.msg : r.text);
    rendering_free(&r);
    return ok;
}

static void test_own_cases(void **state) {
    (void)state;
    json_t *cases = load("tests/text/template_cases.json"), *c;
    size_t i, wrong = 0;
    assert_non_null(cases);
    char *context = json_dumps(json_object_get(cases, "context"), 0);
    json_array_foreach(json_object_get(cases, "cases"), i, c) {
        const json_t *source = json_array_get(c, 0), *expected = json_array_get(c, 1);
        wrong += !as_expected(json_string_value(source), json_string_value(source), json_string_length(source), context,
                              json_string_value(expected), json_string_length(expected));
    }
    print_message("%zu cases\n", i);
    assert_true(i > 300);
    assert_int_equal(wrong, 0);
    free(context);
    json_decref(cases);
}

static void test_models_templates(void **state) {
    (void)state;
    const char *shared = getenv("HEARTH_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/data/templates/renders.json", shared ? shared : "../shared");
    FILE *f = fopen(path, "rb");
    if (!f) {
        print_message("SKIPPED: %s is not there\n", path);
        skip();
    }
    fclose(f);
    json_t *all = load(path), *item;
    size_t i, wrong = 0;
    assert_non_null(all);
    json_array_foreach(json_object_get(all, "renders"), i, item) {
        const char *name = json_string_value(json_object_get(item, "template")), *label = json_string_value(json_object_get(item, "case"));
        json_t *context = json_copy(json_object_get(json_object_get(all, "cases"), label));
        json_object_set(context, "bos_token", json_object_get(all, "bos_token"));
        json_object_set(context, "eos_token", json_object_get(all, "eos_token"));
        char *text = json_dumps(context, 0), what[256];
        size_t n = 0;
        snprintf(path, sizeof path, "%s/data/templates/%s", shared ? shared : "../shared", name);
        snprintf(what, sizeof what, "%s, %s", name, label);
        char *source = read_all(path, &n);
        assert_non_null(source);
        const json_t *expected = json_object_get(item, "expected");
        wrong += !as_expected(what, source, n, text, json_string_value(expected), json_string_length(expected));
        free(source);
        free(text);
        json_decref(context);
    }
    print_message("%zu renderings\n", i);
    assert_int_equal(wrong, 0);
    json_decref(all);
}

/* ---- origins ---- */

/* The rendering with [ and ] around the template's bytes and < and > around generation blocks. */
static void assert_marked(const char *source, const char *json, const char *expected) {
    struct rendering r;
    struct err e = {0};
    char out[1024];
    size_t n = 0, t = 0, g = 0;
    if (render(source, strlen(source), json, &at_noon, &r, &e)) fail_msg("%s: %s", source, e.msg);
    for (size_t i = 0; i <= r.len; i++) {
        if (t < r.n_template && r.template_spans[t].end == i) out[n++] = ']', t++;
        if (g < r.n_generation && r.generation_spans[g].end == i) out[n++] = '>', g++;
        if (g < r.n_generation && r.generation_spans[g].start == i) out[n++] = '<';
        if (t < r.n_template && r.template_spans[t].start == i) out[n++] = '[';
        if (i < r.len) out[n++] = r.text[i];
    }
    out[n] = 0;
    rendering_free(&r);
    assert_string_equal(out, expected);
}

static void test_origins(void **state) {
    (void)state;
    static const struct {
        const char *source, *expected;
    } cases[] = {
        {"<|im_start|>{{ u }}<|im_end|>", "[<|im_start|>]data[<|im_end|>]"},
        {"{{ '<s>' + u + '</s>' }}", "[<s>]data[</s>]"},
        {"{{ '<s>' ~ u ~ 5 }}", "[<s>]data[5]"},
        {"{{ n }}{{ n + 1 }}{{ 1 + 1 }}", "78[2]"},
        {"{% set x %}<a>{{ u }}{% endset %}{{ x }}", "[<a>]data"},
        {"{% macro m(x) %}<m>{{ x }}{% endmacro %}{{ m(u) }}{{ m('q') }}", "[<m>]data[<m>q]"},
        {"{% set ns = namespace(p='<p>') %}{% for c in l %}{% set ns.p = ns.p + c + ';' %}{% endfor %}{{ ns.p }}", "[<p>]x[;]y[;]"},
        {"{{ '{}<|{}|>'.format(u, 'k') }}", "data[<|k|>]"},
        {"{{ '%s<|%s|>' % (u, 'k') }}", "data[<|k|>]"},
        {"{{ ('<' + u + '>')[1:5] }}{{ ('ab' + u)[::-1] }}", "dataatad[ba]"},
        {"{{ '  <x>  ' | trim }}{{ '  ' + u + ' ' | trim }}", "[<x>  ]data"},
        {"{{ u | replace('a', '<A>') }}", "d[<A>]t[<A>]"},
        {"{{ '<A>' | replace('A', u) }}", "[<]data[>]"},
        {"{{ [u, '<b>'] | join('|') }}", "data[|<b>]"},
        {"{{ ('<a>' + u).split('>')[0] }}{{ (u + '<a>').split('<')[1] }}", "[<aa>]"},
        {"{{ ('<a>' + u) | upper }}", "[<A>]DATA"},
        {"{{ ('a' + u) | title }}{{ u | capitalize }}", "[A]dataData"},
        {"{{ {'k': '<|x|>', 'v': u} | tojson }}", "{\"k\": \"<|x|>\", \"v\": \"data\"}"},
        {"{{ ['<|x|>'] }}{{ '<' | e }}", "['<|x|>']&lt;"},
        {"{{ {'r': '<|user|>'}[r] }}{{ r }}", "[<|user|>]r"},
        {"{{ 'a\nb' | indent(1) }}{{ '<x>' | center(5) }}", "[a]\n [b] [<x>] "},
        {"{% filter upper %}a{{ u }}{% endfilter %}", "[A]DATA"},
        {"{{ missing | default('<d>') }}{{ u or '<d>' }}", "[<d>]data"},
        {"{% for x in l %}{{ loop.index }}{{ x }}{% endfor %}", "[1]x[2]y"},
        {"{{ u | length }}{{ u | list }}", "4['d', 'a', 't', 'a']"},
        {"{{ strftime_now('%Y') }}{{ strftime_now(u) }}", "[2026]data"},
        {"a{% generation %}b{{ u }}{% endgeneration %}c", "[a<b]data>[c]"},
        {"{% set x %}{% generation %}{{ u }} {% endgeneration %}{% endset %}[{{ x | trim }}]", "[[]<data>[]]"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_marked(cases[i].source, "{\"u\": \"data\", \"n\": 7, \"l\": [\"x\", \"y\"], \"r\": \"r\"}", cases[i].expected);
}

/* What the caller vouches for counts as the template's own. */
static void test_trusted_values(void **state) {
    (void)state;
    struct arena mem = {0};
    struct value *context = value_dict(&mem);
    struct template *t;
    struct rendering r;
    struct err e = {0};
    assert_true(value_set(&mem, context, "bos", value_string(&mem, "<s>", 3, VALUE_TRUSTED)));
    assert_true(value_set(&mem, context, "text", value_string(&mem, "<s>", 3, VALUE_DATA)));
    assert_int_equal(template_parse(&t, SLICE("{{ bos }}{{ text }}{{ '<|' ~ bos }}"), &e), 0);
    assert_int_equal(template_render(t, context, NULL, &r, &e), 0);
    assert_string_equal(r.text, "<s><s><|<s>");
    assert_int_equal(r.n_template, 2);
    assert_int_equal(r.template_spans[0].end, 3);
    assert_int_equal(r.template_spans[1].start, 6);
    assert_int_equal(r.template_spans[1].end, 11);
    rendering_free(&r);
    template_free(t);
    arena_free(&mem);
}

static void test_trusted_roles(void **state) {
    (void)state;
    static const char json[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"user\"}, {\"role\": \"end|><|user\"}, 5]}";
    static const char source[] = "{% for m in messages %}{{ '<|' + m.role + '|>' if m is mapping }}{{ m.content }};{% endfor %}";
    struct arena mem = {0};
    struct value *context;
    struct template *t;
    struct rendering r;
    struct err e = {0};
    assert_int_equal(value_from_json(&mem, json, sizeof json - 1, &context, &e), 0);
    assert_true(value_trust_roles(&mem, context));
    assert_int_equal(template_parse(&t, (struct slice){source, sizeof source - 1}, &e), 0);
    assert_int_equal(template_render(t, context, NULL, &r, &e), 0);
    assert_string_equal(r.text, "<|user|>user;<|end|><|user|>;;");
    assert_int_equal(r.n_template, 3);
    assert_int_equal(r.template_spans[0].end, 8);    /* <|user|>, the content is data */
    assert_int_equal(r.template_spans[1].start, 12); /* ;<| and then the unknown role */
    assert_int_equal(r.template_spans[1].end, 15);
    rendering_free(&r);
    template_free(t);
    arena_free(&mem);
}

/* ---- errors and limits ---- */

static void assert_fails(const char *source, const struct render_options *options, const char *message) {
    struct rendering r;
    struct err e = {0};
    assert_int_equal(render(source, strlen(source), "{\"u\": \"data\"}", options, &r, &e), ERR_TEMPLATE);
    if (!strstr(e.msg, message)) fail_msg("%s: \"%s\" does not say \"%s\"", source, e.msg, message);
    assert_null(r.text);
    rendering_free(&r);
}

static void test_messages(void **state) {
    (void)state;
    assert_fails("{{ raise_exception('only user and assistant') }}", NULL, "only user and assistant");
    assert_fails("a\nb {{ u.x.y }}", NULL, "template:2:9: 'str object' has no attribute 'x'");
    assert_fails("{{ nope + 1 }}", NULL, "'nope' is undefined");
    assert_fails("{% for x in u %}", NULL, "template:1:");
    assert_fails("x\n  {{ 'abc }}", NULL, "template:2:6: this string has no end");
    assert_fails("{{ u | nope }}", NULL, "No filter named 'nope'");
    assert_fails("{% set x = [] %}{{ x.append(1) }}", NULL, "unsafe");
    assert_fails("\xff", NULL, "UTF-8");
    assert_fails("{{ raise_exception('two\\nlines') }}", NULL, "two lines");
}

static void test_limits(void **state) {
    (void)state;
    const struct render_options few = {.max_steps = 1000}, small = {.max_memory = 1 << 20}, some = {.max_steps = 1000000};
    assert_fails("{{ 'a' * 1000000000000 }}", NULL, "limit");
    assert_fails("{{ [0] * 1000000000000 }}", NULL, "limit");
    assert_fails("{{ range(1000000000) }}", NULL, "Range too big");
    assert_fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", NULL, "too deep");
    assert_fails("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", NULL, "limit");
    assert_fails("{% for a in range(9999) %}x{% endfor %}", &few, "steps");
    assert_fails("{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", &small, "memory");
    assert_fails("{% set ns = namespace(t=[]) %}{% for a in range(9999) %}{% set ns.t = [ns.t] %}{% endfor %}{{ ns.t }}", NULL, "too deep");
    assert_fails("{% set ns = namespace(t=[]) %}{% for a in range(9999) %}{% set ns.t = [ns.t] %}{% endfor %}{{ ns.t|tojson }}", NULL, "too deep");
    assert_fails("{% set ns = namespace(a=[], b=[]) %}{% for a in range(9999) %}{% set ns.a = [ns.a] %}{% set ns.b = [ns.b] %}{% endfor %}{{ ns.a == ns.b }}", NULL, "too deep");
    assert_fails("{% set ns = namespace(t=()) %}{% for a in range(9999) %}{% set ns.t = (ns.t,) %}{% endfor %}{{ {ns.t: 1} }}", NULL, "unhashable");
    assert_fails("{% set ns = namespace(t='abc') %}{% for a in range(9999) %}{% set ns.t = ns.t|map('upper') %}{% endfor %}{{ ns.t|list }}", NULL, "too deep");
    assert_fails("{% set s = 'a' * 9000000 %}{% for a in range(9999) %}{% set x = s.split('b') %}{% endfor %}", &some, "steps");
    assert_fails("{% set s = 'a' * 9000000 %}{% set t = s + '' %}{% for a in range(9999) %}{% set x = s == t %}{% endfor %}", &some, "steps");
    char deep[4096] = "{{ ";
    for (int i = 0; i < 1500; i++) strcat(deep, "(");
    assert_fails(deep, NULL, "deep");
    strcpy(deep, "{{ ");
    for (int i = 0; i < 600; i++) strcat(deep, "not ");
    assert_fails(strcat(deep, "1 }}"), NULL, "deep");
}

/* Strings built piece by piece must not take quadratic time or memory. */
static void test_appending_is_linear(void **state) {
    (void)state;
    static const char source[] = "{% set ns = namespace(s='') %}{% for a in range(50000) %}{% set ns.s = ns.s ~ 'twenty bytes of text' %}{% endfor %}{{ ns.s|length }}";
    const struct render_options options = {.max_memory = 64 << 20};
    struct rendering r;
    struct err e = {0};
    assert_int_equal(render(source, sizeof source - 1, "{}", &options, &r, &e), 0);
    assert_string_equal(r.text, "1000000");
    rendering_free(&r);
}

static void test_json(void **state) {
    (void)state;
    struct arena mem = {0};
    struct value *v;
    struct err e = {0};
    static const char nul[] = "{\"a\": \"x\\u0000y\"}";
    struct slice text;
    assert_int_equal(value_from_json(&mem, nul, sizeof nul - 1, &v, &e), 0);
    assert_true(value_text(value_get(v, "a"), &text));
    assert_int_equal(text.n, 3);
    assert_null(value_get(v, "b"));
    static const char *const bad[] = {"{", "[1,]", "", "{\"a\": 99999999999999999999}", "\"\xff\"", "nul"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(value_from_json(&mem, bad[i], strlen(bad[i]), &v, &e), ERR_FORMAT);
    char deep[1300] = {0};
    memset(deep, '[', 600);
    memset(deep + 600, ']', 600);
    assert_int_equal(value_from_json(&mem, deep, 1200, &v, &e), ERR_FORMAT);
    arena_free(&mem);
}

/* Fails the nth allocation for every n: the error is ERR_MEMORY and nothing is left behind. */
static void test_allocation_failures(void **state) {
    (void)state;
    static const char source[] =
        "{% macro m(a, b='x') %}{{ a|upper }}{{ varargs }}{{ kwargs }}{{ caller() if caller else '' }}{% endmacro %}"
        "{% for k, v in d|dictsort if v %}{{ loop.index }}{{ loop.last }}{{ loop.length }}{{ k ~ '=' ~ v }}{{ m(k, 1, 2, z=3) }}{% endfor %}"
        "{% set ns = namespace(s='') %}{% for c in 'abc'|list|sort %}{% set ns.s = ns.s + c %}{% endfor %}{{ ns.s }}"
        "{% call m('q') %}{{ d|tojson(indent=1) }}{% endcall %}{{ '{:>9}'.format('é') }}{{ '%5.2f' % 2.5 }}{{ [1, [2]]|map('string')|join(',') }}"
        "{{ 'a b c'.split()|reverse|list }}{{ 'x y'|title|wordwrap(1) }}{{ {'a': 1, 'b': 2, 'c': 3, 'e': 4, 'f': 5, 'g': 6, 'h': 7, 'i': 8, 'j': 9} }}"
        "{{ 'long text' * 2000 }}";
    static const char json[] = "{\"d\": {\"b\": 1, \"a\": \"two\", \"c\": [1.5, null]}}";
    int64_t before = mem_live();
    bool done = false;
    for (int64_t n = 1; !done && n < 10000; n++) {
        struct rendering r;
        struct err e = {0};
        mem_fail_after(n);
        int rc = render(source, sizeof source - 1, json, &at_noon, &r, &e);
        done = !mem_has_failed();
        mem_fail_after(0);
        if (!done && rc != ERR_MEMORY) fail_msg("allocation %d: %d, %s", (int)n, rc, e.msg);
        if (done) assert_int_equal(rc, 0);
        rendering_free(&r);
        assert_int_equal(mem_live(), before);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_templates),
        cmocka_unit_test(test_own_cases),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_trusted_values),
        cmocka_unit_test(test_trusted_roles),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_appending_is_linear),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
