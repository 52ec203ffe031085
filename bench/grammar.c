/* grammar.c: what masks cost: compiling a grammar, and a mask for each token of texts that are written under it.
 *
 *   build/bench/grammar [VOCABULARY.gguf]      default: ../shared/data/vocab/ggml-vocab-qwen2.gguf (152,000 tokens)
 *
 * Each grammar is compiled seven times (the median is shown). Then texts are written: at each place the mask is computed and a token drawn from it,
 * evenly, but for every eighth, where one that ends something is preferred, so that texts come to structure and to an end. "first" are the masks of the first
 * text, when nothing is known yet; "all" are those of all texts, as a server that keeps its matcher sees them. Times are the processor's, so that whatever else
 * runs on the machine does not count.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "engine/vocab.h"
#include "text/answer_grammar.h"
#include "text/grammar.h"

enum { COMPILES = 7, TEXTS = 20, TOKENS = 200 };

struct row {
    const char *name;
    bool gbnf;
    const char *source;
};

#define PROPERTY(n) "\"property_" #n "\": {\"type\": \"string\", \"description\": \"one of many\"}"
#define TOOL \
    "{\"type\": \"object\", \"properties\": {\"path\": {\"type\": \"string\"}, \"mode\": {\"enum\": [\"read\", \"write\", \"append\"]}," \
    "\"line\": {\"type\": \"integer\", \"minimum\": 1}, \"recursive\": {\"type\": \"boolean\"}, \"tags\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}}," \
    "\"edit\": {\"anyOf\": [{\"type\": \"null\"}, {\"type\": \"object\", \"properties\": {\"old\": {\"type\": \"string\"}, \"new\": {\"type\": \"string\"}}, \"required\": [\"old\", \"new\"], \"additionalProperties\": false}]}}," \
    "\"required\": [\"path\", \"mode\"], \"additionalProperties\": "

static const struct row rows[] = {
    {"tool call, closed", false, TOOL "false}"},
    {"tool call, open", false, TOOL "true}"},
    {"any JSON", false, "true"},
    {"30 properties, required", false, "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
        PROPERTY(0) "," PROPERTY(1) "," PROPERTY(2) "," PROPERTY(3) "," PROPERTY(4) "," PROPERTY(5) "," PROPERTY(6) "," PROPERTY(7) "," PROPERTY(8) "," PROPERTY(9) ","
        PROPERTY(10) "," PROPERTY(11) "," PROPERTY(12) "," PROPERTY(13) "," PROPERTY(14) "," PROPERTY(15) "," PROPERTY(16) "," PROPERTY(17) "," PROPERTY(18) "," PROPERTY(19) ","
        PROPERTY(20) "," PROPERTY(21) "," PROPERTY(22) "," PROPERTY(23) "," PROPERTY(24) "," PROPERTY(25) "," PROPERTY(26) "," PROPERTY(27) "," PROPERTY(28) "," PROPERTY(29)
        "}, \"minProperties\": 30}"},
    {"strings to 50 and 100000", false, "{\"type\": \"array\", \"prefixItems\": [{\"type\": \"string\", \"maxLength\": 50}, {\"type\": \"string\", \"maxLength\": 100000}], \"minItems\": 2, \"items\": {\"type\": \"string\", \"maxLength\": 20}}"},
    {"formats and patterns", false, "{\"type\": \"object\", \"properties\": {\"id\": {\"type\": \"string\", \"format\": \"uuid\"}, \"at\": {\"type\": \"string\", \"format\": \"date-time\"},"
        "\"mail\": {\"type\": \"string\", \"format\": \"email\"}, \"code\": {\"type\": \"string\", \"pattern\": \"^[A-Z]{2,4}-.*[0-9]$\"}, \"price\": {\"type\": \"number\", \"minimum\": 0, \"multipleOf\": 0.01}},"
        "\"required\": [\"id\", \"at\", \"mail\", \"code\", \"price\"], \"additionalProperties\": false}"},
    {"GBNF: lines of prose", true, "root ::= line{3,200}\nline ::= [^\\n]{1,120} \"\\n\"\n"},
    {"GBNF: arithmetic", true, "root ::= sum \"\\n\"\nsum ::= product ([+-] product)*\nproduct ::= atom ([*/] atom)*\natom ::= [0-9]+ | [a-z]+ | \"(\" sum \")\"\n"},
};

/* Whole answers of models that write calls as Qwen 3 does, with eight tools. */
static const struct {
    const char *name, *syntax;
    enum answer_calls calls;
    enum answer_text text;
    enum answer_entry entry;
} answers[] = {
    {"call that must come", "hermes", CALLS_MUST, TEXT_ANY, ANSWER_PLAIN},
    {"the same, in tags", "qwen-xml", CALLS_MUST, TEXT_ANY, ANSWER_PLAIN},
    {"calls in text", "hermes", CALLS_MAY, TEXT_ANY, ANSWER_PLAIN},
    {"reasoning, then JSON", "hermes", CALLS_NONE, TEXT_SCHEMA, ANSWER_REASONS},
};
enum { TOOLS = 8 };

struct lab {
    struct tokenizer *t;
    struct grammar_vocab *v;
    uint32_t *mask;
    double first[TOKENS], all[TEXTS * TOKENS];
    int n_first, n_all;
    struct rng rng;
};

static double cpu_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *pa, const void *pb) {
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}
static double quantile(double *x, int n, double q) {
    if (n == 0) return 0;
    qsort(x, (size_t)n, sizeof *x, by_value);
    return x[(int)(q * (n - 1) + 0.5)];
}

static bool ends_something(const struct lab *l, int32_t id) {
    struct slice s = tokenizer_piece(l->t, id);
    return tokenizer_is_eog(l->t, id) || (s.n > 0 && s.n < 4 && strchr("\"}]\n)", s.p[0]) != NULL);
}

