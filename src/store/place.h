/* place.h: where Hearth keeps what is a person's own: the XDG base folders. Any thread that does not run beside a change of the environment. */
#ifndef HEARTH_PLACE_H
#define HEARTH_PLACE_H

#include "base/err.h"
#include "base/mem.h"

/* Appends the path of hearth/NAME below $XDG_STATE_HOME (~/.local/state), $XDG_CONFIG_HOME (~/.config) or $XDG_CACHE_HOME (~/.cache). As the XDG specification has it,
 * a folder that is not absolute does not count. ERR_USAGE: there is no HOME either. */
int place_state(struct buf *path, const char *name, struct err *e);
int place_config(struct buf *path, const char *name, struct err *e);
int place_cache(struct buf *path, const char *name, struct err *e);

/* Makes the folders that path lies in where they are missing, for their owner alone, so that a power failure does not take them away. ERR_IO. */
int place_make_folders(const char *path, struct err *e);

/* What was made in the folder of path stays there after a power failure. ERR_IO. */
int place_sync_folder(const char *path, struct err *e);

#endif
