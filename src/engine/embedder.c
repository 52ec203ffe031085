/* embedder.c: texts to vectors; see embedder.h.
 *
 * The graph is planned for texts that are whole in one step (plan_options.one_step): pages of keys and values hold one layer at a time,
 * are taken when a step begins and given back when it ends. */
#include "engine/embedder.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "engine/pages.h"

enum {
    TEXTS = 64,             /* that share a step, at most: each has at least a page to itself */
    USUAL_CONTEXT = 8192,   /* unless more is asked for: buffers grow with it */
    LEAST_CONTEXT = 64,
    USUAL_ROWS = 512,
    FIRST_OPS_S = 1000000000, /* of a machine that was not measured yet */
};

struct embedder {
    const struct model *model;
    struct graph *graph;
    struct pool *pool;
    const struct kernels *kernels;
    struct embedder_options o;
    int rows, texts;        /* of a step, at most */
    struct page_pool pages[KV_GROUPS];
    /* the step's descriptor, reserved once */
    int32_t *token, *pos, *segment, *logit_row;
    uint8_t **page[KV_GROUPS]; /* the page tables of all texts, one after the other */
    float *state;
    int n_pages;
    int order[TEXTS];       /* the texts of the step, short ones first */
    struct seq_memory memory[TEXTS];
    struct span spans[TEXTS];
    struct step step;
    const struct embed_text *under_way; /* [count] the texts of a step; NULL: none is */
    int count, at;                  /* at: the operation that is next */
    double ops_s;                   /* operations in a second, as measured; 0: not yet */
};

/* ---- making one ---- */

static int record(struct embedder *em, struct err *e) {
    graph_free(em->graph);
    em->graph = NULL;
    em->rows = em->o.n_ctx > em->o.max_rows ? em->o.n_ctx : em->o.max_rows;
    int code = model_record_embedding(em->model, em->o.n_ctx, em->o.pooling, &em->graph, e), texts = em->rows < TEXTS ? em->rows : TEXTS;
    if (code) return code;
    struct plan_options p = {em->rows, em->o.pooling == POOL_NONE ? em->rows : texts, pool_threads(em->pool), em->o.kv_type, em->kernels, .one_step = true};
    code = graph_plan(em->graph, p, e);
    em->texts = code || graph_state_floats(em->graph) ? 1 : texts; /* recurrent states are large */
    return code;
}

/* Every text begins a page of its own. */
static int most_pages(const struct embedder *em) { return em->rows / KV_PAGE + em->texts; }

static uint64_t needed(const struct embedder *em) {
    uint64_t bytes = graph_buffer_bytes(em->graph) + graph_state_floats(em->graph) * sizeof(float) * (uint64_t)em->texts;
    for (int g = 0; g < graph_kv_groups(em->graph); g++) bytes += graph_kv_page_bytes(em->graph, g) * (uint64_t)most_pages(em);
    return bytes + (em->o.paged ? 0 : gguf_file_size(em->model->file));
}

/* A context that nobody asked for shrinks until all of it fits. */
static int fit(struct embedder *em, bool asked, struct err *e) {
    const uint64_t memory = em->o.memory_limit ? em->o.memory_limit : os_memory_total();
    const int wanted = em->o.n_ctx;
    for (;; em->o.n_ctx = em->o.n_ctx / 2 > LEAST_CONTEXT ? em->o.n_ctx / 2 : LEAST_CONTEXT) {
        int code = record(em, e);
        if (code && code != ERR_MEMORY) return code;
        if (code == 0 && (memory == 0 || needed(em) <= memory)) break;
        if (!asked && em->o.n_ctx > LEAST_CONTEXT) continue;
        if (code) return code;
        return err_set(e, ERR_MEMORY, "%s needs %.1f MB of memory for texts of %d tokens, but there are %.1f MB; use a smaller %s or %s%s%s", gguf_path(em->model->file),
                       ceil((double)needed(em) / 1e5) / 10, em->o.n_ctx, floor((double)memory / 1e5) / 10, em->o.names->context, em->o.names->batch,
                       em->o.paged ? "" : ", or ", em->o.paged ? "" : em->o.names->paged);
    }
    if (em->o.n_ctx < wanted) log_warn("texts may have %d tokens, not %d, to fit memory; %s sets it", em->o.n_ctx, wanted, em->o.names->context);
    return 0;
}

