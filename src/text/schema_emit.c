/* schema_emit.c: from branches to nodes of the grammar: scalars, strings and arrays; objects are in schema_emit_object.c. See schema.h and gram.h. */
#include <stdlib.h>
#include <string.h>

#include "text/schema.h"

enum {
    WRITTEN_LENGTH = 600, /* bounds of a string's length that may be written out as states */
    WRITTEN_ITEMS = 64,   /* the same for arrays */
    ARRAY_STATES = 4096,
    CONTAINS_MAX = 3,
    SPACES = 40, TABS = 16, /* of indentation */
};

static uint32_t failed(struct compiler *c) {
    if (c->langs.rc && !c->rc) c->rc = c->langs.rc;
    if (c->b.rc && !c->rc) c->rc = c->b.rc;
    return GRAM_FAIL;
}

/* ---- white space: nothing, one space, or a line break with its indentation ---- */

uint32_t emit_space(struct compiler *c, uint32_t next) {
    if (!c->space_rule) {
        uint32_t rule = gram_rule_new(&c->b), spaces = GRAM_RETURN, tabs = GRAM_RETURN;
        for (int i = 0; i < SPACES; i++) spaces = gram_split(&c->b, (uint32_t[]){gram_byte(&c->b, ' ', spaces), GRAM_RETURN}, 2);
        for (int i = 0; i < TABS; i++) tabs = gram_split(&c->b, (uint32_t[]){gram_byte(&c->b, '\t', tabs), GRAM_RETURN}, 2);
        uint32_t line = gram_byte(&c->b, '\n', gram_split(&c->b, (uint32_t[]){spaces, tabs}, 2));
        uint32_t all = gram_split(&c->b, (uint32_t[]){GRAM_RETURN, gram_byte(&c->b, ' ', GRAM_RETURN), line}, 3);
        if (c->b.rc) return failed(c);
        c->b.g.rules[rule] = all;
        c->space_rule = rule;
    }
    return gram_call(&c->b, c->space_rule, next);
}

/* ---- automata ---- */

struct emitter {
    struct compiler *c;
    const struct lang *lang;
    uint32_t *state; /* the split of each state */
    const struct lang_span *spans; /* NULL: not counted */
    enum char_spelling spelling;
};

static int by_target(const void *pa, const void *pb) {
    const struct lang_edge *a = pa, *b = pb;
    if (a->to != b->to) return a->to < b->to ? -1 : 1;
    return (a->lo > b->lo) - (a->lo < b->lo);
}

/* The nodes of one state: a set of characters for each state that follows it, and the end. */
static void emit_state(struct emitter *e, uint32_t number, uint32_t end) {
    struct compiler *c = e->c;
    const struct lang_state *s = &e->lang->states[number];
    struct lang_edge *edges = schema_take(c, s->n, sizeof *edges);
    struct chars *set = schema_take(c, s->n, sizeof *set);
    uint32_t *to = schema_take(c, s->n + 1u, sizeof *to), n = 0;
    if (!edges || !set || !to) return;
    if (s->n) memcpy(edges, e->lang->edges + s->first, s->n * sizeof *edges);
    if (s->n > 1) qsort(edges, s->n, sizeof *edges, by_target);
    for (uint32_t i = 0; i < s->n && !c->b.rc;) {
        uint32_t target = edges[i].to, n_set = 0, next = e->state[target];
        for (; i < s->n && edges[i].to == target; i++) set[n_set++] = (struct chars){edges[i].lo, edges[i].hi};
        uint32_t chars = gram_chars(&c->b, set, n_set, e->spelling, next);
        if (e->spans) chars = gram_node(&c->b, (struct gram_node){.kind = GRAM_TICK, .next = chars, .first = e->spans[target].least, .n = e->spans[target].most});
        to[n++] = chars;
    }
    if (s->accept) to[n++] = end;
    gram_split_set(&c->b, e->state[number], to, n);
}

static uint32_t emit_states(struct emitter *e, uint32_t end) {
    struct compiler *c = e->c;
    if (lang_empty(e->lang) || !(e->state = schema_take(c, e->lang->n, sizeof *e->state))) return GRAM_FAIL;
    for (uint32_t i = 0; i < e->lang->n; i++) e->state[i] = gram_split_new(&c->b);
    for (uint32_t i = 0; i < e->lang->n && !c->b.rc && !c->rc; i++) emit_state(e, i, end);
    return c->b.rc || c->rc ? failed(c) : e->state[0];
}

uint32_t emit_lang(struct compiler *c, const struct lang *lang, enum char_spelling spelling, uint32_t end) {
    struct emitter e = {.c = c, .lang = lang, .spelling = spelling};
    return emit_states(&e, end);
}

/* ---- strings and numbers: a rule for each that is used ---- */

