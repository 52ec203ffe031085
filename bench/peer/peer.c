/* peer.c: drives the public peer, llama.cpp as a prebuilt library, through its public interface (llama.h), so that Hearth can be measured
 * beside it. setup.sh gets the library and builds this; PEER_LIBS names the folder with its processor variants, of which it takes the best.
 *
 *   peer speed MODEL THREADS PROMPT GENERATE DEPTH BATCH KV REPETITIONS
 *   peer first MODEL THREADS CONTEXT TEXT
 *
 * `speed` takes turns as `hearth bench --paced` does: for each repetition of the prompt, then of the generation by BATCH sequences, it waits
 * for a line on standard input and answers with a line of JSON. Repetition 0 warms up, and tries each way of running (flash attention or
 * not; for a batch, one cache or one for each sequence): the fastest is the one that is measured. `first` writes the first token's text.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ggml-backend.h"
#include "llama.h"

enum { WARM = 3, TRIAL = 16, MAX_WAYS = 4, UBATCH = 512 };

struct way {
    struct llama_context *context;
    bool flash, unified;
    bool filled; /* with the tokens of the depth */
};

struct speed {
    struct llama_model *model;
    int n_vocab, threads, prompt, generate, depth, batch, repetitions;
    enum ggml_type kv;
    struct llama_batch step;
    struct way way[MAX_WAYS];
    int ways, best;
};

static void die(const char *why) {
    (void)fprintf(stderr, "peer: %s\n", why);
    exit(1);
}

static void errors_only(enum ggml_log_level level, const char *text, void *unused) {
    (void)unused;
    if (level == GGML_LOG_LEVEL_ERROR) (void)fputs(text, stderr);
}

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int larger(int a, int b) { return a > b ? a : b; }

static void put(struct llama_batch *b, llama_token id, int pos, int seq, bool logits) {
    int i = b->n_tokens++;
    b->token[i] = id;
    b->pos[i] = pos;
    b->n_seq_id[i] = 1;
    b->seq_id[i][0] = seq;
    b->logits[i] = logits;
}

static void decode(struct way *w, struct llama_batch b) {
    if (llama_decode(w->context, b)) die("a step failed");
    llama_synchronize(w->context);
}

/* Tokens [from, from + n) of sequence 0; logits of the last. */
static void feed(struct speed *s, struct way *w, int from, int n) {
    for (int at = 0; at < n; at += UBATCH) {
        s->step.n_tokens = 0;
        for (int i = at; i < n && i < at + UBATCH; i++) put(&s->step, (i * 7919 + 13) % s->n_vocab, from + i, 0, i == n - 1);
        decode(w, s->step);
    }
}

static void back_to_depth(struct speed *s, struct way *w) {
    if (!w->filled) feed(s, w, 0, s->depth);
    w->filled = true;
    if (!llama_memory_seq_rm(llama_get_memory(w->context), -1, s->depth, -1)) die("cannot take tokens back");
}

static double time_prompt(struct speed *s, struct way *w) {
    back_to_depth(s, w);
    double start = now();
    feed(s, w, s->depth, s->prompt);
    return now() - start;
}

static double time_generation(struct speed *s, struct way *w, int n) {
    double start = 0;
    back_to_depth(s, w);
    for (int i = -1; i < n; i++) { /* the first is not counted */
        if (i == 0) start = now();
        s->step.n_tokens = 0;
        for (int q = 0; q < s->batch; q++) put(&s->step, (i * 31 + q * 7 + 45) % s->n_vocab, s->depth + 1 + i, q, true);
        decode(w, s->step);
    }
    return now() - start;
}

/* Seconds of the repetition that warms up; chooses the way. */
static double choose(struct speed *s, bool generate) {
    double least = 1e9;
    int trial = s->generate < TRIAL ? s->generate : TRIAL;
    for (int i = 0; i < s->ways; i++) {
        struct way *w = &s->way[i];
        if (generate) (void)time_generation(s, w, WARM);
        else (void)time_prompt(s, w);
        double took = generate ? time_generation(s, w, trial) * s->generate / trial : time_prompt(s, w);
        if (took < least) least = took, s->best = i;
    }
    return least;
}

