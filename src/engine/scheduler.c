/* scheduler.c: the thread that runs all engines' steps, and who gets a place; see scheduler.h. What a job does is in job.c.
 *
 * Under the lock: the lists of waiting jobs, of calls and of chores, the counts, `stopping`. Jobs that have a place, and everything of theirs, are the
 * thread's own. */
#include "engine/scheduler.h"

#include <pthread.h>
#include <string.h>

#include "base/os.h"
#include "engine/job.h"

enum { MAX_LIVE = 256, LIVE = 16, WAITING = 256, LEAST_PROMPT_ROWS = 32, SHARED_ROWS = VERIFY_ROWS /* that guesses of all jobs may take beside each other */ };

#define LOOK_S 0.002 /* how often it is looked around while all jobs wait for their prompts to be read back */
static const double IDLE_TURN_S = 0.05; /* a chore's turn when there are no jobs: one that comes waits for no more */

struct call {
    struct call *next;
    int (*fn)(void *ctx, struct err *e);
    void *ctx;
    struct err *e;
    int code;
    bool done;
};

/* What steps of an engine take, as measured; they decide how prompts are cut, never what comes out. */
struct pace {
    const struct engine *engine;
    double small_s, prompt_row_s; /* a step without prompts; what a row of a prompt adds */
};

struct scheduler {
    struct scheduler_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, answered;
    struct job *waiting, **last_waiting; /* in order of submission */
    struct call *calls, **last_call;
    struct chore *chores, **last_chore; /* in the order of their turns */
    int n_chores; /* the one whose turn it is counted in */
    struct scheduler_counts counts;
    bool draining, drained, stopping;
    /* the thread's own */
    struct job *live[MAX_LIVE + 1]; /* one that was cancelled while it waited comes in only to end */
    int n_live;
    uint64_t kv_bytes; /* of the live */
    double owed_s; /* by steps to chores: the time that a turn may take */
    bool apart;    /* something else than steps has taken energy since the last one */
    struct pace pace[8]; /* of the engines seen last */
    int n_pace;
};

/* ---- submitting ---- */

int job_submit(struct job **out, struct scheduler *sc, const struct job_spec *spec, struct err *e) {
    int code = job_new(out, spec, e);
    if (code) return code;
    struct job *j = *out;
    j->scheduler = sc;
    if (sc->o.kv_bytes && j->kv_bytes > sc->o.kv_bytes)
        code = err_set(e, ERR_MEMORY, "keys and values of the request may take %.1f MB, but all requests together may have %.1f", (double)j->kv_bytes / 1e6, (double)sc->o.kv_bytes / 1e6);
    (void)pthread_mutex_lock(&sc->lock);
    if (code == 0 && sc->draining) code = err_set(e, ERR_BUSY, "the scheduler is stopping");
    if (code == 0 && sc->counts.waiting >= sc->o.max_waiting) code = err_set(e, ERR_BUSY, "%d requests are waiting already", sc->counts.waiting);
    if (code == 0) {
        *sc->last_waiting = j;
        sc->last_waiting = &j->next;
        sc->counts.waiting++;
        (void)pthread_cond_signal(&sc->work);
    }
    (void)pthread_mutex_unlock(&sc->lock);
    if (code == 0) return 0;
    job_free(j);
    *out = NULL;
    return code;
}

void job_cancel(struct job *j) {
    struct scheduler *sc = j->scheduler;
    atomic_store(&j->cancelled, true);
    (void)pthread_mutex_lock(&sc->lock);
    (void)pthread_cond_signal(&sc->work);
    (void)pthread_mutex_unlock(&sc->lock);
}

int scheduler_call(struct scheduler *sc, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e) {
    struct call c = {.fn = fn, .ctx = ctx, .e = e};
    (void)pthread_mutex_lock(&sc->lock);
    *sc->last_call = &c;
    sc->last_call = &c.next;
    (void)pthread_cond_signal(&sc->work);
    while (!c.done) (void)pthread_cond_wait(&sc->answered, &sc->lock);
    (void)pthread_mutex_unlock(&sc->lock);
    return c.code;
}

