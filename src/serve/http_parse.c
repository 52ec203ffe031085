/* http_parse.c: the bytes of HTTP requests; see http_parse.h. */
#include "serve/http_parse.h"

#include <string.h>

enum { METHOD_BYTES = 16, EXTRA_BYTES = 16384 };

/* ---- characters ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_token(char c) { return is_digit(c) || is_alpha(c) || (c && strchr("!#$%&'*+-.^_`|~", c)); }
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c; }

static int hex(char c) {
    if (is_digit(c)) return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_same(struct slice s, const char *text) {
    size_t n = strlen(text);
    if (s.n != n) return false;
    for (size_t i = 0; i < n; i++)
        if (lower(s.p[i]) != lower(text[i])) return false;
    return true;
}

static struct slice trim(struct slice s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

long http_unescape(struct slice s, bool plus, char *out) {
    long n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '+' && plus) c = ' ';
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = high < 0 ? -1 : hex(s.p[i + 2]);
            if (low < 0 || (high == 0 && low == 0)) return -1;
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

/* ---- the head ---- */

bool http_scan_head(struct http_scan *scan, const char *p, size_t n, bool *bad) {
    *bad = false;
    while (scan->at < n) {
        const unsigned char c = (unsigned char)p[scan->at];
        if (c == '\r' && scan->ends % 2 == 0) scan->ends++;
        else if (c == '\n' && scan->ends % 2 == 1) scan->ends++;
        else if (c == '\r' || c == '\n' || scan->ends % 2 == 1 || (c < ' ' && c != '\t') || c == 0x7f) {
            *bad = true;
            return false;
        } else scan->ends = 0;
        scan->at++;
        if (scan->ends == 2 && scan->line == 0) scan->line = scan->at;
        if (scan->ends == 4) return true;
    }
    return false;
}

static int refuse(int status, const char **why, const char *reason) {
    *why = reason;
    return status;
}

/* The next line without its CRLF; p NULL: there is none. */
static struct slice next_line(const char *p, size_t n, size_t *at) {
    for (size_t i = *at; i + 1 < n; i++)
        if (p[i] == '\r' && p[i + 1] == '\n') {
            struct slice line = {p + *at, i - *at};
            *at = i + 2;
            return line;
        }
    return (struct slice){0};
}

/* The bytes of s before c, which are taken off it together with c. False: there is no c. */
static bool before(struct slice *s, char c, struct slice *out) {
    const char *at = s->n ? memchr(s->p, c, s->n) : NULL;
    if (!at) return false;
    *out = (struct slice){s->p, (size_t)(at - s->p)};
    s->n -= out->n + 1;
    s->p = at + 1;
    return true;
}

/* "/path?query", "http://host/path?query", or "*"; the host of the second form stands in *authority. */
static int parse_target(struct http_head *h, struct slice target, struct slice *authority, const char **why) {
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= ' ' || target.p[i] > '~') return refuse(400, why, "the request's target has a byte that must be percent-encoded");
    if (target.n && memchr(target.p, '#', target.n)) return refuse(400, why, "the request's target has a fragment");
    if (slice_is(target, "*") && !slice_is(h->method, "OPTIONS")) return refuse(400, why, "the target * goes with OPTIONS only");
    if (!slice_is(target, "*") && target.n && target.p[0] != '/') {
        struct slice scheme, rest = target;
        if (!before(&rest, ':', &scheme) || (!http_same(scheme, "http") && !http_same(scheme, "https")) || rest.n < 2 || memcmp(rest.p, "//", 2) != 0)
            return refuse(400, why, "the request's target is not a path");
        rest.p += 2;
        rest.n -= 2;
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') n++;
        *authority = (struct slice){rest.p, n};
        target = n < rest.n && rest.p[n] == '/' ? (struct slice){rest.p + n, rest.n - n} : SLICE("/");
        if (n == 0 || (n < rest.n && rest.p[n] == '?')) return refuse(400, why, "the request's target is not a path");
    }
    if (!target.n) return refuse(400, why, "the request's target is empty");
    h->query = (struct slice){target.p + target.n, 0};
    h->path = target;
    if (before(&target, '?', &h->path)) h->query = target;
    return 0;
}

