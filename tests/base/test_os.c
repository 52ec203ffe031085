/* test_os.c: files mapped, read and written; what the machine says of itself. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"

static char folder[] = "/tmp/hearth-test-os-XXXXXX";
static char path[64], other[64];

static void ok(int code, const struct err *e) {
    if (code) fail_msg("%s", e->msg);
}

static int files_in_folder(void) {
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(d);
    return n;
}

static void write_text(const char *to, const char *text) {
    struct err e = {0};
    ok(os_write_file(to, text, strlen(text), &e), &e);
}

static void maps(void **state) {
    (void)state;
    struct os_map m, n;
    struct err e = {0};
    const char *found = NULL;
    size_t offset = 0;
    write_text(path, "mapped text");
    ok(os_map_open(&m, path, &e), &e);
    ok(os_map_open(&n, path, &e), &e);
    assert_int_equal(m.size, 11);
    assert_memory_equal(m.data, "mapped text", 11);
    assert_ptr_not_equal(m.data, n.data);
    assert_true(os_map_find(m.data + 10, &found, &offset));
    assert_string_equal(found, path);
    assert_int_equal(offset, 10);
    assert_true(os_map_find(n.data, &found, &offset));
    assert_int_equal(offset, 0);
    assert_false(os_map_find(m.data + 11, &found, &offset));
    assert_false(os_map_find(&m, &found, &offset));
    const uint8_t *was = m.data;
    os_map_close(&m);
    assert_null(m.data);
    assert_false(os_map_find(was, &found, &offset));
    assert_memory_equal(n.data, "mapped text", 11);
    os_map_close(&n);
    os_map_close(&n);
}

/* Pages of address space that this process takes. */
static long pages_taken(void) {
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 1) fail_msg("/proc/self/statm cannot be read");
    (void)close(fd);
    return strtol(text, NULL, 10);
}

/* A file that large pages can hold lies where they can be used. */
static void large_files_lie_at_large_pages(void **state) {
    (void)state;
    static const size_t sizes[] = {OS_LARGE_PAGE - 1, OS_LARGE_PAGE, OS_LARGE_PAGE + 1, 3 * OS_LARGE_PAGE + 4097};
    static char bytes[3 * OS_LARGE_PAGE + 4097];
    struct err e = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct os_map m;
        const char *found = NULL;
        const size_t n = sizes[i];
        size_t offset = 0;
        memset(bytes, 0, n);
        bytes[0] = 1, bytes[n - 1] = 2;
        ok(os_write_file(path, bytes, n, &e), &e);
        ok(os_map_open(&m, path, &e), &e);
        assert_int_equal(m.size, n);
        assert_true(memcmp(m.data, bytes, n) == 0);
        if (n >= OS_LARGE_PAGE) assert_int_equal((uintptr_t)m.data % OS_LARGE_PAGE, 0);
        assert_true(os_map_find(m.data + n - 1, &found, &offset));
        assert_int_equal(offset, n - 1);
        os_map_close(&m);
    }
    /* What is mapped around the file to find such a place is given back; emulators and checkers map a little of their own meanwhile. */
    enum { TIMES = 64 };
    const long page = sysconf(_SC_PAGESIZE), before = pages_taken();
    for (int i = 0; i < TIMES; i++) {
        struct os_map m;
        ok(os_map_open(&m, path, &e), &e);
        os_map_close(&m);
    }
    assert_true(labs(pages_taken() - before) < TIMES / 4 * (OS_LARGE_PAGE / page));
    write_text(path, "mapped text");
}

static void more_maps_than_the_registry_holds(void **state) {
    (void)state;
    static struct os_map m[600];
    struct err e = {0};
    const char *found;
    size_t offset;
    int known = 0;
    write_text(path, "x");
    for (int i = 0; i < 600; i++) ok(os_map_open(&m[i], path, &e), &e);
    for (int i = 0; i < 600; i++) known += os_map_find(m[i].data, &found, &offset);
    assert_in_range(known, 1, 599);
    for (int i = 0; i < 600; i++) assert_int_equal(m[i].data[0], 'x');
    for (int i = 0; i < 600; i++) os_map_close(&m[i]);
    ok(os_map_open(&m[0], path, &e), &e); /* the slots are free again */
    assert_true(os_map_find(m[0].data, &found, &offset));
    os_map_close(&m[0]);
}

