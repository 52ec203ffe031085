/* args.c: command lines; see args.h. */
#include "app/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct flag *find(const struct flag *const *tables, const char *name) {
    for (; *tables; tables++)
        for (const struct flag *f = *tables; f->name; f++)
            if (strcmp(f->name, name) == 0 || (f->alias && strcmp(f->alias, name) == 0)) return f;
    return NULL;
}

static int in_bounds(const struct flag *f, double v, struct err *e) {
    if (!(f->min < f->max) || (v >= f->min && v <= f->max)) return 0;
    return err_set(e, ERR_USAGE, "%s %g: must be from %g to %g", f->name, v, f->min, f->max);
}

static int set_value(const struct flag *f, void *options, const char *text, struct err *e) {
    void *field = (char *)options + f->offset;
    char *end = NULL;
    errno = 0;
    if (f->kind == FLAG_STRING) {
        *(const char **)field = text;
        return 0;
    }
    if (f->kind == FLAG_LIST) {
        struct string_list *list = field;
        if (list->n == LIST_MAX) return err_set(e, ERR_USAGE, "%s: given more than %d times", f->name, LIST_MAX);
        list->at[list->n++] = text;
        return 0;
    }
    if (f->kind == FLAG_FLOAT) {
        double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v)) return err_set(e, ERR_USAGE, "%s: \"%.64s\" is not a number", f->name, text);
        *(float *)field = (float)v;
        return in_bounds(f, v, e);
    }
    if (f->kind == FLAG_U64) {
        unsigned long long v = strtoull(text, &end, 10);
        if (end == text || *end || errno || *text == '-') return err_set(e, ERR_USAGE, "%s: \"%.64s\" is not a whole number from 0 on", f->name, text);
        *(uint64_t *)field = v;
        return in_bounds(f, (double)v, e);
    }
    long v = strtol(text, &end, 10);
    if (end == text || *end || errno || v < INT32_MIN || v > INT32_MAX) return err_set(e, ERR_USAGE, "%s: \"%.64s\" is not a whole number", f->name, text);
    *(int *)field = (int)v;
    return in_bounds(f, (double)v, e);
}

int args_parse(int argc, char **argv, const struct flag *const *tables, void *options, const char **words, int max_words, int *n_words, struct err *e) {
    bool only_words = false;
    *n_words = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (only_words || a[0] != '-' || !a[1]) {
            if (*n_words == max_words) return err_set(e, ERR_USAGE, "%s: \"%.64s\" is one argument too many; see hearth %s --help", argv[0], a, argv[0]);
            words[(*n_words)++] = a;
            continue;
        }
        if (strcmp(a, "--") == 0) {
            only_words = true;
            continue;
        }
        char name[64];
        const char *equals = strchr(a, '=');
        (void)snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - a) : (int)strlen(a), a);
        const struct flag *f = find(tables, name);
        if (!f) return err_set(e, ERR_USAGE, "%s: unknown flag %s; see hearth %s --help", argv[0], name, argv[0]);
        if (f->kind == FLAG_BOOL) {
            if (equals) return err_set(e, ERR_USAGE, "%s takes no value", name);
            *(bool *)(void *)((char *)options + f->offset) = true;
            continue;
        }
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value) return err_set(e, ERR_USAGE, "%s needs a value: %s", name, f->value);
        int code = set_value(f, options, value, e);
        if (code) return code;
    }
    return 0;
}

bool args_help(int argc, char **argv, const struct command *c, const struct flag *const *tables) {
    bool asked = false;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) asked |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (!asked) return false;
    (void)printf("usage: hearth %s %s\n\n%s\n\n", c->name, c->usage, c->help);
    for (; *tables; tables++)
        for (const struct flag *f = *tables; f->name; f++) {
            char left[64];
            (void)snprintf(left, sizeof left, "%s%s%s %s", f->name, f->alias ? ", " : "", f->alias ? f->alias : "", f->value ? f->value : "");
            (void)printf("  %-28s %s\n", left, f->help);
        }
    return true;
}
