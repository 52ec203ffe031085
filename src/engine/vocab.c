/* vocab.c: from the keys of a GGUF file to a tokenizer; see vocab.h. What text calls a spec is filled here and dropped again. */
#include "engine/vocab.h"

#include <stdio.h>
#include <string.h>

#define KEY "tokenizer.ggml."

/* An array of strings. *has: whether the key is there. */
static int get_strings(const struct gguf *g, const char *key, const struct slice **v, size_t *n, bool *has, struct err *e) {
    const struct gguf_kv *kv = gguf_find(g, key);
    *has = kv != NULL;
    if (!kv) return ERR_OK;
    if (kv->type != GGUF_ARRAY || kv->element != GGUF_STRING) return err_set(e, ERR_FORMAT, "%s: not an array of strings", key);
    *v = kv->strings;
    *n = (size_t)kv->count;
    return ERR_OK;
}

/* One four-byte number for each token, in place. Scores may be int32 in old files: those are turned into floats, kept in *own. */
static int get_numbers(const struct gguf *g, const char *key, enum gguf_type want, size_t n, const void **v, float **own, struct err *e) {
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv) return ERR_OK;
    if (kv->type != GGUF_ARRAY || kv->count < n || (kv->element != want && kv->element != GGUF_I32))
        return err_set(e, ERR_FORMAT, "%s: not an array of %zu %s, one for each token", key, n, want == GGUF_F32 ? "float32" : "int32");
    *v = kv->data;
    if (kv->element == want) return ERR_OK;
    if (!(*own = mem_array(NULL, n, sizeof **own))) return err_nomem(e, key, n * sizeof **own);
    for (size_t i = 0; i < n; i++) (*own)[i] = (float)gguf_array_i64(kv, i);
    *v = *own;
    return ERR_OK;
}

/* An id; -1 in any width of integer is "none", as if the key were absent. */
static int get_role(const struct gguf *g, const char *name, int64_t *id, struct err *e) {
    char key[80];
    (void)snprintf(key, sizeof key, KEY "%s_token_id", name);
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv) return ERR_OK;
    if (kv->type == GGUF_I8 || kv->type == GGUF_I16 || kv->type == GGUF_I32) {
        int32_t v = TOKEN_NONE;
        int rc = gguf_get_i32(g, key, &v, e);
        *id = v;
        return rc;
    }
    uint32_t v = UINT32_MAX;
    int rc = gguf_get_u32(g, key, &v, e);
    *id = v == UINT32_MAX ? TOKEN_NONE : (int64_t)v;
    return rc;
}

static int get_roles(const struct gguf *g, struct tokenizer_spec *s, struct err *e) {
    static const struct {
        const char *name;
        enum token_role role;
    } roles[] = {
        {"prefix", ROLE_FIM_PRE},  {"suffix", ROLE_FIM_SUF},   {"middle", ROLE_FIM_MID}, /* old names first: the new ones win */
        {"cls", ROLE_BOS},         {"bos", ROLE_BOS},          {"eos", ROLE_EOS},         {"eot", ROLE_EOT},         {"eom", ROLE_EOM},
        {"unknown", ROLE_UNK},     {"seperator", ROLE_SEP},    {"padding", ROLE_PAD},     {"mask", ROLE_MASK},       {"fim_pre", ROLE_FIM_PRE},
        {"fim_suf", ROLE_FIM_SUF}, {"fim_mid", ROLE_FIM_MID},  {"fim_pad", ROLE_FIM_PAD}, {"fim_rep", ROLE_FIM_REP}, {"fim_sep", ROLE_FIM_SEP},
    };
    int rc = ERR_OK;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && !rc; i++) rc = get_role(g, roles[i].name, &s->role[roles[i].role], e);
    return rc;
}

static int get_flag(const struct gguf *g, const char *key, int *out, struct err *e) {
    bool v = false;
    if (!gguf_find(g, key)) return ERR_OK;
    int rc = gguf_get_bool(g, key, &v, e);
    if (!rc) *out = v;
    return rc;
}

static int get_flags(const struct gguf *g, struct tokenizer_spec *s, struct err *e) {
    struct {
        const char *key;
        int *flag;
    } flags[] = {
        {KEY "add_bos_token", &s->add_bos},
        {KEY "add_eos_token", &s->add_eos},
        {KEY "add_sep_token", &s->add_sep},
        {KEY "add_space_prefix", &s->add_space_prefix},
        {KEY "remove_extra_whitespaces", &s->remove_extra_whitespaces},
        {KEY "escape_whitespaces", &s->escape_whitespaces},
        {KEY "treat_whitespace_as_suffix", &s->treat_whitespace_as_suffix},
        {KEY "normalizer.lowercase", &s->lowercase},
        {KEY "normalizer.strip_accents", &s->strip_accents},
    };
    int rc = ERR_OK;
    for (size_t i = 0; i < sizeof flags / sizeof *flags && !rc; i++) rc = get_flag(g, flags[i].key, flags[i].flag, e);
    return rc;
}

