/* test_metrics.c: counting, and the text that Prometheus reads. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/metrics.h"

static struct metrics *new_metrics(void) {
    struct metrics *m;
    struct err e = {0};
    if (metrics_new(&m, &e)) fail_msg("%s", e.msg);
    return m;
}

static const char *print(struct metrics *m, struct buf *b) {
    b->len = 0;
    assert_true(metrics_print(m, b));
    return b->data;
}

#define HAS(text, line) \
    if (!strstr(text, "\n" line "\n")) fail_msg("no line %s in:\n%s", line, text)

static void counted(void **state) {
    struct metrics *m = new_metrics();
    struct buf b = {0};
    (void)state;
    HAS(print(m, &b), "hearth_connections 0");
    metric_add(m, METRIC_CONNECTIONS, NULL, 3);
    metric_add(m, METRIC_CONNECTIONS, NULL, -1);
    metric_add(m, METRIC_HTTP_REQUESTS, "200", 1);
    metric_add(m, METRIC_HTTP_REQUESTS, "404", 1);
    metric_add(m, METRIC_HTTP_REQUESTS, "200", 1);
    metric_add(m, METRIC_BYTES_OUT, NULL, 1e12);
    const char *text = print(m, &b);
    HAS(text, "# TYPE hearth_connections gauge");
    HAS(text, "hearth_connections 2");
    HAS(text, "# TYPE hearth_http_requests_total counter");
    HAS(text, "hearth_http_requests_total{status=\"200\"} 2");
    HAS(text, "hearth_http_requests_total{status=\"404\"} 1");
    HAS(text, "hearth_sent_bytes_total 1000000000000");
    metric_set(m, METRIC_CONNECTIONS, NULL, 0.25);
    HAS(print(m, &b), "hearth_connections 0.25");
    metric_set(m, METRIC_CONNECTIONS, NULL, (double)INFINITY);
    HAS(print(m, &b), "hearth_connections +Inf");
    metric_add(NULL, METRIC_HTTP_REQUESTS, "200", 1);
    metric_observe(NULL, METRIC_REQUEST_SECONDS, NULL, 1);
    b.len = 0;
    assert_true(metrics_print(NULL, &b));
    buf_free(&b);
    metrics_free(m);
    metrics_free(NULL);
}

static void histograms(void **state) {
    struct metrics *m = new_metrics();
    struct buf b = {0};
    (void)state;
    metric_observe(m, METRIC_REQUEST_SECONDS, NULL, 0.0005);
    metric_observe(m, METRIC_REQUEST_SECONDS, NULL, 0.001); /* a bound belongs to what is below it */
    metric_observe(m, METRIC_REQUEST_SECONDS, NULL, 0.0010001);
    metric_observe(m, METRIC_REQUEST_SECONDS, NULL, 600);
    metric_observe(m, METRIC_REQUEST_SECONDS, NULL, 5000);
    metric_observe(m, METRIC_REQUEST_SECONDS, NULL, (double)NAN);
    const char *text = print(m, &b);
    HAS(text, "# TYPE hearth_request_seconds histogram");
    HAS(text, "hearth_request_seconds_bucket{le=\"0.001\"} 2");
    HAS(text, "hearth_request_seconds_bucket{le=\"0.005\"} 3");
    HAS(text, "hearth_request_seconds_bucket{le=\"300\"} 3");
    HAS(text, "hearth_request_seconds_bucket{le=\"600\"} 4");
    HAS(text, "hearth_request_seconds_bucket{le=\"+Inf\"} 5");
    HAS(text, "hearth_request_seconds_count 5");
    assert_non_null(strstr(text, "\nhearth_request_seconds_sum 5600.0025"));
    buf_free(&b);
    metrics_free(m);
}

static void labels(void **state) {
    struct metrics *m = new_metrics();
    struct buf b = {0};
    char value[400];
    (void)state;
    metric_add(m, METRIC_HTTP_REQUESTS, "a\"b\\c\nd", 1);
    HAS(print(m, &b), "hearth_http_requests_total{status=\"a\\\"b\\\\c\\nd\"} 1");
    metric_add(m, METRIC_HTTP_REQUESTS, NULL, 1);
    HAS(print(m, &b), "hearth_http_requests_total{status=\"\"} 1");
    memset(value, 'x', sizeof value);
    value[399] = 0;
    memcpy(value + METRIC_VALUE_BYTES - 2, "\xc3\xa9", 2); /* would be cut in two */
    metric_add(m, METRIC_HTTP_REQUESTS, value, 1);
    metric_add(m, METRIC_HTTP_REQUESTS, value, 1);
    value[METRIC_VALUE_BYTES - 2] = 0;
    char line[500];
    snprintf(line, sizeof line, "\nhearth_http_requests_total{status=\"%s\"} 2\n", value);
    assert_non_null(strstr(print(m, &b), line));
    for (int i = 0; i < 2 * METRIC_VALUES; i++) {
        snprintf(value, sizeof value, "v%d", i);
        metric_add(m, METRIC_HTTP_REQUESTS, value, 1);
    }
    metric_add(m, METRIC_HTTP_REQUESTS, "other", 1);
    HAS(print(m, &b), "hearth_http_requests_total{status=\"other\"} 260");
    HAS(print(m, &b), "hearth_http_requests_total{status=\"v252\"} 1");
    assert_null(strstr(b.data, "\"v253\""));
    buf_free(&b);
    metrics_free(m);
}

