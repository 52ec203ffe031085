/* tool_lfm2.c: a Python list of calls between <|tool_call_start|> and <|tool_call_end|>; of JSON objects where the system
 * prompt asks for them. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {
    WS, SKIP("["), WS, UNTIL("<|tool_call_end|>"),
    PEEK("{"), ENVELOPE, ELSE, NAME("("), LIT("("), KEYWORDS, END,
    WS, SKIP(","), SKIP("]"), WS, AGAIN, DONE,
};

const struct tool_syntax tool_lfm2 = {
    .name = "lfm2",
    .models = "LFM2 and LFM2.5",
    .any = {"<|tool_call_start|>", "<|tool_list_start|>"},
    .marks = {{"<|tool_call_start|>", IN_TEXT | IN_REASONING | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_PYTHON, "<|tool_call_start|>[", "", "(", ")", ", ", "]<|tool_call_end|>"),
};
