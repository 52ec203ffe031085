/* guide.c: see guide.h. The grammar of a form knows of reasoning itself; where reasoning stands is followed here once more, by the text, for the budget and for jobs
 * without a form. */
#include "engine/guide.h"

#include <string.h>

enum place { AT_START /* where reasoning may begin */, INSIDE, BEHIND };
enum { MARK_MAX = 64, CLOSING_MAX = 64 /* tokens */ };

struct guide {
    struct guide_options o;
    const struct tokenizer *tokenizer;
    struct matcher *matcher; /* NULL: no form */
    uint32_t *mask;          /* for the next token, when there is a form */
    enum place place;
    int spent;               /* tokens of reasoning */
    char seen[2 * MARK_MAX]; /* the end of the text, as far as it may be the beginning of a mark */
    size_t n_seen;
    int32_t closing[CLOSING_MAX]; /* the tokens that end reasoning */
    int n_closing, forced;   /* forced: how many of them have come, -1: none is due */
};

/* ---- making one ---- */

/* What is said to end reasoning: its mark on a line of its own, as models write it, or what their messages have between reasoning and answer. */
static int encode_closing(struct guide *g, struct err *e) {
    struct tokens ids = {.limit = CLOSING_MAX};
    struct buf text = {.limit = 4 * MARK_MAX};
    const bool turns = *g->o.frame.turn != 0;
    int code = buf_str(&text, turns ? "" : "\n") && buf_str(&text, g->o.frame.close) && buf_str(&text, turns ? g->o.frame.turn : "\n\n") ? 0 : err_nomem(e, "the end of reasoning", text.len);
    if (code == 0) code = tokenizer_encode(g->tokenizer, (struct slice){text.data, text.len}, &(struct encode_options){.parse = SPECIAL_ALL}, &ids, e);
    if (code == 0 && ids.n) memcpy(g->closing, ids.id, ids.n * sizeof *ids.id);
    g->n_closing = (int)ids.n;
    tokens_free(&ids);
    buf_free(&text);
    return code;
}

int guide_new(struct guide **out, const struct guide_options *o, const struct tokenizer *t, struct err *e) {
    *out = NULL;
    const bool counts = o->budget >= 0 && o->frame.close && *o->frame.close && (o->opened || o->may_open);
    if (!o->form && !counts) return 0;
    struct guide *g = mem_calloc(1, sizeof *g);
    if (!g) return err_nomem(e, "the form of an answer", sizeof *g);
    *g = (struct guide){.o = *o, .tokenizer = t, .forced = -1, .place = !counts ? BEHIND : o->opened ? INSIDE : AT_START};
    g->o.form = o->form ? form_ref(o->form) : NULL;
    int code = 0;
    if (counts && (strlen(o->frame.open) >= MARK_MAX || strlen(o->frame.close) >= MARK_MAX)) code = err_set(e, ERR_UNSUPPORTED, "the marks of reasoning are too long");
    if (code == 0 && counts) code = encode_closing(g, e);
    if (code == 0 && o->form && !(g->mask = mem_calloc(grammar_vocab_words(form_vocab(o->form)), sizeof *g->mask))) code = err_nomem(e, "a mask", grammar_vocab_words(form_vocab(o->form)) * sizeof *g->mask);
    if (code) guide_free(g);
    else *out = g;
    return code;
}

void guide_free(struct guide *g) {
    if (!g) return;
    form_done(g->o.form);
    mem_free(g->mask);
    mem_free(g);
}

/* ---- the form ---- */

/* The mask of what may come next. */
static int prepare(struct guide *g, bool *over, struct err *e) {
    const struct grammar_vocab *v = g->matcher ? form_vocab(g->o.form) : NULL;
    *over = false;
    if (!v) return 0;
    const int code = matcher_mask(g->matcher, g->mask, e);
    if (code) return code;
    if (!grammar_vocab_only_ends(v, g->mask)) return 0;
    *over = matcher_may_end(g->matcher);
    return *over ? 0 : err_set(e, ERR_UNSUPPORTED, "no token of the model's vocabulary can go on with what the answer must be");
}

int guide_begin(struct guide *g, struct err *e) {
    bool over;
    if (g->place == INSIDE && g->o.budget == 0 && g->n_closing) g->forced = 0;
    if (!g->o.form) return 0;
    int code = form_enter(g->o.form, &g->matcher, e);
    if (code == 0) code = answer_enter(g->matcher, g->o.opened ? ANSWER_REASONS : g->o.may_open && g->o.budget != 0 ? ANSWER_MAY_REASON : ANSWER_PLAIN, e);
    return code ? code : prepare(g, &over, e);
}

void guide_end(struct guide *g) {
    if (!g) return;
    if (g->o.form) form_leave(g->o.form, g->matcher);
    g->matcher = NULL;
}

const uint32_t *guide_mask(const struct guide *g, int32_t *forced) {
    *forced = g && g->forced >= 0 ? g->closing[g->forced] : TOKEN_NONE;
    return g && g->matcher ? g->mask : NULL;
}

/* ---- reasoning ---- */

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* The text's next byte. Marks: `open` only where nothing but white space has come, `close` anywhere. */
static void follow(struct guide *g, char c) {
    if (g->place == BEHIND) return;
    const char *mark = g->place == AT_START ? g->o.frame.open : g->o.frame.close;
    const size_t n = strlen(mark);
    if (n == 0) return;
    if (g->n_seen == n) memmove(g->seen, g->seen + 1, --g->n_seen);
    g->seen[g->n_seen++] = c;
    if (g->place == AT_START && memcmp(g->seen, mark, g->n_seen) != 0) {
        size_t k = 0; /* white space in front does not count; it may be the mark's own beginning, though */
        while (k < g->n_seen && is_space(g->seen[k]) && (k == 0 || memcmp(g->seen + k, mark, g->n_seen - k) != 0)) k++;
        if (k < g->n_seen && memcmp(g->seen + k, mark, g->n_seen - k) != 0) g->place = BEHIND;
        memmove(g->seen, g->seen + k, g->n_seen - k);
        g->n_seen -= k;
    }
    if (g->place == BEHIND || g->n_seen < n || memcmp(g->seen, mark, n) != 0) return;
    g->place = g->place == AT_START ? INSIDE : AT_START; /* some begin again */
    g->n_seen = 0;
}

static void count(struct guide *g, struct slice text) {
    const bool was_inside = g->place == INSIDE;
    for (size_t i = 0; i < text.n; i++) follow(g, text.p[i]);
    if (g->forced >= 0 && ++g->forced == g->n_closing) {
        g->forced = -1;
        if (g->place == INSIDE) g->place = BEHIND, g->n_seen = 0; /* the vocabulary spells its marks in other ways */
        return;
    }
    if (g->forced >= 0 || g->place != INSIDE) return;
    g->spent += was_inside;
    if (g->spent >= g->o.budget && g->n_closing) g->forced = 0;
}

int guide_accept(struct guide *g, int32_t id, struct slice text, bool *over, struct err *e) {
    *over = false;
    if (!g) return 0;
    if (g->o.budget >= 0) count(g, text);
    const int code = g->matcher ? matcher_accept(g->matcher, id, e) : 0;
    return code ? code : prepare(g, over, e);
}

int guide_allows(struct guide *g, const int32_t *ids, int n) {
    struct err ignored;
    int k = 0;
    if (g->forced >= 0) return 0;
    if (!g->matcher) return n;
    while (k < n && matcher_accept(g->matcher, ids[k], &ignored) == 0) k++;
    (void)matcher_back(g->matcher, (size_t)k, &ignored);
    return k;
}
