/* test_nonce.c: what clients make new with every request is left out of system messages, and nothing else; names that clients have built in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serve/alias.h"
#include "serve/nonce.h"

/* What is left of a text; NULL: it must stay as it is. */
static void leaves(const char *text, const char *wanted) {
    struct buf out = {0};
    bool found;
    assert_true(nonce_clean(slice_of(text), &out, &found));
    const char *left = out.data ? out.data : "";
    if (strcmp(left, wanted ? wanted : text) != 0 || found != (wanted != NULL)) fail_msg("\"%s\" becomes \"%s\", not \"%s\"", text, left, wanted ? wanted : text);
    buf_free(&out);
}

#define META(more) "## Inbound Context\n```json\n{\n  \"schema\": \"openclaw.inbound_meta.v1\",\n" more "  \"channel\": \"web\"\n}\n```\n"

static void known(void **state) {
    (void)state;
    leaves("x-anthropic-billing-header: cc_version=2.1.37.0d9; cc_entrypoint=cli; cch=fa690;\nYou are.", "You are.");
    leaves("x-anthropic-billing-header: cc_version=2.1.37; cch=fa690;You are.\nx", "You are.\nx");
    leaves("x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=sdk-cli; cch=00000; cc_workload=cron;", "");
    leaves("x-anthropic-billing-header: cc_version=2.1; cch=abc\nRest", "Rest");
    leaves("First.\nx-anthropic-billing-header: cc_version=2;\nLast.", "First.\nLast.");
    leaves("Be kind.\n<budget:token_budget>1,000,000</budget:token_budget>\n", "Be kind.\n");
    leaves("a\n<system_warning>Token usage: 35000/200000; 165000 remaining</system_warning>\nb", "a\nb");
    leaves("a\n<system-reminder>\nToken usage: 1/2; 1 remaining\n</system-reminder>\nb", "a\nb");
    leaves("Token usage: 35,000/200,000; 165,000 remaining\n\nUSD budget: $0.13/$0.4; $0.27 remaining", "\n");
    leaves(META("  \"message_id\": \"a47d-\",\n  \"reply_to_id\": \"99\",\n"), META("  \"message_id\": \"\",\n  \"reply_to_id\": \"\",\n"));
    leaves("Rules\nCurrent date and time: Monday, March 9, 2026 at 06:00:31 PM PDT\nCurrent working directory: /x", "Rules\nCurrent date and time: Monday, March 9, 2026\nCurrent working directory: /x");
    leaves("Current date and time: Tuesday, June 9, 2026, 03:04:20 PM +03:00\nCurrent working directory: /x", "Current date and time: Tuesday, June 9, 2026\nCurrent working directory: /x");
    leaves("# nanobot\n\n## Current Time\n2026-02-06 10:31 (Friday)\n", "# nanobot\n\n## Current Time\n2026-02-06 (Friday)\n");
}

static void all_else_stays(void **state) {
    (void)state;
    static const char *const texts[] = {
        "", "\n\n", "You are Claude Code.", "Explain x-anthropic-billing-header: cc_version=2;", " x-anthropic-billing-header: a=b;", "x-anthropic-billing-header:", "x-anthropic-billing-header: \n",
        "x-anthropic-billing-header: You are a friend.", "<budget:token_budget>many</budget:token_budget>", "<budget:token_budget>12", "The line is <system_warning>Token usage: 1/2; 1 remaining</system_warning>",
        "Token usage: about 5/6; 1 remaining", "Token usage: 5/6", "USD budget: $/; $ remaining", "  \"message_id\": \"a47d\",", "Current date and time: Monday, March 9, 2026 at 06:00:31 PM PDT",
        "Current date and time: Monday, March 9, 2026 at noon\nThe weather", "## Current Time\n2026-02-06 10:31 (Friday)\n", "Token usage: ", "x-anthropic-billing-header: =;",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) leaves(texts[i], NULL);
}

