/* openai_members.c: members of POST /v1/chat/completions that say something about more than the answer: those that cannot be had here are refused by name, so that nobody takes
 * what is missing for what is there; those that change nothing here are only looked at. See openai.h. */
#include <string.h>

#include "serve/openai.h"

/* Asked for, it would have to be there. */
static int refuse(const struct body_at *at, struct err *e) {
    static const struct {
        const char *field, *why;
    } refused[] = {
        {"functions", "give them as tools"},
        {"function_call", "say it as tool_choice"},
        {"audio", "the model does not speak"},
        {"web_search_options", "nothing is searched from here; give a tool of your own"},
        {"moderation", "nothing is judged here"},
        {"chat_template", "prompts have the template of the model's file; chat_template_kwargs are variables for it"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const json_t *v = json_object_get(at->object, refused[i].field);
        if (v && !json_is_null(v) && !(json_is_array(v) && !json_array_size(v))) return body_error(at, refused[i].field, e, "%s", refused[i].why);
    }
    return 0;
}

static int modalities(const struct body_at *at, struct err *e) {
    const json_t *list = NULL, *item;
    size_t i;
    int code = body_array(at, "modalities", &list, e);
    json_array_foreach(list, i, item) {
        if (code == 0 && (!json_is_string(item) || strcmp(json_string_value(item), "text") != 0)) code = body_error(at, "modalities", e, "answers are \"text\" only");
    }
    return code;
}

/* Clients may send them, and nothing here depends on them: where somebody runs a request, stores it, or looks for it in a cache. The prompt is found in the cache anyway. */
static int look_at(const struct body_at *at, struct err *e) {
    static const char *const texts[] = {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"}, *const objects[] = {"metadata", "prediction", "prompt_cache_options"};
    static const char *const verbosities[] = {"low", "medium", "high", NULL};
    struct slice text = {0};
    const json_t *object = NULL;
    bool flag = false;
    int verbosity = 0, code = body_bool(at, "store", &flag, e);
    for (size_t i = 0; code == 0 && i < sizeof texts / sizeof *texts; i++) code = body_text(at, texts[i], &text, e);
    for (size_t i = 0; code == 0 && i < sizeof objects / sizeof *objects; i++) code = body_object(at, objects[i], &object, e);
    return code ? code : body_choice(at, "verbosity", verbosities, &verbosity, e);
}

/* continue_final_message, as vLLM has it: the last message, an assistant's, is the beginning of the answer. */
static int continued(struct ask *ask, const struct body_at *at, struct err *e) {
    struct slice role = {0}, content = {0};
    const int code = body_bool(at, "continue_final_message", &ask->continued, e);
    if (code || !ask->continued) return code;
    const struct value *last = value_at(ask->messages, value_count(ask->messages) - 1);
    if (!value_text(value_get(last, "role"), &role) || !slice_is(role, "assistant")) return body_error(at, "continue_final_message", e, "the last message is not the assistant's");
    if (value_get(last, "tool_calls")) return body_error(at, "continue_final_message", e, "calls of tools cannot be continued");
    if (ask->form != FORM_FREE) return body_error(at, "continue_final_message", e, "an answer that was begun cannot be of the form that %s asks for", ask->form_field);
    ask->continued = value_text(value_get(last, "content"), &content) && content.n;
    return 0;
}

int openai_members(struct ask *ask, const struct body_at *at, struct err *e) {
    int code = refuse(at, e);
    if (code == 0) code = continued(ask, at, e);
    if (code == 0) code = modalities(at, e);
    return code ? code : look_at(at, e);
}

/* Templates know three efforts. */
int openai_effort(struct ask *ask, const struct body_at *at, struct err *e) {
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max", NULL};
    static const char *const said[] = {"", "low", "low", "medium", "high", "high", "high"};
    int which = -1, code = body_choice(at, "reasoning_effort", efforts, &which, e);
    if (code || which < 0) return code;
    ask->effort = slice_of(said[which]);
    if (which == 0) ask->thinking = THINKING_OFF;
    return 0;
}