static int reserve(struct embedder *em, struct err *e) {
    const size_t rows = (size_t)em->rows, floats = graph_state_floats(em->graph);
    bool ok = (em->token = mem_calloc(rows, sizeof *em->token)) && (em->pos = mem_calloc(rows, sizeof *em->pos)) && (em->segment = mem_calloc(rows, sizeof *em->segment)) &&
              (em->logit_row = mem_calloc(rows, sizeof *em->logit_row)) && (!floats || (em->state = mem_array(NULL, floats, sizeof(float))));
    for (int g = 0; ok && g < graph_kv_groups(em->graph); g++) {
        ok = (em->page[g] = mem_calloc((size_t)most_pages(em), sizeof(uint8_t *)));
        em->pages[g].bytes = graph_kv_page_bytes(em->graph, g);
    }
    return ok ? 0 : err_nomem(e, "a step's descriptor", rows * 4 * sizeof(int32_t) + floats * sizeof(float));
}

static void choose_pooling(struct embedder *em) {
    static const char *const names[] = {"one vector for each token", "the mean of all rows", "the first row", "the last row", "the classifier's scores"};
    const struct hparams *hp = &em->model->hp;
    if (em->o.pooling != POOL_UNSAID) return;
    em->o.pooling = hp->pooling != POOL_UNSAID ? hp->pooling : hp->causal ? POOL_LAST : POOL_MEAN;
    if (hp->pooling == POOL_UNSAID)
        log_warn("%s does not say what of a text is its embedding (the key %s.pooling_type): it is %s", gguf_path(em->model->file), model_architecture(em->model), names[em->o.pooling]);
}

int embedder_new(struct embedder **out, const struct model *m, struct pool *pool, struct embedder_options o, struct err *e) {
    static const struct option_names flags = {.context = "-c", .batch = "-ub", .kv_type = "--kv-type", .paged = "--paged"};
    const bool asked = o.n_ctx > 0;
    *out = NULL;
    if (!o.names) o.names = &flags;
    if (o.n_ctx < 0 || o.max_rows < 0 || o.pooling < POOL_UNSAID || o.pooling > POOL_RANK)
        return err_set(e, ERR_USAGE, "texts of %d tokens, steps of %d and pooling %d make no sense", o.n_ctx, o.max_rows, (int)o.pooling);
    if (o.n_ctx > (int64_t)m->hp.n_ctx_train)
        return err_set(e, ERR_CONTEXT, "texts of %d tokens were asked for, but the model was made for %u; use %s %u or less", o.n_ctx, m->hp.n_ctx_train, o.names->context, m->hp.n_ctx_train);
    if (!asked) o.n_ctx = m->hp.n_ctx_train < USUAL_CONTEXT ? (int)m->hp.n_ctx_train : USUAL_CONTEXT;
    if (o.max_rows == 0) o.max_rows = USUAL_ROWS;
    struct embedder *em = mem_calloc(1, sizeof *em);
    if (!em) return err_nomem(e, "an embedder", sizeof *em);
    em->model = m;
    em->pool = pool;
    em->o = o;
    choose_pooling(em);
    int code = kernels_get(&em->kernels, o.isa, e);
    if (code == 0) code = fit(em, asked, e);
    if (code == 0) code = reserve(em, e);
    if (code) embedder_free(em);
    else *out = em;
    return code;
}

void embedder_free(struct embedder *em) {
    if (!em) return;
    if (em->under_way) embedder_drop(em);
    for (int g = 0; g < KV_GROUPS; g++) {
        page_pool_free(&em->pages[g]);
        mem_free(em->page[g]);
    }
    mem_free(em->state);
    mem_free(em->token);
    mem_free(em->pos);
    mem_free(em->segment);
    mem_free(em->logit_row);
    graph_free(em->graph);
    mem_free(em);
}

