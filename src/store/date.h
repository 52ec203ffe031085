/* date.h: days of the Gregorian calendar as numbers: days since 1970-01-01. Any thread; local days follow the environment's TZ. */
#ifndef HEARTH_DATE_H
#define HEARTH_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

enum { DATE_TEXT = 11 }; /* bytes of "YYYY-MM-DD" and a NUL */

int32_t date_of(int year, int month, int day); /* of a day that there is */

/* Exactly YYYY-MM-DD, a day that there is, from 1970 to 9999. */
bool date_parse(struct slice text, int32_t *day);
void date_text(int32_t day, char out[DATE_TEXT]);

int32_t date_utc(int64_t ms);         /* the day in which a moment lies, ms since 1970 UTC */
int32_t date_local(int64_t ms);       /* the same on the clocks of this place; the UTC day where they cannot tell */
int64_t date_local_start(int32_t day); /* the first ms of a day on the clocks of this place */

#endif
