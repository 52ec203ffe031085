/* cmd_run.c: hearth run: continues a prompt. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/generate.h"
#include "app/lora.h"
#include "base/os.h"

enum { PROMPT_MAX = 1 << 28, DEMO_PREDICT = 200 };
#define DEMO_PROMPT "Once upon a time"

struct options {
    struct generate_options g;
    const char *prompt, *file;
    bool json;
};

static const struct flag flags[] = {
    {"-p", "--prompt", FLAG_STRING, offsetof(struct options, prompt), "TEXT",
     "the prompt, as it is (default: standard input; the embedded model begins with \"" DEMO_PROMPT "\" where there is none, and shows it)", 0, 0},
    {"-f", "--file", FLAG_STRING, offsetof(struct options, file), "FILE", "the prompt from a file (\"-\": standard input), less one newline at its end", 0, 0},
    {"--special", "-sp", FLAG_BOOL, offsetof(struct options, g.special), NULL, "control tokens that the prompt spells count as such; show those that are generated", 0, 0},
    {"--logprobs", NULL, FLAG_INT, offsetof(struct options, g.logprobs), "N", "with --json: also the N most probable tokens at each place", 0, LOGPROBS_MAX},
    {"--json", NULL, FLAG_BOOL, offsetof(struct options, json), NULL, "one JSON object at the end: text, tokens, log-probabilities, timings", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_GENERATE, FLAGS_MODEL, NULL};

/* The demonstration's own, where the user has none. A text is to be read from its beginning: this prompt nobody typed, and so it is shown. */
static int demo_prompt(const struct options *o, struct buf *b, struct err *e) {
    if (!buf_str(b, DEMO_PROMPT)) return err_nomem(e, "the prompt", sizeof DEMO_PROMPT);
    if (!o->json) return out_write(SLICE(DEMO_PROMPT), e);
    (void)fprintf(stderr, "hearth: the prompt is \"" DEMO_PROMPT "\"\n");
    return 0;
}

/* Appends the prompt to *b. */
static int read_prompt(const struct options *o, bool demo, struct buf *b, struct err *e) {
    if (o->prompt) return buf_str(b, o->prompt) ? 0 : err_nomem(e, "the prompt", strlen(o->prompt));
    if (!o->file && os_is_terminal(STDIN_FILENO)) {
        if (demo) return demo_prompt(o, b, e);
        (void)fprintf(stderr, "Type a prompt; Ctrl-D on a line of its own ends it.\n");
    }
    int code = read_input(o->file ? o->file : "-", PROMPT_MAX, b, e);
    if (code == 0 && b->len > 0 && b->data[b->len - 1] == '\n') b->data[--b->len] = 0;
    if (code == 0 && demo && !o->file && b->len == 0) code = demo_prompt(o, b, e);
    return code;
}

/* As the model's rule has it, except that what is to be continued does not end. */
static int encode_prompt(const struct session *s, const struct options *o, struct slice text, struct tokens *ids, struct err *e) {
    struct encode_options eo = {.add_special = true, .parse = o->g.special ? SPECIAL_ALL : SPECIAL_NONE};
    int code = tokenizer_encode(s->tok, text, &eo, ids, e);
    if (code) return err_in(e, "the prompt");
    if (ids->n && tokenizer_adds_eos(s->tok) && ids->id[ids->n - 1] == tokenizer_role(s->tok, ROLE_EOS)) ids->n--;
    return 0;
}

struct output {
    const struct session *s;
    bool stream, json;
    struct buf text;
    struct jw tokens;
    char last; /* byte shown */
};

static void token_json(struct output *out, const struct token_event *t) {
    struct jw *j = &out->tokens;
    jw_open(j, NULL, '{');
    jw_integer(j, "id", t->id);
    jw_piece(j, tokenizer_piece(out->s->tok, t->id));
    jw_number(j, "logprob", (double)t->logprob);
    if (t->n_top) jw_open(j, "top", '[');
    for (int i = 0; i < t->n_top && t->top[i].id >= 0; i++) {
        jw_open(j, NULL, '{');
        jw_integer(j, "id", t->top[i].id);
        jw_piece(j, tokenizer_piece(out->s->tok, t->top[i].id));
        jw_number(j, "logprob", (double)t->top[i].logprob);
        jw_close(j, '}');
    }
    if (t->n_top) jw_close(j, ']');
    jw_close(j, '}');
}

