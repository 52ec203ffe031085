/* engine.c: an engine's memory and its steps; see engine.h. */
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "base/os.h"
#include "engine/internal.h"
#include "engine/keep.h"

uint64_t engine_sequence_bytes(const struct engine *en, int n) {
    uint64_t bytes = graph_state_floats(en->graph) * sizeof(float), pages = ((uint64_t)n + KV_PAGE - 1) / KV_PAGE;
    for (int g = 0; g < graph_kv_groups(en->graph); g++) {
        uint64_t window = (uint64_t)graph_kv_window(en->graph, g), kept = window ? (window + VERIFY_ROWS + (uint64_t)en->o.max_rows) / KV_PAGE + 2 : pages;
        bytes += (kept < pages ? kept : pages) * graph_kv_page_bytes(en->graph, g);
    }
    return bytes;
}

void engine_note_use(struct engine *en) {
    const struct prefix_counts cache = prefix_counts(en->tree);
    uint64_t kv = 0;
    for (const struct seq *s = en->seqs; s; s = s->next) kv += engine_sequence_bytes(en, s->length);
    atomic_store_explicit(&en->kv_used, kv, memory_order_relaxed);
    atomic_store_explicit(&en->cache_used, cache.bytes, memory_order_relaxed);
    atomic_store_explicit(&en->cache_limit, cache.limit, memory_order_relaxed);
}

struct engine_use engine_use(const struct engine *en) {
    return (struct engine_use){atomic_load_explicit(&en->kv_used, memory_order_relaxed), atomic_load_explicit(&en->cache_used, memory_order_relaxed),
                               atomic_load_explicit(&en->cache_limit, memory_order_relaxed)};
}

struct memory_need engine_memory(const struct engine *en) {
    return (struct memory_need){gguf_file_size(en->model->file), engine_sequence_bytes(en, en->o.n_ctx), graph_buffer_bytes(en->graph)};
}

static int reserve_step(struct engine *en, struct err *e) {
    size_t rows = (size_t)en->o.max_rows;
    en->token = mem_calloc(rows, sizeof *en->token);
    en->pos = mem_calloc(rows, sizeof *en->pos);
    en->adapter = mem_calloc(rows, sizeof *en->adapter);
    en->logit_row = mem_calloc(rows, sizeof *en->logit_row);
    en->spans = mem_calloc(rows, sizeof *en->spans);
    en->results = mem_calloc((size_t)en->o.max_logits, sizeof *en->results);
    return en->token && en->pos && en->adapter && en->logit_row && en->spans && en->results ? 0 : err_nomem(e, "a step's descriptor", rows * (16 + sizeof *en->spans));
}

static int record(struct engine *en, struct err *e) {
    graph_free(en->graph);
    en->graph = NULL;
    int code = model_record(en->model, en->o.n_ctx, &en->graph, e);
    struct plan_options p = {en->o.max_rows, en->o.max_logits, pool_threads(en->pool), en->o.kv_type, en->kernels, false};
    return code ? code : graph_plan(en->graph, p, e);
}

/* ---- what fits memory ---- */

/* A context that nobody asked for shrinks until its sequence takes half of what the rest leaves; below this size it need only fit; and
 * with less than the least nothing can be done. */
enum { COMFORTABLE_CONTEXT = 512, LEAST_CONTEXT = 64 };

static double mb(uint64_t bytes) { return (double)bytes / 1e6; }

static uint64_t resident(const struct engine *en, const struct memory_need *need) { return (en->o.paged ? 0 : need->weights) + need->buffers; }

/* What is needed is rounded up and what there is down, so that the two differ as shown. */
static int too_much(const struct engine *en, uint64_t memory, struct err *e) {
    struct memory_need need = engine_memory(en);
    char weights[40] = "";
    if (!en->o.paged) (void)snprintf(weights, sizeof weights, "weights %.1f, ", mb(need.weights));
    const struct option_names *names = en->o.names;
    char advice[120];
    if (resident(en, &need) <= memory) (void)snprintf(advice, sizeof advice, "use a smaller %s or another %s", names->context, names->kv_type);
    else if (en->o.paged) (void)snprintf(advice, sizeof advice, "use a smaller %s", names->batch);
    else if (need.weights > memory) (void)snprintf(advice, sizeof advice, "take a smaller quantisation, or %s to read weights from disk as needed", names->paged);
    else (void)snprintf(advice, sizeof advice, "use a smaller %s, or %s to read weights from disk as needed", names->batch, names->paged);
    return err_set(e, ERR_MEMORY, "%s needs %.1f MB (%sbuffers %.1f, keys and values of %d tokens %.1f), but there are %.1f MB; %s",
                   gguf_path(en->model->file), ceil(10 * mb(resident(en, &need) + need.sequence)) / 10, weights, mb(need.buffers), en->o.n_ctx,
                   mb(need.sequence), floor(10 * mb(memory)) / 10, advice);
}