struct string_rule {
    const struct lang *lang;
    uint32_t min, max, rule;
    enum char_spelling spelling; /* raw: a number */
};

const struct lang *lang_of_lengths(struct compiler *c, const struct lang *a, uint32_t min, uint32_t max, const json_t *schema, const char *keyword) {
    const struct lang_span *spans = lang_empty(a) ? NULL : lang_spans(&c->langs, a);
    if (!spans || min > max) return &lang_none;
    if (min <= spans[0].least && max >= spans[0].most) return a;
    if ((max == GRAM_INF ? min : max) > WRITTEN_LENGTH && max < spans[0].most) {
        (void)schema_fail(c, ERR_UNSUPPORTED, schema, keyword, "a bound of the length that large is not supported together with this pattern");
        return &lang_none;
    }
    if (max > WRITTEN_LENGTH) max = GRAM_INF;
    if (min > WRITTEN_LENGTH) return spans[0].most < min ? &lang_none : (schema_fail(c, ERR_UNSUPPORTED, schema, keyword, "a length that large is not supported together with this pattern"), &lang_none);
    return lang_combine(&c->langs, LANG_AND, a, lang_length(&c->langs, min, max));
}

static uint32_t counted_string(struct compiler *c, const struct lang *lang, const struct lang_span *spans, uint32_t min, uint32_t max, uint32_t quote) {
    struct emitter e = {.c = c, .lang = lang, .spelling = SPELL_JSON, .spans = spans};
    struct gram_count count = {.min = min, .max = max};
    if (spans[0].least > max || spans[0].most < min) return GRAM_FAIL;
    for (uint32_t i = 0; i < lang->n; i++) {
        if (spans[i].least > count.slack) count.slack = spans[i].least;
        if (spans[i].most != GRAM_INF && spans[i].most > count.slack) count.slack = spans[i].most;
    }
    uint32_t end = gram_node(&c->b, (struct gram_node){.kind = GRAM_COUNT_END, .next = quote});
    uint32_t first = emit_states(&e, end), number = gram_count_new(&c->b, count);
    return gram_node(&c->b, (struct gram_node){.kind = GRAM_COUNT_OPEN, .next = first, .arg = number});
}

static uint32_t string_nodes(struct compiler *c, const struct lang *lang, uint32_t min, uint32_t max) {
    uint32_t quote = gram_byte(&c->b, '"', GRAM_RETURN), inside;
    const struct lang_span *spans = lang_empty(lang) ? NULL : lang_spans(&c->langs, lang);
    if (!spans || min > max) return failed(c);
    if (min <= spans[0].least) min = 0;
    if (max >= spans[0].most) max = GRAM_INF;
    if (min == 0 && max == GRAM_INF)
        inside = emit_lang(c, lang, SPELL_JSON, quote);
    else if (min == 0 || max == GRAM_INF || lang_even(lang, spans)) /* of one bound, the shortest or the longest way tells whether it can be kept */
        inside = counted_string(c, lang, spans, min, max, quote);
    else
        inside = emit_lang(c, lang_of_lengths(c, lang, min, max, NULL, "maxLength"), SPELL_JSON, quote);
    (void)schema_check(c, NULL, "maxLength");
    return gram_byte(&c->b, '"', inside);
}

static uint32_t string_call(struct compiler *c, const struct lang *lang, uint32_t min, uint32_t max, enum char_spelling spelling) {
    struct string_rule made = {lang, min, max, 0, spelling};
    const struct string_rule *known = c->strings.at;
    for (uint32_t i = 0; i < c->strings.n; i++)
        if (known[i].lang == lang && known[i].min == min && known[i].max == max && known[i].spelling == spelling) return gram_call(&c->b, known[i].rule, GRAM_RETURN);
    made.rule = gram_rule_new(&c->b);
    uint32_t first = spelling == SPELL_RAW ? emit_lang(c, lang, SPELL_RAW, GRAM_RETURN) : string_nodes(c, lang, min, max);
    if (c->b.rc || c->langs.rc) return failed(c);
    c->b.g.rules[made.rule] = first;
    (void)list_add(c, &c->strings, &made, sizeof made);
    return gram_call(&c->b, made.rule, GRAM_RETURN);
}

/* ---- arrays: a state for each number of items read, and of those that `contains` counts ---- */

struct array {
    struct compiler *c;
    const struct branch *b;
    uint32_t n; /* numbers of items told apart: 0 .. n, where n stands for all above too if there is no limit */
    uint32_t n_contains, cap[CONTAINS_MAX]; /* counts told apart: 0 .. cap */
    uint32_t *state, end, loop;
    struct list lits;
};

static bool add_lit(struct array *a, struct literal l, bool denied) {
    l.denied ^= denied;
    return list_add(a->c, &a->lits, &l, sizeof l);
}

