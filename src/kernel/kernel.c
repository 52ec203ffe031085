/* kernel.c: chooses the table of kernels; see kernel.h. One row per instruction set. */
#include "kernel/kernel.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/os.h"

static bool always(void) { return true; }

#if defined(__x86_64__)
/* Asked of the processor itself: __builtin_cpu_supports of clang before 15 does not know the word. */
static bool has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
static bool has_sse42(void) { return __builtin_cpu_supports("sse4.2"); }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }
static bool has_avxvnni(void) { return has_avx2() && kernels_avxvnni_have(); }
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}
static bool has_avx512bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
#endif

#if defined(__aarch64__)
static bool has_dotprod(void) { return os_cpu_arm() & ARM_DOTPROD; }
static bool has_i8mm(void) { return has_dotprod() && (os_cpu_arm() & ARM_I8MM) && (os_cpu_arm() & ARM_BF16); }
#endif

/* In order: each set that the processor has builds on the rows of those before it. */
static const struct {
    const char *name;
    bool (*have)(void);
    void (*fill)(struct kernels *);
} sets[] = {
    {"ref", always, kernels_ref},
#if defined(__x86_64__)
    {"sse42", has_sse42, kernels_sse42},
    {"avx2", has_avx2, kernels_avx2},
    {"avxvnni", has_avxvnni, kernels_avxvnni},
    {"avx512", has_avx512, kernels_avx512},
    {"avx512bf16", has_avx512bf16, kernels_avx512bf16},
#elif defined(__aarch64__)
    {"neon", always, kernels_neon},
    {"dotprod", has_dotprod, kernels_dotprod},
    {"i8mm", has_i8mm, kernels_i8mm},
#endif
};

enum { SETS = sizeof sets / sizeof *sets };
static struct kernels tables[SETS];
static int usable; /* tables[0..usable) can run here */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void) {
    for (int i = 0; i < SETS; i++) {
        if (!sets[i].have()) continue;
        if (usable) tables[usable] = tables[usable - 1];
        sets[i].fill(&tables[usable++]);
    }
}

int kernels_all(const struct kernels **k, int max) {
    (void)pthread_once(&once, fill);
    int n = usable < max ? usable : max;
    for (int i = 0; i < n; i++) k[i] = &tables[i];
    return n;
}

int kernels_get(const struct kernels **k, const char *name, struct err *e) {
    (void)pthread_once(&once, fill);
    if (!name) name = getenv("HEARTH_ISA");
    *k = &tables[usable - 1];
    if (!name || !*name) return 0;
    char list[128] = "";
    for (int i = 0; i < usable; i++) {
        if (strcmp(tables[i].name, name) == 0) {
            *k = &tables[i];
            return 0;
        }
        size_t n = strlen(list);
        (void)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", tables[i].name);
    }
    return err_set(e, ERR_USAGE, "HEARTH_ISA=%s: no such instruction set on this processor; it has %s", name, list);
}