static void what_cannot_be_mapped(void **state) {
    (void)state;
    struct os_map m;
    struct err e = {0};
    assert_int_equal(os_map_open(&m, "/nowhere/at/all", &e), ERR_IO);
    assert_non_null(strstr(e.msg, "/nowhere/at/all: cannot open"));
    assert_null(m.data);
    os_map_close(&m);
    assert_int_equal(os_map_open(&m, folder, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "folder"));
    assert_int_equal(os_map_open(&m, "/dev/null", &e), ERR_IO);
    assert_non_null(strstr(e.msg, "not a regular file"));
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_int_equal(os_map_open(&m, other, &e), ERR_IO); /* without waiting for a writer */
    assert_int_equal(unlink(other), 0);
    write_text(path, "");
    assert_int_equal(os_map_open(&m, path, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "empty"));
}

static const volatile uint8_t *volatile fault_at; /* itself volatile: the handler must see it */

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    const char *found;
    size_t offset;
    bool right = info->si_addr == (void *)(uintptr_t)fault_at && os_map_find(info->si_addr, &found, &offset) && strcmp(found, path) == 0 && offset == 8192;
    _exit(right ? 0 : 3);
}

/* A file that shrinks while mapped raises SIGBUS; its handler can name the file and the offset. */
static void a_file_that_shrinks(void **state) {
    (void)state;
    char *text = calloc(1, 12288);
    struct err e = {0};
    ok(os_write_file(path, text, 12288, &e), &e);
    free(text);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct os_map m;
        if (os_map_open(&m, path, NULL) != 0 || truncate(path, 4096) != 0) _exit(1);
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
        (void)sigaction(SIGBUS, &action, NULL);
        fault_at = m.data + 8192;
        _exit(*fault_at ? 1 : 2); /* not reached */
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void reads_whole_files(void **state) {
    (void)state;
    struct buf b = {0};
    struct err e = {0};
    write_text(path, "0123456789");
    ok(os_read_file(path, 10, &b, &e), &e);
    ok(os_read_file(path, 10, &b, &e), &e); /* appends */
    assert_string_equal(b.data, "01234567890123456789");
    buf_free(&b);
    assert_int_equal(os_read_file(path, 9, &b, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "9 bytes"));
    buf_free(&b);
    assert_int_equal(os_read_file("/nowhere/at/all", 9, &b, &e), ERR_IO);
    assert_int_equal(os_read_file(folder, 9, &b, &e), ERR_IO);
    buf_free(&b);
    ok(os_read_file("/dev/null", 0, &b, &e), &e);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buf_free(&b);
    assert_int_equal(os_read_file("/dev/zero", 1000000, &b, &e), ERR_IO); /* has no end */
    buf_free(&b);
    mem_fail_after(1);
    assert_int_equal(os_read_file(path, 100, &b, &e), ERR_MEMORY);
    mem_fail_after(0);
    buf_free(&b);
}

static void reads_standard_input(void **state) {
    (void)state;
    int ends[2], kept = dup(STDIN_FILENO);
    struct buf b = {0};
    struct err e = {0};
    assert_true(kept >= 0 && pipe(ends) == 0);
    assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
    assert_int_equal(write(ends[1], "piped", 5), 5);
    (void)close(ends[1]);
    ok(os_read_file("-", 100, &b, &e), &e);
    assert_string_equal(b.data, "piped");
    assert_true(dup2(kept, STDIN_FILENO) >= 0);
    (void)close(kept);
    (void)close(ends[0]);
    buf_free(&b);
}

static volatile sig_atomic_t stop;
static void on_alarm(int sig) { stop = sig; }

/* A pipe that nobody writes to: the flag ends the waiting, whether it was there before or a signal brings it. */
static void reads_until_told_to_stop(void **state) {
    (void)state;
    int ends[2];
    struct buf b = {0};
    struct err e = {0};
    char fd_path[64];
    assert_int_equal(pipe(ends), 0);
    (void)snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", ends[0]);
    assert_int_equal(write(ends[1], "some", 4), 4);
    struct sigaction action = {.sa_handler = on_alarm}, before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    stop = 0;
    (void)alarm(1);
    assert_int_equal(os_read_until(fd_path, 100, &stop, &b, &e), ERR_CANCELLED);
    assert_string_equal(b.data, "some");
    assert_int_equal(os_read_until(fd_path, 100, &stop, &b, &e), ERR_CANCELLED);
    assert_non_null(strstr(e.msg, "stopped"));
    (void)sigaction(SIGALRM, &before, NULL);
    stop = 0;
    (void)close(ends[1]);
    ok(os_read_until(fd_path, 100, &stop, &b, &e), &e);
    assert_string_equal(b.data, "some");
    (void)close(ends[0]);
    buf_free(&b);
}

static void expect_file(const char *file, const void *data, size_t n) {
    struct buf b = {0};
    struct err e = {0};
    ok(os_read_file(file, 1 << 24, &b, &e), &e);
    assert_int_equal(b.len, n);
    if (n) assert_memory_equal(b.data, data, n);
    buf_free(&b);
}

static void writes_whole_files(void **state) {
    (void)state;
    struct err e = {0};
    struct stat st;
    (void)unlink(path);
    mode_t mask = umask(027);
    write_text(path, "old");
    (void)umask(mask);
    expect_file(path, "old", 3);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    write_text(path, "new content");
    expect_file(path, "new content", 11);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(os_write_file("/nowhere/at/all", "x", 1, &e), ERR_IO);
    assert_int_equal(os_write_file(folder, "x", 1, &e), ERR_IO);
    int64_t before = mem_live();
    for (int64_t n = 1;; n++) {
        mem_fail_after(n);
        int code = os_write_file(path, "newer", 5, &e);
        bool failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        assert_int_equal(mem_live(), before);
        assert_int_equal(files_in_folder(), 1);
        if (!failed) break;
        expect_file(path, "new content", 11);
    }
    expect_file(path, "newer", 5);
}

static void writes_in_pieces(void **state) {
    (void)state;
    static uint8_t all[400000];
    static const size_t pieces[] = {0, 1, 7, 4096, 65535, 65536, 65537, 100000, 3, 60000, 5536, 1};
    struct os_out *o;
    struct err e = {0};
    size_t at = 0;
    for (size_t i = 0; i < sizeof all; i++) all[i] = (uint8_t)(i * 7 + i / 256);
    ok(os_out_open(&o, path, &e), &e);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        ok(os_out_write(o, all + at, pieces[i], &e), &e);
        at += pieces[i];
    }
    assert_true(at < sizeof all);
    expect_file(path, "newer", 5); /* not there before the end */
    ok(os_out_commit(o, &e), &e);
    expect_file(path, all, at);
    ok(os_out_open(&o, path, &e), &e);
    ok(os_out_write(o, all, 100000, &e), &e);
    os_out_abort(o);
    os_out_abort(NULL);
    expect_file(path, all, at);
    ok(os_out_open(&o, other, &e), &e); /* a folder has come in its place */
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(os_out_commit(o, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "rename"));
    assert_int_equal(rmdir(other), 0);
    assert_int_equal(files_in_folder(), 1);
}