/* Starts the list of what item i must satisfy. */
static void item_lits(struct array *a, uint32_t i) {
    const struct item_rule *r = a->b->items.at;
    a->lits = (struct list){0};
    for (uint32_t k = 0; k < a->b->items.n; k++)
        if (r[k].from <= i && i < r[k].to) (void)add_lit(a, r[k].lit, false);
}

static uint32_t call_lits(struct compiler *c, const struct list *lits, uint32_t next) {
    const struct demand *d = demand_of(c, lits->at, lits->n);
    return d ? gram_call(&c->b, d->rule, next) : failed(c);
}

static uint32_t state_number(const struct array *a, uint32_t i, const uint32_t *counts) {
    uint32_t k = i;
    for (uint32_t j = 0; j < a->n_contains; j++) k = k * (a->cap[j] + 1) + counts[j];
    return k;
}

/* One item more, of those that satisfy just the `contains` in `which`. GRAM_FAIL: not possible from here. */
static uint32_t next_item(struct array *a, uint32_t i, const uint32_t *counts, uint32_t which) {
    const struct contains_rule *r = a->b->contains.at;
    uint32_t after[CONTAINS_MAX] = {0};
    item_lits(a, i);
    for (uint32_t j = 0; j < a->n_contains; j++) {
        bool in = which >> j & 1;
        after[j] = counts[j] + in;
        if (r[j].from > i) {
            if (in) return GRAM_FAIL; /* it does not count yet: one way is enough */
            continue;
        }
        if (after[j] > a->cap[j]) {
            if (r[j].max != GRAM_INF) return GRAM_FAIL;
            after[j] = a->cap[j];
        }
        (void)add_lit(a, r[j].lit, !in);
    }
    uint32_t next = i < a->n ? i + 1 : i;
    return call_lits(a->c, &a->lits, a->state[state_number(a, next, after)]);
}

static bool may_close(const struct array *a, uint32_t i, const uint32_t *counts) {
    const struct contains_rule *r = a->b->contains.at;
    for (uint32_t j = 0; j < a->n_contains; j++)
        if (counts[j] < r[j].min) return false;
    return i >= a->b->min_items && i <= a->b->max_items;
}

static void array_state(struct array *a, uint32_t i, const uint32_t *counts) {
    struct gram_builder *b = &a->c->b;
    uint32_t items[1 << CONTAINS_MAX], n = 0, ways[2], n_ways = 0;
    if (may_close(a, i, counts)) ways[n_ways++] = a->end;
    if (a->loop && i == a->n) {
        ways[n_ways++] = a->loop;
    } else if (i < a->b->max_items) {
        for (uint32_t which = 0; which < 1u << a->n_contains; which++) {
            uint32_t item = next_item(a, i, counts, which);
            if (item != GRAM_FAIL) items[n++] = item;
        }
        uint32_t any = gram_split(b, items, n);
        /* at the start the space stands behind the bracket, so that it is read once, whatever follows */
        ways[n_ways++] = i ? gram_byte(b, ',', emit_space(a->c, any)) : any;
    }
    if (i) {
        gram_split_set(b, a->state[state_number(a, i, counts)], ways, n_ways);
    } else {
        uint32_t close = n_ways && ways[0] == a->end ? gram_byte(b, ']', GRAM_RETURN) : GRAM_FAIL;
        if (n_ways && ways[0] == a->end) ways[0] = close;
        uint32_t spaced = emit_space(a->c, gram_split(b, ways, n_ways));
        gram_split_set(b, a->state[state_number(a, 0, counts)], &spaced, 1);
    }
}

/* What comes behind the n items that are told apart, when the limits are too large to write out: a loop. */
static void array_loop(struct array *a) {
    struct gram_builder *b = &a->c->b;
    uint32_t rule = gram_rule_new(b), min = a->b->min_items, max = a->b->max_items;
    item_lits(a, a->n);
    uint32_t item = gram_byte(b, ',', emit_space(a->c, call_lits(a->c, &a->lits, GRAM_RETURN)));
    if (b->rc) return;
    b->g.rules[rule] = item;
    uint32_t count = gram_count_new(b, (struct gram_count){.min = min > a->n ? min - a->n : 0, .max = max == GRAM_INF ? GRAM_INF : max - a->n, .rule = rule});
    a->loop = gram_node(b, (struct gram_node){.kind = GRAM_LOOP, .next = a->end, .arg = count});
}