static void blocks(void **state) {
    (void)state;
    assert_true(nonce_is(SLICE("<system-reminder>\nToken usage: 1/2; 1 remaining\n</system-reminder>")));
    assert_true(nonce_is(SLICE("\n <system_warning>Token usage: 35000/200000; 165000 remaining</system_warning>\n")));
    assert_false(nonce_is(SLICE("Why does it say <system_warning>Token usage: 3/4; 1 remaining</system_warning>?")));
    assert_false(nonce_is(SLICE("<system_warning>Token usage: 3/4; 1 remaining</system_warning> Go on.")));
    assert_false(nonce_is(SLICE("Token usage: 3/4; 1 remaining")));
    assert_false(nonce_is(SLICE("x-anthropic-billing-header: a=b;")));
    assert_false(nonce_is(SLICE(" ")));
    for (size_t i = 0; nonce_client(i); i++) assert_true(strlen(nonce_client(i)) && strlen(nonce_source(i)));
}

/* Of any text made of the patterns' own pieces, what is left is in it in order; two texts that differ only in their marks become the same. */
static void any_text(void **state) {
    (void)state;
    static const char *const pieces[] = {"x-anthropic-billing-header: ", "cch=", "ab", ";", "\n", " ", "Token usage: ", "12", "/", "; ", " remaining", "<system_warning>", "</system_warning>",
                                         "<budget:token_budget>", "</budget:token_budget>", "Current date and time: ", ", ", " at ", "Current working directory: ", "\"openclaw.inbound_meta.v1\"", "  \"message_id\": \"", "\""};
    struct rng g = rng_new(7, 1);
    for (int round = 0; round < 20000; round++) {
        struct buf text = {0}, once = {0};
        bool found;
        for (int n = (int)rng_below(&g, 24); n > 0; n--) assert_true(buf_str(&text, pieces[rng_below(&g, sizeof pieces / sizeof *pieces)]));
        assert_true(nonce_clean((struct slice){text.data, text.len}, &once, &found));
        assert_int_equal(found, once.len != text.len);
        size_t at = 0;
        for (size_t i = 0; i < once.len; i++, at++) {
            while (at < text.len && text.data[at] != once.data[i]) at++;
            assert_true(at < text.len);
        }
        buf_free(&text), buf_free(&once);
    }
    for (int i = 0; i < 2; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "x-anthropic-billing-header: cc_version=2.1.%d; cch=%05x;\nYou are.", 3 + i, 777u * (unsigned)i);
        leaves(text, "You are.");
    }
}

static void long_text(void **state) {
    (void)state;
    struct buf text = {0}, out = {0};
    bool found;
    for (int i = 0; i < 200000; i++) assert_true(buf_str(&text, "Current date and time: a, b 1, 2 at Token usage: \n"));
    assert_true(nonce_clean((struct slice){text.data, text.len}, &out, &found) && !found && out.len == text.len);
    buf_free(&text), buf_free(&out);
    struct buf tight = {.limit = 8};
    assert_false(nonce_clean(SLICE("a text that is longer than its limit"), &tight, &found));
    buf_free(&tight);
}

static void aliases(void **state) {
    (void)state;
    struct slice model;
    struct err e = {0};
    const struct config_list rules = {.at = {"gpt-4*=big", "claude-haiku*=small", "exact=big", "gpt-none=", "claude-3*="}, .n = 5};
    assert_true(alias_find(NULL, SLICE("claude-opus-9"), &model) && model.p && model.n == 0);
    assert_false(alias_find(NULL, SLICE("gpt-4"), &model));
    assert_false(alias_find(NULL, SLICE(""), &model));
    assert_true(alias_find(&rules, SLICE("gpt-4o"), &model) && slice_is(model, "big"));
    assert_true(alias_find(&rules, SLICE("claude-haiku-4-5"), &model) && slice_is(model, "small"));
    assert_true(alias_find(&rules, SLICE("claude-opus"), &model) && model.p && model.n == 0);
    assert_true(alias_find(&rules, SLICE("claude-3-opus"), &model) && !model.p);
    assert_true(alias_find(&rules, SLICE("exact"), &model) && slice_is(model, "big"));
    assert_false(alias_find(&rules, SLICE("exactly"), &model));
    assert_true(alias_find(&rules, SLICE("gpt-none"), &model) && !model.p);
    for (int i = 0; i < rules.n; i++) assert_int_equal(alias_check(rules.at[i], &e), 0);
    assert_int_equal(alias_check("gpt-4", &e), ERR_USAGE);
    assert_int_equal(alias_check("=x", &e), ERR_USAGE);
    assert_int_equal(alias_check("a*b=x", &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "a*b=x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known), cmocka_unit_test(all_else_stays), cmocka_unit_test(blocks), cmocka_unit_test(any_text), cmocka_unit_test(long_text), cmocka_unit_test(aliases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
