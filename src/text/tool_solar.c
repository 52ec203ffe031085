/* tool_solar.c: Solar Open: messages that begin with what they are: <|think|>, <|content|> or <|tool_calls|>. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {
    WS, WHILE("<|tool_call:begin|>"), ID_FROM, TOKEN("<|tool_call:name|>"), ID_TO, LIT("<|tool_call:name|>"), NAME("<|tool_call:args|>"),
    LIT("<|tool_call:args|>"), ARGS(NOTE_JSON), CALL_END, WS, LIT("<|tool_call:end|>"), WS, AGAIN, SKIP("<|calls|>"), DONE,
};
static const struct tool_op text[] = {TO_TEXT, DONE}, reasoning[] = {TO_REASONING, DONE};

const struct tool_syntax tool_solar = {
    .name = "solar",
    .models = "Solar Open",
    .any = {"<|tool_call:begin|>"},
    .marks = {{"<|tool_calls|>", IN_TEXT | FOR_CALLS, calls},
              {"<|think|>", IN_TEXT, reasoning},
              {"<|content|>", IN_TEXT | IN_REASONING, text},
              {"<|begin|>assistant", IN_TEXT | IN_REASONING, text},
              {"<|end|>", IN_TEXT | IN_REASONING, text}},
    .writing = WRITING(TOOL_ARGS_JSON, "<|tool_calls|>", "<|tool_call:begin|>0<|tool_call:name|>", "<|tool_call:args|>",
                       "<|tool_call:end|>", "", "<|calls|>"),
    .frame = {.open = "<|think|>", .close = "<|end|>", .turn = "<|begin|>assistant", .lead = "<|content|>"},
};
