/* template.h: the chat-template engine: Jinja, as the authors of models write it.
 *
 * The semantics are those of Python's Jinja2 3.1 immutable sandbox in the set-up that chat templates are written for:
 * trim_blocks and lstrip_blocks on, no HTML escaping, loop controls (break, continue), `generation` blocks, `tojson` that
 * leaves non-ASCII text alone, and the functions raise_exception, strftime_now, namespace, range, dict, cycler, joiner.
 * There are no other templates to include, import or extend. Integers are 64 bits wide and overflow is an error.
 *
 * Templates come from strangers: a rendering takes a bounded number of steps, a bounded amount of memory and a bounded
 * depth of recursion, and cannot reach anything but its context.
 *
 * Parsing and rendering need up to 512 KiB of stack. A parsed template is immutable and may be rendered by several threads at once, each with its own context.
 */
#ifndef HEARTH_TEMPLATE_H
#define HEARTH_TEMPLATE_H

#include "text/value.h"

struct template;

enum { TEMPLATE_SOURCE_MAX = 4 << 20 }; /* bytes of template source */

/* Parses source (copied). ERR_TEMPLATE: a syntax error; the message begins with "template:LINE:COLUMN: ". */
int template_parse(struct template **t, struct slice source, struct err *e);
void template_free(struct template *t); /* NULL is fine */

struct render_options {
    uint64_t max_steps; /* expressions evaluated plus bytes handled / 64; 0: 20 million */
    size_t max_memory;  /* bytes; 0: 512 MiB */
    bool fixed_now;     /* strftime_now shows `now` in UTC; otherwise the clock in local time */
    int64_t now;        /* seconds since 1970 UTC */
};

/* What was rendered. Everything outside template_spans is data: bytes that came from the context, or that a function made
 * out of it. Spans are in order, not empty, and do not touch. */
struct rendering {
    char *text; /* UTF-8, len bytes and a NUL */
    size_t len;
    struct byte_span *template_spans, *generation_spans; /* written by the template; inside {% generation %} blocks */
    size_t n_template, n_generation;
};

/* Renders t with the variables of the dict `context`. options may be NULL. ERR_TEMPLATE: the template failed, ran away, or
 * called raise_exception (then the message is the template's own). */
int template_render(const struct template *t, const struct value *context, const struct render_options *options,
                    struct rendering *out, struct err *e);
void rendering_free(struct rendering *r); /* fine on a zeroed one */

#endif
