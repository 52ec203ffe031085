/* fuzz_openai_responses.c: bodies of /v1/responses from anywhere: they are read or refused with a message, and nothing stays behind. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/http_internal.h"
#include "serve/openai_responses.h"

static void need(bool holds) {
    if (!holds) abort();
}

/* Where responses are kept; it lives as long as the process. */
static struct service *kept;

static void leave(void) { service_free(kept); }

static struct service *service(void) {
    struct err e;
    if (!kept) need(service_new(&kept, &(struct service_options){.threads = 1}, &e) == 0 && atexit(leave) == 0);
    return kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_request http;
    struct answer a = {.service = service(), .http = &http, .endpoint = &openai_responses, .arena = {.limit = 1 << 26}, .id = "0123456789abcdef"};
    struct err e = {0};
    a.ask = (struct ask){.sampling = sampler_defaults(), .max_tokens = -1, .n = 1, .logprobs = -1, .parallel = true, .budget = -1};
    const int code = body_parse(&a.body, (struct slice){(const char *)data, size}, &e) ? e.code : a.endpoint->read(&a, a.body, &e);
    need(code == 0 || (code == e.code && e.msg[0]));
    if (code == 0) {
        json_t *input = turn_of(&a)->input ? json_loads(turn_of(&a)->input, 0, NULL) : NULL;
        need(value_count(a.ask.messages) > 0 && (input != NULL) == turn_of(&a)->store);
        for (size_t i = 0; i < json_array_size(input); i++) need(json_is_string(json_object_get(json_array_get(input, i), "id")));
        json_decref(input);
    }
    json_decref(a.body);
    arena_free(&a.arena);
    return 0;
}
