/* cpus.c: which processors the threads of a command run on; see cpus.h.
 *
 * By default threads follow physical cores, as hwloc sees them: two hardware threads of one core share its arithmetic units, so only one of
 * them gets a worker; where cores differ, the fastest come first. Workers are bound one to one only where they fill these cores. With
 * fewer of them the system may still choose among the cores, so that two processes do not settle on the same ones; with more, nothing
 * is bound. What the process was allowed beforehand (its affinity, its control group) is never exceeded. */
#include "app/cpus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hwloc.h>

int parse_cpus(const char *text, struct cpus *c, struct err *e) {
    c->n = 0;
    for (const char *p = text;;) {
        char *end;
        errno = 0;
        long from = *p >= '0' && *p <= '9' ? strtol(p, &end, 10) : -1, to = from;
        if (from >= 0 && *end == '-') {
            p = end + 1;
            to = *p >= '0' && *p <= '9' ? strtol(p, &end, 10) : -1;
        }
        if (from < 0 || to < from || errno || to >= CPUS_MAX || to - from >= CPUS_MAX - c->n || (*end && *end != ','))
            return err_set(e, ERR_USAGE, "--cpus %.64s: give processors such as 0-3,8 (at most %d, below %d), or none", text, CPUS_MAX, CPUS_MAX);
        for (long i = from; i <= to; i++) c->id[c->n++] = (int)i;
        if (!*end) return 0;
        p = end + 1;
    }
}

static bool allowed(const struct cpus *c, int id) {
    for (int i = 0; i < c->n; i++)
        if (c->id[i] == id) return true;
    return false;
}

/* Adds the first hardware thread that may be used of every core in `set` (NULL: in all). */
static void add_cores(hwloc_topology_t t, hwloc_const_cpuset_t set, const struct cpus *may, struct cpus *c) {
    for (hwloc_obj_t core = NULL; (core = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_CORE, core));) {
        if (set && !hwloc_bitmap_intersects(core->cpuset, set)) continue;
        int id = hwloc_bitmap_first(core->cpuset);
        while (id >= 0 && !allowed(may, id)) id = hwloc_bitmap_next(core->cpuset, id);
        if (id >= 0 && c->n < CPUS_MAX) c->id[c->n++] = id;
    }
}

/* One hardware thread of each core: of the fastest kinds only, where these have enough cores for `threads` (0: of all kinds). n 0: not known. */
static void find_cores(int threads, struct cpus *c) {
    struct cpus may;
    hwloc_topology_t t;
    c->n = 0;
    os_thread_cpus(&may);
    if (may.n < 2 || hwloc_topology_init(&t) != 0) return;
    /* What the system says of itself is enough; asking each processor with its own instruction means running on all in turn. */
    (void)hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
    (void)hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
    (void)hwloc_topology_set_type_filter(t, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    (void)hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS);
    if (hwloc_topology_load(t) == 0) {
        int kinds = hwloc_cpukinds_get_nr(t, 0);
        hwloc_cpuset_t set = hwloc_bitmap_alloc();
        for (int k = kinds - 1; set && k >= 0 && (threads == 0 || c->n < threads); k--) /* the fastest have the highest number */
            if (hwloc_cpukinds_get_info(t, (unsigned)k, set, NULL, NULL, NULL, 0) == 0) add_cores(t, set, &may, c);
        hwloc_bitmap_free(set);
        if (c->n == 0) add_cores(t, NULL, &may, c);
    }
    hwloc_topology_destroy(t);
}

static void bind_to_cores(struct pool *p, const struct cpus *cores) {
    struct cpus may;
    os_thread_cpus(&may);
    bool all_there_are = cores->n == may.n, spare = cores->n > pool_threads(p);
    if (cores->n < pool_threads(p) || (all_there_are && spare)) return;
    (void)pool_bind(p, cores, NULL); /* where the system forbids it, threads run where they may */
}

int open_pool(struct pool **p, int threads, const char *cpus, struct err *e) {
    struct cpus c = {0};
    *p = NULL;
    bool none = cpus && strcmp(cpus, "none") == 0, listed = cpus && !none;
    int code = listed ? parse_cpus(cpus, &c, e) : 0, most = os_cpu_count();
    if (code) return code;
    if (!cpus) find_cores(threads, &c);
    if (threads == 0) threads = c.n && (listed || c.n < most) ? c.n : most;
    if ((code = pool_new(p, threads, e)) || none) return code;
    if (!listed) {
        bind_to_cores(*p, &c);
        return 0;
    }
    if ((code = pool_bind(*p, &c, e)) == 0) return 0;
    pool_free(*p);
    *p = NULL;
    return err_in(e, "--cpus %.64s", cpus);
}
