/* tool_mistral.c: behind [TOOL_CALLS] a JSON list (Nemo), or a name and its arguments, with [CALL_ID] and [ARGS] between them
 * as the version has it; then each call has a mark of its own. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {
    WS, WHEN("["), JSON_LIST, ELSE, PEEK("{"), ENVELOPE, ELSE,
    NAME2("[", "{"), WHEN("[CALL_ID]"), ID_FROM, TOKEN("[ARGS]"), ID_TO, END, SKIP("[ARGS]"), ARGS(NOTE_JSON), CALL_END,
    END, END, DONE,
};

const struct tool_syntax tool_mistral = {
    .name = "mistral",
    .models = "Mistral, Ministral, Magistral, Devstral",
    .any = {"[TOOL_CALLS]"},
    .marks = {{"[TOOL_CALLS]", IN_TEXT | IN_REASONING | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_JSON, "[TOOL_CALLS]", "", "[ARGS]", "", "[TOOL_CALLS]", ""),
};
