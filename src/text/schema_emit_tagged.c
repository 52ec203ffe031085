/* schema_emit_tagged.c: an object whose properties are written in tags, as some models write the arguments of calls; see schema.h.
 *
 * The object's own tags are a bag, as in schema_emit_object.c, with the names that the schema speaks of; other names are left out, so that what is written
 * is some of what the schema accepts and nothing else. A value is a string as it stands or anything else as JSON. Where only the schema tells the reader
 * which it is, strings that could be read as something else are left out too.
 */
#include <string.h>

#include "text/schema.h"

struct tagged {
    struct compiler *c;
    const struct schema_tags *tags;
    const json_t *string; /* a schema that accepts strings */
    uint32_t bag, after;
};

/* Strings that contain, or begin with, what ends a value or could be taken for JSON. */
static const struct lang *without(struct tagged *t, const struct lang *strings, const char *pattern) {
    uint32_t min = 0, max = GRAM_INF;
    const struct lang *bad = lang_pattern(&t->c->langs, slice_of(pattern), &min, &max);
    return lang_combine(&t->c->langs, LANG_MINUS, strings, bad);
}

static const struct lang *without_stop(struct tagged *t, const struct lang *strings) {
    struct buf pattern = {.limit = 1 << 12};
    bool ok = true;
    for (const char *p = t->tags->stop; *p && ok; p++) ok = (!strchr("^$\\.*+?()[]{}|/", *p) || buf_char(&pattern, '\\')) && buf_char(&pattern, *p);
    if (!ok) t->c->rc = err_nomem(t->c->err, "a schema", pattern.len);
    else strings = without(t, strings, pattern.data);
    buf_free(&pattern);
    return strings;
}

/* Restricts strings to those that the reader takes for strings. */
static const struct lang *readable(struct tagged *t, const struct lang *strings, const char *name) {
    bool scalars = false;
    strings = without_stop(t, strings);
    if (t->tags->after_json.p || t->tags->only_string(t->tags->ctx, name, &scalars)) return strings;
    strings = without(t, strings, "^\\s*([nN]ull|[nN]one|[tT]rue|[fF]alse)\\s*$");
    return scalars ? strings : without(t, strings, "^\\s*[-0-9\\[{\"']");
}

/* The strings among the values of these branches; none: lang_none. */
static const struct lang *strings_of(struct compiler *c, const struct list *branches) {
    const struct lang *all = &lang_none;
    for (uint32_t i = 0; i < branches->n && !c->rc; i++) {
        const struct branch *b = ((struct branch **)branches->at)[i];
        if (b->types & TYPE_STRING) all = lang_combine(&c->langs, LANG_OR, all, lang_of_lengths(c, b->strings, b->min_length, b->max_length, c->root, "maxLength"));
    }
    return schema_check(c, c->root, "pattern") ? all : &lang_none;
}

/* Behind a name: what stands in front of the value, the value, and what follows. */
static uint32_t value_nodes(struct tagged *t, struct list *lits, const char *name) {
    struct compiler *c = t->c;
    struct gram_builder *b = &c->b;
    const struct literal no_string = literal_of(t->string, true);
    struct list branches = {0};
    uint32_t ways[2], n = 0, behind = gram_text(b, t->tags->behind, t->after);
    unsigned types = 0;
    if (!t->tags->stop) {
        const struct demand *d = demand_of(c, lits->at, lits->n);
        return d ? gram_text(b, t->tags->after, gram_call(b, d->rule, behind)) : GRAM_FAIL;
    }
    schema_expand(c, lits->at, lits->n, &branches);
    for (uint32_t i = 0; i < branches.n && !c->rc; i++) types |= ((struct branch **)branches.at)[i]->types;
    if (types & TYPE_STRING && !c->rc) {
        const struct lang *strings = readable(t, strings_of(c, &branches), name);
        if (!lang_empty(strings)) ways[n++] = gram_text(b, t->tags->after, emit_lang(c, strings, SPELL_RAW, behind));
    }
    if (types & ~(unsigned)TYPE_STRING && !c->rc && list_add(c, lits, &no_string, sizeof no_string)) {
        const struct demand *d = demand_of(c, lits->at, lits->n);
        if (d) ways[n++] = t->tags->after_json.p ? gram_text(b, t->tags->after_json, gram_call(b, d->rule, gram_text(b, t->tags->behind_json, t->after))) : gram_text(b, t->tags->after, gram_call(b, d->rule, behind));
    }
    return schema_check(c, c->root, "properties") ? gram_split(b, ways, n) : GRAM_FAIL;
}

