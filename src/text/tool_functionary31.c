/* tool_functionary31.c: <function=NAME>{...}</function>. */
#include "text/tool_internal.h"

static const struct tool_op call[] = {NAME(">"), LIT(">"), ARGS(NOTE_JSON), CALL_END, WS, LIT("</function>"), DONE};

const struct tool_syntax tool_functionary31 = {
    .name = "functionary-3.1",
    .models = "Functionary 3.1, Llama 3.1 with custom tools",
    .any = {"<function="},
    .marks = {{"<function=", IN_TEXT | FOR_CALLS, call}},
    .writing = WRITING(TOOL_ARGS_JSON, "", "<function=", ">", "</function>", "", ""),
};
