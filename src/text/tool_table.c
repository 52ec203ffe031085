/* tool_table.c: all syntaxes and all reasoning marks, and how a template's source chooses among them. */
#define _GNU_SOURCE
#include <string.h>

#include "text/tool_internal.h"

/* The first that fits counts, so what is more particular stands further up. */
static const struct tool_syntax *const table[] = {
    &tool_harmony,  &tool_deepseek, &tool_dsml,      &tool_kimi,      &tool_command_r,    &tool_command_r1,   &tool_mistral, &tool_apertus,
    &tool_solar,    &tool_gigachat, &tool_muse,      &tool_seed,      &tool_hunyuan,      &tool_gemma,        &tool_lfm2,    &tool_granite,
    &tool_minimax,  &tool_minimax_m3, &tool_apriel,  &tool_minimax_m1, &tool_nemotron,    &tool_glm,          &tool_qwen_xml, &tool_hermes,
    &tool_functionary32, &tool_functionary31, &tool_pythonic, &tool_llama3, &tool_generic,
};

static const struct {
    struct tool_reasoning marks;
    const char *spelt; /* what a template spells that has them */
} reasonings[] = {
    {{"[THINK]", "[/THINK]"}, "[THINK]"},
    {{"<|START_THINKING|>", "<|END_THINKING|>"}, "<|START_THINKING|>"},
    {{"<seed:think>", "</seed:think>"}, "<seed:think>"},
    {{"<mm:think>", "</mm:think>"}, "<mm:think>"},
    {{"<think:opensource>", "</think:opensource>"}, "<think{}>"}, /* Hy3 puts it together */
    {{"<|channel>thought\n", "<channel|>"}, "<|channel>thought"},
    {{"<|inner_prefix|>", "<|inner_suffix|>"}, "<|inner_prefix|>"},
    {{"Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"}, "Here are my reasoning steps:"},
    {{"<thinking>", "</thinking>"}, "<thinking>"},
    {{"<think>", "</think>"}, ""},
};

static bool spells(struct slice source, const char *what) { return !what[0] || (source.n && memmem(source.p, source.n, what, strlen(what))); }

const struct tool_syntax *tool_syntax_for(struct slice source) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool any = !table[i]->any[0], also = !table[i]->also || spells(source, table[i]->also);
        for (size_t k = 0; k < TOOL_ANY_MAX && table[i]->any[k]; k++) any = any || spells(source, table[i]->any[k]);
        if (any && also) return table[i];
    }
    return &tool_generic;
}

const struct tool_syntax *tool_syntax_named(const char *name) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}

const struct tool_syntax *tool_syntax_at(size_t i) { return i < sizeof table / sizeof *table ? table[i] : NULL; }
const char *tool_syntax_name(const struct tool_syntax *s) { return s->name; }
const char *tool_syntax_models(const struct tool_syntax *s) { return s->models; }
const struct tool_writing *tool_syntax_writing(const struct tool_syntax *s) { return &s->writing; }

static bool is_word(char c) { return ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || (c >= '0' && c <= '9'); }

/* Behind the string literal that begins at i. */
static size_t past_literal(struct slice s, size_t i) {
    char quote = s.p[i++];
    while (i < s.n && s.p[i] != quote) i += s.p[i] == '\\' ? 2 : 1;
    return i + 1;
}

/* Between {% or {{ and its end stands the word `tools`, not in a literal and not as an attribute of something else. */
bool tool_template_lists_tools(struct slice s) {
    static const char word[] = "tools";
    size_t n = sizeof word - 1;
    bool inside = false;
    for (size_t i = 0; i + n < s.n; i++) {
        const char *p = s.p + i;
        if (p[0] == '{' && (p[1] == '%' || p[1] == '{')) inside = true;
        if ((p[0] == '%' || p[0] == '}') && p[1] == '}') inside = false;
        if (inside && (p[0] == '\'' || p[0] == '"')) i = past_literal(s, i) - 1;
        else if (inside && memcmp(p, word, n) == 0 && !is_word(p[n]) && !(i && (is_word(p[-1]) || p[-1] == '.'))) return true;
    }
    return false;
}

const struct tool_reasoning *tool_reasoning_for(struct slice source) {
    size_t i = 0;
    while (!spells(source, reasonings[i].spelt)) i++; /* the last fits all */
    return &reasonings[i].marks;
}

static const char *or_nothing(const char *s) { return s ? s : ""; }

/* A syntax in which any text may begin a call leaves no place for reasoning in front. */
static bool takes_all(const struct tool_syntax *s) {
    for (const struct tool_mark *k = s->marks; k < s->marks + TOOL_MARKS_MAX && k->text; k++)
        if (!k->text[0]) return true;
    return false;
}

struct tool_frame tool_frame_of(const struct tool_syntax *s, const struct tool_reasoning *r) {
    const struct tool_frame *f = &s->frame;
    if (f->open || takes_all(s)) r = NULL;
    return (struct tool_frame){.open = r ? r->open : or_nothing(f->open), .close = r ? r->close : or_nothing(f->close), .turn = or_nothing(f->turn), .lead = or_nothing(f->lead), .tail = or_nothing(f->tail)};
}

static struct slice trim_end(struct slice s) {
    while (s.n && is_space(s.p[s.n - 1])) s.n--;
    return s;
}

bool tool_reasoning_opened(const struct tool_reasoning *r, struct slice prompt) {
    struct slice mark = trim_end(slice_of(r->open));
    prompt = trim_end(prompt);
    return prompt.n >= mark.n && memcmp(prompt.p + prompt.n - mark.n, mark.p, mark.n) == 0;
}

bool tool_reasoning_known(const struct tool_syntax *s, const struct tool_reasoning *r, struct slice source) {
    if (s->frame.open) return true;
    const struct slice mark = trim_end(slice_of(tool_frame_of(s, r).open));
    return mark.n && source.n && memmem(source.p, source.n, mark.p, mark.n);
}
