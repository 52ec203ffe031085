/* test_bad.c: whole models of which one key or one tensor is spoilt, in every way and one after another. Each is refused with one clear line, or
 * runs; none crashes or leaks. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/embedder.h"
#include "engine/engine.h"
#include "support/tiny.h"

static int score(const struct model *m, struct pool *pool, struct err *e) {
    struct embedder *em = NULL;
    float out[64];
    int done, code = embedder_new(&em, m, pool, (struct embedder_options){.pooling = POOL_RANK, .n_ctx = 32, .memory_limit = (uint64_t)1 << 30}, e);
    if (code == 0) assert_in_range(embedder_width(em), 1, 64);
    if (code == 0) code = embedder_step(em, &(struct embed_text){.id = (int32_t[]){1, 2, 3, 4, 5}, .n = 5, .out = out}, 1, &done, e);
    embedder_free(em);
    return code;
}

/* Opens, plans and runs a step of the model; 0 when all went well. */
static int try_model(const struct tiny *t, struct err *e) {
    struct gguf *file;
    struct model *m = NULL;
    struct pool *pool = NULL;
    struct engine *en = NULL;
    struct seq *s;
    int64_t before = mem_live();
    int code = gguf_open_memory(&file, t->file.data, t->file.len, "bad.gguf", e);
    if (code == 0) code = model_open_file(&m, file, e);
    if (code == 0) code = pool_new(&pool, 1, e);
    const bool writes = code == 0 && m->hp.causal;
    if (code == 0 && !writes) code = score(m, pool, e);
    if (code == 0 && writes) code = engine_new(&en, m, pool, (struct engine_options){.n_ctx = 32, .memory_limit = (uint64_t)1 << 30}, e);
    if (code == 0 && writes) code = seq_new(&s, en, e);
    if (code == 0 && writes) code = seq_feed(s, (int32_t[]){1, 2, 3, 4, 5}, 5, WANT_ALL, e);
    if (code == 0 && writes) code = engine_step(en, e);
    engine_free(en);
    pool_free(pool);
    model_close(m);
    assert_int_equal(mem_live(), before);
    return code;
}

static bool listed(const char *name, const char *const *list) {
    for (; *list; list++)
        if (strstr(name, *list)) return true;
    return false;
}

enum verdict { RUNS, REFUSED, NAMED /* and the message has the name */ };
static const char *const whats[] = {"unchanged", "missing", "zero", "huge", "negative", "of another type", "of another shape"};

static void expect(enum tiny_kind kind, const struct tiny *t, enum tiny_what what, enum verdict least, bool may_run) {
    struct err e = {0};
    int code = try_model(t, &e);
    if (code == 0) {
        if (getenv("HEARTH_TEST_SHOW")) printf("%s: %s %s: RUNS\n", tiny_name(kind), t->edited, whats[what]);
        if (!may_run) fail_msg("%s: %s %s is taken", tiny_name(kind), t->edited, whats[what]);
        return;
    }
    if (code != e.code || (code != ERR_FORMAT && code != ERR_UNSUPPORTED && code != ERR_MEMORY && code != ERR_CONTEXT) || strchr(e.msg, '\n') || strlen(e.msg) < 20)
        fail_msg("%s: %s %s: %d \"%s\"", tiny_name(kind), t->edited, whats[what], code, e.msg);
    if (code == ERR_FORMAT && !strstr(e.msg, "; ")) fail_msg("%s: %s %s: \"%s\" does not say what to do", tiny_name(kind), t->edited, whats[what], e.msg);
    if (least == NAMED && !strstr(e.msg, t->edited)) fail_msg("%s: %s %s: \"%s\" does not name it", tiny_name(kind), t->edited, whats[what], e.msg);
    if (getenv("HEARTH_TEST_SHOW")) printf("%s: %s %s: %s\n", tiny_name(kind), t->edited, whats[what], e.msg);
}

static void good_ones_run(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_ALL; kind++) {
        struct tiny t;
        struct err e = {0};
        tiny_make(&t, kind, NULL);
        if (try_model(&t, &e)) fail_msg("%s: %s", tiny_name(kind), e.msg);
        tiny_free(&t);
    }
}

/* What a model may lack: the specification gives a default, or the part is optional. */
static const char *const optional_keys[] = {"head_count_kv", "key_length", "value_length", "freq_base", "dimension_count", "feed_forward_length", "sliding_window",
                                            "rope.scaling", "dimension_sections", "full_attention_interval", "expert_", "head_count", "vocab_size", "pooling_type", NULL};
/* Numbers with no upper bound, which this model's tensors do not pin down either. */
static const char *const unbounded[] = {"sliding_window", "full_attention_interval", NULL};
/* Keys whose zero and huge numbers are refused by name, where the kind uses them. */
static const char *const named[] = {"context_length", "head_count", "feed_forward_length", "freq_base", "vocab_size", NULL};

static bool is_used(enum tiny_kind kind, const char *key, enum tiny_what what) {
    if (strstr(key, "freq_base")) return what == EDIT_ZERO;
    if (what == EDIT_HUGE) return true;
    if (strstr(key, "feed_forward_length")) return kind != TINY_GPT_OSS && kind != TINY_MAMBA2; /* experts only, none */
    return !strstr(key, "original_context_length") && !(kind == TINY_DEEPSEEK2 && strstr(key, "head_count_kv"));
}

