/* cmd_bench.c: hearth bench: how fast prompts are read and tokens generated, beside what this machine can do in the same run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "app/json.h"
#include "app/peak.h"
#include "base/os.h"

enum { REPETITIONS_MAX = 100, LIST = 16, WARM_STEPS = 4, WATCHED_STEPS = 16, READS = 3 };

struct options {
    struct model_options model;
    int prompt, generate, repetitions;
    const char *depth, *batch;
    bool json, paced;
};

static const struct flag flags[] = {
    {"-p", "--n-prompt", FLAG_INT, offsetof(struct options, prompt), "N", "tokens of the prompt (default 512; 0: no prompt)", 0, 1 << 24},
    {"-n", "--n-gen", FLAG_INT, offsetof(struct options, generate), "N", "tokens generated (default 128; 0: none)", 0, 1 << 24},
    {"-r", "--repetitions", FLAG_INT, offsetof(struct options, repetitions), "N", "how often each is measured (default 5)", 1, REPETITIONS_MAX},
    {"-d", "--depth", FLAG_STRING, offsetof(struct options, depth), "N,...", "tokens in the sequence beforehand (default 0)", 0, 0},
    {"--batch", NULL, FLAG_STRING, offsetof(struct options, batch), "N,...", "sequences that generate together (default 1)", 0, 0},
    {"--json", NULL, FLAG_BOOL, offsetof(struct options, json), NULL, "one JSON object", 0, 0},
    {"--paced", NULL, FLAG_BOOL, offsetof(struct options, paced), NULL,
     "for taking turns with another program: wait for a line on standard input before each repetition (0 warms up) and print a line of JSON after it", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_MODEL, NULL};

/* Speeds of one setting, over the repetitions. */
struct measure {
    bool generate;
    int tokens, depth, batch;
    double tps, min, max;               /* median, least, most */
    double gbps, gops;                  /* at the median: weights, keys and values moved; products of matrices */
    double read_gbps;                   /* what a loop that only reads moved right before each repetition: the median */
    double of_bandwidth, of_arithmetic; /* gbps and gops as parts of what the machine can do: the median of each repetition's part of what was read before it */
    double outside, outside_least, outside_most; /* generation: part of the time that does not go into products of matrices; median and spread */
};

struct bench {
    const struct options *o;
    struct session s;
    struct peak peak;
    struct reading *reading;
    int depth[LIST], n_depth, batch[LIST], n_batch;
    struct measure m[LIST * LIST + LIST];
    int n_m;
};

static int read_list(const char *text, const char *flag, int least, int most, int *list, int *n, struct err *e) {
    *n = 0;
    for (const char *p = text; *p;) {
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || errno || v < least || v > most || (*end && *end != ',') || *n == LIST)
            return err_set(e, ERR_USAGE, "%s %.64s: give at most %d numbers from %d to %d, separated by commas", flag, text, LIST, least, most);
        list[(*n)++] = (int)v;
        p = *end ? end + 1 : end;
    }
    return *n ? 0 : err_set(e, ERR_USAGE, "%s: the list is empty", flag);
}

/* Any ids do: what is computed does not depend on them. */
static int feed_tokens(const struct bench *b, struct seq *seq, int n, enum want want, struct err *e) {
    int code = 0;
    for (int i = 0; code == 0 && i < n; i++) {
        int32_t id = (int32_t)(((int64_t)i * 7919 + 13) % b->s.model->hp.n_vocab);
        code = seq_feed(seq, &id, 1, i == n - 1 ? want : WANT_NONE, e);
    }
    return code;
}

static int finish_pending(const struct bench *b, const struct seq *seq, struct err *e) {
    int code = 0;
    while (code == 0 && seq_pending(seq) > 0 && (code = check_interrupt(e)) == 0) code = engine_step(b->s.engine, e);
    return code;
}

