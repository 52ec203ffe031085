/* main.c: the program: finds the subcommand, prints its error, and exits with its status. The only place that exits, and the only
 * one that handles signals: Ctrl-C and its kin are noted for whoever works, a bus error (a mapped file that shrank) names file and offset. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/common.h"
#include "app/stop.h"
#include "base/log.h"
#include "base/os.h"

static const struct command *const commands[] = {&cmd_run, &cmd_chat, &cmd_tokenize, &cmd_inspect, &cmd_template, &cmd_perplexity, &cmd_bench, &cmd_logits, &cmd_embed, &cmd_quantize, &cmd_ledger, &cmd_serve};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *f) {
    (void)fprintf(f, "hearth: open-weight language models on your own machine\n\nusage: hearth COMMAND [FLAGS]; hearth COMMAND --help tells more;\n"
                     "hearth --help architectures lists the models that can be run\n\n");
    for (int i = 0; i < COMMANDS; i++)
        if (!commands[i]->hidden) (void)fprintf(f, "  %-12s %s\n", commands[i]->name, commands[i]->help);
    (void)fprintf(f, "\nExit status: 0 success, 1 a mistake of the program, 2 usage, 3 a file, 4 its format, 5 not supported, 6 memory,\n"
                     "7 context too small, 8 text, 9 template, 10 stopped, 11 a file vanished while in use.\n");
}

static void list_architectures(void) {
    for (int i = 0; model_arch_name(i); i++) (void)printf("%-16s %s\n", model_arch_name(i), model_arch_description(i));
}

/* Only async-signal-safe calls; the three signals hold each other back meanwhile. */
static void on_stop(int sig) {
    static atomic_llong since;
    enum { GRACE = 1000 };
    long long now = (long long)(os_now() * 1000);
    if (!interrupted) {
        atomic_store(&since, now);
        interrupted = sig;
        return;
    }
    if (conversing && sig == SIGINT && interrupted == SIGINT && now - atomic_load(&since) < GRACE) return;
    os_out_remove_all();
    (void)signal(sig, SIG_DFL); /* and come again when this returns */
    (void)raise(sig);
}

/* Appends text to a line that is full at the worst. */
static size_t append(char *line, size_t at, size_t cap, const char *text) {
    while (*text && at < cap) line[at++] = *text++;
    return at;
}

/* Only async-signal-safe calls. Several workers may come here at once: the first speaks for all. */
static void on_bus_error(int sig, siginfo_t *info, void *context) {
    static atomic_flag taken = ATOMIC_FLAG_INIT;
    const char *path;
    size_t offset, at = 0;
    char line[4608], digits[24];
    int first = (int)sizeof digits - 1;
    (void)context;
    if (!os_map_find(info->si_addr, &path, &offset)) { /* not a file of ours: die of it as if we were not here */
        (void)signal(sig, SIG_DFL);
        (void)raise(sig);
        return;
    }
    while (atomic_flag_test_and_set(&taken)) (void)pause();
    os_out_remove_all();
    digits[first] = 0;
    do digits[--first] = (char)('0' + offset % 10);
    while ((offset /= 10) > 0);
    at = append(line, at, sizeof line, "hearth: ");
    at = append(line, at, sizeof line - 200, path);
    at = append(line, at, sizeof line, ": cannot be read at byte ");
    at = append(line, at, sizeof line, digits + first);
    at = append(line, at, sizeof line, ": the file shrank or its disk failed while it was in use; put it back and start again\n");
    ssize_t ignored = write(STDERR_FILENO, line, at);
    (void)ignored;
    _exit(ERR_VANISHED);
}

static void handle_signals(void) {
    struct sigaction bus = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, stop = {.sa_handler = on_stop}, hangup; /* no SA_RESTART: reading a line ends */
    stop_signals(&stop.sa_mask);
    (void)sigaction(SIGBUS, &bus, NULL);
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) (void)sigaction(SIGHUP, &stop, NULL); /* else nohup was asked for */
    (void)signal(SIGPIPE, SIG_IGN);
}

/* What SIGTERM or SIGHUP stopped in order dies of it in the end, so that whoever sent it sees that it was heeded. */
static int status(int code) {
    int sig = interrupted;
    if (code == 0 || (sig != SIGTERM && sig != SIGHUP)) return code;
    (void)fflush(stdout);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
    return code;
}

/* Names of files, which may hold anything, must not break the line. */
static int failed(const char *command, const struct err *e, int code) {
    char shown[4 * sizeof e->msg];
    if (e->msg[0]) (void)fprintf(stderr, "hearth %s: %s\n", command, err_quote(shown, sizeof shown, e->msg, strlen(e->msg)));
    return code;
}

/* What the C library's own buffer holds must arrive, too. */
static int flushed(const char *command) {
    struct err e = {0};
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    return failed(command, &e, err_set(&e, ERR_IO, "standard output: cannot write: %s", strerror(errno)));
}

int main(int argc, char **argv) {
    struct err e = {0};
    if (argc < 2) {
        help(stderr);
        return ERR_USAGE;
    }
    if (argc > 2 && strcmp(argv[1], "help") == 0 && strcmp(argv[2], "architectures") != 0) { /* help NAME: NAME --help */
        static char flag[] = "--help";
        argv[1] = argv[2];
        argv[2] = flag;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        if (argc > 2 && strcmp(argv[2], "architectures") == 0) list_architectures();
        else help(stdout);
        return flushed(argv[1]);
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("hearth %s\n", HEARTH_VERSION);
        return flushed(argv[1]);
    }
    handle_signals();
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, argv[1]) == 0) {
            int code = commands[i]->run(argc - 1, argv + 1, &e);
            return status(code ? failed(argv[1], &e, code) : flushed(argv[1]));
        }
    (void)fprintf(stderr, "hearth: no command \"%.64s\"; hearth --help lists them\n", argv[1]);
    return ERR_USAGE;
}
