/* llama_tokens.c: POST /tokenize, /detokenize and /apply-template, GET /props: what a model makes of a text, without anything being computed; see llama.h.
 *
 * A text in "content" is answered as llama.cpp does, one in "prompt", or "messages", as vLLM does. */
#include <string.h>

#include "base/utf8.h"
#include "engine/engine.h"
#include "serve/llama.h"
#include "serve/openai.h"
#include "serve/prompt.h"

struct texts { /* in answer.dialect */
    bool vllm, pieces;
    struct slice text;            /* NULL: messages */
    struct encode_options encode;
    const int32_t *id;            /* [n] of the text */
    int n;
    struct slice out;             /* the text of the tokens, or of the messages */
};

static struct texts *texts_of(struct answer *a) {
    if (!a->dialect) a->dialect = arena_alloc(&a->arena, sizeof(struct texts));
    return a->dialect;
}

static int keep(struct answer *a, struct slice text, struct err *e) {
    struct texts *t = a->dialect;
    t->out = (struct slice){arena_strndup(&a->arena, text.p ? text.p : "", text.n), text.n};
    return t->out.p ? 0 : err_nomem(e, "a text", text.n);
}

static int64_t context_of(const struct served *m) { return m->engine ? (int64_t)engine_context(m->engine) : (int64_t)m->model->hp.n_ctx_train; }

static void bytes_of(struct jw *j, const char *key, struct slice s) {
    jw_open(j, key, '[');
    for (size_t i = 0; i < s.n; i++) jw_integer(j, NULL, (uint8_t)s.p[i]);
    jw_close(j, ']');
}

static bool is_text(struct slice s) { return utf8_prefix(s.p, s.n) == s.n; }

/* ---- messages ---- */

static int read_messages(struct answer *a, const struct body_at *at, struct err *e) {
    bool turn = true;
    int code = openai_messages(a, at, e);
    if (code == 0) code = openai_tools(a, at, e);
    if (code == 0) code = body_object(at, "chat_template_kwargs", &a->ask.kwargs, e);
    if (code == 0) code = body_text(at, "reasoning_effort", &a->ask.effort, e);
    if (code == 0) code = body_bool(at, "add_generation_prompt", &turn, e);
    a->ask.no_turn = !turn;
    return code;
}

static int read_template(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    if (!texts_of(a)) return err_nomem(e, "a request", sizeof(struct texts));
    const int code = body_text(&at, "model", &a->ask.model, e);
    return code ? code : read_messages(a, &at, e);
}

static int render_template(struct answer *a, bool *later, struct err *e) {
    struct rendering r = {0};
    int code = prompt_render(&a->ask, a->model, &a->arena, &r, e);
    (void)later;
    if (code == 0) code = keep(a, (struct slice){r.text, r.len}, e);
    rendering_free(&r);
    return code;
}

static void write_template(struct answer *a, struct jw *j) {
    const struct texts *t = a->dialect;
    jw_open(j, NULL, '{');
    jw_text(j, "prompt", t->out);
    jw_close(j, '}');
}

const struct endpoint llama_template = {.read = read_template, .instead = render_template, .whole = write_template};

/* ---- text to tokens ---- */

static int read_tokenize(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    struct texts *t = texts_of(a);
    bool special = true;
    if (!t) return err_nomem(e, "a request", sizeof *t);
    int code = body_text(&at, "model", &a->ask.model, e);
    if (code == 0) code = body_text(&at, "content", &t->text, e);
    t->vllm = !t->text.p;
    if (code == 0 && t->vllm) code = body_text(&at, "prompt", &t->text, e);
    t->encode.add_special = t->vllm;
    if (code == 0) code = body_bool(&at, t->vllm ? "add_special_tokens" : "add_special", &t->encode.add_special, e);
    if (code == 0) code = body_bool(&at, t->vllm ? "return_token_strs" : "with_pieces", &t->pieces, e);
    if (code == 0) code = body_bool(&at, "parse_special", &special, e);
    t->encode.parse = special ? SPECIAL_ALL : SPECIAL_NONE;
    if (code || t->text.p) return code;
    if (!json_object_get(body, "messages")) return body_error(&at, "content", e, "missing: a text in content or prompt, or messages");
    return read_messages(a, &at, e);
}

static int do_tokenize(struct answer *a, bool *later, struct err *e) {
    struct texts *t = a->dialect;
    struct tokens ids = {0};
    bool opened;
    int code = t->text.p ? tokenizer_encode(a->model->tokenizer, t->text, &t->encode, &ids, e) : prompt_tokens(&a->ask, a->model, &a->arena, &ids, &opened, e);
    (void)later;
    int32_t *kept = code ? NULL : arena_array(&a->arena, ids.n + 1, sizeof *kept);
    if (code == 0 && !kept) code = err_nomem(e, "tokens", ids.n * sizeof *kept);
    if (code == 0 && ids.n) memcpy(kept, ids.id, ids.n * sizeof *kept);
    t->id = kept;
    t->n = (int)ids.n;
    tokens_free(&ids);
    return code;
}

