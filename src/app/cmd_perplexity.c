/* cmd_perplexity.c: hearth perplexity: how well a model predicts a text, and how far one quantisation is from another.
 *
 * As llama.cpp computes it: the text is cut into chunks of the context's size (a model that begins texts with BOS gets it as each chunk's
 * first token), and the second half of each chunk is scored. The error is the standard error of the mean negative log-likelihood.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "app/json.h"
#include "app/logprobs_file.h"
#include "base/os.h"

enum { TEXT_MAX = 1 << 30, ROWS = 32 /* logits looked at together */ };

struct options {
    struct model_options model;
    const char *file, *save, *base, *save_type;
    int chunks;
    bool json, special;
};

static const struct flag flags[] = {
    {"-f", "--file", FLAG_STRING, offsetof(struct options, file), "FILE", "the text (\"-\": standard input), where it is not named without a flag", 0, 0},
    {"--save-logits", NULL, FLAG_STRING, offsetof(struct options, save), "FILE", "write the log-probabilities of all tokens at every place scored", 0, 0},
    {"--save-type", NULL, FLAG_STRING, offsetof(struct options, save_type), "TYPE", "as f32 or f16 (default f32)", 0, 0},
    {"--kl-divergence", NULL, FLAG_STRING, offsetof(struct options, base), "FILE", "compare with what --save-logits wrote (which brings the text with it)", 0, 0},
    {"--special", NULL, FLAG_BOOL, offsetof(struct options, special), NULL, "control tokens that the text spells count as such", 0, 0},
    {"--chunks", NULL, FLAG_INT, offsetof(struct options, chunks), "N", "only the first N chunks (default: all)", 1, 1 << 30},
    {"--json", NULL, FLAG_BOOL, offsetof(struct options, json), NULL, "one JSON object", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_MODEL, NULL};

/* Sums over tokens, for a mean and its standard error. */
struct mean {
    double sum, squares;
    size_t n;
};
static void mean_add(struct mean *m, double x) {
    m->sum += x;
    m->squares += x * x;
    m->n++;
}
static double mean_of(const struct mean *m) { return m->n ? m->sum / (double)m->n : NAN; }
static double mean_error(const struct mean *m) {
    double mean = mean_of(m), variance = m->squares / (double)m->n - mean * mean;
    return m->n > 1 && variance > 0 ? sqrt(variance / (double)(m->n - 1)) : 0;
}

/* What one token's logits tell. */
struct score {
    double nll, base_nll, kld;
    bool same_top;
};

struct scorer {
    struct session s;
    struct logprobs_file file;  /* the text; with --kl-divergence also the base */
    struct logprobs_writer *out;
    const struct options *o;
    float *row;                 /* [n_vocab] for writing */
    struct score *score;        /* [rows scored of a chunk] */
    struct mean nll, base_nll, kld, ratio; /* ratio: of the difference of both */
    size_t same_top;
    double *klds;               /* [all], for the quantiles */
    size_t n_klds;
    struct result const *results; /* of the step, for the workers */
    int n_results, chunk;
};

/* ---- one row ---- */

/* The log of the sum of exponentials, in double. NAN when a logit is not finite. */
static double log_sum(const float *x, int n, int *best) {
    *best = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(x[i])) return NAN;
        if (x[i] > x[*best]) *best = i;
    }
    double sum = 0;
    for (int i = 0; i < n; i++) sum += exp((double)(x[i] - x[*best]));
    return (double)x[*best] + log(sum);
}

static void score_row(const struct scorer *sc, const struct result *r, struct score *out) {
    int n = (int)sc->file.n_vocab, best, next = logprobs_id(&sc->file, sc->chunk, r->position + 1);
    double whole = log_sum(r->logits, n, &best);
    *out = (struct score){.nll = whole - (double)r->logits[next]};
    if (!sc->o->base) return;
    const void *base = logprobs_row(&sc->file, sc->chunk, r->position);
    int base_best = 0;
    float top = -INFINITY;
    for (int i = 0; i < n; i++) {
        float lp = logprobs_at(&sc->file, base, i);
        double q = (double)r->logits[i] - whole;
        if (lp > top) top = lp, base_best = i;
        if (lp > -INFINITY) out->kld += exp((double)lp) * ((double)lp - q);
    }
    out->base_nll = -(double)logprobs_at(&sc->file, base, next);
    out->same_top = base_best == best;
}

