/* test_guide.c: jobs that are held to a form, or whose reasoning has a budget, on the embedded model, which knows of neither: whatever it would say, what comes out is of the
 * form. Guesses change no bit of it, nor do those who share its steps; who leaves and who finds no memory leaves nothing behind. */
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ember.h"
#include "engine/scheduler.h"
#include "engine/speculate.h"
#include "support/light.h"

enum { N_CTX = 1024, MAX_TOKENS = 700 };

static struct engine *engine;
static struct scheduler *sc;
static struct forms *forms;
static struct tokens prompt;

static int set_up(void **state) {
    struct err e = {0};
    if (ember_set_up(state)) return -1;
    OK(engine_new(&engine, model, pool, (struct engine_options){.n_ctx = N_CTX, .max_rows = VERIFY_ROWS}, &e)); /* small steps: the same bits however they are cut */
    OK(scheduler_new(&sc, (struct scheduler_options){.max_live = 8}, &e));
    OK(forms_new(&forms, tok, &e));
    OK(tokenizer_encode(tok, SLICE("Tell me about the sea in JSON, please."), NULL, &prompt, &e));
    return 0;
}

static int tear_down(void **state) {
    scheduler_free(sc);
    engine_free(engine);
    forms_free(forms);
    tokens_free(&prompt);
    return ember_tear_down(state);
}

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *job;
    int32_t id[MAX_TOKENS + 1];
    int n, cancel_at;
    struct buf text;
    bool ended;
    enum job_end end;
    struct err error;
};

