/* test_service_faults.c: the whole server in this process, on the embedded model, whose Nth allocation fails, and all after it: a request is answered as ever, or refused, or
 * its connection ends; nothing is lost, and the next one is answered as ever. And bodies that are spoilt at random. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serve/anthropic.h"
#include "serve/ollama.h"
#include "serve/openai.h"
#include "support/light.h"

enum { REPLY = 1 << 16, MOST = 20000 };

struct request {
    const char *path, *body;
    bool kept; /* something of it stays in memory */
};

#define WEATHER "\"name\": \"weather\", \"description\": \"of a place\", "
#define PLACE "{\"type\": \"object\", \"properties\": {\"place\": {\"type\": \"string\", \"maxLength\": 4}}, \"required\": [\"place\"], \"additionalProperties\": false}"
#define SAID "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]"

static const struct request requests[] = {
    {"/v1/embeddings", "{\"input\": [\"Hello\", \"Once upon a time\", [5, 6, 7]], \"encoding_format\": \"base64\"}", false},
    {"/v1/embeddings", "{\"input\": \"Hello\"}", false},
    {"/v1/completions", "{\"prompt\": [\"The capital\", [5, 6, 7]], \"best_of\": 2, \"seed\": 1, \"max_tokens\": 2, \"echo\": true, \"logprobs\": 2}", false},
    {"/v1/completions", "{\"prompt\": [\"a\", \"b\"], \"seed\": 1, \"max_tokens\": 1, \"echo\": true, \"logprobs\": 1, \"stream\": true}", false},
    {"/tokenize", "{\"content\": \"The capital \\u00e9\", \"with_pieces\": true}", false},
    {"/tokenize", "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}", false},
    {"/detokenize", "{\"tokens\": [5, 700, 205]}", false},
    {"/apply-template", "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}", false},
    {"/infill", "{\"input_prefix\": \"a\", \"input_suffix\": \"b\", \"input_extra\": [{\"text\": \"c\"}]}", false}, /* which the model refuses */
    {"/v1/rerank", "{\"query\": \"a\", \"documents\": [\"b\"]}", false},                                            /* likewise */
    {"/v1/chat/completions", "{" SAID ", \"max_tokens\": 4, \"logprobs\": true, \"top_logprobs\": 2, \"n\": 2, \"seed\": 1, \"stop\": [\"q\"]}", false},
    {"/v1/chat/completions", "{" SAID ", \"max_tokens\": 40, \"seed\": 1, \"stream\": true, \"tool_choice\": \"required\", \"tools\": [{\"type\": \"function\", \"function\": {" WEATHER "\"strict\": true, \"parameters\": " PLACE "}}]}", false},
    {"/v1/chat/completions", "{" SAID ", \"max_tokens\": 40, \"seed\": 1, \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"x\", \"strict\": true, \"schema\": " PLACE "}}}", false},
    {"/v1/messages", "{\"model\": \"ember\", \"system\": [{\"type\": \"text\", \"text\": \"Be kind.\"}], " SAID ", \"max_tokens\": 40, \"temperature\": 0, \"tool_choice\": {\"type\": \"any\"}, \"tools\": [{" WEATHER "\"input_schema\": " PLACE "}]}", false},
    {"/v1/messages", "{\"model\": \"ember\", " SAID ", \"max_tokens\": 4, \"temperature\": 0, \"stream\": true}", false},
    {"/v1/messages/count_tokens", "{\"model\": \"ember\", " SAID "}", false},
    {"/v1/responses", "{\"input\": \"Hi\", \"max_output_tokens\": 16, \"store\": false, \"temperature\": 0, \"tools\": [{\"type\": \"namespace\", \"name\": \"n\", \"description\": \"Of n.\", \"tools\": [{\"type\": \"function\", " WEATHER "\"strict\": true, \"parameters\": " PLACE "}]}]}", false},
    {"/v1/responses", "{\"input\": \"Hi\", \"max_output_tokens\": 16, \"temperature\": 0}", true},
    {"/v1/responses", "{\"input\": [{\"role\": \"user\", \"content\": [{\"type\": \"input_text\", \"text\": \"Hi\"}]}], \"max_output_tokens\": 16, \"store\": false, \"temperature\": 0, \"stream\": true}", false},
    {"/api/chat", "{\"model\": \"ember\", " SAID ", \"options\": {\"num_predict\": 4, \"seed\": 1}, \"stream\": false}", false},
    {"/api/generate", "{\"model\": \"ember\", \"prompt\": \"Once\", \"options\": {\"num_predict\": 4, \"seed\": 1}, \"stream\": true}", false},
};

