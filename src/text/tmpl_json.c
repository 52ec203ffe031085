/* tmpl_json.c: reading a context (value_from_json) and the tojson filter, which writes as Python's json.dumps does. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/tmpl.h"

/* ---- reading ---- */

static struct value *from_jansson(struct arena *a, const json_t *j, int depth, int *rc) {
    if (depth <= 0) {
        *rc = ERR_FORMAT;
        return NULL;
    }
    switch (json_typeof(j)) {
    case JSON_NULL: return value_none(a);
    case JSON_TRUE:
    case JSON_FALSE: return value_bool(a, json_is_true(j));
    case JSON_INTEGER: return value_int(a, json_integer_value(j));
    case JSON_REAL: return value_float(a, json_real_value(j));
    case JSON_STRING: return value_string(a, json_string_value(j), json_string_length(j), VALUE_DATA);
    case JSON_ARRAY: {
        struct value *list = value_list(a);
        for (size_t i = 0; list && i < json_array_size(j); i++)
            if (!value_append(a, list, from_jansson(a, json_array_get(j, i), depth - 1, rc))) return NULL;
        return list;
    }
    case JSON_OBJECT: {
        struct value *dict = value_dict(a);
        json_t *object = (json_t *)(uintptr_t)j; /* jansson's iterators take it without const, and only read */
        for (void *it = json_object_iter(object); dict && it; it = json_object_iter_next(object, it))
            if (!value_set(a, dict, json_object_iter_key(it), from_jansson(a, json_object_iter_value(it), depth - 1, rc))) return NULL;
        return dict;
    }
    }
    return NULL;
}

int value_from_json(struct arena *a, const char *text, size_t n, struct value **v, struct err *e) {
    json_error_t why;
    *v = NULL;
    json_t *j = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!j) return err_set(e, ERR_FORMAT, "JSON line %d, column %d: %s", why.line, why.column, why.text);
    int rc = ERR_MEMORY;
    *v = from_jansson(a, j, VALUE_JSON_DEPTH, &rc);
    json_decref(j);
    if (*v) return 0;
    if (rc == ERR_FORMAT) return err_set(e, rc, "JSON: nested deeper than %d levels", VALUE_JSON_DEPTH);
    return err_nomem(e, "values from JSON", n);
}

/* ---- writing ---- */

struct json_style {
    val indent; /* a string, or NULL: all on one line */
    val item_separator, key_separator;
    bool ascii, sort_keys;
};

static bool put_string(struct ev *ev, struct sink *out, struct text s, bool ascii) {
    static const char hex[] = "0123456789abcdef";
    uint32_t cp;
    if (!sink_room(ev, out, s.n + 2) || !sink_put(ev, out, "\"", 1, MARK_DATA)) return false;
    for (size_t i = 0; i < s.n;) {
        size_t n = u8_step(s.p + i, s.n - i, &cp);
        char text[16] = {'\\', 0};
        size_t len = 2;
        switch (cp) {
        case '"':
        case '\\': text[1] = (char)cp; break;
        case '\n': text[1] = 'n'; break;
        case '\r': text[1] = 'r'; break;
        case '\t': text[1] = 't'; break;
        case '\f': text[1] = 'f'; break;
        case '\b': text[1] = 'b'; break;
        default: len = 0;
        }
        if (!len && (cp < 0x20 || (ascii && cp >= 0x7f && cp != 0x7f))) {
            uint32_t units[2] = {cp, 0};
            if (cp >= 0x10000) {
                units[0] = 0xd800 + ((cp - 0x10000) >> 10);
                units[1] = 0xdc00 + ((cp - 0x10000) & 0x3ff);
            }
            for (int u = 0; u < 2 && (u == 0 || units[1]); u++) {
                memcpy(text + len, "\\u", 2);
                for (int k = 0; k < 4; k++) text[len + 2 + (size_t)k] = hex[units[u] >> (12 - 4 * k) & 15];
                len += 6;
            }
        }
        if (!sink_put(ev, out, len ? text : s.p + i, len ? len : n, MARK_DATA)) return false;
        i += n;
    }
    return sink_put(ev, out, "\"", 1, MARK_DATA);
}

static bool put_number(struct ev *ev, struct sink *out, val v) {
    char text[32];
    if (v->kind == V_BOOL) return sink_cstr(ev, out, v->b ? "true" : "false", MARK_DATA);
    if (v->kind == V_INT) return sink_put(ev, out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, v->i), MARK_DATA);
    if (isnan(v->f) || isinf(v->f)) return sink_cstr(ev, out, isnan(v->f) ? "NaN" : v->f < 0 ? "-Infinity" : "Infinity", MARK_DATA);
    return sink_put(ev, out, text, float_repr(text, v->f), MARK_DATA);
}

static bool put_json(struct ev *ev, struct sink *out, val v, const struct json_style *style, size_t level);

static bool put_newline(struct ev *ev, struct sink *out, const struct json_style *style, size_t level) {
    return !style->indent || (sink_put(ev, out, "\n", 1, MARK_DATA) && sink_fill(ev, out, style->indent, level));
}