int embedder_context(const struct embedder *em) { return em->o.n_ctx; }
int embedder_width(const struct embedder *em) { return graph_output_width(em->graph); }
enum pooling embedder_pooling(const struct embedder *em) { return em->o.pooling; }
const struct graph *embedder_graph(const struct embedder *em) { return em->graph; }
const char *embedder_isa(const struct embedder *em) { return em->kernels->name; }

/* ---- a step ---- */

int embedder_check(const struct embedder *em, const struct embed_text *t, struct err *e) {
    if (t->n < 1) return err_set(e, ERR_TEXT, "the text is empty: this model gives it no tokens, and so no embedding");
    if (t->n > em->o.n_ctx)
        return err_set(e, ERR_CONTEXT, "the text has %d tokens, but the context holds %d (and the model was made for %u); use a larger %s or a shorter text", t->n, em->o.n_ctx,
                       em->model->hp.n_ctx_train, em->o.names->context);
    for (int i = 0; i < t->n; i++)
        if (t->id[i] < 0 || (uint32_t)t->id[i] >= em->model->hp.n_vocab)
            return err_set(e, ERR_TEXT, "token %d of %d is %d, but the vocabulary has %u", i, t->n, t->id[i], em->model->hp.n_vocab);
    return 0;
}

/* How many of the texts the step takes. The first has been checked; another that is wrong has to wait until it is the first. */
static int choose(const struct embedder *em, const struct embed_text *texts, int n) {
    struct err ignored;
    int rows = texts[0].n, count = 1;
    for (; count < n && count < em->texts && texts[count].n <= em->o.max_rows - rows && embedder_check(em, &texts[count], &ignored) == 0; count++) rows += texts[count].n;
    return count;
}

/* The rows of a text that become vectors: [*first, *first + the result). */
static int wanted(const struct embedder *em, int n, int *first) {
    const enum pooling p = em->o.pooling == POOL_RANK ? em->model->hp.rank_pooling : em->o.pooling;
    *first = p == POOL_LAST ? n - 1 : 0;
    return p == POOL_NONE ? n : 1;
}

static void add_span(struct embedder *em, const struct embed_text *t) {
    struct step *st = &em->step;
    const int span = st->n_spans++, row = st->n_rows;
    int first, n = wanted(em, t->n, &first);
    em->spans[span] = (struct span){row, t->n, 0, &em->memory[span], false};
    for (int i = 0; i < t->n; i++) {
        em->token[row + i] = t->id[i];
        em->pos[row + i] = i;
        em->segment[row + i] = t->segment ? t->segment[i] : 0;
    }
    for (int i = 0; i < n; i++) em->logit_row[st->n_logits++] = row + first + i;
    st->n_rows += t->n;
}

/* Short texts come first, as the graph wants spans to stand. */
static void pack(struct embedder *em, const struct embed_text *texts, int count) {
    em->step = (struct step){.token = em->token, .pos = em->pos, .segment = em->segment, .logit_row = em->logit_row, .spans = em->spans};
    for (int large = 0; large <= 1; large++)
        for (int i = 0; i < count; i++) {
            if ((texts[i].n > SMALL_SPAN) != large) continue;
            em->order[em->step.n_spans] = i;
            add_span(em, &texts[i]);
        }
}

static void give_back(struct embedder *em) {
    for (int g = 0; g < graph_kv_groups(em->graph); g++)
        for (int i = 0; i < em->n_pages; i++) {
            page_unref(&em->pages[g], em->page[g][i]);
            em->page[g][i] = NULL;
        }
    em->n_pages = 0;
}

