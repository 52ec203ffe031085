/* err.c: errors as values; see err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

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

int err_add(struct err *e, const char *text) {
    if (!e) return ERR_INTERNAL;
    const size_t n = strlen(e->msg);
    (void)snprintf(e->msg + n, sizeof e->msg - n, "%s", text);
    return e->code;
}

int err_in(struct err *e, const char *fmt, ...) {
    if (!e) return ERR_INTERNAL;
    char prefix[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(prefix, sizeof prefix - 2, fmt, args);
    va_end(args);
    strcat(prefix, ": ");
    size_t n = strlen(prefix), kept = strlen(e->msg);
    if (kept > sizeof e->msg - 1 - n) kept = sizeof e->msg - 1 - n;
    memmove(e->msg + n, e->msg, kept);
    memcpy(e->msg, prefix, n);
    e->msg[n + kept] = 0;
    return e->code;
}

/* Whether a character may stand in a message as it is: not a control, and not one that breaks or turns the line. */
static bool printable(uint32_t c) {
    return c >= 0x20 && (c < 0x7f || c >= 0xa0) && c != 0xfeff && !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
           !(c >= 0x2066 && c <= 0x2069);
}

const char *err_quote(char *out, unsigned cap, const void *text, unsigned long len) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *s = text;
    size_t n = 0;
    for (size_t i = 0, k; i < len; i += k) {
        uint32_t c;
        if (n + 8 > cap) { /* a character takes up to 4 bytes, the dots 3, the NUL 1 */
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        k = utf8_char(s + i, len - i, &c);
        if (k > 0 && printable(c)) {
            memcpy(out + n, s + i, k);
            n += k;
        } else {
            k = 1;
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[s[i] >> 4];
            out[n++] = hex[s[i] & 15];
        }
    }
    out[n] = 0;
    return out;
}
