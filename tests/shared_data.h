/* shared_data.h: where tests find the data that is not the project's own. The folder is $HEARTH_SHARED, or ../shared seen
 * from the repository root; a clone without it skips what needs it, and says so.
 */
#ifndef HEARTH_TESTS_SHARED_DATA_H
#define HEARTH_TESTS_SHARED_DATA_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes the path of data/NAME into out. Returns 1 when it can be read; else prints a line and returns 0. */
static inline int shared_data(char *out, size_t cap, const char *name) {
    const char *root = getenv("HEARTH_SHARED");
    (void)snprintf(out, cap, "%s/data/%s", root && *root ? root : "../shared", name);
    if (access(out, R_OK) == 0) return 1;
    printf("SKIPPED: %s is not there (set HEARTH_SHARED)\n", out);
    return 0;
}

/* Calls fn(path) for every file in data/FOLDER whose name ends in `suffix`. Returns how many there were. */
static inline int shared_each(const char *folder, const char *suffix, void (*fn)(const char *path)) {
    char path[4096];
    int n = 0;
    if (!shared_data(path, sizeof path, folder)) return 0;
    size_t len = strlen(path);
    DIR *d = opendir(path);
    for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
        size_t name = strlen(entry->d_name), end = strlen(suffix);
        if (name < end || strcmp(entry->d_name + name - end, suffix) != 0) continue;
        (void)snprintf(path + len, sizeof path - len, "/%s", entry->d_name);
        fn(path);
        n++;
    }
    if (d) (void)closedir(d);
    return n;
}

#endif
