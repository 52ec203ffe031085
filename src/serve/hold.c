/* hold.c: see hold.h. */
#include "serve/hold.h"

#include <string.h>

#include "base/log.h"

const struct tool_spec *hold_callable(const struct ask *ask, struct arena *a, size_t *n) {
    struct tool_spec *some;
    *n = ask->tool_choice == TOOLS_NONE ? 0 : ask->n_tools;
    if (!*n) return arena_array(a, 1, sizeof *some);
    if (ask->tool_choice != TOOLS_NAMED && !ask->allowed) return ask->tool;
    *n = 0;
    if (!(some = arena_array(a, ask->n_tools, sizeof *some))) return NULL;
    for (size_t i = 0; i < ask->n_tools; i++)
        if (ask->tool_choice == TOOLS_NAMED ? slice_eq(ask->tool[i].name, ask->named) : ask->allowed[i]) some[(*n)++] = ask->tool[i];
    return some;
}

/* Which of all tools a callable one is. */
static size_t number_of(const struct ask *ask, const struct tool_spec *tool) {
    size_t i = 0;
    while (i < ask->n_tools && !(ask->tool[i].name.p == tool->name.p && ask->tool[i].schema.p == tool->schema.p)) i++;
    return i;
}

static bool any_strict(const struct tool_spec *tools, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (tools[i].strict) return true;
    return false;
}

/* The form, if anything has to be of one; false: nothing has. */
static bool form_of(const struct ask *ask, const struct served *m, const struct tool_spec *tools, size_t n, struct answer_form *f) {
    const bool must = ask->tool_choice == TOOLS_REQUIRED || ask->tool_choice == TOOLS_NAMED;
    *f = (struct answer_form){.tools = tools, .n_tools = n, .parallel = ask->parallel, .source = ask->form_text};
    if (ask->messages) f->syntax = m->syntax, f->reasoning = m->reasoning;
    if (ask->form == FORM_OBJECT) f->source = SLICE("{\"type\":\"object\"}");
    if (ask->form != FORM_FREE) f->text = ask->form == FORM_GBNF ? TEXT_GBNF : TEXT_SCHEMA;
    if (n) f->calls = must ? CALLS_MUST : f->text != TEXT_ANY || any_strict(tools, n) || ask->allowed ? CALLS_MAY : CALLS_NONE;
    if (f->calls == CALLS_MUST) f->text = TEXT_ANY, f->source = (struct slice){0};
    return f->calls != CALLS_NONE || f->text != TEXT_ANY;
}

/* Puts the field in front of a message. */
static int blame(const struct ask *ask, const struct answer_form *f, int bad, struct err *e) {
    const char *member = ask->schema_member ? ask->schema_member : "parameters";
    char why[sizeof e->msg];
    (void)snprintf(why, sizeof why, "%s", e->msg);
    if (e->code == ERR_MEMORY) return e->code;
    if (bad >= 0) return err_set(e, e->code, "%s.%s: %s", ask->tool_field[number_of(ask, &f->tools[bad])], member, why);
    return err_set(e, e->code, "%s: %s", f->text != TEXT_ANY && ask->form_field ? ask->form_field : f->calls == CALLS_MUST ? "tool_choice" : "tools", why);
}

int hold_answer(const struct ask *ask, const struct served *m, struct arena *a, bool opened, struct guide_options *g, struct err *e) {
    struct answer_form f;
    size_t n;
    int bad, code = 0;
    const struct tool_spec *tools = hold_callable(ask, a, &n);
    if (!tools) return err_nomem(e, "tools", n * sizeof *tools);
    *g = (struct guide_options){.budget = ask->thinking == THINKING_OFF ? 0 : ask->budget < 0 || ask->budget > INT32_MAX ? -1 : (int)ask->budget, .opened = opened};
    if (ask->messages) {
        g->frame = tool_frame_of(m->syntax, m->reasoning);
        g->may_open = !opened && tool_reasoning_known(m->syntax, m->reasoning, m->template);
    }
    if (!form_of(ask, m, tools, n, &f)) return 0;
    if (f.calls == CALLS_MAY && ask->form == FORM_GBNF) return err_set(e, ERR_FORMAT, "%s: a grammar leaves no room for calls: tools must be absent, or tool_choice \"none\" or \"required\"", ask->form_field);
    code = forms_get(m->forms, &f, &g->form, &bad, e);
    if (code == ERR_UNSUPPORTED && f.calls == CALLS_MAY && f.text == TEXT_ANY && !any_strict(tools, n)) {
        log_debug("calls of %s are not held to their names: %s", m->name, e->msg); /* others than the allowed ones come as text */
        return 0;
    }
    if (code == 0 && bad >= 0) {
        const struct slice name = f.tools[bad].name;
        char shown[80];
        log_info("arguments of %s are held to an object only, since \"strict\" is not set: %s", err_quote(shown, sizeof shown, name.p, name.n), e->msg);
    }
    return code ? blame(ask, &f, bad, e) : 0;
}
