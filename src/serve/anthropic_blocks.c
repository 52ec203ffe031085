/* anthropic_blocks.c: blocks of the kinds that come down to text: text, documents, search results, references to tools.
 *
 * A document is shown between <document> and </document>, with its title and context in front. Of citations nothing is done: replies have none. Documents and
 * pictures that are not text are refused with the field's name. */
#include <string.h>

#include "base/utf8.h"
#include "serve/anthropic_internal.h"

int anthropic_add_text(struct buf *to, struct slice text, struct err *e) {
    const bool ok = (to->len == 0 || buf_char(to, '\n')) && buf_add(to, text.p ? text.p : "", text.n);
    return ok ? 0 : err_nomem(e, "a message", to->len);
}

int anthropic_unknown_block(const struct body_at *block, struct slice type, struct err *e) {
    char shown[48];
    if (!type.p) return body_error(block, "type", e, "missing");
    if (slice_is(type, "image")) return body_error(block, "type", e, "the model cannot see images; it reads text only");
    return body_error(block, "type", e, "the model cannot read \"%s\" here", err_quote(shown, sizeof shown, type.p, type.n));
}

int anthropic_cache_control(struct answer *a, const struct body_at *at, struct err *e) {
    static const char *const types[] = {"ephemeral", NULL}, *const ttls[] = {"5m", "1h", NULL};
    struct writing *w = a->dialect;
    const json_t *control = NULL;
    struct body_at inside;
    int type = -1, ttl = 0, code = body_object(at, "cache_control", &control, e);
    if (code || !control) return code;
    code = body_into(&inside, at, "cache_control", -1, control, e);
    if (code == 0) code = body_choice(&inside, "type", types, &type, e);
    if (code == 0 && type < 0) code = body_error(&inside, "type", e, "missing");
    if (code == 0) code = body_choice(&inside, "ttl", ttls, &ttl, e);
    w->hour |= ttl == 1;
    return code;
}

/* ---- base64 (RFC 4648, 4) ---- */

static int digit_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* False: not base64, or out of memory (then out->limit was not reached and `text` is fine). */
static bool decode(struct slice text, struct buf *out) {
    while (text.n && text.p[text.n - 1] == '=') text.n--;
    if (text.n % 4 == 1 || !buf_reserve(out, text.n / 4 * 3 + 3)) return false;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < text.n; i++) {
        const int d = digit_of(text.p[i]);
        if (d < 0) return false;
        held = (held << 6 | (unsigned)d) & 0xffff;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        if (!buf_char(out, (char)(held >> bits & 0xff))) return false;
    }
    return true;
}

/* A source of base64 whose bytes are plain text. */
static int base64_text(const struct body_at *source, struct buf *to, struct err *e) {
    struct slice media = {0}, data = {0};
    struct buf text = {.limit = 64 << 20};
    int code = body_text(source, "media_type", &media, e);
    if (code == 0 && !slice_is(media, "text/plain")) code = body_error(source, "media_type", e, media.n ? "the model reads documents of the type text/plain only; convert the document to text" : "missing");
    if (code == 0) code = body_text(source, "data", &data, e);
    if (code == 0 && !data.p) code = body_error(source, "data", e, "missing");
    if (code == 0 && !decode(data, &text)) code = body_error(source, "data", e, "not base64");
    if (code == 0 && utf8_prefix(text.data ? text.data : "", text.len) < text.len) code = body_error(source, "data", e, "the text is not UTF-8");
    if (code == 0) code = anthropic_add_text(to, (struct slice){text.data, text.len}, e);
    buf_free(&text);
    return code;
}

/* ---- documents and search results ---- */

static int add_source(struct answer *a, const struct body_at *block, struct buf *to, struct err *e) {
    const json_t *source = NULL;
    struct body_at at;
    struct slice type = {0}, data = {0};
    int code = body_object(block, "source", &source, e);
    if (code == 0 && !source) code = body_error(block, "source", e, "missing");
    if (code == 0) code = body_into(&at, block, "source", -1, source, e);
    if (code == 0) code = body_text(&at, "type", &type, e);
    if (code) return code;
    if (slice_is(type, "content")) return anthropic_add_blocks(a, &at, "content", to, e);
    if (slice_is(type, "base64")) return base64_text(&at, to, e);
    if (!slice_is(type, "text")) return body_error(&at, "type", e, type.n ? "only \"text\", \"content\" and \"base64\" can be read here; nothing is fetched" : "missing");
    code = body_text(&at, "data", &data, e);
    if (code == 0 && !data.p) code = body_error(&at, "data", e, "missing");
    return code ? code : anthropic_add_text(to, data, e);
}