/* What a handler does that ends the process: in a child, since nothing can be put in place after it. */
static void removes_what_is_unfinished(void **state) {
    (void)state;
    (void)fflush(stdout);
    write_text(path, "old");
    pid_t child = fork();
    if (child == 0) {
        struct os_out *one, *two, *three;
        if (os_out_open(&one, path, NULL) || os_out_open(&two, other, NULL) || os_out_open(&three, other, NULL) || os_out_write(one, "x", 1, NULL)) _exit(1);
        os_out_abort(three);
        if (files_in_folder() != 3) _exit(2);
        os_out_remove_all();
        if (files_in_folder() != 1) _exit(3);
        if (os_out_commit(one, NULL) != ERR_IO) _exit(4);
        (void)raise(SIGKILL); /* all is well: the end that such a process has, with names that nobody frees */
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect_file(path, "old", 3);
}

static void writes_straight_to_what_is_no_file(void **state) {
    (void)state;
    struct err e = {0};
    char fd_path[64], got[16];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", ends[1]);
    write_text(fd_path, "through");
    assert_int_equal(read(ends[0], got, sizeof got), 7);
    assert_memory_equal(got, "through", 7);
    (void)close(ends[0]);
    (void)close(ends[1]);
    write_text("/dev/null", "gone");
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode)); /* still a device */
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(os_write_file("/dev/full", "x", 1, &e), ERR_IO);
        assert_non_null(strstr(e.msg, "/dev/full: cannot write"));
        static const char much[100000];
        assert_int_equal(os_write_file("/dev/full", much, sizeof much, &e), ERR_IO);
    }
}

