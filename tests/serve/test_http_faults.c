/* test_http_faults.c: a server in this process whose Nth allocation fails, and all after it: the client is answered or its connection is closed, nothing is lost, and the
 * next request is served. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/http.h"

static _Atomic(struct http_request *) held; /* by hold, for the test's thread */

static void echo(void *ctx, struct http_request *r) {
    struct http_field field = {"X-Test", "yes"};
    (void)ctx;
    http_reply(r, &(struct http_reply){.status = 200, .type = "text/plain", .body = http_body(r), .fields = &field, .n_fields = 1});
}

static void hold(void *ctx, struct http_request *r) {
    (void)ctx;
    http_ref(r);
    struct http_request *before = atomic_exchange(&held, r);
    if (before) http_unref(before);
}

static bool error(int status, const char *message, struct buf *b) { return buf_printf(b, "%d %s", status, message); }

static const struct http_route routes[] = {{"POST", "/echo", echo, 0}, {"GET", "/hold/{id}", hold, 0}};
static const struct http_dialect dialect = {.name = "test", .routes = routes, .n_routes = 2, .error = error};
static const struct http_dialect *const dialects[] = {&dialect};

static void *serve(void *s) {
    struct err e = {0};
    return http_server_run(s, &e) ? s : NULL;
}

static void nap(void) { (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); }

static int connected(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval)), 0);
    return fd;
}

/* Sends, lets the test's thread reply if the request is held, and reads to the end. True: the answer has `expected` in it. */
static bool talk(int port, const char *text, const char *expected) {
    char got[8192];
    size_t n = 0;
    int fd = connected(port);
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
    for (int i = 0; strstr(text, "/hold") && i < 5000; i++) {
        struct http_request *r = atomic_exchange(&held, NULL);
        char c;
        if (r) {
            http_stream_begin(r, &(struct http_stream){.type = "text/event-stream", .ping = HTTP_PING});
            http_stream_event(r, "name", SLICE("a\nb"));
            for (int k = 0; k < 40; k++) http_stream_event(r, NULL, SLICE("some more data, so that the buffer has to grow now and then"));
            http_stream_end(r);
            http_unref(r);
            break;
        }
        if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) break; /* answered or closed already */
        nap();
    }
    for (;;) {
        ssize_t k = recv(fd, got + n, sizeof got - 1 - n, 0);
        if (k < 0) assert_false(errno == EAGAIN || errno == EWOULDBLOCK); /* nobody is left waiting */
        if (k <= 0) break;
        n += (size_t)k;
    }
    got[n] = 0;
    close(fd);
    return strstr(got, expected) != NULL;
}

