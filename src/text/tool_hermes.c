/* tool_hermes.c: JSON between <tool_call> and </tool_call>. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {JSON_CALLS("</tool_call>"), DONE};

const struct tool_syntax tool_hermes = {
    .name = "hermes",
    .models = "Hermes, Qwen 2.5 and 3, QwQ, MiMo, Granite 4",
    .any = {"<tool_call>"},
    .marks = {{"<tool_call>", IN_TEXT | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_JSON, "<tool_call>\n", "{\"name\": \"", "\", \"arguments\": ", "}",
                       "\n</tool_call>\n<tool_call>\n", "\n</tool_call>"),
};
