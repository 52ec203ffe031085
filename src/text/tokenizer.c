/* tokenizer.c: making a tokenizer from what the file says, finding special tokens in a text, and the queries; see tokenizer.h.
 *
 * A text is cut at its special tokens first: at each place the longest one that is allowed there. What lies between goes
 * to the kind's own encoder (tok_bpe.c, tok_spm.c, ...).
 */
#define _GNU_SOURCE
#include "text/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "text/tok_internal.h"

#define TEXT_LIMIT ((size_t)1 << 30)
#define VOCAB_LIMIT ((size_t)1 << 28)

static const struct tok_kind tok_kind_none = {.model = "none", .label = "none: ids only", .bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .mask = -1};
static const struct tok_kind tok_kind_no_vocab = {.model = "no_vocab", .label = "none: ids only", .bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .mask = -1};
static const struct tok_kind tok_kind_test = {.model = "test", .label = "test: ids only", .bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .mask = -1};

static const struct tok_kind *const kinds[] = {
    &tok_kind_bpe, &tok_kind_bpe_gemma4, &tok_kind_spm, &tok_kind_unigram, &tok_kind_wordpiece, &tok_kind_rwkv,
    &tok_kind_none, &tok_kind_no_vocab, &tok_kind_test,
};

void tokenizer_spec_init(struct tokenizer_spec *s) {
    *s = (struct tokenizer_spec){.add_bos = -1, .add_eos = -1, .add_sep = -1, .add_space_prefix = -1, .remove_extra_whitespaces = -1,
                                 .escape_whitespaces = -1, .treat_whitespace_as_suffix = -1, .lowercase = -1, .strip_accents = -1};
    for (int i = 0; i < ROLE_COUNT; i++) s->role[i] = TOKEN_NONE;
}

/* ---- building */

enum { AHEAD = 8 }; /* tokens whose place in the map is on its way from memory */

static int copy_tokens(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) {
    if (s->n_tokens > VOCAB_LIMIT) return err_set(e, ERR_FORMAT, "tokenizer.ggml.tokens: %zu tokens are more than %zu", s->n_tokens, VOCAB_LIMIT);
    t->n = (uint32_t)s->n_tokens;
    t->text = arena_array(&t->arena, s->n_tokens, sizeof *t->text);
    t->score = arena_array(&t->arena, s->n_tokens, sizeof *t->score);
    t->type = arena_array(&t->arena, s->n_tokens, 1);
    t->flags = arena_array(&t->arena, s->n_tokens, 1);
    if (!t->text || !t->score || !t->type || !t->flags || !strmap_reserve(&t->by_text, s->n_tokens)) return err_nomem(e, "the vocabulary", s->n_tokens);
    for (uint32_t i = 0; i < t->n; i++) {
        int32_t type = TOKEN_NORMAL;
        if (i + AHEAD < t->n) strmap_expect(&t->by_text, s->tokens[i + AHEAD]);
        t->text[i] = s->tokens[i];
        if (!t->text[i].p) t->text[i] = SLICE("");
        if (s->types) memcpy(&type, (const char *)s->types + 4 * (size_t)i, 4);
        else if (t->kind->lower_block && byte_spelt(t->text[i]) >= 0) type = TOKEN_BYTE;
        if (s->scores) memcpy(&t->score[i], (const char *)s->scores + 4 * (size_t)i, 4);
        if (isnan(t->score[i])) return err_set(e, ERR_FORMAT, "tokenizer.ggml.scores: the score of token %u is not a number", i);
        t->type[i] = type >= TOKEN_UNDEFINED && type <= TOKEN_BYTE ? (uint8_t)type : TOKEN_UNDEFINED;
        if (t->text[i].n > TEXT_LIMIT) return err_set(e, ERR_FORMAT, "tokenizer.ggml.tokens: token %u is %zu bytes long", i, t->text[i].n);
        if (t->text[i].n > t->longest) t->longest = (uint32_t)t->text[i].n;
        if (t->text[i].n && strmap_put(&t->by_text, t->text[i], i) == 0) t->text_twice = true; /* the first token has it */
    }
    return ERR_OK;
}

