/* tmpl_unicode.c: code points, their classes and their case, as Python's str sees them.
 *
 * utf8proc knows categories and one-to-one mappings; the few mappings to several code points come from tmpl_casing.h, and
 * the final sigma rule is here. Invalid UTF-8 is carried through byte by byte (see tmpl.h). */
#include <string.h>
#include <utf8proc.h>

#include "text/tmpl.h"
#include "text/tmpl_casing.h"

enum { INVALID_BASE = 0xdc00 };

/* Well-formed sequences by first byte (Unicode, table 3-7). Returns the length, 0: malformed. */
static size_t decode(const unsigned char *s, size_t n, uint32_t *cp) {
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < len) return 0;
    uint32_t c = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if ((len == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (len == 4 && (c < 0x10000 || c > 0x10ffff))) return 0;
    *cp = c;
    return len;
}

size_t u8_step(const char *p, size_t n, uint32_t *cp) {
    const unsigned char *s = (const unsigned char *)p;
    size_t len = decode(s, n, cp);
    if (len) return len;
    *cp = INVALID_BASE + s[0];
    return 1;
}

size_t u8_step_back(const char *p, size_t n, uint32_t *cp) {
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        if (((unsigned char)p[n - back] & 0xc0) == 0x80 && back < 4) continue;
        if (u8_step(p + n - back, back, cp) == back) return back;
        break;
    }
    *cp = INVALID_BASE + (unsigned char)p[n - 1];
    return 1;
}

size_t u8_count(const char *p, size_t n) {
    size_t count = 0;
    uint32_t cp;
    for (size_t i = 0; i < n; count++) i += (unsigned char)p[i] < 0x80 ? 1 : u8_step(p + i, n - i, &cp);
    return count;
}

size_t u8_offset(const char *p, size_t n, size_t index) {
    size_t i = 0;
    uint32_t cp;
    for (; i < n && index; index--) i += (unsigned char)p[i] < 0x80 ? 1 : u8_step(p + i, n - i, &cp);
    return i;
}

