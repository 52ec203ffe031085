/* tool_generic.c: the syntax for models whose template knows none. They are told to write what most have seen (tool_prompt);
 * besides, a bare JSON object is taken, and one in a fence, if the answer begins with it and it names a tool. */
#include "text/tool_internal.h"

static const struct tool_op tagged[] = {JSON_CALLS("</tool_call>"), DONE};
static const struct tool_op bare[] = {ENVELOPE, WS, WHILE(";"), WS, ENVELOPE, WS, AGAIN, DONE};
static const struct tool_op fenced[] = {WS, ENVELOPE, WS, LIT("```"), DONE};

const struct tool_syntax tool_generic = {
    .name = "generic",
    .models = "all others",
    .marks = {{"<tool_call>", IN_TEXT | FOR_CALLS, tagged}, {"{", AT_START | KEPT | FOR_CALLS, bare}, {"```json", AT_START | FOR_CALLS, fenced}},
    .writing = WRITING(TOOL_ARGS_JSON, "<tool_call>\n", "{\"name\": \"", "\", \"arguments\": ", "}",
                       "\n</tool_call>\n<tool_call>\n", "\n</tool_call>"),
};
