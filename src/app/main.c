/* main.c: the program: finds the subcommand, prints its error, and exits with its status. The only place that exits. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "base/log.h"

static const struct command *const commands[] = {&cmd_logits};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *f) {
    (void)fprintf(f, "hearth: open-weight language models on your own machine\n\nusage: hearth COMMAND [FLAGS]; hearth COMMAND --help tells more\n\n");
    for (int i = 0; i < COMMANDS; i++)
        if (!commands[i]->hidden) (void)fprintf(f, "  %-12s %s\n", commands[i]->name, commands[i]->help);
}

int main(int argc, char **argv) {
    struct err e = {0};
    int code = ERR_USAGE;
    if (argc < 2) {
        help(stderr);
        return ERR_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        return 0;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, argv[1]) == 0) {
            code = commands[i]->run(argc - 1, argv + 1, &e);
            if (code) (void)fprintf(stderr, "hearth %s: %s\n", argv[1], e.msg);
            return code;
        }
    (void)fprintf(stderr, "hearth: no command \"%.64s\"; hearth --help lists them\n", argv[1]);
    return code;
}