/* A step has no more rows than a sequence may hold: a small context makes the buffers smaller too. */
static int shrink_context(struct engine *en, uint64_t memory, struct err *e) {
    int code = 0;
    while (code == 0 && en->o.n_ctx > LEAST_CONTEXT) {
        struct memory_need need = engine_memory(en);
        uint64_t fixed = resident(en, &need), rest = memory > fixed ? memory - fixed : 0;
        if (need.sequence <= (en->o.n_ctx > COMFORTABLE_CONTEXT ? rest / 2 : rest) && fixed <= memory) break;
        en->o.n_ctx = en->o.n_ctx / 2 > LEAST_CONTEXT ? en->o.n_ctx / 2 : LEAST_CONTEXT;
        if (en->o.max_rows <= en->o.n_ctx) continue;
        en->o.max_rows = en->o.n_ctx;
        if (en->o.max_logits > en->o.max_rows) en->o.max_logits = en->o.max_rows;
        code = record(en, e);
    }
    return code;
}

static int choose_context(struct engine *en, uint64_t memory, bool asked, struct err *e) {
    int wanted = en->o.n_ctx, code = 0;
    if (memory == 0) return 0; /* unknown: the system will tell */
    if (!asked && (code = shrink_context(en, memory, e))) return code;
    struct memory_need need = engine_memory(en);
    if (resident(en, &need) + need.sequence > memory) return too_much(en, memory, e);
    if (en->o.n_ctx != wanted) log_warn("the context is %d tokens, not the %d the model was made for, to fit memory; %s sets it", en->o.n_ctx, wanted, en->o.names->context);
    return 0;
}

static int set_up(struct engine *en, bool asked, struct err *e) {
    int code = kernels_get(&en->kernels, en->o.isa, e), wanted = en->o.n_ctx;
    if (code || (code = record(en, e))) return code;
    if ((code = choose_context(en, en->o.memory_limit ? en->o.memory_limit : os_memory_total(), asked, e))) return code;
    int64_t orig = en->model->hp.n_ctx_orig; /* a context that shrank to what the model was first trained for takes other rotary factors */
    if (wanted > orig && en->o.n_ctx <= orig && (code = record(en, e))) return code;
    en->most_prompt_rows = en->o.max_rows;
    for (int g = 0; g < graph_kv_groups(en->graph); g++) en->pages[g].bytes = graph_kv_page_bytes(en->graph, g);
    const uint64_t cache = en->o.cache_bytes || !en->o.store ? en->o.cache_bytes : 1; /* what is read back goes through the tree, and need not stay there */
    if (cache && (code = prefix_new(&en->tree, en->pages, graph_kv_groups(en->graph), graph_state_floats(en->graph), cache, e))) return code;
    if (en->o.store && (code = keeper_new(&en->keeper, en, e))) return code;
    return reserve_step(en, e);
}

int engine_new(struct engine **out, const struct model *m, struct pool *pool, struct engine_options o, struct err *e) {
    static const struct option_names flags = {.context = "-c", .batch = "-ub", .kv_type = "--kv-type", .paged = "--paged"};
    *out = NULL;
    bool asked = o.n_ctx > 0;
    if (!o.names) o.names = &flags;
    if (o.n_ctx < 0 || o.max_rows < 0 || o.max_logits < 0) return err_set(e, ERR_USAGE, "a context of %d, batches of %d and logits of %d rows make no sense", o.n_ctx, o.max_rows, o.max_logits);
    if (o.n_ctx > (int64_t)m->hp.n_ctx_train)
        return err_set(e, ERR_CONTEXT, "a context of %d tokens was asked for, but the model was made for %u; use %s %u or less", o.n_ctx, m->hp.n_ctx_train, o.names->context,
                       m->hp.n_ctx_train);
    if (!asked) o.n_ctx = m->hp.n_ctx_train > 1 << 24 ? 1 << 24 : (int)m->hp.n_ctx_train;
    if (o.max_rows == 0) o.max_rows = 512;
    if (o.max_rows > o.n_ctx) o.max_rows = o.n_ctx;
    if (o.max_logits == 0) o.max_logits = 16;
    if (o.max_logits > o.max_rows) o.max_logits = o.max_rows;
    struct engine *en = mem_calloc(1, sizeof *en);
    if (!en) return err_nomem(e, "an engine", sizeof *en);
    en->model = m;
    en->pool = pool;
    en->o = o;
    int code = set_up(en, asked, e);
    if (code) {
        engine_free(en);
        return code;
    }
    engine_note_use(en);
    *out = en;
    return 0;
}

