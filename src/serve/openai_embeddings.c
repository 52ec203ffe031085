/* openai_embeddings.c: POST /v1/embeddings, as OpenAI has it, and POST /v1/rerank, as Jina and Cohere have it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/openai.h"
#include "serve/vectors.h"

/* ---- embeddings: what is asked ---- */

struct wants { /* in answer.dialect */
    bool base64;
    /* of /v1/rerank */
    int64_t top;
    bool documents, probabilities;
};

static struct wants *wants_of(struct answer *a) {
    if (!a->dialect) a->dialect = arena_alloc(&a->arena, sizeof(struct wants));
    return a->dialect;
}

static bool is_ids(const json_t *v) { return json_is_array(v) && json_is_integer(json_array_get(v, 0)); }

static int add_ids(struct answer *a, const json_t *list, const struct body_at *at, const char *where, struct err *e) {
    const int32_t *ids;
    int n;
    const int code = body_ids(at, where, list, &a->arena, &ids, &n, e);
    if (code == 0) vectors_add_ids(a, ids, n);
    return code;
}

/* A string, tokens, or an array of either. */
static int read_input(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *v = json_object_get(at->object, "input");
    if (!v || json_is_null(v)) return body_error(at, "input", e, "missing");
    if (!json_is_string(v) && !json_is_array(v)) return body_error(at, "input", e, "not a string, an array of strings, or tokens");
    const bool listed = json_is_array(v) && !is_ids(v);
    const size_t n = listed ? json_array_size(v) : 1;
    int code = vectors_want(a, n, "input", listed, e);
    if (code == 0 && is_ids(v)) return add_ids(a, v, at, "input", e);
    for (size_t i = 0; code == 0 && i < n; i++) {
        const json_t *one = listed ? json_array_get(v, i) : v;
        char where[32];
        (void)snprintf(where, sizeof where, "input[%zu]", i);
        if (is_ids(one)) code = add_ids(a, one, at, where, e);
        else if (json_is_string(one)) vectors_add(a, (struct slice){json_string_value(one), json_string_length(one)});
        else code = body_error(at, where, e, "not a string, nor an array of tokens");
    }
    return code;
}

static int read_embeddings(struct answer *a, const json_t *body, struct err *e) {
    static const char *const formats[] = {"float", "base64", NULL};
    const struct body_at at = body_top(body);
    struct wants *wants = wants_of(a);
    int64_t normalize = 2, dimensions = 0;
    int format = 0, code = wants ? read_input(a, &at, e) : err_nomem(e, "a request", sizeof *wants);
    if (code == 0) code = body_text(&at, "model", &a->ask.model, e);
    if (code == 0) code = body_choice(&at, "encoding_format", formats, &format, e);
    if (code == 0) code = body_int(&at, "dimensions", 1, INT32_MAX, &dimensions, e);
    if (code == 0) code = body_bool(&at, "truncate", &a->vectors->truncate, e);
    if (code == 0) code = body_int(&at, "embd_normalize", -1, 1000, &normalize, e);
    if (code) return code;
    a->vectors->dimensions = dimensions;
    a->vectors->normalize = (int)normalize;
    wants->base64 = format == 1;
    return 0;
}

/* ---- embeddings: what is answered ---- */

/* Numbers as 32-bit floats, little endian, in base64. */
static void base64_member(struct jw *j, const float *x, int n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t bytes = (size_t)n * 4, chars = (bytes + 2) / 3 * 4;
    char *text = mem_alloc(chars);
    if (!text) {
        j->failed = true;
        return;
    }
    for (size_t i = 0, at = 0; i < bytes; i += 3, at += 4) {
        uint32_t three = 0;
        for (size_t k = i; k < i + 3; k++) {
            uint32_t bits = 0;
            if (k < bytes) memcpy(&bits, &x[k / 4], 4);
            three = three << 8 | (bits >> k % 4 * 8 & 0xFF);
        }
        for (size_t k = 0; k < 4; k++) text[at + k] = i + k > bytes ? '=' : digits[three >> (18 - 6 * k) & 63];
    }
    jw_text(j, "embedding", (struct slice){text, chars});
    mem_free(text);
}

static void usage(struct jw *j, const struct vectors *v) {
    jw_open(j, "usage", '{');
    jw_integer(j, "prompt_tokens", v->tokens);
    jw_integer(j, "total_tokens", v->tokens);
    jw_close(j, '}');
}

