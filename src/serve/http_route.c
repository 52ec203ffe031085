/* http_route.c: which handler a request is for. Tables are short, so they are searched row by row; the path is compared as it was sent, and only what
 * a parameter matched is decoded, so that an encoded slash is no slash. */
#include <limits.h>
#include <string.h>

#include "serve/http_internal.h"

static bool starts(struct slice s, const char *with, size_t n) { return s.n >= n && memcmp(s.p, with, n) == 0; }

/* How well a pattern fits: 0: not at all; more the more of it is literal. *param: what its parameter matched. */
static int fit(const char *pattern, struct slice path, struct slice *param) {
    const char *brace = strchr(pattern, '{');
    *param = (struct slice){0};
    if (!brace) return slice_is(path, pattern) ? INT_MAX : 0;
    size_t n = (size_t)(brace - pattern);
    bool rest = strstr(brace, "...}") != NULL;
    if (!starts(path, pattern, n) || path.n == n) return 0;
    *param = (struct slice){path.p + n, path.n - n};
    if (!rest && memchr(param->p, '/', param->n)) return 0;
    return (int)n * 2 + !rest;
}

static bool answers(const struct http_route *route, struct slice method) {
    return slice_is(method, route->method) || (slice_is(method, "HEAD") && strcmp(route->method, "GET") == 0);
}

static bool claims_by_header(const struct http_dialect *d, const struct http_request *r) { return d->claim_header && http_header(r, d->claim_header).p; }

const struct http_dialect *route_claimed(const struct http_server *s, const struct http_request *r) {
    for (int i = 0; i < s->o.n_dialects; i++)
        if (claims_by_header(s->o.dialects[i], r)) return s->o.dialects[i];
    for (int i = 0; i < s->o.n_dialects; i++) {
        const char *prefix = s->o.dialects[i]->claim_prefix;
        if (prefix && starts(r->head.path, prefix, strlen(prefix))) return s->o.dialects[i];
    }
    return s->o.dialects[0];
}

int route_find(struct http_request *r) {
    const struct http_server *s = r->server;
    const struct http_route *best = NULL;
    struct slice param, best_param = {0};
    int best_fit = 0, other_fit = 0; /* of rows with the method, and with another one */
    bool best_claims = false, other_claims = false;
    for (int i = 0; i < s->o.n_dialects; i++) {
        const struct http_dialect *d = s->o.dialects[i];
        bool claims = claims_by_header(d, r);
        for (int k = 0; k < d->n_routes; k++) {
            int f = fit(d->routes[k].path, r->head.path, &param);
            bool mine = answers(&d->routes[k], r->head.method);
            if (f > 0 && mine && (f > best_fit || (f == best_fit && claims && !best_claims))) {
                best = &d->routes[k];
                best_fit = f;
                best_claims = claims;
                best_param = param;
                r->dialect = d;
            } else if (f > 0 && !best && (f > other_fit || (f == other_fit && claims && !other_claims))) {
                other_fit = f;
                other_claims = claims;
                r->dialect = d;
            }
        }
    }
    if (!best) return other_fit ? 405 : 404;
    r->route = best;
    r->param = best_param; /* as it was sent */
    return 0;
}

bool route_methods(const struct http_request *r, struct buf *out) {
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    const struct http_server *s = r->server;
    bool ok = true;
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        bool found = slice_is(r->head.path, "*");
        for (int i = 0; i < s->o.n_dialects; i++)
            for (int k = 0; k < s->o.dialects[i]->n_routes; k++) {
                struct slice param;
                const struct http_route *route = &s->o.dialects[i]->routes[k];
                found = found || (answers(route, slice_of(methods[m])) && fit(route->path, r->head.path, &param));
            }
        if (found) ok = ok && buf_printf(out, "%s, ", methods[m]);
    }
    return ok && buf_str(out, "OPTIONS");
}
