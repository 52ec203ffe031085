/* args.c: command lines; see args.h. */
#include "app/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

/* Further names that llama.cpp has for what a flag here does. */
static const struct {
    const char *theirs, *ours;
} renamed[] = {
    {"--n-predict", "-n"}, {"--cache-type-k", "-ctk"}, {"--reverse-prompt", "--stop"}, {"--system-prompt", "--system"},
};

static const struct flag *find(const struct flag *const *tables, const char *name) {
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (strcmp(renamed[i].theirs, name) == 0) name = renamed[i].ours;
    for (; *tables; tables++)
        for (const struct flag *f = *tables; f->name; f++)
            if (strcmp(f->name, name) == 0 || (f->alias && strcmp(f->alias, name) == 0)) return f;
    return NULL;
}

/* text: the number as it was typed, which says more than what became of it. Bounds are at most 2^53: all their digits are shown. */
static int in_bounds(const struct flag *f, const char *text, double v, struct err *e) {
    if (!(f->min < f->max) || (v >= f->min && v <= f->max)) return 0;
    return err_set(e, ERR_USAGE, "%s %.64s: must be from %.15g to %.15g", f->name, text, f->min, f->max);
}

static int set_int(const struct flag *f, int *field, const char *text, struct err *e) {
    char *end = NULL;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end) return err_set(e, ERR_USAGE, "%s: \"%.64s\" is not a whole number", f->name, text);
    int code = in_bounds(f, text, (double)v, e); /* first: where there are bounds, they are what the user has to know */
    if (code == 0 && (errno || v < INT32_MIN || v > INT32_MAX)) code = err_set(e, ERR_USAGE, "%s: %.64s is beyond the numbers of 32 bits", f->name, text);
    if (code == 0) *field = f->kind == FLAG_CONTEXT && v == 0 ? CONTEXT_OWN : (int)v;
    return code;
}

static int set_value(const struct flag *f, void *options, const char *text, struct err *e) {
    void *field = (char *)options + f->offset;
    char *end = NULL;
    switch (f->kind) {
    case FLAG_STRING: *(const char **)field = text; return 0;
    case FLAG_LIST: {
        struct string_list *list = field;
        if (list->n == LIST_MAX) return err_set(e, ERR_USAGE, "%s: given more than %d times", f->name, LIST_MAX);
        list->at[list->n++] = text;
        return 0;
    }
    case FLAG_FLOAT: {
        double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v)) return err_set(e, ERR_USAGE, "%s: \"%.64s\" is not a number", f->name, text);
        *(float *)field = (float)v;
        return in_bounds(f, text, v, e);
    }
    case FLAG_BYTES:
        if (units_bytes(text, field)) return 0;
        return err_set(e, ERR_USAGE, "%s: \"%.64s\" is not a number of bytes; give one like 6000000000, 6G or 6Gi", f->name, text);
    default: return set_int(f, field, text, e);
    }
}

/* ---- flags that others have ---- */

/* Flags that people bring along from llama.cpp and that have nothing to do here. */
static const struct {
    const char *name, *alias, *why;
} needless[] = {
    {"-ngl", "--n-gpu-layers", "all layers are computed by the processor"},
    {"--gpu-layers", NULL, "all layers are computed by the processor"},
    {"-fa", "--flash-attn", "attention is always computed page by page, without a matrix of all scores"},
    {"--no-mmap", NULL, "the file is always mapped, and --memory-limit and --paged say how much memory it may take"},
    {"--mlock", NULL, "the file is mapped, and what is in use stays in the system's cache of files"},
    {"-tb", "--threads-batch", "-t counts for prompts and for generation"},
    {"-cnv", "--conversation", "hearth chat is a conversation"},
    {"-no-cnv", "--no-conversation", "hearth run goes on with the text as it is"},
    {"-st", "--single-turn", "hearth run answers once"},
    {"-e", "--escape", "text is taken as it is; in most shells $'...' writes a newline as \\n"},
    {"--jinja", NULL, "chats always take the model's own template"},
    {"--color", NULL, "the chat prompt has its colour where the terminal can"},
    {"--simple-io", NULL, "where standard output is no terminal there is only text"},
    {"--no-warmup", NULL, "there is no run before yours"},
    {"--no-display-prompt", NULL, "the prompt is not repeated"},
    {"--no-context-shift", NULL, "nothing is forgotten unless --shift asks for it"},
};

static int unknown_flag(const char *name, const char *command, struct err *e) {
    for (size_t i = 0; i < sizeof needless / sizeof *needless; i++)
        if (strcmp(name, needless[i].name) == 0 || (needless[i].alias && strcmp(name, needless[i].alias) == 0))
            return err_set(e, ERR_USAGE, "unknown flag %s: it is not needed here, leave it out: %s", name, needless[i].why);
    return err_set(e, ERR_USAGE, "unknown flag %s; see hearth %s --help", name, command);
}

int args_parse(int argc, char **argv, const struct flag *const *tables, void *options, const char **words, int max_words, int *n_words, struct err *e) {
    bool only_words = false;
    *n_words = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (only_words || a[0] != '-' || !a[1]) {
            if (*n_words == max_words) return err_set(e, ERR_USAGE, "\"%.64s\" is one argument too many; see hearth %s --help", a, argv[0]);
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
        if (!f) return unknown_flag(name, argv[0], e);
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
