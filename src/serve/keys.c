/* keys.c: the keys that clients show; see keys.h. */
#define _GNU_SOURCE
#include "serve/keys.h"

#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/os.h"

enum { FILE_BYTES = 1 << 20 };

/* Padded to one size, so that comparing looks at the same bytes whatever stands there: with a byte that no key has, then zeros. */
struct key {
    unsigned char bytes[KEY_BYTES];
    char client[CLIENT_BYTES];
};

static void pad(unsigned char bytes[KEY_BYTES], struct slice key) {
    memset(bytes, 0, KEY_BYTES);
    memcpy(bytes, key.p, key.n);
    bytes[key.n] = 1;
}

struct keys {
    struct key *at;
    int n, cap;
};

int keys_new(struct keys **k, struct err *e) {
    *k = mem_calloc(1, sizeof **k);
    return *k ? 0 : err_nomem(e, "keys", sizeof **k);
}

static void forget(struct key *at, int n) {
    if (at) explicit_bzero(at, (size_t)n * sizeof *at);
    mem_free(at);
}

void keys_free(struct keys *k) {
    if (!k) return;
    forget(k->at, k->n);
    mem_free(k);
}

int keys_count(const struct keys *k) { return k ? k->n : 0; }

static bool printable(struct slice s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~') return false;
    return s.n > 0;
}

/* Not by realloc, which would leave keys in memory that is no longer ours. */
static int grow(struct keys *k, struct err *e) {
    int cap = k->cap ? 2 * k->cap : 4;
    struct key *at = mem_calloc((size_t)cap, sizeof *at);
    if (!at) return err_nomem(e, "keys", (size_t)cap * sizeof *at);
    if (k->n) memcpy(at, k->at, (size_t)k->n * sizeof *at);
    forget(k->at, k->n);
    k->at = at;
    k->cap = cap;
    return 0;
}

int keys_add(struct keys *k, struct slice key, const char *client, struct err *e) {
    if (!printable(key) || key.n >= KEY_BYTES)
        return err_set(e, ERR_USAGE, "not a key: one has 1 to %d printable ASCII characters and no blanks", KEY_BYTES - 1);
    if (client && (!printable(slice_of(client)) || strlen(client) >= CLIENT_BYTES))
        return err_set(e, ERR_USAGE, "not a client's name: one has 1 to %d printable ASCII characters and no blanks", CLIENT_BYTES - 1);
    if (k->n == KEYS_MAX) return err_set(e, ERR_USAGE, "more than %d keys", KEYS_MAX);
    const char *other = keys_find(k, key);
    if (other) return err_set(e, ERR_USAGE, "the key of %s is given twice", other);
    int code = k->n == k->cap ? grow(k, e) : 0;
    if (code) return code;
    struct buf name = {.limit = CLIENT_BYTES - 1};
    if (client ? !buf_str(&name, client) : !buf_printf(&name, "key-%d", k->n + 1)) return err_nomem(e, "a client's name", CLIENT_BYTES);
    struct key *new = &k->at[k->n++];
    pad(new->bytes, key);
    memcpy(new->client, name.data, name.len + 1);
    buf_free(&name);
    return 0;
}

const char *keys_find(const struct keys *k, struct slice presented) {
    unsigned char padded[KEY_BYTES] = {0};
    const char *client = NULL;
    bool fits = presented.n > 0 && presented.n < KEY_BYTES;
    if (fits) pad(padded, presented);
    for (int i = 0; i < keys_count(k); i++) {
        volatile unsigned char differs = 0; /* volatile: no compiler may find out early */
        for (int j = 0; j < KEY_BYTES; j++) differs = (unsigned char)(differs | (padded[j] ^ k->at[i].bytes[j]));
        if (!differs && fits) client = k->at[i].client;
    }
    explicit_bzero(padded, sizeof padded);
    return client;
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* The next word of a line, which is taken off it. */
static struct slice word(struct slice *line) {
    while (line->n && blank(line->p[0])) line->p++, line->n--;
    struct slice w = {line->p, 0};
    while (w.n < line->n && !blank(line->p[w.n])) w.n++;
    line->p += w.n;
    line->n -= w.n;
    return w;
}

static int add_line(struct keys *k, struct slice line, struct err *e) {
    char client[CLIENT_BYTES];
    struct slice first = word(&line), second = word(&line);
    if (first.n == 0 || first.p[0] == '#') return 0;
    if (word(&line).n) return err_set(e, ERR_FORMAT, "more than a client's name and a key");
    if (second.n == 0) return keys_add(k, first, NULL, e);
    if (first.n >= sizeof client) return err_set(e, ERR_FORMAT, "a client's name has at most %d characters", CLIENT_BYTES - 1);
    memcpy(client, first.p, first.n);
    client[first.n] = 0;
    return keys_add(k, second, client, e);
}

int keys_read_file(struct keys *k, const char *path, struct err *e) {
    struct stat st;
    struct buf b = {0};
    int code = os_read_file(path, FILE_BYTES, &b, e);
    if (code == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
        log_warn("%s: other users may read or write these keys; chmod 600 keeps them to yourself", path);
    for (size_t at = 0, line = 1; code == 0 && at < b.len; line++) {
        const char *end = memchr(b.data + at, '\n', b.len - at);
        size_t n = end ? (size_t)(end - (b.data + at)) : b.len - at;
        code = add_line(k, (struct slice){b.data + at, n}, e);
        if (code == ERR_USAGE) code = e ? e->code = ERR_FORMAT : ERR_FORMAT;
        if (code) (void)err_in(e, "%s:%zu", path, line);
        at += n + 1;
    }
    if (b.data) explicit_bzero(b.data, b.cap);
    buf_free(&b);
    return code;
}
