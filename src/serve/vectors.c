/* vectors.c: texts to vectors or scores; see vectors.h.
 *
 * A front thread makes tokens of the texts and checks them; the work is a chore of the scheduler; and the reply, which may be many megabytes of numbers, is again a
 * front thread's to write. */
#include "serve/vectors.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/os.h"
#include "engine/rerank.h"
#include "serve/answer_internal.h"

struct work {
    struct vectors v;          /* first: what others see */
    struct chore chore;
    struct answer *answer;
    bool begun;                /* under the answer's lock: the chore is the scheduler's */
    struct embedder *embedder[2]; /* for short texts, and for long ones, where there are any */
    int width;                 /* of the model's vectors */
    struct tokens ids, segments;
    struct embed_text *text;   /* [v.n] short ones first */
    float *out;                /* [v.n][width] as they stand in the request */
    int n_short, done, count;  /* texts: short, done, and in the step under way */
    struct embedder *stepping; /* NULL: no step is */
};

static struct work *work_of(struct vectors *v) { return (struct work *)v; }

/* ---- what is wanted ---- */

int vectors_want(struct answer *a, size_t most, const char *field, bool listed, struct err *e) {
    if (!most) return err_set(e, ERR_FORMAT, "%s: there are no texts", field);
    if (most > VECTORS_MOST) return err_set(e, ERR_FORMAT, "%s: %zu texts; there may be %d in a request", field, most, VECTORS_MOST);
    struct work *w = mem_calloc(1, sizeof *w);
    struct vectors_text *text = arena_array(&a->arena, most, sizeof *text);
    if (!w || !text) {
        mem_free(w);
        return err_nomem(e, "some texts", most * sizeof *text);
    }
    w->v = (struct vectors){.text = text, .room = (int)most, .field = field, .listed = listed, .normalize = 2};
    w->answer = a;
    (void)pthread_mutex_lock(&a->lock);
    a->vectors = &w->v;
    (void)pthread_mutex_unlock(&a->lock);
    return 0;
}

static void add(struct vectors *v, struct vectors_text t) {
    if (v->n < v->room) v->text[v->n++] = t;
}

void vectors_add(struct answer *a, struct slice text) { add(a->vectors, (struct vectors_text){.text = text}); }
void vectors_add_ids(struct answer *a, const int32_t *id, int n) { add(a->vectors, (struct vectors_text){.id = id, .n = n}); }

void vectors_free(struct vectors *v) {
    if (!v) return;
    struct work *w = work_of(v);
    tokens_free(&w->ids);
    tokens_free(&w->segments);
    mem_free(w->text);
    mem_free(w->out);
    mem_free(w);
}

void vectors_cancel(struct vectors *v, struct service *s) {
    if (v && work_of(v)->begun) chore_cancel(service_scheduler(s), &work_of(v)->chore);
}

double vectors_probability(const struct answer *a, float score) { return a->model->model->hp.causal ? (double)score : 1 / (1 + exp(-(double)score)); }

/* ---- models whose vectors may be cut: they were trained so that their first numbers alone will do ---- */

static const struct row {
    const char *name; /* what the model's name has in it, small letters and digits only */
    int least;
    bool centre;      /* the mean is taken away before the cut */
} matryoshka[] = {
    {"qwen3embedding", 32, false},          {"nomicembedtextv15", 64, true},         {"nomicembedtextv2", 64, false},       {"nomicembedcode", 64, false},
    {"modernbertembed", 64, false},         {"embeddinggemma", 128, false},          {"jinaembeddingsv3", 32, false},       {"jinaembeddingsv4", 32, false},
    {"mxbaiembed", 64, false},              {"snowflakearcticembedmv15", 128, false}, {"snowflakearcticembedmv2", 128, false}, {"snowflakearcticembedlv2", 128, false},
};

static void letters(char *out, size_t cap, struct slice name) {
    size_t n = 0;
    for (size_t i = 0; i < name.n && n + 1 < cap; i++)
        if (isalnum((unsigned char)name.p[i])) out[n++] = (char)tolower((unsigned char)name.p[i]);
    out[n] = 0;
}

