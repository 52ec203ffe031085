/* systemd.c: sockets from systemd and words to it; see systemd.h. */
#define _GNU_SOURCE
#include "serve/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

static bool whole_number(const char *text, long *v) {
    char *end = NULL;
    errno = 0;
    *v = strtol(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

int systemd_listen_fds(int *fds, int *n, struct err *e) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    long whose, many;
    *n = 0;
    if (!pid || !count || !whole_number(pid, &whose) || whose != (long)getpid()) return 0;
    if (!whole_number(count, &many) || many > SYSTEMD_FDS_MAX)
        return err_set(e, ERR_USAGE, "LISTEN_FDS is \"%.32s\": at most %d sockets can be passed", count, SYSTEMD_FDS_MAX);
    for (int i = 0; i < (int)many; i++) {
        int fd = FIRST_FD + i, flags = fcntl(fd, F_GETFD);
        if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
            return err_set(e, ERR_USAGE, "LISTEN_FDS is %ld, but descriptor %d is not open", many, fd);
        fds[i] = fd;
    }
    *n = (int)many;
    return 0;
}

int systemd_notify(const char *state, struct err *e) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path) return 0;
    size_t n = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof to.sun_path) return err_set(e, ERR_IO, "NOTIFY_SOCKET is \"%.120s\": not the path of a socket", path);
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') to.sun_path[0] = 0; /* the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool sent = fd >= 0 && sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) >= 0;
    int code = sent ? 0 : err_set(e, ERR_IO, "%.120s: cannot notify: %s", path, strerror(errno));
    if (fd >= 0) (void)close(fd);
    return code;
}
