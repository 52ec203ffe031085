/* cmd_logits.c: hearth logits: the raw logits of every position, for comparing engines. */
#include "app/commands.h"
#include "app/lora.h"
#include "base/os.h"

struct options {
    struct model_options model;
    const char *ids, *out;
    struct string_list lora;
    int chunk;
};

static const struct flag flags[] = {
    {"--ids", NULL, FLAG_STRING, offsetof(struct options, ids), "FILE", "token ids, separated by white space", 0, 0},
    {"--out", NULL, FLAG_STRING, offsetof(struct options, out), "FILE", "where the logits go (\"-\": standard output): little-endian float32, a row of the vocabulary's size per id", 0, 0},
    LORA_FLAG(offsetof(struct options, lora)),
    {"--chunk", NULL, FLAG_INT, offsetof(struct options, chunk), "N", "tokens fed at a time (default: all)", 1, 1 << 20},
    {0},
};
static const struct flag *const tables[] = {flags, FLAGS_MODEL, NULL};

static int read_ids(const char *path, struct tokens *ids, struct err *e) {
    struct buf text = {0};
    int code = read_input(path, 1u << 28, &text, e);
    if (code == 0) code = parse_ids((struct slice){text.data ? text.data : "", text.len}, path, ids, e);
    buf_free(&text);
    return code;
}

static int write_logits(struct session *s, const struct options *o, const int32_t *ids, int n, struct os_out *out, struct err *e) {
    struct seq *seq;
    int code = seq_new(&seq, s->engine, e), chunk = o->chunk ? o->chunk : n;
    if (code == 0) code = lora_set(s, seq, ids, (size_t)n, e);
    for (int at = 0; code == 0 && at < n; at += chunk) {
        code = seq_feed(seq, ids + at, n - at < chunk ? n - at : chunk, WANT_ALL, e);
        while (code == 0 && seq_pending(seq) && (code = check_interrupt(e)) == 0) {
            const struct result *r;
            if ((code = engine_step(s->engine, e))) break;
            int count = engine_results(s->engine, &r);
            for (int i = 0; code == 0 && i < count; i++)
                code = os_out_write(out, r[i].logits, s->model->hp.n_vocab * sizeof(float), e);
        }
    }
    seq_free(seq);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[1];
    int n_words;
    struct tokens ids = {.limit = 1 << 24};
    if (args_help(argc, argv, &cmd_logits, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.model.model = words[0];
    if (!o.ids || !o.out) return err_set(e, ERR_USAGE, "--ids FILE and --out FILE are needed");
    struct session s = {0};
    code = read_ids(o.ids, &ids, e);
    if (!o.model.n_ctx) o.model.n_ctx = ids.n > 0 ? (int)ids.n : 1; /* as small as it can be: LongRoPE chooses its factors by it */
    if (code == 0) code = session_open(&s, &o.model, "f32", 64, e);
    if (code == 0) code = lora_open(&s, &o.lora, e);
    struct os_out *out = NULL;
    if (code == 0) code = os_out_check(o.out, &o.ids, 1, e);
    if (code == 0) code = os_out_open(&out, o.out, e);
    if (code == 0 && (code = write_logits(&s, &o, ids.id, (int)ids.n, out, e)) == 0) {
        code = os_out_commit(out, e);
        out = NULL;
    }
    os_out_abort(out);
    session_close(&s);
    tokens_free(&ids);
    return code;
}

const struct command cmd_logits = {"logits", "MODEL --ids FILE --out FILE", "write the raw logits of every position", run, false};
