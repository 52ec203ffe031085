/* fuzz_talk.c: bodies of requests for messages from anywhere, in both dialects, read and rendered by a template that is hard to please: an error that names something, or a prompt; nothing
 * is lost. The first byte says which endpoint. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/vocab.h"
#include "model/embedded.h"
#include "serve/anthropic.h"
#include "serve/openai.h"
#include "serve/prompt.h"

static const char template[] =
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('system first') }}{% endif %}<|{{ m.role }}|>{{ m.content | trim }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}";

static void need(bool holds) {
    if (!holds) abort();
}

/* Opened once, and there until the end. */
static const struct served *served(void) {
    static struct served s;
    static struct gguf *file;
    static struct model *model;
    struct err e = {0};
    if (s.chat) return &s;
    need(gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), "ember", &e) == 0 && model_open_file(&model, file, &e) == 0 && vocab_of_model(&s.tokenizer, model, &e) == 0);
    s.template = SLICE(template);
    s.syntax = tool_syntax_for(s.template);
    s.reasoning = tool_reasoning_for(s.template);
    s.name = (char *)(uintptr_t)"tested";
    need(chat_new(&s.chat, file, s.tokenizer, s.template, NULL, &e) == 0);
    return &s;
}

static void look(const struct ask *ask) {
    need(!ask->messages || value_count(ask->messages) > 0);
    need(ask->n_stop >= 0 && ask->n_stop <= ASK_STOPS && ask->n_tools <= ASK_TOOLS && ask->n >= 1 && ask->n <= ASK_CHOICES);
    struct slice role = {0};
    for (size_t i = 0; i < value_count(ask->messages); i++) need(value_text(value_get(value_at(ask->messages, i), "role"), &role));
    need(!ask->continued || slice_is(role, "assistant"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1 << 16) return 0;
    const struct served *s = served();
    const int64_t before = mem_live();
    struct answer a = {.arena = {.limit = 64 << 20}, .ask = {.sampling = sampler_defaults(), .max_tokens = -1, .n = 1, .logprobs = -1, .parallel = true, .normalise = (data[0] & 4) == 0}};
    struct err e = {0};
    int (*const read[])(struct answer *, const json_t *, struct err *) = {anthropic_read, anthropic_read_count, openai_chat.read, openai_chat.read};
    int code = body_parse(&a.body, (struct slice){(const char *)data + 1, size - 1}, &e);
    if (code == 0) code = read[data[0] & 3](&a, a.body, &e);
    need(code == 0 || ((code == ERR_FORMAT || code == ERR_MEMORY || code == ERR_UNSUPPORTED) && *e.msg));
    if (code == 0) {
        struct tokens ids = {0};
        bool opened;
        look(&a.ask);
        code = prompt_tokens(&a.ask, s, &a.arena, &ids, &opened, &e);
        need(code == 0 || *e.msg);
        tokens_free(&ids);
    }
    json_decref(a.body);
    arena_free(&a.arena);
    need(mem_live() == before);
    return 0;
}
