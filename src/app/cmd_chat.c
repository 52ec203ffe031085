/* cmd_chat.c: hearth chat: a conversation under the model's own chat template; what is typed and what it means. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/line.h"
#include "app/talk.h"
#include "base/os.h"

static const struct flag flags[] = {
    {"--system", "-sys", FLAG_STRING, offsetof(struct talk_options, system), "TEXT", "the system message", 0, 0},
    {"--think", NULL, FLAG_BOOL, offsetof(struct talk_options, think), NULL, "ask the template for reasoning (its variable enable_thinking)", 0, 0},
    {"--no-think", NULL, FLAG_BOOL, offsetof(struct talk_options, no_think), NULL, "ask the template for none", 0, 0},
    {"--chat-template-file", NULL, FLAG_STRING, offsetof(struct talk_options, template_file), "FILE", "a Jinja template in place of the model's own", 0, 0},
    {"--verbose", "-v", FLAG_BOOL, offsetof(struct talk_options, verbose), NULL, "tell the speed of each answer", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_GENERATE, FLAGS_MODEL, NULL};

static const char help[] = "/help           this list\n"
                           "/reset          forget the conversation; the system message stays\n"
                           "/system TEXT    set the system message; without TEXT: have none\n"
                           "/retry          another answer to the last message\n"
                           "/save FILE      write the conversation as JSON\n"
                           "/load FILE      go on with a saved conversation\n"
                           "/exit           leave (so does Ctrl-D)\n"
                           "A line that ends in \\ goes on in the next. Ctrl-C stops an answer. A message that begins with / is typed with //.\n";

enum word { WORD_HELP, WORD_RESET, WORD_SYSTEM, WORD_RETRY, WORD_SAVE, WORD_LOAD, WORD_EXIT };
static const struct {
    const char *name;
    enum word word;
    bool argument; /* needs one */
} words_of_chat[] = {
    {"/help", WORD_HELP, false}, {"/?", WORD_HELP, false},   {"/reset", WORD_RESET, false}, {"/clear", WORD_RESET, false}, {"/system", WORD_SYSTEM, false}, {"/retry", WORD_RETRY, false},
    {"/save", WORD_SAVE, true},  {"/load", WORD_LOAD, true}, {"/exit", WORD_EXIT, false},   {"/quit", WORD_EXIT, false},   {"/bye", WORD_EXIT, false},
};

/* What a person at a terminal would otherwise have to guess. */
static void tell(const char *text) {
    if (os_is_terminal(STDIN_FILENO)) (void)fprintf(stderr, "(%s)\n", text);
}

static int obey(struct talk *t, enum word word, const char *argument, bool *leave, struct err *e) {
    int code = 0;
    switch (word) {
    case WORD_HELP: (void)fputs(help, stderr); break;
    case WORD_RESET:
        talk_reset(t);
        tell(conversation_has_system(&t->c) ? "the conversation is forgotten; the system message stays" : "the conversation is forgotten");
        break;
    case WORD_SYSTEM:
        if ((code = talk_system(t, slice_of(argument), e)) == 0) tell(*argument ? "the system message is set" : "there is no system message now");
        break;
    case WORD_RETRY: return talk_retry(t, e);
    case WORD_SAVE:
        code = os_out_check(argument, &t->o->template_file, 1, e);
        if (code == 0 && (code = conversation_save(&t->c, argument, e)) == 0) (void)fprintf(stderr, "(%zu message%s saved to %s)\n", t->c.n, t->c.n == 1 ? "" : "s", argument);
        break;
    case WORD_LOAD:
        if ((code = talk_load(t, argument, e)) == 0) (void)fprintf(stderr, "(%zu messages loaded from %s)\n", t->c.n, argument);
        break;
    case WORD_EXIT: *leave = true; break;
    }
    return code;
}

/* A line that begins with a slash; it is cut into words in place. */
static int command(struct talk *t, char *line, bool *leave, struct err *e) {
    char *argument = line + strcspn(line, " \t\n"), shown[48];
    size_t n = (size_t)(argument - line);
    argument += strspn(argument, " \t\n");
    for (char *end = argument + strlen(argument); end > argument && strchr(" \t\r", end[-1]);) *--end = 0;
    for (size_t i = 0; i < sizeof words_of_chat / sizeof *words_of_chat; i++) {
        if (!slice_is((struct slice){line, n}, words_of_chat[i].name)) continue;
        if (words_of_chat[i].argument && !*argument) return err_set(e, ERR_USAGE, "%s needs the name of a file", words_of_chat[i].name);
        return obey(t, words_of_chat[i].word, argument, leave, e);
    }
    return err_set(e, ERR_USAGE, "no command %s; /help lists them, and // begins a message with a slash", err_quote(shown, sizeof shown, line, n));
}

static bool blank(const struct buf *line) { return strspn(line->data, " \t\r\n") == line->len; }

/* At a terminal an error is told and the conversation goes on; elsewhere it ends with the error, so that a script does not talk on in vain. */
static int converse(struct talk *t, struct line_reader *l, bool terminal, struct err *e) {
    struct buf line = {0};
    bool more = true, leave = false;
    int code = 0;
    while (code == 0 && !leave) {
        if ((code = line_read(l, &line, &more, e)) || !more) break;
        if (blank(&line)) continue;
        bool slash = line.data[0] == '/', slashes = slash && line.data[1] == '/';
        if (slash && !slashes) code = command(t, line.data, &leave, e);
        else code = talk_say(t, (struct slice){line.data + slashes, line.len - slashes}, e);
        bool end = interrupted && (!terminal || interrupted != SIGINT); /* Ctrl-C at a terminal was for the answer */
        if (code == 0 && end) code = check_interrupt(e);
        if (code && terminal && !end && e->msg[0]) { /* no message: standard output is gone */
            (void)fprintf(stderr, "(%s)\n", e->msg);
            code = 0;
        }
    }
    buf_free(&line);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct talk_options o = {0};
    struct talk t = {0};
    struct line_reader *l = NULL;
    const char *words[1];
    int n_words;
    bool terminal = os_is_terminal(STDIN_FILENO);
    if (args_help(argc, argv, &cmd_chat, tables)) return 0;
    generate_defaults(&o.g);
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.g.model.model = words[0];
    if (o.think && o.no_think) return err_set(e, ERR_USAGE, "give --think or --no-think, not both");
    code = talk_open(&t, &o, e);
    if (code == 0) code = check_interrupt(e);
    if (code == 0) code = line_open(&l, e);
    if (code == 0 && terminal) (void)fprintf(stderr, "Type a message; /help lists the commands.\n");
    conversing = terminal;
    if (code == 0) code = converse(&t, l, terminal, e);
    conversing = false;
    line_close(l);
    talk_close(&t);
    return code;
}

const struct command cmd_chat = {"chat", "[MODEL]", "a conversation under the model's own chat template", run, false};
