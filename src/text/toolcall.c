/* toolcall.c: the parser of answers: text, marks, events; see toolcall.h. What stands behind a mark is read by tool_run.c.
 *
 * `in` holds what has come and is not accounted for: [at, pos) has been looked at and is held back, pos is where reading goes
 * on. In text, [at, solid) can go out at once and [solid, pos) is white space that goes out if no mark follows it. Behind a
 * mark, `at` stays where the mark (and the white space before it) began until a call begins, so that giving up means to send
 * [at, pos) as text and to go on at pos: no byte is scanned twice, whatever a model writes. */
#include "text/toolcall.h"

#include <string.h>

#include "text/tool_internal.h"

enum { SPACE_HELD_MAX = 4096 }; /* bytes of white space held back in text */

/* ---- making one */

static void add_mark(struct tool_parser *p, struct tool_mark mark) {
    if (mark.where & FOR_CALLS && !p->o.n_tools) return;
    p->marks[p->n_marks++] = mark;
    if (mark.text[0]) p->first[(unsigned char)mark.text[0]] = true;
    else memset(p->first, true, sizeof p->first);
}

static const struct tool_op to_reasoning[] = {TO_REASONING, DONE}, to_text[] = {TO_TEXT, DONE};

int tool_parser_new(struct tool_parser **out, const struct tool_syntax *s, const struct tool_options *o, struct err *e) {
    struct tool_parser *p = *out = mem_calloc(1, sizeof *p);
    if (!p) return err_nomem(e, "a parser of tool calls", sizeof *p);
    p->o = *o;
    p->at_start = true;
    p->reasoning = p->drop_space = o->opened_reasoning;
    for (const struct tool_mark *m = s->marks; m < s->marks + TOOL_MARKS_MAX && m->text; m++) add_mark(p, *m);
    if (o->reasoning) {
        add_mark(p, (struct tool_mark){o->reasoning->open, AT_START, to_reasoning});
        add_mark(p, (struct tool_mark){o->reasoning->close, IN_REASONING, to_text});
    }
    p->schemas = tool_schemas_new(o->tools, o->n_tools);
    if (p->schemas) return 0;
    tool_parser_free(p);
    *out = NULL;
    return err_nomem(e, "the tools of a parser", o->n_tools * sizeof *o->tools);
}

void tool_parser_free(struct tool_parser *p) {
    if (!p) return;
    tool_schemas_free(p->schemas);
    buf_free(&p->in);
    buf_free(&p->id);
    buf_free(&p->key);
    buf_free(&p->held);
    buf_free(&p->tree.names);
    buf_free(&p->out);
    mem_free(p->notes);
    mem_free(p->events);
    mem_free(p);
}

/* ---- events */

static struct tool_note *note_add(struct tool_parser *p, struct tool_note note) {
    if (p->n_notes == p->notes_cap) {
        size_t cap = p->notes_cap ? p->notes_cap * 2 : 16;
        struct tool_note *notes = mem_array(p->notes, cap, sizeof *notes);
        if (!notes) {
            p->broken = true;
            return NULL;
        }
        p->notes = notes;
        p->notes_cap = cap;
    }
    note.from = note.to = note.id_from = note.id_to = p->out.len;
    note.index = p->n_calls;
    p->notes[p->n_notes] = note;
    return &p->notes[p->n_notes++];
}

bool note_begin(struct tool_parser *p, enum tool_event_kind kind) {
    struct tool_note *last = p->n_notes ? &p->notes[p->n_notes - 1] : NULL;
    return (last && last->kind == kind) || note_add(p, (struct tool_note){.kind = kind});
}

void note_end(struct tool_parser *p) {
    struct tool_note *last = &p->notes[p->n_notes - 1];
    last->to = p->out.len;
    if (last->from == last->to) p->n_notes--; /* nothing came */
}

static bool add(struct tool_parser *p, enum tool_event_kind kind, const char *s, size_t n) {
    if (!n) return true;
    if (!note_begin(p, kind)) return false;
    if (!buf_add(&p->out, s, n)) p->broken = true;
    note_end(p);
    return !p->broken;
}

