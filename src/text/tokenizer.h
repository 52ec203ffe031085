/* tokenizer.h: text to tokens and back, for every tokenizer that GGUF files name.
 *
 * The caller (who reads GGUF; this room does not) fills a struct tokenizer_spec and makes a tokenizer of it. The slices in
 * the spec are borrowed: what they point to must outlive the tokenizer (it is the mapped file). The struct itself and its
 * arrays of slices may go after tokenizer_new.
 *
 * Threads: a tokenizer never changes after tokenizer_new; any number of threads may use one at a time. A struct decoder and
 * a struct tokens belong to one thread.
 *
 * Lossless: decoding what was encoded gives the same bytes for byte-level BPE, and for SentencePiece BPE and Unigram with byte tokens and no
 * normaliser; also where the text is not valid UTF-8. Bytes that are not UTF-8 are taken as they are: each run of them is
 * a word of its own and becomes byte tokens. What a vocabulary cannot spell becomes its unknown token, or ERR_TEXT where it has
 * none (byte-level BPE never has one). WordPiece and Unigram with a normaliser are made to lose (case, accents, spaces).
 *
 * Who wrote these bytes: the spelling of a control token inside ordinary text stays text, whatever the vocabulary's merges
 * say. It becomes the token only where the caller allows it (struct encode_options). Tokens of the type "user-defined" are
 * vocabulary, not control, and are found everywhere, as the models were trained.
 */
#ifndef HEARTH_TEXT_TOKENIZER_H
#define HEARTH_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

#define TOKEN_NONE (-1)

/* The numbers are those of tokenizer.ggml.token_type. */
enum token_type { TOKEN_UNDEFINED, TOKEN_NORMAL, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED, TOKEN_BYTE };

/* Tokens with a job. In parentheses the GGUF key (tokenizer.ggml.*) that names each. */
enum token_role {
    ROLE_BOS,     /* bos_token_id; in WordPiece the [CLS] */
    ROLE_EOS,     /* eos_token_id */
    ROLE_EOT,     /* eot_token_id: end of turn */
    ROLE_EOM,     /* eom_token_id: end of message */
    ROLE_UNK,     /* unknown_token_id */
    ROLE_SEP,     /* seperator_token_id */
    ROLE_PAD,     /* padding_token_id */
    ROLE_MASK,    /* mask_token_id */
    ROLE_FIM_PRE, /* fim_pre_token_id, or prefix_token_id */
    ROLE_FIM_SUF, /* fim_suf_token_id, or suffix_token_id */
    ROLE_FIM_MID, /* fim_mid_token_id, or middle_token_id */
    ROLE_FIM_PAD, /* fim_pad_token_id */
    ROLE_FIM_REP, /* fim_rep_token_id */
    ROLE_FIM_SEP, /* fim_sep_token_id */
    ROLE_COUNT
};

/* What the file says. tokenizer_spec_init first; then fill in what is there. */
struct tokenizer_spec {
    struct slice model;         /* tokenizer.ggml.model: "llama", "gpt2", "gemma4", "bert", "t5", "rwkv", "none", ... */
    struct slice pre;           /* tokenizer.ggml.pre; only the BPE kinds read it */
    struct slice name, arch;    /* general.name, general.architecture: a few files leave facts to be known by name */
    const struct slice *tokens; /* tokenizer.ggml.tokens */
    size_t n_tokens;
    const void *scores;         /* float32[n_tokens], need not be aligned; NULL: absent */
    const void *types;          /* int32[n_tokens], need not be aligned; NULL: absent, all normal */
    const struct slice *merges; /* tokenizer.ggml.merges, "left right", best first */
    size_t n_merges;
    bool has_merges;                   /* the key is there, be it empty */
    int64_t role[ROLE_COUNT];          /* TOKEN_NONE: absent */
    int add_bos, add_eos, add_sep;     /* -1: absent, the kind's default; else 0 or 1. So below. */
    int add_space_prefix, remove_extra_whitespaces, escape_whitespaces, treat_whitespace_as_suffix;
    int lowercase, strip_accents;      /* tokenizer.ggml.normalizer.*, for WordPiece */
    struct slice precompiled_charsmap; /* Unigram's normaliser */
};
void tokenizer_spec_init(struct tokenizer_spec *s);

struct tokenizer;

