/* utf8.h: UTF-8 one character at a time, over bytes that need not be it (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). Pure.
 */
#ifndef HEARTH_UTF8_H
#define HEARTH_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed character at p (1 to 4), or 0 when there is none in the n bytes. *code gets its number. */
static inline size_t utf8_char(const void *p, size_t n, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *s = p;
    if (n == 0) return 0;
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > n) return 0;
    uint32_t c = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *code = c;
    return len;
}

/* Bytes of the longest well-formed prefix; n when all is well. */
static inline size_t utf8_prefix(const void *p, size_t n) {
    const uint8_t *s = p;
    size_t at = 0, len;
    uint32_t code;
    while (at < n && (len = utf8_char(s + at, n - at, &code)) > 0) at += len;
    return at;
}

/* Writes a character (at most U+10FFFF) to out and returns its bytes. */
static inline size_t utf8_put(char out[4], uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> len & 0xff) | code);
    return len;
}

#endif
