/* tool_command_r.c: Command R7B, A and North: a JSON list between control tokens, and a framed answer. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {JSON_CALLS("<|END_ACTION|>"), DONE};
static const struct tool_op text[] = {TO_TEXT, DONE};

const struct tool_syntax tool_command_r = {
    .name = "command-r",
    .models = "Command R7B, Command A, North",
    .any = {"<|START_ACTION|>"},
    .marks = {{"<|START_ACTION|>", IN_TEXT | IN_REASONING | FOR_CALLS, calls},
              {"<|START_RESPONSE|>", IN_TEXT | IN_REASONING, text},
              {"<|END_RESPONSE|>", IN_TEXT, text},
              {"<|START_TEXT|>", IN_TEXT | IN_REASONING, text},
              {"<|END_TEXT|>", IN_TEXT, text}},
    .writing = WRITING(TOOL_ARGS_JSON, "<|START_ACTION|>[\n", "    {\"tool_call_id\": \"0\", \"tool_name\": \"", "\", \"parameters\": ", "}", ",\n",
                       "\n]<|END_ACTION|>"),
    .frame = {.lead = "<|START_RESPONSE|>", .tail = "<|END_RESPONSE|>"},
};
