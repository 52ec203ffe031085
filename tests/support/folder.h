/* folder.h: a folder of its own for a test, and its files. */
#ifndef HEARTH_TESTS_FOLDER_H
#define HEARTH_TESTS_FOLDER_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void folder_make(char path[64]) {
    strcpy(path, "/tmp/hearth-test-XXXXXX");
    if (!mkdtemp(path)) perror(path), exit(1);
}

/* Calls fn for the path of each file in it; how many there are. */
static inline int folder_each(const char *path, void (*fn)(const char *file, void *ctx), void *ctx) {
    DIR *d = opendir(path);
    int n = 0;
    for (struct dirent *x; d && (x = readdir(d));) {
        char file[512];
        if (x->d_name[0] == '.') continue;
        (void)snprintf(file, sizeof file, "%s/%s", path, x->d_name);
        if (fn) fn(file, ctx);
        n++;
    }
    if (d) (void)closedir(d);
    return n;
}

static inline void file_remove(const char *file, void *ctx) {
    (void)ctx;
    (void)unlink(file);
}

static inline void file_size(const char *file, void *bytes) {
    struct stat st;
    if (stat(file, &st) == 0) *(uint64_t *)bytes += (uint64_t)st.st_size;
}

static inline int folder_files(const char *path) { return folder_each(path, NULL, NULL); }

static inline uint64_t folder_bytes(const char *path) {
    uint64_t n = 0;
    (void)folder_each(path, file_size, &n);
    return n;
}

static inline void folder_remove(const char *path) {
    (void)folder_each(path, file_remove, NULL);
    (void)rmdir(path);
}

#endif