static void write_piece(struct jw *j, const struct tokenizer *tok, int32_t id) {
    const struct slice piece = tokenizer_piece(tok, id);
    jw_open(j, NULL, '{');
    jw_integer(j, "id", id);
    if (is_text(piece)) jw_text(j, "piece", piece);
    else bytes_of(j, "piece", piece);
    jw_close(j, '}');
}

static void write_tokenize(struct answer *a, struct jw *j) {
    const struct texts *t = a->dialect;
    const struct tokenizer *tok = a->model->tokenizer;
    jw_open(j, NULL, '{');
    if (t->vllm) {
        jw_integer(j, "count", t->n);
        jw_integer(j, "max_model_len", context_of(a->model));
    }
    jw_open(j, "tokens", '[');
    for (int i = 0; i < t->n; i++) {
        if (t->pieces && !t->vllm) write_piece(j, tok, t->id[i]);
        else jw_integer(j, NULL, t->id[i]);
    }
    jw_close(j, ']');
    if (t->vllm && t->pieces) {
        jw_open(j, "token_strs", '[');
        for (int i = 0; i < t->n; i++) jw_text(j, NULL, tokenizer_text(tok, t->id[i]));
        jw_close(j, ']');
    } else if (t->vllm) {
        jw_null(j, "token_strs");
    }
    jw_close(j, '}');
}

const struct endpoint llama_tokenize = {.read = read_tokenize, .instead = do_tokenize, .whole = write_tokenize};

/* ---- tokens to text ---- */

static int read_detokenize(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    struct texts *t = texts_of(a);
    const json_t *list = NULL;
    if (!t) return err_nomem(e, "a request", sizeof *t);
    int code = body_text(&at, "model", &a->ask.model, e);
    if (code == 0) code = body_array(&at, "tokens", &list, e);
    if (code == 0 && !list) code = body_error(&at, "tokens", e, "missing");
    return code ? code : body_ids(&at, "tokens", list, &a->arena, &t->id, &t->n, e);
}

static int do_detokenize(struct answer *a, bool *later, struct err *e) {
    const struct texts *t = a->dialect;
    struct buf text = {.limit = (size_t)1 << 30};
    (void)later;
    int code = tokenizer_decode(a->model->tokenizer, t->id, (size_t)t->n, true, &text, e);
    if (code == ERR_TEXT) (void)err_in(e, "tokens");
    if (code == 0) code = keep(a, (struct slice){text.data, text.len}, e);
    buf_free(&text);
    return code;
}

static void write_detokenize(struct answer *a, struct jw *j) {
    const struct texts *t = a->dialect;
    jw_open(j, NULL, '{');
    jw_text(j, "content", t->out); /* llama.cpp's name, */
    jw_text(j, "prompt", t->out);  /* and vLLM's */
    if (!is_text(t->out)) bytes_of(j, "bytes", t->out);
    jw_close(j, '}');
}

const struct endpoint llama_detokenize = {.read = read_detokenize, .instead = do_detokenize, .whole = write_detokenize};

/* ---- a model's properties ---- */

void llama_props(struct service *s, struct http_request *r) {
    struct slice name = {0};
    struct served *m;
    struct fitted *f; /* of an adapter's name: the properties are its model's */
    struct err e = {0};
    (void)http_query(r, "model", &name);
    const int code = service_use(s, name, &m, &f, &e);
    if (code) {
        (void)http_error(r, status_of(code), 0, "%s", e.msg);
        return;
    }
    struct jw j = {.b = {.limit = 64 << 20}};
    jw_open(&j, NULL, '{');
    jw_open(&j, "default_generation_settings", '{');
    jw_integer(&j, "n_ctx", context_of(m));
    jw_close(&j, '}');
    jw_str(&j, "model_alias", m->name);
    jw_text(&j, "chat_template", m->template.p ? m->template : SLICE(""));
    jw_text(&j, "bos_token", tokenizer_text(m->tokenizer, tokenizer_role(m->tokenizer, ROLE_BOS)));
    jw_text(&j, "eos_token", tokenizer_text(m->tokenizer, tokenizer_role(m->tokenizer, ROLE_EOS)));
    jw_open(&j, "modalities", '{');
    jw_bool(&j, "vision", false);
    jw_bool(&j, "audio", false);
    jw_close(&j, '}');
    jw_bool(&j, "infill", m->engine && fim_known(m->tokenizer));
    jw_bool(&j, "generates", m->engine != NULL);
    jw_close(&j, '}');
    fitted_done(f);
    models_done(m);
    answer_json(r, &j);
}