/* A name such as /dev/stdout is the descriptor, also when a file is behind it: the name stays, and what was written before too. */
static void writes_through_the_name_of_a_descriptor(void **state) {
    (void)state;
    char fd_path[64];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "first ", 6), 6);
    (void)snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", fd);
    write_text(fd_path, "second");
    expect_file(path, "first second", 12);
    (void)close(fd);
    assert_int_equal(files_in_folder(), 1);
}

static void writes_to_standard_output(void **state) {
    (void)state;
    struct err e = {0};
    char got[16];
    int ends[2], kept = dup(STDOUT_FILENO);
    (void)fflush(stdout);
    assert_true(kept >= 0 && pipe(ends) == 0);
    assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
    (void)close(ends[1]);
    int first = os_write_file("-", "to a ", 5, &e), second = os_write_file("-", "pipe", 4, &e); /* it stays open */
    ssize_t n = read(ends[0], got, sizeof got);
    (void)close(ends[0]);
    (void)signal(SIGPIPE, SIG_IGN);
    int gone = os_write_file("-", "x", 1, &e);
    (void)signal(SIGPIPE, SIG_DFL);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    (void)close(kept);
    assert_int_equal(first, 0);
    assert_int_equal(second, 0);
    assert_int_equal(n, 9);
    assert_memory_equal(got, "to a pipe", 9);
    assert_int_equal(gone, ERR_IO);
    assert_string_equal(e.msg, "");
    assert_int_equal(access("-", F_OK), -1);
}

static void knows_what_it_would_overwrite(void **state) {
    (void)state;
    struct os_map m;
    struct err e = {0};
    char link_path[80];
    const char *const inputs[] = {NULL, other};
    (void)snprintf(link_path, sizeof link_path, "%s/link", folder);
    write_text(path, "mapped");
    ok(os_out_check(path, inputs, 2, &e), &e);
    ok(os_out_check("/nowhere/at/all", inputs, 2, &e), &e);
    ok(os_map_open(&m, path, &e), &e);
    assert_int_equal(os_out_check(path, NULL, 0, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "would overwrite the input"));
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(os_out_check(link_path, NULL, 0, &e), ERR_USAGE);
    assert_int_equal(unlink(link_path), 0);
    ok(os_out_check(link_path, NULL, 0, &e), &e); /* nothing is there */
    assert_int_equal(link(path, link_path), 0);
    assert_int_equal(os_out_check(link_path, NULL, 0, &e), ERR_USAGE);
    assert_int_equal(unlink(link_path), 0);
    ok(os_out_check(other, inputs, 2, &e), &e);
    write_text(other, "an input");
    assert_int_equal(os_out_check(other, inputs, 2, &e), ERR_USAGE);
    ok(os_out_check(other, inputs, 1, &e), &e);
    os_map_close(&m);
    ok(os_out_check(path, inputs, 2, &e), &e);
    const char *const null[] = {"/dev/null"};
    ok(os_out_check("/dev/null", null, 1, &e), &e); /* can be read and written at once */
    assert_int_equal(unlink(other), 0);
}

