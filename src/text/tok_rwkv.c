/* tok_rwkv.c: RWKV's "World" tokenizer: at each place the longest token. Tokens are written in the file as Python writes bytes, with
 * \t \n \r \xNN and a backslash before itself and quotes; every single byte is a token.
 */
#include "text/tok_internal.h"

struct rwkv {
    struct tok_trie trie;
};

static unsigned hex(char c) { return c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 32) - 'a' + 10) & 15; }

/* Writes the bytes that s spells to out, which has room for s.n, and returns how many. */
static size_t unescape(struct slice s, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            c = s.p[++i];
            if (c == 'x' && i + 2 < s.n) {
                c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
                i += 2;
            } else {
                c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
            }
        }
        out[n++] = c;
    }
    return n;
}

static int rwkv_build(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) {
    (void)s;
    size_t total = 0, used = 0;
    for (uint32_t i = 0; i < t->n; i++) total += t->text[i].n;
    struct rwkv *r = t->model = arena_alloc(&t->arena, sizeof *r);
    char *all = arena_alloc(&t->arena, total);
    t->piece = arena_array(&t->arena, t->n, sizeof *t->piece);
    struct trie_key *keys = mem_array(NULL, t->n, sizeof *keys);
    bool ok = r && all && t->piece && keys;
    size_t n = 0;
    for (uint32_t i = 0; ok && i < t->n; i++) {
        struct slice *p = &t->piece[i];
        *p = (struct slice){all + used, unescape(t->text[i], all + used)};
        used += p->n;
        if (!token_is_plain(t, i)) continue;
        keys[n++] = (struct trie_key){*p, (int32_t)i};
        if (p->n == 1 && t->byte_id[(uint8_t)p->p[0]] < 0) t->byte_id[(uint8_t)p->p[0]] = (int32_t)i;
    }
    ok = ok && trie_build(&r->trie, &t->arena, keys, n);
    mem_free(keys);
    return ok ? ERR_OK : err_nomem(e, "the tokenizer", total);
}

static int rwkv_encode(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool after_special, struct tokens *out, struct err *e) {
    (void)after_special;
    const struct rwkv *r = t->model;
    int rc = ERR_OK;
    for (size_t at = 0, end; at < text.n && !rc; at = end) {
        int32_t id = TOKEN_NONE;
        uint32_t node = 0;
        end = at + 1;
        for (size_t i = at; i < text.n && (node = trie_step(&r->trie, node, (uint8_t)text.p[i])) != 0; i++)
            if (r->trie.nodes[node].value >= 0) id = r->trie.nodes[node].value, end = i + 1;
        rc = id >= 0 ? tokens_add(out, id, e) : emit_bytes(t, w, (struct slice){text.p + at, 1}, out, e);
    }
    return rc;
}

const struct tok_kind tok_kind_rwkv = {
    .model = "rwkv", .label = "RWKV", .bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .mask = -1,
    .build = rwkv_build, .encode = rwkv_encode,
};
