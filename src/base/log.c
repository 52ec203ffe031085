/* log.c: diagnostics; see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int most = LOG_WARN;

void log_set_level(enum log_level level) { atomic_store(&most, (int)level); }

void log_line(enum log_level level, const char *fmt, ...) {
    static const char *const name[] = {"error", "warning", "info", "debug"};
    if ((int)level > atomic_load(&most)) return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "hearth: %s: %s\n", name[level], text);
}