/* NULL: it is not known to be such a model. */
static const struct row *row_of(const struct served *s) {
    static const char *const keys[] = {"general.name", "general.basename"};
    char name[3][128];
    letters(name[0], sizeof name[0], slice_of(s->name));
    for (int k = 0; k < 2; k++) {
        struct slice text = {0};
        struct err ignored;
        (void)gguf_get_str(s->model->file, keys[k], &text, &ignored);
        letters(name[k + 1], sizeof name[k + 1], text);
    }
    for (size_t i = 0; i < sizeof matryoshka / sizeof *matryoshka; i++)
        for (int k = 0; k < 3; k++)
            if (strstr(name[k], matryoshka[i].name)) return &matryoshka[i];
    return NULL;
}

static int check_dimensions(const struct answer *a, int width, struct err *e) {
    const int64_t wanted = a->vectors->dimensions;
    const struct row *row = row_of(a->model);
    if (!wanted || wanted == width) return 0;
    if (wanted > width) return err_set(e, ERR_FORMAT, "dimensions: %lld were asked for, but vectors of %s have %d", (long long)wanted, a->model->name, width);
    if (!row) return err_set(e, ERR_FORMAT, "dimensions: %s is not known to be made for fewer than its %d dimensions (only Matryoshka models are)", a->model->name, width);
    return wanted >= row->least ? 0 : err_set(e, ERR_FORMAT, "dimensions: %lld is less than the %d that %s can be cut to", (long long)wanted, row->least, a->model->name);
}

void vectors_shape(struct answer *a) {
    const struct vectors *v = a->vectors;
    const struct work *w = work_of(a->vectors);
    const int width = w->width;
    const struct row *row = row_of(a->model);
    for (int i = 0; !v->scores && i < v->n; i++) {
        float *out = w->out + (size_t)i * (size_t)width;
        double sum = 0;
        for (int k = 0; k < width; k++) sum += (double)out[k];
        for (int k = 0; v->width < width && row && row->centre && k < width; k++) out[k] = (float)((double)out[k] - sum / width);
        embedding_normalise(out, v->width, v->normalize);
    }
}

/* ---- tokens ---- */

/* "input[3]: " before the message. */
static int in_field(const struct vectors *v, int i, struct err *e) { return v->listed ? err_in(e, "%s[%d]", v->field, i) : err_in(e, "%s", v->field); }

/* A text that is too long keeps its beginning, and the token that ends every text. */
static void cut(struct work *w, size_t first, const struct embedder *em) {
    struct tokens *ids = &w->ids;
    const size_t most = (size_t)embedder_context(em);
    const struct tokenizer *t = w->answer->model->tokenizer;
    if (ids->n - first <= most) return;
    const int32_t last = ids->id[ids->n - 1];
    ids->n = first + most;
    if (last == tokenizer_role(t, ROLE_SEP) || last == tokenizer_role(t, ROLE_EOS)) ids->id[ids->n - 1] = last;
}

static bool is_large(size_t tokens) { return tokens > SHORT_TEXT; }

/* It is made when the first text comes that is for it. */
static int embedder_for(struct work *w, bool large, struct err *e) {
    struct answer *a = w->answer;
    return w->embedder[large] ? 0 : models_embedder(service_models(a->service), a->model, w->v.scores, large, &w->embedder[large], e);
}

/* Checked at once: a query that is too long comes again with each document. */
static int encode(struct work *w, struct vectors_text *t, struct err *e) {
    const struct served *m = w->answer->model;
    const struct encode_options o = {.add_special = true};
    const size_t first = w->ids.n;
    int code = 0;
    if (w->v.scores) code = rerank_pair(m->tokenizer, m->model->file, w->v.query, t->text, &w->ids, &w->segments, e);
    else if (!t->id) code = tokenizer_encode(m->tokenizer, t->text, &o, &w->ids, e);
    for (int i = 0; code == 0 && t->id && i < t->n; i++) code = tokens_add(&w->ids, t->id[i], e);
    bool large = is_large(w->ids.n - first);
    if (code == 0) code = embedder_for(w, large, e);
    if (code == 0 && w->v.truncate && !w->v.scores) cut(w, first, w->embedder[large]);
    t->n = (int)(w->ids.n - first);
    large = is_large((size_t)t->n); /* it may be short now, where no text is long */
    w->n_short += !large;
    return code ? code : embedder_check(w->embedder[large], &(struct embed_text){.id = t->n ? w->ids.id + first : NULL, .n = t->n}, e);
}