static void the_machine(void **state) {
    (void)state;
    double t = os_now();
    for (int i = 0; i < 1000; i++) {
        double now = os_now();
        assert_true(now >= t);
        t = now;
    }
    assert_true(os_wall_seconds() > 1700000000);
    assert_true(os_random() != os_random());
    assert_in_range((size_t)os_cpu_count(), 1, (size_t)sysconf(_SC_NPROCESSORS_CONF));
    uint64_t total = os_memory_total(), available = os_memory_available(), peak = os_memory_peak();
    assert_true(total > 0 && available <= total && peak > 0);
    assert_true(total <= (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void affinity_counts(void **state) {
    (void)state;
    cpu_set_t was, one;
    assert_int_equal(sched_getaffinity(0, sizeof was, &was), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &was)) {
            CPU_SET(i, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int n = os_cpu_count();
    assert_int_equal(sched_setaffinity(0, sizeof was, &was), 0);
    assert_int_equal(n, 1);
}

static void terminals(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_false(os_is_terminal(ends[0]));
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_false(os_is_terminal(-1));
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0) {
        printf("SKIPPED: no terminal can be made here\n");
        skip();
    }
    assert_true(os_is_terminal(terminal));
    (void)close(terminal);
}

static void folders(void **state) {
    (void)state;
    struct err e = {0};
    ok(os_write_file(path, "x", 1, &e), &e);
    assert_true(os_is_folder(folder));
    assert_false(os_is_folder(path));
    assert_false(os_is_folder("/no/such/folder"));
    assert_false(os_is_folder(""));
}

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/a", folder);
    (void)snprintf(other, sizeof other, "%s/b", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    (void)unlink(other);
    return rmdir(folder);
}

static void which_file_it_is(void **state) {
    (void)state;
    struct os_file first, second;
    struct err e = {0};
    char *real, *folder_real, long_way[120];
    (void)unlink(path), (void)unlink(other); /* of tests before */
    assert_false(os_file(path, &first));
    assert_int_equal(os_real_path(path, &real, &e), ERR_IO);
    assert_null(real);
    write_text(path, "one");
    assert_true(os_file(path, &first) && first.size == 3 && first.changed_s > 1000000000);
    assert_true(os_file(path, &second) && memcmp(&first, &second, sizeof first) == 0);
    write_text(path, "two"); /* another file of that name */
    assert_true(os_file(path, &second) && second.inode != first.inode);
    assert_int_equal(symlink(path, other), 0);
    assert_true(os_file(other, &first) && first.inode == second.inode && first.device == second.device);
    ok(os_real_path(folder, &folder_real, &e), &e);
    ok(os_real_path(other, &real, &e), &e);
    assert_true(strncmp(real, folder_real, strlen(folder_real)) == 0 && strcmp(real + strlen(folder_real), strrchr(path, '/')) == 0);
    mem_free(real);
    (void)snprintf(long_way, sizeof long_way, "%s/../%s/./.", folder, strrchr(folder, '/') + 1);
    ok(os_real_path(long_way, &real, &e), &e);
    assert_string_equal(real, folder_real);
    mem_free(real);
    mem_fail_after(1);
    assert_int_equal(os_real_path(folder, &real, &e), ERR_MEMORY);
    mem_fail_after(0);
    mem_free(folder_real);
    (void)unlink(path), (void)unlink(other);
}

static void warms(void **state) {
    (void)state;
    struct err e = {0};
    struct os_map m;
    char text[9000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    write_text(path, text);
    ok(os_map_open(&m, path, &e), &e);
    os_map_warm(m.data, m.size);
    os_map_warm(m.data + 4095, 2);
    os_map_warm(m.data + 1, 0);
    assert_int_equal(truncate(path, 10), 0);
    os_map_warm(m.data, m.size); /* nobody dies of it */
    assert_int_equal(m.data[0], 'x');
    os_map_close(&m);
    (void)unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),
        cmocka_unit_test(large_files_lie_at_large_pages),
        cmocka_unit_test(more_maps_than_the_registry_holds),
        cmocka_unit_test(what_cannot_be_mapped),
        cmocka_unit_test(a_file_that_shrinks),
        cmocka_unit_test(reads_whole_files),
        cmocka_unit_test(reads_standard_input),
        cmocka_unit_test(reads_until_told_to_stop),
        cmocka_unit_test(writes_whole_files),
        cmocka_unit_test(writes_in_pieces),
        cmocka_unit_test(removes_what_is_unfinished),
        cmocka_unit_test(writes_straight_to_what_is_no_file),
        cmocka_unit_test(writes_through_the_name_of_a_descriptor),
        cmocka_unit_test(writes_to_standard_output),
        cmocka_unit_test(knows_what_it_would_overwrite),
        cmocka_unit_test(the_machine),
        cmocka_unit_test(affinity_counts),
        cmocka_unit_test(terminals),
        cmocka_unit_test(folders),
        cmocka_unit_test(which_file_it_is),
        cmocka_unit_test(warms),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