static uint32_t property_nodes(struct tagged *t, const struct branch *b, const struct object_name *name, uint32_t i) {
    struct gram_builder *g = &t->c->b;
    struct list lits = object_lits(t->c, b, name->text);
    const char *text = arena_strndup(t->c->langs.mem, name->text.p, name->text.n);
    if (!text || strpbrk(text, "<>\"\n\r\t |=") || strlen(text) != name->text.n || name->text.n == 0)
        return schema_fail(t->c, ERR_UNSUPPORTED, t->c->root, "properties", "this name of a property cannot stand in a tag"), GRAM_FAIL;
    const uint32_t set = gram_node(g, (struct gram_node){.kind = GRAM_BAG_SET, .next = value_nodes(t, &lits, text), .arg = t->bag, .name = i});
    const uint32_t key = gram_text(g, t->tags->before, gram_text(g, name->text, set));
    return gram_node(g, (struct gram_node){.kind = GRAM_BAG_TEST, .next = key, .arg = t->bag, .name = i});
}

static uint32_t object_nodes(struct tagged *t, const struct branch *b) {
    struct compiler *c = t->c;
    struct gram_builder *g = &c->b;
    struct gram_bag bag = {.min = b->min_properties, .max = b->max_properties};
    const struct list names = object_names(c, b);
    uint32_t *tests = schema_take(c, (size_t)names.n + 1, sizeof *tests);
    if (!tests || c->rc) return GRAM_FAIL;
    t->bag = gram_bag_new(g, bag);
    bag.keys = gram_split_new(g);
    bag.close = gram_node(g, (struct gram_node){.kind = GRAM_BAG_CLOSE, .next = GRAM_RETURN, .arg = t->bag});
    const uint32_t more = gram_node(g, (struct gram_node){.kind = GRAM_BAG_MORE, .next = gram_text(g, t->tags->between, bag.keys), .arg = t->bag});
    t->after = gram_split(g, (uint32_t[]){more, bag.close}, 2);
    for (uint32_t i = 0; i < names.n && !c->rc; i++) {
        const struct object_name *name = (const struct object_name *)names.at + i;
        tests[i] = property_nodes(t, b, name, i);
        if (name->required) bag.required[i / 64] |= 1ull << i % 64;
    }
    if (c->rc || g->rc) return GRAM_FAIL;
    gram_split_set(g, bag.keys, tests, names.n);
    const uint32_t start = gram_split(g, (uint32_t[]){bag.keys, bag.close}, 2);
    const uint32_t open = gram_node(g, (struct gram_node){.kind = GRAM_BAG_OPEN, .next = start, .arg = t->bag});
    if (!g->rc) g->g.bags[t->bag] = bag;
    return open;
}

uint32_t emit_tagged(struct compiler *c, const struct literal *at, uint32_t n, const struct schema_tags *tags) {
    struct tagged t = {.c = c, .tags = tags, .string = json_pack("{s:s}", "type", "string")};
    struct list branches = {0}, ways = {0};
    const uint32_t rule = gram_rule_new(&c->b);
    if (!t.string) c->rc = err_nomem(c->err, "a schema", 1);
    else if (!list_add(c, &c->kept, &t.string, sizeof t.string)) json_decref((json_t *)(uintptr_t)t.string);
    if (!c->rc) schema_expand(c, at, n, &branches);
    for (uint32_t i = 0; i < branches.n && !c->rc; i++) {
        const struct branch *b = ((struct branch **)branches.at)[i];
        const uint32_t way = b->types & TYPE_OBJECT ? object_nodes(&t, b) : GRAM_FAIL;
        if (way != GRAM_FAIL) (void)list_add(c, &ways, &way, sizeof way);
    }
    const uint32_t all = c->rc ? GRAM_FAIL : gram_split(&c->b, ways.at, ways.n);
    if (!c->rc && !c->b.rc) c->b.g.rules[rule] = all;
    return rule;
}