static void keys(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_ALL; kind++) {
        struct tiny t;
        tiny_make(&t, kind, NULL);
        int count = t.n_kv;
        tiny_free(&t);
        for (int i = 0; i < count; i++)
            for (enum tiny_what what = EDIT_DROP; what <= EDIT_SHAPE; what++) {
                tiny_make(&t, kind, &(struct tiny_edit){what, i, -1});
                bool real = strstr(t.edited, "freq_base") || strstr(t.edited, "epsilon") || strstr(t.edited, "factor");
                bool text = strstr(t.edited, "architecture") || strstr(t.edited, "scaling.type"), array = strstr(t.edited, "sections") || (kind == TINY_LFM2 && strstr(t.edited, "count_kv"));
                if (what == EDIT_TYPE) expect(kind, &t, what, NAMED, false);
                else if (what == EDIT_NEGATIVE && !real && !text) expect(kind, &t, what, NAMED, false);
                else if ((what == EDIT_ZERO || what == EDIT_HUGE) && listed(t.edited, named) && !array)
                    expect(kind, &t, what, NAMED, !is_used(kind, t.edited, what));
                else if (what == EDIT_SHAPE && array) expect(kind, &t, what, NAMED, false);
                else if (what == EDIT_DROP) expect(kind, &t, what, REFUSED, listed(t.edited, optional_keys));
                else if (what == EDIT_HUGE && !real && !text) expect(kind, &t, what, REFUSED, listed(t.edited, unbounded));
                else expect(kind, &t, what, REFUSED, true);
                tiny_free(&t);
            }
    }
}

/* The file with other four bytes for the value of a key, which has to be refused in words that have all of `says`. */
static void refused(const char *key, const void *value, const char *says, const char *also) {
    struct tiny t;
    struct err e = {0};
    tiny_make(&t, TINY_LLAMA, NULL);
    char *at = memmem(t.file.data, t.header, key, strlen(key));
    assert_non_null(at);
    memcpy(at + strlen(key) + 4, value, 4); /* behind the type */
    assert_int_equal(try_model(&t, &e), ERR_FORMAT);
    if (!strstr(e.msg, says) || !strstr(e.msg, also)) fail_msg("\"%s\" does not say \"%s\" and \"%s\"", e.msg, says, also);
    tiny_free(&t);
}

static void numbers(void **state) {
    (void)state;
    uint32_t most = UINT32_MAX, fewer = 32;
    refused("llama.context_length", &most, "llama.context_length is 4294967295", "");
    refused("llama.feed_forward_length", &most, "llama.feed_forward_length is 4294967295", "");
    refused("llama.feed_forward_length", &fewer, "llama.feed_forward_length is 32", "blk.0.ffn_down.weight has rows of 64");
    refused("llama.vocab_size", &most, "llama.vocab_size is 4294967295", "token_embd.weight has 50 rows");
    refused("llama.attention.head_count", &(uint32_t){0}, "llama.attention.head_count is 0", "");
    refused("llama.rope.freq_base", &(float){0.5f}, "llama.rope.freq_base is 0.5", "");
    refused("llama.attention.layer_norm_rms_epsilon", &(float){0}, "llama.attention.layer_norm_epsilon is there, or it is not above 0", "");
    refused("llama.rope.freq_base", &(float){1e-40f}, "llama.rope.freq_base is 9.99995e-41", "");
}

static const char *const optional_tensors[] = {".bias", "attn_sinks", "output.weight", "cls.weight", "token_types", "rope_factors_long" /* not for a context of 32 */, NULL};
/* Without these another form of the same is looked for, and that is what the message names. */
static const char *const otherwise[] = {"token_embd_norm.weight", "attn_k_b.weight", "attn_qkv.weight", "0.attn_q.weight", "1.attn_q.weight", NULL};

static void tensors(void **state) {
    (void)state;
    for (enum tiny_kind kind = 0; kind < TINY_ALL; kind++) {
        struct tiny t;
        tiny_make(&t, kind, NULL);
        int count = t.n_tensors;
        tiny_free(&t);
        for (int i = 0; i < count; i++) {
            tiny_make(&t, kind, &(struct tiny_edit){EDIT_DROP, -1, i});
            bool optional = listed(t.edited, optional_tensors), other = listed(t.edited, otherwise) || ((kind == TINY_PHI3 || kind == TINY_MODERN_BERT) && strstr(t.edited, "ffn_up"));
            expect(kind, &t, EDIT_DROP, optional || other ? REFUSED : NAMED, optional);
            tiny_free(&t);
            tiny_make(&t, kind, &(struct tiny_edit){EDIT_TYPE, -1, i});
            expect(kind, &t, EDIT_TYPE, NAMED, strstr(t.edited, "rope_factors_long") != NULL);
            tiny_free(&t);
            tiny_make(&t, kind, &(struct tiny_edit){EDIT_SHAPE, -1, i});
            expect(kind, &t, EDIT_SHAPE, REFUSED, strstr(t.edited, "rope_factors_long") || strstr(t.edited, "token_types") /* a table of one row is for both */ || (strcmp(t.edited, "token_embd.weight") == 0 && (kind == TINY_LFM2 || kind == TINY_GPT2 /* which have no other use of the size */)));
            tiny_free(&t);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_ones_run), cmocka_unit_test(keys), cmocka_unit_test(numbers), cmocka_unit_test(tensors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