static void *serve(void *s) {
    struct err e = {0};
    return http_server_run(s, &e) ? s : NULL;
}

static void nap(void) { (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL); }

/* The reply's status and body in out; 0: the connection ended before. */
static int ask(int port, const struct request *r, char *out) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static char text[REPLY];
    size_t n = 0;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 60}, sizeof(struct timeval)), 0);
    const int len = snprintf(text, sizeof text, "POST %s HTTP/1.0\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", r->path, strlen(r->body), r->body);
    (void)send(fd, text, (size_t)len, MSG_NOSIGNAL);
    for (ssize_t k; n + 1 < sizeof text && (k = recv(fd, text + n, sizeof text - 1 - n, 0)) != 0; n += (size_t)k) {
        if (k < 0) assert_false(errno == EAGAIN || errno == EWOULDBLOCK); /* nobody is left waiting */
        if (k < 0) break;
    }
    text[n] = 0;
    close(fd);
    const char *body = strstr(text, "\r\n\r\n");
    int status = 0;
    if (!body || sscanf(text, "HTTP/1.%*d %d", &status) != 1) return 0;
    (void)snprintf(out, REPLY, "%s", body + 4);
    return status;
}

/* Takes out of a reply what is another each time: ids, times, and what came from the cache. */
static void settle_text(char *text) {
    static const char *const members[] = {"\"id\": \"", "\"item_id\": \"", "\"call_id\": \"", "\"created\": ", "\"created_at\": ", "\"completed_at\": ", "\"cached_tokens\": ", "\"cache_read_input_tokens\": ",
                                          "\"cache_creation_input_tokens\": ", "\"input_tokens\": ", "_duration\": "};
    char *to = text;
    for (const char *p = text; *p;) {
        for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
            const size_t n = strlen(members[i]);
            if (strncmp(p, members[i], n) == 0) p += n + strcspn(p + n, ",}");
        }
        if (*p) *to++ = *p++;
    }
    *to = 0;
}

static void settle(const struct http_server *s, const struct request *r, int64_t memory) {
    for (int i = 0; i < 100000 && (http_server_live(s) || (!r->kept && mem_live() != memory)); i++) nap();
    assert_int_equal(http_server_live(s), 0);
    if (!r->kept) assert_int_equal(mem_live(), memory);
}

/* Streams of several choices may come in another order: the events, sorted. */
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void sort_events(char *text) {
    static char copy[REPLY];
    char *event[256], *rest = NULL;
    size_t n = 0, at = 0;
    memcpy(copy, text, strlen(text) + 1);
    for (char *p = strtok_r(copy, "\n", &rest); p && n < 256; p = strtok_r(NULL, "\n", &rest)) event[n++] = p;
    qsort(event, n, sizeof *event, by_text);
    for (size_t i = 0; i < n; i++) at += (size_t)snprintf(text + at, REPLY - at, "%s\n", event[i]);
}

static int whole(int port, const struct request *r, char *out) {
    const int status = ask(port, r, out);
    if (!status) return 0;
    settle_text(out);
    if (strstr(r->body, "\"stream\": true")) sort_events(out);
    return status;
}

static int try_all(int port, const struct http_server *s, const struct request *r, int step) {
    static char expected[REPLY], got[REPLY];
    int status = whole(port, r, expected), n = 1;
    assert_int_not_equal(status, 0);
    assert_int_equal(whole(port, r, got), status); /* what is kept from request to request is there now */
    assert_string_equal(got, expected);
    while (http_server_live(s)) nap();
    for (int i = 0; i < 50; i++) nap();
    const int64_t quiet = mem_live();
    for (;; n += step) {
        mem_fail_after(n);
        const int now = whole(port, r, got);
        const bool injected = mem_has_failed();
        mem_fail_after(0);
        settle(s, r, quiet);
        if (!injected || (now == status && !strstr(r->body, "\"stream\": true"))) {
            assert_int_equal(now, status);
            assert_string_equal(got, expected);
        } else if (now && now != 200) {
            if (now != 500 && now != 503) fail_msg("%s, allocation %d: status %d, %s", r->path, n, now, got);
        }
        if (!injected) break;
        if (n % 4) continue;
        assert_int_equal(whole(port, r, got), status);
        assert_string_equal(got, expected);
        settle(s, r, quiet);
        assert_true(n < MOST);
    }
    return n;
}

/* ---- one server for all tests ---- */

