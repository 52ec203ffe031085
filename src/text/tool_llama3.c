/* tool_llama3.c: a bare JSON object as the whole answer (Llama 3.1 to 3.3), the same behind <|python_tag|>, or there a call of
 * a built-in tool as NAME.call(ARGUMENT="...", ...); and <function=NAME>{...}</function>. */
#include "text/tool_internal.h"

static const struct tool_op bare[] = {ENVELOPE, WS, WHILE(";"), WS, ENVELOPE, WS, AGAIN, DONE};
static const struct tool_op tagged[] = {
    WS, PEEK("{"), ENVELOPE, WS, WHILE(";"), WS, ENVELOPE, WS, AGAIN, ELSE, NAME(".call("), LIT(".call("), KEYWORDS, END, DONE,
};
static const struct tool_op function[] = {NAME(">"), LIT(">"), ARGS(NOTE_JSON), CALL_END, WS, LIT("</function>"), DONE};

const struct tool_syntax tool_llama3 = {
    .name = "llama3",
    .models = "Llama 3.1 to 3.3",
    .any = {"<|python_tag|>", "Environment: ipython"},
    .marks = {{"<|python_tag|>", IN_TEXT | FOR_CALLS, tagged}, {"{", AT_START | KEPT | FOR_CALLS, bare}, {"<function=", IN_TEXT | FOR_CALLS, function}},
    .writing = WRITING(TOOL_ARGS_JSON, "", "{\"name\": \"", "\", \"parameters\": ", "}", NULL, ""),
};
