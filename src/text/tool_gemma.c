/* tool_gemma.c: Gemma 4: call:NAME and arguments in a notation of its own, between control tokens. */
#include "text/tool_internal.h"

static const struct tool_op call[] = {LIT("call:"), NAME("{"), ARGS(NOTE_GEMMA), CALL_END, WS, LIT("<tool_call|>"), DONE};

const struct tool_syntax tool_gemma = {
    .name = "gemma",
    .models = "Gemma 4",
    .any = {"<|tool_call>"},
    .marks = {{"<|tool_call>", IN_TEXT | IN_REASONING | FOR_CALLS, call}},
    .writing = WRITING(TOOL_ARGS_GEMMA, "", "<|tool_call>call:", "", "<tool_call|>", "", ""),
};
