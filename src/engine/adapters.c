/* adapters.c: the adapters of an engine, and which of its sequences has which; see engine.h. */
#include "engine/internal.h"
#include "engine/keep.h"

/* Makes room for the adapter of a number, which nobody uses yet. False: there is no memory. */
static bool note(struct engine *en, int id, const struct low_rank *list, int n) {
    struct prefix_node *root = en->tree ? prefix_root(en->tree) : NULL;
    bool ok = root || !en->tree;
    if (ok && id >= en->n_adapters) { /* numbers are given out in order: there is no gap */
        int *users = mem_array(en->adapter_users, (size_t)id + 1, sizeof *users);
        struct prefix_node **roots = users ? mem_array(en->adapter_root, (size_t)id + 1, sizeof *roots) : NULL;
        if (users) en->adapter_users = users;
        if (roots) en->adapter_root = roots;
        if ((ok = roots)) en->n_adapters = id + 1;
    }
    if (ok) en->adapter_users[id] = 0, en->adapter_root[id] = root, keeper_know_root(en->keeper, root, list, n);
    else if (root) prefix_drop_root(en->tree, root);
    return ok;
}

int engine_adapter_add(struct engine *en, const struct adapter *a, int *id, struct err *e) {
    int n, code;
    const struct low_rank *list = adapter_list(a, &n);
    if (adapter_model(a) != en->model) return err_set(e, ERR_USAGE, "%s was opened for another model", adapter_path(a));
    if ((code = graph_adapter_add(en->graph, list, n, id, e))) return err_in(e, "%s", adapter_path(a));
    if (note(en, *id, list, n)) return 0;
    graph_adapter_remove(en->graph, *id);
    return err_nomem(e, "the list of adapters", ((size_t)*id + 1) * sizeof *en->adapter_users);
}

enum { GONE = -1 }; /* in place of the number of users */

static bool is_there(const struct engine *en, int id) { return id >= 0 && id < en->n_adapters && en->adapter_users[id] != GONE; }

int engine_adapter_remove(struct engine *en, int id, struct err *e) {
    if (!is_there(en, id)) return err_set(e, ERR_USAGE, "there is no adapter number %d", id);
    if (en->adapter_users[id]) return err_set(e, ERR_USAGE, "the adapter is still in use, by %d sequence%s", en->adapter_users[id], en->adapter_users[id] == 1 ? "" : "s");
    graph_adapter_remove(en->graph, id);
    if (en->tree) prefix_drop_root(en->tree, en->adapter_root[id]);
    en->adapter_root[id] = NULL;
    en->adapter_users[id] = GONE;
    return 0;
}

static struct prefix_node *root_of(const struct seq *s) { return s->adapter != NO_ADAPTER && s->adapter_from == 0 ? s->engine->adapter_root[s->adapter] : NULL; }

void seq_use_adapter(struct seq *s, int id, int from) {
    const struct prefix_node *before = root_of(s);
    if (s->adapter != NO_ADAPTER) s->engine->adapter_users[s->adapter]--;
    s->adapter = id;
    s->adapter_from = from;
    if (id != NO_ADAPTER) s->engine->adapter_users[id]++;
    struct prefix_node *root = root_of(s);
    if (root == before) return;
    prefix_stand(root, s->tip); /* nothing is computed yet */
    s->tip = root;
}

int seq_set_adapter(struct seq *s, int id, int from, struct err *e) {
    if (id == s->adapter && (id == NO_ADAPTER || from == s->adapter_from)) return 0;
    if (id != NO_ADAPTER && !is_there(s->engine, id)) return err_set(e, ERR_USAGE, "there is no adapter number %d", id);
    if (id != NO_ADAPTER && from < 0) return err_set(e, ERR_USAGE, "an adapter cannot act from position %d on", from);
    int same = s->length; /* tokens for which it makes no difference */
    if (id != NO_ADAPTER && from < same) same = from;
    if (s->adapter != NO_ADAPTER && s->adapter_from < same) same = s->adapter_from;
    if (s->length > same) return err_set(e, ERR_USAGE, "%d tokens are computed, but their adapter would be another from position %d on: go back first", s->length, same);
    seq_use_adapter(s, id, from);
    return 0;
}

int seq_adapter(const struct seq *s, int *from) {
    if (from) *from = s->adapter_from;
    return s->adapter;
}