/* What stands before item i: the separator, and a new line where there is an indent */
static bool put_separator(struct ev *ev, struct sink *out, const struct json_style *style, size_t i, size_t level) {
    return (!i || sink_part(ev, out, style->item_separator, 0, style->item_separator->s.n)) && put_newline(ev, out, style, level);
}

static bool put_list(struct ev *ev, struct sink *out, const struct list *l, const struct json_style *style, size_t level) {
    if (!l->n) return sink_cstr(ev, out, "[]", MARK_DATA);
    if (!sink_put(ev, out, "[", 1, MARK_DATA)) return false;
    for (size_t i = 0; i < l->n; i++)
        if (!put_separator(ev, out, style, i, level + 1) || !put_json(ev, out, l->at[i], style, level + 1)) return false;
    return put_newline(ev, out, style, level) && sink_put(ev, out, "]", 1, MARK_DATA);
}

static bool put_key(struct ev *ev, struct sink *out, val key, const struct json_style *style) {
    if (key->kind == V_STRING) return put_string(ev, out, key->s, style->ascii);
    if (key->kind != V_NONE && !is_number(key))
        return (void)fail(ev, "keys must be str, int, float, bool or None, not %s", type_name(key)), false;
    return sink_put(ev, out, "\"", 1, MARK_DATA) && (key->kind == V_NONE ? sink_cstr(ev, out, "null", MARK_DATA) : put_number(ev, out, key)) &&
           sink_put(ev, out, "\"", 1, MARK_DATA);
}

static bool put_dict(struct ev *ev, struct sink *out, const struct dict *d, const struct json_style *style, size_t level) {
    size_t *order = NULL;
    if (!d->n) return sink_cstr(ev, out, "{}", MARK_DATA);
    if (!sink_put(ev, out, "{", 1, MARK_DATA)) return false;
    if (style->sort_keys) {
        val *keys = take(ev, d->n, sizeof *keys);
        if (!keys || !(order = take(ev, d->n, sizeof *order))) return false;
        for (size_t i = 0; i < d->n; i++) keys[i] = d->at[i].key;
        if (!sort_values(ev, keys, d->n, false, order)) return false;
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct pair *pair = &d->at[order ? order[i] : i];
        if (!put_separator(ev, out, style, i, level + 1) || !put_key(ev, out, pair->key, style) ||
            !sink_part(ev, out, style->key_separator, 0, style->key_separator->s.n) || !put_json(ev, out, pair->value, style, level + 1))
            return false;
    }
    return put_newline(ev, out, style, level) && sink_put(ev, out, "}", 1, MARK_DATA);
}

static bool put_json(struct ev *ev, struct sink *out, val v, const struct json_style *style, size_t level) {
    if (!deeper(ev) || !spend(ev, 1)) return false;
    bool ok;
    switch ((enum value_kind)v->kind) {
    case V_NONE: ok = sink_cstr(ev, out, "null", MARK_DATA); break;
    case V_BOOL:
    case V_INT:
    case V_FLOAT: ok = put_number(ev, out, v); break;
    case V_STRING: ok = put_string(ev, out, v->s, style->ascii); break;
    case V_DICT: ok = put_dict(ev, out, &v->d, style, level); break;
    case V_LIST:
        if (v->flavor <= LIST_GROUP) {
            ok = put_list(ev, out, &v->l, style, level);
            break;
        } /* fall through */
    default: ok = fail(ev, "Object of type %s is not JSON serializable", type_name(v)) != NULL;
    }
    ev->depth--;
    return ok;
}

val to_json(struct ev *ev, val v, val indent, val separators, bool ascii, bool sort_keys) {
    struct json_style style = {.ascii = ascii, .sort_keys = sort_keys};
    struct sink blanks = {0}, out = {0};
    if (indent && indent->kind == V_STRING) {
        style.indent = indent;
    } else if (indent && indent->kind != V_NONE) {
        int64_t n;
        val blank = new_cstring(ev, " ", MARK_DATA);
        if (!blank || !arg_int(ev, indent, 0, &n) || !sink_fill(ev, &blanks, blank, n > 0 ? (size_t)n : 0)) return NULL;
        if (!(style.indent = sink_done(ev, &blanks, STRING_PLAIN))) return NULL;
    }
    if (separators && separators->kind != V_NONE) {
        if (separators->kind != V_LIST || separators->l.n != 2) return fail(ev, "tojson takes two separators");
        style.item_separator = separators->l.at[0];
        style.key_separator = separators->l.at[1];
        if (!arg_text(ev, style.item_separator, "a separator of tojson") || !arg_text(ev, style.key_separator, "a separator of tojson")) return NULL;
    } else {
        style.item_separator = new_cstring(ev, style.indent ? "," : ", ", MARK_DATA);
        style.key_separator = new_cstring(ev, ": ", MARK_DATA);
    }
    if (!style.item_separator || !style.key_separator || !put_json(ev, &out, v, &style, 0)) return NULL;
    return sink_done(ev, &out, STRING_PLAIN);
}
