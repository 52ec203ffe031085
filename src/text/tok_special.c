/* tok_special.c: what files do not say about their special tokens, known by spelling or by the model's name.
 *
 * Many files name no end of turn and mark tokens that end a turn as ordinary. The lists below are spellings in use. A token with
 * such a spelling counts as control even if its type says otherwise, so that no user's text can become one.
 */
#include <ctype.h>
#include <string.h>

#include "text/tok_internal.h"

struct spelling {
    enum token_role role;
    const char *text;
};

/* For each role the file does not name, the first that the vocabulary has. */
static const struct spelling by_role[] = {
    {ROLE_EOT, "<|eot_id|>"},        {ROLE_EOT, "<|im_end|>"},      {ROLE_EOT, "<|end|>"},
    {ROLE_EOT, "<end_of_turn>"},     {ROLE_EOT, "<|endoftext|>"},   {ROLE_EOT, "<|end_of_text|>"},
    {ROLE_EOT, "<EOT>"},             {ROLE_EOT, "_<EOT>"},          {ROLE_EOT, "[EOT]"},
    {ROLE_EOT, "<｜end▁of▁sentence｜>"}, {ROLE_EOT, "<end_of_utterance>"},
    {ROLE_EOM, "<|eom_id|>"},
    {ROLE_FIM_PRE, "<|fim_prefix|>"}, {ROLE_FIM_PRE, "<fim-prefix>"}, {ROLE_FIM_PRE, "<fim_prefix>"}, {ROLE_FIM_PRE, "<｜fim▁begin｜>"},
    {ROLE_FIM_PRE, "<PRE>"},          {ROLE_FIM_PRE, "▁<PRE>"},       {ROLE_FIM_PRE, "<|code_prefix|>"}, {ROLE_FIM_PRE, "<|prefix|>"},
    {ROLE_FIM_SUF, "<|fim_suffix|>"}, {ROLE_FIM_SUF, "<fim-suffix>"}, {ROLE_FIM_SUF, "<fim_suffix>"}, {ROLE_FIM_SUF, "<｜fim▁hole｜>"},
    {ROLE_FIM_SUF, "<SUF>"},          {ROLE_FIM_SUF, "▁<SUF>"},       {ROLE_FIM_SUF, "<|code_suffix|>"}, {ROLE_FIM_SUF, "<|suffix|>"},
    {ROLE_FIM_MID, "<|fim_middle|>"}, {ROLE_FIM_MID, "<fim-middle>"}, {ROLE_FIM_MID, "<fim_middle>"}, {ROLE_FIM_MID, "<｜fim▁end｜>"},
    {ROLE_FIM_MID, "<MID>"},          {ROLE_FIM_MID, "▁<MID>"},       {ROLE_FIM_MID, "<|code_middle|>"}, {ROLE_FIM_MID, "<|middle|>"},
    {ROLE_FIM_PAD, "<|fim_pad|>"},    {ROLE_FIM_PAD, "<fim-pad>"},    {ROLE_FIM_PAD, "<fim_pad>"},    {ROLE_FIM_PAD, "<PAD>"},
    {ROLE_FIM_PAD, "[PAD]"},
    {ROLE_FIM_REP, "<|fim_repo|>"},   {ROLE_FIM_REP, "<|repo_name|>"}, {ROLE_FIM_REP, "<fim-repo>"},  {ROLE_FIM_REP, "<REPO>"},
    {ROLE_FIM_REP, "<reponame>"},
    {ROLE_FIM_SEP, "<|file_sep|>"},
};

/* All that the vocabulary has of these end a generation. */
static const char *const ends[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>",
    "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
    "<｜end▁of▁sentence｜>", "[e~[",
};

static void make_control(struct tokenizer *t, int32_t id) {
    if (t->type[id] != TOKEN_UNKNOWN) t->type[id] = TOKEN_CONTROL;
}

static int32_t find(const struct tokenizer *t, const char *text) { return tokenizer_find(t, slice_of(text)); }

static bool ends_generation(const struct tokenizer *t, const char *text) {
    int32_t id = find(t, text);
    return id >= 0 && (t->flags[id] & FLAG_EOG);
}

static void no_end(struct tokenizer *t, const char *text) {
    int32_t id = find(t, text);
    if (id >= 0) t->flags[id] &= (uint8_t)~FLAG_EOG;
}

void special_by_spelling(struct tokenizer *t) {
    static const enum token_role ending[] = {ROLE_EOS, ROLE_EOT, ROLE_EOM, ROLE_FIM_PAD, ROLE_FIM_REP, ROLE_FIM_SEP};
    for (size_t i = 0; i < sizeof by_role / sizeof *by_role; i++) {
        int32_t id = t->role[by_role[i].role] < 0 ? find(t, by_role[i].text) : TOKEN_NONE;
        if (id < 0) continue;
        t->role[by_role[i].role] = id;
        make_control(t, id);
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int32_t id = find(t, ends[i]);
        if (id < 0) continue;
        t->flags[id] |= FLAG_EOG;
        make_control(t, id);
    }
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (t->role[ending[i]] >= 0) t->flags[t->role[ending[i]]] |= FLAG_EOG;
    /* Harmony and Solar close every channel with <|end|> and a turn with another token: the answer goes on behind <|end|>. */
    bool call = ends_generation(t, "<|call|>") || ends_generation(t, "<|calls|>");
    if (call && (ends_generation(t, "<|return|>") || ends_generation(t, "<|flush|>"))) no_end(t, "<|end|>");
    if (ends_generation(t, "<|tool_response>")) no_end(t, "</s>"); /* Gemma 4 keeps a </s> that is mere text */
}

static bool contains(struct slice text, const char *part) { /* without regard to ASCII case */
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.n; i++) {
        size_t k = 0;
        while (k < n && tolower((unsigned char)text.p[i + k]) == part[k]) k++;
        if (k == n) return true;
    }
    return false;
}

static void set_flag(struct tokenizer *t, const char *text, uint8_t flag, bool on) {
    int32_t id = find(t, text);
    if (id < 0) return;
    t->flags[id] = (uint8_t)(on ? t->flags[id] | flag : t->flags[id] & ~flag);
}

/* White space that a token takes with it is stated in tokenizer.json ("lstrip", "rstrip") and lost in GGUF. */
void special_strip_rules(struct tokenizer *t, const struct tokenizer_spec *s) {
    if (contains(s->pre, "jina-v2-de") || contains(s->pre, "jina-v2-es") || contains(s->pre, "jina-v2-code") || contains(s->arch, "nomic-bert-moe") ||
        contains(s->arch, "jina-bert-v3")) {
        set_flag(t, "<mask>", FLAG_LSTRIP, true);
    } else if (contains(s->name, "phi-3") || contains(s->name, "phi3")) {
        for (uint32_t i = 0; i < t->n; i++)
            if (token_is_special(t, i)) t->flags[i] |= FLAG_RSTRIP;
        set_flag(t, "<unk>", FLAG_RSTRIP, false);
        set_flag(t, "<s>", FLAG_RSTRIP, false);
        set_flag(t, "<|endoftext|>", FLAG_RSTRIP, false);
    } else if (contains(s->name, "modern-bert")) {
        set_flag(t, "[MASK]", FLAG_LSTRIP, true);
    }
}
