/* hearth.c: the C API of include/hearth.h over the engine. A model owns everything; a sequence keeps a copy of the logits that the last step gave it,
 * its last token's and those of the guesses behind it, so that one step can serve several sequences. */
#include "hearth.h"

#include <float.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "base/os.h"
#include "base/utf8.h"
#include "engine/chat.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/speculate.h"
#include "engine/vocab.h"
#include "model/embedded.h"

_Static_assert(sizeof(struct hearth_logit_bias) == sizeof(struct logit_bias) &&
                   offsetof(struct hearth_logit_bias, bias) == offsetof(struct logit_bias, bias),
               "hearth_logit_bias is logit_bias under its public name");
_Static_assert(offsetof(struct hearth_sampling, dry_breakers) >= offsetof(struct hearth_sampling, n_logit_bias) + sizeof(void *),
               "no new field lies in what older programs have as padding at the end of their hearth_sampling");
_Static_assert(sizeof(struct hearth_error) == sizeof(struct err) && (int)HEARTH_CANCELLED == (int)ERR_CANCELLED, "hearth_error is err under its public name");

enum {
    DRAFT_MAX = 8,     /* tokens that a draft model guesses at once */
    THREADS_MAX = 1024 /* more than any machine has use for */
};

static const struct option_names option_names = {.context = "context", .batch = "batch", .kv_type = "kv_type", .paged = "paged"};

struct hearth_model {
    struct model *model;
    struct tokenizer *tokenizer;
    struct chat *chat; /* NULL: the model has no template */
    struct pool *pool;
    struct engine *engine;
    struct model *draft_model; /* NULL, as draft: none */
    struct engine *draft;
    int lookup;
    char *name;
    hearth_sequence *sequences;
    atomic_bool cancelled;
};

struct hearth_sequence {
    hearth_model *model;
    hearth_sequence *next;
    struct seq *seq;
    struct sampler *sampler; /* made when first needed, unless settings come first */
    struct speculate *guesses;
    bool guessing;           /* guesses knows the text; else it is what the sequence holds */
    float *logits;           /* [room, n_vocab] after positions from `first` on, those below `known` */
    int room, first, known;
    bool decoding;
    struct decoder decoder;
    struct buf text;
};

/* The caller's error under its inner name; where the caller has none, `own`, since a message on its way up needs a place. */
static struct err *as_err(struct hearth_error *error, struct err *own) { return error ? (struct err *)(void *)error : own; }

const char *hearth_version(void) { return HEARTH_VERSION; }

/* ---- models ---- */

/* Options as far as the caller's struct goes; what it does not have is the default. */
static int take_options(struct hearth_options *o, const struct hearth_options *given, struct err *e) {
    *o = (struct hearth_options)HEARTH_OPTIONS_INIT;
    if (!given) return 0;
    if (given->size < sizeof o->size || given->size > 4096) return err_set(e, ERR_USAGE, "struct hearth_options: its size is %zu; set it up with HEARTH_OPTIONS_INIT", given->size);
    memcpy(o, given, given->size < sizeof *o ? given->size : sizeof *o);
    const struct {
        const char *name;
        int value, least, most;
    } option[] = {{"context", o->context, 0, INT_MAX}, {"threads", o->threads, 0, THREADS_MAX},
                  {"batch", o->batch, 0, INT_MAX},     {"lookup", o->lookup, -1, GUESS_MAX}};
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        if (option[i].value < option[i].least || option[i].value > option[i].most)
            return err_set(e, ERR_USAGE, "%s is %d, but must be from %d to %d", option[i].name, option[i].value, option[i].least, option[i].most);
    return 0;
}

