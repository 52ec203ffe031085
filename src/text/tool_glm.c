/* tool_glm.c: <tool_call>NAME, then pairs of <arg_key> and <arg_value>. Strings stand as they are, other values as JSON; the
 * schema tells. */
#include "text/tool_internal.h"

static const char *const behind[] = {"<arg_key>", "</tool_call>", NULL};
static const struct tool_op call[] = {
    WS, NAME2("\n", "<"), WS, UNTIL("</tool_call>"), LIT("<arg_key>"), KEY("</arg_key>"), LIT("</arg_key>"), WS, LIT("<arg_value>"),
    RAW("</arg_value>", behind, RAW_BY_SCHEMA), WS, AGAIN, OBJECT_END, CALL_END, DONE,
};

const struct tool_syntax tool_glm = {
    .name = "glm",
    .models = "GLM 4.5 and 4.6, Laguna, Spark 2.5, Ling 3",
    .any = {"<arg_key>"},
    .marks = {{"<tool_call>", IN_TEXT | FOR_CALLS, call}},
    .writing = TAGGED_WRITING("", "<tool_call>", "\n", "</tool_call>", "\n", "",
                               "<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n", NULL),
};
