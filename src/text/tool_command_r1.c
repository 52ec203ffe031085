/* tool_command_r1.c: the first Command R and R+: "Action:" and a JSON list in a fence. */
#include "text/tool_internal.h"

static const struct tool_op calls[] = {WS, LIT("```json"), WS, LIT("["), JSON_LIST, WS, LIT("```"), DONE};

const struct tool_syntax tool_command_r1 = {
    .name = "command-r1",
    .models = "Command R and R+",
    .any = {"Action:"},
    .also = "<|CHATBOT_TOKEN|>",
    .marks = {{"Action:", IN_TEXT | FOR_CALLS, calls}},
    .writing = WRITING(TOOL_ARGS_JSON, "Action: ```json\n[\n", " {\"tool_name\": \"", "\", \"parameters\": ", "}", ",\n", "\n]```"),
};
