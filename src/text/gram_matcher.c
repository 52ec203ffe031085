/* gram_matcher.c: one sequence's place in a grammar; see grammar.h. A matcher keeps the threads it had after each token, so going back is
 * forgetting. Matchers forked from one another share a space (gram_run.h) and are linked in a ring, so that what none of them holds can be found.
 */
#include <string.h>

#include "text/gram_run.h"

enum { FRAMES_SOFT = 1 << 18 };

struct place {
    size_t first; /* of its threads */
    uint32_t n;
    bool accept, finished;
};
struct matcher {
    struct gram_space *s;
    struct matcher *before, *after;
    struct gram_thread *threads;
    struct place *places; /* the last is now; the first is the start or the fork */
    size_t cap_threads, n_places, cap_places;
};

/* ---- the space ---- */

int gram_space_new(struct gram_space **out, const struct grammar *g, const struct grammar_vocab *v, struct err *e) {
    struct gram_space *s = *out = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "the state of a grammar", sizeof *s);
    *s = (struct gram_space){.g = g, .v = v, .err = e, .frames_soft = FRAMES_SOFT};
    s->walk = mem_array(NULL, (size_t)v->longest + 1, sizeof *s->walk);
    s->frame_slots = mem_calloc(64, sizeof *s->frame_slots);
    s->cap_slots = 64;
    if (!s->walk || !s->frame_slots) s->rc = err_nomem(e, "the state of a grammar", v->longest);
    if (gram_grow(s, (void **)&s->frames, &s->cap_frames, 1, sizeof *s->frames)) s->frames[s->n_frames++] = (struct gram_frame){0};
    if (!s->rc) gram_begin_text(s);
    if (!s->rc) (void)gram_set_copy(s, &s->start, &s->set);
    int rc = s->rc;
    if (rc) {
        gram_space_free(s);
        *out = NULL;
    }
    return rc;
}

void gram_space_free(struct gram_space *s) {
    gram_states_drop(s);
    mem_free(s->walk);
    mem_free(s->frames);
    mem_free(s->frame_slots);
    mem_free(s->set.at);
    mem_free(s->start.at);
    mem_free(s->todo);
    mem_free(s->seen);
    mem_free(s->seen_in);
    mem_free(s->states);
    mem_free(s->threads);
    mem_free(s->state_slots);
    mem_free(s);
}

static void keep_stack(const struct gram_space *s, uint8_t *keep, uint32_t frame) {
    for (; frame && !keep[frame]; frame = s->frames[frame].parent) {
        keep[frame] = 1;
        for (uint32_t shadow = s->frames[frame].shadow; shadow && !keep[shadow]; shadow = s->frames[shadow].parent) keep[shadow] = 1;
    }
}

static size_t threads_of(const struct matcher *m) {
    const struct place *now = &m->places[m->n_places - 1];
    return now->first + now->n;
}

bool gram_tidy(struct gram_space *s) {
    if (s->n_frames <= s->frames_soft) return true;
    uint8_t *keep = mem_calloc(s->n_frames, 1);
    uint32_t *moved = NULL;
    if (keep) {
        for (uint32_t i = 0; i < s->start.n; i++) keep_stack(s, keep, s->start.at[i].frame);
        const struct matcher *m = s->family;
        do {
            for (size_t i = 0; i < threads_of(m); i++) keep_stack(s, keep, m->threads[i].frame);
            m = m->after;
        } while (m != s->family);
        moved = gram_frames_compact(s, keep);
    }
    mem_free(keep);
    if (!moved) {
        s->rc = err_nomem(s->err, "the state of a grammar", s->n_frames * sizeof *moved);
        return false;
    }
    gram_states_drop(s);
    for (uint32_t i = 0; i < s->start.n; i++) s->start.at[i].frame = moved[s->start.at[i].frame];
    struct matcher *m = s->family;
    do {
        for (size_t i = 0; i < threads_of(m); i++) m->threads[i].frame = moved[m->threads[i].frame];
        m = m->after;
    } while (m != s->family);
    mem_free(moved);
    s->frames_soft = s->n_frames * 2 > FRAMES_SOFT ? s->n_frames * 2 : FRAMES_SOFT;
    return true;
}

/* ---- places ---- */

/* Adds a place with these threads. false: out of memory, nothing added. */
static bool place_add(struct matcher *m, const struct gram_set *set, bool finished, struct err *e) {
    size_t first = m->n_places ? threads_of(m) : 0, need = first + set->n;
    if (need >= m->cap_threads) { /* never none at all, as threads are pointed to even where a place has none */
        size_t cap = m->cap_threads * 2 > need ? m->cap_threads * 2 : need + 1;
        struct gram_thread *wider = mem_array(m->threads, cap, sizeof *wider);
        if (!wider) return (void)err_nomem(e, "a matcher", cap * sizeof *wider), false;
        m->threads = wider;
        m->cap_threads = cap;
    }
    if (m->n_places == m->cap_places) {
        size_t cap = m->cap_places ? m->cap_places * 2 : 16;
        struct place *wider = mem_array(m->places, cap, sizeof *wider);
        if (!wider) return (void)err_nomem(e, "a matcher", cap * sizeof *wider), false;
        m->places = wider;
        m->cap_places = cap;
    }
    if (set->n) memcpy(m->threads + first, set->at, set->n * sizeof *set->at);
    m->places[m->n_places++] = (struct place){first, set->n, set->accept, finished};
    return true;
}

static struct gram_set now(const struct matcher *m) {
    const struct place *p = &m->places[m->n_places - 1];
    return (struct gram_set){.at = m->threads + p->first, .n = p->n, .accept = p->accept};
}

