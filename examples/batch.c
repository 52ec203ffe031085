/* batch.c: two continuations of one text at once: the second shares the first's memory of it, and both share every step.
 *   cc batch.c $(pkg-config --cflags --libs hearth) -o batch && ./batch "The weather" [model.gguf] */
#include <hearth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int code, const struct hearth_error *error) {
    if (code == 0) return;
    fprintf(stderr, "batch: %s\n", error->message);
    exit(code);
}

int main(int argc, char **argv) {
    struct hearth_error error;
    hearth_model *model;
    hearth_sequence *sequence[2];
    struct hearth_token token;
    const char *text = argc > 1 ? argv[1] : "The weather";
    static int32_t ids[4096];
    static char out[2][4096];
    int count;

    check(hearth_open(&model, argc > 2 ? argv[2] : NULL, NULL, &error), &error);
    check(hearth_tokenise(model, text, strlen(text), HEARTH_ADD_SPECIAL, ids, 4096, &count, &error), &error);
    check(hearth_sequence_new(&sequence[0], model, &error), &error);
    check(hearth_feed(sequence[0], ids, count, &error), &error);
    check(hearth_sequence_fork(&sequence[1], sequence[0], &error), &error);
    for (int s = 0; s < 2; s++) {
        struct hearth_sampling sampling = HEARTH_SAMPLING_INIT;
        sampling.seed = (uint64_t)s + 1;
        check(hearth_set_sampling(sequence[s], &sampling, &error), &error);
    }
    double logprob[2] = {0, 0};
    for (int i = 0; i < 32; i++)
        for (int s = 0; s < 2; s++) {
            check(hearth_sample(sequence[s], &token, &error), &error);
            logprob[s] += (double)token.logprob;
            strncat(out[s], token.text, sizeof out[s] - strlen(out[s]) - 1);
        }
    for (int s = 0; s < 2; s++) printf("%d (log-probability %.1f): %s%s\n", s + 1, logprob[s], text, out[s]);
    hearth_close(model); /* frees the sequences too */
    return 0;
}
