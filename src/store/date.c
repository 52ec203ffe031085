/* date.c: days of the calendar; see date.h. */
#define _GNU_SOURCE
#include "store/date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY_MS = 86400000, ERA_DAYS = 146097 /* in 400 years */, EPOCH = 719468 /* days from 0000-03-01 to 1970-01-01 */ };

/* Years are counted from March, so that the leap day is the last of its year: the months before a month then have (153 m + 2) / 5 days. */
int32_t date_of(int year, int month, int day) {
    int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9, of_era = y % 400;
    return (int32_t)(y / 400 * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1 - EPOCH);
}

static void split(int32_t date, int *year, int *month, int *day) {
    int64_t all = (int64_t)date + EPOCH, era = all / ERA_DAYS, d = all % ERA_DAYS;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365, in_year = d - (365 * y + y / 4 - y / 100), m = (5 * in_year + 2) / 153;
    *day = (int)(in_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + era * 400 + (*month <= 2));
}

/* n digits at s */
static bool digits(const char *s, int n, int *v) {
    *v = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        *v = *v * 10 + s[i] - '0';
    }
    return true;
}

bool date_parse(struct slice t, int32_t *date) {
    int year, month, day, y, m, d;
    if (t.n != DATE_TEXT - 1 || t.p[4] != '-' || t.p[7] != '-' || !digits(t.p, 4, &year) || !digits(t.p + 5, 2, &month) || !digits(t.p + 8, 2, &day)) return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31) return false;
    *date = date_of(year, month, day);
    split(*date, &y, &m, &d);
    return d == day; /* else it is a day of the next month */
}

void date_text(int32_t date, char out[DATE_TEXT]) {
    int year, month, day;
    split(date < 0 ? 0 : date, &year, &month, &day);
    if (year > 9999) year = 9999;
    const int parts[] = {year / 100, year % 100, month, day};
    static const int at[] = {0, 2, 5, 8};
    memcpy(out, "0000-00-00", DATE_TEXT);
    for (int i = 0; i < 4; i++) {
        out[at[i]] = (char)('0' + parts[i] / 10);
        out[at[i] + 1] = (char)('0' + parts[i] % 10);
    }
}

int32_t date_utc(int64_t ms) { return (int32_t)(ms / DAY_MS - (ms % DAY_MS < 0)); }

int32_t date_local(int64_t ms) {
    time_t t = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm tm;
    if (!localtime_r(&t, &tm)) return date_utc(ms);
    return date_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

int64_t date_local_start(int32_t date) {
    struct tm tm = {.tm_isdst = -1};
    split(date, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    time_t t = mktime(&tm);
    return t == (time_t)-1 ? (int64_t)date * DAY_MS : (int64_t)t * 1000;
}