static int parse_line(struct http_head *h, struct slice line, struct slice *authority, const char **why) {
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"};
    struct slice target;
    if (!before(&line, ' ', &h->method) || h->method.n == 0 || h->method.n > METHOD_BYTES) return refuse(400, why, "not an HTTP request");
    for (size_t i = 0; i < h->method.n; i++)
        if (!is_token(h->method.p[i])) return refuse(400, why, "not an HTTP request");
    if (!before(&line, ' ', &target) || line.n != 8 || memcmp(line.p, "HTTP/", 5) != 0 || !is_digit(line.p[5]) || line.p[6] != '.' || !is_digit(line.p[7]))
        return refuse(400, why, "the request line is not METHOD PATH HTTP/1.1");
    if (line.p[5] != '1') return refuse(505, why, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    h->minor = line.p[7] > '0';
    size_t i = 0, n = sizeof known / sizeof *known;
    while (i < n && !slice_is(h->method, known[i])) i++;
    if (i == n) return refuse(501, why, "the request's method is not known");
    return parse_target(h, target, authority, why);
}

static int parse_field(struct http_head *h, struct slice line, const char **why) {
    struct slice name;
    if (line.p[0] == ' ' || line.p[0] == '\t') return refuse(400, why, "a header is folded over two lines");
    if (!before(&line, ':', &name) || name.n == 0) return refuse(400, why, "a header has no name");
    for (size_t i = 0; i < name.n; i++)
        if (!is_token(name.p[i])) return refuse(400, why, "a header's name has a character that none can have");
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f) return refuse(400, why, "a header has a control character");
    if (h->n_fields == HTTP_FIELDS_MAX) return refuse(431, why, "more than 100 headers");
    h->field[h->n_fields].name = name;
    h->field[h->n_fields++].value = trim(line);
    return 0;
}

struct slice http_field_value(const struct http_head *h, const char *name) {
    for (int i = 0; i < h->n_fields; i++)
        if (http_same(h->field[i].name, name)) return h->field[i].value.p ? h->field[i].value : SLICE("");
    return (struct slice){0};
}

static int count_fields(const struct http_head *h, const char *name) {
    int n = 0;
    for (int i = 0; i < h->n_fields; i++) n += http_same(h->field[i].name, name);
    return n;
}

/* Whether a word stands in the lists of all fields of that name. */
static bool lists(const struct http_head *h, const char *name, const char *word) {
    for (int i = 0; i < h->n_fields; i++) {
        struct slice rest = h->field[i].value, item;
        if (!http_same(h->field[i].name, name)) continue;
        while (before(&rest, ',', &item))
            if (http_same(trim(item), word)) return true;
        if (http_same(trim(rest), word)) return true;
    }
    return false;
}

static int parse_length(struct http_head *h, const char **why) {
    struct slice length = http_field_value(h, "content-length"), coding = http_field_value(h, "transfer-encoding");
    if (coding.p && length.p) return refuse(400, why, "Content-Length and Transfer-Encoding exclude each other");
    if (coding.p) {
        if (h->minor == 0) return refuse(400, why, "HTTP/1.0 has no Transfer-Encoding");
        if (count_fields(h, "transfer-encoding") > 1 || !http_same(coding, "chunked")) return refuse(501, why, "Transfer-Encoding can only be chunked");
        h->chunked = true;
        return 0;
    }
    if (!length.p) return 0;
    if (count_fields(h, "content-length") > 1) return refuse(400, why, "Content-Length is given twice");
    if (!length.n) return refuse(400, why, "Content-Length is not a number");
    for (size_t i = 0; i < length.n; i++) {
        if (!is_digit(length.p[i])) return refuse(400, why, "Content-Length is not a number");
        if (__builtin_mul_overflow(h->length, 10, &h->length) || __builtin_add_overflow(h->length, (uint64_t)(length.p[i] - '0'), &h->length)) {
            h->length = UINT64_MAX; /* too large whatever the limit is */
            break;
        }
    }
    return 0;
}

/* What the fields mean for the connection and the body. */
static int interpret(struct http_head *h, struct slice authority, const char **why) {
    int hosts = count_fields(h, "host");
    h->host = http_field_value(h, "host");
    if (hosts > 1 || (hosts == 0 && h->minor > 0)) return refuse(400, why, hosts ? "Host is given twice" : "Host is missing");
    for (size_t i = 0; i < h->host.n; i++)
        if (h->host.p[i] <= ' ' || h->host.p[i] > '~' || strchr("/?#@,", h->host.p[i])) return refuse(400, why, "Host is not a host");
    if (authority.p) h->host = authority; /* RFC 9112 3.2.2: it counts more */
    h->keep_alive = h->minor > 0 ? !lists(h, "connection", "close") : lists(h, "connection", "keep-alive") && !lists(h, "connection", "close");
    int status = parse_length(h, why);
    struct slice expect = http_field_value(h, "expect");
    if (status == 0 && expect.p && h->minor > 0) {
        if (!http_same(expect, "100-continue")) return refuse(417, why, "Expect can only be 100-continue");
        h->expects_continue = h->chunked || h->length > 0;
    }
    return status;
}

