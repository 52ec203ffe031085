/* speculate.c: what guessing from the text itself gains and costs: a fixed output is replayed behind a prompt, with and without guesses, in turns.
 *
 *   build/bench/speculate MODEL [-t THREADS] [-n TOKENS] [-r PAIRS] [-c CONTEXT]
 *
 * Three texts, out of this repository (run it at the top):
 *   edit    the prompt is a source file, the output the same file with a frequent name changed everywhere and a line added after every twelfth
 *   code    the prompt is a source file, the output another one of the same hand: much alike, little repeated
 *   prose   prompt and output are the two halves of README.md
 * At each place the token of the fixed output counts as drawn, whatever the model would say; greedy sampling is done all the same, as its time
 * belongs to a token. Prints one JSON object; ratios are of tokens a second with guesses to those without, in pairs that are measured one after the
 * other, in alternating order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json.h"
#include "base/os.h"
#include "engine/sampler.h"
#include "engine/speculate.h"
#include "engine/vocab.h"

enum { PAIRS_MAX = 100, TEXT_MAX = 1 << 20 };

struct bench {
    const char *path;
    int threads, tokens, pairs, n_ctx;
    struct model *model;
    struct pool *pool;
    struct engine *engine;
    struct tokenizer *tok;
    struct sampler *sampler;
};

struct replay {
    struct tokens prompt, output;
    double plain[PAIRS_MAX], guessed[PAIRS_MAX], ratio[PAIRS_MAX]; /* tokens a second */
    struct speculate_counts counts;
    int steps;
};

/* ---- texts ---- */

static int read_text(const char *path, struct buf *b, struct err *e) { return os_read_file(path, TEXT_MAX, b, e); }

/* A copy of the text in which one name is another, and a line is added after every twelfth. */
static bool edit_text(struct slice text, const char *name, const char *other, struct buf *out) {
    bool ok = true;
    int line = 0;
    for (size_t at = 0; ok && at < text.n;) {
        if (text.n - at >= strlen(name) && memcmp(text.p + at, name, strlen(name)) == 0) {
            ok = buf_str(out, other);
            at += strlen(name);
            continue;
        }
        ok = buf_char(out, text.p[at]);
        if (text.p[at++] == '\n' && ++line % 12 == 0) ok = ok && buf_printf(out, "/* See the note on page %d of the manual. */\n", line);
    }
    return ok;
}

static int encode(const struct bench *b, struct slice text, size_t most, struct tokens *out, struct err *e) {
    int code = tokenizer_encode(b->tok, text, &(struct encode_options){0}, out, e);
    if (code == 0 && out->n > most) out->n = most;
    return code;
}

static int texts_of(const struct bench *b, int which, struct replay *r, struct err *e) {
    static const char *const from[] = {"src/engine/sampler.c", "src/engine/sampler.c", "README.md"};
    struct buf first = {0}, second = {0};
    size_t output = (size_t)b->tokens, prompt = (size_t)b->n_ctx - output - 1;
    int code = read_text(from[which], &first, e);
    if (code == 0 && which == 0 && !edit_text((struct slice){first.data, first.len}, "sampler", "chooser", &second)) code = err_nomem(e, "a text", first.len);
    if (code == 0 && which == 1) code = read_text("src/engine/seq.c", &second, e);
    if (code == 0 && which == 2 && !buf_add(&second, first.data + first.len / 2, first.len - first.len / 2)) code = err_nomem(e, "a text", first.len);
    if (which == 2) first.len /= 2;
    if (code == 0) code = encode(b, (struct slice){first.data, first.len}, prompt, &r->prompt, e);
    if (code == 0) code = encode(b, (struct slice){second.data, second.len}, output, &r->output, e);
    buf_free(&first);
    buf_free(&second);
    return code;
}

/* ---- measuring ---- */

static int logits_at(const struct bench *b, struct seq *s, int position, const float **logits, int *steps, struct err *e) {
    int code = 0;
    while (code == 0 && !(*logits = engine_logits(b->engine, s, position))) {
        code = engine_step(b->engine, e);
        ++*steps;
    }
    return code;
}

/* Tokens a second of the output behind base. */
static int measure(const struct bench *b, struct seq *base, struct replay *r, bool guess, double *tps, struct err *e) {
    struct seq *s = NULL;
    struct speculate *sp = NULL;
    const float *logits;
    int n = (int)r->output.n, length = seq_length(base), code = seq_fork(&s, base, e), steps = 0;
    if (code == 0) code = speculate_new(&sp, s, (struct speculate_options){.lookup = guess ? GUESS_MAX : 0}, e);
    double start = os_now();
    if (code == 0) speculate_begin(sp);
    for (int i = 0; code == 0 && i < n; i++) {
        int32_t drawn;
        if ((code = speculate_append(sp, r->output.id[i], n - 1 - i, NULL, e)) || (code = logits_at(b, s, length + i, &logits, &steps, e))) break;
        code = sampler_draw(b->sampler, logits, NULL, &drawn, e);
    }
    *tps = n / (os_now() - start);
    if (code == 0 && guess) r->counts = speculate_counts(sp), r->steps = steps;
    speculate_free(sp);
    seq_free(s);
    return code;
}