static int on_token(void *ctx, const struct token_event *t, struct err *e) {
    struct output *out = ctx;
    if (out->json) {
        if (t->id != TOKEN_NONE) token_json(out, t);
        return buf_add(&out->text, t->text.p, t->text.n) ? 0 : err_nomem(e, "the text", out->text.len);
    }
    if (!t->text.n) return 0;
    out->last = t->text.p[t->text.n - 1];
    int code = out_write(t->text, e);
    return code ? code : out_flush(e);
}

static int print_json(const struct generator *g, enum end end, struct output *out, struct err *e) {
    struct jw j = {0};
    jw_open(&j, NULL, '{');
    jw_text(&j, "text", (struct slice){out->text.data ? out->text.data : "", out->text.len});
    jw_open(&j, "tokens", '[');
    if (out->tokens.b.len) j.failed |= out->tokens.failed || !buf_add(&j.b, out->tokens.b.data, out->tokens.b.len);
    jw_close(&j, ']');
    generator_report_json(g, end, &j);
    jw_close(&j, '}');
    return jw_print(&j, e);
}

/* A full context is the end that was asked for where -n named no number that it kept from being reached. The last token drawn has no place any
 * more: the context holds one less than were shown. */
static int context_full(const struct generator *g, struct err *e) {
    static const char text[] = "the context of %d tokens is full: it holds %d of the prompt and %d of the %d generated; use a larger -c, or --shift to forget the older half";
    int n_ctx = engine_context(g->s->engine), held = n_ctx - g->n_prompt;
    if (g->o->n_predict >= 0) return err_set(e, ERR_CONTEXT, text, n_ctx, g->n_prompt, held, g->generated);
    (void)fprintf(stderr, "hearth: ");
    (void)fprintf(stderr, text, n_ctx, g->n_prompt, held, g->generated);
    (void)fprintf(stderr, "\n");
    return 0;
}

static int generate(struct session *s, const struct options *o, const struct tokens *prompt, struct err *e) {
    struct generator g;
    struct output out = {.s = s, .json = o->json};
    enum end end = END_LENGTH;
    int n = o->g.n_predict < 0 && !o->g.model.model ? DEMO_PREDICT : o->g.n_predict;
    int code = generator_new(&g, s, &o->g, e);
    if (code == 0) code = lora_set(s, g.seq, prompt->id, prompt->n, e);
    if (code == 0) code = generator_start(&g, prompt->id, prompt->n, e);
    if (code == 0) g.decoder.drop_space = false; /* a continuation: prompt and text stand together as they are */
    if (code == 0) code = generator_run(&g, n, on_token, &out, &end, e);
    if (code == 0 && o->json) code = print_json(&g, end, &out, e);
    if (code == 0 && !o->json && out.last != '\n' && out.last) code = out_write(SLICE("\n"), e);
    if (code == 0) code = out_flush(e);
    if (code == 0) generator_report(&g, end);
    if (code == 0 && end == END_CONTEXT) code = context_full(&g, e);
    if (code == 0 && end == END_CANCELLED) code = err_set(e, ERR_CANCELLED, "stopped");
    generator_free(&g);
    buf_free(&out.text);
    buf_free(&out.tokens.b);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[1];
    int n_words;
    if (args_help(argc, argv, &cmd_run, tables)) return 0;
    generate_defaults(&o.g);
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.g.model.model = words[0];
    if (o.prompt && o.file) return err_set(e, ERR_USAGE, "give -p or -f, not both");
    if (o.g.logprobs >= 0 && !o.json) return err_set(e, ERR_USAGE, "--logprobs is for --json");
    if (o.json && o.g.logprobs < 0) o.g.logprobs = 0;
    struct buf text = {0};
    struct tokens prompt = {0};
    struct session s = {0};
    code = generate_open(&s, &o.g, e);
    if (code == 0) code = read_prompt(&o, !o.g.model.model, &text, e);
    if (code == 0) code = encode_prompt(&s, &o, (struct slice){text.data ? text.data : "", text.len}, &prompt, e);
    if (code == 0) code = generate(&s, &o, &prompt, e);
    tokens_free(&prompt);
    buf_free(&text);
    session_close(&s);
    return code;
}

const struct command cmd_run = {"run", "[MODEL] [-p PROMPT | -f FILE]", "continue a prompt, streaming", run, false};