static void score_share(void *ctx, int worker, int workers) {
    struct scorer *sc = ctx;
    for (int i = worker; i < sc->n_results; i += workers) score_row(sc, &sc->results[i], &sc->score[i]);
}

static int write_row(struct scorer *sc, const struct result *r, struct err *e) {
    int best;
    double whole = log_sum(r->logits, (int)sc->file.n_vocab, &best);
    for (uint32_t i = 0; i < sc->file.n_vocab; i++) sc->row[i] = (float)((double)r->logits[i] - whole);
    return logprobs_write(sc->out, sc->row, e);
}

static int take_results(struct scorer *sc, struct err *e) {
    sc->n_results = engine_results(sc->s.engine, &sc->results);
    pool_run(sc->s.pool, score_share, sc);
    for (int i = 0; i < sc->n_results; i++) {
        const struct score *s = &sc->score[i];
        if (!isfinite(s->nll)) return err_set(e, ERR_FORMAT, "%s: chunk %d, position %d: a logit is not finite: the file is damaged or its type unsuited", gguf_path(sc->s.model->file), sc->chunk, sc->results[i].position);
        mean_add(&sc->nll, s->nll);
        if (sc->o->base) {
            mean_add(&sc->base_nll, s->base_nll);
            mean_add(&sc->ratio, s->nll - s->base_nll);
            mean_add(&sc->kld, s->kld);
            sc->same_top += s->same_top;
            sc->klds[sc->n_klds++] = s->kld;
        }
        int code = sc->out ? write_row(sc, &sc->results[i], e) : 0;
        if (code) return code;
    }
    return 0;
}

/* ---- chunks ---- */

static int run_chunk(struct scorer *sc, struct seq *seq, struct err *e) {
    const struct logprobs_file *f = &sc->file;
    int n = (int)f->n_ctx, first = (int)f->first;
    const int32_t *ids = logprobs_ids(f, sc->chunk);
    (void)seq_truncate(seq, 0);
    int code = seq_feed(seq, ids, first, WANT_NONE, e);
    if (code == 0) code = seq_feed(seq, ids + first, n - 1 - first, WANT_ALL, e); /* nothing follows the last token */
    while (code == 0 && seq_pending(seq) > 0 && (code = check_interrupt(e)) == 0)
        if ((code = engine_step(sc->s.engine, e)) == 0) code = take_results(sc, e);
    return code;
}

static int run_chunks(struct scorer *sc, struct err *e) {
    struct seq *seq;
    double start = os_now();
    int code = seq_new(&seq, sc->s.engine, e), n = (int)sc->file.n_chunks;
    for (sc->chunk = 0; code == 0 && sc->chunk < n; sc->chunk++) {
        if ((code = run_chunk(sc, seq, e))) break;
        double left = (os_now() - start) / (sc->chunk + 1) * (n - 1 - sc->chunk);
        progress("chunk %d of %d, perplexity %.4f, %.0f s left", sc->chunk + 1, n, exp(mean_of(&sc->nll)), left);
    }
    progress_clear();
    seq_free(seq);
    return code;
}

