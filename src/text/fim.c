/* fim.c: prompts to fill in the middle; see fim.h. With marks P, S and M: P prefix S suffix M middle (Bavarian et al. 2022, "PSM"); other files come before
 * it, each behind a separator and its name, as Qwen2.5-Coder was trained to see them, or, for models without one, as plain text. */
#include "text/fim.h"

bool fim_known(const struct tokenizer *t) { return tokenizer_role(t, ROLE_FIM_PRE) >= 0 && tokenizer_role(t, ROLE_FIM_SUF) >= 0 && tokenizer_role(t, ROLE_FIM_MID) >= 0; }

/* A mark, where the model has it, and a text. */
static int part(const struct tokenizer *t, enum token_role role, struct slice text, struct tokens *out, struct err *e) {
    const int32_t mark = tokenizer_role(t, role);
    const int code = mark >= 0 ? tokens_add(out, mark, e) : 0;
    return code || !text.n ? code : tokenizer_encode(t, text, NULL, out, e);
}

static int file(const struct tokenizer *t, const struct fim_file *f, struct tokens *out, struct err *e) {
    const bool marked = tokenizer_role(t, ROLE_FIM_SEP) >= 0;
    struct buf text = {0};
    const bool ok = (marked || buf_str(&text, "\n\n")) && buf_add(&text, f->name.p ? f->name.p : "", f->name.n) && buf_char(&text, '\n') && buf_add(&text, f->text.p ? f->text.p : "", f->text.n) &&
                    buf_char(&text, '\n');
    const int code = ok ? part(t, ROLE_FIM_SEP, (struct slice){text.data, text.len}, out, e) : err_nomem(e, "a file's text", f->text.n);
    buf_free(&text);
    return code;
}

int fim_tokens(const struct tokenizer *t, const struct fim *f, struct tokens *out, struct err *e) {
    if (!fim_known(t)) return err_set(e, ERR_UNSUPPORTED, "the model has no tokens that mark a gap to be filled: it was not trained to fill in the middle");
    const size_t before = out->n;
    const bool named = f->n_files && tokenizer_role(t, ROLE_FIM_SEP) >= 0; /* where files have names, the one with the gap has one too */
    int code = tokenizer_adds_bos(t) ? part(t, ROLE_BOS, (struct slice){0}, out, e) : 0;
    if (code == 0 && named && tokenizer_role(t, ROLE_FIM_REP) >= 0) code = part(t, ROLE_FIM_REP, SLICE("project\n"), out, e);
    for (int i = 0; code == 0 && i < f->n_files; i++) code = file(t, &f->files[i], out, e);
    if (code == 0 && named) code = part(t, ROLE_FIM_SEP, SLICE("filename\n"), out, e);
    if (code == 0) code = part(t, ROLE_FIM_PRE, f->prefix, out, e);
    if (code == 0) code = part(t, ROLE_FIM_SUF, f->suffix, out, e);
    if (code == 0) code = part(t, ROLE_FIM_MID, f->middle, out, e);
    if (code) out->n = before;
    return code;
}
