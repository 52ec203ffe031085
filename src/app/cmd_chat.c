/* cmd_chat.c: hearth chat: a conversation under the model's own chat template. Each turn renders the whole conversation and feeds only the tokens
 * that the sequence does not hold yet. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/conversation.h"
#include "app/generate.h"
#include "app/line.h"
#include "base/os.h"

struct options {
    struct generate_options g;
    const char *system, *template;
    bool think, no_think, timings;
};

static const struct flag flags[] = {
    {"--system", "-sys", FLAG_STRING, offsetof(struct options, system), "TEXT", "the system message", 0, 0},
    {"--chat-template-file", NULL, FLAG_STRING, offsetof(struct options, template), "FILE", "another chat template (Jinja) than the model's own", 0, 0},
    {"--think", NULL, FLAG_BOOL, offsetof(struct options, think), NULL, "ask the template for reasoning (enable_thinking)", 0, 0},
    {"--no-think", NULL, FLAG_BOOL, offsetof(struct options, no_think), NULL, "ask the template for none", 0, 0},
    {"--timings", NULL, FLAG_BOOL, offsetof(struct options, timings), NULL, "show the speed of each answer", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_GENERATE, FLAGS_MODEL, NULL};

struct talk {
    const struct options *o;
    struct session s;
    struct chat *chat;
    struct generator g;
    struct conversation c;
    struct buf answer;
    bool terminal;
};

static bool has_system(const struct conversation *c) { return c->n > 0 && slice_is(c->m[0].role, "system"); }

/* Replaces the system message; an empty text takes it away. */
static int set_system(struct conversation *c, struct slice text, struct err *e) {
    if (has_system(c)) conversation_drop(c, 0, 1);
    if (text.n == 0) return 0;
    int code = conversation_add(c, "system", text, (struct slice){"", 0}, e);
    if (code) return code;
    struct message last = c->m[c->n - 1];
    memmove(c->m + 1, c->m, (c->n - 1) * sizeof *c->m);
    c->m[0] = last;
    return 0;
}

static int show(void *ctx, const struct token_event *t, struct err *e) {
    struct talk *k = ctx;
    if (!t->text.n) return 0;
    if (!buf_add(&k->answer, t->text.p, t->text.n)) return err_nomem(e, "the answer", k->answer.len);
    int code = out_write(t->text, e);
    return code ? code : out_flush(e);
}

/* The conversation's tokens. With --shift the oldest turns go until there is room for an answer. */
static int render(struct talk *k, struct tokens *ids, struct err *e) {
    int n_ctx = engine_context(k->s.engine), dropped = 0;
    int code;
    for (;;) {
        ids->n = 0;
        struct arena a = {0};
        struct value *context = conversation_context(&a, &k->c, k->o->think ? 1 : k->o->no_think ? 0 : -1);
        code = context ? chat_tokens(k->chat, &a, context, ids, e) : err_nomem(e, "a conversation", a.used);
        arena_free(&a);
        size_t first = has_system(&k->c);
        if (code || !k->o->g.shift || ids->n <= (size_t)(n_ctx - n_ctx / 4) || k->c.n < first + 3) break;
        conversation_drop(&k->c, first, 2);
        dropped += 2;
    }
    if (dropped) (void)fprintf(stderr, "(the oldest %d messages are forgotten: the context holds %d tokens)\n", dropped, n_ctx);
    return code;
}

static int feed(struct talk *k, const struct tokens *ids, struct err *e) {
    int have = seq_length(k->g.seq), same = 0, code;
    const int32_t *old = seq_tokens(k->g.seq);
    while (same < have && (size_t)same + 1 < ids->n && old[same] == ids->id[same]) same++; /* at least one is fed: its logits are needed */
    int n = seq_truncate(k->g.seq, same);
    if ((code = generator_start(&k->g, ids->id + n, ids->n - (size_t)n, e))) return code;
    return seq_mark(k->g.seq, e);
}

static int answer(struct talk *k, struct slice question, struct err *e) {
    struct tokens ids = {0};
    enum end end = END_LENGTH;
    struct slice none = {"", 0}, reasoning, content;
    k->answer.len = 0;
    int code = conversation_add(&k->c, "user", question, none, e);
    if (code == 0) code = render(k, &ids, e);
    if (code == 0) code = feed(k, &ids, e);
    tokens_free(&ids);
    if (code) { /* the question was not taken */
        if (k->c.n && slice_is(k->c.m[k->c.n - 1].role, "user")) conversation_drop(&k->c, k->c.n - 1, 1);
        return code;
    }
    code = generator_run(&k->g, k->o->g.n_predict, show, k, &end, e);
    if (code == 0) code = out_write(SLICE("\n"), e);
    if (code == 0) code = out_flush(e);
    if (code) return code;
    split_reasoning((struct slice){k->answer.data ? k->answer.data : "", k->answer.len}, &reasoning, &content);
    if ((code = conversation_add(&k->c, "assistant", content, reasoning, e))) return code;
    if (k->o->timings) generator_report(&k->g, end);
    if (end == END_CONTEXT) return err_set(e, ERR_CONTEXT, "the context of %d tokens is full; /reset begins anew, a larger -c or --shift goes on", engine_context(k->s.engine));
    return 0;
}

