/* line.c: lines from a terminal by libedit, from elsewhere plainly; see line.h. The history is
 * $XDG_STATE_HOME/hearth/history, or ~/.local/state/hearth/history, readable by its owner only (libedit sees to it). */
#include "app/line.h"

#include <errno.h>
#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/common.h"
#include "base/os.h"

enum { HISTORY = 1000, LINE_LIMIT = 1 << 26 };

struct line_reader {
    EditLine *el; /* NULL: standard input is no terminal */
    History *history;
    char *path;   /* of the history; NULL: it is not kept */
    bool goes_on; /* the line before ended in a backslash: another prompt */
};

static char *prompt(EditLine *el) {
    static char first[] = "> ", next[] = ". ";
    void *l;
    (void)el_get(el, EL_CLIENTDATA, &l);
    return ((struct line_reader *)l)->goes_on ? next : first;
}

/* The path of the history with its folders made; NULL when that fails: then there is none. */
static char *history_path(void) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct buf b = {0};
    bool ok = state && *state == '/' ? buf_printf(&b, "%s/hearth/history", state) : home && *home && buf_printf(&b, "%s/.local/state/hearth/history", home);
    for (size_t i = 1; ok && i < b.len; i++) {
        if (b.data[i] != '/') continue;
        b.data[i] = 0;
        if (mkdir(b.data, 0700) != 0 && errno != EEXIST) ok = false;
        b.data[i] = '/';
    }
    if (ok) return b.data;
    buf_free(&b);
    return NULL;
}

int line_open(struct line_reader **out, struct err *e) {
    struct line_reader *l = *out = mem_calloc(1, sizeof *l);
    if (!l) return err_nomem(e, "the line editor", sizeof *l);
    if (!os_is_terminal(STDIN_FILENO)) return 0;
    HistEvent event;
    if (!(l->history = history_init()) || !(l->el = el_init("hearth", stdin, stderr, stderr))) {
        line_close(l);
        *out = NULL;
        return err_nomem(e, "the line editor", 1);
    }
    (void)history(l->history, &event, H_SETSIZE, HISTORY);
    (void)history(l->history, &event, H_SETUNIQUE, 1);
    if ((l->path = history_path())) (void)history(l->history, &event, H_LOAD, l->path);
    (void)el_set(l->el, EL_CLIENTDATA, l);
    (void)el_set(l->el, EL_PROMPT, prompt);
    (void)el_set(l->el, EL_EDITOR, "emacs");
    (void)el_set(l->el, EL_SIGNAL, 0);
    (void)el_set(l->el, EL_HIST, history, l->history);
    (void)el_source(l->el, NULL);
    return 0;
}

void line_close(struct line_reader *l) {
    if (!l) return;
    HistEvent event;
    if (l->history && l->path) (void)history(l->history, &event, H_SAVE, l->path);
    if (l->el) el_end(l->el);
    if (l->history) history_end(l->history);
    mem_free(l->path);
    mem_free(l);
}

/* Appends one line with its newline, if it has one, to *text. false: the input ended before it. */
static int read_line(struct line_reader *l, struct buf *text, bool *more, struct err *e) {
    *more = true;
    if (l->el) {
        int n = 0;
        const char *s = el_gets(l->el, &n);
        if (s && n > 0) return buf_add(text, s, (size_t)n) ? 0 : err_nomem(e, "a line", (unsigned long long)n);
        *more = interrupted != 0;
        if (interrupted) text->len = 0;
        (void)fprintf(stderr, "\n");
        return 0;
    }
    for (int c; (c = getchar()) != EOF;) {
        if (!buf_char(text, (char)c)) return err_set(e, ERR_IO, "standard input: a line of more than %d bytes", LINE_LIMIT);
        if (c == '\n') return 0;
    }
    if (ferror(stdin) && !interrupted) return err_set(e, ERR_IO, "standard input: cannot read: %s", strerror(errno));
    *more = text->len > 0 && !interrupted;
    return 0;
}

int line_read(struct line_reader *l, struct buf *text, bool *more, struct err *e) {
    text->len = 0;
    text->limit = LINE_LIMIT;
    interrupted = 0;
    l->goes_on = false;
    if (!buf_reserve(text, 1)) return err_nomem(e, "a line", 1);
    text->data[0] = 0;
    for (;;) {
        size_t start = text->len;
        int code = read_line(l, text, more, e);
        if (code) return code;
        bool newline = text->len > start && text->data[text->len - 1] == '\n';
        if (newline) text->data[--text->len] = 0;
        if (!newline || text->len == start || text->data[text->len - 1] != '\\') break;
        text->data[text->len - 1] = '\n';
        l->goes_on = true;
    }
    HistEvent event;
    text->data[text->len] = 0;
    if (l->history && text->len && !l->goes_on) (void)history(l->history, &event, H_ENTER, text->data);
    return 0;
}
