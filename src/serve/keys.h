/* keys.h: the keys that clients show, each with the name of its client. A set is filled by one thread and then only read. The bytes of keys
 * are never part of a message, and are overwritten before their memory is given back. */
#ifndef HEARTH_KEYS_H
#define HEARTH_KEYS_H

#include "base/err.h"
#include "base/mem.h"

enum {
    KEY_BYTES = 256,   /* a key is shorter */
    CLIENT_BYTES = 64, /* a name too */
    KEYS_MAX = 4096,
};

struct keys;

int keys_new(struct keys **k, struct err *e);
void keys_free(struct keys *k); /* NULL is fine */

/* Keys are printable ASCII without blanks. client NULL: "key-1", "key-2", ... ERR_USAGE: not a key, not a name, given twice, too many. */
int keys_add(struct keys *k, struct slice key, const char *client, struct err *e);

/* A file with a line for each key: KEY, or CLIENT KEY; blank lines and those that begin with # say nothing. ERR_IO; ERR_FORMAT names the line. Warns in the log
 * when other users may read the file. Keys before a wrong line are in the set. */
int keys_read_file(struct keys *k, const char *path, struct err *e);
int keys_count(const struct keys *k); /* NULL: 0 */

/* The client whose key this is, or NULL. Takes as long whatever is presented: all keys are compared in all their bytes. */
const char *keys_find(const struct keys *k, struct slice presented);

#endif
