/* tool_run.c: the operations that programs are made of, one at a time; see tool_internal.h.
 *
 * An operation reads from pos. It waits when what has come does not decide it, and then finds things as it left them, with
 * more behind them. */
#include <string.h>

#include "text/tool_internal.h"

enum { TOKEN_MAX = 128 };

/* Where the structure that op opens ends: at its ELSE (if `or_else`), END or AGAIN. */
static const struct tool_op *closing(const struct tool_op *op, bool or_else) {
    int depth = 0;
    for (op++;; op++) {
        bool opens = op->code == OP_WHEN || op->code == OP_PEEK || op->code == OP_WHILE || op->code == OP_UNTIL;
        bool closes = op->code == OP_END || op->code == OP_AGAIN;
        if (depth == 0 && (closes || (or_else && op->code == OP_ELSE))) return op;
        depth += opens - closes;
    }
}

static const struct tool_op *opening(const struct tool_op *again) {
    int depth = 0;
    for (const struct tool_op *op = again - 1;; op--) {
        bool opens = op->code == OP_WHEN || op->code == OP_PEEK || op->code == OP_WHILE || op->code == OP_UNTIL;
        if (depth == 0 && opens) return op;
        depth += (op->code == OP_END || op->code == OP_AGAIN) - opens;
    }
}

/* On with the next operation, or with another one. */
static enum step on_to(struct tool_parser *p, const struct tool_op *op) {
    p->op = op;
    p->entered = p->raw.entered = false;
    return STEP_ON;
}
static enum step on(struct tool_parser *p) { return on_to(p, p->op + 1); }

static enum step branch_step(struct tool_parser *p) {
    const struct tool_op *op = p->op;
    enum match m = look(p, p->pos, op->a);
    if (m == MAYBE) return STEP_WAIT;
    if (m == YES && op->code != OP_PEEK) p->pos += strlen(op->a);
    bool into = (m == YES) != (op->code == OP_UNTIL);
    return into ? on(p) : on_to(p, closing(op, true) + 1);
}

static enum step literal_step(struct tool_parser *p) {
    enum match m = look(p, p->pos, p->op->a);
    if (m == MAYBE) return STEP_WAIT;
    if (m == YES) p->pos += strlen(p->op->a);
    return m == YES || p->op->code == OP_SKIP ? on(p) : STEP_FAIL;
}

static enum step space_step(struct tool_parser *p) {
    skip_space(p);
    return left(p) || p->final ? on(p) : STEP_WAIT;
}

/* The text from pos up to one of op's stops, at most `most` bytes, without the white space at its end. When there is no stop yet, all there is. */
static enum match up_to_stop(const struct tool_parser *p, size_t most, struct slice *text) {
    size_t n = 0;
    enum match m = NO;
    for (; n < left(p) && n <= most; n++) {
        if ((m = look(p, p->pos + n, p->op->a)) != NO) break;
        if (p->op->b && (m = look(p, p->pos + n, p->op->b)) != NO) break;
    }
    *text = (struct slice){here(p), n};
    if (m == NO) m = n > most || p->final ? NO : MAYBE;
    while (m == YES && text->n && is_space(text->p[text->n - 1])) text->n--;
    return m;
}

/* Past the text that up_to_stop gave, and the white space behind it. */
static enum step past(struct tool_parser *p, struct slice text) {
    p->pos += text.n;
    while (left(p) && is_space(*here(p)) && look(p, p->pos, p->op->a) != YES && !(p->op->b && look(p, p->pos, p->op->b) == YES)) p->pos++;
    return on(p);
}

static enum step name_step(struct tool_parser *p) {
    struct slice name;
    enum match m = up_to_stop(p, TOOL_NAME_MAX, &name), found = find_tool(p, name);
    if (m == NO || found == NO) {
        bool spaced = m == MAYBE && name.n && is_space(name.p[name.n - 1]); /* white space before a stop that has not come yet */
        return spaced ? STEP_WAIT : STEP_FAIL;
    }
    if (m == MAYBE) return STEP_WAIT;
    return found == YES ? past(p, name) : STEP_FAIL;
}

static enum step token_step(struct tool_parser *p) {
    struct slice text;
    enum match m = up_to_stop(p, TOKEN_MAX, &text);
    return m == YES ? past(p, text) : m == MAYBE ? STEP_WAIT : STEP_FAIL;
}

static enum step id_step(struct tool_parser *p) {
    if (p->op->code == OP_ID_FROM) {
        p->id_from = p->pos;
        return on(p);
    }
    size_t to = p->pos;
    while (to > p->id_from && is_space(p->in.data[to - 1])) to--;
    p->id.len = 0;
    return buf_add(&p->id, p->in.data + p->id_from, to - p->id_from) ? on(p) : no_memory(p);
}

