/* line.c: lines from a terminal by libedit, from elsewhere plainly; see line.h.
 *
 * The history is $HEARTH_HISTORY, or $XDG_STATE_HOME/hearth/history, or ~/.local/state/hearth/history, readable by its owner only. Each
 * line is appended as it is entered, so that neither a crash nor a second chat loses any. What cannot be kept is not worth a
 * message: the chat goes on without. */
#define _GNU_SOURCE
#include "app/line.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/common.h"
#include "app/paint.h"
#include "app/stop.h"
#include "base/os.h"
#include "base/utf8.h"

enum { HISTORY = 1000, HISTORY_FILE = 1 << 20 /* bytes; a larger one is cut to the newest lines */, LINE_LIMIT = 1 << 26 };

struct line_reader {
    EditLine *el;    /* NULL: standard input is no terminal */
    History *history;
    struct buf path; /* of the history; empty: it is not kept */
    FILE *screen;    /* where a person sees what is typed */
    bool goes_on;    /* the line before ended in a backslash: another prompt */
    bool color;
};

/* \1 stands around what takes no room. */
static char *prompt(EditLine *el) {
    static char plain[] = "> ", plain_next[] = ". ", color[] = "\1\033[1;32m\1>\1\033[0m\1 ", color_next[] = "\1\033[1;32m\1.\1\033[0m\1 ";
    void *data;
    (void)el_get(el, EL_CLIENTDATA, &data);
    const struct line_reader *l = data;
    if (l->goes_on) return l->color ? color_next : plain_next;
    return l->color ? color : plain;
}

/* Waits for input; false after Ctrl-C or its kin. That counts whenever it came: it is held back outside of the wait, so that it cannot slip in between
 * looking at the flag and waiting. (The engine's threads do not take it: see talk_open.) */
static bool wait_for_input(EditLine *el, FILE *screen) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    sigset_t block, before;
    stop_signals(&block);
    (void)pthread_sigmask(SIG_BLOCK, &block, &before);
    while (!interrupted && ppoll(&in, 1, NULL, &before) < 0 && errno == EINTR) {
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* libedit's handler raised the signal anew: let it come */
        (void)pthread_sigmask(SIG_BLOCK, &block, NULL);
        if (interrupted) break;
        (void)fputs("\r", screen);
        (void)el_set(el, EL_REFRESH); /* we were stopped, or the window has another size */
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !interrupted;
}

/* One character for libedit. Its own function takes up reading again after a signal, and Ctrl-C would be lost. */
static int read_char(EditLine *el, wchar_t *out) {
    char c[4];
    size_t have = 0, need = 1;
    void *data;
    (void)el_get(el, EL_CLIENTDATA, &data);
    while (have < need) {
        if (!wait_for_input(el, ((const struct line_reader *)data)->screen)) return -1;
        ssize_t got = read(STDIN_FILENO, c + have, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 || have ? -1 : 0;
        unsigned char first = (unsigned char)c[0];
        if (have++ == 0) need = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    }
    uint32_t code = 0;
    *out = utf8_char(c, have, &code) == have ? (wchar_t)code : 0xfffd;
    return 1;
}

/* ---- history ---- */

/* The path of the history; the folders of its usual place are made. */
static void find_history(struct buf *b) {
    const char *named = getenv("HEARTH_HISTORY"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool ok = false;
    if (named) ok = *named && buf_str(b, named);
    else if (state && *state == '/') ok = buf_printf(b, "%s/hearth/history", state);
    else if (home && *home) ok = buf_printf(b, "%s/.local/state/hearth/history", home);
    for (size_t i = 1; ok && !named && i < b->len; i++) {
        if (b->data[i] != '/') continue;
        b->data[i] = 0;
        ok = mkdir(b->data, 0700) == 0 || errno == EEXIST || errno == EROFS || errno == EACCES; /* what matters is whether the file opens */
        b->data[i] = '/';
    }
    if (!ok) b->len = 0;
}

static FILE *open_history(const struct line_reader *l, int flags) {
    int fd = l->path.len ? open(l->path.data, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | flags, 0600) : -1;
    if (fd < 0) return NULL;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || fchmod(fd, 0600) != 0) {
        (void)close(fd);
        return NULL;
    }
    FILE *f = fdopen(fd, flags & O_APPEND ? "a" : "w");
    if (!f) (void)close(fd);
    return f;
}

static void load_history(struct line_reader *l) {
    HistEvent event;
    struct stat st;
    if (!l->path.len || stat(l->path.data, &st) != 0 || !S_ISREG(st.st_mode)) return;
    (void)history(l->history, &event, H_LOAD, l->path.data);
    if (st.st_size <= HISTORY_FILE) return;
    FILE *f = open_history(l, O_TRUNC);
    if (!f) return;
    (void)history(l->history, &event, H_SAVE_FP, f);
    (void)fclose(f);
}

/* Appends a line to the file as libedit would write it: what is not plainly visible in octal. (Its own function for that, H_NSAVE_FP, writes
 * one line too many in the versions there are.) */
static void append_history(const struct line_reader *l, const char *line) {
    FILE *f = open_history(l, O_APPEND);
    if (!f) return;
    struct stat st;
    if (fstat(fileno(f), &st) == 0 && st.st_size == 0) (void)fputs("_HiStOrY_V2_\n", f);
    for (const unsigned char *p = (const unsigned char *)line; *p; p++) (void)fprintf(f, *p > ' ' && *p < 0x7f && *p != '\\' ? "%c" : "\\%03o", *p);
    (void)fputc('\n', f);
    (void)fclose(f);
}

static void remember(struct line_reader *l, const char *line) {
    HistEvent event;
    if (*line && history(l->history, &event, H_ENTER, line) >= 0) append_history(l, line);
}

/* ---- lines ---- */

int line_open(struct line_reader **out, struct err *e) {
    struct line_reader *l = *out = mem_calloc(1, sizeof *l);
    if (!l) return err_nomem(e, "the line editor", sizeof *l);
    if (!os_is_terminal(STDIN_FILENO)) return 0;
    (void)setlocale(LC_CTYPE, ""); /* libedit asks it what a character is */
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) (void)setlocale(LC_CTYPE, "C.UTF-8");
    l->screen = os_is_terminal(STDOUT_FILENO) ? stdout : stderr;
    l->color = color_wanted(fileno(l->screen));
    if (!(l->history = history_init()) || !(l->el = el_init("hearth", stdin, l->screen, stderr))) {
        line_close(l);
        *out = NULL;
        return err_nomem(e, "the line editor", sizeof *l);
    }
    HistEvent event;
    (void)history(l->history, &event, H_SETSIZE, HISTORY);
    (void)history(l->history, &event, H_SETUNIQUE, 1);
    find_history(&l->path);
    load_history(l);
    (void)el_set(l->el, EL_CLIENTDATA, l);
    (void)el_set(l->el, EL_PROMPT_ESC, prompt, '\1');
    (void)el_set(l->el, EL_EDITOR, "emacs");
    (void)el_set(l->el, EL_SIGNAL, 1); /* the terminal is itself again while we are stopped, or dead */
    (void)el_set(l->el, EL_HIST, history, l->history);
    (void)el_set(l->el, EL_GETCFN, read_char);
    (void)el_source(l->el, NULL); /* the person's own ~/.editrc */
    return 0;
}

