/* tok_split.c: cuts a text into words: runs the stages of one pre-tokenizer over it, with PCRE2.
 *
 * A text is first cut where it stops or starts being UTF-8; what is not is one word, and no stage looks at it. Each stage then
 * sees every word as a text of its own (what lies outside cannot be looked at), and leaves its matches and the gaps between.
 *
 * PCRE2 differs from the regular expressions of the tokenizers' authors (Rust, Oniguruma, Python's regex) in one thing that
 * matters: its \s takes U+180E too. \s and \S are therefore compiled as the property White_Space, which all others mean.
 *
 * Time: an expression may look at a word of n characters a bounded number of times more than n; past that it is an error, not a hang. The compiled
 * code is shared by threads; the match block belongs to one encode call. Where the system forbids generated
 * code, or its small stack is not enough for one word, PCRE2's interpreter does the same.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <utf8proc.h>

#include "text/tok_internal.h"
#include "base/utf8.h"

struct splitter {
    const struct pre_row *row;
    pcre2_general_context *memory;
    pcre2_code *code[PRE_STAGES];
};

static void *lib_alloc(size_t n, void *ctx) {
    (void)ctx;
    return mem_alloc(n);
}
static void lib_free(void *p, void *ctx) {
    (void)ctx;
    mem_free(p);
}

/* The expression with \s and \S spelt as a property. */
static bool with_white_space(struct buf *b, const char *regex) {
    for (const char *p = regex; *p; p++) {
        bool escaped = *p == '\\' && p[1];
        bool space = escaped && (p[1] == 's' || p[1] == 'S');
        if (space ? !buf_str(b, p[1] == 's' ? "\\p{White_Space}" : "\\P{White_Space}") : !buf_add(b, p, escaped ? 2 : 1)) return false;
        p += escaped;
    }
    return true;
}

static int compile(struct splitter *s, int stage, struct err *e) {
    struct buf text = {0};
    pcre2_compile_context *context = pcre2_compile_context_create(s->memory);
    int code = PCRE2_ERROR_NOMEMORY, rc;
    PCRE2_SIZE at = 0;
    if (context && with_white_space(&text, s->row->stage[stage].regex))
        s->code[stage] = pcre2_compile((PCRE2_SPTR)text.data, text.len, PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE,
                                       &code, &at, context);
    if (s->code[stage]) {
        (void)pcre2_jit_compile(s->code[stage], PCRE2_JIT_COMPLETE); /* without it the interpreter runs */
        rc = ERR_OK;
    } else if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED) {
        rc = err_nomem(e, "the pre-tokenizer's regular expressions", 0);
    } else {
        rc = err_set(e, ERR_INTERNAL, "the pre-tokenizer '%.40s', stage %d: error %d at offset %zu of its regular expression", s->row->names, stage, code, (size_t)at);
    }
    pcre2_compile_context_free(context);
    buf_free(&text);
    return rc;
}

int splitter_new(struct splitter **out, const struct pre_row *row, struct err *e) {
    struct splitter *s = *out = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "the pre-tokenizer", sizeof *s);
    s->row = row;
    s->memory = pcre2_general_context_create(lib_alloc, lib_free, NULL);
    int rc = s->memory ? ERR_OK : err_nomem(e, "the pre-tokenizer", 0);
    for (int i = 0; !rc && row->stage[i].kind != STAGE_END; i++)
        if (row->stage[i].kind == STAGE_REGEX) rc = compile(s, i, e);
    if (rc) {
        splitter_free(s);
        *out = NULL;
    }
    return rc;
}

void splitter_free(struct splitter *s) {
    if (!s) return;
    for (int i = 0; i < PRE_STAGES; i++) pcre2_code_free(s->code[i]);
    pcre2_general_context_free(s->memory);
    mem_free(s);
}

void split_free(struct split_work *w) {
    mem_free(w->word);
    mem_free(w->other);
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->limits);
    *w = (struct split_work){0};
}

/* Adds a word to w->other, which a stage fills. Empty ones are left out. */
static bool put(struct split_work *w, size_t start, size_t end, bool raw) {
    if (start == end) return true;
    if (w->n_other == w->cap_other) {
        size_t cap = w->cap_other ? w->cap_other * 2 : 64;
        struct split_word *more = mem_array(w->other, cap, sizeof *more);
        if (!more) return false;
        w->other = more;
        w->cap_other = cap;
    }
    w->other[w->n_other++] = (struct split_word){(uint32_t)start, (uint32_t)(end - start), raw};
    return true;
}

static void swap_words(struct split_work *w) {
    struct split_work old = *w;
    w->word = old.other, w->n = old.n_other, w->cap = old.cap_other;
    w->other = old.word, w->n_other = 0, w->cap_other = old.cap;
}

/* Words of valid UTF-8 and words that are not, in turn. */
static bool cut_invalid(struct slice text, struct split_work *w) {
    size_t start = 0;
    bool raw = false;
    for (size_t i = 0; i < text.n;) {
        uint32_t cp;
        size_t len = utf8_char(text.p + i, text.n - i, &cp);
        if (raw != !len) {
            if (!put(w, start, i, raw)) return false;
            start = i;
            raw = !len;
        }
        i += len ? len : 1;
    }
    return put(w, start, text.n, raw);
}