/* Roles: what the file names, else the kind's default. An id outside the vocabulary names nothing; the log says so. */
static void set_roles(struct tokenizer *t, const struct tokenizer_spec *s, bool no_bos) {
    static const char *const key[ROLE_COUNT] = {"bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask",
                                                "fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep"};
    const struct tok_kind *k = t->kind;
    for (int r = 0; r < ROLE_COUNT; r++) t->role[r] = TOKEN_NONE;
    t->role[ROLE_BOS] = no_bos ? TOKEN_NONE : k->bos;
    t->role[ROLE_EOS] = k->eos;
    t->role[ROLE_UNK] = k->unk;
    t->role[ROLE_SEP] = k->sep;
    t->role[ROLE_PAD] = k->pad;
    t->role[ROLE_MASK] = k->mask;
    for (int r = 0; r < ROLE_COUNT; r++) {
        if (t->role[r] >= 0 && (uint32_t)t->role[r] >= t->n) t->role[r] = TOKEN_NONE;
        int64_t id = s->role[r];
        if (id >= 0 && id < (int64_t)t->n)
            t->role[r] = (int32_t)id;
        else if (id >= 0 && id != UINT32_MAX && t->n) /* without a vocabulary there is an error to come, and nothing to add */
            log_warn("tokenizer.ggml.%s_token_id is %lld, outside the vocabulary of %u tokens: ignored", key[r], (long long)id, t->n);
    }
}

static bool choose(int said, bool otherwise) { return said < 0 ? otherwise : said != 0; }

static int build_special(struct tokenizer *t, struct err *e) {
    size_t n = 0;
    for (uint32_t i = 0; i < t->n; i++) n += token_is_special(t, i);
    struct trie_key *keys = mem_array(NULL, n, sizeof *keys);
    if (!keys) return err_nomem(e, "the special tokens", n * sizeof *keys);
    n = 0;
    for (uint32_t i = 0; i < t->n; i++)
        if (token_is_special(t, i)) keys[n++] = (struct trie_key){t->piece[i], (int32_t)i};
    bool ok = trie_build(&t->special, &t->arena, keys, n);
    mem_free(keys);
    return ok ? ERR_OK : err_nomem(e, "the special tokens", n * sizeof *keys);
}

static int build(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) {
    bool no_bos = false, force_bos = false, add_bos = t->kind->add_bos;
    t->pre = s->pre;
    if (t->kind == &tok_kind_bpe || t->kind == &tok_kind_bpe_gemma4) {
        const struct pre_row *row = pre_find(t->kind == &tok_kind_bpe ? s->pre : SLICE("gemma4"));
        if (row) {
            no_bos = row->flags & PRE_NO_BOS;
            add_bos = row->flags & PRE_ADD_BOS;
            force_bos = row->flags & PRE_FORCE_BOS;
        }
    }
    int rc = copy_tokens(t, s, e);
    if (rc) return rc;
    set_roles(t, s, no_bos);
    t->add_bos = force_bos || choose(s->add_bos, add_bos);
    t->add_eos = choose(s->add_eos, t->kind->add_eos);
    t->add_sep = choose(s->add_sep, t->kind->add_sep);
    t->add_space_prefix = choose(s->add_space_prefix, t->kind->space_prefix);
    t->lower_block = t->kind->lower_block;
    special_by_spelling(t);
    special_strip_rules(t, s);
    if (t->add_bos && t->role[ROLE_BOS] < 0) t->add_bos = false;
    if (t->add_eos && t->role[ROLE_EOS] < 0) t->add_eos = false;
    if (t->add_sep && t->role[ROLE_SEP] < 0) t->add_sep = false;
    if (t->kind->build) rc = t->kind->build(t, s, e);
    if (!rc && !t->piece) rc = pieces_build(t, e);
    return rc ? rc : build_special(t, e);
}

int tokenizer_new(struct tokenizer **out, const struct tokenizer_spec *s, struct err *e) {
    *out = NULL;
    const struct tok_kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !kind; i++)
        if (slice_is(s->model, kinds[i]->model)) kind = kinds[i];
    char quoted[64];
    if (!kind)
        return err_set(e, ERR_UNSUPPORTED, "tokenizer.ggml.model: the kind '%s' is not known; known are llama, gpt2, gemma4, bert, t5, rwkv",
                       err_quote(quoted, sizeof quoted, s->model.p ? s->model.p : "", s->model.n));
    struct tokenizer *t = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(e, "the tokenizer", sizeof *t);
    t->kind = kind;
    for (int i = 0; i < 256; i++) t->byte_id[i] = TOKEN_NONE;
    int rc = build(t, s, e);
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    *out = t;
    return ERR_OK;
}

void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    if (t->kind->free && t->model) t->kind->free(t->model);
    strmap_free(&t->by_text);
    arena_free(&t->arena);
    mem_free(t);
}

/* ---- ids */

int tokens_add(struct tokens *t, int32_t id, struct err *e) {
    if (t->limit && t->n >= t->limit) return err_set(e, ERR_CONTEXT, "the text has more than %zu tokens", t->limit);
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        int32_t *more = mem_array(t->id, cap, sizeof *more);
        if (!more) return err_nomem(e, "token ids", cap * sizeof *more);
        t->id = more;
        t->cap = cap;
    }
    t->id[t->n++] = id;
    return ERR_OK;
}