bool arguments_add(struct tool_parser *p, const char *s, size_t n) { return add(p, TOOL_CALL_ARGUMENTS, s, n); }

/* The id goes with the event that is made now; there it is spent. */
static bool note_with_id(struct tool_parser *p, struct tool_note what) {
    struct tool_note *note = note_add(p, what);
    if (!note) return false;
    if (!buf_add(&p->out, p->id.data, p->id.len)) p->broken = true;
    note->id_to = p->out.len;
    note->from = note->to = p->out.len;
    p->id.len = 0;
    return !p->broken;
}

bool call_begin(struct tool_parser *p) {
    if (!note_with_id(p, (struct tool_note){.kind = TOOL_CALL_BEGIN, .name = p->tool->name})) return false;
    p->begun = true;
    p->args_done = p->has_key = false;
    p->reasoning = false; /* a control token has ended it */
    return true;
}

bool call_end(struct tool_parser *p, bool complete) {
    if (!note_with_id(p, (struct tool_note){.kind = TOOL_CALL_END, .complete = complete})) return false;
    p->n_calls++;
    p->begun = false;
    p->tool = NULL;
    p->at_start = p->drop_space = true;
    return true;
}

/* Slices for what the notes say, once `out` does not move any more. */
static int events_out(struct tool_parser *p, struct tool_events *events, struct err *e) {
    if (p->n_notes > p->events_cap) {
        struct tool_event *at = mem_array(p->events, p->notes_cap, sizeof *at);
        if (!at) p->broken = true;
        else {
            p->events = at;
            p->events_cap = p->notes_cap;
        }
    }
    *events = (struct tool_events){0};
    if (p->broken) return err_nomem(e, "the events of an answer", p->out.len);
    for (size_t i = 0; i < p->n_notes; i++) {
        const struct tool_note *n = &p->notes[i];
        const char *out = p->out.data ? p->out.data : "";
        struct slice text = {out + n->from, n->to - n->from}, id = {out + n->id_from, n->id_to - n->id_from};
        p->events[i] = (struct tool_event){n->kind, n->index, n->complete, text, n->name, id};
    }
    *events = (struct tool_events){p->events, p->n_notes};
    return 0;
}

/* ---- looking */

enum match look(const struct tool_parser *p, size_t at, const char *literal) {
    size_t n = strlen(literal), have = p->in.len - at;
    if (have && memcmp(p->in.data + at, literal, have < n ? have : n) != 0) return NO;
    return have >= n ? YES : p->final ? NO : MAYBE;
}

void skip_space(struct tool_parser *p) {
    while (left(p) && is_space(*here(p))) p->pos++;
}

void account(struct tool_parser *p) { p->at = p->solid = p->pos; }

enum match find_tool(struct tool_parser *p, struct slice name) {
    enum match found = NO;
    if (p->n_calls && !p->o.parallel) return NO;
    for (size_t i = 0; i < p->o.n_tools && found != YES; i++) {
        struct slice tool = p->o.tools[i].name;
        if (name.n > tool.n || (name.n && memcmp(tool.p, name.p, name.n) != 0)) continue;
        found = name.n == tool.n ? YES : MAYBE;
        if (found == YES) p->tool = &p->o.tools[i];
    }
    return found;
}

/* ---- text */

/* Sends the text up to `solid`. */
static bool flush(struct tool_parser *p) {
    while (p->drop_space && p->at < p->solid && is_space(p->in.data[p->at])) p->at++;
    if (p->at == p->solid) return true;
    size_t at = p->at;
    p->drop_space = p->at_start = false;
    p->at = p->solid;
    return add(p, p->reasoning ? TOOL_REASONING : TOOL_TEXT, p->in.data + at, p->solid - at);
}

