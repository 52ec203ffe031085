/* tool_harmony.c: gpt-oss: messages on channels. analysis is reasoning, final is text, commentary is a call where it is
 * addressed to a function and text (a preamble) where it is not. The address may stand in front of the channel or behind it. */
#include "text/tool_internal.h"

#define FORMAT WS, SKIP("<|constrain|>"), SKIP("json"), SKIP("code"), WS, LIT("<|message|>"), ARGS(NOTE_JSON), CALL_END, WS, SKIP("<|call|>")
/* behind to=functions. */
#define ADDRESSED NAME2(" ", "<|"), WS, WHEN("<|channel|>"), WHEN("commentary"), ELSE, LIT("analysis"), END, END, FORMAT
static const struct tool_op addressed[] = {ADDRESSED, DONE};
static const struct tool_op channel[] = {
    WHEN("analysis"), WHEN(" to=functions."), ADDRESSED, ELSE, LIT("<|message|>"), TO_REASONING, END, ELSE,
    WHEN("final"), WS, SKIP("<|constrain|>"), SKIP("json"), WS, LIT("<|message|>"), TO_TEXT, ELSE,
    LIT("commentary"), WHEN(" to=functions."), ADDRESSED, ELSE, LIT("<|message|>"), TO_TEXT, END, END, END, DONE,
};
static const struct tool_op text[] = {TO_TEXT, DONE};

const struct tool_syntax tool_harmony = {
    .name = "harmony",
    .models = "gpt-oss",
    .any = {"<|channel|>analysis"},
    .also = "<|message|>",
    .marks = {{"<|channel|>", IN_TEXT, channel},
              {" to=functions.", AT_START | FOR_CALLS, addressed},
              {"<|start|>assistant", IN_TEXT | IN_REASONING, text},
              {"<|end|>", IN_TEXT | IN_REASONING, text},
              {"<|return|>", IN_TEXT | IN_REASONING, text},
              {"<|call|>", IN_TEXT | IN_REASONING, text}},
    .writing = WRITING(TOOL_ARGS_JSON, "", "<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "<|call|>", NULL, ""),
    .frame = {.open = "<|channel|>analysis<|message|>", .close = "<|end|>", .turn = "<|start|>assistant", .lead = "<|channel|>final<|message|>"},
};