/* Errors: ERR_FORMAT (what contradicts itself, and where), ERR_UNSUPPORTED (a kind or pre-tokenizer not known here, named),
 * ERR_MEMORY. The kinds "none" and "test" make a tokenizer of ids only: everything but encoding and pieces works. */
int tokenizer_new(struct tokenizer **t, const struct tokenizer_spec *s, struct err *e);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

/* A growable run of ids. {0} is empty with no limit; limit is the most ids that may be in it (0: none). */
struct tokens {
    int32_t *id;
    size_t n, cap, limit;
};
int tokens_add(struct tokens *t, int32_t id, struct err *e); /* ERR_CONTEXT over the limit, ERR_MEMORY */
void tokens_free(struct tokens *t);

enum parse_special {
    SPECIAL_NONE,  /* spellings of control tokens are text */
    SPECIAL_ALL,   /* they become the tokens everywhere */
    SPECIAL_SPANS, /* only where the spelling lies wholly inside one of `spans` (touching spans count as one) */
};
struct encode_options {
    bool add_special; /* BOS, EOS, separator as the model's own rule adds them */
    enum parse_special parse;
    const struct byte_span *spans; /* ascending, not overlapping */
    size_t n_spans;
};

/* Appends the ids of text to *out. options NULL: nothing added, nothing parsed. On failure *out holds what it held before. A text of
 * more than 1 GiB is ERR_TEXT. Time is close to linear in the text, whatever it is. */
int tokenizer_encode(const struct tokenizer *t, struct slice text, const struct encode_options *options, struct tokens *out, struct err *e);

/* The bytes that one token stands for; borrowed from the tokenizer. A control token gives its spelling. They need not
 * be whole characters. Empty for an id outside the vocabulary. */
struct slice tokenizer_piece(const struct tokenizer *t, int32_t id);

/* Turns ids into text as they come, whole UTF-8 characters only. SentencePiece puts a space before the first word that no one
 * wrote; the decoder takes it away again: at the start and after each special token, as the encoder put it there. */
struct decoder {
    const struct tokenizer *t;
    bool control;   /* render control and unknown tokens too; may be set after decoder_init */
    bool drop_space;
    uint8_t held_n; /* bytes of a character that is not whole yet */
    char held[4];
};
/* previous: the id before the first to be decoded (the prompt's last), or TOKEN_NONE at the start of a text. */
void decoder_init(struct decoder *d, const struct tokenizer *t, int32_t previous);
int decoder_add(struct decoder *d, int32_t id, struct buf *out, struct err *e); /* ERR_TEXT: no such id; ERR_MEMORY */
int decoder_end(struct decoder *d, struct buf *out, struct err *e);             /* gives out what is still held, whole or not */

/* All of a text at once: decoder_init, _add and _end. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool control, struct buf *out, struct err *e);

/* Queries. An id outside the vocabulary is no token: false, empty, TOKEN_UNDEFINED. */
uint32_t tokenizer_count(const struct tokenizer *t);
const char *tokenizer_kind(const struct tokenizer *t);             /* "byte-level BPE", ... for people */
struct slice tokenizer_pre(const struct tokenizer *t);             /* the pre-tokenizer's name as the file gave it */
int32_t tokenizer_find(const struct tokenizer *t, struct slice text); /* id of the token of exactly this text, or TOKEN_NONE */
int32_t tokenizer_role(const struct tokenizer *t, enum token_role r); /* or TOKEN_NONE */
int32_t tokenizer_byte(const struct tokenizer *t, uint8_t byte);      /* id of the token of this byte alone, or TOKEN_NONE */
struct slice tokenizer_text(const struct tokenizer *t, int32_t id);   /* as in the file; borrowed */
enum token_type tokenizer_type(const struct tokenizer *t, int32_t id);
float tokenizer_score(const struct tokenizer *t, int32_t id);
bool tokenizer_is_control(const struct tokenizer *t, int32_t id);     /* control or unknown */
bool tokenizer_is_eog(const struct tokenizer *t, int32_t id);         /* ends a generation */
bool tokenizer_is_byte(const struct tokenizer *t, int32_t id);
bool tokenizer_adds_bos(const struct tokenizer *t);
bool tokenizer_adds_eos(const struct tokenizer *t);
bool tokenizer_parts_pairs(const struct tokenizer *t);                /* two texts that are read together have a separator between them, besides what ends each */

/* Names of all pre-tokenizers known, one per index until NULL; for `inspect` and the README's table. */
const char *tokenizer_pre_name(size_t i);

#endif