static void append(struct scheduler *sc, struct chore *c) {
    c->next = NULL;
    *sc->last_chore = c;
    sc->last_chore = &c->next;
}

int chore_submit(struct scheduler *sc, struct chore *c, struct err *e) {
    int code = 0;
    (void)pthread_mutex_lock(&sc->lock);
    if (sc->draining) code = err_set(e, ERR_BUSY, "the scheduler is stopping");
    else if (sc->n_chores >= sc->o.max_waiting) code = err_set(e, ERR_BUSY, "%d requests are waiting already", sc->n_chores);
    if (code == 0) {
        append(sc, c);
        sc->n_chores++;
        (void)pthread_cond_signal(&sc->work);
    }
    (void)pthread_mutex_unlock(&sc->lock);
    return code;
}

void chore_cancel(struct scheduler *sc, struct chore *c) {
    atomic_store(&c->cancelled, true);
    (void)pthread_mutex_lock(&sc->lock);
    (void)pthread_cond_signal(&sc->work);
    (void)pthread_mutex_unlock(&sc->lock);
}

struct scheduler_counts scheduler_counts(struct scheduler *sc) {
    (void)pthread_mutex_lock(&sc->lock);
    struct scheduler_counts c = sc->counts;
    (void)pthread_mutex_unlock(&sc->lock);
    return c;
}

/* ---- who gets a place ---- */

static int live_of(const struct scheduler *sc, uint64_t client) {
    int n = 0;
    for (int i = 0; i < sc->n_live; i++) n += sc->live[i]->spec.client == client;
    return n;
}

static bool goes_before(const struct scheduler *sc, const struct job *a, const struct job *b) {
    if (a->spec.background != b->spec.background) return !a->spec.background;
    return live_of(sc, a->spec.client) < live_of(sc, b->spec.client);
}

/* Takes a job out of the list. Under the lock. */
static struct job *take(struct scheduler *sc, struct job **at) {
    struct job *j = *at;
    *at = j->next;
    if (!j->next) sc->last_waiting = at;
    j->next = NULL;
    sc->counts.waiting--;
    return j;
}

/* The next job to be dealt with: one that was cancelled while it waited, or one that there is a place for. NULL: none. */
static struct job *next_job(struct scheduler *sc) {
    struct job **best = NULL;
    for (struct job **at = &sc->waiting; *at; at = &(*at)->next) {
        if (atomic_load(&(*at)->cancelled) || sc->draining) return take(sc, at);
        if (!best || goes_before(sc, *at, *best)) best = at;
    }
    const bool place = sc->n_live < sc->o.max_live && best && (!sc->o.kv_bytes || sc->kv_bytes + (*best)->kv_bytes <= sc->o.kv_bytes);
    return place ? take(sc, best) : NULL;
}

/* ---- the thread ---- */

static void count_end(struct scheduler *sc, const struct job *j) {
    (void)pthread_mutex_lock(&sc->lock);
    sc->counts.ended++;
    sc->counts.generated += (uint64_t)j->generated;
    if (job_generates(j)) sc->counts.prompt_tokens += (uint64_t)j->spec.n_prompt, sc->counts.cached_tokens += (uint64_t)j->cached;
    sc->counts.live = sc->n_live;
    (void)pthread_mutex_unlock(&sc->lock);
}

/* The job in place i ends; the last one takes its place. */
static void end_live(struct scheduler *sc, int i, int end, const struct err *error) {
    struct job *j = sc->live[i];
    sc->live[i] = sc->live[--sc->n_live];
    sc->kv_bytes -= j->kv_bytes;
    count_end(sc, j);
    job_finish(j, end, error);
}