void line_close(struct line_reader *l) {
    if (!l) return;
    if (l->el) el_end(l->el);
    if (l->history) history_end(l->history);
    buf_free(&l->path);
    mem_free(l);
}

static int read_plain(struct buf *text, bool *more, struct err *e) {
    for (int c; (c = getchar()) != EOF;) {
        if (!buf_char(text, (char)c)) return err_set(e, ERR_IO, "standard input: a message of more than %d bytes", LINE_LIMIT);
        if (c == '\n') return 0;
    }
    if (interrupted) return err_set(e, ERR_CANCELLED, "stopped");
    if (ferror(stdin)) return err_set(e, ERR_IO, "standard input: cannot read: %s", strerror(errno));
    *more = false;
    return 0;
}

static int read_edited(struct line_reader *l, struct buf *text, bool *more, struct err *e) {
    int n = 0;
    el_resize(l->el); /* the window may have another size by now */
    (void)el_set(l->el, EL_PREP_TERM, 1); /* before the marker shows: what is typed at its sight is for the editor */
    const char *line = el_gets(l->el, &n);
    if (interrupted) {
        bool typed = l->goes_on || (line && n > 0) || el_line(l->el)->lastchar > el_line(l->el)->buffer;
        bool ctrl_c = interrupted == SIGINT;
        (void)fprintf(l->screen, "\n%s", typed || !ctrl_c ? "" : "(/exit or Ctrl-D leaves)\n");
        (void)fflush(l->screen);
        text->len = 0;
        return ctrl_c ? 0 : check_interrupt(e);
    }
    if (line && n > 0) return buf_add(text, line, (size_t)n) ? 0 : err_nomem(e, "a line", (unsigned long long)n);
    (void)fprintf(l->screen, "\n");
    (void)fflush(l->screen);
    *more = false;
    return 0;
}

int line_read(struct line_reader *l, struct buf *text, bool *more, struct err *e) {
    text->len = 0;
    text->limit = LINE_LIMIT;
    *more = true;
    l->goes_on = false;
    if (l->el && interrupted == SIGINT) interrupted = 0;
    if (!buf_reserve(text, 1)) return err_nomem(e, "a line", 1);
    for (;;) {
        size_t start = text->len;
        int code = l->el ? read_edited(l, text, more, e) : read_plain(text, more, e);
        if (code) return code;
        bool newline = text->len > start && text->data[text->len - 1] == '\n';
        if (newline) text->len--;
        text->data[text->len] = 0;
        if (l->history && newline) remember(l, text->data + start);
        if (!newline || text->len == start || text->data[text->len - 1] != '\\') break;
        text->data[text->len - 1] = '\n';
        l->goes_on = true;
    }
    *more = *more || text->len > 0;
    return 0;
}
