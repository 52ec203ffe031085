/* sqlite_memory.c: an allocator for SQLite over base/mem.h; see sqlite_memory.h.
 *
 * SQLite asks for the size of a block, which stands in front of it. Its settings are the process's; so is the flag that they were made.
 */
#include "store/sqlite_memory.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>

#include "base/mem.h"

struct block {
    _Alignas(max_align_t) int size;
    _Alignas(max_align_t) char bytes[];
};

static struct block *of(void *p) { return (struct block *)(void *)((char *)p - offsetof(struct block, bytes)); }

static void *resize(void *p, int n) {
    struct block *b = mem_realloc(p ? of(p) : NULL, sizeof(struct block) + (size_t)n);
    if (!b) return NULL;
    b->size = n;
    return b->bytes;
}

static void *take(int n) { return resize(NULL, n); }
static void give_back(void *p) {
    if (p) mem_free(of(p));
}
static int size_of(void *p) { return p ? of(p)->size : 0; }
static int round_up(int n) { return (n + 7) & ~7; }
static int begin(void *ignored) {
    (void)ignored;
    return SQLITE_OK;
}
static void end(void *ignored) { (void)ignored; }

static void configure(void) {
    static const sqlite3_mem_methods methods = {take, give_back, resize, size_of, round_up, begin, end, NULL};
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

void sqlite_memory_ours(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure);
}
