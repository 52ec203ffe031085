/* own.c: the routes of what only Hearth has, and the files of its page; see own.h. */
#include "serve/own.h"

#include <assert.h>
#include <string.h>

#include "serve/http_parse.h"
#include "serve/ollama.h"
#include "serve/openai.h"
#include "serve/page.h"

enum { PAGE_FIELDS = 16 };

/* ---- the files of the page ---- */

static struct slice trim(struct slice s) {
    while (s.n && (*s.p == ' ' || *s.p == '\t')) s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

/* The next item of a list with commas; false: there is none. */
static bool next_item(struct slice *list, struct slice *item) {
    if (!list->n) return false;
    const char *comma = memchr(list->p, ',', list->n);
    const size_t n = comma ? (size_t)(comma - list->p) : list->n;
    *item = trim((struct slice){list->p, n});
    list->p += n + (comma != NULL);
    list->n -= n + (comma != NULL);
    return true;
}

/* RFC 9110 13.1.2: compared weakly. */
static bool has_etag(struct slice list, const char *etag) {
    for (struct slice item; next_item(&list, &item);) {
        if (item.n > 2 && memcmp(item.p, "W/", 2) == 0) item.p += 2, item.n -= 2;
        if (slice_is(item, "*") || slice_is(item, etag)) return true;
    }
    return false;
}

/* q=0, with up to three decimals. */
static bool is_zero(struct slice q) {
    if (q.n < 3 || (q.p[0] | 32) != 'q' || q.p[1] != '=' || q.p[2] != '0') return false;
    for (size_t i = 3; i < q.n; i++)
        if (q.p[i] != '0' && q.p[i] != '.') return false;
    return true;
}

/* RFC 9110 12.5.3: a coding is refused by q=0, by its name or, where that is not there, by "*". */
static bool refuses_gzip(struct slice list) {
    bool named = false, others = false;
    for (struct slice item; next_item(&list, &item);) {
        const char *semicolon = memchr(item.p, ';', item.n);
        const struct slice name = trim((struct slice){item.p, semicolon ? (size_t)(semicolon - item.p) : item.n});
        const bool zero = semicolon && is_zero(trim((struct slice){semicolon + 1, (size_t)(item.p + item.n - semicolon - 1)}));
        if (http_same(name, "gzip")) {
            if (!zero) return false;
            named = true;
        } else if (slice_is(name, "*")) {
            others = zero;
        }
    }
    return named || others;
}

static void on_file(void *ctx, struct http_request *r) {
    const struct page_file *f = page_find(http_path(r));
    struct http_field fields[PAGE_FIELDS];
    int n = 0;
    (void)ctx;
    if (slice_is(http_path(r), "/") && ollama_hello(r)) return;
    if (!f) {
        (void)http_error(r, 404, 0, "the page has no such file");
        return;
    }
    if (refuses_gzip(http_header(r, "accept-encoding"))) {
        (void)http_error(r, 406, 0, "the page is only to be had with Content-Encoding: gzip");
        return;
    }
    assert(n_page_headers + 3 <= PAGE_FIELDS);
    for (size_t i = 0; i < n_page_headers; i++) fields[n++] = (struct http_field){page_headers[i].name, page_headers[i].value};
    fields[n++] = (struct http_field){"ETag", f->etag};
    fields[n++] = (struct http_field){"Vary", "Accept-Encoding"};
    const bool known = has_etag(http_header(r, "if-none-match"), f->etag);
    if (!known) fields[n++] = (struct http_field){"Content-Encoding", "gzip"};
    const struct http_reply reply = {.status = known ? 304 : 200, .type = known ? NULL : f->type, .fields = fields, .n_fields = n, .cached = true,
                                     .body = known ? (struct slice){0} : (struct slice){(const char *)f->gzip, f->n_gzip}};
    (void)http_reply(r, &reply);
}

/* ---- the others ---- */

static void on_slots(void *ctx, struct http_request *r) {
    struct jw j = {.b = {.limit = 64 << 20}};
    books_slots(service_books(ctx), &j);
    answer_json(r, &j);
}

static void on_metrics(void *ctx, struct http_request *r) { answer_aside(ctx, r, own_metrics); }
static void on_machine(void *ctx, struct http_request *r) { answer_aside(ctx, r, own_machine); }
static void on_ledger(void *ctx, struct http_request *r) { answer_aside(ctx, r, own_ledger); }

static bool own_error(int status, const char *message, struct buf *body) { return openai_dialect.error(status, message, body); }

#define OWN_FILE(path) {"GET", path, on_file, HTTP_OPEN | HTTP_QUIET}
static const struct http_route routes[] = {
    OWN_FILE("/"), OWN_FILE("/app.js"), OWN_FILE("/app.css"), OWN_FILE("/theme.js"), OWN_FILE("/icon.svg"), OWN_FILE("/licences.txt"),
    {"GET", "/slots", on_slots, HTTP_QUIET}, {"GET", "/metrics", on_metrics, HTTP_QUIET}, {"GET", "/api/machine", on_machine, HTTP_QUIET}, {"GET", "/api/ledger", on_ledger, 0},
};

const struct http_dialect own_dialect = {.name = "hearth", .routes = routes, .n_routes = sizeof routes / sizeof *routes, .error = own_error};
