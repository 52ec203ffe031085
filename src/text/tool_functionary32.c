/* tool_functionary32.c: >>>RECIPIENT, a line break, and what it gets: text for "all", arguments for a tool. The prompt ends
 * with the first >>>. */
#include "text/tool_internal.h"

#define CALL NAME("\n"), LIT("\n"), ARGS(NOTE_JSON), CALL_END
static const struct tool_op text[] = {TO_TEXT, DONE}, first[] = {CALL, DONE}, next[] = {WHEN("all\n"), TO_TEXT, ELSE, CALL, END, DONE};

const struct tool_syntax tool_functionary32 = {
    .name = "functionary-3.2",
    .models = "Functionary 3.2",
    .any = {">>>all"},
    .marks = {{"all\n", AT_START, text}, {">>>", IN_TEXT, next}, {"", AT_START | FOR_CALLS, first}},
    .writing = WRITING(TOOL_ARGS_JSON, "", "", "\n", "", ">>>", ""),
    .frame = {.lead = "all\n"},
};