/* One match in word from offset; its bounds in *from and *to. 1: found, 0: none, else a PCRE2 error. */
static int match(const pcre2_code *code, struct slice word, size_t offset, struct split_work *w, size_t *from, size_t *to) {
    PCRE2_SPTR subject = (PCRE2_SPTR)word.p;
    int rc = pcre2_match(code, subject, word.n, offset, PCRE2_NO_UTF_CHECK, w->match, w->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, subject, word.n, offset, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->match, w->limits);
    if (rc == PCRE2_ERROR_NOMATCH) return 0;
    if (rc < 0) return rc;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(w->match);
    *from = ends[0];
    *to = ends[1];
    return 1;
}

static int match_failed(int code, const struct pre_row *row, size_t n, struct err *e) {
    if (code == PCRE2_ERROR_NOMEMORY) return err_nomem(e, "matching a pre-tokenizer's regular expression", 0);
    return err_set(e, ERR_TEXT, "the pre-tokenizer '%.40s' gives up on a stretch of %zu bytes without a break (PCRE2 error %d): split the text", row->names, n, code);
}

static int run_regex(const struct splitter *s, int stage, struct slice text, struct split_work *w, struct err *e) {
    for (size_t i = 0; i < w->n; i++) {
        struct split_word word = w->word[i];
        struct slice part = {text.p + word.start, word.len};
        size_t done = 0, from, to;
        int found = 0;
        if (!word.raw) pcre2_set_match_limit(w->limits, 1000000u + 100u * (word.len < 10000000u ? word.len : 10000000u));
        while (!word.raw && done < part.n && (found = match(s->code[stage], part, done, w, &from, &to)) == 1) {
            if (to == from) return err_set(e, ERR_INTERNAL, "the pre-tokenizer '%.40s' matches nothing at all", s->row->names);
            if (!put(w, word.start + done, word.start + from, false) || !put(w, word.start + from, word.start + to, false))
                return err_nomem(e, "the words of a text", 0);
            done = to;
        }
        if (found < 0) return match_failed(found, s->row, part.n, e);
        if (!put(w, word.start + done, word.start + part.n, word.raw)) return err_nomem(e, "the words of a text", 0);
    }
    return ERR_OK;
}

static bool is_number(utf8proc_category_t c) { return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO; }
/* \w as Oniguruma has it: letters, marks, decimal digits, connectors, numbers that are letters, and in Latin-1 all numbers. */
static bool is_word(uint32_t cp, utf8proc_category_t c) {
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC || (c == UTF8PROC_CATEGORY_NO && cp < 0x100);
}

/* Digits in threes, counted from the right, as in 1 234 567. By stage kind:
 *   DIGITS       \p{N}; a cut behind each group, none before the first: what stands before the digits stays with the first group
 *   DIGITS_WORD  \d{1,3}(?=(?:\d{3})*\b): each group of \d a word; nothing where a letter follows the last digit
 *   DIGITS_CUT   (?=(\d{3})+(?!\d)), which matches between characters: a cut before each whole group, none behind the last
 * Written out since, as regular expressions, they take quadratic time on a long run of digits. */
static bool group_digits(enum stage_kind kind, struct slice text, struct split_word word, struct split_work *w) {
    size_t end = word.start + word.len, done = word.start, i = word.start, len;
    uint32_t cp = 0;
    while (i < end) {
        size_t digits = 0, at = i;
        utf8proc_category_t c = UTF8PROC_CATEGORY_CN;
        for (; i < end; i += len, digits++) {
            len = utf8_char(text.p + i, end - i, &cp);
            c = utf8proc_category((utf8proc_int32_t)cp);
            if (kind == STAGE_DIGITS ? !is_number(c) : c != UTF8PROC_CATEGORY_ND) break;
        }
        bool group = digits && !(kind == STAGE_DIGITS_WORD && i < end && is_word(cp, c));
        for (size_t k = 0; group && k <= digits; k++) {
            bool cut = (digits - k) % 3 == 0;
            if (k == 0) cut = kind == STAGE_DIGITS_WORD || (cut && kind == STAGE_DIGITS_CUT);
            if (k == digits) cut = kind != STAGE_DIGITS_CUT;
            if (cut && !put(w, done, at, false)) return false;
            if (cut) done = at;
            if (k < digits) at += utf8_char(text.p + at, end - at, &cp);
        }
        if (i < end) i += utf8_char(text.p + i, end - i, &cp);
    }
    return put(w, done, end, false);
}

static int run_digits(enum stage_kind kind, struct slice text, struct split_work *w, struct err *e) {
    for (size_t i = 0; i < w->n; i++) {
        struct split_word word = w->word[i];
        bool ok = word.raw ? put(w, word.start, word.start + word.len, true) : group_digits(kind, text, word, w);
        if (!ok) return err_nomem(e, "the words of a text", 0);
    }
    return ERR_OK;
}

static bool prepare(const struct splitter *s, struct split_work *w) {
    if (!w->match) w->match = pcre2_match_data_create(1, s->memory);
    if (!w->limits) w->limits = pcre2_match_context_create(s->memory);
    if (w->limits) pcre2_set_heap_limit(w->limits, 256 * 1024); /* KiB, of the interpreter */
    return w->match && w->limits;
}

int splitter_run(const struct splitter *s, struct slice text, struct split_work *w, struct err *e) {
    w->n = w->n_other = 0;
    if (!prepare(s, w) || !cut_invalid(text, w)) return err_nomem(e, "the words of a text", 0);
    swap_words(w);
    for (int i = 0; s->row->stage[i].kind != STAGE_END; i++) {
        enum stage_kind kind = s->row->stage[i].kind;
        int rc = kind == STAGE_REGEX ? run_regex(s, i, text, w, e) : run_digits(kind, text, w, e);
        if (rc) return rc;
        swap_words(w);
    }
    return ERR_OK;
}
