/* http_check.c: what is judged of a request before its body is read: where it comes from, whom it is for, who sends it. On the loop.
 *
 * A page of any site can make a browser send requests to this machine. Two things keep such pages out: a request with the Origin of another site is
 * refused unless the owner allowed it, and on loopback the Host must be a name that can only mean this machine, so that a site cannot point a name of
 * its own here and then be of the same origin (DNS rebinding). */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "serve/http_internal.h"

struct http_request *request_new(struct conn *c) {
    struct http_server *s = c->server;
    struct http_request *r = mem_calloc(1, sizeof *r);
    if (!r) return NULL;
    r->server = s;
    atomic_init(&r->refs, 1);
    r->dialect = s->o.dialects[0];
    r->id = os_random();
    r->arrival = c->began;
    r->conn = c;
    memcpy(r->address, c->address, sizeof r->address);
    atomic_fetch_add(&s->live, 1);
    metric_add(s->o.metrics, METRIC_REQUESTS_LIVE, NULL, 1);
    return r;
}

/* ---- decoding ---- */

/* The bytes of s up to c or its end, which are taken off it together with c. */
static struct slice up_to(struct slice *s, char c) {
    const char *at = s->n ? memchr(s->p, c, s->n) : NULL;
    struct slice head = {s->p, at ? (size_t)(at - s->p) : s->n};
    size_t n = head.n + (at != NULL);
    s->p += n;
    s->n -= n;
    return head;
}

/* Decodes the path and the query. False: *why, or memory is short (why NULL). */
static bool decode(struct http_request *r, const char **why) {
    struct slice path = r->head.path, rest = r->head.query;
    char *at = r->decoded = mem_alloc(2 * path.n + 2 * rest.n + 8); /* path, param (a part of it), and two NULs for each pair, which has a byte and a separator */
    *why = NULL;
    if (!at) return false;
    *why = "the path has a % that is no escape, or stands for NUL";
    long n = http_unescape(path, false, at);
    if (n < 0) return false;
    r->path = (struct slice){at, (size_t)n};
    at += path.n;
    *why = "the query has a % that is no escape, or stands for NUL";
    r->query.p = at + path.n;
    char *out = at + path.n;
    while (rest.n) {
        struct slice pair = up_to(&rest, '&');
        if (pair.n == 0) continue;
        struct slice name = up_to(&pair, '=');
        for (int i = 0; i < 2; i++) {
            if ((n = http_unescape(i ? pair : name, true, out)) < 0) return false;
            out += n;
            *out++ = 0;
        }
    }
    r->query.n = (size_t)(out - r->query.p);
    return true;
}

/* The parameter, as it was sent, is decoded behind the path. */
static void decode_param(struct http_request *r) {
    char *at = r->decoded + r->head.path.n;
    long n = http_unescape(r->param, false, at); /* a part of the path, which could be decoded */
    r->param = (struct slice){at, n > 0 ? (size_t)n : 0};
}

/* ---- origin and host ---- */

/* The host of "host:port" or "[::1]:port", without brackets. */
static struct slice without_port(struct slice host) {
    if (host.n && host.p[0] == '[') {
        const char *end = memchr(host.p, ']', host.n);
        return end ? (struct slice){host.p + 1, (size_t)(end - host.p - 1)} : host;
    }
    const char *colon = host.n ? memchr(host.p, ':', host.n) : NULL;
    if (colon) host.n = (size_t)(colon - host.p);
    return host;
}

static bool ends_with(struct slice s, const char *tail) {
    size_t n = strlen(tail);
    return s.n > n && http_same((struct slice){s.p + s.n - n, n}, tail);
}

/* Names that nobody outside can point anywhere: localhost (RFC 6761), the private use domain .internal (as in host.docker.internal), and addresses of loopback. */
static bool is_local_name(struct slice host) {
    char text[64];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (host.n && host.p[host.n - 1] == '.') host.n--;
    if (http_same(host, "localhost") || ends_with(host, ".localhost") || ends_with(host, ".internal")) return true;
    if (host.n == 0 || host.n >= sizeof text) return false;
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) return address_is_local((struct sockaddr *)&v4);
    return inet_pton(AF_INET6, text, &v6.sin6_addr) == 1 && address_is_local((struct sockaddr *)&v6);
}

static bool same(struct slice a, struct slice b) {
    char text[512];
    if (a.n != b.n || a.n == 0 || a.n >= sizeof text) return false;
    memcpy(text, b.p, b.n);
    text[b.n] = 0;
    return http_same(a, text);
}

/* What stands behind scheme:// ; p NULL: there is no scheme. */
static struct slice behind_scheme(struct slice origin) {
    for (size_t i = 0; i + 3 <= origin.n; i++)
        if (memcmp(origin.p + i, "://", 3) == 0) return (struct slice){origin.p + i + 3, origin.n - i - 3};
    return (struct slice){0};
}