/* Marks everything up to pos as text, but for the white space at its end. */
static void solidify(struct tool_parser *p) {
    size_t end = p->pos;
    while (end > p->at && is_space(p->in.data[end - 1])) end--;
    if (end > p->solid) p->solid = end;
}

/* The mark at pos: MAYBE when more must come to tell. */
static enum match find_mark(const struct tool_parser *p, const struct tool_mark **mark) {
    for (size_t i = 0; i < p->n_marks; i++) {
        unsigned where = p->marks[i].where;
        bool may = p->reasoning ? where & IN_REASONING : where & IN_TEXT || (where & AT_START && p->at_start);
        enum match m = may ? look(p, p->pos, p->marks[i].text) : NO;
        *mark = &p->marks[i];
        if (m != NO) return m;
    }
    return NO;
}

static void open_mark(struct tool_parser *p, const struct tool_mark *mark) {
    if (!(mark->where & KEPT)) p->pos += strlen(mark->text);
    p->program = p->op = mark->program;
    p->entered = p->raw.entered = p->accounted = p->begun = false;
    p->tool = NULL;
    p->id.len = 0;
}

/* Reads text up to the next mark. Returns whether there is one; else all that could be read was. */
static bool read_text(struct tool_parser *p) {
    const struct tool_mark *mark;
    enum match m = NO;
    while (left(p)) {
        char c = *here(p);
        bool space = is_space(c);
        if (p->first[(unsigned char)c] && (m = find_mark(p, &mark)) != NO) break;
        p->pos++;
        if (!space) {
            p->solid = p->pos;
            p->at_start = false;
        } else if (p->pos - p->solid > SPACE_HELD_MAX) {
            p->solid = p->pos;
        }
    }
    if (m == YES) open_mark(p, mark);
    return flush(p) && m == YES;
}

/* The program has come to its end, or to what does not fit. */
static void leave(struct tool_parser *p, bool fits) {
    p->program = NULL;
    p->id.len = 0;
    if (p->begun && !call_end(p, p->args_done)) return;
    if (fits && p->accounted) {
        account(p);
        p->at_start = p->drop_space = true;
        return;
    }
    p->at_start = p->accounted;
    solidify(p);
    if (p->solid > p->at) p->at_start = false;
    flush(p);
    if (!p->accounted) p->at_start = false;
}

static void run(struct tool_parser *p) {
    while (!p->broken) {
        if (!p->program) {
            if (!read_text(p)) return;
            continue;
        }
        bool done = p->op->code == OP_DONE;
        enum step s = done ? STEP_ON : tool_step(p);
        if (s == STEP_WAIT && p->pos - p->at > TOOL_HELD_MAX) s = STEP_FAIL;
        if (s == STEP_WAIT && !p->final) return;
        if (done || s != STEP_ON) leave(p, done);
    }
}

/* Lets go of what is accounted for, when that is more than what stays. */
static void compact(struct tool_parser *p) {
    size_t gone = p->at;
    if (gone < p->in.len - gone) return;
    if (gone < p->in.len) memmove(p->in.data, p->in.data + gone, p->in.len - gone);
    p->in.len -= gone;
    p->at = 0;
    p->pos -= gone;
    p->solid -= gone;
    p->id_from -= p->id_from < gone ? p->id_from : gone;
    p->raw.from -= p->raw.from < gone ? p->raw.from : gone;
}

int tool_parser_feed(struct tool_parser *p, struct slice text, struct tool_events *events, struct err *e) {
    p->out.len = p->n_notes = 0;
    compact(p);
    if (!p->broken && !buf_add(&p->in, text.p, text.n)) p->broken = true;
    run(p);
    return events_out(p, events, e);
}

int tool_parser_finish(struct tool_parser *p, struct tool_events *events, struct err *e) {
    p->out.len = p->n_notes = 0;
    p->final = true;
    if (!p->broken && !buf_reserve(&p->in, 1)) p->broken = true; /* so that there is a byte to point at */
    run(p);
    if (!p->broken) {
        p->solid = p->in.len;
        flush(p);
    }
    return events_out(p, events, e);
}
