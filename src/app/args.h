/* args.h: command lines. Each command has one table of flags; common ones are in shared tables (FLAGS_MODEL, FLAGS_SAMPLING), under the
 * names that users of llama.cpp and Ollama have in their fingers. The table gives parsing, --help and the error for a wrong flag. */
#ifndef HEARTH_ARGS_H
#define HEARTH_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum flag_kind {
    FLAG_BOOL,
    FLAG_INT,
    FLAG_CONTEXT, /* an int: 0 is kept as CONTEXT_OWN, since a flag that is not given leaves 0 */
    FLAG_FLOAT,
    FLAG_STRING,
    FLAG_BYTES, /* uint64_t; 6G is 6 * 1000^3, 6Gi is 6 * 1024^3 */
    FLAG_LIST,  /* may be repeated: struct string_list */
};
enum { CONTEXT_OWN = -1 }; /* what the model was made for */

enum { LIST_MAX = 256 };
struct string_list {
    const char *at[LIST_MAX]; /* from argv */
    int n;
};

struct flag {
    const char *name;   /* with its dashes: "-c", "--temp" */
    const char *alias;  /* another name, or NULL */
    enum flag_kind kind;
    size_t offset;      /* of the field in the command's options struct: bool, int, float, const char *, uint64_t, struct string_list */
    const char *value;  /* what --help calls the value; NULL for FLAG_BOOL */
    const char *help;
    double min, max;    /* bounds of a number; both 0: none */
};

struct command {
    const char *name;
    const char *usage;  /* "MODEL [-p PROMPT]" */
    const char *help;   /* one line */
    int (*run)(int argc, char **argv, struct err *e); /* argv[0] is the command's name; returns an exit status, with the message in e */
    bool hidden;
};

/* Reads argv into the options struct. Words that are no flags are collected in words (at most max_words; more is an error). A lone "-"
 * is a word; after "--" all are. tables: NULL-terminated list of flag tables, each ended by a row without a name. ERR_USAGE. */
int args_parse(int argc, char **argv, const struct flag *const *tables, void *options, const char **words, int max_words, int *n_words, struct err *e);

/* "--help" was given: prints the command's help and returns true. */
bool args_help(int argc, char **argv, const struct command *c, const struct flag *const *tables);

#endif
