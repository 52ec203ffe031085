/* sqlite_memory.h: SQLite's memory comes from base/mem.h, as all of Hearth's. Any thread. */
#ifndef HEARTH_SQLITE_MEMORY_H
#define HEARTH_SQLITE_MEMORY_H

/* Before any other call of SQLite. Where a process has used SQLite already, its memory stays where it is. */
void sqlite_memory_ours(void);

#endif