static int replay(const struct bench *b, struct replay *r, struct err *e) {
    struct seq *base;
    int code = seq_new(&base, b->engine, e);
    if (code == 0) code = seq_feed(base, r->prompt.id, (int)r->prompt.n, WANT_NONE, e);
    while (code == 0 && seq_pending(base)) code = engine_step(b->engine, e);
    for (int i = -1; code == 0 && i < b->pairs; i++) { /* the first warms up */
        double *plain = &r->plain[i < 0 ? 0 : i], *guessed = &r->guessed[i < 0 ? 0 : i];
        if (i % 2 == 0) code = measure(b, base, r, false, plain, e);
        if (code == 0) code = measure(b, base, r, true, guessed, e);
        if (code == 0 && i % 2 != 0) code = measure(b, base, r, false, plain, e);
        if (code == 0) r->ratio[i < 0 ? 0 : i] = *guessed / *plain;
    }
    seq_free(base);
    return code;
}

/* ---- reporting ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void report(struct jw *j, const struct bench *b, const char *name, struct replay *r) {
    jw_open(j, name, '{');
    jw_integer(j, "prompt_tokens", (int64_t)r->prompt.n);
    jw_integer(j, "tokens", (int64_t)r->output.n);
    jw_number(j, "plain_tps", median(r->plain, b->pairs));
    jw_number(j, "guessed_tps", median(r->guessed, b->pairs));
    jw_number(j, "ratio", median(r->ratio, b->pairs));
    jw_number(j, "ratio_min", r->ratio[0]);
    jw_number(j, "ratio_max", r->ratio[b->pairs - 1]);
    jw_integer(j, "steps", r->steps);
    jw_integer(j, "drafted", r->counts.drafted);
    jw_integer(j, "accepted", r->counts.accepted);
    jw_close(j, '}');
}

static int run(struct bench *b, struct jw *j, struct err *e) {
    static const char *const names[] = {"edit", "code", "prose"};
    int code = model_open(&b->model, b->path, e);
    if (code || (code = vocab_of_model(&b->tok, b->model, e)) || (code = pool_new(&b->pool, b->threads, e))) return code;
    if ((code = engine_new(&b->engine, b->model, b->pool, (struct engine_options){.n_ctx = b->n_ctx, .max_logits = VERIFY_ROWS, .kv_type = DT_F16}, e))) return code;
    struct sampler_options greedy = sampler_defaults();
    greedy.temperature = 0;
    if ((code = sampler_new(&b->sampler, (int)b->model->hp.n_vocab, greedy, e))) return code;
    jw_open(j, NULL, '{');
    jw_str(j, "model", b->path);
    jw_str(j, "isa", engine_isa(b->engine));
    jw_integer(j, "threads", b->threads);
    jw_integer(j, "pairs", b->pairs);
    for (int which = 0; code == 0 && which < 3; which++) {
        struct replay *r = mem_calloc(1, sizeof *r);
        if (!r) return err_nomem(e, "measurements", sizeof *r);
        code = texts_of(b, which, r, e);
        if (code == 0) code = replay(b, r, e);
        if (code == 0) report(j, b, names[which], r);
        tokens_free(&r->prompt);
        tokens_free(&r->output);
        mem_free(r);
    }
    jw_open(j, "rows_cost", '['); /* of steps of 1 to 16 rows, beside one of 1, in the end */
    for (int rows = 1; rows <= VERIFY_ROWS; rows++) jw_number(j, NULL, engine_rows_cost(b->engine, rows));
    jw_close(j, ']');
    jw_close(j, '}');
    return code;
}

int main(int argc, char **argv) {
    struct bench b = {.threads = os_cpu_count(), .tokens = 256, .pairs = 5, .n_ctx = 4096};
    struct jw j = {0};
    struct err e = {0};
    int code = 0;
    for (int i = 1; i < argc; i++) {
        int *into = strcmp(argv[i], "-t") == 0 ? &b.threads : strcmp(argv[i], "-n") == 0 ? &b.tokens : strcmp(argv[i], "-r") == 0 ? &b.pairs : strcmp(argv[i], "-c") == 0 ? &b.n_ctx : NULL;
        if (into && i + 1 < argc) *into = atoi(argv[++i]);
        else b.path = argv[i];
    }
    if (!b.path || b.threads < 1 || b.tokens < 1 || b.pairs < 1 || b.pairs > PAIRS_MAX || b.n_ctx < b.tokens + 64)
        code = err_set(&e, ERR_USAGE, "usage: speculate MODEL [-t THREADS] [-n TOKENS] [-r PAIRS] [-c CONTEXT]");
    if (code == 0) code = run(&b, &j, &e);
    if (code == 0) code = jw_print(&j, &e);
    else buf_free(&j.b);
    sampler_free(b.sampler);
    engine_free(b.engine);
    pool_free(b.pool);
    tokenizer_free(b.tok);
    model_close(b.model);
    if (code) (void)fprintf(stderr, "speculate: %s\n", e.msg);
    return code;
}