/* Places the texts with their tokens and the room for their vectors. */
static int place(struct work *w, struct err *e) {
    const size_t n = (size_t)w->v.n, width = (size_t)w->width;
    int at[2] = {0, w->n_short};
    w->text = mem_calloc(n, sizeof *w->text);
    w->out = mem_array(NULL, n * width, sizeof *w->out);
    if (!w->text || !w->out) return err_nomem(e, "the vectors of some texts", n * width * sizeof *w->out);
    for (size_t i = 0, token = 0; i < n; token += (size_t)w->v.text[i++].n) {
        struct vectors_text *t = &w->v.text[i];
        struct embed_text *to = &w->text[at[is_large((size_t)t->n)]++];
        *to = (struct embed_text){w->ids.id + token, w->v.scores ? w->segments.id + token : NULL, t->n, w->out + i * width};
        t->out = to->out;
        w->v.tokens += t->n;
    }
    return 0;
}

/* ---- the work ---- */

static enum chore_turn over(struct work *w, const struct err *e) {
    if (w->stepping) embedder_drop(w->stepping);
    w->stepping = NULL;
    answer_over(w->answer, e);
    return TURN_OVER;
}

/* Begins a step, unless somebody else's is under way there. */
static int begin(struct work *w, struct err *e) {
    const bool large = w->done >= w->n_short;
    if (embedder_busy(w->embedder[large])) return 0;
    int code = embedder_begin(w->embedder[large], w->text + w->done, (large ? w->v.n : w->n_short) - w->done, &w->count, e);
    if (code == 0) w->stepping = w->embedder[large];
    books_start(service_books(w->answer->service), &w->answer->entry, 0);
    return code;
}

/* What was spent since `start`, when the meter was read too: this work's own, and nobody's whose step comes next. */
static void add_energy(struct work *w, double start) {
    struct usage *u = &w->answer->usage;
    const struct energy spent = books_energy(service_books(w->answer->service), os_now() - start);
    u->measured = spent.measured && (u->measured || !u->energy_uj);
    u->energy_uj += spent.uj;
}

/* Pieces of a step, until the time is used up or the step is at its end. */
static enum chore_turn turn(struct chore *c, double seconds, bool cancelled) {
    struct work *w = (struct work *)(void *)((char *)c - offsetof(struct work, chore));
    const double start = os_now();
    struct err e = {0};
    bool whole = false;
    if (cancelled) {
        (void)err_set(&e, ERR_BUSY, "the server is stopping");
        return over(w, &e);
    }
    (void)books_energy(service_books(w->answer->service), 0);
    int code = w->stepping ? 0 : begin(w, &e);
    for (double left = seconds; code == 0 && w->stepping && !whole && left > 0; left = seconds - (os_now() - start)) code = embedder_continue(w->stepping, left, &whole, &e);
    if (whole) w->stepping = NULL;
    add_energy(w, start);
    if (code) return over(w, &e);
    w->done += whole ? w->count : 0;
    return w->done < w->v.n ? TURN_MORE : over(w, NULL);
}

/* The embedders, the texts' tokens, and the checks. */
static int prepare(struct work *w, struct err *e) {
    struct answer *a = w->answer;
    if (a->fitted) return err_set(e, ERR_UNSUPPORTED, "model: %s is an adapter, which acts on what %s writes; it makes no vectors", a->fitted->name, a->model->name);
    int code = embedder_for(w, false, e);
    if (code) return code == ERR_UNSUPPORTED ? err_in(e, "model") : code;
    w->width = embedder_width(w->embedder[0]);
    code = w->v.scores ? 0 : check_dimensions(a, w->width, e);
    w->v.width = w->v.dimensions ? (int)w->v.dimensions : w->width;
    for (int i = 0; code == 0 && i < w->v.n; i++)
        if ((code = encode(w, &w->v.text[i], e)) && code != ERR_MEMORY) (void)in_field(&w->v, i, e);
    return code ? code : place(w, e);
}

int vectors_start(struct answer *a, bool *later, struct err *e) {
    struct work *w = work_of(a->vectors);
    int code = prepare(w, e);
    if (code) return code;
    a->prompt_tokens = (int)(w->v.tokens < INT32_MAX ? w->v.tokens : INT32_MAX);
    books_model(service_books(a->service), &a->entry, a->model->name, NULL, w->v.tokens);
    w->chore.turn = turn;
    *later = true;
    (void)pthread_mutex_lock(&a->lock); /* so that the client's leaving finds the work */
    code = a->gone ? err_set(e, ERR_CANCELLED, "the client has left") : chore_submit(service_scheduler(a->service), &w->chore, e);
    w->begun = code == 0;
    (void)pthread_mutex_unlock(&a->lock);
    return code;
}
