/* nonce.c: the table of what clients put into prompts that is new with every request; see nonce.h.
 *
 * A pattern is matched from left to right, without going back. What stands in [ ] is left out, all else stays. %d is a number (digits, within which there may
 * be . and ,), %s text up to what follows in the pattern, within the line, %p a run of `name=value;`, and all other characters stand for themselves. */
#define _GNU_SOURCE /* memmem */
#include "serve/nonce.h"

#include <string.h>

enum { IN_SYSTEM = 1, WHOLE_BLOCK = 2 };

static const struct row {
    const char *client, *source;
    unsigned where;
    const char *mark; /* something else that the text has; NULL: nothing */
    const char *pattern;
} rows[] = {
    {"Claude Code 2.1.36 and later, billing", "github.com/ggml-org/llama.cpp/pull/21793, github.com/vllm-project/vllm/pull/36829", IN_SYSTEM, NULL, "[x-anthropic-billing-header: %p]"},
    {"Claude's context awareness, at the start", "platform.claude.com/docs/en/build-with-claude/context-windows", IN_SYSTEM | WHOLE_BLOCK, NULL, "[<budget:token_budget>%d</budget:token_budget>]"},
    {"Claude's context awareness, countdown", "platform.claude.com/docs/en/build-with-claude/context-windows", IN_SYSTEM | WHOLE_BLOCK, NULL, "[<system_warning>Token usage: %d/%d; %d remaining</system_warning>]"},
    {"Claude Code, countdown of tokens", "its attachment token_usage", IN_SYSTEM | WHOLE_BLOCK, NULL, "[<system-reminder>\nToken usage: %d/%d; %d remaining\n</system-reminder>]"},
    {"Claude Code, countdown of money", "its attachment budget_usd", IN_SYSTEM | WHOLE_BLOCK, NULL, "[<system-reminder>\nUSD budget: $%d/$%d; $%d remaining\n</system-reminder>]"},
    {"Claude Code, countdown of tokens in a system message", "its attachment token_usage", IN_SYSTEM, NULL, "[Token usage: %d/%d; %d remaining]"},
    {"Claude Code, countdown of money in a system message", "its attachment budget_usd", IN_SYSTEM, NULL, "[USD budget: $%d/$%d; $%d remaining]"},
    {"OpenClaw 2026.2, id of the message", "github.com/openclaw/openclaw/issues/19014", IN_SYSTEM, "\"openclaw.inbound_meta.v1\"", "  \"message_id\": \"[%s]\""},
    {"OpenClaw 2026.2, long id of the message", "github.com/openclaw/openclaw/issues/21785", IN_SYSTEM, "\"openclaw.inbound_meta.v1\"", "  \"message_id_full\": \"[%s]\""},
    {"OpenClaw 2026.2, id of what is replied to", "github.com/openclaw/openclaw/issues/21785", IN_SYSTEM, "\"openclaw.inbound_meta.v1\"", "  \"reply_to_id\": \"[%s]\""},
    {"pi, seconds of the clock", "github.com/earendil-works/pi/issues/1873", IN_SYSTEM, NULL, "Current date and time: %s, %s %d, %d[ at %s]\nCurrent working directory: "},
    {"pi_agent_rust, seconds of the clock", "github.com/Dicklesworthstone/pi_agent_rust/issues/103", IN_SYSTEM, NULL, "Current date and time: %s, %s %d, %d[, %s]\nCurrent working directory: "},
    {"nanobot, minutes of the clock", "github.com/HKUDS/nanobot/issues/226", IN_SYSTEM, "# nanobot", "## Current Time\n%d-%d-%d[ %d:%d] ("},
};
enum { ROWS = sizeof rows / sizeof *rows };

const char *nonce_client(size_t i) { return i < ROWS ? rows[i].client : NULL; }
const char *nonce_source(size_t i) { return i < ROWS ? rows[i].source : NULL; }

/* ---- one pattern ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/* Each: how many bytes of s belong to it; 0: it does not fit. */
static size_t number(struct slice s) {
    size_t n = 0;
    while (n < s.n && (is_digit(s.p[n]) || (n && (s.p[n] == '.' || s.p[n] == ',') && n + 1 < s.n && is_digit(s.p[n + 1])))) n++;
    return n;
}