/* Memory for all spans. What was taken before an error is given back with the rest. */
static int take_memory(struct embedder *em, struct err *e) {
    if (em->state) memset(em->state, 0, graph_state_floats(em->graph) * sizeof(float));
    for (int s = 0; s < em->step.n_spans; s++) {
        const int first = em->n_pages;
        em->n_pages += (em->spans[s].count + KV_PAGE - 1) / KV_PAGE;
        em->memory[s].state = em->state;
        for (int g = 0; g < graph_kv_groups(em->graph); g++) {
            em->memory[s].pages[g] = em->page[g] + first;
            for (int i = first; i < em->n_pages; i++)
                if (!(em->page[g][i] = page_new(&em->pages[g]))) return err_nomem(e, "a page of keys and values", em->pages[g].bytes);
        }
    }
    return 0;
}

static void softmax(float *v, int n) {
    double sum = 0, most = (double)v[0];
    for (int i = 1; i < n; i++) most = fmax(most, (double)v[i]);
    for (int i = 0; i < n; i++) sum += exp((double)v[i] - most);
    for (int i = 0; i < n; i++) v[i] = (float)(exp((double)v[i] - most) / sum);
}

/* A decoder's classifier chooses between words, "yes" and "no"; an encoder's has outputs of their own. */
static int deliver(const struct embedder *em, const struct embed_text *texts, const float *rows, struct err *e) {
    const size_t width = (size_t)embedder_width(em);
    for (int s = 0; s < em->step.n_spans; s++) {
        const struct embed_text *t = &texts[em->order[s]];
        int first;
        const size_t n = (size_t)wanted(em, t->n, &first);
        for (size_t i = 0; i < n * width; i++)
            if (!isfinite(rows[i])) return err_set(e, ERR_FORMAT, "%s gives no numbers: its weights are damaged", gguf_path(em->model->file));
        memcpy(t->out, rows, n * width * sizeof *rows);
        rows += n * width;
        if (em->o.pooling == POOL_RANK && em->model->hp.causal && width > 1) softmax(t->out, (int)width);
    }
    return 0;
}

int embedder_begin(struct embedder *em, const struct embed_text *texts, int n, int *count, struct err *e) {
    *count = 0;
    if (n == 0) return 0;
    int code = embedder_check(em, &texts[0], e);
    if (code) return code;
    em->count = choose(em, texts, n);
    pack(em, texts, em->count);
    if ((code = take_memory(em, e))) {
        give_back(em);
        return code;
    }
    em->under_way = texts;
    em->at = 0;
    *count = em->count;
    return 0;
}

int embedder_continue(struct embedder *em, double seconds, bool *over, struct err *e) {
    const double begin = os_now();
    double ops;
    *over = true;
    if (!em->under_way) return 0;
    const float *rows = graph_run_piece(em->graph, em->pool, &em->step, seconds > 0 ? seconds * (em->ops_s > 0 ? em->ops_s : FIRST_OPS_S) : (double)INFINITY, &em->at, &ops);
    const double took = os_now() - begin;
    if (took > 0) em->ops_s = em->ops_s > 0 ? em->ops_s + (ops / took - em->ops_s) / 8 : ops / took;
    *over = rows != NULL;
    if (!rows) return 0;
    int code = deliver(em, em->under_way, rows, e);
    embedder_drop(em);
    return code;
}

void embedder_drop(struct embedder *em) {
    give_back(em);
    em->under_way = NULL;
}

bool embedder_busy(const struct embedder *em) { return em->under_way != NULL; }

int embedder_step(struct embedder *em, const struct embed_text *texts, int n, int *done, struct err *e) {
    bool over;
    int count, code = embedder_begin(em, texts, n, &count, e);
    if (code == 0) code = embedder_continue(em, 0, &over, e);
    *done = code ? 0 : count;
    return code;
}

void embedding_normalise(float *v, int n, int p) {
    double most = 0, sum = 0;
    for (int i = 0; i < n; i++) most = fmax(most, fabs((double)v[i]));
    if (p < 0 || !(most > 0)) return;
    for (int i = 0; i < n; i++) sum += pow(fabs((double)v[i]) / most, p);
    const double length = p == 0 ? most / 32760 : most * pow(sum, 1.0 / p);
    for (int i = 0; i < n; i++) v[i] = (float)((double)v[i] / length);
}
