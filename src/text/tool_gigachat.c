/* tool_gigachat.c: a JSON object behind <|function_call|> (3.1), or as a message of its own with the role "function call" (3). */
#include "text/tool_internal.h"

static const struct tool_op call[] = {WS, ENVELOPE, DONE};
static const struct tool_op message[] = {WS, WHEN("function call<|role_sep|>"), WS, ENVELOPE, ELSE, TO_TEXT, END, DONE};

const struct tool_syntax tool_gigachat = {
    .name = "gigachat",
    .models = "GigaChat 3 and 3.1",
    .any = {"<|function_call|>", "<|role_sep|>"},
    .marks = {{"<|function_call|>", IN_TEXT | FOR_CALLS, call}, {"<|message_sep|>", IN_TEXT, message}},
    .writing = WRITING(TOOL_ARGS_JSON, "<|function_call|>", "{\"name\": \"", "\", \"arguments\": ", "}", NULL, ""),
};
