/* energy.c: powercap's counters; see energy.h.
 *
 * /sys/class/powercap holds a folder for each zone: "intel-rapl:0" is a package, "intel-rapl:0:1" a part of it, whose name says which. A package's count
 * includes its cores but not its memory ("dram"). "psys", which some laptops have beside the packages, covers them and would count twice, as would
 * the same packages under "intel-rapl-mmio". AMD's processors come under the same names.
 */
#define _GNU_SOURCE
#include "host/energy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { ZONES = 64, ZONE_NAME = 64 };
static const char system_folder[] = "/sys/class/powercap";
static const uint64_t YEAR_US = 366ull * 24 * 3600 * 1000000;

struct zone {
    int fd; /* of energy_uj */
    uint64_t last, limit; /* microjoules; limit is the largest value before 0 */
};

struct energy_meter {
    uint32_t watts;
    int n;
    struct zone zone[ZONES];
    char why[256]; /* empty: it measures */
};

/* Reads a small file of the system; the length, or -1 with errno. */
static ssize_t read_line(int fd, char *text, size_t cap) {
    ssize_t n;
    do n = pread(fd, text, cap - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -1;
    while (n > 0 && text[n - 1] == '\n') n--;
    text[n] = 0;
    return n;
}

static bool read_number(int fd, uint64_t *v) {
    char text[32], *end;
    if (read_line(fd, text, sizeof text) <= 0 || *text < '0' || *text > '9') return false;
    errno = 0;
    *v = strtoull(text, &end, 10);
    return !*end && !errno;
}

static int open_in(int folder, const char *zone, const char *file) {
    char path[ZONE_NAME + 32];
    (void)snprintf(path, sizeof path, "%s/%s", zone, file);
    return openat(folder, path, O_RDONLY | O_CLOEXEC);
}

/* Whether a zone is to be counted: a package, or memory that no package includes. */
static bool counts(int folder, const char *zone) {
    char name[32] = "";
    if (strncmp(zone, "intel-rapl:", 11) != 0 || strlen(zone) >= ZONE_NAME) return false;
    int fd = open_in(folder, zone, "name");
    if (fd < 0) return false;
    if (read_line(fd, name, sizeof name) < 0) name[0] = 0;
    (void)close(fd);
    return strncmp(name, "package-", 8) == 0 || strcmp(name, "dram") == 0;
}

/* Opens a zone's counter; 0, or why it cannot be read. */
static int add_zone(struct energy_meter *m, int folder, const char *zone) {
    struct zone *z = &m->zone[m->n];
    int limit = open_in(folder, zone, "max_energy_range_uj");
    bool known = limit >= 0 && read_number(limit, &z->limit);
    if (limit >= 0) (void)close(limit);
    z->fd = open_in(folder, zone, "energy_uj");
    if (z->fd < 0) return errno;
    if (known && read_number(z->fd, &z->last) && z->last <= z->limit) {
        m->n++;
        return 0;
    }
    (void)close(z->fd);
    return EIO;
}

static void forget_zones(struct energy_meter *m) {
    for (int i = 0; i < m->n; i++) (void)close(m->zone[i].fd);
    m->n = 0;
}

/* All zones that count, or none: a part of the machine would pass for all of it. */
static void find_zones(struct energy_meter *m, const char *folder) {
    DIR *dir = opendir(folder);
    int failed = 0, seen = 0;
    if (dir) {
        for (struct dirent *d; !failed && (d = readdir(dir));) {
            if (!counts(dirfd(dir), d->d_name)) continue;
            seen++;
            failed = m->n == ZONES ? E2BIG : add_zone(m, dirfd(dir), d->d_name);
        }
        (void)closedir(dir);
    }
    if (!seen) (void)snprintf(m->why, sizeof m->why, "%.100s has no counters of a processor's energy", folder);
    else if (failed == EACCES || failed == EPERM)
        (void)snprintf(m->why, sizeof m->why, "the counters of energy in %.100s may be read by root only; `chmod o+r` their energy_uj files to allow it", folder);
    else if (failed) (void)snprintf(m->why, sizeof m->why, "the counters of energy in %.100s cannot be read: %.80s", folder, strerror(failed));
    if (failed) forget_zones(m);
}

int energy_open(struct energy_meter **out, const char *folder, uint32_t watts, struct err *e) {
    struct energy_meter *m = *out = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(e, "the meter of energy", sizeof *m);
    m->watts = watts;
    find_zones(m, folder ? folder : system_folder);
    return 0;
}

void energy_close(struct energy_meter *m) {
    if (!m) return;
    forget_zones(m);
    mem_free(m);
}

struct energy energy_spent(struct energy_meter *m, uint64_t busy_us) {
    uint64_t sum = 0;
    for (int i = 0; i < m->n; i++) {
        struct zone *z = &m->zone[i];
        uint64_t now = 0;
        if (!read_number(z->fd, &now) || now > z->limit) {
            forget_zones(m);
            (void)snprintf(m->why, sizeof m->why, "a counter of energy has ceased to answer");
            break;
        }
        sum += now >= z->last ? now - z->last : z->limit - z->last + 1 + now;
        z->last = now;
    }
    if (m->n) return (struct energy){sum, true};
    return (struct energy){(busy_us < YEAR_US ? busy_us : YEAR_US) * m->watts, false};
}

const char *energy_why(const struct energy_meter *m) { return m->why[0] ? m->why : NULL; }