static int open_draft(hearth_model *m, const struct hearth_options *o, struct err *e) {
    struct tokenizer *t = NULL;
    int code = model_open(&m->draft_model, o->draft, e);
    if (code == 0) code = vocab_of_model(&t, m->draft_model, e);
    if (code == 0 && (code = vocab_same(m->tokenizer, t, e))) (void)err_in(e, "%s", o->draft);
    tokenizer_free(t);
    if (code) return code;
    int n_ctx = engine_context(m->engine), most = (int)m->draft_model->hp.n_ctx_train;
    struct engine_options eo = {.n_ctx = n_ctx < most ? n_ctx : most, .max_rows = engine_rows(m->engine), .max_logits = 1, .kv_type = DT_F16, .paged = o->paged != 0,
                                .names = &option_names};
    return engine_new(&m->draft, m->draft_model, m->pool, eo, e);
}

static int open_parts(hearth_model *m, const char *path, const struct hearth_options *o, struct err *e) {
    struct gguf *file;
    int kv = dtype_by_name(o->kv_type ? o->kv_type : "f16"), code;
    if (kv < 0) return err_set(e, ERR_USAGE, "kv_type \"%.32s\": use f32, f16, bf16 or q8_0", o->kv_type);
    code = path ? gguf_open(&file, path, e) : gguf_open_memory(&file, hearth_embedded_model, embedded_model_size(), "(the embedded model)", e);
    if (code || (code = model_open_file(&m->model, file, e)) || (code = vocab_of_model(&m->tokenizer, m->model, e))) return code;
    struct slice source = {0}, name = {0};
    if ((code = vocab_chat_template(m->model->file, NULL, &source, e))) return code;
    if (source.p && (code = chat_new(&m->chat, m->model->file, m->tokenizer, (struct slice){0}, NULL, e))) return code;
    if ((code = gguf_get_str(m->model->file, "general.name", &name, e))) return code;
    if (!(m->name = mem_strndup(name.p ? name.p : "", name.n))) return err_nomem(e, "a name", name.n);
    if ((code = pool_new(&m->pool, o->threads ? o->threads : os_cpu_count(), e))) return code;
    struct engine_options eo = {.n_ctx = o->context, .max_rows = o->batch, .kv_type = (enum dtype)kv, .memory_limit = o->memory_limit, .paged = o->paged != 0,
                                .names = &option_names};
    m->lookup = o->lookup == 0 ? GUESS_MAX : o->lookup < 0 ? 0 : o->lookup;
    code = engine_new(&m->engine, m->model, m->pool, eo, e);
    return code || !o->draft ? code : open_draft(m, o, e);
}

int hearth_open(hearth_model **model, const char *path, const struct hearth_options *options, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    struct hearth_options o;
    *model = NULL;
    int code = take_options(&o, options, e);
    if (code) return code;
    hearth_model *m = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(e, "a model", sizeof *m);
    if ((code = open_parts(m, path, &o, e))) hearth_close(m);
    else *model = m;
    return code;
}

void hearth_close(hearth_model *m) {
    if (!m) return;
    while (m->sequences) hearth_sequence_free(m->sequences);
    engine_free(m->draft);
    engine_free(m->engine);
    pool_free(m->pool);
    model_close(m->draft_model);
    chat_free(m->chat);
    tokenizer_free(m->tokenizer);
    model_close(m->model);
    mem_free(m->name);
    mem_free(m);
}

int hearth_get_facts(const hearth_model *m, struct hearth_facts *facts, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    if (facts->size < sizeof facts->size || facts->size > 4096) return err_set(e, ERR_USAGE, "struct hearth_facts: its size is %zu; set it up with HEARTH_FACTS_INIT", facts->size);
    struct memory_need need = engine_memory(m->engine);
    const struct hparams *hp = &m->model->hp;
    struct hearth_facts f = {
        .size = facts->size, .architecture = model_architecture(m->model), .name = m->name, .context = engine_context(m->engine),
        .context_trained = (int)hp->n_ctx_train, .vocabulary = (int)hp->n_vocab, .layers = (int)hp->n_layer, .width = (int)hp->n_embd,
        .bos = tokenizer_role(m->tokenizer, ROLE_BOS), .eos = tokenizer_role(m->tokenizer, ROLE_EOS), .has_template = m->chat != NULL,
        .file_bytes = need.weights, .sequence_bytes = need.sequence, .buffer_bytes = need.buffers,
    };
    memcpy(facts, &f, facts->size < sizeof f ? facts->size : sizeof f);
    return 0;
}

