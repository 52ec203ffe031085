/* tool_envelope.c: a whole call as a JSON object, {"name": ..., "arguments": {...}}, in the spellings that models use.
 *
 * Known members are the name (name, tool_name, function), the arguments (arguments, parameters, args), an id (id,
 * tool_call_id, call_id) and "type": "function", in any order; another member means that this is no call. "function" may also
 * hold the rest, {"name": ..., "arguments": ...}. Arguments may be an object or a string that spells one. Where they come
 * before the name they are held back until it is known. */
#include <string.h>

#include "base/utf8.h"
#include "text/tool_internal.h"

/* MAYBE: the beginning of one */
static enum match known_key(struct slice s, enum envelope_key *key) {
    static const struct {
        const char *name;
        enum envelope_key key;
    } keys[] = {{"name", KEY_NAME},      {"tool_name", KEY_NAME}, {"function", KEY_FUNCTION},  {"arguments", KEY_ARGS}, {"parameters", KEY_ARGS},
                {"args", KEY_ARGS},      {"id", KEY_ID},          {"tool_call_id", KEY_ID},    {"call_id", KEY_ID},     {"type", KEY_TYPE}};
    enum match m = NO;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strncmp(keys[i].name, s.p, s.n) != 0) continue;
        m = MAYBE;
        *key = keys[i].key;
        if (strlen(keys[i].name) == s.n) return YES;
    }
    return m;
}

/* A string without escapes at pos, which is at its opening quote. MAYBE: what there is of it. */
static enum match short_string(const struct tool_parser *p, struct slice *s) {
    size_t n = 0;
    const char *text = here(p) + 1;
    for (; n + 1 < left(p) && text[n] != '"'; n++)
        if (text[n] == '\\' || n == TOOL_NAME_MAX) return NO;
    *s = (struct slice){text, n};
    return n + 1 < left(p) ? YES : MAYBE;
}

static enum step to_state(struct tool_parser *p, size_t taken, enum envelope_state state) {
    p->pos += taken;
    p->envelope.state = state;
    return STEP_ON;
}

static enum step read_key(struct tool_parser *p) {
    struct slice s;
    if (*here(p) != '"') return STEP_FAIL;
    enum match m = short_string(p, &s), known = m == NO ? NO : known_key(s, &p->envelope.key);
    if (known == NO) return STEP_FAIL;
    if (m == MAYBE) return STEP_WAIT;
    return known == YES ? to_state(p, s.n + 2, ENV_COLON) : STEP_FAIL;
}

/* The call begins as soon as both its name and arguments are there; those that came first follow. */
static bool begin(struct tool_parser *p) {
    if (!call_begin(p)) return false;
    account(p);
    bool ok = arguments_add(p, p->held.data, p->held.len);
    p->held.len = 0;
    return ok;
}

static enum step read_name(struct tool_parser *p) {
    struct envelope *v = &p->envelope;
    struct slice s;
    if (v->key == KEY_FUNCTION && *here(p) == '{' && !v->inner && !v->has_name && !v->has_args) {
        v->inner = true;
        return to_state(p, 1, ENV_FIRST_KEY);
    }
    if (*here(p) != '"' || v->has_name) return STEP_FAIL;
    enum match m = short_string(p, &s), found = m == NO ? NO : find_tool(p, s);
    if (found == NO || (m == YES && found != YES)) return STEP_FAIL;
    if (m == MAYBE) return STEP_WAIT;
    v->has_name = true;
    (void)to_state(p, s.n + 2, ENV_AFTER);
    if (v->has_args) {
        if (!begin(p)) return STEP_FAIL;
        p->args_done = true;
    }
    return STEP_ON;
}

static enum step read_id(struct tool_parser *p) {
    struct slice s;
    if (p->id.len) return STEP_FAIL;
    if (*here(p) == '"') {
        enum match m = short_string(p, &s);
        if (m != YES) return m == MAYBE ? STEP_WAIT : STEP_FAIL;
        return buf_add(&p->id, s.p, s.n) ? to_state(p, s.n + 2, ENV_AFTER) : no_memory(p);
    }
    s = (struct slice){here(p), 0};
    while (s.n < left(p) && s.n < TOOL_NAME_MAX && s.p[s.n] >= '0' && s.p[s.n] <= '9') s.n++;
    if (s.n == left(p)) return STEP_WAIT;
    if (!s.n || s.n == TOOL_NAME_MAX) return STEP_FAIL;
    return buf_add(&p->id, s.p, s.n) ? to_state(p, s.n, ENV_AFTER) : no_memory(p);
}

