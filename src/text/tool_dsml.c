/* tool_dsml.c: DeepSeek's DSML: invoke and parameter tags, which say themselves whether a value is a string. */
#include "text/tool_internal.h"

static const char *const behind[] = {"<｜DSML｜parameter", "</｜DSML｜invoke>", NULL};
#define CALLS(end) \
    WS, WHILE("<｜DSML｜invoke name=\""), NAME("\""), LIT("\">"), WS, UNTIL("</｜DSML｜invoke>"), LIT("<｜DSML｜parameter name=\""), KEY("\""), \
        WHEN("\" string=\"true\">"), RAW("</｜DSML｜parameter>", behind, RAW_IS_TEXT), ELSE, LIT("\" string=\"false\">"), \
        RAW("</｜DSML｜parameter>", behind, RAW_IS_JSON), END, WS, AGAIN, OBJECT_END, CALL_END, WS, AGAIN, LIT(end), DONE
static const struct tool_op calls[] = {CALLS("</｜DSML｜tool_calls>")}, functions[] = {CALLS("</｜DSML｜function_calls>")};

const struct tool_syntax tool_dsml = {
    .name = "dsml",
    .models = "DeepSeek V3.2 and V4",
    .any = {"｜DSML｜"},
    .marks = {{"<｜DSML｜tool_calls>", IN_TEXT | FOR_CALLS, calls}, {"<｜DSML｜function_calls>", IN_TEXT | FOR_CALLS, functions}},
    .writing = TAGGED_WRITING("<｜DSML｜tool_calls>\n", "<｜DSML｜invoke name=\"", "\">\n", "</｜DSML｜invoke>\n", "", "</｜DSML｜tool_calls>",
                               "<｜DSML｜parameter name=\"", "\" string=\"true\">", "</｜DSML｜parameter>\n", "\" string=\"false\">"),
};