/* drop: it was cancelled while it waited. */
static void start(struct scheduler *sc, struct job *j, bool drop) {
    struct err e = {0};
    sc->live[sc->n_live++] = j;
    sc->kv_bytes += j->kv_bytes;
    int code = drop ? ERR_CANCELLED : job_start(j, &e);
    if (code) end_live(sc, sc->n_live - 1, code == ERR_CANCELLED ? JOB_CANCELLED : JOB_FAILED, &e);
}

static struct pace *pace_of(struct scheduler *sc, const struct engine *en) {
    const int most = sizeof sc->pace / sizeof *sc->pace;
    for (int i = 0; i < sc->n_pace; i++)
        if (sc->pace[i].engine == en) return &sc->pace[i];
    struct pace *p = &sc->pace[sc->n_pace < most ? sc->n_pace++ : most - 1];
    *p = (struct pace){.engine = en};
    return p;
}

static void mix(double *mean, double value) { *mean = *mean > 0 ? *mean + (value - *mean) / 8 : value; }

/* The step's energy among its jobs, to the microjoule. */
static void share_energy(struct scheduler *sc, const struct engine *en, double took) {
    bool measured = false;
    uint64_t left = sc->o.spent(sc->o.ctx, took, &measured), rows = 0;
    for (int i = 0; i < sc->n_live; i++)
        if (sc->live[i]->spec.engine == en) rows += (uint64_t)seq_step_rows(sc->live[i]->seq);
    for (int i = 0; i < sc->n_live && rows; i++) {
        struct job *j = sc->live[i];
        const uint64_t own = j->spec.engine == en ? (uint64_t)seq_step_rows(j->seq) : 0;
        if (!own) continue;
        const uint64_t part = left / rows * own + left % rows * own / rows;
        j->energy_uj += part;
        j->estimated |= !measured;
        left -= part, rows -= own;
    }
}

/* One step of an engine, prompts cut so that it takes about twice as long as without them. */
static int run_step(struct scheduler *sc, struct engine *en, struct err *e) {
    struct pace *p = pace_of(sc, en);
    bool measured;
    if (sc->apart && sc->o.spent) (void)sc->o.spent(sc->o.ctx, 0, &measured); /* it is nobody's */
    sc->apart = false;
    double rows = p->prompt_row_s > 0 ? p->small_s / p->prompt_row_s : 0, begin = os_now();
    engine_limit_prompts(en, rows > LEAST_PROMPT_ROWS ? (int)(rows < 1e6 ? rows : 1e6) : LEAST_PROMPT_ROWS);
    int code = engine_step(en, e);
    double took = os_now() - begin;
    const int all = engine_step_rows(en), prompt = engine_step_prompt_rows(en);
    if (code == 0 && all && !prompt) mix(&p->small_s, took);
    if (code == 0 && prompt >= LEAST_PROMPT_ROWS && (all == prompt || took > p->small_s)) mix(&p->prompt_row_s, (took - (all == prompt ? 0 : p->small_s)) / prompt);
    (void)pthread_mutex_lock(&sc->lock);
    sc->counts.steps++;
    sc->counts.rows += (uint64_t)all;
    sc->counts.busy_s += took;
    sc->counts.live = sc->n_live;
    (void)pthread_mutex_unlock(&sc->lock);
    if (code == 0 && all && sc->o.spent) share_energy(sc, en, took);
    return code;
}

/* Jobs of the engine draw what its last step allows. */
static void advance(struct scheduler *sc, const struct engine *en) {
    const int most = SHARED_ROWS / sc->n_live - 1;
    for (int i = sc->n_live - 1; i >= 0; i--) { /* backwards: the last one takes the place of one that ends */
        struct job *j = sc->live[i];
        struct err e = {0};
        int end = -1;
        if (j->spec.engine != en || job_waits(j)) continue;
        if (job_advance(j, most, &end, &e)) end_live(sc, i, JOB_FAILED, &e);
        else if (end >= 0) end_live(sc, i, end, NULL);
    }
}

