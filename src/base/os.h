/* os.h: what belongs to the operating system. One implementation per system: os_*.c. All calls are thread-safe. */
#ifndef HEARTH_OS_H
#define HEARTH_OS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

/* A file mapped read-only. While it is mapped, os_map_find tells which file and offset an address belongs to, so that
 * the handler of a bus error can name them. One of the size of a large page or more lies at a multiple of it and is kept in such pages where the
 * system can. */
struct os_map {
    const uint8_t *data;
    size_t size;
    int slot; /* in the registry of mappings */
};

int os_map_open(struct os_map *m, const char *path, struct err *e); /* ERR_IO: missing, unreadable, not a regular file; ERR_FORMAT: empty */
void os_map_close(struct os_map *m);

/* Brings bytes of a mapped file into memory, from disk if need be, and returns when they are there, or cannot be had: then whoever reads them finds out. */
void os_map_warm(const void *data, size_t n);

enum { OS_LARGE_PAGE = 2 << 20 };                                   /* their size where processors have them, as a rule */
void os_large_pages(void *p, size_t n);                             /* asks for memory at p, not written yet, to be in large pages */

/* Async-signal-safe. True when address lies in a mapping; *path then stays valid while it is mapped. */
bool os_map_find(const void *address, const char **path, size_t *offset);

bool os_is_folder(const char *path);                                /* there is one of that name */

/* Which file a name stands for now, and how it is. */
struct os_file {
    uint64_t device, inode, size; /* size in bytes */
    int64_t changed_s, changed_ns; /* since 1970 UTC */
};
bool os_file(const char *path, struct os_file *f);                  /* false: there is none */

/* The path without links, "." and "..", absolute; the caller frees it. ERR_IO: there is nothing of that name; ERR_MEMORY. */
int os_real_path(const char *path, char **real, struct err *e);

/* Appends a whole file ("-": standard input) of at most limit bytes to b, which the caller frees, also after an error. */
int os_read_file(const char *path, size_t limit, struct buf *b, struct err *e);

/* The same for a person who may not wait: ERR_CANCELLED soon after *stop is not 0 any more. */
int os_read_until(const char *path, size_t limit, const volatile sig_atomic_t *stop, struct buf *b, struct err *e);

/* Calls each for every name in a folder, in order of names, until it returns an error, which is then returned. ERR_IO: it cannot be read. */
int os_list_folder(const char *path, int (*each)(void *ctx, const char *name, struct err *e), void *ctx, struct err *e);

/* A file written piece by piece, so that path holds either the old or the whole new content: to a temporary name beside
 * it, fsync, rename. Standard output ("-", whose reader may go away: ERR_IO with an empty message) and what is not a regular file (a
 * pipe, /dev/stdout) are written straight to. Pieces are collected, so they may be small. One thread at a time. */
struct os_out;
int os_out_open(struct os_out **o, const char *path, struct err *e);
int os_out_write(struct os_out *o, const void *data, size_t n, struct err *e);
int os_out_flush(struct os_out *o, struct err *e);  /* what was collected goes out; for standard output and pipes */
int os_out_commit(struct os_out *o, struct err *e); /* puts the file in place; frees o, also when it fails */
void os_out_abort(struct os_out *o);                /* leaves path as it was; frees o; NULL is fine */

/* Async-signal-safe: removes the temporary names of all outputs that are open, for a handler that ends the process. None of them can be
 * committed any more. */
void os_out_remove_all(void);

/* ERR_USAGE when writing to path would overwrite a file that is mapped now (a model, in each of its parts) or one of n inputs by their names
 * ("-": standard input; NULL: none), under whatever name: files are the same when their device and inode are. For whoever asks before
 * os_out_open: that itself does not judge. Mappings beyond the first few hundred are not known. */
int os_out_check(const char *path, const char *const *inputs, int n, struct err *e);

/* os_out_open to os_out_commit for content that is there at once. */
int os_write_file(const char *path, const void *data, size_t n, struct err *e);

double os_now(void);                /* seconds on a clock that only goes forward */
int64_t os_wall_seconds(void);      /* seconds since 1970 UTC */
int64_t os_wall_ms(void);           /* the same in milliseconds */
uint64_t os_random(void);           /* from the system's generator, for seeds */
int os_cpu_count(void);             /* processors that this process may use (affinity and the cgroup's quota), at least 1 */

/* Processors by the system's numbers. What a thread may run on: none where the system does not say. */
enum { CPUS_MAX = 1024 };
struct cpus {
    int n;
    int id[CPUS_MAX];
};
void os_thread_cpus(struct cpus *c);             /* those of the calling thread, rising */
bool os_thread_bind(const int *id, int n);       /* the calling thread runs on these from now on; false: it may not */

/* What an Arm processor can do beyond the base line, as only the system can tell; 0 on others. */
enum { ARM_DOTPROD = 1, ARM_I8MM = 2, ARM_BF16 = 4 };
unsigned os_cpu_arm(void);

uint64_t os_memory_total(void);     /* bytes this process may use: physical memory or the cgroup's limit, the lesser; 0: unknown */
uint64_t os_memory_available(void); /* bytes that can be had without swapping; 0: unknown */
uint64_t os_memory_peak(void);      /* most bytes this process has held resident */
uint64_t os_memory_resident(void);  /* bytes it holds resident now, files that are mapped included */
bool os_is_terminal(int fd);

#endif