void tokens_free(struct tokens *t) {
    mem_free(t->id);
    *t = (struct tokens){.limit = t->limit};
}

/* The byte at `at` has no token. Where in the text it is can be told when it is still the text's own and no copy with other spaces. */
static int no_token(struct slice text, const char *at, struct err *e) {
    char place[40] = "a byte";
    bool valid = utf8_prefix(text.p, text.n) == text.n;
    if (at >= text.p && at < text.p + text.n) (void)snprintf(place, sizeof place, "byte %zu", (size_t)(at - text.p));
    return err_set(e, ERR_TEXT, "%s of the text is 0x%02X, for which the vocabulary has no token; %s", place, (unsigned)(uint8_t)*at,
                   valid ? "take that character out" : "the text is not valid UTF-8: convert it, or take that byte out");
}

int emit_bytes(const struct tokenizer *t, const struct tok_scratch *w, struct slice bytes, struct tokens *out, struct err *e) {
    int32_t unknown = t->byte_level ? TOKEN_NONE : t->role[ROLE_UNK]; /* where files of byte-level BPE name one it is often <|endoftext|> */
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t byte = (uint8_t)bytes.p[i];
        if (t->byte_id[byte] >= 0) continue;
        if (unknown < 0) return no_token(w->source, &bytes.p[i], e);
        return out->n && out->id[out->n - 1] == unknown ? ERR_OK : tokens_add(out, unknown, e);
    }
    int rc = ERR_OK;
    for (size_t i = 0; i < bytes.n && !rc; i++) rc = tokens_add(out, t->byte_id[(uint8_t)bytes.p[i]], e);
    return rc;
}

int emit_symbol(const struct tokenizer *t, const struct tok_scratch *w, uint32_t symbol, struct slice spelt, struct tokens *out, struct err *e) {
    if (symbol < t->n) return tokens_add(out, (int32_t)symbol, e);
    if (symbol == SYM_ALONE || !t->lower_block) return emit_bytes(t, w, spelt, out, e);
    int rc = ERR_OK;
    while (spelt.n && !rc) {
        const char *block = memmem(spelt.p, spelt.n, LOWER_BLOCK, 3);
        size_t n = block ? (size_t)(block - spelt.p) : spelt.n;
        rc = emit_bytes(t, w, (struct slice){spelt.p, n}, out, e);
        if (!rc && block) rc = emit_bytes(t, w, SLICE(" "), out, e);
        n += block ? 3 : 0;
        spelt = (struct slice){spelt.p + n, spelt.n - n};
    }
    return rc;
}

/* ---- encoding */

static const struct encode_options plain_options = {0};

/* The longest special token at text[at] that the options allow there, or TOKEN_NONE. *span: the first span that may hold it. */
static int32_t special_at(const struct tokenizer *t, struct slice text, size_t at, const struct encode_options *o, size_t *span) {
    size_t allowed = 0; /* control tokens may end here at the latest */
    uint32_t node = trie_step(&t->special, 0, (uint8_t)text.p[at]);
    if (!node) return TOKEN_NONE;
    if (o->parse == SPECIAL_ALL) allowed = text.n;
    if (o->parse == SPECIAL_SPANS) {
        while (*span < o->n_spans && o->spans[*span].end <= at) ++*span;
        size_t i = *span;
        if (i < o->n_spans && o->spans[i].start <= at) {
            allowed = o->spans[i].end;
            while (++i < o->n_spans && o->spans[i].start <= allowed) allowed = o->spans[i].end;
        }
    }
    int32_t found = TOKEN_NONE;
    for (size_t i = at + 1; node; i++) {
        int32_t id = t->special.nodes[node].value;
        if (id >= 0 && (t->type[id] == TOKEN_USER_DEFINED || i <= allowed)) found = id;
        node = i < text.n ? trie_step(&t->special, node, (uint8_t)text.p[i]) : 0;
    }
    return found;
}

static bool ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int encode_parts(const struct tokenizer *t, struct slice text, const struct encode_options *o, struct tok_scratch *w, struct tokens *out, struct err *e) {
    size_t from = 0, span = 0;
    bool after_special = true;
    for (size_t i = 0; i <= text.n;) {
        int32_t id = i < text.n ? special_at(t, text, i, o, &span) : TOKEN_NONE;
        if (id < 0 && i < text.n) {
            i++;
            continue;
        }
        size_t to = i;
        if (id >= 0 && (t->flags[id] & FLAG_LSTRIP))
            while (to > from && ascii_space(text.p[to - 1])) to--;
        if (to > from) {
            int rc = t->kind->encode(t, w, (struct slice){text.p + from, to - from}, after_special, out, e);
            if (rc) return rc;
            after_special = false;
        }
        if (id < 0) break;
        int rc = tokens_add(out, id, e);
        if (rc) return rc;
        after_special = true;
        i += t->piece[id].n;
        if (t->flags[id] & FLAG_RSTRIP)
            while (i < text.n && ascii_space(text.p[i])) i++;
        from = i;
    }
    return ERR_OK;
}