static int fill(const struct gguf *g, struct tokenizer_spec *s, float **scores, struct err *e) {
    bool has = false;
    int rc = gguf_get_str(g, KEY "model", &s->model, e);
    if (!rc && !s->model.n) return err_set(e, ERR_FORMAT, KEY "model is missing: the file has no tokenizer");
    if (!rc) rc = gguf_get_str(g, KEY "pre", &s->pre, e);
    if (!rc) rc = gguf_get_str(g, "general.name", &s->name, e);
    if (!rc) rc = gguf_get_str(g, "general.architecture", &s->arch, e);
    if (!rc) rc = get_strings(g, KEY "tokens", &s->tokens, &s->n_tokens, &has, e);
    if (!rc) rc = get_numbers(g, KEY "scores", GGUF_F32, s->n_tokens, &s->scores, scores, e);
    if (!rc) rc = get_numbers(g, KEY "token_type", GGUF_I32, s->n_tokens, &s->types, NULL, e);
    if (!rc) rc = get_strings(g, KEY "merges", &s->merges, &s->n_merges, &s->has_merges, e);
    if (!rc) rc = get_roles(g, s, e);
    if (!rc) rc = get_flags(g, s, e);
    const struct gguf_kv *map = gguf_find(g, KEY "precompiled_charsmap");
    if (!rc && map) {
        if (map->type != GGUF_ARRAY || (map->element != GGUF_U8 && map->element != GGUF_I8))
            return err_set(e, ERR_FORMAT, KEY "precompiled_charsmap: not an array of bytes");
        s->precompiled_charsmap = (struct slice){(const char *)map->data, (size_t)map->count};
    }
    return rc;
}

int vocab_open(struct tokenizer **t, const struct gguf *g, struct slice pre, struct err *e) {
    struct tokenizer_spec s;
    float *scores = NULL;
    *t = NULL;
    tokenizer_spec_init(&s);
    int rc = fill(g, &s, &scores, e);
    if (pre.n) s.pre = pre;
    if (!rc) rc = tokenizer_new(t, &s, e);
    mem_free(scores);
    return rc;
}

int vocab_of_model(struct tokenizer **t, const struct model *m, struct err *e) {
    int rc = vocab_open(t, m->file, (struct slice){0}, e);
    if (rc) return err_in(e, "%s", gguf_path(m->file));
    uint32_t n = tokenizer_count(*t);
    if (n == 0 || n == m->hp.n_vocab) return 0;
    tokenizer_free(*t);
    *t = NULL;
    return err_set(e, ERR_FORMAT, "%s: " KEY "tokens has %u tokens, but token_embd.weight has %u rows", gguf_path(m->file), n, m->hp.n_vocab);
}

int vocab_same(const struct tokenizer *model, const struct tokenizer *draft, struct err *e) {
    enum { PADDING = 1024 }; /* released sizes of one family differ by a few hundred */
    uint32_t a = tokenizer_count(model), b = tokenizer_count(draft), both = a < b ? a : b;
    if (a - both > PADDING || b - both > PADDING) return err_set(e, ERR_UNSUPPORTED, "the draft model has %u tokens, the model %u: a draft needs the same vocabulary", b, a);
    for (uint32_t i = 0; i < both; i++) {
        struct slice x = tokenizer_text(model, (int32_t)i), y = tokenizer_text(draft, (int32_t)i);
        char left[40], right[40];
        if (slice_eq(x, y) || tokenizer_type(model, (int32_t)i) == TOKEN_UNUSED || tokenizer_type(draft, (int32_t)i) == TOKEN_UNUSED) continue;
        return err_set(e, ERR_UNSUPPORTED, "token %u is \"%s\" in the draft model, but \"%s\" in the model: a draft needs the same vocabulary", i,
                       err_quote(right, sizeof right, y.p, y.n), err_quote(left, sizeof left, x.p, x.n));
    }
    return 0;
}

int vocab_chat_template(const struct gguf *g, const char *name, struct slice *source, struct err *e) {
    char key[128] = "tokenizer.chat_template";
    if (name) {
        (void)snprintf(key, sizeof key, "tokenizer.chat_template.%s", name);
        if (gguf_find(g, key)) return gguf_get_str(g, key, source, e);
    }
    return gguf_get_str(g, "tokenizer.chat_template", source, e);
}
