/* tool_apertus.c: a list of objects whose only key is the tool's name, between control tokens. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {
    WS, LIT("["), WS, UNTIL("]"), LIT("{"), WS, LIT("\""), NAME("\""), LIT("\""), WS, LIT(":"), ARGS(NOTE_JSON), WS, LIT("}"), CALL_END, WS, SKIP(","), WS, AGAIN,
    WS, LIT("<|tools_suffix|>"), DONE,
};
static const struct tool_op text[] = {TO_TEXT, DONE};

const struct tool_syntax tool_apertus = {
    .name = "apertus",
    .models = "Apertus",
    .any = {"<|tools_prefix|>"},
    .marks = {{"<|tools_prefix|>", IN_TEXT | IN_REASONING | FOR_CALLS, calls}, {"<|assistant_end|>", IN_TEXT | IN_REASONING, text}},
    .writing = WRITING(TOOL_ARGS_JSON, "<|tools_prefix|>[", "{\"", "\": ", "}", ", ", "]<|tools_suffix|>"),
};
