/* tool_tree.c: an argument's value as tags in tags: an object's members by their names, an array's items as <item>, and in the
 * innermost tags values as they stand (tool_raw.c). What a tag without tags in it means, and whether one that has them is an
 * array, is the schema's to say. */
#include <string.h>

#include "text/tool_internal.h"

static const char *tag_name(const struct tool_parser *p) {
    const struct tree_state *t = &p->tree;
    return t->depth ? t->names.data + t->name[t->depth - 1] : p->key.data;
}

bool types_here(struct tool_parser *p, unsigned *types) {
    const char *path[TREE_DEPTH_MAX + 1] = {p->key.data};
    size_t n = 1;
    for (size_t i = 0; p->op->code == OP_TREE && i < p->tree.depth; i++) path[n++] = p->tree.names.data + p->tree.name[i];
    return tool_schemas_types(p->schemas, (size_t)(p->tool - p->o.tools), path, n, types);
}

static enum step to_phase(struct tool_parser *p, enum tree_phase phase) {
    p->tree.phase = phase;
    return STEP_ON;
}

/* The name of a tag from pos up to its > */
static enum match read_tag(const struct tool_parser *p, size_t at, struct slice *name) {
    const char *text = p->in.data + at;
    size_t n = 0, most = p->in.len - at;
    while (n < most && text[n] != '>')
        if (n++ == TOOL_NAME_MAX) return NO;
    *name = (struct slice){text, n};
    return n < most ? YES : p->final ? NO : MAYBE;
}

/* Behind an opening tag: another one, the closing one, or a value. */
static enum step content_step(struct tool_parser *p) {
    enum match opens = look(p, p->pos, p->op->b), closes = look(p, p->pos, p->op->a);
    unsigned types;
    if (opens == MAYBE || closes == MAYBE) return STEP_WAIT;
    if (closes == YES) {
        if (!types_here(p, &types)) return no_memory(p);
        bool text = !types || types & TYPE_STRING;
        const char *empty = text || !(types & (TYPE_ARRAY | TYPE_OBJECT)) ? "\"\"" : types & TYPE_ARRAY ? "[]" : "{}";
        p->pos += strlen(p->op->a);
        if (!arguments_add(p, empty, 2)) return STEP_FAIL;
        account(p);
        return to_phase(p, TREE_CLOSE);
    }
    p->tree.has_child[p->tree.depth] = false;
    return to_phase(p, opens == YES ? TREE_CHILD : TREE_LEAF);
}

/* The first tag in another one says what that is, where the schema does not. */
static bool open_container(struct tool_parser *p, struct slice child) {
    struct tree_state *t = &p->tree;
    unsigned types;
    if (!types_here(p, &types)) {
        p->broken = true;
        return false;
    }
    types &= TYPE_ARRAY | TYPE_OBJECT;
    t->array[t->depth] = types == TYPE_ARRAY || (types != TYPE_OBJECT && slice_is(child, "item"));
    return arguments_add(p, t->array[t->depth] ? "[" : "{", 1);
}

static enum step child_step(struct tool_parser *p) {
    struct tree_state *t = &p->tree;
    struct slice name;
    size_t mark = strlen(p->op->b);
    enum match m = read_tag(p, p->pos + mark, &name);
    if (m != YES) return m == MAYBE ? STEP_WAIT : STEP_FAIL;
    if (!name.n || t->depth == TREE_DEPTH_MAX || memchr(name.p, 0, name.n)) return STEP_FAIL;
    if (!t->has_child[t->depth] && !open_container(p, name)) return STEP_FAIL;
    if (t->array[t->depth] && !slice_is(name, "item")) return STEP_FAIL;
    p->held.len = 0;
    bool ok = !t->has_child[t->depth] || buf_str(&p->held, ", ");
    if (!t->array[t->depth]) ok = ok && buf_char(&p->held, '"') && value_escape(&p->held, name.p, name.n) && buf_str(&p->held, "\": ");
    if (!ok) return no_memory(p);
    if (!arguments_add(p, p->held.data, p->held.len)) return STEP_FAIL;
    t->has_child[t->depth] = true;
    if (!t->depth) t->names.len = 0;
    t->name[t->depth++] = t->names.len;
    if (!buf_add(&t->names, name.p, name.n) || !buf_char(&t->names, 0)) return no_memory(p);
    p->pos += mark + name.n + 1;
    account(p);
    return to_phase(p, TREE_CONTENT);
}

/* Behind a child */
static enum step between_step(struct tool_parser *p) {
    skip_space(p);
    enum match opens = look(p, p->pos, p->op->b), closes = look(p, p->pos, p->op->a);
    if (closes == YES) {
        p->pos += strlen(p->op->a);
        if (!arguments_add(p, p->tree.array[p->tree.depth] ? "]" : "}", 1)) return STEP_FAIL;
        account(p);
        return to_phase(p, TREE_CLOSE);
    }
    if (opens == MAYBE || closes == MAYBE) return STEP_WAIT;
    return opens == YES ? to_phase(p, TREE_CHILD) : STEP_FAIL;
}

/* The name in a closing tag; true when the argument's own has been read. */
static enum step close_step(struct tool_parser *p, bool *over) {
    struct tree_state *t = &p->tree;
    struct slice name;
    enum match m = read_tag(p, p->pos, &name);
    if (m != YES) return m == MAYBE ? STEP_WAIT : STEP_FAIL;
    if (!slice_is(name, tag_name(p))) return STEP_FAIL;
    p->pos += name.n + 1;
    account(p);
    *over = t->depth == 0;
    if (t->depth) t->names.len = t->name[--t->depth];
    return to_phase(p, TREE_BETWEEN);
}

enum step tree_step(struct tool_parser *p) {
    if (!p->entered) {
        p->tree.depth = p->tree.names.len = p->tree.phase = 0;
        account(p); /* the tag around it */
    }
    p->entered = true;
    for (bool over = false; !over;) {
        enum step s = STEP_ON;
        switch (p->tree.phase) {
        case TREE_CONTENT: s = content_step(p); break;
        case TREE_LEAF:
            s = raw_step(p);
            if (s == STEP_ON) p->tree.phase = TREE_CLOSE;
            break;
        case TREE_CHILD: s = child_step(p); break;
        case TREE_BETWEEN: s = between_step(p); break;
        case TREE_CLOSE: s = close_step(p, &over); break;
        }
        if (s != STEP_ON) return s;
    }
    return STEP_ON;
}
