/* anthropic_internal.h: what the files of the Anthropic dialect share. */
#ifndef HEARTH_ANTHROPIC_INTERNAL_H
#define HEARTH_ANTHROPIC_INTERNAL_H

#include "serve/anthropic.h"

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_TOOL };

/* The dialect's own part of an answer. */
struct writing {
    bool hides_thinking; /* asked for: thinking comes without its text */
    bool hour;           /* some cache_control asks for an hour */
    enum block open;     /* a stream's block under way */
    int index;           /* of the open block, or of the next */
};

/* Appends text behind what there is, on a line of its own. */
int anthropic_add_text(struct buf *to, struct slice text, struct err *e);

/* Appends what a block of the kinds that are text says (text, document, search_result, tool_reference); *known is false for all others, and nothing is done. */
int anthropic_add_block(struct answer *a, const struct body_at *block, struct slice type, struct buf *to, bool *known, struct err *e);
int anthropic_unknown_block(const struct body_at *block, struct slice type, struct err *e);

/* The member `key`: a string, or an array of blocks of those kinds. Absent and null: nothing. */
int anthropic_add_blocks(struct answer *a, const struct body_at *at, const char *key, struct buf *to, struct err *e);

/* The members "system" and "messages". */
int anthropic_messages(struct answer *a, const struct body_at *at, struct err *e);

/* One of the member "tools", which has `most`. */
int anthropic_tool(struct answer *a, const struct body_at *tool, size_t most, struct err *e);

/* The member "cache_control" of a block, a tool or the request: all that can be kept is kept anyway, so it is only checked. */
int anthropic_cache_control(struct answer *a, const struct body_at *at, struct err *e);

/* The member "output_config" of the request or of a system message: what it says of effort. */
int anthropic_effort(struct ask *ask, const struct body_at *at, struct err *e);

/* GET /v1/models as this API has it, all or one. */
void anthropic_list_models(struct service *s, struct http_request *r);
void anthropic_show_model(struct service *s, struct http_request *r);

#endif
