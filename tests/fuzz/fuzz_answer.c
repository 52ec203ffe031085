/* fuzz_answer.c: any bytes as the schema of a tool and of an answer's text, in any syntax, and after a NUL byte an answer that is read under its masks; see grammar_rig.h. The first
 * byte chooses the syntax, the second what the answer may be; see parse_answer. */
#include "grammar_rig.h"
#include "text/answer_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rig own;

static int parse_answer(struct grammar **g, struct slice source, struct err *e) {
    static const struct tool_reasoning think = {"<think>", "</think>"};
    const unsigned syntax = source.n ? (uint8_t)source.p[0] : 0, how = source.n > 1 ? (uint8_t)source.p[1] : 0;
    const struct slice schema = source.n > 2 ? (struct slice){source.p + 2, source.n - 2} : SLICE("{}");
    const struct tool_spec tools[] = {{SLICE("f"), schema, how & 1}, {SLICE("g.h"), SLICE("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"null\"]}}}"), true}, {SLICE("not a name"), schema, false}};
    size_t n = 0;
    int bad;
    while (tool_syntax_at(n)) n++;
    const struct answer_form f = {.syntax = tool_syntax_at(syntax % n), .reasoning = how & 2 ? &think : NULL, .tools = tools, .n_tools = 3, .calls = (enum answer_calls)((how >> 2) % 3), .parallel = how & 1,
                                  .text = (how >> 4) % 3 == 0 && (how >> 2) % 3 == 0 ? TEXT_SCHEMA : (enum answer_text)((how >> 4) % 3), .source = schema};
    return grammar_of_answer(g, &f, own.v, &bad, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!own.t) rig_open(&own);
    rig_run(parse_answer, data, size);
    return 0;
}
