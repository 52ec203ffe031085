/* tool_hunyuan.c: as GLM's, with a section around the calls and a suffix to each tag. */
#include "text/tool_internal.h"

static const char *const behind[] = {"<arg_key:opensource>", "</tool_call:opensource>", NULL};
static const struct tool_op calls[] = {
    WS, UNTIL("</tool_calls:opensource>"), LIT("<tool_call:opensource>"), WS, NAME("<tool_sep:opensource>"), LIT("<tool_sep:opensource>"), WS,
    UNTIL("</tool_call:opensource>"), LIT("<arg_key:opensource>"), KEY("</arg_key:opensource>"), LIT("</arg_key:opensource>"), WS,
    LIT("<arg_value:opensource>"), RAW("</arg_value:opensource>", behind, RAW_BY_SCHEMA), WS, AGAIN, OBJECT_END, CALL_END, WS, AGAIN, DONE,
};

const struct tool_syntax tool_hunyuan = {
    .name = "hunyuan",
    .models = "Hunyuan 3",
    .any = {"<tool_sep"},
    .marks = {{"<tool_calls:opensource>", IN_TEXT | FOR_CALLS, calls}},
    .writing = TAGGED_WRITING("<tool_calls:opensource>\n", "<tool_call:opensource>", "<tool_sep:opensource>\n",
                              "</tool_call:opensource>\n", "", "</tool_calls:opensource>",
                               "<arg_key:opensource>", "</arg_key:opensource>\n<arg_value:opensource>", "</arg_value:opensource>\n", NULL),
};
