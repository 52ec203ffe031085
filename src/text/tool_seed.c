/* tool_seed.c: as Qwen's XML, in tags of its own, and values without line breaks around them. */
#include "text/tool_internal.h"

static const char *const behind[] = {"<parameter=", "</function>", NULL};
static const struct tool_op call[] = {
    WS, LIT("<function="), NAME(">"), LIT(">"), WS, UNTIL("</function>"), LIT("<parameter="), KEY(">"), LIT(">"), RAW("</parameter>", behind, RAW_BY_SCHEMA),
    WS, AGAIN, OBJECT_END, CALL_END, WS, LIT("</seed:tool_call>"), DONE,
};

const struct tool_syntax tool_seed = {
    .name = "seed",
    .models = "Seed-OSS",
    .any = {"<seed:tool_call>"},
    .marks = {{"<seed:tool_call>", IN_TEXT | FOR_CALLS, call}},
    .writing = TAGGED_WRITING("", "<seed:tool_call>\n<function=", ">\n", "</function>\n</seed:tool_call>", "\n", "",
                               "<parameter=", ">", "</parameter>\n", NULL),
};
