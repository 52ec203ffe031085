/* tool_deepseek.c: calls in a section of control tokens: NAME<｜tool▁sep｜>{...} (V3.1), or function<｜tool▁sep｜>NAME and JSON in
 * a fence (V3, R1). */
#include "text/tool_internal.h"

#define CALL \
    WHEN("function<｜tool▁sep｜>"), NAME("\n"), ELSE, NAME("<｜tool▁sep｜>"), LIT("<｜tool▁sep｜>"), END, WS, SKIP("```json"), ARGS(NOTE_JSON), CALL_END, WS, \
        SKIP("```"), WS, LIT("<｜tool▁call▁end｜>")
static const struct tool_op section[] = {WS, UNTIL("<｜tool▁calls▁end｜>"), LIT("<｜tool▁call▁begin｜>"), CALL, WS, AGAIN, DONE};
static const struct tool_op call[] = {CALL, WS, SKIP("<｜tool▁calls▁end｜>"), DONE}; /* distilled models leave the section's mark away */

const struct tool_syntax tool_deepseek = {
    .name = "deepseek",
    .models = "DeepSeek R1, V3 and V3.1",
    .any = {"<｜tool▁calls▁begin｜>"},
    .marks = {{"<｜tool▁calls▁begin｜>", IN_TEXT | IN_REASONING | FOR_CALLS, section}, {"<｜tool▁call▁begin｜>", IN_TEXT | FOR_CALLS, call}},
    .writing = WRITING(TOOL_ARGS_JSON, "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "",
                       "<｜tool▁calls▁end｜>"),
};