enum step value_stream(struct tool_parser *p) {
    if (!note_begin(p, TOOL_CALL_ARGUMENTS)) return STEP_FAIL;
    p->pos += value_read(&p->value, here(p), left(p), p->final, &p->out);
    note_end(p);
    account(p);
    if (p->value.status == VALUE_NO_MEMORY) return no_memory(p);
    return p->value.status == VALUE_DONE ? STEP_ON : p->value.status == VALUE_BAD ? STEP_FAIL : STEP_WAIT;
}

static enum step args_step(struct tool_parser *p) {
    if (!p->entered) {
        skip_space(p);
        if (!left(p)) return STEP_WAIT;
        if (*here(p) != '{') return STEP_FAIL;
        if (!call_begin(p)) return STEP_FAIL;
        value_begin(&p->value, (enum notation)p->op->how);
        p->entered = true;
    }
    enum step s = value_stream(p);
    if (s != STEP_ON) return s;
    p->args_done = true;
    return on(p);
}

static enum step value_step(struct tool_parser *p) {
    if (!p->entered) value_begin(&p->value, (enum notation)p->op->how);
    p->entered = true;
    enum step s = value_stream(p);
    return s == STEP_ON ? on(p) : s;
}

static bool is_identifier(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && c != '_' && !(i && c >= '0' && c <= '9') && !(c & 0x80)) return false;
    }
    return s.n > 0;
}

static enum step key_step(struct tool_parser *p) {
    struct slice key;
    enum match m = up_to_stop(p, TOOL_NAME_MAX, &key);
    if (m == NO) return STEP_FAIL;
    if (p->op->how && key.n && !is_identifier((struct slice){key.p, m == YES ? key.n : 1})) return STEP_FAIL;
    if (m == MAYBE) return STEP_WAIT;
    if (!key.n) return STEP_FAIL;
    p->key.len = 0;
    if (!buf_add(&p->key, key.p, key.n)) return no_memory(p);
    if (!p->begun && !call_begin(p)) return STEP_FAIL;
    p->held.len = 0;
    bool ok = buf_str(&p->held, p->has_key ? ", \"" : "{\"") && value_escape(&p->held, p->key.data, p->key.len) && buf_str(&p->held, "\": ");
    if (!ok) return no_memory(p);
    if (!arguments_add(p, p->held.data, p->held.len)) return STEP_FAIL;
    p->has_key = true;
    (void)past(p, key);
    account(p);
    return STEP_ON;
}

static enum step object_end_step(struct tool_parser *p) {
    if (!p->begun && !call_begin(p)) return STEP_FAIL;
    if (!arguments_add(p, p->has_key ? "}" : "{}", p->has_key ? 1 : 2)) return STEP_FAIL;
    p->args_done = true;
    account(p);
    return on(p);
}

static enum step call_end_step(struct tool_parser *p) {
    if (!call_end(p, true)) return STEP_FAIL;
    p->accounted = true;
    account(p);
    return on(p);
}

static enum step frame_step(struct tool_parser *p) {
    p->reasoning = p->op->code == OP_TO_REASONING;
    p->accounted = true;
    account(p);
    return on(p);
}

enum step tool_step(struct tool_parser *p) {
    switch (p->op->code) {
    case OP_LIT:
    case OP_SKIP: return literal_step(p);
    case OP_WS: return space_step(p);
    case OP_WHEN:
    case OP_PEEK:
    case OP_WHILE:
    case OP_UNTIL: return branch_step(p);
    case OP_ELSE: return on_to(p, closing(p->op, false) + 1);
    case OP_AGAIN: return on_to(p, opening(p->op));
    case OP_NAME: return name_step(p);
    case OP_TOKEN: return token_step(p);
    case OP_ID_FROM:
    case OP_ID_TO: return id_step(p);
    case OP_ENVELOPE: {
        enum step s = envelope_step(p);
        return s == STEP_ON ? on(p) : s;
    }
    case OP_ARGS: return args_step(p);
    case OP_CALL_END: return call_end_step(p);
    case OP_KEY: return key_step(p);
    case OP_VALUE: return value_step(p);
    case OP_RAW: {
        enum step s = raw_step(p);
        return s == STEP_ON ? on(p) : s;
    }
    case OP_TREE: {
        enum step s = tree_step(p);
        return s == STEP_ON ? on(p) : s;
    }
    case OP_OBJECT_END: return object_end_step(p);
    case OP_TO_TEXT:
    case OP_TO_REASONING: return frame_step(p);
    default: return on(p); /* OP_END */
    }
}
