/* err.h: errors as values.
 *
 * A fallible function returns an int: 0 for success or one of the codes below, and fills the struct err it was given
 * with one line for a person: what is wrong, where, and what to do. The codes are also the exit statuses of the
 * program (see hearth(1)), so a script can tell a broken file from a missing one. `assert` is for our own mistakes,
 * never for input. Only src/app exits. A struct err belongs to its caller and is not shared between threads.
 */
#ifndef HEARTH_ERR_H
#define HEARTH_ERR_H

enum err_code {
    ERR_OK = 0,
    ERR_INTERNAL = 1,    /* our own mistake, noticed */
    ERR_USAGE = 2,       /* a wrong flag or argument */
    ERR_IO = 3,          /* a file that cannot be opened, read or written */
    ERR_FORMAT = 4,      /* a file that is not what it says it is, or a model that gives no numbers */
    ERR_UNSUPPORTED = 5, /* well formed, but an architecture, type or feature that is not known here */
    ERR_MEMORY = 6,      /* not enough memory */
    ERR_CONTEXT = 7,     /* more tokens than the context holds */
    ERR_TEXT = 8,        /* text that cannot be taken: bytes that the vocabulary has no token for, unknown token ids */
    ERR_TEMPLATE = 9,    /* a chat template that fails or runs away */
    ERR_CANCELLED = 10,  /* stopped by the user */
    ERR_VANISHED = 11,   /* a mapped file shrank or its disk failed while in use */
    ERR_BUSY = 12,       /* as many requests wait as may; try again later. A server's reply, never an exit status, as is the next */
    ERR_NOT_FOUND = 13,  /* a name that nothing has */
};

struct err {
    int code;
    char msg[512]; /* one line, no newline at its end */
};

/* Fills *e (which may be NULL) and returns code, so that `return err_set(e, ERR_IO, "...")` reads in one line. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The usual case of err_set for a failed allocation of n bytes for `what`. */
int err_nomem(struct err *e, const char *what, unsigned long long n);

/* Adds text to the end of the message of an error that is on its way up, as much as fits, and returns its code. */
int err_add(struct err *e, const char *text);

/* Puts "prefix: " in front of the message of an error that is on its way up, and returns its code. */
int err_in(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes `text` into out as one printable line: UTF-8 stays, control characters, those that break or turn the line, and invalid bytes become
 * \xNN; cut with "..." at cap, which is at least 8. For quoting outside bytes in a message. Returns out. */
const char *err_quote(char *out, unsigned cap, const void *text, unsigned long len);

#endif
