/* chat.c: asks a chat model one question, through the model's own template.
 *   cc chat.c $(pkg-config --cflags --libs hearth) -o chat && ./chat "Who are you?" [model.gguf] */
#include <hearth.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int code, const struct hearth_error *error) {
    if (code == 0) return;
    fprintf(stderr, "chat: %s\n", error->message);
    exit(code);
}

int main(int argc, char **argv) {
    struct hearth_error error;
    hearth_model *model;
    hearth_sequence *sequence;
    struct hearth_token token;
    struct hearth_message messages[] = {{.role = "system", .content = "You answer in one sentence."}, {.role = "user", .content = argc > 1 ? argv[1] : "Who are you?"}};
    struct hearth_sampling greedy = HEARTH_GREEDY_INIT;
    static int32_t ids[4096];
    int count;

    check(hearth_open(&model, argc > 2 ? argv[2] : NULL, NULL, &error), &error);
    check(hearth_template(model, messages, 2, "{\"enable_thinking\": false}", ids, 4096, &count, &error), &error);
    check(hearth_sequence_new(&sequence, model, &error), &error);
    check(hearth_set_sampling(sequence, &greedy, &error), &error);
    check(hearth_feed(sequence, ids, count, &error), &error);
    for (int i = 0; i < 200; i++) {
        check(hearth_sample(sequence, &token, &error), &error);
        fwrite(token.text, 1, token.text_length, stdout);
        fflush(stdout);
        if (token.end) break;
    }
    putchar('\n');
    hearth_sequence_free(sequence);
    hearth_close(model);
    return 0;
}
