/* tok_trie.c: a set of byte strings searched by prefix: nodes in one array, the children of each side by side.
 *
 * Built breadth first from the sorted keys: a node is a range of keys that agree in their first `depth` bytes. The number of
 * nodes is known before: one for each byte in which a key differs from the one sorted before it.
 */
#include <stdlib.h>
#include <string.h>

#include "text/tok_internal.h"

struct range {
    uint32_t lo, hi, depth;
};

static int by_text(const void *pa, const void *pb) {
    const struct trie_key *a = pa, *b = pb;
    size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    int c = n ? memcmp(a->text.p, b->text.p, n) : 0;
    if (c) return c;
    if (a->text.n != b->text.n) return a->text.n < b->text.n ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

/* Sorts, drops empty texts and repeats. Returns how many keys are left; *nodes is what they need, the root included. */
static size_t prepare(struct trie_key *keys, size_t n, size_t *nodes) {
    size_t kept = 0;
    *nodes = 1;
    if (n) qsort(keys, n, sizeof *keys, by_text);
    for (size_t i = 0; i < n; i++) {
        struct slice t = keys[i].text, prev = kept ? keys[kept - 1].text : (struct slice){"", 0};
        if (!t.n || (kept && slice_eq(t, prev))) continue;
        size_t same = 0;
        while (same < prev.n && same < t.n && prev.p[same] == t.p[same]) same++;
        *nodes += t.n - same;
        keys[kept++] = keys[i];
    }
    return kept;
}

static void fill(struct tok_trie *t, struct range *range, const struct trie_key *keys) {
    size_t made = 1;
    for (size_t i = 0; i < made; i++) {
        struct trie_node *node = &t->nodes[i];
        uint32_t k = range[i].lo, depth = range[i].depth;
        node->value = TOKEN_NONE;
        node->child = (uint32_t)made;
        if (k < range[i].hi && keys[k].text.n == depth) node->value = keys[k++].value;
        while (k < range[i].hi) {
            uint8_t byte = (uint8_t)keys[k].text.p[depth];
            uint32_t from = k;
            while (k < range[i].hi && (uint8_t)keys[k].text.p[depth] == byte) k++;
            t->nodes[made].byte = byte;
            range[made++] = (struct range){from, k, depth + 1};
            node->n_child++;
        }
    }
}

bool trie_build(struct tok_trie *t, struct arena *a, struct trie_key *keys, size_t n) {
    size_t nodes;
    n = prepare(keys, n, &nodes);
    *t = (struct tok_trie){0};
    if (!n) return true;
    if (nodes > UINT32_MAX / 2) return false;
    struct range *range = mem_array(NULL, nodes, sizeof *range);
    t->nodes = arena_array(a, nodes, sizeof *t->nodes);
    if (range && t->nodes) {
        range[0] = (struct range){0, (uint32_t)n, 0};
        fill(t, range, keys);
        t->n_nodes = nodes;
    }
    mem_free(range);
    return t->n_nodes != 0;
}

uint32_t trie_step(const struct tok_trie *t, uint32_t node, uint8_t byte) {
    if (!t->n_nodes) return 0;
    uint32_t lo = t->nodes[node].child, hi = lo + t->nodes[node].n_child;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        uint8_t b = t->nodes[mid].byte;
        if (b == byte) return mid;
        if (b < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}
