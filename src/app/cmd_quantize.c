/* cmd_quantize.c: hearth quantize: writes a model with smaller element types. */
#include <stdio.h>

#include "app/commands.h"
#include "app/common.h"
#include "base/os.h"
#include "model/quantize.h"

struct options {
    int threads;
    bool pure, allow_requantize;
};

static const struct flag flags[] = {
    {"-t", "--threads", FLAG_INT, offsetof(struct options, threads), "N", "threads (default: one per processor)", 1, 1024},
    {"--pure", NULL, FLAG_BOOL, offsetof(struct options, pure), NULL, "one type for all matrices, no mix", 0, 0},
    {"--allow-requantize", NULL, FLAG_BOOL, offsetof(struct options, allow_requantize), NULL, "take a model that is quantised already, though it loses twice", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, NULL};

/* The targets' names in one line. */
static const char *target_names(char *out, size_t cap) {
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; quant_target_name(i) && at < cap; i++) at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? " " : "", quant_target_name(i));
    return out;
}

static int help(int argc, char **argv) {
    char names[400];
    if (!args_help(argc, argv, &cmd_quantize, tables)) return 0;
    (void)printf("\ntypes, from the most exact to the smallest:\n  %s\n", target_names(names, sizeof names));
    return 1;
}

static int show(void *ctx, const char *tensor, uint64_t done, uint64_t total, struct err *e) {
    (void)ctx;
    progress("%3d %%  %.60s", total ? (int)(100.0 * (double)done / (double)total) : 100, tensor);
    return check_interrupt(e);
}

static void summary(const char *path, const struct quantize_report *r) {
    double n = r->elements ? (double)r->elements : 1;
    (void)fprintf(stderr, "%s: %d tensors, %d of them converted; %.1f MB to %.1f MB, %.2f to %.2f bits per weight\n", path, r->tensors, r->changed,
                  (double)r->bytes_before / 1e6, (double)r->bytes_after / 1e6, 8.0 * (double)r->bytes_before / n, 8.0 * (double)r->bytes_after / n);
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[3];
    char names[400];
    int n_words;
    if (help(argc, argv)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 3, &n_words, e);
    if (code) return code;
    if (n_words != 3) return err_set(e, ERR_USAGE, "IN, OUT and TYPE are needed; types: %s", target_names(names, sizeof names));
    struct quantize_options qo = {
        .target = quant_target_find(words[2]), .pure = o.pure, .allow_requantize = o.allow_requantize, .progress = show};
    if (!qo.target) return err_set(e, ERR_USAGE, "\"%.40s\" is no type to quantise to; types: %s", words[2], target_names(names, sizeof names));
    struct gguf *g = NULL;
    struct pool *pool = NULL;
    struct quantize_report r;
    code = gguf_open(&g, words[0], e);
    if (code == 0) code = os_out_check(words[1], NULL, 0, e);
    if (code == 0) code = pool_new(&pool, o.threads ? o.threads : os_cpu_count(), e);
    if (code == 0) code = quantize_write(g, words[1], &qo, pool, &r, e);
    progress_clear();
    if (code == 0) summary(words[1], &r);
    pool_free(pool);
    gguf_close(g);
    return code;
}

const struct command cmd_quantize = {"quantize", "IN OUT TYPE [--pure]", "write a model with smaller element types", run, false};