/* The last value may end with the line in place of a semicolon, if it has no space. */
static size_t pairs(struct slice s) {
    size_t n = 0;
    for (;;) {
        size_t at = n, name;
        while (at < s.n && s.p[at] == ' ') at++;
        for (name = at; at < s.n && is_name(s.p[at]);) at++;
        if (at == name || at == s.n || s.p[at] != '=') return n;
        bool space = false;
        for (at++; at < s.n && s.p[at] != ';' && s.p[at] != '\n'; at++) space |= s.p[at] == ' ';
        if (at < s.n && s.p[at] == ';') n = at + 1;
        else return space ? n : at;
    }
}

/* Up to the first place where what follows in the pattern, up to its next special character, stands. */
static size_t stretch(struct slice s, const char *follows) {
    if (*follows == ']' || *follows == '[') follows++;
    const size_t n = strcspn(follows, "%[]");
    for (size_t at = 1; at + n <= s.n && s.p[at - 1] != '\n'; at++)
        if (memcmp(s.p + at, follows, n) == 0) return at;
    return 0;
}

/* Whether the pattern fits at the beginning of s; *out: what is to be left out; *end: where it ends. */
static bool fits(const char *pattern, struct slice s, struct byte_span *out, size_t *end) {
    size_t at = 0;
    for (const char *p = pattern; *p; p++) {
        const struct slice rest = {s.p + at, s.n - at};
        if (*p == '[' || *p == ']') {
            *(*p == '[' ? &out->start : &out->end) = at;
        } else if (*p == '%') {
            const size_t n = p[1] == 'd' ? number(rest) : p[1] == 'p' ? pairs(rest) : stretch(rest, p + 2);
            if (!n) return false;
            at += n;
            p++;
        } else if (rest.n == 0 || *rest.p != *p) {
            return false;
        } else {
            at++;
        }
    }
    *end = at;
    return true;
}

/* ---- texts ---- */

/* The rows whose marks the text has, as bits. */
static unsigned possible(struct slice text, unsigned where) {
    _Static_assert(ROWS <= 32, "a bit for each row");
    unsigned set = 0;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].where & where && (!rows[i].mark || (text.n && memmem(text.p, text.n, rows[i].mark, strlen(rows[i].mark))))) set |= 1u << i;
    return set;
}

static bool any_fits(unsigned set, struct slice s, struct byte_span *out, size_t *end) {
    for (size_t i = 0; i < ROWS; i++)
        if (set >> i & 1 && fits(rows[i].pattern, s, out, end)) return true;
    return false;
}

/* A line that is left out as a whole takes its line break with it. */
bool nonce_clean(struct slice text, struct buf *out, bool *found) {
    const unsigned set = possible(text, IN_SYSTEM);
    bool ok = true;
    size_t kept = 0; /* up to here all is in `out` */
    *found = false;
    for (size_t at = 0; ok && at < text.n;) {
        struct byte_span cut;
        size_t end = 0;
        const bool fit = any_fits(set, (struct slice){text.p + at, text.n - at}, &cut, &end);
        if (fit) {
            const bool whole = cut.start == 0 && at + cut.end < text.n && text.p[at + cut.end] == '\n';
            ok = buf_add(out, text.p + kept, at + cut.start - kept);
            kept = at + cut.end + whole;
            *found = true;
            if (cut.start == 0) { /* another may stand right behind it */
                at = kept;
                continue;
            }
        }
        const char *next = memchr(text.p + at, '\n', text.n - at);
        at = next ? (size_t)(next - text.p) + 1 : text.n;
        if (at < kept) at = kept;
    }
    return ok && (kept >= text.n || buf_add(out, text.p + kept, text.n - kept));
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

bool nonce_is(struct slice block) {
    struct byte_span cut;
    size_t end = 0;
    while (block.n && is_space(block.p[0])) block.p++, block.n--;
    while (block.n && is_space(block.p[block.n - 1])) block.n--;
    return block.n && any_fits(possible(block, WHOLE_BLOCK), block, &cut, &end) && end == block.n;
}
