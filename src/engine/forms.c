/* forms.c: see forms.h. Under the lock: the list, the counts, `users` and `bytes` of each form. A form that is being compiled is in no list; two that
 * compile the same at once both do, and the second takes the first one's. The root matcher is the scheduler's thread's from the first form_enter
 * on; who frees a form knows that nobody holds it. */
#include "engine/forms.h"

#include <pthread.h>
#include <string.h>

struct form {
    struct form *next;     /* in the list; used last comes first */
    struct forms *owner;
    struct buf key;
    struct grammar *grammar;
    struct matcher *root;  /* from which all others are forked */
    size_t bytes;
    int users;
};

struct forms {
    const struct tokenizer *tokenizer;
    pthread_mutex_t lock, vocab_lock;
    struct grammar_vocab *vocab; /* written once, under vocab_lock */
    struct form *first;
    struct forms_counts counts;
};

int forms_new(struct forms **out, const struct tokenizer *t, struct err *e) {
    struct forms *f = *out = mem_calloc(1, sizeof *f);
    if (!f) return err_nomem(e, "compiled forms", sizeof *f);
    f->tokenizer = t;
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_mutex_init(&f->vocab_lock, NULL);
    return 0;
}

static void form_free(struct form *f) {
    if (!f) return;
    matcher_free(f->root);
    grammar_free(f->grammar);
    buf_free(&f->key);
    mem_free(f);
}

void forms_free(struct forms *f) {
    if (!f) return;
    for (struct form *k = f->first, *next; k; k = next) {
        next = k->next;
        form_free(k);
    }
    grammar_vocab_free(f->vocab);
    (void)pthread_mutex_destroy(&f->lock);
    (void)pthread_mutex_destroy(&f->vocab_lock);
    mem_free(f);
}

/* Takes those out that go, and returns them linked. Under the lock. */
static struct form *crowd_out(struct forms *f) {
    struct form *gone = NULL;
    size_t bytes = 0;
    int n = 0;
    for (struct form **at = &f->first; *at;) {
        struct form *k = *at;
        if (!k->users) n++, bytes += k->bytes;
        if (k->users || (n <= FORMS_KEPT && bytes <= FORMS_BYTES)) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        k->next = gone;
        gone = k;
        f->counts.kept--;
    }
    return gone;
}

static void free_all(struct form *gone) {
    for (struct form *next; gone; gone = next) {
        next = gone->next;
        form_free(gone);
    }
}

/* The form of that key, moved to the front and held. Under the lock. */
static struct form *find(struct forms *f, const struct buf *key) {
    for (struct form **at = &f->first; *at; at = &(*at)->next) {
        struct form *k = *at;
        if (k->key.len != key->len || memcmp(k->key.data, key->data, key->len) != 0) continue;
        *at = k->next;
        k->next = f->first;
        f->first = k;
        k->users++;
        f->counts.found++;
        return k;
    }
    return NULL;
}

static int make_vocab(struct forms *f, struct err *e) {
    (void)pthread_mutex_lock(&f->vocab_lock);
    const int code = f->vocab ? 0 : grammar_vocab_new(&f->vocab, f->tokenizer, e);
    (void)pthread_mutex_unlock(&f->vocab_lock);
    return code;
}

/* Finds the masks of all places where an answer may begin, here rather than between two steps: no later ones take as long. What fails does so again when it counts. */
static void warm(struct form *k, const struct grammar_vocab *v) {
    uint32_t *mask = mem_calloc(grammar_vocab_words(v), sizeof *mask);
    struct err ignored;
    for (int entry = ANSWER_PLAIN; mask && entry <= ANSWER_REASONS; entry++) {
        struct matcher *m;
        if (matcher_fork(&m, k->root, &ignored)) break;
        if (answer_enter(m, (enum answer_entry)entry, &ignored) == 0) (void)matcher_mask(m, mask, &ignored);
        matcher_free(m);
    }
    mem_free(mask);
}

static int make(struct forms *f, const struct answer_form *what, struct form **out, int *bad, struct err *e) {
    struct form *k = *out = mem_calloc(1, sizeof *k);
    int code = k ? make_vocab(f, e) : err_nomem(e, "a form", sizeof *k);
    if (code == 0) code = grammar_of_answer(&k->grammar, what, f->vocab, bad, e);
    if (code == 0) code = matcher_new(&k->root, k->grammar, f->vocab, e);
    if (code == 0) {
        warm(k, f->vocab);
        k->owner = f;
        k->users = 1;
        k->bytes = grammar_bytes(k->grammar) + matcher_bytes(k->root);
        return 0;
    }
    form_free(k);
    return code;
}

int forms_get(struct forms *f, const struct answer_form *what, struct form **out, int *bad, struct err *e) {
    struct buf key = {.limit = (size_t)1 << 30};
    struct form *made = NULL, *gone = NULL;
    int code = 0;
    *bad = -1;
    if (!answer_form_key(what, &key)) code = err_nomem(e, "a form", key.len);
    (void)pthread_mutex_lock(&f->lock);
    *out = code ? NULL : find(f, &key);
    (void)pthread_mutex_unlock(&f->lock);
    if (code == 0 && !*out) code = make(f, what, &made, bad, e);
    if (code == 0 && !*out) {
        (void)pthread_mutex_lock(&f->lock);
        if (!(*out = find(f, &key))) {
            made->key = key, key = (struct buf){0};
            made->next = f->first;
            f->first = *out = made, made = NULL;
            f->counts.made++;
            f->counts.kept++;
            gone = crowd_out(f);
        }
        (void)pthread_mutex_unlock(&f->lock);
    }
    form_free(code ? NULL : made);
    free_all(gone);
    buf_free(&key);
    return code;
}

struct form *form_ref(struct form *f) {
    (void)pthread_mutex_lock(&f->owner->lock);
    f->users++;
    (void)pthread_mutex_unlock(&f->owner->lock);
    return f;
}

void form_done(struct form *f) {
    if (!f) return;
    struct forms *owner = f->owner;
    (void)pthread_mutex_lock(&owner->lock);
    f->users--;
    struct form *gone = crowd_out(owner);
    (void)pthread_mutex_unlock(&owner->lock);
    free_all(gone);
}

const struct grammar_vocab *form_vocab(const struct form *f) { return f->owner->vocab; }

int form_enter(struct form *f, struct matcher **m, struct err *e) { return matcher_fork(m, f->root, e); }

void form_leave(struct form *f, struct matcher *m) {
    if (!m) return;
    matcher_free(m);
    const size_t bytes = grammar_bytes(f->grammar) + matcher_bytes(f->root);
    (void)pthread_mutex_lock(&f->owner->lock);
    f->bytes = bytes;
    (void)pthread_mutex_unlock(&f->owner->lock);
}

struct forms_counts forms_counts(struct forms *f) {
    (void)pthread_mutex_lock(&f->lock);
    const struct forms_counts c = f->counts;
    (void)pthread_mutex_unlock(&f->lock);
    return c;
}