struct stage {
    struct service *service;
    struct http_server *server;
    pthread_t thread;
    int port;
    int64_t before;
};

static void open_stage(struct stage *g) {
    static const struct http_dialect *const dialects[] = {&openai_dialect, &anthropic_dialect, &ollama_dialect};
    struct err e = {0};
    *g = (struct stage){.before = mem_live()};
    assert_int_equal(service_new(&g->service, &(struct service_options){.threads = 1, .engine = {.n_ctx = 1024, .kv_type = DT_F32, .max_logits = 64}, .parallel = 16}, &e), 0);
    const struct http_options o = {.dialects = dialects, .n_dialects = sizeof dialects / sizeof *dialects, .ctx = g->service};
    assert_int_equal(http_server_new(&g->server, &o, &e), 0);
    assert_int_equal(http_server_listen(g->server, "127.0.0.1", 0, &e), 0);
    assert_int_equal(pthread_create(&g->thread, NULL, serve, g->server), 0);
    g->port = http_server_port(g->server);
}

static void close_stage(struct stage *g) {
    void *failed = NULL;
    http_server_stop(g->server);
    assert_int_equal(pthread_join(g->thread, &failed), 0);
    assert_null(failed);
    service_free(g->service);
    http_server_free(g->server);
    assert_int_equal(mem_live(), g->before);
}

static void every_allocation_fails_once(void **state) {
    struct stage g;
    const int step = light("six allocations of seven") ? 7 : 1;
    (void)state;
    open_stage(&g);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) printf("%s: %d places where memory was short\n", requests[i].path, try_all(g.port, g.server, &requests[i], step) - 1);
    close_stage(&g);
}

/* The first embedding, for which an embedder is made: each time in a new server that has opened its model. */
static void the_first_embedding(void **state) {
    static const struct request open = {"/tokenize", "{\"content\": \"x\"}", false}, *const embed = &requests[0];
    static char expected[REPLY], got[REPLY];
    const int step = light("nine allocations of ten") ? 10 : 1;
    int n = 1, refused = 0;
    (void)state;
    for (bool injected = true; injected; n += step) {
        struct stage g;
        open_stage(&g);
        assert_int_equal(ask(g.port, &open, got), 200);
        mem_fail_after(n);
        const int status = ask(g.port, embed, got);
        injected = mem_has_failed();
        mem_fail_after(0);
        if (status != 200 && status != 503 && status != 500 && status != 0) fail_msg("allocation %d: %d %s", n, status, got);
        refused += status != 200;
        assert_int_equal(ask(g.port, embed, got), 200);
        if (!*expected) memcpy(expected, got, sizeof got);
        assert_string_equal(got, expected);
        close_stage(&g);
    }
    assert_true(refused > 2);
    printf("%d places where memory was short, %d of them told\n", n / step, refused);
}

/* Bodies spoilt at random: cut, doubled, with bytes of others in them. All are answered, most of them with what is wrong. */
static void spoilt_bodies(void **state) {
    static const char bytes[] = "{}[]\",:0123456789.-eEtfn\\u \x80\xFF\0";
    static char got[REPLY];
    struct stage g;
    struct rng rng = rng_new(5, 17);
    const int rounds = light("nine of ten spoilt bodies") ? 40 : 400;
    int refused = 0;
    (void)state;
    open_stage(&g);
    for (int i = 0; i < rounds; i++) {
        const struct request *r = &requests[rng_below(&rng, sizeof requests / sizeof *requests)];
        char body[1024];
        size_t n = strlen(r->body);
        memcpy(body, r->body, n + 1);
        for (uint32_t k = 1 + rng_below(&rng, 3); k-- > 0;) {
            const size_t at = rng_below(&rng, (uint32_t)n);
            if (rng_below(&rng, 4) == 0) memmove(body + at, body + at + 1, n-- - at);
            else if (rng_below(&rng, 3) == 0) memmove(body + at + 1, body + at, ++n - at);
            else body[at] = bytes[rng_below(&rng, sizeof bytes - 1)];
        }
        body[n] = 0;
        const struct request spoilt = {r->path, body, false};
        const int status = ask(g.port, &spoilt, got);
        if (status != 200 && status != 400 && status != 404) fail_msg("%s %s: %d %s", r->path, body, status, got);
        if (status != 200 && !strstr(got, "\"error\"")) fail_msg("%s %s: %d %s", r->path, body, status, got);
        refused += status != 200;
    }
    assert_true(refused > rounds / 4);
    close_stage(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once), cmocka_unit_test(the_first_embedding), cmocka_unit_test(spoilt_bodies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