static void hear(void *ctx, const struct job_event *ev) {
    struct heard *h = ctx;
    (void)pthread_mutex_lock(&h->lock);
    if (ev->kind == JOB_TOKEN) h->id[h->n++] = ev->id;
    if (ev->text.n) (void)buf_add(&h->text, ev->text.p, ev->text.n);
    if (ev->kind == JOB_ENDED) {
        h->ended = true;
        h->end = ev->end;
        if (ev->error) h->error = *ev->error;
    } else if (h->cancel_at && h->n == h->cancel_at && h->job) {
        job_cancel(h->job);
    }
    (void)pthread_cond_signal(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

static struct job_spec spec_of(struct form *form, uint64_t seed) {
    struct job_spec s = {.engine = engine, .tokenizer = tok, .prompt = prompt.id, .n_prompt = (int)prompt.n, .max_tokens = MAX_TOKENS, .sampling = sampler_defaults(), .logprobs = -1, .control = true,
                         .guide = {.form = form, .frame = {"<think>", "</think>", "", "", ""}, .budget = -1}, .event = hear};
    s.sampling.seed = seed;
    s.sampling.temperature = 1.5f;
    s.sampling.top_k = 0;
    s.sampling.top_p = 1;
    s.sampling.min_p = 0;
    return s;
}

static int try(struct heard *h, struct job_spec *s, struct err *e) {
    *h = (struct heard){.cancel_at = h->cancel_at};
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->changed, NULL);
    s->ctx = h;
    (void)pthread_mutex_lock(&h->lock);
    const int code = job_submit(&h->job, sc, s, e);
    (void)pthread_mutex_unlock(&h->lock);
    return code;
}

static void submit(struct heard *h, struct job_spec *s) {
    struct err e = {0};
    OK(try(h, s, &e));
}

static void wait_for(struct heard *h) {
    (void)pthread_mutex_lock(&h->lock);
    while (!h->ended) (void)pthread_cond_wait(&h->changed, &h->lock);
    (void)pthread_mutex_unlock(&h->lock);
    assert_true(buf_char(&h->text, 0));
    h->text.len--;
}

static void drop(struct heard *h) {
    job_free(h->job);
    buf_free(&h->text);
    h->job = NULL;
}

static struct form *form_of(const struct answer_form *what) {
    struct err e = {0};
    struct form *f;
    int bad;
    OK(forms_get(forms, what, &f, &bad, &e));
    return f;
}

static const struct tool_reasoning think = {"<think>", "</think>"};
#define SEA "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 12}, \"depth\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 11000}, \"kind\": {\"enum\": [\"sea\", \"ocean\", \"the very same long word again\"]}," \
    "\"all\": {\"type\": \"array\", \"minItems\": 5, \"maxItems\": 5, \"items\": {\"const\": {\"kind\": \"the very same long word again\", \"n\": 1}}}}, \"required\": [\"name\", \"depth\", \"kind\", \"all\"], \"additionalProperties\": false}"
static const struct answer_form sea = {.reasoning = &think, .text = TEXT_SCHEMA, .source = {SEA, sizeof SEA - 1}};

/* Read by another's parser, against the schema as it stands above. */
static void check_sea(const char *text) {
    json_error_t why;
    json_t *v = json_loads(text, 0, &why), *all;
    if (!v) fail_msg("not JSON: %s: %s", why.text, text);
    const char *kind = json_string_value(json_object_get(v, "kind"));
    const double depth = json_number_value(json_object_get(v, "depth"));
    assert_int_equal(json_object_size(v), 4);
    assert_true(json_is_string(json_object_get(v, "name")) && json_string_length(json_object_get(v, "name")) <= 4 * 12);
    assert_true(kind && (!strcmp(kind, "sea") || !strcmp(kind, "ocean") || !strcmp(kind, "the very same long word again")));
    assert_true(depth >= 1 && depth <= 11000);
    assert_int_equal(json_array_size(all = json_object_get(v, "all")), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(json_object_size(json_array_get(all, i)), 2);
        assert_string_equal(json_string_value(json_object_get(json_array_get(all, i), "kind")), "the very same long word again");
    }
    json_decref(v);
}

/* ---- */

static void answers_are_of_the_form(void **state) {
    (void)state;
    struct form *form = form_of(&sea);
    const uint64_t seeds = light("three answers of four") ? 1 : 4;
    for (uint64_t seed = 0; seed < seeds; seed++) {
        struct heard h = {0};
        struct job_spec s = spec_of(form, seed);
        submit(&h, &s);
        wait_for(&h);
        assert_int_equal(h.end, JOB_EOG);
        check_sea(h.text.data);
        drop(&h);
    }
    form_done(form);
}

/* The same words again and again: guesses come true, and those that the form forbids are never made. Beside others, too. */
static void guesses_and_company_change_nothing(void **state) {
    (void)state;
    struct form *form = form_of(&sea);
    struct heard alone[4], h[4];
    const int n = light("two answers of four") ? 2 : 4;
    memset(h, 0, sizeof h);
    memset(alone, 0, sizeof alone);
    for (int i = 0; i < n; i++) {
        struct job_spec s = spec_of(form, (uint64_t)i);
        submit(&alone[i], &s);
        wait_for(&alone[i]);
    }
    for (int guess = 0; guess <= GUESS_MAX; guess += GUESS_MAX)
        for (int together = 0; together < 2; together++) {
            for (int i = 0; i < n; i++) {
                struct job_spec s = spec_of(form, (uint64_t)i);
                s.guess = guess;
                submit(&h[i], &s);
                if (!together) wait_for(&h[i]);
            }
            for (int i = 0; i < n; i++) {
                if (together) wait_for(&h[i]);
                assert_int_equal(h[i].n, alone[i].n);
                assert_memory_equal(h[i].id, alone[i].id, sizeof *h[i].id * (size_t)h[i].n);
                assert_string_equal(h[i].text.data, alone[i].text.data);
                drop(&h[i]);
            }
        }
    for (int i = 0; i < n; i++) drop(&alone[i]);
    form_done(form);
}

static void a_form_that_is_over_ends_the_job(void **state) {
    (void)state;
    const struct answer_form what = {.text = TEXT_GBNF, .source = SLICE("root ::= \"yes\" | \"no\"")};
    struct form *form = form_of(&what);
    struct heard h = {0};
    struct job_spec s = spec_of(form, 1);
    s.ignore_eog = true; /* no end is drawn: none is needed */
    submit(&h, &s);
    wait_for(&h);
    assert_int_equal(h.end, JOB_EOG);
    assert_true(!strcmp(h.text.data, "yes") || !strcmp(h.text.data, "no"));
    drop(&h);
    struct logit_bias *all = calloc(tokenizer_count(tok), sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < tokenizer_count(tok); i++) all[i] = (struct logit_bias){(int32_t)i, -INFINITY};
    s = spec_of(form, 1);
    s.sampling.bias = all, s.sampling.n_bias = (int)tokenizer_count(tok);
    submit(&h, &s);
    wait_for(&h);
    assert_int_equal(h.end, JOB_FAILED); /* never anything else instead */
    assert_int_equal(h.error.code, ERR_USAGE);
    assert_int_equal(h.n, 0);
    drop(&h);
    free(all);
    form_done(form);
}

static int count_before(const struct heard *h, const char *mark) {
    struct buf text = {0};
    struct err e = {0};
    int n = 0;
    for (; n < h->n; n++) {
        text.len = 0;
        OK(tokenizer_decode(tok, h->id, (size_t)n, true, &text, &e));
        assert_true(buf_char(&text, 0));
        if (strstr(text.data, mark)) break;
    }
    buf_free(&text);
    return n;
}

static void budgets(void **state) {
    (void)state;
    struct form *form = form_of(&sea);
    struct tokens closing = {0};
    struct err e = {0};
    OK(tokenizer_encode(tok, SLICE("</think>"), &(struct encode_options){.parse = SPECIAL_ALL}, &closing, &e));
    const int step = light("two budgets of four") ? 26 : 13;
    for (int budget = 0; budget < 40; budget += step)
        for (int held = 0; held < 2; held++) {
            struct heard h = {0};
            struct job_spec s = spec_of(held ? form : NULL, (uint64_t)budget);
            s.guide.opened = true;
            s.guide.budget = budget;
            s.ignore_eog = !held; /* so that the text is long enough */
            if (!held) s.max_tokens = 80;
            submit(&h, &s);
            wait_for(&h);
            const char *behind = strstr(h.text.data, "</think>");
            assert_non_null(behind);
            assert_true(count_before(&h, "</think>") <= budget + (int)closing.n + 1);
            behind += strlen("</think>");
            if (held) check_sea(behind);
            else assert_true(h.end == JOB_LENGTH && *behind); /* it goes on as it likes */
            drop(&h);
        }
    tokens_free(&closing);
    form_done(form);
}

/* Marks of a syntax that has messages: what stands between reasoning and answer is said too. */
static void a_budget_between_messages(void **state) {
    (void)state;
    struct heard h = {0};
    struct job_spec s = spec_of(NULL, 5);
    s.guide.frame = (struct tool_frame){"<|channel|>analysis<|message|>", "<|end|>", "<|start|>assistant", "", ""};
    s.guide.opened = s.ignore_eog = true;
    s.guide.budget = 3;
    s.max_tokens = 60;
    submit(&h, &s);
    wait_for(&h);
    assert_non_null(strstr(h.text.data, "<|end|><|start|>assistant"));
    assert_int_equal(count_before(&h, "<|end|>") <= 20, 1); /* the embedded vocabulary has letters only for this mark */
    drop(&h);
}

/* Reasoning that the model opens itself: here it must, by the form's own text. */
static void reasoning_is_found_by_its_marks(void **state) {
    (void)state;
    const struct answer_form what = {.reasoning = &think, .text = TEXT_GBNF, .source = SLICE("root ::= [a-z]{3}")};
    struct form *form = form_of(&what);
    bool thought = false, did_not = false;
    for (uint64_t seed = 0; seed < 30 && !(thought && did_not); seed++) {
        struct heard h = {0};
        struct job_spec s = spec_of(form, seed);
        s.guide.may_open = true;
        s.guide.budget = 6;
        s.sampling.temperature = 50; /* all that may come is alike */
        submit(&h, &s);
        wait_for(&h);
        assert_int_equal(h.end, JOB_EOG);
        const char *open = strstr(h.text.data, "<think>"), *close = strstr(h.text.data, "</think>"), *answer = close ? close + 8 : h.text.data;
        thought |= open != NULL;
        did_not |= open == NULL;
        assert_true((open == NULL) == (close == NULL));
        answer += strspn(answer, " \n\t");
        assert_int_equal(strlen(answer), 3);
        assert_int_equal(strspn(answer, "abcdefghijklmnopqrstuvwxyz"), 3);
        drop(&h);
        s.guide.budget = 0; /* then it may not */
        submit(&h, &s);
        wait_for(&h);
        assert_int_equal(strlen(h.text.data), 3);
        drop(&h);
    }
    assert_true(thought && did_not);
    form_done(form);
}

static void who_leaves(void **state) {
    (void)state;
    struct form *form = form_of(&sea);
    struct heard h[8];
    memset(h, 0, sizeof h);
    for (int i = 0; i < 8; i++) {
        struct job_spec s = spec_of(form, (uint64_t)i);
        h[i].cancel_at = i % 2 ? 5 + i : 0;
        submit(&h[i], &s);
    }
    for (int i = 0; i < 8; i++) {
        wait_for(&h[i]);
        assert_int_equal(h[i].end, i % 2 ? JOB_CANCELLED : JOB_EOG);
        if (i % 2 == 0) check_sea(h[i].text.data);
        drop(&h[i]);
    }
    form_done(form);
}

static void compiled_once(void **state) {
    (void)state;
    const struct forms_counts before = forms_counts(forms);
    struct form *a = form_of(&sea), *b = form_of(&sea);
    char text[64];
    int bad;
    struct err e = {0};
    struct form *c;
    assert_ptr_equal(a, b);
    assert_int_equal(forms_counts(forms).made, before.made);
    assert_int_equal(forms_counts(forms).found, before.found + 2);
    const struct answer_form broken = {.text = TEXT_SCHEMA, .source = SLICE("{\"type\": \"string\", \"pattern\": \"(?=a)b\"}")};
    assert_int_equal(forms_get(forms, &broken, &c, &bad, &e), ERR_UNSUPPORTED);
    assert_int_equal(bad, -1);
    for (int i = 0; i < FORMS_KEPT * 2; i++) {
        (void)snprintf(text, sizeof text, "root ::= \"%d\"", i);
        const struct answer_form other = {.text = TEXT_GBNF, .source = slice_of(text)};
        form_done(form_of(&other));
    }
    assert_true(forms_counts(forms).kept <= FORMS_KEPT + 1);
    assert_ptr_equal(form_of(&sea), a); /* it is held */
    form_done(a);
    form_done(a);
    form_done(b);
}

static void failing_allocations(void **state) {
    (void)state;
    struct form *form = form_of(&sea);
    bool done = false;
    for (int64_t n = 1; !done; n += 1 + n / 4) {
        struct heard h = {0};
        struct err e = {0};
        struct job_spec s = spec_of(form, 3);
        s.guide.opened = true;
        s.guide.budget = 4;
        const int64_t before = mem_live();
        mem_fail_after(n);
        const int code = try(&h, &s, &e);
        if (code == 0) {
            (void)pthread_mutex_lock(&h.lock);
            while (!h.ended) (void)pthread_cond_wait(&h.changed, &h.lock);
            (void)pthread_mutex_unlock(&h.lock);
        }
        const bool failed = mem_has_failed();
        mem_fail_after(0);
        if (code) assert_int_equal(code, ERR_MEMORY);
        else if (h.end == JOB_FAILED) assert_int_equal(h.error.code, ERR_MEMORY);
        else assert_int_equal(h.end, JOB_EOG);
        drop(&h);
        if (code) assert_int_equal(mem_live(), before);
        done = !failed;
    }
    form_done(form);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_of_the_form), cmocka_unit_test(guesses_and_company_change_nothing), cmocka_unit_test(a_form_that_is_over_ends_the_job), cmocka_unit_test(budgets), cmocka_unit_test(a_budget_between_messages),
        cmocka_unit_test(reasoning_is_found_by_its_marks), cmocka_unit_test(who_leaves), cmocka_unit_test(compiled_once), cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