static void write_embeddings(struct answer *a, struct jw *j) {
    const struct vectors *v = a->vectors;
    const struct wants *wants = a->dialect;
    jw_open(j, NULL, '{');
    jw_str(j, "object", "list");
    jw_open(j, "data", '[');
    for (int i = 0; i < v->n; i++) {
        jw_open(j, NULL, '{');
        jw_str(j, "object", "embedding");
        jw_integer(j, "index", i);
        if (wants->base64) {
            base64_member(j, v->text[i].out, v->width);
        } else {
            jw_open(j, "embedding", '[');
            for (int k = 0; k < v->width; k++) jw_number(j, NULL, (double)v->text[i].out[k]);
            jw_close(j, ']');
        }
        jw_close(j, '}');
    }
    jw_close(j, ']');
    jw_str(j, "model", answer_name(a));
    usage(j, v);
    jw_close(j, '}');
}

const struct endpoint openai_embeddings = {.read = read_embeddings, .instead = vectors_start, .whole = write_embeddings};

/* ---- reranking ---- */

/* Each a string, or an object with the member "text". */
static int read_documents(struct answer *a, const struct body_at *at, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "documents", &list, e);
    if (code) return code;
    if (!list) return body_error(at, "documents", e, "missing");
    code = vectors_want(a, json_array_size(list), "documents", true, e);
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        struct body_at inside;
        struct slice text = {json_string_value(v), json_string_length(v)};
        if (!json_is_string(v)) {
            if ((code = body_into(&inside, at, "documents", (int)i, v, e))) return err_set(e, ERR_FORMAT, "documents[%zu]: not a string, nor an object with a text", i);
            code = body_text(&inside, "text", &text, e);
            if (code == 0 && !text.p) code = body_error(&inside, "text", e, "missing");
        }
        if (code == 0) vectors_add(a, text);
    }
    return code;
}

static int read_rerank(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    struct wants *wants = wants_of(a);
    struct slice query = {0};
    if (!wants) return err_nomem(e, "a request", sizeof *wants);
    *wants = (struct wants){.top = INT32_MAX, .probabilities = true};
    int code = body_text(&at, "model", &a->ask.model, e);
    if (code == 0) code = body_text(&at, "query", &query, e);
    if (code == 0 && !query.p) code = body_error(&at, "query", e, "missing");
    if (code == 0) code = read_documents(a, &at, e);
    if (code == 0) code = body_int(&at, "top_n", 1, INT32_MAX, &wants->top, e);
    if (code == 0) code = body_bool(&at, "return_documents", &wants->documents, e);
    if (code == 0) code = body_bool(&at, "use_activation", &wants->probabilities, e);
    if (code) return code;
    a->vectors->scores = true;
    a->vectors->query = query;
    return 0;
}

struct ranked {
    float score;
    int index;
};

static int by_score(const void *x, const void *y) {
    const struct ranked *a = x, *b = y;
    if (a->score > b->score || a->score < b->score) return a->score > b->score ? -1 : 1;
    return a->index - b->index;
}

static void write_result(struct answer *a, struct jw *j, struct ranked r) {
    const struct wants *wants = a->dialect;
    jw_open(j, NULL, '{');
    jw_integer(j, "index", r.index);
    jw_number(j, "relevance_score", wants->probabilities ? vectors_probability(a, r.score) : (double)r.score);
    if (wants->documents) {
        jw_open(j, "document", '{');
        jw_text(j, "text", a->vectors->text[r.index].text);
        jw_close(j, '}');
    }
    jw_close(j, '}');
}

static void write_rerank(struct answer *a, struct jw *j) {
    const struct vectors *v = a->vectors;
    const struct wants *wants = a->dialect;
    struct ranked *order = mem_array(NULL, (size_t)v->n, sizeof *order);
    char id[48];
    if (!order) {
        j->failed = true;
        return;
    }
    for (int i = 0; i < v->n; i++) order[i] = (struct ranked){v->text[i].out[0], i};
    qsort(order, (size_t)v->n, sizeof *order, by_score);
    (void)snprintf(id, sizeof id, "rerank-%s", a->id);
    jw_open(j, NULL, '{');
    jw_str(j, "id", id);
    jw_str(j, "object", "list");
    jw_str(j, "model", answer_name(a));
    jw_open(j, "results", '[');
    for (int i = 0; i < v->n && i < wants->top; i++) write_result(a, j, order[i]);
    jw_close(j, ']');
    usage(j, v);
    jw_close(j, '}');
    mem_free(order);
}

const struct endpoint openai_rerank = {.read = read_rerank, .instead = vectors_start, .whole = write_rerank};