void hearth_cancel(hearth_model *m) { atomic_store(&m->cancelled, true); }

/* ---- tokens ---- */

/* Hands out ids if there is room; always tells how many there are. Frees t. */
static int give_tokens(struct tokens *t, int32_t *ids, int room, int *count, int code, struct err *e) {
    if (code == 0) {
        *count = (int)t->n;
        if (room > 0 && (size_t)room < t->n) code = err_set(e, ERR_CONTEXT, "there are %zu tokens, but room for %d", t->n, room);
        else if (room > 0 && t->n) memcpy(ids, t->id, t->n * sizeof *ids);
    }
    tokens_free(t);
    return code;
}

int hearth_tokenise(const hearth_model *m, const char *text, size_t length, int flags, int32_t *ids, int room, int *count, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    struct tokens t = {.limit = INT32_MAX};
    struct encode_options o = {.add_special = (flags & HEARTH_ADD_SPECIAL) != 0, .parse = flags & HEARTH_PARSE_SPECIAL ? SPECIAL_ALL : SPECIAL_NONE};
    int code = tokenizer_encode(m->tokenizer, (struct slice){text, length}, &o, &t, e);
    return give_tokens(&t, ids, room, count, code, e);
}

int hearth_detokenise(const hearth_model *m, const int32_t *ids, int count, char *text, size_t room, size_t *length, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    struct buf b = {0};
    int code = count < 0 ? err_set(e, ERR_USAGE, "count is %d, but must be at least 0", count) : tokenizer_decode(m->tokenizer, ids, (size_t)count, false, &b, e);
    if (code == 0) {
        *length = b.len;
        if (room > 0 && room < b.len) code = err_set(e, ERR_CONTEXT, "there are %zu bytes, but room for %zu", b.len, room);
        else if (room > 0 && b.len) memcpy(text, b.data, b.len);
    }
    buf_free(&b);
    return code;
}

/* A member of a message that is text; where there is none it is absent, unless every message has it. */
static int add_text(struct arena *a, struct value *message, const char *key, const char *text, bool always, struct err *e) {
    size_t n = text ? strlen(text) : 0, good = n ? utf8_prefix(text, n) : 0;
    if (good < n) return err_set(e, ERR_TEXT, "its %s is not valid UTF-8 at byte %zu", key, good);
    return (n == 0 && !always) || value_set(a, message, key, value_string(a, text, n, VALUE_DATA)) ? 0 : err_nomem(e, "a message", n);
}

static int add_message(struct arena *a, struct value *list, const struct hearth_message *m, struct err *e) {
    struct value *v = value_dict(a), *calls = NULL;
    int code;
    if (!m->role) return err_set(e, ERR_USAGE, "its role is NULL; give it one, such as \"user\"");
    if (!v) return err_nomem(e, "a message", a->used);
    if ((code = add_text(a, v, "role", m->role, true, e)) || (code = add_text(a, v, "content", m->content, true, e)) ||
        (code = add_text(a, v, "reasoning_content", m->reasoning_content, false, e)) || (code = add_text(a, v, "name", m->name, false, e)) ||
        (code = add_text(a, v, "tool_call_id", m->tool_call_id, false, e)))
        return code;
    if (m->tool_calls && (code = value_from_json(a, m->tool_calls, strlen(m->tool_calls), &calls, e))) return err_in(e, "its tool_calls");
    if (calls && m->tool_calls[strspn(m->tool_calls, " \t\r\n")] != '[') return err_set(e, ERR_FORMAT, "its tool_calls are not a JSON array");
    return (!calls || value_set(a, v, "tool_calls", calls)) && value_append(a, list, v) ? 0 : err_nomem(e, "a message", a->used);
}