static bool scenario(int port) {
    bool ok = talk(port, "POST /echo?a=b&c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello");
    ok = talk(port, "GET /hold/x%20y HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "now and then\n\n\r\n0\r\n\r\n") && ok;
    ok = talk(port, "PUT /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "405") && ok;
    return talk(port, "OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "POST, OPTIONS") && ok;
}

/* Waits until nothing is left but what was there before. */
static void settle(const struct http_server *s, int64_t memory) {
    for (int i = 0; i < 10000 && (http_server_live(s) || mem_live() != memory); i++) {
        struct http_request *r = atomic_exchange(&held, NULL); /* one whose client gave up before we came */
        if (r) http_unref(r);
        nap();
    }
    assert_int_equal(http_server_live(s), 0);
    assert_int_equal(mem_live(), memory);
}

static void every_allocation_fails_once(void **state) {
    struct err e = {0};
    struct metrics *m;
    struct keys *keys;
    struct http_server *s;
    pthread_t thread;
    void *failed = NULL;
    int64_t before = mem_live();
    (void)state;
    assert_int_equal(metrics_new(&m, &e), 0);
    assert_int_equal(keys_new(&keys, &e), 0);
    struct http_options o = {.dialects = dialects, .n_dialects = 1, .metrics = m};
    assert_int_equal(http_server_new(&s, &o, &e), 0);
    assert_int_equal(http_server_set_keys(s, keys, &e), 0);
    assert_int_equal(http_server_listen(s, "127.0.0.1", 0, &e), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
    const int port = http_server_port(s);
    assert_true(scenario(port));
    metric_add(m, METRIC_HTTP_REQUESTS, "499", 1); /* values of labels stay: have all of them now */
    metric_add(m, METRIC_HTTP_REQUESTS, "500", 1);
    metric_add(m, METRIC_HTTP_REQUESTS, "503", 1);
    metric_add(m, METRIC_STREAMS_CUT, "memory", 1);
    metric_add(m, METRIC_STREAMS_CUT, "cut", 1);
    while (http_server_live(s)) nap();
    for (int i = 0; i < 100; i++) nap();
    int64_t quiet = mem_live();
    int n = 1;
    for (;; n++) {
        mem_fail_after(n);
        bool ok = scenario(port), injected = mem_has_failed();
        mem_fail_after(0);
        settle(s, quiet);
        if (!injected) {
            assert_true(ok);
            break;
        }
        assert_true(scenario(port));
        settle(s, quiet);
        assert_true(n < 500);
    }
    printf("%d places where memory was short\n", n - 1);
    assert_true(n > 20);
    http_server_stop(s);
    pthread_join(thread, &failed);
    assert_null(failed);
    http_server_free(s);
    metrics_free(m);
    assert_int_equal(mem_live(), before);
}

static void starting_without_memory(void **state) {
    struct http_options o = {.dialects = dialects, .n_dialects = 1};
    int64_t before = mem_live();
    (void)state;
    for (int n = 1;; n++) {
        struct err e = {0};
        struct http_server *s;
        mem_fail_after(n);
        int code = http_server_new(&s, &o, &e);
        bool injected = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, injected ? ERR_MEMORY : 0);
        if (code) assert_null(s);
        http_server_free(s);
        assert_int_equal(mem_live(), before);
        if (!injected) break;
    }
}

static void serving_nowhere(void **state) {
    struct http_options o = {.dialects = dialects, .n_dialects = 1};
    struct err e = {0};
    struct http_server *s;
    (void)state;
    assert_int_equal(http_server_new(&s, &o, &e), 0);
    assert_int_equal(http_server_run(s, &e), ERR_USAGE);
    assert_int_equal(http_server_listen(s, "127.0.0.1", -1, &e), ERR_USAGE);
    assert_int_equal(http_server_port(s), 0);
    assert_int_equal(http_server_listen(s, "127.0.0.1", 0, &e), 0);
    assert_true(http_server_port(s) > 0);
    http_server_stop(s); /* before it runs */
    assert_int_equal(http_server_run(s, &e), 0);
    http_server_free(s);
    http_server_free(NULL);
}

/* The last key of a server that others can reach cannot be taken away. */
static void public_without_keys(void **state) {
    struct http_options o = {.dialects = dialects, .n_dialects = 1};
    struct err e = {0};
    struct http_server *s;
    struct keys *keys;
    int64_t before = mem_live();
    (void)state;
    assert_int_equal(http_server_new(&s, &o, &e), 0);
    assert_int_equal(http_server_listen(s, "0.0.0.0", 0, &e), ERR_USAGE);
    assert_int_equal(keys_new(&keys, &e), 0);
    assert_int_equal(keys_add(keys, SLICE("key"), NULL, &e), 0);
    assert_int_equal(http_server_set_keys(s, keys, &e), 0);
    assert_int_equal(http_server_listen(s, "0.0.0.0", 0, &e), 0);
    assert_int_equal(keys_new(&keys, &e), 0);
    assert_int_equal(http_server_set_keys(s, keys, &e), ERR_USAGE);
    assert_int_equal(http_server_set_keys(s, NULL, &e), ERR_USAGE);
    http_server_free(s);
    assert_int_equal(mem_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once), cmocka_unit_test(starting_without_memory), cmocka_unit_test(serving_nowhere), cmocka_unit_test(public_without_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
