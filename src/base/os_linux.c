/* os_linux.c: os.h for Linux. */
#define _GNU_SOURCE
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif
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
    atomic_ullong device, inode; /* os_out_check looks at them while others come and go */
    char path[PATH_KEPT];
} maps[MAX_MAPS];

static int map_register(const uint8_t *data, const struct stat *st, const char *path) {
    for (int i = 0; i < MAX_MAPS; i++) {
        int expected = 0;
        if (!atomic_compare_exchange_strong(&maps[i].state, &expected, 1)) continue;
        maps[i].data = data;
        maps[i].size = (size_t)st->st_size;
        atomic_store(&maps[i].device, st->st_dev);
        atomic_store(&maps[i].inode, st->st_ino);
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

/* Maps a file where large pages can be used: at a multiple of their size, and saying that they are wanted. The system's cache then keeps the file in
 * such pages if it is this that brings it in, for us and for whoever maps it later; what it has already stays as it is. NULL: errno says why not. */
static void *map_file(int fd, size_t size) {
    if (size < OS_LARGE_PAGE) {
        void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    uint8_t *room = mmap(NULL, size + OS_LARGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return NULL;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (OS_LARGE_PAGE - (uintptr_t)room % OS_LARGE_PAGE) % OS_LARGE_PAGE, used = (size + page - 1) / page * page;
    uint8_t *p = mmap(room + before, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    const int failed = p == MAP_FAILED ? errno : 0;
    if (failed) (void)munmap(room, size + OS_LARGE_PAGE);
    else {
        if (before) (void)munmap(room, before);
        if (before + used < size + OS_LARGE_PAGE) (void)munmap(p + used, size + OS_LARGE_PAGE - before - used);
        (void)madvise(p, size, MADV_HUGEPAGE);
    }
    errno = failed;
    return failed ? NULL : p;
}

int os_map_open(struct os_map *m, const char *path, struct err *e) {
    *m = (struct os_map){.slot = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us here: it is refused below */
    if (fd < 0) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    int code = 0;
    if (fstat(fd, &st) != 0) code = err_set(e, ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode)) code = err_set(e, ERR_IO, "%s: is a folder; give a file", path);
    else if (!S_ISREG(st.st_mode)) code = err_set(e, ERR_IO, "%s: not a regular file, cannot be mapped; copy it to disk first", path);
    else if (st.st_size == 0) code = err_set(e, ERR_FORMAT, "%s: the file is empty; fetch or write it again", path);
    if (code == 0) {
        void *p = map_file(fd, (size_t)st.st_size);
        if (!p) {
            code = err_set(e, errno == ENOMEM ? ERR_MEMORY : ERR_IO, "%s: cannot map: %s", path, strerror(errno));
        } else {
            m->data = p;
            m->size = (size_t)st.st_size;
            m->slot = map_register(m->data, &st, path);
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

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

void os_map_warm(const void *data, size_t n) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)data / page * page, to = (uintptr_t)data + n;
    void *start = (uint8_t *)(uintptr_t)data - ((uintptr_t)data - from);
    if (n && madvise(start, to - from, MADV_POPULATE_READ) != 0) (void)madvise(start, to - from, MADV_WILLNEED);
}

bool os_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool os_file(const char *path, struct os_file *f) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    *f = (struct os_file){st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
    return true;
}

int os_real_path(const char *path, char **real, struct err *e) {
    char found[PATH_MAX];
    *real = NULL;
    if (!realpath(path, found)) return err_set(e, ERR_IO, "%.300s: %s", path, strerror(errno));
    *real = mem_strndup(found, strlen(found));
    return *real ? 0 : err_nomem(e, "a path", strlen(found));
}

void os_large_pages(void *p, size_t n) { (void)madvise(p, n, MADV_HUGEPAGE); }

enum { READ_BYTES = 65536, LOOK_MS = 100 };

/* Waits until fd has something to read; false: *stop came first. A wait is short, and the flag is looked at before each, since a signal that comes
 * between looking and waiting, or to another thread, wakes nobody here. */
static bool wait_for_bytes(int fd, const volatile sig_atomic_t *stop) {
    struct pollfd in = {.fd = fd, .events = POLLIN};
    while (stop && !*stop) {
        int n = poll(&in, 1, LOOK_MS);
        if (n > 0 || (n < 0 && errno != EINTR)) break;
    }
    return !stop || !*stop;
}

static int open_to_read(const char *path, const volatile sig_atomic_t *stop) {
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC); /* a named pipe waits here for its writer */
    while (fd < 0 && errno == EINTR && !(stop && *stop));
    return fd;
}

int os_read_until(const char *path, size_t limit, const volatile sig_atomic_t *stop, struct buf *b, struct err *e) {
    bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "standard input" : path;
    int fd = standard_input ? STDIN_FILENO : open_to_read(path, stop);
    if (fd < 0 && errno == EINTR) return err_set(e, ERR_CANCELLED, "%s: stopped while reading", name);
    if (fd < 0) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    int code = 0;
    size_t total = 0;
    while (code == 0) {
        if (!buf_reserve(b, READ_BYTES)) {
            code = err_nomem(e, name, b->len + READ_BYTES);
            break;
        }
        if (!wait_for_bytes(fd, stop)) {
            code = err_set(e, ERR_CANCELLED, "%s: stopped while reading", name);
            break;
        }
        ssize_t n = read(fd, b->data + b->len, READ_BYTES);
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

int os_read_file(const char *path, size_t limit, struct buf *b, struct err *e) { return os_read_until(path, limit, NULL, b, e); }

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

/* The regular file that a name stands for, "-" being the given standard stream. */
static bool regular_file(const char *path, int standard, struct stat *st) {
    return (strcmp(path, "-") == 0 ? fstat(standard, st) : stat(path, st)) == 0 && S_ISREG(st->st_mode);
}

static int would_overwrite(const char *path, const char *input, struct err *e) {
    return err_set(e, ERR_USAGE, "%s: would overwrite the input %s; give the output another name", strcmp(path, "-") == 0 ? "standard output" : path, input);
}

int os_out_check(const char *path, const char *const *inputs, int n, struct err *e) {
    struct stat out, in;
    if (!regular_file(path, STDOUT_FILENO, &out)) return 0;
    for (int i = 0; i < MAX_MAPS; i++)
        if (atomic_load(&maps[i].state) == 2 && atomic_load(&maps[i].device) == out.st_dev && atomic_load(&maps[i].inode) == out.st_ino)
            return would_overwrite(path, maps[i].path, e);
    for (int i = 0; i < n; i++)
        if (inputs[i] && regular_file(inputs[i], STDIN_FILENO, &in) && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return would_overwrite(path, inputs[i], e);
    return 0;
}

/* Temporary names that are in use. Handlers of signals take them too: a name belongs to whoever took it out of here. */
enum { MAX_OUTS = 64 };
static _Atomic(char *) temporaries[MAX_OUTS];

/* -1: more than MAX_OUTS at once; a process that is ended from outside then leaves the file. */
static int temporary_register(char *name) {
    for (int i = 0; i < MAX_OUTS; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&temporaries[i], &none, name)) return i;
    }
    return -1;
}

void os_out_remove_all(void) {
    for (int i = 0; i < MAX_OUTS; i++) {
        const char *name = atomic_exchange(&temporaries[i], NULL);
        if (name) (void)unlink(name);
    }
}

enum { OUT_BYTES = 65536 };
static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int os_list_folder(const char *path, int (*each)(void *ctx, const char *name, struct err *e), void *ctx, struct err *e) {
    DIR *folder = opendir(path);
    struct arena names = {.limit = 256 << 20};
    char **list = NULL;
    size_t n = 0, cap = 0;
    int code = folder ? 0 : err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
    for (struct dirent *d; code == 0 && (d = readdir(folder));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        char **more = n < cap ? list : mem_array(list, cap = 2 * cap + 16, sizeof *list);
        if (more) list = more;
        if (!more || !(list[n] = arena_strndup(&names, d->d_name, strlen(d->d_name)))) code = err_nomem(e, "a folder's names", n);
        else n++;
    }
    if (folder) (void)closedir(folder);
    if (n) qsort(list, n, sizeof *list, by_name);
    for (size_t i = 0; code == 0 && i < n; i++) code = each(ctx, list[i], e);
    mem_free(list);
    arena_free(&names);
    return code;
}

struct os_out {
    int fd;
    bool standard;    /* standard output, which is not ours to close */
    char *path, *tmp; /* tmp NULL: written straight to */
    int slot;         /* of tmp among the temporaries */
    size_t held;
    char bytes[OUT_BYTES];
};

/* Gives up the temporary name. */
static void tmp_free(struct os_out *o) {
    char *mine = o->tmp;
    bool taken = mine && o->slot >= 0 && !atomic_compare_exchange_strong(&temporaries[o->slot], &mine, NULL);
    if (!taken) mem_free(o->tmp); /* else a handler reads it, and the process ends */
    o->tmp = NULL;
}

static void out_free(struct os_out *o) {
    tmp_free(o);
    mem_free(o->path);
    mem_free(o);
}

/* Creates a file of a new name beside path. The name is registered before there is a file, so that no signal finds one that nobody knows of. Not
 * mkostemp: the kernel then applies the umask by itself. */
static int out_create(struct os_out *o) {
    int why = ENOMEM;
    for (int tries = 0; tries < 100; tries++) {
        struct buf name = {0};
        if (!buf_printf(&name, "%s.%08llx.tmp", o->path, (unsigned long long)os_random() & 0xffffffff)) {
            buf_free(&name);
            break;
        }
        o->tmp = name.data;
        o->slot = temporary_register(o->tmp);
        o->fd = open(o->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0) return 0;
        why = errno;
        tmp_free(o);
        if (why != EEXIST) break;
    }
    errno = why;
    return -1;
}

/* Names of descriptors that are open already, be it a file behind them: a new file in the place of such a name would be nobody's. */
static bool names_descriptor(const char *path) {
    return strncmp(path, "/dev/std", 8) == 0 || strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/proc/", 6) == 0;
}

int os_out_open(struct os_out **out, const char *path, struct err *e) {
    *out = NULL;
    struct os_out *o = mem_alloc(sizeof *o);
    if (!o) return err_nomem(e, path, sizeof *o);
    bool standard = strcmp(path, "-") == 0;
    if (standard) path = "standard output";
    *o = (struct os_out){.fd = standard ? STDOUT_FILENO : -1, .standard = standard, .path = mem_strndup(path, strlen(path))};
    if (!o->path) {
        out_free(o);
        return err_nomem(e, path, strlen(path) + 1);
    }
    struct stat st;
    bool straight = standard || (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || names_descriptor(path)));
    if (straight && !standard) o->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC); /* behind what was written there before */
    if (straight ? o->fd < 0 : out_create(o) != 0) {
        int code = err_set(e, errno == ENOMEM ? ERR_MEMORY : ERR_IO, "%s: cannot create: %s", path, strerror(errno));
        out_free(o);
        return code;
    }
    *out = o;
    return 0;
}

static int out_put(struct os_out *o, const char *p, size_t n, struct err *e) {
    if (write_all(o->fd, p, n) == 0) return 0;
    bool gone = o->standard && errno == EPIPE; /* the reader */
    int code = err_set(e, ERR_IO, "%s: cannot write: %s", o->path, strerror(errno));
    if (gone && e) e->msg[0] = 0;
    return code;
}

int os_out_flush(struct os_out *o, struct err *e) {
    size_t n = o->held;
    o->held = 0;
    return out_put(o, o->bytes, n, e);
}

int os_out_write(struct os_out *o, const void *data, size_t n, struct err *e) {
    if (n > OUT_BYTES - o->held) {
        int code = os_out_flush(o, e);
        if (code) return code;
        if (n >= OUT_BYTES) return out_put(o, data, n, e);
    }
    if (n) memcpy(o->bytes + o->held, data, n);
    o->held += n;
    return 0;
}

int os_out_commit(struct os_out *o, struct err *e) {
    int code = os_out_flush(o, e);
    if (code == 0 && o->tmp && fsync(o->fd) != 0) code = err_set(e, ERR_IO, "%s: cannot write: %s", o->path, strerror(errno));
    if (!o->standard && close(o->fd) != 0 && code == 0) code = err_set(e, ERR_IO, "%s: cannot write: %s", o->path, strerror(errno));
    if (code == 0 && o->tmp && rename(o->tmp, o->path) != 0)
        code = err_set(e, ERR_IO, "%s: cannot rename into place: %s", o->path, strerror(errno));
    if (code != 0 && o->tmp) (void)unlink(o->tmp);
    out_free(o);
    return code;
}

void os_out_abort(struct os_out *o) {
    if (!o) return;
    if (!o->standard) (void)close(o->fd);
    if (o->tmp) (void)unlink(o->tmp);
    out_free(o);
}

int os_write_file(const char *path, const void *data, size_t n, struct err *e) {
    struct os_out *o;
    int code = os_out_open(&o, path, e);
    if (code) return code;
    if ((code = os_out_write(o, data, n, e)) == 0) return os_out_commit(o, e);
    os_out_abort(o);
    return code;
}

double os_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t os_wall_seconds(void) { return (int64_t)time(NULL); }

int64_t os_wall_ms(void) {
    struct timespec t;
    return clock_gettime(CLOCK_REALTIME, &t) == 0 ? (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 : os_wall_seconds() * 1000;
}

uint64_t os_random(void) {
    uint64_t r = 0;
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r) r = (uint64_t)os_now() ^ (uint64_t)(uintptr_t)&r;
    return r;
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

/* Processors that the cgroup's quota amounts to, rounded up; 0: no quota. The file reads "max 100000" or "QUOTA PERIOD". */
static long long quota_cpus(void) {
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f) return 0;
    long long quota = 0, period = 0;
    int n = fscanf(f, "%lld %lld", &quota, &period);
    (void)fclose(f);
    return n == 2 && quota > 0 && period > 0 ? quota / period + (quota % period != 0) : 0;
}

void os_thread_cpus(struct cpus *c) {
    cpu_set_t set;
    c->n = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return;
    for (size_t i = 0; i < CPU_SETSIZE && c->n < CPUS_MAX; i++)
        if (CPU_ISSET(i, &set)) c->id[c->n++] = (int)i;
}

bool os_thread_bind(const int *id, int n) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= CPU_SETSIZE) return false;
        CPU_SET((size_t)id[i], &set);
    }
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

int os_cpu_count(void) {
    cpu_set_t set;
    long long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0, quota = quota_cpus();
    if (n <= 0) n = sysconf(_SC_NPROCESSORS_ONLN);
    if (quota && quota < n) n = quota;
    return n > 0 ? (int)n : 1;
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

#if defined(__aarch64__)
unsigned os_cpu_arm(void) {
    const unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    return (one & HWCAP_ASIMDDP ? ARM_DOTPROD : 0u) | (two & HWCAP2_I8MM ? ARM_I8MM : 0u) | (two & HWCAP2_BF16 ? ARM_BF16 : 0u);
}
#else
unsigned os_cpu_arm(void) { return 0; }
#endif

uint64_t os_memory_peak(void) { return number_in("/proc/self/status", "VmHWM:") * 1024; }
uint64_t os_memory_resident(void) { return number_in("/proc/self/status", "VmRSS:") * 1024; }
bool os_is_terminal(int fd) { return isatty(fd) == 1; }
