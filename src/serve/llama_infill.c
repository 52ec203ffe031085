/* llama_infill.c: POST /infill: what stands between two texts, for editors (llama.vim, llama.vscode), whole and streamed; see llama.h. */
#include <string.h>

#include "engine/engine.h"
#include "serve/llama.h"
#include "serve/openai.h"

enum { FILES = 4096 };

/* ---- what is asked ---- */

/* Other files of the project: objects with a filename and a text. */
static int read_files(struct answer *a, const struct body_at *at, struct fim *gap, struct err *e) {
    const json_t *list = NULL;
    int code = body_array(at, "input_extra", &list, e);
    if (code || !list) return code;
    const size_t n = json_array_size(list);
    if (n > FILES) return body_error(at, "input_extra", e, "%zu files; there may be %d", n, FILES);
    struct fim_file *files = arena_array(&a->arena, n + 1, sizeof *files);
    if (!files) return err_nomem(e, "files", n * sizeof *files);
    for (size_t i = 0; code == 0 && i < n; i++) {
        struct body_at file;
        code = body_into(&file, at, "input_extra", (int)i, json_array_get(list, i), e);
        files[i].name = SLICE("file");
        if (code == 0) code = body_text(&file, "filename", &files[i].name, e);
        if (code == 0) code = body_text(&file, "text", &files[i].text, e);
        if (code == 0 && !files[i].text.p) code = body_error(&file, "text", e, "missing");
    }
    gap->files = files;
    gap->n_files = (int)n;
    return code;
}

/* Names that only this API has. */
static int read_settings(struct answer *a, const struct body_at *at, struct err *e) {
    struct ask *ask = &a->ask;
    const json_t *seed = json_object_get(at->object, "seed");
    int64_t n = -1;
    int code = openai_sampling(a, at, e);
    if (code == 0) code = body_int(at, "n_predict", -1, INT32_MAX, &n, e);
    if (code == 0 && ask->n > 1) code = body_error(at, "n", e, "one text fills the gap");
    if (n >= 0) ask->max_tokens = n;
    if (json_is_integer(seed) && json_integer_value(seed) == -1) ask->seeded = false;
    return code;
}

static int read_infill(struct answer *a, const json_t *body, struct err *e) {
    const struct body_at at = body_top(body);
    struct ask_prompt *prompt = arena_alloc(&a->arena, sizeof *prompt);
    struct fim *gap = arena_alloc(&a->arena, sizeof *gap);
    if (!prompt || !gap) return err_nomem(e, "a gap", sizeof *gap);
    int code = read_settings(a, &at, e);
    if (code == 0) code = body_text(&at, "input_prefix", &gap->prefix, e);
    if (code == 0 && !gap->prefix.p) code = body_error(&at, "input_prefix", e, "missing");
    if (code == 0) code = body_text(&at, "input_suffix", &gap->suffix, e);
    if (code == 0 && !gap->suffix.p) code = body_error(&at, "input_suffix", e, "missing");
    if (code == 0) code = body_text(&at, "prompt", &gap->middle, e);
    if (code == 0) code = read_files(a, &at, gap, e);
    *prompt = (struct ask_prompt){.gap = gap, .field = "input_prefix"};
    a->ask.prompts = prompt;
    a->ask.n_prompts = 1;
    return code;
}

/* ---- what is answered ---- */

static void open_reply(struct jw *j, const struct choice *c, struct slice text, bool stop) {
    jw_open(j, NULL, '{');
    jw_integer(j, "index", 0);
    jw_text(j, "content", text);
    jw_open(j, "tokens", '[');
    jw_close(j, ']');
    jw_bool(j, "stop", stop);
    jw_integer(j, "id_slot", -1);
    jw_str(j, "model", answer_name(c->answer));
    jw_integer(j, "tokens_predicted", c->generated);
    jw_integer(j, "tokens_evaluated", c->answer->prompt_tokens);
}

static double per_second(int n, double seconds) { return seconds > 0 ? n / seconds : 0; }

static void timings(struct jw *j, const struct choice *c) {
    const int prompt = c->answer->prompt_tokens - c->cached;
    jw_open(j, "timings", '{');
    jw_integer(j, "cache_n", c->cached);
    jw_integer(j, "prompt_n", prompt);
    jw_number(j, "prompt_ms", c->prompt_s * 1e3);
    jw_number(j, "prompt_per_token_ms", prompt ? c->prompt_s * 1e3 / prompt : 0);
    jw_number(j, "prompt_per_second", per_second(prompt, c->prompt_s));
    jw_integer(j, "predicted_n", c->generated);
    jw_number(j, "predicted_ms", c->generate_s * 1e3);
    jw_number(j, "predicted_per_token_ms", c->generated ? c->generate_s * 1e3 / c->generated : 0);
    jw_number(j, "predicted_per_second", per_second(c->generated, c->generate_s));
    jw_close(j, '}');
}

/* The members of the last reply, which is the only one of a whole answer. */
static void close_reply(struct jw *j, const struct choice *c) {
    const struct ask *ask = &c->answer->ask;
    const bool stopped = c->finish == FINISH_STOP && c->stop >= 0 && c->stop < ask->n_stop;
    jw_str(j, "stop_type", stopped ? "word" : c->finish == FINISH_LENGTH ? "limit" : "eos");
    jw_text(j, "stopping_word", stopped ? ask->stop[c->stop] : SLICE(""));
    jw_bool(j, "has_new_line", c->content.len && memchr(c->content.data, '\n', c->content.len));
    jw_bool(j, "truncated", false);
    jw_integer(j, "tokens_cached", c->answer->prompt_tokens + c->generated);
    jw_open(j, "generation_settings", '{');
    jw_integer(j, "n_ctx", engine_context(c->answer->model->engine));
    jw_integer(j, "n_predict", ask->max_tokens);
    jw_number(j, "temperature", (double)ask->sampling.temperature);
    jw_integer(j, "top_k", ask->sampling.top_k);
    jw_number(j, "top_p", (double)ask->sampling.top_p);
    jw_number(j, "min_p", (double)ask->sampling.min_p);
    jw_bool(j, "stream", ask->stream);
    jw_close(j, '}');
    timings(j, c);
    jw_close(j, '}');
}

static bool infill_text(struct choice *c, struct slice piece) {
    struct jw j = {.b = {.limit = 64 << 20}};
    open_reply(&j, c, piece, false);
    jw_close(&j, '}');
    return openai_event(c->answer, &j);
}

static bool infill_end(struct choice *c) {
    struct jw j = {.b = {.limit = 64 << 20}};
    open_reply(&j, c, SLICE(""), true);
    close_reply(&j, c);
    return openai_event(c->answer, &j);
}

static void infill_whole(struct answer *a, struct jw *j) {
    const struct choice *c = &a->choices[0];
    open_reply(j, c, (struct slice){c->content.data ? c->content.data : "", c->content.len}, true);
    close_reply(j, c);
}

const struct endpoint llama_infill = {.read = read_infill, .text = infill_text, .choice_end = infill_end, .failed = openai_failed, .whole = infill_whole};
