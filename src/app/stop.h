/* stop.h: the signals that end the program in order; main.c takes them. For files that define _GNU_SOURCE. */
#ifndef HEARTH_APP_STOP_H
#define HEARTH_APP_STOP_H

#include <signal.h>

/* Ctrl-C, and what a system sends that shuts down, or a terminal that goes away. */
static inline void stop_signals(sigset_t *set) {
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGHUP);
}

#endif
