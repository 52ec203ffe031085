/* rerank.c: pairs of texts for rerankers; see rerank.h. */
#define _GNU_SOURCE
#include "engine/rerank.h"

#include <string.h>

#define TEMPLATE "tokenizer.chat_template.rerank"

static int fill_segments(const struct tokens *ids, struct tokens *segments, int32_t segment, struct err *e) {
    int code = 0;
    while (code == 0 && segments->n < ids->n) code = tokens_add(segments, segment, e);
    return code;
}

/* ---- by a template ---- */

struct filling {
    struct buf text;
    struct byte_span own[3]; /* what the template wrote: before, between and after the two */
    int n;
};

static bool add(struct filling *f, struct slice part, bool own) {
    if (own) f->own[f->n++] = (struct byte_span){f->text.len, f->text.len + part.n};
    return buf_add(&f->text, part.p, part.n);
}

static int fill(struct filling *f, struct slice source, struct slice query, struct slice document, struct err *e) {
    static const char names[2][12] = {"{query}", "{document}"};
    const char *at[2];
    for (int i = 0; i < 2; i++)
        if (!(at[i] = memmem(source.p, source.n, names[i], strlen(names[i])))) return err_set(e, ERR_FORMAT, "the key " TEMPLATE " has no %s in it", names[i]);
    const int first = at[1] < at[0];
    const char *p = source.p, *end = source.p + source.n;
    bool ok = true;
    for (int k = 0; k < 2; k++) {
        const int i = k ? !first : first;
        ok = ok && add(f, (struct slice){p, (size_t)(at[i] - p)}, true) && add(f, i ? document : query, false);
        p = at[i] + strlen(names[i]);
    }
    ok = ok && add(f, (struct slice){p, (size_t)(end - p)}, true);
    return ok ? 0 : err_nomem(e, "a query and a document", source.n + query.n + document.n);
}

static int by_template(const struct tokenizer *t, struct slice source, struct slice query, struct slice document, struct tokens *ids, struct err *e) {
    struct filling f = {0};
    int code = fill(&f, source, query, document, e);
    struct encode_options o = {.add_special = true, .parse = SPECIAL_SPANS, .spans = f.own, .n_spans = (size_t)f.n};
    if (code == 0) code = tokenizer_encode(t, (struct slice){f.text.data ? f.text.data : "", f.text.len}, &o, ids, e);
    buf_free(&f.text);
    return code;
}

/* ---- by the tokenizer's rules ---- */

/* The document goes on where the query ends, so that it has no beginning of its own. */
static int by_rules(const struct tokenizer *t, struct slice query, struct slice document, struct tokens *ids, struct tokens *segments, struct err *e) {
    const struct encode_options o = {.add_special = true}; /* spellings of control tokens stay text */
    struct tokens rest = {.limit = ids->limit};
    int code = tokenizer_encode(t, query, &o, ids, e);
    if (code == 0 && tokenizer_parts_pairs(t)) code = tokens_add(ids, tokenizer_role(t, ROLE_SEP), e);
    const int32_t last = code == 0 && ids->n ? ids->id[ids->n - 1] : TOKEN_NONE;
    if (code == 0 && (last == TOKEN_NONE || (last != tokenizer_role(t, ROLE_SEP) && last != tokenizer_role(t, ROLE_EOS))))
        code = err_set(e, ERR_UNSUPPORTED, "the file does not say how a query and a document become one text: neither by " TEMPLATE " nor by a token that ends a text");
    if (code == 0) code = fill_segments(ids, segments, 0, e);
    if (code == 0) code = tokenizer_encode(t, document, &o, &rest, e);
    for (size_t i = tokenizer_adds_bos(t); code == 0 && i < rest.n; i++) code = tokens_add(ids, rest.id[i], e);
    tokens_free(&rest);
    return code ? code : fill_segments(ids, segments, 1, e);
}

int rerank_pair(const struct tokenizer *t, const struct gguf *file, struct slice query, struct slice document, struct tokens *ids, struct tokens *segments, struct err *e) {
    struct slice source = {0};
    int code = gguf_get_str(file, TEMPLATE, &source, e);
    if (code) return code;
    if (source.n) {
        code = by_template(t, source, query, document, ids, e);
        return code ? code : fill_segments(ids, segments, 0, e);
    }
    return by_rules(t, query, document, ids, segments, e);
}