int http_parse_head(struct http_head *h, const char *p, size_t n, const char **why) {
    size_t at = 0;
    struct slice line = next_line(p, n, &at), authority = {0};
    h->method = h->path = h->query = h->host = (struct slice){0};
    h->minor = 1;
    h->n_fields = 0;
    h->keep_alive = h->chunked = h->expects_continue = false;
    h->length = 0;
    *why = "";
    if (!line.p) return refuse(400, why, "not an HTTP request");
    int status = parse_line(h, line, &authority, why);
    while (status == 0) {
        line = next_line(p, n, &at);
        if (!line.p) return refuse(400, why, "the headers do not end");
        if (line.n == 0) break;
        status = parse_field(h, line, why);
    }
    return status ? status : interpret(h, authority, why);
}

/* ---- the body ---- */

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_REST, TRAILER_LF, LAST_LF, ENDED };

void http_body_start(struct http_body_reader *b, const struct http_head *h) {
    *b = (struct http_body_reader){.chunked = h->chunked, .left = h->chunked ? 0 : h->length, .state = h->chunked ? SIZE : DATA};
}

static int take_data(struct http_body_reader *b, const char *p, size_t n, size_t *used, size_t limit, struct buf *out) {
    if (b->left > limit - b->data) return 413;
    if (n > b->left) n = (size_t)b->left;
    if (!buf_add(out, p, n)) return 503;
    b->left -= n;
    b->data += n;
    *used += n;
    return BODY_MORE;
}

/* One byte of what stands between the data of chunks. 0, or a status. */
static int take_frame(struct http_body_reader *b, char c, const char **why) {
    const char *wrong = NULL;
    switch (b->state) {
    case SIZE: {
        int digit = hex(c);
        if (digit >= 0 && b->digits < 15) {
            b->left = b->left << 4 | (uint64_t)digit;
            b->digits++;
        } else if (digit >= 0 || b->digits == 0) wrong = "a chunk's size is not a hexadecimal number";
        else if (c == '\r') b->state = SIZE_LF;
        else if (c == ';' || c == ' ' || c == '\t') b->state = EXTENSION;
        else wrong = "a chunk's size is not a hexadecimal number";
        break;
    }
    case EXTENSION:
    case TRAILER_REST:
        if (c == '\r') b->state = b->state == EXTENSION ? SIZE_LF : TRAILER_LF;
        else if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f) wrong = "a control character stands between chunks";
        break;
    case SIZE_LF:
        if (c != '\n') wrong = "a chunk's size does not end with CRLF";
        b->state = b->left ? DATA : TRAILER;
        break;
    case DATA_CR:
        if (c != '\r') wrong = "a chunk is longer than its size";
        b->state = DATA_LF;
        break;
    case DATA_LF:
        if (c != '\n') wrong = "a chunk does not end with CRLF";
        b->state = SIZE;
        b->digits = 0;
        b->extra = 0;
        break;
    case TRAILER:
        b->state = c == '\r' ? LAST_LF : TRAILER_REST;
        if (c != '\r' && !is_token(c)) wrong = "a trailer has no name";
        break;
    case TRAILER_LF:
        if (c != '\n') wrong = "a trailer does not end with CRLF";
        b->state = TRAILER;
        break;
    default: /* LAST_LF */
        if (c != '\n') wrong = "the last chunk does not end with CRLF";
        b->state = ENDED;
    }
    if (!wrong && ++b->extra > EXTRA_BYTES) wrong = "too much stands between chunks";
    return wrong ? refuse(400, why, wrong) : 0;
}

int http_body_take(struct http_body_reader *b, const char *p, size_t n, size_t *used, size_t limit, struct buf *out, const char **why) {
    int status = 0;
    *used = 0;
    *why = "";
    if (!b->chunked) {
        status = take_data(b, p, n, used, limit, out);
        return status ? status : b->left ? BODY_MORE : BODY_DONE;
    }
    while (status == 0 && *used < n && b->state != ENDED) {
        if (b->state == DATA) {
            status = take_data(b, p + *used, n - *used, used, limit, out);
            if (status == 0 && b->left == 0) b->state = DATA_CR;
        } else {
            status = take_frame(b, p[*used], why);
            ++*used;
        }
    }
    return status ? status : b->state == ENDED ? BODY_DONE : BODY_MORE;
}
