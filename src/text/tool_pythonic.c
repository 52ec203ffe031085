/* tool_pythonic.c: a Python list of calls as the whole answer, [f(a=1), g(b='x')], or between <|python_start|> and <|python_end|>. */
#include "text/tool_internal.h"

#define CALLS WS, UNTIL("]"), NAME("("), LIT("("), KEYWORDS, WS, SKIP(","), WS, AGAIN
static const struct tool_op bare[] = {LIT("["), CALLS, DONE};
static const struct tool_op tagged[] = {WS, LIT("["), CALLS, WS, SKIP("<|python_end|>"), DONE};

const struct tool_syntax tool_pythonic = {
    .name = "pythonic",
    .models = "Llama 3.2 and 4, and others with a pythonic template",
    .any = {"<|python_start|>", "[func_name1("},
    .marks = {{"[", AT_START | KEPT | FOR_CALLS, bare}, {"<|python_start|>", IN_TEXT | FOR_CALLS, tagged}},
    .writing = WRITING(TOOL_ARGS_PYTHON, "[", "", "(", ")", ", ", "]"),
};
