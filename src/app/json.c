/* json.c: JSON on standard output; see json.h. */
#include "app/json.h"

#include "app/common.h"

int jw_print(struct jw *j, struct err *e) {
    int code = j->failed || !buf_char(&j->b, '\n') ? err_nomem(e, "the JSON output", j->b.len) : out_write((struct slice){j->b.data, j->b.len}, e);
    buf_free(&j->b);
    return code ? code : out_flush(e);
}
