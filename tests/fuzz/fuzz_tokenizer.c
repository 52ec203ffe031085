/* fuzz_tokenizer.c: any bytes as a vocabulary and a text. What is made of them must encode without harm, never turn ordinary text into
 * a control token, decode every id, and, where each byte has its token, give the text back.
 *
 * The input: kind, pre-tokenizer, flags, number of tokens, of merges, of bytes of a character map (two bytes); then tokens (type, score,
 * length, bytes), merges (length, bytes), the map; the rest is the text.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

enum { WITH_BYTES = 1, PREFIX = 2, MERGE_SPACES = 4, NO_TYPES = 8, ADD = 16, SPANS = 32, SUFFIX = 64 };

struct input {
    struct tokenizer_spec spec;
    struct slice token[256 + 255], merge[255], text;
    int32_t type[256 + 255];
    float score[256 + 255];
    char bytes[256][8];
    uint8_t flags;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const models[] = {"gpt2", "llama", "t5", "bert", "rwkv", "gemma4"};

static struct slice take(struct cursor *c, size_t n) {
    const uint8_t *p = cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
    return p ? (struct slice){(const char *)p, (size_t)(c->at - p)} : (struct slice){0};
}

static struct slice pre_name(uint8_t choice) {
    size_t n = 0;
    while (tokenizer_pre_name(n)) n++;
    const char *names = tokenizer_pre_name(choice % n);
    return (struct slice){names, strcspn(names, " ")};
}

static void add_token(struct input *in, struct slice text, int32_t type, float score) {
    size_t i = in->spec.n_tokens++;
    in->token[i] = text;
    in->type[i] = type;
    in->score[i] = score;
}

static void add_bytes(struct input *in, bool mapped) {
    uint32_t next = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool shown = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
        char *s = in->bytes[b];
        if (mapped)
            s[utf8_put(s, shown ? b : next++)] = 0;
        else
            (void)snprintf(s, sizeof in->bytes[b], "<0x%02X>", b);
        add_token(in, slice_of(s), mapped ? TOKEN_NORMAL : TOKEN_BYTE, 0);
    }
}

static void read_input(struct input *in, struct cursor *c) {
    struct tokenizer_spec *s = &in->spec;
    tokenizer_spec_init(s);
    uint8_t kind = cursor_u8(c) % (sizeof models / sizeof *models);
    s->model = slice_of(models[kind]);
    s->pre = pre_name(cursor_u8(c));
    in->flags = cursor_u8(c);
    uint8_t n_tokens = cursor_u8(c), n_merges = cursor_u8(c);
    uint16_t n_map = cursor_u16(c);
    bool raw = kind == 5 || slice_is(s->pre, "gemma4") || slice_is(s->pre, "sarvam-moe");
    if (in->flags & WITH_BYTES) add_bytes(in, kind == 0 && !raw);
    for (int i = 0; i < n_tokens; i++) {
        int32_t type = cursor_u8(c) % 9 - 1;
        uint32_t bits = cursor_u32(c);
        float score;
        memcpy(&score, &bits, sizeof score);
        add_token(in, take(c, cursor_u8(c)), type, score);
    }
    for (; s->n_merges < n_merges; s->n_merges++) in->merge[s->n_merges] = take(c, cursor_u8(c));
    s->precompiled_charsmap = take(c, n_map);
    in->text = take(c, cursor_left(c));
    s->tokens = in->token;
    s->merges = in->merge;
    s->has_merges = true;
    s->scores = in->score;
    s->types = in->flags & NO_TYPES ? NULL : in->type;
    s->add_space_prefix = !!(in->flags & PREFIX);
    s->remove_extra_whitespaces = !!(in->flags & MERGE_SPACES);
    s->treat_whitespace_as_suffix = !!(in->flags & SUFFIX);
    s->lowercase = !!(in->flags & PREFIX);
    s->role[ROLE_UNK] = in->flags;
}

/* Every byte has its token, and the kind loses nothing. */
static bool lossless(const struct tokenizer *t, const struct input *in) {
    for (int b = 0; b < 256; b++)
        if (tokenizer_byte(t, (uint8_t)b) < 0) return false;
    return slice_is(in->spec.model, "gpt2") || slice_is(in->spec.model, "llama") || slice_is(in->spec.model, "gemma4");
}

static void check(const struct tokenizer *t, const struct input *in) {
    struct tokens ids = {.limit = 1 << 16};
    struct buf back = {0};
    struct err e = {0};
    struct byte_span span = {in->text.n / 3, in->text.n / 2};
    struct encode_options o = {.add_special = in->flags & ADD, .parse = in->flags & SPANS ? SPECIAL_SPANS : SPECIAL_ALL, .spans = &span, .n_spans = 1};
    int rc = tokenizer_encode(t, in->text, &o, &ids, &e);
    CHECK(rc == 0 || rc == ERR_TEXT || rc == ERR_FORMAT || rc == ERR_CONTEXT);
    for (size_t i = 0; i < ids.n; i++) CHECK(ids.id[i] >= 0 && (uint32_t)ids.id[i] < tokenizer_count(t));
    CHECK(tokenizer_decode(t, ids.id, ids.n, true, &back, &e) == 0);
    ids.n = back.len = 0;
    rc = tokenizer_encode(t, in->text, NULL, &ids, &e);
    for (size_t i = 0; i < ids.n; i++) CHECK(tokenizer_type(t, ids.id[i]) != TOKEN_CONTROL || ids.id[i] == tokenizer_role(t, ROLE_UNK));
    CHECK(tokenizer_decode(t, ids.id, ids.n, false, &back, &e) == 0);
    if (lossless(t, in)) {
        CHECK(rc == 0);
        CHECK(slice_eq((struct slice){back.data, back.len}, in->text));
    }
    tokens_free(&ids);
    buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct input in;
    struct cursor c = cursor_of(data, size);
    struct tokenizer *t = NULL;
    struct err e = {0};
    log_set_level(LOG_ERROR);
    memset(&in, 0, sizeof in);
    read_input(&in, &c);
    int64_t before = mem_live();
    int rc = tokenizer_new(&t, &in.spec, &e);
    CHECK(rc == 0 ? t != NULL : t == NULL && e.msg[0]);
    if (t) check(t, &in);
    tokenizer_free(t);
    CHECK(mem_live() == before);
    return 0;
}