static int check_spans(const struct encode_options *o, size_t n, struct err *e) {
    size_t end = 0;
    for (size_t i = 0; i < o->n_spans; i++) {
        const struct byte_span *s = &o->spans[i];
        if (s->start < end || s->end < s->start || s->end > n) return err_set(e, ERR_INTERNAL, "span %zu of a text to encode is out of order or outside it", i);
        end = s->end;
    }
    return ERR_OK;
}

int tokenizer_encode(const struct tokenizer *t, struct slice text, const struct encode_options *o, struct tokens *out, struct err *e) {
    struct err own;
    if (!e) e = &own;
    if (!o) o = &plain_options;
    if (!text.p) text = SLICE("");
    if (!t->kind->encode) return err_set(e, ERR_UNSUPPORTED, "this model has no tokenizer (tokenizer.ggml.model is '%s'): it can only be run on token ids, with hearth logits --ids", t->kind->model);
    if (text.n > TEXT_LIMIT) return err_set(e, ERR_TEXT, "a text of %zu bytes is more than the %zu that can be encoded at once", text.n, TEXT_LIMIT);
    int rc = o->parse == SPECIAL_SPANS ? check_spans(o, text.n, e) : ERR_OK;
    if (rc) return rc;
    size_t before = out->n;
    struct tok_scratch w = {.source = text};
    if (o->add_special && t->add_bos) rc = tokens_add(out, t->role[ROLE_BOS], e);
    if (!rc) rc = encode_parts(t, text, o, &w, out, e);
    if (!rc && o->add_special && t->add_eos) rc = tokens_add(out, t->role[ROLE_EOS], e);
    if (!rc && o->add_special && t->add_sep && t->kind == &tok_kind_wordpiece) rc = tokens_add(out, t->role[ROLE_SEP], e);
    if (rc) out->n = before;
    merge_free(&w.merge);
    split_free(&w.split);
    buf_free(&w.text);
    mem_free(w.table);
    return rc;
}

/* ---- queries */

static bool known(const struct tokenizer *t, int32_t id) { return id >= 0 && (uint32_t)id < t->n; }

uint32_t tokenizer_count(const struct tokenizer *t) { return t->n; }
const char *tokenizer_kind(const struct tokenizer *t) { return t->kind->label; }
struct slice tokenizer_pre(const struct tokenizer *t) { return t->pre; }
int32_t tokenizer_role(const struct tokenizer *t, enum token_role r) { return t->role[r]; }
int32_t tokenizer_byte(const struct tokenizer *t, uint8_t byte) { return t->byte_id[byte]; }
struct slice tokenizer_text(const struct tokenizer *t, int32_t id) { return known(t, id) ? t->text[id] : SLICE(""); }
struct slice tokenizer_piece(const struct tokenizer *t, int32_t id) { return known(t, id) ? t->piece[id] : SLICE(""); }
enum token_type tokenizer_type(const struct tokenizer *t, int32_t id) { return known(t, id) ? (enum token_type)t->type[id] : TOKEN_UNDEFINED; }
float tokenizer_score(const struct tokenizer *t, int32_t id) { return known(t, id) ? t->score[id] : 0; }
bool tokenizer_is_control(const struct tokenizer *t, int32_t id) { return known(t, id) && (t->type[id] == TOKEN_CONTROL || t->type[id] == TOKEN_UNKNOWN); }
bool tokenizer_is_eog(const struct tokenizer *t, int32_t id) { return known(t, id) && (t->flags[id] & FLAG_EOG); }
bool tokenizer_is_byte(const struct tokenizer *t, int32_t id) { return known(t, id) && t->type[id] == TOKEN_BYTE; }
bool tokenizer_adds_bos(const struct tokenizer *t) { return t->add_bos; }
bool tokenizer_adds_eos(const struct tokenizer *t) { return t->add_eos; }
bool tokenizer_parts_pairs(const struct tokenizer *t) { return t->add_sep && t->kind != &tok_kind_wordpiece; } /* where it ends every text */

int32_t tokenizer_find(const struct tokenizer *t, struct slice text) {
    uint32_t id;
    return text.n && strmap_get(&t->by_text, text, &id) ? (int32_t)id : TOKEN_NONE;
}
