/* http_listen.c: the sockets that the server listens on, and who may be let in by them. Before the loop runs, except for listeners_close. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/http_internal.h"

enum { BACKLOG = 512 };

/* ---- addresses ---- */

bool address_is_local(const struct sockaddr *a) {
    if (a->sa_family == AF_UNIX) return true;
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    if (a->sa_family != AF_INET6) return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

void address_text(const struct sockaddr *a, char out[ADDRESS_BYTES]) {
    const void *bytes = NULL;
    if (a->sa_family == AF_INET) bytes = &((const struct sockaddr_in *)(const void *)a)->sin_addr;
    if (a->sa_family == AF_INET6) bytes = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    if (!bytes || !inet_ntop(a->sa_family, bytes, out, ADDRESS_BYTES)) (void)snprintf(out, ADDRESS_BYTES, "unix");
}

static int port_of(const struct sockaddr *a) {
    if (a->sa_family == AF_INET) return ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port);
    if (a->sa_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)(const void *)a)->sin6_port);
    return 0;
}

static void set_port(struct sockaddr *a, int port) {
    if (a->sa_family == AF_INET) ((struct sockaddr_in *)(void *)a)->sin_port = htons((uint16_t)port);
    if (a->sa_family == AF_INET6) ((struct sockaddr_in6 *)(void *)a)->sin6_port = htons((uint16_t)port);
}

/* ---- listening ---- */

/* Takes fd, which listens, into the list. path: of a unix socket that we made, else NULL. */
static int add(struct http_server *s, int fd, const struct sockaddr *a, const char *path, struct err *e) {
    char name[ADDRESS_BYTES];
    address_text(a, name);
    (void)pthread_mutex_lock(&s->lock);
    const bool is_public = !address_is_local(a), open = keys_count(s->keys) == 0, full = s->n_listeners == LISTENERS_MAX;
    if (!full && !(is_public && open)) {
        struct listener *l = &s->listeners[s->n_listeners++];
        *l = (struct listener){.server = s, .fd = fd, .checks_host = !is_public && a->sa_family != AF_UNIX, .is_public = is_public};
        if (path) (void)snprintf(l->path, sizeof l->path, "%s", path);
        if (!s->port) s->port = port_of(a);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (full) return err_set(e, ERR_USAGE, "more than %d addresses to listen on", LISTENERS_MAX);
    if (is_public && open)
        return err_set(e, ERR_USAGE, "%s can be reached from other machines: give --api-key or --api-key-file, so that not everybody may use this one, or listen on 127.0.0.1", name);
    return 0;
}

/* -1: errno says why. */
static int open_socket(const struct sockaddr *a, socklen_t n) {
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (a->sa_family != AF_UNIX) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (a->sa_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
    if (bind(fd, a, n) == 0 && listen(fd, BACKLOG) == 0) return fd;
    int why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

/* Whether a socket's name was left behind by a server that is no more. */
static bool is_stale(const struct sockaddr_un *a) {
    struct stat st;
    if (lstat(a->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof *a) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) (void)close(fd);
    return refused;
}

static int listen_unix(struct http_server *s, const char *path, struct err *e) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof a.sun_path) return err_set(e, ERR_USAGE, "unix:%.120s: the path of a socket has 1 to %zu bytes", path, sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path));
    if (is_stale(&a)) (void)unlink(path);
    int fd = open_socket((struct sockaddr *)&a, sizeof a);
    if (fd < 0) return err_set(e, ERR_IO, "unix:%s: cannot listen: %s", path, strerror(errno));
    int code = add(s, fd, (struct sockaddr *)&a, path, e);
    if (code) {
        (void)close(fd);
        (void)unlink(path);
    }
    return code;
}

int http_server_listen(struct http_server *s, const char *host, int port, struct err *e) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *all = NULL;
    if (strncmp(host, "unix:", 5) == 0) return listen_unix(s, host + 5, e);
    if (port < 0 || port > 65535) return err_set(e, ERR_USAGE, "port %d: must be from 0 to 65535", port);
    int why = *host ? getaddrinfo(host, NULL, &hints, &all) : EAI_NONAME, code = 0, listening = 0, first = 0;
    if (why) return err_set(e, ERR_USAGE, "host \"%.64s\": no address: %s", host, why == EAI_SYSTEM ? strerror(errno) : gai_strerror(why));
    for (struct addrinfo *i = all; i && code == 0; i = i->ai_next) {
        struct sockaddr_storage bound = {0};
        socklen_t n = sizeof bound;
        set_port(i->ai_addr, port);
        int fd = open_socket(i->ai_addr, i->ai_addrlen);
        if (fd < 0) {
            first = errno;
            if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) code = err_set(e, ERR_IO, "%.64s:%d: cannot listen: %s", host, port, strerror(errno));
            continue; /* a name can have addresses of a kind that this machine lacks */
        }
        if (getsockname(fd, (struct sockaddr *)&bound, &n) == 0) port = port_of((struct sockaddr *)&bound); /* the same for all */
        set_port(i->ai_addr, port);
        if ((code = add(s, fd, i->ai_addr, NULL, e))) (void)close(fd);
        else listening++;
    }
    freeaddrinfo(all);
    return code || listening ? code : err_set(e, ERR_IO, "%.64s:%d: cannot listen: %s", host, port, strerror(first));
}

int http_server_listen_fd(struct http_server *s, int fd, struct err *e) {
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof bound, size = sizeof(int);
    int listens = 0, type = 0, flags = fcntl(fd, F_GETFL);
    bool good = flags >= 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
    size = sizeof type;
    good = good && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM && getsockname(fd, (struct sockaddr *)&bound, &n) == 0;
    good = good && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
    int code = good ? add(s, fd, (struct sockaddr *)&bound, NULL, e) : err_set(e, ERR_USAGE, "descriptor %d, which was passed to this program, is not a listening stream socket", fd);
    if (code && flags >= 0) (void)close(fd);
    return code;
}

int http_server_port(const struct http_server *s) { return s->port; }

void listeners_close(struct http_server *s) {
    (void)pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_listeners; i++) {
        (void)close(s->listeners[i].fd);
        if (s->listeners[i].path[0]) (void)unlink(s->listeners[i].path);
    }
    s->n_listeners = 0;
    (void)pthread_mutex_unlock(&s->lock);
}