static bool origin_allowed(const struct http_server *s, struct slice origin) {
    for (int i = 0; i < s->o.n_origins; i++)
        if (strcmp(s->o.origins[i], "*") == 0 || http_same(origin, s->o.origins[i])) return true;
    return false;
}

static bool host_allowed(const struct http_server *s, struct slice host) {
    if (is_local_name(host)) return true;
    for (int i = 0; i < s->o.n_origins; i++)
        if (strcmp(s->o.origins[i], "*") == 0 || same(host, without_port(behind_scheme(slice_of(s->o.origins[i]))))) return true;
    return false;
}

/* 0, or 403. Sets cors for an allowed page of another site. */
static int check_source(struct http_request *r, bool checks_host, char *why, size_t cap) {
    const struct http_server *s = r->server;
    struct slice origin = http_header(r, "origin"), host = without_port(r->head.host);
    char quoted[128];
    if (checks_host && r->head.host.p && !host_allowed(s, host)) {
        (void)snprintf(why, cap, "Host \"%s\" is not a name of this machine; start the server with --origin http://NAME to allow it", err_quote(quoted, sizeof quoted, host.p, host.n));
        return 403;
    }
    if (!origin.p) return 0;
    struct slice site = behind_scheme(origin), scheme = {origin.p, site.p ? (size_t)(site.p - origin.p) : 0};
    if ((http_same(scheme, "http://") || http_same(scheme, "https://")) && r->head.host.n && same(site, r->head.host)) return 0;
    if (!origin_allowed(s, origin)) {
        (void)snprintf(why, cap, "pages of %s may not use this server; start it with --origin and that name to allow them", err_quote(quoted, sizeof quoted, origin.p, origin.n));
        return 403;
    }
    r->cors = origin;
    return 0;
}

/* ---- keys ---- */

static int check_key(struct http_request *r, char *why, size_t cap) {
    struct http_server *s = r->server;
    struct slice bearer = http_header(r, "authorization"), header = http_header(r, "x-api-key");
    const bool is_bearer = bearer.n > 7 && http_same((struct slice){bearer.p, 7}, "bearer ");
    if (is_bearer) {
        bearer.p += 7;
        bearer.n -= 7;
        while (bearer.n && bearer.p[0] == ' ') bearer.p++, bearer.n--;
    }
    (void)pthread_mutex_lock(&s->lock);
    const bool needed = keys_count(s->keys) > 0;
    const char *client = needed && is_bearer ? keys_find(s->keys, bearer) : NULL;
    if (needed && !client) client = keys_find(s->keys, header);
    if (client) (void)snprintf(r->client, sizeof r->client, "%s", client);
    (void)pthread_mutex_unlock(&s->lock);
    if (!needed || client || (r->route->flags & HTTP_OPEN)) return 0;
    (void)snprintf(why, cap, is_bearer || header.p ? "the API key is not one of this server's" : "an API key is needed: send Authorization: Bearer KEY, or x-api-key: KEY");
    return 401;
}

/* ---- all of it ---- */

static int check_body(const struct http_request *r, char *why, size_t cap) {
    struct slice coding = http_header(r, "content-encoding");
    if (!r->head.chunked && r->head.length > r->server->o.limits.body_bytes) {
        (void)snprintf(why, cap, "the body is larger than the %zu bytes that are accepted here", r->server->o.limits.body_bytes);
        return 413;
    }
    if (coding.n && !http_same(coding, "identity")) {
        (void)snprintf(why, cap, "Content-Encoding: bodies are read as they are, not compressed");
        return 415;
    }
    return 0;
}

int request_check(struct http_request *r, char *text, size_t n, bool checks_host, char *why, size_t cap) {
    const char *reason = NULL;
    r->text = text;
    r->ends_connection = true;
    int status = http_parse_head(&r->head, text, n, &reason);
    r->dialect = route_claimed(r->server, r);
    r->head_only = slice_is(r->head.method, "HEAD");
    if (status == 0 && !decode(r, &reason)) status = reason ? 400 : 503;
    if (status) {
        (void)snprintf(why, cap, "%s", reason ? reason : "no memory for the request now; try again");
        return status;
    }
    r->ends_connection = r->head.chunked || r->head.length > 0; /* an answer before the body: it is not to be taken for the next request */
    if ((status = check_source(r, checks_host, why, cap))) return status;
    const bool options = slice_is(r->head.method, "OPTIONS");
    if (options && r->cors.p && http_header(r, "access-control-request-method").p) return (void)reply_options(r, true), -1;
    status = route_find(r);
    if (options && (status != 404 || slice_is(r->head.path, "*"))) return (void)reply_options(r, false), -1;
    if (status) {
        char quoted[200];
        err_quote(quoted, sizeof quoted, r->head.path.p, r->head.path.n);
        (void)snprintf(why, cap, status == 404 ? "there is nothing at %s" : "%s does not take this method", quoted);
        return status;
    }
    decode_param(r);
    if ((status = check_key(r, why, cap)) || (status = check_body(r, why, cap))) return status;
    r->ends_connection = false;
    return 0;
}