/* A step that there is no memory for: the job of the engine that came last gives way. */
static void make_room(struct scheduler *sc, const struct engine *en, const struct err *e) {
    int last = -1;
    for (int i = 0; i < sc->n_live; i++)
        if (sc->live[i]->spec.engine == en && (last < 0 || sc->live[i]->started > sc->live[last]->started)) last = i;
    if (last >= 0) end_live(sc, last, JOB_FAILED, e);
}

/* A step of each engine that has jobs. */
static void run_all(struct scheduler *sc) {
    const struct engine *done[MAX_LIVE];
    int n_done = 0;
    for (int i = 0; i < sc->n_live; i++) {
        struct engine *en = sc->live[i]->spec.engine;
        struct err e = {0};
        int k = 0;
        while (k < n_done && done[k] != en) k++;
        if (k < n_done || job_waits(sc->live[i])) continue;
        done[n_done++] = en;
        if (run_step(sc, en, &e)) make_room(sc, en, &e);
        else advance(sc, en);
        i = -1; /* places have changed */
    }
}

/* Jobs whose prompts are being read back go on when that is over. Where all jobs wait for that it is waited for here, for one of them and not long: others may come. */
static void resume(struct scheduler *sc) {
    double most_s = LOOK_S;
    for (int i = 0; i < sc->n_live; i++)
        if (!job_waits(sc->live[i])) most_s = 0;
    for (int i = sc->n_live - 1; i >= 0; i--) {
        struct err e = {0};
        if (!job_waits(sc->live[i])) continue;
        sc->apart |= most_s > 0;
        if (job_resume(sc->live[i], most_s, &e)) end_live(sc, i, JOB_FAILED, &e);
        most_s = 0;
    }
}

static void drop_cancelled(struct scheduler *sc, bool all) {
    for (int i = sc->n_live - 1; i >= 0; i--)
        if (all || atomic_load(&sc->live[i]->cancelled)) end_live(sc, i, JOB_CANCELLED, NULL);
}

/* ---- chores ---- */

/* Takes the first chore of all, or of those that were cancelled, out of the list. NULL: there is none. */
static struct chore *take_chore(struct scheduler *sc, bool any) {
    struct chore **at = &sc->chores;
    (void)pthread_mutex_lock(&sc->lock);
    while (*at && !any && !atomic_load(&(*at)->cancelled)) at = &(*at)->next;
    struct chore *c = *at;
    if (c && !(*at = c->next)) sc->last_chore = at;
    (void)pthread_mutex_unlock(&sc->lock);
    return c;
}

static void have_turn(struct scheduler *sc, struct chore *c, double seconds, bool end) {
    const enum chore_turn next = c->turn(c, seconds, end);
    sc->apart = true;
    (void)pthread_mutex_lock(&sc->lock);
    if (next == TURN_OVER) sc->n_chores--;
    else append(sc, c);
    (void)pthread_mutex_unlock(&sc->lock);
}

/* Those that are to end have their last turn; of the others as many as the jobs can bear, for whom steps took step_s just now. */
static void run_chores(struct scheduler *sc, bool all, double step_s) {
    struct chore *c;
    sc->owed_s = sc->owed_s > 0 || !sc->n_live ? step_s : sc->owed_s + step_s;
    while ((c = take_chore(sc, all))) have_turn(sc, c, 0, true);
    while ((!sc->n_live || sc->owed_s > 0) && (c = take_chore(sc, true))) {
        const double begin = os_now();
        have_turn(sc, c, sc->n_live ? sc->owed_s : IDLE_TURN_S, false);
        sc->owed_s -= os_now() - begin;
        if (!sc->n_live) return; /* some may have come */
    }
}

