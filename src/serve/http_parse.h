/* http_parse.h: the bytes of HTTP/1.x requests, by RFC 9112, read strictly: whatever two readers could understand in two ways (bare line feeds,
 * folded lines, two lengths, a length beside chunks) is refused. Nothing here allocates, except for a body that is collected; nothing is
 * global. Time grows with the number of bytes, however they are cut into pieces. */
#ifndef HEARTH_HTTP_PARSE_H
#define HEARTH_HTTP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

enum { HTTP_FIELDS_MAX = 100 };

/* ---- the head: request line and fields, up to and with the empty line ---- */

/* Where looking for the end of the head has come to, while bytes arrive. {0} at the start. */
struct http_scan {
    size_t at;   /* bytes looked at */
    size_t line; /* length of the request line with its CRLF; 0: not there yet */
    int ends;    /* how many bytes of CRLFCRLF were just seen */
};

/* Looks at the bytes that are new. True: the head ends at scan->at. Otherwise *bad is set when it never can: a control character, or a line end that is no CRLF. */
bool http_scan_head(struct http_scan *scan, const char *p, size_t n, bool *bad);

struct http_head {
    struct slice method;
    struct slice path, query; /* as they were sent, percent-encoded; "*" is a path too */
    int minor;                /* of HTTP/1.minor: 0 or 1 */
    struct {
        struct slice name, value;
    } field[HTTP_FIELDS_MAX];
    int n_fields;
    /* what the fields say of the connection and the body */
    bool keep_alive, chunked, expects_continue;
    uint64_t length; /* of the body, when it is not chunked */
    struct slice host;
};

/* Reads a head of n bytes that http_scan_head has found (any bytes are safe). Returns 0, or the status to refuse it with and a reason for the client. Slices point into p. What was read before the
 * error stays in *h. */
int http_parse_head(struct http_head *h, const char *p, size_t n, const char **why);

/* The value of the first field of that name, in any case; p NULL: none. */
struct slice http_field_value(const struct http_head *h, const char *name);

/* Decodes %XX, and + as a blank where plus is set, into out, which has room for s.n bytes. Returns the length, or -1: not an escape, or one that stands for NUL. */
long http_unescape(struct slice s, bool plus, char *out);

bool http_same(struct slice s, const char *text); /* ASCII letters in any case */

/* ---- the body ---- */

struct http_body_reader {
    bool chunked;
    uint64_t left;   /* of the body, or of the chunk */
    size_t extra;    /* bytes of sizes, extensions and trailers so far, since the last chunk's data */
    size_t data;     /* collected so far */
    int state, digits;
};

enum { BODY_MORE = 0, BODY_DONE = 1 }; /* or a status of 400 and above */

void http_body_start(struct http_body_reader *b, const struct http_head *h);

/* Takes bytes of the body from p, adds what they carry to out, and says in *used how many were the body's. BODY_DONE: it is complete. 413: longer than
 * limit bytes; 400: not chunked as it says, *why; 503: memory. */
int http_body_take(struct http_body_reader *b, const char *p, size_t n, size_t *used, size_t limit, struct buf *out, const char **why);

#endif
