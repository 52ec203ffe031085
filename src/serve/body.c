/* body.c: JSON bodies; see body.h. */
#include "serve/body.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Brackets and braces that are open at once, strings aside: jansson's own limit is far higher and not ours to set. */
static int deepest(struct slice text) {
    int depth = 0, most = 0;
    bool inside = false;
    for (size_t i = 0; i < text.n; i++) {
        const char c = text.p[i];
        if (inside && c == '\\') i++;
        else if (c == '"') inside = !inside;
        else if (!inside && (c == '[' || c == '{')) most = ++depth > most ? depth : most;
        else if (!inside && (c == ']' || c == '}')) depth--;
    }
    return most;
}

/* Where a text that is no JSON goes wrong: the members and items that are open there. What comes before is JSON, or nearly so. */
struct trail {
    struct step {
        struct slice key; /* of an object's member that was begun */
        int item;         /* of an array; -1: it is an object */
        bool named;       /* the member's name is known */
    } step[BODY_DEPTH];
    int depth;
};

static void follow(struct trail *t, struct slice text, size_t end) {
    for (size_t i = 0; i < end; i++) {
        const char c = text.p[i];
        struct step *s = t->depth ? &t->step[t->depth - 1] : NULL;
        if (c == '"') {
            const size_t begin = i + 1;
            for (i++; i < end && text.p[i] != '"'; i++) i += text.p[i] == '\\';
            if (s && s->item < 0 && !s->named && i < end) s->key = (struct slice){text.p + begin, i - begin}, s->named = true;
        } else if ((c == '[' || c == '{') && t->depth < BODY_DEPTH) {
            t->step[t->depth++] = (struct step){.item = c == '[' ? 0 : -1};
        } else if ((c == ']' || c == '}') && s) {
            t->depth--;
        } else if (c == ',' && s) {
            s->item += s->item >= 0;
            s->named = false;
        }
    }
}

/* "messages[2].content"; "" at the top. What is not to be read in a name is quoted, and a long path ends early. */
static void name_trail(const struct trail *t, char path[BODY_PATH]) {
    size_t n = 0;
    *path = 0;
    for (int i = 0; i < t->depth && n < BODY_PATH - 64; i++) {
        const struct step *s = &t->step[i];
        char name[48];
        if (s->item < 0 && !s->named) break;
        if (s->item >= 0) n += (size_t)snprintf(path + n, BODY_PATH - n, "[%d]", s->item);
        else n += (size_t)snprintf(path + n, BODY_PATH - n, "%s%s", n ? "." : "", err_quote(name, sizeof name, s->key.p, s->key.n));
    }
}

static int not_json(struct slice text, const json_error_t *why, struct err *e) {
    const size_t end = why->position > 0 && (size_t)why->position < text.n ? (size_t)why->position : 0; /* where the text just ends, no field is to blame */
    struct trail trail = {.depth = 0};
    char shown[160], path[BODY_PATH];
    follow(&trail, text, end);
    name_trail(&trail, path);
    return err_set(e, ERR_FORMAT, "%s%sthe body is not JSON: line %d, column %d: %s", path, *path ? ": " : "", why->line, why->column, err_quote(shown, sizeof shown, why->text, strlen(why->text)));
}

int body_parse(json_t **body, struct slice text, struct err *e) {
    json_error_t why;
    *body = NULL;
    if (deepest(text) > BODY_DEPTH) return err_set(e, ERR_FORMAT, "the body is nested deeper than %d", BODY_DEPTH);
    json_t *v = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!v) return not_json(text, &why, e);
    if (!json_is_object(v)) {
        json_decref(v);
        return err_set(e, ERR_FORMAT, "the body is not a JSON object");
    }
    *body = v;
    return 0;
}

struct body_at body_top(const json_t *body) { return (struct body_at){.object = body}; }

static void path_of(const struct body_at *at, const char *key, char *path) {
    if (!key) (void)snprintf(path, BODY_PATH, "%s", at->path);
    else (void)snprintf(path, BODY_PATH, "%.100s%s%.50s", at->path, *at->path ? "." : "", key);
}

int body_error(const struct body_at *at, const char *key, struct err *e, const char *fmt, ...) {
    char path[BODY_PATH], message[300];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    path_of(at, key, path);
    return err_set(e, ERR_FORMAT, "%s%s%s", path, *path ? ": " : "", message);
}

int body_into(struct body_at *to, const struct body_at *at, const char *key, int i, const json_t *v, struct err *e) {
    char path[BODY_PATH];
    path_of(at, key, path);
    to->object = v;
    if (i < 0) (void)snprintf(to->path, sizeof to->path, "%s", path);
    else (void)snprintf(to->path, sizeof to->path, "%.140s[%d]", path, i);
    return json_is_object(v) ? 0 : body_error(to, NULL, e, "not an object");
}

