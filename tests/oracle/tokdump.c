/* tokdump.c: for vocab.py: texts on standard input, each ended by a NUL, to lines of ids. Usage: tokdump MODEL [PRE] */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "engine/vocab.h"

int main(int argc, char **argv) {
    struct err e = {0};
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct buf in = {0};
    if (argc < 2 || gguf_open(&g, argv[1], &e) || vocab_open(&t, g, slice_of(argc > 2 ? argv[2] : ""), &e) || os_read_file("-", 1u << 30, &in, &e)) {
        fprintf(stderr, "tokdump: %s\n", argc < 2 ? "usage: tokdump MODEL [PRE]" : e.msg);
        return 1;
    }
    for (size_t at = 0; at < in.len;) {
        struct tokens ids = {0};
        size_t n = strnlen(in.data + at, in.len - at);
        if (tokenizer_encode(t, (struct slice){in.data + at, n}, NULL, &ids, &e)) printf("error: %s", e.msg);
        for (size_t i = 0; i < ids.n; i++) printf("%s%d", i ? " " : "", ids.id[i]);
        printf("\n");
        tokens_free(&ids);
        at += n + 1;
    }
    buf_free(&in);
    tokenizer_free(t);
    gguf_close(g);
    return 0;
}
