/* systemd.h: what systemd, or whoever speaks like it, gives a service and wants to hear: sockets that listen already, and a word when the service is
 * ready and when it stops. By the protocols of sd_listen_fds(3) and sd_notify(3), without their library. Reads the environment, so call it before
 * other threads may change that. */
#ifndef HEARTH_SYSTEMD_H
#define HEARTH_SYSTEMD_H

#include "base/err.h"

enum { SYSTEMD_FDS_MAX = 64 };

/* The sockets that were passed to this process, closed on exec from now on; 0: none were, or they are another process's. ERR_USAGE: LISTEN_FDS is not a number up to
 * SYSTEMD_FDS_MAX, or names descriptors that are not open. */
int systemd_listen_fds(int *fds, int *n, struct err *e);

/* Sends a state ("READY=1", "STOPPING=1", "RELOADING=1") to the socket in NOTIFY_SOCKET; nothing when there is none. ERR_IO: it was not taken. */
int systemd_notify(const char *state, struct err *e);

#endif
