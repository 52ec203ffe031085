/* models_files.c: what lies on disk: names of files, and whether they have changed; see models_internal.h. Everything here may be called with or without the lock. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"
#include "serve/models_internal.h"

enum { PATH_BYTES = 4096, DIGITS = 5 /* of a part's number and of their count */ };

static const char GGUF_END[] = ".gguf", OF[] = "-of-";

static bool ends_in(struct slice s, const char *end) {
    const size_t n = strlen(end);
    return s.n > n && memcmp(s.p + s.n - n, end, n) == 0;
}

static bool all_digits(const char *p) { return strspn(p, "0123456789") >= DIGITS; }

/* Where the number of a part begins in a name without its ending ("model-00001-of-00003"); NULL: it is no part's. */
static const char *part_of(struct slice stem) {
    const size_t n = 2 * DIGITS + sizeof OF - 1;
    const char *p = stem.p + stem.n - n;
    return stem.n > n + 1 && p[-1] == '-' && memcmp(p + DIGITS, OF, sizeof OF - 1) == 0 && all_digits(p) && all_digits(p + n - DIGITS) ? p : NULL;
}

static bool is_first(const char *part) { return memcmp(part, "00001", DIGITS) == 0; }

struct slice model_name_of(struct slice path) {
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/') {
            path = (struct slice){path.p + i + 1, path.n - i - 1};
            break;
        }
    if (!ends_in(path, GGUF_END)) return path;
    path.n -= sizeof GGUF_END - 1;
    const char *part = part_of(path);
    return part && is_first(part) ? (struct slice){path.p, (size_t)(part - 1 - path.p)} : path;
}

static bool is_folder(const char *folder, const char *name) {
    char path[PATH_BYTES];
    return snprintf(path, sizeof path, "%s/%s", folder, name) >= PATH_BYTES || os_is_folder(path);
}

/* Names go into replies and logs. */
static bool is_fine(const char *folder, const char *name) {
    char shown[1024];
    const size_t n = strlen(name);
    if (strcmp(err_quote(shown, sizeof shown, name, n), name) == 0) return true;
    log_warn("%s: the name \"%s\" cannot be used", folder, shown);
    return false;
}

bool is_model_file(const char *folder, const char *name) {
    struct slice s = slice_of(name);
    if (*name == '.' || !ends_in(s, GGUF_END) || is_folder(folder, name)) return false;
    s.n -= sizeof GGUF_END - 1;
    const char *part = part_of(s);
    return (!part || is_first(part)) && is_fine(folder, name);
}

/* ---- changes ---- */

enum { STAMP_START = 1 };

static uint64_t mixed(uint64_t h, uint64_t v) { return (h ^ v) * 0xe7037ed1a0b428dbu ^ (h ^ v) >> 29; }

/* 0 stays 0: of a whole of which a file is missing. */
static uint64_t with_file(uint64_t stamp, const char *path) {
    struct os_file f;
    if (!stamp || !os_file(path, &f)) return 0;
    const uint64_t facts[] = {f.device, f.inode, f.size, (uint64_t)f.changed_s, (uint64_t)f.changed_ns};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) stamp = mixed(stamp, facts[i]);
    return stamp ? stamp : STAMP_START;
}

uint64_t stamp_of_model(const char *path) {
    char name[PATH_BYTES];
    const size_t n = path ? strlen(path) : 0;
    if (!path) return STAMP_START;
    uint64_t stamp = with_file(STAMP_START, path);
    if (n >= sizeof name || !ends_in(slice_of(path), GGUF_END)) return stamp;
    memcpy(name, path, n + 1);
    char *part = (char *)(uintptr_t)part_of((struct slice){name, n - (sizeof GGUF_END - 1)});
    int parts = 1;
    if (part && sscanf(part + DIGITS + sizeof OF - 1, "%5d", &parts) != 1) return stamp;
    for (int i = 2; stamp && i <= parts; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%05d", i);
        memcpy(part, number, DIGITS);
        stamp = with_file(stamp, name);
    }
    return stamp;
}

/* What the folder of an adapter has its numbers in; false: it has none. */
static bool numbers_of(const char *folder, char name[PATH_BYTES]) {
    static const char *const names[] = {"adapter_model.safetensors", "adapters.safetensors"};
    struct os_file f;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (snprintf(name, PATH_BYTES, "%s/%s", folder, names[i]) < PATH_BYTES && os_file(name, &f)) return true;
    return false;
}

uint64_t stamp_of_adapter(const char *path) {
    char name[PATH_BYTES];
    if (!os_is_folder(path)) return with_file(STAMP_START, path);
    const uint64_t stamp = numbers_of(path, name) ? with_file(STAMP_START, name) : 0;
    return snprintf(name, sizeof name, "%s/adapter_config.json", path) < PATH_BYTES ? with_file(stamp, name) : 0;
}

bool adapter_name_of(const char *folder, const char *name, char out[256]) {
    char path[PATH_BYTES];
    struct slice s = slice_of(name);
    if (*name == '.' || s.n >= 256) return false;
    if (ends_in(s, GGUF_END) && !is_folder(folder, name)) {
        (void)snprintf(out, 256, "%.*s", (int)(s.n - (sizeof GGUF_END - 1)), name);
        return is_fine(folder, name);
    }
    (void)snprintf(out, 256, "%s", name);
    return snprintf(path, sizeof path, "%s/%s", folder, name) < PATH_BYTES && os_is_folder(path) && stamp_of_adapter(path) && is_fine(folder, name);
}
