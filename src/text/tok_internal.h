/* tok_internal.h: what the tokenizer's files share. Not for others.
 *
 * A tokenizer is built once and then only read. Everything it allocates lies in its arena, save the maps, the compiled
 * regular expressions, and what a kind says it frees itself. An encode call keeps its working memory in a struct
 * tok_scratch of its own, so that many threads can encode at once.
 */
#ifndef HEARTH_TEXT_TOK_INTERNAL_H
#define HEARTH_TEXT_TOK_INTERNAL_H

#include "base/strmap.h"
#include "text/tokenizer.h"

#define SYM_NONE UINT32_MAX          /* no token and no part of a merge that is named */
#define SYM_ALONE (UINT32_MAX - 1)    /* joins with nothing */
#define LOWER_BLOCK "\xE2\x96\x81" /* U+2581, how SentencePiece writes a space */

enum token_flag { FLAG_EOG = 1, FLAG_LSTRIP = 2, FLAG_RSTRIP = 4 };

/* ---- tok_trie.c: a set of byte strings, searched by prefix. Built once from keys, each with a value. */
struct trie_node {
    uint32_t child;   /* index of the first child; its children are contiguous, ascending by byte */
    int32_t value;    /* TOKEN_NONE: no key ends here */
    uint16_t n_child;
    uint8_t byte;     /* on the edge from its parent */
};
struct tok_trie {
    struct trie_node *nodes; /* nodes[0] is the root; NULL: an empty set */
    size_t n_nodes;
};
struct trie_key {
    struct slice text;
    int32_t value;
};
/* Sorts keys in place; empty texts are left out; of equal texts the lowest value stays. false: out of memory. */
bool trie_build(struct tok_trie *t, struct arena *a, struct trie_key *keys, size_t n);
/* The child of node by byte, or 0 (the root is no child). */
uint32_t trie_step(const struct tok_trie *t, uint32_t node, uint8_t byte);

/* ---- tok_merge.c: joins neighbours, best first, until no pair can be joined. Shared by both kinds of BPE. */
struct merge_sym {
    uint32_t id;         /* the caller's name for it; SYM_NONE is allowed */
    uint32_t start;      /* offset of its bytes; they end where next starts */
    int32_t prev, next;  /* neighbours; -1: none */
};
struct merge_work {
    struct merge_sym *sym;
    size_t n_sym, cap_sym;
    struct merge_cand *heap;
    size_t n_heap, cap_heap;
};
/* Says whether left and right (ids and bytes [from, to)) can be joined: the order (lower first) and the id of what they make. */
typedef bool (*merge_pair_fn)(const void *ctx, uint32_t left, uint32_t right, uint32_t from, uint32_t to, uint32_t *order, uint32_t *joined);

bool merge_push(struct merge_work *w, uint32_t id, uint32_t start); /* a symbol at the end; false: out of memory */
/* Symbols stay in w->sym; walk from sym[0] by next. end: where the last symbol's bytes end. false: out of memory. */
bool merge_run(struct merge_work *w, uint32_t end, merge_pair_fn pair, const void *ctx);
void merge_free(struct merge_work *w);

/* ---- tok_pre.c: the table of pre-tokenizers. */
enum stage_kind { STAGE_END, STAGE_REGEX, STAGE_DIGITS, STAGE_DIGITS_WORD, STAGE_DIGITS_CUT };
struct pre_stage {
    enum stage_kind kind;
    const char *regex;
};
enum pre_flag {
    PRE_IGNORE_MERGES = 1, /* a word that is a token is that token, whatever the merges say */
    PRE_ADD_BOS = 2,       /* unless the file says otherwise */
    PRE_NO_BOS = 4,        /* no default BOS id */
    PRE_RAW = 8,           /* SentencePiece's way with BPE: U+2581 for spaces, characters instead of mapped bytes */
    PRE_NEWLINES = 16,     /* a word of newlines that is a token is that token */
    PRE_FORCE_BOS = 32,    /* adds BOS even where the file says not to */
};
#define PRE_STAGES 8
struct pre_row {
    const char *names; /* tokenizer.ggml.pre, and other names for the same, separated by spaces */
    unsigned flags;
    struct pre_stage stage[PRE_STAGES];
};
const struct pre_row *pre_find(struct slice name); /* NULL: not known */

