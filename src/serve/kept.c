/* kept.c: the answers that clients may come back to; see kept.h. */
#include "serve/kept.h"

#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "serve/answer.h"

static const struct responses_limits limits = {.age_s = 30 * 24 * 3600, .bytes = (uint64_t)1 << 30}, limits_of_memory = {.age_s = 30 * 24 * 3600, .bytes = (uint64_t)128 << 20};

struct kept {
    struct responses *store;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct kept_live *live; /* under the lock */
};

int kept_new(struct kept **out, const char *path, struct err *e) {
    struct kept *k = *out = mem_calloc(1, sizeof *k);
    if (!k) return err_nomem(e, "responses", sizeof *k);
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_cond_init(&k->ended, NULL);
    struct err why = {0};
    if (path && responses_open(&k->store, path, limits, &why)) log_warn("responses are kept in memory only: %s", why.msg);
    const int code = k->store ? 0 : responses_open(&k->store, NULL, limits_of_memory, e);
    if (code == 0) return 0;
    kept_free(k);
    *out = NULL;
    return code;
}

void kept_free(struct kept *k) {
    if (!k) return;
    responses_close(k->store);
    (void)pthread_mutex_destroy(&k->lock);
    (void)pthread_cond_destroy(&k->ended);
    mem_free(k);
}

struct responses *kept_store(struct kept *k) { return k->store; }

void kept_begin(struct kept *k, struct kept_live *l) {
    (void)pthread_mutex_lock(&k->lock);
    l->next = k->live;
    k->live = l;
    (void)pthread_mutex_unlock(&k->lock);
}

void kept_end(struct kept *k, struct kept_live *l) {
    (void)pthread_mutex_lock(&k->lock);
    struct kept_live **at = &k->live;
    while (*at && *at != l) at = &(*at)->next;
    if (*at) *at = l->next;
    (void)pthread_cond_broadcast(&k->ended);
    (void)pthread_mutex_unlock(&k->lock);
}

/* The lock is held. */
static struct kept_live *find(struct kept *k, const char *client, struct slice id) {
    struct kept_live *l = k->live;
    while (l && !(slice_is(id, l->id) && strcmp(client, l->client) == 0)) l = l->next;
    return l;
}

bool kept_is_live(struct kept *k, const char *client, struct slice id) {
    (void)pthread_mutex_lock(&k->lock);
    const bool live = find(k, client, id) != NULL;
    (void)pthread_mutex_unlock(&k->lock);
    return live;
}

bool kept_cancel(struct kept *k, const char *client, struct slice id) {
    (void)pthread_mutex_lock(&k->lock);
    struct kept_live *l = find(k, client, id);
    const bool live = l != NULL;
    if (l) answer_cancel(l->answer); /* which cannot go meanwhile: it is in the list */
    while (find(k, client, id)) (void)pthread_cond_wait(&k->ended, &k->lock);
    (void)pthread_mutex_unlock(&k->lock);
    return live;
}
