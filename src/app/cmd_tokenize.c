/* cmd_tokenize.c: hearth tokenize: text to ids, and back. Needs only the tokenizer: files without weights will do. */
#include <string.h>

#include "app/commands.h"
#include "app/common.h"
#include "engine/vocab.h"

enum { TEXT_MAX = 1 << 30 };

struct options {
    struct model_options model;
    bool special, bos, decode;
    const char *pre;
};

static const struct flag flags[] = {
    {"-m", "--model", FLAG_STRING, offsetof(struct options, model.model), "FILE", "the model, a GGUF file (default: the embedded demonstration model)", 0, 0},
    {"--special", NULL, FLAG_BOOL, offsetof(struct options, special), NULL, "spellings of control tokens become these tokens; with --decode: show them", 0, 0},
    {"--bos", NULL, FLAG_BOOL, offsetof(struct options, bos), NULL, "add what the model's own rule adds (BOS, EOS, separators)", 0, 0},
    {"--decode", NULL, FLAG_BOOL, offsetof(struct options, decode), NULL, "the way back: ids on standard input, bytes on standard output", 0, 0},
    {"--pre", NULL, FLAG_STRING, offsetof(struct options, pre), "NAME", "another pre-tokenizer than the file names", 0, 0},
    {0},
};
static const struct flag *const tables[] = {flags, NULL};

static int encode(const struct tokenizer *t, const struct options *o, struct slice text, struct err *e) {
    struct tokens ids = {0};
    struct buf line = {0};
    struct encode_options eo = {.add_special = o->bos, .parse = o->special ? SPECIAL_ALL : SPECIAL_NONE};
    int code = tokenizer_encode(t, text, &eo, &ids, e);
    for (size_t i = 0; code == 0 && i < ids.n; i++)
        if (!buf_printf(&line, i ? " %d" : "%d", ids.id[i])) code = err_nomem(e, "the ids", line.len);
    if (code == 0 && !buf_char(&line, '\n')) code = err_nomem(e, "the ids", line.len);
    if (code == 0) code = out_write((struct slice){line.data, line.len}, e);
    buf_free(&line);
    tokens_free(&ids);
    return code;
}

static int decode(const struct tokenizer *t, const struct options *o, struct slice text, struct err *e) {
    struct tokens ids = {0};
    struct buf bytes = {0};
    int code = parse_ids(text, "standard input", &ids, e);
    if (code == 0) code = tokenizer_decode(t, ids.id, ids.n, o->special, &bytes, e);
    if (code == 0 && bytes.len) code = out_write((struct slice){bytes.data, bytes.len}, e);
    buf_free(&bytes);
    tokens_free(&ids);
    return code;
}

static int run(int argc, char **argv, struct err *e) {
    struct options o = {0};
    const char *words[1];
    int n_words;
    if (args_help(argc, argv, &cmd_tokenize, tables)) return 0;
    int code = args_parse(argc, argv, tables, &o, words, 1, &n_words, e);
    if (code) return code;
    if (n_words) o.model.model = words[0];
    if (o.decode && o.bos) return err_set(e, ERR_USAGE, "--bos does not go with --decode");
    struct gguf *file = NULL;
    struct tokenizer *t = NULL;
    struct buf text = {0};
    code = open_file(&file, &o.model, e);
    if (code == 0 && (code = vocab_open(&t, file, o.pre ? slice_of(o.pre) : (struct slice){0}, e))) code = err_in(e, "%s", gguf_path(file));
    if (code == 0) code = read_input("-", TEXT_MAX, &text, e);
    struct slice in = {text.data ? text.data : "", text.len};
    if (code == 0) code = o.decode ? decode(t, &o, in, e) : encode(t, &o, in, e);
    if (code == 0) code = out_flush(e);
    buf_free(&text);
    tokenizer_free(t);
    gguf_close(file);
    return code;
}

const struct command cmd_tokenize = {"tokenize", "[MODEL] < TEXT", "text to token ids on one line, and back", run, false};
