/* tok_wordpiece.c: BERT's tokenizer: the text is cleaned and cut into words, each word is spelt with the longest tokens from its start.
 *
 * In GGUF a token that starts a word begins with U+2581; one that goes on with a word has lost BERT's "##". A word of more than
 * 100 characters, or one that cannot be spelt whole, is the unknown token. What is cleaned away (control characters, and case and
 * accents in uncased models) does not come back.
 */
#include <string.h>
#include <utf8proc.h>

#include "text/tok_internal.h"
#include "base/utf8.h"

#define WORD_LIMIT 100 /* characters; BERT's max_input_chars_per_word */

struct wordpiece {
    struct tok_trie trie;
    bool lowercase, strip_accents;
};

static int wordpiece_build(struct tokenizer *t, const struct tokenizer_spec *s, struct err *e) {
    struct wordpiece *p = t->model = arena_alloc(&t->arena, sizeof *p);
    struct trie_key *keys = mem_array(NULL, t->n, sizeof *keys);
    size_t n = 0;
    for (uint32_t i = 0; keys && i < t->n; i++)
        if (token_is_plain(t, i)) keys[n++] = (struct trie_key){t->text[i], (int32_t)i};
    bool ok = p && keys && trie_build(&p->trie, &t->arena, keys, n);
    mem_free(keys);
    if (!ok) return err_nomem(e, "the tokenizer", t->n * sizeof *keys);
    p->lowercase = s->lowercase != 0;
    p->strip_accents = s->strip_accents < 0 ? p->lowercase : s->strip_accents != 0;
    return ERR_OK;
}

/* ---- characters */

/* Form feeds and the like are white space to Unicode, but BERT drops control characters before it looks. */
static bool is_space(uint32_t c, utf8proc_category_t k) {
    return c == '\t' || c == '\n' || c == '\r' || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}
static bool is_dropped(uint32_t c, utf8proc_category_t k) {
    return c == 0 || c == 0xFFFD || k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}
static bool is_punctuation(uint32_t c, utf8proc_category_t k) {
    bool ascii = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    return ascii || (k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO);
}
static bool is_chinese(uint32_t c) { /* the ranges of Hugging Face's tokenizer; the sixth starts late there */
    static const uint32_t range[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
                                        {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (c >= range[i][0] && c <= range[i][1]) return true;
    return false;
}

/* ---- words */

/* Adds the ids of one word. */
static int spell_word(const struct tokenizer *t, struct slice word, size_t chars, struct tokens *out, struct err *e) {
    const struct wordpiece *p = t->model;
    size_t before = out->n, at = 0;
    uint32_t start = 0; /* the node from which matching starts: behind U+2581 for the first token */
    if (!word.n) return ERR_OK;
    for (int i = 0; i < 3 && (i == 0 || start); i++) start = trie_step(&p->trie, start, (uint8_t)LOWER_BLOCK[i]);
    bool lost = !start || chars > WORD_LIMIT;
    for (; at < word.n && !lost; start = 0) {
        int32_t id = TOKEN_NONE;
        size_t end = at;
        uint32_t node = start;
        for (size_t i = at; i < word.n && (node = trie_step(&p->trie, node, (uint8_t)word.p[i])) != 0; i++)
            if (p->trie.nodes[node].value >= 0) id = p->trie.nodes[node].value, end = i + 1;
        lost = id < 0;
        int rc = lost ? ERR_OK : tokens_add(out, id, e);
        if (rc) return rc;
        at = end;
    }
    if (!lost) return ERR_OK;
    out->n = before;
    if (t->role[ROLE_UNK] < 0) return err_set(e, ERR_TEXT, "a word of %zu bytes cannot be spelt, and the vocabulary has no unknown token", word.n);
    return tokens_add(out, t->role[ROLE_UNK], e);
}

struct words {
    const struct tokenizer *t;
    struct buf *word;
    size_t chars;
    struct tokens *out;
    struct err *e;
};

static int end_word(struct words *s) {
    int rc = spell_word(s->t, (struct slice){s->word->data, s->word->len}, s->chars, s->out, s->e);
    s->word->len = s->chars = 0;
    return rc;
}

static int add_char(struct words *s, uint32_t c) {
    char bytes[4];
    s->chars++;
    return buf_add(s->word, bytes, utf8_put(bytes, c)) ? ERR_OK : err_nomem(s->e, "a word", s->word->len);
}

/* One character as the model sees it, after accents and case. */
static int take_normal(struct words *s, uint32_t c) {
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    bool alone = is_punctuation(c, k) || is_chinese(c);
    int rc = alone ? end_word(s) : ERR_OK;
    if (!rc) rc = add_char(s, c);
    return rc || !alone ? rc : end_word(s);
}

static int take(struct words *s, uint32_t c) {
    const struct wordpiece *p = s->t->model;
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    if (is_space(c, k)) return end_word(s);
    if (is_dropped(c, k)) return ERR_OK;
    utf8proc_int32_t part[32] = {(utf8proc_int32_t)c};
    utf8proc_ssize_t n = 1;
    int last_class = 0;
    if (p->strip_accents) n = utf8proc_decompose_char((utf8proc_int32_t)c, part, 32, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last_class);
    if (n < 0 || n > 32) return err_set(s->e, ERR_INTERNAL, "U+%04X cannot be decomposed", (unsigned)c);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        if (p->strip_accents && utf8proc_category(part[i]) == UTF8PROC_CATEGORY_MN) continue;
        bool dotted = p->lowercase && part[i] == 0x130; /* its lower case is two characters */
        int rc = take_normal(s, dotted ? 'i' : (uint32_t)(p->lowercase ? utf8proc_tolower(part[i]) : part[i]));
        if (!rc && dotted) rc = take_normal(s, 0x307);
        if (rc) return rc;
    }
    return ERR_OK;
}

static int wordpiece_encode(const struct tokenizer *t, struct tok_scratch *w, struct slice text, bool after_special, struct tokens *out, struct err *e) {
    (void)after_special;
    struct words s = {t, &w->text, 0, out, e};
    int rc = ERR_OK;
    w->text.len = 0;
    for (size_t i = 0, len; i < text.n && !rc; i += len ? len : 1) {
        uint32_t c = 0;
        len = utf8_char(text.p + i, text.n - i, &c);
        if (len) rc = take(&s, c); /* bytes that are not UTF-8 read as U+FFFD, which is dropped */
    }
    return rc ? rc : end_word(&s);
}

const struct tok_kind tok_kind_wordpiece = {
    .model = "bert", .label = "WordPiece", .bos = 101, .eos = -1, .unk = 100, .sep = 102, .pad = 0, .mask = 103,
    .add_bos = true, .add_sep = true, .lower_block = true, .build = wordpiece_build, .encode = wordpiece_encode,
};
