/* page.c: finds a file of the web page, and says what goes with it; see page.h. */
#include "serve/page.h"

const struct page_header page_headers[] = {
    {"Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types dompurify"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-cache"}, /* kept, but asked about each time: a new program may have a new page */
};
const size_t n_page_headers = sizeof page_headers / sizeof *page_headers;

const struct page_file *page_find(struct slice path) {
    for (size_t i = 0; i < n_page_files; i++)
        if (slice_eq(slice_of(page_files[i].path), path)) return &page_files[i];
    return NULL;
}
