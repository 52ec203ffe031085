/* paint.c: an answer on its way to standard output; see paint.h. */
#define _GNU_SOURCE
#include "app/paint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/common.h"
#include "base/os.h"

bool color_wanted(int fd) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return os_is_terminal(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

void paint_begin(struct painter *p, bool reasoning) {
    p->terminal = os_is_terminal(STDOUT_FILENO);
    p->color = color_wanted(STDOUT_FILENO);
    p->reasoning = reasoning;
    p->begun = false;
    p->held.len = 0;
    p->last = 0;
}

static int code_dim(struct painter *p, bool on, struct err *e) {
    p->reasoning = on;
    return out_write(on ? SLICE("\033[2m") : SLICE("\033[0m"), e);
}

/* Bytes at p that a terminal would obey: C0 less newline and tab, DEL, and C1 in UTF-8. */
static size_t is_control(const char *p, size_t n) {
    unsigned char c = (unsigned char)*p;
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) return 1;
    return c == 0xc2 && n > 1 && (unsigned char)p[1] < 0xa0 ? 2 : 0;
}

static int put(struct painter *p, struct slice text, struct err *e) {
    int code = 0;
    if (!text.n) return 0;
    p->last = text.p[text.n - 1];
    if (!p->terminal) return out_write(text, e);
    for (size_t i = 0, len; code == 0 && text.n; i = 0) {
        while (i < text.n && !is_control(text.p + i, text.n - i)) i++;
        code = out_write((struct slice){text.p, i}, e);
        len = i < text.n ? is_control(text.p + i, text.n - i) : 0;
        if (code == 0 && len) code = out_write(SLICE("\xef\xbf\xbd"), e);
        text = (struct slice){text.p + i + len, text.n - i - len};
    }
    return code;
}

static void consume(struct painter *p, size_t n) {
    for (size_t i = 0; i < n; i++) p->begun |= p->held.data[i] != ' ' && p->held.data[i] != '\n';
    memmove(p->held.data, p->held.data + n, p->held.len - n);
    p->held.len -= n;
}

/* Shows what is held up to and with the tag that comes next; *found false: there is none. */
static int through_tag(struct painter *p, struct slice tag, bool *found, struct err *e) {
    const char *at = p->held.len ? memmem(p->held.data, p->held.len, tag.p, tag.n) : NULL;
    *found = at != NULL;
    if (!at) return 0;
    size_t before = (size_t)(at - p->held.data);
    int code = put(p, (struct slice){p->held.data, before}, e);
    if (code == 0 && !p->reasoning) code = code_dim(p, true, e);
    else if (code == 0) p->reasoning = false;
    if (code == 0) code = put(p, tag, e);
    if (code == 0 && !p->reasoning) code = code_dim(p, false, e);
    consume(p, before + tag.n);
    return code;
}

int paint_add(struct painter *p, struct slice text, struct err *e) {
    int code = 0;
    if (!text.n) return 0;
    if (!p->color) {
        code = put(p, text, e);
        return code ? code : out_flush(e);
    }
    if (!p->last && p->reasoning) code = code_dim(p, true, e);
    if (!buf_add(&p->held, text.p, text.n)) return err_nomem(e, "the answer", p->held.len);
    bool found = true;
    size_t keep = 0;
    while (code == 0 && found && (p->reasoning || !p->begun)) {
        struct slice tag = p->reasoning ? SLICE("</think>") : SLICE("<think>");
        if ((code = through_tag(p, tag, &found, e)) || found) continue;
        for (keep = tag.n - 1; keep && (keep > p->held.len || memcmp(p->held.data + p->held.len - keep, tag.p, keep) != 0);) keep--;
    }
    size_t show = p->held.len - keep;
    if (code == 0) code = put(p, (struct slice){p->held.data, show}, e);
    consume(p, show);
    return code ? code : out_flush(e);
}

int paint_end(struct painter *p, struct err *e) {
    int code = put(p, (struct slice){p->held.data, p->held.len}, e);
    p->held.len = 0;
    if (code == 0 && p->color) code = code_dim(p, false, e);
    if (code == 0 && p->last != '\n') code = out_write(SLICE("\n"), e);
    return code ? code : out_flush(e);
}

void paint_free(struct painter *p) { buf_free(&p->held); }