/* ---- tok_split.c: runs the stages of a row over a text. */
struct splitter;
struct split_word {
    uint32_t start, len;
    bool raw; /* bytes that are not UTF-8 */
};
struct split_work {
    struct split_word *word, *other;
    size_t n, cap, n_other, cap_other;
    void *match; /* the library's scratch, made when first needed */
    void *limits;
};
int splitter_new(struct splitter **s, const struct pre_row *row, struct err *e);
void splitter_free(struct splitter *s);
int splitter_run(const struct splitter *s, struct slice text, struct split_work *w, struct err *e); /* words in w->word */
void split_free(struct split_work *w);

/* ---- the tokenizer itself */
struct tok_scratch {
    struct slice source; /* the whole text, for messages */
    struct merge_work merge;
    struct split_work split;
    struct buf text; /* a fragment as the kind wants it */
    void *table;     /* Unigram's */
    size_t table_cap;
};

struct tok_kind {
    const char *model; /* tokenizer.ggml.model */
    const char *label; /* for people */
    int32_t bos, eos, unk, sep, pad, mask; /* where the file names none */
    bool add_bos, add_eos, add_sep, space_prefix;
    bool lower_block; /* tokens spell a space as U+2581 */
    int (*build)(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e);
    /* One fragment without special tokens; after_special: at the start or behind a special token. */
    int (*encode)(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool after_special, struct tokens *out, struct err *e);
    void (*free)(void *model); /* NULL: nothing but the arena */
};

struct tokenizer {
    struct arena arena;
    const struct tok_kind *kind;
    void *model; /* the kind's own */
    struct slice pre;
    uint32_t n;
    struct slice *text;  /* [n], borrowed bytes */
    struct slice *piece; /* [n], the bytes each stands for */
    float *score;        /* [n] */
    uint8_t *type;       /* [n] enum token_type */
    uint8_t *flags;      /* [n] enum token_flag */
    struct strmap by_text;
    bool text_twice; /* some text is that of several tokens */
    struct tok_trie special;
    uint32_t longest; /* bytes of the longest text */
    int32_t byte_id[256];
    int32_t role[ROLE_COUNT];
    bool byte_level; /* texts are in GPT-2's alphabet of bytes */
    bool lower_block;
    bool add_bos, add_eos, add_sep, add_space_prefix;
};

extern const struct tok_kind tok_kind_bpe, tok_kind_bpe_gemma4, tok_kind_spm, tok_kind_unigram, tok_kind_wordpiece, tok_kind_rwkv;

/* tok_special.c: roles known by spelling, the end-of-generation set, white space that some tokens take along. */
void special_by_spelling(struct tokenizer *t);
void special_strip_rules(struct tokenizer *t, const struct tokenizer_spec *s);

/* tok_decode.c: fills t->piece and t->byte_id. */
int pieces_build(struct tokenizer *t, struct err *e);
int byte_spelt(struct slice text);  /* the byte that a token spelt <0xNN> stands for, or -1 */
uint32_t byte_to_char(uint8_t b); /* GPT-2's alphabet: the character that stands for a byte */

/* Tokens that are looked for before there are words, by their piece. */
static inline bool token_is_special(const struct tokenizer *t, uint32_t id) {
    return t->type[id] == TOKEN_CONTROL || t->type[id] == TOKEN_UNKNOWN || t->type[id] == TOKEN_USER_DEFINED;
}
/* Whether merges and the like may make this token of ordinary text. */
static inline bool token_is_plain(const struct tokenizer *t, uint32_t id) { return !token_is_special(t, id) && t->type[id] != TOKEN_BYTE; }
/* The plain token of exactly this text. */
static inline bool token_plain(const struct tokenizer *t, struct slice text, uint32_t *id) {
    return text.n <= t->longest && strmap_get(&t->by_text, text, id) && token_is_plain(t, *id);
}
/* Ids for bytes that no longer token spells: their byte tokens, else one unknown token (for a run of such too), else ERR_TEXT. */
int emit_bytes(const struct tokenizer *t, const struct tok_scratch *w, struct slice bytes, struct tokens *out, struct err *e);
/* The id of a symbol that is a token, else ids for the bytes it stands for, where U+2581 is a space if that is how tokens spell it. */
int emit_symbol(const struct tokenizer *t, const struct tok_scratch *w, uint32_t symbol, struct slice spelt, struct tokens *out, struct err *e);
/* Appends text to w->text with every space as U+2581 (after one of its own if prefix), and its characters to w->merge as
 * symbols named by `name`. Bytes that are not UTF-8, and a U+2581 that the text itself has (where the vocabulary has byte tokens to spell it), become
 * symbols that join with nothing, so that they come back as they were. */
typedef uint32_t (*symbol_name_fn)(const struct tokenizer *t, struct slice character);
int escape_symbols(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool prefix, symbol_name_fn name, struct err *e);

#endif
