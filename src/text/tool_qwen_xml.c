/* tool_qwen_xml.c: <function=NAME> with <parameter=KEY> tags, each value on lines of its own, in <tool_call>, which some
 * answers leave away. */
#include "text/tool_internal.h"

static const char *const behind[] = {"<parameter=", "</function>", "</tool_call>", NULL};
#define FUNCTION \
    NAME(">"), LIT(">"), WS, UNTIL("</function>"), LIT("<parameter="), KEY(">"), LIT(">"), RAW("</parameter>", behind, RAW_IN_LINES), WS, AGAIN, OBJECT_END, CALL_END
/* Models that were trained on Hermes' JSON too fall back to it. */
static const struct tool_op call[] = {
    WS, PEEK("{"), JSON_CALLS("</tool_call>"), ELSE, LIT("<function="), FUNCTION, WS, LIT("</tool_call>"), END, DONE,
};
static const struct tool_op function[] = {FUNCTION, WS, SKIP("</tool_call>"), DONE};

const struct tool_syntax tool_qwen_xml = {
    .name = "qwen-xml",
    .models = "Qwen3-Coder, Qwen 3.5, Step 3.5",
    .any = {"<function="},
    .also = "<parameter=",
    .marks = {{"<tool_call>", IN_TEXT | FOR_CALLS, call}, {"<function=", IN_TEXT | FOR_CALLS, function}},
    .writing = TAGGED_WRITING("", "<tool_call>\n<function=", ">\n", "</function>\n</tool_call>", "\n", "",
                               "<parameter=", ">\n", "\n</parameter>\n", NULL),
};
