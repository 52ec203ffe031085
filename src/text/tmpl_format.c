/* tmpl_format.c: "%s" % x, "{}".format(x) and the format specifications of both.
 *
 * The literal parts of a format keep their marks, and so do strings that are put in unpadded; padding and the signs, prefixes
 * and separators of numbers are data. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tmpl.h"

struct spec {
    uint32_t fill; /* 0: none given */
    char align;    /* < > = ^, or 0 */
    char sign;     /* + or a blank, or 0 */
    char group;    /* , or _, or 0 */
    char type;     /* or 0 */
    bool alternate, zero;
    int64_t width, precision; /* -1: none given */
};

enum { MOST_WIDTH = 1 << 20, MOST_PRECISION = 400 };

/* ---- laying out ---- */

static bool put_fill(struct ev *ev, struct sink *out, uint32_t cp, int64_t n) {
    char bytes[4];
    if (n <= 0) return true;
    val fill = new_string(ev, bytes, u8_put(bytes, cp ? cp : ' '), MARK_DATA);
    return fill && sink_fill(ev, out, fill, (size_t)n);
}

/* prefix (a sign, 0x) and body in the width asked for; `=` pads between the two */
static bool put_aligned(struct ev *ev, struct sink *out, const struct spec *s, char otherwise, val prefix, val body) {
    char align = s->align ? s->align : otherwise;
    int64_t n = (int64_t)(u8_count(body->s.p, body->s.n) + prefix->s.n), missing = s->width > n ? s->width - n : 0;
    int64_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0, middle = align == '=' ? missing : 0;
    return put_fill(ev, out, s->fill, left) && sink_part(ev, out, prefix, 0, prefix->s.n) && put_fill(ev, out, s->fill, middle) &&
           sink_part(ev, out, body, 0, body->s.n) && put_fill(ev, out, s->fill, missing - left - middle);
}

/* digits in groups of `size`, with zeros in front until the whole takes `width` places; `tail` (a fraction) follows */
static val grouped(struct ev *ev, const char *digits, size_t n, const char *tail, char separator, size_t size, int64_t width, uint8_t mark) {
    struct sink out = {0};
    int64_t room = width - (int64_t)strlen(tail);
    size_t zeros = 0;
    while (room > 0 && (int64_t)(n + zeros + (separator ? (n + zeros - 1) / size : 0)) < room) zeros++;
    for (size_t i = 0, total = n + zeros; i < total; i++) {
        if (separator && i && (total - i) % size == 0 && !sink_put(ev, &out, &separator, 1, MARK_DATA)) return NULL;
        if (!sink_put(ev, &out, i < zeros ? "0" : digits + (i - zeros), 1, mark)) return NULL;
    }
    return sink_cstr(ev, &out, tail, mark) ? sink_done(ev, &out, STRING_PLAIN) : NULL;
}

static bool put_digits(struct ev *ev, struct sink *out, const struct spec *s, const char *prefix, const char *digits, const char *tail,
                       size_t group_size, uint8_t mark) {
    bool zeros = s->zero && (!s->align || s->align == '=') && (!s->fill || s->fill == '0');
    int64_t width = zeros ? s->width - (int64_t)strlen(prefix) : 0;
    val body = grouped(ev, digits, strlen(digits), tail, s->group, group_size, width, mark), head = new_cstring(ev, prefix, mark);
    return body && head && put_aligned(ev, out, s, '>', head, body);
}

