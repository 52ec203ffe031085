/* test_toolcall.c: what models write, in every syntax, against what should be read from it; fed whole, by characters and in random pieces.
 *
 * The tables say what a syntax looks like; the templates of real models (shared data) are an independent witness: a call that a template writes
 * must be read back as the same call. Random damage shows that nothing is lost and that no way of feeding makes a difference. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "shared_data.h"
#include "text/template.h"
#include "toolcall_fixture.h"

#define S(literal) {literal, sizeof(literal) - 1}

static const struct tool_spec tools[] = {
    {S("get_weather"), S("{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"unit\": {\"enum\": [\"celsius\", \"fahrenheit\"]}}}"), false},
    {S("search_files"),
     S("{\"properties\": {\"pattern\": {\"type\": \"string\"}, \"limit\": {\"type\": \"integer\"}, \"paths\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},"
       "\"deep\": {\"type\": \"boolean\"}, \"filter\": {\"$ref\": \"#/$defs/f\"}, \"maybe\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]},"
       "\"ratio\": {\"type\": [\"number\", \"null\"]}, \"either\": {\"anyOf\": [{\"type\": \"integer\"}, {\"title\": \"any\"}]}, \"all\": {\"allOf\": [{}, {\"type\": \"boolean\"}]}}, \"$defs\": {\"f\": {\"type\": \"object\"}}}"), false},
    {S("now"), {NULL, 0}, false},
};
static const struct tool_reasoning think = {"<think>", "</think>"};
static const struct tool_options usual = {.tools = tools, .n_tools = 3, .parallel = true, .reasoning = &think};

struct row {
    const char *syntax, *answer, *log;
};

/* The log of an answer must be this, however it comes. */
static void expect_log(const struct tool_syntax *s, const struct tool_options *o, struct slice answer, const char *log) {
    for (int how = 0; how < 12; how++) {
        struct tool_log l = {0};
        struct err e = {0};
        size_t most = how == 0 ? 0 : how == 1 ? 1 : (size_t)how;
        assert_int_equal(read_answer(s, o, answer, most, how < 2 ? 0 : 77u * (uint32_t)how, &l, &e), 0);
        const char *got = l.log.data ? l.log.data : "";
        if (l.log.len != strlen(log) || memcmp(got, log, l.log.len) != 0)
            fail_msg("%s, pieces %d: %.300s\n  expected %s\n  got      %s", tool_syntax_name(s), how, answer.p, log, got);
        log_free(&l);
    }
}

static void expect_rows(const struct row *rows, size_t n, const struct tool_options *o) {
    for (size_t i = 0; i < n; i++) {
        const struct tool_syntax *s = tool_syntax_named(rows[i].syntax);
        if (!s) fail_msg("no syntax %s", rows[i].syntax);
        expect_log(s, o, slice_of(rows[i].answer), rows[i].log);
    }
}
#define EXPECT(rows, options) expect_rows(rows, sizeof(rows) / sizeof *(rows), options)

#define PARIS "{\"city\": \"Paris\"}"
#define ROME "{\"city\": \"Rome\"}"
#define NS "]<]minimax[>["

