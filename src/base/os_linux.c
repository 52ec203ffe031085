/* os_linux.c: os.h for Linux. */
#define _GNU_SOURCE
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The registry is read by a signal handler, so it is a fixed table of atomics: a slot is taken by swapping its state
 * from 0 to 1, filled, and published by 2. */
enum { MAX_MAPS = 512, PATH_KEPT = 512 };
static struct {
    atomic_int state;
    const uint8_t *data;
    size_t size;
    char path[PATH_KEPT];
} maps[MAX_MAPS];

static int map_register(const uint8_t *data, size_t size, const char *path) {
    for (int i = 0; i < MAX_MAPS; i++) {
        int expected = 0;
        if (!atomic_compare_exchange_strong(&maps[i].state, &expected, 1)) continue;
        maps[i].data = data;
        maps[i].size = size;
        (void)snprintf(maps[i].path, sizeof maps[i].path, "%s", path);
        atomic_store(&maps[i].state, 2);
        return i;
    }
    return -1; /* more than MAX_MAPS at once: a bus error is then reported without a name */
}

bool os_map_find(const void *address, const char **path, size_t *offset) {
    const uint8_t *a = address;
    for (int i = 0; i < MAX_MAPS; i++) {
        if (atomic_load(&maps[i].state) != 2 || a < maps[i].data || a >= maps[i].data + maps[i].size) continue;
        *path = maps[i].path;
        *offset = (size_t)(a - maps[i].data);
        return true;
    }
    return false;
}

int os_map_open(struct os_map *m, const char *path, struct err *e) {
    *m = (struct os_map){.slot = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    int code = 0;
    if (fstat(fd, &st) != 0) code = err_set(e, ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode)) code = err_set(e, ERR_IO, "%s: is a folder; give a file", path);
    else if (!S_ISREG(st.st_mode)) code = err_set(e, ERR_IO, "%s: not a regular file, cannot be mapped; copy it to disk first", path);
    else if (st.st_size == 0) code = err_set(e, ERR_FORMAT, "%s: the file is empty", path);
    if (code == 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            code = err_set(e, errno == ENOMEM ? ERR_MEMORY : ERR_IO, "%s: cannot map: %s", path, strerror(errno));
        } else {
            m->data = p;
            m->size = (size_t)st.st_size;
            m->slot = map_register(m->data, m->size, path);
        }
    }
    (void)close(fd);
    return code;
}

void os_map_close(struct os_map *m) {
    if (!m->data) return;
    if (m->slot >= 0) atomic_store(&maps[m->slot].state, 0);
    (void)munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct os_map){.slot = -1};
}

void os_map_willneed(const struct os_map *m) {
    if (m->data) (void)madvise((void *)(uintptr_t)m->data, m->size, MADV_WILLNEED);
}

int os_read_file(const char *path, size_t limit, struct buf *b, struct err *e) {
    bool standard_input = strcmp(path, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    const char *name = standard_input ? "standard input" : path;
    int code = 0;
    size_t total = 0;
    while (code == 0) {
        if (!buf_reserve(b, 65536)) {
            code = err_nomem(e, name, b->len + 65536);
            break;
        }
        ssize_t n = read(fd, b->data + b->len, 65536);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) code = err_set(e, ERR_IO, "%s: cannot read: %s", name, strerror(errno));
        if (n <= 0) break;
        b->len += (size_t)n;
        total += (size_t)n;
        if (total > limit) code = err_set(e, ERR_IO, "%s: longer than the %zu bytes that are read at most", name, limit);
    }
    if (b->data) b->data[b->len] = 0;
    if (!standard_input) (void)close(fd);
    return code;
}

static int write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

int os_write_file(const char *path, const void *data, size_t n, struct err *e) {
    struct buf tmp = {0};
    if (!buf_printf(&tmp, "%s.XXXXXX", path)) return err_nomem(e, "a file name", strlen(path) + 8);
    int fd = mkostemp(tmp.data, O_CLOEXEC), code = 0;
    if (fd < 0) {
        code = err_set(e, ERR_IO, "%s: cannot create: %s", path, strerror(errno));
        buf_free(&tmp);
        return code;
    }
    mode_t mask = umask(0);
    (void)umask(mask);
    if (write_all(fd, data, n) != 0 || fchmod(fd, 0666 & ~mask) != 0 || fsync(fd) != 0)
        code = err_set(e, ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (close(fd) != 0 && code == 0) code = err_set(e, ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (code == 0 && rename(tmp.data, path) != 0) code = err_set(e, ERR_IO, "%s: cannot rename into place: %s", path, strerror(errno));
    if (code != 0) (void)unlink(tmp.data);
    buf_free(&tmp);
    return code;
}

double os_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t os_wall_seconds(void) { return (int64_t)time(NULL); }

uint64_t os_random(void) {
    uint64_t r = 0;
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r) r = (uint64_t)os_now() ^ (uint64_t)(uintptr_t)&r;
    return r;
}

int os_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* One number from a small file of /proc or /sys after `key`; 0 where it is not there. */
static uint64_t number_in(const char *path, const char *key) {
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    char line[256];
    uint64_t v = 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) {
            v = strtoull(line + strlen(key), NULL, 10);
            break;
        }
    (void)fclose(f);
    return v;
}

uint64_t os_memory_total(void) {
    uint64_t total = number_in("/proc/meminfo", "MemTotal:") * 1024, cgroup = number_in("/sys/fs/cgroup/memory.max", "");
    return cgroup && cgroup < total ? cgroup : total;
}

uint64_t os_memory_available(void) {
    uint64_t available = number_in("/proc/meminfo", "MemAvailable:") * 1024;
    uint64_t max = number_in("/sys/fs/cgroup/memory.max", ""), now = number_in("/sys/fs/cgroup/memory.current", "");
    uint64_t cache = number_in("/sys/fs/cgroup/memory.stat", "file "); /* page cache is counted as used but gives way */
    uint64_t held = now > cache ? now - cache : 0;
    if (max && max > held && max - held < available) available = max - held;
    return available;
}

uint64_t os_memory_peak(void) { return number_in("/proc/self/status", "VmHWM:") * 1024; }
bool os_is_terminal(int fd) { return isatty(fd) == 1; }
