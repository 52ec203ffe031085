/* tool_nemotron.c: a JSON list between <TOOLCALL> and </TOOLCALL>. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {JSON_CALLS("</TOOLCALL>"), DONE};

const struct tool_syntax tool_nemotron = {
    .name = "nemotron",
    .models = "Nemotron Nano 2",
    .any = {"<TOOLCALL>"},
    .marks = {{"<TOOLCALL>", IN_TEXT | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_JSON, "<TOOLCALL>[", "{\"name\": \"", "\", \"arguments\": ", "}", ", ", "]</TOOLCALL>"),
};