/* ---- results ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between neighbours. */
static double quantile(const double *sorted, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static int report(struct scorer *sc, struct err *e) {
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"median", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    struct jw j = {0};
    struct buf text = {0};
    double ppl = exp(mean_of(&sc->nll)), error = ppl * mean_error(&sc->nll);
    jw_open(&j, NULL, '{');
    jw_text(&j, "model", slice_of(gguf_path(sc->s.model->file)));
    jw_number(&j, "perplexity", ppl);
    jw_number(&j, "perplexity_error", error);
    jw_number(&j, "mean_nll", mean_of(&sc->nll));
    jw_integer(&j, "tokens_scored", (int64_t)sc->nll.n);
    jw_integer(&j, "chunks", sc->file.n_chunks);
    jw_integer(&j, "context", sc->file.n_ctx);
    bool ok = buf_printf(&text, "perplexity %.4f ± %.4f (%zu tokens in %u chunk%s of %u)\n", ppl, error, sc->nll.n, sc->file.n_chunks, sc->file.n_chunks == 1 ? "" : "s", sc->file.n_ctx);
    if (sc->o->base) {
        double same = (double)sc->same_top / (double)sc->n_klds, same_error = sqrt(same * (1 - same) / (double)sc->n_klds);
        double ratio = exp(mean_of(&sc->ratio));
        qsort(sc->klds, sc->n_klds, sizeof *sc->klds, by_value);
        jw_number(&j, "base_perplexity", exp(mean_of(&sc->base_nll)));
        jw_number(&j, "perplexity_ratio", ratio);
        jw_number(&j, "perplexity_ratio_error", ratio * mean_error(&sc->ratio));
        jw_number(&j, "same_top", same);
        jw_number(&j, "same_top_error", same_error);
        jw_open(&j, "kld", '{');
        jw_number(&j, "mean", mean_of(&sc->kld));
        jw_number(&j, "error", mean_error(&sc->kld));
        ok = ok && buf_printf(&text, "perplexity of the base %.4f, ratio %.6f ± %.6f\nKL divergence: mean %.6g ± %.2g\n", exp(mean_of(&sc->base_nll)), ratio,
                              ratio * mean_error(&sc->ratio), mean_of(&sc->kld), mean_error(&sc->kld));
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
            double v = quantile(sc->klds, sc->n_klds, quantiles[i].q);
            jw_number(&j, quantiles[i].name, v);
            ok = ok && buf_printf(&text, "  %-7s %.6g\n", quantiles[i].name, v);
        }
        jw_close(&j, '}');
        ok = ok && buf_printf(&text, "same most probable token: %.3f %% ± %.3f\n", 100 * same, 100 * same_error);
    }
    jw_close(&j, '}');
    int code = ok ? 0 : err_nomem(e, "the report", text.len);
    if (code == 0 && sc->o->json) code = jw_print(&j, e);
    else if (code == 0 && (code = out_write((struct slice){text.data, text.len}, e)) == 0) code = out_flush(e);
    buf_free(&text);
    buf_free(&j.b);
    return code;
}

/* ---- the text ---- */

/* Ids of a file's text, whole chunks of them. */
static int read_text(struct scorer *sc, const char *path, uint32_t n_ctx, struct logprobs_file *f, struct err *e) {
    struct buf text = {0};
    struct tokens ids = {0};
    struct encode_options eo = {.add_special = true, .parse = sc->o->special ? SPECIAL_ALL : SPECIAL_NONE};
    const struct tokenizer *t = sc->s.tok;
    int code = read_input(path, TEXT_MAX, &text, e);
    if (code == 0 && text.len >= 4 && memcmp(text.data, "GGUF", 4) == 0) code = err_set(e, ERR_USAGE, "%s is a model; name a text too: hearth perplexity MODEL FILE", path);
    if (code == 0) code = tokenizer_encode(t, (struct slice){text.data ? text.data : "", text.len}, &eo, &ids, e);
    size_t chunks = ids.n / n_ctx;
    if (code == 0 && chunks == 0) code = err_set(e, ERR_TEXT, "%s has %zu tokens: not one chunk of %u; give a longer text or a smaller -c", path, ids.n, n_ctx);
    if (sc->o->chunks && (size_t)sc->o->chunks < chunks) chunks = (size_t)sc->o->chunks;
    if (code == 0) code = logprobs_text(f, sc->s.model->hp.n_vocab, n_ctx, (uint32_t)chunks, ids.id, e);
    for (size_t c = 0; code == 0 && c < chunks && tokenizer_adds_bos(t); c++) f->ids[c * n_ctx] = tokenizer_role(t, ROLE_BOS);
    tokens_free(&ids);
    buf_free(&text);
    return code;
}

/* A text that is named beside a base must be the base's. */
static int check_text(struct scorer *sc, const char *path, struct err *e) {
    struct logprobs_file f = {0};
    uint32_t n = sc->file.n_chunks;
    int code = read_text(sc, path, sc->file.n_ctx, &f, e);
    if (code == 0 && (f.n_chunks < n || memcmp(f.ids, sc->file.ids, (size_t)n * f.n_ctx * sizeof *f.ids) != 0))
        code = err_set(e, ERR_USAGE, "%s: %s was written for another text, or from another tokenizer", path, sc->o->base);
    logprobs_close(&f);
    return code;
}

