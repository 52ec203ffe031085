/* tool_kimi.c: Kimi K2: a section of control tokens; a call's id, functions.NAME:NUMBER, holds its name. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {
    WS, WHILE("<|tool_call_begin|>"), WS, ID_FROM, SKIP("functions."), NAME2(":", "<|tool_call_argument_begin|>"), WHEN(":"),
    TOKEN("<|tool_call_argument_begin|>"), END, ID_TO, LIT("<|tool_call_argument_begin|>"), ARGS(NOTE_JSON), CALL_END, WS, LIT("<|tool_call_end|>"), WS,
    AGAIN, LIT("<|tool_calls_section_end|>"), DONE,
};

const struct tool_syntax tool_kimi = {
    .name = "kimi",
    .models = "Kimi K2",
    .any = {"<|tool_calls_section_begin|>"},
    .marks = {{"<|tool_calls_section_begin|>", IN_TEXT | IN_REASONING | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_JSON, "<|tool_calls_section_begin|>", "<|tool_call_begin|>functions.",
                       ":0<|tool_call_argument_begin|>", "<|tool_call_end|>", "", "<|tool_calls_section_end|>"),
};
