/* light.h: HEARTH_LIGHT=1 asks slow tests to do less, where every instruction takes many (an emulator, valgrind). They say so aloud. */
#ifndef HEARTH_TESTS_LIGHT_H
#define HEARTH_TESTS_LIGHT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* True when less is to be done; says what is then left out. */
static inline bool light(const char *left_out) {
    const char *asked = getenv("HEARTH_LIGHT");
    if (!asked || !*asked) return false;
    printf("SKIPPED: %s (HEARTH_LIGHT)\n", left_out);
    return true;
}

#endif