/* NULL: absent or null. */
static const json_t *member(const struct body_at *at, const char *key) {
    const json_t *v = json_object_get(at->object, key);
    return json_is_null(v) ? NULL : v;
}

int body_bool(const struct body_at *at, const char *key, bool *out, struct err *e) {
    const json_t *v = member(at, key);
    if (!v) return 0;
    if (!json_is_boolean(v)) return body_error(at, key, e, "not true or false");
    *out = json_is_true(v);
    return 0;
}

int body_int(const struct body_at *at, const char *key, int64_t least, int64_t most, int64_t *out, struct err *e) {
    const json_t *v = member(at, key);
    if (!v) return 0;
    const double d = json_number_value(v); /* some clients write 1.0 */
    const bool whole = json_is_integer(v) || (json_is_real(v) && fabs(d) < 9e15 && trunc(d) - d >= 0 && trunc(d) - d <= 0);
    if (!whole) return body_error(at, key, e, "not a whole number");
    const int64_t i = json_is_integer(v) ? json_integer_value(v) : (int64_t)d;
    if (i < least || i > most) return body_error(at, key, e, "%lld is not from %lld to %lld", (long long)i, (long long)least, (long long)most);
    *out = i;
    return 0;
}

int body_float(const struct body_at *at, const char *key, double least, double most, float *out, struct err *e) {
    const json_t *v = member(at, key);
    if (!v) return 0;
    if (!json_is_number(v)) return body_error(at, key, e, "not a number");
    const double d = json_number_value(v);
    if (!(d >= least && d <= most)) return body_error(at, key, e, "%g is not from %g to %g", d, least, most);
    *out = (float)d;
    return 0;
}

int body_text(const struct body_at *at, const char *key, struct slice *out, struct err *e) {
    const json_t *v = member(at, key);
    if (!v) return 0;
    if (!json_is_string(v)) return body_error(at, key, e, "not a string");
    *out = (struct slice){json_string_value(v), json_string_length(v)};
    return 0;
}

int body_object(const struct body_at *at, const char *key, const json_t **out, struct err *e) {
    const json_t *v = member(at, key);
    if (!v) return 0;
    if (!json_is_object(v)) return body_error(at, key, e, "not an object");
    *out = v;
    return 0;
}

int body_array(const struct body_at *at, const char *key, const json_t **out, struct err *e) {
    const json_t *v = member(at, key);
    if (!v) return 0;
    if (!json_is_array(v)) return body_error(at, key, e, "not an array");
    *out = v;
    return 0;
}

int body_choice(const struct body_at *at, const char *key, const char *const *names, int *out, struct err *e) {
    struct slice text = {0};
    int code = body_text(at, key, &text, e);
    if (code || !text.p) return code;
    char known[160] = "", shown[48];
    for (int i = 0; names[i]; i++) {
        if (slice_is(text, names[i])) {
            *out = i;
            return 0;
        }
        const size_t n = strlen(known);
        (void)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", names[i]);
    }
    return body_error(at, key, e, "\"%s\" is none of %s", err_quote(shown, sizeof shown, text.p, text.n), known);
}

int body_ids(const struct body_at *at, const char *key, const json_t *list, struct arena *a, const int32_t **ids, int *n, struct err *e) {
    const size_t count = json_array_size(list);
    int32_t *out = arena_array(a, count + 1, sizeof *out);
    if (!out) return err_nomem(e, "tokens", count * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        const json_t *v = json_array_get(list, i);
        const json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id > INT32_MAX) return body_error(at, key, e, "item %zu is no token's id", i);
        out[i] = (int32_t)id;
    }
    *ids = out;
    *n = (int)count;
    return 0;
}

/* As deep as BODY_DEPTH at most. */
struct value *body_value(struct arena *a, const json_t *v) {
    struct value *out;
    const char *key;
    json_t *item;
    size_t i;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        out = value_dict(a);
        json_object_foreach((json_t *)(uintptr_t)v, key, item) {
            if (!value_set(a, out, key, body_value(a, item))) return NULL;
        }
        return out;
    case JSON_ARRAY:
        out = value_list(a);
        json_array_foreach(v, i, item) {
            if (!value_append(a, out, body_value(a, item))) return NULL;
        }
        return out;
    case JSON_STRING: return value_string(a, json_string_value(v), json_string_length(v), VALUE_DATA);
    case JSON_INTEGER: return value_int(a, json_integer_value(v));
    case JSON_REAL: return value_float(a, json_real_value(v));
    case JSON_TRUE: return value_bool(a, true);
    case JSON_FALSE: return value_bool(a, false);
    default: return value_none(a);
    }
}

static int to_buf(const char *text, size_t n, void *out) { return buf_add(out, text, n) ? 0 : -1; }

int body_dump(const json_t *v, struct buf *out, struct err *e) {
    return json_dump_callback(v, to_buf, out, JSON_COMPACT | JSON_ENCODE_ANY) ? err_nomem(e, "a value of the body", out->len) : 0;
}
