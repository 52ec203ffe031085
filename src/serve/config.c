/* config.c: settings of `hearth serve`: one table for flags and file; see config.h. */
#include "serve/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/units.h"
#include "serve/alias.h"

enum { FILE_BYTES = 1 << 20, VALUE_BYTES = 4096 };

enum kind { INT, TEXT, BYTES, SECONDS, BOOL, LIST, RULES /* a list, too, of what alias.h says */ };

static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    int min, max; /* of an INT */
} rows[] = {
    {"port", INT, offsetof(struct serve_config, port), 0, 65535},
    {"host", TEXT, offsetof(struct serve_config, host), 0, 0},
    {"api-key", LIST, offsetof(struct serve_config, api_key), 0, 0},
    {"api-key-file", TEXT, offsetof(struct serve_config, api_key_file), 0, 0},
    {"ctx", INT, offsetof(struct serve_config, ctx), 0, 1 << 30},
    {"parallel", INT, offsetof(struct serve_config, parallel), 0, 256},
    {"threads", INT, offsetof(struct serve_config, threads), 0, 1024},
    {"models-dir", TEXT, offsetof(struct serve_config, models_dir), 0, 0},
    {"adapters-dir", LIST, offsetof(struct serve_config, adapters_dir), 0, 0},
    {"keep-alive", SECONDS, offsetof(struct serve_config, keep_alive), 0, 0},
    {"memory", BYTES, offsetof(struct serve_config, model_memory), 0, 0},
    {"kv-type", TEXT, offsetof(struct serve_config, kv_type), 0, 0},
    {"cache-ram", BYTES, offsetof(struct serve_config, cache_ram), 0, 0},
    {"cache-disk", BYTES, offsetof(struct serve_config, cache_disk), 0, 0},
    {"cache-dir", TEXT, offsetof(struct serve_config, cache_dir), 0, 0},
    {"cache-key-file", TEXT, offsetof(struct serve_config, cache_key_file), 0, 0},
    {"origin", LIST, offsetof(struct serve_config, origin), 0, 0},
    {"responses", TEXT, offsetof(struct serve_config, responses), 0, 0},
    {"alias", RULES, offsetof(struct serve_config, alias), 0, 0},
    {"normalise", BOOL, offsetof(struct serve_config, normalise), 0, 0},
    {"ledger", TEXT, offsetof(struct serve_config, ledger), 0, 0},
    {"capture", LIST, offsetof(struct serve_config, capture), 0, 0},
};
_Static_assert(sizeof rows / sizeof *rows == CONFIG_ROWS, "a place in struct serve_config for each row");

const char *config_name(int i) { return i >= 0 && i < CONFIG_ROWS ? rows[i].name : NULL; }

void config_init(struct serve_config *c) {
    *c = (struct serve_config){.port = 11435, .host = "127.0.0.1", .kv_type = "f16", .cache_ram = (uint64_t)2 << 30, .keep_alive = 300, .normalise = true};
}

void config_free(struct serve_config *c) { arena_free(&c->memory); }

static int find(struct slice name) {
    int i = 0;
    while (i < CONFIG_ROWS && !slice_is(name, rows[i].name)) i++;
    return i < CONFIG_ROWS ? i : -1;
}

bool config_has(const char *name) { return find(slice_of(name)) >= 0; }

static int set_int(const struct row *row, int *field, const char *text, struct err *e) {
    char *end = NULL, quoted[80];
    errno = 0;
    long v = strtol(text, &end, 10);
    err_quote(quoted, sizeof quoted, text, strlen(text));
    if (end == text || *end) return err_set(e, ERR_USAGE, "%s: \"%s\" is not a whole number", row->name, quoted);
    if (errno || v < row->min || v > row->max) return err_set(e, ERR_USAGE, "%s %s: must be from %d to %d", row->name, quoted, row->min, row->max);
    *field = (int)v;
    return 0;
}

static int set_value(struct serve_config *c, const struct row *row, const char *text, struct err *e) {
    void *field = (char *)c + row->offset;
    char quoted[80];
    if (row->kind == INT) return set_int(row, field, text, e);
    if (row->kind == BYTES) {
        uint64_t v;
        if (!units_bytes(text, &v)) return err_set(e, ERR_USAGE, "%s: \"%s\" is not a number of bytes; give one like 500M, 2G or 2Gi", row->name, err_quote(quoted, sizeof quoted, text, strlen(text)));
        *(uint64_t *)field = v;
        return 0;
    }
    if (row->kind == SECONDS) {
        double v;
        if (!units_seconds(text, &v)) return err_set(e, ERR_USAGE, "%s: \"%s\" is no duration; give one like 300, 5m, 1h30m or never", row->name, err_quote(quoted, sizeof quoted, text, strlen(text)));
        *(double *)field = v;
        return 0;
    }
    if (row->kind == BOOL) {
        *(bool *)field = strcmp(text, "yes") == 0;
        return *(bool *)field || strcmp(text, "no") == 0 ? 0 : err_set(e, ERR_USAGE, "%s: \"%s\" is neither yes nor no", row->name, err_quote(quoted, sizeof quoted, text, strlen(text)));
    }
    if (!*text) return err_set(e, ERR_USAGE, "%s: the value is empty", row->name);
    if (row->kind == RULES && alias_check(text, e)) return ERR_USAGE;
    const char *kept = arena_strndup(&c->memory, text, strlen(text));
    if (!kept) return err_nomem(e, row->name, strlen(text) + 1);
    if (row->kind == TEXT) *(const char **)field = kept;
    else {
        struct config_list *list = field;
        if (list->n == CONFIG_LIST_MAX) return err_set(e, ERR_USAGE, "%s: given more than %d times", row->name, CONFIG_LIST_MAX);
        list->at[list->n++] = kept;
    }
    return 0;
}

