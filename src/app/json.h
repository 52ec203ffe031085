/* json.h: what commands print as JSON. */
#ifndef HEARTH_APP_JSON_H
#define HEARTH_APP_JSON_H

#include "base/err.h"
#include "base/json.h"

/* Writes everything and a newline to standard output, and frees it. ERR_MEMORY, ERR_IO. */
int jw_print(struct jw *j, struct err *e);

#endif
