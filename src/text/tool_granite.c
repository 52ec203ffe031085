/* tool_granite.c: a JSON list behind <|tool_call|>, which nothing closes; the answer may stand between <response> and </response>. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {WS, WHEN("["), JSON_LIST, ELSE, ENVELOPE, END, DONE};
static const struct tool_op text[] = {TO_TEXT, DONE};

const struct tool_syntax tool_granite = {
    .name = "granite",
    .models = "Granite 3",
    .any = {"<|tool_call|>"},
    .marks = {{"<|tool_call|>", IN_TEXT | FOR_CALLS, calls}, {"<tool_call>", AT_START | FOR_CALLS, calls}, {"<response>", AT_START, text}, {"</response>", IN_TEXT, text}},
    .writing = WRITING(TOOL_ARGS_JSON, "<|tool_call|>[", "{\"name\": \"", "\", \"arguments\": ", "}", ", ", "]"),
};