static enum step read_type(struct tool_parser *p) {
    enum match m = look(p, p->pos, "\"function\"");
    return m == YES ? to_state(p, strlen("\"function\""), ENV_AFTER) : m == MAYBE ? STEP_WAIT : STEP_FAIL;
}

static enum step open_args(struct tool_parser *p) {
    struct envelope *v = &p->envelope;
    char c = *here(p);
    if (v->has_args || (c != '{' && c != '"')) return STEP_FAIL;
    value_begin(&p->value, NOTE_JSON);
    p->held.len = v->n_pending = 0;
    v->has_args = true;
    return to_state(p, c == '"', c == '"' ? ENV_ARGS_TEXT : ENV_ARGS);
}

static enum step read_value(struct tool_parser *p) {
    switch (p->envelope.key) {
    case KEY_NAME:
    case KEY_FUNCTION: return read_name(p);
    case KEY_ID: return read_id(p);
    case KEY_TYPE: return read_type(p);
    default: return open_args(p);
    }
}

/* What value_read makes of n bytes goes to the call, once it has begun, or is held back. Returns the bytes read. */
static size_t to_args(struct tool_parser *p, const char *s, size_t n) {
    size_t before = p->held.len, taken = value_read(&p->value, s, n, false, &p->held);
    if (p->value.status == VALUE_NO_MEMORY) p->broken = true;
    bool starts = !p->begun && p->envelope.has_name && p->held.len > before;
    if (p->broken || !p->envelope.has_name) return taken;
    if (starts && !call_begin(p)) return taken;
    (void)arguments_add(p, p->held.data, p->held.len);
    p->held.len = 0;
    return taken;
}

static enum step args_over(struct tool_parser *p) {
    if (p->begun) p->args_done = true;
    return to_state(p, 0, ENV_AFTER);
}

static enum step read_args(struct tool_parser *p) {
    size_t held = p->pos - p->at, most = p->begun ? SIZE_MAX : held > TOOL_HELD_MAX ? 0 : TOOL_HELD_MAX + 1 - held;
    /* so that however it comes, giving up comes at one place */
    p->pos += to_args(p, here(p), left(p) < most ? left(p) : most);
    if (p->begun) account(p);
    if (p->broken || p->value.status == VALUE_BAD) return STEP_FAIL;
    return p->value.status == VALUE_DONE ? args_over(p) : STEP_WAIT;
}

/* One character of a JSON string, its escapes undone. Returns the bytes it took, 0 when there are too few, SIZE_MAX when it is none. */
static size_t one_character(const char *s, size_t n, char out[4], size_t *out_n) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t unit[2] = {0, 0};
    if (s[0] != '\\') {
        out[0] = s[0];
        *out_n = 1;
        return 1;
    }
    if (n < 2) return 0;
    const char *known = s[1] ? strchr(from, s[1]) : NULL;
    if (known) {
        out[0] = to[known - from];
        *out_n = 1;
        return 2;
    }
    if (s[1] != 'u') return SIZE_MAX;
    for (size_t u = 0, at = 2; u < 2; u++, at += 6) {
        if (n < at + 4) return 0;
        for (size_t i = at; i < at + 4; i++) {
            char c = (char)(s[i] | 32);
            bool digit = s[i] >= '0' && s[i] <= '9', letter = c >= 'a' && c <= 'f';
            if (!digit && !letter) return SIZE_MAX;
            unit[u] = unit[u] << 4 | (uint32_t)(digit ? s[i] - '0' : c - 'a' + 10);
        }
        if (u == 1) break;
        if (unit[0] < 0xd800 || unit[0] > 0xdbff) { /* no pair */
            *out_n = utf8_put(out, unit[0] >= 0xdc00 && unit[0] <= 0xdfff ? 0xfffd : unit[0]);
            return 6;
        }
        if (n < 8) return 0;
        if (s[6] != '\\' || s[7] != 'u') {
            *out_n = utf8_put(out, 0xfffd);
            return 6;
        }
    }
    bool pair = unit[1] >= 0xdc00 && unit[1] <= 0xdfff;
    *out_n = utf8_put(out, pair ? 0x10000 + ((unit[0] - 0xd800) << 10) + (unit[1] - 0xdc00) : 0xfffd);
    return pair ? 12 : 6;
}

