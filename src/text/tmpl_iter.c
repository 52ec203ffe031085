/* tmpl_iter.c: iterating. An iterator is read once, as Python's generators are; lists, dicts and strings give a new one each time. */
#include <string.h>

#include "text/tmpl.h"

static int next_of_list(struct ev *ev, struct iter *it, val *item) {
    (void)ev;
    if (it->at >= it->source->l.n) return 0;
    *item = it->source->l.at[it->at++];
    return 1;
}

static int next_of_dict(struct ev *ev, struct iter *it, val *item) {
    (void)ev;
    if (it->at >= it->source->d.n) return 0;
    *item = it->source->d.at[it->at++].key;
    return 1;
}

static int next_of_string(struct ev *ev, struct iter *it, val *item) {
    struct text s = it->source->s;
    uint32_t cp;
    if (it->at >= s.n) return 0;
    size_t len = u8_step(s.p + it->at, s.n - it->at, &cp);
    *item = substring(ev, it->source, it->at, len);
    it->at += len;
    return *item ? 1 : -1;
}

static int next_of_nothing(struct ev *ev, struct iter *it, val *item) {
    (void)ev, (void)it, (void)item;
    return 0;
}

bool is_iterable(val v) {
    switch (v->kind) {
    case V_LIST:
    case V_DICT:
    case V_STRING:
    case V_UNDEFINED:
    case V_ITER:
    case V_LOOP: return true;
    default: return false;
    }
}

struct iter *iter_new(struct ev *ev, val v) {
    if (v->kind == V_ITER) return v->iter;
    if (!is_iterable(v) || v->kind == V_LOOP) return (void)fail(ev, "'%s' object is not iterable", type_name(v)), NULL;
    struct iter *it = take(ev, 1, sizeof *it);
    if (!it) return NULL;
    it->next = v->kind == V_LIST ? next_of_list : v->kind == V_DICT ? next_of_dict : v->kind == V_STRING ? next_of_string : next_of_nothing;
    it->source = v;
    if (v->kind == V_STRING && v->flavor == STRING_MARKUP && !(it->source = with_flavor(ev, v, STRING_PLAIN))) return NULL;
    return it;
}

int iter_next(struct ev *ev, struct iter *it, val *item) {
    if (!spend(ev, 1) || !deeper(ev)) return -1;
    int rc = it->next(ev, it, item);
    ev->depth--;
    return rc;
}

val iter_value(struct ev *ev, struct iter *it) {
    struct value *v = it ? take(ev, 1, sizeof *v) : NULL;
    if (!v) return NULL;
    v->kind = V_ITER;
    v->iter = it;
    return v;
}

bool to_list(struct ev *ev, val v, struct list *out) {
    if (v->kind == V_LIST) {
        *out = v->l;
        return spend(ev, v->l.n / 8);
    }
    struct iter *it = iter_new(ev, v);
    val item;
    int rc = it ? 1 : -1;
    *out = (struct list){0};
    while (rc > 0 && (rc = iter_next(ev, it, &item)) > 0)
        if (!list_push(ev->mem, out, item)) return (void)fail_memory(ev), false;
    return rc == 0;
}

int contains(struct ev *ev, val container, val item) {
    if (!spend_text(ev, container) || !spend_text(ev, item)) return -1;
    if (container->kind == V_STRING) {
        if (item->kind != V_STRING) {
            if (item->kind == V_UNDEFINED) return (void)fail_undefined(ev, item), -1;
            return (void)fail(ev, "'in <string>' requires string as left operand, not %s", type_name(item)), -1;
        }
        return text_find(container->s, 0, item->s) != SIZE_MAX;
    }
    if (container->kind == V_DICT) {
        if (!value_hashable(item, KEY_DEPTH)) return (void)fail(ev, "unhashable type: '%s'", type_name(item)), -1;
        return dict_find(&container->d, item) != NULL;
    }
    if (!is_iterable(container)) return (void)fail(ev, "argument of type '%s' is not iterable", type_name(container)), -1;
    struct iter *it = iter_new(ev, container);
    val other;
    int rc = it ? 1 : -1;
    while (rc > 0 && (rc = iter_next(ev, it, &other)) > 0) {
        int same = other == item ? 1 : values_equal(ev, other, item);
        if (same) return same;
    }
    return rc;
}
