/* page.h: the files of the web page, as they are linked into the program: read-only, always there; any thread.
 *
 * Bodies are compressed with gzip and there is no other form of them: every browser takes it, and a request without Accept-Encoding takes any coding.
 * A request that refuses gzip in so many words gets a 406. A request whose If-None-Match has the file's etag gets a 304 without a body.
 */
#ifndef HEARTH_PAGE_H
#define HEARTH_PAGE_H

#include <stddef.h>

#include "base/mem.h"

struct page_file {
    const char *path;          /* "/app.js"; the page itself is "/" */
    const char *type;          /* for Content-Type */
    const char *etag;          /* for ETag, with its quotes; it changes with the content */
    const unsigned char *gzip; /* the body, for Content-Encoding: gzip */
    size_t n_gzip;
};

/* Generated from web/dist by tools/embed_page.sh when the program is built. */
extern const struct page_file page_files[];
extern const size_t n_page_files;

/* The file at a path (without the query), or NULL. */
const struct page_file *page_find(struct slice path);

/* What is sent with every file beside its type, coding and etag. The policy lets the page use files and endpoints of this server and nothing else: no
 * inline script or style, no eval, no picture of another host, no frame around it; and text becomes markup only through DOMPurify. */
struct page_header {
    const char *name, *value;
};
extern const struct page_header page_headers[];
extern const size_t n_page_headers;

#endif