static bool array_shape(struct array *a) {
    const struct branch *b = a->b;
    const struct item_rule *items = b->items.at;
    const struct contains_rule *r = b->contains.at;
    bool large = b->min_items > WRITTEN_ITEMS || (b->max_items != GRAM_INF && b->max_items > WRITTEN_ITEMS);
    uint64_t states;
    for (uint32_t i = 0; i < b->items.n; i++) {
        uint32_t until = items[i].to == GRAM_INF ? items[i].from : items[i].to;
        if (until > a->n) a->n = until;
    }
    if (b->contains.n > CONTAINS_MAX || (b->contains.n && large)) return !schema_fail(a->c, ERR_UNSUPPORTED, r[0].schema, "contains", "too many of them, or together with large bounds, are not supported");
    for (uint32_t j = 0; j < b->contains.n; j++) {
        a->cap[j] = r[j].max == GRAM_INF ? r[j].min : r[j].max;
        if (r[j].from > a->n) a->n = r[j].from;
        if (a->cap[j] > WRITTEN_ITEMS) return !schema_fail(a->c, ERR_UNSUPPORTED, r[j].schema, "contains", "bounds that large are not supported");
    }
    a->n_contains = b->contains.n;
    if (!large && b->min_items > a->n) a->n = b->min_items;
    if (!large && b->max_items != GRAM_INF) a->n = b->max_items;
    if (a->n == 0 && b->max_items > 0) a->n = 1; /* no item is another state than one or more: no comma comes first */
    states = a->n + 1ull;
    for (uint32_t j = 0; j < a->n_contains; j++) states *= a->cap[j] + 1;
    if (states > ARRAY_STATES || a->n > ARRAY_STATES) return !schema_fail(a->c, ERR_UNSUPPORTED, a->n_contains ? r[0].schema : NULL, a->n_contains ? "contains" : "", "the array has too many different items");
    a->state = schema_take(a->c, states, sizeof *a->state);
    for (uint64_t i = 0; a->state && i < states; i++) a->state[i] = gram_split_new(&a->c->b);
    return a->state && !a->c->b.rc;
}

uint32_t emit_array(struct compiler *c, const struct branch *b) {
    struct array a = {.c = c, .b = b};
    if (b->min_items > b->max_items) return GRAM_FAIL;
    if (b->unique && b->max_items > 1) (void)schema_fail(c, ERR_UNSUPPORTED, b->unique, "uniqueItems", "is not supported: it would need to remember all items");
    a.end = emit_space(c, gram_byte(&c->b, ']', GRAM_RETURN));
    if (c->rc || !array_shape(&a)) return failed(c);
    bool large = b->min_items > WRITTEN_ITEMS || (b->max_items != GRAM_INF && b->max_items > WRITTEN_ITEMS);
    if (large && b->max_items >= a.n) array_loop(&a);
    for (uint32_t i = 0; i <= a.n && i <= b->max_items && !c->rc && !c->b.rc; i++) {
        uint32_t counts[CONTAINS_MAX] = {0}, j = 0;
        do { /* all numbers of what `contains` counts */
            array_state(&a, i, counts);
            for (j = 0; j < a.n_contains && ++counts[j] > a.cap[j]; j++) counts[j] = 0;
        } while (j < a.n_contains);
    }
    return c->rc || c->b.rc ? failed(c) : gram_byte(&c->b, '[', a.state[0]);
}

/* ---- a demand ---- */

static uint32_t emit_numbers(struct compiler *c, const struct branch *b) {
    if (!b->numbers && !c->number) c->number = lang_number(&c->langs);
    return string_call(c, b->numbers ? b->numbers : c->number, 0, GRAM_INF, SPELL_RAW);
}

void emit_demand(struct compiler *c, uint32_t number) {
    static const char *const words[] = {"null", "false", "true"};
    struct demand d = ((struct demand *)c->demands.at)[number];
    struct list branches = {0}, ways = {0};
    schema_expand(c, d.at, d.n, &branches);
    for (uint32_t i = 0; i < branches.n && !c->rc; i++) {
        const struct branch *b = ((struct branch **)branches.at)[i];
        uint32_t to[7], n = 0;
        for (unsigned t = 0; t < 3; t++)
            if (b->types >> t & 1) to[n++] = gram_text(&c->b, slice_of(words[t]), GRAM_RETURN);
        if (b->types & TYPE_NUMBER) to[n++] = emit_numbers(c, b);
        if (b->types & TYPE_STRING) to[n++] = string_call(c, b->strings, b->min_length, b->max_length, SPELL_JSON);
        if (b->types & TYPE_ARRAY) to[n++] = emit_array(c, b);
        if (b->types & TYPE_OBJECT) to[n++] = emit_object(c, b);
        for (uint32_t k = 0; k < n && !c->rc; k++)
            if (to[k] != GRAM_FAIL) (void)list_add(c, &ways, &to[k], sizeof *to);
    }
    if (c->b.rc || c->langs.rc) (void)failed(c);
    if (c->rc) return;
    uint32_t split = gram_split(&c->b, ways.at, ways.n);
    if (!c->b.rc) c->b.g.rules[d.rule] = split;
    (void)failed(c);
}