void engine_free(struct engine *en) {
    if (!en) return;
    while (en->seqs) seq_free(en->seqs);
    keeper_free(en->keeper);
    prefix_free(en->tree);
    for (int g = 0; g < KV_GROUPS; g++) page_pool_free(&en->pages[g]);
    graph_free(en->graph);
    mem_free(en->token);
    mem_free(en->pos);
    mem_free(en->adapter);
    mem_free(en->adapter_users);
    mem_free(en->adapter_root);
    mem_free(en->logit_row);
    mem_free(en->spans);
    mem_free(en->results);
    mem_free(en);
}

void engine_limit_cache(struct engine *en, uint64_t bytes) {
    if (en->tree) prefix_set_limit(en->tree, bytes);
    engine_note_use(en);
}

void engine_keep(struct engine *en) { keeper_put_all(en->keeper); }
bool engine_kept(struct engine *en, double seconds) { return keeper_wait(en->keeper, seconds); }
struct prefix_counts engine_cache(const struct engine *en) { return prefix_counts(en->tree); }
int engine_context(const struct engine *en) { return en->o.n_ctx; }
int engine_rows(const struct engine *en) { return en->o.max_rows; }
const struct model *engine_model(const struct engine *en) { return en->model; }
const struct graph *engine_graph(const struct engine *en) { return en->graph; }
const char *engine_isa(const struct engine *en) { return en->kernels->name; }

/* ---- packing a step ---- */

/* Puts up to `most` pending tokens of s into the step, fewer when logits or a snapshot say so. */
static int pack(struct engine *en, struct seq *s, int most, struct err *e) {
    struct step *st = &en->step;
    int n = s->pending, room = en->o.max_rows - st->n_rows, logits = en->o.max_logits - st->n_logits;
    if (n > room) n = room;
    if (n > most) n = most;
    n = seq_snapshot_due(s, n);
    for (int i = 0; i < n; i++) {
        int wants = s->wants[s->length + i];
        if ((wants & WANTED) && --logits < 0) n = i;
        else if ((wants ^ s->wants[s->length]) & IN_PROMPT) n = i;
        else if (wants & (ENDS | KEEPS)) n = i + 1;
    }
    if (n == 0) return 0;
    int code = seq_reserve(s, n, e);
    if (code) return code;
    en->spans[st->n_spans++] = (struct span){st->n_rows, n, s->length, &s->memory, s->wants[s->length] & IN_PROMPT};
    s->taken = n;
    for (int i = 0; i < n; i++) {
        int row = st->n_rows++, at = s->length + i;
        en->token[row] = s->tokens[at];
        en->pos[row] = at;
        en->adapter[row] = s->adapter != NO_ADAPTER && at >= s->adapter_from ? s->adapter : NO_ADAPTER;
        if (en->adapter[row] != NO_ADAPTER) st->adapter = en->adapter;
        if (!(s->wants[at] & WANTED)) continue;
        en->logit_row[st->n_logits] = row;
        en->results[st->n_logits++] = (struct result){.seq = s, .position = at};
    }
    return 0;
}

static bool is_small(const struct seq *s) { return s->pending <= VERIFY_ROWS && !(s->pending && s->wants[s->length] & IN_PROMPT); }

/* Pieces of at most VERIFY_ROWS go before prompts: generation and verification do not wait. When a step cannot hold all, the next one begins with who was left out. */
static int pack_pieces(struct engine *en, struct err *e) {
    struct seq *first = en->turn ? en->turn : en->seqs, *s = first, *left = NULL;
    do {
        const bool small = s && is_small(s);
        int code = small ? pack(en, s, en->o.max_rows, e) : 0;
        if (code || !s) return code;
        if (small && s->pending > (s->taken > 0 ? s->taken : 0) && !left) left = s;
        s = s->next ? s->next : en->seqs;
    } while (s != first);
    en->turn = left;
    return 0;
}

/* Prompts of about one length are computed in the order of their coming, so that the first is done early and others find there what they have in common. */
static bool goes_before(const struct seq *a, const struct seq *b, bool oldest) {
    int x = a->pending, y = b->pending;
    for (; !oldest && x > VERIFY_ROWS && y > VERIFY_ROWS; x /= 4, y /= 4) {}
    const bool shorter = x <= VERIFY_ROWS && y > VERIFY_ROWS, longer = y <= VERIFY_ROWS && x > VERIFY_ROWS;
    return oldest || shorter == longer ? a->number < b->number : shorter;
}

static struct seq *next_prompt(struct engine *en, bool oldest) {
    struct seq *best = NULL;
    for (struct seq *s = en->seqs; s; s = s->next)
        if (s->taken < 0 && s->pending && !is_small(s) && (!best || goes_before(s, best, oldest))) best = s;
    return best;
}

