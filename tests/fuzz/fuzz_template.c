/* fuzz_template.c: any bytes as a template, and after a NUL byte as the JSON of its context. Whatever comes out must be valid
 * UTF-8 with spans that lie inside it, in order; whatever fails must say why and leave nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tmpl.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char default_context[] =
    "{\"s\": \"Hello, W\\u00f6rld\", \"i\": 42, \"f\": 2.5, \"t\": true, \"n\": null, \"l\": [3, \"b\", 1.5, null], \"words\": [\"b\", \"A\", \"c\"],"
    "\"d\": {\"b\": 1, \"a\": [1, {\"x\": \"y\"}]}, \"messages\": [{\"role\": \"user\", \"content\": \"Hi <|im_end|>\"}], \"tools\": []}";

static void check_spans(const struct byte_span *spans, size_t n, size_t len) {
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(spans[i].start < spans[i].end && spans[i].end <= len);
        CHECK(i == 0 || spans[i].start > last);
        last = spans[i].end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct render_options options = {.max_steps = 200000, .max_memory = 16 << 20, .fixed_now = true};
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size;
    int64_t live = mem_live();
    struct arena mem = {0};
    struct value *context;
    struct template *t;
    struct rendering r;
    struct err e = {0};
    if (!nul || value_from_json(&mem, (const char *)nul + 1, size - n - 1, &context, &e))
        CHECK(value_from_json(&mem, default_context, sizeof default_context - 1, &context, &e) == 0);
    if (template_parse(&t, (struct slice){(const char *)data, n}, &e) == 0) {
        memset(&e, 0, sizeof e);
        int rc = template_render(t, context, &options, &r, &e);
        CHECK(rc == 0 || (rc == ERR_TEMPLATE && e.code == rc && !strchr(e.msg, '\n')));
        if (!rc) {
            CHECK(strlen(r.text) <= r.len && u8_valid(r.text, r.len));
            check_spans(r.template_spans, r.n_template, r.len);
            check_spans(r.generation_spans, r.n_generation, r.len);
        }
        rendering_free(&r);
        template_free(t);
    } else {
        CHECK(e.code == ERR_TEMPLATE && e.msg[0] && !strchr(e.msg, '\n'));
    }
    arena_free(&mem);
    CHECK(mem_live() == live);
    return 0;
}