static const char help[] = "/help            this list\n"
                           "/reset           forget the conversation (the system message stays)\n"
                           "/system TEXT     set the system message; without TEXT: take it away\n"
                           "/save FILE       write the conversation as JSON\n"
                           "/load FILE       go on with a saved conversation\n"
                           "/exit            leave (Ctrl-D too)\n"
                           "A line that ends in \\ goes on in the next. Ctrl-C stops the answer. A message that begins with / is written with //.\n";

/* A line that begins with a slash. *leave: the conversation is over. */
static int command(struct talk *k, char *line, bool *leave, struct err *e) {
    char *argument = line + strcspn(line, " \t\n");
    if (*argument) *argument++ = 0;
    argument += strspn(argument, " \t\n");
    if (strcmp(line, "/help") == 0 || strcmp(line, "/?") == 0) return fputs(help, stderr) < 0 ? ERR_IO : 0;
    if (strcmp(line, "/exit") == 0 || strcmp(line, "/bye") == 0 || strcmp(line, "/quit") == 0) {
        *leave = true;
        return 0;
    }
    if (strcmp(line, "/reset") == 0) {
        size_t keep = has_system(&k->c);
        conversation_drop(&k->c, keep, k->c.n - keep);
        return 0;
    }
    if (strcmp(line, "/system") == 0) return set_system(&k->c, slice_of(argument), e);
    bool save = strcmp(line, "/save") == 0, load = strcmp(line, "/load") == 0;
    if (!save && !load) return err_set(e, ERR_USAGE, "no command %.40s; /help lists them", line);
    if (!*argument) return err_set(e, ERR_USAGE, "%s needs a file", line);
    return save ? conversation_save(&k->c, argument, e) : conversation_load(&k->c, argument, e);
}

/* At a terminal an error is said and the conversation goes on; from a file it ends it. */
static int converse(struct talk *k, struct line_reader *l, struct err *e) {
    struct buf line = {0};
    bool more = true, leave = false;
    int code = 0;
    while (code == 0 && !leave) {
        if ((code = line_read(l, &line, &more, e)) || !more) break;
        if (line.len == 0) continue;
        bool slashes = line.len > 1 && line.data[0] == '/' && line.data[1] == '/';
        if (line.data[0] == '/' && !slashes) code = command(k, line.data, &leave, e);
        else code = answer(k, (struct slice){line.data + slashes, line.len - slashes}, e);
        if (code && code != ERR_MEMORY && k->terminal && e->msg[0]) {
            (void)fprintf(stderr, "(%s)\n", e->msg);
            code = 0;
        }
    }
    buf_free(&line);
    return code;
}

static int open_template(struct talk *k, struct err *e) {
    struct buf source = {0};
    const char *path = k->o->template;
    int code = path ? os_read_file(path, TEMPLATE_SOURCE_MAX, &source, e) : 0;
    if (code == 0 && path && !source.len) code = err_set(e, ERR_FORMAT, "%s: the template is empty", path);
    if (code == 0) code = chat_new(&k->chat, k->s.model->file, k->s.tok, (struct slice){source.data, source.len}, NULL, e);
    if (code == ERR_TEMPLATE) (void)err_in(e, "%s", path ? path : "tokenizer.chat_template");
    buf_free(&source);
    return code;
}

static int talk(struct talk *k, struct err *e) {
    struct line_reader *l = NULL;
    int code = session_open(&k->s, &k->o->g.model, "f16", 1, e);
    if (code == 0) code = session_tokenizer(&k->s, e);
    if (code == 0) code = open_template(k, e);
    if (code == 0) code = generator_new(&k->g, &k->s, &k->o->g, e);
    if (code == 0 && k->o->system) code = set_system(&k->c, slice_of(k->o->system), e);
    if (code == 0) code = line_open(&l, e);
    if (code == 0 && k->terminal) (void)fprintf(stderr, "Type a message; /help lists the commands.\n");
    if (code == 0) code = converse(k, l, e);
    line_close(l);
    buf_free(&k->answer);
    conversation_free(&k->c);
    generator_free(&k->g);
    chat_free(k->chat);
    session_close(&k->s);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[1];
    int n_words;
    if (args_help(argc, argv, &cmd_chat, tables)) return 0;
    generate_defaults(&o.g);
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.g.model.model = words[0];
    if (o.think && o.no_think) return err_set(e, ERR_USAGE, "give --think or --no-think, not both");
    struct talk k = {.o = &o, .terminal = os_is_terminal(STDIN_FILENO)};
    return talk(&k, e);
}

const struct command cmd_chat = {"chat", "[MODEL]", "a conversation under the model's own chat template", run, false};