static void join(struct matcher *m, struct gram_space *s) {
    m->s = s;
    m->before = m->after = m;
    if (s->family) {
        m->after = s->family;
        m->before = s->family->before;
        m->before->after = m->after->before = m;
    }
    s->family = m;
}

int matcher_new(struct matcher **out, const struct grammar *g, const struct grammar_vocab *v, struct err *e) {
    struct gram_space *s = NULL;
    struct matcher *m = *out = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(e, "a matcher", sizeof *m);
    int rc = gram_space_new(&s, g, v, e);
    if (!rc) {
        join(m, s);
        if (!place_add(m, &s->start, false, e)) rc = ERR_MEMORY;
    }
    if (rc) {
        matcher_free(m);
        *out = NULL;
    }
    return rc;
}

int matcher_fork(struct matcher **copy, const struct matcher *m, struct err *e) {
    struct matcher *c = *copy = mem_calloc(1, sizeof *c);
    if (!c) return err_nomem(e, "a matcher", sizeof *c);
    struct gram_set here = now(m);
    bool ok = place_add(c, &m->s->start, false, e); /* so that there is room for a reset */
    c->n_places = 0;
    if (!ok || !place_add(c, &here, m->places[m->n_places - 1].finished, e)) {
        matcher_free(c);
        *copy = NULL;
        return ERR_MEMORY;
    }
    join(c, m->s);
    return 0;
}

void matcher_free(struct matcher *m) {
    if (!m) return;
    struct gram_space *s = m->s;
    if (s) {
        bool last = m->after == m;
        m->before->after = m->after;
        m->after->before = m->before;
        s->family = last ? NULL : m->after;
        if (last) gram_space_free(s);
    }
    mem_free(m->threads);
    mem_free(m->places);
    mem_free(m);
}

void matcher_reset(struct matcher *m) {
    m->n_places = 0;
    (void)place_add(m, &m->s->start, false, NULL); /* its places held the start before, so this cannot fail */
}

/* ---- what comes next ---- */

static void enter(struct matcher *m, struct err *e) {
    m->s->rc = 0;
    m->s->err = e;
    (void)gram_tidy(m->s);
}

int matcher_mask(struct matcher *m, uint32_t *mask, struct err *e) {
    const struct place *p = &m->places[m->n_places - 1];
    if (p->finished) {
        memset(mask, 0, m->s->v->words * sizeof *mask);
        return 0;
    }
    enter(m, e);
    if (!m->s->rc) (void)gram_mask(m->s, m->threads + p->first, p->n, p->accept, mask);
    return m->s->rc;
}

int matcher_accept_bytes(struct matcher *m, struct slice bytes, struct err *e) {
    struct gram_space *s = m->s;
    struct gram_set last = {0};
    enter(m, e);
    if (!s->rc && m->places[m->n_places - 1].finished) s->rc = err_set(e, ERR_TEXT, "the text is finished: nothing can follow");
    struct gram_set from = now(m);
    if (!s->rc && bytes.n == 0) (void)gram_set_copy(s, &s->set, &from);
    for (size_t i = 0; i < bytes.n && !s->rc; i++) {
        gram_step(s, from.at, from.n, (uint8_t)bytes.p[i]);
        if (!s->rc && s->set.n == 0 && !s->set.accept)
            s->rc = err_set(e, ERR_TEXT, "byte %zu of the %zu that come next, 0x%02X, does not fit the grammar", i + 1, bytes.n, (uint8_t)bytes.p[i]);
        if (!s->rc && i + 1 < bytes.n) {
            (void)gram_set_copy(s, &last, &s->set);
            from = last;
        }
    }
    if (!s->rc && !place_add(m, &s->set, false, e)) s->rc = ERR_MEMORY;
    mem_free(last.at);
    return s->rc;
}

int matcher_accept(struct matcher *m, int32_t token, struct err *e) {
    const struct grammar_vocab *v = m->s->v;
    const struct place *p = &m->places[m->n_places - 1];
    if (token < 0 || (uint32_t)token >= v->n_tokens) return err_set(e, ERR_TEXT, "there is no token %d", token);
    if (grammar_vocab_ends(v, token)) {
        if (!p->accept || p->finished) return err_set(e, ERR_TEXT, "token %d ends the text, and the grammar does not allow that here", token);
        struct gram_set none = {0};
        return place_add(m, &none, true, e) ? 0 : ERR_MEMORY;
    }
    struct slice text = {v->text + v->text_at[token], v->text_at[token + 1] - v->text_at[token]};
    if (text.n == 0) return err_set(e, ERR_TEXT, "token %d stands for no text, and is never allowed", token);
    return matcher_accept_bytes(m, text, e);
}

int matcher_back(struct matcher *m, size_t n, struct err *e) {
    if (n >= m->n_places) return err_set(e, ERR_USAGE, "a matcher cannot go back %zu steps: it has made %zu", n, m->n_places - 1);
    m->n_places -= n;
    return 0;
}

size_t matcher_bytes(const struct matcher *m) {
    const struct gram_space *s = m->s;
    return s->cap_frames * sizeof *s->frames + s->cap_seen * (sizeof *s->seen + sizeof *s->seen_in) + s->cap_threads * sizeof *s->threads +
           s->n_states * (sizeof *s->states + s->g->n_classes * sizeof *s->states->to) + s->n_masks * (size_t)s->v->words * sizeof(uint32_t);
}

bool matcher_may_end(const struct matcher *m) {
    const struct place *p = &m->places[m->n_places - 1];
    return p->accept || p->finished;
}
bool matcher_finished(const struct matcher *m) { return m->places[m->n_places - 1].finished; }
