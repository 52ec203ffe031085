/* tok_decode.c: from ids to bytes: what each token stands for, and the decoder that gives out whole characters.
 *
 * The bytes of every token are worked out once (pieces_build) and then only pointed to.
 */
#include <string.h>

#include "text/tok_internal.h"
#include "base/utf8.h"

/* GPT-2 writes each byte as a printable character: those of Latin-1 as they are, the rest from U+0100 on, in order. */
static bool shows_itself(unsigned b) { return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE; }

uint32_t byte_to_char(uint8_t b) {
    if (shows_itself(b)) return b;
    uint32_t hidden = 0; /* bytes before b that do not show themselves */
    for (unsigned i = 0; i < b; i++) hidden += !shows_itself(i);
    return 256 + hidden;
}

#define MAPPED_CHARS 324 /* U+0143 is the last */

static void char_to_byte_table(int16_t table[MAPPED_CHARS]) {
    memset(table, -1, MAPPED_CHARS * sizeof *table);
    for (unsigned b = 0; b < 256; b++) table[byte_to_char((uint8_t)b)] = (int16_t)b;
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

int byte_spelt(struct slice s) {
    if (s.n != 6 || memcmp(s.p, "<0x", 3) || s.p[5] != '>' || hex(s.p[3]) < 0 || hex(s.p[4]) < 0) return -1;
    return hex(s.p[3]) * 16 + hex(s.p[4]);
}

/* Writes what s stands for to out, which has room for s.n bytes, and returns the length. */
static size_t unmap_bytes(struct slice s, const int16_t table[MAPPED_CHARS], char *out) {
    size_t n = 0;
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t cp = 0;
        len = utf8_char(s.p + i, s.n - i, &cp);
        if (len && cp < MAPPED_CHARS && table[cp] >= 0) {
            out[n++] = (char)table[cp];
        } else { /* not of the alphabet: stands for itself */
            if (!len) len = 1;
            memcpy(out + n, s.p + i, len);
            n += len;
        }
    }
    return n;
}

static size_t unmap_spaces(struct slice s, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        bool block = s.n - i >= 3 && !memcmp(s.p + i, LOWER_BLOCK, 3);
        out[n++] = block ? ' ' : s.p[i];
        i += block ? 3 : 1;
    }
    return n;
}

int pieces_build(struct tokenizer *t, struct err *e) {
    int16_t table[MAPPED_CHARS];
    char_to_byte_table(table);
    size_t total = 0, used = 0;
    for (uint32_t i = 0; i < t->n; i++) total += t->text[i].n;
    char *all = arena_alloc(&t->arena, total);
    t->piece = arena_array(&t->arena, t->n, sizeof *t->piece);
    if (!all || !t->piece) return err_nomem(e, "the bytes of the tokens", total);
    for (uint32_t i = 0; i < t->n; i++) {
        struct slice s = t->text[i];
        char *to = all + used;
        int byte = t->type[i] == TOKEN_BYTE ? byte_spelt(s) : -1;
        size_t n = s.n;
        bool special = token_is_special(t, i);
        if (byte >= 0) {
            n = 1;
            *to = (char)byte;
            if (t->byte_id[byte] < 0) t->byte_id[byte] = (int32_t)i;
        } else if (!special && t->byte_level) {
            n = unmap_bytes(s, table, to);
        } else if ((!special || t->type[i] == TOKEN_USER_DEFINED) && t->lower_block) {
            n = unmap_spaces(s, to);
        } else if (n) {
            memcpy(to, s.p, n);
        }
        t->piece[i] = (struct slice){to, n};
        used += n;
    }
    return ERR_OK;
}

/* ---- the decoder */

/* Whether the decoder's next token carries a space that the encoder put there. */
static bool space_follows(const struct tokenizer *t, int32_t id) {
    return t->add_space_prefix && t->lower_block && (id < 0 || tokenizer_is_control(t, id) || tokenizer_type(t, id) == TOKEN_USER_DEFINED);
}

void decoder_init(struct decoder *d, const struct tokenizer *t, int32_t previous) {
    *d = (struct decoder){.t = t, .drop_space = space_follows(t, previous)};
}

/* Bytes at the end of text that begin a character and do not finish it: 0 to 3. */
static size_t unfinished(const char *text, size_t n) {
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        uint8_t b = (uint8_t)text[n - k];
        if (b < 0x80) return 0;
        if (b >= 0xC0) return b >= 0xC2 && b <= 0xF4 && k < (b >= 0xF0 ? 4u : b >= 0xE0 ? 3u : 2u) ? k : 0;
    }
    return 0;
}

int decoder_add(struct decoder *d, int32_t id, struct buf *out, struct err *e) {
    const struct tokenizer *t = d->t;
    if (id < 0 || (uint32_t)id >= t->n) return err_set(e, ERR_TEXT, "token id %d is outside the vocabulary of %u tokens", id, t->n);
    struct slice s = t->piece[id];
    bool control = tokenizer_is_control(t, id);
    if (control && !d->control) s.n = 0;
    if (!control && d->drop_space && s.n && s.p[0] == ' ' && t->type[id] != TOKEN_USER_DEFINED) s = (struct slice){s.p + 1, s.n - 1};
    size_t before = out->len;
    if (!buf_add(out, d->held, d->held_n) || !buf_add(out, s.p, s.n)) {
        out->len = before;
        if (out->data) out->data[before] = 0;
        return err_nomem(e, "the decoded text", s.n);
    }
    d->drop_space = space_follows(t, id);
    size_t keep = unfinished(out->data + before, out->len - before);
    out->len -= keep;
    memcpy(d->held, out->data + out->len, keep);
    out->data[out->len] = 0;
    d->held_n = (uint8_t)keep;
    return ERR_OK;
}

int decoder_end(struct decoder *d, struct buf *out, struct err *e) {
    if (!buf_add(out, d->held, d->held_n)) return err_nomem(e, "the decoded text", d->held_n);
    d->held_n = 0;
    return ERR_OK;
}

int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool control, struct buf *out, struct err *e) {
    struct decoder d;
    decoder_init(&d, t, TOKEN_NONE);
    d.control = control;
    int rc = ERR_OK;
    for (size_t i = 0; i < n && !rc; i++) rc = decoder_add(&d, ids[i], out, e);
    return rc ? rc : decoder_end(&d, out, e);
}