static void several_labels(void **state) {
    struct metrics *m = new_metrics();
    struct buf b = {0};
    char value[64];
    (void)state;
    metric_add(m, METRIC_REQUESTS, "/v1/messages\t200\tember", 2);
    metric_add(m, METRIC_REQUESTS, "/v1/messages\t200\ta\tb\"", 1);
    metric_add(m, METRIC_REQUESTS, "/v1/messages", 1);
    metric_observe(m, METRIC_TOKEN_SECONDS, "ember", 0.004);
    HAS(print(m, &b), "hearth_requests_total{endpoint=\"/v1/messages\",status=\"200\",model=\"ember\"} 2");
    HAS(b.data, "hearth_requests_total{endpoint=\"/v1/messages\",status=\"200\",model=\"a\tb\\\"\"} 1");
    HAS(b.data, "hearth_requests_total{endpoint=\"/v1/messages\",status=\"\",model=\"\"} 1");
    HAS(b.data, "hearth_token_seconds_bucket{model=\"ember\",le=\"0.005\"} 1");
    HAS(b.data, "hearth_token_seconds_bucket{model=\"ember\",le=\"0.0025\"} 0");
    metric_set(m, METRIC_CACHE_BYTES, "a", 5);
    metric_set(m, METRIC_CACHE_BYTES, "b", 6);
    metric_clear(m, METRIC_CACHE_BYTES);
    metric_set(m, METRIC_CACHE_BYTES, "b", 7);
    HAS(print(m, &b), "hearth_cache_bytes{model=\"a\"} 0");
    HAS(b.data, "hearth_cache_bytes{model=\"b\"} 7");
    for (int i = 0; i < METRIC_VALUES; i++) {
        snprintf(value, sizeof value, "/v%d\t200\tember", i);
        metric_add(m, METRIC_REQUESTS, value, 1);
    }
    HAS(print(m, &b), "hearth_requests_total{endpoint=\"other\",status=\"other\",model=\"other\"} 3");
    buf_free(&b);
    metrics_free(m);
}

static void *count(void *arg) {
    for (int i = 0; i < 5000; i++) {
        metric_add(arg, METRIC_HTTP_REQUESTS, i % 2 ? "200" : "500", 1);
        metric_observe(arg, METRIC_REQUEST_SECONDS, NULL, 0.25);
    }
    return NULL;
}

static void threads(void **state) {
    struct metrics *m = new_metrics();
    struct buf b = {0};
    pthread_t t[4];
    (void)state;
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, count, m), 0);
    for (int i = 0; i < 20; i++) (void)print(m, &b);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    HAS(print(m, &b), "hearth_http_requests_total{status=\"200\"} 10000");
    HAS(b.data, "hearth_request_seconds_sum 5000");
    HAS(b.data, "hearth_request_seconds_count 20000");
    buf_free(&b);
    metrics_free(m);
}

static void without_memory(void **state) {
    int64_t before = mem_live();
    struct metrics *m;
    struct err e = {0};
    (void)state;
    mem_fail_after(1);
    assert_int_equal(metrics_new(&m, &e), ERR_MEMORY);
    mem_fail_after(0);
    m = new_metrics();
    mem_fail_after(1);
    metric_add(m, METRIC_HTTP_REQUESTS, "200", 1); /* counted all the same */
    struct buf b = {0};
    assert_false(metrics_print(m, &b));
    mem_fail_after(0);
    metric_add(m, METRIC_HTTP_REQUESTS, "200", 1);
    HAS(print(m, &b), "hearth_http_requests_total{status=\"other\"} 1");
    HAS(b.data, "hearth_http_requests_total{status=\"200\"} 1");
    buf_free(&b);
    metrics_free(m);
    assert_int_equal(mem_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(counted), cmocka_unit_test(histograms), cmocka_unit_test(labels), cmocka_unit_test(several_labels), cmocka_unit_test(threads), cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
