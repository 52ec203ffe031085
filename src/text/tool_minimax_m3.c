/* tool_minimax_m3.c: invoke tags and tags named as the arguments, each behind a control token; arrays and objects are tags in tags. */
#include "text/tool_internal.h"

#define NS "]<]minimax[>["
static const struct tool_op calls[] = {
    WS, WHILE(NS "<invoke name=\""), NAME("\""), LIT("\">"), WS, UNTIL(NS "</invoke>"), LIT(NS "<"), KEY(">"), LIT(">"), TREE(NS), WS, AGAIN,
    OBJECT_END, CALL_END, WS, AGAIN, LIT(NS "</tool_call>"), DONE,
};

const struct tool_syntax tool_minimax_m3 = {
    .name = "minimax-m3",
    .models = "MiniMax M3",
    .any = {"]<]minimax[>["},
    .marks = {{NS "<tool_call>", IN_TEXT | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_TREE, NS "<tool_call>\n", NS "<invoke name=\"", "\">", NS "</invoke>\n", "", NS "</tool_call>"),
};