static int32_t draw(struct lab *l) {
    int32_t chosen = -1, count = 0;
    bool end = rng_below(&l->rng, 8) == 0;
    for (int pass = end ? 0 : 1; pass < 2 && chosen < 0; pass++)
        for (uint32_t id = 0; id < tokenizer_count(l->t); id++) {
            if (!(l->mask[id / 32] >> id % 32 & 1) || (pass == 0 && !ends_something(l, (int32_t)id))) continue;
            if (rng_below(&l->rng, (uint32_t)++count) == 0) chosen = (int32_t)id;
        }
    return chosen;
}

static int write_texts(struct lab *l, struct matcher *m, enum answer_entry entry, struct err *e) {
    int rc = 0;
    l->n_first = l->n_all = 0;
    for (int text = 0; text < TEXTS && !rc; text++) {
        matcher_reset(m);
        rc = answer_enter(m, entry, e);
        for (int i = 0; i < TOKENS && !rc && !matcher_finished(m); i++) {
            double start = cpu_now();
            rc = matcher_mask(m, l->mask, e);
            double us = (cpu_now() - start) * 1e6;
            l->all[l->n_all++] = us;
            if (text == 0) l->first[l->n_first++] = us;
            if (!rc) rc = matcher_accept(m, draw(l), e);
        }
    }
    return rc;
}

static int measure_texts(struct lab *l, const char *name, double *compile, const struct grammar *g, enum answer_entry entry, struct err *e) {
    struct matcher *m = NULL;
    int rc = matcher_new(&m, g, l->v, e);
    if (!rc) rc = write_texts(l, m, entry, e);
    if (!rc)
        printf("%-26s %8.2f %10.1f %8.1f %8.1f %10.1f %8.1f %8.1f %7d\n", name, quantile(compile, COMPILES, 0.5), quantile(l->first, l->n_first, 0.5), quantile(l->first, l->n_first, 0.99),
               quantile(l->first, l->n_first, 1), quantile(l->all, l->n_all, 0.5), quantile(l->all, l->n_all, 0.99), quantile(l->all, l->n_all, 1), l->n_all);
    matcher_free(m);
    return rc;
}

static int measure_answer(struct lab *l, size_t k, struct err *e) {
    struct tool_spec tools[TOOLS];
    char names[TOOLS][16];
    double compile[COMPILES];
    struct grammar *g = NULL;
    int rc = 0, bad;
    for (size_t i = 0; i < TOOLS; i++) {
        (void)snprintf(names[i], sizeof names[i], "tool_%zu", i);
        tools[i] = (struct tool_spec){slice_of(names[i]), slice_of(rows[0].source), true};
    }
    const struct answer_form form = {.syntax = tool_syntax_named(answers[k].syntax), .reasoning = tool_reasoning_for(SLICE("")), .tools = tools, .n_tools = TOOLS, .calls = answers[k].calls, .parallel = true,
                                     .text = answers[k].text, .source = slice_of(rows[0].source)};
    for (int i = 0; i < COMPILES && !rc; i++) {
        grammar_free(g);
        double start = cpu_now();
        rc = grammar_of_answer(&g, &form, l->v, &bad, e);
        compile[i] = (cpu_now() - start) * 1e3;
    }
    if (!rc) rc = measure_texts(l, answers[k].name, compile, g, answers[k].entry, e);
    grammar_free(g);
    return rc;
}

static int measure(struct lab *l, const struct row *r, struct err *e) {
    double compile[COMPILES];
    struct grammar *g = NULL;
    int rc = 0;
    for (int i = 0; i < COMPILES && !rc; i++) {
        grammar_free(g);
        double start = cpu_now();
        rc = r->gbnf ? grammar_parse_gbnf(&g, slice_of(r->source), e) : grammar_parse_schema(&g, slice_of(r->source), e);
        compile[i] = (cpu_now() - start) * 1e3;
    }
    if (!rc) rc = measure_texts(l, r->name, compile, g, ANSWER_PLAIN, e);
    grammar_free(g);
    return rc;
}

int main(int argc, char **argv) {
    static struct lab l;
    struct gguf *file = NULL;
    struct err e = {0};
    int rc = gguf_open(&file, argc > 1 ? argv[1] : "../shared/data/vocab/ggml-vocab-qwen2.gguf", &e);
    if (!rc) rc = vocab_open(&l.t, file, SLICE(""), &e);
    double start = cpu_now();
    if (!rc) rc = grammar_vocab_new(&l.v, l.t, &e);
    double vocab_ms = (cpu_now() - start) * 1e3;
    if (!rc && !(l.mask = mem_array(NULL, grammar_vocab_words(l.v), sizeof *l.mask))) rc = err_nomem(&e, "a mask", 0);
    if (!rc) printf("%u tokens; their tree takes %.0f ms\n\n%-26s %8s %10s %8s %8s %10s %8s %8s %7s\n", tokenizer_count(l.t), vocab_ms, "", "compile", "first text", "", "", "all texts", "", "", "");
    if (!rc) printf("%-26s %8s %10s %8s %8s %10s %8s %8s %7s\n", "", "ms", "median us", "99 %", "most", "median us", "99 %", "most", "masks");
    l.rng = rng_new(5, 6);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !rc; i++) rc = measure(&l, &rows[i], &e);
    for (size_t i = 0; i < sizeof answers / sizeof *answers && !rc; i++) rc = measure_answer(&l, i, &e);
    if (rc) fprintf(stderr, "%s\n", e.msg);
    mem_free(l.mask);
    grammar_vocab_free(l.v);
    tokenizer_free(l.t);
    gguf_close(file);
    return rc != 0;
}
