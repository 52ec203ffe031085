/* tool_apriel.c: a JSON list between <tool_calls> and </tool_calls>, and an answer framed by words. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {JSON_CALLS("</tool_calls>"), DONE};
static const struct tool_op text[] = {TO_TEXT, DONE};

const struct tool_syntax tool_apriel = {
    .name = "apriel",
    .models = "Apriel 1.5 and 1.6",
    .any = {"[BEGIN FINAL RESPONSE]"},
    .also = "<tool_calls>",
    .marks = {{"<tool_calls>", IN_TEXT | FOR_CALLS, calls}, {"[BEGIN FINAL RESPONSE]", IN_TEXT, text}, {"[END FINAL RESPONSE]", IN_TEXT, text}},
    .writing = WRITING(TOOL_ARGS_JSON, "<tool_calls>[", "{\"name\": \"", "\", \"arguments\": ", "}", ", ", "]</tool_calls>"),
};