/* Two calls in each syntax, with what else the syntax has. */
static const struct row syntaxes[] = {
    {"hermes", "Let me look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": " PARIS "}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
     "text Let me look.|call get_weather " PARIS " complete|call now {} complete"},
    {"hermes", "<tool_call>[{\"name\":\"get_weather\",\"arguments\":" PARIS "},{\"name\":\"now\"}]</tool_call> Done.",
     "call get_weather " PARIS " complete|call now {} complete|text Done."},
    {"generic", "<tool_call>{\"name\": \"now\", \"parameters\": {}}</tool_call>", "call now {} complete"},
    {"generic", "{\"name\": \"get_weather\", \"arguments\": " PARIS "}; {\"name\": \"now\"}", "call get_weather " PARIS " complete|call now {} complete"},
    {"generic", "```json\n{\"name\": \"get_weather\", \"arguments\": " PARIS "}\n```", "call get_weather " PARIS " complete"},
    {"generic", "```json\n{\"city\": 1}\n```", "text ```json\n{\"city\": 1}\n```"},
    {"nemotron", "Let me look.\n<TOOLCALL>[{\"name\": \"get_weather\", \"arguments\": " PARIS "}, {\"name\": \"get_weather\", \"arguments\": " ROME "}]</TOOLCALL>",
     "text Let me look.|call get_weather " PARIS " complete|call get_weather " ROME " complete"},
    {"minimax-m1", "<tool_calls>\n{\"name\": \"get_weather\", \"arguments\": " PARIS "}\n{\"name\": \"now\", \"arguments\": {}}\n</tool_calls>",
     "call get_weather " PARIS " complete|call now {} complete"},
    {"apriel", "<tool_calls>[{\"name\": \"get_weather\", \"arguments\": " PARIS ", \"id\": \"call1\"}, {\"name\": \"now\", \"arguments\": {}, \"id\": \"call2\"}]</tool_calls>",
     "call get_weather " PARIS " complete [call1]|call now {} complete [call2]"},
    {"apriel", "[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]\n", "text Yes."},
    {"granite", "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": " PARIS "}, {\"name\": \"now\", \"arguments\": {}}]",
     "call get_weather " PARIS " complete|call now {} complete"},
    {"granite", "<think>Easy.</think><response>Yes.</response>", "reasoning Easy.|text Yes."},
    {"gigachat", "Let me look.<|function_call|>{\"name\": \"get_weather\", \"arguments\": " PARIS "}", "text Let me look.|call get_weather " PARIS " complete"},
    {"gigachat", "Let me look.<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": " PARIS "}<|message_sep|>",
     "text Let me look.|call get_weather " PARIS " complete"},
    {"mistral", "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": " PARIS ", \"id\": \"abcdefghi\"}, {\"name\": \"now\", \"arguments\": {}}]",
     "call get_weather " PARIS " complete [abcdefghi]|call now {} complete"},
    {"mistral", "Yes.[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]" PARIS "[TOOL_CALLS]now[ARGS]{}", "text Yes.|call get_weather [abcdefghi] " PARIS " complete|call now {} complete"},
    {"mistral", "[TOOL_CALLS]get_weather" PARIS "[TOOL_CALLS]now{}", "call get_weather " PARIS " complete|call now {} complete"},
    {"llama3", "{\"name\": \"get_weather\", \"parameters\": " PARIS "}", "call get_weather " PARIS " complete"},
    {"llama3", "{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": " PARIS "}", "call get_weather " PARIS " complete"},
    {"llama3", "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": " PARIS "}; {\"name\": \"now\"}", "call get_weather " PARIS " complete|call now {} complete"},
    {"llama3", "<|python_tag|>get_weather.call(city=\"Paris\", unit=\"celsius\")", "call get_weather {\"city\": \"Paris\", \"unit\": \"celsius\"} complete"},
    {"llama3", "<function=get_weather>" PARIS "</function>", "call get_weather " PARIS " complete"},
    {"pythonic", "[get_weather(city='Paris'), now()]", "call get_weather " PARIS " complete|call now {} complete"},
    {"pythonic", "<|python_start|>[search_files(pattern=\"a\", limit=3, deep=True, paths=['x', \"y\"], filter={'k': None})]<|python_end|>",
     "call search_files {\"pattern\": \"a\", \"limit\": 3, \"deep\": true, \"paths\": [\"x\", \"y\"], \"filter\": {\"k\": null}} complete"},
    {"lfm2", "Let me look.<|tool_call_start|>[get_weather(city='Paris'), get_weather(city='L'Aquila')]<|tool_call_end|>Checking.",
     "text Let me look.|call get_weather " PARIS " complete|call get_weather {\"city\": \"L'Aquila\"} complete|text Checking."},
    {"lfm2", "<|tool_call_start|>[{\"name\": \"get_weather\", \"arguments\": " PARIS "}]<|tool_call_end|>", "call get_weather " PARIS " complete"},
    {"deepseek", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n" PARIS "\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n"
                 "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "call get_weather " PARIS " complete|call now {} complete"},
    {"deepseek", "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>" PARIS "<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "text Hm.|call get_weather " PARIS " complete|call now {} complete"},
    {"dsml", "Hm.\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"search_files\">\n<｜DSML｜parameter name=\"pattern\" string=\"true\">12</｜DSML｜parameter>\n"
             "<｜DSML｜parameter name=\"limit\" string=\"false\">12</｜DSML｜parameter>\n<｜DSML｜parameter name=\"paths\" string=\"false\">[\"a\"]</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
             "<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
     "text Hm.|call search_files {\"pattern\": \"12\", \"limit\": 12, \"paths\": [\"a\"]} complete|call now {} complete"},
    {"glm", "<think>Hm.</think>\nLet me look.\n<tool_call>search_files\n<arg_key>pattern</arg_key>\n<arg_value>12</arg_value>\n<arg_key>limit</arg_key>\n<arg_value>12</arg_value>\n"
            "<arg_key>open</arg_key>\n<arg_value>{\"a\": 1}</arg_value>\n</tool_call>\n<tool_call>now</tool_call>",
     "reasoning Hm.|text Let me look.|call search_files {\"pattern\": \"12\", \"limit\": 12, \"open\": {\"a\": 1}} complete|call now {} complete"},
    {"hunyuan", "<tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n<arg_key:opensource>city</arg_key:opensource>\n<arg_value:opensource>Paris</arg_value:opensource>\n"
                "</tool_call:opensource>\n<tool_call:opensource>now<tool_sep:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>",
     "call get_weather " PARIS " complete|call now {} complete"},
    {"kimi", "Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>" PARIS "<|tool_call_end|><|tool_call_begin|>functions.now:1"
             "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
     "text Hm.|call get_weather [functions.get_weather:0] " PARIS " complete|call now [functions.now:1] {} complete"},
    {"qwen-xml", "Let me look.\n\n<tool_call>\n<function=search_files>\n<parameter=pattern>\nline one\n\n  two \n</parameter>\n<parameter=limit>\n7\n</parameter>\n<parameter=deep>\nTrue\n</parameter>\n"
                 "</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
     "text Let me look.|call search_files {\"pattern\": \"line one\\n\\n  two \", \"limit\": 7, \"deep\": true} complete|call now {} complete"},
    {"qwen-xml", "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>", "call get_weather " PARIS " complete"},
    {"qwen-xml", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": " PARIS "}\n</tool_call>", "call get_weather " PARIS " complete"},
    {"seed", "<seed:tool_call>\n<function=search_files>\n<parameter=pattern>\nx\n</parameter>\n<parameter=limit>7</parameter>\n</function>\n</seed:tool_call>",
     "call search_files {\"pattern\": \"\\nx\\n\", \"limit\": 7} complete"},
    {"minimax", "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Paris</parameter>\n</invoke>\n<invoke name=\"now\">\n</invoke>\n</minimax:tool_call>",
     "call get_weather " PARIS " complete|call now {} complete"},
    {"minimax-m3", "Hm." NS "<tool_call>\n" NS "<invoke name=\"search_files\">" NS "<pattern>12" NS "</pattern>" NS "<limit>3" NS "</limit>" NS "<paths>" NS "<item>a" NS "</item>" NS "<item>b" NS
                   "</item>" NS "</paths>" NS "<filter>" NS "<k>true" NS "</k>" NS "</filter>" NS "</invoke>\n" NS "<invoke name=\"now\">" NS "</invoke>\n" NS "</tool_call>",
     "text Hm.|call search_files {\"pattern\": \"12\", \"limit\": 3, \"paths\": [\"a\", \"b\"], \"filter\": {\"k\": true}} complete|call now {} complete"},
    {"muse", " to=self<|message|>Hm.<|eom|><|start|>assistant to=get_weather<|message|><atem:function_calls>\n<atem:invoke name=\"get_weather\">\n<atem:parameter name=\"city\">Paris"
             "</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|><|start|>assistant to=user<|message|>Yes.<|eot|>",
     "reasoning Hm.|call get_weather " PARIS " complete|text Yes."},
    {"harmony", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>Let me look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
                "<|constrain|>json<|message|>" PARIS "<|call|>",
     "reasoning Hm.|text Let me look.|call get_weather " PARIS " complete"},
    {"harmony", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>" PARIS, "reasoning Hm.|call get_weather " PARIS " complete"},
    {"harmony", " to=functions.now<|channel|>analysis<|message|>{}<|call|>", "call now {} complete"},
    {"harmony", "<|channel|>final<|message|>4<|return|>", "text 4"},
    {"command-r", "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": " PARIS "},\n    {\"tool_call_id\": \"1\", \"tool_name\": \"now\", "
                  "\"parameters\": {}}\n]<|END_ACTION|>",
     "call get_weather [0] " PARIS " complete|call now [1] {} complete"},
    {"command-r", "<|START_RESPONSE|>Yes.<|END_RESPONSE|>", "text Yes."},
    {"command-r1", "Plan: look.\nAction: ```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": " PARIS "\n    }\n]```", "text Plan: look.|call get_weather " PARIS " complete"},
    {"gemma", "<|tool_call>call:search_files{pattern:<|\"|>a \"b\" \\n<|\"|>,limit:3,deep:true,filter:{k:[1.5,<|\"|>x<|\"|>]}}<tool_call|><|tool_call>call:now{}<tool_call|>",
     "call search_files {\"pattern\": \"a \\\"b\\\" \\\\n\", \"limit\": 3, \"deep\": true, \"filter\": {\"k\": [1.5, \"x\"]}} complete|call now {} complete"},
    {"functionary-3.1", "Let me look.<function=get_weather>" PARIS "</function><function=now>{}</function>", "text Let me look.|call get_weather " PARIS " complete|call now {} complete"},
    {"functionary-3.2", "all\nLet me look.>>>get_weather\n" PARIS ">>>now\n{}", "text Let me look.|call get_weather " PARIS " complete|call now {} complete"},
    {"functionary-3.2", "get_weather\n" PARIS ">>>all\nDone.", "call get_weather " PARIS " complete|text Done."},
    {"apertus", "Let me look.<|tools_prefix|>[{\"get_weather\": " PARIS "}, {\"now\": {}}]<|tools_suffix|>", "text Let me look.|call get_weather " PARIS " complete|call now {} complete"},
    {"solar", "<|think|>Hm.<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>a1<|tool_call:name|>get_weather<|tool_call:args|>" PARIS
              "<|tool_call:end|><|tool_call:begin|>a2<|tool_call:name|>now<|tool_call:args|>{}<|tool_call:end|><|calls|>",
     "reasoning Hm.|call get_weather [a1] " PARIS " complete|call now [a2] {} complete"},
    {"solar", "<|content|>Yes.<|end|>", "text Yes."},
};

static void test_syntaxes(void **state) {
    (void)state;
    EXPECT(syntaxes, &usual);
    for (size_t i = 0, k; tool_syntax_at(i); i++) { /* each has a row */
        for (k = 0; k < sizeof syntaxes / sizeof *syntaxes; k++)
            if (tool_syntax_named(syntaxes[k].syntax) == tool_syntax_at(i)) break;
        if (k == sizeof syntaxes / sizeof *syntaxes) fail_msg("nothing tests %s", tool_syntax_name(tool_syntax_at(i)));
        assert_true(tool_syntax_models(tool_syntax_at(i))[0]);
    }
    assert_null(tool_syntax_named("nobody"));
}

#define CALL(arguments) "<tool_call>{\"name\": \"search_files\", \"arguments\": " arguments "}</tool_call>"
#define READ(arguments) "call search_files " arguments " complete"

/* What stands inside arguments */
static void test_arguments(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"hermes", CALL("{\"a\" :\t[1, -2.5e+3, true,null , \"\\u00e9\\n\\\"\" ],\n\"b\":{}}"), READ("{\"a\" :\t[1, -2.5e+3, true,null , \"\\u00e9\\n\\\"\" ],\n\"b\":{}}")},
        {"hermes", CALL("{\"a\": \"two\nlines\tand «Grüße» 你好 🙂\"}"), READ("{\"a\": \"two\\nlines\\tand «Grüße» 你好 🙂\"}")},
        {"hermes", CALL("{\"a\": \"</tool_call> is <tool_call>\"}"), READ("{\"a\": \"</tool_call> is <tool_call>\"}")},
        {"hermes", CALL("\"{\\\"a\\\": [true, \\\"x\\\\n\\\\u00e9\\\\\\\"\\\", 12]}\""), READ("{\"a\": [true, \"x\\n\\u00e9\\\"\", 12]}")},
        {"hermes", CALL("\"{\\\"a\\\": \\\"\\ud83d\\ude42 \\u00fc\\\"}\""), READ("{\"a\": \"🙂 ü\"}")},
        {"hermes", CALL("\"\""), READ("{}")},
        {"hermes", "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"now\"}</tool_call>", "call now {\"a\": 1} complete"},
        {"hermes", "<tool_call>{\"arguments\": \"{}\", \"id\": 7, \"name\": \"now\"}</tool_call>", "call now [7] {} complete"},
        {"hermes", "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"now\", \"arguments\": {\"a\": 1}}}</tool_call>", "call now {\"a\": 1} complete"},
        {"hermes", "<tool_call>{\"id\": \"c1\", \"type\": \"function\", \"function\": \"now\"}</tool_call>", "call now [c1] {} complete"},
        {"pythonic", "[search_files(pattern='it\\'s \"x\"\\n\\x41\\u00e9\\U0001F642\\q', limit=-1, ratio=1e5)]", READ("{\"pattern\": \"it's \\\"x\\\"\\nAé🙂\\\\q\", \"limit\": -1, \"ratio\": 1e5}")},
        {"pythonic", "[search_files(pattern='''a 'b' ''c\nd''', paths=[], filter={'a': [1, 2,], \"b\": {},})]",
         READ("{\"pattern\": \"a 'b' ''c\\nd\", \"paths\": [], \"filter\": {\"a\": [1, 2], \"b\": {}}}")},
        {"pythonic", "[search_files( pattern = '' , paths = ['a' , 'b'] )]", READ("{\"pattern\": \"\", \"paths\": [\"a\", \"b\"]}")},
        {"gemma", "<|tool_call>call:search_files{a:<|\"|><|\"|>,<|\"|>b c<|\"|>:[],d:[<|\"|>x<y<|\"|>]}<tool_call|>", READ("{\"a\": \"\", \"b c\": [], \"d\": [\"x<y\"]}")},
        /* the schema's types */
        {"seed", "<seed:tool_call><function=search_files><parameter=pattern>true</parameter><parameter=limit> 12 </parameter><parameter=deep>false</parameter><parameter=maybe>null</parameter>"
                 "<parameter=ratio>null</parameter><parameter=filter>{'a': True}</parameter><parameter=paths>[\"a\",\n\"b\"]</parameter></function></seed:tool_call>",
         READ("{\"pattern\": \"true\", \"limit\": 12, \"deep\": false, \"maybe\": null, \"ratio\": null, \"filter\": {\"a\": true}, \"paths\": [\"a\", \"b\"]}")},
        {"seed", "<seed:tool_call><function=search_files><parameter=limit>twelve</parameter><parameter=deep>1</parameter><parameter=maybe>12</parameter><parameter=paths>[\"a\",</parameter>"
                 "<parameter=ratio></parameter></function></seed:tool_call>",
         READ("{\"limit\": \"twelve\", \"deep\": 1, \"maybe\": \"12\", \"paths\": \"[\\\"a\\\",\", \"ratio\": \"\"}")},
        {"seed", "<seed:tool_call><function=now><parameter=a>12</parameter><parameter=b>{\"c\": [1]}</parameter><parameter=d>{ no }</parameter><parameter=e>\"q\"</parameter>"
                 "<parameter=f>None</parameter></function></seed:tool_call>",
         "call now {\"a\": 12, \"b\": {\"c\": [1]}, \"d\": \"{ no }\", \"e\": \"\\\"q\\\"\", \"f\": \"None\"} complete"},
        {"seed", "<seed:tool_call><function=search_files><parameter=either>\"5\"</parameter><parameter=either>5</parameter><parameter=all>\"x\"</parameter></function></seed:tool_call>",
         READ("{\"either\": \"\\\"5\\\"\", \"either\": 5, \"all\": \"x\"}")},
        {"minimax-m3", NS "<tool_call>" NS "<invoke name=\"search_files\">" NS "<filter>" NS "<item>12" NS "</item>" NS "</filter>" NS "<paths>" NS "<item>12" NS "</item>" NS "</paths>" NS "<paths>"
                       NS "</paths>" NS "<open>" NS "<item>12" NS "</item>" NS "<item>" NS "<a> b" NS "</a>" NS "</item>" NS "</open>" NS "</invoke>" NS "</tool_call>",
         READ("{\"filter\": {\"item\": 12}, \"paths\": [\"12\"], \"paths\": [], \"open\": [12, {\"a\": \" b\"}]}")},
        /* marks inside a value are part of it unless what must follow them does */
        {"qwen-xml", "<tool_call>\n<function=get_weather>\n<parameter=city>\nwrite </parameter> here\n</parameter>\n</function>\n</tool_call>",
         "call get_weather {\"city\": \"write </parameter> here\"} complete"},
        {"qwen-xml", "<tool_call>\n<function=get_weather>\n<parameter=city>\nends with a line\n\n</parameter>\n</function>\n</tool_call>",
         "call get_weather {\"city\": \"ends with a line\\n\"} complete"},
        {"glm", "<tool_call>get_weather <arg_key>city</arg_key><arg_value>a<b</arg_value></tool_call>", "call get_weather {\"city\": \"a<b\"} complete"},
    };
    EXPECT(rows, &usual);
}

/* What is no call, or stops being one */
static void test_broken(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"hermes", "", ""},
        {"hermes", " plain  text \n", "text  plain  text \n"},
        {"hermes", "a < b and <tool_ and <tool_call", "text a < b and <tool_ and <tool_call"},
        {"hermes", "x\n<tool_call>\n{\"name\": \"nobody\", \"arguments\": {}}\n</tool_call>\ny", "text x\n<tool_call>\n{\"name\": \"nobody\", \"arguments\": {}}\n</tool_call>\ny"},
        {"hermes", "<tool_call>{\"name\": \"get\"}</tool_call>", "text <tool_call>{\"name\": \"get\"}</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"\"}</tool_call>", "text <tool_call>{\"name\": \"\"}</tool_call>"},
        {"glm", "<tool_call>get\n</tool_call>", "text <tool_call>get\n</tool_call>"},
        {"glm", "<tool_call>nowhere</tool_call>", "text <tool_call>nowhere</tool_call>"},
        {"minimax-m3", NS "<tool_call>" NS "<invoke name=\"search_files\">" NS "<paths>" NS "<x>1", "call search_files {\"paths\": [ broken|text " NS "<x>1"},
        {"minimax-m3", NS "<tool_call>" NS "<invoke name=\"now\">" NS "<a>" NS "<b>1" NS "</a>", "call now {\"a\": {\"b\": 1 broken|text a>"},
        {"hermes", "<tool_call>\nget_weather(Paris)\n</tool_call>", "text <tool_call>\nget_weather(Paris)\n</tool_call>"},
        {"hermes", "<tool_call></tool_call>", "text <tool_call></tool_call>"},
        {"hermes", "<tool_call><tool_call>{\"name\": \"now\"}</tool_call>", "text <tool_call>|call now {} complete"},
        {"hermes", "<<tool_call>{\"name\": \"now\"}</tool_call>>", "text <|call now {} complete|text >"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"extra\": 1}</tool_call>", "text <tool_call>{\"name\": \"now\", \"extra\": 1}</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": 12}</tool_call>", "text <tool_call>{\"name\": \"now\", \"arguments\": 12}</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": \"12\"}</tool_call>", "text <tool_call>{\"name\": \"now\", \"arguments\": \"12\"}</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": ", "text <tool_call>{\"name\": \"now\", \"arguments\": "},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1}", "call now {\"a\": 1} complete"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": tru", "call now {\"a\":  broken|text tru"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"x", "call now {\"a\": \"x broken"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 01}}</tool_call>", "call now {\"a\": 0 broken|text 1}}</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1,}}</tool_call>", "call now {\"a\": 1, broken|text }}</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1}, \"extra\": 1}</tool_call>", "call now {\"a\": 1} complete|text , \"extra\": 1}</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {}} and more</tool_call>", "call now {} complete|text and more</tool_call>"},
        {"hermes", "<tool_call>{\"name\": \"now\"}\n<tool_call>{\"name\": \"now\"}</tool_call>", "call now {} complete|call now {} complete"},
        {"hermes", "<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"a\\\": tru\"}", "call now {\"a\":  broken|text tru\"}"},
        {"llama3", "{\"name\": \"nobody\"} is JSON", "text {\"name\": \"nobody\"} is JSON"},
        {"llama3", "Look: {\"name\": \"now\"}", "text Look: {\"name\": \"now\"}"},
        {"llama3", "{", "text {"},
        {"pythonic", "[now(), 12]", "call now {} complete|text , 12]"},
        {"pythonic", "[1, 2]", "text [1, 2]"},
        {"pythonic", "[get_weather(city=Paris)]", "call get_weather {\"city\":  broken|text Paris)]"},
        {"pythonic", "[get_weather(\"Paris\")]", "text [get_weather(\"Paris\")]"},
        {"qwen-xml", "<tool_call>\n<function=get_weather>\n<parameter=city>\nPar", "call get_weather {\"city\": \"Par broken"},
        {"qwen-xml", "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n", "call get_weather {\"city\": \"Paris\" broken"},
        {"qwen-xml", "<tool_call>\n<function=nobody>\n</function>\n</tool_call>", "text <tool_call>\n<function=nobody>\n</function>\n</tool_call>"},
        {"mistral", "[TOOL_CALLS]nobody[ARGS]{}", "text [TOOL_CALLS]nobody[ARGS]{}"},
        {"kimi", "<|tool_calls_section_begin|><|tool_calls_section_end|>", "text <|tool_calls_section_begin|><|tool_calls_section_end|>"},
        {"kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{}", "call now [functions.now:0] {} complete"},
        {"harmony", "<|channel|>commentary to=functions.nobody<|message|>{}<|call|>", "text <|channel|>commentary to=functions.nobody<|message|>{}"},
        {"functionary-3.2", "nothing of that kind", "text nothing of that kind"},
        {"functionary-3.2", "all\n>>> 1 + 1\n2", "text >>> 1 + 1\n2"},
        {"gemma", "<|tool_call>call:now{a:oops}<tool_call|>", "call now {\"a\":  broken|text oops}<tool_call|>"},
    };
    EXPECT(rows, &usual);
}

static void test_reasoning(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"hermes", "<think>\nHm.\n</think>\n\n4\n", "reasoning Hm.|text 4\n"},
        {"hermes", "<think></think>4", "text 4"},
        {"hermes", "<think>Hm. a < b </thi", "reasoning Hm. a < b </thi"},
        {"hermes", "4 <think>no</think>", "text 4 <think>no</think>"},
        {"hermes", "</think>4", "text </think>4"},
        {"hermes", "<think>Use <tool_call>{\"name\": \"now\"}</tool_call>.</think><tool_call>{\"name\": \"now\"}</tool_call>",
         "reasoning Use <tool_call>{\"name\": \"now\"}</tool_call>.|call now {} complete"},
        {"kimi", "<think>Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
         "reasoning Hm.|call now [functions.now:0] {} complete"},
        {"kimi", "<think>Hm.<|tool_calls_section_begin|>oops</think>x", "reasoning Hm.<|tool_calls_section_begin|>oops|text x"},
    };
    static const struct row opened[] = {
        {"hermes", "Hm.\n</think>\n\n4", "reasoning Hm.|text 4"},
        {"hermes", "\n\n</think>\n\n4", "text 4"},
        {"hermes", "Hm.", "reasoning Hm."},
        {"hermes", "<think>Hm.</think>4", "reasoning <think>Hm.|text 4"},
    };
    EXPECT(rows, &usual);
    struct tool_options o = usual;
    o.opened_reasoning = true;
    EXPECT(opened, &o);
    static const struct row plain[] = {{"hermes", "<think>Hm.</think>4", "text <think>Hm.</think>4"}};
    o = (struct tool_options){.parallel = true};
    EXPECT(plain, &o);
    assert_true(tool_reasoning_opened(&think, slice_of("<|im_start|>assistant\n<think>\n")));
    assert_false(tool_reasoning_opened(&think, slice_of("<|im_start|>assistant\n<think>\n\n</think>\n\n")));
    assert_false(tool_reasoning_opened(&think, slice_of("think>")));
}

/* No tools given, and one call at most */
static void test_options(void **state) {
    (void)state;
    struct tool_options o = usual;
    o.n_tools = 0;
    static const struct row none[] = {
        {"hermes", "<tool_call>{\"name\": \"now\"}</tool_call>", "text <tool_call>{\"name\": \"now\"}</tool_call>"},
        {"harmony", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>4", "reasoning Hm.|text 4"},
        {"functionary-3.2", "all\n4", "text 4"},
    };
    EXPECT(none, &o);
    o = usual;
    o.parallel = false;
    static const struct row single[] = {
        {"hermes", "<tool_call>{\"name\": \"now\"}</tool_call>\n<tool_call>{\"name\": \"now\"}</tool_call>", "call now {} complete|text <tool_call>{\"name\": \"now\"}</tool_call>"},
        {"apertus", "<|tools_prefix|>[{\"now\": {}}, {\"now\": {}}]<|tools_suffix|>", "call now {} complete|text , {\"now\": {}}]<|tools_suffix|>"},
    };
    EXPECT(single, &o);
}

/* ---- which syntax a template has */

static const struct {
    const char *template, *syntax, *open; /* open: of its reasoning */
    bool lists;                           /* it shows the model its tools */
} detected[] = {
    {"Apertus-8B-Instruct", "apertus", "<|inner_prefix|>", true},
    {"Apriel-1.6-15b-Thinker-fixed", "apriel", "Here are my reasoning steps:", true},
    {"ByteDance-Seed-OSS", "seed", "<seed:think>", true},
    {"Cohere2MoE", "command-r", "<|START_THINKING|>", true},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r", "<|START_THINKING|>", true},
    {"GLM-4.6", "glm", "<think>", true},
    {"GigaChat3-10B-A1.8B", "gigachat", "<think>", true},
    {"GigaChat3.1-10B-A1.8B", "gigachat", "<think>", true},
    {"Kimi-K2-Instruct", "kimi", "<think>", true},
    {"Kimi-K2-Thinking", "kimi", "<think>", true},
    {"LFM2-8B-A1B", "lfm2", "<think>", true},
    {"LFM2.5-8B-A1B", "lfm2", "<think>", true},
    {"MiMo-VL", "hermes", "<think>", true},
    {"MiniMax-M1", "minimax-m1", "<think>", true},
    {"MiniMax-M3", "minimax-m3", "<mm:think>", true},
    {"Mistral-Small-3.2-24B-Instruct-2506", "mistral", "<think>", true},
    {"NVIDIA-Nemotron-Nano-v2", "nemotron", "<think>", true},
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes", "<think>", true},
    {"Qwen-QwQ-32B", "hermes", "<think>", true},
    {"Qwen-Qwen2.5-7B-Instruct", "hermes", "<think>", true},
    {"Qwen3-Coder", "qwen-xml", "<think>", true},
    {"Qwen3.5-4B", "qwen-xml", "<think>", true},
    {"Spark2.5", "glm", "<think>", true},
    {"StepFun3.5-Flash", "qwen-xml", "<think>", true},
    {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek", "<think>", false},
    {"deepseek-ai-DeepSeek-V3.1", "deepseek", "<think>", false},
    {"deepseek-ai-DeepSeek-V4", "dsml", "<think>", true},
    {"deepseek-ai-DeepSeek-V4-Flash-0731", "dsml", "<think>", true},
    {"google-gemma-2-2b-it", "generic", "<think>", false},
    {"google-gemma-4-31B-it-interleaved", "gemma", "<|channel>thought\n", true},
    {"ibm-granite-granite-3.3-2B-Instruct", "granite", "<think>", true},
    {"ibm-granite-granite-4.0", "hermes", "<think>", true},
    {"inclusionai-ling-3.0-flash", "glm", "<think>", true},
    {"llama-cpp-deepseek-r1", "deepseek", "<think>", true},
    {"meetkai-functionary-medium-v3.1", "functionary-3.1", "<think>", true},
    {"meetkai-functionary-medium-v3.2", "functionary-3.2", "<think>", true},
    {"meta-llama-Llama-3.2-3B-Instruct", "llama3", "<think>", true},
    {"meta-llama-Llama-3.3-70B-Instruct", "llama3", "<think>", true},
    {"mistralai-Ministral-3-14B-Reasoning-2512", "mistral", "[THINK]", true},
    {"mistralai-Mistral-Nemo-Instruct-2407", "mistral", "<think>", true},
    {"muse-glimmer", "muse", "<think>", true},
    {"openai-gpt-oss-120b", "harmony", "<think>", true},
    {"poolside-Laguna-S-2.1", "glm", "<think>", true},
    {"poolside-Laguna-XS-2.1", "glm", "<think>", true},
    {"tencent-Hy3", "hunyuan", "<think:opensource>", true},
    {"unsloth-Apriel-1.5", "apriel", "<thinking>", true},
    {"upstage-Solar-Open-100B", "solar", "<think>", true},
};
enum { DETECTED = sizeof detected / sizeof *detected };

static int n_templates;
static void count_template(const char *path) {
    const char *name = strrchr(path, '/') + 1;
    size_t n = strlen(name) - strlen(".jinja");
    n_templates++;
    for (size_t i = 0; i < DETECTED; i++)
        if (strlen(detected[i].template) == n && memcmp(detected[i].template, name, n) == 0) return;
    fail_msg("%s is not in the table", name);
}

static char *read_template(const char *name, size_t *n) {
    char path[1024], file[256];
    snprintf(file, sizeof file, "templates/%s.jinja", name);
    if (!shared_data(path, sizeof path, file)) return NULL;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *p = malloc(1 << 20);
    assert_non_null(p);
    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

static void test_detection(void **state) {
    (void)state;
    assert_string_equal(tool_syntax_name(tool_syntax_for((struct slice){NULL, 0})), "generic");
    assert_string_equal(tool_syntax_name(tool_syntax_for(slice_of("{{ bos_token }}{{ messages[0].content }}"))), "generic");
    assert_string_equal(tool_syntax_name(tool_syntax_for(slice_of("... <minimax:tool_call> ... <invoke name= ..."))), "minimax");
    assert_string_equal(tool_syntax_name(tool_syntax_for(slice_of("<|CHATBOT_TOKEN|> ... Write 'Action:' followed by a json list"))), "command-r1");
    assert_string_equal(tool_syntax_name(tool_syntax_for(slice_of("[func_name1(params_name1=params_value1)]"))), "pythonic");
    assert_true(tool_template_lists_tools(slice_of("{%- if tools %}")));
    assert_false(tool_template_lists_tools(slice_of("tools {# tools #}{{ 'tools' + message.tools }}{% if my_tools or tools2 %}")));
    if (!shared_each("templates", ".jinja", count_template)) skip();
    assert_int_equal(n_templates, DETECTED);
    for (size_t i = 0; i < DETECTED; i++) {
        size_t n;
        char *source = read_template(detected[i].template, &n);
        struct slice s = {source, n};
        const char *got = tool_syntax_name(tool_syntax_for(s)), *open = tool_reasoning_for(s)->open;
        if (strcmp(got, detected[i].syntax)) fail_msg("%s: %s instead of %s", detected[i].template, got, detected[i].syntax);
        if (strcmp(open, detected[i].open)) fail_msg("%s: %s instead of %s", detected[i].template, open, detected[i].open);
        if (tool_template_lists_tools(s) != detected[i].lists) fail_msg("%s: lists tools: %d", detected[i].template, !detected[i].lists);
        free(source);
    }
}

/* ---- what a template writes is read back */

static const char conversation[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Look!\"}], \"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"tools\": ["
    "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"d\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}}},"
    "{\"type\": \"function\", \"function\": {\"name\": \"search_files\", \"description\": \"d\", \"parameters\": {\"type\": \"object\", \"properties\": {\"pattern\": {\"type\": \"string\"},"
    "\"limit\": {\"type\": \"integer\"}, \"deep\": {\"type\": \"boolean\"}, \"paths\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}}, \"filter\": {\"type\": \"object\"}}}}}]}";

/* What templates write of strings that their own syntax cannot hold (a quote in a Python literal, a line break in M1's lines) is not asked here. */
static const char *const call_arguments[] = {
    "{\"pattern\": \"Grüße, 你好 <b> & {x}\", \"limit\": 12}",
    "{\"pattern\": \"12\", \"limit\": -3, \"deep\": true, \"paths\": [\"a b\", \"c\"], \"filter\": {\"k\": {\"m\": [1, 2.5]}, \"s\": \"t\"}}",
    "{\"pattern\": \"two\\nlines\"}",
    "{\"pattern\": \" \"}",
};

/* The conversation, with a call in the assistant's turn if `arguments`. False: the template refuses. */
static bool render_turn(struct template *t, const char *arguments, bool as_text, const char *content, struct rendering *r) {
    struct err e;
    json_error_t why;
    json_t *context = json_loads(conversation, 0, &why);
    if (arguments) {
        json_t *args = as_text ? json_string(arguments) : json_loads(arguments, 0, NULL);
        json_array_append_new(json_object_get(context, "messages"), json_pack("{s:s, s:s, s:[{s:s, s:s, s:{s:s, s:o}}]}", "role", "assistant", "content", content, "tool_calls",
                                                                              "id", "call00001", "type", "function", "function", "name", "search_files", "arguments", args));
        json_object_set_new(context, "add_generation_prompt", json_false());
    }
    char *text = json_dumps(context, 0);
    struct arena mem = {0};
    struct value *v;
    assert_int_equal(value_from_json(&mem, text, strlen(text), &v, &e), 0);
    int code = template_render(t, v, NULL, r, &e);
    arena_free(&mem);
    free(text);
    json_decref(context);
    return code == 0;
}

/* The assistant's part of `turn`: behind what it has in common with the prompt, from the beginning of the mark where they part. */
static struct slice assistants_part(const struct rendering *prompt, const struct rendering *turn) {
    size_t at = 0;
    while (at < prompt->len && at < turn->len && prompt->text[at] == turn->text[at]) at++;
    while (at < prompt->len && at > 0 && turn->text[at - 1] != '>' && turn->text[at - 1] != '\n' && turn->text[at - 1] != ']') at--;
    return (struct slice){turn->text + at, turn->len - at};
}

static bool starts_with(struct slice s, const char *what) {
    while (s.n && (*s.p == ' ' || *s.p == '\n')) s.p++, s.n--;
    return s.n >= strlen(what) && memcmp(s.p, what, strlen(what)) == 0;
}

/* Renders a call and reads it. Returns whether it came back the same; *wrote: the template writes calls at all. */
static bool reads_back(const char *name, struct template *t, struct slice source, const char *arguments, const char *content, bool *wrote) {
    struct rendering prompt = {0}, turn = {0};
    struct tool_options o = usual;
    struct tool_log l = {0};
    struct err e = {0};
    *wrote = render_turn(t, NULL, false, NULL, &prompt) && (render_turn(t, arguments, false, content, &turn) || render_turn(t, arguments, true, content, &turn));
    struct slice part = *wrote ? assistants_part(&prompt, &turn) : (struct slice){"", 0};
    *wrote = part.n && memmem(part.p, part.n, "search_files", 12);
    bool same = false;
    if (*wrote) {
        o.reasoning = tool_reasoning_for(source);
        bool opened = tool_reasoning_opened(o.reasoning, (struct slice){turn.text, turn.len - part.n});
        o.opened_reasoning = starts_with(part, o.reasoning->close) || (opened && memmem(part.p, part.n, o.reasoning->close, strlen(o.reasoning->close)));
        assert_int_equal(read_answer(tool_syntax_for(source), &o, part, 1, 0, &l, &e), 0);
        json_t *got = l.arguments.data ? json_loadb(l.arguments.data, l.arguments.len, 0, NULL) : NULL, *want = json_loads(arguments, 0, NULL);
        bool said = !memmem(part.p, part.n, content, strlen(content)) || memmem(l.payload.data, l.payload.len, content, strlen(content));
        same = l.complete == 1 && json_equal(got, want) && said;
        if (!same) print_message("%s: %s\n  wrote %.*s\n  read  %s\n", name, arguments, (int)part.n, part.p, l.log.data ? l.log.data : "");
        json_decref(got);
        json_decref(want);
    }
    log_free(&l);
    rendering_free(&prompt);
    rendering_free(&turn);
    return same;
}

/* Templates that write no calls, and those that fail: they append to a list or write an iterator as JSON, as in Python's sandbox. */
static bool writes_none(const char *name) {
    static const char *const none[] = {"LFM2-8B-A1B", "google-gemma-2-2b-it", "ibm-granite-granite-3.3-2B-Instruct", "Kimi-K2-Instruct", "Kimi-K2-Thinking",
                                        "llama-cpp-deepseek-r1"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (strcmp(none[i], name) == 0) return true;
    return false;
}

static void test_templates(void **state) {
    (void)state;
    size_t wrong = 0, n = 0, calls = 0;
    for (size_t i = 0; i < DETECTED; i++) {
        char *source = read_template(detected[i].template, &n);
        if (!source) skip();
        struct template *t;
        struct err e;
        assert_int_equal(template_parse(&t, (struct slice){source, n}, &e), 0);
        for (size_t k = 0; k < sizeof call_arguments / sizeof *call_arguments; k++) {
            bool wrote, same = reads_back(detected[i].template, t, (struct slice){source, n}, call_arguments[k], k == 0 ? "Let me look." : "", &wrote);
            if (k == 0 && !wrote) same = reads_back(detected[i].template, t, (struct slice){source, n}, call_arguments[k], "", &wrote);
            if (wrote == writes_none(detected[i].template)) fail_msg("%s: wrote a call: %d", detected[i].template, wrote);
            wrong += wrote && !same;
            calls += wrote;
        }
        template_free(t);
        free(source);
    }
    print_message("%zu calls\n", calls);
    assert_int_equal(wrong, 0);
}

/* ---- what is written here is read back */

static json_t *random_json(struct rng *rng, int depth) {
    static const char *const texts[] = {"", "x", "12", "true", "null", " spaced ", "line\nbreak", "\"quoted\" \\ back", "Grüße 🙂", "{\"a\": 1}", "[", "a < b > c", "\n", "tab\there"};
    switch (rng_u32(rng) % (depth > 0 ? 8 : 6)) {
    case 0: return json_integer((json_int_t)rng_u32(rng) - 1000000);
    case 1: return json_real((double)rng_u32(rng) / 256);
    case 2: return rng_u32(rng) % 2 ? json_true() : json_false();
    case 3: return json_null();
    case 6: {
        json_t *list = json_array();
        for (uint32_t n = rng_u32(rng) % 4; n; n--) json_array_append_new(list, random_json(rng, depth - 1));
        return list;
    }
    case 7: {
        json_t *object = json_object();
        char key[8];
        for (uint32_t n = rng_u32(rng) % 4; n; n--) {
            snprintf(key, sizeof key, "k%u", (unsigned)(rng_u32(rng) % 100));
            json_object_set_new(object, key, random_json(rng, depth - 1));
        }
        return object;
    }
    default: return json_string(texts[rng_u32(rng) % (sizeof texts / sizeof *texts)]);
    }
}

/* A schema that says of each member of an object what it is. */
static char *schema_of(const json_t *object) {
    static const char *const names[] = {"object", "array", "string", "integer", "number", "boolean", "boolean", "null"};
    json_t *properties = json_object(), *v;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) json_object_set_new(properties, key, json_pack("{s:s}", "type", names[json_typeof(v)]));
    json_t *schema = json_pack("{s:o}", "properties", properties);
    char *text = json_dumps(schema, 0);
    json_decref(schema);
    return text;
}

static void test_writing(void **state) {
    (void)state;
    struct rng rng = rng_new(1, 1);
    struct err e;
    size_t n = 0;
    for (size_t i = 0; tool_syntax_at(i); i++) {
        const struct tool_syntax *s = tool_syntax_at(i);
        enum tool_arguments kind = tool_syntax_writing(s)->arguments;
        bool can = kind == TOOL_ARGS_JSON || kind == TOOL_ARGS_TAGGED;
        for (int round = 0; round < 300; round++) {
            json_t *args = json_object();
            char key[8];
            for (uint32_t k = rng_u32(&rng) % 5; k; k--) {
                snprintf(key, sizeof key, "a%u", (unsigned)k);
                json_object_set_new(args, key, random_json(&rng, 4));
            }
            char *text = json_dumps(args, 0), *schema = schema_of(args);
            struct buf out = {0};
            struct tool_log l = {0};
            struct tool_spec spec = {.name = SLICE("get_weather"), .schema = slice_of(schema)};
            struct tool_options o = {.tools = &spec, .n_tools = 1, .parallel = true, .reasoning = &think};
            int code = tool_write_call(s, (struct tool_place){true, true}, spec.name, slice_of(text), &out, &e);
            assert_int_equal(code, can ? 0 : ERR_UNSUPPORTED);
            if (can) {
                assert_int_equal(read_answer(s, &o, (struct slice){out.data, out.len}, (size_t)round % 4, (uint32_t)round, &l, &e), 0);
                json_t *got = l.arguments.data ? json_loadb(l.arguments.data, l.arguments.len, 0, NULL) : NULL;
                if (l.complete != 1 || l.text.len || !json_equal(args, got)) fail_msg("%s: %s\n  read %s", tool_syntax_name(s), out.data, l.log.data ? l.log.data : "");
                json_decref(got);
                n++;
            }
            log_free(&l);
            buf_free(&out);
            free(text);
            free(schema);
            json_decref(args);
        }
    }
    print_message("%zu calls\n", n);
}

/* The prompt for a model that knows no tools shows a call that is one; results and errors. */
static void test_prompt(void **state) {
    (void)state;
    struct buf out = {0};
    struct err e;
    const struct slice list[] = {SLICE("{\"name\": \"now\"}")};
    const struct tool_syntax *generic = tool_syntax_named("generic");
    assert_int_equal(tool_prompt(generic, list, 1, &out, &e), 0);
    assert_non_null(strstr(out.data, "<tools>\n{\"name\": \"now\"}\n</tools>"));
    assert_non_null(strstr(out.data, "<tool_call>\n{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}\n</tool_call>"));
    out.len = 0;
    assert_int_equal(tool_prompt(generic, list, 0, &out, &e), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(tool_write_call(generic, (struct tool_place){true, false}, SLICE("now"), SLICE("{}"), &out, &e), 0);
    assert_int_equal(tool_write_call(generic, (struct tool_place){false, true}, SLICE("get_weather"), SLICE(PARIS), &out, &e), 0);
    expect_log(generic, &usual, (struct slice){out.data, out.len}, "call now {} complete|call get_weather " PARIS " complete");
    out.len = 0;
    assert_int_equal(tool_write_call(generic, (struct tool_place){true, true}, SLICE("now"), SLICE("[1]"), &out, &e), ERR_FORMAT);
    assert_int_equal(tool_write_call(generic, (struct tool_place){true, true}, SLICE("now"), SLICE("{"), &out, &e), ERR_FORMAT);
    assert_int_equal(tool_write_call(tool_syntax_named("glm"), (struct tool_place){true, true}, SLICE("now"), SLICE("{\"a\": \"</arg_value>\\n\"}"), &out, &e), ERR_FORMAT);
    assert_int_equal(out.len, 0);
    assert_int_equal(tool_write_result(SLICE("now"), SLICE("noon"), &out, &e), 0);
    assert_string_equal(out.data, "<tool_response name=\"now\">\nnoon\n</tool_response>");
    buf_free(&out);
}

/* ---- damage */

/* A word that no syntax knows, put anywhere, comes out again, whatever else is broken; and every way of feeding gives the same. */
static void damage_one(const struct row *row, struct rng *rng, const struct tool_options *o) {
    static const char needle[] = "Zq7needle7qZ";
    const struct tool_syntax *s = tool_syntax_named(row->syntax);
    struct buf text = {0};
    struct tool_log whole = {0}, pieces = {0};
    struct err e;
    size_t n = strlen(row->answer), at = rng_u32(rng) % (n + 1), cut = rng_u32(rng) % (n + 1);
    while (at < n && ((unsigned char)row->answer[at] & 0xc0) == 0x80) at++;
    while (cut < n && ((unsigned char)row->answer[cut] & 0xc0) == 0x80) cut++;
    assert_true(buf_add(&text, row->answer, at) && buf_str(&text, needle));
    bool shortened = rng_u32(rng) % 3 == 0;
    if (!shortened) assert_true(buf_str(&text, row->answer + at));
    else if (cut > at) assert_true(buf_add(&text, row->answer + at, cut - at));
    struct slice answer = {text.data, text.len};
    assert_int_equal(read_answer(s, o, answer, 0, 0, &whole, &e), 0);
    assert_int_equal(read_answer(s, o, answer, 1 + rng_u32(rng) % 9, rng_u32(rng) | 1, &pieces, &e), 0);
    if (!whole.payload.data || !memmem(whole.payload.data, whole.payload.len, needle, sizeof needle - 1)) fail_msg("%s lost it: %s\n  %s", row->syntax, text.data, whole.log.data);
    if (whole.log.len != pieces.log.len || memcmp(whole.log.data, pieces.log.data, whole.log.len)) fail_msg("%s: %s\n  %s\n  %s", row->syntax, text.data, whole.log.data, pieces.log.data);
    log_free(&whole);
    log_free(&pieces);
    buf_free(&text);
}

static void test_damage(void **state) {
    (void)state;
    struct rng rng = rng_new(7, 1);
    struct tool_options single = usual;
    single.parallel = false;
    for (size_t i = 0; i < sizeof syntaxes / sizeof *syntaxes; i++)
        for (int k = 0; k < 400; k++) damage_one(&syntaxes[i], &rng, k % 4 ? &usual : &single);
}

/* Each answer, cut short at every character: text that is no white space is never lost, and nothing crashes. */
static void test_cut_short(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof syntaxes / sizeof *syntaxes; i++) {
        struct slice answer = slice_of(syntaxes[i].answer);
        for (size_t n = 0; n <= answer.n; n++) {
            struct tool_log whole = {0}, pieces = {0};
            struct err e;
            struct slice begin = {answer.p, n};
            if (utf8_prefix(begin.p, n) != n) continue;
            assert_int_equal(read_answer(tool_syntax_named(syntaxes[i].syntax), &usual, begin, 0, 0, &whole, &e), 0);
            assert_int_equal(read_answer(tool_syntax_named(syntaxes[i].syntax), &usual, begin, 1, 0, &pieces, &e), 0);
            assert_int_equal(whole.log.len, pieces.log.len);
            if (whole.log.len) assert_memory_equal(whole.log.data, pieces.log.data, whole.log.len);
            log_free(&whole);
            log_free(&pieces);
        }
    }
}

/* Two pieces, parted anywhere, behind a long text: what is held back moves to the beginning of the buffer between them. */
static void test_two_pieces(void **state) {
    (void)state;
    struct buf text = {0};
    for (size_t i = 0; i < sizeof syntaxes / sizeof *syntaxes; i++) {
        const struct tool_syntax *s = tool_syntax_named(syntaxes[i].syntax);
        struct tool_log whole = {0};
        struct err e;
        text.len = 0;
        for (int k = 0; k < 100; k++) assert_true(buf_str(&text, "Hm. "));
        assert_true(buf_str(&text, syntaxes[i].answer));
        assert_int_equal(read_answer(s, &usual, (struct slice){text.data, text.len}, 0, 0, &whole, &e), 0);
        for (size_t n = 400; n < text.len; n++) {
            struct tool_parser *p;
            struct tool_events events;
            struct tool_log l = {.kind = -1};
            if (((unsigned char)text.data[n] & 0xc0) == 0x80) continue;
            assert_int_equal(tool_parser_new(&p, s, &usual, &e), 0);
            for (int part = 0; part < 3; part++) {
                struct slice piece = part ? (struct slice){text.data + n, text.len - n} : (struct slice){text.data, n};
                assert_int_equal(part < 2 ? tool_parser_feed(p, piece, &events, &e) : tool_parser_finish(p, &events, &e), 0);
                for (size_t k = 0; k < events.n; k++) log_event(&l, &events.at[k]);
            }
            if (l.log.len != whole.log.len || memcmp(l.log.data, whole.log.data, l.log.len)) fail_msg("%s, %zu: %s\n  %s", syntaxes[i].syntax, n, l.log.data, whole.log.data);
            tool_parser_free(p);
            log_free(&l);
        }
        log_free(&whole);
    }
    buf_free(&text);
}

/* ---- size */

static void add_many(struct buf *b, const char *s, size_t times) {
    while (times--) assert_true(buf_str(b, s));
}

/* The answer, in pieces of a few characters: how many calls are complete, and the bytes of text and arguments. */
static void expect_sizes(const char *syntax, const struct buf *answer, uint32_t complete, size_t text, size_t arguments) {
    struct tool_log l = {0};
    struct err e;
    assert_int_equal(read_answer(tool_syntax_named(syntax), &usual, (struct slice){answer->data, answer->len}, 7, 0, &l, &e), 0);
    assert_int_equal(l.complete, complete);
    assert_int_equal(l.text.len, text);
    assert_int_equal(l.arguments.len, arguments);
    log_free(&l);
}

/* Megabytes in small pieces end: a quadratic step would take hours. What is held back has its limit. */
static void test_size(void **state) {
    (void)state;
    struct buf b = {0};
    const size_t many = 1 << 19;
    assert_true(buf_str(&b, "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \""));
    add_many(&b, "xyz\\n", many);
    assert_true(buf_str(&b, "\"}}</tool_call>"));
    expect_sizes("hermes", &b, 1, 0, 9 + 5 * many);
    b.len = 0;
    assert_true(buf_str(&b, "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>"));
    add_many(&b, "<arg\n", many);
    assert_true(buf_str(&b, "</arg_value>\n</tool_call>"));
    expect_sizes("glm", &b, 1, 0, 12 + 6 * many);
    b.len = 0;
    assert_true(buf_str(&b, "<tool_call>now\n<arg_key>a</arg_key>\n<arg_value>["));
    add_many(&b, "1,", many); /* more than is held back, so that it becomes a string */
    assert_true(buf_str(&b, "1]</arg_value>\n</tool_call>"));
    expect_sizes("glm", &b, 1, 0, 9 + 3 + 2 * many);
    b.len = 0;
    assert_true(buf_str(&b, "<tool_call>{\"arguments\": {\"a\": \"")); /* the name behind more than is held back */
    add_many(&b, "abcd", many);
    assert_true(buf_str(&b, "\"}, \"name\": \"now\"}</tool_call>"));
    expect_sizes("hermes", &b, 0, b.len, 0);
    b.len = 0;
    add_many(&b, "<tool_call>{\"arguments\": [", many / 8);
    expect_sizes("hermes", &b, 0, b.len, 0);
    b.len = 0;
    add_many(&b, "          \n<", many / 4);
    expect_sizes("hermes", &b, 0, b.len, 0);
    b.len = 0;
    add_many(&b, "          ", many / 4);
    assert_true(buf_str(&b, "<tool_call>{\"name\": \"now\"}</tool_call>"));
    struct tool_log l = {0};
    struct err e;
    assert_int_equal(read_answer(tool_syntax_named("hermes"), &usual, (struct slice){b.data, b.len}, 7, 0, &l, &e), 0);
    assert_int_equal(l.complete, 1);
    log_free(&l);
    buf_free(&b);
}

static void test_depth(void **state) {
    (void)state;
    struct buf b = {0};
    for (int over = 0; over < 2; over++) {
        size_t depth = TOOL_DEPTH_MAX - 1 + (size_t)over;
        b.len = 0;
        assert_true(buf_str(&b, "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": "));
        add_many(&b, "[", depth);
        add_many(&b, "]", depth);
        assert_true(buf_str(&b, "}}</tool_call>"));
        if (over) expect_sizes("hermes", &b, 0, 1 + depth + strlen("}}</tool_call>"), 6 + depth - 1);
        else expect_sizes("hermes", &b, 1, 0, 7 + 2 * depth);
    }
    b.len = 0;
    assert_true(buf_str(&b, NS "<tool_call>" NS "<invoke name=\"now\">" NS "<a>"));
    add_many(&b, NS "<item>", 40);
    struct tool_log l = {0};
    struct err e;
    assert_int_equal(read_answer(tool_syntax_named("minimax-m3"), &usual, (struct slice){b.data, b.len}, 3, 5, &l, &e), 0);
    assert_int_equal(l.complete, 0);
    assert_int_equal(l.n_calls, 1);
    log_free(&l);
    buf_free(&b);
}

/* Fails the nth allocation for every n: the error is ERR_MEMORY and nothing is left behind. */
static void test_allocation_failures(void **state) {
    (void)state;
    static const char *const which[] = {"hermes", "glm", "pythonic", "minimax-m3", "kimi", "generic"};
    for (size_t w = 0; w < sizeof which / sizeof *which; w++) {
        const struct row *row = syntaxes;
        while (strcmp(row->syntax, which[w]) != 0) row++;
        int64_t before = mem_live();
        bool done = false;
        for (int64_t n = 1; !done && n < 1000; n++) {
            struct tool_parser *p;
            struct tool_events events = {0};
            struct err e = {0};
            struct buf out = {0};
            mem_fail_after(n);
            int code = tool_parser_new(&p, tool_syntax_named(row->syntax), &usual, &e);
            for (const char *c = row->answer; code == 0 && *c; c += 3 < strlen(c) ? 3 : strlen(c))
                code = tool_parser_feed(p, (struct slice){c, 3 < strlen(c) ? 3 : strlen(c)}, &events, &e);
            if (code == 0) code = tool_parser_finish(p, &events, &e);
            else if (p && tool_parser_finish(p, &events, &e) != ERR_MEMORY) fail_msg("goes on after an error");
            if (code == 0) code = tool_write_call(tool_syntax_named("glm"), (struct tool_place){true, true}, SLICE("now"), SLICE("{\"a\": \"b\", \"c\": [1]}"), &out, &e);
            done = !mem_has_failed();
            mem_fail_after(0);
            if (code != (done ? 0 : ERR_MEMORY)) fail_msg("%s, allocation %d: %d, %s", row->syntax, (int)n, code, e.msg);
            tool_parser_free(p);
            buf_free(&out);
            assert_int_equal(mem_live(), before);
        }
        assert_true(done);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntaxes),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_reasoning),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_two_pieces),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
