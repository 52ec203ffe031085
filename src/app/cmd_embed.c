/* cmd_embed.c: hearth embed: a vector for each text, or, with a query, how well each text answers it. */
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "app/cpus.h"
#include "app/json.h"
#include "base/os.h"
#include "engine/embedder.h"
#include "engine/rerank.h"
#include "engine/vocab.h"

enum {
    INPUT_MAX = 1 << 30,
    GROUP = 256,            /* texts whose vectors are held at once, */
    GROUP_TOKENS = 1 << 15, /* unless they are long: each token may have a vector */
};

struct options {
    struct model_options model;
    const char *file, *ids, *pooling, *separator, *query;
    int normalize;
    bool json;
};

static const struct flag flags[] = {
    {"-f", "--file", FLAG_STRING, offsetof(struct options, file), "FILE", "the texts (default: standard input)", 0, 0},
    {"--separator", NULL, FLAG_STRING, offsetof(struct options, separator), "TEXT", "what parts the texts (default: the end of a line; one at the very end parts nothing)", 0, 0},
    {"--ids", NULL, FLAG_STRING, offsetof(struct options, ids), "FILE", "the texts as token ids, a text on each line, in place of -f; nothing is added to them", 0, 0},
    {"--pooling", NULL, FLAG_STRING, offsetof(struct options, pooling), "KIND", "what of a text is its vector: none (one for each token), mean, cls (the first token's), last, rank (a classifier's scores; default: as the file says)", 0, 0},
    {"--normalize", NULL, FLAG_INT, offsetof(struct options, normalize), "N", "-1: vectors as they are, 0: largest magnitude 32760, 1: sum of magnitudes 1, 2: length 1 (the default), more: by that norm", -1, 1000},
    {"--rerank", NULL, FLAG_STRING, offsetof(struct options, query), "QUERY", "a score for each text, as an answer to the query, by a reranker", 0, 0},
    {"--json", NULL, FLAG_BOOL, offsetof(struct options, json), NULL, "as JSON, once all is computed", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_MODEL, NULL};

struct job {
    const struct options *o;
    struct model *model;
    struct pool *pool;
    struct tokenizer *tok;
    struct embedder *em;
    struct buf input;
    const char *name;       /* of the input, for messages */
    size_t at;              /* where the next text begins */
    /* a group of texts */
    struct tokens ids, segments;
    struct embed_text text[GROUP];
    int n;
    float *out;
    size_t floats;          /* room of out */
    /* so far */
    int done;
    int64_t tokens;
    struct jw json;
};

/* ---- texts ---- */

static const char *separator(const struct options *o) { return o->separator && !o->ids ? o->separator : "\n"; }

/* The next text of the input; false: there is none. */
static bool next_text(struct job *j, struct slice *text) {
    const char *sep = separator(j->o);
    const size_t len = strlen(sep);
    if (j->at >= j->input.len) return false; /* a separator at the very end parts nothing */
    const char *from = j->input.data + j->at, *end = memmem(from, j->input.len - j->at, sep, len);
    *text = (struct slice){from, end ? (size_t)(end - from) : j->input.len - j->at};
    j->at += text->n + len;
    return true;
}

static int parse_line(struct job *j, struct slice line, struct err *e) {
    struct buf copy = {0};
    int code = buf_add(&copy, line.p, line.n) ? 0 : err_nomem(e, "a line of ids", line.n);
    if (code == 0) code = parse_ids((struct slice){copy.data ? copy.data : "", copy.len}, "its ids", &j->ids, e);
    buf_free(&copy);
    return code;
}

static int encode(struct job *j, struct slice text, struct err *e) {
    const struct encode_options o = {.add_special = true};
    if (j->o->ids) return parse_line(j, text, e);
    if (j->o->query) return rerank_pair(j->tok, j->model->file, slice_of(j->o->query), text, &j->ids, &j->segments, e);
    return tokenizer_encode(j->tok, text, &o, &j->ids, e);
}

/* The tokens of the next group of texts. */
static int read_group(struct job *j, struct err *e) {
    struct slice text;
    int code = 0;
    j->ids.n = j->segments.n = 0;
    for (j->n = 0; code == 0 && j->n < GROUP && j->ids.n < GROUP_TOKENS && next_text(j, &text); j->n++) {
        const size_t before = j->ids.n;
        if ((code = encode(j, text, e))) return err_in(e, "%s: text %d", j->name, j->done + j->n + 1);
        j->text[j->n].n = (int)(j->ids.n - before);
    }
    j->tokens += (int64_t)j->ids.n;
    return 0;
}

/* ---- vectors ---- */

static int vectors_of(const struct job *j, const struct embed_text *t) { return embedder_pooling(j->em) == POOL_NONE ? t->n : 1; }

/* Room for the group's vectors, and where each has its own. */
static int make_room(struct job *j, struct err *e) {
    const size_t width = (size_t)embedder_width(j->em);
    size_t floats = 0, at = 0, token = 0;
    for (int i = 0; i < j->n; i++) floats += (size_t)vectors_of(j, &j->text[i]) * width;
    if (floats > j->floats) {
        float *out = mem_array(j->out, floats, sizeof *out);
        if (!out) return err_nomem(e, "the vectors of some texts", floats * sizeof *out);
        j->out = out, j->floats = floats;
    }
    for (int i = 0; i < j->n; i++) {
        struct embed_text *t = &j->text[i];
        *t = (struct embed_text){.n = t->n};
        if (t->n) t->id = j->ids.id + token;
        if (t->n && j->o->query) t->segment = j->segments.id + token;
        if (j->out) t->out = j->out + at;
        token += (size_t)t->n;
        at += (size_t)vectors_of(j, t) * width;
    }
    return 0;
}

static int compute_group(struct job *j, struct err *e) {
    int code = make_room(j, e);
    for (int at = 0, count; code == 0 && at < j->n; at += count) {
        if ((code = check_interrupt(e))) return code;
        progress("%d texts", j->done + at);
        if ((code = embedder_step(j->em, j->text + at, j->n - at, &count, e))) (void)err_in(e, "%s: text %d", j->name, j->done + at + 1);
    }
    const int width = embedder_width(j->em);
    for (int i = 0; code == 0 && i < j->n; i++)
        for (int v = 0; v < vectors_of(j, &j->text[i]) && embedder_pooling(j->em) != POOL_RANK; v++) embedding_normalise(j->text[i].out + (size_t)v * (size_t)width, width, j->o->normalize);
    return code;
}

/* ---- output ---- */

static void json_vector(struct jw *w, const char *key, const float *v, int width) {
    jw_open(w, key, '[');
    for (int i = 0; i < width; i++) jw_number(w, NULL, (double)v[i]);
    jw_close(w, ']');
}

/* As the answers of well-known services are built: "data" of embeddings, or "results" of scores. */
static void json_text(struct job *j, int i) {
    const struct embed_text *t = &j->text[i];
    const int width = embedder_width(j->em), n = vectors_of(j, t);
    struct jw *w = &j->json;
    jw_open(w, NULL, '{');
    jw_integer(w, "index", j->done + i);
    if (embedder_pooling(j->em) == POOL_RANK) {
        jw_number(w, "relevance_score", (double)t->out[0]);
        if (width > 1) json_vector(w, "scores", t->out, width);
    } else if (embedder_pooling(j->em) == POOL_NONE) {
        jw_open(w, "embedding", '[');
        for (int v = 0; v < n; v++) json_vector(w, NULL, t->out + (size_t)v * (size_t)width, width);
        jw_close(w, ']');
    } else {
        json_vector(w, "embedding", t->out, width);
    }
    jw_close(w, '}');
}

static int print_group(struct job *j, struct err *e) {
    struct buf line = {0};
    const int width = embedder_width(j->em);
    int code = 0;
    for (int i = 0; j->o->json && i < j->n; i++) json_text(j, i);
    for (int i = 0; !j->o->json && code == 0 && i < j->n; i++)
        for (int v = 0; code == 0 && v < vectors_of(j, &j->text[i]); v++) {
            const float *x = j->text[i].out + (size_t)v * (size_t)width;
            bool ok = true;
            line.len = 0;
            for (int c = 0; ok && c < width; c++) ok = buf_printf(&line, c ? " %.9g" : "%.9g", (double)x[c]);
            code = ok && buf_char(&line, '\n') ? out_write((struct slice){line.data, line.len}, e) : err_nomem(e, "a line", line.len);
        }
    buf_free(&line);
    return code;
}

static int work(struct job *j, struct err *e) {
    const bool rank = embedder_pooling(j->em) == POOL_RANK;
    int code = 0;
    jw_open(&j->json, NULL, '{');
    jw_str(&j->json, "model", model_architecture(j->model));
    jw_open(&j->json, rank ? "results" : "data", '[');
    while (code == 0 && (code = read_group(j, e)) == 0 && j->n) {
        code = compute_group(j, e);
        progress_clear();
        if (code == 0) code = print_group(j, e);
        j->done += j->n;
    }
    jw_close(&j->json, ']');
    jw_open(&j->json, "usage", '{');
    jw_integer(&j->json, "prompt_tokens", j->tokens);
    jw_close(&j->json, '}');
    jw_close(&j->json, '}');
    if (code || !j->o->json) return code ? code : out_flush(e);
    return jw_print(&j->json, e);
}

/* ---- setting up ---- */

static int pooling_of(const struct options *o, enum pooling *out, struct err *e) {
    static const char *const names[] = {"none", "mean", "cls", "last", "rank"};
    *out = o->query ? POOL_RANK : POOL_UNSAID;
    for (int i = 0; o->pooling && i <= POOL_RANK; i++)
        if (strcmp(o->pooling, names[i]) == 0) {
            if (o->query && i != POOL_RANK) return err_set(e, ERR_USAGE, "--pooling %s does not go with --rerank, which wants scores", o->pooling);
            *out = (enum pooling)i;
            return 0;
        }
    return o->pooling ? err_set(e, ERR_USAGE, "--pooling %.32s: use none, mean, cls, last or rank", o->pooling) : 0;
}

static int open_job(struct job *j, enum pooling pooling, struct err *e) {
    const struct model_options *m = &j->o->model;
    enum dtype kv;
    int code = kv_type_of(m, "f32", &kv, e);
    if (code == 0) code = open_model(&j->model, m, e);
    if (code == 0 && !j->o->ids) {
        code = vocab_of_model(&j->tok, j->model, e);
        if (code == 0 && tokenizer_count(j->tok) == 0) code = err_set(e, ERR_UNSUPPORTED, "%s has no tokenizer: give token ids, with --ids", gguf_path(j->model->file));
    }
    if (code == 0) code = open_pool(&j->pool, m->threads, m->cpus, e);
    if (code) return code;
    const int most = j->model->hp.n_ctx_train > 1 << 24 ? 1 << 24 : (int)j->model->hp.n_ctx_train, rows = m->ubatch ? m->ubatch : 512;
    struct embedder_options eo = {.pooling = pooling, .n_ctx = m->n_ctx == CONTEXT_OWN ? most : m->n_ctx, .max_rows = m->batch && m->batch < rows ? m->batch : rows, .kv_type = kv,
                                  .memory_limit = m->memory_limit, .paged = m->paged};
    return embedder_new(&j->em, j->model, j->pool, eo, e);
}

static void close_job(struct job *j) {
    buf_free(&j->json.b);
    embedder_free(j->em);
    pool_free(j->pool);
    tokenizer_free(j->tok);
    model_close(j->model);
    tokens_free(&j->ids);
    tokens_free(&j->segments);
    buf_free(&j->input);
    mem_free(j->out);
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {.normalize = 2};
    struct job j = {.o = &o};
    const char *words[1];
    enum pooling pooling;
    int n_words;
    if (args_help(argc, argv, &cmd_embed, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code == 0) code = pooling_of(&o, &pooling, e);
    if (code) return code;
    if (n_words) o.model.model = words[0];
    if (o.ids && (o.file || o.separator || o.query)) return err_set(e, ERR_USAGE, "--ids does not go with %s", o.file ? "-f" : o.separator ? "--separator" : "--rerank");
    if (o.separator && !*o.separator) return err_set(e, ERR_USAGE, "--separator: an empty one parts nothing");
    j.name = o.ids ? o.ids : o.file ? o.file : "-";
    code = open_job(&j, pooling, e);
    if (code == 0) code = read_input(j.name, INPUT_MAX, &j.input, e);
    if (strcmp(j.name, "-") == 0) j.name = "standard input";
    if (code == 0) code = work(&j, e);
    close_job(&j);
    return code;
}

const struct command cmd_embed = {"embed", "[MODEL] < TEXTS", "texts to vectors, or, with --rerank, to scores", run, false};
