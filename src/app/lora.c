/* lora.c: an adapter beside a session's model; see lora.h. */
#include "app/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FILE or FILE:NUMBER; *path is the caller's to free. */
static int read_spec(const char *spec, char **path, float *scale, struct err *e) {
    const char *colon = strrchr(spec, ':');
    char *end = NULL;
    *scale = 1;
    float number = colon ? strtof(colon + 1, &end) : 1;
    bool scaled = colon && end != colon + 1 && !*end;
    if (scaled && !isfinite(number)) return err_set(e, ERR_USAGE, "--lora %.200s: an adapter cannot act %s times as strongly", spec, colon + 1);
    if (scaled) *scale = number;
    *path = mem_strndup(spec, scaled ? (size_t)(colon - spec) : strlen(spec));
    return *path ? 0 : err_nomem(e, "a file's name", strlen(spec));
}

int lora_open(struct session *s, const struct string_list *given, struct err *e) {
    char *path = NULL;
    float scale;
    if (given->n == 0) return 0;
    if (given->n > 1) return err_set(e, ERR_USAGE, "--lora %.100s: a sequence can have one adapter, and there is %.100s already", given->at[1], given->at[0]);
    int code = read_spec(given->at[0], &path, &scale, e);
    if (code == 0) code = adapter_open(&s->adapter, path, s->model, scale, e);
    if (code == 0) code = engine_adapter_add(s->engine, s->adapter, &s->adapter_id, e);
    mem_free(path);
    return code;
}

/* Its number and the position from which it acts on ids; NO_ADAPTER: it does not. */
static int place(const struct session *s, const int32_t *ids, size_t n, int *from) {
    *from = s->adapter ? adapter_start(s->adapter, ids, n > INT32_MAX ? INT32_MAX : (int)n) : -1;
    return *from < 0 ? NO_ADAPTER : s->adapter_id;
}

size_t lora_same(const struct session *s, const struct seq *q, const int32_t *ids, size_t n, size_t same) {
    int from, had_from, id = place(s, ids, n, &from), had = seq_adapter(q, &had_from);
    if (id == had && (id == NO_ADAPTER || from == had_from)) return same;
    if (id != NO_ADAPTER && (size_t)from < same) same = (size_t)from;
    if (had != NO_ADAPTER && (size_t)had_from < same) same = (size_t)had_from;
    return same;
}

int lora_set(const struct session *s, struct seq *q, const int32_t *ids, size_t n, struct err *e) {
    int from, id = place(s, ids, n, &from);
    if (s->adapter && id == NO_ADAPTER) (void)fprintf(stderr, "hearth: the invocation of the adapter %s is not in the text: the model goes on without it\n", adapter_path(s->adapter));
    return seq_set_adapter(q, id, from, e);
}

int lora_shift(struct seq *q, int keep, int drop, struct err *e) {
    int from, id = seq_adapter(q, &from);
    if (id == NO_ADAPTER || from <= keep) return 0;
    return seq_set_adapter(q, id, from - keep > drop ? from - drop : keep, e);
}
