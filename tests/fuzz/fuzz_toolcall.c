/* fuzz_toolcall.c: any bytes as an answer, under any syntax. The first byte chooses the syntax, the second the options, the rest is the answer.
 *
 * Checked: the rules of events (toolcall_fixture.h), that it makes no difference how the answer is fed, that an answer without a mark comes out as it
 * went in, and that a word that no syntax knows is never lost, wherever it stands. */
#define _GNU_SOURCE
#include "../text/toolcall_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tool_spec tools[] = {
    {{"f", 1}, {NULL, 0}, false},
    {{"get_weather", 11}, {"{\"properties\": {\"city\": {\"type\": \"string\"}, \"n\": {\"type\": \"integer\"}, \"l\": {\"type\": \"array\"}}}", 94}, false},
    {{"now", 3}, {"{", 1}, false},
};

/* The answer with a word put in at `at` gives that word back. */
static void check_kept(const struct tool_syntax *s, const struct tool_options *o, struct slice answer, size_t at) {
    static const char needle[] = "Zq7needle7qZ";
    struct buf text = {0};
    struct tool_log l = {.lax = true};
    struct err e;
    MUST(buf_add(&text, answer.p, at) && buf_str(&text, needle) && buf_add(&text, answer.p + at, answer.n - at));
    MUST(read_answer(s, o, (struct slice){text.data, text.len}, 0, 0, &l, &e) == 0);
    MUST(l.payload.len && memmem(l.payload.data, l.payload.len, needle, sizeof needle - 1));
    log_free(&l);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct tool_reasoning think = {"<think>", "</think>"};
    size_t n_syntaxes = 0;
    while (tool_syntax_at(n_syntaxes)) n_syntaxes++;
    if (size < 2) return 0;
    const struct tool_syntax *s = tool_syntax_at(data[0] % n_syntaxes);
    struct tool_options o = {
        .tools = tools, .n_tools = data[1] & 1 ? 0 : 3, .parallel = !(data[1] & 2), .opened_reasoning = data[1] & 4, .reasoning = data[1] & 8 ? NULL : &think};
    struct slice answer = {(const char *)data + 2, size - 2};
    int64_t live = mem_live();
    struct tool_log whole = {0}, pieces = {0};
    struct err e;
    whole.lax = pieces.lax = utf8_prefix(answer.p, answer.n) != answer.n;
    MUST(read_answer(s, &o, answer, 0, 0, &whole, &e) == 0);
    MUST(read_answer(s, &o, answer, 1 + (data[1] >> 4), (uint32_t)size, &pieces, &e) == 0);
    MUST(whole.log.len == pieces.log.len && (!whole.log.len || memcmp(whole.log.data, pieces.log.data, whole.log.len) == 0));
    if (!o.n_tools && !o.reasoning && !o.opened_reasoning && !memchr(answer.p, '<', answer.n) && !memchr(answer.p, '[', answer.n) && !memchr(answer.p, ' ', answer.n) &&
        !memchr(answer.p, '>', answer.n) && !memchr(answer.p, '\n', answer.n))
        MUST(whole.text.len == answer.n && (!answer.n || memcmp(whole.text.data, answer.p, answer.n) == 0));
    log_free(&whole);
    log_free(&pieces);
    check_kept(s, &o, answer, (size_t)(data[0] * 256 + data[1]) % (answer.n + 1));
    MUST(mem_live() == live);
    return 0;
}
