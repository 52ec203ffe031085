/* tmpl_globals.c: the functions that every template has. */
#define _GNU_SOURCE /* gmtime_r, localtime_r */
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "text/tmpl.h"

enum { MAX_RANGE = 100000 }; /* items, the sandbox's own limit */

static val g_range(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)self, (void)args;
    int64_t start = 0, stop, step;
    if (!arg_int(ev, argv[0], 0, &stop)) return NULL;
    if (argv[1]) {
        start = stop;
        if (!arg_int(ev, argv[1], 0, &stop)) return NULL;
    }
    if (!arg_int(ev, argv[2], 1, &step)) return NULL;
    if (step == 0) return fail(ev, "range() arg 3 must not be zero");
    uint64_t gap = step > 0 ? (stop > start ? (uint64_t)stop - (uint64_t)start : 0) : (start > stop ? (uint64_t)start - (uint64_t)stop : 0);
    uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step, n = gap / by + (gap % by != 0);
    if (n > MAX_RANGE) return fail(ev, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", MAX_RANGE);
    struct value *v = new_list(ev, LIST_RANGE, (size_t)n);
    int64_t *range = take(ev, 3, sizeof *range);
    struct value *items = n ? take(ev, (size_t)n, sizeof *items) : NULL;
    if (!v || !range || (n && !items)) return NULL;
    for (uint64_t i = 0; i < n; i++) {
        items[i] = (struct value){.kind = V_INT, .mark = MARK_DATA, .i = start + (int64_t)i * step};
        v->l.at[i] = &items[i];
    }
    range[0] = start;
    range[1] = stop;
    range[2] = step;
    v->l.range = range;
    return v;
}

/* dict(mapping or pairs, **named), also the attributes of a namespace */
static struct value *dict_of(struct ev *ev, const struct args *args) {
    struct value *d = new_dict(ev);
    if (!d) return NULL;
    if (args->n > 1) return (void)fail(ev, "dict expected at most 1 argument, got %zu", args->n), NULL;
    val from = args->n ? args->at[0] : NULL;
    if (from && from->kind == V_DICT) {
        for (size_t i = 0; i < from->d.n; i++)
            if (!put(ev, d, from->d.at[i].key, from->d.at[i].value)) return NULL;
    } else if (from) {
        struct list pairs, pair;
        if (!to_list(ev, from, &pairs)) return NULL;
        for (size_t i = 0; i < pairs.n; i++) {
            if (!is_iterable(pairs.at[i])) return (void)fail(ev, "cannot convert dictionary update sequence element #%zu to a sequence", i), NULL;
            if (!to_list(ev, pairs.at[i], &pair)) return NULL;
            if (pair.n != 2) return (void)fail(ev, "dictionary update sequence element #%zu has length %zu; 2 is required", i, pair.n), NULL;
            if (!put(ev, d, pair.at[0], pair.at[1])) return NULL;
        }
    }
    for (size_t i = 0; i < args->n_named; i++)
        if (!put(ev, d, args->named[i].name, args->named[i].value)) return NULL;
    return d;
}

static val g_dict(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)self, (void)argv;
    return dict_of(ev, args);
}

static val g_namespace(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)self, (void)argv;
    struct value *names = dict_of(ev, args), *v = names ? take(ev, 1, sizeof *v) : NULL;
    if (!v) return NULL;
    for (size_t i = 0; i < names->d.n; i++) {
        val key = names->d.at[i].key;
        if (key->kind == V_STRING && key->s.n && key->s.p[0] == '_') return fail(ev, "attributes of a namespace cannot begin with an underscore");
    }
    v->kind = V_NAMESPACE;
    v->names = names;
    return v;
}

static val g_cycler(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)self, (void)argv;
    if (!args->n) return fail(ev, "at least one item has to be provided");
    struct value *v = take(ev, 1, sizeof *v);
    struct cycler *c = v ? take(ev, 1, sizeof *c) : NULL;
    if (!c) return NULL;
    c->items = (struct list){.at = args->at, .n = args->n, .cap = args->n};
    v->kind = V_CYCLER;
    v->cycler = c;
    return v;
}

static val g_joiner(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)self, (void)args;
    struct value *v = take(ev, 1, sizeof *v);
    struct joiner *j = v ? take(ev, 1, sizeof *j) : NULL;
    if (!j) return NULL;
    j->separator = argv[0] ? argv[0] : new_cstring(ev, ", ", MARK_TEMPLATE);
    v->kind = V_JOINER;
    v->joiner = j;
    return j->separator ? v : NULL;
}

static val g_raise_exception(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)self, (void)args;
    val text = to_str(ev, argv[0]);
    if (!text) return NULL;
    char message[480];
    size_t n = text->s.n < sizeof message - 1 ? text->s.n : sizeof message - 1;
    if (n) memcpy(message, text->s.p, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)message[i] < 32 || message[i] == 127) message[i] = ' ';
    ev->code = err_set(ev->err, ERR_TEMPLATE, "%.*s", (int)n, message); /* the template's own words, without a position */
    return NULL;
}

/* The format as strftime takes it: %f is the microseconds, %z and %Z are empty, as for Python's naive times. */
static bool expand_format(struct ev *ev, val format, struct sink *out) {
    struct text s = format->s;
    for (size_t i = 0; i < s.n; i++) {
        char next = s.p[i] == '%' && i + 1 < s.n ? s.p[i + 1] : 0;
        if (s.p[i] == 0) return (void)fail(ev, "embedded null character in a time format"), false;
        bool ok = true;
        if (next == 'f') ok = sink_cstr(ev, out, "000000", 0);
        else if (next && next != 'z' && next != 'Z') ok = sink_part(ev, out, format, i, 2);
        else if (!next) ok = sink_part(ev, out, format, i, 1) && (s.p[i] != '%' || sink_cstr(ev, out, "%", 0));
        if (!ok) return false;
        if (next) i++;
    }
    /* strftime's 0 is a failure only if there is something to write */
    return sink_put(ev, out, " ", 2, 0);
}

static val g_strftime_now(struct ev *ev, val self, val *argv, const struct args *args) {
    (void)self, (void)args;
    enum { MOST = 4096 };
    const struct render_options *o = ev->options;
    time_t now = (time_t)(o->fixed_now ? o->now : os_wall_seconds());
    struct tm tm;
    struct sink format = {0};
    if (!arg_text(ev, argv[0], "strftime_now() argument") || !expand_format(ev, argv[0], &format)) return NULL;
    if (!(o->fixed_now ? gmtime_r(&now, &tm) : localtime_r(&now, &tm))) return fail(ev, "the time is out of range");
    char *text = take(ev, MOST, 1);
    if (!text) return NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, MOST, format.block->p, &tm);
#pragma GCC diagnostic pop
    if (!n) return fail(ev, "the time format gives more than %d bytes", MOST);
    return new_string(ev, text, n - 1, common_mark(argv[0])); /* without the blank that was added */
}

static const struct builtin table[] = {
    {"range", g_range, "- - -", 1},
    {"dict", g_dict, NULL, 0},
    {"namespace", g_namespace, NULL, 0},
    {"cycler", g_cycler, NULL, 0},
    {"joiner", g_joiner, "sep", 0},
    {"raise_exception", g_raise_exception, "message", 1},
    {"strftime_now", g_strftime_now, "format", 1},
};

const struct builtin *find_global(val name) { return find_builtin(table, TABLE_SIZE(table), name); }
