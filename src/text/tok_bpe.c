/* tok_bpe.c: byte-level BPE (GPT-2's and all that followed): words by the pre-tokenizer, then the merges by rank.
 *
 * Every text that a merge names is a symbol: a token's id, or a number past the vocabulary for the few texts that are parts
 * of tokens and none themselves. A hash table gives for two symbols the rank of their merge and what it makes. A word starts as one
 * symbol per byte (in GPT-2's alphabet of bytes) or, with the flag RAW, per character with U+2581 for spaces.
 *
 * Merges that make a control token are left out: no user's text can become one. Nor a user-defined one: those are found before there
 * are words, and their texts are not in the alphabet of bytes (U+00F5 would be the byte 0xF5).
 */
#include <string.h>

#include "text/tok_internal.h"
#include "base/utf8.h"

struct merge_rule {
    uint64_t pair; /* left symbol, right symbol */
    uint32_t place;  /* rank + 1; 0: a free slot */
    uint32_t joined; /* the symbol it makes */
};

struct bpe {
    const struct pre_row *row;
    struct splitter *splitter;
    struct strmap extra;     /* symbols that are no tokens; texts in the tokenizer's arena */
    struct merge_rule *rule; /* open addressing, at most half full */
    size_t mask;
    uint32_t byte_sym[256];
};

/* ---- building */