/* A line "NAME: text" of the head of a document; nothing where the member is not there. */
static int add_head(const struct body_at *block, const char *key, const char *name, struct buf *to, struct err *e) {
    struct slice text = {0};
    const int code = body_text(block, key, &text, e);
    if (code || !text.n) return code;
    return buf_printf(to, "\n%s: ", name) && buf_add(to, text.p, text.n) ? 0 : err_nomem(e, "a document", text.n);
}

static int check_citations(const struct body_at *block, struct err *e) {
    const json_t *citations = NULL;
    struct body_at at;
    bool enabled = false;
    int code = body_object(block, "citations", &citations, e);
    if (code || !citations) return code;
    code = body_into(&at, block, "citations", -1, citations, e);
    return code ? code : body_bool(&at, "enabled", &enabled, e);
}

static int add_document(struct answer *a, const struct body_at *block, struct buf *to, struct err *e) {
    int code = check_citations(block, e);
    if (code == 0) code = anthropic_add_text(to, SLICE("<document>"), e);
    if (code == 0) code = add_head(block, "title", "Title", to, e);
    if (code == 0) code = add_head(block, "context", "Context", to, e);
    if (code == 0) code = add_source(a, block, to, e);
    return code ? code : anthropic_add_text(to, SLICE("</document>"), e);
}

static int add_search_result(struct answer *a, const struct body_at *block, struct buf *to, struct err *e) {
    const json_t *content = NULL;
    int code = check_citations(block, e);
    if (code == 0) code = body_array(block, "content", &content, e);
    if (code == 0 && !content) code = body_error(block, "content", e, "missing");
    if (code == 0) code = anthropic_add_text(to, SLICE("<search_result>"), e);
    if (code == 0) code = add_head(block, "title", "Title", to, e);
    if (code == 0) code = add_head(block, "source", "Source", to, e);
    if (code == 0) code = anthropic_add_blocks(a, block, "content", to, e);
    return code ? code : anthropic_add_text(to, SLICE("</search_result>"), e);
}

/* What a client's own search for tools found: all tools are shown from the beginning, so their names say enough. */
static int add_reference(const struct body_at *block, struct buf *to, struct err *e) {
    struct slice name = {0};
    int code = body_text(block, "tool_name", &name, e);
    if (code == 0 && !name.n) code = body_error(block, "tool_name", e, "missing");
    if (code == 0) code = anthropic_add_text(to, SLICE("Tool found: "), e);
    return code || buf_add(to, name.p, name.n) ? code : err_nomem(e, "a message", name.n);
}

int anthropic_add_block(struct answer *a, const struct body_at *block, struct slice type, struct buf *to, bool *known, struct err *e) {
    struct slice text = {0};
    int code = anthropic_cache_control(a, block, e);
    *known = true;
    if (code) return code;
    if (slice_is(type, "document")) return add_document(a, block, to, e);
    if (slice_is(type, "search_result")) return add_search_result(a, block, to, e);
    if (slice_is(type, "tool_reference")) return add_reference(block, to, e);
    *known = slice_is(type, "text");
    if (!*known) return 0;
    code = body_text(block, "text", &text, e);
    if (code == 0 && !text.p) code = body_error(block, "text", e, "missing");
    return code || !text.n ? code : anthropic_add_text(to, text, e);
}

/* As deep as documents in documents: the body's depth is bounded. */
int anthropic_add_blocks(struct answer *a, const struct body_at *at, const char *key, struct buf *to, struct err *e) {
    const json_t *v = json_object_get(at->object, key);
    if (!v || json_is_null(v)) return 0;
    if (json_is_string(v)) return json_string_length(v) ? anthropic_add_text(to, (struct slice){json_string_value(v), json_string_length(v)}, e) : 0;
    if (!json_is_array(v)) return body_error(at, key, e, "not a string or an array of blocks");
    int code = 0;
    for (size_t i = 0; code == 0 && i < json_array_size(v); i++) {
        struct body_at block;
        struct slice type = {0};
        bool known = false;
        code = body_into(&block, at, key, (int)i, json_array_get(v, i), e);
        if (code == 0) code = body_text(&block, "type", &type, e);
        if (code == 0) code = anthropic_add_block(a, &block, type, to, &known, e);
        if (code == 0 && !known) code = anthropic_unknown_block(&block, type, e);
    }
    return code;
}