static void int_digits(char out[72], uint64_t u, unsigned base, bool upper) {
    char back[72];
    size_t n = 0;
    do back[n++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
    while (u /= base);
    for (size_t i = 0; i < n; i++) out[i] = back[n - 1 - i];
    out[n] = 0;
}

static bool put_int(struct ev *ev, struct sink *out, const struct spec *s, int64_t i, uint8_t mark) {
    char digits[72], prefix[4] = {0};
    unsigned base = s->type == 'b' ? 2 : s->type == 'o' ? 8 : (s->type | 32) == 'x' ? 16 : 10;
    int_digits(digits, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, base, s->type == 'X');
    (void)snprintf(prefix, sizeof prefix, "%s", i < 0 ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "");
    if (s->alternate && base != 10) {
        size_t n = strlen(prefix);
        prefix[n] = '0';
        prefix[n + 1] = s->type;
    }
    char padded[MOST_PRECISION + 80]; /* "%.5d": at least so many digits */
    int64_t n = (int64_t)strlen(digits), want = s->precision > n ? s->precision : n;
    (void)snprintf(padded, sizeof padded, "%0*d%s", (int)(want - n), 0, digits);
    return put_digits(ev, out, s, prefix, want > n ? padded : digits, "", base == 10 ? 3 : 4, mark);
}

/* |f| as s asks, without sign */
static void float_text(char *out, size_t cap, const struct spec *s, double f) {
    int precision = (int)(s->precision < 0 ? 6 : s->precision);
    char low = (char)(s->type | 32);
    if (s->type == 'e' || s->type == 'E') (void)snprintf(out, cap, s->alternate ? "%#.*e" : "%.*e", precision, f);
    else if (low == 'f' || s->type == '%') (void)snprintf(out, cap, s->alternate ? "%#.*f" : "%.*f", precision, s->type == '%' ? f * 100 : f);
    else if (low == 'g' || s->type == 'n') (void)snprintf(out, cap, s->alternate ? "%#.*g" : "%.*g", precision ? precision : 1, f);
    else if (s->precision < 0) (void)float_repr(out, f);
    else { /* no type: like g, but one digit after the point always */
        if (!precision) precision = 1;
        (void)snprintf(out, cap, "%.*e", precision - 1, f);
        int exponent = atoi(strchr(out, 'e') + 1);
        (void)snprintf(out, cap, "%.*g", precision, f);
        if (exponent >= -4 && exponent == precision - 1 && precision > 0) { /* %g would not use an exponent yet, Python does */
            (void)snprintf(out, cap, "%.*e", precision - 1, f);
            char *e = strchr(out, 'e'), *end = e;
            while (memchr(out, '.', (size_t)(e - out)) && end > out && (end[-1] == '0' || end[-1] == '.')) {
                bool point = end[-1] == '.';
                end--;
                if (point) break;
            }
            memmove(end, e, strlen(e) + 1);
        }
        if (!strpbrk(out, ".e")) (void)strcat(out, ".0");
    }
}

static bool put_float(struct ev *ev, struct sink *out, const struct spec *s, double f, uint8_t mark) {
    char text[1200], digits[400], prefix[2] = {0};
    bool negative = signbit(f) && !isnan(f);
    prefix[0] = negative ? '-' : s->sign;
    if (isfinite(f)) float_text(text, sizeof text - 2, s, fabs(f));
    else (void)snprintf(text, sizeof text, "%s", isnan(f) ? "nan" : "inf");
    if (s->type == '%') (void)strcat(text, "%");
    if (s->type == 'E' || s->type == 'F' || s->type == 'G')
        for (char *c = text; *c; c++)
            if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
    size_t n = isfinite(f) ? strspn(text, "0123456789") : strlen(text);
    if (n >= sizeof digits) return (void)fail(ev, "the number is too long to format"), false;
    memcpy(digits, text, n);
    digits[n] = 0;
    return put_digits(ev, out, s, prefix, digits, text + n, 3, mark);
}

static bool put_text(struct ev *ev, struct sink *out, const struct spec *s, val string, char otherwise) {
    val nothing = substring(ev, string, 0, 0);
    if (s->precision >= 0 && nothing) string = substring(ev, string, 0, u8_offset(string->s.p, string->s.n, (size_t)s->precision));
    return nothing && string && put_aligned(ev, out, s, otherwise, nothing, string);
}

/* ---- format(v, spec) ---- */

static bool spec_number(const char *p, size_t n, size_t *i, int64_t most, int64_t *out) {
    int64_t v = 0;
    for (; *i < n && p[*i] >= '0' && p[*i] <= '9'; ++*i) {
        v = v * 10 + (p[*i] - '0');
        if (v > most) return false;
    }
    *out = v;
    return true;
}

static bool parse_spec(struct ev *ev, val text, struct spec *s) {
    const char *p = text->s.p;
    size_t n = text->s.n, i = 0;
    uint32_t cp;
    *s = (struct spec){.width = -1, .precision = -1};
    size_t first = n ? u8_step(p, n, &cp) : 0;
    if (first && first < n && strchr("<>=^", p[first]) && p[first]) {
        s->fill = cp;
        s->align = p[first];
        i = first + 1;
    } else if (n && p[0] && strchr("<>=^", p[0])) {
        s->align = p[i++];
    }
    if (i < n && p[i] && strchr("+- ", p[i])) {
        s->sign = p[i] == '-' ? 0 : p[i];
        i++;
    }
    if (i < n && p[i] == '#') {
        s->alternate = true;
        i++;
    }
    if (i < n && p[i] == '0' && !s->fill) {
        s->zero = true;
        i++;
    }
    bool ok = true;
    if (i < n && p[i] >= '0' && p[i] <= '9') ok = spec_number(p, n, &i, MOST_WIDTH, &s->width);
    if (i < n && (p[i] == ',' || p[i] == '_')) s->group = p[i++];
    if (i < n && p[i] == '.') {
        i++;
        ok = ok && i < n && p[i] >= '0' && p[i] <= '9' && spec_number(p, n, &i, MOST_PRECISION, &s->precision);
    }
    if (i < n) s->type = p[i++];
    if (ok && i == n) return true;
    char quoted[60];
    return (void)fail(ev, "invalid format specifier '%s'", err_quote(quoted, sizeof quoted, p, n)), false;
}

static bool format_text(struct ev *ev, struct sink *out, struct spec *s, val v) {
    if (s->type && s->type != 's') return (void)fail(ev, "Unknown format code '%c' for object of type 'str'", s->type), false;
    if (s->sign || s->alternate || s->group || s->align == '=') return (void)fail(ev, "this format is not allowed for a string"), false;
    if (s->zero && !s->fill) s->fill = '0';
    return put_text(ev, out, s, v, '<');
}

static bool format_number(struct ev *ev, struct sink *out, struct spec *s, val v) {
    if (s->zero && !s->fill && !s->align) s->fill = '0';
    if (v->kind == V_FLOAT || (s->type && strchr("eEfFgG%", s->type))) {
        if (s->type && !strchr("eEfFgGn%", s->type)) return (void)fail(ev, "Unknown format code '%c' for object of type 'float'", s->type), false;
        return put_float(ev, out, s, float_of(v), v->mark);
    }
    if (s->type && !strchr("bcdoxXn", s->type)) return (void)fail(ev, "Unknown format code '%c' for object of type 'int'", s->type), false;
    if (s->precision >= 0) return (void)fail(ev, "Precision not allowed in integer format specifier"), false;
    if (s->type != 'c') return put_int(ev, out, s, int_of(v), v->mark);
    char bytes[4];
    if (int_of(v) < 0 || int_of(v) > 0x10ffff || (int_of(v) >= 0xd800 && int_of(v) < 0xe000)) return (void)fail(ev, "%%c arg not in range(0x110000)"), false;
    val one = new_string(ev, bytes, u8_put(bytes, (uint32_t)int_of(v)), MARK_DATA);
    return one && put_text(ev, out, s, one, '<');
}

val format_value(struct ev *ev, val v, val text) {
    struct spec s;
    struct sink out = {0};
    if (!text->s.n) return to_str(ev, v);
    if (v->kind != V_STRING && !is_number(v)) return fail(ev, "unsupported format string passed to %s.__format__", type_name(v));
    if (!parse_spec(ev, text, &s)) return NULL;
    bool ok = v->kind == V_STRING ? format_text(ev, &out, &s, v) : format_number(ev, &out, &s, v);
    return ok ? sink_done(ev, &out, STRING_PLAIN) : NULL;
}

/* ---- "...".format(...) ---- */

struct braces {
    const struct args *args;
    int64_t next; /* automatic numbering; -1: fields are numbered by hand */
    bool markup;
};

static val field_start(struct ev *ev, struct braces *b, val name) {
    int64_t index = 0;
    bool number = name->s.n < 10;
    for (size_t i = 0; number && i < name->s.n; i++) {
        number = name->s.p[i] >= '0' && name->s.p[i] <= '9';
        index = index * 10 + (name->s.p[i] - '0');
    }
    if (!name->s.n) {
        if (b->next < 0) return fail(ev, "cannot switch from manual field specification to automatic field numbering");
        index = b->next++;
    } else if (number) {
        if (b->next > 0) return fail(ev, "cannot switch from automatic field numbering to manual field specification");
        b->next = -1;
    }
    if (number) return (uint64_t)index < b->args->n ? b->args->at[index] : fail(ev, "Replacement index %" PRId64 " out of range for positional args tuple", index);
    for (size_t i = 0; i < b->args->n_named; i++)
        if (key_equal(b->args->named[i].name, name)) return b->args->named[i].value;
    char quoted[80];
    return fail(ev, "format() has no argument '%s'", err_quote(quoted, sizeof quoted, name->s.p, name->s.n));
}

/* first.attr[key]... */
static val field_value(struct ev *ev, struct braces *b, val field) {
    struct text s = field->s;
    size_t i = 0;
    while (i < s.n && s.p[i] != '.' && s.p[i] != '[') i++;
    val name = substring(ev, field, 0, i), v = name ? field_start(ev, b, name) : NULL;
    while (v && i < s.n) {
        bool item = s.p[i++] == '[';
        size_t from = i;
        while (i < s.n && (item ? s.p[i] != ']' : s.p[i] != '.' && s.p[i] != '[')) i++;
        if (i == from) return fail(ev, "Empty attribute in format string");
        val key = substring(ev, field, from, i - from);
        if (item && (i >= s.n || (i + 1 < s.n && s.p[i + 1] != '.' && s.p[i + 1] != '['))) return fail(ev, "Missing ']' in format string");
        i += item;
        int64_t index;
        bool overflow;
        if (!key) return NULL;
        if (item && key->s.p[0] >= '0' && key->s.p[0] <= '9' && parse_int_text(key->s, 10, &index, &overflow) && !overflow) key = new_int(ev, index);
        v = !key ? NULL : item ? get_item(ev, v, key) : get_attr(ev, v, key);
    }
    return v;
}

static val braces_text(struct ev *ev, struct braces *b, val format, int depth);

/* One field, from behind its brace to its closing brace: name [!r|!s|!a] [:spec] */
static val field_text(struct ev *ev, struct braces *b, val body, int depth) {
    struct text s = body->s;
    size_t i = 0;
    for (bool bracket = false; i < s.n && (bracket || (s.p[i] != '!' && s.p[i] != ':')); i++) {
        if (s.p[i] == '[') bracket = true;
        if (s.p[i] == ']') bracket = false;
        if (s.p[i] == '{' || s.p[i] == '}') return fail(ev, "unexpected '%c' in field name", s.p[i]);
    }
    val name = substring(ev, body, 0, i), v = name ? field_value(ev, b, name) : NULL;
    if (v && i < s.n && s.p[i] == '!') {
        char c = i + 1 < s.n ? s.p[i + 1] : 0;
        if (c != 'r' && c != 's' && c != 'a') return fail(ev, "Unknown conversion specifier in a format string");
        if (i + 2 < s.n && s.p[i + 2] != ':') return fail(ev, "expected ':' after conversion specifier");
        v = c == 's' ? to_str(ev, v) : to_repr(ev, v);
        i += 2;
    }
    if (!v) return NULL;
    val spec = i < s.n ? substring(ev, body, i + 1, s.n - i - 1) : substring(ev, body, 0, 0);
    if (spec && depth < 2) spec = braces_text(ev, b, spec, depth + 1);
    if (!spec) return NULL;
    if (!b->markup || depth > 1) return format_value(ev, v, spec);
    if (v->kind == V_STRING && v->flavor == STRING_MARKUP) return spec->s.n ? fail(ev, "Unsupported format specification for Markup.") : v;
    val text = format_value(ev, v, spec);
    return text ? html_escape(ev, text) : NULL;
}

static val braces_text(struct ev *ev, struct braces *b, val format, int depth) {
    struct sink out = {0};
    struct text s = format->s;
    for (size_t i = 0; i < s.n;) {
        size_t from = i;
        while (i < s.n && s.p[i] != '{' && s.p[i] != '}') i++;
        if (!sink_part(ev, &out, format, from, i - from)) return NULL;
        if (i >= s.n) break;
        if (i + 1 < s.n && s.p[i + 1] == s.p[i]) {
            if (!sink_part(ev, &out, format, i, 1)) return NULL;
            i += 2;
            continue;
        }
        if (s.p[i] == '}') return fail(ev, "Single '}' encountered in format string");
        size_t open = ++i;
        long nested = 1;
        for (; i < s.n && nested; i++) nested += (s.p[i] == '{') - (s.p[i] == '}');
        if (nested) return fail(ev, i == open ? "Single '{' encountered in format string" : "expected '}' before end of string");
        if (depth > 2) return fail(ev, "Max string recursion exceeded");
        val body = substring(ev, format, open, i - 1 - open), text = body ? field_text(ev, b, body, depth) : NULL;
        if (!text || !sink_part(ev, &out, text, 0, text->s.n) || !spend(ev, 1)) return NULL;
    }
    return sink_done(ev, &out, STRING_PLAIN);
}

val format_braces(struct ev *ev, val format, const struct args *args) {
    struct braces b = {.args = args, .markup = format->flavor == STRING_MARKUP};
    val text = braces_text(ev, &b, format, 1);
    return text ? with_flavor(ev, text, format->flavor) : NULL;
}

/* ---- "..." % values ---- */

struct percent {
    val values;
    size_t next; /* of a tuple; of anything else 0 or 1 */
    bool mapping, escaped;
};

static val next_value(struct ev *ev, struct percent *p) {
    if (is_tuple(p->values)) return p->next < p->values->l.n ? p->values->l.at[p->next++] : fail(ev, "not enough arguments for format string");
    return p->next++ == 0 ? p->values : fail(ev, "not enough arguments for format string");
}

static bool star_or_number(struct ev *ev, struct percent *p, struct text s, size_t *i, int64_t most, int64_t *out) {
    if (*i >= s.n || s.p[*i] != '*') {
        if (!spec_number(s.p, s.n, i, most, out)) return (void)fail(ev, "width or precision too big in a format string"), false;
        return true;
    }
    ++*i;
    val v = next_value(ev, p);
    if (!v) return false;
    if (!is_int(v)) return (void)fail(ev, "* wants int"), false;
    *out = int_of(v);
    if (*out > most || *out < -most) return (void)fail(ev, "width or precision too big in a format string"), false;
    return true;
}

static bool convert(struct ev *ev, struct sink *out, struct percent *p, struct spec *s, val v) {
    bool text = strchr("sra", s->type) != NULL;
    if (text) {
        v = s->type != 's' ? to_repr(ev, v) : p->escaped ? html_escape(ev, v) : to_str(ev, v);
        if (v && p->escaped && s->type != 's') v = html_escape(ev, v);
        s->fill = 0;
        return v && put_text(ev, out, s, v, '>');
    }
    if (s->type == 'c') {
        char bytes[4];
        if (v->kind == V_STRING && u8_count(v->s.p, v->s.n) == 1) return put_text(ev, out, s, v, '>');
        if (!is_int(v) || int_of(v) < 0 || int_of(v) > 0x10ffff || (int_of(v) >= 0xd800 && int_of(v) < 0xe000))
            return (void)fail(ev, "%%c requires int or char"), false;
        val one = new_string(ev, bytes, u8_put(bytes, (uint32_t)int_of(v)), MARK_DATA);
        return one && put_text(ev, out, s, one, '>');
    }
    if (v->kind == V_UNDEFINED) return (void)fail_undefined(ev, v), false;
    if (!is_number(v)) return (void)fail(ev, "%%%c format: a real number is required, not %s", s->type, type_name(v)), false;
    if (s->zero && !s->align) s->fill = '0';
    if (strchr("eEfFgG", s->type)) return put_float(ev, out, s, float_of(v), v->mark);
    if (v->kind == V_FLOAT) {
        if (!strchr("diu", s->type)) return (void)fail(ev, "%%%c format: an integer is required, not float", s->type), false;
        if (!(v->f >= -0x1p63 && v->f < 0x1p63)) return (void)fail(ev, "cannot convert this float to an integer"), false;
    }
    return put_int(ev, out, s, v->kind == V_FLOAT ? (int64_t)v->f : int_of(v), v->mark);
}

/* One conversion, from behind the percent sign at s[*i]. */
static bool conversion(struct ev *ev, struct sink *out, struct percent *p, val format, size_t *i) {
    struct text s = format->s;
    struct spec spec = {.width = -1, .precision = -1};
    val v = NULL;
    if (*i < s.n && s.p[*i] == '(') {
        size_t from = ++*i;
        long nested = 1;
        if (!p->mapping) return (void)fail(ev, "format requires a mapping"), false;
        for (; *i < s.n && nested; ++*i) nested += (s.p[*i] == '(') - (s.p[*i] == ')');
        if (nested) return (void)fail(ev, "incomplete format key"), false;
        val key = substring(ev, format, from, *i - 1 - from);
        v = key && p->values->kind == V_DICT ? dict_find(&p->values->d, key) : NULL;
        if (!v) return (void)fail(ev, "the mapping of a format string lacks a key"), false;
    }
    for (; *i < s.n && s.p[*i] && strchr("-+ #0", s.p[*i]); ++*i) {
        char c = s.p[*i];
        if (c == '-') spec.align = '<';
        else if (c == '#') spec.alternate = true;
        else if (c == '0') spec.zero = true;
        else if (c == '+' || !spec.sign) spec.sign = c;
    }
    if (!star_or_number(ev, p, s, i, MOST_WIDTH, &spec.width)) return false;
    if (spec.width < 0) {
        spec.align = '<';
        spec.width = -spec.width;
    }
    if (*i < s.n && s.p[*i] == '.') {
        ++*i;
        if (!star_or_number(ev, p, s, i, MOST_PRECISION, &spec.precision)) return false;
        if (spec.precision < 0) spec.precision = 0;
    }
    while (*i < s.n && (s.p[*i] == 'l' || s.p[*i] == 'h' || s.p[*i] == 'L')) ++*i;
    if (*i >= s.n) return (void)fail(ev, "incomplete format"), false;
    spec.type = s.p[(*i)++];
    if (spec.type == '%') return sink_put(ev, out, "%", 1, s.mark[*i - 1]);
    if (!spec.type || !strchr("diuoxXeEfFgGcrsa", spec.type)) return (void)fail(ev, "unsupported format character in a format string"), false;
    if (!v && !(v = next_value(ev, p))) return false;
    return convert(ev, out, p, &spec, v);
}

val format_percent(struct ev *ev, val format, val values) {
    struct sink out = {0};
    struct text s = format->s;
    struct percent p = {.values = values, .escaped = format->flavor == STRING_MARKUP};
    p.mapping = values->kind == V_DICT || (values->kind == V_LIST && !is_tuple(values)) || values->kind == V_UNDEFINED;
    for (size_t i = 0; i < s.n;) {
        const char *sign = memchr(s.p + i, '%', s.n - i);
        size_t at = sign ? (size_t)(sign - s.p) : s.n;
        if (!sink_part(ev, &out, format, i, at - i) || !spend(ev, 1)) return NULL;
        i = at + 1;
        if (sign && !conversion(ev, &out, &p, format, &i)) return NULL;
    }
    bool left = is_tuple(values) ? p.next < values->l.n : p.next == 0;
    if (left && !p.mapping) return fail(ev, "not all arguments converted during string formatting");
    return sink_done(ev, &out, format->flavor);
}
