/* tool_minimax.c: invoke and parameter tags in <minimax:tool_call>. */
#include "text/tool_internal.h"

static const char *const behind[] = {"<parameter ", "</invoke>", NULL};
static const struct tool_op calls[] = {
    WS, WHILE("<invoke name=\""), NAME("\""), LIT("\">"), WS, UNTIL("</invoke>"), LIT("<parameter name=\""), KEY("\""), LIT("\">"),
    RAW("</parameter>", behind, RAW_BY_SCHEMA), WS, AGAIN, OBJECT_END, CALL_END, WS, AGAIN, LIT("</minimax:tool_call>"), DONE,
};

const struct tool_syntax tool_minimax = {
    .name = "minimax",
    .models = "MiniMax M2",
    .any = {"<minimax:tool_call>"},
    .marks = {{"<minimax:tool_call>", IN_TEXT | FOR_CALLS, calls}},
    .writing = TAGGED_WRITING("<minimax:tool_call>\n", "<invoke name=\"", "\">\n", "</invoke>\n", "", "</minimax:tool_call>",
                               "<parameter name=\"", "\">", "</parameter>\n", NULL),
};