/* Seconds for a prompt behind base. */
static int time_prompt(const struct bench *b, struct seq *base, int n, double *seconds, struct err *e) {
    struct seq *seq;
    int code = seq_fork(&seq, base, e);
    double start = os_now();
    if (code == 0) code = feed_tokens(b, seq, n, WANT_LAST, e);
    if (code == 0) code = finish_pending(b, seq, e);
    *seconds = os_now() - start;
    seq_free(seq);
    return code;
}

/* Seconds for n steps of `batch` sequences behind base. w: to be filled with what they were spent on, or NULL. */
static int time_generation(const struct bench *b, struct seq *base, int n, int batch, struct graph_watch *w, double *seconds, struct err *e) {
    struct seq **seq = mem_calloc((size_t)batch, sizeof *seq);
    if (!seq) return err_nomem(e, "sequences", (size_t)batch * sizeof *seq);
    int code = 0;
    double start = 0;
    for (int i = 0; code == 0 && i < batch; i++) code = seq_fork(&seq[i], base, e);
    for (int step = -1; code == 0 && step < n; step++) { /* the first is not counted: it takes pages */
        if (step == 0) {
            engine_watch(b->s.engine, w);
            start = os_now();
        }
        for (int i = 0; code == 0 && i < batch; i++) {
            int32_t id = (int32_t)(((int64_t)step * 31 + i * 7 + 45) % b->s.model->hp.n_vocab);
            code = seq_feed(seq[i], &id, 1, WANT_LAST, e);
        }
        if (code == 0) code = finish_pending(b, seq[batch - 1], e);
    }
    *seconds = os_now() - start;
    engine_watch(b->s.engine, NULL);
    for (int i = 0; i < batch; i++) seq_free(seq[i]);
    mem_free(seq);
    return code;
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What a prompt, or a generation, moves and computes, step by step. */
static struct cost cost_of(const struct bench *b, const struct measure *m) {
    const struct graph *g = engine_graph(b->s.engine);
    struct cost all = {0};
    int rows = engine_rows(b->s.engine);
    for (int at = 0; at < m->tokens; at += m->generate ? 1 : rows) {
        int n = m->generate ? m->batch : m->tokens - at < rows ? m->tokens - at : rows;
        struct cost step = graph_cost(g, n, m->generate ? n : at + n == m->tokens, m->depth + at);
        if (m->generate) step.kv_bytes = m->batch * graph_cost(g, 1, 1, m->depth + 1 + at).kv_bytes; /* each reads its own, the uncounted first step's too */
        all.weight_bytes += step.weight_bytes;
        all.kv_bytes += step.kv_bytes;
        for (int a = 0; a < ARITHS; a++) all.products[a] += step.products[a];
    }
    return all;
}

/* With --paced, waits for our turn. */
static int await_turn(const struct bench *b, struct err *e) {
    char line[64];
    if (!b->o->paced || fgets(line, sizeof line, stdin)) return 0;
    if (interrupted) return check_interrupt(e);
    return err_set(e, ERR_IO, "--paced: standard input ended before the last repetition");
}

static int report_turn(const struct bench *b, const struct measure *m, int repetition, double seconds, double read_gbps, struct err *e) {
    if (!b->o->paced) return 0;
    struct jw j = {0};
    jw_open(&j, NULL, '{');
    jw_str(&j, "test", m->generate ? "generation" : "prompt");
    jw_integer(&j, "batch", m->batch);
    jw_integer(&j, "repetition", repetition);
    jw_number(&j, "tps", (double)m->tokens * m->batch / seconds);
    jw_number(&j, "read_gbps", read_gbps);
    jw_close(&j, '}');
    return jw_print(&j, e);
}

/* One repetition of each figure. */
struct repetition {
    double seconds[REPETITIONS_MAX + 1]; /* [0]: of the warm-up */
    double read_gbps[REPETITIONS_MAX + 1], outside[REPETITIONS_MAX + 1];
};

/* A few steps that tell what they spend their time on. */
static int watch_steps(const struct bench *b, struct seq *base, const struct measure *m, double *outside, struct err *e) {
    struct graph_watch w = {0};
    double seconds = 0;
    int code = time_generation(b, base, m->tokens < WATCHED_STEPS ? m->tokens : WATCHED_STEPS, m->batch, &w, &seconds, e);
    *outside = seconds > 0 ? 1 - w.products / seconds : 0;
    return code;
}

/* One repetition. The first is not counted: of a generation it is a few steps, told as if they were all. */
static int repeat(const struct bench *b, struct seq *base, const struct measure *m, struct repetition *all, int r, struct err *e) {
    int n = m->tokens;
    if (m->generate && r == 0 && n > WARM_STEPS) n = WARM_STEPS;
    all->read_gbps[r] = reading_gbps(b->reading, READS);
    int code = m->generate ? time_generation(b, base, n, m->batch, NULL, &all->seconds[r], e) : time_prompt(b, base, n, &all->seconds[r], e);
    all->seconds[r] *= (double)m->tokens / n;
    return code || !m->generate ? code : watch_steps(b, base, m, &all->outside[r], e);
}

/* Sorts, too. */
static double median_of(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void figures(const struct bench *b, struct measure *m, struct repetition *all, int n) {
    double *seconds = all->seconds + 1, *outside = all->outside + 1, *read = all->read_gbps + 1, share[REPETITIONS_MAX], products = 0;
    const struct cost c = cost_of(b, m);
    const double moved = (c.weight_bytes + c.kv_bytes) / 1e9, tokens = (double)m->tokens * m->batch;
    for (int a = 0; a < ARITHS; a++) products += c.products[a];
    for (int r = 0; r < n; r++) share[r] = moved / seconds[r] / read[r];
    const double median = median_of(seconds, n);
    m->tps = tokens / median;
    m->min = tokens / seconds[n - 1];
    m->max = tokens / seconds[0];
    m->gbps = moved / median;
    m->gops = products / median / 1e9;
    m->read_gbps = median_of(read, n);
    m->of_bandwidth = median_of(share, n);
    m->of_arithmetic = peak_seconds(&b->peak, c.products) / median;
    m->outside = median_of(outside, n);
    m->outside_least = outside[0];
    m->outside_most = outside[n - 1];
}

static int measure(struct bench *b, struct seq *base, struct measure m, struct err *e) {
    struct repetition all = {0};
    int code = 0, n = b->o->repetitions;
    for (int r = 0; code == 0 && r <= n; r++) {
        progress("%s of %d at depth %d, %d together: %d of %d", m.generate ? "generation" : "prompt", m.tokens, m.depth, m.batch, r, n);
        if ((code = await_turn(b, e))) break;
        code = repeat(b, base, &m, &all, r, e);
        if (code == 0) code = report_turn(b, &m, r, all.seconds[r], all.read_gbps[r], e);
    }
    progress_clear();
    if (code) return code;
    figures(b, &m, &all, n);
    b->m[b->n_m++] = m;
    return 0;
}

static int measure_depth(struct bench *b, int depth, struct err *e) {
    struct seq *base;
    int code = seq_new(&base, b->s.engine, e);
    if (code == 0) code = feed_tokens(b, base, depth, WANT_NONE, e);
    if (code == 0) code = finish_pending(b, base, e);
    if (code == 0 && b->o->prompt) code = measure(b, base, (struct measure){.tokens = b->o->prompt, .depth = depth, .batch = 1}, e);
    for (int i = 0; code == 0 && b->o->generate && i < b->n_batch; i++)
        code = measure(b, base, (struct measure){.generate = true, .tokens = b->o->generate, .depth = depth, .batch = b->batch[i]}, e);
    seq_free(base);
    return code;
}

/* ---- reporting ---- */

static void measure_json(struct jw *j, const struct measure *m) {
    jw_open(j, NULL, '{');
    jw_str(j, "test", m->generate ? "generation" : "prompt");
    jw_integer(j, "tokens", m->tokens);
    jw_integer(j, "depth", m->depth);
    jw_integer(j, "batch", m->batch);
    jw_number(j, "tps", m->tps);
    jw_number(j, "min", m->min);
    jw_number(j, "max", m->max);
    jw_number(j, "gbps", m->gbps);
    jw_number(j, "gops", m->gops);
    jw_number(j, "read_gbps", m->read_gbps);
    jw_number(j, "of_bandwidth", m->of_bandwidth);
    jw_number(j, "of_arithmetic", m->of_arithmetic);
    if (m->generate) {
        jw_number(j, "outside_products", m->outside);
        jw_number(j, "outside_products_least", m->outside_least);
        jw_number(j, "outside_products_most", m->outside_most);
    }
    jw_close(j, '}');
}

/* The first prompt and the first generation under short names, then everything. */
static int report_json(const struct bench *b, struct err *e) {
    struct jw j = {0};
    jw_open(&j, NULL, '{');
    jw_text(&j, "model", slice_of(gguf_path(b->s.model->file)));
    jw_integer(&j, "bytes", (int64_t)gguf_file_size(b->s.model->file));
    jw_str(&j, "isa", engine_isa(b->s.engine));
    jw_integer(&j, "threads", pool_threads(b->s.pool));
    jw_integer(&j, "repetitions", b->o->repetitions);
    jw_number(&j, "load_s", b->s.load_s);
    jw_number(&j, "read_gbps", b->peak.read_gbps);
    jw_number(&j, "int8_gops", b->peak.gops[ARITH_INT8]);
    jw_number(&j, "bf16_gflops", b->peak.gops[ARITH_BF16]);
    jw_number(&j, "fp32_gflops", b->peak.gops[ARITH_FP32]);
    for (int generate = 0; generate < 2; generate++)
        for (int i = 0; i < b->n_m; i++) {
            const struct measure *m = &b->m[i];
            if (m->generate != generate) continue;
            jw_number(&j, generate ? "gen_tps" : "prompt_tps", m->tps);
            jw_number(&j, generate ? "gen_min" : "prompt_min", m->min);
            jw_number(&j, generate ? "gen_max" : "prompt_max", m->max);
            jw_number(&j, generate ? "gen_gbps" : "prompt_gbps", m->gbps);
            jw_number(&j, generate ? "gen_gops" : "prompt_gops", m->gops);
            jw_number(&j, generate ? "gen_read_gbps" : "prompt_read_gbps", m->read_gbps);
            jw_number(&j, generate ? "gen_of_bandwidth" : "prompt_of_bandwidth", m->of_bandwidth);
            jw_number(&j, generate ? "gen_of_arithmetic" : "prompt_of_arithmetic", m->of_arithmetic);
            if (generate) {
                jw_number(&j, "gen_outside_products", m->outside);
                jw_number(&j, "gen_outside_products_least", m->outside_least);
                jw_number(&j, "gen_outside_products_most", m->outside_most);
            }
            break;
        }
    jw_open(&j, "results", '[');
    for (int i = 0; i < b->n_m; i++) measure_json(&j, &b->m[i]);
    jw_close(&j, ']');
    jw_close(&j, '}');
    return jw_print(&j, e);
}

static int report(const struct bench *b, struct err *e) {
    struct buf t = {0};
    const struct peak *p = &b->peak;
    bool ok = buf_printf(&t, "%s, %.1f MB, %s kernels, %d thread%s\n", gguf_path(b->s.model->file), (double)gguf_file_size(b->s.model->file) / 1e6,
                         engine_isa(b->s.engine), pool_threads(b->s.pool), pool_threads(b->s.pool) == 1 ? "" : "s") &&
              buf_printf(&t, "this machine: %.1f GB/s read; in GOP/s %.0f of int8, %.0f of bf16, %.0f of fp32 (0: no unit for it)\n\n", p->read_gbps,
                         p->gops[ARITH_INT8], p->gops[ARITH_BF16], p->gops[ARITH_FP32]) &&
              buf_printf(&t, "%-16s %7s %6s %10s %21s %8s %6s %9s %6s\n", "", "depth", "batch", "tokens/s", "(least .. most)", "GB/s", "", "GOP/s", "");
    for (int i = 0; ok && i < b->n_m; i++) {
        const struct measure *m = &b->m[i];
        char name[32];
        (void)snprintf(name, sizeof name, "%s %d", m->generate ? "generation" : "prompt", m->tokens);
        ok = buf_printf(&t, "%-16s %7d %6d %10.2f  (%8.2f ..%8.2f) %8.2f %5.1f%% %9.1f %5.1f%%", name, m->depth, m->batch, m->tps, m->min, m->max, m->gbps,
                        100 * m->of_bandwidth, m->gops, 100 * m->of_arithmetic) &&
             (!m->generate || buf_printf(&t, "  %.1f%% outside products", 100 * m->outside)) && buf_char(&t, '\n');
    }
    int code = ok ? out_write((struct slice){t.data, t.len}, e) : err_nomem(e, "the report", t.len);
    buf_free(&t);
    return code ? code : out_flush(e);
}

/* As much context and as many rows as the lists ask for. */
static int open_session(struct bench *b, struct err *e) {
    struct model_options mo = b->o->model;
    int most = 1, depth = 0, longest = b->o->prompt > b->o->generate + 1 ? b->o->prompt : b->o->generate + 1;
    for (int i = 0; i < b->n_batch; i++) most = b->batch[i] > most ? b->batch[i] : most;
    for (int i = 0; i < b->n_depth; i++) depth = b->depth[i] > depth ? b->depth[i] : depth;
    if (!mo.n_ctx) mo.n_ctx = depth + longest > most ? depth + longest : most; /* a step has no more rows than a sequence may hold */
    if (mo.n_ctx > 0 && depth + longest > mo.n_ctx) return err_set(e, ERR_CONTEXT, "-c %d: depth and test need %d tokens", mo.n_ctx, depth + longest);
    if (mo.n_ctx > 0 && most > mo.n_ctx) return err_set(e, ERR_USAGE, "--batch %d: more than -c %d", most, mo.n_ctx);
    if (!mo.ubatch) mo.ubatch = 512;
    if (mo.ubatch < most) mo.ubatch = most;
    if (mo.batch && mo.batch < most) mo.batch = most;
    return session_open(&b->s, &mo, "f16", most, e);
}

static int run_bench(struct bench *b, struct err *e) {
    const struct options *o = b->o;
    const struct kernels *k;
    int code = read_list(o->depth ? o->depth : "0", "--depth", 0, 1 << 24, b->depth, &b->n_depth, e);
    if (code == 0) code = read_list(o->batch ? o->batch : "1", "--batch", 1, 4096, b->batch, &b->n_batch, e);
    if (code == 0) code = open_session(b, e);
    if (code == 0) code = kernels_get(&k, NULL, e);
    if (code == 0) code = reading_new(&b->reading, b->s.pool, e);
    if (code == 0) code = peak_measure(&b->peak, b->reading, b->s.pool, k, e);
    for (int i = 0; code == 0 && i < b->n_depth; i++) code = measure_depth(b, b->depth[i], e);
    if (code == 0) code = o->json ? report_json(b, e) : report(b, e);
    reading_free(b->reading);
    session_close(&b->s);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {.prompt = 512, .generate = 128, .repetitions = 5};
    const char *words[1];
    int n_words;
    if (args_help(argc, argv, &cmd_bench, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.model.model = words[0];
    if (!o.prompt && !o.generate) return err_set(e, ERR_USAGE, "-p 0 and -n 0: nothing to measure");
    struct bench *b = mem_calloc(1, sizeof *b);
    if (!b) return err_nomem(e, "results", sizeof *b);
    b->o = &o;
    code = run_bench(b, e);
    mem_free(b);
    return code;
}

const struct command cmd_bench = {"bench", "[MODEL]", "speed, beside what this machine can do", run, false};
