/* tool_muse.c: messages that name whom they go to (self: reasoning; user; a tool), and invoke and parameter tags in
 * <atem:function_calls>. */
#include "text/tool_internal.h"

static const char *const behind[] = {"<atem:parameter", "</atem:invoke>", NULL};
static const struct tool_op calls[] = {
    WS, WHILE("<atem:invoke name=\""), NAME("\""), LIT("\">"), WS, UNTIL("</atem:invoke>"), LIT("<atem:parameter name=\""), KEY("\""), LIT("\">"),
    RAW("</atem:parameter>", behind, RAW_BY_SCHEMA), WS, AGAIN, OBJECT_END, CALL_END, WS, AGAIN, LIT("</atem:function_calls>"), DONE,
};
static const struct tool_op header[] = {
    WHEN("self<|message|>"), TO_REASONING, ELSE, WHEN("user<|message|>"), TO_TEXT, ELSE, NAME("<|message|>"), LIT("<|message|>"), TO_TEXT, END, END, DONE,
};
static const struct tool_op text[] = {TO_TEXT, DONE};

const struct tool_syntax tool_muse = {
    .name = "muse",
    .models = "Muse Glimmer",
    .any = {"<atem:function_calls>"},
    .marks = {{"<atem:function_calls>", IN_TEXT | FOR_CALLS, calls},
              {" to=", AT_START, header},
              {"<|message|>", AT_START, text},
              {"<|start|>assistant", IN_TEXT | IN_REASONING, text},
              {"<|eom|>", IN_TEXT | IN_REASONING, text},
              {"<|eot|>", IN_TEXT | IN_REASONING, text}},
    .writing = TAGGED_WRITING(" to=user<|message|><atem:function_calls>\n", "<atem:invoke name=\"", "\">\n", "</atem:invoke>\n",
                              "", "</atem:function_calls>",
                               "<atem:parameter name=\"", "\">", "</atem:parameter>\n", NULL),
    .frame = {.open = " to=self<|message|>", .close = "<|eom|>", .turn = "<|start|>assistant", .lead = " to=user<|message|>"},
};
