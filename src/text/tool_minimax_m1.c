/* tool_minimax_m1.c: JSON objects, one a line, between <tool_calls> and </tool_calls>. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {JSON_CALLS("</tool_calls>"), DONE};

const struct tool_syntax tool_minimax_m1 = {
    .name = "minimax-m1",
    .models = "MiniMax M1",
    .any = {"<tool_calls>"},
    .marks = {{"<tool_calls>", IN_TEXT | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_JSON, "<tool_calls>\n", "{\"name\": \"", "\", \"arguments\": ", "}", "\n", "\n</tool_calls>"),
};
