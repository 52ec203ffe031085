/* chat.c: chat templates; see chat.h. */
#include "engine/chat.h"

#include <string.h>

#include "engine/vocab.h"

struct chat {
    struct template *template;
    const struct tokenizer *tokenizer;
};

int chat_new(struct chat **out, const struct gguf *file, const struct tokenizer *t, struct slice source, const char *variant, struct err *e) {
    *out = NULL;
    bool own = !source.p;
    int code = own ? vocab_chat_template(file, variant, &source, e) : 0;
    if (code) return code;
    if (!source.p) return err_set(e, ERR_UNSUPPORTED, "%s: the file has no chat template; it is no chat model, or give one with --chat-template-file", gguf_path(file));
    struct chat *c = mem_calloc(1, sizeof *c);
    if (!c) return err_nomem(e, "a chat template", sizeof *c);
    c->tokenizer = t;
    if ((code = template_parse(&c->template, source, e))) {
        mem_free(c);
        return own ? err_in(e, "%s", gguf_path(file)) : code;
    }
    *out = c;
    return 0;
}

void chat_free(struct chat *c) {
    if (!c) return;
    template_free(c->template);
    mem_free(c);
}

/* The spelling of a special token as a variable, unless the caller set it. */
static bool add_token(struct arena *a, struct value *context, const char *key, const struct tokenizer *t, enum token_role role) {
    int32_t id = tokenizer_role(t, role);
    struct slice text = id == TOKEN_NONE ? (struct slice){"", 0} : tokenizer_text(t, id);
    return value_get(context, key) || value_set(a, context, key, value_string(a, text.p, text.n, VALUE_TRUSTED));
}

int chat_render(const struct chat *c, struct arena *a, struct value *context, struct rendering *out, struct err *e) {
    if (!value_trust_roles(a, context) || !add_token(a, context, "bos_token", c->tokenizer, ROLE_BOS) ||
        !add_token(a, context, "eos_token", c->tokenizer, ROLE_EOS))
        return err_nomem(e, "the template's variables", a->used);
    return template_render(c->template, context, NULL, out, e);
}

int chat_encode(const struct chat *c, const struct rendering *r, struct tokens *ids, struct err *e) {
    const struct encode_options o = {.parse = SPECIAL_SPANS, .spans = r->template_spans, .n_spans = r->n_template};
    return tokenizer_encode(c->tokenizer, (struct slice){r->text, r->len}, &o, ids, e);
}

int chat_tokens(const struct chat *c, struct arena *a, struct value *context, struct tokens *ids, struct err *e) {
    struct rendering r = {0};
    int code = chat_render(c, a, context, &r, e);
    if (code == 0) code = chat_encode(c, &r, ids, e);
    rendering_free(&r);
    return code;
}