/* What a stronger source has said stays; the value is looked at all the same, so that a wrong one does not wait for the day that the flag is left out. */
static int set(struct serve_config *c, int i, enum config_source source, const char *text, struct err *e) {
    const struct row *row = &rows[i];
    if (source < c->set[i].source) {
        struct serve_config judged = {0};
        int code = set_value(&judged, row, text, e);
        config_free(&judged);
        return code;
    }
    if (row->kind >= LIST && source > c->set[i].source) ((struct config_list *)(void *)((char *)c + row->offset))->n = 0;
    int code = set_value(c, row, text, e);
    if (code == 0) c->set[i].source = source;
    return code;
}

int config_flag(struct serve_config *c, const char *name, const char *value, struct err *e) {
    int i = find(slice_of(name));
    if (i < 0) return err_set(e, ERR_USAGE, "unknown flag --%.64s", name);
    int code = set(c, i, CONFIG_FLAG, value, e);
    if (code == ERR_USAGE && e) {
        struct err inner = *e;
        (void)err_set(e, code, "--%.500s", inner.msg); /* the message begins with the name */
    }
    return code;
}

static struct slice trim(struct slice s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r')) s.n--;
    return s;
}

/* NAME = VALUE, the value as it stands or in double quotes, within which nothing is special. */
static int read_setting(struct serve_config *c, struct slice line, int number, struct err *e) {
    char value[VALUE_BYTES], quoted[80];
    const char *equals = memchr(line.p, '=', line.n);
    if (!equals) return err_set(e, ERR_FORMAT, "the line is neither NAME = VALUE nor [SECTION]"); /* not quoted: it could be a key */
    struct slice name = trim((struct slice){line.p, (size_t)(equals - line.p)}), text = trim((struct slice){equals + 1, line.n - (size_t)(equals + 1 - line.p)});
    int i = find(name);
    if (i < 0) return err_set(e, ERR_FORMAT, "unknown setting \"%s\"; they are named like the flags of hearth serve", err_quote(quoted, sizeof quoted, name.p, name.n));
    if (c->set[i].line && rows[i].kind < LIST) return err_set(e, ERR_FORMAT, "%s is given again, after line %d", rows[i].name, c->set[i].line);
    if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"') text = (struct slice){text.p + 1, text.n - 2};
    if (text.n >= sizeof value) return err_set(e, ERR_FORMAT, "%s: the value is longer than %d bytes", rows[i].name, VALUE_BYTES - 1);
    if (text.n) memcpy(value, text.p, text.n);
    value[text.n] = 0;
    c->set[i].line = number;
    return set(c, i, CONFIG_FILE, value, e);
}

static int read_line(struct serve_config *c, struct slice line, int number, bool *in_section, struct err *e) {
    char quoted[80];
    line = trim(line);
    if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';') return 0;
    if (memchr(line.p, 0, line.n)) return err_set(e, ERR_FORMAT, "the line has a NUL in it: not a text file");
    if (line.p[0] == '[') {
        *in_section = slice_is(line, "[server]");
        return *in_section ? 0 : err_set(e, ERR_FORMAT, "unknown section \"%s\"; there is only [server]", err_quote(quoted, sizeof quoted, line.p, line.n));
    }
    if (!*in_section) return err_set(e, ERR_FORMAT, "settings stand below a line [server]");
    return read_setting(c, line, number, e);
}

int config_read_file(struct serve_config *c, const char *path, struct err *e) {
    struct buf b = {0};
    int code = os_read_file(path, FILE_BYTES, &b, e), number = 1;
    bool in_section = false;
    for (int i = 0; i < CONFIG_ROWS; i++) c->set[i].line = 0;
    for (size_t at = 0; code == 0 && at < b.len; number++) {
        const char *end = memchr(b.data + at, '\n', b.len - at);
        size_t n = end ? (size_t)(end - (b.data + at)) : b.len - at;
        code = read_line(c, (struct slice){b.data + at, n}, number, &in_section, e);
        if (code == ERR_USAGE) code = e ? e->code = ERR_FORMAT : ERR_FORMAT;
        if (code) (void)err_in(e, "%s:%d", path, number);
        at += n + 1;
    }
    buf_free(&b);
    return code;
}