static uint64_t mix(uint64_t x) { /* the finaliser of splitmix64 (Steele, Lea, Flood 2014) */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static struct merge_rule *rule_slot(const struct bpe *b, uint64_t pair) {
    size_t i = mix(pair) & b->mask;
    while (b->rule[i].place && b->rule[i].pair != pair) i = (i + 1) & b->mask;
    return &b->rule[i];
}

/* The symbol of a text, made if it is new. false: out of memory. */
static bool symbol_make(struct tokenizer *t, struct bpe *b, struct slice text, uint32_t *sym) {
    if (token_plain(t, text, sym)) return true;
    if (strmap_get(&b->extra, text, sym)) return true;
    struct slice own = {arena_strndup(&t->arena, text.p, text.n), text.n};
    *sym = t->n + (uint32_t)b->extra.count;
    return own.p && strmap_put(&b->extra, own, *sym) == 1;
}

static uint32_t symbol_find(const struct tokenizer *t, struct slice text) {
    const struct bpe *b = t->model;
    uint32_t sym;
    if (token_plain(t, text, &sym)) return sym;
    return strmap_get(&b->extra, text, &sym) ? sym : SYM_NONE;
}

/* Whether token id is spelt left + right. */
static bool spelt(const struct tokenizer *t, uint32_t id, struct slice left, struct slice right) {
    return id < t->n && t->text[id].n == left.n + right.n && memcmp(t->text[id].p, left.p, left.n) == 0 && memcmp(t->text[id].p + left.n, right.p, right.n) == 0;
}

enum { AHEAD = 8 };

/* The tables are far larger than the processor's caches, so what will be looked up is asked for ahead of time. */
struct merge_reader {
    struct buf joined; /* scratch */
    uint32_t next;     /* the token after the last one made: vocabularies are mostly in the order of their merges */
    struct merge_rule waiting[AHEAD]; /* rules on their way into the table, by rank % AHEAD; place 0: none */
};

static bool split_merge(struct slice line, struct slice *left, struct slice *right) {
    const char *space = line.n > 1 ? memchr(line.p + 1, ' ', line.n - 1) : NULL; /* the left part may itself be a space */
    if (!space) return false;
    *left = (struct slice){line.p, (size_t)(space - line.p)};
    *right = (struct slice){space + 1, line.n - left->n - 1};
    return right->n > 0;
}

static void expect_merge(const struct tokenizer *t, struct slice line) {
    struct slice left, right;
    if (!split_merge(line, &left, &right)) return;
    strmap_expect(&t->by_text, left);
    strmap_expect(&t->by_text, right);
}

/* Puts the rule that waits at a rank's place into the table, and lets another wait there. Of two rules for a pair the first stays. */
static void exchange_rule(struct bpe *b, struct merge_reader *m, uint32_t rank, struct merge_rule rule) {
    struct merge_rule *waiting = &m->waiting[rank % AHEAD];
    if (waiting->place) {
        struct merge_rule *slot = rule_slot(b, waiting->pair);
        if (!slot->place) *slot = *waiting;
    }
    *waiting = rule;
    if (rule.place) __builtin_prefetch(&b->rule[mix(rule.pair) & b->mask], 1);
}

/* The symbol that a merge makes; SYM_NONE when that is no plain token. false: out of memory. */
static bool joined_symbol(struct tokenizer *t, struct bpe *b, struct merge_reader *m, struct slice left, struct slice right, uint32_t *both) {
    if (!t->text_twice && spelt(t, m->next, left, right)) {
        *both = token_is_plain(t, m->next) ? m->next : SYM_NONE;
        m->next++;
        return true;
    }
    m->joined.len = 0;
    if (!buf_add(&m->joined, left.p, left.n) || !buf_add(&m->joined, right.p, right.n)) return false;
    struct slice whole = {m->joined.data, m->joined.len};
    if (whole.n > t->longest || !strmap_get(&t->by_text, whole, both)) return symbol_make(t, b, whole, both);
    m->next = *both + 1;
    if (!token_is_plain(t, *both)) *both = SYM_NONE;
    return true;
}

/* false: out of memory. */
static bool read_merge(struct tokenizer *t, struct bpe *b, struct slice line, uint32_t rank, struct merge_reader *m, struct merge_rule *rule) {
    struct slice left, right;
    uint32_t l, r, both;
    *rule = (struct merge_rule){0};
    if (!split_merge(line, &left, &right)) return true;
    if (!joined_symbol(t, b, m, left, right, &both)) return false;
    if (both == SYM_NONE) return true;
    if (!symbol_make(t, b, left, &l) || !symbol_make(t, b, right, &r)) return false;
    *rule = (struct merge_rule){(uint64_t)l << 32 | r, rank + 1, both};
    return true;
}

static int add_merges(struct tokenizer *t, struct bpe *b, const struct tokenizer_spec *s, struct err *e) {
    if (s->n_merges > (SYM_ALONE - t->n) / 3 - 256) return err_set(e, ERR_FORMAT, "tokenizer.ggml.merges: %zu merges are too many", s->n_merges);
    size_t slots = 64;
    while (slots < s->n_merges * 2) slots *= 2;
    b->rule = mem_calloc(slots, sizeof *b->rule);
    b->mask = slots - 1;
    if (!b->rule) return err_nomem(e, "the merges of the tokenizer", slots * sizeof *b->rule);
    struct merge_reader m = {.next = 256};
    bool ok = true;
    for (size_t i = 0; i < s->n_merges && ok; i++) {
        if (i + AHEAD < s->n_merges) expect_merge(t, s->merges[i + AHEAD]);
        struct merge_rule rule;
        ok = read_merge(t, b, s->merges[i], (uint32_t)i, &m, &rule);
        exchange_rule(b, &m, (uint32_t)i, rule);
    }
    for (uint32_t i = 0; i < AHEAD; i++) exchange_rule(b, &m, (uint32_t)s->n_merges + i, (struct merge_rule){0}); /* the oldest first */
    buf_free(&m.joined);
    return ok ? ERR_OK : err_nomem(e, "the merges of the tokenizer", s->n_merges);
}

static bool map_bytes(struct tokenizer *t, struct bpe *b) {
    for (unsigned i = 0; i < 256; i++) {
        char text[4];
        struct slice s = {text, utf8_put(text, byte_to_char((uint8_t)i))};
        if (!symbol_make(t, b, s, &b->byte_sym[i])) return false;
        if (b->byte_sym[i] < t->n) t->byte_id[i] = (int32_t)b->byte_sym[i];
    }
    return true;
}

static void bpe_free(void *model) {
    struct bpe *b = model;
    splitter_free(b->splitter);
    strmap_free(&b->extra);
    mem_free(b->rule);
    mem_free(b);
}

static int bpe_build_as(struct tokenizer *t, const struct tokenizer_spec *s, struct slice pre, struct err *e) {
    char quoted[64];
    const struct pre_row *row = pre_find(pre);
    if (!row)
        return err_set(e, ERR_UNSUPPORTED, "tokenizer.ggml.pre: the pre-tokenizer '%s' is not known; a newer version may know it",
                       err_quote(quoted, sizeof quoted, pre.p, pre.n));
    if (!s->has_merges) return err_set(e, ERR_FORMAT, "tokenizer.ggml.merges is missing: a byte-level BPE tokenizer needs its merges");
    struct bpe *b = t->model = mem_calloc(1, sizeof *b);
    if (!b) return err_nomem(e, "the tokenizer", sizeof *b);
    b->row = row;
    t->byte_level = !(row->flags & PRE_RAW);
    t->lower_block = row->flags & PRE_RAW;
    int rc = add_merges(t, b, s, e);
    if (!rc && t->byte_level && !map_bytes(t, b)) rc = err_nomem(e, "the tokenizer", 0);
    return rc ? rc : splitter_new(&b->splitter, row, e);
}

static int bpe_build(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) { return bpe_build_as(t, s, s->pre, e); }
static int bpe_build_gemma4(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) { return bpe_build_as(t, s, SLICE("gemma4"), e); }

/* ---- encoding */

static bool pair_by_rank(const void *ctx, uint32_t left, uint32_t right, uint32_t from, uint32_t to, uint32_t *order, uint32_t *joined) {
    (void)from, (void)to;
    const struct bpe *b = ctx;
    const struct merge_rule *r = rule_slot(b, (uint64_t)left << 32 | right);
    if (!r->place) return false;
    *order = r->place;
    *joined = r->joined;
    return true;
}

/* The word in the alphabet of the vocabulary, in w->text, and its symbols in w->merge. */
static int word_symbols(const struct tokenizer *t, const struct bpe *b, struct tok_scratch *w, struct slice word, struct err *e) {
    w->merge.n_sym = 0;
    w->text.len = 0;
    if (!t->byte_level) return escape_symbols(t, w, word, false, symbol_find, e);
    for (size_t i = 0; i < word.n; i++)
        if (!merge_push(&w->merge, b->byte_sym[(uint8_t)word.p[i]], (uint32_t)i)) return err_nomem(e, "a word's symbols", word.n);
    return ERR_OK;
}

/* The token that is the whole word, where the model takes such words without asking the merges. */
static bool whole_word(const struct tokenizer *t, const struct bpe *b, struct tok_scratch *w, struct slice word, uint32_t *id) {
    if (b->row->flags & PRE_NEWLINES && word.n && word.p[0] == '\n') return token_plain(t, word, id);
    if (!(b->row->flags & PRE_IGNORE_MERGES) || word.n > t->longest) return false;
    w->text.len = 0;
    for (size_t i = 0; i < word.n; i++) {
        char c[4];
        if (!buf_add(&w->text, c, utf8_put(c, byte_to_char((uint8_t)word.p[i])))) return false;
    }
    return token_plain(t, (struct slice){w->text.data, w->text.len}, id);
}

static int encode_word(const struct tokenizer *t, struct tok_scratch *w, struct slice word, struct tokens *out, struct err *e) {
    const struct bpe *b = t->model;
    uint32_t id;
    if (whole_word(t, b, w, word, &id)) return tokens_add(out, (int32_t)id, e);
    int rc = word_symbols(t, b, w, word, e);
    if (rc) return rc;
    struct slice spelt = t->byte_level ? word : (struct slice){w->text.data, w->text.len};
    if (!merge_run(&w->merge, (uint32_t)spelt.n, pair_by_rank, b)) return err_nomem(e, "the merges of a word", word.n);
    for (int32_t i = 0; i >= 0 && !rc; i = w->merge.sym[i].next) {
        const struct merge_sym *s = &w->merge.sym[i];
        size_t end = s->next < 0 ? spelt.n : w->merge.sym[s->next].start;
        struct slice bytes = {spelt.p + s->start, end - s->start};
        rc = emit_symbol(t, w, s->id, bytes, out, e);
    }
    return rc;
}

static int bpe_encode(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool after_special, struct tokens *out, struct err *e) {
    (void)after_special;
    const struct bpe *b = t->model;
    int rc = splitter_run(b->splitter, text, &w->split, e);
    for (size_t i = 0; i < w->split.n && !rc; i++) {
        struct split_word word = w->split.word[i];
        rc = encode_word(t, w, (struct slice){text.p + word.start, word.len}, out, e);
    }
    return rc;
}

const struct tok_kind tok_kind_bpe = {
    .model = "gpt2", .label = "byte-level BPE", .bos = 11, .eos = 11, .unk = -1, .sep = -1, .pad = -1, .mask = -1,
    .build = bpe_build, .encode = bpe_encode, .free = bpe_free,
};
const struct tok_kind tok_kind_bpe_gemma4 = {
    .model = "gemma4", .label = "BPE with byte fallback", .bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .mask = -1,
    .build = bpe_build_gemma4, .encode = bpe_encode, .free = bpe_free,
};