static int template_context(struct arena *a, const struct hearth_message *messages, int n, const char *extra_json, struct value **context, struct err *e) {
    int code = n < 0 ? err_set(e, ERR_USAGE, "n_messages is %d, but must be at least 0", n) : 0;
    if (code) return code;
    if (extra_json) code = value_from_json(a, extra_json, strlen(extra_json), context, e);
    else *context = value_dict(a);
    if (code) return code;
    struct value *list = value_list(a);
    if (!list || !*context) return err_nomem(e, "a conversation", a->used);
    for (int i = 0; i < n; i++)
        if ((code = add_message(a, list, &messages[i], e))) return err_in(e, "message %d", i + 1);
    if (!value_set(a, *context, "messages", list)) return err_set(e, ERR_FORMAT, "extra_json is not a JSON object");
    bool ok = value_get(*context, "add_generation_prompt") || value_set(a, *context, "add_generation_prompt", value_bool(a, true));
    ok = ok && (value_get(*context, "tools") || value_set(a, *context, "tools", value_none(a))); /* templates ask whether it is none */
    return ok ? 0 : err_nomem(e, "a conversation", a->used);
}

int hearth_template(const hearth_model *m, const struct hearth_message *messages, int n_messages, const char *extra_json,
                    int32_t *ids, int room, int *count, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    if (!m->chat) return err_set(e, ERR_UNSUPPORTED, "%s: the file has no chat template; it is no chat model", gguf_path(m->model->file));
    struct arena a = {0};
    struct tokens t = {.limit = INT32_MAX};
    struct value *context = NULL;
    int code = template_context(&a, messages, n_messages, extra_json, &context, e);
    if (code == 0) code = chat_tokens(m->chat, &a, context, &t, e);
    arena_free(&a);
    return give_tokens(&t, ids, room, count, code, e);
}

/* ---- sequences ---- */

static int wrap(hearth_sequence **out, hearth_model *m, struct err *e) {
    size_t row = sizeof(float) * m->model->hp.n_vocab;
    int room = m->draft ? 1 + GUESS_MAX : 1 + m->lookup;
    hearth_sequence *s = *out = mem_calloc(1, sizeof *s);
    if (!s || !(s->logits = mem_array(NULL, (size_t)room, row))) {
        mem_free(s);
        *out = NULL;
        return err_nomem(e, "a sequence", row * (size_t)room);
    }
    s->model = m;
    s->room = room;
    s->next = m->sequences;
    m->sequences = s;
    return 0;
}

static int wrap_guesses(hearth_sequence *s, struct err *e) {
    struct speculate_options o = {.lookup = s->model->lookup, .draft = s->model->draft, .draft_max = s->model->draft ? DRAFT_MAX : 0};
    return speculate_new(&s->guesses, s->seq, o, e);
}

int hearth_sequence_new(hearth_sequence **out, hearth_model *m, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    int code = wrap(out, m, e);
    if (code || ((code = seq_new(&(*out)->seq, m->engine, e)) == 0 && (code = wrap_guesses(*out, e)) == 0)) return code;
    hearth_sequence_free(*out);
    *out = NULL;
    return code;
}

