/* complete.c: continues a text with a model, token by token.
 *   cc complete.c $(pkg-config --cflags --libs hearth) -o complete && ./complete "Once upon a time" [model.gguf] */
#include <hearth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int code, const struct hearth_error *error) {
    if (code == 0) return;
    fprintf(stderr, "complete: %s\n", error->message);
    exit(code);
}

int main(int argc, char **argv) {
    struct hearth_error error;
    hearth_model *model;
    hearth_sequence *sequence;
    struct hearth_token token;
    const char *text = argc > 1 ? argv[1] : "Once upon a time";
    int count;

    check(hearth_open(&model, argc > 2 ? argv[2] : NULL, NULL, &error), &error);
    check(hearth_tokenise(model, text, strlen(text), HEARTH_ADD_SPECIAL, NULL, 0, &count, &error), &error);
    int32_t *ids = malloc(sizeof *ids * (size_t)(count + 1));
    if (!ids) return HEARTH_MEMORY;
    check(hearth_tokenise(model, text, strlen(text), HEARTH_ADD_SPECIAL, ids, count, &count, &error), &error);

    check(hearth_sequence_new(&sequence, model, &error), &error);
    check(hearth_feed(sequence, ids, count, &error), &error);
    fputs(text, stdout);
    for (int i = 0; i < 64; i++) {
        check(hearth_sample(sequence, &token, &error), &error);
        if (token.end) break;
        fwrite(token.text, 1, token.text_length, stdout);
        fflush(stdout);
    }
    putchar('\n');

    free(ids);
    hearth_sequence_free(sequence);
    hearth_close(model);
    return 0;
}