static void repeat(struct speed *s, bool generate) {
    char line[64];
    int tokens = generate ? s->generate * s->batch : s->prompt;
    for (int r = 0; tokens && r <= s->repetitions; r++) {
        if (!fgets(line, sizeof line, stdin)) exit(0);
        double took = r == 0 ? choose(s, generate) : generate ? time_generation(s, &s->way[s->best], s->generate) : time_prompt(s, &s->way[s->best]);
        (void)printf("{\"test\": \"%s\", \"batch\": %d, \"repetition\": %d, \"tps\": %.4f, \"flash\": %s}\n", generate ? "generation" : "prompt",
                     generate ? s->batch : 1, r, tokens / took, s->way[s->best].flash ? "true" : "false");
        (void)fflush(stdout);
    }
}

static void add_way(struct speed *s, bool flash, bool unified) {
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = (uint32_t)(s->batch * (s->depth + larger(s->prompt, s->generate + 1) + 32));
    p.n_batch = p.n_ubatch = UBATCH;
    p.n_threads = p.n_threads_batch = s->threads;
    p.n_seq_max = (uint32_t)s->batch;
    p.kv_unified = unified;
    p.type_k = p.type_v = s->kv;
    p.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *c = llama_init_from_model(s->model, p);
    if (c) s->way[s->ways++] = (struct way){c, flash, unified, false};
}

static void speed(struct llama_model *m, char **v) {
    struct speed s = {.model = m, .n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(m)) - 8, .threads = atoi(v[3]), .prompt = atoi(v[4]), .generate = atoi(v[5])};
    s.depth = atoi(v[6]), s.batch = atoi(v[7]), s.repetitions = atoi(v[9]);
    s.kv = strcmp(v[8], "q8_0") == 0 ? GGML_TYPE_Q8_0 : GGML_TYPE_F16;
    if (s.threads < 1 || s.batch < 1 || (s.batch > 1 && s.depth)) die("a batch begins at depth 0");
    s.step = llama_batch_init(larger(UBATCH, s.batch), 0, 1);
    add_way(&s, true, true);
    if (s.kv == GGML_TYPE_F16) add_way(&s, false, true); /* quantised values need flash attention */
    if (s.batch > 1) add_way(&s, true, false);
    if (s.batch > 1) add_way(&s, false, false);
    if (!s.ways) die("no context can be made");
    repeat(&s, false);
    repeat(&s, true);
}

static void first(struct llama_model *m, char **v) {
    enum { MOST = 4096 };
    llama_token ids[MOST], best = 0;
    char text[256];
    const struct llama_vocab *vocab = llama_model_get_vocab(m);
    struct llama_context_params p = llama_context_default_params();
    p.n_threads = p.n_threads_batch = atoi(v[3]);
    p.n_ctx = (uint32_t)atoi(v[4]);
    struct llama_context *c = llama_init_from_model(m, p);
    int n = llama_tokenize(vocab, v[5], (int)strlen(v[5]), ids, MOST, true, false);
    if (!c || n < 1 || llama_decode(c, llama_batch_get_one(ids, n))) die("the prompt cannot be read");
    const float *logits = llama_get_logits_ith(c, -1);
    for (llama_token i = 1; i < llama_vocab_n_tokens(vocab); i++)
        if (logits[i] > logits[best]) best = i;
    int length = llama_token_to_piece(vocab, best, text, sizeof text, 0, true);
    (void)fwrite(text, 1, length > 0 ? (size_t)length : 0, stdout);
    (void)fflush(stdout);
}

int main(int argc, char **argv) {
    bool is_speed = argc == 10 && strcmp(argv[1], "speed") == 0, is_first = argc == 6 && strcmp(argv[1], "first") == 0;
    if (!is_speed && !is_first) die("the usage stands at the head of peer.c");
    llama_log_set(errors_only, NULL);
    ggml_backend_load_all_from_path(getenv("PEER_LIBS"));
    struct llama_model *m = llama_model_load_from_file(argv[2], llama_model_default_params());
    if (!m) die("the model cannot be loaded");
    if (is_speed) speed(m, argv);
    else first(m, argv);
    return 0;
}
