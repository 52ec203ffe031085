/* schema_emit_object.c: objects as nodes of the grammar; see schema.h, and the bag in gram.h.
 *
 * Names that the schema speaks of are taken one by one, each with all that any keyword asks of its value. All other keys fall into classes by the
 * patterns that they match: sets of strings that do not overlap, so that a key has one demand.
 */
#include <string.h>

#include "text/schema.h"

struct key_class {
    const struct lang *keys;
    struct list lits; /* struct literal */
};
struct object {
    struct compiler *c;
    const struct branch *b;
    struct list names, classes; /* struct object_name, struct key_class */
    uint32_t bag, after;
};

/* ---- names ---- */

static void note_name(struct object *o, struct slice text, bool required) {
    struct object_name *n = o->names.at;
    for (uint32_t i = 0; i < o->names.n; i++)
        if (slice_eq(n[i].text, text)) {
            n[i].required |= required;
            return;
        }
    if (o->names.n == GRAM_NAMES) {
        (void)schema_fail(o->c, ERR_UNSUPPORTED, NULL, "properties", "more than 128 names in one object are not supported");
        return;
    }
    struct object_name made = {text, required};
    (void)list_add(o->c, &o->names, &made, sizeof made);
}

static void find_names(struct object *o) {
    const struct branch *b = o->b;
    for (uint32_t i = 0; i < b->names.n; i++) note_name(o, ((struct name_rule *)b->names.at)[i].name, false);
    for (uint32_t i = 0; i < b->required.n; i++) note_name(o, ((struct slice *)b->required.at)[i], true);
    for (uint32_t i = 0; i < b->rests.n; i++) {
        const struct list *known = &((struct rest_rule *)b->rests.at)[i].known.names;
        for (uint32_t k = 0; k < known->n; k++) note_name(o, ((struct slice *)known->at)[k], false);
    }
}

static bool knows(const struct known_names *k, struct slice name) {
    for (uint32_t i = 0; i < k->names.n; i++)
        if (slice_eq(((struct slice *)k->names.at)[i], name)) return true;
    for (uint32_t i = 0; i < k->patterns.n; i++)
        if (lang_has(((const struct lang **)k->patterns.at)[i], name)) return true;
    return false;
}

/* Everything that is asked of the value of this name. */
static struct list lits_of_name(struct object *o, struct slice name) {
    const struct branch *b = o->b;
    struct list lits = {0};
    for (uint32_t i = 0; i < b->names.n; i++) {
        const struct name_rule *r = (struct name_rule *)b->names.at + i;
        if (slice_eq(r->name, name)) (void)list_add(o->c, &lits, &r->lit, sizeof r->lit);
    }
    for (uint32_t i = 0; i < b->patterns.n; i++) {
        const struct pattern_rule *r = (struct pattern_rule *)b->patterns.at + i;
        if (lang_has(r->names, name)) (void)list_add(o->c, &lits, &r->lit, sizeof r->lit);
    }
    for (uint32_t i = 0; i < b->rests.n; i++) {
        const struct rest_rule *r = (struct rest_rule *)b->rests.at + i;
        if (!knows(&r->known, name)) (void)list_add(o->c, &lits, &r->lit, sizeof r->lit);
    }
    if (b->keys && !lang_has(b->keys, name)) {
        struct literal never = literal_of(json_false(), false);
        (void)list_add(o->c, &lits, &never, sizeof never);
    }
    return lits;
}

struct list object_names(struct compiler *c, const struct branch *b) {
    struct object o = {.c = c, .b = b};
    find_names(&o);
    return o.names;
}

struct list object_lits(struct compiler *c, const struct branch *b, struct slice name) {
    struct object o = {.c = c, .b = b};
    return lits_of_name(&o, name);
}

/* ---- classes ---- */

/* Splits all classes by a set of keys; those inside (or, inverted, outside) are asked for lit too. */
static void split_classes(struct object *o, const struct lang *keys, struct literal lit, bool inverted) {
    struct list old = o->classes;
    struct langs *l = &o->c->langs;
    o->classes = (struct list){0};
    for (uint32_t i = 0; i < old.n && !o->c->rc && !l->rc; i++) {
        struct key_class in = ((struct key_class *)old.at)[i], out = in;
        in.keys = lang_combine(l, inverted ? LANG_MINUS : LANG_AND, in.keys, keys);
        out.keys = lang_combine(l, inverted ? LANG_AND : LANG_MINUS, out.keys, keys);
        in.lits.cap = in.lits.n; /* what is shared with `out` */
        (void)list_add(o->c, &in.lits, &lit, sizeof lit);
        bool forbidden = lit.denied ? json_is_true(lit.v) : json_is_false(lit.v);
        if (!forbidden && !lang_empty(in.keys)) (void)list_add(o->c, &o->classes, &in, sizeof in);
        if (!lang_empty(out.keys)) (void)list_add(o->c, &o->classes, &out, sizeof out);
    }
}