/* The shortest first, but every fourth step begins with the oldest, so that it is not put off for ever. */
static int pack_prompts(struct engine *en, struct err *e) {
    const int most = en->step.n_rows ? en->most_prompt_rows : en->o.max_rows;
    bool oldest = en->steps++ % 4 == 0;
    for (struct seq *s; en->prompt_rows < most && (s = next_prompt(en, oldest)); oldest = false) {
        const int before = en->step.n_rows;
        s->taken = 0;
        int code = pack(en, s, most - en->prompt_rows, e);
        if (code) return code;
        en->prompt_rows += en->step.n_rows - before;
    }
    return 0;
}

static int pack_all(struct engine *en, struct err *e) {
    for (struct seq *s = en->seqs, *next; s; s = next) { /* catching up may move s to another place */
        next = s->next;
        s->taken = -1;
        if (s->pending) seq_catch_up(s);
    }
    en->prompt_rows = 0;
    int code = pack_pieces(en, e);
    return code ? code : pack_prompts(en, e);
}

/* ---- what steps cost ---- */

#define FORGET 0.0003 /* of what rows were found to cost, with each step of one row: what once was dear is tried again some day */

/* A running mean: what a step takes on the average is what counts, but one that was interrupted for long is not to say much. */
static void measured(double *estimate, int *seen, double value) {
    if (*seen < 8) ++*seen;
    if (*seen > 1 && value > 4 * *estimate) value = 4 * *estimate;
    *estimate += (value - *estimate) / *seen;
}

static void note_cost(struct engine *en, double seconds) {
    struct step_costs *c = &en->costs;
    int rows = en->step.n_rows;
    if (en->prompt_rows || rows > VERIFY_ROWS || en->step.n_logits != rows || en->step.n_spans != 1) return;
    if (rows == 1) {
        measured(&c->row_s, &c->seen[1], seconds);
        for (int r = 2; r <= VERIFY_ROWS; r++) c->ratio[r] -= (c->ratio[r] - 1) * FORGET;
        return;
    }
    if (c->row_s <= 0) return;
    measured(&c->ratio[rows], &c->seen[rows], seconds / c->row_s);
    for (int r = 2; r <= VERIFY_ROWS; r++) /* more rows never cost less: what was measured long ago gives way */
        if (c->seen[r] && (r < rows ? c->ratio[r] > c->ratio[rows] : c->ratio[r] < c->ratio[rows])) c->ratio[r] = c->ratio[rows];
}

double engine_row_s(const struct engine *en) { return en->costs.row_s; }

double engine_rows_cost(const struct engine *en, int rows) {
    const struct step_costs *c = &en->costs;
    int below = rows, above = rows;
    while (below > 1 && !c->seen[below]) below--;
    while (above < VERIFY_ROWS && !c->seen[above]) above++;
    double low = below > 1 ? c->ratio[below] : 1;
    if (below == rows) return low;
    if (c->seen[above]) return low + (c->ratio[above] - low) * (rows - below) / (above - below);
    double slope = below > 1 ? (low - 1) / (below - 1) : 0; /* nothing measured beyond: it goes on as it has, or, unknown, as on common machines */
    return low + (rows - below) * (slope > 0.04 ? slope : 0.04);
}

int engine_step(struct engine *en, struct err *e) {
    double start = os_now();
    en->step = (struct step){.token = en->token, .pos = en->pos, .logit_row = en->logit_row, .spans = en->spans};
    int code = pack_all(en, e);
    if (code) {
        en->step.n_rows = en->step.n_logits = 0;
        return code;
    }
    if (en->step.n_rows == 0) return 0;
    const float *logits = graph_run(en->graph, en->pool, &en->step);
    for (int i = 0; i < en->step.n_logits; i++) en->results[i].logits = logits + (size_t)i * en->model->hp.n_vocab;
    for (struct seq *s = en->seqs; s; s = s->next)
        if (s->taken > 0) seq_advance(s, s->taken);
    note_cost(en, os_now() - start);
    engine_note_use(en);
    return 0;
}

int engine_results(const struct engine *en, const struct result **r) {
    *r = en->results;
    return en->step.n_logits;
}

void engine_watch(struct engine *en, struct graph_watch *w) { graph_watch(en->graph, w); }

int engine_step_rows(const struct engine *en) { return en->step.n_rows; }
int engine_step_prompt_rows(const struct engine *en) { return en->prompt_rows; }
void engine_limit_prompts(struct engine *en, int rows) { en->most_prompt_rows = rows < 1 ? 1 : rows < en->o.max_rows ? rows : en->o.max_rows; }

const float *engine_logits(const struct engine *en, const struct seq *s, int position) {
    for (int i = 0; position < s->length && i < en->step.n_logits; i++)
        if (en->results[i].seq == s && en->results[i].position == position) return en->results[i].logits;
    return NULL;
}
