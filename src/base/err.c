/* err.c: errors as values; see err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...) {
    if (!e) return code;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(e->msg, sizeof e->msg, fmt, args);
    va_end(args);
    e->code = code;
    return code;
}

int err_nomem(struct err *e, const char *what, unsigned long long n) {
    return err_set(e, ERR_MEMORY, "out of memory: %llu bytes for %s", n, what);
}

int err_in(struct err *e, const char *fmt, ...) {
    if (!e) return ERR_INTERNAL;
    char was[sizeof e->msg], prefix[256];
    memcpy(was, e->msg, sizeof was);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    size_t n = strlen(prefix);
    memcpy(e->msg, prefix, n);
    (void)snprintf(e->msg + n, sizeof e->msg - n, ": %s", was);
    return e->code;
}

const char *err_quote(char *out, unsigned cap, const void *text, unsigned long len) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *s = text;
    unsigned n = 0;
    for (unsigned long i = 0; i < len; i++) {
        if (n + 8 > cap) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        if (s[i] >= 0x20 && s[i] < 0x7f) {
            out[n++] = (char)s[i];
        } else {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[s[i] >> 4];
            out[n++] = hex[s[i] & 15];
        }
    }
    out[n] = 0;
    return out;
}