static void find_classes(struct object *o) {
    const struct branch *b = o->b;
    struct langs *l = &o->c->langs;
    struct slice *names = schema_take(o->c, o->names.n, sizeof *names);
    if (!names) return;
    for (uint32_t i = 0; i < o->names.n; i++) names[i] = ((struct object_name *)o->names.at)[i].text;
    struct key_class all = {.keys = lang_combine(l, LANG_MINUS, b->keys ? b->keys : &lang_all, lang_words(l, names, o->names.n))};
    if (!lang_empty(all.keys)) (void)list_add(o->c, &o->classes, &all, sizeof all);
    for (uint32_t i = 0; i < b->patterns.n; i++) {
        const struct pattern_rule *r = (struct pattern_rule *)b->patterns.at + i;
        split_classes(o, r->names, r->lit, false);
    }
    for (uint32_t i = 0; i < b->rests.n; i++) {
        const struct rest_rule *r = (struct rest_rule *)b->rests.at + i;
        const struct lang *known = &lang_none; /* its names are no keys of classes anyway */
        for (uint32_t k = 0; k < r->known.patterns.n; k++) known = lang_combine(l, LANG_OR, known, ((const struct lang **)r->known.patterns.at)[k]);
        split_classes(o, known, r->lit, true);
    }
}

/* ---- nodes ---- */

/* Behind the key: its quote, the colon, the value, and what may follow that. */
static uint32_t value_nodes(struct object *o, const struct list *lits, uint32_t name) {
    struct gram_builder *b = &o->c->b;
    const struct demand *d = demand_of(o->c, lits->at, lits->n);
    if (!d) return GRAM_FAIL;
    uint32_t value = emit_space(o->c, gram_call(b, d->rule, o->after));
    uint32_t set = gram_node(b, (struct gram_node){.kind = GRAM_BAG_SET, .next = gram_byte(b, ':', value), .arg = o->bag, .name = name});
    return gram_byte(b, '"', set);
}

static uint32_t test_node(struct object *o, uint32_t key, uint32_t name) {
    return gram_node(&o->c->b, (struct gram_node){.kind = GRAM_BAG_TEST, .next = gram_byte(&o->c->b, '"', key), .arg = o->bag, .name = name});
}

static void check_least(struct object *o, uint32_t n_required) {
    if (o->classes.n > 0 && o->b->min_properties > n_required + 1)
        (void)schema_fail(o->c, ERR_UNSUPPORTED, o->b->min_properties_at, "minProperties",
                          "more than one property beyond those required is not supported where keys are free: it would need to remember them");
}

static void key_nodes(struct object *o, uint32_t keys, struct gram_bag *bag) {
    uint32_t *tests = schema_take(o->c, (size_t)o->names.n + o->classes.n, sizeof *tests), n = 0, n_required = 0;
    if (!tests) return;
    for (uint32_t i = 0; i < o->names.n && !o->c->rc; i++) {
        const struct object_name *name = (struct object_name *)o->names.at + i;
        struct list lits = lits_of_name(o, name->text);
        uint32_t value = value_nodes(o, &lits, i);
        const struct lang *word = lang_words(&o->c->langs, &name->text, 1);
        tests[n++] = test_node(o, emit_lang(o->c, word, SPELL_JSON, value), i);
        if (name->required) bag->required[i / 64] |= 1ull << i % 64;
        n_required += name->required;
    }
    for (uint32_t i = 0; i < o->classes.n && !o->c->rc; i++) {
        const struct key_class *class = (struct key_class *)o->classes.at + i;
        uint32_t value = value_nodes(o, &class->lits, GRAM_OPEN_KEY);
        tests[n++] = test_node(o, emit_lang(o->c, class->keys, SPELL_JSON, value), GRAM_OPEN_KEY);
    }
    gram_split_set(&o->c->b, keys, tests, n);
    check_least(o, n_required);
}

uint32_t emit_object(struct compiler *c, const struct branch *b) {
    struct object o = {.c = c, .b = b};
    struct gram_builder *g = &c->b;
    struct gram_bag bag = {.min = b->min_properties, .max = b->max_properties};
    if (bag.min > bag.max) return GRAM_FAIL;
    find_names(&o);
    find_classes(&o);
    if (!schema_check(c, NULL, "patternProperties")) return GRAM_FAIL;
    o.bag = gram_bag_new(g, bag);
    bag.keys = gram_split_new(g);
    /* the space in front of the brace comes behind the test whether the object may end, as it leads nowhere else */
    bag.close = gram_node(g, (struct gram_node){.kind = GRAM_BAG_CLOSE, .next = emit_space(c, gram_byte(g, '}', GRAM_RETURN)), .arg = o.bag});
    uint32_t more = gram_node(g, (struct gram_node){.kind = GRAM_BAG_MORE, .next = gram_byte(g, ',', emit_space(c, bag.keys)), .arg = o.bag});
    o.after = gram_split(g, (uint32_t[]){more, bag.close}, 2);
    key_nodes(&o, bag.keys, &bag);
    uint32_t start = gram_split(g, (uint32_t[]){emit_space(c, bag.keys), bag.close}, 2);
    uint32_t open = gram_node(g, (struct gram_node){.kind = GRAM_BAG_OPEN, .next = start, .arg = o.bag});
    if (g->rc || c->rc) return GRAM_FAIL;
    g->g.bags[o.bag] = bag;
    return gram_byte(g, '{', open);
}