/* The quote that closes arguments in a string. An empty string holds none. */
static enum step close_args_text(struct tool_parser *p) {
    if (p->value.type && p->value.status != VALUE_DONE) return STEP_FAIL;
    if (!p->value.type) p->envelope.has_args = false;
    p->pos++;
    if (p->begun) account(p);
    return args_over(p);
}

static enum step read_args_text(struct tool_parser *p) {
    struct envelope *v = &p->envelope;
    while (left(p) && *here(p) != '"') {
        char c[4];
        size_t n = 0, taken = one_character(here(p), left(p), c, &n);
        bool outside = !p->value.type || p->value.status == VALUE_DONE;
        if (!taken) return STEP_WAIT;
        if (taken == SIZE_MAX || v->n_pending + n > sizeof v->pending) return STEP_FAIL;
        if (outside && !is_space(c[0]) && (p->value.type || c[0] != '{')) return STEP_FAIL;
        p->pos += taken;
        if (outside && is_space(c[0])) continue;
        memcpy(v->pending + v->n_pending, c, n);
        v->n_pending += n;
        size_t read = to_args(p, v->pending, v->n_pending);
        v->n_pending -= read;
        memmove(v->pending, v->pending + read, v->n_pending);
        if (p->begun && !v->n_pending) account(p);
        if (p->broken || p->value.status == VALUE_BAD || p->pos - p->at > TOOL_HELD_MAX) return STEP_FAIL;
        if (p->value.status == VALUE_DONE && p->begun) p->args_done = true;
    }
    return left(p) ? close_args_text(p) : STEP_WAIT;
}

/* The closing brace of the whole call. */
static enum step close_call(struct tool_parser *p) {
    struct envelope *v = &p->envelope;
    if (!v->has_name) return STEP_FAIL;
    if (!v->has_args && (!call_begin(p) || !arguments_add(p, "{}", 2))) return STEP_FAIL;
    p->pos++;
    if (!call_end(p, true)) return STEP_FAIL;
    p->accounted = true;
    account(p);
    return STEP_ON;
}

static enum step read_after(struct tool_parser *p) {
    if (*here(p) == ',') return to_state(p, 1, ENV_KEY);
    if (*here(p) != '}') return STEP_FAIL;
    if (!p->envelope.inner) return STEP_ON; /* the caller closes the call */
    p->envelope.inner = false;
    return to_state(p, 1, ENV_AFTER);
}

static enum step one_step(struct tool_parser *p) {
    switch (p->envelope.state) {
    case ENV_OPEN: return *here(p) == '{' ? to_state(p, 1, ENV_FIRST_KEY) : STEP_FAIL;
    case ENV_FIRST_KEY:
    case ENV_KEY: return read_key(p);
    case ENV_COLON: return *here(p) == ':' ? to_state(p, 1, ENV_VALUE) : STEP_FAIL;
    case ENV_VALUE: return read_value(p);
    case ENV_ARGS: return read_args(p);
    case ENV_ARGS_TEXT: return read_args_text(p);
    default: return read_after(p);
    }
}

enum step envelope_step(struct tool_parser *p) {
    if (!p->entered) p->envelope = (struct envelope){.state = ENV_OPEN};
    p->entered = true;
    for (;;) {
        enum envelope_state state = p->envelope.state;
        if (state != ENV_ARGS && state != ENV_ARGS_TEXT) skip_space(p);
        if (!left(p)) return STEP_WAIT;
        if (state == ENV_AFTER && *here(p) == '}' && !p->envelope.inner) return close_call(p);
        enum step s = one_step(p);
        if (s != STEP_ON) return s;
    }
}