size_t u8_put(char out[4], uint32_t cp) {
    if (cp >= INVALID_BASE + 0x80 && cp <= INVALID_BASE + 0xff) {
        out[0] = (char)(cp - INVALID_BASE);
        return 1;
    }
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

bool u8_valid(const char *p, size_t n) {
    uint32_t cp;
    for (size_t i = 0, len; i < n; i += len)
        if (!(len = decode((const unsigned char *)p + i, n - i, &cp))) return false;
    return true;
}

/* Code points of Numeric_Type=Digit that are not decimal digits (superscripts, circled digits and the like). */
static bool other_digit(uint32_t c) {
    static const uint32_t ranges[][2] = {
        {0xb2, 0xb3}, {0xb9, 0xb9}, {0x1369, 0x1371}, {0x19da, 0x19da}, {0x2070, 0x2070}, {0x2074, 0x2079}, {0x2080, 0x2089},
        {0x2460, 0x2468}, {0x2474, 0x247c}, {0x2488, 0x2490}, {0x24ea, 0x24ea}, {0x24f5, 0x24fd}, {0x24ff, 0x24ff},
        {0x2776, 0x277e}, {0x2780, 0x2788}, {0x278a, 0x2792}, {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a},
        {0x1f100, 0x1f10a},
    };
    for (size_t i = 0; i < TABLE_SIZE(ranges); i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

static bool ascii_is(uint32_t c, enum char_class k) {
    bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z', digit = c >= '0' && c <= '9';
    switch (k) {
    case CHAR_SPACE: return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
    case CHAR_ALPHA:
    case CHAR_CASED: return lower || upper;
    case CHAR_DECIMAL:
    case CHAR_DIGIT:
    case CHAR_NUMERIC: return digit;
    case CHAR_ALNUM: return lower || upper || digit;
    case CHAR_LOWER: return lower;
    case CHAR_UPPER: return upper;
    case CHAR_TITLE: return false;
    case CHAR_PRINTABLE: return c >= 32 && c < 127;
    case CHAR_WORD: return lower || upper || digit || c == '_';
    case CHAR_CASE_IGNORABLE: return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`';
    }
    return false;
}

bool char_is(uint32_t c, enum char_class k) {
    if (c < 0x80) return ascii_is(c, k);
    utf8proc_category_t g = utf8proc_category((utf8proc_int32_t)c);
    bool letter = g >= UTF8PROC_CATEGORY_LU && g <= UTF8PROC_CATEGORY_LO, decimal = g == UTF8PROC_CATEGORY_ND;
    bool numeric = decimal || g == UTF8PROC_CATEGORY_NL || g == UTF8PROC_CATEGORY_NO;
    bool lower = utf8proc_islower((utf8proc_int32_t)c), upper = utf8proc_isupper((utf8proc_int32_t)c);
    switch (k) {
    case CHAR_SPACE: return c == 0x85 || g == UTF8PROC_CATEGORY_ZS || g == UTF8PROC_CATEGORY_ZL || g == UTF8PROC_CATEGORY_ZP;
    case CHAR_ALPHA: return letter;
    case CHAR_DECIMAL: return decimal;
    case CHAR_DIGIT: return decimal || other_digit(c);
    case CHAR_NUMERIC: return numeric;
    case CHAR_ALNUM: return letter || numeric;
    case CHAR_LOWER: return lower;
    case CHAR_UPPER: return upper;
    case CHAR_TITLE: return g == UTF8PROC_CATEGORY_LT;
    case CHAR_CASED: return lower || upper || g == UTF8PROC_CATEGORY_LT;
    case CHAR_PRINTABLE: return g != UTF8PROC_CATEGORY_CN && g < UTF8PROC_CATEGORY_ZS;
    case CHAR_WORD: return letter || numeric || g == UTF8PROC_CATEGORY_MN || g == UTF8PROC_CATEGORY_MC || g == UTF8PROC_CATEGORY_PC;
    case CHAR_CASE_IGNORABLE:
        return g == UTF8PROC_CATEGORY_MN || g == UTF8PROC_CATEGORY_ME || g == UTF8PROC_CATEGORY_CF || g == UTF8PROC_CATEGORY_LM ||
               g == UTF8PROC_CATEGORY_SK || c == 0xb7 || c == 0x2019 || c == 0x2018 || c == 0x2024 || c == 0x2027;
    }
    return false;
}

static int special(const struct special_case *table, size_t n, uint32_t cp, uint32_t out[4]) {
    for (size_t lo = 0, hi = n; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        if (table[mid].cp < cp) lo = mid + 1;
        else hi = mid;
        if (table[mid].cp != cp) continue;
        int k = 0;
        while (k < 3 && table[mid].to[k]) {
            out[k] = table[mid].to[k];
            k++;
        }
        return k;
    }
    return 0;
}

int char_map(uint32_t cp, enum case_map map, uint32_t out[4]) {
    utf8proc_int32_t c = (utf8proc_int32_t)cp;
    int k = 0;
    if (cp >= 0xd800 && cp < 0xe000) {
        out[0] = cp;
        return 1;
    }
    switch (map) {
    case CASE_UPPER:
        if (cp >= 0x80 && (k = special(special_upper, TABLE_SIZE(special_upper), cp, out)) > 0) return k;
        out[0] = (uint32_t)utf8proc_toupper(c);
        return 1;
    case CASE_TITLE:
        if (cp >= 0x80 && (k = special(special_title, TABLE_SIZE(special_title), cp, out)) > 0) return k;
        out[0] = (uint32_t)utf8proc_totitle(c);
        return 1;
    case CASE_LOWER:
        if (cp == 0x130) {
            out[0] = 'i';
            out[1] = 0x307;
            return 2;
        }
        out[0] = (uint32_t)utf8proc_tolower(c);
        return 1;
    case CASE_FOLD: {
        utf8proc_int32_t folded[4];
        int last = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char(c, folded, 4, UTF8PROC_CASEFOLD, &last);
        if (n < 1 || n > 4) break;
        for (int i = 0; i < n; i++) out[i] = (uint32_t)folded[i];
        return (int)n;
    }
    }
    out[0] = cp;
    return 1;
}

/* Whether the sigma at s[at, at + len) ends a word: a cased letter before it and none after, ignorable ones skipped. */
static bool final_sigma(struct text s, size_t at, size_t len) {
    uint32_t cp;
    bool before = false;
    for (size_t i = at; i > 0;) {
        i -= u8_step_back(s.p, i, &cp);
        if (char_is(cp, CHAR_CASE_IGNORABLE)) continue;
        before = char_is(cp, CHAR_CASED);
        break;
    }
    for (size_t i = at + len; before && i < s.n;) {
        i += u8_step(s.p + i, s.n - i, &cp);
        if (char_is(cp, CHAR_CASE_IGNORABLE)) continue;
        return !char_is(cp, CHAR_CASED);
    }
    return before;
}

/* Maps the code point at s[at] and adds it with the mark of the byte it came from. */
static bool add_mapped(struct ev *ev, struct sink *out, struct text s, size_t at, size_t len, uint32_t cp, enum case_map map) {
    uint32_t to[4];
    int k = char_map(cp, map, to);
    if (cp == 0x3a3 && map == CASE_LOWER && final_sigma(s, at, len)) to[0] = 0x3c2;
    for (int i = 0; i < k; i++)
        if (!sink_codepoint(ev, out, to[i], s.mark[at])) return false;
    return true;
}

val map_case(struct ev *ev, val string, enum case_map map) {
    struct sink out = {0};
    struct text s = string->s;
    uint32_t cp;
    if (!sink_room(ev, &out, s.n)) return NULL;
    for (size_t i = 0, len; i < s.n; i += len) {
        len = u8_step(s.p + i, s.n - i, &cp);
        if (!add_mapped(ev, &out, s, i, len, cp, map)) return NULL;
    }
    return sink_done(ev, &out, string->flavor);
}

val capitalize(struct ev *ev, val string) {
    struct sink out = {0};
    struct text s = string->s;
    uint32_t cp;
    if (!sink_room(ev, &out, s.n)) return NULL;
    for (size_t i = 0, len; i < s.n; i += len) {
        len = u8_step(s.p + i, s.n - i, &cp);
        if (!add_mapped(ev, &out, s, i, len, cp, i ? CASE_LOWER : CASE_TITLE)) return NULL;
    }
    return sink_done(ev, &out, string->flavor);
}

val title_case(struct ev *ev, val string) {
    struct sink out = {0};
    struct text s = string->s;
    uint32_t cp;
    bool inside = false; /* a word, that is a run of cased letters */
    if (!sink_room(ev, &out, s.n)) return NULL;
    for (size_t i = 0, len; i < s.n; i += len) {
        len = u8_step(s.p + i, s.n - i, &cp);
        if (!add_mapped(ev, &out, s, i, len, cp, inside ? CASE_LOWER : CASE_TITLE)) return NULL;
        inside = char_is(cp, CHAR_CASED);
    }
    return sink_done(ev, &out, string->flavor);
}

val swap_case(struct ev *ev, val string) {
    struct sink out = {0};
    struct text s = string->s;
    uint32_t cp;
    if (!sink_room(ev, &out, s.n)) return NULL;
    for (size_t i = 0, len; i < s.n; i += len) {
        len = u8_step(s.p + i, s.n - i, &cp);
        if (char_is(cp, CHAR_UPPER) || char_is(cp, CHAR_LOWER)) {
            if (!add_mapped(ev, &out, s, i, len, cp, char_is(cp, CHAR_UPPER) ? CASE_LOWER : CASE_UPPER)) return NULL;
        } else if (!sink_part(ev, &out, string, i, len)) {
            return NULL;
        }
    }
    return sink_done(ev, &out, string->flavor);
}