static int open_text(struct scorer *sc, const char *path, struct err *e) {
    const struct options *o = sc->o;
    uint32_t n_ctx = (uint32_t)engine_context(sc->s.engine);
    int code = path ? session_tokenizer(&sc->s, e) : 0;
    if (code) return code;
    if (!o->base) return read_text(sc, path, n_ctx, &sc->file, e);
    if ((code = logprobs_open(&sc->file, o->base, sc->s.model->hp.n_vocab, e))) return code;
    if (sc->file.n_ctx > n_ctx) return err_set(e, ERR_CONTEXT, "%s has chunks of %u tokens, but the context holds %u; use -c %u", o->base, sc->file.n_ctx, n_ctx, sc->file.n_ctx);
    if (o->chunks && (uint32_t)o->chunks < sc->file.n_chunks) sc->file.n_chunks = (uint32_t)o->chunks;
    return path ? check_text(sc, path, e) : 0;
}

static int score(struct scorer *sc, const char *path, struct err *e) {
    const struct options *o = sc->o;
    int code = o->save ? os_out_check(o->save, &path, 1, e) : 0;
    if (code == 0) code = open_text(sc, path, e);
    if (code) return code;
    size_t rows = (size_t)(sc->file.n_ctx - 1 - sc->file.first) * sc->file.n_chunks;
    sc->score = mem_array(NULL, ROWS, sizeof *sc->score);
    sc->row = mem_array(NULL, sc->file.n_vocab, sizeof *sc->row);
    sc->klds = o->base ? mem_array(NULL, rows, sizeof *sc->klds) : NULL;
    if (!sc->score || !sc->row || (o->base && !sc->klds)) return err_nomem(e, "scores", rows * sizeof *sc->klds);
    if (o->save) code = logprobs_create(&sc->out, &sc->file, o->save, o->save_type && strcmp(o->save_type, "f16") == 0, e);
    if (code == 0) code = run_chunks(sc, e);
    if (code == 0 && sc->out) {
        code = logprobs_finish(sc->out, e);
        sc->out = NULL;
    }
    return code ? code : report(sc, e);
}

/* The first word is the model unless -m named one, or it is the only one and can but be the text. */
static int read_words(struct options *o, const char **words, int n_words, struct err *e) {
    int first = !o->model.model && n_words > (o->base || o->file ? 0 : 1); /* where words begin that are no model */
    if (first) o->model.model = words[0];
    if (n_words > first + 1) return err_set(e, ERR_USAGE, "\"%.64s\" is one argument too many", words[first + 1]);
    if (n_words > first && o->file) return err_set(e, ERR_USAGE, "give -f %.64s or \"%.64s\", not both", o->file, words[first]);
    if (n_words > first) o->file = words[first];
    if (!o->file && !o->base) return err_set(e, ERR_USAGE, "name a text: hearth perplexity MODEL FILE");
    return 0;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[2];
    int n_words;
    if (args_help(argc, argv, &cmd_perplexity, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 2, &n_words, e);
    if (code == 0) code = read_words(&o, words, n_words, e);
    if (code) return code;
    if (o.base && o.save) return err_set(e, ERR_USAGE, "give --save-logits or --kl-divergence, not both");
    if (o.save && strcmp(o.save, "-") == 0) return err_set(e, ERR_USAGE, "--save-logits -: the result goes to standard output; name a file");
    if (o.save_type && strcmp(o.save_type, "f16") != 0 && strcmp(o.save_type, "f32") != 0) return err_set(e, ERR_USAGE, "--save-type %.20s: f32 or f16", o.save_type);
    struct scorer sc = {.o = &o};
    bool asked = o.model.n_ctx != 0;
    if (!asked && o.base) code = logprobs_context(o.base, &o.model.n_ctx, e);
    else if (!asked) code = default_context(&o.model, 512, e);
    if (code == 0 && o.model.n_ctx != CONTEXT_OWN && o.model.n_ctx < 4) code = err_set(e, ERR_USAGE, "-c %d: a chunk needs 4 tokens at least", o.model.n_ctx);
    if (code == 0) code = session_open(&sc.s, &o.model, "f16", ROWS, e);
    if (code == 0) code = score(&sc, o.file, e);
    logprobs_abort(sc.out);
    logprobs_close(&sc.file);
    mem_free(sc.score);
    mem_free(sc.row);
    mem_free(sc.klds);
    session_close(&sc.s);
    return code;
}

const struct command cmd_perplexity = {"perplexity", "[MODEL] FILE", "how well a model predicts a text; how far quantisations are apart", run, false};
