/* schema_rule.h: a JSON Schema as a rule of a larger grammar. Inside src/text only. */
#ifndef HEARTH_TEXT_SCHEMA_RULE_H
#define HEARTH_TEXT_SCHEMA_RULE_H

#include "text/gram.h"

/* An object that is written in tags: for each property before NAME after VALUE behind; strings as they are, all else as JSON. Marks are as
 * grammar_vocab_spell has them. */
struct schema_tags {
    struct slice before, after, behind, between; /* between: two properties */
    struct slice after_json, behind_json; /* around what is no string; after_json.p NULL: after and behind, and the reader tells by the schema */
    const char *stop;        /* what ends a value, as text: no string has it; NULL: strings are written as JSON too */
    /* Whether the reader of `name` can only take it for a string, or (*scalars) for one or null, true, false. */
    bool (*only_string)(void *ctx, const char *name, bool *scalars);
    void *ctx;
};

/* A rule of the schema's values, whole numbers as a reader of whole numbers takes them; objects: of those that are objects. tags: they are written in tags, and are objects. On an error, as of
 * grammar_parse_schema, b has failed. */
int schema_rule(struct gram_builder *b, struct slice json, const struct schema_tags *tags, bool objects, uint32_t *rule, struct err *e);

#endif
