/* cmd_logits.c: hearth logits: the raw logits of every position, for comparing engines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "base/os.h"

struct options {
    struct model_options model;
    const char *ids, *out;
    int chunk;
};

static const struct flag flags[] = {
    {"--ids", NULL, FLAG_STRING, offsetof(struct options, ids), "FILE", "token ids, separated by white space", 0, 0},
    {"--out", NULL, FLAG_STRING, offsetof(struct options, out), "FILE", "where the logits go: little-endian float32, a row of the vocabulary's size per id", 0, 0},
    {"--chunk", NULL, FLAG_INT, offsetof(struct options, chunk), "N", "tokens fed at a time (default: all)", 1, 1 << 20},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_MODEL, NULL};

/* Ids from text; the array is the caller's to free. */
static int read_ids(const char *path, int32_t **ids, int *n, struct err *e) {
    struct buf text = {0};
    int code = os_read_file(path, 1u << 28, &text, e), cap = 0;
    *ids = NULL;
    *n = 0;
    for (char *p = text.data; code == 0 && p;) {
        p += strspn(p, " \t\r\n,");
        if (!*p) break;
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || errno || v < INT32_MIN || v > INT32_MAX) {
            char shown[40];
            code = err_set(e, ERR_TEXT, "%s: byte %zu: \"%s\" is not a token id", path, (size_t)(p - text.data), err_quote(shown, sizeof shown, p, strcspn(p, " \t\r\n")));
            break;
        }
        if (*n == cap) {
            cap = cap ? cap * 2 : 1024;
            int32_t *more = mem_array(*ids, (size_t)cap, sizeof **ids);
            if (!more) {
                code = err_nomem(e, "token ids", (size_t)cap * sizeof **ids);
                break;
            }
            *ids = more;
        }
        (*ids)[(*n)++] = (int32_t)v;
        p = end;
    }
    buf_free(&text);
    return code;
}

static int write_logits(struct session *s, const struct options *o, const int32_t *ids, int n, FILE *f, struct err *e) {
    struct seq *seq;
    int code = seq_new(&seq, s->engine, e), chunk = o->chunk ? o->chunk : n;
    for (int at = 0; code == 0 && at < n; at += chunk) {
        code = seq_feed(seq, ids + at, n - at < chunk ? n - at : chunk, WANT_ALL, e);
        while (code == 0 && seq_pending(seq)) {
            const struct result *r;
            if ((code = engine_step(s->engine, e))) break;
            int count = engine_results(s->engine, &r);
            for (int i = 0; code == 0 && i < count; i++)
                if (fwrite(r[i].logits, sizeof(float), s->model->hp.n_vocab, f) != s->model->hp.n_vocab)
                    code = err_set(e, ERR_IO, "%s: cannot write: %s", o->out, strerror(errno));
        }
    }
    seq_free(seq);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[1];
    int n_words, n = 0;
    int32_t *ids = NULL;
    if (args_help(argc, argv, &cmd_logits, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.model.model = words[0];
    if (!o.ids || !o.out) return err_set(e, ERR_USAGE, "--ids FILE and --out FILE are needed");
    if ((code = read_ids(o.ids, &ids, &n, e))) {
        mem_free(ids);
        return code;
    }
    struct session s = {0};
    if (!o.model.n_ctx) o.model.n_ctx = n > 0 ? n : 1; /* as small as it can be: LongRoPE chooses its factors by it */
    code = session_open(&s, &o.model, "f32", 64, e);
    FILE *f = code ? NULL : fopen(o.out, "wb");
    if (code == 0 && !f) code = err_set(e, ERR_IO, "%s: cannot create: %s", o.out, strerror(errno));
    if (code == 0) code = write_logits(&s, &o, ids, n, f, e);
    if (f && fclose(f) != 0 && code == 0) code = err_set(e, ERR_IO, "%s: cannot write: %s", o.out, strerror(errno));
    session_close(&s);
    mem_free(ids);
    return code;
}

const struct command cmd_logits = {"logits", "MODEL --ids FILE --out FILE", "write the raw logits of every position", run, false};
