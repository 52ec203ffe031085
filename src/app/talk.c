/* talk.c: a conversation with a model; see talk.h. */
#define _GNU_SOURCE
#include "app/talk.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/lora.h"
#include "app/stop.h"
#include "base/utf8.h"
#include "graph/graph.h"

static int open_chat(struct talk *t, struct err *e) {
    struct buf source = {0};
    const char *path = t->o->template_file;
    int code = path ? read_input(path, TEMPLATE_SOURCE_MAX, &source, e) : 0;
    if (code == 0 && path && !source.len) code = err_set(e, ERR_TEMPLATE, "%s: the template is empty", path);
    if (code == 0 && (code = chat_new(&t->chat, t->s.model->file, t->s.tok, (struct slice){source.data, source.len}, NULL, e)) && path) (void)err_in(e, "%s", path);
    buf_free(&source);
    return code;
}

/* Ctrl-C and its kin are for this thread, which may wait for them: those that the engine starts inherit that they do not take them. */
static int open_session(struct talk *t, struct err *e) {
    sigset_t block, before;
    stop_signals(&block);
    (void)pthread_sigmask(SIG_BLOCK, &block, &before);
    int code = generate_open(&t->s, &t->o->g, e);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int talk_open(struct talk *t, const struct talk_options *o, struct err *e) {
    *t = (struct talk){.o = o, .generate = o->g};
    t->generate.shift = false;
    int code = open_session(t, e);
    if (code == 0) code = open_chat(t, e);
    if (code == 0) code = generator_new(&t->g, &t->s, &t->generate, e);
    if (code == 0 && o->system) code = talk_system(t, slice_of(o->system), e);
    return code;
}

void talk_close(struct talk *t) {
    tokens_free(&t->said);
    buf_free(&t->answer);
    paint_free(&t->paint);
    conversation_free(&t->c);
    generator_free(&t->g);
    chat_free(t->chat);
    session_close(&t->s);
    *t = (struct talk){0};
}

/* ---- the prompt ---- */

/* A model may write bytes that are no UTF-8; a template gets U+FFFD for each. */
static struct value *text_value(struct arena *a, const char *p, size_t n) {
    struct buf b = {0};
    size_t good = utf8_prefix(p, n);
    bool ok = buf_add(&b, p, good);
    for (size_t at = good; ok && at < n; at += good) {
        at++;
        good = utf8_prefix(p + at, n - at);
        ok = buf_str(&b, "\xef\xbf\xbd") && buf_add(&b, p + at, good);
    }
    struct value *v = ok ? value_string(a, b.data ? b.data : "", b.len, VALUE_DATA) : NULL;
    buf_free(&b);
    return v;
}

static bool add_message(struct arena *a, struct value *list, const struct message *m) {
    struct value *v = value_dict(a);
    bool ok = value_set(a, v, "role", text_value(a, m->role, strlen(m->role))) && value_set(a, v, "content", text_value(a, m->content, m->content_n));
    if (m->reasoning_n) ok = ok && value_set(a, v, "reasoning_content", text_value(a, m->reasoning, m->reasoning_n));
    return ok && value_append(a, list, v);
}

/* The system message and the messages [first, upto) as tokens; generation: and the beginning of an answer. */
static int render(const struct talk *t, size_t first, size_t upto, bool generation, struct tokens *ids, struct err *e) {
    struct arena a = {0};
    struct value *context = value_dict(&a), *list = value_list(&a);
    bool ok = !conversation_has_system(&t->c) || add_message(&a, list, &t->c.m[0]);
    for (size_t i = first; ok && i < upto; i++) ok = add_message(&a, list, &t->c.m[i]);
    ok = ok && value_set(&a, context, "messages", list) && value_set(&a, context, "tools", value_none(&a)) &&
         value_set(&a, context, "add_generation_prompt", value_bool(&a, generation));
    if (t->o->think || t->o->no_think) /* the two names that templates have for it */
        ok = ok && value_set(&a, context, "enable_thinking", value_bool(&a, t->o->think)) && value_set(&a, context, "thinking", value_bool(&a, t->o->think));
    ids->n = 0;
    int code = ok ? chat_tokens(t->chat, &a, context, ids, e) : err_nomem(e, "the conversation", a.used);
    arena_free(&a);
    return code;
}

/* The next question behind message `from`, where a shortened conversation may begin; 0: there is none before upto. */
static size_t next_question(const struct conversation *c, size_t from, size_t upto) {
    for (size_t i = from + 1; i < upto; i++)
        if (strcmp(c->m[i].role, "user") == 0) return i;
    return 0;
}

static int ends_in_think(const struct talk *t, const struct tokens *ids, bool *yes, struct err *e) {
    struct buf tail = {0};
    size_t n = ids->n < 16 ? ids->n : 16;
    int code = tokenizer_decode(t->s.tok, ids->id + ids->n - n, n, true, &tail, e);
    while (tail.len && (tail.data[tail.len - 1] == '\n' || tail.data[tail.len - 1] == ' ')) tail.len--;
    *yes = tail.len >= 7 && memcmp(tail.data + tail.len - 7, "<think>", 7) == 0;
    buf_free(&tail);
    return code;
}

static int too_long(const struct talk *t, size_t n, struct err *e) {
    return err_set(e, ERR_CONTEXT, "the conversation has %zu tokens with this message, but the context holds %d; /reset begins anew%s, a larger -c (up to %u) holds more; the message was not taken", n,
                   engine_context(t->s.engine), t->o->g.shift ? "" : ", --shift forgets the oldest turns", t->s.model->hp.n_ctx_train);
}

/* What the sequence has to hold before the next token of the answer to message upto - 1. With --shift the oldest turns go, when it does
 * not fit, until a quarter of the context is free. */
static int compose(struct talk *t, size_t upto, struct tokens *ids, struct err *e) {
    size_t system = conversation_has_system(&t->c), n_ctx = (size_t)engine_context(t->s.engine), room = n_ctx, first = system + t->forgotten;
    for (;;) {
        int code = render(t, first, upto, true, ids, e);
        if (code == 0 && ids->n == 0) code = err_set(e, ERR_TEMPLATE, "the chat template makes nothing of this conversation");
        if (code == 0) code = ends_in_think(t, ids, &t->opened, e);
        for (size_t i = 0; code == 0 && i < t->said.n; i++) code = tokens_add(ids, t->said.id[i], e);
        if (code) return code;
        if (ids->n <= room) break;
        size_t next = t->o->g.shift ? next_question(&t->c, first, upto) : 0;
        if (!next && ids->n > n_ctx) return too_long(t, ids->n, e);
        if (!next) break;
        first = next;
        room = n_ctx - n_ctx / 4;
    }
    if (first - system > t->forgotten)
        (void)fprintf(stderr, "%s(the context holds %zu tokens: the oldest %zu messages are not sent any more)\n", t->said.n ? "\n" : "", n_ctx, first - system);
    t->forgotten = first - system;
    return 0;
}

/* ---- the turn ---- */

static size_t common_prefix(const int32_t *a, size_t na, const int32_t *b, size_t nb) {
    size_t n = 0;
    while (n < na && n < nb && a[n] == b[n]) n++;
    return n;
}

/* Where a recurrent model should remember its state: before what the template writes to begin an answer, since later turns may render that
 * differently. */
static int boundary_of(const struct talk *t, size_t upto, const struct tokens *ids, size_t *boundary, struct err *e) {
    struct tokens without = {0};
    *boundary = 0;
    if (graph_state_floats(engine_graph(t->s.engine)) == 0) return 0;
    int code = render(t, conversation_has_system(&t->c) + t->forgotten, upto, false, &without, e);
    if (code == 0) *boundary = common_prefix(ids->id, ids->n, without.id, without.n);
    tokens_free(&without);
    return code;
}

static int start(struct talk *t, const int32_t *ids, size_t n, struct err *e) {
    int code = generator_start(&t->g, ids, n, e);
    t->fed += t->g.prompt_tokens;
    t->prompt_s += t->g.prompt_s;
    return code;
}

/* Makes the sequence hold ids; at least the last is computed, since its logits are needed. */
static int feed(struct talk *t, size_t upto, const struct tokens *ids, struct err *e) {
    struct seq *s = t->g.seq;
    size_t boundary, same = common_prefix(seq_tokens(s), (size_t)seq_length(s), ids->id, ids->n - 1);
    int code = boundary_of(t, upto, ids, &boundary, e);
    if (code) return code;
    same = lora_same(&t->s, s, ids->id, ids->n, same);
    size_t n = (size_t)seq_truncate(s, (int)same);
    if ((code = lora_set(&t->s, s, ids->id, ids->n, e))) return code;
    sampler_forget(t->g.sampler);
    for (size_t i = 0; i < n; i++) sampler_accept(t->g.sampler, ids->id[i]);
    if (boundary > n && boundary < ids->n) {
        if ((code = start(t, ids->id + n, boundary - n, e)) || (code = seq_mark(s, e))) return code;
        n = boundary;
    }
    return start(t, ids->id + n, ids->n - n, e);
}

static int show(void *ctx, const struct token_event *event, struct err *e) {
    struct talk *t = ctx;
    int code = event->id == TOKEN_NONE ? 0 : tokens_add(&t->said, event->id, e);
    if (code) return code;
    if (!buf_add(&t->answer, event->text.p, event->text.n)) return err_nomem(e, "the answer", t->answer.len);
    return paint_add(&t->paint, event->text, e);
}

/* Answers message upto - 1. Where the context fills up, --shift makes room and the answer goes on. An error means that no answer began. */
static int generate(struct talk *t, size_t upto, enum end *end, struct err *e) {
    int most = t->o->g.n_predict, code;
    struct tokens ids = {0};
    do {
        code = compose(t, upto, &ids, e);
        if (code == 0) code = feed(t, upto, &ids, e);
        progress_clear();
        if (code && !t->said.n) break;
        if (code == ERR_CONTEXT || code == ERR_CANCELLED) { /* of an answer that has begun: it ends here */
            *end = code == ERR_CONTEXT ? END_CONTEXT : END_CANCELLED;
            code = 0;
            break;
        }
        if (code) break;
        if (!t->said.n) paint_begin(&t->paint, t->opened);
        code = generator_run(&t->g, most < 0 ? -1 : most - (int)t->said.n, show, t, end, e);
        t->generated += t->g.generated;
        t->steps += t->g.steps;
        t->generate_s += t->g.generate_s;
    } while (code == 0 && *end == END_CONTEXT && t->o->g.shift);
    tokens_free(&ids);
    return code;
}

/* The last token drawn has no place in a full context: it holds one less of the answer than were shown. */
static int full(const struct talk *t, struct err *e) {
    int n_ctx = engine_context(t->s.engine), held = (int)t->said.n - 1;
    return err_set(e, ERR_CONTEXT, "the context of %d tokens is full: it holds %d of the conversation and %d of the %d of this answer, which is kept as far as it got; "
                                   "/reset begins anew%s, a larger -c (up to %u) holds more",
                   n_ctx, n_ctx - held, held, (int)t->said.n, t->o->g.shift ? "" : ", --shift forgets the oldest turns", t->s.model->hp.n_ctx_train);
}

/* The answer to message upto - 1, in place of whatever stands behind it. */
static int answer(struct talk *t, size_t upto, struct err *e) {
    enum end end = END_LENGTH;
    struct slice reasoning, content;
    t->answer.len = t->said.n = 0;
    t->fed = t->generated = t->steps = 0;
    t->prompt_s = t->generate_s = 0;
    int code = generate(t, upto, &end, e);
    if (t->said.n || code == 0) {
        struct err *quiet = code ? NULL : e; /* the first error is the one to tell */
        int ended = paint_end(&t->paint, quiet);
        code = code ? code : ended;
    }
    if (code) return code;
    split_reasoning((struct slice){t->answer.data ? t->answer.data : "", t->answer.len}, t->opened, &reasoning, &content);
    size_t old = t->c.n - upto;
    if ((code = conversation_add(&t->c, "assistant", content, reasoning, e))) return code;
    conversation_drop(&t->c, upto, old);
    t->g.prompt_tokens = t->fed;
    t->g.generated = t->generated;
    t->g.steps = t->steps;
    t->g.prompt_s = t->prompt_s;
    t->g.generate_s = t->generate_s;
    if (t->o->verbose) generator_report(&t->g, end);
    if (end == END_LENGTH) (void)fprintf(stderr, "(the answer was cut after %d tokens, as -n says)\n", t->generated);
    return end == END_CONTEXT ? full(t, e) : 0;
}

static int check_text(struct slice text, struct err *e) {
    size_t good = utf8_prefix(text.p, text.n);
    return good == text.n ? 0 : err_set(e, ERR_TEXT, "byte %zu of the message is not UTF-8; the message was not taken", good);
}

int talk_say(struct talk *t, struct slice text, struct err *e) {
    size_t n = t->c.n;
    int code = check_text(text, e);
    if (code == 0) code = conversation_add(&t->c, "user", text, SLICE(""), e);
    if (code == 0) code = answer(t, n + 1, e);
    if (code && t->c.n == n + 1) conversation_drop(&t->c, n, 1); /* there is no answer to it */
    if (code == ERR_CANCELLED) code = err_set(e, code, "stopped before the answer began; the message was not taken");
    return code;
}

int talk_retry(struct talk *t, struct err *e) {
    size_t upto = t->c.n;
    while (upto && strcmp(t->c.m[upto - 1].role, "user") != 0) upto--;
    if (!upto) return err_set(e, ERR_USAGE, "there is nothing to answer again yet");
    int code = answer(t, upto, e);
    return code == ERR_CANCELLED ? err_set(e, code, "stopped before the answer began; the old one stays") : code;
}

int talk_system(struct talk *t, struct slice text, struct err *e) {
    int code = check_text(text, e);
    return code ? code : conversation_set_system(&t->c, text, e);
}

void talk_reset(struct talk *t) {
    size_t keep = conversation_has_system(&t->c);
    conversation_drop(&t->c, keep, t->c.n - keep);
    t->forgotten = 0;
}

int talk_load(struct talk *t, const char *path, struct err *e) {
    int code = conversation_load(&t->c, path, e);
    if (code == 0) t->forgotten = 0;
    return code;
}