void hearth_sequence_free(hearth_sequence *s) {
    if (!s) return;
    for (hearth_sequence **p = &s->model->sequences; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    speculate_free(s->guesses);
    seq_free(s->seq);
    sampler_free(s->sampler);
    buf_free(&s->text);
    mem_free(s->logits);
    mem_free(s);
}

int hearth_sequence_length(const hearth_sequence *s) { return s->guessing ? speculate_length(s->guesses) : seq_length(s->seq) + seq_pending(s->seq); }

static float *row_of(const hearth_sequence *s, int position) { return s->logits + (size_t)(position - s->first) * s->model->model->hp.n_vocab; }

/* Every sequence gets what the last step gave for it. */
static void hand_out(hearth_model *m) {
    const struct result *r;
    int n = engine_results(m->engine, &r);
    for (int i = 0; i < n; i++)
        for (hearth_sequence *s = m->sequences; s; s = s->next) {
            int at = r[i].position - s->first;
            if (s->seq != r[i].seq || at < 0 || at >= s->room) continue;
            memcpy(row_of(s, r[i].position), r[i].logits, sizeof(float) * m->model->hp.n_vocab);
            s->known = r[i].position + 1;
        }
}

/* Steps until the logits after the last token of s are there, if it is pending. */
static int compute(hearth_sequence *s, struct err *e) {
    hearth_model *m = s->model;
    int length = hearth_sequence_length(s);
    if (atomic_exchange(&m->cancelled, false)) return err_set(e, ERR_CANCELLED, "cancelled with %d tokens still to compute", length > seq_length(s->seq) ? length - seq_length(s->seq) : 0);
    while (s->known < length && seq_pending(s->seq)) {
        int code = engine_step(m->engine, e);
        if (code) return code;
        hand_out(m);
        if (s->known < length && atomic_exchange(&m->cancelled, false)) return err_set(e, ERR_CANCELLED, "cancelled with %d tokens still to compute", seq_pending(s->seq));
    }
    return 0;
}

/* New tokens were fed, the last at length - 1; its logits and those of what is guessed behind it are wanted. */
static void expect(hearth_sequence *s, int length) {
    s->first = length - 1;
    s->known = 0;
}

/* The sequence holds its text and no guess. */
static int settle(hearth_sequence *s, struct err *e) {
    if (!s->guessing) return 0;
    int length = speculate_length(s->guesses), code = speculate_settle(s->guesses, e);
    s->guessing = false;
    if (seq_pending(s->seq)) expect(s, length);
    return code;
}

int hearth_sequence_fork(hearth_sequence **out, hearth_sequence *s, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    int code, length = hearth_sequence_length(s);
    *out = NULL;
    if ((code = settle(s, e)) || (code = compute(s, e)) || (code = wrap(out, s->model, e))) return code;
    if ((code = seq_fork(&(*out)->seq, s->seq, e)) || (code = wrap_guesses(*out, e))) {
        hearth_sequence_free(*out);
        *out = NULL;
        return code;
    }
    expect(*out, length);
    if (s->known < length || length == 0) return 0;
    memcpy((*out)->logits, row_of(s, length - 1), sizeof(float) * s->model->model->hp.n_vocab);
    (*out)->known = length;
    return 0;
}

/* All tokens of the sequence become recent ones for its sampler. */
static void remember_all(hearth_sequence *s) {
    for (int i = 0; i < hearth_sequence_length(s); i++) sampler_accept(s->sampler, seq_tokens(s->seq)[i]);
}

int hearth_sequence_truncate(hearth_sequence *s, int n) {
    if (n >= hearth_sequence_length(s)) return hearth_sequence_length(s);
    s->guessing = s->decoding = false;
    s->known = 0;
    n = seq_truncate(s->seq, n);
    if (!s->sampler) return n;
    sampler_reset(s->sampler);
    remember_all(s);
    return n;
}

/* The last token of a sequence that went back was computed long ago, and its logits are gone: it is fed again, with those before it that the memory
 * of the past cannot go back over. They stay where the sequence keeps its tokens, so that only what must be computed is. */
static int feed_last_again(hearth_sequence *s, struct err *e) {
    int length = seq_length(s->seq);
    if (s->guessing || length == 0 || seq_pending(s->seq) || s->known >= length) return 0;
    int from = seq_truncate(s->seq, length - 1);
    expect(s, length);
    return seq_feed(s->seq, seq_tokens(s->seq) + from, length - from, WANT_LAST, e);
}

int hearth_feed(hearth_sequence *s, const int32_t *ids, int count, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    int code = count < 0 ? err_set(e, ERR_USAGE, "count is %d, but must be at least 0", count) : settle(s, e);
    if (code || (code = seq_feed(s->seq, ids, count, WANT_LAST, e)) || count == 0) return code;
    if (count > VERIFY_ROWS) seq_prompt(s->seq); /* however steps come to be cut by what else is pending */
    expect(s, hearth_sequence_length(s));
    for (int i = 0; s->sampler && i < count; i++) sampler_accept(s->sampler, ids[i]);
    s->decoding = false;
    return 0;
}

int hearth_logits(hearth_sequence *s, const float **logits, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    int code, length = hearth_sequence_length(s);
    if (length == 0) return err_set(e, ERR_USAGE, "there are no logits: feed the sequence at least one token first");
    if ((code = feed_last_again(s, e)) || (code = compute(s, e))) return code;
    *logits = row_of(s, length - 1);
    return 0;
}

/* A token that was drawn. */
static int append(hearth_sequence *s, int32_t id, struct err *e) {
    if (!s->guessing) speculate_begin(s->guesses);
    s->guessing = true;
    int length = speculate_length(s->guesses), code = speculate_append(s->guesses, id, GUESS_MAX, s->sampler, e);
    if (speculate_length(s->guesses) == length) return code;
    if (speculate_first(s->guesses) == length) expect(s, length + 1);
    sampler_accept(s->sampler, id);
    return code;
}

/* The sampler takes what cannot be meant for the nearest that can; a caller of the library is told. */
static int check_sampling(const struct hearth_sampling *o, struct err *e) {
    const struct {
        const char *name;
        double value, least, most;
    } setting[] = {
        {"temperature", (double)o->temperature, 0, FLT_MAX},
        {"top_k", o->top_k, 0, INT_MAX},
        {"top_p", (double)o->top_p, 0, 1},
        {"min_p", (double)o->min_p, 0, 1},
        {"top_n_sigma", (double)o->top_n_sigma, 0, FLT_MAX},
        {"repeat_penalty", (double)o->repeat_penalty, FLT_MIN, FLT_MAX},
        {"frequency_penalty", (double)o->frequency_penalty, -FLT_MAX, FLT_MAX},
        {"presence_penalty", (double)o->presence_penalty, -FLT_MAX, FLT_MAX},
        {"repeat_last_n", o->repeat_last_n, -1, SAMPLER_WINDOW},
        {"n_logit_bias", o->n_logit_bias, 0, o->logit_bias ? INT_MAX : 0},
        {"n_dry_breakers", o->n_dry_breakers, 0, o->dry_breakers ? DRY_BREAKERS_MAX : 0},
        {"dry_multiplier", (double)o->dry_multiplier, 0, FLT_MAX},
        {"dry_base", (double)o->dry_base, 1, FLT_MAX},
        {"dry_allowed_length", o->dry_allowed_length, 0, DRY_WINDOW},
        {"dry_penalty_last_n", o->dry_penalty_last_n, -1, DRY_WINDOW},
        {"typical_p", (double)o->typical_p, 0, 1},
        {"xtc_probability", (double)o->xtc_probability, 0, 1},
        {"xtc_threshold", (double)o->xtc_threshold, 0, 1},
        {"mirostat", o->mirostat, 0, 2},
        {"mirostat_tau", (double)o->mirostat_tau, 0, FLT_MAX},
        {"mirostat_eta", (double)o->mirostat_eta, 0, FLT_MAX},
        {"dynatemp_range", (double)o->dynatemp_range, 0, FLT_MAX},
        {"dynatemp_exponent", (double)o->dynatemp_exponent, 0, FLT_MAX},
    };
    for (size_t i = 0; i < sizeof setting / sizeof *setting; i++)
        if (!(setting[i].value >= setting[i].least && setting[i].value <= setting[i].most))
            return err_set(e, ERR_USAGE, "%s is %g, but must be from %g to %g", setting[i].name, setting[i].value, setting[i].least, setting[i].most);
    return 0;
}

/* The same under its inner names. breaker: [DRY_BREAKERS_MAX] for what it refers to. */
static int sampler_options_of(struct sampler_options *to, const struct hearth_sampling *o, const hearth_model *m, struct slice *breaker, struct err *e) {
    for (int i = 0; i < o->n_dry_breakers; i++) {
        if (!o->dry_breakers[i]) return err_set(e, ERR_USAGE, "dry_breakers[%d] is NULL, but must be a text", i);
        breaker[i] = slice_of(o->dry_breakers[i]);
    }
    *to = (struct sampler_options){
        .temperature = o->temperature, .top_k = o->top_k, .top_p = o->top_p, .min_p = o->min_p, .top_n_sigma = o->top_n_sigma, .repeat_penalty = o->repeat_penalty,
        .frequency_penalty = o->frequency_penalty, .presence_penalty = o->presence_penalty, .repeat_last_n = o->repeat_last_n, .seed = o->seed,
        .bias = (const struct logit_bias *)(const void *)o->logit_bias, .n_bias = o->n_logit_bias, .typical_p = o->typical_p, .xtc_probability = o->xtc_probability,
        .xtc_threshold = o->xtc_threshold, .mirostat = o->mirostat, .mirostat_tau = o->mirostat_tau, .mirostat_eta = o->mirostat_eta,
        .dynatemp_range = o->dynatemp_range, .dynatemp_exponent = o->dynatemp_exponent,
        .dry = {.multiplier = o->dry_multiplier, .base = o->dry_base, .allowed_length = o->dry_allowed_length, .last_n = o->dry_penalty_last_n, .tokenizer = m->tokenizer,
                .breakers = o->dry_breakers ? breaker : dry_breakers, .n_breakers = o->dry_breakers ? o->n_dry_breakers : DRY_BREAKERS},
    };
    return 0;
}

int hearth_set_sampling(hearth_sequence *s, const struct hearth_sampling *given, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    struct hearth_sampling o = HEARTH_SAMPLING_INIT;
    if (given && (given->size < sizeof o.size || given->size > 4096))
        return err_set(e, ERR_USAGE, "struct hearth_sampling: its size is %zu; set it up with HEARTH_SAMPLING_INIT", given->size);
    if (given) memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    struct slice breaker[DRY_BREAKERS_MAX];
    struct sampler_options so;
    struct sampler *fresh;
    int code = check_sampling(&o, e);
    if (code || (code = sampler_options_of(&so, &o, s->model, breaker, e))) return code;
    if ((code = sampler_new(&fresh, (int)s->model->model->hp.n_vocab, so, e))) return code;
    sampler_free(s->sampler);
    s->sampler = fresh;
    remember_all(s);
    return 0;
}

static int need_sampler(hearth_sequence *s, struct err *e) {
    return s->sampler ? 0 : hearth_set_sampling(s, NULL, (struct hearth_error *)(void *)e);
}

int hearth_sample(hearth_sequence *s, struct hearth_token *token, struct hearth_error *error) {
    struct err own, *e = as_err(error, &own);
    const float *logits = NULL;
    int32_t id = TOKEN_NONE;
    float logprob = 0;
    int code, length = hearth_sequence_length(s);
    if ((code = hearth_logits(s, &logits, (struct hearth_error *)(void *)e)) || (code = need_sampler(s, e))) return code;
    if (length >= engine_context(s->model->engine)) return err_set(e, ERR_CONTEXT, "the context of %d tokens is full", length);
    if ((code = sampler_draw(s->sampler, logits, NULL, &id, e)) || (code = logprobs_of(logits, (int)s->model->model->hp.n_vocab, id, &logprob, NULL, 0, e))) return code;
    *token = (struct hearth_token){.id = id, .logprob = logprob, .end = tokenizer_is_eog(s->model->tokenizer, id), .text = ""};
    if (!s->decoding) decoder_init(&s->decoder, s->model->tokenizer, seq_tokens(s->seq)[length - 1]);
    s->decoding = true;
    s->text.len = 0;
    code = token->end ? decoder_end(&s->decoder, &s->text, e) : decoder_add(&s->decoder, id, &s->text, e);
    if (code == 0 && !token->end) code = append(s, id, e);
    if (code) return code;
    if (s->text.data && s->text.len) token->text = s->text.data;
    token->text_length = s->text.len;
    return 0;
}