/* Waits for work; calls are answered here. *drain: all that there is must end. False: it is time to stop, and nothing waits any more. */
static bool look_around(struct scheduler *sc, bool *drain) {
    bool stopping;
    sc->apart |= !sc->n_live;
    (void)pthread_mutex_lock(&sc->lock);
    while (!sc->stopping && !sc->n_live && !sc->waiting && !sc->calls && !sc->chores && sc->draining == sc->drained) (void)pthread_cond_wait(&sc->work, &sc->lock);
    for (struct call *c; (c = sc->calls);) {
        if (!(sc->calls = c->next)) sc->last_call = &sc->calls;
        (void)pthread_mutex_unlock(&sc->lock);
        c->code = c->fn(c->ctx, c->e);
        sc->apart = true;
        (void)pthread_mutex_lock(&sc->lock);
        c->done = true;
        (void)pthread_cond_broadcast(&sc->answered);
    }
    for (struct job *j; (j = next_job(sc));) {
        const bool drop = sc->draining || atomic_load(&j->cancelled);
        (void)pthread_mutex_unlock(&sc->lock);
        start(sc, j, drop);
        (void)pthread_mutex_lock(&sc->lock);
    }
    stopping = sc->stopping;
    *drain = sc->draining;
    (void)pthread_mutex_unlock(&sc->lock);
    return !stopping;
}

static void *loop(void *ctx) {
    struct scheduler *sc = ctx;
    bool drain = false;
    double step_s = 0;
    while (look_around(sc, &drain)) {
        drop_cancelled(sc, drain);
        run_chores(sc, drain, step_s);
        if (drain) {
            (void)pthread_mutex_lock(&sc->lock);
            sc->drained = !sc->waiting;
            (void)pthread_cond_broadcast(&sc->answered);
            (void)pthread_mutex_unlock(&sc->lock);
        }
        const double begin = os_now();
        resume(sc);
        run_all(sc);
        step_s = os_now() - begin; /* waiting included: meanwhile chores get on too */
    }
    return NULL;
}

/* ---- life ---- */

int scheduler_new(struct scheduler **out, struct scheduler_options o, struct err *e) {
    *out = NULL;
    if (!o.max_live) o.max_live = LIVE;
    if (!o.max_waiting) o.max_waiting = WAITING;
    if (o.max_live < 1 || o.max_live > MAX_LIVE || o.max_waiting < 1) return err_set(e, ERR_USAGE, "%d requests at once and %d waiting make no sense: 1 to %d, and 1 or more", o.max_live, o.max_waiting, MAX_LIVE);
    struct scheduler *sc = mem_calloc(1, sizeof *sc);
    if (!sc) return err_nomem(e, "the scheduler", sizeof *sc);
    sc->o = o;
    sc->last_waiting = &sc->waiting;
    sc->last_call = &sc->calls;
    sc->last_chore = &sc->chores;
    (void)pthread_mutex_init(&sc->lock, NULL);
    (void)pthread_cond_init(&sc->work, NULL);
    (void)pthread_cond_init(&sc->answered, NULL);
    if (pthread_create(&sc->thread, NULL, loop, sc) == 0) {
        *out = sc;
        return 0;
    }
    (void)pthread_mutex_destroy(&sc->lock);
    (void)pthread_cond_destroy(&sc->work);
    (void)pthread_cond_destroy(&sc->answered);
    mem_free(sc);
    return err_set(e, ERR_MEMORY, "the system starts no thread for the scheduler");
}

void scheduler_drain(struct scheduler *sc) {
    (void)pthread_mutex_lock(&sc->lock);
    sc->draining = true;
    (void)pthread_cond_signal(&sc->work);
    while (!sc->drained) (void)pthread_cond_wait(&sc->answered, &sc->lock);
    (void)pthread_mutex_unlock(&sc->lock);
}

void scheduler_free(struct scheduler *sc) {
    if (!sc) return;
    scheduler_drain(sc);
    (void)pthread_mutex_lock(&sc->lock);
    sc->stopping = true;
    (void)pthread_cond_signal(&sc->work);
    (void)pthread_mutex_unlock(&sc->lock);
    (void)pthread_join(sc->thread, NULL);
    (void)pthread_mutex_destroy(&sc->lock);
    (void)pthread_cond_destroy(&sc->work);
    (void)pthread_cond_destroy(&sc->answered);
    mem_free(sc);
}
